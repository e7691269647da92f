"""The images of the gallery, as the page shows them: ids, descriptions, thumbnails, large pictures.

Two middleware classes serve image files: `DrawThumbnails` draws thumbnails that do not exist yet,
and `LargePictures` serves the large pictures of the page's dialog.
"""

import os
import re
from collections.abc import Mapping, Sequence
from functools import cache, cached_property, lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Protocol
from urllib.parse import parse_qs, quote

import numpy as np
from anyio import CapacityLimiter, to_thread
from PIL import Image
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dwc.catalogue.drawing.draw import draw
from dwc.catalogue.schema import Garment
from dwc.catalogue.splits import GALLERY_SIZE, CatalogueItem, catalogue_items, gallery
from dwc.errors import ImageError, QueryError, StoreError
from dwc.gallery.metadata import Metadata
from dwc.gallery.sources import CATALOGUE
from dwc.gallery.store import THUMBNAILS, Store
from dwc.ui.indexing import GalleryIndexing, IndexingStatus


class GalleryImages(Protocol):
    """Interface of a gallery that the page can show."""

    @property
    def ids(self) -> Sequence[str]:
        """The images' ids, in the order in which the page lists the gallery."""

    @property
    def noun(self) -> str:
        """The plural noun for the images, such as "garments"."""

    @property
    def folder(self) -> Path:
        """The folder of the thumbnails.

        It must contain no other files, because the web server serves every file in it.
        """

    @property
    def metadata(self) -> Metadata:
        """The images' metadata, in the order of `ids`."""

    @property
    def skipped(self) -> Mapping[str, str]:
        """The reasons why files could not be read, by the files' paths in the gallery."""

    @property
    def remarks(self) -> Sequence[str]:
        """Sentences for the user about problems that indexing found, such as missing images."""

    @property
    def indexing(self) -> IndexingStatus | None:
        """The progress of indexing; None if the page opened with the complete gallery."""

    def thumbnail(self, image_id: str) -> Path:
        """Return the path of the image's thumbnail, inside `folder`."""

    def draw_thumbnail(self, image_id: str) -> Path:
        """Return the path of the image's thumbnail.

        If the thumbnail of a drawn garment is missing, it is drawn first.
        """

    def draw_missing(self, thumbnail: str | Path) -> None:
        """Draw the thumbnail at this path if its file is missing.

        Only thumbnails of drawn garments can be drawn. For any other path, nothing is done.
        """

    def open_large(self, image_id: str, drawn_px: int) -> Image.Image:
        """Return the original picture of an image; a drawn garment is drawn again.

        Args:
            image_id: The image's id.
            drawn_px: The width and height of the result in pixels if the image is a drawn garment;
                not used for other images.

        Raises:
            KeyError: There is no image with this id.
            ImageError: The picture cannot be read.
        """

    def describe(self, image_id: str) -> str:
        """Describe the image in words; the page uses the description as alternative text."""

    def id_of(self, thumbnail: str | Path) -> str | None:
        """Return the id of the image with this thumbnail; None if there is no such image."""

    def digest(self, image_id: str) -> str:
        """Return the digest of an image's content, `DIGEST_LENGTH` hexadecimal digits."""

    def id_with_digest(self, digest: str) -> str | None:
        """Return the id of the first image whose content has this digest; None if none has it."""


DIGEST_LENGTH = 8
"""The number of hexadecimal digits of a digest, which tells the contents of pictures apart."""


def is_digest(text: str) -> bool:
    """Return whether a text has the form of a digest: `DIGEST_LENGTH` hexadecimal digits."""
    return re.fullmatch(rf"[0-9a-f]{{{DIGEST_LENGTH}}}", text) is not None


def find_shown(images: GalleryImages, image_id: str, digest: str | None) -> str | None:
    """Return the id under which the gallery now has an image that a browser was shown.

    An id is the path of a file. After a restart with another gallery, or after a file was replaced,
    the same id may name another image; an image that was moved has another id.

    Args:
        images: The gallery.
        image_id: The id under which the image was shown.
        digest: The digest of the content that was shown; None if it is not known, as in a link that
            a person has written. Any image with the id is then accepted.

    Returns:
        The id; None if the gallery no longer has this image.
    """
    if image_id in images.ids and digest in (None, images.digest(image_id)):
        return image_id
    return None if digest is None else images.id_with_digest(digest)


def require_shown(images: GalleryImages, image_id: str, digest: str | None) -> str:
    """Return the id under which the gallery now has an image; raise an error if it is gone.

    The arguments are those of `find_shown`, which finds the image.

    Raises:
        QueryError: The gallery no longer has the image.
    """
    found = find_shown(images, image_id, digest)
    if found is not None:
        return found
    if image_id in images.ids:
        raise QueryError(
            f"The gallery's picture {image_id!r} is another one than was shown here: the gallery "
            "or the file was changed. If this page is older than that, load it again; then choose "
            "a picture."
        )
    raise QueryError(f"The picture {image_id!r} is not in this gallery. Choose another picture.")


def url_of(thumbnail: Path) -> str:
    """Return the relative URL of a thumbnail; it works behind a proxy with a path prefix, too."""
    return f"gradio_api/file={quote(str(thumbnail))}"


# Values of attributes that descriptions omit, because the feature is absent or ordinary.
_ABSENT = frozenset({"none", "plain", "mid", "regular"})
_CATEGORY_NAMES = {"t_shirt": "T-shirt"}


class DigestIndex:
    """Index that finds the position of an image in a store by the digest of its content.

    The index needs 8 bytes of memory per image: 8 MB for a million images.
    """

    def __init__(self, store: Store) -> None:
        """Build the index; this reads the content keys (hashes of the content) of all images."""
        self.store = store
        keys = store.rows.content_keys
        digests = (int(key[:DIGEST_LENGTH], 16) for key in keys)
        numbers = np.fromiter(digests, dtype=np.uint32, count=len(keys))
        order = np.argsort(numbers, kind="stable")
        self._positions, self._sorted = order.astype(np.uint32), numbers[order]

    def first(self, digest: str) -> int | None:
        """Return the position of the first image with this digest; None if there is none.

        Args:
            digest: A text for which `is_digest` is true.
        """
        number = np.uint32(int(digest, 16))
        place = int(np.searchsorted(self._sorted, number))
        if place == len(self._sorted) or self._sorted[place] != number:
            return None
        return int(self._positions[place])


class StoreImages:
    """The images of a gallery store (a folder with the vectors and thumbnails of a gallery).

    Images of the catalogue, a data set of drawn garments, are described by the attributes of the
    garment. Other images are described by their file name.
    """

    def __init__(self, store: Store, indexing: GalleryIndexing | None = None) -> None:
        """Build the object for a gallery store.

        Args:
            store: The gallery store.
            indexing: The object that adds images to the store; None if the store is complete.
        """
        self._store = store
        self._digest_index: DigestIndex | None = None
        self._digest_lock = Lock()
        self._indexing = indexing
        if indexing is not None:
            indexing.subscribe(self.show)
        self.is_catalogue = store.manifest.source.get("kind") == CATALOGUE
        self.noun = "garments" if self.is_catalogue else "pictures"
        self.folder = (store.path / THUMBNAILS).absolute()

    def show(self, store: Store) -> None:
        """Replace the store by another one with more images of the same gallery."""
        self._store = store
        self._digest_index = None

    @property
    def store(self) -> Store:
        """The gallery store whose images are shown now."""
        return self._store

    @property
    def ids(self) -> Sequence[str]:
        """The images' ids, in the order in which the page lists the gallery."""
        return self._store.ids

    @property
    def indexing(self) -> IndexingStatus | None:
        """The progress of indexing; None if the page opened with the complete gallery."""
        return None if self._indexing is None else self._indexing.status()

    @property
    def metadata(self) -> Metadata:
        """The images' metadata, in the order of `ids`."""
        return self._store.metadata

    @property
    def remarks(self) -> list[str]:
        """Sentences for the user about problems that indexing found, such as missing images."""
        return self._store.manifest.remarks()

    @property
    def skipped(self) -> dict[str, str]:
        """The reasons why files could not be read, by the files' paths in the gallery.

        The reasons do not contain paths of the server's folders.
        """
        reasons = self._store.manifest.skipped.items()
        return {image_id: reason.rpartition(f"{image_id}: ")[2] for image_id, reason in reasons}

    def thumbnail(self, image_id: str) -> Path:
        """Return the absolute path of the image's thumbnail."""
        return self._store.thumbnail(image_id).absolute()

    def draw_thumbnail(self, image_id: str) -> Path:
        """Return the absolute path of the image's thumbnail.

        If the thumbnail of a drawn garment is missing, it is drawn first.
        """
        return self._store.draw_thumbnail(image_id).absolute()

    def draw_missing(self, thumbnail: str | Path) -> None:
        """Draw the thumbnail of a drawn garment if its file is missing.

        A browser may request a thumbnail that was not drawn yet. Nothing is done if the path is
        not the thumbnail of a drawn garment.
        """
        path = Path(thumbnail)
        if self._store.is_drawn and path.is_relative_to(self.folder) and not path.exists():
            image_id = self.id_of(path)
            if image_id is not None:
                self.draw_thumbnail(image_id)

    def open_large(self, image_id: str, drawn_px: int) -> Image.Image:
        """Return an image's original picture, or its thumbnail if the original is gone or changed.

        A drawn garment is drawn again.

        Args:
            image_id: The image's id.
            drawn_px: The width and height of the result in pixels if the image is a drawn garment;
                not used for other images.

        Raises:
            KeyError: There is no image with this id.
            ImageError: Both the original and the thumbnail are gone.
        """
        try:
            self._store.position(image_id)
        except StoreError:
            raise KeyError(image_id) from None
        if (item := self._drawn_items.get(image_id)) is not None:
            return draw(item.garment, item.picture_seed, drawn_px)
        return self._store.picture(image_id).image

    def describe(self, image_id: str) -> str:
        """Describe a drawn garment by its attributes, any other image by its file name.

        The file name is given without its suffix, and with spaces instead of underscores.
        """
        if (garment := self.garments.get(image_id)) is not None:
            return describe_garment(garment)
        return PurePosixPath(image_id).stem.replace("_", " ")

    def kind(self, image_id: str) -> str | None:
        """Return a drawn garment's category, such as "dress"; None for any other image."""
        garment = self.garments.get(image_id)
        return None if garment is None else _name_category(garment)

    def id_of(self, thumbnail: str | Path) -> str | None:
        """Return the id of the image with this thumbnail; None if there is no such image.

        Images with identical content share a thumbnail. The id of the first of these images is
        returned.
        """
        path = Path(thumbnail)
        image_id = self._store.id_with_content(path.stem)
        if image_id is None or self.thumbnail(image_id) != path:
            return None
        return image_id

    def digest(self, image_id: str) -> str:
        """Return the first `DIGEST_LENGTH` hexadecimal digits of a hash of an image's content."""
        store = self._store
        return store.rows.content_keys[store.position(image_id)][:DIGEST_LENGTH]

    def id_with_digest(self, digest: str) -> str | None:
        """Return the id of the first image whose content has this digest; None if none has it.

        The first call for a store builds an index of all its images. `find_shown` calls this method
        only for an image that was moved, replaced or deleted, so most stores need no index.
        """
        if not is_digest(digest):
            return None
        store = self._store
        with self._digest_lock:  # requests at the same time wait, and do not build the index again
            index = self._digest_index
            if index is None or index.store is not store:
                index = self._digest_index = DigestIndex(store)
        position = index.first(digest)
        return None if position is None else store.ids[position]

    @cached_property
    def garments(self) -> dict[str, Garment]:
        """The drawn garment in each image, by image id.

        The dict is empty unless the gallery is the catalogue, a data set of drawn garments.
        """
        return {image_id: item.garment for image_id, item in self._drawn_items.items()}

    @cached_property
    def _drawn_items(self) -> dict[str, CatalogueItem]:
        if not self.is_catalogue:
            return {}
        source = self._store.manifest.source
        return {item.id: item for item in catalogue_items(source["split"], source["size"])}


def describe_garment(garment: Garment) -> str:
    """Describe a garment by its attributes, in a fixed order.

    Example: `dark blue striped dress with white, long sleeve, v neckline`.
    """
    attributes = {name: value for name, value in garment.attributes.items() if value not in _ABSENT}
    look = [attributes.pop(name, "") for name in ("shade", "colour", "pattern")]
    second = attributes.pop("second_colour", "")
    words = [*look, _name_category(garment)]
    head = " ".join(word.replace("_", " ") for word in words if word)
    if second:
        head += f" with {second}"
    return ", ".join([head, *(f"{value} {name}" for name, value in attributes.items())])


def _name_category(garment: Garment) -> str:
    return _CATEGORY_NAMES.get(garment.category, garment.category)


def describe_test_garment(image_id: str) -> str | None:
    """Describe a garment of the catalogue's test gallery, given the id of its image.

    The panel of weight statistics shows queries whose images are in the test gallery, even if the
    page has another gallery.

    Args:
        image_id: The id, such as "test-00012".

    Returns:
        The description; None if the test gallery has no image with this id.
    """
    if re.fullmatch(r"test-\d{5}", image_id) is None:
        return None
    index = int(image_id.removeprefix("test-"))
    garments = _test_garments()
    return describe_garment(garments[index]) if index < len(garments) else None


@cache
def _test_garments() -> list[Garment]:
    return [item.garment for item in gallery("test", GALLERY_SIZE)]


_FILE_ROUTE = "/file="


_DRAWING_THREADS = 2  # more threads would only wait for Python's global interpreter lock


class DrawThumbnails:
    """Middleware that draws the thumbnail of a drawn garment when a browser first requests it."""

    def __init__(self, app: ASGIApp, images: GalleryImages) -> None:
        self.app, self.images = app, images
        self._threads = CapacityLimiter(_DRAWING_THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Draw the requested file if it is a missing thumbnail; then forward the request."""
        if scope["type"] == "http":
            _, is_file, path = scope["path"].partition(_FILE_ROUTE)
            if is_file and not os.path.exists(path):
                await to_thread.run_sync(self.images.draw_missing, path, limiter=self._threads)
        await self.app(scope, receive, send)


LARGE_PX = 1280
"""The maximum width and height of a large picture, in pixels."""

_LARGE_DRAWN_PX = 768  # the time of drawing grows with the number of pixels
_LARGE_ROUTE = "gradio_api/large"
_LARGE_THREADS = 2  # each has one decoded picture in memory
_LARGE_CACHED = 32  # encoded pictures, each of a few hundred kB
_LARGE_QUALITY = 85
_LARGE_MAX_AGE_SECONDS = 600


def large_url(image_id: str, digest: str) -> str:
    """Return the relative URL of a picture's large version.

    Args:
        image_id: The picture's id.
        digest: The digest of the picture's content. With it, the server can detect that the id
            belongs to another picture since the page was opened.
    """
    return f"{_LARGE_ROUTE}?id={quote(image_id, safe='')}&content={digest}"


class LargePictures:
    """Middleware that serves large pictures of the gallery, given the id of an image.

    A picture is decoded and encoded again before it is sent. So the file's metadata, such as the
    location of a photograph, is not sent.
    """

    def __init__(self, app: ASGIApp, images: GalleryImages) -> None:
        self.app, self.images = app, images
        self._threads = CapacityLimiter(_LARGE_THREADS)
        self._cached = lru_cache(_LARGE_CACHED)(self._encode)  # errors are not cached

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer requests for large pictures; forward all other requests.

        A request has the id of a picture and, optionally, the digest of its content. The status of
        the response is 404 if the gallery has no such picture, and 410 if the file of the picture
        is gone or the id now belongs to another picture.
        """
        if scope["type"] != "http" or not scope["path"].endswith(f"/{_LARGE_ROUTE}"):
            await self.app(scope, receive, send)
            return
        query = parse_qs(scope["query_string"].decode("latin-1"))
        image_id = query.get("id", [""])[0]
        digest = query.get("content", [None])[0]
        response: Response
        try:
            content = await to_thread.run_sync(
                self._find_and_encode, image_id, digest, limiter=self._threads
            )
        except KeyError:
            response = PlainTextResponse("The gallery has no such picture.", status_code=404)
        except ImageError:
            response = PlainTextResponse("The picture is gone.", status_code=410)
        else:
            headers = {"Cache-Control": f"private, max-age={_LARGE_MAX_AGE_SECONDS}"}
            response = Response(content, media_type="image/webp", headers=headers)
        await response(scope, receive, send)

    def _find_and_encode(self, image_id: str, digest: str | None) -> bytes:
        """Return the picture that a request asks for as a WebP file.

        Args:
            image_id: The id under which the browser was shown the picture.
            digest: The digest of the picture's content; None if the request has none.

        Raises:
            KeyError: The gallery has no such picture.
            ImageError: The file of the picture is gone, or the id belongs to another picture.
        """
        shown = find_shown(self.images, image_id, digest)
        if shown is None and image_id in self.images.ids:
            raise ImageError(f"{image_id}: the gallery has another picture with this id.")
        if shown is None:
            raise KeyError(image_id)
        # The request's own id and digest would be a bad key: any id with the digest leads here.
        return self._cached(shown, self.images.digest(shown))

    def _encode(self, image_id: str, _digest: str) -> bytes:
        """Return an image of the gallery as a WebP file.

        Args:
            image_id: The image's id.
            _digest: The digest of the image's content. It is not used here, but it is a part of the
                key in the cache of encoded images: a changed image is encoded again.
        """
        picture = self.images.open_large(image_id, _LARGE_DRAWN_PX).convert("RGB")
        picture.thumbnail((LARGE_PX, LARGE_PX), Image.Resampling.LANCZOS)
        file = BytesIO()
        picture.save(file, "WEBP", quality=_LARGE_QUALITY)
        return file.getvalue()

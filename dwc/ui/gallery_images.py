"""The gallery's images as the page needs them: ids, thumbnails, descriptions."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import quote

from dwc.catalogue.schema import Garment
from dwc.catalogue.splits import gallery
from dwc.gallery.sources import CATALOGUE
from dwc.gallery.store import THUMBNAILS, Store


class GalleryImages(Protocol):
    """What a gallery must offer to be shown."""

    @property
    def ids(self) -> Sequence[str]:
        """The images' ids in the order of the gallery browser."""

    @property
    def noun(self) -> str:
        """What the images are called, in the plural: "garments"."""

    @property
    def folder(self) -> Path:
        """The folder of the thumbnails. It contains nothing else: all of it is served."""

    @property
    def skipped(self) -> Mapping[str, str]:
        """The files that could not be read, with the reasons."""

    @property
    def remarks(self) -> Sequence[str]:
        """What else was left out of the gallery, a sentence each."""

    def thumbnail(self, image_id: str) -> Path:
        """The thumbnail's file, inside `folder`."""

    def describe(self, image_id: str) -> str:
        """The image in words, for those who cannot see it."""

    def id_of(self, thumbnail: str | Path) -> str | None:
        """The id of the image with this thumbnail; None if there is none."""


def url_of(thumbnail: Path) -> str:
    """A thumbnail's address; relative, so that it also holds behind a proxy's prefix."""
    return f"gradio_api/file={quote(str(thumbnail))}"


# Values that say what a garment does not have; a description omits them.
_ABSENT = frozenset({"none", "plain", "mid", "regular"})
_CATEGORY_NAMES = {"t_shirt": "T-shirt"}


class StoreImages:
    """The images of a store, described by their file names, or by what was drawn."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.ids = store.ids
        self.is_catalogue = store.manifest.source.get("kind") == CATALOGUE
        self.noun = "garments" if self.is_catalogue else "pictures"
        self.folder = (store.path / THUMBNAILS).absolute()

    @property
    def remarks(self) -> list[str]:
        """What else was left out of the gallery, a sentence each."""
        return self._store.manifest.remarks()

    @cached_property
    def skipped(self) -> dict[str, str]:
        """The files that could not be read, with the reasons; no reason shows the server's path."""
        reasons = self._store.manifest.skipped.items()
        return {image_id: reason.rpartition(f"{image_id}: ")[2] for image_id, reason in reasons}

    def thumbnail(self, image_id: str) -> Path:
        """The thumbnail's file, as an absolute path."""
        return self._store.thumbnail(image_id).absolute()

    def describe(self, image_id: str) -> str:
        """A drawn garment in words; for any other image its file name without the suffix."""
        if (garment := self.garments.get(image_id)) is not None:
            return describe_garment(garment)
        return PurePosixPath(image_id).stem.replace("_", " ")

    def kind(self, image_id: str) -> str | None:
        """A drawn garment's category; None for any other image."""
        garment = self.garments.get(image_id)
        return None if garment is None else _name_category(garment)

    def id_of(self, thumbnail: str | Path) -> str | None:
        """The image with that thumbnail; the first of several with the same content."""
        path = Path(thumbnail)
        image_id = self._by_content.get(path.stem)
        if image_id is None or self.thumbnail(image_id) != path:
            return None
        return image_id

    @cached_property
    def garments(self) -> dict[str, Garment]:
        """What the catalogue's images show, by id; empty for other galleries."""
        if not self.is_catalogue:
            return {}
        source = self._store.manifest.source
        items = gallery(source["split"], source["size"])
        return {item.id: item.garment for item in items}

    @cached_property
    def _by_content(self) -> dict[str, str]:
        by_content: dict[str, str] = {}
        for row in self._store.rows:
            by_content.setdefault(row.content_key, row.id)
        return by_content


def describe_garment(garment: Garment) -> str:
    """`dark blue striped dress with white, long sleeve, v neckline`: always in one order."""
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

"""The gallery's pictures as the page needs them: names, thumbnails, descriptions.

An embedding store as the page's `Pictures`.
"""

from collections.abc import Sequence
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
        """In the order in which the gallery is leafed through."""

    @property
    def noun(self) -> str:
        """What its members are called, in the plural: "garments"."""

    @property
    def folder(self) -> Path:
        """Where the thumbnails lie, and nothing else: all of it is served."""

    def thumbnail(self, picture_id: str) -> Path:
        """The thumbnail's file, inside `folder`."""

    def describe(self, picture_id: str) -> str:
        """The picture in words, for those who cannot see it."""

    def id_of(self, thumbnail: str | Path) -> str | None:
        """The picture whose thumbnail this file is, or None."""


def url_of(thumbnail: Path) -> str:
    """Where the browser finds a thumbnail; relative, so that it holds behind a proxy's prefix."""
    return f"gradio_api/file={quote(str(thumbnail))}"


# Values that say what a garment has not; a description leaves them out.
_ABSENT = frozenset({"none", "plain", "mid", "regular"})
_CATEGORY_NAMES = {"t_shirt": "T-shirt"}


class StoreImages:
    """The pictures of a store, described by their file names, or by what was drawn."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.ids = store.ids
        self.is_catalogue = store.manifest.source.get("kind") == CATALOGUE
        self.noun = "garments" if self.is_catalogue else "pictures"
        self.folder = (store.path / THUMBNAILS).absolute()

    def thumbnail(self, picture_id: str) -> Path:
        """The thumbnail's file, by an absolute path."""
        return self._store.thumbnail(picture_id).absolute()

    def describe(self, picture_id: str) -> str:
        """A drawn garment in words; of any other picture the file's name, without its suffix."""
        if (garment := self.garments.get(picture_id)) is not None:
            return describe_garment(garment)
        return PurePosixPath(picture_id).stem.replace("_", " ")

    def kind(self, picture_id: str) -> str | None:
        """What a drawn garment is, in a word; None for any other picture."""
        garment = self.garments.get(picture_id)
        return None if garment is None else _name_category(garment)

    def id_of(self, thumbnail: str | Path) -> str | None:
        """The picture of that thumbnail; of several with the same content, the first."""
        path = Path(thumbnail)
        picture_id = self._by_content.get(path.stem)
        if picture_id is None or self.thumbnail(picture_id) != path:
            return None
        return picture_id

    @cached_property
    def garments(self) -> dict[str, Garment]:
        """What the catalogue's pictures show, by id; empty for other galleries."""
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
    """`dark blue striped dress with white, long sleeve, v neckline`: one order, no variety."""
    shown = {name: value for name, value in garment.attributes.items() if value not in _ABSENT}
    look = [shown.pop(name, "") for name in ("shade", "colour", "pattern")]
    second = shown.pop("second_colour", "")
    words = [*look, _name_category(garment)]
    head = " ".join(word.replace("_", " ") for word in words if word)
    if second:
        head += f" with {second}"
    return ", ".join([head, *(f"{value} {name}" for name, value in shown.items())])


def _name_category(garment: Garment) -> str:
    return _CATEGORY_NAMES.get(garment.category, garment.category)

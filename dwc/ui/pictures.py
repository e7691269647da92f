"""The gallery's pictures as the page needs them: names, thumbnails, descriptions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import quote


class Pictures(Protocol):
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

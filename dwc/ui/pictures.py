"""The gallery's pictures as the page needs them: names, thumbnails, descriptions, originals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from PIL import Image


class Pictures(Protocol):
    """What a gallery must offer to be shown.

    `ids` in the order in which the gallery is leafed through; `noun` names its members in the
    plural ("garments"); `folder` holds the thumbnails and nothing else, since all of it is served.
    """

    ids: Sequence[str]
    noun: str
    folder: Path

    def thumbnail(self, picture_id: str) -> Path:
        """The thumbnail's file, inside `folder`."""

    def describe(self, picture_id: str) -> str:
        """The picture in words, for those who cannot see it."""

    def open(self, picture_id: str) -> Image.Image:
        """The picture itself, RGB and upright; `PictureError` where it is gone or damaged."""

    def id_of(self, thumbnail: str | Path) -> str | None:
        """The picture whose thumbnail this file is, or None."""


def url_of(thumbnail: Path) -> str:
    """Where the browser finds a thumbnail; relative, so that it holds behind a proxy's prefix."""
    return f"gradio_api/file={quote(str(thumbnail))}"

"""Where a gallery's pictures come from: a folder, a dataset of the Hub, the drawn catalogue."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from dwc.datasets.image_loading import SUFFIXES, decode
from dwc.errors import ImageError

if TYPE_CHECKING:
    from dwc.catalogue.splits import CatalogueItem, Split

CATALOGUE = "catalogue"


class Item(Protocol):
    """One picture of a source; cheap to hold, and picklable."""

    @property
    def id(self) -> str:
        """Unique in its source, and the same every time that the source is listed."""

    def content_key(self) -> str:
        """Changes exactly when the picture's content does; `ImageError` if it is gone."""

    def open(self) -> Image.Image:
        """The picture, upright RGB; `ImageError` if it cannot be read."""


class Source(Protocol):
    """A listing of pictures that can be written down (`spec`) and found again.

    `computed` says that opening a picture is work in Python, not the decoding of a file.
    """

    computed: bool

    @property
    def argument(self) -> str:
        """What names this source on the command line."""

    @property
    def spec(self) -> dict[str, Any]:
        """JSON-able; `from_spec` gives the source back."""

    def items(self) -> Sequence[Item]:
        """Every picture, in a stable order."""

    def item(self, id: str) -> Item:
        """One picture by its id; `ImageError` if the source has none of that id."""


@dataclass(frozen=True)
class FileItem:
    """A picture file."""

    id: str
    path: Path

    def content_key(self) -> str:
        """A hash of the file's bytes."""
        try:
            return hashlib.blake2b(self.path.read_bytes(), digest_size=16).hexdigest()
        except OSError as error:
            raise ImageError(f"{self.path}: cannot be read ({error.strerror}).") from error

    def open(self) -> Image.Image:
        """Decode the file."""
        return decode(self.path)


class FolderSource:
    """Every picture file of a folder and the folders in it, by its path relative to the folder.

    Hidden files and folders are left out, and so are files without a picture's suffix. Links to
    files are followed, links to folders are not: those may lead in circles.
    """

    computed = False

    def __init__(self, folder: str | Path) -> None:
        """`ImageError` if there is no such folder."""
        self.folder = Path(folder).expanduser().absolute()
        if not self.folder.is_dir():
            raise ImageError(f"{folder}: there is no such folder. Check the path.")

    @property
    def argument(self) -> str:
        """The folder's path."""
        return str(self.folder)

    @property
    def spec(self) -> dict[str, Any]:
        """The folder's absolute path."""
        return {"kind": "folder", "folder": str(self.folder)}

    def items(self) -> list[FileItem]:
        """The picture files there are now, ordered by id."""
        found = []
        for directory, subfolders, names in os.walk(self.folder):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            for name in names:
                path = Path(directory, name)
                if not name.startswith(".") and path.suffix.lower() in SUFFIXES and path.is_file():
                    found.append(FileItem(_relative_id(path, self.folder), path))
        return sorted(found, key=lambda item: item.id)

    def item(self, id: str) -> FileItem:
        """The file of that relative path; a path that leads out of the folder is refused."""
        relative = PurePosixPath(id)
        path = self.folder / relative
        if relative.is_absolute() or ".." in relative.parts or not path.is_file():
            raise ImageError(f"{id}: is no file in {self.folder}. Index the folder again.")
        return FileItem(id, path)


class HubDatasetSource:
    """The picture files of a dataset repository of the Hugging Face Hub, downloaded once.

    Pictures inside Parquet or archive files are not found; only files that are pictures.
    """

    computed = False

    def __init__(self, repo_id: str, revision: str | None = None) -> None:
        """`repo_id` is `owner/name`; `revision` a commit, branch or tag, by default `main`."""
        self.repo_id = repo_id
        self.revision = revision

    @property
    def argument(self) -> str:
        """The repository's id."""
        return self.repo_id

    @property
    def spec(self) -> dict[str, Any]:
        """The repository and its revision."""
        return {"kind": "hub", "repo_id": self.repo_id, "revision": self.revision}

    def items(self) -> list[FileItem]:
        """The picture files, ordered by id; the first call downloads them."""
        return self._downloaded.items()

    def item(self, id: str) -> FileItem:
        """The file of that path in the repository."""
        return self._downloaded.item(id)

    @cached_property
    def _downloaded(self) -> FolderSource:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )

        patterns = [f"*{s}" for suffix in sorted(SUFFIXES) for s in (suffix, suffix.upper())]
        try:
            folder = snapshot_download(
                self.repo_id,
                repo_type="dataset",
                revision=self.revision,
                allow_patterns=patterns,
            )
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
            raise ImageError(
                f"{self.repo_id}: is neither a folder here nor a dataset that the Hub gives out "
                f"({error}). Check the name, the connection, and your access."
            ) from error
        return FolderSource(folder)


@dataclass(frozen=True)
class DrawnItem:
    """A garment of the catalogue, drawn when it is opened."""

    garment: "CatalogueItem"
    picture_px: int

    @property
    def id(self) -> str:
        """The catalogue's id."""
        return self.garment.id

    def content_key(self) -> str:
        """A hash of all that a drawing depends on: garment, seed, size, and the drawing itself."""
        from dwc.catalogue.drawing import DRAWING_VERSION

        garment = self.garment
        drawn = repr((garment.garment, garment.picture_seed, self.picture_px, DRAWING_VERSION))
        return hashlib.blake2b(drawn.encode(), digest_size=16).hexdigest()

    def open(self) -> Image.Image:
        """Draw it."""
        from dwc.catalogue.drawing.draw import draw

        return draw(self.garment.garment, self.garment.picture_seed, self.picture_px)


class CatalogueSource:
    """The drawn garments of one split of the catalogue, `picture_px` wide and high."""

    computed = True

    def __init__(self, split: "Split" = "test", size: int = 2000, picture_px: int = 256) -> None:
        """`size` garments; the smaller gallery is the beginning of the larger."""
        self.split = split
        self.size = size
        self.picture_px = picture_px

    @property
    def argument(self) -> str:
        """The word that stands for the bundled garments."""
        return CATALOGUE

    @property
    def spec(self) -> dict[str, Any]:
        """Split, size and picture size."""
        return {
            "kind": CATALOGUE,
            "split": self.split,
            "size": self.size,
            "picture_px": self.picture_px,
        }

    def items(self) -> list[DrawnItem]:
        """Every garment, in the catalogue's order."""
        return list(self._by_id.values())

    def item(self, id: str) -> DrawnItem:
        """The garment of that id."""
        if id not in self._by_id:
            raise ImageError(
                f"{id}: is not in the catalogue's {self.split} split of {self.size}. "
                "Index the catalogue again."
            )
        return self._by_id[id]

    @cached_property
    def _by_id(self) -> dict[str, DrawnItem]:
        from dwc.catalogue.splits import gallery

        return {g.id: DrawnItem(g, self.picture_px) for g in gallery(self.split, self.size)}


def open_source(argument: str, revision: str | None = None) -> Source:
    """The source that a word on the command line stands for.

    "catalogue" is the bundled garments (write `./catalogue` for a folder of that name), an existing
    folder is itself, and anything else of the form `owner/name` a dataset of the Hub. Raises
    `ImageError` for a folder that is not there.
    """
    if argument == CATALOGUE:
        return CatalogueSource()
    if Path(argument).expanduser().is_dir() or not _looks_like_repository(argument):
        return FolderSource(argument)
    return HubDatasetSource(argument, revision)


def from_spec(spec: dict[str, Any]) -> Source:
    """The source that a `spec` was taken from; `ImageError` if its folder is gone."""
    options = {name: value for name, value in spec.items() if name != "kind"}
    kinds = {"folder": FolderSource, "hub": HubDatasetSource, CATALOGUE: CatalogueSource}
    return kinds[spec["kind"]](**options)


def _relative_id(path: Path, folder: Path) -> str:
    # A name that is not UTF-8 has no place in a database or in JSON; its odd bytes are spelt out.
    return os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "backslashreplace")


def _looks_like_repository(argument: str) -> bool:
    return argument.count("/") == 1 and not argument.startswith(("/", ".", "~"))

"""Readers for a benchmark's annotation files (text and JSON), and lookup of its image files.

Error messages state what a file contains, what was expected and what to do. Image files are looked
up by image id, in any of the folder layouts that are common for the benchmark.
"""

import json
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from dwc.datasets.image_kinds import sniff_kind
from dwc.errors import DatasetError
from dwc.files import refuse_lfs_pointer

logger = logging.getLogger(__name__)

_LISTED = 9  # maximum number of file names listed in an error message


def read_json(path: Path, kind: type[list] | type[dict], advice: str) -> Any:
    """Return the content of a JSON file that contains a list or an object.

    Args:
        path: The file.
        kind: Expected type of the content, `list` or `dict`.
        advice: How to obtain the file; the error message ends with it if the file is missing.

    Raises:
        DatasetError: The file is missing or unreadable, or its content has another type.
    """
    try:
        content = json.loads(read_text(path, advice))
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path} cannot be read as JSON: {error}. Fetch the file again"
        ) from error
    except RecursionError:
        raise DatasetError(f"{path} is nested too deeply. Fetch the file again") from None
    if not isinstance(content, kind):
        expected = "a list" if kind is list else "an object"
        raise DatasetError(
            f"{path} holds {shorten(content)}; expected {expected}. Fetch the file again"
        )
    return content


def read_lines(path: Path, advice: str) -> list[str]:
    """Return the lines of a UTF-8 text file, including empty ones.

    Arguments and errors are as in `read_json`.
    """
    lines = read_text(path, advice).split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def read_text(path: Path, advice: str) -> str:
    """Return the text of a UTF-8 file with "\\n" as line ends.

    Arguments and errors are as in `read_json`.
    """
    refuse_lfs_pointer(path, DatasetError)
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing{_beside(path)}; {advice}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}. Fetch the file again") from error


def shorten(value: object, limit: int = 80) -> str:
    """Return a value's `repr`; a longer one is cut to `limit` characters and ends with "…"."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def describe_folder(folder: Path) -> str:
    """Return a clause that lists the content of a folder, such as "data holds a.txt, b.txt".

    If the folder does not exist, the nearest existing parent folder is listed instead.
    """
    existing = next((path for path in (folder, *folder.parents) if path.is_dir()), None)
    if existing is None:
        return f"{folder} is not there"
    names = sorted(path.name for path in existing.iterdir())
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{existing} holds {', '.join(names[:_LISTED]) or 'nothing'}{more}"


def _beside(path: Path) -> str:
    """Describe what is in the folder of a missing file, for the error message.

    Files with similar names are listed, to reveal a misspelled name. If there are none, the content
    of the folder is listed.
    """
    start, end = path.name.split(".")[0], path.suffix
    names = sorted(other.name for other in path.parent.glob(f"{start}*{end}"))
    return (
        f" (there are {', '.join(names[:_LISTED])})"
        if names
        else f" ({describe_folder(path.parent)})"
    )


SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif")

_HEADER_BYTES = 64
_TRAILER_BYTES = 16
_TRAILERS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9", "GIF": b";"}


def best_copy(paths: Sequence[Path]) -> Path:
    """Return the first complete file of several files that should contain the same image.

    A failed download leaves an empty file, an HTML page or the beginning of an image, often in the
    same folder as an intact copy. Completeness is judged by a file's first and last bytes. If no
    file is complete, the first file that at least begins like an image file is returned. If there
    is no such file either, the first file is returned.
    """
    if len(paths) == 1:
        return paths[0]
    return max(paths, key=_soundness)  # the first of equals


def _soundness(path: Path) -> int:
    """Return 0 if a file is not an image, 1 for an incomplete image, and 2 for a complete one."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
            file.seek(-min(_TRAILER_BYTES, path.stat().st_size), os.SEEK_END)
            trailer = file.read()
    except OSError:
        return 0
    kind = sniff_kind(header)
    if kind is None:
        return 0
    return 1 + (_TRAILERS.get(kind, b"") in trailer)


class ImageFiles(ABC):
    """Lookup of a benchmark's image files by image id.

    The folders are searched once, when the first image is looked up.
    """

    @abstractmethod
    def _list(self) -> dict[str, Path]:
        """Return the paths of all existing images by id."""

    @abstractmethod
    def _advice(self) -> str:
        """Return the end of an error message: the searched folders, and where to put images."""

    @cached_property
    def _paths(self) -> dict[str, Path]:
        paths = self._list()
        if not paths:
            raise DatasetError(f"no pictures {self._advice()}")
        return paths

    def find(self, name: str) -> Path | None:
        """Return the path of an image, or None if it is missing.

        Raises:
            DatasetError: All images are missing.
        """
        return self._paths.get(name)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return the names of missing images, without repetition, in the order of `names`.

        An image that exists but cannot be read is not missing. If the names of some files differ
        from missing names in case only, a warning says so.

        Raises:
            DatasetError: All images are missing; or all of `names` are, and the names of some files
                differ from them in case only.
        """
        wanted = list(dict.fromkeys(names))
        missing = [name for name in wanted if name not in self._paths]
        if missing:
            self._report_other_case(missing, all_missing=len(missing) == len(wanted))
        return missing

    def _report_other_case(self, missing: list[str], all_missing: bool) -> None:
        """Log or raise a message if files have missing names, but in lower or upper case."""
        by_folded = {name.casefold(): path for name, path in self._paths.items()}
        others = [name for name in missing if name.casefold() in by_folded]
        if not others:
            return
        message = (
            f"{len(others)} of {len(missing)} missing pictures are there under names that differ "
            f"in case only: {by_folded[others[0].casefold()]} for {others[0]}. Rename the files as "
            "the annotation files write their names"
        )
        if all_missing:
            raise DatasetError(message)
        logger.warning("%s", message)


class NamedImages(ImageFiles):
    """Lookup of images whose file names without suffix are their ids, in several folders.

    If several files have the same id, the first complete file is used. Files are ordered by folder,
    and within a folder by their suffix, in the order of `SUFFIXES`.
    """

    def __init__(self, folders: Iterable[Path], owner: str) -> None:
        """Store the folders without searching them.

        Args:
            folders: Folders of images; some may not exist.
            owner: Name of the benchmark in the possessive ("FashionIQ's"), for error messages.
        """
        self._folders = list(folders)
        self._owner = owner

    def _list(self) -> dict[str, Path]:
        copies: dict[str, list[Path]] = {}
        for folder in self._folders:
            if folder.is_dir():
                images = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
                images.sort(key=lambda path: (SUFFIXES.index(path.suffix.lower()), path.name))
                for path in images:
                    copies.setdefault(path.stem, []).append(path)
        return {name: best_copy(paths) for name, paths in copies.items()}

    def _advice(self) -> str:
        folders = ", ".join(str(folder) for folder in self._folders)
        return (
            f"({', '.join(SUFFIXES)}) in {folders} ({describe_folder(self._folders[0].parent)}); "
            f"put {self._owner} pictures, named by their ids, into one of them"
        )


class ListedImages(ImageFiles):
    """Lookup of images whose paths, relative to some folder, are listed by the benchmark."""

    def __init__(
        self, bases: Sequence[Path], relative: Mapping[str, Sequence[str]], owner: str
    ) -> None:
        """Store the folders and paths without searching them.

        Args:
            bases: Folders that the paths may be relative to. If several contain an image, the first
                complete file is used.
            relative: Image id -> possible relative paths of the image.
            owner: Name of the benchmark in the possessive ("CIRR's"), for error messages.
        """
        self._bases = bases
        self._relative = relative
        self._owner = owner

    def _list(self) -> dict[str, Path]:
        existing: dict[str, Path] = {}
        for name, paths in self._relative.items():
            candidates = (base / path for base in self._bases for path in paths)
            if copies := [path for path in candidates if path.is_file()]:
                existing[name] = best_copy(copies)
        return existing

    def _advice(self) -> str:
        bases = " or ".join(str(base) for base in self._bases)
        example = next((paths[0] for paths in self._relative.values() if paths), "")
        return (
            f"such as {example} under {bases} ({describe_folder(self._bases[0])}); put "
            f"{self._owner} pictures under one of them, in their own folders"
        )

"""Files of a benchmark: annotations as text and JSON, and where its images lie.

Reading a benchmark's text files, with errors that say what was seen and what to do.

Where a benchmark's pictures lie: by id, in whichever of its usual trees somebody has them.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from dwc.errors import DatasetError

_SEEN = 9  # names in an error


def read_json(path: Path, kind: type[list] | type[dict], advice: str) -> Any:
    """The list or dict of a JSON file; DatasetError, which ends in `advice` if it is missing."""
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
    """The lines of a text file without their ends, empty ones too; DatasetError as above."""
    lines = read_text(path, advice).split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def read_text(path: Path, advice: str) -> str:
    """The text of a UTF-8 file, line ends as newlines; DatasetError as above."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing{_beside(path)}; {advice}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}. Fetch the file again") from error


def shorten(value: object, limit: int = 80) -> str:
    """A value as it would print, cut short."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def describe_folder(folder: Path) -> str:
    """What is in a folder, in a few words; of one that is not there, in the nearest that is."""
    there = next((place for place in (folder, *folder.parents) if place.is_dir()), None)
    if there is None:
        return f"{folder} is not there"
    names = sorted(path.name for path in there.iterdir())
    more = f" and {len(names) - _SEEN} more" if len(names) > _SEEN else ""
    return f"{there} holds {', '.join(names[:_SEEN]) or 'nothing'}{more}"


def _beside(path: Path) -> str:
    """What is there instead of a missing file, to show a misspelt name or split."""
    start, end = path.name.split(".")[0], path.suffix
    names = sorted(other.name for other in path.parent.glob(f"{start}*{end}"))
    return (
        f" (there are {', '.join(names[:_SEEN])})"
        if names
        else f" ({describe_folder(path.parent)})"
    )


SUFFIXES = (".png", ".jpg", ".jpeg")


class ImageFiles(ABC):
    """Finds pictures by id; the trees are read once, when first asked."""

    @abstractmethod
    def _look(self) -> dict[str, Path]:
        """Id to path, of what is there."""

    @abstractmethod
    def _advice(self) -> str:
        """Where was looked, and where to put the pictures."""

    @cached_property
    def _paths(self) -> dict[str, Path]:
        found = self._look()
        if not found:
            raise DatasetError(f"no pictures {self._advice()}")
        return found

    def find(self, name: str) -> Path | None:
        """The picture of an id, or None where it is missing; DatasetError where all are."""
        return self._paths.get(name)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that have no picture, each once, in their order; DatasetError as above.

        A picture that is there but cannot be read is not missing.
        """
        return [name for name in dict.fromkeys(names) if name not in self._paths]


class NamedImages(ImageFiles):
    """Pictures named by their ids, in folders that are listed.

    The first folder wins, and .png over .jpg.
    """

    def __init__(self, folders: Iterable[Path], whose: str) -> None:
        """`folders` need not exist; `whose` are the pictures, for the error ("FashionIQ's")."""
        self._folders = list(folders)
        self._whose = whose

    def _look(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for folder in self._folders:
            if folder.is_dir():
                here = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
                here.sort(key=lambda path: (SUFFIXES.index(path.suffix.lower()), path.name))
                for path in here:
                    found.setdefault(path.stem, path)
        return found

    def _advice(self) -> str:
        folders = ", ".join(str(folder) for folder in self._folders)
        return (
            f"({', '.join(SUFFIXES)}) in {folders} ({describe_folder(self._folders[0].parent)}); "
            f"put {self._whose} pictures, named by their ids, into one of them"
        )


class ListedImages(ImageFiles):
    """Pictures whose paths the benchmark tells, relative to one of several folders."""

    def __init__(
        self, bases: Sequence[Path], relative: Mapping[str, Sequence[str]], whose: str
    ) -> None:
        """`relative` has, by id, the paths it may have; the first base that has one of them wins.

        `whose` are the pictures, for the error ("CIRR's").
        """
        self._bases = bases
        self._relative = relative
        self._whose = whose

    def _look(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for name, paths in self._relative.items():
            places = (base / path for base in self._bases for path in paths)
            there = next((place for place in places if place.is_file()), None)
            if there is not None:
                found[name] = there
        return found

    def _advice(self) -> str:
        bases = " or ".join(str(base) for base in self._bases)
        example = next((paths[0] for paths in self._relative.values() if paths), "")
        return (
            f"such as {example} under {bases} ({describe_folder(self._bases[0])}); put "
            f"{self._whose} pictures under one of them, in their own folders"
        )

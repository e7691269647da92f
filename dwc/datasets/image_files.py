"""Where a benchmark's pictures lie: by id, in whichever of its usual trees somebody has them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from dwc.datasets.annotation_files import describe_folder
from dwc.errors import DatasetError

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

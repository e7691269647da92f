"""Find the tar or Parquet files in which a gallery's pictures are.

In a folder the same rules hold as for picture files: see `dwc.gallery.walker`.
"""

import os
import re
from collections.abc import Sequence
from glob import glob, has_magic
from itertools import chain, product
from math import prod
from pathlib import Path
from typing import NamedTuple

from dwc.datasets.image_kinds import escape_name, printable
from dwc.datasets.image_loading import SUFFIXES
from dwc.errors import ImageError
from dwc.gallery.walker import (
    EXCLUDED,
    LINKED_TWICE,
    MISSING,
    NOT_A_PICTURE,
    SERVICE_FOLDER,
    UNREADABLE,
    FoundFile,
    LeftOut,
    UnusedPattern,
    is_service_folder,
    parse_patterns,
    walk_folder,
)

PACKED_SUFFIXES = (".tar", ".parquet")
"""Suffixes, in lower case, of files that may have pictures in them."""

_NUMBERS = re.compile(r"\{([0-9]+)\.\.([0-9]+)\}")
_MAX_FILES = 100_000


class PackedFiles(NamedTuple):
    """The tar or Parquet files of a gallery.

    Attributes:
        files: The path of each file, by its name relative to a common folder.
        left_out: The files and folders that are not in `files`, with the reasons, by name.
    """

    files: dict[str, Path]
    left_out: dict[str, LeftOut]

    @property
    def expected_count(self) -> int:
        """Number of files, with those that are missing."""
        missing = sum(entry.reason == MISSING for entry in self.left_out.values())
        return len(self.files) + missing


def expand_location(
    location: str, suffix: str, exclude: Sequence[str] = (), visit_once: bool = True
) -> PackedFiles:
    """Return the files that a location stands for.

    Args:
        location: The path of a file; of a folder, for all files with the suffix in it and in its
            subfolders; or a pattern with `*`, `?`, `[` or numbers such as `{000..015}`.
        suffix: The suffix of the files in a folder, in lower case; files may have it in any case.
        exclude: Patterns of what to leave out, in the syntax of `.gitignore`.
        visit_once: Whether a file in a folder that has several names is found only once.

    Raises:
        ImageError: There is no such file.
    """
    path = Path(location)
    if path.is_file():
        return PackedFiles({escape_name(path.name): path}, {})
    if path.is_dir():
        found = _find_in_folder(path, suffix, exclude, visit_once)
    else:
        found = _find_matches(location, exclude)
    if not found.files:
        raise ImageError(f"{printable(location)}: there is no such {suffix} file. Check the path.")
    return found


def find_packed_suffix(folder: Path, pictures_end: bool) -> str | None:
    """Return the suffix of the tar or Parquet files in a folder; None if there are none.

    Args:
        folder: The folder, which is searched with its subfolders.
        pictures_end: Whether the result is None for a folder that has pictures, too.
    """
    found = None
    for entry in walk_folder(folder):
        if isinstance(entry, UnusedPattern):
            continue
        suffix = os.path.splitext(entry.id)[1].lower()
        if isinstance(entry, FoundFile) and pictures_end:
            return None
        if isinstance(entry, LeftOut) and entry.reason == NOT_A_PICTURE:
            found = found or (suffix if suffix in PACKED_SUFFIXES else None)
    return found


def _find_in_folder(
    folder: Path, suffix: str, exclude: Sequence[str], visit_once: bool
) -> PackedFiles:
    files: dict[str, Path] = {}
    left_out: dict[str, LeftOut] = {}
    for entry in walk_folder(folder, exclude, visit_once, suffix):
        if isinstance(entry, FoundFile):
            files[entry.id] = Path(entry.path)
        elif isinstance(entry, LeftOut):
            # A dataset of the Hub may have pictures beside the files, which do not count.
            is_picture = os.path.splitext(entry.id)[1].lower() in SUFFIXES
            if entry.reason != NOT_A_PICTURE or not is_picture:
                left_out[entry.id] = entry
    return PackedFiles(dict(sorted(files.items(), key=lambda file: file[1])), left_out)


def _find_matches(pattern: str, exclude: Sequence[str]) -> PackedFiles:
    """Return the files that match a pattern, with the numbers in it for which there is no file."""
    parts = _expand_numbers(pattern)
    matches: set[Path] = set()
    missing = []
    for part in parts:
        names = glob(part)
        matches.update(Path(name) for name in names)
        if not names and len(parts) > 1:
            missing.append(Path(part))
    paths = [path for path in matches if path.is_file()]
    if not paths:
        return PackedFiles({}, {})
    parent = os.path.commonpath([path.parent for path in (*paths, *missing)])
    names_by_path = {
        path: escape_name(Path(os.path.relpath(path, parent)).as_posix())
        for path in (*matches, *missing)
    }
    excluded = parse_patterns(exclude)
    folders_named = len(_literal_folder(pattern).parts)
    files: dict[str, Path] = {}
    left_out: dict[str, LeftOut] = {}
    seen: set[tuple[int, int]] = set()
    # Links come last, so that a file is found under its own name.
    for path in sorted(names_by_path, key=lambda path: (_is_link(path, parent), path)):
        name = names_by_path[path]
        folders = path.parts[folders_named:-1]
        if excluded is not None and excluded.match_file(name):
            left_out[name] = LeftOut(name, EXCLUDED)
        elif path not in matches:
            left_out[name] = LeftOut(name, MISSING, message=_describe_missing(path, pattern))
        elif any(map(is_service_folder, folders)):
            left_out[name] = LeftOut(name, SERVICE_FOLDER)
        elif not path.exists():
            message = (
                f"{printable(path)}: the link cannot be read (what it leads to does not exist). "
                "Remove or repair the link, or connect the drive that it leads to."
            )
            left_out[name] = LeftOut(name, UNREADABLE, message=message)
        elif not path.is_file():
            left_out[name] = LeftOut(name, NOT_A_PICTURE)
        elif (key := _identity(path)) in seen:
            left_out[name] = LeftOut(name, LINKED_TWICE)
        else:
            seen.add(key)
            files[name] = path
    return PackedFiles(dict(sorted(files.items(), key=lambda file: file[1])), left_out)


def _describe_missing(path: Path, pattern: str) -> str:
    return (
        f"{printable(path)}: does not exist, but {printable(os.path.basename(pattern))} names it. "
        "Put it there, or name only the files that exist."
    )


def _literal_folder(pattern: str) -> Path:
    """Return the longest folder of a pattern that has no special characters in it."""
    folder = Path(pattern).parent
    while has_magic(str(folder)) or _NUMBERS.search(str(folder)):
        folder = folder.parent
    return folder


def _is_link(path: Path, parent: str) -> bool:
    """Return whether a file's path has a link in it below a folder above it."""
    relative = os.path.relpath(path, parent)
    return os.path.realpath(path) != os.path.join(os.path.realpath(parent), relative)


def _identity(path: Path) -> tuple[int, int]:
    info = path.stat()
    return info.st_dev, info.st_ino


def _expand_numbers(pattern: str) -> list[str]:
    """Return the patterns that result from every choice of numbers, written as a shell does."""
    texts, firsts, lasts = (_NUMBERS.split(pattern)[start::3] for start in range(3))
    ends = [sorted((int(a), int(b))) for a, b in zip(firsts, lasts, strict=True)]
    if prod(high - low + 1 for low, high in ends) > _MAX_FILES:
        raise ImageError(f"{printable(pattern)}: stands for more than {_MAX_FILES:,} files.")
    choices = []
    for (low, high), *written in zip(ends, firsts, lasts, strict=True):
        is_padded = any(len(number) > 1 and number.startswith("0") for number in written)
        width = max(map(len, written)) if is_padded else 1
        choices.append([str(number).zfill(width) for number in range(low, high + 1)])
    return [
        "".join(chain.from_iterable(zip(texts, (*numbers, ""), strict=True)))
        for numbers in product(*choices)
    ]

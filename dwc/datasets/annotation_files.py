"""Reading of data sets: annotation files (text, JSON and CSV), and lookup of their image files.

Error messages state what a file contains, what was expected and what to do. Image files are looked
up by image id, in any of the folder layouts that are common for the benchmark.
"""

import csv
import json
import logging
import os
from abc import ABC, abstractmethod
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from io import StringIO
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

    Args:
        path: The file.
        advice: How to obtain the file; the error message ends with it if the file is missing.

    Raises:
        DatasetError: The file is missing or unreadable.
    """
    lines = read_text(path, advice).split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def read_text(path: Path, advice: str) -> str:
    """Return the text of a UTF-8 file with "\\n" as line ends.

    Args:
        path: The file.
        advice: How to obtain the file; the error message ends with it if the file is missing.

    Raises:
        DatasetError: The file is missing or unreadable.
    """
    refuse_lfs_pointer(path, DatasetError)
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing{_describe_siblings(path)}; {advice}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}. Fetch the file again") from error


def shorten(value: object, limit: int = 80) -> str:
    """Return a value's `repr`; if it exceeds `limit` characters, it is cut and "…" is added."""
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


def _describe_siblings(path: Path) -> str:
    """Return text for an error message that lists other files in the folder of a missing file.

    Files with similar names are listed, since the name may be misspelled. If there are no such
    files, the content of the folder is listed.
    """
    start, end = path.name.split(".")[0], path.suffix
    names = sorted(other.name for other in path.parent.glob(f"{start}*{end}"))
    return (
        f" (there are {', '.join(names[:_LISTED])})"
        if names
        else f" ({describe_folder(path.parent)})"
    )


def spelling_key(text: str) -> str:
    """Return a key that is the same for different spellings of a name or value.

    Upper case, hyphens, underscores and spaces are ignored, and American spelling becomes British:
    "T-Shirt" and "t_shirt" have the same key, and so do "gray" and "grey".
    """
    key = "".join(char for char in text.casefold() if char.isalnum())
    return key.replace("gray", "grey").replace("color", "colour")


def is_number(text: str) -> bool:
    """Return whether a text is a number in Python's notation, such as `1.5`, `-2e3` or `nan`."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_csv_rows(table: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file; the first row usually has the names of the columns.

    The file is UTF-8, or UTF-16 with a byte-order mark. The separator is the comma, the semicolon
    or the tab, whichever is most frequent in the first row. The byte-order mark and spaces around
    cells are removed. Rows without any text are omitted. Empty cells at the end of the first row
    are removed. They are also removed from the end of a later row that is longer than the first.
    Rows may have different numbers of cells.

    Yields:
        The number of the row's last line, from 1, and the row's cells.

    Raises:
        DatasetError: The file has another encoding, or its quotation marks are damaged.
    """
    text = _decode(table)
    first_line = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=first_line.count)  # the first of these if they are equally frequent
    if first_line.startswith("sep="):  # written by Excel
        text = text.replace(first_line, "", 1)
    reader = csv.reader(
        StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    columns = 0
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if not columns:
                columns = len(_without_empty_end(cells))
            yield reader.line_num, cells[:columns] + _without_empty_end(cells[columns:])
    except csv.Error as error:
        raise DatasetError(
            f"{table}, line {reader.line_num}: cannot be read ({error}); expected cells that are "
            "separated with commas, and quotation marks around whole cells. Look for a cell that "
            "begins with a quotation mark up to this line"
        ) from error


def _decode(table: Path) -> str:
    content = table.read_bytes()
    encoding = "utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(
            f"{table}, line {line}: has the byte {content[error.start]:#04x}; expected UTF-8. "
            "Save the table again with the encoding UTF-8"
        ) from None


def _without_empty_end(cells: list[str]) -> list[str]:
    """Return a row's cells without the empty cells at its end."""
    filled = [position for position, cell in enumerate(cells, start=1) if cell]
    return cells[: filled[-1]] if filled else []


def read_table(table: Path, columns: Collection[str]) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV file whose first row has the names of the columns.

    Names of columns are compared by `spelling_key`, so that "T-Shirt" matches "t_shirt". Additional
    columns are returned under the names in the file.

    Args:
        table: The CSV file; see `read_csv_rows`.
        columns: The names of the columns that the table must have.

    Returns:
        For each row, the number of its last line, and its cells by column.

    Raises:
        DatasetError: The file cannot be read, a column is missing or occurs twice, there are no
            rows, or a row has too few or too many cells.
    """
    expected = {spelling_key(name): name for name in columns}
    names: list[str] = []
    rows = []
    for line, cells in read_csv_rows(table):
        if not names:
            names = [expected.get(spelling_key(cell), cell) for cell in cells]
            repeated = sorted({name for name in names if name in columns and names.count(name) > 1})
            if repeated:
                raise DatasetError(
                    f"{table}, line {line}: has the column {', '.join(repeated)} more than once. "
                    "Remove or rename the others"
                )
        elif len(cells) != len(names):
            raise DatasetError(wrong_cell_count(f"{table}, line {line}", len(cells), len(names)))
        else:
            rows.append((line, dict(zip(names, cells, strict=True))))
    absent = set(columns).difference(names)
    if absent or not rows:
        listed = ", ".join(sorted(absent or columns))
        raise DatasetError(f"{table} lacks the columns {listed}, or has no row")
    return rows


def wrong_cell_count(position: str, cells: int, columns: int) -> str:
    """Return the error message for a row whose number of cells is not the number of columns.

    Args:
        position: The table and the line of the row, as text for the message.
        cells: The number of cells in the row.
        columns: The number of columns.
    """
    advice = (
        "Put a text that has a comma between quotation marks"
        if columns > 1
        else "The first line must have the names of the columns: remove a title above it"
    )
    return f"{position}: has {cells} cells; expected {columns}, one for each column. {advice}"


SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif")

_HEADER_BYTES = 64
_TRAILER_BYTES = 16
_TRAILERS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9", "GIF": b";"}


def best_copy(paths: Sequence[Path]) -> Path:
    """Return the first complete file of several files that should contain the same image.

    A failed download leaves an empty file, an HTML page or the beginning of an image, often in the
    same folder as an intact copy. Whether a file is complete is judged by its first and last bytes.
    If no file is complete, the first file that begins like an image file is returned, or else the
    first file.
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
        """Search the folders, and return the paths of all existing images by image id."""

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
            DatasetError: The folders have no images at all.
        """
        return self._paths.get(name)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return the names of missing images, each once, in the order of `names`.

        An image that exists but cannot be read is not missing. If missing names differ from the
        names of files only in upper and lower case, a warning is logged.

        Raises:
            DatasetError: The folders have no images at all; or all of `names` are missing, and some
                of them differ from the names of files only in upper and lower case.
        """
        wanted = list(dict.fromkeys(names))
        missing = [name for name in wanted if name not in self._paths]
        if missing:
            self._report_other_case(missing, all_missing=len(missing) == len(wanted))
        return missing

    def _report_other_case(self, missing: list[str], all_missing: bool) -> None:
        """Warn if names of missing images differ from file names only in upper and lower case.

        If all requested images are missing, raise a `DatasetError` instead of the warning.
        """
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
    """Lookup of images in several folders; the id of an image is its file name without suffix.

    If several files have the same id, the first complete file is used. Files are ordered by folder,
    and within a folder by their suffix, in the order of `SUFFIXES`.
    """

    def __init__(self, folders: Iterable[Path], owner: str) -> None:
        """Store the folders without searching them.

        Args:
            folders: Folders of images; some may not exist.
            owner: Possessive form of the benchmark's name ("FashionIQ's"), for error messages.
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
    """Lookup of a benchmark's images by the relative paths that the benchmark's files list."""

    def __init__(
        self, bases: Sequence[Path], relative: Mapping[str, Sequence[str]], owner: str
    ) -> None:
        """Store the folders and paths without searching them.

        Args:
            bases: Folders that the paths may be relative to. If several contain an image, the first
                complete file is used.
            relative: Image id -> possible relative paths of the image.
            owner: Possessive form of the benchmark's name ("CIRR's"), for error messages.
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

"""Metadata of a gallery's pictures: typed columns of text, numbers or Boolean values.

A source lists the metadata of its pictures as `ListedMetadata`. The store saves the metadata, and
reads it as `Metadata`: one array per column, in the order of the store's rows.

In a table without types, such as CSV, the cells of a column determine its type. A column is Boolean
if all its cells are `true` or `false`. It has numbers if all its cells are numbers as programs
write them, such as `-1.5` or `2e-3`. An id such as `00123` does not count as a number, because it
would lose its zeros. Any other column has text, and words such as `NA` or `null` are text, too.
Only an empty cell is a missing value.
"""

import json
import math
import posixpath
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from dwc.datasets.annotation_files import read_csv_rows, wrong_cell_count
from dwc.datasets.image_kinds import escape_name, printable, unescape_name
from dwc.errors import DatasetError
from dwc.files import parse_json
from dwc.gallery.stored_arrays import Texts

ColumnType = Literal["text", "number", "boolean"]
Value = str | float | bool
"""A value of a column; None stands for a missing value."""

WARDROBE_TABLE = "attributes.csv"
TABLES = ("metadata.csv", "metadata.jsonl", WARDROBE_TABLE)
"""Names of the files, in any letter case, that contain metadata of the pictures beside them."""

_TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx", ".xls", ".ods")
# Files of other kinds are only named if they are called like a table: many folders have a
# `config.yaml` or `readme.txt`.
_TABLE_STEMS = ("metadata", "attributes", "labels", "products", "catalog", "catalogue", "items")
_OTHER_SUFFIXES = (
    ".json", ".yaml", ".yml", ".txt", ".db", ".sqlite", ".sqlite3", ".parquet", ".xml", ".numbers",
)  # fmt: skip
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_FILE_COLUMNS = ("file_name", "filename", "file", "path", "image")
_WARDROBE_FOLDER = "photos"
_HASHED_TEXTS = 10_000
_NAMED = 5  # the greatest number of names in a message

# A number as programs write it. Exponents need a sign, since ids such as 12E4 have none.
_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-][0-9]+)?")
_LARGEST_INTEGER = 2**53  # greater integers lose digits as 64-bit floating-point numbers


class UntypedText(str):
    """A cell of a file format such as CSV, in which texts, numbers and Booleans look alike."""

    __slots__ = ()


@dataclass(frozen=True)
class ListedMetadata:
    """The metadata that a source lists for its pictures.

    Attributes:
        columns: The type of each column by its name, in order.
        rows: The values of each picture in the order of the columns, by the picture's id; None for
            a missing value. A row may belong to a picture that does not exist.
        problems: Messages for the user about tables, rows and columns that are not used, with the
            reasons.
        decimal_commas: The names of the columns of numbers that have decimal commas in a table, and
            points between thousands, such as "1.200,5" for 1200.5.
    """

    columns: dict[str, ColumnType] = field(default_factory=dict)
    rows: dict[str, tuple[Value | None, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    decimal_commas: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Column:
    """One column of metadata, with a value for each of n pictures.

    Attributes:
        type: "text", "number" or "boolean".
        values: The values (n,). Numbers are float64, and NaN if missing. Boolean values are int8:
            1, 0, and -1 if missing. Texts are int32 indices in `texts`, and -1 if missing.
        texts: The distinct texts, sorted; empty for a column of another type.
        folded: The result of `fold_text` for each of the texts, in the same order. If None, it is
            computed when it is first used.
    """

    type: ColumnType
    values: NDArray[Any]
    texts: Sequence[str] = ()
    folded: Texts | None = None

    @property
    def is_missing(self) -> NDArray[np.bool_]:
        """A mask (n,): whether each of the n pictures lacks a value in this column."""
        if self.type == "number":
            return np.isnan(self.values)
        return self.values < 0

    def has_any(self, values: Iterable[Value]) -> NDArray[np.bool_]:
        """Return a mask (n,): whether each of the n pictures has one of the given values.

        Texts are compared without regard to upper and lower case.
        """
        wanted = list(values)
        if self.type != "text":
            return np.isin(self.values, np.array(wanted, dtype=self.values.dtype))
        codes = [code for text in wanted for code in self._find(fold_text(str(text)))]
        return np.isin(self.values, codes)

    def _find(self, folded: str) -> Sequence[int]:
        """Return the indices in `texts` of all texts for which `fold_text` returns `folded`."""
        return self._codes.get(folded, ()) if self.folded is None else self.folded.find(folded)

    @cached_property
    def _codes(self) -> dict[str, list[int]]:
        codes: dict[str, list[int]] = {}
        for code, text in enumerate(self.texts):
            codes.setdefault(fold_text(text), []).append(code)
        return codes

    def value(self, position: int) -> Value | None:
        """Return the value of the picture at a position; None if it is missing."""
        value = self.values[position]
        if self.type == "number":
            return None if np.isnan(value) else float(value)
        if value < 0:
            return None
        return self.texts[value] if self.type == "text" else bool(value)


class Metadata:
    """The metadata of the n pictures of a store.

    Attributes:
        columns: The columns by name, in order; empty if the gallery has no metadata.
        count: The number n of pictures.
        decimal_commas: The names of the columns of numbers that have decimal commas in a table, and
            points between thousands, such as "1.200,5" for 1200.5.
    """

    def __init__(
        self, columns: Mapping[str, Column], count: int, decimal_commas: Iterable[str] = ()
    ) -> None:
        """Build the metadata of `count` pictures.

        Args:
            columns: The columns by name, in order; each has one value per picture.
            count: The number of pictures.
            decimal_commas: The names of the columns of numbers that a table writes with decimal
                commas, such as "1.200,5" for 1200.5.
        """
        self.columns = dict(columns)
        self.count = count
        self.decimal_commas = frozenset(decimal_commas)

    @cached_property
    def digest(self) -> str:
        """Hash (12 hex digits) of the columns' names, types and values.

        If a column has 20,000 or more different texts, only every k-th text is hashed, to save
        time. The number k is the number of texts divided by 10,000 (`_HASHED_TEXTS`), rounded down.
        """
        digest = sha256()
        for name, column in self.columns.items():
            digest.update(f"{name}\0{column.type}\0{len(column.texts)}\n".encode())
            digest.update(np.ascontiguousarray(column.values).data)
            step = max(1, len(column.texts) // _HASHED_TEXTS)
            for number in range(0, len(column.texts), step):
                digest.update(f"{column.texts[number]}\0".encode())
        return digest.hexdigest()[:12]

    def row(self, position: int) -> dict[str, Value]:
        """Return the values of the picture at a position, by column name; omit missing values."""
        values = {name: column.value(position) for name, column in self.columns.items()}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_rows(
        cls,
        types: Mapping[str, ColumnType],
        rows: Iterable[tuple[int, Sequence[Value | None]]],
        count: int,
    ) -> "Metadata":
        """Return the metadata of pictures whose values are given row by row.

        Args:
            types: The type of each column by name, in order.
            rows: For each picture that has metadata, its position and its values in the order of
                the columns.
            count: The number of pictures.
        """
        names = list(types)
        positions: list[int] = []
        cells: list[list[Value | None]] = [[] for _ in names]
        for position, values in rows:
            positions.append(position)
            for column, value in zip(cells, values, strict=True):
                column.append(value)
        return cls(
            {
                name: _make_column(types[name], positions, column, count)
                for name, column in zip(names, cells, strict=True)
            },
            count,
        )


def _make_column(
    type: ColumnType, positions: Sequence[int], cells: Sequence[Value | None], count: int
) -> Column:
    if type == "number":
        numbers = np.full(count, np.nan)
        numbers[list(positions)] = [math.nan if cell is None else cell for cell in cells]
        return Column(type, numbers)
    if type == "boolean":
        truths = np.full(count, -1, dtype=np.int8)
        truths[list(positions)] = [-1 if cell is None else int(cell) for cell in cells]
        return Column(type, truths)
    texts = tuple(sorted({str(cell) for cell in cells if cell is not None}))
    index = {text: number for number, text in enumerate(texts)}
    codes = np.full(count, -1, dtype=np.int32)
    codes[list(positions)] = [-1 if cell is None else index[str(cell)] for cell in cells]
    return Column(type, codes, texts)


MAX_COUNTED = 200
"""The greatest number of different values of a column that `describe_column` lists."""


def describe_column(column: Column, mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Summarize the values of a column for some of the n pictures, as JSON-compatible values.

    Args:
        column: The column.
        mask: Whether to include each of the n pictures (n,).

    Returns:
        A dict with `type`, and `missing`, the number of pictures without a value. A column of
        numbers also has `least` and `greatest`, if there are any numbers. A column of another type
        also has `different`, the number of different values. If that is at most `MAX_COUNTED`, the
        dict has `values`, too: the number of pictures with each value.
    """
    known = column.values[mask & ~column.is_missing]
    described: dict[str, Any] = {"type": column.type, "missing": int(mask.sum()) - len(known)}
    if column.type == "number":
        if len(known):
            described |= {"least": float(known.min()), "greatest": float(known.max())}
        return described
    values, counts = np.unique(known, return_counts=True)
    described["different"] = len(values)
    if len(values) <= MAX_COUNTED:
        names = [
            column.texts[v] if column.type == "text" else format_value(bool(v)) for v in values
        ]
        described["values"] = dict(zip(names, counts.tolist(), strict=True))
    return described


def fold_text(text: str) -> str:
    """Return a text in the form in which texts are compared: case-folded, in Unicode form NFC."""
    return unicodedata.normalize("NFC", text.casefold())


_BETWEEN_WORDS = re.compile(r"(?<=[^\W_])[\s_-]+(?=[^\W_])")


def fold_column(name: str) -> str:
    """Return a column's name in the form in which names of columns are compared.

    Two names have the same form if they differ only in letter case, in spaces at their ends, or in
    spaces, hyphens and underscores between words. Example: `Unit-Price` and `unit_price`.
    """
    return fold_text(_BETWEEN_WORDS.sub(" ", name.strip()))


def format_value(value: Value) -> str:
    """Return a value as text; whole numbers have no decimal point."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return value


def is_table(id: str) -> bool:
    """Return whether the file name in a relative path is that of a metadata table.

    The names of such tables are in `TABLES`; letter case is ignored.
    """
    return posixpath.basename(id).lower() in TABLES


def describe_table_beside(folder: Path) -> str:
    """Return a hint if a folder is called `photos` and has a table `attributes.csv` beside it.

    The wardrobe dataset of labeled photographs has this layout. A user who indexes only the folder
    is told that the table is not read, since it is outside of the folder. In any other case, the
    result is an empty text.
    """
    if folder.name != _WARDROBE_FOLDER or not (folder.parent / WARDROBE_TABLE).is_file():
        return ""
    return (
        f"{WARDROBE_TABLE} is beside the folder {_WARDROBE_FOLDER}, not in it, so it is not read. "
        "To use it as metadata, index the folder that has both."
    )


def describe_unused_tables(ids: Iterable[str]) -> str:
    """Return a hint about files that seem to be metadata tables, but are not read.

    Only tables with a name in `TABLES` are read.

    Args:
        ids: The relative paths of all files that are neither pictures nor tables with such a name.

    Returns:
        A text with the names of the files that have the suffix of a table, such as `products.csv`
        or `products.csv.gz`, or are called like one, such as `attributes.json`; and how to use them
        as metadata. The text is empty if there are no such files. Files in subfolders are ignored.
    """
    names = [id for id in ids if "/" not in id and _may_be_table(id.lower())]
    if not names:
        return ""
    verb = "is" if len(names) == 1 else "are"
    return (
        f"{list_some(names)} {verb} not read. To use a table as metadata, save it as {TABLES[0]}, "
        f"with the pictures' file names in a column {_FILE_COLUMNS[0]}."
    )


def _may_be_table(name: str) -> bool:
    """Return whether a file with a name, in lower case, may be a table that is not read."""
    stem, suffix = posixpath.splitext(name)
    if suffix in _COMPRESSED:
        return _may_be_table(stem)
    return suffix in _TABLE_SUFFIXES or (suffix in _OTHER_SUFFIXES and stem in _TABLE_STEMS)


def read_tables(root: Path, tables: Iterable[str], ids: Collection[str]) -> ListedMetadata:
    """Read the tables of metadata in a folder of pictures.

    A table has a column `file_name` (or `filename`, `file`, `path`, `image`) with the path of each
    picture relative to the table's folder. The pictures of a table `attributes.csv` may also be in
    a folder `photos` beside it. If several tables have a value for the same picture and column, the
    value from the first table, in the order of the tables' paths, is used. If the values differ,
    this is reported as a problem.

    Args:
        root: The folder.
        tables: The tables' paths relative to the folder, with invalid bytes escaped by
            `escape_name`.
        ids: The ids of the pictures in the folder, which are their relative paths.
    """
    collected = MetadataCollector()
    match = _PictureFinder(ids)
    for table in sorted(tables):
        folder, name = posixpath.split(table)
        try:
            read = _read_jsonl if name.lower().endswith(".jsonl") else _read_csv
            rows = list(read(root / unescape_name(table), table, collected))  # all or none
            _convert_decimal_commas(collected, table, [row for _, row in rows])
            _add_table(collected, table, rows, folder, match)
        except (DatasetError, OSError) as error:
            message = str(error).replace(f"{root}/", "")
            collected.problems.append(f"{table} is not used. {message.rstrip('.')}.")
    return collected.finish()


_Rows = Iterable[tuple[int, dict[str, Any]]]


def _add_table(
    collected: "MetadataCollector",
    table: str,
    rows: _Rows,
    folder: str,
    find: "_PictureFinder",
) -> None:
    """Add the rows of one table to the collected metadata.

    Args:
        collected: The collected metadata.
        table: The table's relative path.
        rows: For each row, its line number and its values by column.
        folder: The relative path of the table's folder.
        find: Function object that returns the id of the picture to which a row belongs.
    """
    is_wardrobe = posixpath.basename(table).lower() == WARDROBE_TABLE
    file_column: str | None = None
    repeated: dict[str, None] = {}  # the names of pictures with several rows, in order
    listed: set[str] = set()
    for line, row in rows:
        if file_column is None:
            file_column = _find_file_column(row)
            if file_column is None:
                names = ", ".join(row) or "none"
                raise DatasetError(
                    f"It has the columns {names}; expected a column {_FILE_COLUMNS[0]} with the "
                    "path of each picture, relative to the table"
                )
        named = row.pop(file_column, None)
        if not isinstance(named, str) or not named:
            collected.count_problem(table, f"line {line} names no picture in {file_column!r}")
            continue
        id = find(folder, named, is_wardrobe)
        if id in listed:
            repeated[named] = None
            continue
        listed.add(id)
        collected.add(id, row, table)
    if repeated:
        collected.problems.append(
            f"{table} lists {len(repeated):,} pictures more than once; the first row of each is "
            f"used: {list_some(list(repeated))}."
        )


_POINT_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_COMMA_NUMBER = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+)(?:,\d+)?")
_COMMAS_BETWEEN_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")
_GROUPED_NUMBER = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+")


def _convert_decimal_commas(
    collected: "MetadataCollector", table: str, rows: Sequence[dict[str, Any]]
) -> None:
    """Replace decimal commas by decimal points in the cells of a table, in place.

    A spreadsheet in German writes 1200.5 as "1.200,5" or "1200,5". If a table has such cells, its
    columns of numbers are converted: "1.200,5" becomes "1200.5", and "1.200" becomes "1200".

    A table with commas in its numbers is nevertheless left unchanged in two cases:

    - Another column of numbers has a decimal point, as in "1.5".
    - All numbers with a comma look like "1,200", which may be an English 1200.

    In a table that is left unchanged, "1.200" is the number 1.2, and "1,200" is a text.

    The user gets a message if cells are converted. The user also gets a message if a table that is
    left unchanged has a column of numbers such as "1.200".

    Args:
        collected: The collected metadata. The messages are added to its `problems`, and the names
            of the converted columns to its `decimal_commas`.
        table: The table's relative path.
        rows: The table's rows; only cells of CSV files are converted.
    """
    cells: dict[str, list[UntypedText]] = {}
    for row in rows:
        for name, cell in row.items():
            if isinstance(cell, UntypedText):
                cells.setdefault(name, []).append(cell)
    with_commas: list[str] = []  # columns of numbers, some of them with a comma
    grouped: list[str] = []  # the same with points only, all of which may separate thousands
    is_proven = has_decimal_points = False
    for name, column in cells.items():
        commas = [cell for cell in column if "," in cell]
        points = [cell for cell in column if "." in cell]
        is_german = all(map(_COMMA_NUMBER.fullmatch, column))
        if commas and is_german:
            with_commas.append(name)
            is_proven |= not all(map(_COMMAS_BETWEEN_THOUSANDS.fullmatch, commas))
        elif points and is_german and all(map(_GROUPED_NUMBER.fullmatch, points)):
            grouped.append(name)
        elif points and all(map(_POINT_NUMBER.fullmatch, column)):
            has_decimal_points = True
    if is_proven and not has_decimal_points:
        for row in rows:
            for name in (*with_commas, *grouped):
                cell = row.get(name)
                if isinstance(cell, UntypedText):
                    row[name] = UntypedText(cell.replace(".", "").replace(",", "."))
        names = with_commas + grouped
        collected.decimal_commas.update(names)
        collected.problems.append(
            f"{table}: numbers are read with decimal commas, and points between thousands, in "
            f"{'the column' if len(names) == 1 else 'the columns'} {list_some(names)}."
        )
        return
    for name in grouped:
        if not all(map(_POINT_NUMBER.fullmatch, cells[name])):
            continue  # "1.200.000" is text in any case
        cell = next(cell for cell in cells[name] if "." in cell)
        collected.problems.append(
            f"{table}: in the column {name!r}, {cell} is read with a decimal point, as "
            f"{format_value(float(cell))}, if all its values are numbers. If the point separates "
            "thousands, remove it."
        )


def _find_file_column(row: Mapping[str, Any]) -> str | None:
    by_name = {name.casefold(): name for name in reversed(list(row))}
    return next((by_name[name] for name in _FILE_COLUMNS if name in by_name), None)


class _PictureFinder:
    """Function object that finds the picture to which a row of a metadata table belongs."""

    def __init__(self, ids: Collection[str]) -> None:
        self._ids = frozenset(ids)
        self._composed: dict[str, str] | None = None

    def __call__(self, folder: str, name: str, is_wardrobe: bool) -> str:
        """Return the id of a picture; if there is no such picture, the id that it would have.

        Args:
            folder: The relative path of the table's folder.
            name: The picture's path relative to that folder, as written in the table.
            is_wardrobe: Whether the picture may also be in the folder `photos` beside the table.
        """
        names = [name, name.replace("\\", "/")] if "\\" in name else [name]
        folders = [folder, posixpath.join(folder, _WARDROBE_FOLDER)] if is_wardrobe else [folder]
        candidates = [
            posixpath.normpath(posixpath.join(parent, escape_name(spelled)))
            for spelled in names
            for parent in folders
        ]
        for candidate in candidates:
            if candidate in self._ids:
                return candidate
        # Some systems store "é" in file names as two characters.
        if self._composed is None:
            self._composed = {unicodedata.normalize("NFC", id): id for id in self._ids}
        for candidate in candidates:
            id = self._composed.get(unicodedata.normalize("NFC", candidate))
            if id is not None:
                return id
        return candidates[0]


def _read_csv(path: Path, table: str, collected: "MetadataCollector") -> _Rows:
    columns: list[str] = []
    known: dict[str, UntypedText] = {}
    for line, cells in read_csv_rows(path):
        if not columns:
            columns = cells
            for name in sorted({name for name in columns if name and columns.count(name) > 1}):
                collected.problems.append(
                    f"{table} has several columns {name!r}; the first is used."
                )
        elif len(cells) != len(columns):
            message = wrong_cell_count(f"line {line}", len(cells), len(columns))
            collected.count_problem(table, message.replace(f"line {line}:", f"line {line}", 1))
        else:
            row: dict[str, Any] = {}
            for name, cell in zip(columns, cells, strict=True):
                if name and name not in row:
                    row[name] = known.setdefault(cell, UntypedText(cell)) if cell else None
            yield line, row


def _read_jsonl(path: Path, table: str, collected: "MetadataCollector") -> _Rows:
    with path.open("rb") as file:
        for line, content in enumerate(file, start=1):
            if not content.strip(b" \t\r\n\xef\xbb\xbf"):
                continue
            try:
                row = parse_json(content.decode("utf-8-sig"))
            except ValueError as error:
                collected.count_problem(table, f"line {line} is not JSON ({error})")
                continue
            if isinstance(row, dict):
                yield line, row
            else:
                collected.count_problem(table, f"line {line} is no JSON object")


class MetadataCollector:
    """Collector of pictures' metadata; it determines a type for each column from its values.

    Columns with different spellings of the same name are joined into one column, with the first of
    the spellings; `fold_column` defines which names are the same. The columns are not joined if one
    row has several of them, because they are then probably meant to be different.

    Attributes:
        problems: Messages for the user about tables that are not used, with the reasons.
        decimal_commas: The names of the columns of numbers that have decimal commas in a table, as
            the table spells these names.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.decimal_commas: set[str] = set()
        self._columns: dict[str, _CollectedColumn] = {}
        self._rows: dict[str, dict[str, Value]] = {}
        self._counted: dict[str, list[str]] = {}
        # Table -> column, and column that has another value of a picture -> pictures.
        self._contradictions: dict[str, dict[tuple[str, str], list[str]]] = {}
        self._folded: dict[str, list[str]] = {}  # folded name -> names, in order
        self._spellings: dict[str, list[str]] = {}  # name -> all names with the same folded name
        self._apart: dict[str, str] = {}  # first name -> the table with several of the names

    def add(self, id: str, row: Mapping[str, Any], table: str = "") -> None:
        """Add the values of a picture from one row; values from its earlier rows take precedence.

        Args:
            id: The picture's id.
            row: The row's values by column. Spaces at the ends of texts are removed. None, empty
                texts, NaN and infinities are missing values. A column with lists or other nested
                values is not used.
            table: Name of the row's table, for messages about contradictions between tables.
        """
        values = self._rows.setdefault(id, {})
        for name, cell in row.items():
            value = _strip(cell)
            column = self._columns.get(name) or self._add_column(name)
            spellings, earlier = self._spellings[name], name
            if len(spellings) > 1:
                if any(other in row for other in spellings if other != name):
                    self._apart.setdefault(spellings[0], table)
                else:
                    earlier = next((other for other in values if other in spellings), name)
            is_compared = earlier in values and not _is_missing(value)
            if is_compared and not _is_same(value, values[earlier]):
                contradicted = self._contradictions.setdefault(table, {})
                contradicted.setdefault((name, earlier), []).append(id)
            if name in values:
                continue
            checked = column.check(value)
            if checked is not None:
                values[name] = checked

    def _add_column(self, name: str) -> "_CollectedColumn":
        spellings = self._folded.setdefault(fold_column(name), [])
        spellings.append(name)
        self._spellings[name] = spellings
        column = self._columns[name] = _CollectedColumn()
        return column

    def _join_spellings(self) -> list[str]:
        """Join columns whose names are spellings of the same name; return messages about them."""
        messages = []
        for spellings in self._folded.values():
            first, *others = spellings
            if not others:
                continue
            names = list_some(spellings)
            if first in self._apart:
                table = self._apart[first]
                where = f" ({table})" if table else ""
                messages.append(
                    f"The columns {names} stay apart, although their names are spelled alike: a "
                    f"table has several of them{where}. If they mean the same, rename them."
                )
                continue
            messages.append(
                f"The columns {names} are read as one column, {first!r}, since their names differ "
                "only in letter case, spaces, hyphens or underscores."
            )
            joined = _CollectedColumn()
            columns = [self._columns[first], *map(self._columns.pop, others)]
            joined.nested = next((c.nested for c in columns if c.nested is not None), None)
            self._columns[first] = joined
            for row in self._rows.values():
                values = [row.pop(name) for name in list(row) if name in spellings]
                if values:  # the first is that of the first table
                    row[first] = values[0]
                    joined.check(values[0])
        return messages

    def count_problem(self, table: str, message: str) -> None:
        """Record a message that says why a row of a table is not used.

        For each table, `finish` reports the number of such rows, and the first five messages.
        """
        self._counted.setdefault(table, []).append(message)

    def finish(self) -> ListedMetadata:
        """Return the metadata of all pictures, converted to the types of the columns.

        The type of a column is determined from all its values. The `problems` of the result are
        messages about tables, rows and columns that are not used, and about values that contradict
        each other.
        """
        problems = self.problems + self._join_spellings()
        for table, messages in self._counted.items():
            rows = "1 row" if len(messages) == 1 else f"{len(messages):,} rows"
            problems.append(f"{table}: {rows} not used. {'; '.join(messages[:_NAMED])}.")
        for table, columns in self._contradictions.items():
            for (name, earlier), ids in columns.items():
                is_apart = self._spellings[name][0] in self._apart
                if is_apart and name != earlier:
                    continue
                column_name = name if is_apart else self._spellings[name][0]
                pictures = "1 picture" if len(ids) == 1 else f"{len(ids):,} pictures"
                problems.append(
                    f"{table} contradicts an earlier table in the column {column_name!r} of "
                    f"{pictures}; the earlier table's values are used: {list_some(ids)}."
                )
        types: dict[str, ColumnType] = {}
        for name, column in self._columns.items():
            if column.nested is None:
                types[name] = column.type
                if column.type == "number" and (spellings := self._spelled_twice(name)):
                    problems.append(
                        f"The column {name!r} has numbers, so {' and '.join(spellings)} count as "
                        "the same value. If they are codes, give them as texts in metadata.jsonl."
                    )
            else:
                problems.append(
                    f"The column {name!r} is not used: it has nested values such as "
                    f"{column.nested}; expected texts, numbers or truth values."
                )
        shared: dict[Value | None, Value | None] = {}  # equal texts are stored once
        typed: dict[str, tuple[Value | None, ...]] = {}
        for id, row in self._rows.items():
            values = (_convert(row.get(name), type) for name, type in types.items())
            typed[id] = tuple(
                shared.setdefault(value, value) if isinstance(value, str) else value
                for value in values
            )
        with_commas = {self._joined_name(name) for name in self.decimal_commas}
        return ListedMetadata(
            types,
            typed,
            tuple(map(printable, problems)),
            tuple(name for name, type in types.items() if type == "number" and name in with_commas),
        )

    def _joined_name(self, name: str) -> str:
        """Return the name that a column has after `_join_spellings` has joined columns.

        If the column was joined with other columns, the result is the first of their names.
        Otherwise it is `name`.
        """
        first = self._spellings.get(name, [name])[0]
        return name if first in self._apart else first

    def _spelled_twice(self, name: str) -> list[str]:
        """Return two different cells of a column that are equal as numbers, such as 1.1 and 1.10.

        Such cells may be version or article numbers, which should be texts. The result has the
        first two such cells; it is empty if there are none.
        """
        spellings: dict[float, str] = {}
        for row in self._rows.values():
            cell = row.get(name)
            if isinstance(cell, UntypedText) and "." in cell:
                first = spellings.setdefault(float(cell), cell)
                if first != cell:
                    return sorted((first, cell))
        return []


class _CollectedColumn:
    """Determines the type of a column: `check` tests each value, and `type` is the result.

    Attributes:
        nested: The beginning of the JSON text of the first value that is neither a text, a number
            nor a Boolean value, such as a list; None if there is no such value. A column with such
            values is not used, and a message quotes this JSON text.
    """

    def __init__(self) -> None:
        self.nested: str | None = None
        self._may_be_number = self._may_be_boolean = True
        self._has_values = False

    @property
    def type(self) -> ColumnType:
        """The type that fits all values checked so far; "text" if there were none."""
        if not self._has_values:
            return "text"
        return "boolean" if self._may_be_boolean else "number" if self._may_be_number else "text"

    def check(self, value: Any) -> Value | None:
        """Return a value, and exclude the types of the column that do not fit the value.

        The result is None for a missing value, and for a nested value, which is neither a text, a
        number nor a Boolean value: for example, a list.
        """
        if _is_missing(value):
            return None
        if not isinstance(value, (str, int, float)):
            if self.nested is None:
                self.nested = json.dumps(value, ensure_ascii=False, default=str)[:60]
            return None
        self._has_values = True
        if self._may_be_boolean:
            is_written = isinstance(value, UntypedText) and value.lower() in ("true", "false")
            self._may_be_boolean = isinstance(value, bool) or is_written
        if self._may_be_number:
            self._may_be_number = _is_number(value)
        return value


def _strip(cell: Any) -> Any:
    """Return a cell without white space at the ends of its text; other cells are unchanged."""
    if not isinstance(cell, str) or cell == cell.strip():
        return cell
    return type(cell)(cell.strip())


def _is_missing(value: Any) -> bool:
    """Return whether a cell is None, an empty text, NaN or an infinity."""
    return value is None or value == "" or (isinstance(value, float) and not math.isfinite(value))


def _is_same(value: Any, other: Value) -> bool:
    """Return whether two values of a column are equal: as texts, or as numbers (1.5 and 1.50)."""
    if isinstance(value, (str, int, float)):
        if _as_text(value) == _as_text(other):
            return True
        return _is_number(value) and _is_number(other) and float(value) == float(other)
    return False


def _as_text(value: Value) -> str:
    text = str(value)
    is_written = isinstance(value, (bool, UntypedText))
    return text.lower() if is_written and text.lower() in ("true", "false") else text


def _is_number(value: Value) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        if not isinstance(value, UntypedText) or _NUMBER.fullmatch(value) is None:
            return False
        if value.lstrip("-").isdigit():
            return abs(int(value)) <= _LARGEST_INTEGER if len(value) < 20 else False
        return math.isfinite(float(value))
    if isinstance(value, int):
        return abs(value) <= _LARGEST_INTEGER
    return True


def _convert(value: Value | None, type: ColumnType) -> Value | None:
    if value is None:
        return None
    if type == "number":
        return float(value)
    if type == "boolean":
        return value.lower() == "true" if isinstance(value, str) else bool(value)
    return format_value(value) if isinstance(value, (bool, float)) else str(value)


def list_some(names: Sequence[str]) -> str:
    """Return the first five names as text, and how many others there are.

    Example: "'a', 'b', 'c', 'd', 'e' and 2 more".
    """
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(repr(name) for name in names[:_NAMED]) + more


# Values are saved in the database as one JSON array per picture, in the order of the columns.
encode_row: Callable[[Sequence[Value | None]], bytes] = orjson.dumps
decode_row: Callable[[str | bytes], list[Value | None]] = orjson.loads

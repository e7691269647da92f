"""Galleries in datasets of Hugging Face's library `datasets`, and in Parquet files.

The datasets are folders that `save_to_disk` wrote. One column has the pictures; the other columns
become metadata. The library returns the bytes of the picture files, and this package decodes them.
Only this module needs the library: pip install 'dwc[datasets]'.
"""

import datetime
import decimal
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dwc.datasets.image_kinds import escape_name, printable, sniff_kind
from dwc.errors import ImageError, list_names
from dwc.gallery.metadata import MetadataCollector
from dwc.gallery.sources import BytesItem, FileItem, Item, Listing, Stamp, file_stamp
from dwc.gallery.walker import (
    EXCLUDED,
    INODE_BITS,
    UNREADABLE,
    LeftOut,
    PackedFiles,
    cache_folder,
    expand_location,
    find_unused_patterns,
    parse_patterns,
)

PARQUET_SUFFIX = ".parquet"
_SAVED_DATASET = ("state.json", "dataset_info.json")
_SAVED_SPLITS = "dataset_dict.json"
_ROWS_AT_ONCE = 256
_SNIFFED_ROWS = 32


def is_saved_dataset(folder: Path) -> bool:
    """Return whether a folder was written by `save_to_disk` of the library `datasets`."""
    is_single = all((folder / name).is_file() for name in _SAVED_DATASET)
    return is_single or (folder / _SAVED_SPLITS).is_file()


@dataclass(frozen=True)
class RowItem(BytesItem):
    """A picture whose file is in a row of a table; it implements `Item`.

    Attributes:
        id: The name of the table, the number of the row, and the picture's file name if known.
        stamp: The size, times and inode of the table's files.
        table: The table.
        row: Index of the row, from 0.
    """

    id: str
    stamp: Stamp | None
    table: "_Table"
    row: int

    def read(self) -> bytes:
        """Return the content of the picture's file."""
        return self.table.read(self.row)


class DatasetSource:
    """The pictures in a column of a dataset.

    An id has up to three parts, as in `train/000012-shirt.jpg`: the name of the split, or of the
    Parquet file if there are several; the number of the row; and the picture's file name, if the
    dataset has it.
    """

    computed = False

    def __init__(
        self,
        location: str,
        column: str | None = None,
        exclude: Iterable[str] = (),
        within: Path | None = None,
        visit_once: bool = True,
    ) -> None:
        """Build the object for the pictures of an existing dataset.

        Args:
            location: A folder that `save_to_disk` wrote, a Parquet file, a folder of Parquet files,
                or a pattern such as `shop-*.parquet`.
            column: The column with the pictures; None if only one column has pictures.
            exclude: Patterns of pictures to leave out, in the syntax of `.gitignore`.
            within: Folder in which the picture files must be. Picture files elsewhere are left out,
                so that a malicious downloaded dataset cannot expose other files. If None, picture
                files may be anywhere.
            visit_once: Whether a Parquet file that has several paths in the folder, because of
                links, is read only once.

        Raises:
            ImageError: There is no such dataset, or a pattern is malformed.
        """
        self.location = str(Path(location).expanduser().absolute())
        self.column = column
        self.exclude = tuple(exclude)
        self._within = within
        self._excluded = parse_patterns(self.exclude)
        self._visit_once = visit_once
        self._find_files()

    @property
    def argument(self) -> str:
        """The command-line argument that names this dataset, for commands such as `dwc index`.

        It is the absolute path of the dataset, or a pattern for several Parquet files. If a column
        with pictures was given, `#` and the column follow: `/data/shop-*.parquet#photo`.
        """
        return self.location if self.column is None else f"{self.location}#{self.column}"

    @property
    def spec(self) -> dict[str, Any]:
        """The location, column and exclude patterns, as JSON-compatible values."""
        spec: dict[str, Any] = {"kind": "dataset", "location": self.location}
        if self.column is not None:
            spec["column"] = self.column
        return {**spec, "exclude": list(self.exclude)} if self.exclude else spec

    def list(self) -> Listing:
        """List the pictures in the order of the rows; columns without pictures become metadata.

        Raises:
            ImageError: The dataset cannot be read, or it is not clear which column has pictures.
        """
        items: list[Item] = []
        files = self._find_files()
        left_out = dict(files.left_out)
        collected = MetadataCollector()
        for table in self._tables(files):
            for item in self._list_table(table):
                if self._excluded is not None and self._excluded.match_file(item.id):
                    left_out[item.id] = LeftOut(item.id, EXCLUDED)
                elif isinstance(item, LeftOut):
                    left_out[item.id] = item
                else:
                    items.append(item)
            for id, row in zip(table.ids, table.metadata(), strict=True):
                collected.add(id, row)
        unused = find_unused_patterns(
            self.exclude, [item.id for item in items], left_out.values(), self.location
        )
        return Listing(items, left_out, unused, collected.finish())

    def has_pictures(self) -> bool:
        """Return whether the dataset can be read and it is clear which column has the pictures."""
        try:
            return bool(self._tables(self._find_files()))
        except ImageError:
            return False

    def items(self) -> Sequence[Item]:
        """Return the pictures that the dataset contains now."""
        return self.list().items

    def item(self, id: str) -> Item:
        """Return the picture with an id; raise `ImageError` if there is none."""
        for table in self._tables(self._find_files()):
            if id in table.rows_by_id:
                item = self._make_item(table, table.rows_by_id[id])
                if not isinstance(item, LeftOut):
                    return item
        raise ImageError(f"{printable(id)}: is not in {self.location}. Index it again.")

    def _find_files(self) -> PackedFiles:
        """Return the Parquet files; the result is empty for a folder that `save_to_disk` wrote."""
        if is_saved_dataset(Path(self.location)):
            return PackedFiles({}, {})
        return expand_location(self.location, PARQUET_SUFFIX, self.exclude, self._visit_once)

    def _tables(self, files: PackedFiles) -> "Sequence[_Table]":
        folder = Path(self.location)
        if is_saved_dataset(folder):
            stamps = [file_stamp(file) for file in folder.rglob("*") if file.is_file()]
            return _open_saved(self.location, self.column, _combine(stamps))
        tables = []
        for name, path in files.files.items():
            prefix = "" if files.expected_count == 1 else f"{os.path.splitext(name)[0]}/"
            tables.append(_open_parquet(str(path), prefix, self.column, file_stamp(path)))
        return tables

    def _list_table(self, table: "_Table") -> "Iterable[Item | LeftOut]":
        return (self._make_item(table, row) for row in range(len(table.ids)))

    def _make_item(self, table: "_Table", row: int) -> "Item | LeftOut":
        """Return the picture in a row, or a `LeftOut` with the reason why it is left out.

        If the row has only the path of a picture, this method checks that the file exists. The
        package `datasets` would report a missing file only when it reads the file.
        """
        id = table.ids[row]
        if table.is_stored[row]:
            return RowItem(id, table.stamp, table, row)
        path = table.paths[row]
        if path is None:
            return LeftOut(id, UNREADABLE, message=f"{id}: the row has no picture.")
        file = Path(table.folder, path)
        if self._within is not None and not file.resolve().is_relative_to(self._within.resolve()):
            message = f"{id}: names {printable(path)}, a file outside the dataset."
            return LeftOut(id, UNREADABLE, message=message)
        try:
            return FileItem(id, str(file), file_stamp(file))
        except ImageError:
            message = f"{id}: the dataset names {printable(file)}, which does not exist."
            return LeftOut(id, UNREADABLE, message=message)


def _combine(stamps: Sequence[Stamp]) -> Stamp:
    """Return one stamp for several files; it changes if the stamp of any file changes."""
    return Stamp(
        sum(stamp.size for stamp in stamps),
        max(stamp.mtime_ns for stamp in stamps),
        max(stamp.ctime_ns or 0 for stamp in stamps),
        sum(stamp.inode or 0 for stamp in stamps) & INODE_BITS,
    )


class _Stored(NamedTuple):
    """A dataset's column of pictures, and the form in which it stores them.

    Attributes:
        column: The name of the column.
        nested: True if a value has two fields, the `bytes` and the `path` of a picture file; False
            if a value is only the bytes.
    """

    column: str
    nested: bool


class _Table:
    """A table with a picture in each row: a Parquet file, or a split of a saved dataset.

    Attributes:
        folder: The folder to which paths in the table are relative.
        stamp: The size, times and inode of the table's files.
        ids: The id of each row.
        paths: The picture's path in each row; None if there is none.
        is_stored: For each row, whether it contains the bytes of the picture's file. A row without
            these bytes has only a path, or no picture.
        rows_by_id: The index of each row by id.
    """

    def __init__(
        self, dataset: Any, prefix: str, column: str | None, location: str, stamp: Stamp
    ) -> None:
        self.stamp = stamp
        self.folder = location if os.path.isdir(location) else os.path.dirname(location)
        self._candidates = _find_picture_columns(dataset)
        self._stored = _choose_column(dataset, self._candidates, column, location)
        self._dataset = _without_decoding(dataset, self._stored.column)
        files = self._dataset.with_format("arrow").data.column(self._stored.column)
        import pyarrow.compute as pc

        if self._stored.nested:
            contents = pc.struct_field(files, "bytes")
            self.paths: list[str | None] = pc.struct_field(files, "path").to_pylist()
        else:
            contents, self.paths = files, [None] * len(files)
        self.is_stored: list[bool] = pc.is_valid(contents).to_pylist()
        self.ids = [
            f"{prefix}{row:06d}" + (f"-{escape_name(os.path.basename(path))}" if path else "")
            for row, path in enumerate(self.paths)
        ]
        self.rows_by_id = {id: row for row, id in enumerate(self.ids)}

    def read(self, row: int) -> bytes:
        value = self._dataset[row][self._stored.column]
        return bytes(value["bytes"] if self._stored.nested else value)

    def metadata(self) -> Iterable[dict[str, Any]]:
        """Yield the metadata of each row: its values in the columns without pictures, by column."""
        others = [n for n in self._dataset.column_names if n not in self._candidates]
        if not others:
            yield from ({} for _ in self.ids)
            return
        features = self._dataset.features
        names = {n: features[n].names for n in others if hasattr(features[n], "names")}
        short = {n for n in others if getattr(features[n], "dtype", "") in _SHORT_FLOATS}
        selected = self._dataset.select_columns(others)
        for start in range(0, len(self.ids), _ROWS_AT_ONCE):
            batch = selected[start : start + _ROWS_AT_ONCE]
            for values in zip(*batch.values(), strict=True):
                row = dict(zip(batch, values, strict=True))
                for name, classes in names.items():
                    number = row[name]
                    row[name] = None if number is None or number < 0 else classes[number]
                for name in short:
                    row[name] = _as_written(row[name], features[name].dtype)
                yield {name: _plain(value) for name, value in row.items()}


_SHORT_FLOATS = {"float16": np.float16, "float32": np.float32}


def _as_written(value: Any, dtype: str) -> Any:
    """Return a number of less than 64 bits as the shortest decimal that stands for it.

    A 32-bit 0.1 is 0.10000000149 in 64 bits, which would not equal the 0.1 of a filter. Values of
    other kinds, such as arrays of numbers, are returned unchanged.
    """
    return float(str(_SHORT_FLOATS[dtype](value))) if isinstance(value, float) else value


def _plain(value: Any) -> Any:
    """Convert dates to text and decimals to numbers; return other values unchanged."""
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return float(value) if isinstance(value, decimal.Decimal) else value


def _find_picture_columns(dataset: Any) -> dict[str, _Stored]:
    """Return the columns of a dataset whose values are pictures, as a dict by name.

    These are the columns of the type Image, the columns of pairs of `bytes` and `path`, and the
    columns of bytes whose first value is the content of a picture file.
    """
    datasets = _import_datasets()
    columns = {}
    for name, feature in dataset.features.items():
        if isinstance(feature, datasets.Image) or (
            isinstance(feature, dict) and {"bytes", "path"} <= set(feature)
        ):
            columns[name] = _Stored(name, nested=True)
        elif getattr(feature, "dtype", None) in ("binary", "large_binary"):
            values = dataset.select_columns([name])[:_SNIFFED_ROWS][name]
            first = next((value for value in values if value), b"")
            if sniff_kind(first[:64]) is not None:
                columns[name] = _Stored(name, nested=False)
    return columns


def _choose_column(
    dataset: Any, candidates: dict[str, _Stored], column: str | None, location: str
) -> _Stored:
    if column is not None and column in candidates:
        return candidates[column]
    if column is None and len(candidates) == 1:
        return next(iter(candidates.values()))
    name = printable(location)
    if column is not None:
        known = list_names(candidates) or "none"
        raise ImageError(
            f"{name}: {column!r} is no column of pictures; those of this dataset are: {known}."
        )
    if candidates:
        raise ImageError(
            f"{name}: has several columns of pictures: {list_names(candidates)}. Name one after "
            f"the location: {name}#{next(iter(candidates))}"
        )
    raise ImageError(
        f"{name}: has no column of pictures among {list_names(dataset.column_names)}; expected the "
        "type Image, or the bytes of picture files."
    )


def _without_decoding(dataset: Any, column: str) -> Any:
    datasets = _import_datasets()
    if isinstance(dataset.features[column], datasets.Image):
        return dataset.cast_column(column, datasets.Image(decode=False))
    return dataset


@lru_cache(maxsize=2)
def _open_saved(location: str, column: str | None, stamp: Stamp) -> list[_Table]:
    datasets = _import_datasets()
    try:
        saved = datasets.load_from_disk(location)
    except Exception as error:  # the library raises errors of many kinds
        raise _unreadable(location, error) from error
    if not isinstance(saved, datasets.DatasetDict):
        return [_Table(saved, "", column, location, stamp)]
    return [_Table(part, f"{name}/", column, location, stamp) for name, part in saved.items()]


@lru_cache(maxsize=256)
def _open_parquet(path: str, prefix: str, column: str | None, stamp: Stamp) -> _Table:
    datasets = _import_datasets()
    # The library converts the Parquet file to an Arrow file in a cache folder. If a file with the
    # same name replaced the Parquet file, the library would use the old Arrow file. So the name of
    # the cache folder depends on the file's size and times. It does not depend on the inode, since
    # some drives number their files anew whenever they are mounted.
    state = hashlib.blake2b(repr((path, stamp[:3])).encode(), digest_size=8).hexdigest()
    try:
        dataset = datasets.Dataset.from_parquet(
            path, cache_dir=str(cache_folder() / "datasets" / state)
        )
    except Exception as error:  # the library raises errors of many kinds
        raise _unreadable(path, error) from error
    return _Table(dataset, prefix, column, path, stamp)


def _unreadable(location: str, error: Exception) -> ImageError:
    return ImageError(
        f"{printable(location)}: cannot be read by the library datasets ({error}). Check that it "
        "is complete, and write it again if it is not."
    )


def _import_datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise ImageError(
            "a dataset is read by the library datasets, which is not installed: "
            "pip install 'dwc[datasets]'"
        ) from error
    datasets.disable_progress_bars()
    return datasets

"""Sequences and mappings that read the tables of a store's database when an element is accessed.

They are meant for the process that writes a store. This process has locked the store, so no other
process changes the tables meanwhile.
"""

import sqlite3
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple, TypeVar, overload

from dwc.gallery.row_snapshot import StoredImage
from dwc.gallery.sources import Stamp
from dwc.gallery.stored_arrays import BlockSequence

_V = TypeVar("_V")

_READ_AT_ONCE = 4096
_IDS_AT_ONCE = 500  # some versions of SQLite take at most 999 parameters


class KnownFile(NamedTuple):
    """The state of a file when it was last read.

    Attributes:
        stamp: Size, times and inode of the file.
        content_key: Hash of the file's content; empty if the content could not be decoded.
        reason: Why the content could not be decoded; None if it could.
    """

    stamp: Stamp
    content_key: str
    reason: str | None = None


class PictureTable(BlockSequence[StoredImage]):
    """Sequence of the rows of the table `pictures`, ordered by the column `position`.

    Attributes:
        total: The number of rows; `StoreWriter` updates it after each change of the table.
    """

    def __init__(self, connection: sqlite3.Connection, total: int) -> None:
        """Build the sequence for a database whose table `pictures` has `total` rows."""
        self._connection = connection
        self.total = total

    def __len__(self) -> int:
        return self.total

    @overload
    def __getitem__(self, position: int) -> StoredImage: ...

    @overload
    def __getitem__(self, position: slice) -> list[StoredImage]: ...

    def __getitem__(self, position: int | slice) -> StoredImage | list[StoredImage]:
        if isinstance(position, slice):
            start, stop, step = position.indices(self.total)
            if step != 1:
                return [self[number] for number in range(start, stop, step)]
            return self._read(start, stop)
        if not -self.total <= position < self.total:
            raise IndexError(f"there are {self.total} rows, and none at {position}")
        position %= self.total
        return self._read(position, position + 1)[0]

    def with_ids(self, ids: Iterable[str]) -> dict[str, StoredImage]:
        """Return the table's rows for the given picture ids, by id; unknown ids are omitted."""
        query = f"SELECT {_COLUMNS} FROM pictures WHERE id IN ({{}})"
        rows = (StoredImage._make(row) for row in _select(self._connection, query, ids))
        return {row.id: row for row in rows}

    def count_small(self, side: int) -> int:
        """Return the number of pictures whose width or height is below `side` pixels."""
        query = "SELECT count(*) FROM pictures WHERE min(width, height) < ?"
        (count,) = self._connection.execute(query, (side,)).fetchone()
        return int(count)

    def _read(self, start: int, stop: int) -> list[StoredImage]:
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM pictures WHERE position >= ? AND position < ? "
            "ORDER BY position",
            (start, stop),
        )
        return [StoredImage._make(row) for row in rows]


_COLUMNS = "id, content_key, pixel_hash, width, height, checksum"


class TableMapping(Mapping[str, _V]):
    """Base class of mappings that look up ids in a database table and return the values there."""

    _table: str

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Build the mapping for an open database."""
        self._connection = connection

    @abstractmethod
    def select(self, ids: Iterable[str]) -> dict[str, _V]:
        """Return the values of the given ids, by id; unknown ids are omitted."""

    def __getitem__(self, id: str) -> _V:
        return self.select((id,))[id]

    def __iter__(self) -> Iterator[str]:
        query = f"SELECT id FROM {self._table} WHERE id > ? ORDER BY id LIMIT {_READ_AT_ONCE}"
        last = ""
        while ids := [id for (id,) in self._connection.execute(query, (last,))]:
            yield from ids
            last = ids[-1]

    def __len__(self) -> int:
        (count,) = self._connection.execute(f"SELECT count(*) FROM {self._table}").fetchone()
        return int(count)

    def __bool__(self) -> bool:
        return (
            self._connection.execute(f"SELECT 1 FROM {self._table} LIMIT 1").fetchone() is not None
        )


class ContentKeyTable(TableMapping[str]):
    """Mapping from the ids of the stored pictures to their content keys (hashes of the content)."""

    _table = "pictures"

    def select(self, ids: Iterable[str]) -> dict[str, str]:
        """Return the content keys of the given ids, by id; unknown ids are omitted."""
        query = "SELECT id, content_key FROM pictures WHERE id IN ({})"
        return dict(_select(self._connection, query, ids))


class FileTable(TableMapping[KnownFile]):
    """Mapping from the ids of files to the files' states when they were last read.

    A state has the size, times and inode of the file, and its content key (a hash). Changes
    of the mapping stay in memory until `write` is called.
    """

    _table = "files"

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Build the mapping for a database; `write` saves changes of the mapping there."""
        super().__init__(connection)
        self._changed: dict[str, KnownFile | None] = {}  # None for a file to be removed

    def select(self, ids: Iterable[str]) -> dict[str, KnownFile]:
        """Return the states of the files with the given ids, by id; unknown ids are omitted."""
        wanted = list(ids)
        query = (
            "SELECT files.id, size, mtime_ns, ctime_ns, inode, content_key, reason FROM files "
            "LEFT JOIN file_changes USING (id) WHERE files.id IN ({})"
        )
        stored: dict[str, KnownFile | None] = {
            id: KnownFile(Stamp(*stamp), key, reason)
            for id, *stamp, key, reason in _select(self._connection, query, wanted)
        }
        stored |= {id: self._changed[id] for id in wanted if id in self._changed}
        return {id: file for id, file in stored.items() if file is not None}

    def __setitem__(self, id: str, file: KnownFile) -> None:
        self._changed[id] = file

    def __delitem__(self, id: str) -> None:
        self._changed[id] = None

    def write(self) -> None:
        """Write the changes to the database, inside the caller's transaction."""
        changed = [(id, file) for id, file in self._changed.items() if file is not None]
        self._connection.executemany(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
            [
                (id, file.stamp.size, file.stamp.mtime_ns, file.content_key, file.reason)
                for id, file in changed
            ],
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO file_changes VALUES (?, ?, ?)",
            [(id, file.stamp.ctime_ns, file.stamp.inode) for id, file in changed],
        )
        removed = [(id,) for id, file in self._changed.items() if file is None]
        for table in _FILE_TABLES:
            self._connection.executemany(f"DELETE FROM {table} WHERE id = ?", removed)
        self._changed.clear()

    def remove_unused(self) -> None:
        """Remove the states of files whose ids are neither stored nor skipped.

        The states of files with an id in the table `pictures` or `skipped` stay. The removal is
        part of the caller's transaction.
        """
        for table in _FILE_TABLES:
            self._connection.execute(
                f"DELETE FROM {table} WHERE id NOT IN (SELECT id FROM pictures) "
                "AND id NOT IN (SELECT id FROM skipped)"
            )


_FILE_TABLES = ("files", "file_changes")


def select_values(mapping: Mapping[str, _V], ids: Iterable[str]) -> dict[str, _V]:
    """Return the values of the given ids in a mapping, by id; unknown ids are omitted.

    A `TableMapping` is read with one query per 500 ids, instead of one query per id.
    """
    if isinstance(mapping, TableMapping):
        return mapping.select(ids) if mapping else {}
    return {id: mapping[id] for id in ids if id in mapping}


def _select(connection: sqlite3.Connection, query: str, ids: Iterable[str]) -> Iterator[Any]:
    """Yield the results of an SQL query that selects rows of a table by their ids.

    Args:
        connection: The database.
        query: The query, with `{}` in the place of the list of ids: "… id IN ({})".
        ids: The ids.
    """
    iterator = iter(ids)
    while block := list(islice(iterator, _IDS_AT_ONCE)):
        yield from connection.execute(query.format(",".join("?" * len(block))), block).fetchall()

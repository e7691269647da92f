"""A list of a folder's picture files in a temporary database, so that it needs little memory."""

import os
import sqlite3
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from typing import Any, Generic, TypeVar, overload

from dwc.datasets.image_kinds import printable
from dwc.errors import ImageError
from dwc.gallery.stored_arrays import BlockSequence
from dwc.gallery.walker import GalleryFile

_T = TypeVar("_T")

_CACHE_KB = 4000
_READ_AT_ONCE = 4096
_POSITIONS_AT_ONCE = 500  # some versions of SQLite take at most 999 parameters


class ListedFiles(BlockSequence[_T]):
    """Sequence of a folder's files, ordered by id, in a temporary database.

    An entry is read from the database when it is accessed. It takes about 150 bytes on disk; as a
    Python object, it would take 500 bytes of memory.
    """

    def __init__(
        self, files: Iterable[GalleryFile], root: str, make: Callable[[GalleryFile], _T]
    ) -> None:
        """Write the files to the database.

        Args:
            files: The files, in any order.
            root: The path of the folder to which ids are relative.
            make: Function that returns the element of the sequence for a file.

        Raises:
            ImageError: There is no space for the database.
        """
        self._root, self._make = root, make
        self._lock = Lock()
        try:
            # An empty name is a temporary database, on the disk once it outgrows its cache.
            self._connection = sqlite3.connect("", check_same_thread=False, isolation_level=None)
            weakref.finalize(self, self._connection.close)
            self._count = self._write(files)
        except sqlite3.Error as error:
            raise ImageError(
                f"{printable(root)}: the list of its files cannot be written to the temporary "
                f"folder ({error}). Free space there, or name another folder in the environment "
                "variable SQLITE_TMPDIR."
            ) from error

    def _write(self, files: Iterable[GalleryFile]) -> int:
        """Write the files to the database in the order of their ids; return their number."""
        execute = self._connection.execute
        for setting in ("journal_mode = OFF", f"cache_size = -{_CACHE_KB}", "temp_store = FILE"):
            execute(f"PRAGMA {setting}")
        execute("BEGIN")
        for table in ("found", "files"):
            execute(f"CREATE TABLE {table} ({_COLUMNS})")
        insert = "INSERT INTO found VALUES (?, ?, ?, ?, ?, ?)"
        self._connection.executemany(insert, map(self._row, files))
        execute("INSERT INTO files SELECT * FROM found ORDER BY id")
        execute("DROP TABLE found")
        execute("COMMIT")
        return int(execute("SELECT count(*) FROM files").fetchone()[0])

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, position: int) -> _T: ...

    @overload
    def __getitem__(self, position: slice) -> list[_T]: ...

    def __getitem__(self, position: int | slice) -> _T | list[_T]:
        if isinstance(position, slice):
            return self.select(range(*position.indices(self._count)))
        if not -self._count <= position < self._count:
            raise IndexError(f"there are {self._count} files, and none at {position}")
        return self.select([position % self._count])[0]

    def select(self, positions: Sequence[int]) -> list[_T]:
        """Return the elements at the given positions, which must be in ascending order."""
        return [self._make(self._file(*row)) for row in self._read("*", positions)]

    def ids(self) -> Iterator[str]:
        """Yield the ids of all files, in ascending order."""
        for start in range(0, self._count, _READ_AT_ONCE):
            stop = min(start + _READ_AT_ONCE, self._count)
            for (id,) in self._read("id", range(start, stop)):
                yield id

    def _read(self, columns: str, positions: Sequence[int]) -> list[Any]:
        if not positions:
            return []
        query = f"SELECT {columns} FROM files WHERE rowid"  # rowids begin with 1
        with self._lock:
            if positions[-1] - positions[0] == len(positions) - 1:
                ends = (positions[0] + 1, positions[-1] + 1)
                return self._connection.execute(f"{query} BETWEEN ? AND ?", ends).fetchall()
            rows = []
            for start in range(0, len(positions), _POSITIONS_AT_ONCE):
                rowids = [n + 1 for n in positions[start : start + _POSITIONS_AT_ONCE]]
                marks = ",".join("?" * len(rowids))
                rows += self._connection.execute(f"{query} IN ({marks})", rowids).fetchall()
            return rows

    def _row(self, file: GalleryFile) -> tuple[Any, ...]:
        """Return the row of the database for a file.

        To save space, the path is stored as None if it consists of the folder's path and the file's
        id. It may differ, for example in bytes that are not valid UTF-8.
        """
        id, path, *stamp = file
        return (id, None if path == f"{self._root}/{id}" else os.fsencode(path), *stamp)

    def _file(self, id: str, path: bytes | None, *stamp: int) -> GalleryFile:
        full_path = f"{self._root}/{id}" if path is None else os.fsdecode(path)
        return GalleryFile(id, full_path, *stamp)


_COLUMNS = "id TEXT, path BLOB, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER"


class SelectedItems(BlockSequence[_T], Generic[_T]):
    """Sequence of selected elements of another sequence; it stores only their positions."""

    def __init__(self, items: Sequence[_T]) -> None:
        """Create an empty selection of elements of `items`; `append` adds elements."""
        self._items = items
        self._positions = array("q")

    def append(self, position: int) -> None:
        """Add the element at a position of `items`, the argument of the constructor.

        Each position must be greater than the position added before.
        """
        self._positions.append(position)

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, position: int) -> _T: ...

    @overload
    def __getitem__(self, position: slice) -> list[_T]: ...

    def __getitem__(self, position: int | slice) -> _T | list[_T]:
        if not isinstance(position, slice):
            return self._items[self._positions[position]]
        positions = self._positions[position]
        if isinstance(self._items, ListedFiles):
            return self._items.select(positions)
        return [self._items[n] for n in positions]

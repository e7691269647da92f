"""The rows and the metadata of a gallery store at one moment, in a file that is read on demand.

A reader of a store must not see changes that another process makes later, and cannot keep the
database locked. So the rows and the metadata are copied from the database in one transaction. The
copy of a large store is saved as a file in the store's folder, for later readers. The file's name
contains a hash of the database's state (see `snapshot_file`), so that an outdated copy is not used.
If the file cannot be saved, the copy is a temporary file of this process. The copy of a small store
is made in memory.
"""

import json
import logging
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from dwc.errors import StoreError
from dwc.files import atomic_path
from dwc.gallery.metadata import Column, ColumnType, Metadata, decode_row, fold_text
from dwc.gallery.stored_arrays import (
    ArrayWriter,
    BlockSequence,
    Content,
    FileContent,
    MemoryContent,
    Positions,
    StoredArrays,
    Texts,
)
from dwc.gallery.walker import DATABASE

logger = logging.getLogger(__name__)

MAPPED_ROWS = 10_000
"""The number of rows from which a store is large: its snapshot is then a file.

A smaller snapshot takes at most some MB in memory.
"""

_FORMAT = 1
_PREFIX = "rows-"
_READ_AT_ONCE = 4096
_TEXTS = ("id", "content_key", "pixel_hash")


class StoredImage(NamedTuple):
    """A row of a gallery store's database: the description of one picture.

    Attributes:
        id: Id of the picture in its source.
        content_key: Hash of the picture file's content.
        pixel_hash: Hash of the decoded pixels.
        width: Width in pixels.
        height: Height in pixels.
        checksum: CRC-32 of the vector's bytes.
    """

    id: str
    content_key: str
    pixel_hash: str
    width: int
    height: int
    checksum: int


class StoredRows(BlockSequence[StoredImage]):
    """The rows of n pictures; a row's `StoredImage` is created when the row is accessed.

    Attributes:
        ids: The ids of the n pictures.
        content_keys: The hashes of the files' contents.
        pixel_hashes: The hashes of the decoded pixels.
        checksums: The CRC-32 of each vector (n,).
    """

    def __init__(
        self,
        texts: Sequence[Texts],
        sizes: NDArray[np.uint32],
        checksums: NDArray[np.uint32],
        known_sizes: NDArray[np.int64],
    ) -> None:
        """Build the sequence of the rows from arrays with the values of each column.

        Args:
            texts: The ids, content keys (hashes of the content) and pixel hashes of the n pictures.
            sizes: The width and height of each picture (n, 2).
            checksums: The CRC-32 of each vector (n,).
            known_sizes: The different sizes in ascending order, each as one integer; see
                `_pack_sizes`. They may include sizes that none of the n pictures has.
        """
        self.ids, self.content_keys, self.pixel_hashes = texts
        self.checksums = checksums
        self._sizes, self._known_sizes = sizes, known_sizes

    def __len__(self) -> int:
        return len(self.checksums)

    @overload
    def __getitem__(self, position: int) -> StoredImage: ...

    @overload
    def __getitem__(self, position: slice) -> list[StoredImage]: ...

    def __getitem__(self, position: int | slice) -> StoredImage | list[StoredImage]:
        if isinstance(position, slice):
            columns = (
                *(texts[position] for texts in (self.ids, self.content_keys, self.pixel_hashes)),
                *self._sizes[position].T.tolist(),
                self.checksums[position].tolist(),
            )
            return [StoredImage._make(row) for row in zip(*columns, strict=True)]
        width, height = self.size(position)
        return StoredImage(
            self.ids[position],
            self.content_keys[position],
            self.pixel_hashes[position],
            width,
            height,
            int(self.checksums[position]),
        )

    def size(self, position: int) -> tuple[int, int]:
        """Return the width and the height in pixels of the picture at a position."""
        width, height = self._sizes[position].tolist()
        return width, height

    def may_have_size(self, size: tuple[int, int]) -> bool:
        """Return whether one of these pictures may have the given width and height.

        If the result is False, no picture has this size. If it is True, a picture of the store has
        this size, but it may not be one of these n pictures if they were selected from the store.
        """
        (wanted,) = _pack_sizes(np.array([size]))
        place = int(np.searchsorted(self._known_sizes, wanted))
        return place < len(self._known_sizes) and bool(self._known_sizes[place] == wanted)

    def select(self, positions: Positions) -> "StoredRows":
        """Return the rows at the given positions, which must be in ascending order."""
        columns = (self.ids, self.content_keys, self.pixel_hashes)
        texts = [texts.select(positions) for texts in columns]
        sizes, checksums = self._sizes[positions], self.checksums[positions]
        return StoredRows(texts, sizes, checksums, self._known_sizes)


def _pack_sizes(sizes: NDArray[Any]) -> NDArray[np.int64]:
    """Pack n sizes, each a width and a height (n, 2), into one integer per size (n,)."""
    return sizes[:, 0].astype(np.int64) << 32 | sizes[:, 1].astype(np.int64)


class RowSnapshot(NamedTuple):
    """The rows and the metadata of a gallery store at one moment.

    Attributes:
        rows: The rows of the n pictures.
        metadata: The metadata of the n pictures.
        file: The file in the store's folder that has the snapshot; None if there is no such file.
    """

    rows: StoredRows
    metadata: Metadata
    file: Path | None = None

    def select(self, positions: Positions) -> "RowSnapshot":
        """Return a snapshot of only the pictures at the given positions.

        The positions must be in ascending order.
        """
        columns = {
            name: _select(column, positions) for name, column in self.metadata.columns.items()
        }
        metadata = Metadata(columns, len(positions))
        return RowSnapshot(self.rows.select(positions), metadata)


def _select(column: Column, positions: Positions) -> Column:
    """Return a column with only the values of the pictures at the given positions.

    Texts that none of these pictures has are left out of the attribute `texts` of the result.
    """
    values = column.values[positions]
    if column.type != "text":
        return replace(column, values=values)
    used, codes = np.unique(values, return_inverse=True)
    is_missing = len(used) > 0 and used[0] < 0
    texts = tuple(column.texts[code] for code in used[int(is_missing) :].tolist())
    return Column("text", (codes - int(is_missing)).astype(np.int32), texts)


REVISIONS = (
    "CREATE TABLE IF NOT EXISTS revisions (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO revisions VALUES ('store', random()), ('changes', 0)",
    *(
        f"CREATE TRIGGER IF NOT EXISTS count_{event.lower()}_of_{table} AFTER {event} ON {table} "
        "BEGIN UPDATE revisions SET value = value + 1 WHERE name = 'changes'; END"
        for table, events in (
            ("pictures", ("UPDATE",)),
            ("metadata", ("INSERT", "UPDATE", "DELETE")),
            ("metadata_columns", ("INSERT", "UPDATE", "DELETE")),
        )
        for event in events
    ),
)
"""SQL statements that make a database count the changes after which a snapshot is outdated.

The triggers count changes by any program, also by older versions of this one. Rows that are added
or removed need no trigger: they change the number of rows, or the generation of the vector file.
"""


def snapshot_file(
    connection: sqlite3.Connection, folder: Path, generation: int, count: int
) -> Path | None:
    """Return the path for the file with a copy of a store's current rows and metadata.

    The name of the file changes with every change of the rows or the metadata. The file may not
    exist yet.

    Args:
        connection: A connection to the database, inside a transaction.
        folder: The folder of the store.
        generation: How many times the vector file was rewritten.
        count: The number of rows.

    Returns:
        The path, in the store's folder. None if an older version of this package wrote the
        database, because such a database does not count its changes.
    """
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'revisions'")
    if known.fetchone() is None:
        return None
    revisions = connection.execute("SELECT name, value FROM revisions ORDER BY name").fetchall()
    state = json.dumps([_FORMAT, generation, count, revisions])
    return folder / f"{_PREFIX}{sha256(state.encode()).hexdigest()[:16]}.bin"


def read_snapshot(
    connection: sqlite3.Connection, folder: Path, count: int, file: Path | None, may_write: bool
) -> RowSnapshot:
    """Return a copy of a database's rows and metadata in their current state.

    With fewer than `MAPPED_ROWS` rows, a new copy is made in memory, and `file` is not used.

    Args:
        connection: A connection to the database, inside a transaction.
        folder: The folder of the store, to name it in messages.
        count: The number of rows.
        file: The path that `snapshot_file` returned, or None. If the file exists and is valid, it
            is used as the copy. Otherwise a new copy is made.
        may_write: Whether to save the new copy at the path `file`. If False, it is a temporary
            file.

    Raises:
        StoreError: Rows are missing from the database.
    """
    if count < MAPPED_ROWS:
        memory = BytesIO()
        write_snapshot(connection, memory, folder, count)
        return _parse(MemoryContent(memory.getvalue()))
    if file is not None:
        snapshot = _open_file(file, count)
        if snapshot is None and may_write and _write_file(connection, file, folder, count):
            snapshot = _open_file(file, count)
        if snapshot is not None:
            return snapshot
    with tempfile.TemporaryFile() as temporary:
        write_snapshot(connection, temporary, folder, count)
        return _parse(FileContent(temporary))


def renew_snapshot(
    connection: sqlite3.Connection, folder: Path, generation: int, count: int
) -> None:
    """Save a copy of a large store's rows and metadata, and remove outdated copies.

    The copy (snapshot) is a file in the store's folder. Nothing is saved for a store with fewer
    than `MAPPED_ROWS` rows. If the file cannot be written, a message is logged.

    Args:
        connection: A connection to the database, inside a transaction.
        folder: The folder of the store.
        generation: How many times the vector file was rewritten.
        count: The number of rows.
    """
    file = snapshot_file(connection, folder, generation, count) if count >= MAPPED_ROWS else None
    if file is not None and _open_file(file, count) is None:
        _write_file(connection, file, folder, count)
    for pattern in (f"{_PREFIX}*.bin", f".{_PREFIX}*.bin"):
        for other in folder.glob(pattern):
            if other != file:
                with suppress(PermissionError):  # Windows cannot delete mapped files
                    other.unlink(missing_ok=True)


def is_current(connection: sqlite3.Connection, file: Path, folder: Path, count: int) -> bool:
    """Return whether a snapshot file equals a new snapshot of the database, byte by byte.

    A snapshot is a copy of a store's rows and metadata.

    Args:
        connection: A connection to the database, inside a transaction.
        file: The file, which exists.
        folder: The folder of the store, to name it in messages.
        count: The number of rows.
    """
    with tempfile.TemporaryFile() as temporary:
        write_snapshot(connection, temporary, folder, count)
        expected = np.memmap(temporary, dtype=np.uint8, mode="r")
    if file.stat().st_size != len(expected):
        return False
    return np.array_equal(np.memmap(file, dtype=np.uint8, mode="r"), expected)


def _open_file(file: Path, count: int) -> RowSnapshot | None:
    try:
        with file.open("rb") as stream:
            snapshot = _parse(FileContent(stream))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        logger.info("%s: cannot be used (%s)", file, error)
        return None
    return snapshot._replace(file=file) if len(snapshot.rows) == count else None


def _write_file(connection: sqlite3.Connection, file: Path, folder: Path, count: int) -> bool:
    try:
        with atomic_path(file, fsync=True) as partial, partial.open("wb") as stream:
            write_snapshot(connection, stream, folder, count)
    except OSError as error:
        logger.info("%s: cannot be written (%s)", file, error)
        return False
    return True


def write_snapshot(
    connection: sqlite3.Connection, file: BinaryIO, folder: Path, count: int
) -> None:
    """Copy the rows and the metadata of a database to a file.

    Args:
        connection: A connection to the database, inside a transaction.
        file: The file, which is empty and open for writing.
        folder: The folder of the store, to name it in messages.
        count: The number of rows.

    Raises:
        StoreError: Rows are missing from the database.
    """
    with tempfile.TemporaryFile() as numbers:  # width, height and checksum of each row
        writer = ArrayWriter(file)
        writer.add_texts(_TEXTS, _read_rows(connection, numbers, folder, count), count)
        known_sizes = np.empty(0, dtype=np.int64)
        for block in _read_numbers(numbers):
            known_sizes = np.union1d(known_sizes, _pack_sizes(block))
        sizes = (block[:, :2] for block in _read_numbers(numbers))
        writer.add_blocks("sizes", (count, 2), np.uint32, sizes)
        writer.add("known sizes", known_sizes)
        checksums = (block[:, 2] for block in _read_numbers(numbers))
        writer.add_blocks("checksums", (count,), np.uint32, checksums)
    metadata = _read_metadata(connection, count)
    for number, column in enumerate(metadata.columns.values()):
        writer.add(f"values {number}", column.values)
        if column.type == "text":
            names = (f"texts {number}", f"folded {number}")
            texts = ((text, fold_text(text)) for text in column.texts)
            writer.add_texts(names, texts, len(column.texts))
    columns = [[name, column.type] for name, column in metadata.columns.items()]
    writer.finish({"columns": columns})


def _read_rows(
    connection: sqlite3.Connection, numbers: BinaryIO, folder: Path, count: int
) -> Iterator[tuple[str, str, str]]:
    """Yield the id, content key and pixel hash of each row; write its other values to a file.

    The other values are the width, the height and the checksum; `_read_numbers` reads them.

    Args:
        connection: A connection to the database, inside a transaction.
        numbers: The file, which is empty and open for writing.
        folder: The folder of the store, to name it in messages.
        count: The number of rows.

    Raises:
        StoreError: Rows are missing from the database.
    """
    rows = connection.execute(
        "SELECT id, content_key, pixel_hash, width, height, checksum, position "
        "FROM pictures ORDER BY position"
    )
    for first in range(0, count, _READ_AT_ONCE):
        block = rows.fetchmany(_READ_AT_ONCE)
        if block[-1][-1] != first + len(block) - 1:
            raise StoreError(
                f"{folder}: rows are missing from {DATABASE}. Delete it and index again."
            )
        numbers.write(np.array([row[3:6] for row in block], dtype=np.uint32).tobytes())
        for row in block:
            yield row[:3]


def _read_numbers(file: BinaryIO) -> Iterator[NDArray[np.uint32]]:
    """Yield blocks (n, 3) with the width, the height and the checksum of n rows each.

    The file is one that `_read_rows` has written. The last block may be smaller than the others.
    """
    file.seek(0)
    while block := file.read(_READ_AT_ONCE * 12):
        yield np.frombuffer(block, dtype=np.uint32).reshape(-1, 3)


def _parse(content: Content) -> RowSnapshot:
    arrays = StoredArrays(content)
    numbers = (arrays.array(name) for name in ("sizes", "checksums", "known sizes"))
    rows = StoredRows(arrays.texts(_TEXTS), *numbers)
    columns = {}
    for number, (name, type) in enumerate(arrays.description["columns"]):
        values = arrays.array(f"values {number}")
        if type == "text":
            texts, folded = arrays.texts((f"texts {number}", f"folded {number}"))
            columns[name] = Column(type, values, texts, folded)
        else:
            columns[name] = Column(type, values)
    return RowSnapshot(rows, Metadata(columns, len(rows)))


def _read_metadata(connection: sqlite3.Connection, count: int) -> Metadata:
    types, _ = read_metadata(connection)
    if not types:
        return Metadata({}, count)
    rows = connection.execute(
        "SELECT pictures.position, metadata.fields FROM metadata JOIN pictures USING (id)"
    )
    cells = ((position, decode_row(fields)) for position, fields in rows)
    return Metadata.from_rows(types, cells, count)


def read_metadata(
    connection: sqlite3.Connection,
) -> tuple[dict[str, ColumnType], Iterator[tuple[str, str]]]:
    """Read the metadata of a store.

    Returns:
        The types of the columns by name, in order; and a pair for each picture that has metadata:
        its id, and its values as a JSON array. Both are empty if an older version of this package
        wrote the store.
    """
    query = "SELECT name, type FROM metadata_columns ORDER BY position"
    types = dict(read_table(connection, query, "metadata_columns"))
    if not types:
        return {}, iter(())
    return types, iter(connection.execute("SELECT id, fields FROM metadata"))


def read_table(connection: sqlite3.Connection, query: str, table: str) -> list[Any]:
    """Return the rows that an SQL query on a table selects; none if there is no such table."""
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,))
    return connection.execute(query).fetchall() if known.fetchone() else []

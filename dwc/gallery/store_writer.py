"""Write a gallery store: a folder with the vectors of a gallery's pictures and a database.

Pictures are added in batches. If the process is killed, only the unfinished batch is lost: the
batch's vectors are appended to the vector file and flushed to disk, and then one transaction adds
one row per picture to the database. Readers ignore the batch's vectors until the transaction is
committed. To remove rows, a new vector file is written, and one transaction replaces the old file
by the new one. The number in a vector file's name, its generation, counts these replacements.
"""

import json
import logging
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwc.errors import StoreError
from dwc.gallery.metadata import ColumnType, ListedMetadata, decode_row, encode_row, fold_column
from dwc.gallery.row_snapshot import (
    REVISIONS,
    StoredImage,
    StoredRows,
    read_metadata,
    read_snapshot,
    renew_snapshot,
    snapshot_file,
)
from dwc.gallery.store import (
    DATABASE,
    FORMAT,
    LOCK,
    SCHEMA,
    THUMBNAILS,
    Manifest,
    ModelIdentity,
    checksum,
    model_entry,
    read_manifest,
    read_report,
    require_all_rows,
    thumbnail_file,
    unreadable_database,
    vector_file,
    write_manifest,
)
from dwc.gallery.store_tables import ContentKeyTable, FileTable, KnownFile, PictureTable

logger = logging.getLogger(__name__)

_READER_SECONDS = 60.0  # how long a commit waits for processes or threads that read the store
_COPIED_ROWS = 4096  # rows copied at a time when rows are removed: 32 MB at 2,048 dimensions


class StoreWriter:
    """Context manager that writes a gallery store and locks it against other writers.

    Attributes:
        path: Folder of the store.
        model: Identity of the model that computes the vectors.
        report: Results of the last build, as JSON-compatible values by name.
    """

    def __init__(
        self,
        path: str | Path,
        model: ModelIdentity,
        source: dict[str, Any],
        argument: str,
        check_source: Callable[[Manifest, Mapping[str, str]], None] | None = None,
    ) -> None:
        """Open the gallery store at a path, or create one.

        Args:
            path: Folder of the store.
            model: Identity of the model that computes the vectors.
            source: JSON-compatible description of where the pictures come from, such as a folder.
                It is the property `spec` of a `Source`.
            argument: The text that names this source in commands, such as "photos" in
                `dwc index photos`.
            check_source: Function that raises `StoreError` if an existing store was not built from
                this source. The function is called with the store's manifest, and with the content
                keys (hashes of the content) of the store's pictures by id.

        Raises:
            StoreError: The folder contains other files, another model's vectors or a damaged
                database; or another process is writing the store; or `check_source` raised the
                error.
        """
        self.path = Path(path)
        self.model = model
        self.report: dict[str, Any] = {}
        self._check_source = check_source
        self._generation = 0
        self._skipped: dict[str, str] = {}
        self._has_leftovers = False
        _refuse_foreign_folder(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = lock_folder(self.path)
        try:
            # Disables implicit transactions; all transactions here are explicit.
            self._connection = sqlite3.connect(
                self.path / DATABASE, timeout=_READER_SECONDS, isolation_level=None
            )
            self._connection.execute("PRAGMA synchronous = FULL")
            self._rows = PictureTable(self._connection, 0)
            self._files = FileTable(self._connection)
            self._begin(source, argument)
        except sqlite3.DatabaseError as error:
            self.close()
            if _is_about_permissions(error):
                raise _not_writable(self.path, error) from error
            raise unreadable_database(self.path, error) from error
        except StoreError:
            self.close()
            raise

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store and release its lock; `append` has already saved all rows."""
        if hasattr(self, "_connection"):
            self._connection.close()
        self._lock.close()

    @property
    def rows(self) -> PictureTable:
        """The rows committed so far, one per picture, in the order of their vectors."""
        return self._rows

    @property
    def content_keys(self) -> ContentKeyTable:
        """The content key (a hash of the content) of each committed picture, by id."""
        return ContentKeyTable(self._connection)

    @property
    def files(self) -> Mapping[str, KnownFile]:
        """The state (size, times, content key and so on) of each file when last read, by id."""
        return self._files

    def snapshot(self) -> StoredRows:
        """Return a copy of the rows committed so far; later commits do not change the copy.

        Unlike `rows`, the copy has an attribute `content_keys` in which a key is found quickly.
        """
        state = (self._connection, self.path, self._generation, len(self._rows))
        file = snapshot_file(*state)
        return read_snapshot(self._connection, self.path, len(self._rows), file, False).rows

    def vectors(self, positions: Sequence[int]) -> NDArray[np.float32]:
        """Return the vectors (n, D) of the rows at n positions; each vector has D numbers."""
        shape = (len(self._rows), self.model.dimension)
        return np.array(np.memmap(self._vectors, dtype="<f4", mode="r", shape=shape)[positions])

    def append(self, pictures: Sequence[StoredImage], vectors: NDArray[np.float32]) -> None:
        """Add n pictures with their vectors (n, D) to the store, and flush them to disk.

        Args:
            pictures: The rows of the pictures; their checksums are computed here.
            vectors: The vectors, each with the D numbers that the model computes for a picture.
        """
        if vectors.shape != (len(pictures), self.model.dimension):
            raise ValueError(
                f"{len(pictures)} pictures of {self.model.dimension} dimensions; "
                f"got vectors of shape {vectors.shape}"
            )
        start = len(self._rows)
        rows = [
            picture._replace(checksum=checksum(vector))
            for picture, vector in zip(pictures, vectors, strict=True)
        ]
        with self._vectors.open("r+b") as file:
            file.seek(start * self._stride)
            file.write(np.ascontiguousarray(vectors, dtype="<f4").tobytes())
            file.flush()
            os.fsync(file.fileno())
        with self._transaction():
            self._insert(start, rows)
            self._write_notes()
        self._rows.total += len(rows)

    def rename(self, ids: Mapping[str, str]) -> None:
        """Give new ids to rows whose pictures were moved; `ids` maps the old ids to the new ids."""
        if not ids:
            return
        with self._transaction():
            self._connection.executemany(
                "UPDATE pictures SET id = ? WHERE id = ?", [(new, old) for old, new in ids.items()]
            )

    def skip(self, id: str, reason: str) -> None:
        """Record that a picture could not be read, with the reason.

        The record is saved by the next call of `append` or `finish`.
        """
        self._skipped[id] = reason

    def note_file(self, id: str, file: KnownFile) -> None:
        """Record the state that a file had when it was read, for comparison in the next build.

        The record is saved by the next call of `append` or `finish`.
        """
        if self._files.get(id) != file:
            self._files[id] = file

    def forget_file(self, id: str) -> None:
        """Remove the state that `note_file` recorded; the next build reads the file again."""
        del self._files[id]

    def write_metadata(self, metadata: ListedMetadata, listed: Collection[str]) -> None:
        """Replace the saved metadata of the pictures in one transaction.

        Args:
            metadata: The metadata that the source has now. Only the values of pictures that are in
                `listed` or in the store are saved.
            listed: The ids of the pictures that the source has now. A stored picture that is
                neither in `listed` nor in `metadata` keeps its former values.
        """
        former_types, former_rows = read_metadata(self._connection)
        if not former_types and not metadata.columns:
            return
        former = dict(former_rows)
        stored = {row.id for row in self._rows}
        ids = stored.union(listed)
        new = {id: encode_row(row).decode() for id, row in metadata.rows.items() if id in ids}
        if metadata.columns:
            away = stored.difference(listed, new)
            new |= _select_columns(former, former_types, metadata.columns, away)
        columns = list(metadata.columns.items())
        if list(former_types.items()) == columns and former == new:
            return
        with self._transaction():
            self._connection.execute("DELETE FROM metadata_columns")
            self._connection.executemany(
                "INSERT INTO metadata_columns VALUES (?, ?, ?)",
                [(position, *column) for position, column in enumerate(columns)],
            )
            self._connection.executemany(
                "DELETE FROM metadata WHERE id = ?", [(id,) for id in former if id not in new]
            )
            self._connection.executemany(
                "INSERT OR REPLACE INTO metadata VALUES (?, ?)",
                [(id, row) for id, row in new.items() if former.get(id) != row],
            )

    def keep(self, ids: Collection[str]) -> None:
        """Remove all rows except those with the given ids; the remaining rows keep their order."""
        self.rewrite([n for n, row in enumerate(self._rows) if row.id in ids])

    def rewrite(
        self, positions: Sequence[int], pictures: Sequence[StoredImage] | None = None
    ) -> None:
        """Replace the rows and the vectors of the store by a selection of the current ones.

        Args:
            positions: Positions of the vectors to keep, in their new order. A vector may occur
                several times.
            pictures: The new row of each selected vector. If None, each vector keeps its current
                row.
        """
        rows = list(pictures) if pictures is not None else [self._rows[n] for n in positions]
        if self._rows == rows:
            return
        former, generation = self._vectors, self._generation + 1
        self._copy(positions, former, vector_file(self.path, generation))
        with self._transaction():
            self._connection.execute("DELETE FROM pictures")
            self._insert(0, rows)
            write_manifest(self._connection, generation=generation)
        self._generation, self._rows.total = generation, len(rows)
        self._has_leftovers = True
        _remove(former)

    def save_report(self, entries: dict[str, Any]) -> None:
        """Save results of a build before `finish`, so that they survive if the build is killed.

        Args:
            entries: Entries of the build's report, as JSON-compatible values by name.
        """
        values = [(name, json.dumps(value)) for name, value in entries.items()]
        with self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO report VALUES (?, ?)", values)

    def finish(self, away: Collection[str] = (), report: dict[str, Any] | None = None) -> None:
        """Mark the store as complete, and delete thumbnails and metadata that no row uses.

        Args:
            away: Ids of the rows whose files are missing; the rows are kept.
            report: Results of the build, as JSON-compatible values by name.
        """
        entries = [(name, json.dumps(value)) for name, value in (report or {}).items()]
        with self._transaction():
            self._write_notes()
            self._files.remove_unused()
            self._connection.execute(
                "DELETE FROM metadata WHERE id NOT IN (SELECT id FROM pictures)"
            )
            self._connection.execute("DELETE FROM away")
            self._connection.executemany("INSERT INTO away VALUES (?)", [(id,) for id in away])
            self._connection.execute("DELETE FROM report")
            self._connection.executemany("INSERT INTO report VALUES (?, ?)", entries)
            write_manifest(self._connection, complete=True)
        with self._transaction():
            renew_snapshot(self._connection, self.path, self._generation, len(self._rows))
        if self._has_leftovers:
            content_keys = self.snapshot().content_keys
            for file in (self.path / THUMBNAILS).glob("*/*"):
                if file != thumbnail_file(self.path, file.stem) or file.stem not in content_keys:
                    _remove(file)

    def _write_notes(self) -> None:
        """Save in the database the unreadable pictures and the states of the files.

        `skip` and `note_file` have recorded them. The changes are part of the caller's transaction.
        """
        self._connection.executemany(
            "INSERT OR REPLACE INTO skipped VALUES (?, ?)", list(self._skipped.items())
        )
        self._files.write()

    @property
    def _vectors(self) -> Path:
        return vector_file(self.path, self._generation)

    @property
    def _stride(self) -> int:
        return self.model.dimension * 4

    def _begin(self, source: dict[str, Any], argument: str) -> None:
        manifest = read_manifest(self._connection, self.path)
        if manifest is not None and manifest.model.fingerprint != self.model.fingerprint:
            raise StoreError(
                f"{self.path}: was built with model {manifest.model.fingerprint}; the loaded one "
                f"is {self.model.fingerprint}. Give another --out, or delete the folder and run: "
                f"python -m dwc index {argument} --model {self.model.name} --out {self.path}"
            )
        if manifest is not None:
            self._generation = manifest.generation
            self._rows.total = manifest.count
            require_all_rows(self._connection, self.path, manifest.count)
            self.report = read_report(self._connection)
            self._has_leftovers = not manifest.complete
            if self._check_source is not None:
                self._check_source(manifest, self.content_keys)
        with self._transaction():
            # Statements run one by one, since `executescript` would commit the transaction.
            for statement in (*SCHEMA.split(";"), *REVISIONS):
                self._connection.execute(statement)
            self._connection.execute("DELETE FROM skipped")
            write_manifest(
                self._connection,
                format=FORMAT,
                model=model_entry(self.model),
                source=source,
                argument=argument,
                generation=self._generation,
                complete=False,
            )
        for file in self.path.glob("vectors-*.f32"):
            if file != self._vectors:
                _remove(file)
        self._vectors.touch()
        self._drop_damaged_rows()
        os.truncate(self._vectors, len(self._rows) * self._stride)

    def _drop_damaged_rows(self) -> None:
        """Remove rows whose vectors are missing or altered; the build then adds the rows again."""
        complete_rows = min(len(self._rows), self._vectors.stat().st_size // self._stride)
        damaged = set(range(complete_rows, len(self._rows)))
        if complete_rows:
            shape = (complete_rows, self.model.dimension)
            mapped = np.memmap(self._vectors, dtype="<f4", mode="r", shape=shape)
            vectors = mapped.view(np.ndarray)  # indexing a memory map is slow
            for position, (row, vector) in enumerate(zip(self._rows, vectors, strict=False)):
                if checksum(vector) != row.checksum:
                    damaged.add(position)
            del vectors, mapped  # some systems cannot truncate a mapped file
        if damaged:
            logger.warning(
                "%s: %d vectors are missing or damaged; their pictures are embedded again.",
                self.path,
                len(damaged),
            )
            self.rewrite([n for n in range(len(self._rows)) if n not in damaged])

    def _copy(self, positions: Sequence[int], origin: Path, target: Path) -> None:
        with target.open("wb") as file:
            if len(positions):
                shape = (max(positions) + 1, self.model.dimension)
                vectors = np.memmap(origin, dtype="<f4", mode="r", shape=shape)
                for start in range(0, len(positions), _COPIED_ROWS):
                    file.write(vectors[list(positions[start : start + _COPIED_ROWS])].tobytes())
            file.flush()
            os.fsync(file.fileno())

    def _insert(self, start: int, rows: Sequence[StoredImage]) -> None:
        self._connection.executemany(
            "INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(start + n, *row) for n, row in enumerate(rows)],
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._connection:  # commits, or rolls back on an exception
            self._connection.execute("BEGIN IMMEDIATE")
            yield


def _select_columns(
    rows: Mapping[str, str],
    former: Mapping[str, ColumnType],
    new: Mapping[str, ColumnType],
    ids: Collection[str],
) -> dict[str, str]:
    """Convert the saved metadata of some pictures to new columns.

    A new column has the values of the former column of the same name and type. Missing values are
    taken from former columns that no longer exist, if their type is the same and their name differs
    only in spelling.

    Args:
        rows: The saved metadata, as JSON arrays by id.
        former: The types of the former columns by name, in order.
        new: The types of the new columns by name, in order.
        ids: The ids of the pictures to convert; those without saved metadata are omitted.

    Returns:
        The values in the new columns, as JSON arrays by id.
    """
    columns = list(former.items())
    origins = []  # positions of former columns, for each new column
    for name, type in new.items():
        others = [
            (other, type)
            for other in former
            if other not in new and fold_column(other) == fold_column(name)
        ]
        origins.append([columns.index(c) for c in [(name, type), *others] if c in columns])
    selected = {}
    for id in ids:
        if id in rows:
            values = decode_row(rows[id])
            row = [
                next((values[place] for place in places if values[place] is not None), None)
                for places in origins
            ]
            selected[id] = encode_row(row).decode()
    return selected


def _refuse_foreign_folder(folder: Path) -> None:
    if folder.is_file():
        raise StoreError(f"{folder}: is a file; a store is a folder. Give another --out.")
    if not folder.is_dir() or (folder / DATABASE).exists():
        return
    if any(not entry.name.startswith(LOCK) for entry in folder.iterdir()):
        raise StoreError(
            f"{folder}: holds other things already. Give another --out, or an empty folder."
        )


def lock_folder(folder: Path) -> sqlite3.Connection:
    """Lock a folder until the returned connection is closed.

    Raises:
        StoreError: The folder is already locked, or the lock file cannot be written.
    """
    # SQLite's exclusive lock works on every system and is released when its process dies.
    connection = None
    try:
        connection = sqlite3.connect(folder / LOCK, timeout=0, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if connection is not None:
            connection.close()
        if _is_about_permissions(error):
            raise _not_writable(folder, error) from error
        raise StoreError(
            f"{folder}: is being written by another process ({error}). Wait for it to end."
        ) from error
    return connection


def _is_about_permissions(error: sqlite3.Error) -> bool:
    return "readonly" in str(error) or "unable to open" in str(error)


def _not_writable(folder: Path, error: sqlite3.Error) -> StoreError:
    return StoreError(
        f"{folder}: may not be written ({error}). Check the folder's permissions, or give another "
        "--out."
    )


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except PermissionError:  # Windows cannot delete mapped files; the next writer tries again
        logger.info("%s: still in use; left for later", file)

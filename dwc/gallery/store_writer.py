"""Write a store so that a kill at any instant loses at most the batch in hand.

A batch's vectors go to the end of the vector file and reach the disk; then one transaction adds its
rows. Before the transaction's end the batch does not exist, after it the batch is whole. Rows are
taken out by writing a vector file of the next generation and switching to it in one transaction.
"""

import logging
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwc.errors import StoreError
from dwc.gallery.store import (
    DATABASE,
    FORMAT,
    LOCK,
    SCHEMA,
    THUMBNAILS,
    ModelIdentity,
    StoredImage,
    checksum,
    model_entry,
    read_manifest,
    read_rows,
    thumbnail_file,
    vector_file,
    write_manifest,
)

logger = logging.getLogger(__name__)

_COPIED_ROWS = 4096  # copied at a time when rows are taken out: 32 MB at 2,048 dimensions


class StoreWriter:
    """The one writer of a store; a context manager, and a second writer is refused meanwhile."""

    def __init__(
        self, path: str | Path, model: ModelIdentity, source: dict[str, Any], argument: str
    ) -> None:
        """Open the store at `path`, or begin one, for vectors of `model`.

        Raises `StoreError` if the folder holds something else, another model's vectors, or is being
        written by another process.
        """
        self.path = Path(path)
        self.model = model
        self._rows: list[StoredImage] = []
        self._generation = 0
        _refuse_foreign_folder(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self.path)
        try:
            # No implicit transactions: each one here is written out.
            self._connection = sqlite3.connect(self.path / DATABASE, isolation_level=None)
            self._connection.execute("PRAGMA synchronous = FULL")
            self._begin(source, argument)
        except sqlite3.DatabaseError as error:
            self.close()
            raise StoreError(
                f"{self.path}: {DATABASE} cannot be read ({error}). "
                "Delete the folder and index again."
            ) from error
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
        """Let go of the store; what was appended stays."""
        if hasattr(self, "_connection"):
            self._connection.close()
        self._lock.close()

    @property
    def content_keys(self) -> dict[str, str]:
        """The pictures committed so far, id to content key."""
        return {row.id: row.content_key for row in self._rows}

    def append(self, pictures: Sequence[StoredImage], vectors: NDArray[np.float32]) -> None:
        """Commit pictures and their vectors (n, D); their checksums are filled in here."""
        if vectors.shape != (len(pictures), self.model.dimension):
            raise ValueError(
                f"{len(pictures)} pictures of {self.model.dimension} dimensions; "
                f"got vectors of shape {vectors.shape}"
            )
        start = len(self._rows)
        rows = [
            StoredImage(p.id, p.content_key, p.pixel_hash, p.width, p.height, checksum(vector))
            for p, vector in zip(pictures, vectors, strict=True)
        ]
        with self._vectors.open("r+b") as file:
            file.seek(start * self._stride)
            file.write(np.ascontiguousarray(vectors, dtype="<f4").tobytes())
            file.flush()
            os.fsync(file.fileno())
        with self._transaction():
            self._insert(start, rows)
        self._rows += rows

    def skip(self, id: str, reason: str) -> None:
        """Note a picture that could not be read."""
        self._connection.execute("INSERT OR REPLACE INTO skipped VALUES (?, ?)", (id, reason))

    def keep(self, ids: Collection[str]) -> None:
        """Take out every picture but these, and close the gaps."""
        kept = [position for position, row in enumerate(self._rows) if row.id in ids]
        if len(kept) == len(self._rows):
            return
        rows = [self._rows[position] for position in kept]
        former, generation = self._vectors, self._generation + 1
        self._copy(kept, former, vector_file(self.path, generation))
        with self._transaction():
            self._connection.execute("DELETE FROM pictures")
            self._insert(0, rows)
            write_manifest(self._connection, generation=generation)
        self._generation, self._rows = generation, rows
        _remove(former)

    def finish(self) -> None:
        """Mark the store complete and clear away what no row needs."""
        with self._transaction():
            write_manifest(self._connection, complete=True)
        used = {thumbnail_file(self.path, row.content_key) for row in self._rows}
        for file in (self.path / THUMBNAILS).glob("*/*"):
            if file not in used:
                _remove(file)

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
            self._rows = read_rows(self._connection, self.path)
        with self._transaction():
            # One statement each: `executescript` would commit by itself.
            for statement in SCHEMA.split(";"):
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
        """Forget rows whose vectors are missing or altered, so that they are embedded again."""
        whole = min(len(self._rows), self._vectors.stat().st_size // self._stride)
        sound = []
        if whole:
            shape = (whole, self.model.dimension)
            vectors = np.memmap(self._vectors, dtype="<f4", mode="r", shape=shape)
            sound = [
                row.id
                for row, vector in zip(self._rows, vectors, strict=False)
                if checksum(vector) == row.checksum
            ]
            del vectors  # a file that is mapped cannot be cut on every system
        if len(sound) < len(self._rows):
            logger.warning(
                "%s: %d vectors are missing or damaged; their pictures are embedded again.",
                self.path,
                len(self._rows) - len(sound),
            )
            self.keep(frozenset(sound))

    def _copy(self, positions: Sequence[int], origin: Path, target: Path) -> None:
        with target.open("wb") as file:
            if positions:
                shape = (max(positions) + 1, self.model.dimension)
                vectors = np.memmap(origin, dtype="<f4", mode="r", shape=shape)
                for start in range(0, len(positions), _COPIED_ROWS):
                    file.write(vectors[list(positions[start : start + _COPIED_ROWS])].tobytes())
            file.flush()
            os.fsync(file.fileno())

    def _insert(self, start: int, rows: Sequence[StoredImage]) -> None:
        self._connection.executemany(
            "INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (start + n, r.id, r.content_key, r.pixel_hash, r.width, r.height, r.checksum)
                for n, r in enumerate(rows)
            ],
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._connection:  # commits, or rolls back when an exception leaves
            self._connection.execute("BEGIN IMMEDIATE")
            yield


def _refuse_foreign_folder(folder: Path) -> None:
    if folder.is_file():
        raise StoreError(f"{folder}: is a file; a store is a folder. Give another --out.")
    if not folder.is_dir() or (folder / DATABASE).exists():
        return
    if any(not entry.name.startswith(LOCK) for entry in folder.iterdir()):
        raise StoreError(
            f"{folder}: holds other things already. Give another --out, or an empty folder."
        )


def _lock(folder: Path) -> sqlite3.Connection:
    # SQLite's exclusive lock works on every system, and the kernel lifts it when its holder dies.
    connection = sqlite3.connect(folder / LOCK, timeout=0, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        connection.close()
        raise StoreError(
            f"{folder}: is being written by another process ({error}). Wait for it to end."
        ) from error
    return connection


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except PermissionError:  # Windows keeps mapped files; the next writer tries again
        logger.info("%s: still in use; left for later", file)

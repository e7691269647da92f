"""What a store's folder holds, shared by those who read it and those who write it.

    gallery.sqlite       one row a picture, the manifest, the pictures skipped
    vectors-<g>.f32      row after row of float32, in the order of the rows; g counts rewritings
    thumbnails/ab/….webp by content key
    writer.lock          held while someone writes

The database says how many rows count and which vector file is theirs, so that its transactions are
the only commit points: whatever else lies in the folder is left from a kill, and is cut off.
"""

import json
import sqlite3
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwc.errors import StoreError

FORMAT = 1
DATABASE = "gallery.sqlite"
THUMBNAILS = "thumbnails"
LOCK = "writer.lock"
THUMBNAIL_PX = 256

SCHEMA = """
CREATE TABLE IF NOT EXISTS manifest (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS pictures (
    position    INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    content_key TEXT NOT NULL,
    pixel_hash  TEXT NOT NULL,
    width       INTEGER NOT NULL,
    height      INTEGER NOT NULL,
    checksum    INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS skipped (id TEXT PRIMARY KEY, reason TEXT NOT NULL);
"""


@dataclass(frozen=True)
class ModelIdentity:
    """Which model made a store's vectors.

    `name` is the folder or Hub id that the model was loaded from, `fingerprint` changes with its
    weights. `streams` maps each stream to its dimension, in the order in which a vector holds them.
    `preprocessing` is what the pictures went through, for people to read.
    """

    fingerprint: str
    name: str
    revision: str | None
    streams: dict[str, int]
    preprocessing: dict[str, Any] = field(default_factory=dict)

    @property
    def dimension(self) -> int:
        """Length of one vector: the streams' side by side."""
        return sum(self.streams.values())


@dataclass(frozen=True)
class Manifest:
    """What a store says of itself.

    `source` is the spec of the pictures' source, `argument` what names it on the command line.
    `complete` is False between a build's first commit and its end. `skipped` maps the ids of the
    pictures that could not be read to the reasons.
    """

    format: int
    model: ModelIdentity
    source: dict[str, Any]
    argument: str
    generation: int
    complete: bool
    count: int
    skipped: dict[str, str]


@dataclass(frozen=True)
class StoredImage:
    """One row: sizes in pixels, and as `checksum` the CRC-32 of the vector's bytes."""

    id: str
    content_key: str
    pixel_hash: str
    width: int
    height: int
    checksum: int


def vector_file(folder: Path, generation: int) -> Path:
    """Where the vectors of a generation lie."""
    return folder / f"vectors-{generation}.f32"


def thumbnail_file(folder: Path, content_key: str) -> Path:
    """Where the thumbnail of that content lies; two levels, since folders of 100,000 are slow."""
    return folder / THUMBNAILS / content_key[:2] / f"{content_key}.webp"


def checksum(vector: NDArray[np.float32]) -> int:
    """CRC-32 of a vector's bytes."""
    return zlib.crc32(np.ascontiguousarray(vector, dtype="<f4").tobytes())


def write_manifest(connection: sqlite3.Connection, **entries: Any) -> None:
    """Set entries of the manifest, inside the caller's transaction."""
    connection.executemany(
        "INSERT OR REPLACE INTO manifest VALUES (?, ?)",
        [(name, json.dumps(value)) for name, value in entries.items()],
    )


def model_entry(model: ModelIdentity) -> dict[str, Any]:
    """A model's identity as a manifest entry."""
    # A list of pairs, since the streams' order is the vectors' and JSON objects promise none.
    return {**asdict(model), "streams": list(model.streams.items())}


def read_manifest(connection: sqlite3.Connection, folder: Path) -> Manifest | None:
    """The manifest, or None for a database in which nothing was ever committed.

    Raises `StoreError` for a store of another format.
    """
    known = connection.execute("SELECT name FROM sqlite_master WHERE name = 'manifest'")
    if known.fetchone() is None:
        return None
    entries = {
        name: json.loads(value)
        for name, value in connection.execute("SELECT name, value FROM manifest")
    }
    if not entries:
        return None
    if entries.get("format") != FORMAT:
        raise StoreError(
            f"{folder}: is a store of format {entries.get('format')}; this version reads format "
            f"{FORMAT}. {rebuild_command(entries.get('argument'), folder)}"
        )
    model = entries.pop("model")
    (count,) = connection.execute("SELECT count(*) FROM pictures").fetchone()
    return Manifest(
        model=ModelIdentity(**{**model, "streams": dict(model["streams"])}),
        count=count,
        skipped=dict(connection.execute("SELECT id, reason FROM skipped ORDER BY id")),
        **entries,
    )


def read_rows(connection: sqlite3.Connection, folder: Path) -> list[StoredImage]:
    """Every row, in the order of the vectors; `StoreError` if positions are missing."""
    rows = connection.execute(
        "SELECT position, id, content_key, pixel_hash, width, height, checksum "
        "FROM pictures ORDER BY position"
    ).fetchall()
    if rows and rows[-1][0] != len(rows) - 1:
        raise StoreError(f"{folder}: rows are missing from {DATABASE}. Delete it and index again.")
    return [StoredImage(*row[1:]) for row in rows]


def rebuild_command(argument: str | None, folder: Path, model: str = "MODEL") -> str:
    """The sentence that tells how to build a store again."""
    return f"Rebuild it: python -m dwc index {argument or 'PHOTOS'} --model {model} --out {folder}"

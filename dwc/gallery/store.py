"""A gallery store on disk: its format, and a reader that searches it and finds its images again.

What a store's folder holds, shared by those who read it and those who write it.

    gallery.sqlite       one row a picture, the manifest, the pictures skipped
    vectors-<g>.f32      row after row of float32, in the order of the rows; g counts rewritings
    thumbnails/ab/….webp by content key
    writer.lock          held while someone writes

The database says how many rows count and which vector file is theirs, so that its transactions are
the only commit points: whatever else lies in the folder is left from a kill, and is cut off.

The pictures asked for last, kept as they were opened.

A gallery that was embedded: read it, search its vectors, find its pictures again.
"""

import json
import logging
import sqlite3
import zlib
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dwc.datasets.image_loading import decode, hash_pixels
from dwc.errors import ImageError, StoreError
from dwc.gallery.sources import Source, from_spec

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


# One picture is asked about several times in a row: other words, another weight, why this answer.
# Opening it costs a tenth of a query where it is decoded, and a whole one where it is drawn.
MAX_IMAGES = 16
# Larger ones are opened anew: 16 of these are 96 MB, and a strip may have fifty times as many.
MAX_PIXELS_CACHED = 2_000_000


class ImageCache:
    """At most `kept` pictures of at most `max_pixels`, by key; any number of threads may ask."""

    def __init__(self, kept: int = MAX_IMAGES, max_pixels: int = MAX_PIXELS_CACHED) -> None:
        self._kept = kept
        self._max_pixels = max_pixels
        self._pictures: OrderedDict[Hashable, Image.Image] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, open_picture: Callable[[], Image.Image]) -> Image.Image:
        """The picture of `key`, the caller's own copy; opened where it is not among the last.

        The key has to tell what the picture shows: two pictures never share one.
        """
        with self._lock:
            picture = self._pictures.get(key)
            if picture is not None:
                self._pictures.move_to_end(key)
        if picture is None:
            picture = open_picture()  # outside the lock: it takes long, and may fail
            if picture.width * picture.height > self._max_pixels:
                return picture
            with self._lock:
                self._pictures[key] = picture
                while len(self._pictures) > self._kept:
                    self._pictures.popitem(last=False)
        return picture.copy()


logger = logging.getLogger(__name__)

# Reading every vector of a 200,000 x 2,048 store takes seconds; this many, evenly spread, take
# milliseconds, and miss no file that was cut, swapped or overwritten as a whole.
CHECKED_ROWS = 2048


class GalleryImage(NamedTuple):
    """A gallery picture found again; `original` is False where only its thumbnail is left."""

    image: Image.Image
    original: bool


class Store:
    """A store opened for reading: any number of threads may use it.

    `rows` and `vectors` (n, D), float32, each stream's part unit length, are in the same order: a
    picture's index in both is its position.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        rows: list[StoredImage],
        vectors: NDArray[np.float32],
    ) -> None:
        """For `open`, which reads these from a folder."""
        self.path = path
        self.manifest = manifest
        self.rows = rows
        self.vectors = vectors
        self.ids = [row.id for row in rows]
        self._position = {id: position for position, id in enumerate(self.ids)}
        self._by_pixels: dict[str, list[int]] = defaultdict(list)
        for position, row in enumerate(rows):
            self._by_pixels[row.pixel_hash].append(position)
        self._sizes = {(row.width, row.height) for row in rows}
        self._recent = ImageCache()
        self._source: Source | None = None
        with suppress(ImageError):  # the pictures may be gone; the thumbnails are not
            self._source = from_spec(manifest.source)

    @classmethod
    def open(cls, path: str | Path) -> "Store":
        """Open a store's folder.

        Raises `StoreError` for a folder that is no store, of another format, or damaged: rows
        without vectors, or vectors that are not those written.
        """
        folder = Path(path)
        if not (folder / DATABASE).is_file():
            raise StoreError(
                f"{folder}: is not a gallery store (it has no {DATABASE}). "
                f"Build one: python -m dwc index PHOTOS --model MODEL --out {folder}"
            )
        try:
            # Not read-only: a build that was killed leaves a journal that SQLite has to roll back.
            # A write-protected file is opened for reading all the same.
            uri = f"{(folder / DATABASE).absolute().as_uri()}?mode=rw"
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                connection.execute("BEGIN")  # manifest and rows of one moment
                manifest = read_manifest(connection, folder)
                rows = read_rows(connection, folder) if manifest else []
                vectors = _map_vectors(folder, manifest, len(rows)) if manifest else None
        except sqlite3.Error as error:
            raise StoreError(
                f"{folder}: {DATABASE} cannot be read ({error}). Delete the folder and index again."
            ) from error
        if manifest is None or vectors is None:
            raise StoreError(f"{folder}: nothing was indexed yet. {rebuild_command(None, folder)}")
        store = cls(folder, manifest, rows, vectors)
        store._check(np.unique(np.linspace(0, len(rows) - 1, CHECKED_ROWS).astype(int)))
        if not manifest.complete:
            logger.warning(
                "%s: indexing was interrupted at %d pictures; the same command goes on.",
                folder,
                len(rows),
            )
        return store

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def fingerprint(self) -> str:
        """12 hex digits of its pictures, their order, and the model that made their vectors."""
        digest = sha256(self.manifest.model.fingerprint.encode())
        for row in self.rows:
            digest.update(f"{row.id}\0{row.content_key}\n".encode())
        return digest.hexdigest()[:12]

    def require_model(self, fingerprint: str, name: str) -> None:
        """Raise `StoreError` unless the model of that fingerprint made this store."""
        made_by = self.manifest.model.fingerprint
        if fingerprint != made_by:
            raise StoreError(
                f"the store was built with model {made_by}; the loaded one is {fingerprint}. "
                + rebuild_command(self.manifest.argument, self.path, name)
            )

    def verify(self) -> None:
        """Check every vector against its row; `StoreError` names the first that differs."""
        self._check(np.arange(len(self.rows)))

    def position(self, id: str) -> int:
        """Where a picture stands; `StoreError` for an id that the store has not."""
        if id not in self._position:
            raise StoreError(f"{self.path}: has no picture {id!r} among its {len(self)}.")
        return self._position[id]

    def positions_showing(self, image: Image.Image) -> list[int]:
        """The positions of all pictures with exactly these pixels (upright RGB), ascending."""
        if image.size not in self._sizes:
            return []  # spares large uploads the hashing
        return list(self._by_pixels.get(hash_pixels(image), ()))

    def positions_like(self, id: str) -> list[int]:
        """The positions of a picture and of all with the same pixels, ascending."""
        return list(self._by_pixels[self.rows[self.position(id)].pixel_hash])

    def thumbnail(self, id: str) -> Path:
        """The file of a picture's thumbnail, WebP, its longer side at most 256 px."""
        return thumbnail_file(self.path, self.rows[self.position(id)].content_key)

    def picture(self, id: str) -> GalleryImage:
        """The picture itself, upright RGB, or its thumbnail where the original is gone or changed.

        Raises `ImageError` where both are gone.
        """
        row = self.rows[self.position(id)]
        if self._source is not None:
            try:
                item = self._source.item(id)
                if item.content_key() == row.content_key:
                    image = self._recent.get((id, row.content_key), item.open)
                    return GalleryImage(image, original=True)
            except ImageError as error:
                logger.info("%s: its thumbnail stands in (%s)", id, error)
        return GalleryImage(decode(self.thumbnail(id)), original=False)

    def _check(self, positions: NDArray[np.int64]) -> None:
        for position in positions[: len(self.rows)].tolist():
            if checksum(self.vectors[position]) != self.rows[position].checksum:
                raise StoreError(
                    f"{self.path}: the vector of {self.rows[position].id!r} (row {position}) is "
                    "not the one that was written. "
                    + rebuild_command(self.manifest.argument, self.path, self.manifest.model.name)
                )


def _map_vectors(folder: Path, manifest: Manifest, count: int) -> NDArray[np.float32]:
    dimension = manifest.model.dimension
    if count == 0:
        return np.empty((0, dimension), dtype=np.float32)
    file = vector_file(folder, manifest.generation)
    size = file.stat().st_size if file.is_file() else 0
    if size < count * dimension * 4:
        raise StoreError(
            f"{file}: holds {size:,} bytes; {count:,} rows of {dimension} numbers need "
            f"{count * dimension * 4:,}. "
            + rebuild_command(manifest.argument, folder, manifest.model.name)
        )
    return np.memmap(file, dtype="<f4", mode="r", shape=(count, dimension))

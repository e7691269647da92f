"""A gallery store on disk: its file format, and a reader that gives access to rows and images.

A store is a folder with these files:

    gallery.sqlite       one row per picture, the manifest (a description of the store), the files
                         that could not be read, and the pictures' metadata
    vectors-<g>.f32      float32 vectors in the order of the rows; g is the number of rewrites
    rows-<hash>.bin      a copy of the rows and the metadata, which readers map into memory; only in
                         large stores, see `dwc.gallery.row_snapshot`
    thumbnails/ab/….webp thumbnails, named by content key
    writer.lock          locked while a process writes the store

The database determines how many rows are valid and which vector file belongs to them. Changes take
effect only when a transaction of the database is committed. Any other data in the folder is assumed
to be left over from a process that was killed, and the next build removes it.

A picture's content key is a hash of its content. The tables `files` and `file_changes` have the
size, times and inode of each file when it was last read, by which the next build decides whether to
read the file again. A picture whose file is gone keeps its row, and is listed in the table `away`,
until its removal is requested. The table `metadata` has the values of a picture as a JSON array, in
the order of the table `metadata_columns`. The table `revisions` counts the changes of rows and
metadata, by which an outdated copy is recognized. Tables that do not exist in stores of older
versions count as empty.
"""

import json
import logging
import posixpath
import sqlite3
import tempfile
import unicodedata
import zlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dwc.datasets.image_details import BLANK, ELONGATED, ISSUES, MAX_ASPECT, SMALL_SIDE
from dwc.datasets.image_kinds import ARCHIVE, advice_for
from dwc.datasets.image_loading import decode, hash_pixels
from dwc.errors import ImageError, StoreError
from dwc.files import refuse_lfs_pointer, write_bytes
from dwc.gallery.metadata import Metadata, list_some
from dwc.gallery.row_snapshot import (
    MAPPED_ROWS,
    RowSnapshot,
    StoredImage,
    StoredRows,
    is_current,
    read_snapshot,
    read_table,
    snapshot_file,
)
from dwc.gallery.sources import Source, Stamp, from_spec, is_same_gallery
from dwc.gallery.store_tables import ContentKeyTable, KnownFile
from dwc.gallery.stored_arrays import Texts
from dwc.gallery.walker import DATABASE, REASONS
from dwc.memory import collector_paused

FORMAT = 1
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
CREATE TABLE IF NOT EXISTS files (
    id          TEXT PRIMARY KEY,
    size        INTEGER NOT NULL,
    mtime_ns    INTEGER NOT NULL,
    content_key TEXT NOT NULL,
    reason      TEXT
);
CREATE TABLE IF NOT EXISTS file_changes (
    id       TEXT PRIMARY KEY,
    ctime_ns INTEGER,
    inode    INTEGER
);
CREATE TABLE IF NOT EXISTS away (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS report (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS metadata_columns (
    position INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    type     TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS metadata (id TEXT PRIMARY KEY, fields TEXT NOT NULL);
"""


@dataclass(frozen=True)
class ModelIdentity:
    """Identity of the model that computed a store's vectors.

    Attributes:
        fingerprint: Hash that identifies the model's parameters and configuration.
        name: The folder or Hub id from which the model was loaded.
        revision: The commit on the Hub; None for a folder.
        streams: The length of the vector of each stream (branch of the model), by name. The vector
            of a picture is the concatenation of the streams' vectors in this order.
        preprocessing: The settings with which pictures were preprocessed.
    """

    fingerprint: str
    name: str
    revision: str | None
    streams: dict[str, int]
    preprocessing: dict[str, Any] = field(default_factory=dict)

    @property
    def dimension(self) -> int:
        """The length of a picture's vector: the sum of the lengths of the streams' vectors."""
        return sum(self.streams.values())


@dataclass(frozen=True)
class Manifest:
    """The description of a gallery store and of its last build.

    Attributes:
        format: The version of the file format.
        model: The model that computed the vectors.
        source: The `spec` of the source of the pictures.
        argument: The argument that names the source on the command line.
        generation: How many times the vector file was rewritten.
        complete: Whether the last build was finished.
        count: Number of rows.
        skipped: The reasons why files could not be read, by id.
        left_out: Number of files and folders that were left out, by reason.
        unsupported: Number of pictures and archives that cannot be read, by format.
        away: Ids of the stored pictures whose files were missing at the last build.
        issues: The ids of the pictures that have an issue, by its name, such as "blank"; see
            `image_details.ISSUES`.
        small: Number of pictures whose width or height is below `SMALL_SIDE` pixels.
        unused_patterns: The exclude patterns without effect, with the likely reasons.
        metadata: A summary of the metadata of the pictures: `columns`, a dict from names to
            types; `missing`, the ids with metadata for which there is no picture; `without_row`,
            the number of pictures without metadata; `problems`, sentences about problems with the
            metadata; and `decimal_commas`, as in `ListedMetadata`, if there are any. Empty if there
            is no metadata.
    """

    format: int
    model: ModelIdentity
    source: dict[str, Any]
    argument: str
    generation: int
    complete: bool
    count: int
    skipped: dict[str, str]
    left_out: dict[str, int] = field(default_factory=dict)
    unsupported: dict[str, int] = field(default_factory=dict)
    away: frozenset[str] = frozenset()
    issues: dict[str, tuple[str, ...]] = field(default_factory=dict)
    small: int = 0
    unused_patterns: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Return what the last build included and left out, as JSON-compatible values.

        Returns:
            `pictures`, the number of rows; `away`, how many of them had no file at the last build;
            `left_out`, `unsupported`, `skipped`, `small` and `unused_patterns`, the attributes with
            these names; the lists in `issues` (`ignored_profiles`, `other_frames`, `incomplete`,
            `blank` and `elongated`); and the attribute `metadata` if it is not empty.
        """
        metadata = {"metadata": dict(self.metadata)} if self.metadata else {}
        return {
            "pictures": self.count,
            "away": len(self.away),
            "left_out": {name: self.left_out[name] for name in REASONS if name in self.left_out},
            "unsupported": dict(self.unsupported),
            "skipped": dict(self.skipped),
            **{name: list(self.issues.get(name, ())) for name in ISSUES},
            "small": self.small,
            "unused_patterns": dict(self.unused_patterns),
            **metadata,
        }

    def remarks(self) -> list[str]:
        """Return sentences that tell the user about problems found by the last build.

        They are about missing, unsupported and small pictures, pictures with issues, other files
        that were left out, unused exclude patterns, and the metadata. The files in `skipped` are
        not mentioned.
        """
        sentences = []
        if self.away:
            them = "it" if len(self.away) == 1 else "them"
            sentences.append(
                f"{_count(len(self.away), 'picture')} not there now: kept as away. "
                f"To remove {them}, index again with --prune."
            )
        for kind, count in sorted(self.unsupported.items()):
            noun = kind if kind == ARCHIVE else f"{kind} picture"
            sentences.append(f"{_count(count, noun)} not read. {advice_for(kind, count)}")
        sentences += self._issue_remarks()
        if self.small:
            sentences.append(
                f"{_count(self.small, 'picture')} too small to compare well: a side has fewer than "
                f"{SMALL_SIDE} pixels."
            )
        counts = [f"{self.left_out[name]} {name}" for name in REASONS if name in self.left_out]
        if counts:
            sentences.append(f"left out: {', '.join(counts)}")
        for pattern, reason in self.unused_patterns.items():
            effect = "has no effect" if pattern.lstrip()[:1] == "!" else "left nothing out"
            sentences.append(f"--exclude {pattern!r} {effect}. {reason}")
        return sentences + self._metadata_remarks()

    def _issue_remarks(self) -> list[str]:
        sentences = []
        if count := len(self.issues.get("ignored_profiles", ())):
            sentences.append(f"{_count(count, 'broken color profile')} ignored.")
        if several := self.issues.get("other_frames"):
            have = "file has" if len(several) == 1 else "files have"
            of = "" if len(several) == 1 else " of each"
            sentences.append(
                f"{len(several):,} {have} several pages or frames; one{of} is searched. To search "
                f"the others, save them as files of their own: {list_some(several)}."
            )
        if incomplete := self.issues.get("incomplete"):
            sentences.append(
                f"{_count(len(incomplete), 'picture')} possibly incomplete: a large last part of "
                "the file is zero bytes, as an interrupted download leaves it. Compare with the "
                f"original: {list_some(incomplete)}."
            )
        if blank := self.issues.get(BLANK):
            sentences.append(
                f"{_count(len(blank), 'picture')} blank: nothing can be seen but a single color: "
                f"{list_some(blank)}."
            )
        if elongated := self.issues.get(ELONGATED):
            them = "it" if len(elongated) == 1 else "each"
            sentences.append(
                f"{_count(len(elongated), 'picture')} very tall or wide (more than "
                f"{MAX_ASPECT}:1): the model reads a square, in which garments are squeezed or cut "
                f"off. Cut {them} into pictures of one garment: {list_some(elongated)}."
            )
        return sentences

    def _metadata_remarks(self) -> list[str]:
        sentences = list(self.metadata.get("problems", ()))
        if missing := self.metadata.get("missing"):
            verb = "that does" if len(missing) == 1 else "that do"
            counted = _count(len(missing), "picture").rpartition(" ")[0]
            sentences.append(
                f"The metadata lists {counted} {verb} not exist: {list_some(missing)}."
            )
        if without := self.metadata.get("without_row"):
            sentences.append(f"{_count(without, 'picture')} not listed in the metadata.")
        return sentences


class StoredState(NamedTuple):
    """What a gallery store records about pictures and files, for comparison in the next build.

    Attributes:
        content_keys: The content key (a hash of the content) of each stored picture, by id.
        files: The state of each file when it was last read, by id.
        report: Results of the last build, as JSON-compatible values by name; see `read_report`.
    """

    content_keys: Mapping[str, str]
    files: Mapping[str, KnownFile]
    report: dict[str, Any]


class IndexedPart(NamedTuple):
    """How many pictures of an incompletely indexed gallery are in its store.

    Attributes:
        pictures: Number of pictures in the store.
        total: Number of pictures of the gallery; None if it is unknown.
    """

    pictures: int
    total: int | None

    @property
    def message(self) -> str:
        """A sentence that tells the user that only this part of the gallery was searched."""
        if self.total is not None and self.pictures < self.total:
            return (
                f"Searched {self.pictures:,} of {self.total:,} pictures: the gallery is not "
                "indexed to the end yet."
            )
        return (
            f"Searched {self.pictures:,} pictures: the gallery is not indexed to the end yet; some "
            "may be missing, or have changed."
        )


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun} is" if count == 1 else f"{count:,} {noun}s are"


def vector_file(folder: Path, generation: int) -> Path:
    """Return the path of a store's vector file after `generation` rewrites."""
    return folder / f"vectors-{generation}.f32"


def thumbnail_file(folder: Path, content_key: str) -> Path:
    """Return the path of the thumbnail of a picture with a content key (a hash of the content).

    Thumbnails are in subfolders, since access to a folder with 100,000 files is slow.
    """
    return folder / THUMBNAILS / content_key[:2] / f"{content_key}.webp"


def encode_thumbnail(image: Image.Image) -> bytes:
    """Return the thumbnail of a picture: a WebP file of at most 256 by 256 pixels."""
    small = image.copy()
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    encoded = BytesIO()
    # Method 2 of the encoder gives smaller files than method 0 and is no slower.
    small.save(encoded, "WEBP", quality=85, method=2)
    return encoded.getvalue()


def checksum(vector: NDArray[np.float32]) -> int:
    """Return the CRC-32 of a vector's bytes."""
    return zlib.crc32(np.ascontiguousarray(vector, dtype="<f4").data)


def unreadable_database(folder: Path, error: sqlite3.Error) -> StoreError:
    """Return the error that reports that a store's database cannot be read, and what to do."""
    if any(text in str(error) for text in ("disk I/O error", "disk is full")):
        # The disk, a quota or the network drive fails, not the database.
        return StoreError(
            f"{folder}: {DATABASE} cannot be read or written ({error}). Check that the disk has "
            "room and can be reached; then run the command again."
        )
    return StoreError(
        f"{folder}: {DATABASE} cannot be read ({error}). Delete the folder and index again."
    )


def write_manifest(connection: sqlite3.Connection, **entries: Any) -> None:
    """Write entries of the manifest by name, inside the caller's transaction."""
    connection.executemany(
        "INSERT OR REPLACE INTO manifest VALUES (?, ?)",
        [(name, json.dumps(value)) for name, value in entries.items()],
    )


def model_entry(model: ModelIdentity) -> dict[str, Any]:
    """Return a model's identity in JSON-compatible form, for the entry `model` of the manifest."""
    # A list of pairs, since the order of the streams matters and JSON objects are unordered.
    return {**asdict(model), "streams": list(model.streams.items())}


def read_manifest(connection: sqlite3.Connection, folder: Path) -> Manifest | None:
    """Return the manifest of a store; None if nothing was ever committed to the database.

    Raises:
        StoreError: The store has another version of the file format.
    """
    entries = _read_entries(connection, "manifest")
    if not entries:
        return None
    if entries.get("format") != FORMAT:
        raise StoreError(
            f"{folder}: is a store of format {entries.get('format')}; this version reads format "
            f"{FORMAT}. {rebuild_command(entries.get('argument'), folder)}"
        )
    model = entries["model"]
    (count,) = connection.execute("SELECT count(*) FROM pictures").fetchone()
    away = read_table(connection, "SELECT id FROM away", "away")
    report = read_report(connection)
    return Manifest(
        format=FORMAT,
        model=ModelIdentity(**{**model, "streams": dict(model["streams"])}),
        source=entries["source"],
        argument=entries["argument"],
        generation=entries["generation"],
        complete=entries["complete"],
        count=count,
        skipped=dict(connection.execute("SELECT id, reason FROM skipped ORDER BY id")),
        left_out=report.get("left_out", {}),
        unsupported=report.get("unsupported", {}),
        away=frozenset(id for (id,) in away),
        issues={name: tuple(report[name]) for name in ISSUES if report.get(name)},
        small=report.get("small", 0),
        unused_patterns=report.get("unused_patterns", {}),
        metadata=report.get("metadata", {}),
    )


def read_report(connection: sqlite3.Connection) -> dict[str, Any]:
    """Read the report of the last build, a dict of results such as `unused_patterns`.

    If the last build was killed, most entries are those of the build before it. The dict is empty
    if an older version of this package wrote the store.
    """
    return _read_entries(connection, "report")


def read_files(connection: sqlite3.Connection) -> dict[str, KnownFile]:
    """Return the state (size, times and so on) that each file had when it was last read, by id.

    Stores from older versions of this package may lack the states, and the result is empty; or
    they may lack only `ctime_ns` and `inode`, which are then None.
    """
    query = "SELECT id, ctime_ns, inode FROM file_changes"
    changes = {id: change for id, *change in read_table(connection, query, "file_changes")}
    query = "SELECT id, size, mtime_ns, content_key, reason FROM files"
    return {
        id: KnownFile(Stamp(size, mtime, *changes.get(id, ())), key, reason)
        for id, size, mtime, key, reason in read_table(connection, query, "files")
    }


def read_state(folder: Path) -> StoredState:
    """Read the content keys, the states of the files and the report of the store in a folder.

    Content keys are hashes of pictures' contents. All three are empty if the folder has no store.
    """
    if not (folder / DATABASE).is_file():
        return StoredState({}, {}, {})
    with collector_paused(), closing(sqlite3.connect(folder / DATABASE)) as connection:
        if read_manifest(connection, folder) is None:
            return StoredState({}, {}, {})
        keys = read_content_keys(connection)
        return StoredState(keys, read_files(connection), read_report(connection))


def _read_entries(connection: sqlite3.Connection, table: str) -> dict[str, Any]:
    rows = read_table(connection, f"SELECT name, value FROM {table}", table)
    return {name: json.loads(value) for name, value in rows}


def read_rows(connection: sqlite3.Connection, folder: Path) -> list[StoredImage]:
    """Read a store's rows in the order of its vectors; raise `StoreError` if rows are missing."""
    rows = connection.execute(
        "SELECT id, content_key, pixel_hash, width, height, checksum "
        "FROM pictures ORDER BY position"
    ).fetchall()
    require_all_rows(connection, folder, len(rows))
    return [StoredImage._make(row) for row in rows]


def require_all_rows(connection: sqlite3.Connection, folder: Path, count: int) -> None:
    """Raise `StoreError` if rows are missing from the database of a store.

    The store has `count` rows. If none is missing, their positions are 0 to `count - 1`.
    """
    (last,) = connection.execute("SELECT max(position) FROM pictures").fetchone()
    if count and last != count - 1:
        raise StoreError(f"{folder}: rows are missing from {DATABASE}. Delete it and index again.")


def read_content_keys(connection: sqlite3.Connection) -> dict[str, str]:
    """Read the content key (a hash of the content) of each picture, by id, in the rows' order."""
    query = "SELECT id, content_key FROM pictures ORDER BY position"
    return dict(connection.execute(query))


def rebuild_command(argument: str | None, folder: Path, model: str = "MODEL") -> str:
    """Return a sentence with the command that rebuilds a store, for the end of error messages.

    Args:
        argument: The argument that names the source of the pictures; None for a placeholder.
        folder: The folder of the store.
        model: The name of the model; by default a placeholder.
    """
    return f"Rebuild it: python -m dwc index {argument or 'PHOTOS'} --model {model} --out {folder}"


# Number of cached images. Successive requests often have the same reference, with other texts or
# for explanations. Decoding an image takes a tenth of a query's time; drawing one takes as long
# as a query.
MAX_IMAGES = 16
# Images with more pixels are not cached, since some have fifty times as many. 16 images of this
# size take 96 MB.
MAX_PIXELS_CACHED = 2_000_000


class ImageCache:
    """Thread-safe cache of the `size` most recently used images.

    Images with more than `max_pixels` pixels are not cached.
    """

    def __init__(self, size: int = MAX_IMAGES, max_pixels: int = MAX_PIXELS_CACHED) -> None:
        self._size = size
        self._max_pixels = max_pixels
        self._images: OrderedDict[Hashable, Image.Image] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, open_image: Callable[[], Image.Image]) -> Image.Image:
        """Return a copy of the image with a key; open the image first if it is not cached.

        Args:
            key: Key that identifies the image; different images must have different keys.
            open_image: Function that opens the image.
        """
        with self._lock:
            image = self._images.get(key)
            if image is not None:
                self._images.move_to_end(key)
        if image is None:
            image = open_image()  # outside the lock: this is slow, and may fail
            if image.width * image.height > self._max_pixels:
                return image
            with self._lock:
                self._images[key] = image
                while len(self._images) > self._size:
                    self._images.popitem(last=False)
        return image.copy()


logger = logging.getLogger(__name__)

# Number of evenly spaced rows whose checksums are verified when a store is opened. It takes
# milliseconds, and detects a vector file that was cut, swapped or overwritten as a whole. Reading
# all vectors would take seconds for 200,000 x 2,048 numbers.
CHECKED_ROWS = 2048
_COPIED_ROWS = 4096  # vectors copied at a time: 32 MB at 2,048 dimensions


class GalleryImage(NamedTuple):
    """A picture of a gallery.

    Attributes:
        image: The decoded original, or the thumbnail if the original is not available.
        original: Whether `image` is the original.
    """

    image: Image.Image
    original: bool


class Store:
    """A gallery store that is open for reading; safe to use from several threads.

    Attributes:
        path: Folder of the store.
        manifest: Description of the store.
        vectors: Float32 vectors (n, D) in the order of `rows`. Each is the concatenation of the
            streams' unit-length vectors.
        expected: Number of pictures of the whole gallery if this process was indexing it when the
            store was opened; otherwise None.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        snapshot: RowSnapshot,
        vectors: NDArray[np.float32],
        expected: int | None = None,
    ) -> None:
        """Build the reader from a store's content; use `open` to read it from a folder."""
        self.expected = expected
        self.path = path
        self.manifest = manifest
        self._snapshot = snapshot
        self._metadata = Metadata(
            snapshot.metadata.columns,
            snapshot.metadata.count,
            manifest.metadata.get("decimal_commas", ()),
        )
        self.vectors = vectors
        self._recent = ImageCache()
        self._source: Source | None = None
        with suppress(ImageError):  # the pictures may be gone; the thumbnails remain
            self._source = from_spec(manifest.source)

    @property
    def rows(self) -> StoredRows:
        """The database rows of the n pictures. A picture's position is its index in this list."""
        return self._snapshot.rows

    @property
    def ids(self) -> Texts:
        """The ids of the n pictures, in the order of `rows` and `vectors`."""
        return self._snapshot.rows.ids

    @property
    def metadata(self) -> Metadata:
        """The metadata of the n pictures, in the order of `rows` and `vectors`."""
        return self._metadata

    @classmethod
    def open(cls, path: str | Path, expected: int | None = None) -> "Store":
        """Open the gallery store in a folder for reading.

        Args:
            path: The folder.
            expected: Number of pictures of the whole gallery, if this process is indexing it. If it
                is given, no warning is logged for an unfinished store.

        Raises:
            StoreError: The folder is not a gallery store, has no pictures indexed yet, has another
                version of the file format, or is damaged: rows or vectors are missing, or vectors
                do not match their checksums.
        """
        folder = Path(path)
        if not (folder / DATABASE).is_file():
            raise StoreError(
                f"{folder}: is not a gallery store (it has no {DATABASE}). "
                f"Build one: python -m dwc index PHOTOS --model MODEL --out {folder}"
            )
        refuse_lfs_pointer(folder / DATABASE, StoreError)
        store = cls._open(folder, expected, may_map=True)
        sample = np.unique(np.linspace(0, len(store) - 1, CHECKED_ROWS).astype(int))
        try:
            store._check(sample)
        except StoreError:
            if store._snapshot.file is None:
                raise
            store = cls._open(folder, expected, may_map=False)  # the copy may be what is damaged
            store._check(sample)
        if not store.manifest.complete and expected is None:
            logger.warning(
                "%s: indexing was interrupted at %d pictures; the same command goes on.",
                folder,
                len(store),
            )
        return store

    @classmethod
    def _open(cls, folder: Path, expected: int | None, may_map: bool) -> "Store":
        """Open a store without checking its vectors.

        Args:
            folder: The folder of the store.
            expected: Number of pictures of the whole gallery, if this process is indexing it.
            may_map: Whether the rows may be read from their copy in the folder, `rows-<hash>.bin`.
        """
        try:
            with closing(_connect(folder)) as connection:
                connection.execute("BEGIN")  # read manifest and rows in one snapshot
                manifest = read_manifest(connection, folder)
                if manifest is None:
                    raise StoreError(
                        f"{folder}: nothing was indexed yet. {rebuild_command(None, folder)}"
                    )
                generation, count = manifest.generation, manifest.count
                file = snapshot_file(connection, folder, generation, count) if may_map else None
                snapshot = read_snapshot(connection, folder, count, file, manifest.complete)
                vectors = _map_vectors(folder, manifest, len(snapshot.rows))
        except sqlite3.Error as error:
            raise unreadable_database(folder, error) from error
        return cls(folder, manifest, snapshot, vectors, expected)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def indexed_part(self) -> IndexedPart | None:
        """How many of the gallery's pictures the store has; None if the last build was finished."""
        if self.manifest.complete:
            return None
        return IndexedPart(len(self), self.expected)

    @cached_property
    def fingerprint(self) -> str:
        """Hash (12 hex digits) of the pictures in their order and of the embedding model."""
        digest = sha256(self.manifest.model.fingerprint.encode())
        for id, content_key in zip(self.ids, self.rows.content_keys, strict=True):
            digest.update(f"{id}\0{content_key}\n".encode())
        return digest.hexdigest()[:12]

    def require_model(self, fingerprint: str, name: str) -> None:
        """Raise `StoreError` unless the store's vectors were computed by the given model.

        Args:
            fingerprint: The fingerprint of the model.
            name: The name of the model, for the message.
        """
        made_by = self.manifest.model.fingerprint
        if fingerprint != made_by:
            raise StoreError(
                f"the store was built with model {made_by}; the loaded one is {fingerprint}. "
                + rebuild_command(self.manifest.argument, self.path, name)
            )

    def verify(self) -> None:
        """Verify the checksum of every vector; raise `StoreError` at the first mismatch."""
        self._check(np.arange(len(self.rows)))

    def check(self) -> None:
        """Verify the whole store: the database, every vector and every thumbnail.

        Raises:
            StoreError: Something is damaged or missing; the message says what, and how
                to repair the store.
        """
        cure = rebuild_command(self.manifest.argument, self.path, self.manifest.model.name).replace(
            "Rebuild it", "Delete the folder and rebuild it"
        )
        is_sound = True
        try:
            with closing(_connect(self.path)) as connection:
                ((report, *_), *_) = connection.execute("PRAGMA integrity_check").fetchall()
                if report == "ok":
                    is_sound = self._has_sound_copy(connection)
        except sqlite3.Error as error:
            report = str(error)
        if report != "ok":
            raise StoreError(f"{self.path}: {DATABASE} is damaged ({report}). {cure}")
        if not is_sound:
            raise StoreError(
                f"{self.path}: the copy of the rows of {DATABASE} is damaged. Delete the files "
                "rows-*.bin in the folder."
            )
        self.verify()
        damaged = [row.id for row in self.rows if not self._has_sound_thumbnail(row)]
        if damaged:
            raise StoreError(
                f"{self.path}: {len(damaged):,} of {len(self):,} thumbnails are missing or "
                f"damaged, the first is that of {damaged[0]!r}. {cure}"
            )

    def _has_sound_copy(self, connection: sqlite3.Connection) -> bool:
        """Return False if the file with a copy of the rows differs from the database.

        The copy is the file `rows-<hash>.bin` in the store's folder. The result is True if there is
        no such file for the current state of the database: an outdated copy is never read.
        """
        connection.execute("BEGIN")
        manifest = read_manifest(connection, self.path)
        if manifest is None:
            return True
        file = snapshot_file(connection, self.path, manifest.generation, manifest.count)
        if file is None or not file.exists():
            return True
        return is_current(connection, file, self.path, manifest.count)

    def _has_sound_thumbnail(self, row: StoredImage) -> bool:
        file = thumbnail_file(self.path, row.content_key)
        if self.is_drawn and not file.exists():
            return True  # it is drawn when it is shown
        try:
            decode(file)
        except ImageError:
            return False
        return True

    def position(self, id: str) -> int:
        """Return the position of the picture with an id; raise `StoreError` for an unknown id."""
        if not (positions := self.ids.find(id)):
            raise StoreError(f"{self.path}: has no picture {id!r} among its {len(self)}.")
        return positions[0]

    def complete_id(self, id: str) -> str:
        """Return the stored id that matches a given id; the given id may be spelled differently.

        Two spellings may differ in letter case, in `./` and in the Unicode form of accents. If no
        stored id or several stored ids match, the result is the given id.
        """
        return match_id(id, self.ids) or id

    def positions_showing(self, image: Image.Image) -> list[int]:
        """Return the positions of all pictures with the same pixels as an image, ascending."""
        if not self.rows.may_have_size(image.size):
            return []  # no picture has this size, so the image need not be hashed
        return self.rows.pixel_hashes.find(hash_pixels(image))

    def positions_like(self, id: str) -> list[int]:
        """Return the positions of a picture and of all pictures with the same pixels, ascending."""
        hashes = self.rows.pixel_hashes
        return hashes.find(hashes[self.position(id)])

    def id_with_content(self, content_key: str) -> str | None:
        """Return the id of the first picture with a content key; None if no picture has it.

        A content key is a hash of the content of a picture's file.
        """
        positions = self.rows.content_keys.find(content_key)
        return self.ids[positions[0]] if positions else None

    def thumbnail(self, id: str) -> Path:
        """Return the path of a picture's thumbnail, a WebP file of at most 256 by 256 pixels.

        If the gallery's pictures are drawn by this package instead of read from files (`is_drawn`),
        the thumbnail may not exist yet; the method `draw_thumbnail` creates it.
        """
        return thumbnail_file(self.path, self.rows.content_keys[self.position(id)])

    def draw_thumbnail(self, id: str) -> Path:
        """Return the path of a picture's thumbnail; draw the thumbnail first if it is missing.

        It is drawn only if the gallery's pictures are drawings (`is_drawn`).

        Raises:
            ImageError: The thumbnail's file cannot be written.
        """
        path = self.thumbnail(id)
        if self.is_drawn and not path.exists():
            assert self._source is not None
            thumbnail = encode_thumbnail(self._source.item(id).open())
            try:
                write_bytes(path, thumbnail)
            except OSError as error:
                raise ImageError(f"{path}: cannot be written ({error.strerror}).") from error
        return path

    @property
    def is_drawn(self) -> bool:
        """Whether the pictures are drawn by Python code instead of decoded from files."""
        return self._source is not None and self._source.computed

    def picture(self, id: str) -> GalleryImage:
        """Return the decoded picture, or its thumbnail if the original is missing or changed.

        Raises:
            ImageError: Both the original and the thumbnail are missing.
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
        return GalleryImage(decode(self.draw_thumbnail(id)), original=False)

    @property
    def away(self) -> frozenset[str]:
        """The ids of the pictures whose files were missing at the last build."""
        return self.manifest.away

    def restrict(self, ids: Collection[str]) -> "Store":
        """Return a gallery store with only those pictures whose ids are in `ids`.

        The result is this object itself if no picture is left out.
        """
        if ids == self.ids:
            return self
        wanted = set(ids)
        positions = np.array([n for n, id in enumerate(self.ids) if id in wanted], dtype=np.int64)
        if len(positions) == len(self):
            return self
        snapshot = self._snapshot.select(positions)
        vectors = _select_vectors(self.vectors, positions)
        return Store(self.path, self.manifest, snapshot, vectors, self.expected)

    def _check(self, positions: NDArray[np.int64]) -> None:
        checksums = self.rows.checksums
        for position in positions[: len(self)].tolist():
            if checksum(self.vectors[position]) != checksums[position]:
                raise StoreError(
                    f"{self.path}: the vector of {self.ids[position]!r} (row {position}) is "
                    "not the one that was written. "
                    + rebuild_command(self.manifest.argument, self.path, self.manifest.model.name)
                )


def match_id(id: str, ids: Collection[str]) -> str | None:
    """Return the id among `ids` that matches the given id, possibly in another spelling.

    These comparisons are made one after the other, until one of them finds a match:

    1. The ids are equal.
    2. The ids are equal apart from the Unicode form of accented letters, `./` and doubled slashes.
    3. The ids are equal apart from these differences and from upper and lower case.

    Returns:
        The matching id. None if no id matches, or if several ids match in the comparison at which
        the search ended.
    """
    if id in ids:
        return id
    for simplify in (_simplify_id, _simplify_id_and_case):
        wanted = simplify(id)
        alike = [other for other in ids if simplify(other) == wanted]
        if alike:
            return alike[0] if len(alike) == 1 else None
    return None


def _simplify_id(id: str) -> str:
    return unicodedata.normalize("NFC", posixpath.normpath(id))


def _simplify_id_and_case(id: str) -> str:
    return _simplify_id(_simplify_id(id).casefold())


def _map_vectors(folder: Path, manifest: Manifest, count: int) -> NDArray[np.float32]:
    dimension = manifest.model.dimension
    if count == 0:
        return np.empty((0, dimension), dtype=np.float32)
    file = vector_file(folder, manifest.generation)
    refuse_lfs_pointer(file, StoreError)
    size = file.stat().st_size if file.is_file() else 0
    if size < count * dimension * 4:
        raise StoreError(
            f"{file}: holds {size:,} bytes; {count:,} rows of {dimension} numbers need "
            f"{count * dimension * 4:,}. "
            + rebuild_command(manifest.argument, folder, manifest.model.name)
        )
    return np.memmap(file, dtype="<f4", mode="r", shape=(count, dimension))


def _select_vectors(
    vectors: NDArray[np.float32], positions: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the vectors (m, D) at m positions in the given vectors (n, D).

    If m is at least `MAPPED_ROWS`, the result is a memory map of a temporary file.
    """
    if len(positions) < MAPPED_ROWS:
        return vectors[positions]
    with tempfile.TemporaryFile() as file:
        for start in range(0, len(positions), _COPIED_ROWS):
            file.write(vectors[positions[start : start + _COPIED_ROWS]].data)
        file.flush()
        shape = (len(positions), vectors.shape[1])
        return np.memmap(file, dtype="<f4", mode="r", shape=shape)


def find_store(folder: Path, fingerprint: str, source: Source) -> Path | None:
    """Find the gallery store that belongs to a source, among the stores in a folder.

    Stores are compared with the source by `is_same_gallery`, not by name, so that the store of a
    folder of pictures is found after that folder is renamed or moved. Stores that cannot be read
    are skipped.

    Args:
        folder: Folder that contains the stores, whose names end in `-<model fingerprint>`.
        fingerprint: Fingerprint of the model that computed the vectors.
        source: Source of the gallery's pictures.

    Returns:
        The path of the first such store in order of their names; None if there is none.
    """
    for path in sorted(folder.glob(f"*-{fingerprint}")):
        with suppress(StoreError, OSError, sqlite3.Error, KeyError):
            with closing(_connect(path)) as connection:
                manifest = read_manifest(connection, path)
                keys = ContentKeyTable(connection)
                is_found = manifest is not None and is_same_gallery(manifest.source, source, keys)
            if is_found:
                return path
    return None


class ListedStore(NamedTuple):
    """Facts about one gallery store in a list of stores.

    Attributes:
        path: Folder of the store.
        argument: Command-line argument that names the source of the pictures.
        model: Name of the model.
        pictures: Number of pictures.
        bytes: Size of the store on disk, in bytes.
        orphan: Whether the source of the pictures is a folder that no longer exists.
    """

    path: Path
    argument: str
    model: str
    pictures: int
    bytes: int
    orphan: bool


def list_stores(folder: Path) -> list[ListedStore]:
    """Return facts about the gallery stores in a folder (such as a cache), sorted by name.

    Stores that cannot be read are left out.
    """
    stores = []
    for path in sorted(folder.glob("*")):
        if not (path / DATABASE).is_file():
            continue
        with suppress(StoreError, OSError, sqlite3.Error, KeyError):
            with closing(_connect(path)) as connection:
                manifest = read_manifest(connection, path)
            if manifest is not None:
                origin = manifest.source.get("folder")
                size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                orphan = origin is not None and not Path(origin).is_dir()
                name = manifest.model.name
                stores.append(
                    ListedStore(path, manifest.argument, name, manifest.count, size, orphan)
                )
    return stores


def _connect(folder: Path) -> sqlite3.Connection:
    # The database is opened for writing, because a killed build leaves a journal that SQLite has to
    # roll back. In this mode, SQLite opens a write-protected file as read-only.
    return sqlite3.connect(f"{(folder / DATABASE).absolute().as_uri()}?mode=rw", uri=True)

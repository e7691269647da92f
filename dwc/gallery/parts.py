"""Embedding of one gallery by several processes, on one or several hosts with a common folder.

Each process embeds its share of the pictures into a part: a gallery store of its own in the folder
`STORE.parts` beside the gallery store. Then one process adds the pictures of all parts to the
gallery store, and removes the parts. The gallery store is then the same as if a single process had
built it. The next run, with any number of processes, uses the parts that a killed run left behind.
"""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dwc.datasets.image_loading import DECODER_VERSION, RENDERING_VERSION
from dwc.errors import ImageError, StoreError
from dwc.files import write_json
from dwc.gallery.builder import (
    BuildResult,
    Embed,
    EmbeddedPicture,
    Progress,
    check_gallery,
    sort_items,
    update_store,
)
from dwc.gallery.sources import Item, Listing, Source, is_same_gallery
from dwc.gallery.store import (
    DATABASE,
    ModelIdentity,
    checksum,
    read_files,
    read_manifest,
    read_rows,
    read_state,
    thumbnail_file,
    unreadable_database,
    vector_file,
)
from dwc.gallery.store_writer import StoreWriter, lock_folder
from dwc.memory import collector_paused

_SETTINGS = "settings.json"


class Share(NamedTuple):
    """The pictures that one process embeds.

    Attributes:
        items: The pictures. After a killed run, some of them may already be embedded in the part
            of this process. A part is a gallery store with the pictures of one process.
        left_to_others: Content keys (hashes of the content) of the pictures that are already in the
            gallery store; these pictures are not embedded again.
        plan: A text with the number and a hash of the pictures that are in no part yet. The
            processes compare their texts to check that all of them list the same pictures.
    """

    items: list[Item]
    left_to_others: frozenset[str]
    plan: str


def parts_folder(path: str | Path) -> Path:
    """Return the folder for the parts of the gallery store at `path`.

    A part is a gallery store of its own, with the pictures that one process embeds.
    """
    resolved = Path(path).resolve()
    return resolved.with_name(f"{resolved.name}.parts")


def part_folder(path: str | Path, index: int) -> Path:
    """Return the folder for the part that one process makes.

    A part is a gallery store of its own, with the pictures that the process embeds.

    Args:
        path: Folder of the gallery store to which the part belongs.
        index: The number of the process, from 0.
    """
    return parts_folder(path) / f"{index:04}"


@contextmanager
def locked_parts(path: str | Path) -> Iterator[None]:
    """Lock the folder of a gallery store's parts against other runs; create a missing folder.

    A part is a gallery store with the pictures that one process embeds. When the context ends, the
    folder is unlocked, and removed if it has no parts.

    Raises:
        StoreError: Another run has locked the folder.
    """
    folder = parts_folder(path)
    folder.mkdir(parents=True, exist_ok=True)
    lock = lock_folder(folder)
    try:
        yield
    finally:
        lock.close()
        if not any(folder.glob(f"*/{DATABASE}")):
            shutil.rmtree(folder, ignore_errors=True)


def prepare_parts(source: Source, path: str | Path, model: ModelIdentity) -> None:
    """Check that the existing store and parts, if any, belong to this source and this model.

    A part is a gallery store with the pictures that one process embeds. Parts exist already if an
    earlier run was killed. One process, which has locked the folder of the parts, calls this
    function before any process calls `plan_share`. If the folder has no record of a source and a
    model yet, this source and this model are recorded.

    Raises:
        StoreError: The store or the parts belong to another model or gallery, the parts were made
            by another version of the image decoding, or another process is writing the store.
    """
    if Path(path).exists():
        check = partial(check_gallery, path, source)
        with StoreWriter(path, model, source.spec, source.argument, check):
            pass  # opening it checks the model, the source and the vectors
    settings = {
        "model": model.fingerprint,
        "source": source.spec,
        "decoder": DECODER_VERSION,
        "rendering": RENDERING_VERSION,
    }
    file = parts_folder(path) / _SETTINGS
    if file.is_file():
        former = _read_settings(file)
        changed = [name for name, value in settings.items() if former.get(name) != value]
        if "source" in changed and is_same_gallery(former.get("source", {}), source, {}):
            changed.remove("source")  # for example, other pictures are excluded
        if changed:
            raise StoreError(
                f"{file.parent}: has parts of an earlier run with another {changed[0]} "
                f"({former.get(changed[0])}; now {settings[changed[0]]}). Go on with the former "
                "command, or delete the folder."
            )
    else:
        write_json(file, settings)


def _read_settings(file: Path) -> dict[str, Any]:
    try:
        settings = json.loads(file.read_bytes())
    except ValueError as error:
        raise StoreError(f"{file}: cannot be read ({error}). Delete {file.parent}.") from error
    return settings if isinstance(settings, dict) else {}


def plan_share(source: Source, path: str | Path, index: int, count: int) -> Share:
    """Choose the pictures that one of several processes embeds.

    Every process calls this function before any process begins to embed. No picture is in two
    shares. A picture that process `index` of an earlier, killed run has embedded is in the share of
    process `index` again. The other pictures are divided equally, with a difference of at most one.

    Args:
        source: The source of the pictures.
        path: Folder of the gallery store.
        index: The number of the process, from 0 to `count - 1`.
        count: The number of processes.
    """
    with collector_paused():
        items = source.list().items
    state = read_state(Path(path))
    sorted_items = sort_items(items, state, source.computed)
    stale = {item.id for item in sorted_items.stale}
    new = {item.id for item in sorted_items.new}
    embedded = EmbeddedParts(path)
    own, rest = [], []
    for item in items:
        if item.id in stale or item.id in new:
            part = embedded.part_of(item)
            if part is None:
                rest.append(item)
            elif part == part_folder(path, index):
                own.append(item)
    digest = hashlib.blake2b(digest_size=16)
    for item in rest:
        digest.update(f"{item.id}\0".encode())
    known = frozenset(state.content_keys.values())
    return Share(own + rest[index::count], known, f"{len(rest)} {digest.hexdigest()}")


def embed_share(
    share: Share,
    source: Source,
    embed: Embed,
    path: str | Path,
    model: ModelIdentity,
    index: int,
    batch_size: int,
    workers: int,
    progress: Progress | None = None,
) -> int:
    """Embed the pictures of one process, and store them in its part (a gallery store of its own).

    Args:
        share: The pictures.
        source: The source of the pictures.
        embed: Function that embeds images with the model.
        path: Folder of the gallery store.
        model: Identity of the model.
        index: The number of the process, from 0.
        batch_size: Number of pictures that are embedded and committed together.
        workers: Number of threads that read and decode pictures.
        progress: Callback, called at the beginning and whenever pictures are finished.

    Returns:
        The number of pictures in the part.
    """
    if not share.items:
        return 0
    result = update_store(
        _ShareSource(source, share.items),
        embed,
        part_folder(path, index),
        model,
        batch_size,
        workers,
        progress,
        left_to_others=share.left_to_others,
    )
    return len(result.store)


def join_parts(
    source: Source,
    embed: Embed,
    path: str | Path,
    model: ModelIdentity,
    batch_size: int,
    progress: Progress | None = None,
    prune: bool = False,
    expected: Sequence[int] = (),
) -> BuildResult:
    """Update a gallery store with the pictures that several processes have embedded.

    Each process has written its pictures to a store of its own, called a part. Pictures of the
    source that are in neither the gallery store nor a part are embedded now. At the end, the parts
    are removed. The caller has locked the folder of the parts.

    Args:
        source: The source of the pictures.
        embed: Function that embeds images with the model.
        path: Folder of the gallery store.
        model: Identity of the model.
        batch_size: Number of pictures that are committed together.
        progress: Callback, called at the beginning and whenever pictures are finished.
        prune: Whether to remove pictures whose files no longer exist; otherwise they are kept.
        expected: The least number of pictures in each part, in the order of the processes. If it is
            empty, the numbers are not checked.

    Raises:
        StoreError: A part has fewer pictures than expected, or `update_store` raises this error.
    """
    parts = EmbeddedParts(path)
    for index, count in enumerate(expected):
        present = parts.count(part_folder(path, index))
        if present < count:
            raise StoreError(
                f"{part_folder(path, index)}: has {present:,} of the {count:,} pictures that "
                f"process {index + 1} of {len(expected)} embedded. The folder of the store has to "
                "be one that all hosts share. Then run the same command again."
            )
    result = update_store(
        source,
        embed,
        path,
        model,
        batch_size,
        progress=progress,
        prune=prune,
        find_embedded=parts.find if parts else None,
    )
    shutil.rmtree(parts_folder(path), ignore_errors=True)
    return result


class EmbeddedParts:
    """The embedded pictures in the parts of a gallery store.

    A part is a gallery store of its own, with the pictures that one process has embedded.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the parts of the gallery store at `path`.

        There may be no parts.
        """
        self._path = Path(path)
        folders = sorted(file.parent for file in parts_folder(path).glob(f"*/{DATABASE}"))
        self._parts = [_Part(folder) for folder in folders]
        self._located = {
            row.id: (part, position)
            for part in self._parts
            for position, row in enumerate(part.rows)
        }

    def __len__(self) -> int:
        return len(self._located)

    def count(self, folder: Path) -> int:
        """Return the number of pictures in the part whose folder is `folder`; 0 if there is none.

        A part is a gallery store with the pictures that one process has embedded.
        """
        return sum(len(part.rows) for part in self._parts if part.folder == folder)

    def part_of(self, item: Item) -> Path | None:
        """Return the folder of the part that has a picture; None if no part has it.

        A part is a gallery store with the pictures that one process has embedded. A picture that
        `find` would reject, for example because it has changed, counts as missing.
        """
        return None if self.find(item) is None else self._located[item.id][0].folder

    def find(self, item: Item) -> EmbeddedPicture | None:
        """Return what the process that embedded a picture has saved: row, vector and thumbnail.

        The result is None if no process has embedded the picture, if the picture has changed since
        then, if its vector is missing or damaged, or if its thumbnail is missing.
        """
        if item.id not in self._located:
            return None
        part, position = self._located[item.id]
        row, file = part.rows[position], part.files.get(item.id)
        is_unchanged = file is not None and file[:2] == (item.stamp, row.content_key)
        vector = part.vector(position)
        thumbnail = thumbnail_file(part.folder, row.content_key)
        if not is_unchanged and not _has_content(item, row.content_key):
            return None
        if vector is None or checksum(vector) != row.checksum:
            return None
        # A run that was killed while it joined the parts may have moved the thumbnail already.
        if not thumbnail.is_file() and not thumbnail_file(self._path, row.content_key).is_file():
            return None
        return EmbeddedPicture(row, vector, thumbnail, part.issues(item.id))


class _Part:
    """A part of a gallery store: the pictures that one process has embedded.

    If the process was killed, the part may be incomplete.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            with closing(sqlite3.connect(folder / DATABASE)) as connection, collector_paused():
                connection.execute("BEGIN")
                self._manifest = read_manifest(connection, folder)
                self.rows = read_rows(connection, folder) if self._manifest else []
                self.files = read_files(connection)
        except sqlite3.Error as error:
            raise unreadable_database(folder, error) from error
        issues = self._manifest.issues if self._manifest else {}
        self._issues = {name: frozenset(ids) for name, ids in issues.items()}

    def issues(self, id: str) -> frozenset[str]:
        """Return the issues of a picture, such as "incomplete" and "blank".

        All names are in `image_details.ISSUES`.
        """
        return frozenset(name for name, ids in self._issues.items() if id in ids)

    def vector(self, position: int) -> NDArray[np.float32] | None:
        """Return the vector (D,) of the picture at a position; None if it is missing."""
        return self._vectors[position] if position < len(self._vectors) else None

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        assert self._manifest is not None  # otherwise there are no rows
        dimension = self._manifest.model.dimension
        file = vector_file(self.folder, self._manifest.generation)
        count = file.stat().st_size // (4 * dimension) if file.is_file() else 0
        if not count:
            return np.empty((0, dimension), dtype=np.float32)
        mapped = np.memmap(file, dtype="<f4", mode="r", shape=(count, dimension))
        return mapped.view(np.ndarray)  # indexing a memory map is slow


def _has_content(item: Item, content_key: str) -> bool:
    try:
        return item.content_key() == content_key
    except ImageError:
        return False


class _ShareSource:
    """A source with only a share of another source's pictures: those that one process embeds."""

    def __init__(self, source: Source, items: Sequence[Item]) -> None:
        self.computed = source.computed
        self._source, self._items = source, items

    @property
    def argument(self) -> str:
        return self._source.argument

    @property
    def spec(self) -> dict[str, Any]:
        return self._source.spec

    def list(self) -> Listing:
        return Listing(self._items)

    def items(self) -> Sequence[Item]:
        return self._items

    def item(self, id: str) -> Item:
        return self._source.item(id)

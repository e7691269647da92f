"""Build a gallery store from a source of pictures, or update an existing store.

Pictures are identified by their content. A file whose size, times and inode are unchanged is not
opened again. A file that was moved or copied gets the vector already stored for its content.
If a picture's file is missing, the picture keeps its row in the store, because the file may be on a
drive that is not connected. The argument `prune` removes such rows.

The default gallery consists of drawn garments. Drawing and embedding them takes a minute or more on
two cores, so a checkpoint's folder may contain their precomputed vectors. These float16 vectors are
in a safetensors file; the metadata of this file has the rows of the gallery store for which the
vectors were computed. The web page builds its gallery store from the file, and draws each garment
when the garment is shown for the first time. The file is valid for one model. Each row is valid for
one version of the drawing code, because the row's content key is a hash of everything that
determines the drawing.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from dwc.datasets.image_details import ISSUES, SMALL_SIDE, find_issues
from dwc.datasets.image_kinds import ARCHIVE, UndecodableImageError, UnsupportedImageError
from dwc.datasets.image_loading import DECODER_VERSION, RENDERING_VERSION, hash_pixels
from dwc.datasets.image_prefetch import background_process, prefetched, worker_pool
from dwc.errors import ImageError, StoreError
from dwc.files import LFS_CURE, is_lfs_pointer, write_bytes
from dwc.gallery.listed_files import ListedFiles, SelectedItems
from dwc.gallery.sources import Item, Listing, Source, Stamp, from_spec, is_same_gallery
from dwc.gallery.store import (
    DATABASE,
    KnownFile,
    Manifest,
    ModelIdentity,
    Store,
    StoredImage,
    StoredState,
    encode_thumbnail,
    thumbnail_file,
)
from dwc.gallery.store_tables import select_values
from dwc.gallery.store_writer import StoreWriter
from dwc.gallery.stored_arrays import Texts
from dwc.gallery.walker import (
    EXCLUDED,
    KIND_NOT_SUPPORTED,
    MISSING,
    NOT_DOWNLOADED,
    OWN_STORE,
    REASONS,
    UNREADABLE,
    placeholder_id,
)
from dwc.memory import collector_paused

logger = logging.getLogger(__name__)

Embed = Callable[[Sequence[Image.Image]], NDArray[np.float32]]
"""Function that embeds n upright sRGB images as float32 vectors (n, D).

A vector concatenates the vectors of all streams, each of unit length; D is the sum of their sizes.
"""

Progress = Callable[[int, int, float], None]
"""Callback for progress.

Its arguments are the number of finished pictures, the total number, and the estimated seconds left.
"""

# A file that was modified less than 2 s before it was read may change again and still have the same
# modification time, since file systems store it in steps of up to 2 s. The same holds for times up
# to an hour in the future, since a file server's clock may be ahead. For such a file `_UNSETTLED`
# is recorded as the modification time, so that the next build reads the file again.
_UNSETTLED_NS = 2_000_000_000
_CLOCK_AHEAD_NS = 3_600_000_000_000
_UNSETTLED = -1
_COMPARED_AT_ONCE = 2_000  # pictures whose state is read from the database at a time


class PrecomputedVector(NamedTuple):
    """A picture's row for the gallery store, and the picture's float16 vector (D,)."""

    row: StoredImage
    vector: NDArray[np.float16]


class EmbeddedPicture(NamedTuple):
    """A picture that another process embedded.

    Attributes:
        row: The picture's row for the gallery store.
        vector: The vector (D,) of the picture.
        thumbnail: The file of the thumbnail. The build moves it into the store.
        issues: Names of the picture's issues, such as "blank"; see `image_details.ISSUES`.
    """

    row: StoredImage
    vector: NDArray[np.float32]
    thumbnail: Path
    issues: frozenset[str]


FindEmbedded = Callable[[Item], EmbeddedPicture | None]
"""Function that returns the row, vector and thumbnail of a picture that another process embedded.

The result is None if no other process embedded the picture, if the picture has changed since, or if
its thumbnail is missing.
"""


class BuildResult(NamedTuple):
    """The result of a build: the gallery store, and how many pictures were embedded and removed."""

    store: Store
    embedded: int
    removed: int


class _Prepared(NamedTuple):
    """A decoded picture to embed, with its thumbnail and its row for the gallery store.

    `issues` has the names of the picture's issues, such as "blank"; see `image_details.ISSUES`.
    """

    item: Item
    row: StoredImage
    image: Image.Image
    thumbnail: bytes
    issues: frozenset[str]


class _Embedded(NamedTuple):
    """A picture of the source, with the row, vector and thumbnail that another process computed."""

    item: Item
    picture: EmbeddedPicture


class _Known(NamedTuple):
    """A picture that need not be embedded, since the vector of its content is already stored."""

    item: Item
    content_key: str


class _Unreadable(NamedTuple):
    """A picture that could not be read.

    Attributes:
        item: The picture.
        reason: Why the picture could not be read.
        kind: The picture's format if the format is not supported; otherwise None.
        is_permanent: Whether the file's content is the cause. If so, reading the same content again
            would fail again.
    """

    item: Item
    reason: str
    kind: str | None
    is_permanent: bool

    @classmethod
    def from_error(cls, item: Item, error: ImageError) -> "_Unreadable":
        kind = error.kind if isinstance(error, UnsupportedImageError) else None
        return cls(item, str(error), kind, isinstance(error, UndecodableImageError))


_Result = _Prepared | _Embedded | _Known | _Unreadable


def build_store(
    source: Source,
    embed: Embed,
    path: str | Path,
    model: ModelIdentity,
    batch_size: int = 32,
    workers: int | None = None,
    progress: Progress | None = None,
    prune: bool = False,
    precomputed: Mapping[str, PrecomputedVector] | None = None,
) -> Store:
    """Create or update the gallery store at `path`, and return it opened for reading.

    Args:
        source: The source of the pictures.
        embed: Function that embeds images with the model.
        path: Folder of the store.
        model: Identity of the model, recorded in the store.
        batch_size: Number of pictures that are embedded and committed together.
        workers: Number of threads that read and decode pictures; by default one per core.
        progress: Callback, called at the beginning and whenever pictures are finished.
        prune: Whether to remove pictures whose files no longer exist; otherwise they are kept.
        precomputed: Rows and vectors that were computed earlier for drawn garments, by content key
            (a hash of the content). These garments are neither drawn nor embedded again.

    Raises:
        ImageError: The source has no pictures.
        StoreError: The folder cannot be used for this store; `update_store` lists the cases. Or
            `prune` is true, and none of the stored pictures is in the source any more.
    """
    result = update_store(
        source, embed, path, model, batch_size, workers, progress, prune, precomputed
    )
    return result.store


def update_store(
    source: Source,
    embed: Embed,
    path: str | Path,
    model: ModelIdentity,
    batch_size: int = 32,
    workers: int | None = None,
    progress: Progress | None = None,
    prune: bool = False,
    precomputed: Mapping[str, PrecomputedVector] | None = None,
    find_embedded: FindEmbedded | None = None,
    left_to_others: Collection[str] = (),
) -> BuildResult:
    """Update the gallery store at `path` to match a source; create a store if there is none.

    Each batch is committed when it is finished. If the process is killed, a later call with the
    same arguments continues after the last committed batch.

    Args:
        source: The source of the pictures.
        embed: Function that embeds images with the model.
        path: Folder of the store.
        model: Identity of the model, recorded in the store.
        batch_size: Number of pictures that are embedded and committed together.
        workers: Number of threads that read and decode pictures while the model runs; by default
            one per core. The catalogue's garments are drawn in other processes, so a script that
            builds a store of the catalogue needs an `if __name__ == "__main__"` guard.
        progress: Callback, called at the beginning and whenever pictures are finished.
        prune: Whether to remove pictures whose files no longer exist; otherwise these pictures keep
            their rows, and are listed in `Store.away`.
        precomputed: Rows and vectors that were computed earlier for drawn garments, by content key
            (a hash of the content). These garments are neither drawn nor embedded again.
        find_embedded: Function that looks up a picture among those that other processes embedded;
            None if there are no such pictures.
        left_to_others: Content keys (hashes of the content) of pictures that this build skips: it
            does not embed them, and adds no rows for them.

    Raises:
        ImageError: The source is the folder of a gallery store, or the source lists no pictures.
            An empty source is accepted if no exclude pattern left anything out and the store has
            pictures of this source, since their drive may not be connected.
        StoreError: The folder has files but is not a store, is the store of another model or
            gallery, or is being written by another process. Or `prune` is true, and none of the
            stored pictures is in the source any more. In this last case, no picture is removed,
            but new pictures are added before the error is raised.
    """
    with collector_paused():
        listing = source.list()
    if "." in listing.left_out and listing.left_out["."].reason == OWN_STORE:
        raise ImageError(_describe_store(source.argument))
    if not listing.items and (EXCLUDED in listing.reasons or not _has_rows(path, source)):
        raise ImageError(f"{source.argument}: has no pictures in it. {_describe_nothing(listing)}")
    check = partial(check_gallery, path, source)
    with StoreWriter(path, model, source.spec, source.argument, check) as writer:
        build = _Build(
            writer,
            source,
            listing,
            embed,
            batch_size,
            workers or os.cpu_count() or 1,
            precomputed or {},
            find_embedded,
            frozenset(left_to_others),
        )
        build.run(progress, prune)
    if build.unpruned:
        raise StoreError(
            f"{source.argument}: none of the {build.unpruned:,} pictures in {path} is there any "
            "more, so --prune removed none of them: the folder may be on a drive that is not "
            f"there now. If the pictures are really gone, delete {path}, and index again if there "
            "are new ones."
        )
    return BuildResult(Store.open(path), build.embedded, build.removed)


class _Build:
    """One build, which updates the rows of a gallery store to match the pictures of a source."""

    def __init__(
        self,
        writer: StoreWriter,
        source: Source,
        listing: Listing,
        embed: Embed,
        batch_size: int,
        workers: int,
        precomputed: Mapping[str, PrecomputedVector],
        find_embedded: FindEmbedded | None,
        left_to_others: frozenset[str],
    ) -> None:
        self.embedded = self.removed = 0
        self.unpruned = 0  # number of pictures whose files are gone, if all are and none is removed
        self._precomputed = precomputed if source.computed else {}
        self._find_embedded, self._left_to_others = find_embedded, left_to_others
        self._writer, self._listing, self._embed = writer, listing, embed
        self._computed = source.computed
        self._batch_size, self._workers = batch_size, workers
        self._unsupported = dict(listing.unsupported)
        self._issues = {name: set(writer.report.get(name, ())) for name in ISSUES}
        self._has_unsaved_issues = False
        self._gone_by_key: dict[str, list[str]] = {}

    def run(self, progress: Progress | None, prune: bool) -> None:
        """Check stored pictures, embed new and changed ones, and save the build's results."""
        writer, listing = self._writer, self._listing
        for entry in listing.left_out.values():
            if entry.message is not None:
                writer.skip(entry.id, entry.message)
        keys, stored = writer.content_keys, len(writer.rows)
        with collector_paused():
            settled, stale, new = self._sort()
            gone, dropped = self._missing()
        are_all_gone = stored > 0 and len(gone) == stored
        for id, key in keys.select(gone).items():
            self._gone_by_key.setdefault(key, []).append(id)
        # Only metadata need the ids of all listed pictures at once, and they take more memory.
        has_metadata = listing.metadata is not None and listing.metadata.columns
        present = frozenset(_ids(listing.items)) if has_metadata else frozenset()
        if listing.metadata is not None:
            writer.write_metadata(listing.metadata, present)
        clock = _Clock(settled, len(listing.items), progress)
        changed = self._check(stale, clock)
        self._embed_items(self._append_precomputed(new, clock), clock)
        if prune:
            remaining = self._remaining(gone)
            if are_all_gone and len(remaining) == stored:
                self.unpruned = len(remaining)
            else:
                dropped |= remaining
        self._replace_rows(changed, dropped)
        self._embed_items([item for item, _ in changed.values()], clock)
        self.removed += len(changed) - len(keys.select(changed))  # not readable any more
        away = list(_unlisted(keys, listing.items))
        writer.finish(away=away, report=self._report(present))

    def _sort(self) -> tuple[int, Sequence[Item], Sequence[Item]]:
        """Divide the listed pictures into unchanged, possibly changed and new pictures.

        Returns:
            The number of unchanged pictures, which include unchanged files that cannot be decoded;
            the stored pictures that may have changed; and the new pictures, which include those
            whose files the last build could not read.
        """
        writer = self._writer
        state = StoredState(writer.content_keys, writer.files, writer.report)
        sorted_items = sort_items(self._listing.items, state, self._computed)
        for id, file in sorted_items.restamped.items():
            writer.note_file(id, file)
        for item in sorted_items.undecodable:
            writer.skip(item.id, writer.files[item.id].reason or "")
        settled = sorted_items.unchanged + len(sorted_items.undecodable)
        return settled, sorted_items.stale, sorted_items.new

    def _missing(self) -> tuple[list[str], set[str]]:
        """Find the stored pictures that the source does not list any more.

        Returns:
            The ids of pictures whose files are gone; and the ids of pictures that are left out now,
            for example by an exclude pattern. Neither includes pictures that exist but cannot be
            read now, because the file or folder is unreadable, the format is not supported, or the
            file is only in iCloud.
        """
        gone, dropped = [], set()
        for id in _unlisted(self._writer.content_keys, self._listing.items):
            reason = _reason_left_out(id, self._listing)
            if reason is None or reason == MISSING:
                gone.append(id)
            elif reason not in (UNREADABLE, NOT_DOWNLOADED, KIND_NOT_SUPPORTED):
                dropped.add(id)
        return gone, dropped

    def _check(self, stale: Sequence[Item], clock: "_Clock") -> dict[str, tuple[Item, str]]:
        """Compare stored pictures with their files, which may have changed.

        Returns:
            The changed pictures and their new content keys (hashes of the content), by id.
        """
        writer = self._writer
        again = not self._computed and writer.report.get("rendering") != RENDERING_VERSION
        changed: dict[str, tuple[Item, str]] = {}
        with ThreadPoolExecutor(self._workers) as pool:
            for start in range(0, len(stale), _COMPARED_AT_ONCE):
                block = stale[start : start + _COMPARED_AT_ONCE]
                rows = writer.rows.with_ids(item.id for item in block)
                work = partial(_compare, rows=rows, decode_again=again)
                results = prefetched(pool, work, block, window=4 * self._workers)
                for item, result in zip(block, results, strict=True):
                    if isinstance(result, _Unreadable):
                        writer.skip(item.id, result.reason)
                        self._count_kind(result)
                    elif isinstance(result, str):
                        changed[item.id] = (item, result)
                        continue
                    else:
                        if result is not None:
                            self._record_issues(item.id, result)
                        self._note(item, rows[item.id].content_key)
                    clock.advance(1)
        return changed

    def _append_precomputed(self, items: Sequence[Item], clock: "_Clock") -> Sequence[Item]:
        """Add the pictures with precomputed vectors to the store; return the other pictures."""
        if not self._precomputed:
            return items
        rows, vectors, others = [], [], []
        for item in items:
            precomputed = self._precomputed.get(item.content_key())
            if precomputed is None or precomputed.row.id != item.id:
                others.append(item)
            else:
                rows.append(precomputed.row)
                vectors.append(precomputed.vector)
        if rows:
            self._writer.append(rows, np.stack(vectors).astype(np.float32))
            clock.advance(len(rows))
        return others

    def _embed_items(self, items: Sequence[Item], clock: "_Clock") -> None:
        """Embed pictures, and add them to the store in batches.

        A picture whose content is already in the store gets the stored vector.
        """
        if not items:
            return
        stored = self._writer.snapshot().content_keys
        known: Collection[str] = stored
        if self._computed:
            # Drawings are all different. So they need no known keys, which would be copied to each
            # process.
            known = frozenset()
        elif self._left_to_others:
            known = self._left_to_others.union(stored)
        embedded = self._embedded_elsewhere(items, known)
        others = [item for item in items if item.id not in embedded] if embedded else items
        work = partial(_prepare, known=known)
        with worker_pool(self._workers, len(others), self._computed) as pool:
            prepared = prefetched(pool, work, others, self._batch_size + 2 * self._workers)
            results = (embedded.get(item.id) or next(prepared) for item in items)
            for batch in _batches(results, self._batch_size):
                self._commit(batch, stored)
                clock.advance(len(batch))

    def _embedded_elsewhere(
        self, items: Sequence[Item], known: Collection[str]
    ) -> dict[str, _Embedded | _Known]:
        """Find the pictures that other processes have embedded already.

        Args:
            items: The pictures to embed.
            known: Content keys (hashes of the content) of pictures that need not be embedded.

        Returns:
            A dict from the picture's id to an `_Embedded`, or to a `_Known` if the picture's
            content key is in `known`. Pictures that no other process embedded are not in the dict.
        """
        embedded: dict[str, _Embedded | _Known] = {}
        if self._find_embedded is not None:
            for item in items:
                picture = self._find_embedded(item)
                if picture is not None and picture.row.content_key in known:
                    embedded[item.id] = _Known(item, picture.row.content_key)
                elif picture is not None:
                    embedded[item.id] = _Embedded(item, picture)
        return embedded

    def _commit(self, batch: Sequence[_Result], stored: Texts) -> None:
        """Add a batch of pictures to the store.

        Args:
            batch: The pictures.
            stored: The content keys (hashes of the content) of the store's rows, in order, as they
                were before `_embed_items`, the caller, added its first batch.
        """
        writer = self._writer
        for result in batch:
            if isinstance(result, _Unreadable):
                writer.skip(result.item.id, result.reason)
                self._count_kind(result)
                if result.is_permanent:
                    self._note(result.item, "", result.reason)
                else:
                    writer.forget_file(result.item.id)
        known = [r for r in batch if isinstance(r, _Known) and r.content_key in stored]
        for result in known:
            self._note(result.item, result.content_key)
        self._reuse(known, stored)
        prepared = [result for result in batch if isinstance(result, (_Prepared, _Embedded))]
        if not prepared:
            return
        vectors = self._vectors(prepared)
        finite = [bool(np.isfinite(vector).all()) for vector in vectors]
        rows = []
        for result, is_finite in zip(prepared, finite, strict=True):
            id = result.item.id
            if not is_finite:
                writer.skip(id, f"{id}: the model gave no finite embedding for it.")
                continue
            if isinstance(result, _Embedded):
                row, issues = result.picture.row, result.picture.issues
                target = thumbnail_file(writer.path, row.content_key)
                _move_thumbnail(result.picture.thumbnail, target)
            else:
                row, issues = result.row, result.issues
                write_bytes(thumbnail_file(writer.path, row.content_key), result.thumbnail)
            self._note(result.item, row.content_key)
            rows.append(row)
            self._record_issues(id, issues)
        self._save_issues()
        writer.append(rows, vectors[finite])
        self.embedded += len(rows)

    def _vectors(self, prepared: Sequence[_Prepared | _Embedded]) -> NDArray[np.float32]:
        """Return the vectors (n, D) of n pictures; embed those that no other process embedded."""
        images = [result.image for result in prepared if isinstance(result, _Prepared)]
        computed = iter(np.asarray(self._embed(images), dtype=np.float32) if images else ())
        return np.stack(
            [r.picture.vector if isinstance(r, _Embedded) else next(computed) for r in prepared]
        )

    def _reuse(self, known: Sequence[_Known], stored: Texts) -> None:
        """Add pictures whose content is stored already, without embedding them.

        If the file of a stored picture with the same content no longer exists, the file is assumed
        to have been moved, and the stored row gets the new id. Otherwise the new picture is assumed
        to be a copy, and the row of the stored picture is duplicated.

        Args:
            known: The pictures.
            stored: The content keys (hashes of the content) of the store's rows, in order. The
                content key of each picture in `known` is one of them.
        """
        writer = self._writer
        moved: dict[str, str] = {}
        copied = []
        for result in known:
            if candidates := self._gone_by_key.get(result.content_key):
                moved[candidates.pop(0)] = result.item.id
            else:
                copied.append(result)
        for former, id in moved.items():
            self._copy_issues(former, id)
        self._save_issues()
        writer.rename(moved)
        if copied:
            origins = [stored.index(result.content_key) for result in copied]
            for n, result in zip(origins, copied, strict=True):
                self._copy_issues(writer.rows[n].id, result.item.id)
            self._save_issues()
            rows = [
                writer.rows[n]._replace(id=result.item.id)
                for n, result in zip(origins, copied, strict=True)
            ]
            writer.append(rows, writer.vectors(origins))

    def _replace_rows(self, changed: dict[str, tuple[Item, str]], dropped: set[str]) -> None:
        """Remove the rows of changed files and of the pictures in `dropped`.

        If another row already has the new content of a changed file, the file gets a row with the
        vector of that other row. The file need not be embedded then, and is removed from `changed`.

        Args:
            changed: The changed pictures and their new content keys (hashes of the content), by id.
            dropped: The ids of the pictures to remove.
        """
        if not changed and not dropped:
            return
        self.removed = len(dropped)
        writer = self._writer
        content_keys = writer.snapshot().content_keys
        positions_of_new = {id: content_keys.find(key) for id, (_, key) in changed.items()}
        reused = {id: positions[-1] for id, positions in positions_of_new.items() if positions}
        for id in list(reused):
            item, key = changed[id]
            if writer.rows[reused[id]].id == id:  # the same file, which is now decoded differently
                del reused[id]
                continue
            if candidates := self._gone_by_key.get(key):
                dropped.add(candidates.pop(0))
            self._note(item, key)
        origins = {id: writer.rows[position].id for id, position in reused.items()}
        issues = {origin: self._issues_of(origin) for origin in origins.values()}
        for id, origin in origins.items():
            self._record_issues(id, issues[origin])
        positions, rows = [], []
        for n, row in enumerate(writer.rows):
            if row.id in reused:
                positions.append(reused[row.id])
                rows.append(writer.rows[reused[row.id]]._replace(id=row.id))
            elif row.id not in changed and row.id not in dropped:
                positions.append(n)
                rows.append(row)
        self._save_issues()
        writer.rewrite(positions, rows)
        for id in reused:
            del changed[id]

    def _remaining(self, gone: Iterable[str]) -> set[str]:
        """Return the ids in `gone` that still have a row in the store.

        A picture that was moved is not among them, since `_reuse` has given its row the new id.

        Args:
            gone: The ids of pictures whose files did not exist at the beginning of the build.
        """
        return set(self._writer.content_keys.select(gone))

    def _note(self, item: Item, content_key: str, reason: str | None = None) -> None:
        if item.stamp is not None:
            stamp = item.stamp
            if -_CLOCK_AHEAD_NS < time.time_ns() - stamp.mtime_ns < _UNSETTLED_NS:
                stamp = stamp._replace(mtime_ns=_UNSETTLED)
            self._writer.note_file(item.id, KnownFile(stamp, content_key, reason))

    def _issues_of(self, id: str) -> frozenset[str]:
        return frozenset(name for name, ids in self._issues.items() if id in ids)

    def _record_issues(self, id: str, issues: frozenset[str]) -> None:
        """Record the issues of a picture; `_save_issues` saves them.

        Args:
            id: The id of the picture.
            issues: Names from `image_details.ISSUES`, such as "blank"; they replace those recorded
                before.
        """
        for name, ids in self._issues.items():
            if (name in issues) != (id in ids):
                ids ^= {id}
                self._has_unsaved_issues = True

    def _save_issues(self) -> None:
        """Save in the store the issues of pictures that `_record_issues` has recorded.

        Nothing is saved if they have not changed. Call this method before the rows of the pictures
        are committed: if the build is killed, the next build does not decode committed pictures
        again, so it cannot find their issues.
        """
        if self._has_unsaved_issues:
            self._writer.save_report({name: sorted(ids) for name, ids in self._issues.items()})
            self._has_unsaved_issues = False

    def _copy_issues(self, origin: str, id: str) -> None:
        """Record the issues of one picture, such as "blank", for a copy of it, too.

        Args:
            origin: The id of the picture whose issues are recorded already.
            id: The id of the copy, which has the same content.
        """
        self._record_issues(id, self._issues_of(origin))

    def _count_kind(self, result: _Unreadable) -> None:
        if result.kind is not None:
            self._unsupported[result.kind] = self._unsupported.get(result.kind, 0) + 1

    def _report(self, listed: Collection[str]) -> dict[str, object]:
        """Return the report of the build, which `StoreWriter.finish` saves in the store.

        The report is a dict. For example, its entry `left_out` has the numbers of files and folders
        that were left out, by reason.

        Args:
            listed: The ids of the pictures that the source lists.
        """
        left_out = dict(self._listing.reasons)
        if self._unsupported:
            left_out[KIND_NOT_SUPPORTED] = sum(self._unsupported.values())
        return {
            "left_out": left_out,
            "unsupported": self._unsupported,
            **{
                name: sorted(self._writer.content_keys.select(ids))
                for name, ids in self._issues.items()
            },
            "small": self._writer.rows.count_small(SMALL_SIDE),
            "unused_patterns": self._listing.unused_patterns,
            "metadata": self._describe_metadata(listed),
            "decoder": DECODER_VERSION,
            "rendering": RENDERING_VERSION,
        }

    def _describe_metadata(self, listed: Collection[str]) -> dict[str, object]:
        """Return the value of `Manifest.metadata`, a summary of the pictures' metadata.

        Args:
            listed: The ids of the pictures that the source lists.
        """
        metadata = self._listing.metadata
        if metadata is None:  # the source could not be read
            return dict(self._writer.report.get("metadata", {}))
        if not metadata.rows:
            return {"problems": list(metadata.problems)} if metadata.problems else {}
        stored = self._writer.content_keys
        unlisted = [id for id in metadata.rows if id not in listed]
        known = stored.select(unlisted)
        commas = list(metadata.decimal_commas)
        missing = [
            id for id in unlisted if id not in known and _reason_left_out(id, self._listing) is None
        ]
        return {
            "columns": dict(metadata.columns),
            "missing": missing,
            "without_row": sum(id not in metadata.rows for id in stored),
            "problems": list(metadata.problems),
            **({"decimal_commas": commas} if commas else {}),
        }


class SortedItems(NamedTuple):
    """The pictures of a source, divided by comparing them with the gallery store.

    Attributes:
        unchanged: The number of stored pictures that have not changed since the last build.
        undecodable: The pictures that could not be decoded in an earlier build, and whose files
            have not changed since then. They are not stored.
        stale: The stored pictures that may have changed.
        new: All other pictures. None of them is stored.
        restamped: The new state of each unchanged file whose inode has changed, by id. Some file
            systems give new inodes to all files whenever they are mounted. If any file still has
            its stored inode, a file with another inode counts as changed, and this dict is empty.
    """

    unchanged: int
    undecodable: list[Item]
    stale: Sequence[Item]
    new: Sequence[Item]
    restamped: dict[str, KnownFile]


def sort_items(items: Sequence[Item], state: StoredState, computed: bool) -> SortedItems:
    """Compare the pictures of a source with the rows and file stamps in a gallery store.

    A file stamp consists of the size, times and inode of a file.

    Args:
        items: The pictures.
        state: The content keys (hashes of the content), the states of the files, and the report of
            the last build, as stored.
        computed: Whether the pictures are drawn by Python code instead of decoded from files.
    """
    keys, files, report = state
    same_rendering = computed or report.get("rendering") == RENDERING_VERSION
    same_decoder = report.get("decoder") == DECODER_VERSION
    undecodable: list[Item] = []
    stale, new = SelectedItems(items), SelectedItems(items)
    restamped: dict[str, KnownFile] = {}
    has_inodes, unchanged_count = _has_inodes(items, files), 0
    for position, (item, key, file) in enumerate(_with_state(items, keys, files)):
        unchanged = file is not None and _is_unchanged(file.stamp, item.stamp, has_inodes)
        if key is not None:
            if unchanged and same_rendering and file is not None and file.content_key == key:
                unchanged_count += 1
                if item.stamp is not None and item.stamp != file.stamp:
                    restamped[item.id] = file._replace(stamp=item.stamp)
            else:
                stale.append(position)
        elif unchanged and same_decoder and file is not None and file.reason is not None:
            undecodable.append(item)
        else:
            new.append(position)
    return SortedItems(unchanged_count, undecodable, stale, new, restamped)


def _ids(items: Sequence[Item]) -> Iterator[str]:
    """Yield the ids of pictures in ascending order."""
    return items.ids() if isinstance(items, ListedFiles) else iter(sorted(i.id for i in items))


def _unlisted(stored: Iterable[str], items: Sequence[Item]) -> Iterator[str]:
    """Yield the ids of stored pictures that a source does not list.

    Args:
        stored: The ids of the stored pictures, in ascending order.
        items: The pictures that the source lists.
    """
    listed = _ids(items)
    current = next(listed, None)
    for id in stored:
        while current is not None and current < id:
            current = next(listed, None)
        if current != id:
            yield id


def _has_inodes(items: Sequence[Item], files: Mapping[str, KnownFile]) -> bool:
    """Return whether any file has the same inode (file number) as at the last build.

    If not, the caller does not compare inodes: some file systems, such as FAT and those of some
    network drives, give new inodes to all files whenever they are mounted.
    """
    return any(
        item.stamp is not None and file is not None and item.stamp.inode == file.stamp.inode
        for item, _, file in _with_state(items, {}, files)
    )


def _with_state(
    items: Sequence[Item], keys: Mapping[str, str], files: Mapping[str, KnownFile]
) -> Iterator[tuple[Item, str | None, KnownFile | None]]:
    """Yield each picture with its stored content key (a hash) and the stored state of its file.

    The key or the state is None if it is not stored. The database is read in blocks, which is
    faster than reading it separately for each picture.
    """
    for start in range(0, len(items), _COMPARED_AT_ONCE):
        block = items[start : start + _COMPARED_AT_ONCE]
        ids = [item.id for item in block]
        block_keys, block_files = select_values(keys, ids), select_values(files, ids)
        for item in block:
            yield item, block_keys.get(item.id), block_files.get(item.id)


def _is_unchanged(former: Stamp, present: Stamp | None, compare_inodes: bool) -> bool:
    if present is None or compare_inodes:
        return former == present
    return former == present._replace(inode=former.inode)


def _compare(
    item: Item, rows: dict[str, StoredImage], decode_again: bool
) -> str | frozenset[str] | _Unreadable | None:
    """Compare a file with its row in the store.

    Args:
        item: The file.
        rows: The rows of the store, by id.
        decode_again: Whether to compare the decoded pixels, too. This is needed after the decoder
            has changed.

    Returns:
        For an unchanged file, None; with `decode_again`, the names of the picture's issues (see
        `ISSUES`). For a file whose content or decoded pixels have changed, the content key (hash of
        the content). For a file that cannot be read, an `_Unreadable` with the reason.
    """
    row = rows[item.id]
    try:
        key = item.content_key()
        if key != row.content_key:
            return key
        if not decode_again:
            return None
        image = item.open()
        return find_issues(image) if hash_pixels(image) == row.pixel_hash else key
    except ImageError as error:
        return _Unreadable.from_error(item, error)


def _prepare(item: Item, known: Collection[str]) -> _Result:
    try:
        key, image = item.load(known)
    except ImageError as error:
        return _Unreadable.from_error(item, error)
    if image is None:
        return _Known(item, key)
    row = StoredImage(item.id, key, hash_pixels(image), image.width, image.height, checksum=0)
    return _Prepared(item, row, image, encode_thumbnail(image), find_issues(image))


def _move_thumbnail(file: Path, target: Path) -> None:
    """Move a thumbnail from another process's store; do nothing if `file` does not exist."""
    if file.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, target)


def _batches(results: Iterator[_Result], size: int) -> Iterator[list[_Result]]:
    while batch := list(islice(results, size)):
        yield batch


def _reason_left_out(id: str, listing: Listing) -> str | None:
    """Return why a picture or one of its parent folders was left out; None if neither was."""
    name = id
    while name:
        if name in listing.left_out:
            return listing.left_out[name].reason
        placeholder = listing.left_out.get(placeholder_id(name))
        if placeholder is not None and placeholder.reason == NOT_DOWNLOADED:
            return NOT_DOWNLOADED
        name = name.rpartition("/")[0]
    return listing.left_out["."].reason if "." in listing.left_out else None


def _has_rows(path: str | Path, source: Source) -> bool:
    """Return whether a gallery store at `path` belongs to the source and contains pictures."""
    if not (Path(path) / DATABASE).is_file():
        return False
    store = Store.open(path)
    keys = dict(zip(store.ids, store.rows.content_keys, strict=True))
    return len(store) > 0 and is_same_gallery(store.manifest.source, source, keys)


def check_gallery(
    path: str | Path, source: Source, manifest: Manifest, content_keys: Mapping[str, str]
) -> None:
    """Raise `StoreError` unless the gallery store at `path` was built from `source`.

    Args:
        path: Folder of the store.
        source: The source.
        manifest: The store's manifest.
        content_keys: The content keys (hashes of the content) of the store's pictures, by id.
    """
    if not is_same_gallery(manifest.source, source, content_keys):
        raise StoreError(
            f"{path}: is the store of {manifest.argument}; its pictures are not those of "
            f"{source.argument}. Give another --out, or delete the folder first."
        )


def _describe_store(folder: str) -> str:
    try:
        origin = f", such as {Store.open(folder).manifest.argument}"
    except StoreError:
        origin = ""
    return (
        f"{folder}: is a store, which has vectors but no pictures. Name the folder or dataset that "
        f"it was made of{origin}."
    )


def _describe_nothing(listing: Listing) -> str:
    counts = [f"{listing.reasons[name]} {name}" for name in REASONS if name in listing.reasons]
    kinds = [
        f"{count} {kind}s" if kind == ARCHIVE and count > 1 else f"{count} {kind}"
        for kind, count in sorted(listing.unsupported.items())
    ]
    advice = next((e.message for e in listing.left_out.values() if e.message), None)
    if not counts:
        return "Check the path."
    by_kind = f" ({', '.join(kinds)})" if kinds else ""
    return f"Left out: {', '.join(counts)}{by_kind}. {advice or 'Check the path.'}"


class _Clock:
    """Counts the finished pictures of a build; reports them and the estimated remaining time."""

    def __init__(self, finished: int, total: int, progress: Progress | None) -> None:
        self._before = self._finished = finished
        self._total = total
        self._progress = progress
        self._start = time.monotonic()
        self.advance(0)

    def advance(self, count: int) -> None:
        """Add `count` to the number of finished pictures and report the progress."""
        self._finished += count
        if self._progress is None:
            return
        worked = self._finished - self._before
        pace = (time.monotonic() - self._start) / worked if worked else 0.0  # seconds per picture
        self._progress(self._finished, self._total, pace * (self._total - self._finished))


def save_precomputed(store: Store, file: Path) -> None:
    """Write a gallery store's rows and vectors to a safetensors file."""
    rows = [row._replace(checksum=0) for row in store.rows]
    metadata = {
        "fingerprint": store.manifest.model.fingerprint,
        "rows": json.dumps(rows, separators=(",", ":")),
    }
    # safetensors' own writer makes a file that only its owner can read.
    write_bytes(file, save({"vectors": store.vectors.astype(np.float16)}, metadata))


def draw_thumbnails(store: Store) -> int:
    """Draw the missing thumbnails of a store of drawn garments, in a process of low priority.

    Returns:
        The number of thumbnails that were drawn; 0 if the store's pictures are not drawings.
    """
    if not store.is_drawn:
        return 0
    source = from_spec(store.manifest.source)
    missing = [id for id in store.ids if not store.thumbnail(id).exists()]
    if not missing:
        return 0
    with background_process() as pool:
        drawn = prefetched(pool, _draw_thumbnail, map(source.item, missing), window=2)
        for id, thumbnail in zip(missing, drawn, strict=True):
            write_bytes(store.thumbnail(id), thumbnail)
    return len(missing)


def _draw_thumbnail(item: Item) -> bytes:
    return encode_thumbnail(item.open())


def load_precomputed(file: Path, fingerprint: str) -> Mapping[str, PrecomputedVector]:
    """Read precomputed vectors from a safetensors file.

    A file that cannot be read, or that belongs to another model, is reported in the log and
    ignored. The gallery's pictures are then embedded instead.

    Args:
        file: The file; it need not exist.
        fingerprint: The model's fingerprint.

    Returns:
        The rows and vectors by content key (a hash of the picture's content); empty if there is no
        valid file.
    """
    if not file.is_file():
        return {}
    if is_lfs_pointer(file):
        logger.warning(
            "%s is a Git LFS pointer, not the file itself; the gallery is embedded instead, which "
            "takes longer. %s.",
            file,
            LFS_CURE,
        )
        return {}
    try:
        with safe_open(file, framework="numpy") as content:
            metadata, vectors = content.metadata() or {}, content.get_tensor("vectors")
        rows = [StoredImage(*row) for row in json.loads(metadata["rows"])]
        made_by = metadata["fingerprint"]
        if vectors.ndim != 2 or len(rows) != len(vectors):
            raise ValueError(f"{len(rows)} rows, but vectors of shape {vectors.shape}")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        logger.warning("%s cannot be read (%s); the gallery is embedded instead.", file, error)
        return {}
    if made_by != fingerprint:
        logger.warning(
            "%s belongs to model %s, not to %s; the gallery is embedded instead. To renew it: "
            "python -m dwc weights %s",
            file,
            made_by,
            fingerprint,
            file.parent,
        )
        return {}
    return {
        row.content_key: PrecomputedVector(row, vector)
        for row, vector in zip(rows, vectors, strict=True)
    }

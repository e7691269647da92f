"""A source of pictures -> a store: what is new is embedded, what is gone is taken out."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dwc.datasets.image_loading import hash_pixels
from dwc.datasets.prefetch import prefetched, worker_pool
from dwc.errors import ImageError
from dwc.gallery.sources import Item, Source
from dwc.gallery.store import THUMBNAIL_PX, ModelIdentity, Store, StoredImage, thumbnail_file
from dwc.gallery.store_writer import StoreWriter

Embed = Callable[[Sequence[Image.Image]], NDArray[np.float32]]
"""Upright RGB pictures, n of them -> (n, D) float32, each stream's part unit length."""

Progress = Callable[[int, int, float], None]
"""Called with the pictures done, their total, and the seconds left."""


@dataclass(frozen=True)
class _Prepared:
    """A picture on its way to the model, with everything that a row of the store needs."""

    picture: StoredImage
    image: Image.Image
    thumbnail: bytes


@dataclass(frozen=True)
class _Unreadable:
    id: str
    reason: str


def build_store(
    source: Source,
    embed: Embed,
    path: str | Path,
    model: ModelIdentity,
    batch_size: int = 32,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Store:
    """Make the store at `path` hold exactly the pictures of `source`, beginning it where need be.

    Each batch is committed as it is done, so that the same call after a kill goes on from there.
    Pictures whose content is in the store already are not embedded again. A picture that cannot be
    read is skipped, and named with the reason in the manifest's `skipped`. `workers` threads (by
    default one a core) read and decode while the model works; for drawings they are processes, so a
    script that builds a catalogue's store needs its `if __name__ == "__main__"`.

    Raises `ImageError` for a source without pictures, `StoreError` for a folder that cannot be
    written as a store of this model.
    """
    items = source.items()
    if not items:
        raise ImageError(
            f"{source.argument}: has no pictures in it. Check the path, or the files' suffixes."
        )
    workers = workers or os.cpu_count() or 1
    with StoreWriter(path, model, source.spec, source.argument) as writer:
        kept = _unchanged(items, writer.content_keys, workers)
        writer.keep(kept)
        left = [item for item in items if item.id not in kept]
        clock = _Clock(len(kept), len(items), progress)
        with worker_pool(workers, len(left), source.computed) as pool:
            prepared = prefetched(pool, _prepare, left, batch_size + 2 * workers)
            for batch in _batches(prepared, batch_size):
                for unreadable in batch:
                    if isinstance(unreadable, _Unreadable):
                        writer.skip(unreadable.id, unreadable.reason)
                readable = [one for one in batch if isinstance(one, _Prepared)]
                if readable:
                    _commit(readable, embed, writer)
                clock.advance(len(batch))
        writer.finish()
    return Store.open(path)


def _unchanged(items: Sequence[Item], content_keys: dict[str, str], workers: int) -> frozenset[str]:
    """The ids whose pictures are in the store as they are now."""
    known = [item for item in items if item.id in content_keys]
    with ThreadPoolExecutor(workers) as pool:
        keys = list(pool.map(_content_key, known))
    pairs = zip(known, keys, strict=True)
    return frozenset(item.id for item, key in pairs if key == content_keys[item.id])


def _content_key(item: Item) -> str | None:
    try:
        return item.content_key()
    except ImageError:
        return None  # told when it is opened


def _prepare(item: Item) -> _Prepared | _Unreadable:
    try:
        key = item.content_key()
        image = item.open()
    except ImageError as error:
        return _Unreadable(item.id, str(error))
    picture = StoredImage(item.id, key, hash_pixels(image), image.width, image.height, checksum=0)
    return _Prepared(picture, image, _thumbnail(image))


def _thumbnail(image: Image.Image) -> bytes:
    small = image.copy()
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    encoded = BytesIO()
    small.save(encoded, "WEBP", quality=85, method=2)  # method 2: smaller than 0, and no slower
    return encoded.getvalue()


def _commit(batch: Sequence[_Prepared], embed: Embed, writer: StoreWriter) -> None:
    vectors = np.asarray(embed([one.image for one in batch]), dtype=np.float32)
    finite = [bool(np.isfinite(vector).all()) for vector in vectors]
    for one in (one for one, is_finite in zip(batch, finite, strict=True) if not is_finite):
        writer.skip(one.picture.id, f"{one.picture.id}: the model gave no finite embedding for it.")
    sound = [one for one, is_finite in zip(batch, finite, strict=True) if is_finite]
    for one in sound:
        file = thumbnail_file(writer.path, one.picture.content_key)
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        partial.write_bytes(one.thumbnail)
        partial.replace(file)  # whole or not at all
    writer.append([one.picture for one in sound], vectors[finite])


def _batches(
    results: Iterator[_Prepared | _Unreadable], size: int
) -> Iterator[list[_Prepared | _Unreadable]]:
    while batch := list(islice(results, size)):
        yield batch


class _Clock:
    """Tells the progress, and the time left by the pace of this run."""

    def __init__(self, done: int, total: int, progress: Progress | None) -> None:
        self._already = self._done = done
        self._total = total
        self._progress = progress
        self._start = time.monotonic()
        self.advance(0)

    def advance(self, count: int) -> None:
        self._done += count
        if self._progress is None:
            return
        embedded = self._done - self._already
        pace = (time.monotonic() - self._start) / embedded if embedded else 0.0  # seconds a picture
        self._progress(self._done, self._total, pace * (self._total - self._done))

"""Random views of every drawing of a pool, each looked at once; what was seen is kept in a file."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from dwc.training.augmentation import random_views
from dwc.training.pool import DrawnPool

logger = logging.getLogger(__name__)

Chunk = TypeVar("Chunk")
CHUNK = 500  # pictures, or texts, that go through in one go


def look_once(
    pool: DrawnPool,
    views: int,
    seed: int,
    preprocessing: tuple[int, Sequence[float], Sequence[float]],
    look: Callable[[Tensor], Tensor],
    file: Path,
) -> None:
    """Write `look` of `views` random views of every drawing, (views, items, K) float16.

    `look` takes pixels (N, 3, side, side) and gives (N, K); `preprocessing` is the side, mean and
    standard deviation. The file has another name until it is whole.
    """
    side, mean, std = preprocessing
    generator = torch.Generator().manual_seed(seed)
    items = len(pool.items)
    chunks = [
        (view, places) for view in range(views) for places in torch.arange(items).split(CHUNK)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial.npy")
    rows: np.memmap | None = None
    for view, places in with_progress(chunks, "looking at pictures"):
        pixels = random_views(pool.take(places, generator), side, generator, mean, std)
        seen = look(pixels).half().cpu().numpy()
        if rows is None:
            shape = (views, items, seen.shape[1])
            rows = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
        rows[view, places[0] : places[-1] + 1] = seen
    assert rows is not None, "a pool has drawings"
    rows.flush()
    partial.rename(file)


def with_progress(chunks: Sequence[Chunk], what: str) -> Iterator[Chunk]:
    """The chunks one by one; logs how many are done, and the time left."""
    began = time.monotonic()
    for done, chunk in enumerate(chunks, 1):
        yield chunk
        if done % 40 == 0 or done == len(chunks):
            left = (time.monotonic() - began) / done * (len(chunks) - done)
            logger.info("%s %d/%d, %.0f s left", what, done, len(chunks), left)

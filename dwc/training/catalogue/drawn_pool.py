"""The drawn pictures that the bundled checkpoint learns from, drawn once and kept in memory."""

import hashlib
import json
import logging
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dwc.catalogue.drawing import DRAWING_VERSION
from dwc.catalogue.drawing.draw import Style, draw
from dwc.catalogue.language.modifications import Modification
from dwc.catalogue.splits import CatalogueItem, Split, gallery

PoolTriplet = tuple[int, int, Modification]
"""Positions of the reference and the target in the pool, and the words."""

logger = logging.getLogger(__name__)

# How many times as large as they are kept pictures are drawn. A line finer than a pixel is drawn a
# pixel wide: drawn small, pictures show their details plainer than people's, which are drawn large.
SUPERSAMPLING: dict[Style, int] = {"gallery": 2, "training": 1, "plain": 2}

_CHUNK = 250  # pictures a worker draws between two reports


@dataclass(frozen=True)
class PoolSettings:
    """What is drawn: `items` garments of a split, one picture of each in every one of `styles`.

    Half in the gallery's style, which people see, and half as hasty photographs: from those alone
    a network takes twice as many pictures to read a garment well.
    """

    items: int = 40_000
    styles: tuple[Style, ...] = ("gallery", "training")
    size_px: int = 80
    split: Split = "train"
    seed: int = 0


@dataclass(frozen=True)
class DrawnPool:
    """Garments and their pictures: `pictures` (views, items, 3, H, W) uint8."""

    items: list[CatalogueItem]
    pictures: Tensor

    def take(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """One picture, of a random view, for each of the items `indices` (N,): (N, 3, H, W)."""
        views = torch.randint(0, len(self.pictures), (len(indices),), generator=generator)
        return self.pictures[views, indices]


def draw_pool(settings: PoolSettings, folder: Path, workers: int) -> DrawnPool:
    """Draw the pool, or read it back when `folder` holds it already.

    The drawing goes to a file with the pictures' settings in its name, under a temporary name until
    it is whole.
    """
    items = gallery(settings.split, settings.items, settings.seed)
    shape = (len(settings.styles), len(items), settings.size_px, settings.size_px, 3)
    described = json.dumps(asdict(settings), sort_keys=True) + repr(
        (items[-1], DRAWING_VERSION, SUPERSAMPLING)
    )
    name = hashlib.sha256(described.encode()).hexdigest()[:12]
    path = folder / f"pool-{name}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npy")
        drawn = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
        began = time.monotonic()
        _draw_into(drawn, items, settings, workers)
        with (folder / "drawing.jsonl").open("a") as log:
            line = {"step": shape[0] * len(items), "styles": settings.styles}
            log.write(json.dumps(line | {"seconds": round(time.monotonic() - began, 1)}) + "\n")
        drawn.flush()
        partial.rename(path)
    pictures = torch.from_numpy(np.load(path))
    return DrawnPool(items, pictures.permute(0, 1, 4, 2, 3))


def _draw_into(
    drawn: np.ndarray, items: list[CatalogueItem], settings: PoolSettings, workers: int
) -> None:
    chunks = [
        (view, start, items[start : start + _CHUNK])
        for view in range(len(settings.styles))
        for start in range(0, len(items), _CHUNK)
    ]
    began, done = time.monotonic(), 0
    with ProcessPoolExecutor(workers) as pool:
        jobs = pool.map(
            _draw_chunk,
            [chunk for _, _, chunk in chunks],
            [view for view, _, _ in chunks],
            [settings] * len(chunks),
        )
        for (view, start, chunk), pictures in zip(chunks, jobs, strict=True):
            drawn[view, start : start + len(chunk)] = pictures
            done += 1
            if done % 20 == 0 or done == len(chunks):
                seconds = time.monotonic() - began
                left = seconds / done * (len(chunks) - done)
                logger.info("drawing %d/%d, %.0f s left", done * _CHUNK, len(chunks) * _CHUNK, left)


def _draw_chunk(items: list[CatalogueItem], view: int, settings: PoolSettings) -> np.ndarray:
    style = settings.styles[view]
    times = SUPERSAMPLING[style]
    side = settings.size_px * times
    drawn = (draw(item.garment, item.picture_seed + view, side, style) for item in items)
    return np.stack([np.asarray(picture.reduce(times)) for picture in drawn])

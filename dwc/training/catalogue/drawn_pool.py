"""The pool of drawn garments that the bundled checkpoint is trained on: drawn once, in memory."""

import json
import logging
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dwc.catalogue.drawing import DRAWING_VERSION
from dwc.catalogue.drawing.draw import Style, draw
from dwc.catalogue.language.modifications import Modification
from dwc.catalogue.splits import CatalogueItem, Split, gallery
from dwc.progress import track
from dwc.training.run_dir import append_log, new_array_file

PoolTriplet = tuple[int, int, Modification]
"""Positions of the reference and the target in the pool, and the modification text."""

logger = logging.getLogger(__name__)

# How many times larger images are drawn before they are reduced to the pool's size. A line finer
# than a pixel is drawn one pixel wide, so details of small drawings are plainer than those of the
# large ones that people see.
SUPERSAMPLING: dict[Style, int] = {"gallery": 2, "training": 1, "plain": 2}

_CHUNK = 250  # drawings of one task of a worker


@dataclass(frozen=True)
class PoolSettings:
    """What is drawn: one image of each garment in every style.

    By default half of the images are in the gallery's style, which people see, and half are hasty
    photographs: from those alone a network needs twice as many images to recognize garments well.

    Attributes:
        items: How many garments of the split.
        styles: The styles to draw.
        size_px: Side of an image in pixels.
        split: The catalogue's split.
        seed: Decides the garments.
    """

    items: int = 40_000
    styles: tuple[Style, ...] = ("gallery", "training")
    size_px: int = 80
    split: Split = "train"
    seed: int = 0


@dataclass(frozen=True)
class DrawnPool:
    """Garments and their images: `pictures` (styles, items, 3, H, W) uint8."""

    items: list[CatalogueItem]
    pictures: Tensor

    def take(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Return an image of a random style for each item: indices (N,) -> (N, 3, H, W) uint8."""
        styles = torch.randint(0, len(self.pictures), (len(indices),), generator=generator)
        return self.pictures[styles, indices]


def draw_pool(settings: PoolSettings, folder: Path, workers: int) -> DrawnPool:
    """Draw the pool, or read it from `folder` if it was drawn before.

    Args:
        settings: What to draw; part of the file's name.
        folder: Where the file is or goes.
        workers: Processes that draw.

    Raises:
        TrainingError: the disk has too little space.
    """
    items = gallery(settings.split, settings.items, settings.seed)
    description = json.dumps(asdict(settings), sort_keys=True) + repr(
        (items[-1], DRAWING_VERSION, SUPERSAMPLING)
    )
    file = folder / f"pool-{sha256(description.encode()).hexdigest()[:12]}.npy"
    if not file.exists():
        shape = (len(settings.styles), len(items), settings.size_px, settings.size_px, 3)
        start = time.monotonic()
        with new_array_file(file, shape, np.uint8) as images:
            _draw_into(images, items, settings, workers)
            line = {"step": shape[0] * len(items), "styles": settings.styles}
            seconds = round(time.monotonic() - start, 1)
            append_log(folder, "drawing", line | {"seconds": seconds})
    pictures = torch.from_numpy(np.load(file))
    return DrawnPool(items, pictures.permute(0, 1, 4, 2, 3))


def _draw_into(
    images: np.ndarray, items: list[CatalogueItem], settings: PoolSettings, workers: int
) -> None:
    chunks = [
        (style, start, items[start : start + _CHUNK])
        for style in range(len(settings.styles))
        for start in range(0, len(items), _CHUNK)
    ]
    with ProcessPoolExecutor(workers) as pool:
        jobs = pool.map(
            _draw_chunk,
            [chunk for _, _, chunk in chunks],
            [style for style, _, _ in chunks],
            [settings] * len(chunks),
        )
        progress = track(jobs, f"drawing, by {_CHUNK}", logger, len(chunks))
        for (style, start, chunk), drawn in zip(chunks, progress, strict=True):
            images[style, start : start + len(chunk)] = drawn


def _draw_chunk(items: list[CatalogueItem], style: int, settings: PoolSettings) -> np.ndarray:
    name = settings.styles[style]
    factor = SUPERSAMPLING[name]
    side = settings.size_px * factor
    drawn = (draw(item.garment, item.picture_seed + style, side, name) for item in items)
    return np.stack([np.asarray(image.reduce(factor)) for image in drawn])

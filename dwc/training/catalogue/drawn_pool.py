"""The pool of drawn garments for training: drawn once, stored in a file, and loaded into memory."""

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
"""Index of the reference in the pool, index of the target in the pool, and the modification."""

logger = logging.getLogger(__name__)

# Drawing style -> factor by which images are drawn larger before they are reduced to the pool's
# size. Lines thinner than a pixel are drawn one pixel wide, so details of drawings made directly at
# the small size would be more prominent than in the large drawings that users see.
SUPERSAMPLING: dict[Style, int] = {"gallery": 2, "training": 1, "plain": 2}

_CHUNK = 250  # drawings per task of a worker process


@dataclass(frozen=True)
class PoolSettings:
    """Settings of a pool of drawings. The pool has one image of each garment in every style.

    By default, half of the images have the style of the gallery that users see, and half have the
    training style, which resembles poorly taken photographs. With the training style alone, a
    network would need twice as many images to recognize garments well.

    Attributes:
        items: Number of garments.
        styles: Drawing styles; each garment is drawn once in each style.
        size_px: Side of the square images in pixels.
        split: Split of the catalogue that the garments belong to: "train", "val" or "test".
        seed: Seed of the random garments.
    """

    items: int = 40_000
    styles: tuple[Style, ...] = ("gallery", "training")
    size_px: int = 80
    split: Split = "train"
    seed: int = 0


@dataclass(frozen=True)
class DrawnPool:
    """A pool of garments for training, and drawings of them.

    Attributes:
        items: The garments; the variations of a garment come one after another.
        pictures: Images of the garments (styles, garments, 3, H, W) of height H and width W, uint8.
    """

    items: list[CatalogueItem]
    pictures: Tensor

    @property
    def images(self) -> int:
        """Number of garments in the pool; the indices of `take` are below this number."""
        return len(self.items)

    def take(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Return an image in a random style for each of N garment indices.

        Args:
            indices: The garment indices (N,).
            generator: Source of random choices.

        Returns:
            Images (N, 3, H, W) of height H and width W, uint8.
        """
        styles = torch.randint(0, len(self.pictures), (len(indices),), generator=generator)
        return self.pictures[styles, indices]


def draw_pool(settings: PoolSettings, folder: Path, workers: int) -> DrawnPool:
    """Load a pool of drawings from its file; draw the images and write the file if it is missing.

    Args:
        settings: Settings of the pool; the file's name depends on them.
        folder: Folder of the file, and of the log "drawing.jsonl". The log gets a new line when the
            pool is drawn.
        workers: Number of processes that draw.

    Returns:
        The garments and their drawings.

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

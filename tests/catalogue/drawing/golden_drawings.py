"""A few drawings, coarse: what tells that the pictures changed without `DRAWING_VERSION`.

Renew them, after raising the version:  python -m tests.catalogue.drawing.golden_drawings
"""

import json
import random
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dwc.catalogue.drawing import DRAWING_VERSION
from dwc.catalogue.drawing.draw import draw
from dwc.catalogue.schema import CATEGORIES, Garment, sample_garment

FILE = Path(__file__).with_suffix(".json")
RENEWAL = "python -m tests.catalogue.drawing.golden_drawings"
SIDE = 16
SHOWN = (("gallery", 256), ("training", 80))  # as the page's gallery and the training's pool


def garments() -> dict[str, Garment]:
    """One garment a category."""
    return {name: sample_garment(random.Random(f"golden|{name}"), name) for name in CATEGORIES}


def coarse(picture: Image.Image) -> NDArray[np.float64]:
    """The picture's means (16, 16, 3) over a grid of equal boxes, 0 to 255."""
    pixels = np.asarray(picture, dtype=np.float64)
    box = len(pixels) // SIDE
    return pixels.reshape(SIDE, box, SIDE, box, 3).mean(axis=(1, 3))


def drawings() -> dict[str, Image.Image]:
    """Every golden picture, drawn now."""
    return {
        f"{name} {style}": draw(garment, 7, size, style)
        for name, garment in garments().items()
        for style, size in SHOWN
    }


def write() -> None:
    """Store the pictures as they are drawn now, under the present version."""
    grids = {
        name: coarse(picture).round().astype(int).ravel().tolist()
        for name, picture in drawings().items()
    }
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(grid)}" for name, grid in grids.items())
    FILE.write_text(f'{{"version": {DRAWING_VERSION}, "pictures": {{\n{lines}\n}}}}\n')


if __name__ == "__main__":
    write()

"""Command that draws a grid of garments, for the documentation and to inspect drawing changes.

python -m dwc.catalogue.drawing.contact_sheet --out assets/figures/catalogue.png
python -m dwc.catalogue.drawing.contact_sheet --style training --tile 80 --out /tmp/training.png
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from PIL import Image

from dwc.catalogue.drawing.draw import Style, draw
from dwc.catalogue.schema import CATEGORIES, Garment, sample_garment

DEFAULT_SEED = 21


def varied_garments(count: int, seed: int) -> list[Garment]:
    """Return `count` random garments in random order, with all categories equally frequent.

    No two neighbors in the list have the same color.
    """
    rng = random.Random(seed)
    names: list[str] = []
    while len(names) < count:
        names += rng.sample(tuple(CATEGORIES), len(CATEGORIES))
    garments: list[Garment] = []
    for name in names[:count]:
        garment = sample_garment(rng, name)
        while garments and garment["colour"] == garments[-1]["colour"]:
            garment = sample_garment(rng, name)
        garments.append(garment)
    return garments


def contact_sheet(
    columns: int = 8,
    rows: int = 6,
    tile: int = 160,
    style: Style = "gallery",
    seed: int = DEFAULT_SEED,
    gap: int = 4,
) -> Image.Image:
    """Draw a grid of random garments.

    Args:
        columns: The number of columns.
        rows: The number of rows.
        tile: Width and height of each garment's image in pixels.
        style: The style of the images.
        seed: Seed of the random choice of garments.
        gap: Width in pixels of the white lines between and around the images.
    """
    sheet = Image.new("RGB", (columns * (tile + gap) + gap, rows * (tile + gap) + gap), "white")
    for index, garment in enumerate(varied_garments(columns * rows, seed)):
        row, column = divmod(index, columns)
        image = draw(garment, seed=index, size=tile, style=style)
        sheet.paste(image, (gap + column * (tile + gap), gap + row * (tile + gap)))
    return sheet


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw a grid of random garments and write it to an image file.

    `arguments` are the command-line arguments; None stands for those of the process.
    """
    parser = argparse.ArgumentParser(
        description="Draw a page of garments.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("assets/figures/catalogue.png"))
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--tile", type=int, default=160, help="pixels a garment")
    parser.add_argument("--style", choices=get_args(Style), default="gallery")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    chosen = parser.parse_args(arguments)
    sheet = contact_sheet(chosen.columns, chosen.rows, chosen.tile, chosen.style, chosen.seed)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(chosen.out, optimize=True)


if __name__ == "__main__":
    main()

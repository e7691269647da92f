"""Several pictures in one are recognized by the gutters between them."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dwc.datasets.collages import is_collage
from dwc.datasets.image_loading import decode


def photograph(seed, size=(160, 200)):
    """Soft shapes with some noise, as in a photograph."""
    generator = np.random.default_rng(seed)
    shapes = Image.fromarray(generator.integers(0, 256, (8, 6, 3), np.uint8))
    levels = np.asarray(shapes.resize(size, Image.Resampling.BICUBIC), np.int64)
    noise = generator.integers(-9, 10, levels.shape)
    return Image.fromarray((levels + noise).clip(0, 255).astype(np.uint8))


def collage(columns, rows, gutter, color="white", frame=0, draw=photograph):
    """Pictures in a grid, saved as a JPEG."""
    width, height = (160 + gutter) * columns - gutter, (200 + gutter) * rows - gutter
    made = Image.new("RGB", (width + 2 * frame, height + 2 * frame), color)
    for n in range(columns * rows):
        place = (160 + gutter) * (n % columns) + frame, (200 + gutter) * (n // columns) + frame
        made.paste(draw(n), place)
    file = BytesIO()
    made.save(file, "JPEG", quality=85)
    return decode(file.getvalue())


GRIDS = [(2, 1), (1, 2), (2, 2), (3, 3)]


@pytest.mark.parametrize(
    ("columns", "rows", "gutter", "color"),
    [(*grid, 4, color) for grid in GRIDS for color in ("white", "black")]
    + [(*grid, 20, color) for grid in [*GRIDS, (4, 5)] for color in ("white", "black", "gray")],
)
def test_pictures_with_gutters_between_them_are_a_collage(columns, rows, gutter, color):
    assert is_collage(collage(columns, rows, gutter, color))


def test_a_frame_around_a_collage_changes_nothing():
    assert is_collage(collage(2, 2, 12, frame=12))
    assert not is_collage(collage(1, 1, 12, frame=12))


def bars(colors, width, size=(240, 320)):
    made = Image.new("RGB", size)
    draw = ImageDraw.Draw(made)
    for n, left in enumerate(range(0, size[0], width)):
        draw.rectangle((left, 0, left + width - 1, size[1]), fill=colors[n % len(colors)])
    return made


def two_objects():
    """Two boots on white, as straight as boxes."""
    made = Image.new("RGB", (300, 200), "white")
    for left in (20, 160):
        made.paste(photograph(left, (120, 190)), (left, 5))
    return made


@pytest.mark.parametrize(
    "image",
    [
        photograph(0),
        photograph(0, (3, 4)),
        Image.new("RGB", (1, 1)),
        Image.new("RGB", (90, 90), "white"),
        bars(("white", "navy"), 24),  # the stripes of a fabric
        bars(("white", "navy", "red"), 40),
        bars(("white", "navy"), 24).rotate(90, expand=True),
        two_objects(),
    ],
)
def test_other_pictures_are_no_collage(image):
    assert not is_collage(image)


@pytest.mark.slow
@pytest.mark.skipif("DWC_TEST_DATA" not in os.environ, reason="needs the wardrobe's photographs")
def test_photographs_of_clothes_are_no_collage():
    files = sorted((Path(os.environ["DWC_TEST_DATA"]) / "wardrobe" / "photos").iterdir())
    assert [file.name for file in files[::40] if is_collage(decode(file))] == []

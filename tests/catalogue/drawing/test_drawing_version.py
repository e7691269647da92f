"""Pictures that change must not pass for those that stores already hold."""

import json

import numpy as np
import pytest
from PIL import Image

from dwc.catalogue.drawing import DRAWING_VERSION
from tests.catalogue.drawing.golden_drawings import FILE, RENEWAL, SIDE, coarse, drawings

# Rounding differs by platform, and moves a mean by far less; the smallest button moves it by more.
LEVELS = 2.0


@pytest.fixture(scope="module")
def drawn():
    return drawings()


@pytest.fixture(scope="module")
def golden():
    return json.loads(FILE.read_text())


def changed(picture: Image.Image, grid: list[int]) -> bool:
    difference = coarse(picture) - np.array(grid).reshape(SIDE, SIDE, 3)
    return bool(np.abs(difference).max() > LEVELS)


@pytest.mark.slow
def test_pictures_stay_until_their_version_is_raised(drawn, golden):
    assert golden["version"] == DRAWING_VERSION, f"the version was raised; renew: {RENEWAL}"
    assert golden["pictures"].keys() == drawn.keys(), f"other garments; renew: {RENEWAL}"
    different = [name for name, grid in golden["pictures"].items() if changed(drawn[name], grid)]
    assert not different, (
        f"{different} are drawn differently. Raise DRAWING_VERSION in dwc/catalogue/drawing, "
        f"or stores keep the old pictures; then renew: {RENEWAL}"
    )


def test_a_button_more_is_seen(drawn):
    name = "dress gallery"
    picture = drawn[name].copy()
    grid = coarse(picture).round().astype(int).ravel().tolist()
    assert not changed(picture, grid)
    x, y = 128, 128
    shade = tuple(255 if level < 128 else 0 for level in picture.getpixel((x, y)))
    picture.paste(shade, (x, y, x + 5, y + 5))
    assert changed(picture, grid)

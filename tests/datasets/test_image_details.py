"""Pictures in which nothing can be seen, and very tall or wide ones, have an issue."""

import numpy as np
import pytest
from PIL import Image

from dwc.datasets.image_details import find_issues
from dwc.datasets.image_loading import decode
from tests.datasets.image_files import saved, two_halves


def test_a_picture_in_which_nothing_can_be_seen_has_an_issue():
    transparent = two_halves().convert("RGBA")
    faint = np.random.default_rng(0).integers(0, 14, (96, 64, 3), np.uint8)
    for alpha in (0, 3):
        transparent.putalpha(alpha)
        assert find_issues(decode(saved(transparent, "PNG"))) == {"blank"}
    for blank in (Image.new("RGB", (60, 40), "white"), Image.fromarray(faint)):
        assert find_issues(decode(saved(blank, "PNG"))) == {"blank"}
    assert find_issues(decode(saved(two_halves(), "PNG"))) == set()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
@pytest.mark.parametrize(("width", "height"), [(1_400, 200), (200, 1_400)])
def test_a_strip_with_a_garment_outside_of_its_square_is_not_blank(mode, width, height):
    """Panoramas and pages of shops with garments at their ends were said to be blank."""
    strip = Image.new("RGB", (width, height), "white")
    assert find_issues(decode(saved(strip.convert(mode), "PNG"))) == {"blank"}
    strip.paste("black", (width - 150, height - 150, width - 10, height - 10))
    for picture in (strip.convert(mode), saved(strip.convert(mode), "PNG")):
        decoded = decode(picture)
        assert find_issues(decoded) == find_issues(decode(decoded)) == {"elongated"}
        assert decoded.getextrema() == ((255, 255),) * 3


def test_a_cut_out_outside_of_a_strip_s_square_is_not_blank():
    strip = Image.new("RGBA", (1_400, 200), (0, 0, 0, 0))
    assert find_issues(decode(saved(strip, "PNG"))) == {"blank"}
    strip.paste("red", (20, 20, 150, 180))
    assert find_issues(decode(saved(strip, "PNG"))) == {"elongated"}


@pytest.mark.parametrize(("long_side", "is_elongated"), [(222, 0), (250, 0), (252, 1), (700, 1)])
def test_a_picture_that_is_very_tall_or_wide_has_an_issue(long_side, is_elongated):
    """A screen of a phone is at most 2.44 times as tall as wide, a photograph less."""
    noise = Image.effect_noise((100, long_side), 80).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    for picture in (noise, noise.rotate(90, expand=True)):
        for options in ({}, {"exif": exif}):
            decoded = decode(saved(picture, "PNG", **options))
            assert find_issues(decoded) == ({"elongated"} if is_elongated else set())

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwc.catalogue.drawing.materials import (
    color_of,
    difference,
    lightness,
    nearest_color,
    oklab_to_srgb,
    oklch_to_srgb,
    second_color_of,
    srgb_to_oklab,
)
from dwc.catalogue.schema import COLORS, SHADES, UNSHADED

CLASSES = [(c, s) for c in COLORS for s in SHADES if s == "mid" or c not in UNSHADED]
channel = st.floats(0, 1)


@given(st.tuples(channel, channel, channel))
def test_oklab_and_back(rgb: tuple[float, float, float]) -> None:
    assert np.allclose(oklab_to_srgb(srgb_to_oklab(rgb)), rgb, atol=1e-4)


def test_oklab_of_known_colors() -> None:
    # Ottosson's page gives these for linear primaries.
    assert np.allclose(srgb_to_oklab((1, 1, 1)), (1, 0, 0), atol=1e-4)
    assert np.allclose(srgb_to_oklab((1, 0, 0)), (0.62796, 0.22486, 0.12585), atol=1e-4)
    assert np.allclose(srgb_to_oklab((0, 0, 1)), (0.45201, -0.03246, -0.31153), atol=1e-4)


def test_every_color_is_one_that_a_screen_shows() -> None:
    """Clipping to sRGB would move colors together unseen."""
    from dwc.catalogue.drawing.materials import _CHOSEN

    for name, shades in _CHOSEN.items():
        for shade, (level, chroma, hue) in shades.items():
            shown = srgb_to_oklab(oklch_to_srgb(level, chroma, hue))
            angle = np.deg2rad(hue)
            wanted = (level, chroma * np.cos(angle), chroma * np.sin(angle))
            assert np.linalg.norm(shown - wanted) < 0.012, (name, shade)


def test_classes_are_apart() -> None:
    assert len(CLASSES) == 35
    for one, other in itertools.combinations(CLASSES, 2):
        apart = difference(color_of(*one), color_of(*other))
        assert apart > (0.075 if one[0] == other[0] else 0.068), (one, other, apart)


def test_shades_are_ordered() -> None:
    for color in set(COLORS) - UNSHADED:
        light, mid, dark = (lightness(color_of(color, shade)) for shade in SHADES)
        assert light > mid + 0.05, color
        assert mid > dark + 0.05, color


def test_second_colors_stand_out_and_stay_themselves() -> None:
    for main, shade in CLASSES:
        for second in set(COLORS) - {main}:
            value = second_color_of(second, main, shade)
            assert nearest_color(value)[0] == second
            assert difference(value, color_of(main, shade)) > 0.085, (main, shade, second)


def test_nearest_color_finds_each_class_under_a_little_noise() -> None:
    rng = random.Random(0)
    for name in CLASSES:
        value = color_of(*name) + np.array([rng.uniform(-0.008, 0.008) for _ in range(3)])
        assert nearest_color(np.clip(value, 0, 1)) == name


def test_black_has_no_light_shade() -> None:
    with pytest.raises(KeyError):
        color_of("black", "light")

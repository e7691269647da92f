"""The colours that garments are drawn in, chosen in OKLab: distance there is how unlike they look.

Ottosson, "A perceptual color space for image processing" (2020): https://bottosson.github.io/posts/oklab/
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Colour = NDArray[np.float32]  # (3,), sRGB in [0, 1]

_TO_CONE = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_FROM_CONE = np.linalg.inv(_TO_CONE)
_FROM_LAB = np.linalg.inv(_TO_LAB)

# (lightness 0..1, chroma, hue in degrees). Neighbours that people confuse are kept apart on
# purpose: pinks lean to blue and reds to orange; beige is lighter and greyer than brown and orange;
# teal's hue lies 45 degrees from both green and blue.
_CHOSEN: dict[str, dict[str, tuple[float, float, float]]] = {
    "red": {"light": (0.67, 0.185, 24), "mid": (0.56, 0.215, 27), "dark": (0.41, 0.150, 23)},
    "pink": {"light": (0.875, 0.075, 356), "mid": (0.775, 0.135, 355), "dark": (0.655, 0.205, 358)},
    "orange": {"light": (0.825, 0.120, 66), "mid": (0.735, 0.174, 55), "dark": (0.63, 0.170, 47)},
    "yellow": {"light": (0.945, 0.098, 104), "mid": (0.870, 0.172, 93), "dark": (0.755, 0.148, 89)},
    "green": {"light": (0.84, 0.125, 142), "mid": (0.63, 0.165, 145), "dark": (0.42, 0.095, 150)},
    "teal": {"light": (0.85, 0.080, 192), "mid": (0.67, 0.110, 193), "dark": (0.475, 0.081, 197)},
    "blue": {"light": (0.79, 0.090, 245), "mid": (0.57, 0.170, 258), "dark": (0.36, 0.120, 264)},
    "purple": {"light": (0.795, 0.100, 304), "mid": (0.58, 0.185, 302), "dark": (0.40, 0.145, 306)},
    "brown": {"light": (0.62, 0.082, 60), "mid": (0.475, 0.078, 53), "dark": (0.335, 0.052, 47)},
    "beige": {"light": (0.895, 0.038, 82), "mid": (0.818, 0.054, 80), "dark": (0.72, 0.060, 77)},
    "grey": {"light": (0.785, 0.009, 255), "mid": (0.62, 0.008, 255), "dark": (0.44, 0.010, 255)},
    "black": {"mid": (0.22, 0.006, 270)},
    "white": {"mid": (0.975, 0.004, 95)},
}
# A second colour has no shade of its own; nearer than this to the main colour, it takes another.
_CONTRAST = 0.17


def srgb_to_oklab(rgb: ArrayLike) -> NDArray[np.float64]:
    """sRGB (..., 3) in [0, 1] to OKLab (..., 3): lightness in [0, 1], green-red, blue-yellow."""
    encoded = np.clip(np.asarray(rgb, dtype=np.float64), 0, 1)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _TO_CONE.T) @ _TO_LAB.T


def oklab_to_srgb(lab: ArrayLike) -> NDArray[np.float64]:
    """OKLab (..., 3) to sRGB (..., 3), clipped to [0, 1]."""
    linear = np.clip((np.asarray(lab, dtype=np.float64) @ _FROM_LAB.T) ** 3 @ _FROM_CONE.T, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def oklch_to_srgb(lightness: float, chroma: float, hue: float) -> Colour:
    """One colour from lightness (0 to 1), chroma (0 to about 0.3) and hue (degrees)."""
    angle = np.deg2rad(hue)
    lab = (lightness, chroma * np.cos(angle), chroma * np.sin(angle))
    return oklab_to_srgb(lab).astype(np.float32)


@lru_cache(maxsize=64)
def colour_of(colour: str, shade: str = "mid") -> Colour:
    """The sRGB value of a colour of the schema in one of its shades; KeyError where it has none."""
    value = oklch_to_srgb(*_CHOSEN[colour][shade])
    value.setflags(write=False)
    return value


@lru_cache(maxsize=1024)
def second_colour_of(colour: str, main: str, main_shade: str) -> Colour:
    """The sRGB value of a second colour that stands out from the main one.

    The middle shade, unless it lies too near the main colour; then the shade farthest from it.
    """
    base = colour_of(main, main_shade)
    if difference(colour_of(colour), base) >= _CONTRAST:
        return colour_of(colour)
    shades = _CHOSEN[colour]
    return max((colour_of(colour, s) for s in shades), key=lambda value: difference(value, base))


def difference(one: ArrayLike, other: ArrayLike) -> float:
    """How different two sRGB colours look: their distance in OKLab; 0.02 is just noticeable."""
    return float(np.linalg.norm(srgb_to_oklab(one) - srgb_to_oklab(other)))


def lightness(rgb: ArrayLike) -> float:
    """OKLab lightness of an sRGB colour, 0 black to 1 white."""
    return float(srgb_to_oklab(rgb)[..., 0])


def shifted(rgb: ArrayLike, lighter: float = 0.0, chroma: float = 1.0) -> Colour:
    """An sRGB colour made lighter (negative: darker) and its chroma multiplied."""
    lab = srgb_to_oklab(rgb)
    lab[0] = np.clip(lab[0] + lighter, 0.06, 0.99)
    lab[1:] *= chroma
    return oklab_to_srgb(lab).astype(np.float32)


def nearest_colour(rgb: ArrayLike) -> tuple[str, str]:
    """The (colour, shade) of the schema that an sRGB value is nearest to."""
    return _NAMES[int(np.linalg.norm(_NAMED_LAB - srgb_to_oklab(rgb), axis=1).argmin())]


_NAMES = [(colour, shade) for colour, shades in _CHOSEN.items() for shade in shades]
_NAMED_LAB = srgb_to_oklab(np.stack([colour_of(*name) for name in _NAMES]))  # (35, 3)

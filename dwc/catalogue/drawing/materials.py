"""Materials of garments with their colors, and random textures for folds and light.

Colors are chosen in OKLab, a color space in which the distance of two colors measures how different
they look (Ottosson, "A perceptual color space for image processing", 2020:
https://bottosson.github.io/posts/oklab/). Chroma is the strength of a color: 0 is grey.

Textures are repeating tiles that are computed once; random sections are cut from them.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from dwc.catalogue.drawing.parts import Role
from dwc.catalogue.schema import Garment

Field = NDArray[np.float32]  # (height, width)

_TILE = 256


def upsampled(field: Field, width: int, height: int, sharp: bool = False) -> Field:
    """Return a field (h, w) enlarged to (height, width).

    The interpolation is bicubic if `sharp` is True, else bilinear.
    """
    method = Image.Resampling.BICUBIC if sharp else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(field).resize((width, height), method))


@lru_cache(maxsize=32)
def cloud_tile(roughness: float, finest: int = 64, side: int = _TILE) -> Field:
    """Return cloud-like noise (side, side) that repeats seamlessly; mean 0, standard deviation 1.

    Equal arguments always give the same tile. `cut` takes a random section of a tile.

    Args:
        roughness: Exponent by which the amplitude falls with frequency. Larger values are smoother:
            0 is white noise, 2 is smooth.
        finest: Highest frequency, in waves per side.
        side: Pixels per side.
    """
    rng = np.random.default_rng(side + finest)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) * side
    with np.errstate(divide="ignore"):
        amplitude = np.where((frequency > 0) & (frequency <= finest), frequency**-roughness, 0)
    spectrum = np.fft.rfft2(rng.normal(size=(side, side))) * amplitude
    field = np.fft.irfft2(spectrum, s=(side, side))
    return (field / field.std()).astype(np.float32)


@lru_cache(maxsize=8)
def crease_tile(roughness: float = 1.6, finest: int = 24) -> Field:
    """Return a texture (256, 256) like crumpled cloth: smooth hollows between narrow ridges.

    The texture has mean 0 and standard deviation 1.

    Args:
        roughness: Exponent by which the amplitude falls with frequency. Larger values are smoother;
            see `cloud_tile`.
        finest: Highest frequency, in waves per side.
    """
    ridges = -np.abs(cloud_tile(roughness, finest)) + 0.35 * np.abs(
        np.roll(cloud_tile(roughness, finest).T, (91, 37), (0, 1))
    )
    return ((ridges - ridges.mean()) / ridges.std()).astype(np.float32)


def cut(tile: Field, rng: np.random.Generator, side: int, zoom: float = 1.0) -> Field:
    """Return a random section (side, side) of a repeating tile, randomly rotated and mirrored.

    With `zoom` > 1, a smaller area of the tile, side / zoom pixels wide, is enlarged.
    """
    period = len(tile)
    need = max(4, min(period, round(side / zoom)))
    top, left, turn = rng.integers(0, (period, period, 8)).tolist()
    field = tile[top : top + need, left : left + need]
    if field.shape != (need, need):  # the square crosses the tile's border, so wrap around
        rows, columns = np.arange(top, top + need), np.arange(left, left + need)
        field = tile.take(rows, 0, mode="wrap").take(columns, 1, mode="wrap")
    field = np.rot90(field, turn % 4)
    if turn >= 4:
        field = field[:, ::-1]
    if need == side:
        return field
    return upsampled(np.ascontiguousarray(field), side, side, sharp=zoom > 3)


def relief(height: Field, light: tuple[float, float]) -> Field:
    """Return the slope towards the light at each point of a height field, as an array (h, w).

    Values are positive where the surface faces the light, negative where it faces away.

    Args:
        height: The height of the surface at each point, (h, w).
        light: Unit vector (x, y) that points towards the light.
    """
    facing = np.zeros_like(height)
    facing[:, 1:-1] -= (height[:, 2:] - height[:, :-2]) * np.float32(light[0])
    facing[1:-1] -= (height[2:] - height[:-2]) * np.float32(light[1])
    return facing


Color = NDArray[np.float32]  # (3,), sRGB in [0, 1]

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

# Each shade of each color as (lightness from 0 to 1, chroma, hue in degrees). Colors that are
# easily confused were chosen to differ: pinks tend to blue and reds to orange; beige is lighter and
# greyer than brown and orange; teal's hue is 45 degrees from both green and blue.
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
# Least OKLab distance between the main color and the middle shade of the second color; below it,
# the second color uses another shade.
_CONTRAST = 0.17


def srgb_to_oklab(rgb: ArrayLike) -> NDArray[np.float64]:
    """Convert sRGB colors (..., 3) in [0, 1] to OKLab colors (..., 3).

    The three OKLab coordinates are lightness (0 to 1), green to red, and blue to yellow.
    """
    encoded = np.clip(np.asarray(rgb, dtype=np.float64), 0, 1)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _TO_CONE.T) @ _TO_LAB.T


def oklab_to_srgb(lab: ArrayLike) -> NDArray[np.float64]:
    """Convert OKLab colors (..., 3) to sRGB colors (..., 3), clipped to [0, 1]."""
    linear = np.clip((np.asarray(lab, dtype=np.float64) @ _FROM_LAB.T) ** 3 @ _FROM_CONE.T, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def oklch_to_srgb(lightness: float, chroma: float, hue: float) -> Color:
    """Return the sRGB color that has a given lightness, chroma and hue in OKLab.

    Args:
        lightness: 0 (black) to 1 (white).
        chroma: Strength of the color, 0 (grey) to about 0.3.
        hue: Angle in degrees: 0 is pink, 90 yellow, 180 blue-green, 270 blue.
    """
    angle = np.deg2rad(hue)
    lab = (lightness, chroma * np.cos(angle), chroma * np.sin(angle))
    return oklab_to_srgb(lab).astype(np.float32)


@lru_cache(maxsize=64)
def color_of(color: str, shade: str = "mid") -> Color:
    """Return the sRGB value of one of the schema's colors in one of its shades.

    Raises:
        KeyError: The color has no such shade.
    """
    value = oklch_to_srgb(*_CHOSEN[color][shade])
    value.setflags(write=False)
    return value


@lru_cache(maxsize=1024)
def second_color_of(color: str, main: str, main_shade: str) -> Color:
    """Return the sRGB value of a garment's second color, which contrasts with the main color.

    Usually, the second color has the middle shade. If this is too similar to the main color, the
    shade that differs most from the main color is used.

    Args:
        color: Name of the second color.
        main: Name of the main color.
        main_shade: Shade of the main color.
    """
    base = color_of(main, main_shade)
    if difference(color_of(color), base) >= _CONTRAST:
        return color_of(color)
    shades = _CHOSEN[color]
    return max((color_of(color, s) for s in shades), key=lambda value: difference(value, base))


def difference(first: ArrayLike, second: ArrayLike) -> float:
    """Return the OKLab distance of two sRGB colors; 0.02 is just noticeable."""
    return float(np.linalg.norm(srgb_to_oklab(first) - srgb_to_oklab(second)))


def lightness(rgb: ArrayLike) -> float:
    """Return the OKLab lightness of an sRGB color, from 0 (black) to 1 (white)."""
    return float(srgb_to_oklab(rgb)[..., 0])


def shifted(rgb: ArrayLike, lighter: float = 0.0, chroma: float = 1.0) -> Color:
    """Return an sRGB color after a change of its OKLab lightness and chroma.

    Args:
        rgb: The color, sRGB in [0, 1].
        lighter: Number to add to the lightness, whose range is 0 to 1; negative values darken.
        chroma: Factor of the chroma.
    """
    lab = srgb_to_oklab(rgb)
    lab[0] = np.clip(lab[0] + lighter, 0.06, 0.99)
    lab[1:] *= chroma
    return oklab_to_srgb(lab).astype(np.float32)


def nearest_color(rgb: ArrayLike) -> tuple[str, str]:
    """Return the names (color, shade) of the schema's color that looks most like an sRGB value."""
    return _NAMES[int(np.linalg.norm(_NAMED_LAB - srgb_to_oklab(rgb), axis=1).argmin())]


_NAMES = [(color, shade) for color, shades in _CHOSEN.items() for shade in shades]
_NAMED_LAB = srgb_to_oklab(np.stack([color_of(*name) for name in _NAMES]))  # (35, 3)


_KNITTED = frozenset({"jumper", "hat"})
_LEATHER = frozenset({"boots", "heels", "flats", "sandals", "bag"})
_WOVEN = frozenset({"hat", "trousers", "shorts", "jacket", "coat", "skirt"})
_BUTTON_PALE, _BUTTON_DARK = oklch_to_srgb(0.93, 0.02, 85), oklch_to_srgb(0.27, 0.02, 60)
_SILVER, _GOLD = oklch_to_srgb(0.80, 0.006, 250), oklch_to_srgb(0.80, 0.095, 85)
_RUBBER = oklch_to_srgb(0.96, 0.008, 95)
_GUM, _BLACK_RUBBER = oklch_to_srgb(0.66, 0.075, 65), oklch_to_srgb(0.27, 0.006, 270)


@dataclass(frozen=True)
class Material:
    """The colors of a garment and the look of its surface.

    Attributes:
        colors: The sRGB color for each role of a piece; see `parts.Role`.
        weave: Name of the fine structure: "cotton", "knit", "twill" or "leather".
        depth: Strength of the fine structure, 0 to 1.
        gloss: How much the surface shines, 0 to 1.
    """

    colors: dict[Role, Color]
    weave: str
    depth: float
    gloss: float

    @cached_property
    def is_dark(self) -> bool:
        """Whether the cloth is so dark that seams are drawn lighter than the cloth, not darker."""
        return lightness(self.colors["main"]) < 0.47


def material_of(garment: Garment, rng: np.random.Generator) -> Material:
    """Return a garment's material: the colors of its pieces, and a surface for its category.

    The colors of sole and metal, and the gloss of leather, are random.
    """
    color, shade, second_name = garment["colour"], garment["shade"], garment["second_colour"]
    main = color_of(color, shade)
    second = main if second_name == "none" else second_color_of(second_name, color, shade)
    trim, lining, tinted_sole = _dyed_alike(color, shade)
    soles = [_RUBBER, _GUM, _BLACK_RUBBER] if garment.category == "trainers" else [
        _GUM, _BLACK_RUBBER, tinted_sole
    ]  # fmt: skip
    apart = [sole for sole in soles if abs(float(sole.mean()) - float(main.mean())) > 0.1] or soles
    sole = apart[int(rng.integers(len(apart)))]
    colors: dict[Role, Color] = {
        "main": main,
        "second": second,
        "trim": trim,
        "lining": lining,
        "sole": sole,
        "metal": _GOLD if rng.random() < 0.45 else _SILVER,
    }
    weave, depth, gloss = "cotton", 0.014, 0.0
    if garment.category in _KNITTED and garment.get("brim") in (None, "none"):
        weave, depth = "knit", 0.085
    elif garment.category in _LEATHER:
        weave, depth, gloss = "leather", 0.018, float(rng.uniform(0.25, 0.8))
    elif garment.category in _WOVEN:
        weave, depth = "twill", 0.024
    return Material(colors, weave, depth, gloss)


@lru_cache(maxsize=64)
def _dyed_alike(color: str, shade: str) -> tuple[Color, Color, Color]:
    """Return the colors of trim, lining and sole that suit the main color in its shade."""
    main = color_of(color, shade)
    level = lightness(main)
    trim = shifted(main, -0.2 if level > 0.45 else 0.22, 0.85)
    lining = shifted(main, -0.17 if level > 0.30 else -0.07, 0.8)
    return trim, lining, shifted(main, -0.16 if level > 0.42 else 0.14, 0.6)


def button_color(material: Material) -> Color:
    """Return the color of buttons: a tint of the cloth's color, pale on dark cloth, else dark."""
    level = lightness(material.colors["main"])
    pale = level < 0.62
    base = _BUTTON_PALE if pale else _BUTTON_DARK
    tinted = shifted(material.colors["main"], (0.85 if pale else 0.42) - level, 0.7)
    return (0.5 * base + 0.5 * tinted).astype(np.float32)


@lru_cache(maxsize=64)
def weave_tile(weave: str, unit: int) -> Field:
    """Return a repeating tile (128, 128) with the fine structure of a material.

    The mean of the tile is about 0; most values are between -1 and 1.

    Args:
        weave: Name of the structure: "knit", "twill", "leather"; any other name gives cotton.
        unit: Scale of the drawing: half the image's side in pixels, multiplied by the zoom factor.
            The stitches of "knit" and the lines of "twill" grow with it, but are never narrower
            than two pixels.
    """
    side = 128
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    grainy = cloud_tile(0.5, 64, side)
    if weave == "knit":
        stitch = max(unit / 21, 2.0)
        rows = max(1, round(side / stitch))
        columns = max(1, round(side / (1.25 * stitch)))
        across = np.abs((x * columns / side) % 1 - 0.5) * 2
        ribs = np.cos(np.pi * across) * 0.55
        loops = np.sin(2 * np.pi * (y * rows / side + 0.5 * across)) * 0.55
        return (ribs + loops + 0.15 * grainy).astype(np.float32)
    if weave == "twill":
        lines = max(1, round(side / max(unit / 36, 2.2)))
        return (0.6 * np.sin(2 * np.pi * lines * (x + y) / side) + 0.6 * grainy).astype(np.float32)
    if weave == "leather":
        return cloud_tile(0.4, 60, side)
    return grainy

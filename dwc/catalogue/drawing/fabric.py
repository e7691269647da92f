"""Materials: the fine structure of cloth, knit and leather, and the colours that go with one."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from dwc.catalogue.drawing.noise import Field, cloud_tile
from dwc.catalogue.drawing.palette import (
    Colour,
    colour_of,
    lightness,
    oklch_to_srgb,
    second_colour_of,
    shifted,
)
from dwc.catalogue.drawing.parts import Role
from dwc.catalogue.schema import Garment

_KNITTED = frozenset({"jumper", "hat"})
_LEATHER = frozenset({"boots", "heels", "flats", "sandals", "bag"})
_WOVEN = frozenset({"hat", "trousers", "shorts", "jacket", "coat", "skirt"})
_BUTTON_PALE, _BUTTON_DARK = oklch_to_srgb(0.93, 0.02, 85), oklch_to_srgb(0.27, 0.02, 60)
_SILVER, _GOLD = oklch_to_srgb(0.80, 0.006, 250), oklch_to_srgb(0.80, 0.095, 85)
_RUBBER = oklch_to_srgb(0.96, 0.008, 95)
_GUM, _BLACK_RUBBER = oklch_to_srgb(0.66, 0.075, 65), oklch_to_srgb(0.27, 0.006, 270)


@dataclass(frozen=True)
class Material:
    """The colour of each role, and how the surface looks close to.

    `weave` names the fine structure, `depth` is how strong it is, `gloss` (0 to 1) how much the
    surface shines.
    """

    colours: dict[Role, Colour]
    weave: str
    depth: float
    gloss: float

    @cached_property
    def is_dark(self) -> bool:
        """Whether seams have to be lighter than the cloth to be seen."""
        return lightness(self.colours["main"]) < 0.47


def material_of(garment: Garment, rng: np.random.Generator) -> Material:
    """What a garment is made of; the described colours are exact, the rest is drawn at random."""
    colour, shade, second_name = garment["colour"], garment["shade"], garment["second_colour"]
    main = colour_of(colour, shade)
    second = main if second_name == "none" else second_colour_of(second_name, colour, shade)
    trim, lining, tinted_sole = _dyed_alike(colour, shade)
    soles = [_RUBBER, _GUM, _BLACK_RUBBER] if garment.category == "trainers" else [
        _GUM, _BLACK_RUBBER, tinted_sole
    ]  # fmt: skip
    apart = [sole for sole in soles if abs(float(sole.mean()) - float(main.mean())) > 0.1] or soles
    sole = apart[int(rng.integers(len(apart)))]
    colours: dict[Role, Colour] = {
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
    return Material(colours, weave, depth, gloss)


@lru_cache(maxsize=64)
def _dyed_alike(colour: str, shade: str) -> tuple[Colour, Colour, Colour]:
    """The trim, lining and sole that go with a colour."""
    main = colour_of(colour, shade)
    level = lightness(main)
    trim = shifted(main, -0.2 if level > 0.45 else 0.22, 0.85)
    lining = shifted(main, -0.17 if level > 0.30 else -0.07, 0.8)
    return trim, lining, shifted(main, -0.16 if level > 0.42 else 0.14, 0.6)


def button_colour(material: Material) -> Colour:
    """Pale buttons on dark cloth and dark ones on pale cloth, with something of its hue."""
    level = lightness(material.colours["main"])
    pale = level < 0.62
    base = _BUTTON_PALE if pale else _BUTTON_DARK
    tinted = shifted(material.colours["main"], (0.85 if pale else 0.42) - level, 0.7)
    return (0.5 * base + 0.5 * tinted).astype(np.float32)


@lru_cache(maxsize=64)
def weave_tile(weave: str, unit: int) -> Field:
    """The fine structure of a material, a tile of mean 0 and height about 1.

    `unit` is how many pixels a unit of the curves' square has: threads keep their size in the
    garment, and vanish where they would be finer than a pixel.
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

"""Builders of garments: for each category, a function that returns pieces, lines and buttons."""

from collections.abc import Callable

import numpy as np

from dwc.catalogue.drawing.garments.accessories import bag, hat
from dwc.catalogue.drawing.garments.footwear import boots, flats, heels, sandals, trainers
from dwc.catalogue.drawing.garments.lower_body import shorts, skirt, trousers
from dwc.catalogue.drawing.garments.upper_body import (
    coat,
    dress,
    hoodie,
    jacket,
    jumper,
    shirt,
    t_shirt,
)
from dwc.catalogue.drawing.parts import Shape
from dwc.catalogue.schema import Garment

Builder = Callable[[Garment, np.random.Generator], Shape]

BUILDERS: dict[str, Builder] = {
    "dress": dress,
    "t_shirt": t_shirt,
    "shirt": shirt,
    "jumper": jumper,
    "hoodie": hoodie,
    "jacket": jacket,
    "coat": coat,
    "skirt": skirt,
    "trousers": trousers,
    "shorts": shorts,
    "trainers": trainers,
    "boots": boots,
    "heels": heels,
    "flats": flats,
    "sandals": sandals,
    "bag": bag,
    "hat": hat,
}


def outline(garment: Garment, rng: np.random.Generator) -> Shape:
    """Build the shape (pieces, lines and buttons) of a garment in the square [-1, 1]².

    Everything that the garment's attributes do not specify is chosen at random with `rng`.
    """
    return BUILDERS[garment.category](garment, rng)

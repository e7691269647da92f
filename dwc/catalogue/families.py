"""The default gallery: families of drawn garments in which most single wishes can be granted.

A wish such as "this dress, but in blue" is granted only if the gallery has the very same dress in
blue. Among random garments this is rare. The garments of a family are therefore all combinations
of a few values: of one category, in every color, with a few shades, patterns, sleeves and lengths.
All other attributes have one value in the family.

The garments do not belong to one of the splits: most of their combinations of category, color and
pattern occur in training. The benchmark has a gallery of its own, `splits.gallery("test", ...)`.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

from dwc.catalogue.schema import CATEGORIES, COLORS, UNSHADED, Garment
from dwc.catalogue.splits import CatalogueItem, Split, gallery, picture_seed

FAMILIES = "families"
"""The name of the default gallery, in the place of a split's name."""

_SHADES = ("light", "dark")
_PATTERN_COLOR = "white"


class Family(NamedTuple):
    """A category in every color, and the values of its attributes that are combined.

    Attributes:
        category: The category.
        second_pattern: The pattern besides plain and striped.
        values: The values of each of the category's own attributes.
    """

    category: str
    second_pattern: str
    values: Mapping[str, Sequence[str]]

    def garments(self) -> Iterator[Garment]:
        """Yield all garments of the family.

        All patterns are white, so that a garment has its counterpart in every other color and
        pattern. White garments are plain.
        """
        own = [self.values[name] for name in CATEGORIES[self.category]]
        patterns = ("plain", "striped", self.second_pattern)
        for color, pattern, *values in product(COLORS, patterns, *own):
            if color == _PATTERN_COLOR and pattern != "plain":
                continue
            second = "none" if pattern == "plain" else _PATTERN_COLOR
            for shade in ("mid",) if color in UNSHADED else _SHADES:
                yield Garment(self.category, (color, shade, pattern, second, *values))


def _family(category: str, second_pattern: str, **values: str) -> Family:
    """Return a family; the values of an attribute are separated by spaces."""
    return Family(category, second_pattern, {name: text.split() for name, text in values.items()})


# Sleeves and lengths vary, since people name them most often after color and pattern. Values
# between others ("medium") are left out like the shade "mid".
_FAMILIES = (
    _family(
        "dress", "floral", sleeve="sleeveless short long", neckline="round", length="short long",
        hem="flared", waist="plain",
    ),
    _family(
        "t_shirt", "dotted", sleeve="sleeveless short long", neckline="round", length="medium",
        fit="regular",
    ),
    _family("shirt", "checked", sleeve="short long", fit="regular", pockets="none"),
    _family(
        "jumper", "dotted", neckline="roll", length="cropped long", fit="regular", fastening="none",
    ),
    _family(
        "skirt", "floral", length="short long", hem="flared", waist="plain", fastening="none",
    ),
    _family(
        "trousers", "checked", length="cropped long", fit="regular", waist="plain", pockets="none",
    ),
    _family(
        "shorts", "floral", length="short", fit="regular", waist="drawstring", pockets="none",
    ),
    _family("trainers", "checked", length="short", sole="thin", fastening="laces"),
    _family(
        "boots", "floral", length="short long", heel="low", toe="round", fastening="none",
    ),
    _family("heels", "dotted", heel="high", toe="pointed", sole="thin", fastening="none"),
    _family("bag", "floral", shape="boxy rounded tote", strap="handles", fastening="none"),
    _family("hat", "dotted", brim="none peaked wide", trim="none"),
)  # fmt: skip


@cache
def _shuffled() -> tuple[Garment, ...]:
    """Return all garments of all families in random order, which is always the same."""
    garments = [garment for family in _FAMILIES for garment in family.garments()]
    random.Random(FAMILIES).shuffle(garments)
    return tuple(garments)


DEFAULT_SIZE = len(_shuffled())


def catalogue_items(name: Split | str, size: int) -> list[CatalogueItem]:
    """Return the first `size` garments of the default gallery, or of the gallery of a split.

    Args:
        name: "families" for the default gallery, else the name of a split.
        size: The number of garments.

    Raises:
        ValueError: `size` is negative, or more than the default gallery has.
    """
    if name != FAMILIES:
        return gallery(name, size)  # type: ignore[arg-type]
    garments = _shuffled()
    if not 0 <= size <= len(garments):
        raise ValueError(f"the default gallery has 0 to {len(garments):,} garments, not {size:,}")
    return [
        CatalogueItem(f"garment-{index:05d}", garment, picture_seed(FAMILIES, 0, index))
        for index, garment in enumerate(garments[:size])
    ]

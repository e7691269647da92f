"""The train, val and test splits of all garments, the galleries, and training triplets.

Each combination of category, color and pattern belongs to exactly one split. If "red striped dress"
belongs to the test split, no training image shows such a dress, but there are training images of
other dresses, of other red garments and of other striped garments. The benchmark's galleries
(`gallery`) have random garments of one split.

The app's default gallery (`catalogue_items(FAMILIES, ...)`) ignores the splits. A text such as
"this dress, but in blue" has an exact result only if the gallery has the very same dress in blue,
which is rare among random garments. The default gallery therefore consists of families. A family
has garments of one category: every combination of all colors with a few shades, patterns, sleeves
and lengths. All other attributes are the same throughout the family.
"""

import random
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import product
from typing import Literal, NamedTuple

from dwc.catalogue.language.modifications import Modification, draw_modification
from dwc.catalogue.schema import (
    CATEGORIES,
    COLORS,
    COMMON,
    UNSHADED,
    EncodedGarments,
    Garment,
    attributes_of,
    sample_garment,
    sample_value,
)

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
_BOUNDS = (70, 80)  # in percent: 70 % of the combinations for train, 10 % for val, 20 % for test
_OTHER_CATEGORY_SHARE = 0.12  # share of families that also have a garment of another category
_TRIES = 60  # random garments tried for one member of a family before that member is left out


@dataclass(frozen=True)
class CatalogueItem:
    """One image of a catalogue: its id, the garment in the image, and the seed of the drawing."""

    id: str
    garment: Garment
    picture_seed: int


@cache
def _split_of(category: str, color: str, pattern: str) -> Split:
    digest = sha256(f"{category}|{color}|{pattern}".encode()).digest()
    draw = int.from_bytes(digest[:4], "big") % 100
    return SPLITS[bisect_right(_BOUNDS, draw)]


def split_of(garment: Garment) -> Split:
    """Return the split to which a garment's category, color and pattern assign it."""
    return _split_of(garment.category, garment["colour"], garment["pattern"])


def sample_in_split(rng: random.Random, split: Split, category: str | None = None) -> Garment:
    """Return a random garment of a split; if `category` is None, the category is random, too."""
    while True:
        garment = sample_garment(rng, category)
        if split_of(garment) == split:
            return garment


def family(rng: random.Random, split: Split) -> list[Garment]:
    """Return a "family": a random garment, then up to five distinct variations of this garment.

    Four variations have the garment's category. About one attribute is different in the first, two
    are different in the second, half in the third and all in the fourth. Some families have a fifth
    variation: a garment of another category with nearly the same color, shade, pattern and second
    color. All garments belong to `split`. A variation is left out if no suitable garment of the
    split is found after a limited number of attempts.
    """
    base = sample_in_split(rng, split)
    names = len(base.values)
    members = [base]
    for count in (1, 2, names // 2, names):
        relative = _relative(rng, base, count, split)
        if relative is not None and relative not in members:
            members.append(relative)
    if rng.random() < _OTHER_CATEGORY_SHARE:
        other = _other_category(rng, base, split)
        if other is not None:
            members.append(other)
    return members


def _relative(rng: random.Random, base: Garment, count: int, split: Split) -> Garment | None:
    """Return a garment of the split that differs from `base` in `count` random attributes.

    The number may be slightly different, since second color and shade are adapted to the other
    attributes; see `consistent`.

    Returns:
        The garment; None if no suitable one is found in 60 attempts (`_TRIES`).
    """
    names = list(base.attributes)
    for _ in range(_TRIES):
        values = dict(base.attributes)
        for name in rng.sample(names, count):
            values[name] = _another(rng, base, name)
        garment = consistent(rng, base.category, values)
        if garment != base and split_of(garment) == split:
            return garment
    return None


def _another(rng: random.Random, base: Garment, name: str) -> str:
    while True:
        value = sample_value(rng, base.category, name)
        if value != base[name]:
            return value


def consistent(rng: random.Random, category: str, values: dict[str, str]) -> Garment:
    """Return a garment with the given values, but without contradictions between them.

    A second color or a shade that contradicts the other values is replaced. For example, the
    second color of a plain garment becomes "none".
    """
    if values["pattern"] == "plain":
        values["second_colour"] = "none"
    elif values["second_colour"] in ("none", values["colour"]):
        others = [c for c in attributes_of(category)["colour"] if c != values["colour"]]
        values["second_colour"] = rng.choice(others)
    if values["colour"] in UNSHADED:
        values["shade"] = "mid"
    return Garment(category, tuple(values[name] for name in attributes_of(category)))


def _other_category(rng: random.Random, base: Garment, split: Split) -> Garment | None:
    """Return a random garment of another category that looks similar to `base`.

    The garment has the color, shade, pattern and second color of `base`; in 30 % of cases, one of
    these four is replaced by a random value.

    Returns:
        The garment; None if no suitable one is found in 60 attempts (`_TRIES`).
    """
    for _ in range(_TRIES):
        category = rng.choice([name for name in CATEGORIES if name != base.category])
        drawn = sample_garment(rng, category)
        values = {**drawn.attributes, **{name: base[name] for name in COMMON}}
        if base["pattern"] not in attributes_of(category)["pattern"]:
            continue
        if rng.random() < 0.3:
            name = rng.choice(COMMON)
            values[name] = drawn[name]
        garment = consistent(rng, category, values)
        if split_of(garment) == split:
            return garment
    return None


GALLERY_SIZE = 2_000
"""Default number of garments in a gallery of the benchmark."""


def gallery(split: Split, size: int, seed: int = 0) -> list[CatalogueItem]:
    """Return a gallery: images of `size` distinct garments of a split.

    Of two galleries with the same split and seed, the larger one starts with the images of the
    smaller one. Similar garments (those of one `family`) have neighboring indices.

    Raises:
        ValueError: `size` is negative.
    """
    if size < 0:
        raise ValueError(f"a gallery has 0 or more items, not {size}")
    items: list[CatalogueItem] = []
    seen: set[Garment] = set()
    families = 0
    while len(items) < size:
        rng = random.Random(f"family|{split}|{seed}|{families}")
        families += 1
        for garment in family(rng, split):
            if garment not in seen and len(items) < size:
                seen.add(garment)
                index = len(items)
                name = f"{split}-{index:05d}"
                items.append(CatalogueItem(name, garment, picture_seed(split, seed, index)))
    return items


def picture_seed(split: str, seed: int, index: int) -> int:
    """Return the seed, below 2**31, for the drawing of the garment at `index` of a gallery.

    `split` and `seed` identify the gallery.
    """
    digest = sha256(f"picture|{split}|{seed}|{index}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def training_triplets(
    items: Sequence[CatalogueItem],
    seed: int,
    count: int | None = None,
    wrong_text_share: float = 0.0,
    negation_share: float = 0.0,
) -> Iterator[tuple[int, int, Modification]]:
    """Yield random training triplets whose garments differ in few or in many attributes.

    Args:
        items: The images from which reference and target are chosen.
        seed: The seed of the random choice of pairs and words.
        count: The number of triplets; None for an endless iterator.
        wrong_text_share: Share (0 to 1) of triplets with the modification of the previous pair of
            garments. Such a modification is usually wrong, like an annotator's mistake.
        negation_share: Share (0 to 1) of modifications that exclude something ("no stripes"); see
            `draw_modification`.

    Yields:
        Index of the reference, index of the target, and the modification.

    Raises:
        ValueError: `wrong_text_share` is not from 0 to 1, or no two different garments of one
            category were found in `items`.
    """
    if not 0 <= wrong_text_share <= 1:
        raise ValueError(f"wrong_text_share is a share from 0 to 1, not {wrong_text_share}")
    rng = random.Random(f"triplets|{seed}")
    noise = random.Random(f"noise|{seed}")  # separate, so that the noise does not change the pairs
    pool = EncodedGarments([item.garment for item in items])
    drawn = 0
    before: Modification | None = None
    while count is None or drawn < count:
        reference, target = pool.draw_pair(rng)
        right = draw_modification(
            items[reference].garment, items[target].garment, rng, negation_share
        )
        is_wrong = noise.random() < wrong_text_share
        if is_wrong and before is None:
            before = right
            continue
        yield reference, target, before if is_wrong and before is not None else right
        before = right
        drawn += 1


FAMILIES = "families"
"""The name of the default gallery, for functions that accept the name of a split or this name."""

_SHADES = ("light", "dark")
_PATTERN_COLOR = "white"


class Family(NamedTuple):
    """A set of similar garments in the default gallery: all combinations of a few values.

    Attributes:
        category: The category of all garments.
        second_pattern: The pattern that the garments can have besides plain and striped.
        values: The values to combine, by the attribute's name. The attributes color, shade,
            pattern and second color are not included.
    """

    category: str
    second_pattern: str
    values: Mapping[str, Sequence[str]]

    def garments(self) -> Iterator[Garment]:
        """Yield all garments of the family.

        These are all combinations of colors, shades, patterns and the other values, with two
        restrictions: the second color of a patterned garment is always white, and so white garments
        are always plain. Each patterned garment thus exists in every color except white.
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
    """Return a family: a set of garments that differ in a few attributes only.

    Args:
        category: The category of all garments.
        second_pattern: The pattern that the garments can have besides plain and striped.
        **values: For each other attribute, its values in the family, separated by spaces:
            `length="short long"`. Not for color, shade and second color, whose values are the same
            in all families.
    """
    return Family(category, second_pattern, {name: text.split() for name, text in values.items()})


# Sleeves and lengths vary, since captions name them most often after color and pattern. Middle
# values ("medium") are left out, like the shade "mid".
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
    """Return all garments of all families in a fixed random order."""
    garments = [garment for family in _FAMILIES for garment in family.garments()]
    random.Random(FAMILIES).shuffle(garments)
    return tuple(garments)


DEFAULT_SIZE = len(_shuffled())


def catalogue_items(name: Split | str, size: int) -> list[CatalogueItem]:
    """Return the first `size` images of the default gallery, or of the gallery of a split.

    Args:
        name: "families" for the default gallery, else the name of a split.
        size: The number of images.

    Raises:
        ValueError: `size` is negative, or greater than the size of the default gallery.
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

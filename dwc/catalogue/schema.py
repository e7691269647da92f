"""The schema of drawn garments: categories, their attributes, and the attributes' values.

A `Garment` is a category with one value for each attribute of that category; garments with the same
category and values are equal. The packages `drawing` and `language` draw and describe garments.
`EncodedGarments` encodes many garments as arrays, for fast comparison with a whole gallery.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

COLORS = (
    "red", "pink", "orange", "yellow", "green", "teal", "blue", "purple",
    "brown", "beige", "grey", "black", "white",
)  # fmt: skip
SHADES = ("light", "mid", "dark")
UNSHADED = frozenset({"black", "white"})  # colors without shades; their shade is always "mid"
PATTERNS = (
    "plain", "striped", "pinstriped", "checked", "dotted", "floral", "zigzag", "leopard",
    "colour_block", "graphic",
)  # fmt: skip
GRAPHIC_CATEGORIES = frozenset({"t_shirt", "jumper", "hoodie", "bag"})  # may have a print
PLAIN_SHARE = 0.35  # probability that a pattern is "plain"; otherwise it is sampled uniformly

# The attributes whose values have an order, with these values from least to most. The order gives
# comparatives such as "longer" their meaning. The values of all other attributes have no order.
ORDERED: dict[str, tuple[str, ...]] = {
    "shade": SHADES,
    "sleeve": ("sleeveless", "short", "elbow", "long"),
    "length": ("cropped", "short", "medium", "long"),
    "fit": ("slim", "regular", "loose"),
    "heel": ("flat", "low", "high"),
    "sole": ("thin", "chunky"),
}

# Attributes of each category in addition to color, shade, pattern and second color, which every
# category has.
CATEGORIES: dict[str, dict[str, tuple[str, ...]]] = {
    "dress": {
        "sleeve": ("sleeveless", "short", "elbow", "long"),
        "neckline": ("round", "v", "square", "collar"),
        "length": ("short", "medium", "long"),
        "hem": ("straight", "flared", "ruffled"),
        "waist": ("plain", "belted"),
    },
    "t_shirt": {
        "sleeve": ("sleeveless", "short", "elbow", "long"),
        "neckline": ("round", "v"),
        "length": ("cropped", "medium"),
        "fit": ("slim", "regular", "loose"),
    },
    "shirt": {
        "sleeve": ("short", "elbow", "long"),
        "fit": ("slim", "regular", "loose"),
        "pockets": ("none", "chest"),
    },
    "jumper": {
        "neckline": ("round", "v", "roll"),
        "length": ("cropped", "medium", "long"),
        "fit": ("slim", "regular", "loose"),
        "fastening": ("none", "buttons"),
    },
    "hoodie": {
        "length": ("cropped", "medium"),
        "fit": ("slim", "regular", "loose"),
        "fastening": ("none", "zip"),
        "pockets": ("none", "pouch"),
    },
    "jacket": {
        "neckline": ("collar", "lapel", "round"),
        "length": ("cropped", "medium"),
        "fit": ("slim", "regular", "loose"),
        "fastening": ("buttons", "zip"),
        "pockets": ("none", "patch"),
    },
    "coat": {
        "neckline": ("lapel", "hood", "stand"),
        "length": ("medium", "long"),
        "fastening": ("buttons", "zip"),
        "waist": ("plain", "belted"),
        "pockets": ("none", "patch"),
    },
    "skirt": {
        "length": ("short", "medium", "long"),
        "hem": ("straight", "flared", "ruffled"),
        "waist": ("plain", "belted"),
        "fastening": ("none", "buttons"),
    },
    "trousers": {
        "length": ("cropped", "long"),
        "fit": ("slim", "regular", "loose"),
        "waist": ("plain", "belted", "drawstring"),
        "pockets": ("none", "cargo"),
    },
    "shorts": {
        "length": ("short", "medium"),
        "fit": ("slim", "regular", "loose"),
        "waist": ("plain", "belted", "drawstring"),
        "pockets": ("none", "cargo"),
    },
    "trainers": {
        "length": ("short", "medium"),
        "sole": ("thin", "chunky"),
        "fastening": ("none", "laces", "strap"),
    },
    "boots": {
        "length": ("short", "medium", "long"),
        "heel": ("flat", "low", "high"),
        "toe": ("round", "pointed"),
        "fastening": ("none", "laces", "zip", "buckle"),
    },
    "heels": {
        "heel": ("low", "high"),
        "toe": ("round", "pointed", "open"),
        "sole": ("thin", "chunky"),
        "fastening": ("none", "strap"),
    },
    "flats": {
        "toe": ("round", "pointed"),
        "heel": ("flat", "low"),
        "fastening": ("none", "laces", "buckle", "strap"),
    },
    "sandals": {
        "heel": ("flat", "low", "high"),
        "sole": ("thin", "chunky"),
        "strap": ("thin", "wide", "crossed"),
        "fastening": ("none", "buckle"),
    },
    "bag": {
        "shape": ("boxy", "rounded", "tote"),
        "strap": ("handles", "shoulder", "chain"),
        "fastening": ("none", "flap", "zip"),
    },
    "hat": {
        "brim": ("none", "peaked", "narrow", "wide"),
        "trim": ("none", "band"),
    },
}

COMMON = ("colour", "shade", "pattern", "second_colour")


def patterns_of(category: str) -> tuple[str, ...]:
    """Return the patterns that a category can have."""
    return PATTERNS if category in GRAPHIC_CATEGORIES else PATTERNS[:-1]


@cache
def attributes_of(category: str) -> Mapping[str, tuple[str, ...]]:
    """Return every attribute of a category with its values, in the order of `Garment.values`."""
    return MappingProxyType(
        {
            "colour": COLORS,
            "shade": SHADES,
            "pattern": patterns_of(category),
            "second_colour": ("none", *COLORS),
            **CATEGORIES[category],
        }
    )


@dataclass(frozen=True)
class Garment:
    """A garment: its category, and a value for each of the category's attributes.

    The values are in the order of `attributes_of`.
    """

    category: str
    values: tuple[str, ...]

    @classmethod
    def of(cls, category: str, **values: str) -> "Garment":
        """Return the garment that has the given attribute values; the values are checked first.

        Raises:
            ValueError: The category is unknown, attributes are missing or unknown, or a value is
                invalid or contradicts another.
        """
        if category not in CATEGORIES:
            raise ValueError(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
        expected = attributes_of(category)
        if set(values) != set(expected):
            raise ValueError(f"{category} takes {', '.join(expected)}; got {', '.join(values)}")
        for name, value in values.items():
            if value not in expected[name]:
                raise ValueError(
                    f"{name} of {category} is one of {', '.join(expected[name])}; got {value!r}"
                )
        garment = cls(category, tuple(values[name] for name in expected))
        if problem := garment._contradiction():
            raise ValueError(problem)
        return garment

    @cached_property
    def attributes(self) -> Mapping[str, str]:
        """A dict from the names of the attributes to their values, without the category."""
        return dict(zip(attributes_of(self.category), self.values, strict=True))

    def __getitem__(self, attribute: str) -> str:
        return self.attributes[attribute]

    def get(self, attribute: str) -> str | None:
        """Return an attribute's value, or None if the category does not have the attribute."""
        return self.attributes.get(attribute)

    def with_values(self, **changes: str) -> "Garment":
        """Return a copy of the garment with some values changed.

        Values that `changes` would make inconsistent are adapted: the second color of a plain
        garment becomes "none", and the shade of a black or white garment becomes "mid".

        Raises:
            ValueError: A value is invalid for the category, or values contradict each other.
        """
        values = {**self.attributes, **changes}
        if values["pattern"] == "plain":
            values["second_colour"] = "none"
        if values["colour"] in UNSHADED:
            values["shade"] = "mid"
        return Garment.of(self.category, **values)

    def _contradiction(self) -> str | None:
        if (self["pattern"] == "plain") != (self["second_colour"] == "none"):
            return "a plain garment has no second colour, and a patterned one has"
        if self["second_colour"] == self["colour"]:
            return f"the second colour is the first one: {self['colour']}"
        if self["colour"] in UNSHADED and self["shade"] != "mid":
            return f"{self['colour']} has no {self['shade']} shade"
        return None


def sample_value(rng: random.Random, category: str, attribute: str) -> str:
    """Return a random value of an attribute, chosen independently of the other attributes.

    All values are equally likely, except that the pattern "plain" is more frequent; see
    `PLAIN_SHARE`.
    """
    if attribute == "pattern" and rng.random() < PLAIN_SHARE:
        return "plain"
    return rng.choice(attributes_of(category)[attribute])


def sample_garment(rng: random.Random, category: str | None = None) -> Garment:
    """Return a random garment; if `category` is None, the category is random, too.

    Most values are chosen by `sample_value`. Two are chosen otherwise, so that the values do not
    contradict each other. The shade of a black or white garment is "mid". The second color is
    "none" for a plain garment; for all others, it is random but differs from the main color.
    """
    category = category or rng.choice(tuple(CATEGORIES))
    values = {name: sample_value(rng, category, name) for name in attributes_of(category)}
    if values["colour"] in UNSHADED:
        values["shade"] = "mid"
    others = [color for color in COLORS if color != values["colour"]]
    values["second_colour"] = "none" if values["pattern"] == "plain" else rng.choice(others)
    return Garment.of(category, **values)


def count_garments(category: str | None = None) -> int:
    """Return the number of distinct garments of a category, or of all if `category` is None."""
    if category is None:
        return sum(count_garments(name) for name in CATEGORIES)
    shades = sum(1 if color in UNSHADED else len(SHADES) for color in COLORS)
    dressings = 1 + (len(patterns_of(category)) - 1) * (len(COLORS) - 1)
    total = shades * dressings
    for values in CATEGORIES[category].values():
        total *= len(values)
    return total


_OTHER_CATEGORY_SHARE = 0.05  # share of pairs from two categories, if the pool has such pairs
# The target of a pair is searched only within this many rows before and after the reference, so
# that the time for a pair does not depend on the pool's size. Similar garments have neighboring
# indices.
_NEARBY = 512
# For this many references, only a target that differs in exactly the chosen number of attributes is
# accepted. For later references, the target with the closest number is accepted.
_PATIENCE = 6
_TRIES = 200  # references tried in total before the pool is reported as too small


class EncodedGarments:
    """A collection ("pool") of n garments, encoded as arrays for fast search and random pairs.

    The m garments of a category are encoded as an array (m, number of the category's attributes);
    an entry is the index of the garment's value in the list of the attribute's values. A further
    array (n, 4) encodes color, shade, pattern and second color of all n garments.
    """

    def __init__(self, garments: Sequence[Garment]) -> None:
        self.garments = garments
        members: dict[str, list[int]] = {}
        for index, garment in enumerate(garments):
            members.setdefault(garment.category, []).append(index)
        self._indices = {name: np.array(indices) for name, indices in members.items()}
        self._codes = {name: self._coded(name, indices) for name, indices in members.items()}
        self._common = np.zeros((len(garments), len(COMMON)), dtype=np.uint8)
        self._category = np.zeros(len(garments), dtype=np.uint8)
        self._row = np.zeros(len(garments), dtype=np.intp)
        for number, (name, indices) in enumerate(self._indices.items()):
            self._common[indices] = self._codes[name][:, : len(COMMON)]
            self._category[indices] = number
            self._row[indices] = np.arange(len(indices))

    def _coded(self, category: str, indices: Sequence[int]) -> NDArray[np.uint8]:
        numbers = [_numbers(values) for values in attributes_of(category).values()]
        return np.array(
            [
                [number[value] for number, value in zip(numbers, values, strict=True)]
                for values in (self.garments[index].values for index in indices)
            ],
            dtype=np.uint8,
        )

    def matching(
        self, category: str, constraints: Mapping[str, Collection[str]]
    ) -> NDArray[np.intp]:
        """Return the indices of the garments of a category that satisfy constraints.

        Args:
            category: The category.
            constraints: The allowed values of attributes, by the attribute's name. Attributes that
                are not in this dict may have any value.

        Returns:
            Indices of the garments in this collection, ascending.
        """
        if category not in self._indices:
            return np.zeros(0, dtype=np.intp)
        codes = self._codes[category]
        mask = np.ones(len(codes), dtype=bool)
        for column, (name, values) in enumerate(attributes_of(category).items()):
            if name in constraints:
                table = np.array([value in constraints[name] for value in values])
                mask &= table[codes[:, column]]
        return self._indices[category][mask]

    def draw_pair(self, rng: random.Random) -> tuple[int, int]:
        """Return a random pair of different garments, with a small or a large difference.

        In most pairs, both garments have the same category:

        1. The share of the attributes that differ is chosen uniformly at random.
        2. For a random reference, the garments with neighboring indices are searched for a target
           with exactly this share. If there is none, another reference is tried.
        3. After a few references without success, the target with the closest share is accepted.

        In a few pairs, the garments belong to two categories, and agree in at least three of color,
        shade, pattern and second color.

        Returns:
            Indices of the reference and the target.

        Raises:
            ValueError: No two different garments of one category were found.
        """
        crosses = rng.random() < _OTHER_CATEGORY_SHARE
        share = rng.random()
        for attempt in range(_TRIES if self.garments else 0):
            reference = rng.randrange(len(self.garments))
            if crosses and attempt < _PATIENCE:
                target = self._in_another_category(rng, reference)
            else:
                target = self._in_the_same_category(rng, reference, share, attempt < _PATIENCE)
            if target is not None:
                return reference, target
        raise ValueError(
            f"found no two garments of one category among {len(self.garments)}; take a larger pool"
        )

    def _in_the_same_category(
        self, rng: random.Random, reference: int, share: float, exactly: bool
    ) -> int | None:
        """Return the index of a random target that has the same category as the reference.

        Only garments with indices near the reference's are considered.

        Args:
            rng: The random generator.
            reference: Index of the reference.
            share: The share of attributes in which the two garments should differ, 0 to 1.
            exactly: Whether they must differ in exactly this share; otherwise, garments with the
                closest share are accepted.

        Returns:
            The index; None if no garment is suitable.
        """
        category = self.garments[reference].category
        row = int(self._row[reference])
        start = max(0, row - _NEARBY)
        codes = self._codes[category][start : row + _NEARBY]
        count = codes.shape[1]
        differing = np.count_nonzero(codes != codes[row - start], axis=1)  # (m,)
        wanted = 1 + int(share * count)
        distance = np.abs(differing - wanted)
        distance[differing == 0] = count  # the garment itself; all other distances are smaller
        nearest = distance.min()
        if nearest == count or (exactly and nearest > 0):
            return None
        return _pick(rng, self._indices[category][start + np.flatnonzero(distance == nearest)])

    def _in_another_category(self, rng: random.Random, reference: int) -> int | None:
        start = max(0, reference - _NEARBY)
        near = slice(start, reference + _NEARBY)
        shared = np.count_nonzero(self._common[near] == self._common[reference], axis=1)  # (n,)
        other = self._category[near] != self._category[reference]
        indices = start + np.flatnonzero((shared >= len(COMMON) - 1) & other)
        return _pick(rng, indices) if len(indices) else None


def _numbers(values: Sequence[str]) -> dict[str, int]:
    return {value: number for number, value in enumerate(values)}


def _pick(rng: random.Random, indices: NDArray[np.intp]) -> int:
    return int(indices[rng.randrange(len(indices))])

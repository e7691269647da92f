"""Garments as rows of small integers, so that a whole gallery is compared at once."""

import random
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dwc.catalogue.schema import COMMON, Garment, attributes_of

_OTHER_CATEGORY_SHARE = 0.05  # of pairs, those that cross categories, where the pool has any
_TRIES = 200  # a pool in which this many references have no relative is too small


class CodedGarments:
    """A pool of garments, coded once, from which pairs are drawn and matches found.

    Within a category a garment is a row of value numbers (m, attributes of the category); beside
    that every garment has a row of the four attributes that all have (n, 4).
    """

    def __init__(self, garments: Sequence[Garment]) -> None:
        self.garments = garments
        members: dict[str, list[int]] = {}
        for index, garment in enumerate(garments):
            members.setdefault(garment.category, []).append(index)
        self._indices = {name: np.array(places) for name, places in members.items()}
        self._codes = {name: self._coded(name, places) for name, places in members.items()}
        self._common = np.zeros((len(garments), len(COMMON)), dtype=np.uint8)
        self._category = np.zeros(len(garments), dtype=np.uint8)
        self._row = np.zeros(len(garments), dtype=np.intp)
        for number, (name, places) in enumerate(self._indices.items()):
            self._common[places] = self._codes[name][:, : len(COMMON)]
            self._category[places] = number
            self._row[places] = np.arange(len(places))

    def _coded(self, category: str, places: Sequence[int]) -> NDArray[np.uint8]:
        numbers = [_numbers(values) for values in attributes_of(category).values()]
        return np.array(
            [
                [number[value] for number, value in zip(numbers, values, strict=True)]
                for values in (self.garments[place].values for place in places)
            ],
            dtype=np.uint8,
        )

    def matching(
        self, category: str, constraints: Mapping[str, Collection[str]]
    ) -> NDArray[np.intp]:
        """The places of every garment of a category whose attributes are all as constrained."""
        if category not in self._indices:
            return np.zeros(0, dtype=np.intp)
        codes = self._codes[category]
        kept = np.ones(len(codes), dtype=bool)
        for column, (name, values) in enumerate(attributes_of(category).items()):
            if name in constraints:
                table = np.array([value in constraints[name] for value in values])
                kept &= table[codes[:, column]]
        return self._indices[category][kept]

    def draw_pair(self, rng: random.Random) -> tuple[int, int]:
        """Draw places of two different garments, balanced over how much they differ.

        The reference is any; the number of attributes to change is drawn evenly from one to all,
        and the target is one that differs in that many, or in the nearest number that the pool
        has. A few pairs cross categories and share at least three of colour, shade, pattern and
        second colour. ValueError where no two garments of a category differ.
        """
        for _ in range(_TRIES if self.garments else 0):
            reference = rng.randrange(len(self.garments))
            target = None
            if rng.random() < _OTHER_CATEGORY_SHARE:
                target = self._in_another_category(rng, reference)
            if target is None:
                target = self._in_the_same_category(rng, reference)
            if target is not None:
                return reference, target
        raise ValueError(
            f"found no two garments of one category among {len(self.garments)}; take a larger pool"
        )

    def _in_the_same_category(self, rng: random.Random, reference: int) -> int | None:
        category = self.garments[reference].category
        codes = self._codes[category]
        differing = (codes != codes[self._row[reference]]).sum(axis=1)  # (m,)
        wanted = rng.randrange(1, codes.shape[1] + 1)
        distance = np.abs(differing - wanted)
        distance[differing == 0] = codes.shape[1] + 1
        nearest = distance.min()
        if nearest > codes.shape[1]:
            return None
        return _pick(rng, self._indices[category][distance == nearest])

    def _in_another_category(self, rng: random.Random, reference: int) -> int | None:
        shared = (self._common == self._common[reference]).sum(axis=1)  # (n,)
        alike = (shared >= len(COMMON) - 1) & (self._category != self._category[reference])
        places = np.flatnonzero(alike)
        return _pick(rng, places) if len(places) else None


def _numbers(values: Sequence[str]) -> dict[str, int]:
    return {value: number for number, value in enumerate(values)}


def _pick(rng: random.Random, places: NDArray[np.intp]) -> int:
    return int(places[rng.randrange(len(places))])

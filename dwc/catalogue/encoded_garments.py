"""Garments encoded as arrays of small integers, for fast comparison with a whole gallery."""

import random
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dwc.catalogue.schema import COMMON, Garment, attributes_of

_OTHER_CATEGORY_SHARE = 0.05  # share of pairs from two categories, if the pool has such pairs
# The target of a pair is searched only within this many rows before and after the reference, so
# that the time for a pair does not depend on the pool's size. Similar garments have neighboring
# indices.
_NEARBY = 512
# The number of references for which a target with exactly the chosen number of different attributes
# is searched. For later references, the closest number is accepted.
_PATIENCE = 6
_TRIES = 200  # references tried in total before the pool is reported as too small


class EncodedGarments:
    """A pool of n encoded garments, for finding matching garments and sampling random pairs.

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
        """Return the indices of the garments of a category whose attributes have allowed values.

        Args:
            category: The category.
            constraints: Maps attributes to their allowed values. Attributes that are not in this
                dict may have any value.

        Returns:
            Indices of the garments in the pool, ascending.
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
        """Return a random pair of different garments; small and large differences both occur.

        The share of attributes that differ is chosen uniformly at random. Then random references
        are tried until a target is found that differs from the reference in exactly that share;
        only garments with neighboring indices are searched. After a few references without such a
        target, the target with the closest share is used. In a few pairs, the garments belong to
        two categories and agree in at least three of color, shade, pattern and second color.

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
        """Return the index of a random garment that differs in about `share` of the attributes.

        Args:
            rng: The random generator.
            reference: Index of the garment to compare with; the result has the same category.
            share: The share of attributes that should differ, 0 to 1.
            exactly: Whether to refuse a garment that differs in another number of attributes.

        Returns:
            The index, or None if no neighboring garment of the category is suitable.
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

"""Detection of near-duplicates: among results by embeddings, of the reference by pixels.

The spread of embeddings depends on the model and on the gallery, so the limit is relative to the
gallery: two images are near-duplicates if the distance of their embeddings is at most 1/20 of the
median distance between two images of the gallery.

The value 1/20 was measured with a checkpoint trained on the drawn garments, on 2,000 of them. As a
share of the median distance, nine in ten copies of an image lie within 0.003 of it when saved as a
low-quality JPEG, 0.028 when cropped by 6 % on every side, 0.041 when mirrored, and 0.052 when
cropped by 10 %. Of all pairs of different garments, 1 in 15,000 is within 1/20; three in four of
these pairs differ in a single attribute. Within 1/10 lie 1 in 5,000 pairs, including garments that
differ in belt, pocket or length, which a person would not want to be hidden.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dwc.errors import QueryError
from dwc.gallery.exact_search import Vectors

NEAR_SHARE = 1 / 20
"""Maximum distance between near-duplicates, as a share of the gallery's median distance."""

SAMPLE_SIZE = 512
"""Number of images sampled for the median distance: 131,000 pairs, 4 MB for vectors of 2,048."""

_ROUNDING = 1e-6  # an upper bound of the distance between equal vectors


@dataclass(frozen=True)
class DuplicateGroups:
    """The near-duplicates among K ranked images.

    Attributes:
        duplicate_of: for each of the K images, the index (from 0) of the first higher-ranked image
            that it duplicates, or None. An image that has duplicates is not itself a duplicate.
        threshold: the minimum cosine of two near-duplicates.
        median_cosine: the median cosine between two images of the gallery.
    """

    duplicate_of: list[int | None]
    threshold: float
    median_cosine: float

    @property
    def count(self) -> int:
        """The number of images that duplicate a higher-ranked one."""
        return sum(first is not None for first in self.duplicate_of)

    def duplicates_of(self, index: int) -> list[int]:
        """Return the indices of the images that duplicate the one at `index`, ascending."""
        return [other for other, first in enumerate(self.duplicate_of) if first == index]


class NearDuplicates:
    """Groups near-duplicates of one gallery by the mean of the streams' cosines."""

    def __init__(self, vectors: Vectors, ids: Sequence[str]) -> None:
        """Store the vectors (n, D) and ids of n gallery images; each stream has unit length."""
        self._vectors = vectors
        self._ids = ids

    @cached_property
    def median_cosine(self) -> float:
        """The median cosine between two images of the gallery, in [-1, 1]; 1 for a single image.

        It is computed from a sample of images at even intervals in the gallery.
        """
        count = len(self._vectors)
        rows = np.unique(np.linspace(0, max(count - 1, 0), min(count, SAMPLE_SIZE)).astype(int))
        if len(rows) < 2:
            return 1.0
        units = _units(self._vectors[rows])
        return float(np.median((units @ units.T)[np.triu_indices(len(rows), k=1)]))

    @property
    def threshold(self) -> float:
        """The minimum cosine of two near-duplicates."""
        return min(1.0 - NEAR_SHARE * (1.0 - self.median_cosine), 1.0 - _ROUNDING)

    def group(self, ids: Sequence[str]) -> DuplicateGroups:
        """Return the groups of near-duplicates among images given best first.

        Each image is compared only with higher-ranked images that are not duplicates themselves, so
        a chain of small differences cannot join two images that differ clearly.

        Raises:
            QueryError: if an id is not in the gallery.
        """
        try:
            rows = [self._positions[id] for id in ids]
        except KeyError as error:
            raise QueryError(
                f"the gallery has no picture {error} among its {len(self._ids):,}. Give found ones."
            ) from None
        grouping = _Grouping(self._vectors, self.threshold)
        duplicate_of = []
        for index, leader in enumerate(grouping.add(np.array(rows, dtype=np.int64))):
            duplicate_of.append(None if leader == index else leader)
        return DuplicateGroups(duplicate_of, self.threshold, self.median_cosine)

    def fold(self, ranking: Callable[[int], NDArray[np.int64]], k: int) -> dict[int, list[int]]:
        """Return the `k` best images that are not near-duplicates of each other.

        Args:
            ranking: function that returns the gallery positions of the given number of best
                images, best first.
            k: number of images, 1 or more.

        Returns:
            The positions of the `k` images, best first, each with the positions of its
            near-duplicates that rank above the first image that would be number `k + 1`.
        """
        grouping = _Grouping(self._vectors, self.threshold)
        groups: dict[int, list[int]] = {}
        order: list[int] = []
        count = 2 * k
        while True:
            positions = ranking(count)
            added = positions[len(order) :]
            leaders = grouping.add(added)
            order += added.tolist()
            for position, leader in zip(added.tolist(), leaders, strict=True):
                if order[leader] == position:
                    if len(groups) == k:
                        return groups
                    groups[position] = []
                else:
                    groups[order[leader]].append(position)
            if len(positions) < count:
                return groups
            count *= 4

    def near(self, position: int, candidates: Sequence[int]) -> list[int]:
        """Return those `candidates` that are near-duplicates of the image at `position`."""
        units = _units(self._vectors[[position, *candidates]])
        cosines = units[1:] @ units[0]
        return [other for other, c in zip(candidates, cosines, strict=True) if c >= self.threshold]

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {id: position for position, id in enumerate(self._ids)}


_BLOCK = 256  # number of images compared at a time


class _Grouping:
    """Assigns each image of a sequence to its leader: the first earlier image that it duplicates.

    An image that duplicates none is its own leader.
    """

    def __init__(self, vectors: Vectors, threshold: float) -> None:
        self._vectors, self._threshold = vectors, threshold
        self._leaders: list[int] = []  # indices of the images that duplicate none
        self._units: list[Vectors] = []  # unit vectors (D,) of these images
        self._count = 0

    def add(self, positions: NDArray[np.int64]) -> list[int]:
        """Add images and return the index of each one's leader, counted over all calls."""
        assigned: list[int] = []
        for start in range(0, len(positions), _BLOCK):
            units = _units(self._vectors[positions[start : start + _BLOCK]])
            within = units @ units.T >= self._threshold  # (B, B)
            earlier = self._near_leaders(units)  # (B, leaders so far)
            own: list[int] = []  # rows of the leaders in this block
            for row in range(len(units)):
                first = np.flatnonzero(earlier[row])
                near = [other for other in own if within[row, other]] if len(first) == 0 else []
                if len(first):
                    assigned.append(self._leaders[first[0]])
                elif near:
                    assigned.append(self._count + near[0])
                else:
                    assigned.append(self._count + row)
                    own.append(row)
            self._leaders += [self._count + row for row in own]
            self._units += [units[row] for row in own]
            self._count += len(units)
        return assigned

    def _near_leaders(self, units: Vectors) -> NDArray[np.bool_]:
        if not self._units:
            return np.zeros((len(units), 0), dtype=bool)
        return units @ np.stack(self._units).T >= self._threshold


def _units(vectors: Vectors) -> Vectors:
    """Return vectors with rows of unit length, so that all streams have equal influence."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)


_CELLS = 32
# In levels of 255. 150 photographs differ by at most 30 from their copies at a third of the size,
# saved as JPEG of quality 75. Any two of 400 different photographs, and any two of 600 drawn
# garments, differ by at least 75.
_MAX_CELL_DIFFERENCE = 32
_MAX_COLOR_SHIFT = 3.5  # levels of 255; at most 2.5 for 120 photographs resaved at JPEG quality 20
_MAX_RATIO_DIFFERENCE = 0.03

Cells = NDArray[np.int16]


def image_cells(image: Image.Image) -> Cells:
    """Return the mean colors of an RGB image in 32 by 32 cells: (32, 32, 3), 0 to 255."""
    small = image.convert("RGB").resize((_CELLS, _CELLS), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.int16)


def same_ratio(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether two sizes (width, height) have the same aspect ratio within 3 %."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= _MAX_RATIO_DIFFERENCE


def same_picture(one: Cells, other: Cells) -> bool:
    """Return whether two images are the same picture, possibly resaved or rescaled.

    This is so if no cell differs by more than 32 levels of 255 and the mean color by at most 3.5;
    the second condition separates plain colors of slightly different brightness.
    """
    difference = one - other
    shift = np.abs(difference.mean(axis=(0, 1))).max()  # maximum over the color channels
    return bool(np.abs(difference).max() <= _MAX_CELL_DIFFERENCE and shift <= _MAX_COLOR_SHIFT)

"""Near-duplicates in a gallery: by the embeddings for results, by the pixels for the reference.

Models spread their embeddings differently, and galleries differ in what they hold, so the limit is
relative to the gallery: two images are near-duplicates if their distance is at most a twentieth of
the median distance of two of its images.

The twentieth was read off a checkpoint trained on the drawn garments, over 2,000 of them. As a
share of the median distance, nine in ten copies of an image lie within 0.003 of it when saved as a
poor JPEG, 0.028 when cut by 6 % on every side, 0.041 when mirrored, and 0.052 when cut by 10 %. Of
the garments' own pairs, no two of which are the same, 1 in 15,000 is within the twentieth, three in
four of these with a single attribute between them; within a tenth lie 1 in 5,000, and among those
are belts, pockets and lengths that a person would not want to lose.
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
"""Near-duplicates lie at most this share of the median distance apart."""

SAMPLE_SIZE = 512
"""The number of images that give the median distance: 131,000 pairs, 4 MB where D is 2,048."""

_ROUNDING = 1e-6  # an upper bound of the distance between equal vectors


@dataclass(frozen=True)
class DuplicateGroups:
    """Which of K ranked images are near-duplicates of a better one among them.

    Attributes:
        duplicate_of: for each of the K images the index (from 0) of the first that it duplicates,
            None for an image that duplicates none. An image with duplicates is itself none.
        threshold: the cosine from which on two images are near-duplicates.
        median_cosine: the median cosine of two images of the gallery.
    """

    duplicate_of: list[int | None]
    threshold: float
    median_cosine: float

    @property
    def count(self) -> int:
        """The number of images that duplicate a better one."""
        return sum(first is not None for first in self.duplicate_of)

    def duplicates_of(self, index: int) -> list[int]:
        """The indices of the images that duplicate the one at `index`, ascending."""
        return [other for other, first in enumerate(self.duplicate_of) if first == index]


class NearDuplicates:
    """Groups near-duplicates of one gallery; the cosine is the mean of the streams' cosines."""

    def __init__(self, vectors: Vectors, ids: Sequence[str]) -> None:
        """Take the gallery's vectors (n, D), each stream of unit length, and its ids (n)."""
        self._vectors = vectors
        self._ids = ids

    @cached_property
    def median_cosine(self) -> float:
        """The median cosine of two images of the gallery, in [-1, 1]; 1 where there is only one.

        It is that of a sample, spread evenly over the gallery's order.
        """
        count = len(self._vectors)
        rows = np.unique(np.linspace(0, max(count - 1, 0), min(count, SAMPLE_SIZE)).astype(int))
        if len(rows) < 2:
            return 1.0
        units = _units(self._vectors[rows])
        return float(np.median((units @ units.T)[np.triu_indices(len(rows), k=1)]))

    @property
    def threshold(self) -> float:
        """The cosine from which on two images are near-duplicates."""
        return min(1.0 - NEAR_SHARE * (1.0 - self.median_cosine), 1.0 - _ROUNDING)

    def group(self, ids: Sequence[str]) -> DuplicateGroups:
        """Group the near-duplicates among ranked images, best first.

        Each image is compared with the better ones that duplicate none, so that a chain of small
        steps does not join two ends that differ.

        Raises:
            QueryError: for an id that the gallery lacks.
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
        """Find the `k` best images that are no near-duplicates of each other.

        Args:
            ranking: returns the positions of the best images, as many as asked for, best first.
            k: 1 or more.

        Returns:
            The positions of the `k` images, best first, each with the positions of its
            near-duplicates: all of those that rank above the next image that duplicates none.
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
        """Which of the `candidates` are near-duplicates of the image at `position`."""
        units = _units(self._vectors[[position, *candidates]])
        cosines = units[1:] @ units[0]
        return [other for other, c in zip(candidates, cosines, strict=True) if c >= self.threshold]

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {id: position for position, id in enumerate(self._ids)}


_BLOCK = 256  # images compared at a time


class _Grouping:
    """Assigns each of a sequence of images to the first earlier one that it duplicates, if any."""

    def __init__(self, vectors: Vectors, threshold: float) -> None:
        self._vectors, self._threshold = vectors, threshold
        self._leaders: list[int] = []  # indices of the images that duplicate none
        self._units: list[Vectors] = []  # and their unit vectors (D,)
        self._count = 0

    def add(self, positions: NDArray[np.int64]) -> list[int]:
        """The index of each image's leader, counted over all calls; a leader has its own index."""
        assigned: list[int] = []
        for start in range(0, len(positions), _BLOCK):
            units = _units(self._vectors[positions[start : start + _BLOCK]])
            within = units @ units.T >= self._threshold  # (B, B)
            earlier = self._near_leaders(units)  # (B, leaders so far)
            own: list[int] = []  # the rows of this block's leaders
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
    """Rows of unit length; streams of unit length then count alike."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)


_CELLS = 32
# Of 255. 150 photographs differ by at most 30 from their copies of a third of the size, as JPEG of
# quality 75; no two of 400 photographs, and no two of 600 drawn garments, differ by less than 75.
_MAX_CELL_DIFFERENCE = 32
_MAX_COLOR_SHIFT = 3.5  # 120 photographs saved again at a JPEG quality of 20: at most 2.5
_MAX_RATIO_DIFFERENCE = 0.03

Cells = NDArray[np.int16]


def image_cells(image: Image.Image) -> Cells:
    """An RGB image averaged over a grid of 32 by 32 cells, (32, 32, 3), 0 to 255."""
    small = image.convert("RGB").resize((_CELLS, _CELLS), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.int16)


def same_ratio(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes (width, height) have the same aspect ratio, but for 3 %."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= _MAX_RATIO_DIFFERENCE


def same_picture(one: Cells, other: Cells) -> bool:
    """Whether two images are one picture, saved or scaled again.

    No cell differs by over 32 levels, and the mean color by over 3.5: a plain color that is a
    little darker is another picture.
    """
    difference = one - other
    shift = np.abs(difference.mean(axis=(0, 1))).max()  # by channel
    return bool(np.abs(difference).max() <= _MAX_CELL_DIFFERENCE and shift <= _MAX_COLOR_SHIFT)

"""Look-alikes: results that show nearly the same picture once more, by the gallery's embeddings.

What counts as near has no number of its own: models spread their embeddings differently, and
galleries differ in what they hold. So it is measured against the gallery: two of its pictures are
look-alikes where they lie at most a twentieth as far apart as two of its pictures usually do.

The twentieth was read off a checkpoint trained on the drawn garments, over 2,000 of them. As a
share of the usual distance, nine in ten copies of a picture lie within 0.003 of it when saved as a
poor JPEG, 0.028 when cut by 6 % on every side, 0.041 when mirrored, and 0.052 when cut by 10 %. Of
the garments' own pairs, no two of which are the same, 1 in 15,000 is within the twentieth, three in
four of these with a single attribute between them; within a tenth lie 1 in 5,000, and among those
are belts, pockets and lengths that one would not want to lose.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dwc.errors import QueryError
from dwc.gallery.exact_search import Vectors

NEAR_SHARE = 1 / 20
"""Look-alikes lie at most this share of the usual distance apart."""

SAMPLE_SIZE = 512
"""How many pictures tell the usual distance: 131,000 pairs, 4 MB to read where D is 2,048."""

_ROUNDING = 1e-6  # the same vector twice has this cosine's distance at most


@dataclass(frozen=True)
class DuplicateGroups:
    """Which of K ranked pictures look like a better one of them.

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
        """How many look like a better one."""
        return sum(first is not None for first in self.duplicate_of)

    def duplicates_of(self, place: int) -> list[int]:
        """The places of those that look like the one at `place`, ascending."""
        return [other for other, first in enumerate(self.duplicate_of) if first == place]


class NearDuplicates:
    """Tells the look-alikes of one gallery; the cosine is the mean of the streams' cosines."""

    def __init__(self, vectors: Vectors, ids: Sequence[str]) -> None:
        """`vectors` (n, D), each stream's part unit length, may be a memory map; `ids` (n)."""
        self._vectors = vectors
        self._ids = ids

    @cached_property
    def median_cosine(self) -> float:
        """The median cosine of two pictures of the gallery, in [-1, 1]; 1 where there is but one.

        Of a sample, spread evenly over the gallery's order.
        """
        count = len(self._vectors)
        rows = np.unique(np.linspace(0, max(count - 1, 0), min(count, SAMPLE_SIZE)).astype(int))
        if len(rows) < 2:
            return 1.0
        cosines = _cosines(self._vectors[rows])
        return float(np.median(cosines[np.triu_indices(len(rows), k=1)]))

    @property
    def threshold(self) -> float:
        """The cosine from which on two pictures are look-alikes."""
        return min(1.0 - NEAR_SHARE * (1.0 - self.median_cosine), 1.0 - _ROUNDING)

    def group(self, ids: Sequence[str]) -> DuplicateGroups:
        """Find the look-alikes among ranked pictures, best first.

        Each is compared with the better ones that stand for themselves, not with those already
        folded: a chain of small steps does not join two ends that look nothing alike. Raises
        QueryError for an id that the gallery has not.
        """
        try:
            rows = [self._positions[id] for id in ids]
        except KeyError as error:
            raise QueryError(
                f"the gallery has no picture {error} among its {len(self._ids):,}. Give found ones."
            ) from None
        return DuplicateGroups(
            _leaders(self._vectors[rows], self.threshold), self.threshold, self.median_cosine
        )

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {id: position for position, id in enumerate(self._ids)}


def _leaders(vectors: Vectors, least: float) -> list[int | None]:
    """For each of K vectors, the first leader within reach, or None for a leader itself."""
    if len(vectors) == 0:
        return []
    near = _cosines(vectors) >= least  # (K, K)
    leading = np.zeros(len(vectors), dtype=bool)
    under: list[int | None] = []
    for place in range(len(vectors)):
        found = np.flatnonzero(near[place] & leading)
        leading[place] = len(found) == 0
        under.append(int(found[0]) if len(found) else None)
    return under


def _cosines(vectors: Vectors) -> Vectors:
    """All with all (K, K); streams of unit length count alike."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.maximum(lengths, 1e-12)
    return units @ units.T

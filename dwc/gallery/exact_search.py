"""Exact nearest-neighbor search: the dot product of a query with all vectors of a gallery.

200,000 vectors of 2,048 numbers take 1.6 GB. A search reads all vectors from memory once. Up to
that size, this is fast enough without an approximate method.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

_GROUP = 64  # number of scores in each group of `_lower_bound`


class ExactIndex:
    """Scores the images of a gallery by the dot products of their vectors with a query vector.

    Letters in shapes: n gallery images, D numbers in a vector.
    """

    def __init__(self, vectors: Vectors) -> None:
        """Keep a reference to the gallery's vectors (n, D), float32; a memory map is allowed."""
        self._vectors = vectors

    def __len__(self) -> int:
        return len(self._vectors)

    def scores(self, query: Vectors) -> Vectors:
        """Return the scores (n,) of all n gallery images for one query vector (D,) of D numbers."""
        return self._vectors @ np.asarray(query, dtype=np.float32)


def best_positions(
    scores: Vectors,
    k: int,
    exclude: Collection[int] = (),
    selected: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Return the positions of the `k` greatest scores.

    Args:
        scores: The scores (n,) of n images.
        k: Number of positions to return.
        exclude: Positions that are never returned.
        selected: Whether each image (n,) may be returned, for example since it fits a filter; None
            if all images may.

    Returns:
        The positions in order of descending score; of equal scores, the lower position comes first.
        The result has `k` positions, or fewer if fewer images remain after the exclusion.
    """
    available = len(scores) - len(set(exclude))
    if selected is not None:
        if exclude:
            selected = selected.copy()
            selected[list(exclude)] = False
        available = int(np.count_nonzero(selected))
        scores = np.where(selected, scores, np.float32(-np.inf))
    elif exclude:
        scores = scores.copy()
        scores[list(exclude)] = -np.inf
    k = min(k, available)
    if k <= 0:
        return np.empty(0, dtype=np.int64)
    # All scores equal to the k-th are candidates, so that the order of ties is well defined.
    candidates = np.flatnonzero(scores >= _lower_bound(scores, k))  # ascending
    least = np.partition(scores[candidates], len(candidates) - k)[len(candidates) - k]
    candidates = candidates[scores[candidates] >= least]
    return candidates[np.argsort(-scores[candidates], kind="stable")[:k]]


def _lower_bound(scores: Vectors, k: int) -> np.float32 | float:
    """Return a lower bound of the k-th greatest score, which is close to that score for small `k`.

    The scores are divided into groups of 64, and the bound is the k-th greatest of the groups'
    maxima. Computing the bound takes a fraction of the time for finding the k-th greatest score.
    If there are fewer groups than `k`, the bound is minus infinity.
    """
    groups = len(scores) // _GROUP
    if k > groups:
        return -np.inf
    maxima = scores[: groups * _GROUP].reshape(_GROUP, groups).max(axis=0)
    return np.partition(maxima, groups - k)[groups - k]

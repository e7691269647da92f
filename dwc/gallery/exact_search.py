"""Exact nearest-neighbor search by a matrix product over the vectors, which may be memory-mapped.

A gallery of 200,000 vectors of 2,048 numbers is 1.6 GB and is read at memory speed, so no
approximate search is needed up to that size.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

_GROUP = 64  # group size; the k-th greatest group maximum is a lower bound of the k-th score


class ExactIndex:
    """Index of n float32 gallery vectors (n, D) that are scored by dot product with a query."""

    def __init__(self, vectors: Vectors) -> None:
        """Store the vectors without copying them; they may be a memory map."""
        self._vectors = vectors

    def __len__(self) -> int:
        return len(self._vectors)

    def scores(self, query: Vectors) -> Vectors:
        """Return the scores (n,) of all gallery images for one query vector (D,)."""
        return self._vectors @ np.asarray(query, dtype=np.float32)


def best_positions(scores: Vectors, k: int, exclude: Collection[int] = ()) -> NDArray[np.int64]:
    """Return the positions of the `k` greatest `scores` (n,), best first; ties by lower position.

    Args:
        exclude: Positions that are left out.

    Returns:
        `k` positions, or all of them if there are fewer.
    """
    if exclude:
        scores = scores.copy()
        scores[list(exclude)] = -np.inf
    available = len(scores) - len(set(exclude))
    k = min(k, available)
    if k <= 0:
        return np.empty(0, dtype=np.int64)
    # All scores equal to the k-th are candidates, so that the order of ties is well defined.
    candidates = np.flatnonzero(scores >= _lower_bound(scores, k))  # ascending
    least = np.partition(scores[candidates], len(candidates) - k)[len(candidates) - k]
    candidates = candidates[scores[candidates] >= least]
    return candidates[np.argsort(-scores[candidates], kind="stable")[:k]]


def _lower_bound(scores: Vectors, k: int) -> np.float32 | float:
    """Return a number that at least `k` scores reach; few more scores reach it if `k` is small.

    It is the k-th greatest of the maxima of groups of scores: partitioning the maxima costs a
    fraction of partitioning all scores.
    """
    groups = len(scores) // _GROUP
    if k > groups:
        return -np.inf
    maxima = scores[: groups * _GROUP].reshape(_GROUP, groups).max(axis=0)
    return np.partition(maxima, groups - k)[groups - k]

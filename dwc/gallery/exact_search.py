"""Exact search: a matrix product over the vectors, which may be a memory map.

A gallery of 200,000 x 2,048 is 1.6 GB and is read at the memory's speed, so nothing approximate is
needed up to that size.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

_GROUP = 64  # scores whose maximum bounds the k-th greatest from below


class ExactIndex:
    """Scores gallery vectors (n, D), float32, by their dot product with a vector."""

    def __init__(self, vectors: Vectors) -> None:
        """Take the vectors, which may be a memory map; they are never copied."""
        self._vectors = vectors

    def __len__(self) -> int:
        return len(self._vectors)

    def scores(self, query: Vectors) -> Vectors:
        """The scores (n,) of every gallery image for one vector (D,)."""
        return self._vectors @ np.asarray(query, dtype=np.float32)


def best_positions(scores: Vectors, k: int, exclude: Collection[int] = ()) -> NDArray[np.int64]:
    """The positions of the `k` greatest of `scores` (n,), best first, ties by the lower position.

    Args:
        exclude: positions left out.

    Returns:
        `k` positions, or fewer where there are fewer.
    """
    if exclude:
        scores = scores.copy()
        scores[list(exclude)] = -np.inf
    available = len(scores) - len(set(exclude))
    k = min(k, available)
    if k <= 0:
        return np.empty(0, dtype=np.int64)
    # All that tie with the k-th are candidates, so that the order among equals is defined here.
    candidates = np.flatnonzero(scores >= _lower_bound(scores, k))  # ascending
    least = np.partition(scores[candidates], len(candidates) - k)[len(candidates) - k]
    candidates = candidates[scores[candidates] >= least]
    return candidates[np.argsort(-scores[candidates], kind="stable")[:k]]


def _lower_bound(scores: Vectors, k: int) -> np.float32 | float:
    """A number that at least `k` scores reach, and few more where `k` is small.

    The k-th greatest of the maxima of groups is one: partitioning the maxima costs a fraction of
    partitioning all scores.
    """
    groups = len(scores) // _GROUP
    if k > groups:
        return -np.inf
    maxima = scores[: groups * _GROUP].reshape(_GROUP, groups).max(axis=0)
    return np.partition(maxima, groups - k)[groups - k]

"""Exact search: a matrix product over the vectors, which may lie on disk.

A gallery of 200,000 x 2,048 is 1.6 GB, read at the memory's speed; up to there and beyond, nothing
approximate is needed.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

# Scores held at a time (64 MB of float32), whatever the number of queries and gallery pictures.
_SCORES_HELD = 16_777_216


class Neighbours(NamedTuple):
    """The best for each of N queries, best first.

    `positions` (N, K) and `scores` (N, K), K at most k. Where a query has fewer than K left after
    its exclusions, the rest is filled with position -1 and score minus infinity.
    """

    positions: NDArray[np.int64]
    scores: Vectors


class ExactIndex:
    """Ranks gallery vectors (n, D), float32, by their dot product with a query."""

    def __init__(self, vectors: Vectors) -> None:
        """`vectors` may be a memory map; it is read, never copied."""
        self._vectors = vectors

    def __len__(self) -> int:
        return len(self._vectors)

    def scores(self, query: Vectors) -> Vectors:
        """The scores (n,) of every gallery picture for one query (D,)."""
        return self._vectors @ np.asarray(query, dtype=np.float32)

    def search(
        self, queries: Vectors, k: int, exclude: Sequence[Collection[int]] | None = None
    ) -> Neighbours:
        """The `k` (1 or more) best for each of `queries` (N, D); ties go to the lower position.

        `exclude` has for each query the positions that it must not find.
        """
        queries = np.asarray(queries, dtype=np.float32)
        excluded = exclude or [()] * len(queries)
        best = [_NOTHING] * len(queries)
        step = max(1, _SCORES_HELD // max(1, len(queries)))
        for start in range(0, len(self._vectors), step):
            block = queries @ self._vectors[start : start + step].T  # (N, at most step)
            for n, scores in enumerate(block):
                own = [p - start for p in excluded[n] if start <= p < start + len(scores)]
                positions = best_positions(scores, k, own)
                best[n] = _merge(best[n], (positions + start, scores[positions]), k)
        return _as_table(best, k)


def best_positions(scores: Vectors, k: int, exclude: Collection[int] = ()) -> NDArray[np.int64]:
    """The positions of the `k` greatest of `scores` (n,), best first, ties by the lower position.

    Fewer than k where there are fewer; `exclude` are positions left out.
    """
    if exclude:
        scores = scores.copy()
        scores[list(exclude)] = -np.inf
    available = len(scores) - len(set(exclude))
    k = min(k, available)
    if k <= 0:
        return np.empty(0, dtype=np.int64)
    # Everything that ties with the k-th stays in, so that the choice among equals is ours.
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    candidates = np.flatnonzero(scores >= least)  # ascending
    return candidates[np.argsort(-scores[candidates], kind="stable")[:k]]


_Best = tuple[NDArray[np.int64], Vectors]
_NOTHING: _Best = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))


def _merge(earlier: _Best, later: _Best, k: int) -> _Best:
    # The earlier block holds the lower positions, so a stable sort keeps ties in their order.
    positions = np.concatenate([earlier[0], later[0]])
    scores = np.concatenate([earlier[1], later[1]])
    order = np.argsort(-scores, kind="stable")[:k]
    return positions[order], scores[order]


def _as_table(best: Sequence[_Best], k: int) -> Neighbours:
    width = max((len(positions) for positions, _ in best), default=0)
    positions = np.full((len(best), width), -1, dtype=np.int64)
    scores = np.full((len(best), width), -np.inf, dtype=np.float32)
    for n, (found, found_scores) in enumerate(best):
        positions[n, : len(found)] = found
        scores[n, : len(found)] = found_scores
    return Neighbours(positions, scores)

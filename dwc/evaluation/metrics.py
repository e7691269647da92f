"""Ranks, recall and rank correlation, on arrays.

A hit is ranked after every miss with the same score, so that a model that gives all images one
score has a recall of 0. A score that is NaN loses as a hit and wins as a miss.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

NEVER = int(np.iinfo(np.int64).max)  # the rank of a hit that the gallery lacks, beyond every K


def first_hit_rank(scores: NDArray[np.floating], hits: NDArray[np.bool_]) -> int:
    """The rank (from 1) of the hit with the highest score.

    Args:
        scores: (M,). Images to be left out (the reference) have -inf and must not be hits.
        hits: (M,), which of the images are hits.

    Returns:
        `NEVER` without any hit.
    """
    if not hits.any():
        return NEVER
    best = np.fmax.reduce(scores[hits])  # the greatest that is a number
    return 1 + int((~(scores[~hits] < best)).sum())


def recall_at(ranks: ArrayLike, k: int) -> float:
    """The share (0 to 1) of queries whose first hit is among the first `k`; NaN without queries."""
    ranks = np.asarray(ranks)
    return float((ranks <= k).mean()) if len(ranks) else float("nan")


def recalls(ranks: ArrayLike, ks: Iterable[int] = (1, 10, 50)) -> dict[str, float]:
    """Several recalls by their usual names, `recall@K`."""
    return {f"recall@{k}": recall_at(ranks, k) for k in ks}


def average_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Rank of each value from 1 upwards; equal values share the mean of their ranks."""
    values = np.asarray(values)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Rank correlation in [-1, 1]; NaN where one side is constant."""
    ranks_a, ranks_b = average_ranks(a), average_ranks(b)
    ranks_a, ranks_b = ranks_a - ranks_a.mean(), ranks_b - ranks_b.mean()
    scale = np.sqrt((ranks_a**2).sum() * (ranks_b**2).sum())
    return float((ranks_a * ranks_b).sum() / scale) if scale > 0 else float("nan")


def correlation(a: ArrayLike, b: ArrayLike) -> float | None:
    """`spearman`, for reports: None where one side is constant."""
    value = spearman(a, b)
    return None if np.isnan(value) else value

"""Ranks, recall and rank correlation.

A hit is an image that matches the query; every other image is a miss. If a hit and a miss have the
same score, the miss gets the better rank. A model that gives the same score to all images therefore
has a recall@K of 0, unless K exceeds the number of misses. A hit with the score NaN gets the worst
rank, and a miss with the score NaN gets the best rank.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

NEVER = int(np.iinfo(np.int64).max)  # used as the rank if there is no hit; greater than any K


def first_hit_rank(scores: NDArray[np.floating], hits: NDArray[np.bool_]) -> int:
    """Return the rank (from 1) of the hit (correct result) with the highest score.

    Args:
        scores: Scores (M,) of M images. An image to exclude, such as the reference image, must have
            the score -inf and must not be a hit.
        hits: Mask (M,) of the images that are hits.

    Returns:
        The rank; if there is no hit, `NEVER`, which is greater than any K.
    """
    if not hits.any():
        return NEVER
    best = np.fmax.reduce(scores[hits])  # the greatest, ignoring NaN
    return 1 + int((~(scores[~hits] < best)).sum())


def recall_at(ranks: ArrayLike, k: int) -> float:
    """Return the share (0 to 1) of ranks that are at most `k`; NaN if there are no ranks."""
    ranks = np.asarray(ranks)
    return float((ranks <= k).mean()) if len(ranks) else float("nan")


def recalls(ranks: ArrayLike, ks: Iterable[int] = (1, 10, 50)) -> dict[str, float]:
    """Return the recall (0 to 1) at each K in `ks`, under the key `recall@K`."""
    return {f"recall@{k}": recall_at(ranks, k) for k in ks}


def average_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Return the rank of each value, from 1 for the smallest value.

    Equal values get the mean of their ranks.
    """
    values = np.asarray(values)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Return Spearman's rank correlation of two lists of numbers, -1 to 1.

    The result is NaN if all numbers of one list are equal.
    """
    ranks_a, ranks_b = average_ranks(a), average_ranks(b)
    ranks_a, ranks_b = ranks_a - ranks_a.mean(), ranks_b - ranks_b.mean()
    scale = np.sqrt((ranks_a**2).sum() * (ranks_b**2).sum())
    return float((ranks_a * ranks_b).sum() / scale) if scale > 0 else float("nan")


def correlation(a: ArrayLike, b: ArrayLike) -> float | None:
    """Return Spearman's rank correlation of two lists of numbers, -1 to 1, for JSON.

    The result is None if all numbers of one list are equal, since JSON has no NaN.
    """
    value = spearman(a, b)
    return None if np.isnan(value) else value

"""Ranked positions -> the hits of an answer."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dwc.gallery.exact_index import Vectors
from dwc.search.result import Hit


def list_hits(
    ids: Sequence[str],
    scores: Vectors,
    positions: NDArray[np.int64],
    parts: Sequence[Mapping[str, float]],
    excluded: Collection[int] = (),
) -> list[Hit]:
    """The hits at `positions` (K,), best first, of a gallery with these `ids` and `scores` (n,).

    `parts` are the K splits of their scores. `excluded` are the positions that compete with none:
    they count in no percentile.
    """
    rivals = np.sort(np.delete(scores, list(excluded)))
    lower = np.searchsorted(rivals, scores[positions], side="left")
    return [
        Hit(
            rank=place + 1,
            id=ids[position],
            score=float(scores[position]),
            parts=dict(parts[place]),
            percentile=100.0 * int(lower[place]) / len(rivals),
        )
        for place, position in enumerate(positions.tolist())
    ]

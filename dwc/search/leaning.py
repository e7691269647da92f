"""A question leaned to the picture or to the words: where to, and what is found there."""

import math

from dwc.errors import QueryError
from dwc.search.hits import list_hits
from dwc.search.result import Hit
from dwc.search.sweep import Sweep

_MOST = 30.0  # a logit at which float64 still tells a weight from 0 and 1
_HALVINGS = 60


def shift_to(sweep: Sweep, position: float) -> float:
    """The shift at which the mean of the streams' image weights is `position`, in [0, 1].

    0 and 1 are the two ends, minus infinity and infinity. A query without picture, or without
    words, has nothing to lean to: 0 for every position. Raises QueryError for a position outside.
    """
    if not 0 <= position <= 1:
        raise QueryError(
            f"the position is {position}; it is a mean image weight, from 0 (only the words) to 1 "
            "(only the picture)."
        )
    images = [weight.image for weight in sweep.weights().values()]
    if not any(0 < image < 1 for image in images):
        return 0.0
    if position in (0, 1):
        return math.copysign(math.inf, position - 0.5)
    low, high = -_MOST, _MOST
    logits = [math.log(w / (1 - w)) for w in (min(max(i, 1e-12), 1 - 1e-12) for i in images)]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        mean = sum(1 / (1 + math.exp(-(logit + middle))) for logit in logits) / len(logits)
        low, high = (middle, high) if mean < position else (low, middle)
    return (low + high) / 2


def hits_at(sweep: Sweep, shift: float, k: int) -> list[Hit]:
    """The `k` best at a shift, as `Searcher.search` gives them, without asking the model again."""
    positions = sweep.top(shift, k)
    parts = sweep.split(positions.tolist(), shift)
    return list_hits(sweep.ids, sweep.scores(shift), positions, parts, sweep.excluded)

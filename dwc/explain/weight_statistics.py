"""Where a checkpoint listens to the picture and where to the words, over its reference queries."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dwc.evaluation.metrics import correlation
from dwc.search.reference_weights import ReferenceQueries, ReferenceWeights

HISTOGRAM_BINS = 40
SHARE_BINS = 10
MIN_QUERIES = 5
"""Of fewer queries no mean is told."""
EXTREMES = 4
"""How many of the queries that lean most to each side are told."""


@dataclass(frozen=True)
class ShareBin:
    """The queries of which the picture alone tells a share from `low` to `high`, in [0, 1].

    `mean` and `deviation` (its standard deviation) are of their image weights.
    """

    low: float
    high: float
    queries: int
    mean: float
    deviation: float


@dataclass(frozen=True)
class StreamStatistics:
    """One stream's image weights over the set.

    `counts` says how many lie in each of `HISTOGRAM_STEPS` equal steps from 0 to 1; `lowest`,
    `median` and `highest` are weights. `by_share` and `correlation` (Spearman's, of weight and
    share) are None where the truth is not kept; `correlation` also where all weights are one.
    """

    counts: list[int]
    lowest: float
    median: float
    highest: float
    by_share: list[ShareBin] | None
    correlation: float | None


@dataclass(frozen=True)
class ExtremeQuery:
    """A query that leans far to one side; the weights by stream, and the true share if known."""

    reference: str
    words: str
    image_weights: dict[str, float]
    picture_share: float | None


@dataclass(frozen=True)
class WeightStatistics:
    """The weights of a set of `queries`, by stream, and the queries at both ends of their mean.

    The two lists are the most extreme first; None where only the weights were kept.
    """

    queries: int
    protocol: str
    streams: dict[str, StreamStatistics]
    picture_led: list[ExtremeQuery] | None
    word_led: list[ExtremeQuery] | None

    def to_dict(self) -> dict[str, Any]:
        """Only dicts, lists, numbers and strings."""
        return asdict(self)


def compute_weight_statistics(context: ReferenceWeights) -> WeightStatistics:
    """Count, bin and correlate a checkpoint's reference weights."""
    asked = context.reference_queries
    picture_led = word_led = None
    if asked is not None:
        picture_led, word_led = _ends(asked)
    return WeightStatistics(
        queries=context.queries,
        protocol=context.protocol,
        streams={
            name: _stream_atlas(weights, *_beside(asked, name))
            for name, weights in context.weights.items()
        },
        picture_led=picture_led,
        word_led=word_led,
    )


def bin_by_share(shares: Sequence[float], weights: Sequence[float]) -> list[ShareBin]:
    """Means over `SHARE_STEPS` equal steps of the share, those of fewer than `FEWEST` left out."""
    share, weight = np.asarray(shares, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    # Shares are of a few attributes: 0.3 must not fall below 0.3 by its rounding.
    place = np.minimum(np.floor(share * SHARE_BINS + 1e-9), SHARE_BINS - 1).astype(int)
    steps = []
    for step in range(SHARE_BINS):
        here = weight[place == step]
        if len(here) >= MIN_QUERIES:
            low, high = step / SHARE_BINS, (step + 1) / SHARE_BINS
            steps.append(ShareBin(low, high, len(here), float(here.mean()), float(here.std())))
    return steps


def _beside(
    asked: ReferenceQueries | None, stream: str
) -> tuple[list[float] | None, list[float] | None]:
    """The true shares and, in their order, the stream's weights."""
    if asked is None or asked.picture_shares is None:
        return None, None
    return asked.picture_shares, asked.image_weights[stream]


def _stream_atlas(
    ordered: Sequence[float], shares: Sequence[float] | None, weights: Sequence[float] | None
) -> StreamStatistics:
    counts, _ = np.histogram(ordered, bins=HISTOGRAM_BINS, range=(0.0, 1.0))
    return StreamStatistics(
        counts=counts.tolist(),
        lowest=ordered[0],
        median=float(np.median(ordered)),
        highest=ordered[-1],
        by_share=None if shares is None or weights is None else bin_by_share(shares, weights),
        correlation=None if shares is None or weights is None else correlation(weights, shares),
    )


def _ends(asked: ReferenceQueries) -> tuple[list[ExtremeQuery], list[ExtremeQuery]]:
    """The queries with the highest mean image weight and those with the lowest, outermost first."""
    means = np.mean(list(asked.image_weights.values()), axis=0)  # (queries,)
    order = np.argsort(means, kind="stable").tolist()
    # A set of fewer than both ends take is halved, so that no query leans to both sides.
    count = min(EXTREMES, len(order) // 2)
    word_led = [_led(asked, place) for place in order[:count]]
    picture_led = [_led(asked, place) for place in order[::-1][:count]]
    return picture_led, word_led


def _led(asked: ReferenceQueries, place: int) -> ExtremeQuery:
    shares = asked.picture_shares
    return ExtremeQuery(
        reference=asked.references[place],
        words=asked.words[place],
        image_weights={name: weights[place] for name, weights in asked.image_weights.items()},
        picture_share=None if shares is None else shares[place],
    )

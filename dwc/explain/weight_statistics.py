"""Statistics of a checkpoint's image weights over its reference queries."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dwc.evaluation.metrics import correlation
from dwc.search.reference_weights import ReferenceQueries, ReferenceWeights

HISTOGRAM_BINS = 40
SHARE_BINS = 10
MIN_QUERIES = 5
"""The minimum number of queries for which a mean is reported."""
EXTREMES = 4
"""The number of queries reported with the highest, and with the lowest, mean image weight."""


@dataclass(frozen=True)
class ShareBin:
    """Mean and spread of the image weights of queries with similar true image share.

    The true image share of a query is how much of the wanted image only the reference determines;
    see `ReferenceQueries`.

    Attributes:
        low: the lower bound of the true image share, in [0, 1].
        high: the upper bound of the true image share, in [0, 1].
        queries: the number of queries between these bounds.
        mean: the mean of their image weights.
        deviation: the standard deviation of their image weights.
    """

    low: float
    high: float
    queries: int
    mean: float
    deviation: float


@dataclass(frozen=True)
class StreamStatistics:
    """Statistics of one stream's image weights over the reference queries.

    Attributes:
        counts: the number of queries in each of `HISTOGRAM_BINS` equal bins from 0 to 1.
        lowest: the lowest weight.
        median: the median weight.
        highest: the highest weight.
        by_share: mean weights by true image share; None if the true shares are not recorded.
        correlation: Spearman's correlation of weight and true share; None without true shares or if
            all weights are equal.
    """

    counts: list[int]
    lowest: float
    median: float
    highest: float
    by_share: list[ShareBin] | None
    correlation: float | None


@dataclass(frozen=True)
class ExtremeQuery:
    """A query of very high or very low mean image weight.

    Attributes:
        reference: the id of the query's reference image.
        words: the query's text.
        image_weights: the image weight of each stream, in [0, 1].
        picture_share: the true image share, in [0, 1]; None if it is not known.
    """

    reference: str
    words: str
    image_weights: dict[str, float]
    picture_share: float | None


@dataclass(frozen=True)
class WeightStatistics:
    """Statistics of each stream's image weights, and the queries of highest and lowest mean weight.

    `picture_led` has the queries of highest and `word_led` those of lowest mean weight, most
    extreme first; both are None if only weights were recorded.
    """

    queries: int
    protocol: str
    streams: dict[str, StreamStatistics]
    picture_led: list[ExtremeQuery] | None
    word_led: list[ExtremeQuery] | None

    def to_dict(self) -> dict[str, Any]:
        """Return the statistics as JSON-compatible dicts, lists, numbers and strings."""
        return asdict(self)


def compute_weight_statistics(reference: ReferenceWeights) -> WeightStatistics:
    """Compute the histogram, quantiles and correlation of a checkpoint's reference weights."""
    queries = reference.reference_queries
    picture_led = word_led = None
    if queries is not None:
        picture_led, word_led = _ends(queries)
    return WeightStatistics(
        queries=reference.queries,
        protocol=reference.protocol,
        streams={
            name: _stream_statistics(weights, *_shares_and_weights(queries, name))
            for name, weights in reference.weights.items()
        },
        picture_led=picture_led,
        word_led=word_led,
    )


def bin_by_share(shares: Sequence[float], weights: Sequence[float]) -> list[ShareBin]:
    """Return mean weights in `SHARE_BINS` equal bins of the true share.

    Bins with fewer than `MIN_QUERIES` queries are omitted.
    """
    share, weight = np.asarray(shares, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    # Shares are ratios of small counts, such as 3/10; rounding errors must not move them to the
    # bin below.
    index = np.minimum(np.floor(share * SHARE_BINS + 1e-9), SHARE_BINS - 1).astype(int)
    steps = []
    for step in range(SHARE_BINS):
        here = weight[index == step]
        if len(here) >= MIN_QUERIES:
            low, high = step / SHARE_BINS, (step + 1) / SHARE_BINS
            steps.append(ShareBin(low, high, len(here), float(here.mean()), float(here.std())))
    return steps


def _shares_and_weights(
    queries: ReferenceQueries | None, stream: str
) -> tuple[list[float] | None, list[float] | None]:
    """Return the true shares and the stream's weights in the same order; None if not recorded."""
    if queries is None or queries.picture_shares is None:
        return None, None
    return queries.picture_shares, queries.image_weights[stream]


def _stream_statistics(
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


def _ends(queries: ReferenceQueries) -> tuple[list[ExtremeQuery], list[ExtremeQuery]]:
    """Return the queries of highest and of lowest mean image weight, most extreme first."""
    means = np.mean(list(queries.image_weights.values()), axis=0)  # (queries,)
    order = np.argsort(means, kind="stable").tolist()
    # A set smaller than 2 * EXTREMES is halved, so that no query is in both lists.
    count = min(EXTREMES, len(order) // 2)
    word_led = [_extreme(queries, index) for index in order[:count]]
    picture_led = [_extreme(queries, index) for index in order[::-1][:count]]
    return picture_led, word_led


def _extreme(queries: ReferenceQueries, index: int) -> ExtremeQuery:
    shares = queries.picture_shares
    return ExtremeQuery(
        reference=queries.references[index],
        words=queries.words[index],
        image_weights={name: weights[index] for name, weights in queries.image_weights.items()},
        picture_share=None if shares is None else shares[index],
    )

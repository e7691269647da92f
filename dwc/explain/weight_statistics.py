"""Statistics of a checkpoint's image weights for a fixed set of queries, the reference queries.

The image weight of a query is the factor of its image part, from 0 to 1. The web page compares the
image weights of a search with those of the reference queries. The image weights of the reference
queries are also compared with their true image weights, if these are recorded. The true image
weight of a query is the fraction of the target's attributes that come from the reference image and
not from the text.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dwc.evaluation.metrics import correlation
from dwc.search.reference_weights import ReferenceQueries, ReferenceWeights

HISTOGRAM_BINS = 40
"""The number of equal bins in which image weights from 0 to 1 are counted."""
SHARE_BINS = 10
"""The number of equal bins of the true image weight, from 0 to 1."""
MIN_QUERIES = 5
"""The minimum number of queries for which a mean is reported."""
EXTREMES = 4
"""The number of queries reported with the highest, and with the lowest, mean image weight."""


@dataclass(frozen=True)
class ShareBin:
    """Mean and spread of the model's image weights, for queries with similar true image weights.

    The image weight of a query is the factor of its image part, from 0 to 1. The true image weight
    is the fraction of the target's attributes that come from the reference image and not from the
    text.

    Attributes:
        low: the lower bound of the true image weight, in [0, 1].
        high: the upper bound of the true image weight, in [0, 1].
        queries: the number of queries between these bounds.
        mean: the mean of the model's image weights for these queries.
        deviation: the standard deviation of the model's image weights for these queries.
    """

    low: float
    high: float
    queries: int
    mean: float
    deviation: float


@dataclass(frozen=True)
class StreamStatistics:
    """Statistics of one stream's image weights for the reference queries, a fixed set of queries.

    The image weight of a query is the factor of its image part, from 0 to 1. The true image weight
    is the fraction of the target's attributes that come from the reference image and not from the
    text.

    Attributes:
        counts: the number of queries with an image weight in each of `HISTOGRAM_BINS` equal bins
            from 0 to 1.
        lowest: the lowest image weight.
        median: the median image weight.
        highest: the highest image weight.
        by_share: the mean and spread of the image weight in each bin of the true image weight; None
            if the true image weights are not recorded.
        correlation: Spearman's correlation of image weight and true image weight; None if the true
            image weights are not recorded, or if all values of one of the two are equal.
    """

    counts: list[int]
    lowest: float
    median: float
    highest: float
    by_share: list[ShareBin] | None
    correlation: float | None


@dataclass(frozen=True)
class ExtremeQuery:
    """One of the reference queries with the highest or the lowest image weights.

    The reference queries are a fixed set of queries, stored with the checkpoint. The highest
    and lowest are chosen by the mean of the image weights over the streams.

    Attributes:
        reference: the id of the query's reference image.
        words: the query's text.
        image_weights: the image weights in [0, 1], by the stream's name.
        picture_share: the true image weight in [0, 1]: the fraction of the target's attributes that
            come from the reference image and not from the text; None if it is not recorded.
    """

    reference: str
    words: str
    image_weights: dict[str, float]
    picture_share: float | None


@dataclass(frozen=True)
class WeightStatistics:
    """Statistics of a checkpoint's image weights for a fixed set of queries, the reference queries.

    Attributes:
        queries: the number of reference queries.
        protocol: a sentence that describes the set of queries.
        streams: the statistics of each stream's weights, by the stream's name.
        picture_led: the queries with the highest image weight (mean over the streams), highest
            first; None if only the weights were recorded, not the queries.
        word_led: the queries with the lowest image weight (mean over the streams), lowest first;
            None if only the weights were recorded, not the queries.
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
    """Compute the statistics of a checkpoint's image weights for its reference queries.

    The reference queries are a fixed set of queries, whose image weights are stored with the
    checkpoint.
    """
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
    """Return the mean and spread of the model's image weight in each bin of the true image weight.

    The range from 0 to 1 is divided into `SHARE_BINS` equal bins. Bins with fewer than
    `MIN_QUERIES` queries are omitted.

    Args:
        shares: the true image weights of n queries, in [0, 1]: the fractions of the target's
            attributes that come from the reference image and not from the text.
        weights: the model's image weights for the same n queries, in [0, 1].
    """
    share, weight = np.asarray(shares, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    # True image weights are ratios of small counts, such as 3/10; rounding errors must not move a
    # weight to the bin below.
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
    """Return the true image weight of each query, and the image weight that a stream computed.

    The true image weight of a query is the fraction of the target's attributes that come from the
    reference image and not from the text.

    Returns:
        Two lists in the order of the queries. Both are None if the true image weights are not
        recorded.
    """
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
    """Return two lists: the queries with the highest and those with the lowest mean image weights.

    The mean is taken over the streams. The most extreme query is first in each list.
    """
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

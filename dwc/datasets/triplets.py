"""Data structures of all benchmarks: training triplets, and queries with the gallery to search."""

import logging
import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Triplet:
    """A training example: a reference image, a modification text and a target image.

    Attributes:
        reference: Name of the reference image.
        captions: Phrases by annotators, usually one or two. A caption template joins them to form
            the modification text.
        target: Name of the target image.
    """

    reference: str
    captions: tuple[str, ...]
    target: str


@dataclass(frozen=True)
class RetrievalQuery:
    """A query that consists of a reference image and a text, with its correct results.

    Attributes:
        reference: Name of the reference image.
        captions: Phrases of the modification text; see `Triplet`.
        hits: Names of the gallery images that are correct results.
        picture_share: The true image weight of the query, in [0, 1]: the fraction of the target's
            attributes that come from the reference image and not from the text. None if unknown.
    """

    reference: str
    captions: tuple[str, ...]
    hits: frozenset[str]
    picture_share: float | None = None


@dataclass(frozen=True)
class Benchmark:
    """A gallery with queries to evaluate.

    Attributes:
        protocol: Name of the evaluation protocol.
        gallery: Names of the gallery images, in order.
        queries: The queries.
        reference_removed: Whether the reference image of a query is excluded from its results.
        missing: Names of gallery images that were removed because their files are missing.
        notes: Additional information for reports: title -> text.
        is_compared: Whether the benchmark's size was compared with the published split's size. If
            False, the published size is unknown.
        deviations: Sentences on how the files differ from the published split, for example in the
            number of queries; empty if no difference is known.
    """

    protocol: str
    gallery: tuple[str, ...]
    queries: tuple[RetrievalQuery, ...]
    reference_removed: bool = True
    missing: tuple[str, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)
    is_compared: bool = False
    deviations: tuple[str, ...] = ()


class PublishedSize(NamedTuple):
    """Size of a split as its authors published it.

    Attributes:
        queries: Number of queries.
        gallery: Number of gallery images.
        blank_captions: Number of the queries' captions that are empty or consist of spaces.
    """

    queries: int
    gallery: int
    blank_captions: int = 0


def blank_captions(queries: Iterable[Triplet | RetrievalQuery]) -> int:
    """Return how many captions of triplets or queries are empty or consist of spaces."""
    return sum(not caption.strip() for query in queries for caption in query.captions)


def log_blank_captions(source: object, queries: Iterable[Triplet | RetrievalQuery]) -> None:
    """Log a warning with the number of blank captions, if there are any.

    Args:
        source: The file with the captions, or the name of the split.
        queries: The triplets or queries with the captions.
    """
    if count := blank_captions(queries):
        logger.warning("%s: %d captions are blank, so they change nothing", source, count)


def compare_size(benchmark: Benchmark, published: PublishedSize | None) -> Benchmark:
    """Compare a benchmark's numbers of queries, images and blank captions with the published ones.

    Each difference is recorded in the returned benchmark, except if there are fewer blank captions
    than published.

    Args:
        benchmark: The benchmark, from which no missing images have been removed yet.
        published: The size of the published split; None if it is not known.

    Returns:
        The benchmark with `is_compared` set and with a sentence on each difference added to
        `deviations`; the unchanged benchmark if the published size is not known.
    """
    if published is None:
        return benchmark
    counts = (
        ("queries", len(benchmark.queries), published.queries),
        ("gallery pictures", len(benchmark.gallery), published.gallery),
    )
    deviations = [
        f"{benchmark.protocol}: the files have {count:,} {what}, the published split {expected:,}"
        for what, count, expected in counts
        if count != expected
    ]
    blank = blank_captions(benchmark.queries)
    if blank > published.blank_captions:
        deviations.append(
            f"{benchmark.protocol}: {blank:,} captions of the queries are blank, in the published "
            f"split {published.blank_captions:,}"
        )
    return replace(benchmark, is_compared=True, deviations=(*benchmark.deviations, *deviations))


def drop_missing(benchmark: Benchmark, missing: Collection[str]) -> Benchmark:
    """Return a benchmark without the images whose files are missing.

    Missing images are removed from the gallery and from the queries' hits (correct results). The
    attribute `missing` of the returned benchmark lists those that were removed from the gallery. A
    query is removed if its reference or all of its hits are missing. The numbers of missing images
    and remaining queries are logged.

    Args:
        benchmark: The benchmark with all images.
        missing: Names of the missing images.
    """
    lost = set(missing)
    if not lost:
        return benchmark
    gallery = tuple(name for name in benchmark.gallery if name not in lost)
    queries = []
    for query in benchmark.queries:
        hits = query.hits if query.hits.isdisjoint(lost) else query.hits - lost
        if query.reference not in lost and bool(hits) == bool(query.hits):
            queries.append(query if hits is query.hits else replace(query, hits=hits))
    logger.warning(
        "%s: %d of %d gallery pictures are missing; %d of %d queries are left",
        benchmark.protocol, len(benchmark.gallery) - len(gallery), len(benchmark.gallery),
        len(queries), len(benchmark.queries),
    )  # fmt: skip
    return replace(
        benchmark,
        gallery=gallery,
        queries=tuple(queries),
        missing=(*benchmark.missing, *(name for name in benchmark.gallery if name in lost)),
    )


def sample_queries(benchmark: Benchmark, count: int, seed: int) -> Benchmark:
    """Return the benchmark with `count` randomly sampled queries, in their original order.

    A benchmark that has no more than `count` queries is returned unchanged.
    """
    if count >= len(benchmark.queries):
        return benchmark
    chosen = sorted(random.Random(seed).sample(range(len(benchmark.queries)), count))
    return replace(benchmark, queries=tuple(benchmark.queries[index] for index in chosen))

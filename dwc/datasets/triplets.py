"""The common form of all benchmarks: training triplets, and queries with their gallery."""

import logging
import random
from collections.abc import Collection
from dataclasses import dataclass, field, replace

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Triplet:
    """A reference image, the modification text, and the target image.

    `captions` are the annotators' phrases, one or two, before any caption template.
    """

    reference: str
    captions: tuple[str, ...]
    target: str


@dataclass(frozen=True)
class RetrievalQuery:
    """A retrieval query with the ids of its relevant gallery images.

    `hits` are the ids of the relevant images. `picture_share`, where the truth is known, is the
    share (0 to 1) of the target's attributes that only the image determines.
    """

    reference: str
    captions: tuple[str, ...]
    hits: frozenset[str]
    picture_share: float | None = None


@dataclass(frozen=True)
class Benchmark:
    """An evaluation protocol: its name, the ordered gallery, queries and missing images."""

    protocol: str
    gallery: tuple[str, ...]
    queries: tuple[RetrievalQuery, ...]
    reference_removed: bool = True
    missing: tuple[str, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)


def drop_missing(benchmark: Benchmark, missing: Collection[str]) -> Benchmark:
    """Remove missing images from a benchmark; they are logged and listed in its `missing`.

    They leave the gallery and the hits. A query is removed when its reference or all of its hits
    are missing.
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
    """Draw `count` of a benchmark's queries by a seed, and keep their order and the gallery.

    A benchmark with fewer queries is returned unchanged.
    """
    if count >= len(benchmark.queries):
        return benchmark
    chosen = sorted(random.Random(seed).sample(range(len(benchmark.queries)), count))
    return replace(benchmark, queries=tuple(benchmark.queries[index] for index in chosen))

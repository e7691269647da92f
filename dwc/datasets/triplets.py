"""What every benchmark becomes once read: triplets to learn from, queries to be asked."""

import logging
import random
from collections.abc import Collection
from dataclasses import dataclass, field, replace

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Triplet:
    """A reference picture, the words that change it, and the picture that results.

    `captions` are the annotators' phrases, one or two, before any caption template.
    """

    reference: str
    captions: tuple[str, ...]
    target: str


@dataclass(frozen=True)
class RetrievalQuery:
    """A question to a gallery, with what is known of its answer.

    `hits` are the gallery ids that count as found. `picture_share`, where the truth is known, is
    the share (0 to 1) of the wished-for attributes that only the picture tells.
    """

    reference: str
    captions: tuple[str, ...]
    hits: frozenset[str]
    picture_share: float | None = None


@dataclass(frozen=True)
class Benchmark:
    """A protocol ready to run: its name, its gallery in order, its queries, what was missing."""

    protocol: str
    gallery: tuple[str, ...]
    queries: tuple[RetrievalQuery, ...]
    reference_removed: bool = True
    missing: tuple[str, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)


def drop_missing(benchmark: Benchmark, gone: Collection[str]) -> Benchmark:
    """The benchmark without the pictures `gone`, which are logged and listed in its `missing`.

    They leave the gallery and the hits; queries go whose reference is gone, or every hit.
    """
    lost = set(gone)
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
    """The benchmark asked with `count` of its queries, drawn by `seed`, in their order.

    All of them where there are not more. The gallery stays.
    """
    if count >= len(benchmark.queries):
        return benchmark
    chosen = sorted(random.Random(seed).sample(range(len(benchmark.queries)), count))
    return replace(benchmark, queries=tuple(benchmark.queries[place] for place in chosen))

"""Run a benchmark on the image files that are there, and report how much of it that was."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dwc.datasets.benchmark_files import ImageFiles
from dwc.datasets.prefetch import ImagePrefetcher, image_order
from dwc.datasets.triplets import Benchmark, drop_missing
from dwc.evaluation.retrieval import (
    EncodedBenchmark,
    RankReport,
    encode_benchmark,
    rank_benchmark,
)
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor

KS = (1, 10, 50)

# With this share of queries and gallery, what is lost moves a recall by less than the seeds do.
NEARLY_COMPLETE = 0.99
MAX_NAMED = 20  # missing images named in a report


@dataclass(frozen=True)
class Coverage:
    """The parts of a benchmark that were there.

    Attributes:
        queries: how many queries could be evaluated.
        all_queries: how many the benchmark has.
        evaluated: how many were evaluated, after a draw.
        gallery: how many gallery images were there.
        all_gallery: how many the benchmark has.
        missing: the images that were missing or unreadable.
        unreadable: how many of these were unreadable.
    """

    queries: int
    all_queries: int
    evaluated: int
    gallery: int
    all_gallery: int
    missing: tuple[str, ...] = ()
    unreadable: int = 0

    @classmethod
    def total(cls, parts: Iterable["Coverage"]) -> "Coverage":
        """The coverage of several benchmarks together; their counts are added up."""
        every = list(parts)
        return cls(
            queries=sum(part.queries for part in every),
            all_queries=sum(part.all_queries for part in every),
            evaluated=sum(part.evaluated for part in every),
            gallery=sum(part.gallery for part in every),
            all_gallery=sum(part.all_gallery for part in every),
            missing=tuple(name for part in every for name in part.missing),
            unreadable=sum(part.unreadable for part in every),
        )

    @property
    def query_share(self) -> float:
        """The share (0 to 1) of the queries that could be evaluated."""
        return self.queries / self.all_queries if self.all_queries else 0.0

    @property
    def gallery_share(self) -> float:
        """The share (0 to 1) of the gallery that was there."""
        return self.gallery / self.all_gallery if self.all_gallery else 0.0

    @property
    def comparable(self) -> bool:
        """Whether the numbers are those of the complete benchmark."""
        return not self.missing and self.evaluated == self.all_queries and self.gallery_share == 1

    def describe(self) -> str:
        """How far the numbers compare with those of the complete benchmark, in words."""
        if self.comparable:
            return "comparable: every picture was there and every query was asked"
        sentences = []
        if self.missing or self.queries < self.all_queries:
            least = min(self.query_share, self.gallery_share)
            sentences.append("nearly comparable" if least >= NEARLY_COMPLETE else "not comparable")
            sentences.append(
                f"{self.gallery:,} of {self.all_gallery:,} gallery pictures "
                f"({self.gallery_share:.1%}) and {self.queries:,} of {self.all_queries:,} queries "
                f"({self.query_share:.1%}) are left"
            )
            if 0 < self.gallery_share < 1:
                sentences.append(
                    "a smaller gallery is easier: recall@K is about what recall@"
                    f"{1 / self.gallery_share:.3g}K would be on the whole"
                )
        if self.evaluated < self.queries:
            sentences.append(f"an estimate, from {self.evaluated:,} of {self.queries:,} queries")
        return "; ".join(sentences)

    def to_dict(self) -> dict[str, Any]:
        """Counts, shares and the description, for a report."""
        return {
            "missing": len(self.missing),
            "unreadable": self.unreadable,
            "missing_pictures": list(self.missing[:MAX_NAMED]),
            "comparable": self.comparable,
            "comparability": self.describe(),
            "coverage": {
                "queries": self.query_share,
                "gallery": self.gallery_share,
                "queries_asked": self.evaluated,
                "queries_left": self.queries,
                "queries_of": self.all_queries,
                "gallery_left": self.gallery,
                "gallery_of": self.all_gallery,
            },
        }


@dataclass(frozen=True)
class BenchmarkResult:
    """A benchmark's vectors, ranks and coverage."""

    encoded: EncodedBenchmark
    report: RankReport
    coverage: Coverage

    def to_dict(self, ks: Sequence[int] = KS) -> dict[str, Any]:
        """The recalls, the coverage, and the benchmark's own notes."""
        return {
            **self.report.to_dict(ks),
            **self.coverage.to_dict(),
            "notes": dict(self.report.benchmark.notes),
        }


def evaluate_files(
    benchmark: Benchmark,
    files: ImageFiles,
    model: DWCModel,
    processor: DWCProcessor,
    queries: int | None = None,
    seed: int = 0,
) -> BenchmarkResult:
    """Evaluate a model on the images of a benchmark that are there.

    Images that are missing or unreadable leave the gallery; queries without their reference or any
    of their hits are left out. Both are counted.

    Args:
        queries: how many of the remaining queries are evaluated, drawn by `seed`; by default all.

    Raises:
        DatasetError: where no image is there, or no query is left.
    """
    encoded, coverage = encode_files(benchmark, files, model, processor, queries, seed)
    return BenchmarkResult(encoded, rank_benchmark(encoded), coverage)


def encode_files(
    benchmark: Benchmark,
    files: ImageFiles,
    model: DWCModel,
    processor: DWCProcessor,
    queries: int | None = None,
    seed: int = 0,
) -> tuple[EncodedBenchmark, Coverage]:
    """Encode a benchmark as `evaluate_files` does, without ranking."""
    present = drop_missing(benchmark, files.missing(image_order(benchmark)))
    located = {name: files.find(name) for name in image_order(present)}
    paths = {name: path for name, path in located.items() if path is not None}
    with ImagePrefetcher(paths, image_order(present), os.cpu_count() or 1) as open_image:
        encoded = encode_benchmark(
            present, model, processor, open_image, queries=queries, seed=seed
        )
    coverage = Coverage(
        queries=encoded.answerable,
        all_queries=len(benchmark.queries),
        evaluated=len(encoded.benchmark.queries),
        gallery=len(encoded.benchmark.gallery),
        all_gallery=len(benchmark.gallery),
        missing=encoded.benchmark.missing,
        unreadable=len(encoded.unreadable),
    )
    return encoded, coverage

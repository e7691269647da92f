"""What the literature's benchmarks share: pictures in files, some of which may be missing."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dwc.datasets.pictures import PictureFiles
from dwc.datasets.triplets import Benchmark, leave_out
from dwc.evaluation.missing import Coverage
from dwc.evaluation.reading_ahead import ReadAhead, asked_in_order
from dwc.evaluation.retrieval import Encoded, Report, encode_benchmark, rank_benchmark
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor

KS = (1, 10, 50)


@dataclass(frozen=True)
class Measured:
    """A benchmark measured: its vectors, its ranks, and how much of it was there."""

    encoded: Encoded
    report: Report
    coverage: Coverage

    def to_dict(self, ks: Sequence[int] = KS) -> dict[str, Any]:
        """The report, what was missing, and the benchmark's own notes."""
        return {
            **self.report.to_dict(ks),
            **self.coverage.to_dict(),
            "notes": dict(self.report.benchmark.notes),
        }


def measure(
    whole: Benchmark,
    files: PictureFiles,
    model: DWCModel,
    processor: DWCProcessor,
    queries: int | None = None,
    seed: int = 0,
) -> Measured:
    """Run a benchmark on what there is of its pictures.

    Those that are missing or cannot be read leave the gallery, and queries go with their reference
    or their last hit; all is counted. `queries` of what is left are drawn by `seed`, by default all
    are asked. DatasetError where no picture is found, or no query is left.
    """
    encoded, coverage = encode(whole, files, model, processor, queries, seed)
    return Measured(encoded, rank_benchmark(encoded), coverage)


def encode(
    whole: Benchmark,
    files: PictureFiles,
    model: DWCModel,
    processor: DWCProcessor,
    queries: int | None = None,
    seed: int = 0,
) -> tuple[Encoded, Coverage]:
    """As `measure`, up to the vectors."""
    there = leave_out(whole, files.missing(asked_in_order(whole)))
    found = {name: files.find(name) for name in asked_in_order(there)}
    paths = {name: path for name, path in found.items() if path is not None}
    with ReadAhead(paths, asked_in_order(there), os.cpu_count() or 1) as open_picture:
        encoded = encode_benchmark(
            there, model, processor, open_picture, queries=queries, seed=seed
        )
    coverage = Coverage(
        queries=encoded.answerable,
        all_queries=len(whole.queries),
        asked=len(encoded.benchmark.queries),
        gallery=len(encoded.benchmark.gallery),
        all_gallery=len(whole.gallery),
        lost=encoded.benchmark.missing,
        unreadable=len(encoded.unreadable),
    )
    return encoded, coverage

"""What the literature's benchmarks share: pictures in files, some of which may be missing.

CSS3D's numbers for a checkpoint; the usual one is recall@1.

Fashion200k's numbers for a checkpoint, asked as it should be or with the answer in the words.

FashionIQ's numbers for a checkpoint: per category, their average, and the mean of averages.

Shoes' numbers for a checkpoint: its pairs asked twice, as the literature does, and once.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dwc.datasets.benchmark_files import ImageFiles
from dwc.datasets.css3d import css3d_benchmark, css3d_images
from dwc.datasets.fashion200k import fashion200k_benchmark, fashion200k_images
from dwc.datasets.fashion_iq import CATEGORIES, FashionIqImages, fashion_iq_benchmark
from dwc.datasets.prefetch import ImagePrefetcher, image_order
from dwc.datasets.shoes import ShoesImages, shoes_benchmark
from dwc.datasets.triplets import Benchmark, drop_missing
from dwc.errors import DatasetError
from dwc.evaluation.coverage import Coverage
from dwc.evaluation.metrics import recalls
from dwc.evaluation.retrieval import EncodedBenchmark, RankReport, encode_benchmark, rank_benchmark
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor

KS = (1, 10, 50)


@dataclass(frozen=True)
class BenchmarkResult:
    """A benchmark measured: its vectors, its ranks, and how much of it was there."""

    encoded: EncodedBenchmark
    report: RankReport
    coverage: Coverage

    def to_dict(self, ks: Sequence[int] = KS) -> dict[str, Any]:
        """The report, what was missing, and the benchmark's own notes."""
        return {
            **self.report.to_dict(ks),
            **self.coverage.to_dict(),
            "notes": dict(self.report.benchmark.notes),
        }


def evaluate_files(
    whole: Benchmark,
    files: ImageFiles,
    model: DWCModel,
    processor: DWCProcessor,
    queries: int | None = None,
    seed: int = 0,
) -> BenchmarkResult:
    """Run a benchmark on what there is of its pictures.

    Those that are missing or cannot be read leave the gallery, and queries go with their reference
    or their last hit; all is counted. `queries` of what is left are drawn by `seed`, by default all
    are asked. DatasetError where no picture is found, or no query is left.
    """
    encoded, coverage = encode_files(whole, files, model, processor, queries, seed)
    return BenchmarkResult(encoded, rank_benchmark(encoded), coverage)


def encode_files(
    whole: Benchmark,
    files: ImageFiles,
    model: DWCModel,
    processor: DWCProcessor,
    queries: int | None = None,
    seed: int = 0,
) -> tuple[EncodedBenchmark, Coverage]:
    """As `measure`, up to the vectors."""
    there = drop_missing(whole, files.missing(image_order(whole)))
    found = {name: files.find(name) for name in image_order(there)}
    paths = {name: path for name, path in found.items() if path is not None}
    with ImagePrefetcher(paths, image_order(there), os.cpu_count() or 1) as open_picture:
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


def evaluate_css3d(
    model: DWCModel,
    processor: DWCProcessor,
    root: Path,
    split: str = "test",
    queries: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Recalls over all scenes of the split, the reference left out; the target's label hits.

    Missing pictures are counted. `queries` and `seed` as in `evaluate_files`.
    """
    whole = css3d_benchmark(root, split)
    files = css3d_images(root, whole.gallery)
    return evaluate_files(whole, files, model, processor, queries, seed).to_dict()


def evaluate_fashion200k(
    model: DWCModel,
    processor: DWCProcessor,
    root: Path,
    states_answer: bool = False,
    queries: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Recalls over all test pictures, the reference left out; any with the target's caption hits.

    With `states_answer` the words end in "and get <the target's caption>", as in DWC's released
    code: such numbers compare only with others of that kind, and `protocol` and `notes` say so.
    Missing pictures are counted. `queries` and `seed` as in `evaluate_files`.
    """
    whole = fashion200k_benchmark(root, "test", states_answer)
    files = fashion200k_images(root, whole.gallery)
    return evaluate_files(whole, files, model, processor, queries, seed).to_dict()


logger = logging.getLogger(__name__)


def evaluate_fashion_iq(
    model: DWCModel,
    processor: DWCProcessor,
    root: Path,
    protocol: str = "P3",
    categories: Sequence[str] = CATEGORIES,
    queries: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Run a protocol (P1 to P4) on the categories of the validation split.

    Missing pictures shrink gallery and queries, and are counted. A category of which no query is
    left is named in `categories_left_out` and in no average; DatasetError where that is all of
    them. `queries` of each category are drawn by `seed`, by default all are asked.
    """
    reports, coverages, left_out = {}, [], {}
    for category in categories:
        whole = fashion_iq_benchmark(root, category, protocol)
        try:
            measured = evaluate_files(
                whole, FashionIqImages(root, category), model, processor, queries, seed
            )
        except DatasetError as error:  # no picture is there, or none that belong together
            logger.warning("%s is left out: %s", category, error)
            left_out[category] = error
            coverages.append(
                Coverage(0, len(whole.queries), 0, 0, len(whole.gallery), whole.gallery)
            )
        else:
            reports[category] = measured.to_dict()
            coverages.append(measured.coverage)
    if not reports:
        raise next(iter(left_out.values()))
    every = list(reports.values())
    streams = every[0]["streams"]
    named = f"{'-'.join(categories)}-" if tuple(categories) != CATEGORIES else ""
    return {
        "protocol": f"fashion_iq-{named}{protocol}",
        "queries": sum(report["queries"] for report in every),
        "gallery": sum(report["gallery"] for report in every),
        "texts_cut": sum(report["texts_cut"] for report in every),
        **Coverage.total(coverages).to_dict(),
        **_averages(every),
        "streams": {name: _averages([one["streams"][name] for one in every]) for name in streams},
        "categories": reports,
        "categories_left_out": {name: str(error) for name, error in left_out.items()},
    }


def _averages(reports: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The mean over categories of each recall, and that of R@10 and R@50, which papers rank by."""
    means = {f"recall@{k}": sum(r[f"recall@{k}"] for r in reports) / len(reports) for k in KS}
    return {**means, "mean_of_averages": (means["recall@10"] + means["recall@50"]) / 2}


def evaluate_shoes(
    model: DWCModel,
    processor: DWCProcessor,
    root: Path,
    split: str = "test",
    queries: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Recalls over all pictures of the split, the reference left out.

    The released code lists a pair twice, so published numbers count it twice: these are the main
    ones. `each_pair_once` counts each once. A pair whose reference is its target cannot be found in
    either; `notes` names it. Missing pictures are counted. `queries` and `seed` as in
    `evaluate_files`.
    """
    whole = shoes_benchmark(root, split)
    measured = evaluate_files(whole, ShoesImages(root), model, processor, queries, seed)
    asked = measured.report.benchmark.queries
    rank_of = dict(zip(asked, measured.report.ranks["together"], strict=True))
    pairs = shoes_benchmark(root, split, "once").queries
    ranks = np.array([rank_of[pair] for pair in pairs if pair in rank_of])
    return {
        **measured.to_dict(),
        "each_pair_once": {"queries": len(ranks), **recalls(ranks, KS)},
    }

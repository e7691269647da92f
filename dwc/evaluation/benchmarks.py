"""Evaluation of a model on the published benchmarks.

For each benchmark, `BENCHMARKS` has a function that reads the files and a function that reports the
results. `write_cirr_submission` writes the files for CIRR's test server.

Source of the submission's format:
https://github.com/Cuberick-Orion/CIRR/blob/main/Test-split_server.md
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from dwc.datasets.annotation_files import ImageFiles
from dwc.datasets.cirr import CirrQuery, cirr_benchmark, cirr_images
from dwc.datasets.css3d import css3d_benchmark, css3d_images
from dwc.datasets.fashion200k import fashion200k_benchmark, fashion200k_images
from dwc.datasets.fashion_iq import (
    CATEGORIES,
    FashionIqImages,
    fashion_iq_benchmark,
)
from dwc.datasets.shoes import ShoesImages, pair_queries, shoes_benchmark
from dwc.datasets.triplets import Benchmark, blank_captions
from dwc.errors import DatasetError
from dwc.evaluation.metrics import first_hit_rank, recall_at, recalls
from dwc.evaluation.retrieval import (
    KS,
    BenchmarkResult,
    Coverage,
    EncodedBenchmark,
    Vectors,
    encode_files,
    evaluate_files,
)
from dwc.files import write_text
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BenchmarkOptions:
    """Options of an evaluation; a benchmark ignores the options that it does not use.

    Attributes:
        split: Name of the split; None for the benchmark's default.
        protocol: FashionIQ's evaluation protocol, P1 to P4.
        categories: FashionIQ's categories to evaluate; by default all three.
        states_answer: Whether Fashion200k's texts end with "and get <the target's caption>", as in
            DWC's released code. Recalls with this option must not be compared with recalls without
            it. The report states the option in `protocol` and `notes`.
    """

    split: str | None = None
    protocol: str = "P3"
    categories: Sequence[str] = CATEGORIES
    states_answer: bool = False


class Part(NamedTuple):
    """A part of a benchmark, with its own gallery.

    FashionIQ has one part per category; every other benchmark consists of a single part.

    Attributes:
        name: The part's name; for FashionIQ, the category.
        benchmark: The gallery and the queries.
        files: The image files.
    """

    name: str
    benchmark: Benchmark
    files: ImageFiles


@dataclass
class Evaluation:
    """The results of all parts of a benchmark.

    Attributes:
        root: Folder of the benchmark's files.
        split: Name of the evaluated split.
        options: The options of the evaluation.
        results: The results of the evaluated parts, by the part's name.
        left_out: The errors of the parts that could not be evaluated, by the part's name.
        coverages: For each part, in order, how many of its images and queries were available. Parts
            that could not be evaluated are included.
    """

    root: Path
    split: str
    options: BenchmarkOptions
    results: dict[str, BenchmarkResult] = field(default_factory=dict)
    left_out: dict[str, DatasetError] = field(default_factory=dict)
    coverages: list[Coverage] = field(default_factory=list)

    def add(
        self,
        part: Part,
        model: DWCModel,
        processor: DWCProcessor,
        queries: int | None,
        seed: int,
    ) -> None:
        """Evaluate a model on a part of the benchmark; record the result or the error.

        Args:
            part: The part.
            model: The model.
            processor: The model's processor.
            queries: Number of queries to evaluate, sampled with `seed`; None for all.
            seed: Random seed of the sample.
        """
        try:
            result = evaluate_files(part.benchmark, part.files, model, processor, queries, seed)
        except DatasetError as error:  # no image is available, or no query is left
            self.left_out[part.name] = error
            gallery = part.benchmark.gallery
            self.coverages.append(
                Coverage(
                    queries=0,
                    all_queries=len(part.benchmark.queries),
                    evaluated=0,
                    gallery=0,
                    all_gallery=len(gallery),
                    missing=gallery,
                    is_compared=part.benchmark.is_compared,
                    deviations=part.benchmark.deviations,
                )
            )
        else:
            self.results[part.name] = result
            self.coverages.append(result.coverage)

    @property
    def only(self) -> BenchmarkResult:
        """The result of a benchmark that has exactly one part."""
        (result,) = self.results.values()
        return result


@dataclass(frozen=True)
class BenchmarkEntry:
    """A published benchmark: its splits, and the functions that read it and report on it.

    Attributes:
        splits: Names of the splits; the first is the default.
        read: Function that takes the benchmark's folder, the split's name and the options, and
            returns the parts of the split, which are evaluated separately. It raises
            `DatasetError` if the files do not have the documented format.
        report: Function that returns the report of an evaluation as JSON-compatible values.
    """

    splits: tuple[str, ...]
    read: Callable[[Path, str, BenchmarkOptions], list[Part]]
    report: Callable[[Evaluation], dict[str, Any]]


def evaluate_benchmark(
    name: str,
    model: DWCModel,
    processor: DWCProcessor,
    root: Path,
    options: BenchmarkOptions | None = None,
    queries: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Evaluate a model on one of the published benchmarks in `BENCHMARKS`.

    Missing images are left out and counted. If a benchmark consists of several parts, such as
    FashionIQ's three categories, a part without any query that can be evaluated is left out with a
    warning.

    Args:
        name: The benchmark's key in `BENCHMARKS`.
        model: The model.
        processor: The model's processor.
        root: Folder of the benchmark's files.
        options: The options of the evaluation; by default `BenchmarkOptions()`.
        queries: Number of queries per part to evaluate, sampled with `seed`; by default all.
        seed: Random seed of the sample.

    Returns:
        The report as JSON-compatible values: recalls in [0, 1] for both streams together and for
        each stream, the protocol, counts, how much of the benchmark was available (`coverage`), and
        the fields that only this benchmark has.

    Raises:
        DatasetError: Files do not have the documented format, or no query can be evaluated.
    """
    entry = BENCHMARKS[name]
    options = options or BenchmarkOptions()
    run = Evaluation(root, options.split or entry.splits[0], options)
    parts = entry.read(root, run.split, options)
    for part in parts:
        run.add(part, model, processor, queries, seed)
    if not run.results:
        raise next(iter(run.left_out.values()))
    for left_out, reason in run.left_out.items():
        logger.warning("%s is left out: %s", left_out, reason)
    return entry.report(run)


def _plain_report(run: Evaluation) -> dict[str, Any]:
    return run.only.to_dict()


def _read_css3d(root: Path, split: str, options: BenchmarkOptions) -> list[Part]:
    """Return a split of CSS3D as a single `Part` with all scenes of the split.

    The hits (correct results) of a query are the scenes with the same label as its target.
    """
    benchmark = css3d_benchmark(root, split)
    return [Part("css3d", benchmark, css3d_images(root, benchmark.gallery))]


def _read_fashion200k(root: Path, split: str, options: BenchmarkOptions) -> list[Part]:
    """Return a split of Fashion200k as a single `Part` with all images of the split.

    The hits (correct results) of a query are the images with the same caption as its target.
    """
    benchmark = fashion200k_benchmark(root, split, options.states_answer)
    return [Part("fashion200k", benchmark, fashion200k_images(root, benchmark.gallery))]


def _read_cirr(root: Path, split: str, options: BenchmarkOptions) -> list[Part]:
    """Return a split of CIRR as a single `Part` with all images of the split.

    Raises:
        DatasetError: The targets of the split are not published (`test1`).
    """
    return [Part("cirr", cirr_benchmark(root, split), cirr_images(root, split))]


def _read_shoes(root: Path, split: str, options: BenchmarkOptions) -> list[Part]:
    """Return a split of Shoes as one `Part`, whose gallery is all images of the split.

    As in DWC's released code, each pair of reference and target occurs in two queries.
    """
    return [Part("shoes", shoes_benchmark(root, split), ShoesImages(root))]


def _report_shoes(run: Evaluation) -> dict[str, Any]:
    """Return the report on Shoes, in which each pair of reference and target counts twice.

    Published results also count each pair twice. The field `each_pair_once` has the recalls over
    queries in which each pair occurs once.
    """
    report = run.only.report
    rank_of = dict(zip(report.benchmark.queries, report.ranks["together"], strict=True))
    pairs = pair_queries(run.root, run.split)
    ranks = np.array([rank_of[pair] for pair in pairs if pair in rank_of])
    once = {"queries": len(ranks), **recalls(ranks, KS)}
    return {**run.only.to_dict(), "each_pair_once": once}


def _read_fashion_iq(root: Path, split: str, options: BenchmarkOptions) -> list[Part]:
    """Return a split of FashionIQ as one `Part` per category, each with its own gallery."""
    return [
        Part(
            category,
            fashion_iq_benchmark(root, category, options.protocol, split),
            FashionIqImages(root, category),
        )
        for category in options.categories
    ]


def _report_fashion_iq(run: Evaluation) -> dict[str, Any]:
    """Return the report on FashionIQ: mean recalls, and the report of every category.

    A category that could not be evaluated is listed in `categories_left_out` and is not included in
    the means. If evaluated queries have blank captions, `blank_captions` is the number of these
    captions.
    """
    reports = {category: result.to_dict() for category, result in run.results.items()}
    every = list(reports.values())
    categories = tuple(run.options.categories)
    prefix = f"{'-'.join(categories)}-" if categories != CATEGORIES else ""
    blank = sum(report.get("blank_captions", 0) for report in every)
    unanswerable = sum(report.get("unanswerable", 0) for report in every)
    return {
        "protocol": f"fashion_iq-{prefix}{run.options.protocol}",
        "queries": sum(report["queries"] for report in every),
        "gallery": sum(report["gallery"] for report in every),
        "texts_cut": sum(report["texts_cut"] for report in every),
        **Coverage.total(run.coverages).to_dict(),
        "identical_pictures": sum(report["identical_pictures"] for report in every),
        **_means(every),
        **({"unanswerable": unanswerable} if unanswerable else {}),
        **({"blank_captions": blank} if blank else {}),
        "streams": {
            name: _means([report["streams"][name] for report in every])
            for name in every[0]["streams"]
        },
        "categories": reports,
        "categories_left_out": {name: str(error) for name, error in run.left_out.items()},
    }


def _means(reports: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the mean of each recall over FashionIQ's categories, by the recall's name.

    The result `mean_of_averages`, the main metric in papers, is the mean of two other results:
    recall@10 and recall@50.

    Args:
        reports: The report of each category, with recalls (0 to 1) such as "recall@10".
    """
    means = {f"recall@{k}": sum(r[f"recall@{k}"] for r in reports) / len(reports) for k in KS}
    return {**means, "mean_of_averages": (means["recall@10"] + means["recall@50"]) / 2}


CIRR_KS = (1, 5, 10, 50)
SUBSET_KS = (1, 2, 3)
CIRR_HEADLINE = "mean_of_recall@5_and_recall_subset@1"


def cirr_report(result: BenchmarkResult) -> dict[str, Any]:
    """Return CIRR's report: recalls among all images of the split, and recalls within subsets.

    The subset of a query is CIRR's set of six similar images that contains the reference. For the
    recalls within subsets, only the images of this set are ranked.

    The reference is never among the results. Only the image `target_hard` of the annotations is a
    hit, as on CIRR's test server and in papers. `target_soft` is not used: for 37 queries of the
    validation split, it names the reference instead of the target.

    Returns:
        The report as JSON-compatible values. The constant `CIRR_HEADLINE` is the key of the metric
        that papers report first. `whole_subsets` is the share (0 to 1) of queries for which all
        five other images of the subset are available.
    """
    numbers = result.to_dict(CIRR_KS)
    ranks = subset_ranks(result.encoded)
    _add_subset(numbers, ranks["together"])
    for name, stream in numbers["streams"].items():
        _add_subset(stream, ranks[name])
    gallery = set(result.encoded.benchmark.gallery)
    complete = [gallery.issuperset(query.others) for query in cirr_queries(result.encoded)]
    return {**numbers, "whole_subsets": sum(complete) / len(complete)}


def cirr_queries(encoded: EncodedBenchmark) -> list[CirrQuery]:
    """Return the queries of an encoded CIRR benchmark, typed as `CirrQuery`."""
    return [cast(CirrQuery, query) for query in encoded.benchmark.queries]


def subset_scores(
    encoded: EncodedBenchmark, view: tuple[Vectors, Vectors]
) -> list[tuple[list[str], NDArray[np.floating]]]:
    """Return each query's scores of the other images in the reference's set of six images.

    Args:
        encoded: The vectors of the benchmark.
        view: Query vectors (N, D) and gallery vectors (M, D) of N queries and M images, of
            dimension D: one of the values of `encoded.views`.

    Returns:
        For each query, the names of the available other images (at most five), and their scores in
        the same order.
    """
    position = {name: index for index, name in enumerate(encoded.benchmark.gallery)}
    vectors, gallery = view
    scored = []
    for vector, query in zip(vectors, cirr_queries(encoded), strict=True):
        others = [name for name in query.others if name in position]
        scored.append((others, gallery[[position[name] for name in others]] @ vector))
    return scored


def subset_ranks(encoded: EncodedBenchmark) -> dict[str, NDArray[np.int64]]:
    """Return the rank of each query's target within the reference's set of six similar images.

    Returns:
        A dict with the ranks (N,) of the N queries: one entry per stream, by its name, and the
        entry "together" for all streams. The best rank is 1.
    """
    ranks = {}
    for name, view in encoded.views.items():
        scored = zip(subset_scores(encoded, view), encoded.benchmark.queries, strict=True)
        ranks[name] = np.array(
            [
                first_hit_rank(scores, np.array([other in query.hits for other in others]))
                for (others, scores), query in scored
            ],
            dtype=np.int64,
        )
    return ranks


def _add_subset(numbers: dict[str, Any], ranks: NDArray[np.int64]) -> None:
    subset: Mapping[str, float] = {f"recall_subset@{k}": recall_at(ranks, k) for k in SUBSET_KS}
    numbers.update(subset)
    numbers[CIRR_HEADLINE] = (numbers["recall@5"] + numbers["recall_subset@1"]) / 2


SUBMISSION_VERSION = "rc2"
SUBMISSION_LENGTHS = {"recall": 50, "recall_subset": 3}


def write_cirr_submission(
    model: DWCModel, processor: DWCProcessor, root: Path, folder: Path, split: str = "test1"
) -> dict[str, Any]:
    """Rank the images for all queries of a CIRR split, and write the files for CIRR's test server.

    The targets of the split test1 are not published. The server scores two JSON files:

        recall.json         {"version": "rc2", "metric": "recall", "<pairid>": [50 names], …}
        recall_subset.json  {"version": "rc2", "metric": "recall_subset", "<pairid>": [3 names], …}

    The image names of a query are ordered from the best to the worst. Images with equal scores have
    the order of the split (or of the reference's set of six similar images).

    Args:
        model: The model.
        processor: The model's processor.
        root: Folder of CIRR's files.
        folder: Folder for the submission files.
        split: Name of the split.

    Returns:
        A dict with counts, the share of the benchmark that was available (`coverage`), and the
        paths of the files (`submission`). `blank_captions` is present only if captions are blank.
        `complete` is whether the files have the full number of names for every query, as the server
        requires. Queries whose reference image is missing are left out.
    """
    benchmark = cirr_benchmark(root, split, targets_withheld=True)
    encoded, coverage = encode_files(benchmark, cirr_images(root, split), model, processor)
    rankings = {"recall": best_of_split(encoded), "recall_subset": best_of_subset(encoded)}
    blank = blank_captions(encoded.benchmark.queries)
    files = []
    for metric, best in rankings.items():
        path = folder / f"{metric}.json"
        write_text(path, json.dumps({"version": SUBMISSION_VERSION, "metric": metric, **best}))
        files.append(str(path))
    return {
        "protocol": benchmark.protocol,
        "queries": len(encoded.benchmark.queries),
        "gallery": len(encoded.benchmark.gallery),
        "texts_cut": encoded.queries.texts_cut,
        **({"blank_captions": blank} if blank else {}),
        **coverage.to_dict(),
        "submission": files,
        "complete": all(
            len(encoded.benchmark.queries) == len(benchmark.queries)
            and len(names) == min(SUBMISSION_LENGTHS[metric], len(benchmark.gallery) - 1)
            for metric, best in rankings.items()
            for names in best.values()
        ),
    }


def best_of_split(encoded: EncodedBenchmark) -> dict[str, list[str]]:
    """Return the names of the 50 best-ranked images of the split for each query.

    The query's reference is left out.

    Returns:
        A dict from the query's pair id to the names, best first.
    """
    names = encoded.benchmark.gallery
    vectors, gallery = encoded.views["together"]
    length = SUBMISSION_LENGTHS["recall"]
    best = {}
    for vector, query in zip(vectors, cirr_queries(encoded), strict=True):
        first = [names[index] for index in _best_first(gallery @ vector)[: length + 1]]
        best[str(query.pair_id)] = [name for name in first if name != query.reference][:length]
    return best


def best_of_subset(encoded: EncodedBenchmark) -> dict[str, list[str]]:
    """Return the names of the 3 best-ranked images of the reference's set for each query.

    The set is CIRR's set of six similar images that contains the reference. The reference itself is
    left out.

    Returns:
        A dict from the query's pair id to the names, best first.
    """
    scored = zip(
        subset_scores(encoded, encoded.views["together"]), cirr_queries(encoded), strict=True
    )
    return {
        str(query.pair_id): [
            others[n] for n in _best_first(scores)[: SUBMISSION_LENGTHS["recall_subset"]]
        ]
        for (others, scores), query in scored
    }


def _best_first(scores: NDArray[np.floating]) -> NDArray[np.intp]:
    return np.argsort(-scores, kind="stable")


BENCHMARKS: Mapping[str, BenchmarkEntry] = {
    "fashion_iq": BenchmarkEntry(("val",), _read_fashion_iq, _report_fashion_iq),
    "shoes": BenchmarkEntry(("test",), _read_shoes, _report_shoes),
    "fashion200k": BenchmarkEntry(("test",), _read_fashion200k, _plain_report),
    "css3d": BenchmarkEntry(("test",), _read_css3d, _plain_report),
    "cirr": BenchmarkEntry(("val", "test1"), _read_cirr, lambda run: cirr_report(run.only)),
}
"""Name of a benchmark, as in the command-line option `--dataset` -> its entry."""

"""The benchmark CIRR: its report, and the files for its test server.

CIRR's images belong to sets of six similar images. The metrics are the recalls over all images of a
split (recall), and within the reference's set (recall_subset).

The targets of the split test1 are not published. CIRR's test server scores two JSON files:

    recall.json           {"version": "rc2", "metric": "recall", "<pairid>": [50 names], …}
    recall_subset.json    {"version": "rc2", "metric": "recall_subset", "<pairid>": [3 names], …}

The image names of a query are ordered from the best to the worst. Images with equal scores have the
order of the split (or of the set).
Source: https://github.com/Cuberick-Orion/CIRR/blob/main/Test-split_server.md
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dwc.datasets.cirr import CirrQuery, cirr_benchmark, cirr_images
from dwc.evaluation.metrics import first_hit_rank, recall_at
from dwc.evaluation.retrieval import BenchmarkResult, EncodedBenchmark, Vectors, encode_files
from dwc.files import write_text
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor

CIRR_KS = (1, 5, 10, 50)
SUBSET_KS = (1, 2, 3)
HEADLINE = "mean_of_recall@5_and_recall_subset@1"


def cirr_report(result: BenchmarkResult) -> dict[str, Any]:
    """Return CIRR's report: recalls over the split, and within each reference's subset.

    A subset is CIRR's group of six similar images to which a reference belongs.

    The reference itself is never ranked. Only the image `target_hard` of the annotations is a hit,
    as on the server and in papers. `target_soft` is not used: for 37 queries of the validation
    split, it names the reference instead of the target.

    Returns:
        The report as JSON-compatible values. The metric that papers report first is under the key
        that the constant `HEADLINE` names. `whole_subsets` is the share (0 to 1) of queries for
        which all five other images of the subset are available.
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
    """Return the queries of an encoded CIRR benchmark, with the type `CirrQuery`."""
    return [cast(CirrQuery, query) for query in encoded.benchmark.queries]


def subset_scores(
    encoded: EncodedBenchmark, view: tuple[Vectors, Vectors]
) -> list[tuple[list[str], NDArray[np.floating]]]:
    """Score, for each query, the other images in the reference's set of six similar images.

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
        A dict from "together" and the name of each stream to the ranks (N,) for the N queries; the
        best rank is 1.
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
    numbers[HEADLINE] = (numbers["recall@5"] + numbers["recall_subset@1"]) / 2


VERSION = "rc2"
RANKING_LENGTHS = {"recall": 50, "recall_subset": 3}


def write_submission(
    model: DWCModel, processor: DWCProcessor, root: Path, folder: Path, split: str = "test1"
) -> dict[str, Any]:
    """Rank the images for all queries of a split, and write both submission files.

    Args:
        model: The model.
        processor: The model's processor.
        root: Folder of CIRR's files.
        folder: Folder for the submission files.
        split: Name of the split.

    Returns:
        Counts, how much of the benchmark was available (`coverage`), and the paths of the files.
        `complete` says whether the files have all names for every query, as the server requires. A
        query is left out if its reference image is missing.
    """
    benchmark = cirr_benchmark(root, split, targets_withheld=True)
    encoded, coverage = encode_files(benchmark, cirr_images(root, split), model, processor)
    rankings = {"recall": best_of_split(encoded), "recall_subset": best_of_subset(encoded)}
    files = []
    for metric, best in rankings.items():
        path = folder / f"{metric}.json"
        write_text(path, json.dumps({"version": VERSION, "metric": metric, **best}))
        files.append(str(path))
    return {
        "protocol": benchmark.protocol,
        "queries": len(encoded.benchmark.queries),
        "gallery": len(encoded.benchmark.gallery),
        "texts_cut": encoded.queries.texts_cut,
        **coverage.to_dict(),
        "submission": files,
        "complete": all(
            len(encoded.benchmark.queries) == len(benchmark.queries)
            and len(names) == min(RANKING_LENGTHS[metric], len(benchmark.gallery) - 1)
            for metric, best in rankings.items()
            for names in best.values()
        ),
    }


def best_of_split(encoded: EncodedBenchmark) -> dict[str, list[str]]:
    """Return, for each query, the names of the 50 best images of the split, without the reference.

    Returns:
        A dict from the query's pair id to the names, best first.
    """
    names = encoded.benchmark.gallery
    vectors, gallery = encoded.views["together"]
    length = RANKING_LENGTHS["recall"]
    best = {}
    for vector, query in zip(vectors, cirr_queries(encoded), strict=True):
        first = [names[index] for index in _best_first(gallery @ vector)[: length + 1]]
        best[str(query.pair_id)] = [name for name in first if name != query.reference][:length]
    return best


def best_of_subset(encoded: EncodedBenchmark) -> dict[str, list[str]]:
    """Return, for each query, the names of the 3 best images in the reference's set.

    The set consists of six similar images; the reference itself is left out.

    Returns:
        A dict from the query's pair id to the names, best first.
    """
    scored = zip(
        subset_scores(encoded, encoded.views["together"]), cirr_queries(encoded), strict=True
    )
    return {
        str(query.pair_id): [
            others[n] for n in _best_first(scores)[: RANKING_LENGTHS["recall_subset"]]
        ]
        for (others, scores), query in scored
    }


def _best_first(scores: NDArray[np.floating]) -> NDArray[np.intp]:
    return np.argsort(-scores, kind="stable")

"""CIRR's report, over the split and within each set of six, and its server's submission files.

The server scores two JSON files, since the targets of test1 are withheld.

    recall.json           {"version": "rc2", "metric": "recall", "<pairid>": [50 names], …}
    recall_subset.json    {"version": "rc2", "metric": "recall_subset", "<pairid>": [3 names], …}

The names are best first; the one listed first in the split (or the set) wins a tie.
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
    """Recalls over the split, the reference left out, and among the five others of its set.

    The hit is `target_hard` alone, as the server and the papers have it. `target_soft`, which names
    the reference in place of the target for 37 queries of the validation split, is not read.

    Returns:
        For JSON; `HEADLINE` is what papers rank by, and `whole_subsets` the share of queries whose
        five others are all there.
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
    """The queries of CIRR's benchmark with their own type."""
    return [cast(CirrQuery, query) for query in encoded.benchmark.queries]


def subset_scores(
    encoded: EncodedBenchmark, view: tuple[Vectors, Vectors]
) -> list[tuple[list[str], NDArray[np.floating]]]:
    """For each query the names of its set that are there, and their scores, in the set's order.

    Args:
        view: one of `encoded.views`.
    """
    position = {name: index for index, name in enumerate(encoded.benchmark.gallery)}
    vectors, gallery = view
    scored = []
    for vector, query in zip(vectors, cirr_queries(encoded), strict=True):
        others = [name for name in query.others if name in position]
        scored.append((others, gallery[[position[name] for name in others]] @ vector))
    return scored


def subset_ranks(encoded: EncodedBenchmark) -> dict[str, NDArray[np.int64]]:
    """For "together" and each stream, the target's rank (N,) among the others of its set."""
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
    """Rank for every query of the split and write both files into `folder`.

    Returns:
        Counts, coverage and the files; `complete` is whether every query is in the files, as the
        server demands. A query whose reference is missing is not.
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
    """The 50 best names of the split by pair id, without the reference."""
    names = encoded.benchmark.gallery
    vectors, gallery = encoded.views["together"]
    length = RANKING_LENGTHS["recall"]
    best = {}
    for vector, query in zip(vectors, cirr_queries(encoded), strict=True):
        first = [names[index] for index in _best_first(gallery @ vector)[: length + 1]]
        best[str(query.pair_id)] = [name for name in first if name != query.reference][:length]
    return best


def best_of_subset(encoded: EncodedBenchmark) -> dict[str, list[str]]:
    """The 3 best names among the five others of the reference's set, by pair id."""
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

"""CIRR's numbers for a checkpoint: over the whole split, and among each set of six."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dwc.datasets.cirr import CirrQuery, benchmark, pictures_of
from dwc.evaluation.benchmarks import measure
from dwc.evaluation.metrics import first_hit_rank, recall_at
from dwc.evaluation.retrieval import Encoded, Vectors
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor

KS = (1, 5, 10, 50)
SUBSET_KS = (1, 2, 3)
HEADLINE = "mean_of_recall@5_and_recall_subset@1"


def evaluate_cirr(
    model: DWCModel,
    processor: DWCProcessor,
    root: Path,
    split: str = "val",
    queries: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Recalls over the split, the reference left out, and among the five others of its set.

    `HEADLINE` is what papers rank by. Missing pictures are counted, also those of the sets:
    `whole_subsets` is the share of queries whose five others are all there. `queries` and `seed` as
    in `dwc.evaluation.benchmarks.measure`. DatasetError for a split that withholds its targets.
    """
    whole = benchmark(root, split)
    measured = measure(whole, pictures_of(root, split), model, processor, queries, seed)
    numbers = measured.to_dict(KS)
    ranks = subset_ranks(measured.encoded)
    _add_subset(numbers, ranks["together"])
    for name, stream in numbers["streams"].items():
        _add_subset(stream, ranks[name])
    there = set(measured.encoded.benchmark.gallery)
    complete = [there.issuperset(query.others) for query in asked_of(measured.encoded)]
    return {**numbers, "whole_subsets": sum(complete) / len(complete)}


def asked_of(encoded: Encoded) -> list[CirrQuery]:
    """The queries of CIRR's benchmark, as what they are."""
    return [cast(CirrQuery, query) for query in encoded.benchmark.queries]


def subset_scores(
    encoded: Encoded, view: tuple[Vectors, Vectors]
) -> list[tuple[list[str], NDArray[np.floating]]]:
    """For each query, the others of its set that are there, and their scores, in the set's order.

    `view` is one of `encoded.views`.
    """
    position = {name: place for place, name in enumerate(encoded.benchmark.gallery)}
    vectors, gallery = view
    scored = []
    for vector, query in zip(vectors, asked_of(encoded), strict=True):
        others = [name for name in query.others if name in position]
        scored.append((others, gallery[[position[name] for name in others]] @ vector))
    return scored


def subset_ranks(encoded: Encoded) -> dict[str, NDArray[np.int64]]:
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

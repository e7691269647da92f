"""Shoes' numbers for a checkpoint: its pairs asked twice, as the literature does, and once."""

from pathlib import Path
from typing import Any

import numpy as np

from dwc.datasets.shoes import ShoePictures, benchmark
from dwc.evaluation.benchmarks import KS, measure
from dwc.evaluation.metrics import recalls
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor


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
    `dwc.evaluation.benchmarks.measure`.
    """
    whole = benchmark(root, split)
    measured = measure(whole, ShoePictures(root), model, processor, queries, seed)
    asked = measured.report.benchmark.queries
    rank_of = dict(zip(asked, measured.report.ranks["together"], strict=True))
    pairs = benchmark(root, split, "once").queries
    ranks = np.array([rank_of[pair] for pair in pairs if pair in rank_of])
    return {
        **measured.to_dict(),
        "each_pair_once": {"queries": len(ranks), **recalls(ranks, KS)},
    }

"""FashionIQ's numbers for a checkpoint: per category, their average, and the mean of averages."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dwc.datasets.fashion_iq import CATEGORIES, Pictures, benchmark
from dwc.errors import DatasetError
from dwc.evaluation.benchmarks import KS, measure
from dwc.evaluation.missing import Coverage
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor

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
        whole = benchmark(root, category, protocol)
        try:
            measured = measure(whole, Pictures(root, category), model, processor, queries, seed)
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

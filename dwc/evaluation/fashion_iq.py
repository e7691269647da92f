"""FashionIQ's numbers for a checkpoint: per category, their average, and the mean of averages."""

from pathlib import Path
from typing import Any

from PIL import Image

from dwc.datasets.fashion_iq import CATEGORIES, Pictures, benchmark
from dwc.errors import DatasetError
from dwc.evaluation.retrieval import run_benchmark
from dwc.gallery.decoding import decode
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor

KS = (1, 10, 50)


def evaluate_fashion_iq(
    model: DWCModel, processor: DWCProcessor, root: Path, protocol: str = "P3"
) -> dict[str, Any]:
    """Run a protocol (P1 to P4) on all categories of the validation split.

    Missing pictures shrink gallery and queries, and are counted: `comparable` is False then.
    """
    reports = {}
    for category in CATEGORIES:
        pictures = Pictures(root, category)
        asked = benchmark(root, category, protocol, pictures=pictures)
        if not asked.queries:
            raise DatasetError(
                f"no query of {asked.protocol} has both its pictures under {root}; put FashionIQ's "
                "pictures in images/, all_imgs/ or resized_image/<category>/"
            )

        def open_picture(name: str, pictures: Pictures = pictures) -> Image.Image:
            path = pictures.find(name)
            if path is None:
                raise DatasetError(f"the picture {name} has gone since the run began")
            return decode(path)

        reports[category] = run_benchmark(asked, model, processor, open_picture).to_dict(KS)
    means = {f"recall@{k}": _mean(reports, f"recall@{k}") for k in KS}
    streams = {
        name: {
            f"recall@{k}": sum(r["streams"][name][f"recall@{k}"] for r in reports.values())
            / len(reports)
            for k in KS
        }
        for name in next(iter(reports.values()))["streams"]
    }
    return {
        "protocol": f"fashion_iq-{protocol}",
        "queries": sum(report["queries"] for report in reports.values()),
        "gallery": sum(report["gallery"] for report in reports.values()),
        "missing": sum(report["missing"] for report in reports.values()),
        "comparable": all(report["missing"] == 0 for report in reports.values()),
        **means,
        "mean_of_averages": (means["recall@10"] + means["recall@50"]) / 2,
        "streams": streams,
        "categories": reports,
    }


def _mean(reports: dict[str, dict[str, Any]], name: str) -> float:
    return sum(report[name] for report in reports.values()) / len(reports)

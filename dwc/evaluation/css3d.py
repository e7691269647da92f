"""CSS3D's numbers for a checkpoint; the usual one is recall@1."""

from pathlib import Path
from typing import Any

from dwc.datasets.css3d import benchmark, pictures_of
from dwc.evaluation.benchmarks import measure
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor


def evaluate_css3d(
    model: DWCModel,
    processor: DWCProcessor,
    root: Path,
    split: str = "test",
    queries: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Recalls over all scenes of the split, the reference left out; the target's label hits.

    Missing pictures are counted. `queries` and `seed` as in `dwc.evaluation.benchmarks.measure`.
    """
    whole = benchmark(root, split)
    files = pictures_of(root, whole.gallery)
    return measure(whole, files, model, processor, queries, seed).to_dict()

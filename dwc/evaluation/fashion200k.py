"""Fashion200k's numbers for a checkpoint, asked as it should be or with the answer in the words."""

from pathlib import Path
from typing import Any

from dwc.datasets.fashion200k import benchmark, pictures_of
from dwc.evaluation.benchmarks import measure
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor


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
    Missing pictures are counted. `queries` and `seed` as in `dwc.evaluation.benchmarks.measure`.
    """
    whole = benchmark(root, "test", states_answer)
    files = pictures_of(root, whole.gallery)
    return measure(whole, files, model, processor, queries, seed).to_dict()

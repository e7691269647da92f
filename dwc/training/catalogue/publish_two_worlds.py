"""From a checkpoint of drawings and a wardrobe to a checkpoint of both worlds, measured."""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dwc.checkpoints import load
from dwc.checkpoints.model_card import write_two_world_card
from dwc.checkpoints.save import save_checkpoint
from dwc.evaluation.catalogue import evaluate_catalogue
from dwc.evaluation.wardrobe import evaluate_wardrobe
from dwc.files import write_json
from dwc.training.catalogue.two_worlds import STAGES, TwoWorldRecipe, train_two_worlds
from dwc.training.run_dir import merge_logs, recipe_record

logger = logging.getLogger(__name__)

_EVAL_SPLIT = "eval"


def publish_two_worlds(
    start: str,
    wardrobe: Path,
    recipe: TwoWorldRecipe,
    work: Path,
    out: Path,
    measured: tuple[int, int] = (2_000, 2_000),
) -> dict[str, Any]:
    """Train, then write into `out` the checkpoint, its numbers, its log and its card.

    Args:
        start: the checkpoint of drawings, by folder or name.
        wardrobe: the wardrobe's folder.
        work: states, cached rows and logs.
        out: the checkpoint's folder.
        measured: garments of the gallery and queries that drawings are measured on.

    Returns:
        The numbers, which are those of the files written, read back; `before` has those of `start`.
    """
    began = time.perf_counter()
    before = load.load(start)
    model, processor = train_two_worlds(before.model, before.processor, wardrobe, recipe, work)
    save_checkpoint(model, processor, out, dtype=torch.float16)
    minutes = (time.perf_counter() - began) / 60
    loaded = load.load(str(out))
    logger.info("written to %s, fingerprint %s; measuring", out, loaded.fingerprint)
    numbers = {
        "fingerprint": loaded.fingerprint,
        "recipe": recipe_record(recipe),
        "training_minutes": round(minutes, 1),
        **measure_both_worlds(loaded, wardrobe, measured),
        "before": {
            "fingerprint": before.fingerprint,
            **measure_both_worlds(before, wardrobe, measured),
        },
        "combiners": _combiners_of(before.folder),
    }
    write_results(out, numbers, work)
    return numbers


def measure_both_worlds(
    checkpoint: load.Checkpoint, wardrobe: Path, measured: tuple[int, int]
) -> dict[str, Any]:
    """A checkpoint's numbers on the test drawings and on the wardrobe's `eval`."""
    gallery_size, queries = measured
    model, processor = checkpoint.model, checkpoint.processor
    return {
        "catalogue": evaluate_catalogue(
            model, processor, gallery_size=gallery_size, queries=queries
        ),
        "wardrobe": evaluate_wardrobe(model, processor, wardrobe, _EVAL_SPLIT),
    }


def write_results(out: Path, numbers: Mapping[str, Any], work: Path) -> None:
    """Write `evaluation.json`, the log and the card."""
    write_json(out / "evaluation.json", numbers)
    merge_logs(work, STAGES, out)
    write_two_world_card(out, numbers)


def _combiners_of(folder: Path | None) -> dict[str, Any]:
    """The comparison of combiners that a checkpoint of drawings was published with, if it was."""
    if folder is None or not (folder / "evaluation.json").is_file():
        return {}
    return json.loads((folder / "evaluation.json").read_text()).get("combiners", {})

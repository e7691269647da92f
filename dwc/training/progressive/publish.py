"""PL on drawn garments, from a recipe to a checkpoint: trained, saved, measured, with its card."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from dwc import checkpoint
from dwc.catalogue.queries import benchmark, queries
from dwc.catalogue.splits import Split, gallery
from dwc.checkpoint import Checkpoint
from dwc.evaluation.catalogue import evaluate_catalogue
from dwc.evaluation.pictures import CataloguePictures
from dwc.training.progressive.ablation import Asked, ask_benchmark, weight_ablation
from dwc.training.progressive.card import write_card
from dwc.training.progressive.catalogue import train_progressive
from dwc.training.progressive.recipe import ProgressiveRecipe, Stage, Start

logger = logging.getLogger(__name__)


def publish_progressive(
    recipe: ProgressiveRecipe,
    work: Path,
    out: Path,
    start: Start | None = None,
    until: Stage = "hybrid",
    drawings: Path | None = None,
) -> dict[str, Any]:
    """Train up to a stage, then write into `out` the checkpoint, its numbers, log and card.

    The numbers are those of the files written, read back; the best fixed weight is chosen on the
    catalogue's validation split. See `train_progressive` for `start`, `until` and `drawings`. Of
    several processes the first one writes and measures; the others return no numbers.
    """
    trained = train_progressive(recipe, work, start, until, drawings)
    if not PartialState().is_main_process:
        return {}
    checkpoint.save(trained.model, trained.processor, out, dtype=torch.float16)
    loaded = checkpoint.load(str(out))
    logger.info("written to %s, fingerprint %s; measuring", out, loaded.fingerprint)
    stages = [s for s in recipe.stages_until(until) if start is None or s != "open_domain"]
    numbers: dict[str, Any] = {
        "fingerprint": loaded.fingerprint,
        "reconstruction": True,
        "start": None if start is None else start.name,
        "stages": stages,
        "recipe": json.loads(json.dumps(asdict(recipe))),
        "catalogue": evaluate_catalogue(
            loaded.model,
            loaded.processor,
            gallery_size=recipe.measured_gallery,
            queries=recipe.measured_queries,
        ),
        "weights": weight_ablation(
            _ask(loaded, recipe, "test"), chosen_on=_ask(loaded, recipe, "val")
        ),
    }
    (out / "evaluation.json").write_text(json.dumps(numbers, indent=2) + "\n")
    with (out / "training.jsonl").open("w") as kept:
        for stage in stages:
            for line in (work / f"{stage}.jsonl").read_text().splitlines():
                kept.write(json.dumps({"stage": stage, **json.loads(line)}) + "\n")
    write_card(out, numbers)
    return numbers


def _ask(loaded: Checkpoint, recipe: ProgressiveRecipe, split: Split) -> Asked:
    """The catalogue's queries of a split, as `evaluate_catalogue` asks them."""
    items = gallery(split, recipe.measured_gallery)
    asked = queries(items, recipe.measured_queries, 0)
    return ask_benchmark(
        loaded.model,
        loaded.processor,
        benchmark(items, asked, f"catalogue-{split}"),
        CataloguePictures(items),
    )

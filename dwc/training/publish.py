"""From a recipe to a checkpoint that can be published: trained, saved, measured, with its card."""

import json
import logging
import platform
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from dwc import checkpoint
from dwc.catalogue.splits import gallery
from dwc.evaluation.catalogue import evaluate_catalogue
from dwc.evaluation.photographs import read_labelled_photographs, words_to_photographs
from dwc.evaluation.pictures import CataloguePictures
from dwc.training.card import write_card, write_measured
from dwc.training.catalogue import TrainedCatalogue, train_catalogue
from dwc.training.comparison import Contest, compare_combiners
from dwc.training.features import bank_of
from dwc.training.questions import keep_questions
from dwc.training.recipe import CatalogueRecipe

logger = logging.getLogger(__name__)

_README = checkpoint.BUNDLED_FOLDER.parents[2] / "README.md"
_WHOLE = ("drawing", "keeping")
_STAGES = ("drawing", "contrastive", "attributes", "keeping", "reading", "alternating")


def publish_catalogue(
    recipe: CatalogueRecipe, work: Path, out: Path, photographs: Path | None = None
) -> dict[str, Any]:
    """Train the recipe, then write into `out` the checkpoint, its numbers, its log and its card.

    The numbers are those of the files written, read back. `photographs` is a folder with
    `labels.csv`; without it the card says that photographs were not measured.
    """
    trained = train_catalogue(recipe, work)
    checkpoint.save(trained.model, trained.processor, out, dtype=torch.float16)
    loaded = checkpoint.load(str(out))
    logger.info("written to %s, fingerprint %s; measuring", out, loaded.fingerprint)

    drawn = CataloguePictures(gallery("test", recipe.measured_gallery))
    minutes = {stage: seconds / 60 for stage, seconds in logged_seconds(work).items()}
    began = time.perf_counter()
    combiners = _compare(recipe, trained, drawn)
    minutes["comparing"] = (time.perf_counter() - began) / 60
    numbers: dict[str, Any] = {
        "fingerprint": loaded.fingerprint,
        "recipe": json.loads(json.dumps(asdict(recipe), default=str)),
        "training_minutes": {stage: round(spent, 1) for stage, spent in minutes.items()},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "catalogue": evaluate_catalogue(
            loaded.model,
            loaded.processor,
            gallery_size=recipe.measured_gallery,
            queries=recipe.measured_queries,
            pictures=drawn,
        ),
        "combiners": combiners,
    }
    if photographs is not None:
        numbers["photographs"] = words_to_photographs(
            loaded.model, loaded.processor, read_labelled_photographs(photographs)
        )
    (out / "evaluation.json").write_text(json.dumps(numbers, indent=2) + "\n")
    _keep_log(work, out)
    write_card(out, numbers, loaded.model.config)
    if out.resolve() == checkpoint.BUNDLED_FOLDER:
        write_measured(_README, numbers)
    return numbers


def _compare(
    recipe: CatalogueRecipe, trained: TrainedCatalogue, test_pictures: CataloguePictures
) -> dict[str, Any]:
    model, processor = trained.model, trained.processor
    size = (recipe.measured_gallery, recipe.measured_queries)
    contest = Contest(
        bank=bank_of(trained.kept),
        settings=replace(recipe.alternating, total_steps=recipe.comparison_steps),
        learning_rates=recipe.comparison_rates,
        batch_size=recipe.alternating_batch,
        mixed_precision=recipe.mixed_precision,
        seed=recipe.seed,
        val=keep_questions(model, processor, "val", *size),
        test=keep_questions(model, processor, "test", *size, test_pictures),
    )
    return compare_combiners(model.config, contest)


def logged_seconds(work: Path) -> dict[str, float]:
    """How long each stage ran by its log, every resumption counted.

    Drawing and keeping log one line each time they are done; the other stages' clocks start anew
    with each resumption, so that a clock that goes back ends one run and begins the next.
    """
    seconds = {}
    for stage in _STAGES:
        lines = (work / f"{stage}.jsonl").read_text().splitlines()
        clock = [json.loads(line)["seconds"] for line in lines]
        ends = [
            now
            for now, then in zip(clock, [*clock[1:], 0.0], strict=True)
            if stage in _WHOLE or then < now
        ]
        seconds[stage] = sum(ends)
    return seconds


def _keep_log(work: Path, out: Path) -> None:
    """One log of all stages beside the checkpoint: JSON lines, the stage in each."""
    with (out / "training.jsonl").open("w") as kept:
        for stage in _STAGES:
            for line in (work / f"{stage}.jsonl").read_text().splitlines():
                kept.write(json.dumps({"stage": stage, **json.loads(line)}) + "\n")

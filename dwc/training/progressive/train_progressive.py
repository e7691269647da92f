"""PL on drawn garments, stage after stage; each keeps its state, and a killed run goes on.

draw_pool -> (tokenizers -> open_domain) or a CLIP from elsewhere -> fashion -> hybrid -> a model

PL on drawn garments, from a recipe to a checkpoint: trained, saved, measured, with its card.
"""

import copy
import hashlib
import json
import logging
import os
import random
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState

from dwc.catalogue.queries import benchmark, queries
from dwc.catalogue.splits import Split, gallery, training_triplets
from dwc.checkpoints import load
from dwc.checkpoints.load import Checkpoint
from dwc.checkpoints.save import save_checkpoint
from dwc.checkpoints.validate import prepared_image_size
from dwc.errors import CheckpointError, TrainingError
from dwc.evaluation.catalogue import CatalogueImages, evaluate_catalogue
from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.clip_stream import ClipStream
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor
from dwc.training.catalogue.drawn_pool import draw_pool
from dwc.training.catalogue.recipe import MEAN, PICTURE_PX, STD, CatalogueRecipe
from dwc.training.catalogue.train_catalogue import fit_ood, make_processor
from dwc.training.data_loading import shard_and_prefetch
from dwc.training.loop import LoopSettings
from dwc.training.progressive.ablation import AblationQueries, encode_queries, weight_ablation
from dwc.training.progressive.batches import ProgressiveBatches
from dwc.training.progressive.model_card import write_card
from dwc.training.progressive.recipe import (
    FIXED_COMBINER,
    ProgressiveRecipe,
    Stage,
    Start,
    progressive_config,
    small_clip,
)
from dwc.training.progressive.stages import train_fashion, train_hybrid, train_open_domain
from dwc.training.progressive.tower_cache import CachedTowers, cache_name, cache_tower_inputs

logger = logging.getLogger(__name__)

_TEMPLATE = {"single": "{0}", "pair": "{0} and {1}"}
_DESCRIPTION = "progressive.json"


@dataclass(frozen=True)
class TrainedProgressive:
    """What the training leaves: the model in eval mode, and its processor."""

    model: DWCModel
    processor: DWCProcessor


def train_progressive(
    recipe: ProgressiveRecipe,
    work: Path,
    start: Start | None = None,
    until: Stage = "hybrid",
    drawings: Path | None = None,
) -> TrainedProgressive:
    """Run the recipe's stages up to `until`; states and logs go to the folder `work`.

    So do drawings, unless another folder is given, which may hold them already. A stage that is
    finished in `work` is loaded and not run again, so that the stages may be run one at a time.
    With `start`, stage one is that CLIP's and is left out; `start` is not changed. Without stage
    three there is no learned weight, and every query is half and half.

    Raises TrainingError where `work` holds the stages of another recipe or start, and where
    pictures are to be kept without a CLIP that reads them already.
    """
    if recipe.kept_views and start is None:
        raise TrainingError(
            f"kept_views is {recipe.kept_views}, which needs a CLIP that reads pictures already; "
            "give one to start from, or 0."
        )
    torch.manual_seed(recipe.seed)
    processes = PartialState()
    drawings = drawings or work
    with processes.main_process_first():  # one draws, the others read what it drew
        _claim(work, recipe, start)
        pool = draw_pool(recipe.pool, drawings, workers=os.cpu_count() or 1)
    if start is None:
        processor = make_processor(pool.items, recipe.seed, recipe.texts_read)
        clip = ClipBackbone(small_clip(processor))
    else:
        processor, clip = start.processor, copy.deepcopy(start.clip).requires_grad_(True)
    stages = recipe.stages_until(until)
    combiner = recipe.combiner if "hybrid" in stages else FIXED_COMBINER
    pictures = processor.image_processor
    mean, std = tuple(pictures.image_mean), tuple(pictures.image_std)
    size_px = _square(processor)
    config = progressive_config(
        clip.config,
        combiner,
        recipe.dropout,
        _TEMPLATE,
        familiarity=(size_px, mean, std) == (PICTURE_PX, MEAN, STD),
    )
    stream = ClipStream(
        clip.config.projection_dim, config.clip_embedding_dim, config.combiner, config.dropout
    )
    triplets = list(training_triplets(pool.items, recipe.seed, recipe.triplets))
    batches = ProgressiveBatches(
        pool,
        processor,
        recipe.seed,
        config.caption_template,
        size_px=size_px,
        mean=mean,
        std=std,
    )
    towers: ClipBackbone | CachedTowers = clip
    if recipe.kept_views and start is not None:
        name = cache_name(_fingerprint(start), batches, recipe.kept_views, recipe.pool)
        precision = recipe.mixed_precision
        with processes.main_process_first():
            kept = cache_tower_inputs(clip, pool, batches, recipe.kept_views, work, name, precision)
        batches, towers = replace(batches, kept=kept), CachedTowers(clip)

    def run(stage: Stage) -> None:
        # Of its own, so that the stages one at a time draw what they draw in one go.
        torch.manual_seed(random.Random(f"{recipe.seed}/{stage}").getrandbits(63))
        accelerator = Accelerator(mixed_precision=recipe.mixed_precision)
        if stage == "open_domain":
            steps = recipe.open_domain.total_steps
            pairs = shard_and_prefetch(
                batches.open_domain(recipe.open_domain_batch), steps, accelerator
            )
            loop = LoopSettings(steps, work)
            train_open_domain(clip, pairs, recipe.open_domain, accelerator, loop)
        elif stage == "fashion":
            steps = recipe.fashion.total_steps
            products = shard_and_prefetch(batches.fashion(recipe.fashion_batch), steps, accelerator)
            loop = LoopSettings(steps, work)
            train_fashion(towers, products, recipe.fashion, accelerator, loop)
        else:
            steps = recipe.hybrid.total_steps
            made = batches.triplets(
                triplets, recipe.hybrid_batch, recipe.words_only_share, recipe.picture_only_share
            )
            asked = shard_and_prefetch(made, steps, accelerator)
            loop = LoopSettings(steps, work)
            train_hybrid(towers, stream, asked, recipe.hybrid, accelerator, loop)

    for stage in stages:
        if start is None or stage != "open_domain":
            run(stage)

    model = DWCModel(config)
    assert model.clip is not None  # so says progressive_config
    assert model.clip_stream is not None
    model.clip.load_state_dict(clip.state_dict())
    model.clip_stream.load_state_dict(stream.state_dict())
    model.to("cpu").eval()
    if config.familiarity:
        drawn = CatalogueRecipe(
            seed=recipe.seed, pool=recipe.pool, familiar_items=recipe.familiar_items
        )
        with processes.main_process_first():
            fit_ood(model, pool, drawn, drawings)
    return TrainedProgressive(model, processor)


def _square(processor: DWCProcessor) -> int:
    """The side in pixels of the pictures that a processor makes; CheckpointError unless square."""
    size = prepared_image_size(processor)
    if size is None or size[0] != size[1]:
        raise CheckpointError(
            f"the processor makes pictures of {size} pixels; this training needs square ones of "
            "one size. Start from another CLIP."
        )
    return size[0]


def _claim(work: Path, recipe: ProgressiveRecipe, start: Start | None) -> None:
    """Write down whose stages a work folder holds, or raise TrainingError if they are another's.

    How the finished model is measured may differ.
    """
    described = json.loads(json.dumps(asdict(recipe)))
    described = {k: v for k, v in described.items() if not k.startswith("measured_")}
    described["start"] = None if start is None else _fingerprint(start)
    file = work / _DESCRIPTION
    if not file.exists():
        work.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(described, indent=2) + "\n")
        return
    found = json.loads(file.read_text())
    differing = sorted(key for key in described if found.get(key) != described[key])
    if differing:
        raise TrainingError(
            f"{work} holds the stages of another training, which differs in "
            f"{', '.join(differing)}. Give another folder, or the same recipe and start."
        )


def _fingerprint(start: Start) -> str:
    """The start's name and a hash of its weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(start.clip.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return f"{start.name} {digest.hexdigest()[:12]}"


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
    save_checkpoint(trained.model, trained.processor, out, dtype=torch.float16)
    loaded = load.load(str(out))
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


def _ask(loaded: Checkpoint, recipe: ProgressiveRecipe, split: Split) -> AblationQueries:
    """The catalogue's queries of a split, as `evaluate_catalogue` asks them."""
    items = gallery(split, recipe.measured_gallery)
    asked = queries(items, recipe.measured_queries, 0)
    return encode_queries(
        loaded.model,
        loaded.processor,
        benchmark(items, asked, f"catalogue-{split}"),
        CatalogueImages(items),
    )

"""The bundled checkpoint, from nothing: draw, learn the words, train CLIP, the ResNet and DWC.

    draw_pool -> tokenizers -> contrastive (CLIP) -> attributes (ResNet)
              -> the drawings' features, kept -> reading (CLIP's text tower) -> the texts', kept
              -> alternating (DWC, on what is kept) -> familiarity -> a whole checkpoint

Both image towers can name a garment's attributes before DWC's own training begins. So they are
frozen there, the CNN stream's ResNet like CLIP, where the authors train it on: at this size a step
on pixels costs three times as much, and 1,500 of them taught the ResNet its training drawings by
heart. Each stage keeps its state in the work folder; a run that was killed goes on where it was.

From a recipe to a checkpoint that can be published: trained, saved, measured, with its card.
"""

import json
import logging
import os
import platform
import random
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc.catalogue.language.description import describe, describe_fully
from dwc.catalogue.splits import CatalogueItem, gallery, training_triplets
from dwc.checkpoints import load
from dwc.checkpoints.save import save_checkpoint
from dwc.evaluation.catalogue import CatalogueImages, evaluate_catalogue
from dwc.evaluation.photographs import evaluate_photographs, read_labeled_photographs
from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor, build_word_tokenizer
from dwc.training.catalogue.augmentation import random_views
from dwc.training.catalogue.batches import (
    CatalogueBatches,
    cached_triplet_batches,
    text_tuning_batches,
)
from dwc.training.catalogue.combiner_comparison import (
    CombinerComparison,
    compare_combiners,
    feature_bank,
)
from dwc.training.catalogue.drawn_pool import DrawnPool, PoolSettings, draw_pool
from dwc.training.catalogue.eval_set import cache_eval_set
from dwc.training.catalogue.model_card import write_card, write_measured
from dwc.training.catalogue.pretraining import train_attributes, train_contrastive
from dwc.training.catalogue.recipe import (
    CLIP_VOCABULARY,
    MAX_CLIP_TOKENS,
    MEAN,
    PICTURE_PX,
    STD,
    CatalogueRecipe,
    catalogue_config,
)
from dwc.training.catalogue.text_tuning import tune_text_tower
from dwc.training.catalogue.tokenizer import train_clip_tokenizer
from dwc.training.data_loading import shard_and_prefetch
from dwc.training.dwc.mutual_training import train_mutually
from dwc.training.feature_cache import (
    CachedPool,
    cache_image_features,
    cache_text_features,
    with_cached_features,
)
from dwc.training.loop import LoopSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedCatalogue:
    """What the training leaves: the model in eval mode, its processor, and what it learned from."""

    model: DWCModel
    processor: DWCProcessor
    kept: CachedPool


def train_catalogue(recipe: CatalogueRecipe, work: Path) -> TrainedCatalogue:
    """Run every stage of the recipe; states, logs and drawings go to the folder `work`."""
    torch.manual_seed(recipe.seed)
    pool = draw_pool(recipe.pool, work, workers=os.cpu_count() or 1)
    processor = make_processor(pool.items, recipe.seed, recipe.texts_read)
    config = catalogue_config(
        len(processor.word_tokenizer), len(processor.clip_tokenizer), _end_of_text(processor)
    )
    triplets = list(training_triplets(pool.items, recipe.seed, recipe.triplets))
    batches = CatalogueBatches(pool, processor, recipe.seed, config.caption_template)
    model = DWCModel(config)
    assert model.clip is not None  # so says catalogue_config
    assert model.cnn_stream is not None

    clip = ClipBackbone(config.clip_config)
    accelerator = _accelerator(recipe)
    pairs = batches.pairs(recipe.contrastive_batch, triplets, recipe.wish_share)
    train_contrastive(
        clip,
        shard_and_prefetch(pairs, recipe.contrastive.total_steps, accelerator),
        recipe.contrastive,
        accelerator,
        LoopSettings(recipe.contrastive.total_steps, work),
    )
    model.clip.load_state_dict(clip.state_dict())

    accelerator = _accelerator(recipe)
    train_attributes(
        model.cnn_stream.resnet,
        config.cnn_config.feature_dim,
        shard_and_prefetch(
            batches.labelled(recipe.attributes_batch), recipe.attributes.total_steps, accelerator
        ),
        recipe.attributes,
        accelerator,
        LoopSettings(recipe.attributes.total_steps, work),
    )

    model.to(accelerator.device)
    pictures = cache_image_features(model, pool, recipe.kept_views, recipe.seed, work)
    accelerator = _accelerator(recipe)
    tune_text_tower(
        clip,
        text_tuning_batches(
            pictures,
            pool,
            triplets,
            processor,
            config.caption_template,
            recipe.reading_batch,
            recipe.described_share,
            recipe.seed,
        ),
        recipe.reading,
        accelerator,
        LoopSettings(recipe.reading.total_steps, work),
    )
    model.clip.load_state_dict(clip.state_dict())

    kept = cache_text_features(model, processor, pictures, pool, triplets, recipe.seed, work)
    train_on_cached(model, kept, recipe, work)
    model.to("cpu").eval()
    fit_ood(model, pool, recipe, work)
    return TrainedCatalogue(model, processor, kept)


def train_on_cached(model: DWCModel, kept: CachedPool, recipe: CatalogueRecipe, work: Path) -> None:
    """DWC's alternating training, in place, on what its frozen towers made of the pool."""
    accelerator = _accelerator(recipe)
    made = cached_triplet_batches(
        kept,
        recipe.alternating_batch,
        recipe.words_only_share,
        recipe.picture_only_share,
        recipe.seed,
    )
    with with_cached_features(model, kept):
        train_mutually(
            model,
            shard_and_prefetch(made, recipe.alternating.total_steps, accelerator),
            recipe.alternating,
            accelerator,
            LoopSettings(recipe.alternating.total_steps, work),
        )


def make_processor(items: list[CatalogueItem], seed: int, texts_read: int) -> DWCProcessor:
    """Preprocessing for drawings, and both vocabularies learned from the catalogue's language.

    `texts_read` descriptions and wishes are drawn over the pool's `items`, half of each.
    """
    rng = random.Random(f"{seed}/texts")
    texts: list[str] = []
    for _, target, wish in training_triplets(items, seed, texts_read // 2):
        texts += wish.captions
        garment = items[target].garment
        texts.append(describe(garment, rng) if rng.random() < 0.8 else describe_fully(garment, rng))
    return DWCProcessor(
        CLIPImageProcessorPil(
            size={"height": PICTURE_PX, "width": PICTURE_PX},
            do_center_crop=False,
            image_mean=list(MEAN),
            image_std=list(STD),
        ),
        train_clip_tokenizer(texts, CLIP_VOCABULARY, MAX_CLIP_TOKENS),
        build_word_tokenizer(texts),
    )


@torch.inference_mode()
def fit_ood(model: DWCModel, pool: DrawnPool, recipe: CatalogueRecipe, work: Path) -> None:
    """Fit the familiarity statistics: on pool pictures, the threshold on held-out drawings.

    The held-out drawings are in the gallery's style, since the question is whether a picture is
    like those that a person browses; the training pictures vary far more.
    """
    assert model.clip is not None  # so says catalogue_config
    assert model.familiarity is not None
    held_out = replace(recipe.pool, items=recipe.familiar_items, styles=("gallery",), split="val")
    seen = PoolSettings(**{**vars(held_out), "split": "train"})
    generator = torch.Generator().manual_seed(recipe.seed)
    features = []
    for settings in (seen, held_out):
        drawn = draw_pool(settings, work, workers=os.cpu_count() or 1)
        pixels = [
            random_views(pictures, PICTURE_PX, generator, MEAN, STD)
            for pictures in drawn.pictures[0].split(256)
        ]
        features.append(torch.cat([model.clip.image_features(batch) for batch in pixels]))
    model.familiarity.fit(features[0], features[1])


def _end_of_text(processor: DWCProcessor) -> int:
    return int(processor.clip_tokenizer.eos_token_id)


def _accelerator(recipe: CatalogueRecipe) -> Accelerator:
    return Accelerator(mixed_precision=recipe.mixed_precision)


_README = load.BUNDLED_FOLDER.parents[2] / "README.md"
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
    save_checkpoint(trained.model, trained.processor, out, dtype=torch.float16)
    loaded = load.load(str(out))
    logger.info("written to %s, fingerprint %s; measuring", out, loaded.fingerprint)

    drawn = CatalogueImages(gallery("test", recipe.measured_gallery))
    minutes = {stage: seconds / 60 for stage, seconds in stage_seconds(work).items()}
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
        numbers["photographs"] = evaluate_photographs(
            loaded.model, loaded.processor, read_labeled_photographs(photographs)
        )
    (out / "evaluation.json").write_text(json.dumps(numbers, indent=2) + "\n")
    _keep_log(work, out)
    write_card(out, numbers, loaded.model.config)
    if out.resolve() == load.BUNDLED_FOLDER:
        write_measured(_README, numbers)
    return numbers


def _compare(
    recipe: CatalogueRecipe, trained: TrainedCatalogue, test_pictures: CatalogueImages
) -> dict[str, Any]:
    model, processor = trained.model, trained.processor
    size = (recipe.measured_gallery, recipe.measured_queries)
    contest = CombinerComparison(
        bank=feature_bank(trained.kept),
        settings=replace(recipe.alternating, total_steps=recipe.comparison_steps),
        learning_rates=recipe.comparison_rates,
        batch_size=recipe.alternating_batch,
        mixed_precision=recipe.mixed_precision,
        seed=recipe.seed,
        val=cache_eval_set(model, processor, "val", *size),
        test=cache_eval_set(model, processor, "test", *size, test_pictures),
    )
    return compare_combiners(model.config, contest)


def stage_seconds(work: Path) -> dict[str, float]:
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

"""Training of the drawings checkpoint from scratch: drawings, vocabularies, CLIP, ResNet, DWC.

    draw_pool -> make_processor -> train_contrastive (CLIP) -> train_attributes (ResNet)
              -> cache_image_features -> tune_text_tower (CLIP's) -> cache_text_features
              -> train_mutually (DWC, on cached features) -> fit_ood -> a complete checkpoint

DWC's own training is the last training stage. In this stage, CLIP's image encoder and the CNN
stream's ResNet are frozen, because they can already classify a garment's attributes. The authors
train the ResNet further. On drawings, a step that also trains the ResNet takes three times as long,
and after 1,500 such steps the ResNet had memorized its training drawings.

Each stage saves its state in the work folder, so an interrupted run can resume.
"""

import logging
import os
import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from dwc.catalogue.schema import CATEGORIES, count_garments
from dwc.catalogue.splits import gallery, training_triplets
from dwc.checkpoints.load import EVALUATION
from dwc.checkpoints.model_card import write_catalogue_card
from dwc.checkpoints.save import save_and_load
from dwc.evaluation.catalogue import CatalogueImages, evaluate_catalogue
from dwc.evaluation.photographs import evaluate_photographs, read_labeled_photographs
from dwc.files import write_json
from dwc.modeling.clip_stream import ClipBackbone
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.ood import MahalanobisOOD
from dwc.modeling.processing_dwc import DWCProcessor
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
from dwc.training.catalogue.pretraining import train_attributes, train_contrastive
from dwc.training.catalogue.recipe import (
    MEAN,
    PICTURE_PX,
    STD,
    CatalogueRecipe,
    catalogue_config,
    make_processor,
)
from dwc.training.catalogue.text_tuning import tune_text_tower
from dwc.training.data_loading import shard_and_prefetch
from dwc.training.dwc.mutual_training import train_mutually
from dwc.training.feature_cache import (
    CachedPool,
    cache_image_features,
    cache_text_features,
    with_cached_features,
)
from dwc.training.loop import LoopSettings, new_accelerator
from dwc.training.run_dir import claim, merge_logs, recipe_record, stage_seconds

logger = logging.getLogger(__name__)

# Names of the stages in logs, states and evaluations. Three differ from the terms used elsewhere,
# and must not change because published files contain them: "keeping" is the caching of features,
# "reading" is text tuning, and "alternating" is mutual training.
STAGES = ("drawing", "contrastive", "attributes", "keeping", "reading", "alternating")
TOTALS = ("drawing", "keeping")  # stages whose logs have one line per task, with its duration

# Prefixes of recipe fields that do not affect the trained parameters.
_AFTER_TRAINING = ("measured_", "comparison_")


@dataclass(frozen=True)
class TrainedCatalogue:
    """Result of a training run.

    Attributes:
        model: The trained model, on the CPU and in eval mode.
        processor: The image preprocessor and the tokenizers of the model.
        cached: Cached features of the training drawings and texts.
    """

    model: DWCModel
    processor: DWCProcessor
    cached: CachedPool


def claim_work(recipe: CatalogueRecipe, work: Path) -> None:
    """Check that a work folder belongs to a recipe; write the recipe if the folder has none.

    Settings of the evaluation and of the comparison of combiners are neither checked nor written.

    Raises:
        TrainingError: the folder belongs to another recipe.
    """
    described = recipe_record(recipe).items()
    claim(work, {name: v for name, v in described if not name.startswith(_AFTER_TRAINING)})


def train_catalogue(recipe: CatalogueRecipe, work: Path) -> TrainedCatalogue:
    """Run all training stages of a recipe and return the trained model.

    Stages that an interrupted run has finished are not repeated.

    Args:
        recipe: The hyperparameters.
        work: Folder of saved training states, logs, drawings and caches.

    Raises:
        TrainingError: the folder belongs to another recipe, or the disk is full.
    """
    claim_work(recipe, work)
    torch.manual_seed(recipe.seed)
    pool = draw_pool(recipe.pool, work, workers=os.cpu_count() or 1)
    processor = make_processor(pool.items, recipe.seed, recipe.vocabulary_texts)
    config = catalogue_config(
        len(processor.word_tokenizer),
        len(processor.clip_tokenizer),
        int(processor.clip_tokenizer.eos_token_id),
    )
    triplets = list(training_triplets(pool.items, recipe.seed, recipe.triplets))
    model = DWCModel(config)
    assert model.clip is not None  # see catalogue_config

    clip = ClipBackbone(config.clip_config)
    batches = CatalogueBatches(pool, processor, recipe.seed, config.caption_template)
    device = _pretrain(model, clip, batches, triplets, recipe, work)

    model.to(device)
    images = cache_image_features(model, pool, recipe.cached_views, recipe.seed, work)
    tune_text_tower(
        clip,
        text_tuning_batches(
            images,
            pool,
            triplets,
            processor,
            config.caption_template,
            recipe.text_tuning_batch,
            recipe.described_share,
            recipe.seed,
        ),
        recipe.text_tuning,
        _accelerator(recipe),
        LoopSettings(recipe.text_tuning.total_steps, work),
    )
    model.clip.load_state_dict(clip.state_dict())

    cached = cache_text_features(model, processor, images, pool, triplets, recipe.seed, work)
    train_on_cached(model, cached, recipe, work)
    model.to("cpu").eval()
    fit_ood(model, recipe.pool, recipe.ood_items, recipe.seed, work)
    return TrainedCatalogue(model, processor, cached)


def _pretrain(
    model: DWCModel,
    clip: ClipBackbone,
    batches: CatalogueBatches,
    triplets: list[Any],
    recipe: CatalogueRecipe,
    work: Path,
) -> torch.device:
    """Train `clip`, copy its parameters into the model's CLIP, and train the model's ResNet.

    Returns:
        The device of the training.
    """
    assert model.clip is not None
    assert model.cnn_stream is not None
    accelerator = _accelerator(recipe)
    pairs = batches.pairs(recipe.contrastive_batch, triplets, recipe.modification_share)
    train_contrastive(
        clip,
        shard_and_prefetch(pairs, recipe.contrastive.total_steps, accelerator),
        recipe.contrastive,
        accelerator,
        LoopSettings(recipe.contrastive.total_steps, work),
    )
    model.clip.load_state_dict(clip.state_dict())

    accelerator = _accelerator(recipe)
    labeled = batches.labeled(recipe.attributes_batch)
    train_attributes(
        model.cnn_stream.resnet,
        model.config.cnn_config.feature_dim,
        shard_and_prefetch(labeled, recipe.attributes.total_steps, accelerator),
        recipe.attributes,
        accelerator,
        LoopSettings(recipe.attributes.total_steps, work),
    )
    return accelerator.device


def train_on_cached(
    model: DWCModel, cached: CachedPool, recipe: CatalogueRecipe, work: Path
) -> None:
    """Train both streams of a model in place on cached features of its frozen encoders.

    Args:
        model: The model, on the device of the training.
        cached: Features of the training drawings and texts, from the model's encoders.
        recipe: The hyperparameters.
        work: Folder of saved training states and logs.
    """
    accelerator = _accelerator(recipe)
    batches = cached_triplet_batches(
        cached,
        recipe.mutual_batch,
        recipe.text_only_share,
        recipe.image_only_share,
        recipe.seed,
    )
    with with_cached_features(model, cached):
        train_mutually(
            model,
            shard_and_prefetch(batches, recipe.mutual.total_steps, accelerator),
            recipe.mutual,
            accelerator,
            LoopSettings(recipe.mutual.total_steps, work),
        )


@torch.inference_mode()
def fit_ood(model: DWCModel, pool: PoolSettings, items: int, seed: int, drawings: Path) -> None:
    """Compute the out-of-distribution (OOD) statistics of a model in place.

    The OOD score measures how little a query image resembles the gallery. The mean and the
    covariance of CLIP's image features are computed from training garments, and the threshold of
    the score from validation garments. All these garments are drawn in the gallery's style, because
    images in the training style vary far more than gallery images.

    Args:
        model: The model, on the CPU.
        pool: Settings of the training pool. Only its image size and seed are used.
        items: Number of training garments, and also of validation garments.
        seed: Seed of the random augmentation of the drawings.
        drawings: Folder of the drawings' files, which are created if missing.
    """
    assert model.clip is not None  # see catalogue_config
    assert isinstance(model.familiarity, MahalanobisOOD)
    generator = torch.Generator().manual_seed(seed)
    features = []
    for split in ("train", "val"):
        settings = replace(pool, items=items, styles=("gallery",), split=split)
        drawn: DrawnPool = draw_pool(settings, drawings, workers=os.cpu_count() or 1)
        pixels = [
            random_views(images, PICTURE_PX, generator, MEAN, STD)
            for images in drawn.pictures[0].split(256)
        ]
        features.append(torch.cat([model.clip.image_features(batch) for batch in pixels]))
    model.familiarity.fit(features[0], features[1])


def _accelerator(recipe: CatalogueRecipe) -> Accelerator:
    return new_accelerator(mixed_precision=recipe.mixed_precision)


def publish_catalogue(
    recipe: CatalogueRecipe, work: Path, out: Path, photographs: Path | None = None
) -> dict[str, Any]:
    """Train a model on drawings, and write its checkpoint, evaluation, log and model card.

    Args:
        recipe: The hyperparameters.
        work: Folder of saved training states, logs, drawings and caches.
        out: Folder of the checkpoint.
        photographs: Folder of photographs with a `labels.csv`, for an additional evaluation. If
            None, the model card says that photographs were not evaluated.

    Returns:
        The content of `evaluation.json`, measured with the written checkpoint.

    Raises:
        TrainingError: the work folder belongs to another recipe, or the disk is full.
    """
    trained = train_catalogue(recipe, work)
    loaded = save_and_load(trained.model, trained.processor, out)
    logger.info("wrote %s, fingerprint %s; evaluating", out, loaded.fingerprint)
    images = CatalogueImages(gallery("test", recipe.measured_gallery))
    seconds = stage_seconds(work, STAGES, TOTALS)
    start = time.perf_counter()
    combiners = _compare(recipe, trained, images)
    seconds["comparing"] = time.perf_counter() - start
    numbers: dict[str, Any] = {
        "fingerprint": loaded.fingerprint,
        "recipe": recipe_record(recipe),
        "training_minutes": {stage: round(spent / 60, 1) for stage, spent in seconds.items()},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "catalogue": evaluate_catalogue(
            loaded.model,
            loaded.processor,
            gallery_size=recipe.measured_gallery,
            queries=recipe.measured_queries,
            pictures=images,
        ),
        "combiners": combiners,
    }
    if photographs is not None:
        numbers["photographs"] = evaluate_photographs(
            loaded.model, loaded.processor, read_labeled_photographs(photographs)
        )
    write_json(out / EVALUATION, numbers)
    merge_logs(work, STAGES, out)
    write_catalogue_card(out, numbers, loaded.model.config, len(CATEGORIES), count_garments())
    return numbers


def _compare(
    recipe: CatalogueRecipe, trained: TrainedCatalogue, test_images: CatalogueImages
) -> dict[str, Any]:
    model, processor = trained.model, trained.processor
    size = (recipe.measured_gallery, recipe.measured_queries)
    comparison = CombinerComparison(
        bank=feature_bank(trained.cached),
        settings=replace(recipe.mutual, total_steps=recipe.comparison_steps),
        learning_rates=recipe.comparison_rates,
        batch_size=recipe.mutual_batch,
        mixed_precision=recipe.mixed_precision,
        seed=recipe.seed,
        val=cache_eval_set(model, processor, "val", *size),
        test=cache_eval_set(model, processor, "test", *size, test_images),
    )
    return compare_combiners(model.config, comparison)

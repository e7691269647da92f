"""The bundled checkpoint, from nothing: draw, learn the words, train CLIP, the ResNet and DWC.

    draw_pool -> tokenizers -> contrastive (CLIP) -> attributes (ResNet)
              -> the drawings' features, kept -> reading (CLIP's text tower) -> the texts', kept
              -> alternating (DWC, on what is kept) -> familiarity -> a whole checkpoint

Both image towers can name a garment's attributes before DWC's own training begins. So they are
frozen there, the CNN stream's ResNet like CLIP, where the authors train it on: at this size a step
on pixels costs three times as much, and 1,500 of them taught the ResNet its training drawings by
heart. Each stage keeps its state in the work folder; a run that was killed goes on where it was.
"""

import logging
import os
import random
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc.catalogue.description import describe, describe_fully
from dwc.catalogue.splits import CatalogueItem, training_triplets
from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor, build_word_tokenizer
from dwc.training.alternating import train_alternating
from dwc.training.attributes import train_attributes
from dwc.training.augmentation import random_views
from dwc.training.catalogue_batches import CatalogueBatches
from dwc.training.contrastive import train_contrastive
from dwc.training.dealing import deal
from dwc.training.keeping import keep_pictures, keep_texts
from dwc.training.kept import KeptPool, standing_in
from dwc.training.kept_batches import kept_triplets
from dwc.training.loop import LoopSettings
from dwc.training.pool import DrawnPool, PoolSettings, draw_pool
from dwc.training.reading import train_reading
from dwc.training.reading_batches import reading_batches
from dwc.training.recipe import (
    CLIP_VOCABULARY,
    MAX_CLIP_TOKENS,
    MEAN,
    PICTURE_PX,
    STD,
    CatalogueRecipe,
    catalogue_config,
)
from dwc.training.vocabulary import train_clip_tokenizer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedCatalogue:
    """What the training leaves: the model in eval mode, its processor, and what it learned from."""

    model: DWCModel
    processor: DWCProcessor
    kept: KeptPool


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
        deal(pairs, recipe.contrastive.total_steps, accelerator),
        recipe.contrastive,
        accelerator,
        LoopSettings(recipe.contrastive.total_steps, work),
    )
    model.clip.load_state_dict(clip.state_dict())

    accelerator = _accelerator(recipe)
    train_attributes(
        model.cnn_stream.resnet,
        config.cnn_config.feature_dim,
        deal(batches.labelled(recipe.attributes_batch), recipe.attributes.total_steps, accelerator),
        recipe.attributes,
        accelerator,
        LoopSettings(recipe.attributes.total_steps, work),
    )

    model.to(accelerator.device)
    pictures = keep_pictures(model, pool, recipe.kept_views, recipe.seed, work)
    accelerator = _accelerator(recipe)
    train_reading(
        clip,
        reading_batches(
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

    kept = keep_texts(model, processor, pictures, pool, triplets, recipe.seed, work)
    train_on_kept(model, kept, recipe, work)
    model.to("cpu").eval()
    learn_familiarity(model, pool, recipe, work)
    return TrainedCatalogue(model, processor, kept)


def train_on_kept(model: DWCModel, kept: KeptPool, recipe: CatalogueRecipe, work: Path) -> None:
    """DWC's alternating training, in place, on what its frozen towers made of the pool."""
    accelerator = _accelerator(recipe)
    made = kept_triplets(
        kept,
        recipe.alternating_batch,
        recipe.words_only_share,
        recipe.picture_only_share,
        recipe.seed,
    )
    with standing_in(model, kept):
        train_alternating(
            model,
            deal(made, recipe.alternating.total_steps, accelerator),
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
def learn_familiarity(
    model: DWCModel, pool: DrawnPool, recipe: CatalogueRecipe, work: Path
) -> None:
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

"""Hyperparameters ("recipe") of Progressive Learning (PL), and CLIP models to start from.

The authors' code was not released. Every number here is this project's own choice.
"""

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc.checkpoints import load
from dwc.checkpoints.save import without_progress_bar
from dwc.convert.clip_tokenizer import find_clip_tokenizer
from dwc.convert.sources import read_clip
from dwc.errors import CheckpointError
from dwc.modeling.clip_stream import ClipBackbone
from dwc.modeling.configuration_dwc import ClipBackboneConfig, DWCConfig
from dwc.modeling.processing_dwc import DWCProcessor
from dwc.training.catalogue.drawn_pool import PoolSettings
from dwc.training.catalogue.recipe import PICTURE_PX, catalogue_config, scale_recipe
from dwc.training.progressive.stages import FashionSettings, HybridSettings, TowerSettings

logger = logging.getLogger(__name__)

Stage = Literal["open_domain", "fashion", "hybrid"]
STAGES: tuple[Stage, ...] = get_args(Stage)

# Name of PL's combiner without a learned image weight: image and text have equal weights.
FIXED_COMBINER = "progressive_fixed"

_POOL_BYTES = 4_000_000_000


@dataclass(frozen=True)
class ProgressiveRecipe:
    """All settings of a training run of Progressive Learning (PL), and of its evaluation.

    Attributes:
        seed: Seed of all random numbers.
        stages: The stages to run, in order.
        combiner: Name of the combiner: "progressive" predicts an image weight for each query,
            "progressive_fixed" gives image and text equal weights.
        dropout: Dropout probability in the combiner.
        pool: Settings of the drawings to train on (the "pool").
        open_domain: Settings of stage one.
        open_domain_batch: Batch size of stage one.
        fashion: Settings of stage two.
        fashion_batch: Batch size of stage two.
        hybrid: Settings of stage three.
        hybrid_batch: Batch size of stage three.
        triplets: Number of training triplets made from the pool.
        text_only_share: Share of stage three's queries without an image, 0 to 1.
        image_only_share: Share of stage three's queries without a text, 0 to 1.
        mixed_precision: Precision of all stages, in accelerate's terms: "no", "fp16" or "bf16".
        vocabulary_texts: Number of texts from which the tokenizers' vocabularies are learned.
        ood_items: Number of training drawings used for the out-of-distribution (OOD) statistics.
            The same number of held-out drawings is used to set the OOD threshold.
        cached_views: Number of augmented copies ("views") of each drawing for which the inputs of
            the last layer of CLIP's image encoder are cached. Only this layer of the image encoder
            is then trained. 0 to cache nothing and train all layers. See `cache_tower_inputs`.
        measured_gallery: Number of garments in the evaluation gallery of a split.
        measured_queries: Number of evaluation queries for that gallery.
    """

    seed: int = 0
    stages: tuple[Stage, ...] = STAGES
    combiner: str = "progressive"
    dropout: float = 0.1
    pool: PoolSettings = field(default_factory=PoolSettings)
    open_domain: TowerSettings = field(default_factory=lambda: TowerSettings(total_steps=1_600))
    open_domain_batch: int = 256
    fashion: FashionSettings = field(default_factory=lambda: FashionSettings(total_steps=3_200))
    fashion_batch: int = 192
    hybrid: HybridSettings = field(
        default_factory=lambda: HybridSettings(total_steps=2_600, learning_rate=5e-4)
    )
    hybrid_batch: int = 160
    triplets: int = 240_000
    text_only_share: float = 0.12
    image_only_share: float = 0.05
    mixed_precision: str = "bf16"
    vocabulary_texts: int = 60_000
    ood_items: int = 2_000
    cached_views: int = 0
    measured_gallery: int = 2_000
    measured_queries: int = 2_000

    def __post_init__(self) -> None:
        if self.stages != tuple(stage for stage in STAGES if stage in self.stages):
            raise ValueError(
                f"stages is {self.stages}; name any of {', '.join(STAGES)}, once each, in order."
            )

    @classmethod
    def of(cls, seed: int = 0, share: float = 1.0) -> "ProgressiveRecipe":
        """Return the default recipe with a given seed, shortened if `share` is below 1.

        Args:
            seed: Seed of all random numbers.
            share: Factor of the numbers of steps, drawings and triplets, above 0 and at most 1.
        """
        return scale_recipe(cls(seed=seed), share, STAGES)

    def fine_tuning(self, size_px: int) -> "ProgressiveRecipe":
        """Return the recipe adapted to a pretrained CLIP model with another input image size.

        The learning rate of CLIP's two encoders is divided by 100, because they are already
        trained. Drawings are enlarged in proportion to the input images, and their number is
        limited so that they take at most 4 GB.

        Args:
            size_px: Side of the CLIP model's input images in pixels.
        """
        drawn_px = size_px * self.pool.size_px // PICTURE_PX
        most = _POOL_BYTES // (len(self.pool.styles) * 3 * drawn_px**2)
        return replace(
            self,
            pool=replace(self.pool, size_px=drawn_px, items=min(self.pool.items, most)),
            fashion=replace(self.fashion, learning_rate=self.fashion.learning_rate / 100),
            hybrid=replace(self.hybrid, learning_rate=self.hybrid.learning_rate / 100),
        )

    def with_cached_images(self, views: int = 4) -> "ProgressiveRecipe":
        """Return a faster recipe for a CLIP model that is already trained on drawings.

        Training takes minutes instead of hours on one core, because only the last layer of CLIP's
        image encoder is trained, on cached inputs. Stage two has half the learning rate and an
        eighth of the steps, and stage three half the steps: a trained CLIP model needs no more.

        Args:
            views: Number of augmented copies of each drawing whose inputs are cached.
        """
        fashion, hybrid = self.fashion, self.hybrid
        return replace(
            self,
            cached_views=views,
            fashion=replace(
                fashion,
                total_steps=max(1, fashion.total_steps // 8),
                warmup_steps=max(1, fashion.warmup_steps // 4),
                learning_rate=fashion.learning_rate / 2,
            ),
            hybrid=replace(
                hybrid,
                total_steps=max(1, hybrid.total_steps // 2),
                warmup_steps=max(1, hybrid.warmup_steps // 2),
            ),
        )

    def stages_until(self, last: Stage) -> tuple[Stage, ...]:
        """Return the recipe's stages up to and including `last`, in order."""
        return tuple(s for s in self.stages if STAGES.index(s) <= STAGES.index(last))


@dataclass(frozen=True)
class Start:
    """Pretrained CLIP model to start a training from; stage one is then skipped.

    Attributes:
        name: Source of the model, as written in the evaluation and the model card.
        clip: The model.
        processor: The model's image preprocessor and tokenizers.
    """

    name: str
    clip: ClipBackbone
    processor: DWCProcessor


def small_clip(processor: DWCProcessor) -> ClipBackboneConfig:
    """Return the configuration of a small CLIP model for images of 64 by 64 pixels.

    This project's models for drawings contain a CLIP model with the same layers and sizes.

    Args:
        processor: Processor whose CLIP tokenizer determines the number of tokens.
    """
    tokens, end = len(processor.clip_tokenizer), int(processor.clip_tokenizer.eos_token_id)
    return catalogue_config(len(processor.word_tokenizer), tokens, end).clip_config


def progressive_config(
    clip: ClipBackboneConfig,
    combiner: str,
    dropout: float,
    template: dict[str, str],
    familiarity: bool,
    ood_groups: int = 0,
) -> DWCConfig:
    """Return the configuration of a Progressive Learning (PL) model.

    Such a model consists of CLIP and a combiner of CLIP's features, without a CNN stream.

    Args:
        clip: CLIP's configuration.
        combiner: Name of the combiner.
        dropout: Dropout probability in the combiner.
        template: Format strings that join the captions of a query to one text.
        familiarity: Whether the model has out-of-distribution (OOD) statistics, which measure how
            unusual a reference image is.
        ood_groups: Number of groups of training images, such as photographs and drawings, with
            separate OOD statistics; 0 for joint statistics of all training images. See `DWCConfig`.
    """
    return DWCConfig(
        clip_config=clip,
        cnn_config=None,
        clip_embedding_dim=clip.projection_dim,
        combiner=combiner,
        dropout=dropout,
        caption_template=template,
        familiarity=familiarity,
        ood_groups=ood_groups,
    )


def start_from_checkpoint(name: str | Path | None) -> Start:
    """Return the CLIP model of a checkpoint of this project, to start the training from.

    Args:
        name: Name or folder of the checkpoint; None for the bundled one.

    Raises:
        CheckpointError: the checkpoint cannot be loaded or has no CLIP.
    """
    loaded = load.load(name)
    if loaded.model.clip is None:
        raise CheckpointError(f"{loaded.name} has no CLIP to start from; give one that has.")
    return Start(loaded.name, loaded.model.clip, loaded.processor)


def start_from_clip(source: str, clip_tokenizer: str | None = None) -> Start:
    """Return a pretrained CLIP model, OpenAI's or a similar one, to start the training from.

    The returned processor resizes the short side of an image to CLIP's input size, center-crops the
    image and normalizes it with CLIP's mean and standard deviation.

    Args:
        source: Hub id, folder in transformers' format, or file of parameters from OpenAI.
        clip_tokenizer: Source of the tokenizer, if `source` does not include one.

    Raises:
        CheckpointError: CLIP or its tokenizer cannot be read.
    """
    with without_progress_bar():
        clip_source = read_clip(source, read_preprocessing=False)
        for line in clip_source.assumed:
            logger.warning(line)
        tokenizer = find_clip_tokenizer(clip_tokenizer, source, clip_source.config)
    if tokenizer is None:
        raise CheckpointError(
            f"{source} comes without CLIP's tokenizer, and none is within reach. Give it with "
            "--clip-tokenizer: bpe_simple_vocab_16e6.txt.gz of openai/CLIP, or a folder"
        )
    clip = ClipBackbone(clip_source.config)
    clip.load_state_dict(clip_source.weights)
    size_px = clip_source.config.vision_config.image_size
    image_processor = CLIPImageProcessorPil(
        size={"shortest_edge": size_px}, crop_size={"height": size_px, "width": size_px}
    )
    # No word tokenizer: there is no CNN stream.
    return Start(source, clip, DWCProcessor(image_processor, tokenizer))

"""The recipe of PL on drawn garments, and the CLIPs that stage two can start from.

A reconstruction: every number is this project's own.
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
from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.configuration_dwc import ClipBackboneConfig, DWCConfig
from dwc.modeling.processing_dwc import DWCProcessor
from dwc.training.catalogue.drawn_pool import PoolSettings
from dwc.training.catalogue.recipe import PICTURE_PX, catalogue_config, scale_recipe
from dwc.training.progressive.stages import FashionSettings, HybridSettings, TowerSettings

logger = logging.getLogger(__name__)

Stage = Literal["open_domain", "fashion", "hybrid"]
STAGES: tuple[Stage, ...] = get_args(Stage)

# PL without its weight: every query is half and half, as before stage three.
FIXED_COMBINER = "progressive_fixed"

_POOL_BYTES = 4_000_000_000


@dataclass(frozen=True)
class ProgressiveRecipe:
    """What is drawn, which stages run, and for how long.

    Attributes:
        seed: Decides every random number.
        stages: The stages to run, in order.
        combiner: "progressive_fixed" omits the adaptive weight.
        dropout: Of the combiner.
        pool: The drawings.
        open_domain: Stage one.
        open_domain_batch: Its batch size.
        fashion: Stage two.
        fashion_batch: Its batch size.
        hybrid: Stage three.
        hybrid_batch: Its batch size.
        triplets: How many triplets over the pool.
        text_only_share: Share of queries without an image.
        image_only_share: Share of queries without a text.
        mixed_precision: Of all stages.
        vocabulary_texts: Texts that the vocabularies are learned from.
        ood_items: Held-out drawings that set the out-of-distribution threshold.
        cached_views: Above 0, the image tower is frozen but for its last layer, whose inputs are
            cached for this many views of each drawing; see `cache_tower_inputs`.
        measured_gallery: Garments of a split that the model is evaluated on.
        measured_queries: Queries to them.
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
        """Return the recipe with another seed, or a share of its steps and drawings."""
        return scale_recipe(cls(seed=seed), share, STAGES)

    def fine_tuning(self, size_px: int) -> "ProgressiveRecipe":
        """Return the recipe for a pretrained CLIP with images of `size_px` pixels.

        Its towers have a hundredth of the learning rate. Drawings are larger than its images in the
        same ratio as for the small CLIP, and no more of them than fit into 4 GB.
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
        """Return the recipe for a CLIP trained on drawings: minutes on one core, not hours.

        Only the last layer of its image tower is trained, and its text tower is trained already, so
        half the rate and an eighth of the steps suffice for stage two, and half the steps for
        stage three.
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
        """Return the stages up to and including `last`, in order."""
        return tuple(s for s in self.stages if STAGES.index(s) <= STAGES.index(last))


@dataclass(frozen=True)
class Start:
    """A CLIP that has completed stage one, with its processor.

    `name` says where it comes from, for log and card.
    """

    name: str
    clip: ClipBackbone
    processor: DWCProcessor


def small_clip(processor: DWCProcessor) -> ClipBackboneConfig:
    """Return the bundled model's CLIP configuration, for a processor's vocabulary."""
    tokens, end = len(processor.clip_tokenizer), int(processor.clip_tokenizer.eos_token_id)
    return catalogue_config(len(processor.word_tokenizer), tokens, end).clip_config


def progressive_config(
    clip: ClipBackboneConfig,
    combiner: str,
    dropout: float,
    template: dict[str, str],
    familiarity: bool,
) -> DWCConfig:
    """Return PL's configuration: a CLIP and a combiner on its own features, no CNN stream."""
    return DWCConfig(
        clip_config=clip,
        cnn_config=None,
        clip_embedding_dim=clip.projection_dim,
        combiner=combiner,
        dropout=dropout,
        caption_template=template,
        familiarity=familiarity,
    )


def start_from_checkpoint(name: str | Path | None) -> Start:
    """Return the CLIP of a checkpoint of this project; None is the bundled one.

    Raises:
        CheckpointError: it cannot be loaded, or has no CLIP.
    """
    loaded = load.load(name)
    if loaded.model.clip is None:
        raise CheckpointError(f"{loaded.name} has no CLIP to start from; give one that has.")
    return Start(loaded.name, loaded.model.clip, loaded.processor)


def start_from_clip(source: str, clip_tokenizer: str | None = None) -> Start:
    """Return OpenAI's CLIP or a similar one.

    Images are resized at the short side and center-cropped, with CLIP's mean and standard
    deviation.

    Args:
        source: A Hub id, a transformers folder, or a file of weights.
        clip_tokenizer: Its tokenizer, if none is beside it.

    Raises:
        CheckpointError: CLIP or its tokenizer cannot be read.
    """
    with without_progress_bar():
        clip_source = read_clip(source)
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

"""PL on drawn garments: every size and number of it on one screen; a reconstruction.

Where PL's stage two may start: at a checkpoint's own CLIP, or at one from elsewhere.
"""

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
from dwc.training.catalogue.recipe import PICTURE_PX, Shortening, catalogue_config
from dwc.training.progressive.stages import FashionSettings, HybridSettings, TowerSettings

Stage = Literal["open_domain", "fashion", "hybrid"]
STAGES: tuple[Stage, ...] = get_args(Stage)

# PL without its weight, every query half and half; so answers a CLIP that is not at stage three.
FIXED_COMBINER = "progressive_fixed"

_POOL_BYTES = 4_000_000_000


@dataclass(frozen=True)
class ProgressiveRecipe:
    """What is drawn, which stages run, and for how long; `seed` decides every random number.

    `stages` left out are not run. `combiner` "progressive_fixed" leaves the adaptive weight out.
    `kept_views` above 0 leaves the image tower as it is but for its last layer, and looks at so
    many views of every picture once, see `kept.py`; 0 trains both towers whole.
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
    words_only_share: float = 0.12
    picture_only_share: float = 0.05
    mixed_precision: str = "bf16"
    texts_read: int = 60_000  # descriptions and wishes that the vocabularies are learned from
    familiar_items: int = 2_000  # held-out drawings that set the familiarity threshold
    kept_views: int = 0
    measured_gallery: int = 2_000  # garments of a split that the model is measured on
    measured_queries: int = 2_000

    def __post_init__(self) -> None:
        if self.stages != tuple(stage for stage in STAGES if stage in self.stages):
            raise ValueError(
                f"stages is {self.stages}; name any of {', '.join(STAGES)}, once each, in order."
            )

    @classmethod
    def of(cls, seed: int = 0, share: float = 1.0) -> "ProgressiveRecipe":
        """The recipe with another seed, or with a share (0 to 1) of its steps and drawings."""
        whole, cut = cls(seed=seed), Shortening(share)
        return replace(
            whole,
            pool=cut.pool(whole.pool),
            open_domain=cut.steps(whole.open_domain),
            fashion=cut.steps(whole.fashion),
            hybrid=cut.steps(whole.hybrid),
            triplets=cut.triplets(whole.triplets),
        )

    def fine_tuning(self, size_px: int) -> "ProgressiveRecipe":
        """The recipe for a trained CLIP that reads pictures of `size_px` pixels a side.

        Its towers learn at a hundredth of the rate; drawings are larger than its pictures by as
        much as the small CLIP's are, and no more of them than fit into 4 GB.
        """
        drawn_px = size_px * self.pool.size_px // PICTURE_PX
        most = _POOL_BYTES // (len(self.pool.styles) * 3 * drawn_px**2)
        return replace(
            self,
            pool=replace(self.pool, size_px=drawn_px, items=min(self.pool.items, most)),
            fashion=replace(self.fashion, learning_rate=self.fashion.learning_rate / 100),
            hybrid=replace(self.hybrid, learning_rate=self.hybrid.learning_rate / 100),
        )

    def keeping(self, views: int = 4) -> "ProgressiveRecipe":
        """The recipe for a CLIP that reads drawings already: minutes on one core, not hours.

        What is left of its image tower to learn is one layer, and its text tower begins trained, so
        that half the rate and an eighth of stage two's steps do, and half of stage three's.
        """
        fashion, hybrid = self.fashion, self.hybrid
        return replace(
            self,
            kept_views=views,
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
        """The stages up to and including `last`, in order."""
        return tuple(s for s in self.stages if STAGES.index(s) <= STAGES.index(last))


@dataclass(frozen=True)
class Start:
    """A CLIP that has been through stage one, and the processor that reads for it.

    `name` says where it comes from, for the log and the card.
    """

    name: str
    clip: ClipBackbone
    processor: DWCProcessor


def small_clip(processor: DWCProcessor) -> ClipBackboneConfig:
    """The bundled model's CLIP, for a processor's vocabulary."""
    tokens, end = len(processor.clip_tokenizer), int(processor.clip_tokenizer.eos_token_id)
    return catalogue_config(len(processor.word_tokenizer), tokens, end).clip_config


def progressive_config(
    clip: ClipBackboneConfig,
    combiner: str,
    dropout: float,
    template: dict[str, str],
    familiarity: bool,
) -> DWCConfig:
    """PL's model: a CLIP and a combiner on its own features, no CNN stream."""
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
    """The CLIP of a checkpoint of this project; None is the bundled one.

    Raises CheckpointError where it cannot be loaded, or has no CLIP.
    """
    loaded = load.load(name)
    if loaded.model.clip is None:
        raise CheckpointError(f"{loaded.name} has no CLIP to start from; give one that has.")
    return Start(loaded.name, loaded.model.clip, loaded.processor)


def start_from_clip(source: str, clip_tokenizer: str | None = None) -> Start:
    """OpenAI's CLIP or any like it: a Hub id, a transformers folder, or a file of weights.

    Pictures are resized to its size at the short side and cut out of the centre, with CLIP's mean
    and standard deviation. Raises CheckpointError where CLIP or its tokenizer cannot be read.
    """
    with without_progress_bar():
        found = read_clip(source)
        tokenizer = find_clip_tokenizer(clip_tokenizer, source, found.config)
    if tokenizer is None:
        raise CheckpointError(
            f"{source} comes without CLIP's tokenizer, and none is within reach. Give it with "
            "--clip-tokenizer: bpe_simple_vocab_16e6.txt.gz of openai/CLIP, or a folder"
        )
    clip = ClipBackbone(found.config)
    clip.load_state_dict(found.weights)
    size_px = found.config.vision_config.image_size
    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": size_px}, crop_size={"height": size_px, "width": size_px}
    )
    # Its own tokenizer reads every word; there is no CNN stream that would need another.
    return Start(source, clip, DWCProcessor(pictures, tokenizer))

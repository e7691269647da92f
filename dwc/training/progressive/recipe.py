"""PL on drawn garments: every size and number of it on one screen; a reconstruction."""

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from dwc.modeling.clip_backbone import ClipBackbone
from dwc.modeling.configuration import ClipBackboneConfig, DWCConfig
from dwc.processing import DWCProcessor
from dwc.training.pool import PoolSettings
from dwc.training.progressive.fashion import FashionSettings
from dwc.training.progressive.hybrid import HybridSettings
from dwc.training.progressive.towers import TowerSettings
from dwc.training.recipe import PICTURE_PX, catalogue_config
from dwc.training.shortening import Shortening

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

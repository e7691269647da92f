"""A recipe cut to a share of its steps and drawings, for a quick trial.

The bundled checkpoint's recipe: every size and number of it on one screen.
"""

from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from transformers import CLIPTextConfig, ResNetConfig

from dwc.modeling.configuration_dwc import (
    ClipBackboneConfig,
    CnnStreamConfig,
    DWCConfig,
    ModifiedResNetConfig,
)
from dwc.training.catalogue.drawn_pool import PoolSettings
from dwc.training.catalogue.pretraining import AttributeSettings, ContrastiveSettings
from dwc.training.catalogue.text_tuning import TextTuningSettings
from dwc.training.dwc.mutual_training import MutualSettings

Settings = TypeVar("Settings", bound=Any)

_FEWEST_ITEMS = 600
_FEWEST_TRIPLETS = 1_000


@dataclass(frozen=True)
class Shortening:
    """Takes a `share`, above 0 and at most 1, of what a recipe says; ValueError outside."""

    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share is {self.share}; it must be above 0 and at most 1")

    def part(self, number: int) -> int:
        """The share of a number, at least 1."""
        return max(1, round(number * self.share))

    def steps(self, settings: Settings) -> Settings:
        """A stage's settings with the share of its `total_steps` and `warmup_steps`."""
        return replace(
            settings,
            total_steps=self.part(settings.total_steps),
            warmup_steps=self.part(settings.warmup_steps),
        )

    def pool(self, pool: PoolSettings) -> PoolSettings:
        """The share of the drawings, and as many as triplets can be found in."""
        return replace(pool, items=max(_FEWEST_ITEMS, self.part(pool.items)))

    def triplets(self, count: int) -> int:
        """The share of the triplets, and as many as a batch or two need."""
        return max(_FEWEST_TRIPLETS, self.part(count))


PICTURE_PX = 64
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
MAX_CLIP_TOKENS = 64
CLIP_VOCABULARY = 2_000


@dataclass(frozen=True)
class CatalogueRecipe:
    """What is drawn, trained and for how long; `seed` decides every random number in it."""

    seed: int = 0
    pool: PoolSettings = field(default_factory=PoolSettings)
    contrastive: ContrastiveSettings = field(
        default_factory=lambda: ContrastiveSettings(total_steps=2_300)
    )
    contrastive_batch: int = 256
    wish_share: float = 0.25
    attributes: AttributeSettings = field(
        default_factory=lambda: AttributeSettings(total_steps=4_700)
    )
    attributes_batch: int = 128
    kept_views: int = 3
    reading: TextTuningSettings = field(
        default_factory=lambda: TextTuningSettings(total_steps=1_500)
    )
    reading_batch: int = 256
    described_share: float = 0.25
    alternating: MutualSettings = field(
        default_factory=lambda: MutualSettings(
            total_steps=4_300,
            learning_rate=6e-3,
            cnn_learning_rate=8e-3,
            schedule="cosine",
            warmup_steps=200,
            weight_teaching=0.5,
            temperature=0.04,
            max_gradient_norm=5.0,
        )
    )
    alternating_batch: int = 256
    triplets: int = 240_000
    words_only_share: float = 0.12
    picture_only_share: float = 0.05
    comparison_steps: int = 1_000
    comparison_rates: tuple[float, ...] = (1.5e-3, 6e-3)  # each combiner is shown at its better one
    mixed_precision: str = "bf16"
    texts_read: int = 60_000  # descriptions and wishes that both vocabularies are learned from
    familiar_items: int = 2_000  # held-out drawings that set the familiarity threshold
    measured_gallery: int = 2_000  # garments of the test split that the checkpoint is measured on
    measured_queries: int = 2_000

    @classmethod
    def of(cls, seed: int = 0, share: float = 1.0) -> "CatalogueRecipe":
        """The recipe with another seed, or with a share (0 to 1) of its steps and drawings."""
        whole, cut = cls(seed=seed), Shortening(share)
        return replace(
            whole,
            pool=cut.pool(whole.pool),
            contrastive=cut.steps(whole.contrastive),
            attributes=cut.steps(whole.attributes),
            reading=cut.steps(whole.reading),
            alternating=cut.steps(whole.alternating),
            comparison_steps=cut.part(whole.comparison_steps),
            triplets=cut.triplets(whole.triplets),
        )


def catalogue_config(word_vocabulary: int, clip_vocabulary: int, eos_token_id: int) -> DWCConfig:
    """The bundled model: 64 px pictures, both streams 256 long.

    Channels are powers of two or multiples of 32: batch norms and convolutions of 24 or 48 take up
    to eight times as long a channel on a CPU in bfloat16.
    """
    text = CLIPTextConfig(
        vocab_size=clip_vocabulary,
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=MAX_CLIP_TOKENS,
        projection_dim=256,
        bos_token_id=eos_token_id - 1,
        eos_token_id=eos_token_id,
        pad_token_id=eos_token_id,
    )
    vision = ModifiedResNetConfig(
        layers=(1, 2, 2),
        width=32,
        image_size=PICTURE_PX,
        num_attention_heads=8,
        projection_dim=256,
    )
    return DWCConfig(
        clip_config=ClipBackboneConfig(text_config=text, vision_config=vision, projection_dim=256),
        cnn_config=CnnStreamConfig(
            resnet_config=ResNetConfig(
                embedding_size=32, hidden_sizes=[32, 64, 192], depths=[2, 2, 2], layer_type="basic"
            ),
            vocab_size=word_vocabulary,
            word_embedding_dim=128,
            hidden_dim=192,
        ),
        combiner="dwc_unit",
        clip_embedding_dim=256,
        cnn_embedding_dim=256,
        dropout=0.0,
        caption_template={"single": "{0}", "pair": "{0} and {1}"},
        familiarity=True,
    )

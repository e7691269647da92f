"""The bundled checkpoint's recipe: every size and number of it on one screen."""

from dataclasses import dataclass, field, replace

from transformers import CLIPTextConfig, ResNetConfig

from dwc.modeling.configuration import (
    ClipBackboneConfig,
    CnnStreamConfig,
    DWCConfig,
    ModifiedResNetConfig,
)
from dwc.training.alternating import AlternatingSettings
from dwc.training.attributes import AttributeSettings
from dwc.training.contrastive import ContrastiveSettings
from dwc.training.pool import PoolSettings
from dwc.training.reading import ReadingSettings
from dwc.training.shortening import Shortening

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
    reading: ReadingSettings = field(default_factory=lambda: ReadingSettings(total_steps=1_500))
    reading_batch: int = 256
    described_share: float = 0.25
    alternating: AlternatingSettings = field(
        default_factory=lambda: AlternatingSettings(
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

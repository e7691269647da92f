"""Hyperparameters ("recipe"), model configuration and processor of the checkpoint for drawings.

`make_processor` learns the vocabularies of both tokenizers from texts about garments. The CLIP
tokenizer works like OpenAI's original: texts are lower-cased and split by byte-level byte-pair
encoding, the last token of a word ends with `</w>`, and each text is enclosed in `<|startoftext|>`
and `<|endoftext|>`.
"""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTextConfig, CLIPTokenizer, ResNetConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc.catalogue.language.description import describe, describe_fully
from dwc.catalogue.splits import CatalogueItem, training_triplets
from dwc.modeling.configuration_dwc import (
    ClipBackboneConfig,
    CnnStreamConfig,
    DWCConfig,
    ModifiedResNetConfig,
)
from dwc.modeling.processing_dwc import (
    CLIP_BYTE_TOKENS,
    CLIP_MARKS,
    CLIP_WORD_END,
    DWCProcessor,
    build_clip_tokenizer,
    build_word_tokenizer,
)
from dwc.training.catalogue.drawn_pool import PoolSettings
from dwc.training.catalogue.pretraining import AttributeSettings, ContrastiveSettings
from dwc.training.catalogue.text_tuning import TextTuningSettings
from dwc.training.dwc.mutual_training import MutualSettings

Recipe = TypeVar("Recipe", bound=Any)

_FEWEST_ITEMS = 600
_FEWEST_TRIPLETS = 1_000

PICTURE_PX = 64
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
MAX_CLIP_TOKENS = 64
CLIP_VOCABULARY = 2_000


def scale_recipe(
    recipe: Recipe, share: float, stages: Sequence[str], counts: Sequence[str] = ()
) -> Recipe:
    """Return a copy of a recipe with fewer steps, drawings and triplets, for a quick trial.

    The copy has at least one step per stage, at least 600 drawings and at least 1,000 triplets.

    Args:
        recipe: A dataclass with the fields `pool` and `triplets`.
        share: Factor for the numbers of steps, drawings and triplets, above 0 and at most 1.
        stages: Names of fields with the settings of a stage, whose `total_steps` and `warmup_steps`
            are scaled.
        counts: Names of further fields with a number to scale.

    Raises:
        ValueError: `share` is outside its range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; it must be above 0 and at most 1")

    def scaled(number: int) -> int:
        return max(1, round(number * share))

    changes: dict[str, Any] = {
        "pool": replace(recipe.pool, items=max(_FEWEST_ITEMS, scaled(recipe.pool.items))),
        "triplets": max(_FEWEST_TRIPLETS, scaled(recipe.triplets)),
    }
    for name in stages:
        stage = getattr(recipe, name)
        changes[name] = replace(
            stage,
            total_steps=scaled(stage.total_steps),
            warmup_steps=scaled(stage.warmup_steps),
        )
    changes |= {name: scaled(getattr(recipe, name)) for name in counts}
    return replace(recipe, **changes)


@dataclass(frozen=True)
class CatalogueRecipe:
    """All hyperparameters of a training on drawings: data, stages and evaluation.

    Attributes:
        seed: Seed of all random choices.
        pool: Settings of the drawings to train on (the "pool").
        contrastive: Settings of CLIP's contrastive pretraining.
        contrastive_batch: Batch size of the contrastive pretraining.
        modification_share: Share of modification texts among the texts of the contrastive
            pretraining, in [0, 1]; the others are descriptions.
        attributes: Settings of the ResNet's pretraining.
        attributes_batch: Batch size of the ResNet's pretraining.
        cached_views: Number of augmented copies of each drawing whose features are cached.
        text_tuning: Settings of the text tuning (further training of CLIP's text encoder).
        text_tuning_batch: Batch size of the text tuning.
        described_share: Share of descriptions among the texts of the text tuning, in [0, 1].
        mutual: Settings of DWC's mutual training, in which each stream is the other's teacher.
        mutual_batch: Batch size of the mutual training.
        triplets: Number of training triplets made from the pool.
        text_only_share: Share of queries without an image in the mutual training, in [0, 1].
        image_only_share: Share of queries without a text in the mutual training, in [0, 1].
        comparison_steps: Number of training steps per combiner in the comparison of combiners.
        comparison_rates: Learning rates to try in the comparison; the report has the results of
            each combiner with its best learning rate.
        mixed_precision: Precision of all stages, in accelerate's terms: "no", "fp16" or "bf16".
        vocabulary_texts: Number of texts from which the CLIP tokenizer's vocabulary and the word
            vocabulary are learned.
        ood_items: Number of training drawings from which the out-of-distribution statistics are
            computed. The threshold is computed from the same number of held-out drawings.
        measured_gallery: Number of test garments in the evaluation gallery.
        measured_queries: Number of evaluation queries.
    """

    seed: int = 0
    pool: PoolSettings = field(default_factory=PoolSettings)
    contrastive: ContrastiveSettings = field(
        default_factory=lambda: ContrastiveSettings(total_steps=2_300)
    )
    contrastive_batch: int = 256
    modification_share: float = 0.25
    attributes: AttributeSettings = field(
        default_factory=lambda: AttributeSettings(total_steps=4_700)
    )
    attributes_batch: int = 128
    cached_views: int = 3
    text_tuning: TextTuningSettings = field(
        default_factory=lambda: TextTuningSettings(total_steps=1_500)
    )
    text_tuning_batch: int = 256
    described_share: float = 0.25
    mutual: MutualSettings = field(
        default_factory=lambda: MutualSettings(
            total_steps=4_300,
            learning_rate=6e-3,
            cnn_learning_rate=8e-3,
            schedule="cosine",
            warmup_steps=200,
            weight_distillation=0.5,
            temperature=0.04,
            max_gradient_norm=5.0,
        )
    )
    mutual_batch: int = 256
    triplets: int = 240_000
    text_only_share: float = 0.12
    image_only_share: float = 0.05
    comparison_steps: int = 1_000
    comparison_rates: tuple[float, ...] = (1.5e-3, 6e-3)
    mixed_precision: str = "bf16"
    vocabulary_texts: int = 60_000
    ood_items: int = 2_000
    measured_gallery: int = 2_000
    measured_queries: int = 2_000

    @classmethod
    def of(cls, seed: int = 0, share: float = 1.0) -> "CatalogueRecipe":
        """Return the default recipe with a given seed; a `share` below 1 shortens the training.

        `share`, above 0 and at most 1, multiplies the numbers of steps, drawings and triplets.
        """
        stages = ("contrastive", "attributes", "text_tuning", "mutual")
        return scale_recipe(cls(seed=seed), share, stages, counts=("comparison_steps",))


def catalogue_config(word_vocabulary: int, clip_vocabulary: int, eos_token_id: int) -> DWCConfig:
    """Return the configuration of the model that is trained on drawings.

    Its input images have 64 pixels a side, and its embeddings have 256 dimensions in both streams.
    All numbers of channels are powers of two or multiples of 32, because batch norms and
    convolutions with 24 or 48 channels take up to eight times as long per channel on a CPU in
    bfloat16.

    Args:
        word_vocabulary: Number of words in the CNN stream's vocabulary.
        clip_vocabulary: Number of tokens of the CLIP tokenizer.
        eos_token_id: Id of the CLIP tokenizer's end-of-text token.
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


def make_processor(items: list[CatalogueItem], seed: int, vocabulary_texts: int) -> DWCProcessor:
    """Return a processor for drawings (image preprocessor, CLIP tokenizer and word tokenizer).

    The vocabularies of both tokenizers are learned from random texts about the garments.

    Args:
        items: The garments that the texts are about.
        seed: Seed of the random texts.
        vocabulary_texts: Number of texts. Half are descriptions and half are modification texts; a
            modification text may consist of two phrases.
    """
    rng = random.Random(f"{seed}/texts")
    texts: list[str] = []
    for _, target, modification in training_triplets(items, seed, vocabulary_texts // 2):
        texts += modification.captions
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


def train_clip_tokenizer(
    texts: Iterable[str], vocab_size: int, max_tokens: int = 77
) -> CLIPTokenizer:
    """Learn a CLIP tokenizer from texts; the same texts always give the same tokenizer.

    Every byte is a token, so any text can be encoded.

    Args:
        texts: The texts to learn from.
        vocab_size: Maximum size of the vocabulary, at least 514. The vocabulary is smaller if the
            texts contain no more pairs to merge.
        max_tokens: Maximum number of tokens in a text, including the start and end tokens.

    Raises:
        ValueError: `vocab_size` is too small.
    """
    fixed = len(CLIP_BYTE_TOKENS) + len(CLIP_MARKS)
    if vocab_size < fixed:
        raise ValueError(
            f"vocab_size is {vocab_size}; two tokens for each byte and two marks need {fixed}"
        )
    return build_clip_tokenizer(_learn_merges(texts, vocab_size - fixed), max_tokens)


def _learn_merges(texts: Iterable[str], count: int) -> list[tuple[str, str]]:
    # Texts are normalized and split into words as in CLIP's tokenizer, which will encode them.
    clip = CLIPTokenizer().backend_tokenizer
    tokenizer = Tokenizer(BPE(end_of_word_suffix=CLIP_WORD_END))
    tokenizer.normalizer = clip.normalizer
    tokenizer.pre_tokenizer = clip.pre_tokenizer
    trainer = BpeTrainer(
        vocab_size=len(CLIP_BYTE_TOKENS) + count,
        # Token ids decide between equally frequent pairs. Without this fixed list, the trainer
        # numbers the tokens that end words in the order of a randomly seeded hash table.
        special_tokens=[*CLIP_BYTE_TOKENS],
        end_of_word_suffix=CLIP_WORD_END,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges]

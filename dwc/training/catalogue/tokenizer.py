"""Construction of the processor for drawings, with vocabularies learned from texts about them.

The CLIP tokenizer works like the original one: texts are lower-cased and split by byte-level
byte-pair encoding, the last token of a word ends with `</w>`, and each text is enclosed in
`<|startoftext|>` and `<|endoftext|>`.
"""

import json
import random
from collections.abc import Iterable

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from dwc.catalogue.language.description import describe, describe_fully
from dwc.catalogue.splits import CatalogueItem, training_triplets
from dwc.modeling.processing_dwc import (
    CLIP_BYTE_TOKENS,
    CLIP_MARKS,
    CLIP_WORD_END,
    DWCProcessor,
    build_clip_tokenizer,
    build_word_tokenizer,
)
from dwc.training.catalogue.recipe import CLIP_VOCABULARY, MAX_CLIP_TOKENS, MEAN, PICTURE_PX, STD


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

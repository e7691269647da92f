"""The vocabularies of a model trained from scratch: a small CLIP tokenizer learned from texts.

Like CLIP's own: lower-cased byte-level byte-pair encoding, the last piece of a word marked `</w>`,
each text between `<|startoftext|>` and `<|endoftext|>`.
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
    """Make the processor for drawings, with both vocabularies learned from the catalogue's texts.

    Args:
        items: The pool's garments.
        seed: Decides the texts.
        vocabulary_texts: How many texts to learn from, half descriptions, half modification texts.
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
    """Learn a CLIP tokenizer from texts; the same texts give the same tokenizer.

    Every byte is a token, so any text can be encoded.

    Args:
        texts: What to learn from.
        vocab_size: The most tokens, at least 514. There are fewer if the texts hold no more pairs
            to merge: see `len(tokenizer)`.
        max_tokens: The most tokens of a text, start and end included.

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
    # Normalization and word splitting are those of the tokenizer that encodes later.
    clip = CLIPTokenizer().backend_tokenizer
    tokenizer = Tokenizer(BPE(end_of_word_suffix=CLIP_WORD_END))
    tokenizer.normalizer = clip.normalizer
    tokenizer.pre_tokenizer = clip.pre_tokenizer
    trainer = BpeTrainer(
        vocab_size=len(CLIP_BYTE_TOKENS) + count,
        # Ids break ties between equally frequent pairs; without a fixed order the trainer numbers
        # the word-ending pieces in the order of a randomly seeded hash table.
        special_tokens=[*CLIP_BYTE_TOKENS],
        end_of_word_suffix=CLIP_WORD_END,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges]

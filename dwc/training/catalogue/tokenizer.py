"""A small CLIP tokenizer learned from one's own texts.

Of CLIP's form: lower-cased byte-level byte-pair encoding, the last piece of a word marked `</w>`,
each text between `<|startoftext|>` and `<|endoftext|>`.
"""

import json
from collections.abc import Iterable

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer

from dwc.modeling.processing_dwc import (
    CLIP_BYTE_TOKENS,
    CLIP_MARKS,
    CLIP_WORD_END,
    build_clip_tokenizer,
)


def train_clip_tokenizer(
    texts: Iterable[str], vocab_size: int, max_tokens: int = 77
) -> CLIPTokenizer:
    """Learn a CLIP tokenizer of at most `vocab_size` tokens from texts, the same each time.

    All single bytes are tokens, so that any text can be read; hence `vocab_size` is at least 514.
    Fewer tokens come back where the texts hold no more pairs to merge: ask `len(tokenizer)`.
    `max_tokens` is how many tokens a text may have, start and end included.
    """
    fixed = len(CLIP_BYTE_TOKENS) + len(CLIP_MARKS)
    if vocab_size < fixed:
        raise ValueError(
            f"vocab_size is {vocab_size}; every byte, twice, and two marks need {fixed}"
        )
    return build_clip_tokenizer(_learn_merges(texts, vocab_size - fixed), max_tokens)


def _learn_merges(texts: Iterable[str], count: int) -> list[tuple[str, str]]:
    # The text is cut and lowered by the very tokenizer that will read it later.
    form = CLIPTokenizer().backend_tokenizer
    tokenizer = Tokenizer(BPE(end_of_word_suffix=CLIP_WORD_END))
    tokenizer.normalizer = form.normalizer
    tokenizer.pre_tokenizer = form.pre_tokenizer
    trainer = BpeTrainer(
        vocab_size=len(CLIP_BYTE_TOKENS) + count,
        # Ids decide between pairs that are equally frequent, and the trainer would number the
        # word-ending pieces in the order of a randomly seeded hash table.
        special_tokens=[*CLIP_BYTE_TOKENS],
        end_of_word_suffix=CLIP_WORD_END,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges]

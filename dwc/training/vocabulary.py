"""A small CLIP tokenizer learned from one's own texts.

Of CLIP's form: lower-cased byte-level byte-pair encoding, the last piece of a word marked `</w>`,
each text between `<|startoftext|>` and `<|endoftext|>`. Ids are laid out as CLIP's are: the 256
bytes, the 256 bytes that end a word, the merges in the order learned, the two marks.
"""

import json
from collections.abc import Iterable

from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer

WORD_END = "</w>"
START, END = "<|startoftext|>", "<|endoftext|>"


def train_clip_tokenizer(
    texts: Iterable[str], vocab_size: int, max_tokens: int = 77
) -> CLIPTokenizer:
    """Learn a CLIP tokenizer of at most `vocab_size` tokens from texts, the same each time.

    All single bytes are tokens, so that any text can be read; hence `vocab_size` is at least 514.
    Fewer tokens come back where the texts hold no more pairs to merge: ask `len(tokenizer)`.
    `max_tokens` is how many tokens a text may have, start and end included.
    """
    alphabet = _byte_characters()
    pieces = [*alphabet, *(character + WORD_END for character in alphabet)]
    if vocab_size < len(pieces) + 2:
        raise ValueError(
            f"vocab_size is {vocab_size}; every byte, twice, and two marks need {len(pieces) + 2}"
        )
    room = vocab_size - len(pieces) - 2
    merges = _learn_merges(texts, pieces, room)
    merged = dict.fromkeys("".join(pair) for pair in merges)  # two pairs may make one token
    tokens = [*pieces, *merged, START, END]
    return CLIPTokenizer(
        vocab={token: i for i, token in enumerate(tokens)},
        merges=merges,
        model_max_length=max_tokens,
    )


def _byte_characters() -> list[str]:
    """The printable stand-in of each byte, in the order of the characters."""
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def _learn_merges(texts: Iterable[str], pieces: list[str], count: int) -> list[tuple[str, str]]:
    # The text is cut and lowered by the very tokenizer that will read it later.
    form = CLIPTokenizer().backend_tokenizer
    tokenizer = Tokenizer(BPE(end_of_word_suffix=WORD_END))
    tokenizer.normalizer = form.normalizer
    tokenizer.pre_tokenizer = form.pre_tokenizer
    trainer = BpeTrainer(
        vocab_size=len(pieces) + count,
        # Ids decide between pairs that are equally frequent, and the trainer would number the
        # word-ending pieces in the order of a randomly seeded hash table.
        special_tokens=pieces,
        end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges]

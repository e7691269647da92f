"""Merges as OpenAI's file writes them, invented here."""

import itertools

from dwc.modeling.processing_dwc import CLIP_BYTE_TOKENS, CLIP_MARKS

_LETTERS = "etaoinshrdlu"


def merges_text(tokens: int, more: int = 3) -> str:
    """A header and the merges of a vocabulary of so many tokens, and some that it has no room for.

    Pairs of letters, first within a word, then at its end.
    """
    ends = (_LETTERS, [f"{letter}</w>" for letter in _LETTERS])
    pairs = itertools.chain.from_iterable(itertools.product(_LETTERS, end) for end in ends)
    count = tokens - len(CLIP_BYTE_TOKENS) - len(CLIP_MARKS) + more
    lines = [f"{left} {right}" for left, right in itertools.islice(pairs, count)]
    return "\n".join(["#version: 0.2", *lines, ""])

"""A text without one of its words, still written as a person would."""

import string
from typing import NamedTuple

# Of two marks that meet where a word was, the stronger stays.
_MARKS = {",": 1, ";": 2, ":": 2, ".": 3, "!": 3, "?": 3}


class TypedWord(NamedTuple):
    """A word where it was typed: `position` counts words from 0; punctuation is left off."""

    position: int
    word: str


def typed_words(text: str) -> list[TypedWord]:
    """The words of a text: what white space separates and is not punctuation alone."""
    words = [piece.strip(string.punctuation) for piece in text.split()]
    return [TypedWord(position, word) for position, word in enumerate(filter(None, words))]


def leave_out(text: str, position: int) -> str:
    """The text without its word at a position, as `typed_words` counts.

    A mark behind the word (, ; : . ! ?) moves to the word before it, the stronger of two staying;
    quotes and brackets about the word alone go with it, those about several words stay; white
    space becomes single spaces. Empty when no word is left.
    """
    pieces = text.split()
    is_word = [bool(piece.strip(string.punctuation)) for piece in pieces]
    places = [place for place, found in enumerate(is_word) if found]
    if not 0 <= position < len(places):
        raise ValueError(f"the text has {len(places)} words; there is none at {position}.")
    if len(places) == 1:
        return ""
    place = places[position]
    before, piece, after = pieces[:place], pieces[place], pieces[place + 1 :]
    word = piece.strip(string.punctuation)
    opening, _, closing = piece.partition(word)
    opening, closing, mark = _unpaired(opening, closing)
    if opening and after:
        after[0] = opening + after[0]
    if before:
        before[-1] = _end_with(before[-1] + closing, mark)
    return " ".join(before + after)


def _unpaired(opening: str, closing: str) -> tuple[str, str, str]:
    """What stays of the punctuation about a word that goes: opening, closing, and one mark."""
    mark = max((c for c in closing if c in _MARKS), key=_MARKS.__getitem__, default="")
    opens = [c for c in opening if c in '([{"']
    closes = [c for c in closing if c in ')]}"']
    while opens and closes:  # the innermost two belong together
        opens.pop()
        closes.pop(0)
    return "".join(opens), "".join(closes), mark


def _end_with(piece: str, mark: str) -> str:
    """A piece that ends with a mark, in place of a weaker one it had."""
    had = piece[-1] if piece[-1] in _MARKS else ""
    if _MARKS.get(mark, 0) > _MARKS.get(had, 0):
        return piece.removesuffix(had) + mark
    return piece

"""A text without one of its words, still written as a person would.

What each word did: the query once more without it, for every word, in one pass of the model.
"""

import string
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from dwc.errors import QueryError
from dwc.modeling.composition import ComposedQuery
from dwc.search.query import EncodedQuery
from dwc.search.results import shift_to_json
from dwc.search.searcher import Searcher

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


def remove_word(text: str, position: int) -> str:
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


@dataclass(frozen=True)
class WordEffect:
    """What leaving one typed word out takes away.

    `position` counts the typed words from 0, so that a repeated word has its own effects.
    `weight_effect` is, by stream, the image weight with the word less the one without it, in
    [-1, 1]: negative where the word leans the query to the words. `score_effect` is the same for
    the chosen result's score, in [-4, 4] with two streams: positive where the word helps it; None
    where no result was chosen. `unknown` words the word vocabulary lacks: the CNN stream hears all
    of them as the same word, while CLIP reads any word by its pieces.
    """

    position: int
    word: str
    without: str
    weight_effect: dict[str, float]
    score_effect: float | None
    unknown: bool


@dataclass(frozen=True)
class WordEffects:
    """The effects of every typed word, each left out by itself.

    Effects do not add up to the whole: words act together, and of two that say the same neither
    may seem to matter. A text short of a word can also read oddly, which the model never saw.
    `weights` (the image weights, by stream) and `score` are the whole query's.
    """

    words: list[WordEffect]
    weights: dict[str, float]
    id: str | None
    score: float | None
    shift: float

    def to_dict(self) -> dict[str, Any]:
        """Only dicts, lists, numbers and strings; an infinite shift by its name."""
        return {**asdict(self), "shift": shift_to_json(self.shift)}


def ablate_words(
    searcher: Searcher, asked: EncodedQuery, id: str | None = None, shift: float = 0.0
) -> WordEffects:
    """Leave out each typed word of a question asked of this searcher.

    `id` is the result whose score is watched. The only word of a query without picture leaves no
    query; it is not among the effects. Without words there are none. Raises QueryError for an id
    that the gallery lacks, and a shift that is NaN.
    """
    if np.isnan(shift):
        raise QueryError("the shift is not a number. Give 0 for the learned weight.")
    vector = None if id is None else _vector(searcher, id)
    words = typed_words(asked.text)
    texts = [remove_word(asked.text, word.position) for word in words]
    whole = _Seen(asked.encoding.composed.shifted(shift), vector)
    without = None
    if len(words) > 1:
        without = _Seen(searcher.compose_texts(asked.image, texts).shifted(shift), vector)
    elif words and asked.image is not None:
        alone = searcher.encode(asked.image, "")
        without = _Seen(alone.composed.shifted(shift), vector)
    effects = []
    if without is not None:
        effects = [
            _effect(searcher, word, text, whole, without, row)
            for row, (word, text) in enumerate(zip(words, texts, strict=True))
        ]
    return WordEffects(
        words=effects,
        weights={name: float(weights[0]) for name, weights in whole.weights.items()},
        id=id,
        score=None if whole.scores is None else float(whole.scores[0]),
        shift=shift,
    )


class _Seen:
    """The image weights (N) by stream, and the chosen result's scores (N), of N queries."""

    def __init__(self, composed: ComposedQuery, vector: NDArray[np.float32] | None) -> None:
        self.weights = {
            name: stream.image_weight[:, 0].tolist() for name, stream in composed.streams.items()
        }
        self.scores: list[float] | None = None
        if vector is not None:
            embeddings = composed.embedding.float()  # (N, D)
            self.scores = (embeddings @ torch.from_numpy(vector)).tolist()


def _effect(
    searcher: Searcher, word: TypedWord, text: str, whole: _Seen, without: _Seen, row: int
) -> WordEffect:
    score_effect = None
    if whole.scores is not None and without.scores is not None:
        score_effect = whole.scores[0] - without.scores[row]
    return WordEffect(
        position=word.position,
        word=word.word,
        without=text,
        weight_effect={
            name: weights[0] - without.weights[name][row] for name, weights in whole.weights.items()
        },
        score_effect=score_effect,
        unknown=bool(searcher.checkpoint.processor.unknown_words(word.word)),
    )


def _vector(searcher: Searcher, id: str) -> NDArray[np.float32]:
    """The gallery vector (D,) of a picture, a copy."""
    if id not in searcher.store.ids:
        raise QueryError(f"the gallery has no picture {id!r}. Take one that it found.")
    return np.array(searcher.store.vectors[searcher.store.position(id)], dtype=np.float32)

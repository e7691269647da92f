"""What each word did: the query once more without it, for every word, in one pass of the model."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dwc.errors import QueryError
from dwc.modeling.composition import ComposedQuery
from dwc.search.asked import AskedQuery
from dwc.search.leaving_out import TypedWord, leave_out, typed_words
from dwc.search.rank_trace import name_shift
from dwc.search.searcher import Searcher


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
        return {**asdict(self), "shift": name_shift(self.shift)}


def word_effects(
    searcher: Searcher, asked: AskedQuery, id: str | None = None, shift: float = 0.0
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
    texts = [leave_out(asked.text, word.position) for word in words]
    whole = _Seen(asked.encoded.composed.shifted(shift), vector)
    without = None
    if len(words) > 1:
        without = _Seen(searcher.encode_wordings(asked.image, texts).shifted(shift), vector)
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

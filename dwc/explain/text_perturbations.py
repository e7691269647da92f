"""The effects of changes to a query's text: a word is removed, or the text is paraphrased.

`ablate_words` measures the effect of each word on the image weights and on a result's score, by
encoding the query without the word. `probe_paraphrases` measures how the results and the image
weights change if the text is replaced by paraphrases. Both encode all changed texts in one forward
pass of the model.
"""

import math
import string
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, pstdev
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from dwc.errors import QueryError, quote
from dwc.modeling.combiners import ComposedQuery
from dwc.search.query import EncodedQuery
from dwc.search.results import shift_to_json
from dwc.search.searcher import Searcher

# Strength of punctuation marks: if two marks become adjacent, only the stronger one stays.
_MARKS = {",": 1, ";": 2, ":": 2, ".": 3, "!": 3, "?": 3}


class TypedWord(NamedTuple):
    """One of the words that a user typed.

    Attributes:
        position: index of the word among the words of the text, from 0.
        word: the word without punctuation.
    """

    position: int
    word: str


def typed_words(text: str) -> list[TypedWord]:
    """Split a text at white space, and return its words; punctuation alone is not a word."""
    words = [piece.strip(string.punctuation) for piece in text.split()]
    return [TypedWord(position, word) for position, word in enumerate(filter(None, words))]


def remove_word(text: str, position: int) -> str:
    """Return a text without one of its words, with the punctuation adjusted.

    A mark after the removed word (, ; : . ! ?) moves to the word before the removed word. If that
    word already has a mark, the stronger of the two marks remains: commas are weakest, and full
    stops, exclamation marks and question marks are strongest. Quotes and brackets that enclose only
    the removed word are removed; quotes and brackets around several words remain. White space
    becomes single spaces. The result is empty if no word remains.

    Example: "red, long; and (very) wide" without its word 1, "long", becomes
    "red; and (very) wide".

    Args:
        text: the text.
        position: index of the word to remove among the words of the text, from 0.

    Raises:
        ValueError: if the text has no word at this index.
    """
    pieces = text.split()
    is_word = [bool(piece.strip(string.punctuation)) for piece in pieces]
    indices = [index for index, flag in enumerate(is_word) if flag]
    if not 0 <= position < len(indices):
        raise ValueError(f"the text has {len(indices)} words; there is none at {position}.")
    if len(indices) == 1:
        return ""
    index = indices[position]
    before, piece, after = pieces[:index], pieces[index], pieces[index + 1 :]
    word = piece.strip(string.punctuation)
    opening, _, closing = piece.partition(word)
    opening, closing, mark = _unpaired(opening, closing)
    if opening and after:
        after[0] = opening + after[0]
    if before:
        before[-1] = _end_with(before[-1] + closing, mark)
    return " ".join(before + after)


def _unpaired(opening: str, closing: str) -> tuple[str, str, str]:
    """Return the punctuation that stays in a text when a word is removed, in three parts.

    Args:
        opening: the punctuation before the word.
        closing: the punctuation after the word.

    Returns:
        Three strings, each of which may be empty: the opening quotes and brackets that are not
        closed after the word; the closing quotes and brackets that are not opened before the word;
        and the strongest of the marks `, ; : . ! ?` after the word. The comma is the weakest mark.
    """
    mark = max((c for c in closing if c in _MARKS), key=_MARKS.__getitem__, default="")
    opens = [c for c in opening if c in '([{"']
    closes = [c for c in closing if c in ')]}"']
    while opens and closes:  # the innermost two form a pair
        opens.pop()
        closes.pop(0)
    return "".join(opens), "".join(closes), mark


def _end_with(piece: str, mark: str) -> str:
    """Return a word with the punctuation mark `mark` at its end, in place of a weaker mark.

    The word is returned unchanged if it ends with a mark that is at least as strong, or if `mark`
    is empty. The comma is the weakest mark.
    """
    former = piece[-1] if piece[-1] in _MARKS else ""
    if _MARKS.get(mark, 0) > _MARKS.get(former, 0):
        return piece.removesuffix(former) + mark
    return piece


@dataclass(frozen=True)
class WordEffect:
    """The effect of one typed word.

    Attributes:
        position: index of the word among the typed words, from 0. A word that occurs twice has two
            positions and two effects.
        word: the word without punctuation.
        without: the text that remains if the word is removed.
        weight_effect: the image weight of the complete text minus the image weight of the text
            without the word, by the stream's name, in [-1, 1]. It is negative if the word raises
            the weight of the text.
        score_effect: the selected result's score for the complete text minus its score for the text
            without the word. It is positive if the word raises the score. Its range is [-4, 4] for
            a model with two streams. None if no result was selected.
        unknown: whether the word is missing from the word vocabulary. The CNN stream encodes all
            unknown words with the same word vector; CLIP splits any word into pieces of its
            vocabulary.
    """

    position: int
    word: str
    without: str
    weight_effect: dict[str, float]
    score_effect: float | None
    unknown: bool


@dataclass(frozen=True)
class WordEffects:
    """The effects of all typed words on the image weights and on the score of one result.

    Each effect is measured by removing only that word. The effects do not sum to the effect of the
    complete text: words interact, and removing one of two synonyms may change nothing. A text
    without one of its words may also be unlike the texts with which the model was trained.

    Attributes:
        words: the effect of each word, in the order of the text.
        weights: the complete query's image weights, by the stream's name.
        id: the id of the selected result, whose score is explained; None if none was selected.
        score: the selected result's score for the complete query; None if none was selected.
        shift: the number that was added to the logit of every image weight; 0 for the learned
            weights.
    """

    words: list[WordEffect]
    weights: dict[str, float]
    id: str | None
    score: float | None
    shift: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values; an infinite `shift` becomes "inf" or "-inf"."""
        return {**asdict(self), "shift": shift_to_json(self.shift)}


def ablate_words(
    searcher: Searcher, query: EncodedQuery, id: str | None = None, shift: float = 0.0
) -> WordEffects:
    """Compute the effect of each typed word of a query by removing it.

    The result has no effects if the query is a single word without an image, since the query would
    be empty without this word.

    Args:
        searcher: the searcher that encoded the query.
        query: the encoded query.
        id: the id of the selected result, whose score is explained; None to compute only the
            effects on the image weights.
        shift: number added to the logit of every image weight; a positive number raises the
            weights.

    Raises:
        QueryError: if the id is not in the gallery or the shift is NaN.
    """
    if np.isnan(shift):
        raise QueryError("the shift is not a number. Give 0 for the learned weight.")
    vector = None if id is None else _vector(searcher, id)
    words = typed_words(query.text)
    texts = [remove_word(query.text, word.position) for word in words]
    complete = _QueryScores(query.encoding.composed.shifted(shift), vector)
    without = None
    if len(words) > 1:
        excluded = () if query.typed is None else query.typed.excluded
        composed = searcher.compose_texts(query.image, texts, excluded)
        without = _QueryScores(composed.shifted(shift), vector)
    elif words and query.image is not None:
        alone = searcher.encode(query.image, "")
        without = _QueryScores(alone.composed.shifted(shift), vector)
    effects = []
    if without is not None:
        effects = [
            _effect(searcher, word, text, complete, without, row)
            for row, (word, text) in enumerate(zip(words, texts, strict=True))
        ]
    return WordEffects(
        words=effects,
        weights={name: float(weights[0]) for name, weights in complete.weights.items()},
        id=id,
        score=None if complete.scores is None else float(complete.scores[0]),
        shift=shift,
    )


class _QueryScores:
    """The image weights of N queries, and the scores of one gallery image for these queries.

    Attributes:
        weights: the N image weights in [0, 1] of each stream, by the stream's name.
        scores: the N scores of the gallery image; None if no image was given.
    """

    def __init__(self, composed: ComposedQuery, vector: NDArray[np.float32] | None) -> None:
        self.weights = {
            name: stream.image_weight[:, 0].tolist() for name, stream in composed.streams.items()
        }
        self.scores: list[float] | None = None
        if vector is not None:
            embeddings = composed.embedding.float()  # (N, D)
            self.scores = (embeddings @ torch.from_numpy(vector)).tolist()


def _effect(
    searcher: Searcher,
    word: TypedWord,
    text: str,
    complete: _QueryScores,
    without: _QueryScores,
    row: int,
) -> WordEffect:
    score_effect = None
    if complete.scores is not None and without.scores is not None:
        score_effect = complete.scores[0] - without.scores[row]
    return WordEffect(
        position=word.position,
        word=word.word,
        without=text,
        weight_effect={
            name: weights[0] - without.weights[name][row]
            for name, weights in complete.weights.items()
        },
        score_effect=score_effect,
        unknown=bool(searcher.checkpoint.processor.unknown_words(word.word)),
    )


def _vector(searcher: Searcher, id: str) -> NDArray[np.float32]:
    """Return a copy of the vector (D,) of the gallery image with this id.

    Raises:
        QueryError: if the gallery has no image with this id.
    """
    if id not in searcher.store.ids:
        raise QueryError(f"the gallery has no picture {quote(id)}. Take one that it found.")
    return np.array(searcher.store.vectors[searcher.store.position(id)], dtype=np.float32)


@dataclass(frozen=True)
class ParaphraseAnswer:
    """The search results for one text: the query's own text or a paraphrase of it.

    Attributes:
        text: the text.
        image_weights: the image weights in [0, 1], by the stream's name.
        ids: the ids of the results, best first.
        unknown_words: the words of the text that are not in the word vocabulary. If the vocabulary
            has none of the text's content words (all words except words like "with"), the model
            cannot use the text. All words of the text are then listed, even "with".
        notes: messages for the user, such as which part of a long text was cut off.
    """

    text: str
    image_weights: dict[str, float]
    ids: list[str]
    unknown_words: list[str]
    notes: list[str]


@dataclass(frozen=True)
class WeightSpread:
    """The minimum, maximum and standard deviation of a stream's image weights for several texts.

    The texts are a query's own text and its paraphrases.
    """

    least: float
    greatest: float
    deviation: float


@dataclass(frozen=True)
class ParaphraseProbe:
    """The results of several texts with the same meaning.

    Only a person can judge whether the texts really have the same meaning. If many images match a
    query equally well, a low overlap of the results is not an error.

    Attributes:
        wordings: the results of each text; the query's own text is first.
        overlaps: `overlaps[a][b]` is the Jaccard index of the results of texts a and b, in [0, 1]:
            the number of images that both have, divided by the number that at least one has.
        mean_overlap: the mean overlap over all pairs of texts.
        overlap_by_chance: the approximate mean overlap of two result lists of the same length whose
            images are chosen at random.
        weights: how much the image weights differ between the texts, by the stream's name.
        shift: the number that was added to the logit of every image weight; 0 for the learned
            weights.
    """

    wordings: list[ParaphraseAnswer]
    overlaps: list[list[float]]
    mean_overlap: float
    overlap_by_chance: float
    weights: dict[str, WeightSpread]
    shift: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values; an infinite `shift` becomes "inf" or "-inf"."""
        return {**asdict(self), "shift": shift_to_json(self.shift)}


def probe_paraphrases(
    searcher: Searcher,
    query: EncodedQuery,
    wordings: Sequence[str],
    k: int = 10,
    shift: float = 0.0,
) -> ParaphraseProbe:
    """Search with paraphrases of a query's text, and compare the results of all texts in pairs.

    Args:
        searcher: the searcher that encoded the query.
        query: the encoded query, with a text.
        wordings: one or more paraphrases of the query's text.
        k: number of results of each text to compare, 1 or more.
        shift: number added to the logit of every image weight; a positive number raises the
            weights.

    Raises:
        QueryError: if the query has no text, no paraphrase is given, a paraphrase is blank or
            exceeds the model's limit, `k` is below 1, or the shift is NaN.
    """
    if not query.text:
        raise QueryError("the question has no words to put in others. Ask it with words.")
    if k < 1:
        raise QueryError(f"k is {k}; it is the number of results, 1 or more.")
    if math.isnan(shift):
        raise QueryError("the shift is not a number. Give 0 for the learned weight.")
    others = [wording.strip() for wording in wordings]
    again = searcher.compose_texts(query.image, others).shifted(shift)
    sweep = searcher.sweep(query)
    answers: list[ParaphraseAnswer] = []
    texts = [query.text, *others]
    typed = [query.typed or searcher.read_typed(query.text), *map(searcher.read_typed, others)]
    for composed, count in ((query.encoding.composed.shifted(shift), 1), (again, len(others))):
        embeddings = composed.embedding.float().numpy()  # (count, D)
        for row in range(count):
            best = sweep.best(searcher.index.scores(embeddings[row]), k)
            position = len(answers)
            answers.append(
                ParaphraseAnswer(
                    text=texts[position],
                    image_weights={
                        name: float(stream.image_weight[row, 0])
                        for name, stream in composed.streams.items()
                    },
                    ids=[searcher.store.ids[image] for image in best.tolist()],
                    unknown_words=searcher.unknown_words(typed[position]),
                    notes=searcher.text_notes(typed[position], query.image is not None),
                )
            )
    overlaps = [[jaccard(a.ids, b.ids) for b in answers] for a in answers]
    pairs = [overlaps[a][b] for b in range(len(answers)) for a in range(b)]
    ranked = len(sweep)
    return ParaphraseProbe(
        wordings=answers,
        overlaps=overlaps,
        mean_overlap=fmean(pairs),
        overlap_by_chance=min(k, ranked) / (2 * ranked - min(k, ranked)) if ranked else 1.0,
        weights={
            name: _spread([answer.image_weights[name] for answer in answers])
            for name in answers[0].image_weights
        },
        shift=shift,
    )


def jaccard(first: Collection[str], second: Collection[str]) -> float:
    """Return the Jaccard index of two sets, in [0, 1]; it is 1 if both are empty.

    It is the size of the intersection divided by the size of the union.
    """
    union = set(first) | set(second)
    return len(set(first) & set(second)) / len(union) if union else 1.0


def _spread(values: Sequence[float]) -> WeightSpread:
    return WeightSpread(min(values), max(values), pstdev(values))

"""Measurement of how a query's results and image weights change if the text is paraphrased."""

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, pstdev
from typing import Any

from dwc.errors import QueryError
from dwc.search.query import EncodedQuery
from dwc.search.results import shift_to_json
from dwc.search.searcher import Searcher


@dataclass(frozen=True)
class ParaphraseAnswer:
    """The search results for one text: the query's own text or a paraphrase of it.

    Attributes:
        text: the text.
        image_weights: the image weights in [0, 1], by the stream's name.
        ids: the ids of the results, best first.
        unknown_words: the words of the text, after cleaning, that the word vocabulary lacks; all
            words if the model can use none.
        notes: messages for the user, such as which part of a long text was cut off.
    """

    text: str
    image_weights: dict[str, float]
    ids: list[str]
    unknown_words: list[str]
    notes: list[str]


@dataclass(frozen=True)
class WeightSpread:
    """The minimum, maximum and standard deviation of one stream's image weights over all texts."""

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
        overlap_by_chance: approximately the mean overlap of two result lists that are chosen at
            random and have the same length.
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
        """Return the fields as JSON-compatible values; an infinite `shift` becomes a string."""
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
        shift: number added to the logit of every image weight.

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
    overlaps = [[jaccard(one.ids, other.ids) for other in answers] for one in answers]
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


def jaccard(one: Collection[str], other: Collection[str]) -> float:
    """Return the Jaccard index of two sets, in [0, 1]; it is 1 if both are empty.

    It is the size of the intersection divided by the size of the union.
    """
    together = set(one) | set(other)
    return len(set(one) & set(other)) / len(together) if together else 1.0


def _spread(values: Sequence[float]) -> WeightSpread:
    return WeightSpread(min(values), max(values), pstdev(values))

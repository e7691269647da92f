"""How much results and weights change when the text is put in other words."""

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, pstdev
from typing import Any

from dwc.errors import QueryError
from dwc.gallery.exact_search import best_positions
from dwc.search.query import EncodedQuery
from dwc.search.results import shift_to_json
from dwc.search.searcher import Searcher


@dataclass(frozen=True)
class ParaphraseAnswer:
    """The result of one text: image weights by stream, in [0, 1], and the best ids, best first."""

    text: str
    image_weights: dict[str, float]
    ids: list[str]
    unknown_words: list[str]


@dataclass(frozen=True)
class WeightSpread:
    """The range and the standard deviation of values."""

    least: float
    greatest: float
    deviation: float


@dataclass(frozen=True)
class ParaphraseProbe:
    """The results of several texts with the same meaning.

    Whether they mean the same is for a person to judge. Where many images fit equally well, a low
    overlap is no fault.

    Attributes:
        wordings: one for each text, the query's own first.
        overlaps: `overlaps[a][b]` is the Jaccard index of the results of two texts, in [0, 1].
        mean_overlap: the mean over all pairs.
        overlap_by_chance: about that of two random results of the same length.
        weights: the spread of every stream's image weight.
        shift: what was added to the logit of every image weight.
    """

    wordings: list[ParaphraseAnswer]
    overlaps: list[list[float]]
    mean_overlap: float
    overlap_by_chance: float
    weights: dict[str, WeightSpread]
    shift: float

    def to_dict(self) -> dict[str, Any]:
        """Only dicts, lists, numbers and strings; an infinite shift by its name."""
        return {**asdict(self), "shift": shift_to_json(self.shift)}


def probe_paraphrases(
    searcher: Searcher,
    query: EncodedQuery,
    wordings: Sequence[str],
    k: int = 10,
    shift: float = 0.0,
) -> ParaphraseProbe:
    """Search again with other texts, in one pass of the model.

    Args:
        wordings: one or more texts.
        k: how many results are compared, 1 or more.

    Raises:
        QueryError: for a query without text, no or a blank text, one with more words than the model
            reads, a `k` below 1, and a shift that is NaN.
    """
    if not query.text:
        raise QueryError("the question has no words to put in others. Ask it with words.")
    if k < 1:
        raise QueryError(f"k is {k}; it is the number of results, 1 or more.")
    if math.isnan(shift):
        raise QueryError("the shift is not a number. Give 0 for the learned weight.")
    others = [wording.strip() for wording in wordings]
    again = searcher.compose_texts(query.image, others).shifted(shift)
    excluded = searcher.sweep(query).excluded
    answers: list[ParaphraseAnswer] = []
    texts = [query.text, *others]
    for composed, count in ((query.encoding.composed.shifted(shift), 1), (again, len(others))):
        embeddings = composed.embedding.float().numpy()  # (count, D)
        for row in range(count):
            best = best_positions(searcher.index.scores(embeddings[row]), k, excluded)
            text = texts[len(answers)]
            answers.append(
                ParaphraseAnswer(
                    text=text,
                    image_weights={
                        name: float(stream.image_weight[row, 0])
                        for name, stream in composed.streams.items()
                    },
                    ids=[searcher.store.ids[position] for position in best.tolist()],
                    unknown_words=searcher.checkpoint.processor.unknown_words(text),
                )
            )
    overlaps = [[jaccard(one.ids, other.ids) for other in answers] for one in answers]
    pairs = [overlaps[a][b] for b in range(len(answers)) for a in range(b)]
    ranked = len(searcher.store) - len(excluded)
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
    """The Jaccard index of two sets, in [0, 1]; 1 for two empty ones."""
    together = set(one) | set(other)
    return len(set(one) & set(other)) / len(together) if together else 1.0


def _spread(values: Sequence[float]) -> WeightSpread:
    return WeightSpread(min(values), max(values), pstdev(values))

"""The same wish in other words: does the answer stay, and does the weight?"""

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
    """One wording's answer: the image weights by stream, in [0, 1], and the best, best first."""

    text: str
    image_weights: dict[str, float]
    ids: list[str]
    unknown_words: list[str]


@dataclass(frozen=True)
class WeightSpread:
    """How far values lie apart: the least, the greatest, and their standard deviation."""

    least: float
    greatest: float
    deviation: float


@dataclass(frozen=True)
class ParaphraseProbe:
    """Several wordings of one question, the first as asked.

    `overlaps[a][b]` is what the best of two wordings have in common, over all that either has
    (Jaccard), in [0, 1]; `mean_overlap` is over all pairs. `overlap_by_chance` is about what two
    random answers of as many would have. `weights` is the spread of every stream's image weight.

    Whether the wordings mean the same is for a person to judge; where many pictures fit a wish
    alike, a low overlap is no fault.
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
    asked: EncodedQuery,
    wordings: Sequence[str],
    k: int = 10,
    shift: float = 0.0,
) -> ParaphraseProbe:
    """Ask a question of this searcher again in other `wordings`, one or more, in one pass.

    Raises QueryError without words to paraphrase, for no or a blank wording, for one with more
    words than the model reads, for a `k` below 1, and for a shift that is NaN.
    """
    if not asked.text:
        raise QueryError("the question has no words to put in others. Ask it with words.")
    if k < 1:
        raise QueryError(f"k is {k}; it is the number of results, 1 or more.")
    if math.isnan(shift):
        raise QueryError("the shift is not a number. Give 0 for the learned weight.")
    others = [wording.strip() for wording in wordings]
    again = searcher.compose_texts(asked.image, others).shifted(shift)
    excluded = searcher.sweep(asked).excluded
    answers: list[ParaphraseAnswer] = []
    texts = [asked.text, *others]
    for composed, count in ((asked.encoding.composed.shifted(shift), 1), (again, len(others))):
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
    """What two sets have in common, over all that either has, in [0, 1]; 1 for two empty ones."""
    together = set(one) | set(other)
    return len(set(one) & set(other)) / len(together) if together else 1.0


def _spread(values: Sequence[float]) -> WeightSpread:
    return WeightSpread(min(values), max(values), pstdev(values))

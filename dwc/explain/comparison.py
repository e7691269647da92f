"""One question read several ways, side by side: by one part, by the plain mean, by other models."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from dwc.errors import QueryError
from dwc.gallery.exact_search import Vectors, best_positions
from dwc.search.query import EncodedQuery
from dwc.search.results import Weight
from dwc.search.searcher import Searcher
from dwc.search.weight_sweep import VARIANTS, WeightSweep


@dataclass(frozen=True)
class ComparedHit:
    """One picture of a column, and where the model as it is puts it.

    `learned_rank` counts from 1 over the whole gallery; `change` is `learned_rank - rank`, positive
    where the picture stands higher here. Both are None for what that gallery does not rank.
    """

    rank: int
    id: str
    score: float
    learned_rank: int | None
    change: int | None


@dataclass(frozen=True)
class ComparisonColumn:
    """The best of one reading; `shared` is how many of them are among the best as learned, too.

    Scores compare within a column, not between columns.
    """

    name: str
    weights: dict[str, Weight]
    hits: list[ComparedHit]
    shared: int


@dataclass(frozen=True)
class Comparison:
    """Readings of one question: this model's, "learned" the last; other models'; kept ones.

    "picture" and "words" are the edited parts, each of which has looked at the other: they show
    what the weight mixes, not what a search with the picture, or the words, alone would find. A
    reading that the question has nothing for is not there. That a reading finds other pictures does
    not say which finds better ones.
    """

    columns: list[ComparisonColumn]

    def to_dict(self) -> dict[str, Any]:
        """Only dicts, lists, numbers and strings."""
        return asdict(self)


def compare(
    sweep: WeightSweep,
    asked: EncodedQuery,
    k: int = 10,
    others: Mapping[str, Searcher] | None = None,
    kept: Sequence[ComparisonColumn] = (),
) -> Comparison:
    """Show the `k` best of a question by every reading of its `sweep`, a `Searcher.sweep(asked)`.

    `others` are searchers of other checkpoints over the same pictures, by the names of their
    columns; they read the same reference and words anew, and leave out what this one leaves out.
    `kept` are columns of earlier questions, which stay as they are but for their ranks here.
    Raises QueryError for a `k` below 1, another's column that has a reading's name, and what
    another checkpoint cannot be asked.
    """
    if k < 1:
        raise QueryError(f"k is {k}; it is the number of results, 1 or more.")
    others = others or {}
    for name in set(others) & set(VARIANTS):
        raise QueryError(f"{name!r} names a reading; give the other checkpoint another name.")
    home = _home_of(sweep, k)
    columns = []
    for reading in VARIANTS:
        scores, weights = sweep.variant_scores(reading), sweep.variant_weights(reading)
        if scores is not None and weights is not None:
            columns.append(_column(reading, weights, sweep, scores, k, home))
    for name, other in others.items():
        swept = other.sweep(_ask_again(other, asked))
        columns.append(_column(name, swept.weights(), swept, swept.scores(), k, home))
    for column in kept:
        ranks = [home.rank(hit.id) for hit in column.hits]
        hits = [_held(hit, rank) for hit, rank in zip(column.hits, ranks, strict=True)]
        columns.append(replace(column, hits=hits, shared=_shared(hits, home)))
    return Comparison(columns)


class _Home(NamedTuple):
    """The learned reading, to which every column is held."""

    sweep: WeightSweep
    scores: Vectors
    best: set[str]

    def rank(self, id: str) -> int | None:
        try:
            position = self.sweep.position(id)
        except QueryError:  # another gallery may have more, or the reference
            return None
        return self.sweep.rank(self.scores, position)


def learned_column(sweep: WeightSweep, k: int = 10) -> ComparisonColumn:
    """The `k` best of a question as the model is, to be kept and compared with later ones."""
    return _column("learned", sweep.weights(), sweep, sweep.scores(), k, _home_of(sweep, k))


def _home_of(sweep: WeightSweep, k: int) -> _Home:
    return _Home(sweep, sweep.scores(), {sweep.ids[place] for place in sweep.top(0.0, k).tolist()})


def _column(
    name: str, weights: dict[str, Weight], swept: WeightSweep, scores: Vectors, k: int, home: _Home
) -> ComparisonColumn:
    hits = []
    for rank, position in enumerate(best_positions(scores, k, swept.excluded).tolist(), start=1):
        id = swept.ids[position]
        hit = ComparedHit(rank, id, float(scores[position]), None, None)
        hits.append(_held(hit, home.rank(id)))
    return ComparisonColumn(name, weights, hits, _shared(hits, home))


def _held(hit: ComparedHit, learned_rank: int | None) -> ComparedHit:
    change = None if learned_rank is None else learned_rank - hit.rank
    return replace(hit, learned_rank=learned_rank, change=change)


def _shared(hits: Sequence[ComparedHit], home: _Home) -> int:
    return sum(hit.id in home.best for hit in hits)


def _ask_again(other: Searcher, asked: EncodedQuery) -> EncodedQuery:
    by_id = asked.reference_id is not None and asked.reference_id in other.store.ids
    return other.encode_query(
        image=None if by_id else asked.image,
        text=asked.text,
        reference_id=asked.reference_id if by_id else None,
        exclude_reference=bool(asked.excluded),
    )

"""Comparison of several rankings: of one query's variants, of other models, of earlier queries.

A query has up to four variants. They rank the gallery by the image part alone, by the text part
alone, by both parts with equal weights, or by both parts with the learned weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from dwc.errors import QueryError
from dwc.gallery.filters import format_filter
from dwc.gallery.search_index import Vectors
from dwc.search.query import EncodedQuery
from dwc.search.results import Weight
from dwc.search.searcher import Searcher
from dwc.search.weight_sweep import VARIANTS, WeightSweep


@dataclass(frozen=True)
class ComparedHit:
    """One image in a column of a comparison, and its rank with the learned weights.

    A comparison has one column for each ranking, with the best images of the ranking. The learned
    weights are the weights of image and text that the model computes for the query.

    Attributes:
        rank: the image's rank in the column, from 1.
        id: the image's id.
        score: the image's score in the column.
        learned_rank: the image's rank with the learned weights over the whole gallery, from 1; None
            if that ranking does not contain the image.
        change: `learned_rank - rank`: positive if the image is ranked better in the column than
            with the learned weights; None if `learned_rank` is None.
    """

    rank: int
    id: str
    score: float
    learned_rank: int | None
    change: int | None


@dataclass(frozen=True)
class ComparisonColumn:
    """The best images of one ranking, shown as a column of the comparison.

    The ranking is that of a variant of the query, of another model, or of an earlier query. Scores
    are comparable only within a column.

    Attributes:
        name: the name of the variant ("picture", "words", "average" or "learned"), of the other
            model, or of the earlier query.
        weights: the image and text weights of each stream, by the stream's name.
        hits: the images, best first.
        shared: how many of the hits are also among the `k` best images with the learned weights,
            where `k` is the parameter of `compare`.
    """

    name: str
    weights: dict[str, Weight]
    hits: list[ComparedHit]
    shared: int


@dataclass(frozen=True)
class Comparison:
    """Several rankings for one query, each as a column.

    First come the columns of the variants "picture" (image part alone), "words" (text part alone),
    "average" (both with weight 0.5) and "learned" (learned weights). A variant has no column if the
    query lacks the image or the text that the variant needs. Then come the columns of other models
    and of earlier queries.

    Each part is computed from both the image and the text, so the columns "picture" and "words" are
    not the results of a search by image or by text alone. Differences between columns do not show
    which results are better.
    """

    columns: list[ComparisonColumn]

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON-compatible dicts, lists, numbers and strings."""
        return asdict(self)


def compare(
    sweep: WeightSweep,
    query: EncodedQuery,
    k: int = 10,
    others: Mapping[str, Searcher] | None = None,
    saved: Sequence[ComparisonColumn] = (),
) -> Comparison:
    """Compare the best images of a query's variants, of other models and of earlier queries.

    The variants are "picture", "words", "average" and "learned"; `Comparison` describes them.

    Args:
        sweep: the return value of `Searcher.sweep` for the query.
        query: the encoded query.
        k: number of images in each column, 1 or more.
        others: searchers of other checkpoints over the same images, by column name; each searcher
            encodes the same reference and text with its own model.
        saved: columns of earlier queries. The images of these columns stay the same; only the
            comparison with the learned weights is computed again, for this query.

    Raises:
        QueryError: if `k` is below 1, another model has the name of a variant, or another
            checkpoint rejects the query.
    """
    if k < 1:
        raise QueryError(f"k is {k}; it is the number of results, 1 or more.")
    others = others or {}
    for name in set(others) & set(VARIANTS):
        raise QueryError(f"{name!r} names a variant; give the other checkpoint another name.")
    learned = _learned_ranking(sweep, k)
    columns = []
    for variant in VARIANTS:
        scores, weights = sweep.variant_scores(variant), sweep.variant_weights(variant)
        if scores is not None and weights is not None:
            columns.append(_column(variant, weights, sweep, scores, k, learned))
    for name, other in others.items():
        other_sweep = other.sweep(_encode_again(other, query))
        columns.append(
            _column(name, other_sweep.weights(), other_sweep, other_sweep.scores(), k, learned)
        )
    for column in saved:
        ranks = [learned.rank(hit.id) for hit in column.hits]
        hits = [_with_change(hit, rank) for hit, rank in zip(column.hits, ranks, strict=True)]
        columns.append(replace(column, hits=hits, shared=_shared(hits, learned)))
    return Comparison(columns)


class _LearnedRanking(NamedTuple):
    """The ranking with the weights that the model computes for the query (learned weights).

    `compare` compares every other ranking with this one.

    Attributes:
        sweep: the object that computes the query's scores at any image weight.
        scores: the score of each gallery image with the learned weights.
        best: the ids of the `k` best images, where `k` is the parameter of `compare`.
    """

    sweep: WeightSweep
    scores: Vectors
    best: set[str]

    def rank(self, id: str) -> int | None:
        try:
            position = self.sweep.position(id)
        except QueryError:  # the image is not in this gallery, or is the excluded reference
            return None
        return self.sweep.rank(self.scores, position)


def learned_column(sweep: WeightSweep, k: int = 10) -> ComparisonColumn:
    """Return a column named "learned", with the `k` best images by the learned weights.

    Later queries can be compared with this column; see the parameter `saved` of `compare`.
    """
    return _column("learned", sweep.weights(), sweep, sweep.scores(), k, _learned_ranking(sweep, k))


def _learned_ranking(sweep: WeightSweep, k: int) -> _LearnedRanking:
    return _LearnedRanking(
        sweep, sweep.scores(), {sweep.ids[position] for position in sweep.top(0.0, k).tolist()}
    )


def _column(
    name: str,
    weights: dict[str, Weight],
    other_sweep: WeightSweep,
    scores: Vectors,
    k: int,
    learned: _LearnedRanking,
) -> ComparisonColumn:
    hits = []
    for rank, position in enumerate(other_sweep.best(scores, k).tolist(), start=1):
        id = other_sweep.ids[position]
        hit = ComparedHit(rank, id, float(scores[position]), None, None)
        hits.append(_with_change(hit, learned.rank(id)))
    return ComparisonColumn(name, weights, hits, _shared(hits, learned))


def _with_change(hit: ComparedHit, learned_rank: int | None) -> ComparedHit:
    change = None if learned_rank is None else learned_rank - hit.rank
    return replace(hit, learned_rank=learned_rank, change=change)


def _shared(hits: Sequence[ComparedHit], learned: _LearnedRanking) -> int:
    return sum(hit.id in learned.best for hit in hits)


def _encode_again(other: Searcher, query: EncodedQuery) -> EncodedQuery:
    by_id = query.reference_id is not None and query.reference_id in other.store.ids
    return other.encode_query(
        image=None if by_id else query.image,
        text=query.text,
        reference_id=query.reference_id if by_id else None,
        exclude_reference=query.exclude_reference,
        filter=format_filter(query.filter),
    )

"""Metrics against naive rankers, ties included."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwc.evaluation.metrics import (
    NEVER,
    average_ranks,
    first_hit_rank,
    recall_at,
    recalls,
    spearman,
)

small_scores = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


@pytest.mark.slow
@given(small_scores, st.data())
def test_first_hit_rank_is_that_of_a_pessimistic_sort(
    scores: list[int], data: st.DataObject
) -> None:
    hits = data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)))
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], hits[i]))
    expected = next((rank for rank, i in enumerate(order, 1) if hits[i]), NEVER)
    assert first_hit_rank(np.array(scores, dtype=float), np.array(hits)) == expected


def test_equal_scores_find_nothing() -> None:
    hits = np.zeros(100, dtype=bool)
    hits[0] = True
    assert first_hit_rank(np.zeros(100), hits) == 100


@pytest.mark.parametrize("size", [1, 5])
def test_what_is_not_there_is_not_among_any_first(size: int) -> None:
    rank = first_hit_rank(np.arange(size, dtype=float), np.zeros(size, dtype=bool))
    assert recall_at([rank], 50) == 0


def test_scores_that_are_no_numbers_find_nothing() -> None:
    nan, hit = float("nan"), np.array([True, False, False, False])
    assert first_hit_rank(np.full(4, nan), hit) == 4
    assert first_hit_rank(np.array([nan, 3, 2, -np.inf]), hit) == 4
    assert first_hit_rank(np.array([2, nan, 1, 3]), hit) == 3
    assert first_hit_rank(np.array([nan, 5, 1, 3]), np.array([True, True, False, False])) == 1


def test_recall() -> None:
    assert recall_at([1, 2, 10, 11], 10) == 0.75
    assert recalls([1, 2, 10, 60]) == {"recall@1": 0.25, "recall@10": 0.75, "recall@50": 0.75}
    assert np.isnan(recall_at([], 1))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=15))
def test_average_ranks_share_ties(values: list[int]) -> None:
    ranks = average_ranks(values)
    for value, rank in zip(values, ranks, strict=True):
        below, equal = sum(v < value for v in values), sum(v == value for v in values)
        assert rank == pytest.approx(below + (equal + 1) / 2)


def test_spearman() -> None:
    rising = np.arange(20)
    assert spearman(rising, np.exp(rising / 4)) == pytest.approx(1)
    assert spearman(rising, -rising) == pytest.approx(-1)
    assert np.isnan(spearman(rising, np.ones(20)))
    # By the textbook formula 1 - 6 sum d^2 / n(n^2 - 1), without ties.
    a, b = [1, 2, 3, 4, 5], [2, 1, 4, 3, 5]
    assert spearman(a, b) == pytest.approx(1 - 6 * 4 / (5 * 24))

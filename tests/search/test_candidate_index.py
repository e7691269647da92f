"""Searching with an index that proposes candidates: the same answers, if it proposes the best."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from dwc.gallery.search_index import best_positions
from dwc.search import weight_sweep
from dwc.search.results import NearDuplicates
from dwc.search.weight_sweep import WeightSweep
from tests.search.made import made_gallery, made_query

SHIFTS = [-math.inf, -2.0, 0.0, 0.5, math.inf]


class ListedIndex:
    """An index that proposes the `extra` images more than needed that are best by exact search."""

    name, recall = "listed", 1.0

    def __init__(self, vectors, extra=20):
        self.vectors, self.extra, self.calls = vectors, extra, []

    def candidates(self, query, k, selected=None, condition=None):
        self.calls.append(SimpleNamespace(k=k, selected=selected, condition=condition))
        return best_positions(self.vectors @ query, k + self.extra, (), selected)[::-1]


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    monkeypatch.setattr(weight_sweep, "_FEW_SELECTED", 30)


@pytest.fixture
def gallery():
    return made_gallery(2_000)


@pytest.fixture
def unread(monkeypatch):
    """Fails the test if the dot products of all vectors are computed."""

    def of_all(self):
        raise AssertionError("all vectors are read")

    return lambda: monkeypatch.setattr(weight_sweep._DotProducts, "of_all", of_all)


def both(gallery, **options):
    vectors, ids = gallery
    index = ListedIndex(vectors)
    return (
        WeightSweep(made_query(), vectors, ids, index=index, **options),
        WeightSweep(made_query(), vectors, ids, **options),
        index,
    )


def same_hits(hits, expected):
    assert [hit.id for hit in hits] == [hit.id for hit in expected]
    for hit, other in zip(hits, expected, strict=True):
        assert hit.score == pytest.approx(other.score, abs=1e-6)
        assert hit.parts == pytest.approx(other.parts, abs=1e-6)
        assert hit.percentile == pytest.approx(other.percentile, abs=1e-9)
        assert (hit.rank, hit.near_duplicates) == (other.rank, other.near_duplicates)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("selects", [False, True])
def test_hits_are_those_of_exact_search_and_only_candidates_are_read(
    gallery, unread, shift, selects
):
    selected = np.random.default_rng(1).random(2_000) < 0.3 if selects else None
    swift, exact, index = both(gallery, selected=selected, excluded=[3, 17])
    expected = exact.hits(shift, 25)
    unread()
    same_hits(swift.hits(shift, 25), expected)
    assert swift.top(shift, 25).tolist() == [swift.ids.index(hit.id) for hit in expected]
    assert swift.split([5, 9], shift)[1] == pytest.approx(exact.parts(9, shift), abs=1e-6)
    assert index.calls[0].k == 27  # two may be lost to the exclusion
    assert (index.calls[0].selected is not None) == selects


def test_exclusions_made_later_are_left_out(gallery):
    swift, exact, _ = both(gallery)
    best = exact.top(0.0, 4).tolist()
    same_hits(swift.excluding(best[:3]).hits(0.0, 5), exact.excluding(best[:3]).hits(0.0, 5))
    assert swift.top(0.0, 1).tolist() == best[:1]


def test_near_duplicates_are_hidden_alike(gallery, unread):
    vectors, ids = gallery
    vectors = np.concatenate([vectors, vectors[:900] + 1e-4])
    ids = [*ids, *(f"copy{n}" for n in range(900))]
    swift, exact, index = both((vectors, ids))
    duplicates = NearDuplicates(vectors, ids)
    expected = exact.hits(0.0, 40, duplicates)
    assert any(hit.near_duplicates for hit in expected)
    unread()
    same_hits(swift.hits(0.0, 40, duplicates), expected)
    assert [call.k for call in index.calls] == [80]


def test_few_selected_images_are_all_read(gallery, unread):
    selected = np.zeros(2_000, dtype=bool)
    selected[[4, 90, 1_500]] = True
    swift, exact, index = both(gallery, selected=selected, excluded=[90])
    expected = exact.hits(0.0, 12)
    unread()
    same_hits(swift.hits(0.0, 12), expected)
    assert index.calls == []


@pytest.mark.parametrize("case", ["many requested", "too few proposed", "nothing selected"])
def test_what_an_index_cannot_answer_is_searched_exactly(gallery, case):
    selected = np.zeros(2_000, dtype=bool) if case == "nothing selected" else None
    swift, exact, index = both(gallery, selected=selected)
    k = 500 if case == "many requested" else 30
    if case == "too few proposed":
        index.extra = -1
    same_hits(swift.hits(0.0, k), exact.hits(0.0, k))
    assert len(index.calls) == (case == "too few proposed")


def test_scores_of_all_images_are_exact(gallery):
    swift, exact, _ = both(gallery, excluded=[3])
    assert swift.scores(0.5) == pytest.approx(exact.scores(0.5), abs=1e-6)
    assert swift.variant_scores("words") == pytest.approx(exact.variant_scores("words"), abs=1e-6)
    trace, expected = swift.rank_trace(k=5), exact.rank_trace(k=5)
    assert trace.to_dict() == expected.to_dict()
    position = swift.position("g8")
    assert swift.rank(swift.scores(), position) == exact.rank(exact.scores(), position)


def test_a_missed_image_shifts_the_ranks_and_nothing_else(gallery):
    """The recall of the index is all that differs."""
    vectors, ids = gallery
    exact = WeightSweep(made_query(), vectors, ids)
    missed = exact.top(0.0, 3)[1]

    class Forgetful(ListedIndex):
        def candidates(self, *arguments):
            proposed = super().candidates(*arguments)
            return proposed[proposed != missed]

    swift = WeightSweep(made_query(), vectors, ids, index=Forgetful(vectors))
    expected = exact.excluding([missed]).hits(0.0, 12)
    hits = swift.hits(0.0, 12)
    assert [hit.id for hit in hits] == [hit.id for hit in expected]
    assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in expected], abs=1e-6)


def test_a_trace_ranks_all_images_without_the_index(gallery):
    """It is that of exact search even if the index misses images, and asks the index nothing."""
    vectors, ids = gallery
    index = ListedIndex(vectors, extra=0)
    index.candidates = lambda *arguments: pytest.fail("the index is used")
    sweep = WeightSweep(made_query(), vectors, ids, excluded=[3], index=index)
    exact = WeightSweep(made_query(), vectors, ids, excluded=[3])
    assert sweep.rank_trace(k=4, limit=30) == exact.rank_trace(k=4, limit=30)

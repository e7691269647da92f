"""What the browser keeps of a search, how an answer is changed, and how it is repeated."""

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from dwc.search.results import NearDuplicates
from dwc.ui.history import HistoryQuery, SearchHistory, WeightShift
from dwc.ui.state import (
    MAX_HITS_FOLDED,
    MAX_RESULTS_SHOWN,
    SearchRequest,
    reweighted,
    select_hit,
    with_folding,
    with_more,
)
from tests.ui.fakes import RandomSearcher
from tests.ui.searching import search


@pytest.fixture
def state(searcher, pictures):
    return search(searcher, pictures, pictures.ids[3], "is blue")


def ids(state):
    return [hit.id for hit in state.result.hits]


@pytest.mark.parametrize("shift", [0.0, -1.5, math.inf, -math.inf])
def test_a_browser_keeps_a_request_as_json(shift):
    request = SearchRequest("is blue", None, "/tmp/cat.png", "two", shift, 36, True, "p-0001")
    kept = json.loads(json.dumps(request.to_dict(), allow_nan=False))
    assert SearchRequest.from_dict(kept) == request


@pytest.mark.parametrize(
    "changes",
    [
        {"words": None}, {"count": 0}, {"count": MAX_RESULTS_SHOWN + 1}, {"count": True},
        {"count": "12"}, {"shift": "left"}, {"shift": "nan"}, {"folded": 1}, {"upload": 3},
        {"reference_id": "p-0001", "upload": "/tmp/cat.png"}, {"selected": []},
        {"upload": "x" * 5000}, {"reference_id": "x" * 5000}, {"filter": "x" * 5000},
    ],
)  # fmt: skip
def test_what_no_page_sends_is_no_request(changes):
    assert SearchRequest.from_dict({**SearchRequest("blue").to_dict(), **changes}) is None


@pytest.mark.parametrize("content", [None, [], "blue", 3, {}, {"words": "blue"}])
def test_other_json_is_no_request(content):
    assert SearchRequest.from_dict(content) is None
    assert SearchHistory.from_dict(content) == SearchHistory()


def test_a_browser_keeps_a_history_as_json():
    history = SearchHistory()
    for words, shift in (("a", 0.0), ("b", math.inf), ("c", -2.0)):
        history = history.search(HistoryQuery(words, "p-0001"), WeightShift(shift, 0.5))
    history = history.back_to(1).search(HistoryQuery("d", None, "/x"), WeightShift(0.0, 1.0))
    kept = json.loads(json.dumps(history.to_dict(), allow_nan=False))
    assert SearchHistory.from_dict(kept) == history


@pytest.mark.parametrize(
    "change",
    [
        {"current": 9}, {"current": None}, {"steps": []}, {"steps": [1]}, {"number": 0},
        {"parent": 7}, {"number": "1"}, {"query": {"words": 3}},
        {"query": {"words": "a", "x": "y"}},
        {"weight_shift": {"shift": "nan", "image_weight": 0.5}},
        {"weight_shift": {"shift": 0, "image_weight": 2}},
    ],
)  # fmt: skip
def test_what_is_no_tree_is_no_history(change):
    history = SearchHistory().search(HistoryQuery("a"), WeightShift(0.0, 0.5))
    content = history.to_dict()
    for name, value in change.items():
        (content if name in content else content["steps"][0])[name] = value
    assert SearchHistory.from_dict(content) == SearchHistory()


def test_a_query_is_found_again_in_the_history():
    history = SearchHistory()
    for words in "aba":
        history = history.search(HistoryQuery(words), WeightShift(0.0, 0.5))
    assert history.back_to_query(HistoryQuery("a"), 1).current == 1
    assert history.back_to_query(HistoryQuery("a"), 2).current == 3  # another query's number
    assert history.back_to_query(HistoryQuery("b")).current == 2
    assert history.back_to_query(HistoryQuery("c")) is None


def test_a_repeated_request_gives_the_same_answer(searcher, pictures, state):
    changed = select_hit(with_more(reweighted(state, -1.25)), ids(state)[4])
    request = SearchRequest.from_dict(changed.request.to_dict())
    values = {name: value for name, value in request.to_dict().items() if name != "shift"}
    repeated = search(searcher, pictures, **values, shift=request.shift)
    assert repeated.request == changed.request
    assert repeated.result.hits == changed.result.hits
    assert repeated.result.weights == changed.result.weights
    assert repeated.selected_hit == changed.selected_hit


def test_visitors_share_what_never_changes(state):
    assert copy.deepcopy(state) is state


def copies(ids, groups):
    """A searcher over images of which each group shows one motif."""
    searcher = RandomSearcher(ids)
    for group in groups:
        searcher.vectors[group] = searcher.vectors[group[0]]
    searcher.near_duplicates = NearDuplicates(searcher.vectors, ids)
    return searcher


def visible(state):
    return [hit.id for hit in state.visible_result.hits]


def test_a_folded_page_is_refilled(pictures):
    """One motif saved fourteen times: folded, the page still has twelve results."""
    searcher = copies(list(pictures.ids), [list(range(4, 18))])
    state = search(searcher, pictures, None, "is blue")
    folded = with_folding(state, True)
    assert len(visible(folded)) == 12
    alike = {pictures.ids[n] for n in range(4, 18)}
    assert len(alike & set(visible(folded))) <= 1
    ranks = [hit.rank for hit in folded.result.hits]
    assert ranks == list(range(1, len(ranks) + 1))  # nothing between was skipped
    assert with_folding(folded, False).result.hits == state.result.hits
    further = with_more(folded)
    assert len(visible(further)) == 30 - 13  # all there are
    assert visible(further)[:12] == visible(folded)
    assert with_more(further) is None


def test_a_new_search_and_another_weight_stay_folded(pictures):
    searcher = copies(list(pictures.ids), [list(range(4, 18))])
    state = search(searcher, pictures, pictures.ids[2], "is blue", folded=True)
    assert len(visible(state)) == 12
    moved = reweighted(state, 2.0)
    assert len(visible(moved)) == 12
    assert (
        moved.result.hits
        == search(
            searcher, pictures, pictures.ids[2], "is blue", folded=True, shift=2.0
        ).result.hits
    )


def test_refilling_ends(tmp_path):
    ids = [f"p-{n:04d}" for n in range(500)]
    searcher = copies(ids, [list(range(500))])
    state = search(searcher, _Images(ids), None, "is blue", folded=True)
    assert len(state.result.hits) == MAX_HITS_FOLDED
    assert len(visible(state)) == 1
    assert np.allclose(searcher.vectors[0], searcher.vectors[499])


class _Images:
    def __init__(self, ids):
        self.ids = ids


def test_an_exported_answer_has_what_is_visible(pictures):
    best = search(RandomSearcher(list(pictures.ids)), pictures, None, "is blue").result.hits
    motif = [pictures.ids.index(hit.id) for hit in best[:3]]
    folded = search(copies(list(pictures.ids), [motif]), pictures, None, "is blue", folded=True)
    assert replace(folded.visible_result, hits=[]) == replace(folded.result, hits=[])
    assert len(folded.visible_result.hits) == 12 < len(folded.result.hits)

"""Results beyond the first twelve, and look-alikes among them."""

import pytest

from dwc.search.results import DuplicateGroups
from dwc.ui.panels.results import describe_duplicates, render_more, render_results
from dwc.ui.state import MAX_RESULTS_SHOWN, MORE_RESULTS, reweighted, with_more
from tests.ui.reading import read
from tests.ui.searching import search


@pytest.fixture
def standing(searcher, pictures):
    return search(searcher, pictures, pictures.ids[3], "is blue")


def ids(standing):
    return [hit.id for hit in standing.result.hits]


def test_more_goes_on_where_the_answer_stood_and_ends_with_the_gallery(searcher, standing):
    for shift in (0.0, 1.5):
        at = reweighted(standing, shift)
        while (further := with_more(at)) is not None:
            assert ids(further)[: len(ids(at))] == ids(at)
            assert len(ids(further)) in (len(ids(at)) + MORE_RESULTS, 29)
            at = further
        everything = searcher.answer(standing.query, 100, shift).hits
        assert at.result.hits == everything
        assert len(everything) == 29  # all but the reference


def test_further_results_have_exact_parts_and_stay_when_leaned(searcher, standing):
    further = with_more(standing)
    for hit in further.result.hits:
        assert sum(hit.parts.values()) == pytest.approx(hit.score, abs=1e-5)
    moved = reweighted(further, -2.0)
    assert moved.result.hits == searcher.answer(standing.query, 2 * MORE_RESULTS, -2.0).hits


@pytest.mark.parametrize(
    ("shown", "ranked", "offered", "told"),
    [
        (12, 1999, 12, "12 of 1,999 shown"),
        (24, 29, 5, "24 of 29 shown"),
        (29, 29, 0, "29 of 29 shown."),
        (MAX_RESULTS_SHOWN, 1999, 0, "ask otherwise"),
        (MAX_RESULTS_SHOWN - 3, 1999, 3, f"{MAX_RESULTS_SHOWN - 3} of 1,999 shown"),
    ],
)
def test_the_button_offers_what_there_is(shown, ranked, offered, told):
    tree = read(render_more(shown, ranked))
    assert [b.full_text() for b in tree.all("button")] == [f"Show {offered} more"] * bool(offered)
    assert told in tree.one(cls="hint").full_text()


def test_look_alikes_are_marked_with_what_they_look_like(standing, pictures):
    hits = standing.result.hits
    under = [None, 0, None, 0, 2] + [None] * (len(hits) - 5)
    folds = DuplicateGroups(under, threshold=0.953, median_cosine=-0.06)
    tree = read(render_results(standing.result, pictures, len(standing.sweep), folds))
    cards = tree.all(cls="card")
    assert [card.attributes.get("data-under") for card in cards][:5] == [None, "1", None, "1", "3"]
    assert [card.attributes["data-rank"] for card in cards] == [f"{h.rank}" for h in hits]
    unfolding = {b.attributes["data-rank"]: b.full_text() for b in tree.all(cls="alike")}
    assert unfolding == {"1": "+2 look-alikes of result 1", "3": "+1 look-alike of result 3"}
    assert all(b.attributes["aria-expanded"] == "false" for b in tree.all(cls="alike"))
    told = tree.one("ol").attributes["data-alike"]
    assert told.startswith("3 of these 12 are look-alikes, folded under the better one.")
    assert "at least 0.953" in told
    assert "−0.06 is usual" in told
    # Hidden or not, every card is whole: its parts, its score, its way on.
    assert [len(card.all(cls="part")) for card in cards] == [4] * len(hits)


def test_folds_are_told_as_many_as_they_are():
    assert describe_duplicates(DuplicateGroups([None, None], 0.95, 0.1)).startswith(
        "None of these 2 looks nearly"
    )
    assert describe_duplicates(DuplicateGroups([None, 0], 0.95, 0.1)).startswith(
        "1 of these 2 is a look-alike,"
    )


def test_without_folds_and_count_there_is_neither_switch_nor_more(standing, pictures):
    tree = read(render_results(standing.result, pictures))
    assert tree.all(cls="alike") == tree.all(cls="more") == []
    assert "data-alike" not in tree.one("ol").attributes

"""The history of a visit: its tree, and the strip that shows it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwc.ui.history import (
    MAX_STEPS,
    HistoryQuery,
    SearchHistory,
    WeightShift,
    deleted_message,
    image_exists,
    render_history,
)
from tests.ui.reading import read

LEAN = WeightShift(0.0, 0.6)


def asked(*words, trail=None):
    trail = trail or SearchHistory()
    for each in words:
        trail = trail.search(HistoryQuery(each), LEAN)
    return trail


def drawn(trail):
    """The lines as (column, up, words)."""
    return [
        (line.column, line.up, " ".join(step.query.words for step in line.steps))
        for line in trail.rows()
    ]


def test_a_way_is_a_line():
    trail = asked("a", "b", "c")
    assert drawn(trail) == [(0, 0, "a b c")]
    assert trail.current_step.query.words == "c"
    assert drawn(SearchHistory()) == []
    assert SearchHistory().current_step is None


def test_going_back_keeps_what_was_ahead():
    trail = asked("a", "b", "c").back_to(1)
    assert trail.current_step.query.words == "a"
    assert drawn(trail) == [(0, 0, "a b c")]


def test_asking_something_else_leaves_the_old_branch_below():
    trail = asked("d", "e", trail=asked("a", "b", "c").back_to(1))
    assert drawn(trail) == [(0, 0, "a d e"), (1, 1, "b c")]
    assert trail.current_step.query.words == "e"
    assert drawn(trail.back_to(2)) == [(0, 0, "a b c"), (1, 1, "d e")]


def test_branches_furthest_along_come_first_and_know_their_parents_line():
    trail = asked("a", "b", "c")
    trail = asked("d", trail=trail.back_to(1))
    trail = asked("e", trail=trail.back_to(2))
    assert drawn(trail) == [(0, 0, "a b e"), (2, 1, "c"), (1, 2, "d")]


def test_the_same_question_again_is_no_new_step():
    trail = asked("a", "b", "b")
    assert len(trail.steps) == 2
    again = trail.back_to(1).search(HistoryQuery("b"), WeightShift(1.0, 0.8))
    assert len(again.steps) == 2
    assert again.current_step.weight_shift == WeightShift(1.0, 0.8)
    assert trail.steps[1].weight_shift == LEAN  # the old one is as it was


def test_where_the_visit_stands_can_be_leaned():
    trail = asked("a", "b").back_to(1).reweighted(WeightShift(-2.0, 0.1))
    assert [step.weight_shift.shift for step in trail.steps] == [-2.0, 0.0]


@pytest.mark.parametrize("number", [0, 3, -1, "1", None, True, 1.5, [1]])
def test_a_step_that_there_is_not_is_not_gone_to(number):
    assert asked("a", "b").back_to(number) is None


asks = st.tuples(st.just("ask"), st.integers(0, 6))
returns = st.tuples(st.just("back"), st.floats(0, 1))
moves = st.lists(st.one_of(asks, returns), max_size=80)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(moves)
def test_whatever_is_done_the_tree_is_whole_bounded_and_drawn_once(done):
    trail = SearchHistory()
    for kind, value in done:
        if kind == "ask":
            trail = trail.search(HistoryQuery(f"{value}"), LEAN)
            assert trail.current_step.query.words == f"{value}"
        elif trail.steps:
            step = trail.steps[round(value * (len(trail.steps) - 1))]
            trail = trail.back_to(step.number)
            assert trail.current_step == step
    numbers = [step.number for step in trail.steps]
    assert numbers == sorted(set(numbers))
    assert len(numbers) <= MAX_STEPS
    assert sum(step.parent is None for step in trail.steps) == (1 if trail.steps else 0)
    lines = trail.rows()
    assert sorted(step.number for line in lines for step in line.steps) == numbers
    if not lines:
        return
    assert trail.current in {step.number for step in lines[0].steps}
    taken = set()
    column = {}
    for row, line in enumerate(lines):
        for place, step in enumerate(line.steps, start=line.column):
            column[step.number] = (row, place)
            taken.add((row, place))
    for row, line in enumerate(lines):
        for before, after in zip(line.steps, line.steps[1:], strict=False):
            assert after.parent == before.number
        if row:
            parent_row, parent_column = column[line.steps[0].parent]
            assert (parent_row, parent_column) == (row - line.up, line.column - 1)
            # The connection runs down right of the parent: no line between lies across it.
            for between in range(parent_row + 1, row):
                assert not {(between, c) for c in range(line.column)} & taken


def test_what_was_left_aside_is_forgotten_first_and_then_the_beginning():
    trail = asked(*"abc")
    trail = asked("d", trail=trail.back_to(1))
    trail = asked(*(f"x{n}" for n in range(MAX_STEPS - 3)), trail=trail)
    assert "c" not in {step.query.words for step in trail.steps}
    assert "b" in {step.query.words for step in trail.steps}
    trail = asked("y", "z", trail=trail)
    words = [step.query.words for step in trail.steps]
    assert words[0] == "d"
    assert words[-1] == "z"
    assert trail.steps[0].parent is None
    assert trail.back_to(1) is None  # told as gone, not another step's number


EVIL = '<img src=x onerror="alert(1)">'
MINUTES = 10


def way(pictures, upload=None):
    """Three steps, back to the first, and another: the second and third are left aside."""
    trail = SearchHistory().search(HistoryQuery("is blue", pictures.ids[2]), WeightShift(0.0, 0.69))
    trail = trail.search(HistoryQuery("longer", pictures.ids[5]), WeightShift(1.2, 0.9))
    trail = trail.search(HistoryQuery("", upload=upload), WeightShift(0.0, 1.0)).back_to(1)
    return trail.search(HistoryQuery(EVIL), WeightShift(0.0, 0.0))


def stops(tree):
    return {
        int(stop.one("button").attributes["data-step"]): stop for stop in tree.all("li", cls="stop")
    }


def test_nothing_asked_has_no_way(pictures):
    assert render_history(SearchHistory(), pictures, MINUTES) == ""


def test_a_step_shows_its_picture_its_words_and_its_weight(pictures):
    shown = stops(read(render_history(way(pictures), pictures, MINUTES)))
    first = shown[1]
    assert first.one("img").attributes["src"].endswith(f"{pictures.ids[2]}.png")
    assert first.one(cls="said").full_text() == "is blue"
    assert first.one("i").style("width") == "69%"
    label = first.one("button").attributes["aria-label"]
    assert label == (
        f"Step 1: like colour <{pictures.ids[2]}>; “is blue”; picture 69 %, words 31 %"
    )
    assert "leaned to picture 90 %, words 10 %" in shown[2].one("button").attributes["aria-label"]
    assert shown[2].one("button").attributes["aria-label"].startswith("Step 2, after step 1:")
    assert shown[4].one(cls="no-picture").full_text() == "words only"
    assert shown[3].one(cls="said").full_text() == "more like this"


def test_steps_name_their_models_if_there_are_several(pictures):
    """Their weights are not comparable, and a step looked like the other model's."""
    history = SearchHistory()
    for words, model in (("a", "dwc"), ("b", "dwc"), ("b", "progressive")):
        history = history.search(HistoryQuery(words, model=model), WeightShift(0.0, 0.5))
    assert len(history.steps) == 3
    shown = stops(read(render_history(history, pictures, MINUTES)))
    assert shown[3].one(cls="said").full_text() == "b; by progressive"
    assert "answered by dwc" in shown[2].one("button").attributes["aria-label"]
    single = SearchHistory().search(HistoryQuery("a", model="dwc"), WeightShift(0.0, 0.5))
    assert "dwc" not in render_history(single, pictures, MINUTES)


def test_where_one_stands_is_marked_and_what_was_left_lies_below(pictures):
    shown = stops(read(render_history(way(pictures), pictures, MINUTES)))
    here = [n for n, stop in shown.items() if "aria-current" in stop.one("button").attributes]
    assert here == [4]
    places = {n: (s.style("grid-row"), s.style("grid-column")) for n, s in shown.items()}
    assert places == {1: ("1", "1"), 4: ("1", "2"), 2: ("2", "2"), 3: ("2", "3")}
    assert [n for n, stop in shown.items() if "aside" in stop.classes()] == [2, 3]
    assert [n for n, stop in shown.items() if "branch" in stop.classes()] == [2]
    assert shown[2].style("--up") == "1"
    assert shown[2].one("button").attributes["aria-label"].endswith("left aside")


def test_an_upload_is_shown_while_it_is_kept_and_said_to_be_deleted_after(pictures, uploads):
    upload = uploads / "cat & dog.png"
    upload.write_bytes(b"a picture")
    trail = way(pictures, str(upload))
    last = stops(read(render_history(trail, pictures, MINUTES)))[3]
    assert last.one("img").attributes["src"].endswith("cat%20%26%20dog.png")
    assert image_exists(trail.steps[2])
    upload.unlink()
    assert not image_exists(trail.steps[2])
    gone = stops(read(render_history(trail, pictures, MINUTES)))[3]
    assert gone.all("img") == []
    assert "deleted after 10 minutes" in gone.one("button").attributes["aria-label"]
    assert "uploads are deleted after 10 minutes" in deleted_message(trail.steps[2], MINUTES)
    assert all(image_exists(trail.steps[place]) for place in (0, 1, 3))


def test_what_people_typed_is_never_markup(pictures):
    tree = read(render_history(way(pictures), pictures, MINUTES, message=EVIL))
    assert not [image for image in tree.all("img") if "onerror" in image.attributes]
    assert tree.one("p").full_text() == EVIL
    assert EVIL in tree.full_text().replace(EVIL, "", 1)


def test_a_single_step_says_what_the_strip_is_for(pictures):
    trail = SearchHistory().search(HistoryQuery("is blue"), WeightShift(0.0, 0.0))
    tree = read(render_history(trail, pictures, MINUTES))
    assert "alone" in tree.one("nav").classes()
    assert "go back to it" in tree.one(cls="hint").full_text()
    assert read(render_history(way(pictures), pictures, MINUTES)).all(cls="hint") == []

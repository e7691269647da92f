"""The way of a search: what it keeps, what it forgets, how it is drawn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwc.ui.history import MAX_STEPS, HistoryQuery, SearchHistory, WeightShift

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

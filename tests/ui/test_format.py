import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwc.ui.format import (
    escape,
    format_percentile,
    format_timing,
    percents,
    round_to_sum,
    signed,
    weight_in_words,
)

parts = st.lists(st.floats(-2, 2), min_size=1, max_size=6)


@pytest.mark.slow
@given(parts)
def test_rounded_parts_add_up_to_the_rounded_total(values):
    rounded = round_to_sum(values, sum(values))
    assert round(sum(rounded), 6) == round(round(sum(values) * 100) / 100, 6)
    assert all(abs(a - b) <= 0.0100001 for a, b in zip(rounded, values, strict=True))


@given(st.floats(0, 1))
def test_percents_sum_to_100_and_hide_nothing(weight):
    picture, words = percents(weight)
    assert picture + words == 100
    assert abs(picture - 100 * weight) <= 1
    assert (picture == 0) == (weight == 0)
    assert (words == 0) == (weight == 1)


@pytest.mark.slow
@given(st.floats(0, 99.9999))
def test_a_percentile_is_never_rounded_up(percentile):
    shown = float(format_percentile(percentile).split()[1])
    assert percentile - 0.1 - 1e-6 < shown <= percentile + 1e-6


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (0.0, "only to the words"),
        (0.3, "clearly more to the words"),
        (0.5, "to both alike"),
        (0.56, "a little more to the picture"),
        (0.85, "mostly to the picture"),
        (1.0, "only to the picture"),
    ],
)
def test_a_weight_in_words(weight, words):
    assert weight_in_words(weight) == words


@given(st.floats(0, 1))
def test_the_lean_is_symmetric(weight):
    mirrored = weight_in_words(1 - weight).replace("picture", "?").replace("words", "picture")
    at_a_border = any(
        math.isclose(abs(weight - 0.5), edge, abs_tol=1e-9)
        for edge in (0, 0.03, 0.1, 0.25, 0.4, 0.495)
    )
    assert at_a_border or mirrored.replace("?", "words") == weight_in_words(weight)


def test_signs_and_times():
    assert [signed(value) for value in (0.5, -0.5, -0.001, 0)] == ["0.50", "−0.50", "0.00", "0.00"]
    assert format_timing({"encode": 18.6, "total": 19.2}, 2000) == "2,000 pictures · 19 ms"
    assert format_timing({"encode": 1200.0, "search": 300.0}, 5) == "5 pictures · 1.5 s"


@given(st.text())
def test_escaped_text_holds_no_markup(text):
    assert not set(escape(text)) & set("<>\"'")

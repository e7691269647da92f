"""Double negations, and phrases such as "why not", are read as wishes."""

import pytest

from dwc.modeling.double_negation import find_double_negations
from dwc.modeling.text_rephrasing import rephrase_exclusions


def read(text: str) -> str:
    return rephrase_exclusions(text).text


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("no t-shirt that is not black", "black t-shirt"),
        ("no t-shirts that aren't dark blue", "dark blue t-shirt"),
        ("no shirt which is not white", "white shirt"),
        ("I don't want a t-shirt that isn't green", "green t-shirt"),
        ("not a single t-shirt that is any colour but green", "green t-shirt"),
        ("exclude t-shirts that are not green", "green t-shirt"),
        ("no trousers unless they are black", "black trousers"),
        ("no t-shirts except green ones", "green t-shirt"),
        ("no t-shirt but a green one", "green t-shirt"),
        ("no non-green t-shirt", "green t-shirt"),
        ("no shirt that isn't checked", "checked shirt"),
        ("no jumper without stripes", "jumper with stripes"),
        ("never a dress that has no pockets", "dress with pockets"),
        ("nothing that is not black, trousers", "only black, trousers"),
        ("don't show me anything that isn't red, t-shirts", "only red, t-shirt"),
        ("t-shirt, none that are not green", "t-shirt, only green"),
        ("t-shirt, not not green", "t-shirt, green"),
    ],
)
def test_a_double_negation_is_read_as_a_wish(typed: str, expected: str) -> None:
    assert read(typed) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("why not a pink t-shirt?", "a pink t-shirt"),
        ("can't get enough of red dresses", "red dress"),
        ("you can't go wrong with black trousers", "black trousers"),
        ("there's no such thing as too much yellow, t-shirt", "yellow, t-shirt"),
        ("I wouldn't say no to a purple t-shirt", "a purple t-shirt"),
        ("nothing beats a red dress", "a red dress"),
    ],
)
def test_a_phrase_that_recommends_is_read_as_a_wish(typed: str, expected: str) -> None:
    assert read(typed) == expected


@pytest.mark.parametrize(
    "typed",
    [
        "dress, not a shirt without sleeves", "dress, no shirt that is not black",
        "not without a belt", "shirt that is not black", "no shirt but black trousers",
    ],
)  # fmt: skip
def test_what_may_be_two_wishes_is_not_read_as_a_double_negation(typed: str) -> None:
    assert "sleeves" not in read(typed) or "with sleeves" not in read(typed)
    assert "black shirt" not in read(typed)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("no dress that is not linen", ["no dress that is not linen"]),
        ("nothing that isn't made by hand", ["nothing that isn't made by"]),
        ("a dress that is not linen", []),
        ("no dress, that is all", []),
    ],
)
def test_double_negations_that_no_rule_reads_are_found(text: str, found: list[str]) -> None:
    assert find_double_negations(text) == found

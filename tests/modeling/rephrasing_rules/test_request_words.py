"""Words of a request that name nothing to find are left out."""

import pytest

from dwc.modeling.text_rephrasing import rephrase_exclusions, wanted_words
from tests.modeling.rephrasing_rules.reading import read


@pytest.mark.parametrize(
    ("rest", "wanted"),
    [
        ("striped, ", "striped"),
        ("dress but ", "dress"),
        ("in plain, and", "in plain"),
        ("the same, but ", ""),
        ("like this, please", ""),
        ("in another color, ", ""),
    ],
)
def test_what_a_text_wants_beside_its_exclusions(rest, wanted) -> None:
    assert wanted_words(rest) == wanted


@pytest.mark.parametrize(
    ("typed", "unchanged", "expected"),
    [
        ("keep the stripes, but in red", "keep the stripes", "in red"),
        ("in green, keep the pattern as it is", "keep the pattern as it is", "in green"),
        ("as a top, the colour stays the same", "the colour stays the same", "as a top"),
        ("keep the collar and make it longer", "keep the collar", "make it longer"),
    ],
)
def test_what_does_not_change_is_left_out(typed, unchanged, expected) -> None:
    assert rephrase_exclusions(typed) == (expected, ((unchanged, ""),), ())


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("do you have this in white?", "in white"),
        ("how about white?", "white"),
        ("can I get it with short sleeves please", "with short sleeves"),
        ("is there a version of this with a hood", "with a hood"),
        ("hi, we are looking for something in blue, thank you!", "in blue"),
        ("white would be nicer", "white"),
        ("i'd prefer blue to red", "in blue"),
        ("the white one", "in white"),
        ("do you have dresses", "dress"),
        ("can I have it in red", "in red"),
        ("is there something that is not red?", "not red"),
        ("I'd like to wear it", "I'd like to wear it"),
        ("do you have anything?", "do you have anything?"),
        ("so red", "so red"),
        ("please", "please"),
    ],
)
def test_the_phrase_that_asks_is_left_out(typed, expected) -> None:
    """Of the first 12 for a black T-shirt and "do you have this in white", 4.5 were white."""
    assert read(typed) == expected

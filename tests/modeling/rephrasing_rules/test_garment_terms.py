"""Terms for garments are read as those that models know."""

import pytest

from dwc.modeling.text_rephrasing import rephrase_exclusions
from tests.modeling.rephrasing_rules.reading import read


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("black dress pants", "black pants"),
        ("men's dress shoes", "men's shoes"),
        ("jeans jacket", "denim jacket"),
        ("dress with shoes", "dress with shoes"),
        ("dress shirt", "dress shirt"),
    ],
)
def test_the_last_noun_of_a_compound_names_the_garment(typed: str, expected: str) -> None:
    """Of "dress pants", 9 of 12 photographs were dresses; of "jeans jacket", 5 were jeans."""
    assert read(typed) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("stripped t-shirt", "striped t-shirt"),
        ("t-shirt with strips", "t-shirt with stripes"),
        ("plane t-shirt", "plain t-shirt"),
        ("lose fit trousers", "loose fit trousers"),
        ("a plane on a t-shirt", "a plane on a t-shirt"),
    ],
)
def test_slips_that_are_words_are_corrected_and_told(typed, expected) -> None:
    """Of the first 12 for "stripped t-shirt", none was striped, and no word was unknown."""
    rephrased = rephrase_exclusions(typed)
    assert rephrased.text == expected
    assert bool(rephrased.changes) == (typed != expected)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("longer arms", "longer sleeves"),
        ("sleeves that stop just above the elbow", "elbow length sleeves"),
        ("undecorated t-shirt", "plain t-shirt"),
        ("in a single color", "plain"),
        ("tee with lines", "tee with stripes"),
        ("along the lines of this", "along the lines of this"),
        ("half pants for boys", "shorts for boys"),
        ("shirt with full sleeves", "shirt with long sleeves"),
        ("in a darker shade of green", "in dark green"),
        ("without all these flowers", "in plain"),
        ("t-shirt lacking any design", "t-shirt no pattern"),
    ],
)
def test_other_names_of_sleeves_and_plain_are_read(typed, expected) -> None:
    assert read(typed) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("the color of grass", "in green"),
        ("in the colour of the sky", "in light blue"),
        ("white as snow", "in white"),
        ("banana coloured", "in yellow"),
        ("wine colour top", "wine colour top"),
        ("a grass skirt", "a grass skirt"),
    ],
)
def test_things_that_name_a_color_are_read_as_the_color(typed, expected) -> None:
    assert read(typed) == expected

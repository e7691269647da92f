"""The color of a name such as "Black Friday" is no wish."""

import pytest

from dwc.modeling.color_words import find_color_names, leave_out_colors_of_names
from dwc.modeling.text_rephrasing import rephrase_exclusions


@pytest.mark.parametrize(
    ("typed", "expected", "change"),
    [
        ("Black Friday deal: white shirt", "Friday deal: white shirt", ("Black Friday", "Friday")),
        ("white shirt for black friday", "white shirt for friday", ("black friday", "friday")),
        ("black tie event: white shirt", "tie event: white shirt", ("black tie", "tie")),
        ("red dress for a white wedding", "red dress for a wedding", ("white wedding", "wedding")),
        ("Red Cross shirt in green", "Cross shirt in green", ("Red Cross", "Cross")),
        ("Old Navy white t-shirt", "Old white t-shirt", ("Old Navy", "Old")),
        ("Deep Purple: green t-shirt", "Deep : green t-shirt", ("Deep Purple", "Deep")),
    ],
)
def test_the_color_of_a_name_is_left_out(typed: str, expected: str, change) -> None:
    assert leave_out_colors_of_names(typed) == (expected, (change,))
    assert change in rephrase_exclusions(typed).changes


@pytest.mark.parametrize(
    "typed",
    [
        "t-shirt with a red cross", "black tie", "old navy dress", "Off-White T-shirt", "Red Hat",
        "blue collar", "black and white", "deep purple dress", "its a white wedding dress",
        "a red carpet on the stairs",
    ],
)  # fmt: skip
def test_the_color_of_a_garment_stays(typed: str) -> None:
    assert leave_out_colors_of_names(typed) == (typed, ())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("green t-shirt of the Pink Ladies", [("Pink Ladies", "pink")]),
        ("White Zombie black t-shirt", [("White Zombie", "white")]),
        ("Red Maxi dress with a belt", []),
        ("Red Polyester Shirt With Long Sleeves", []),
        ("Red polyester shirt", []),
        ("Brown Reindeer hat with a pattern", []),
        ("see through shirt with Teal As the color", []),
    ],
)
def test_other_phrases_that_look_like_a_name_are_found(text: str, found) -> None:
    assert find_color_names(text) == found

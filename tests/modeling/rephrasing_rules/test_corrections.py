"""A correction replaces the value that it corrects."""

import pytest

from dwc.modeling.text_rephrasing import rephrase_exclusions


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("red t-shirt. Make that green.", "green t-shirt"),
        ("red, make that green, t-shirt", "green, t-shirt"),
        ("red t-shirt, make it dark green please", "dark green t-shirt"),
        ("t-shirt, red. No, green", "t-shirt, green"),
        ("t-shirt in red - no - green", "t-shirt in green"),
        ("red t-shirt, nope, green", "green t-shirt"),
        ("red t-shirt - sorry, green", "green t-shirt"),
        ("red t-shirt, I mean green", "green t-shirt"),
        ("red t-shirt, no wait, green", "green t-shirt"),
        ("red -- scratch that -- green t-shirt", "green t-shirt"),
        ("red t-shirt, actually green", "green t-shirt"),
        ("red t-shirt but actually green", "t-shirt in green"),
        ("red, or rather green, t-shirt", "green, t-shirt"),
        ("red (make that green) t-shirt", "green t-shirt"),
        ("red t-shirt. On second thought, in green", "green t-shirt"),
        ("red t-shirt, make that blue, no, green", "green t-shirt"),
        ("red and white dress, make it green", "green dress"),
        ("red dress with belt, oops, green", "green dress with belt"),
        ("red with a white collar, better in green", "green with a white collar"),
        ("red t-shirt, no green, make that blue", "blue t-shirt but not green"),
        ("red, make that green or blue", "green or blue"),
        ("red t-shirt, make that a green shirt", "green shirt"), ("dress, no, a skirt", "skirt"),
        ("dress, sorry, a red skirt", "red skirt"), ("striped shirt, no, dots", "dotted shirt"),
        ("shirt with stripes, I mean dotted", "shirt with dots"),
        ("striped shirt, sorry, I mean plain", "plain shirt"),
        ("long sleeves, make that short", "short sleeves"),
        ("red t-shirt. Green, I mean.", "green t-shirt"),
        ("red t-shirt, green rather", "green t-shirt"),
        ("red t-shirt, in green instead", "green t-shirt"),
        ("t-shirt, red. Green, sorry", "t-shirt, green"),
        ("red t-shirt. Change that to green", "green t-shirt"),
        ("Make that red t-shirt green", "t-shirt in green"), ("sorry, I mean green", "green"),
        ("no, in red", "in red"), ("No. Green", "green"), ("nope, with stripes", "with stripes"),
    ],
)  # fmt: skip
def test_of_a_value_and_its_correction_the_correction_is_read(typed, expected) -> None:
    result = rephrase_exclusions(typed)
    assert result.text == expected
    assert result.changes  # a note says what was read
    assert result.excluded == ()


@pytest.mark.parametrize(
    "typed",
    [
        "red? no, green? no", "red: no, green: yes", "red - no, green - no", "make that green",
        "is actually green", "red t-shirt, actually cotton", "red dress, actually green sleeves",
        "shirt with red sleeves, make that green", "red dress with jacket, make it a skirt",
        "red dress, green belt instead", "red, green and blue",
        "red on the left, then green", "no, green? no", "no - red",
        "the cut of the dress", "short cut, red", "a cut in red", "with the back cut out",
        "cut out sleeves", "cut the sleeves shorter", "button down with checks",
        "don't forget the belt", "not different from red", "different from this", "red over white",
        "why don't you make it red", "the red dress has a low cut", "get over knee boots",
        "leave the white t-shirt and shirt out",
    ],
)  # fmt: skip
def test_phrases_like_corrections_and_exclusions_stay(typed) -> None:
    assert rephrase_exclusions(typed) == (typed, (), ())


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("dress in red, blue or green, sorry, white", "dress in white"),
        ("red dress, green, sorry, blue", "blue dress"),
        ("red dress, green, actually blue", "blue dress"),
        ("red dress, green sorry, blue", "blue dress"),
        ("red, green, sorry, white", "white"),
        ("red dress (green, sorry, blue)", "blue dress"),
        ("red dress (green, sorry)", "green dress"),
        ("dress, green, sorry, white", "dress, white"),
        ("red dress, black shoes, sorry, brown", "red dress, brown shoes"),
        ("striped dress, dotted, sorry, checked", "checked dress"),
        ("red t-shirt, green, sorry, striped", "green t-shirt, striped"),
        ("red t-shirt, green, sorry, with white dots", "green t-shirt, with white dots"),
        ("red t-shirt, green, sorry.", "green t-shirt"),
        ("red t-shirt, no, green, no, blue", "blue t-shirt"),
        ("red t-shirt, make that blue, sorry, white", "white t-shirt"),
    ],
)
def test_a_correction_of_a_correction_is_one_change(typed, expected) -> None:
    result = rephrase_exclusions(typed)
    assert result.text == expected
    [(phrase, _)] = result.changes
    assert phrase in typed

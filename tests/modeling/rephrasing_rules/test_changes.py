"""Of an old and a new value, the new one is read."""

import pytest

from dwc.modeling.text_rephrasing import rephrase_exclusions
from tests.modeling.rephrasing_rules.reading import read


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("less long sleeves", "shorter sleeves"),
        ("the sleeves are too short", "longer sleeves"),
        ("sleeves are not long enough", "longer sleeves"),
        ("not short-sleeved", "with longer sleeves"),
        ("make it less dark", "make it lighter"),
        ("not too bright", "darker"),
        ("not bright enough", "brighter"),
        ("dress, not long, not tight", "dress, shorter, looser"),
        ("not without long sleeves", "not without long sleeves"),
        ("not dark red", "not dark red"),
        ("less light blue", "less light blue"),
        ("no longer than this", "no longer than this"),
    ],
)
def test_a_cut_or_shade_that_is_denied_is_read_as_its_opposite(typed: str, expected: str) -> None:
    """Of "less long sleeves", 8 of 72 photographs had shorter ones, and 53 of "shorter sleeves"."""
    assert read(typed) == expected


@pytest.mark.parametrize(
    "typed",
    [
        "blue instead of red", "blue rather than red", "in blue, not red", "blue not red",
        "not red but blue", "not red, in blue", "from red to blue", "change the red to blue",
        "red to blue", "red > blue", "replace the red with blue", "swap red for blue",
        "blue, never red or green", "I prefer blue to red", "would rather have blue than red",
        "was red, now blue", "it was black and white, now blue", "it is red, should be blue",
        "old: red, new: blue", "old color red, new color blue",
    ],
)  # fmt: skip
def test_of_two_colors_the_wanted_one_is_read(typed: str) -> None:
    """With a picture, "from red to blue" found 1.5 blue of 12, and "in blue" 7.7."""
    assert rephrase_exclusions(typed) == ("in blue", ((typed, "in blue"),), ())


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("blue, not navy", "blue but not navy"),
        ("red instead of burgundy", "red instead of burgundy"),
        ("light blue, not dark blue", "light blue but not dark blue"),
        ("black, not gray", "black but not gray"),
        ("not teal but green", "not teal but green"),
        ("dark blue, not black", "in dark blue"),
    ],
)
def test_a_color_like_the_wanted_one_stays_excluded(typed: str, expected: str) -> None:
    assert read(typed) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("red dress to blue", "dress in blue"),
        ("turn the red dress into a blue one", "dress in blue"),
        ("stripes to plain", "in plain"),
        ("from striped to dotted", "dotted"),
        ("stripes to dots", "with dots"),
        ("striped dress to floral", "dress floral"),
        ("swap stripes for checks", "with checks"),
        ("replace the stripes with dots", "with dots"),
        ("dots instead of stripes", "with dots"),
        ("checked rather than striped", "checked"),
        ("exchange the red for blue", "in blue"),
        ("swap the jeans for a skirt", "as a skirt"),
        ("turn it into shorts", "as shorts"),
        ("replace the belt with buttons", "with buttons"),
        ("swap the collar for a hood", "with a hood"),
        ("with buttons instead of a zip", "with buttons"),
        ("zip to buttons", "with buttons"),
        ("from belted to hooded", "hooded"),
        ("jacket with a zip to the collar", "jacket with a zip to the collar"),
        ("swap long sleeves for short", "with short sleeves"),
        ("change the long sleeves to short ones", "with short sleeves"),
        ("replace the long sleeves with none", "without sleeves"),
        ("don't swap long sleeves for short", "don't swap long sleeves for short"),
        ("not red dress to blue", "not red dress to blue"),
    ],
)
def test_of_two_values_of_a_garment_the_wanted_one_is_read(typed: str, expected: str) -> None:
    """For "red dress to blue", all of the first 12 were red, and no note said so.

    "Swap stripes for checks" about a striped photograph gave 1.9 of 12 checked, "with checks" 8.1.
    """
    assert read(typed) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("everything the same except the colour: green", "in green"),
        ("same but the color should be dark blue", "in dark blue"),
        ("keep everything the same, but the pattern should be checked", "checked"),
        ("the same except for the sleeves: short", "with short sleeves"),
        ("identical apart from the colour", "in another colour"),
        ("not striped enough", "striped"),
        ("it is not dark red enough", "it is in dark red"),
        ("the same except for the pattern", "with another pattern"),
    ],
)
def test_what_may_differ_is_read_as_a_wish(typed: str, expected: str) -> None:
    """ "The same except for the pattern" was read as "no pattern"; "except the color" kept it."""
    assert read(typed) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("blue jeans but in grey", "jeans in grey"),
        ("a black dress, but make it dark green please", "a dress in dark green"),
        ("red dress but blue", "dress in blue"),
        ("red but blue", "in blue"),
        ("red and white dress with a belt but in blue", "dress in blue with a belt"),
        ("this black dress in red", "dress in red"),
        ("green where it is red", "in green"),
        ("instead of blue go for black", "in black"),
        ("rather than red, I'd like blue", "in blue"),
        ("swap the colour for green", "in green"),
        ("tone it down to pink", "in pink"),
        ("the black version of this", "in black"),
        ("the red is too much", "not red"),
        ("the same but the collar in red", "with red collar"),
    ],
)
def test_of_a_color_and_its_replacement_the_new_one_is_read(typed, expected) -> None:
    assert read(typed) == expected
    assert read(expected) == expected


@pytest.mark.parametrize(
    "typed",
    [
        "any blue jeans but navy",
        "blue jeans but longer",
        "black dress but white collar",
        "I don't want a black dress but a white one",
        "keep the belt",
    ],
)
def test_other_texts_with_but_and_keep_stay(typed) -> None:
    assert rephrase_exclusions(typed) == (typed, (), ())


@pytest.mark.parametrize("attribute", ["color", "pattern"])
@pytest.mark.parametrize(
    "condition",
    ["so long as it is different", "that is different", "just different", "if it's not the same"],
)
def test_any_other_value_is_read_as_another_one(attribute, condition) -> None:
    text = read(f"any {attribute} {condition}")
    assert text == ("in another color" if attribute == "color" else "with another pattern")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("t-shirt: was red, now blue", "t-shirt: in blue"),
        ("blue t-shirt (previously: red)", "blue t-shirt"),
        ("blue t-shirt, formerly red", "blue t-shirt"),
        ("originally red, blue t-shirt", "blue t-shirt"),
        ("t-shirt in blue, used to be red", "t-shirt in blue"),
        ("was red", "was red"),
        ("previously red dress", "previously red dress"),
        ("is red and blue", "is red and blue"),
    ],
)
def test_a_former_color_is_left_out_beside_another(typed: str, expected: str) -> None:
    assert read(typed) == expected

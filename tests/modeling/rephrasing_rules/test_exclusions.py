"""Exclusions are read in the words that a model follows."""

import pytest

from dwc.modeling.text_rephrasing import rephrase_exclusions
from dwc.negation.exclusions import NEGATIONS, find_exclusions
from tests.modeling.rephrasing_rules.reading import read


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("never red", "not red"), ("no red", "not red"), ("no reds", "not red"),
        ("I would never wear red", "not red"), ("we hate red", "not red"), ("non-red", "not red"),
        ("should not be red", "not red"), ("anything but a red one", "not red"),
        ("no longer dark blue", "not dark blue"), ("not in light blue", "not light blue"),
        ("any color but blue please", "not blue"), ("Except For Red", "not red"),
        ("not striped", "in plain"), ("lose the belt", "no belt"), ("non-striped", "in plain"),
        ('not "red"', "not red"), ("never *striped*", "in plain"), ("unstriped", "in plain"),
        ("nonstriped", "in plain"), ("without (stripes)", "in plain"),
        ("no flowers", "in plain"), ("has no dots", "in plain"), ("no stripes", "in plain"),
        ("I do not like stripes", "in plain"), ("we don't really need a print", "in plain"),
        ("not keen on red", "not red"), ("not a big fan of checks", "in plain"),
        ("can do without the belt", "no belt"), ("zero stripes", "in plain"),
        ("hardly any stripes", "in plain"), ("red is not ok", "not red"),
        ("stripes not wanted", "in plain"), ("red or blue isn't an option", "not red, not blue"),
        ("checks are out", "in plain"), ("stripeless", "plain"),
        ("red is ugly", "not red"), ("stripes are so boring", "in plain"),
        ("any other colour", "in another color"), ("in other colors", "in another color"),
        ("unlike red", "not red"),
        ("doesn't have a hood", "no hood"), ("must not have buttons", "no buttons"),
        ("I don't want it red", "not red"), ("we do not want it with stripes", "in plain"),
        ("don't want it to be plain", "with a pattern"), ("apart from red", "not red"),
        ("replace the red", "not red"), ("swap out the stripes", "in plain"),
        ("cut off the sleeves", "without sleeves"), ("nothing but red", "only red"),
        ("no color other than red", "only red"), ("no other colour than red", "only red"),
        ("never sleeveless", "with sleeves"), ("not plain", "with a pattern"),
        ("remove the sleeves", "without sleeves"), ("no sleeves", "without sleeves"),
    ],
)  # fmt: skip
def test_an_exclusion_is_read_in_words_that_are_followed(typed: str, expected: str) -> None:
    assert rephrase_exclusions(typed)[:2] == (
        expected,
        ((typed.removesuffix(" please"), expected.removesuffix(" please")),),
    )


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("dress, never red", "dress but not red"),
        ("dress, not red", "dress but not red"),
        ("longer, no red, with stripes", "longer but not red, with stripes"),
        ("the same but never red", "the same but not red"),
        ("no stripes, never red", "in plain but not red"),
        ("dress, red is not ok", "dress but not red"),
        ("I'm not keen on red", "not red"),
        ("like this. Never red", "like this. not red"),
        ("a dress that is never red", "a dress that is not red"),
        ("a dress that must not be red", "a dress but not red"),
    ],
)
def test_a_color_excluded_after_other_words_is_joined_with_but(typed: str, expected: str) -> None:
    """Of "dress, not red", twice as many have the color as of "dress but not red"."""
    assert read(typed) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("not red or blue", "not red, not blue"),
        ("neither red nor blue", "not red, not blue"),
        ("never red, blue or green", "not red, not blue, not green"),
        ("avoid red and blue", "not red, not blue"),
        ("everything but red and blue", "not red, not blue"),
        ("a dress, never red or blue", "a dress but not red and not blue"),
        ("lose the belt and the pockets", "no belt, no pockets"),
        ("don't want red or stripes", "not red, in plain"),
        ("no stripes, no dots", "in plain"),
        ("no red, no blue", "not red, not blue"),
        ("no belt and striped", "no belt and striped"),  # excludes the belt only
        ("no red, longer", "not red, longer"),
        ("shirt, no flowers, with no dots", "shirt, in plain"),
        ("dress with no red", "dress but not red"),
    ],
)
def test_each_thing_in_a_list_is_excluded(typed: str, expected: str) -> None:
    assert read(typed) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("dress without stripes", "dress in plain"),
        ("dress, no stripes", "dress, in plain"),
        ("a dress that has no stripes", "a dress that is plain"),
        ("a dress that is not striped", "a dress that is plain"),
        ("stripeless dress", "plain dress"),
        ("unstriped shirt", "plain shirt"),
        ("un-dotted blue dress", "plain blue dress"),
        ("non-striped shirt", "plain shirt"),
        ("unbelted dress", "unbelted dress"),
        ("unbuttoned shirt", "unbuttoned shirt"),
        ("less than knee length dress", "short dress"),
        ("shoes with as little heel as possible", "shoes with a low heel"),
        ("the lowest heels possible", "with a low heel"),
        ("shirt with 3/ 4 sleeves", "shirt with elbow length sleeves"),
        ("three-quarter length sleeves", "elbow length sleeves"),
        ("3/4 length trousers", "cropped trousers"),
        ("half sleeve shirt", "short sleeve shirt"),
        ("S/S shirt", "short sleeve shirt"),
        ("shirt, l/ s", "shirt, long sleeve"),
        ("size s/m shirt", "size s/m shirt"),
        ("no stripes, with dots", "no stripes, with dots"),
        ("with flowers, not striped", "with flowers, no stripes"),
        ("stripes on the sleeves, no dots", "stripes on the sleeves, with no dots"),
    ],
)
def test_without_a_pattern_is_plain_unless_another_is_named(typed: str, expected: str) -> None:
    """Of the first 12 for "dress without stripes", 8 to 12 were striped; for "in plain", none."""
    assert read(typed) == expected


@pytest.mark.parametrize("phrase", [" ".join(phrase) for phrase in NEGATIONS])
def test_every_negation_is_rephrased_before_a_color(phrase: str) -> None:
    assert read(f"{phrase} red") == "not red"


@pytest.mark.parametrize(
    ("typed", "expected", "excluded"),
    [
        ("long sleeves are a no-go", "shorter sleeves", ("long sleeves",)),
        ("a dress but sleeveless is not ok", "a dress but with sleeves", ("sleeveless",)),
        ("dress, nothing sleeveless", "dress, with sleeves", ("sleeveless",)),
        ("puffy sleeves are not ok", "without puffy sleeves", ()),
        ("high heels are out", "without high heels", ()),
        ("lose the long sleeves", "shorter sleeves", ("long sleeves",)),
        ("remove the peak", "without peak", ()),
        ("without the short sleeves", "longer sleeves", ("short sleeves",)),
        ("not long-sleeved", "with shorter sleeves", ("long-sleeved",)),
        ("jeans are ugly", "without jeans", ()),
        ("less stripy", "in plain", ("stripy",)),
        ("no blue jeans", "jeans but not blue", ()),
        ("not a sleeveless dress", "dress, with sleeves", ("sleeveless",)),
        ("no hooded jackets", "jacket, no hood", ("hooded",)),
        ("hoodless", "no hood", ()),
        ("any colour bar red", "not red", ()),
        ("hat without a wide brim", "hat without a wide brim", ()),
        ("I already own it in red, show me more", "not red, show me more", ()),
        ("the stripes have to go", "in plain", ("stripes",)),
        ("the sleeves must go", "without sleeves", ()),
        ("nowhere near as dark", "lighter", ()),
        ("far from long", "shorter", ()),
    ],
)
def test_exclusions_in_other_words_are_read(typed, expected, excluded) -> None:
    """Of the first 12 for "dress, nothing sleeveless", 6 were sleeveless, and no note said so."""
    rephrased = rephrase_exclusions(typed)
    assert (rephrased.text, rephrased.excluded) == (expected, excluded)
    if rephrased.changes and typed != "any colour bar red":
        assert all(phrase in typed for phrase, _ in rephrased.changes)  # notes quote what was typed


@pytest.mark.parametrize("typed", ["doesn't have to be red", "it need not be red"])
def test_what_is_not_required_is_not_excluded(typed) -> None:
    assert find_exclusions(rephrase_exclusions(typed).text)[0] == []


@pytest.mark.parametrize("exception", ["anything but", "everything except", "all but", "any but"])
def test_a_color_before_a_dash_is_not_the_one_of_the_exception(exception: str) -> None:
    read = rephrase_exclusions(f"t-shirt in red - {exception} blue").text
    assert "red" in read
    assert "not blue" in read

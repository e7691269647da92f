"""Phrases that exclude, compare or change something are replaced by those that a model follows."""

import random
import subprocess
import sys
import time

import pytest

from dwc.modeling import text_rephrasing
from dwc.modeling.text_cleaning import clean_text
from dwc.modeling.text_rephrasing import Rephrased, rephrase_exclusions
from tests.modeling.rephrasing_rules.reading import read


@pytest.mark.parametrize(
    ("typed", "excluded"),
    [
        ("no stripes", ("stripes",)),
        ("shirt without checks or dots", ("checks", "dots")),
        ("not red or striped", ("striped",)),
        ("not plain", ("plain",)),
        ("from striped to plain", ()),
        ("no stripes, with dots", ()),  # the text still names them
        ("never red", ()),
        ("no short sleeves", ("short sleeves",)),
        ("the same except the collar: green", ()),  # the search moved away from collars
    ],
)
def test_excluded_patterns_that_the_text_no_longer_names_are_returned(typed, excluded) -> None:
    assert rephrase_exclusions(typed).excluded == excluded


@pytest.mark.parametrize(
    "typed",
    [
        "", "red", "not red", "no pattern", "without any buttons", "without a belt", "longer",
        "only red", "nothing but a red dress", "anything but", "not without a belt",
        "never without pockets", "not only red", "not just red", "no problem, red",
        "not a dress", "a shirt, no red dress", "no red stripes", "not too red", "not redder",
        "red and blue", "striped blue and red", "same but in red",
        "the same but red", "red dress instead of black", "knot red", "no reddish tones",
        "that is not red", "don't forget red", "no belt and striped",
        "not blue-eyed", "lose-fitting", "red must go with blue jeans",
        "something red to go with my jeans", "I have a red skirt, show me a top",
    ],
)  # fmt: skip
def test_other_texts_stay_as_typed(typed: str) -> None:
    assert rephrase_exclusions(typed) == (typed, (), ())


@pytest.mark.parametrize(
    "text", ["never red", "a dress, no blue, lose the belt", "from red to blue"]
)
def test_a_rephrased_text_is_not_rephrased_again(text: str) -> None:
    assert rephrase_exclusions(read(text)).changes == ()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("tops in red", "top in red"), ("summer dresses", "summer dress"), ("red shoes", "red shoes")],
)
def test_plurals_of_garments_are_read_as_singulars(typed, expected) -> None:
    """Of the first 12 for "tops", 1 was a top, and 9 for "top"."""
    assert rephrase_exclusions(typed) == (expected, (), ())


def test_only_garments_lose_their_plural() -> None:
    assert read("hates dresses, hats and blouses") == "hates dress, hat and blouse"


@pytest.mark.parametrize(
    "unit",
    [
        "red and blue or ", "red, no, ", "the red t-shirt and ", "red, ", "no wait, ", "sorry, ",
        "make that, ", "actually, ", "wait, no wait, ", "no, ", "i mean, ", "or rather, ",
        "let's make that, ", "change that to ", "on second thoughts, ", "green, sorry, ",
        "dotted, sorry, ", "in, ", "- ", "(", "forget about ", "leave the white ", "cut the ",
        "different from ", "differs in color from ", "wool excluded ", "make ", "the same ",
    ],
)  # fmt: skip
def test_a_long_list_is_read_in_time(unit) -> None:
    for before in ("", "red t-shirt, "):
        text = f"{before}{unit * 500}"[:990] + " cotton"
        start = time.perf_counter()
        rephrase_exclusions(clean_text(text).text)
        assert time.perf_counter() - start < 5  # 0.2 s; a pattern with two ways a word takes hours


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("everything but the colour", "in another colour"),
        ("anything but the color", "in another color"),
        ("keep all but the color", "in another color"),
        ("keep everything except the pattern", "with another pattern"),
        ("everything but the color: green", "everything but the color: green"),
        ("t-shirts, black ones excepted", "t-shirt but not black"),
        ("black off the table, t-shirts", "not black, t-shirt"),
        ("similar but it must not be black/ white", "similar but not black, not white"),
        ("not black/ white", "not black, not white"),
        ("not black/ white dress", "not black/ white dress"),
    ],
)
def test_what_may_not_stay_is_read(typed: str, read: str) -> None:
    assert rephrase_exclusions(typed).text == read


def test_texts_to_which_no_rule_is_applied_would_be_changed_by_none() -> None:
    words = sorted(text_rephrasing._UNCHANGED_WORDS)
    rng = random.Random(0)
    for _ in range(1_500):
        text = "".join(rng.choice(words) + rng.choice((" ", " ", ", ")) for _ in range(5))
        typed = " ".join(text.split(" ")[: rng.randint(1, 5)]).rstrip(",")
        assert text_rephrasing._apply_rules(typed) == Rephrased(typed) == rephrase_exclusions(typed)


def test_the_rules_are_not_compiled_for_a_plain_wish() -> None:
    code = (
        "from dwc.modeling.rephrasing_rules.changes import _SWAP\n"
        "from dwc.modeling.text_rephrasing import rephrase_exclusions\n"
        "rephrase_exclusions('darker, with long sleeves')\n"
        "assert not vars(_SWAP).get('compiled')\n"
        "assert rephrase_exclusions('never red').text == 'not red'\n"
        "assert vars(_SWAP)['compiled']"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

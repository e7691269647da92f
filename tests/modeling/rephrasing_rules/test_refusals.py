"""Refusals are read as exclusions."""

import pytest

from dwc.modeling.text_rephrasing import rephrase_exclusions
from dwc.negation.exclusions import find_exclusions
from tests.modeling.rephrasing_rules.reading import read


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("all dresses but red ones", "dress but not red"),
        ("t-shirt, any but black", "t-shirt but not black"),
        ("any colour t-shirt but white", "t-shirt but not white"),
        ("any kind of shirt but white", "shirt but not white"),
        ("t-shirt aside from white", "t-shirt but not white"),
        ("apart from black shoes", "shoes but not black"),
        ("shoes with the exception of black", "shoes but not black"),
        ("any garment but a shirt", "not a shirt"),
        ("t-shirt, bar black", "t-shirt but not black"),
        ("t-shirt, but the black ones are ugly", "t-shirt, but not black"),
        ("too many flowers", "in plain"),
        ("this is too red for me", "this is not red"),
        ("too plain", "with a pattern"),
        ("not as red", "not red"),
        ("dress with as few stripes as possible", "dress but in plain"),
        ("anything as long as it isn't red", "anything but not red"),
        ("t-shirt without any writing", "t-shirt in plain"),
        ("no logos or text", "in plain"),
        ("any t-shirt but a black one", "t-shirt but not black"),
        ("everything but red dresses", "dress but not red"),
        ("no blue or striped t-shirts", "t-shirt but not blue, in plain"),
        ("no striped or black t-shirt", "t-shirt, in plain but not black"),
        ("not a red, green or blue dress", "dress but not red but not green but not blue"),
    ],
)
def test_all_values_that_a_kind_of_garment_must_not_have_are_excluded(
    typed: str, expected: str
) -> None:
    """Of the first 12 for "all dresses but red ones", 8 were red."""
    assert read(typed) == expected
    [(_, replaced)] = rephrase_exclusions(typed).changes
    assert replaced in expected


@pytest.mark.parametrize(
    ("typed", "expected", "excluded"),
    [
        ("any dress but red", "dress but not red", ()),
        ("any skirt but blue or green", "skirt but not blue and not green", ()),
        ("all colors but red", "not red", ()),
        ("all shades but red", "not red", ()),
        ("every color except red, blue and green", "not red, not blue, not green", ()),
        ("the same in all colors but black", "the same but not black", ()),
        ("any other color than red", "not red", ()),
        ("something but red", "not red", ()),
        ("any pattern but stripes", "in plain", ("stripes",)),
        ("another pattern but stripes", "in plain", ("stripes",)),
        ("any top but a t-shirt", "top but not a t-shirt", ()),
        ("any shoes but boots", "shoes, no boots", ()),
        ("something other than a hoodie", "not a hoodie", ()),
        ("in any color but not stripes", "in any color, in plain", ("stripes",)),
        ("any dress but in red", "any dress but in red", ()),  # asks for red
        ("nothing but red", "only red", ()),
        ("red out, blue in", "in blue", ()),
        ("blue in, red out", "in blue", ()),
        ("stripes out, dots in", "without stripes, with dots", ()),
        ("leave the stripes out", "in plain", ("stripes",)),
        ("take the hood off", "without hood", ()),
        ("less of the red", "not red", ()),
        ("with cut out details", "with cut out details", ()),
        ("less like a jacket", "not a jacket", ()),
        ("more like a cardigan, less like a jacket", "cardigan, not a jacket", ()),
        ("rather a skirt than a dress", "skirt, not a dress", ()),
        ("more cardigan than jacket", "cardigan, not a jacket", ()),
        ("doesn't have to be red", "doesn't have to be red", ()),
        ("it need not be red", "it need not be red", ()),
    ],
)
def test_all_but_something_and_what_is_put_out_are_read_as_exclusions(
    typed, expected, excluded
) -> None:
    """12 of 12 were red for "any dress but red", 11 for "red out, blue in", and no note said so."""
    rephrased = rephrase_exclusions(typed)
    assert (rephrased.text, rephrased.excluded) == (expected, excluded)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("I have more than enough blue", "not blue"),
        ("red clashes with my hair", "not red"),
        ("red doesn't suit me", "not red"),
        ("bored of red", "not red"),
        ("I look awful in red", "not red"),
        ("I have too many red ones already", "not red"),
        ("refuses to wear red", "not red"),
        ("steer clear of red", "not red"),
        ("loose the red", "not red"),
        ("red is a bit much", "not red"),
        ("stripes make me look fat", "in plain"),
        ("stripes give me a headache", "in plain"),
        ("checks are out this season", "in plain"),
        ("lose the picture on the front", "in plain"),
        ("logo free", "plain"),
        ("with the sleeves chopped off", "without sleeves"),
        ("bare arms", "without sleeves"),
        ("no arms", "without sleeves"),
        ("showing my arms", "without sleeves"),
        ("cover my arms", "with long sleeves"),
        ("something that covers my arms", "something with long sleeves"),
        ("sleeves down to the wrists", "long sleeves"),
        ("not red enough", "in red"),
        ("stripes, no thank you", "in plain"),
        ("red looks cheap", "not red"),
        ("red is not for boys", "not red"),
        ("cut the sleeves off", "without sleeves"),
        ("loose fit", "loose fit"),
    ],
)
def test_complaints_are_read_as_exclusions(typed, expected) -> None:
    """With a red reference, 12 of the first 12 were red for "bored of red"."""
    assert read(typed) == expected


@pytest.mark.parametrize(
    "typed",
    [
        "t-shirt in a different colour from white", "t-shirt in another color from white",
        "t-shirt of a colour different from white", "t-shirt, different to white",
        "t-shirt, please spare me white", "t-shirt, save us from the white ones",
        "t-shirt, forget about white", "t-shirt, don't give me white", "t-shirt, cut the white",
        "t-shirt, get over white", "t-shirt, I'm so over white", "t-shirt, keep white out of it",
        "t-shirt, stop with the white", "t-shirt, never show me white",
        "leave the white t-shirts out", "leave out the white t-shirts", "forget the white t-shirts",
        "t-shirts, leave the white ones out", "t-shirts, leave the white t-shirts out",
        "t-shirt, everything white excluded", "t-shirt that differs in color from white",
        "t-shirt, leave white aside", "t-shirt, ignore the white ones", "white t-shirts excluded",
        "t-shirt with the white left out",
    ],
)  # fmt: skip
def test_a_color_that_other_verbs_exclude_is_read_as_not_wanted(typed) -> None:
    assert read(typed) == "t-shirt but not white"


@pytest.mark.parametrize(
    "typed",
    [
        "shirt in any pattern different from checks", "shirt in a pattern that differs from checks",
        "shirt with the checks cut out", "shirt with the checks removed",
        "shirt with the checks gone",
        "shirt, cut the checks", "shirt, cut out the checks", "shirt, hold the checks",
        "shirt, get over checks", "shirt, checks less", "shirt, spare me the checks",
        "shirt, forget the checks", "shirt, pass on checks", "shirt, down with checks",
        "shirt without check", "keep the checked shirts out",
    ],
)  # fmt: skip
def test_a_pattern_that_other_verbs_exclude_is_read_as_plain(typed) -> None:
    text, _, excluded = rephrase_exclusions(typed)
    assert text.replace(",", "") == "shirt in plain"
    assert excluded in (("checks",), ("checked",), ("check",), ())


def test_only_the_first_value_is_excluded_if_no_word_joins_the_second() -> None:
    names = [item.name for item in find_exclusions(read("forget red, green t-shirt"))[0]]
    assert names == ["red"]
    assert read("forget the red and the blue, t-shirt") == "not red, not blue, t-shirt"


def test_an_excluded_value_of_another_kind_of_garment_keeps_its_kind() -> None:
    assert read("jackets, leave the white t-shirts out") == "jacket, no white t-shirt"
    assert read("t-shirts, take out the white t-shirts and the black ones") == (
        "t-shirt but not white and not black"
    )


@pytest.mark.parametrize("garment", ["dress", "t-shirt", "skirt", "scarf", "shoe"])
def test_an_excluded_value_of_the_named_garment_needs_no_second_name(garment) -> None:
    plural = {"dress": "dresses", "scarf": "scarves"}.get(garment, f"{garment}s")
    for named, other in ((garment, plural), (plural, garment)):
        assert read(f"{named}, leave the white {other} out").endswith(" but not white")


@pytest.mark.parametrize(
    "phrase",
    [
        "steer clear of", "stay away from", "veer away from", "keep clear of", "enough of",
        "I've had enough of", "I have enough", "I'm done with", "I'm so tired of", "I hate",
        "can't stand",
        "fed up with", "bored of", "allergic to", "I don't like", "I don't want", "no more",
        "I've gone off", "beware of", "abstaining from", "say goodbye to", "I'm through with",
    ],
)  # fmt: skip
def test_a_garment_that_a_verb_excludes_by_its_color_is_read_as_not_wanted(phrase: str) -> None:
    assert read(f"{phrase} black t-shirts") == "t-shirt, not black".replace(", not", " but not")
    assert read(f"{phrase} black t-shirts, show t-shirts") == "not black, show t-shirt"


@pytest.mark.parametrize(
    "typed",
    [
        "I don't want a black dress but a white one", "dark enough blue jeans",
        "not tired of black dress", "see through with black skirt", "warm enough black coat",
    ],
)  # fmt: skip
def test_a_garment_that_no_verb_excludes_stays(typed: str) -> None:
    assert read(typed) == typed


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("give black t-shirts a miss", "t-shirt but not black"),
        ("t-shirt, black need not apply", "t-shirt but not black"),
        ("t-shirt; white is out of the question", "t-shirt but not white"),
    ],
)
def test_further_refusals_are_read_as_exclusions(typed: str, expected: str) -> None:
    assert read(typed) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("I own too many black t-shirts, dress in silk", "not black, dress in silk"),
        ("we have plenty of red ones", "not red"),
        ("we own lots of black shirts", "shirt but not black"),
        ("can I have several red dresses", "several red dress"),
    ],
)
def test_a_color_that_is_owned_often_is_read_as_not_wanted(typed: str, expected: str) -> None:
    assert read(typed) == expected

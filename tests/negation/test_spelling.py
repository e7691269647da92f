"""Signs, short forms and mistyped words of negations get a standard spelling."""

import math
from argparse import Namespace

import pytest

from dwc.cli import main
from dwc.commands import search
from dwc.negation.spelling import correct_negation, spell_out_minus, spell_out_negations


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("-stripes", "without stripes"), ("dress -red", "dress without red"),
        ("dress, \u2212belt", "dress, without belt"), ("long-sleeved", "long-sleeved"),
        ("a - b", "a - b"), ("--", "--"), ("-5", "-5"), ("v-neck -belt", "v-neck without belt"),
        ("longer -no belt", "longer -no belt"), ("-nordic", "without nordic"),
        ("like this \u2013shorter", "like this \u2013 shorter"), ("\u2014red", "\u2014 red"),
        ("-blue\n-longer", "blue, longer"), ("- blue,\r\n\n\u2013 no belt\n", "blue, no belt"),
        ("dress\n-belt", "dress, belt"), ("-blue\n-long -belt", "blue, long without belt"),
        ("Wishes:\n-blue\n-longer", "Wishes: blue, longer"), ("-stripes\n", "without stripes\n"),
        ("-blue\n-longer\nthanks", "blue, longer\nthanks"),
        ("blue\n-longer\n-with belt", "blue, longer, with belt"),
        ("dress -belt\nlonger", "dress without belt\nlonger"),
    ],
)  # fmt: skip
def test_a_leading_minus_becomes_a_word(text: str, read: str) -> None:
    assert spell_out_minus(text) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("isnt red", "isn't red"), ("Arent red", "Aren't red"), ("dont want red", "don't want red"),
        ("doesnt have a belt", "doesn't have a belt"), ("cant be red", "can't be red"),
        ("w/o belt", "without belt"), ("W/O belt", "without belt"), ("a/w/o/b", "a/w/o/b"),
        ("without: hood", "without hood"), ("a\nwithout:\n- hood\n- zip", "a\nwithout hood, zip"),
        ("x; NO: hood", "x; NO hood"), ("without, hood", "without hood"), ("No: red", "No: red"),
        ("dress w/ no stripes", "dress with  no stripes"), ("w/belt", "with belt"),
        ("significant", "significant"), ("isn't", "isn't"), ("dress -red", "dress without red"),
        ("color!=red", "color != red"), ("dress <> red", "dress != red"), ("\u2260red", " != red"),
        ("belt=no", "belt = no"), ("Belt: No\nRed: Yes", "Belt: No,\nRed: Yes"),
        ("Belt: No Red: Yes", "Belt: No, Red: Yes"), ("dress,!red", "dress, !red"),
        ("belt: no and red: yes", "belt: no and red: yes"), ("cut-off jeans", "cut-off jeans"),
        ("red. No: green", "red. No, green"), ("striped! no: dots", "striped! no, dots"),
        ("red. No: stripes", "red. No stripes"), ("t-shirt. No: green", "t-shirt. No green"),
        ("Yes: red. No: green", "Yes: red. No green"), ("red, no: green", "red, no green"),
    ],
)  # fmt: skip
def test_short_forms_are_spelled_out(text: str, read: str) -> None:
    assert spell_out_negations(text) == read


@pytest.mark.parametrize(
    ("typed", "spelled"),
    [
        ('-"polka dots"', 'without "polka dots"'), ("-(stripes)", "without (stripes)"),
        ("[-stripes]", "[without stripes]"), ('"-stripes"', '"without stripes"'),
        ("--stripes", "without stripes"), ("\u2796stripes", "without stripes"),
        ("blue/-stripes", "blue/ without stripes"), ("blue|-stripes", "blue| without stripes"),
        ("blue&-stripes", "blue& without stripes"), ("with out stripes", "without stripes"),
        ("red->blue", "red to blue"), ("red => blue", "red to blue"),
        ("short \u2192 long", "short to long"), ("red \u27a1\ufe0f blue", "red to blue"),
        ("dress -- red", "dress -- red"), ("dress--red", "dress--red"), ("a - b", "a - b"),
        ("t-shirt", "t-shirt"), ("->", "->"), ("and/or", "and/or"), ("3 -> 4", "3 -> 4"),
    ],
)  # fmt: skip
def test_minus_signs_and_arrows_are_spelled_out(typed: str, spelled: str) -> None:
    """All were read without the sign: `-"polka dots"` found dots, and "red->blue" found red."""
    assert spell_out_negations(typed) == spelled


@pytest.mark.parametrize(
    ("arguments", "text", "shift"),
    [
        (["--text", "-stripes"], "-stripes", 0.0),
        (["--text", "-red -striped", "--json"], "-red -striped", 0.0),
        (["--text=-stripes", "--shift", "-inf"], "-stripes", -math.inf),
        (["--shift", "-1.5", "--text", "no red"], "no red", -1.5),
    ],
)
def test_the_command_line_takes_a_leading_minus(
    arguments: list[str], text: str, shift: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ended in argparse's usage: `--text -stripes`, and `--shift -inf`."""
    parsed: list[Namespace] = []

    def run(args: Namespace) -> int:
        parsed.append(args)
        return 0

    monkeypatch.setattr(search, "run", run)
    assert main(["search", "gallery.store", *arguments]) == 0
    (args,) = parsed
    assert (args.text, args.shift) == (text, shift)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("exept", "except"), ("Excpet", "except"), ("exceptt", "except"), ("wihtout", "without"),
        ("withot", "without"), ("anythign", "anything"), ("nto", "not"), ("insted", "instead"),
        ("nooo", "no"), ("nott", "not"), ("nt", "not"), ("nonne", None), ("none", None),
        ("expect", None), ("newer", None), ("noot", None), ("within", None), ("outwith", None),
    ],
)  # fmt: skip
def test_mistyped_negations_are_corrected(word, meant):
    assert correct_negation(word) == meant


@pytest.mark.parametrize(
    ("typed", "spelled"),
    [
        ("t-shirt (no: black, white, red)", "t-shirt, not black, white or red"),
        ("t-shirt (no: black) with pockets", "t-shirt, not black, with pockets"),
        ("t-shirt [except: black, white]", "t-shirt, not black or white"),
        ("t-shirt {minus: stripes}", "t-shirt, without stripes"),
        ("t-shirt; exclude: black, white", "t-shirt, not black or white"),
        ("t-shirt - no: black", "t-shirt, not black"),
        ("t-shirt / no: black", "t-shirt, not black"),
        ("t-shirt\u2013no\uff1a black", "t-shirt, not black"),
        ("t-shirt\nno: black, white", "t-shirt\nnot black or white"),
        ("t-shirt, no: black, white", "t-shirt, not black or white"),
        ("no: black; t-shirt", "not black; t-shirt"),
        ("without: hood, belt. jacket", "without hood or belt. jacket"),
        ("except: dress, skirt", "no dress or skirt"),
        # Corrections and other uses of a colon.
        ("no: black", "no: black"),
        ("red t-shirt (no: blue)", "red t-shirt (no: blue)"),
        ("no: black t-shirt", "no: black t-shirt"),
        ("red t-shirt, well no: blue", "red t-shirt, well no, blue"),
        ("red t-shirt, hm, no: blue", "red t-shirt, hm, no, blue"),
    ],
)
def test_lists_after_a_negation_with_a_colon_are_spelled_out(typed: str, spelled: str) -> None:
    assert spell_out_negations(typed) == spelled


def test_a_dash_before_anything_but_is_no_minus() -> None:
    assert spell_out_negations("red -anything but blue") == "red -anything but blue"

"""The words that exclude: which a text has, and which a vocabulary lacks."""

import json
import math
from argparse import Namespace

import pytest

from dwc.checkpoints.load import BUNDLED_FOLDER
from dwc.cli import main
from dwc.commands import search
from dwc.negation import (
    NEGATIONS,
    Exclusion,
    correct_negation,
    false_negations,
    find_exclusions,
    find_kind,
    find_wished_kind,
    negation_note,
    negations_in,
    overlooked_negations,
    spell_out_minus,
    spell_out_negations,
    swapped_colors,
    unknown_function_words,
    unmeasured_negations,
)

FIRST_LANGUAGE = {"no", "not", "without", "instead", "of", "more", "but", "in", "red", "stripes"}
WHOLE_LANGUAGE = {word for phrase in NEGATIONS for word in phrase}


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
    ("text", "found"),
    [
        ("no stripes", ["no"]), ("without any stripes", ["without any"]), ("longer", []),
        ("anything but red, minus the belt", ["anything but", "minus"]), ("non-striped", ["non"]),
        ("-stripes", ["without"]), ("I don\u2019t want stripes", ["i don't want"]),
        ("a notable dress", []), ("NOT red", ["not"]), ("get rid of the belt", ["get rid of"]),
    ],
)  # fmt: skip
def test_negations_of_a_text(text: str, found: list[str]) -> None:
    assert [" ".join(phrase) for phrase in negations_in(text)] == found


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
    ("text", "unlearned"),
    [
        ("isnt red", ["isn't"]), ("arent red", ["aren't"]), ("i dont want red", ["i don't want"]),
        ("doesnt have stripes", ["doesn't have"]), ("cant be red", ["can't be"]),
        ("cannot be red", ["cannot be"]), ("w/o stripes", []),
        ("neither red nor blue", ["neither", "nor"]), ("!red", ["!"]), ("dress, !red", ["!"]),
        ("red!", []), ("red? no", ["? no"]), ("red ? No.", ["? no"]), ("red? no stripes", []),
        ("Belt: No", [": no"]), ("belt = no", ["= no"]), ("belt=none", ["= none"]),
        ("striped: no, red: yes", [": no"]), ("Belt: No Red: Yes", [": no"]),
        ("stripes: off", [": off"]), ("pockets: 0", [": 0"]), ("belt-no", ["- no"]),
        ("belt \u2013 none", ["- none"]), ("(belt: false)", [": false"]), ("cut-off", []),
        ("color: off-white", []), ("note: no stripes", []), ("color != red", ["!="]),
        ("dress <> red", ["!="]), ("\u2260red", ["!="]), ("dress,!red", ["!"]),
        ("no longer red", ["no longer"]), ("avoid red", ["avoid"]), ("red excluded", ["excluded"]),
        ("I HATE red", ["hate"]), ("exclude red, avoid stripes", ["exclude", "avoid"]),
        ("nope red", ["nope"]), ("can\u2019t stand red", ["can't stand"]), ("a red hat", []),
        ("banner in red", []), ("tired of red", ["tired of"]),
        ("stripes (no)", ["no"]), ("stripes [off]", ["off"]), ("stripes no", ["no"]),
        ("stripes none, red", ["none"]), ("~~red~~ blue", ["~"]), ("~red~ blue", ["~"]),
        ("no", []), ("(no) stripes", []), ("~30 cm, ~red", []), ("t-shirt (~red)", ["~"]),
        ("t-shirt \\ red", ["\\"]), ("t-shirt !~ red", ["!="]), ("t-shirt \u2209 red", ["!="]),
        ("stripes no collar", []),
        ('never "red"', ["never"]), ("off white", []),
    ],
)  # fmt: skip
def test_short_forms_that_a_model_has_not_learned(text: str, unlearned: list[str]) -> None:
    assert unknown_function_words(text, FIRST_LANGUAGE.__contains__) == unlearned


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


@pytest.mark.parametrize("phrase", [" ".join(phrase) for phrase in NEGATIONS])
def test_a_negation_is_unknown_until_it_was_learned(phrase: str) -> None:
    text = f"{phrase} red"
    assert unknown_function_words(text, WHOLE_LANGUAGE.__contains__) == []
    expected = [] if phrase in ("no", "not", "without", "no more", "not in") else [phrase]
    assert unknown_function_words(text, FIRST_LANGUAGE.__contains__) == expected


def test_a_note_names_each_negation_once_and_those_to_use() -> None:
    note = negation_note(
        "minus red and minus stripes, except red", FIRST_LANGUAGE.__contains__, has_image=True
    )
    assert note is not None
    assert note.count("minus") == 1
    assert '"minus", "except"' in note
    assert 'Use "not" before a color, "without" before anything else.' in note
    assert negation_note("no belt", FIRST_LANGUAGE.__contains__, has_image=False) is None
    assert negation_note("longer", set().__contains__, has_image=False) is None


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("no, in red", ["no"]), ("No. Red!", ["no"]), ("oh no, red", ["oh no"]), ("no red", []),
        ("no, not red", []), ("red, no stripes", []), ("not only red", ["not only"]),
        ("not  just red, not necessarily long", ["not just", "not necessarily"]),
        ("no problem, red", ["no problem"]), ("not bad in red", ["not bad"]),
        ("don't forget red", ["don't forget"]), ("not too plain", []), ("why not red", ["why not"]),
        ("notjust red", []),
    ],
)  # fmt: skip
def test_words_that_only_look_like_a_negation_are_noted(text: str, phrases: list[str]) -> None:
    assert false_negations(text) == phrases
    note = negation_note(text, WHOLE_LANGUAGE.__contains__, has_image=True)
    if phrases:
        assert note == (
            f"The model reads {' and '.join(f'{chr(34)}{p}{chr(34)}' for p in phrases)} as a "
            "negation of what follows. If you want what follows, remove these words."
        )
    else:
        assert note is None
    assert "reads" not in (negation_note(text, set().__contains__, has_image=True) or "")


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("not black but red", ["not black but red"]), ("not black, red", ["not black, red"]),
        ("no black; in red", ["no black; in red"]), ("from black to red", ["from black to red"]),
        ("instead of black, red", ["instead of black, red"]), ("red, not black", []),
        ("red instead of black", []), ("not black", []), ("not black, longer", []),
    ],
)  # fmt: skip
def test_one_color_in_place_of_another_is_noted(text: str, phrases: list[str]) -> None:
    assert swapped_colors(text) == phrases
    note = negation_note(text, WHOLE_LANGUAGE.__contains__, has_image=True) or ""
    assert ("confuses the colors" in note) == bool(phrases)
    assert ("Name only the color that you want." in note) == bool(phrases)


def test_the_bundled_vocabulary_has_what_it_says() -> None:
    file = BUNDLED_FOLDER / "word_tokenizer" / "tokenizer.json"
    vocabulary = json.loads(file.read_text(encoding="utf-8"))["model"]["vocab"]
    assert (
        unknown_function_words("no red, not striped, without a belt", vocabulary.__contains__) == []
    )


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
    ("text", "overlooked"),
    [
        ("isn't red", ["isn't"]),
        ("anything but red, never striped", ["anything but", "never"]),
        ("no red", ["no red"]),
        ('no "red", longer', ["no red"]),
        ("not [red], longer", ["not red"]),
        ("w/o Blue", ["without blue"]),
        ("not red", []),
        ("dress, not red", ["not red"]),
        ("not gray", ["not gray"]),
        ("without stripes", []),
        ("nothing but red", []),
        ("no other color than red", []),
        ("nothing except red, no blue", ["no blue"]),
    ],
)
def test_negations_that_trained_models_overlook_are_noted(text, overlooked) -> None:
    assert overlooked_negations(text, has_image=False) == overlooked
    note = negation_note(text, lambda word: True, has_image=False)
    assert (note is None) == (not overlooked)
    for phrase in overlooked:
        assert f'often overlooks "{phrase}"' in note or f', "{phrase}"' in note
        assert "Add a picture" in note


@pytest.mark.parametrize("has_image", [False, True])
@pytest.mark.parametrize(
    ("text", "overlooked"),
    [
        ("not a dress", ["not a dress"]),
        ("no skirts, in red", ["no skirts"]),
        ("not too short", ["not too short"]),
        ("not long-sleeved", ["not long-sleeved"]),
        ("no long sleeves", ["no long sleeves"]),
        ("nothing dark", ["nothing dark"]),
    ],
)
def test_negations_of_a_kind_or_a_cut_are_noted_with_what_helps(text, overlooked, has_image):
    """Of the first 12 for words alone, 8 to 12 had what these exclude, and no note said so."""
    found = overlooked_negations(text, has_image)
    assert [phrase for phrase in found if phrase != "nothing"] == overlooked
    if overlooked:
        note = negation_note(text, lambda word: True, has_image)
        assert f'"{overlooked[0]}"' in note
        assert note.endswith("Name what you want instead.")


@pytest.mark.parametrize(
    ("text", "overlooked"),
    [
        ("never red", ["never"]),
        ("no red", []),
        ("anything but striped", []),
        ("isn't red", []),
        ("not a dress", ["not a dress"]),
        ("red, no  Skirts", ["no skirts"]),
        ("anything but a pair of boots", ["anything but a pair of boots"]),
        ("no dress code", ["no dress"]),
        ("no reds", ["no reds"]),
        ("boots instead of trainers", ["instead of trainers"]),
        ("skirt rather than a dress", ["rather than a dress"]),
        ("not a pullover", ["not a pullover"]),
        ("less blue", ["less blue"]),
        ("red is out", ["red is out"]),
        ("but for red", ["but for red"]),
    ],
)
def test_with_a_picture_fewer_negations_are_overlooked(text, overlooked) -> None:
    assert overlooked_negations(text, has_image=True) == overlooked
    note = negation_note(text, lambda word: True, has_image=True)
    assert (note is None) == (not overlooked)
    if note is not None:
        advice = (
            "Name what you want instead."
            if any(
                kind in text.lower() for kind in ("dress", "skirt", "boots", "trainers", "pullover")
            )
            else 'Use "not" before a color, "without" before anything else.'
        )
        assert note.endswith(advice)


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("not red", []),
        ("without buttons", []),
        ("no belt, no pockets or zip", []),
        ("dress without sleeves", []),
        ("dress without buttons", ["without buttons"]),
        ("no belt, longer", ["no belt"]),
        ("shirt with no collar and blue", ["no collar"]),
        ("dress, not for children", ["not for children"]),
        ("we can't see the buttons", ["can't see the"]),
        ("not as dark", ["not as dark"]),
        ("I didn't say red", ["didn't say red"]),
        ("knot red", []),
        ("nothing but red", []),
        ("not only red", []),
    ],
)
def test_negations_after_other_words_are_noted_without_a_picture(text, phrases) -> None:
    """Of the first 12 for "jacket without zip", 10 had one, and no note said so."""
    assert unmeasured_negations(text, has_image=False) == phrases
    note = negation_note(text, lambda word: True, has_image=False)
    for phrase in phrases:
        assert f'may overlook "{phrase}" without a picture' in note


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("not red", []),
        ("dress without a belt", []),
        ("not as dark", ["not as dark"]),
        ("not longer than this", ["not longer than"]),
        ("dots instead of stripes", []),
        ("this instead of leather", ["instead of leather"]),
        ("no sleeves", []),
        ("without pleats", ["without pleats"]),
        ("don't think so", ["don't think so"]),
        ("not for children", ["not for children"]),
    ],
)
def test_negations_of_anything_else_are_noted_with_a_picture(text, phrases) -> None:
    assert unmeasured_negations(text, has_image=True) == phrases
    note = negation_note(text, lambda word: True, has_image=True)
    assert (note is None) == (not phrases)
    if phrases:
        assert note.endswith("Name what you want instead.")


@pytest.mark.parametrize(
    ("text", "names", "rest"),
    [
        ("not red", ["red"], ""),
        ("dress but not dark blue, longer", ["dark blue"], "dress but , longer"),
        ("not a dress or a skirt", ["dress", "skirt"], ""),
        ("a skirt instead of a dress", ["dress"], "a skirt "),
        ("jacket without a hood", ["hood"], "jacket "),
        ("blue but not navy", [], "blue but not navy"),  # a similar color is wanted
        ("nothing but a red dress", [], "nothing but a red dress"),
        ("not only red", [], "not only red"),
        ("not without a hood", [], "not without a hood"),
        ("no red dress", [], "no red dress"),
        ("no dress shoes", [], "no dress shoes"),
        ("no, in red", [], "no, in red"),
        ("not a t-shirt but a shirt", ["t-shirt"], " but a shirt"),
    ],
)
def test_excluded_colors_and_kinds_are_found(text, names, rest) -> None:
    exclusions, without = find_exclusions(text)
    assert [item.name for item in exclusions] == names
    assert without == rest
    types = {"dress": "kind", "skirt": "kind", "t-shirt": "kind", "hood": "detail"}
    assert all(item.type == types.get(item.name, "color") for item in exclusions)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("no high heels", [("high heels", "detail")]),
        ("no heels", [("heels", "kind")]),
        ("not a polo shirt", [("polo shirt", "kind")]),
        ("remove the peak", [("peak", "detail")]),
        ("a shirt without elbow-length sleeves", [("elbow-length sleeves", "detail")]),
        ("no roll neck or hood", [("roll neck", "detail"), ("hood", "detail")]),
        ("without white in the pattern", [("white in the pattern", "detail")]),
        ("no pinstripes, please", [("pinstripes", "pattern")]),
        ("not the same fit", []),
        ("no fuss, just laces", []),
    ],
)
def test_excluded_details_are_found(text, found) -> None:
    exclusions, _ = find_exclusions(text)
    assert exclusions == [Exclusion(*item) for item in found]


def test_phrases_that_models_overlook_stay_in_the_text_for_notes() -> None:
    _, rest = find_exclusions("no zip, not red", keep_overlooked=True)
    assert rest == "no zip, "
    _, rest = find_exclusions("no zip, not red")
    assert rest == ", "


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a red dress", "dress"),
        ("footwear, ", "footwear"),
        ("shirt, not a dress", "dress"),
        ("longer", None),
        ("dressy", None),
    ],
)
def test_the_kind_of_garment_is_the_last_that_a_text_names(text, kind) -> None:
    assert find_kind(text) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("as a skirt", "skirt"),
        ("as shorts", "shorts"),
        ("turn it into a red dress", "dress"),
        ("the same but as a hoodie", "hoodie"),
        ("a dress like this", "dress"),
        ("same print on a blouse", "blouse"),
        ("boots instead", "boots"),
        ("leather jacket", "jacket"),
        ("I want trousers in this color", "trousers"),
        ("is a long sleeve dress with dots", "dress"),
        ("shoes to go with it", "shoes"),
        # What a kind is named for besides:
        ("matches my skirt", None),
        ("goes with this skirt", None),
        ("to wear with jeans", None),
        ("with a jacket", None),
        ("has a full skirt", None),
        ("with the sleeves of a shirt", None),
        ("more like a t-shirt", None),
        ("cap sleeves", None),
        ("shirt collar", None),
        ("the dress is shorter", None),
        ("a longer skirt", None),
        ("longer", None),
    ],
)
def test_the_wished_kind_is_the_one_that_a_text_asks_for(text, kind) -> None:
    assert find_wished_kind(text) == kind


def test_exclusions_of_small_parts_are_noted_with_a_picture() -> None:
    """Of the first 12 photographs for a jacket's and "without zip", 4.5 have one."""
    note = negation_note("without zip", lambda word: True, has_image=True)
    assert note is not None
    assert 'often overlooks "without zip"' in note
    assert note.endswith("Name what you want instead.")
    assert negation_note("without zip", lambda word: True, has_image=False) is None


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


def test_all_values_after_except_are_excluded():
    exclusions, rest = find_exclusions("bottoms except jeans and shorts")
    assert [item.name for item in exclusions] == ["jeans", "shorts"]
    assert rest.strip() == "bottoms"
    assert [item.name for item in find_exclusions("not jeans and shorts")[0]] == ["jeans"]


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

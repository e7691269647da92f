"""Notes on negations that a model has not learned, overlooks or may overlook."""

import json

import pytest

from dwc.checkpoints.load import BUNDLED_FOLDER
from dwc.negation.exclusions import NEGATIONS
from dwc.negation.notes import (
    false_negations,
    negation_note,
    overlooked_negations,
    swapped_colors,
    unknown_function_words,
    unmeasured_negations,
)

FIRST_LANGUAGE = {"no", "not", "without", "instead", "of", "more", "but", "in", "red", "stripes"}

WHOLE_LANGUAGE = {word for phrase in NEGATIONS for word in phrase}


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


def test_exclusions_of_small_parts_are_noted_with_a_picture() -> None:
    """Of the first 12 photographs for a jacket's and "without zip", 4.5 have one."""
    note = negation_note("without zip", lambda word: True, has_image=True)
    assert note is not None
    assert 'often overlooks "without zip"' in note
    assert note.endswith("Name what you want instead.")
    assert negation_note("without zip", lambda word: True, has_image=False) is None

"""What a text leaves open, and what a search says about it."""

import csv
import json
import os
from pathlib import Path

import pytest

from dwc.checkpoints.load import BUNDLED_FOLDER
from dwc.datasets.wardrobe import VALUE_TEXTS
from dwc.modeling.text_rephrasing import rephrase_exclusions
from dwc.search.unclear_wishes import (
    Measured,
    WordCount,
    describe_lengths,
    describe_poorly_known,
    describe_reading,
    describe_unclear,
    describe_unknown,
    find_alternatives,
    find_wished_values,
    load_measured,
)


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("red or green skirt", ("red", "green skirt")),
        ("a red skirt or a green skirt", ("red skirt", "green skirt")),
        ("dress in dark red, or in light blue", ("dark red", "light blue")),
        ("hat or bag", ("hat", "bag")),
        ("striped or dotted shirt", ("striped", "dotted shirt")),
        ("sleeveless or short sleeve dress", ("sleeveless", "short sleeve dress")),
        ("white or beige shoes", ("white", "beige shoes")),
        ("red | blue skirt", ("red", "blue skirt")),
        ("red/ blue skirt", ("red", "blue skirt")),
        ("red and/ or blue skirt", ("red", "blue skirt")),
        ("grey or gray dress", None),
        ("blue or navy", None),
        ("dress or dresses", None),
        ("a tee or t-shirt", None),
        ("more or less red", None),
        ("red or so", None),
        ("whether or not it is red", None),
        ("not red or blue", None),
        ("in red and green", None),
    ],
)
def test_alternatives_are_found(text, pair):
    assert find_alternatives(text) == pair
    assert bool(describe_unclear(text, has_image=False)) == (pair is not None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("same colour, other pattern", '"other pattern" does not say which one'),
        ("in another colour", '"another colour" does not say which one'),
        ("a Different  neckline", '"different neckline" does not say which one'),
        ("change only the colour", '"change only the colour" does not say which one'),
        ("something completely different", "does not say what should differ"),
        ("any color but this one", '"any color but this one" does not say what should differ'),
        ("less like this one", '"less like this one" does not say what should differ'),
        ("more formal", '"more formal" does not say what should differ'),
        ("this, but warmer", '"warmer" does not say what should differ'),
        ("less shiny, in red", 'read "less shiny" as "shiny"'),
        ("too busy", 'read "too busy" as "busy"'),
        ("red, unless striped", 'overlook "unless"'),
        ("more red than blue", "all of these as wanted: red, blue"),
        ("everything but this colour", '"but this colour" does not say which one'),
        ("my t-shirt is black, I want red", "all of these as wanted: black, red"),
        ("I wear stripes but need dots", "all of these as wanted: stripes, dots"),
        ("lighter than navy shirt", 'with "lighter than navy"'),
        ("trousers, darker than the light grey", 'with "darker than the light grey"'),
    ],
)
def test_a_wish_without_a_value_is_said(text, said):
    [note] = describe_unclear(text, has_image=True)
    assert said in note
    assert ("of the picture" in note) == ("which one" in note)
    assert not any("of the picture" in note for note in describe_unclear(text, has_image=False))


@pytest.mark.parametrize(
    ("text", "amount", "read"),
    [
        ("two shades darker", "two shades darker", "darker"),
        ("A few  tones lighter, please", "a few tones lighter", "lighter"),
        ("5 cm shorter", "5 cm shorter", "shorter"),
    ],
)
def test_an_amount_is_said_not_to_count(text, amount, read):
    [note] = describe_unclear(text, has_image=True)
    assert f'how much "{amount}" is' in note
    assert note.endswith(f'reads "{read}".')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("shirt with red sleeves, make that green", "reads all of these as wanted: red, green"),
        ("red collar. No, green", "reads all of these as wanted: red, green"),
        ("t-shirt, spare me cotton", 'may overlook "spare me"'),
        ("different from cotton", 'may overlook "different from"'),
        ("leave the wool and the t-shirts out", 'overlook "leave the wool and the t-shirts out"'),
        ("different from this", '"different from this" does not say what should differ'),
        ("wool excluded", 'may overlook "wool excluded"'),
        ("shirt, don't show me cotton", 'may overlook "don\'t show me"'),
    ],
)
def test_a_correction_or_exclusion_that_is_not_read_is_said(text, said):
    assert any(said in note for note in describe_unclear(text, has_image=True))


@pytest.mark.parametrize(
    "phrase",
    [
        "forget about {}", "forget {}", "nix {}", "axe {}", "scrap {}", "dump {}", "quit {}",
        "ignore {}", "disregard {}", "erase {}", "banish {}", "purge {}", "subtract {}",
        "deduct {}", "strip away {}", "leave out {}", "filter out {}", "keep out {}",
        "cut the {}", "hold the {}", "kill the {}", "strike the {}", "bin the {}", "toss the {}",
        "chuck the {}", "do away with {}", "to hell with {}", "dispense with {}", "pass on {}",
        "hard pass on {}", "stop with {}", "spare me {}", "save us from {}", "down with {}",
        "so over {}", "I'm over {}", "don't give me {}", "never show me {}", "don't use {}",
        "leave {} out", "take {} away", "keep {} aside", "rule {} out", "wipe {} off",
        "{} excluded", "{} removed", "{} is gone", "{} left out", "{} are banned", "{} omitted",
        "differs in color from {}", "differs from {}", "different from {}",
    ],
)  # fmt: skip
def test_each_verb_that_excludes_is_read_or_named(phrase) -> None:
    text = rephrase_exclusions(f"shirt, {phrase.format('stripes')}").text
    assert "plain" in text
    rest = rephrase_exclusions(f"shirt, {phrase.format('cotton')}").text
    assert any("may overlook" in note for note in describe_unclear(rest, has_image=False))


@pytest.mark.parametrize(
    "text",
    [
        "don't forget the belt", "cut the sleeves shorter", "with the back cut out", "a low cut",
        "dropped shoulders", "over knee boots", "get over knee boots", "not excluded",
        "button down with cotton", "dress and dresses",
    ],
)  # fmt: skip
def test_phrases_like_exclusions_need_no_note(text) -> None:
    assert describe_unclear(text, has_image=True) == []


@pytest.mark.skipif("DWC_TEST_DATA" not in os.environ, reason="needs the wardrobe's captions")
def test_captions_of_photographs_exclude_nothing() -> None:
    path = Path(os.environ["DWC_TEST_DATA"]) / "wardrobe" / "attributes.csv"
    with path.open(encoding="utf-8", newline="") as file:
        captions = [row["caption"] for row in csv.DictReader(file)]
    notes = [note for caption in captions for note in describe_unclear(caption, has_image=False)]
    notes = [note for note in notes if '"bar"' not in note]  # a shoe with a bar
    assert not [note for note in notes if "may overlook" in note]


@pytest.mark.parametrize(
    "text",
    [
        "change the colour to green",
        "other pattern than stripes",
        "lighter",
        "darker blue",
        "lighter than this",
        "I want a red dress with white dots",
        "more or less red",
        "something else in red",
        "longer",
    ],
)
def test_a_clear_wish_needs_no_note(text):
    assert describe_unclear(text, has_image=True) == []


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("white t-shirt with red sleeves", "red sleeves"),
        ("Dark  blue leather straps", "dark blue leather straps"),
        ("the collar in red", "collar in red"),
        ("make the sleeves: blue", "sleeves: blue"),
        ("white at the bottom", "white at the bottom"),
        ("black on the left side", "black on the left side"),
        ("half black", "half black"),
        ("black top half", "black top half"),
    ],
)
def test_a_color_of_a_part_is_said_not_to_be_followed(text, phrase):
    [note] = describe_unclear(text, has_image=True)
    assert f'which part has a color: with "{phrase}"' in note


@pytest.mark.parametrize(
    "text",
    ["red long sleeve top", "red belt bag", "red with long sleeves", "white stripes", "in red"],
)
def test_a_color_of_a_garment_is_no_color_of_a_part(text):
    assert describe_unclear(text, has_image=True) == []


@pytest.mark.parametrize(
    ("text", "amount", "read"),
    [
        ("double the stripes", "double the stripes", "stripes"),
        ("half as long", "half as long", "long"),
    ],
)
def test_a_multiple_is_said_not_to_count(text, amount, read):
    [note] = describe_unclear(text, has_image=True)
    assert note == f'The model does not know how much "{amount}" is: it reads "{read}".'


def write_evaluation(folder, readings=(), **counts):
    words = {name: {"found": count[0], "fitting": count[1]} for name, count in counts.items()}
    wardrobe = {"search_words": {"k": 12, "words": words}, "readings": dict(readings)}
    content = {"fingerprint": "abc", "wardrobe": wardrobe}
    (folder / "evaluation.json").write_text(json.dumps(content))


def test_words_that_a_model_hardly_follows_are_those_measured(tmp_path):
    write_evaluation(tmp_path, hood=(8, 60), lapels=(3, 60), polo=(4, 60), cape=(3, 10), bow=(0, 9))
    known = load_measured(tmp_path, "abc").poorly_known
    assert known == {"lapels": WordCount(3, 12), "cape": WordCount(3, 12)}
    assert load_measured(tmp_path, "another") == Measured()
    assert load_measured(None, "abc") == Measured()
    for content in ("", "[]", "{}", '{"fingerprint": "abc", "wardrobe": {"search_words": 3}}'):
        (tmp_path / "evaluation.json").write_text(content)
        assert load_measured(tmp_path, "abc") == Measured()


def test_only_readings_that_are_mostly_right_count(tmp_path):
    write_evaluation(tmp_path, {"colour": 0.7, "pattern": 0.5})
    assert load_measured(tmp_path, "abc").readings == {"colour": 0.7}


def test_words_that_a_model_hardly_follows_are_said():
    known = {"v-neck": WordCount(2, 12), "polo": WordCount(3, 12), "polo neck": WordCount(1, 12)}
    [note] = describe_poorly_known("a V neck  jumper", known)
    assert note.startswith('The model hardly knows "v-neck"')
    assert "2 of the first 12 fitted" in note
    [note] = describe_poorly_known("with a polo neck", known)
    assert '"polo neck"' in note
    assert len(describe_poorly_known("polos and v-necks", known)) == 2
    assert describe_poorly_known("in polonaise red", known) == []


def test_the_bundled_checkpoint_was_measured():
    """V-necks are 47 of 924 photographs; a third of 12 would be 4."""
    folder = BUNDLED_FOLDER
    fingerprint = json.loads((folder / "evaluation.json").read_text())["fingerprint"]
    measured = load_measured(folder, fingerprint)
    assert measured.poorly_known["v-neck"].found < 4
    assert "hooded" not in measured.poorly_known
    assert set(measured.readings) == set(VALUE_TEXTS)


@pytest.mark.parametrize(
    ("text", "unknown", "is_said"),
    [
        ("stripes like a Curtain", ["Curtain"], True),
        ("red ones with kittens and burgers", ["ones", "kittens", "burgers"], True),
        ("red striped dress with kittens", ["kittens"], False),
        ("kittens", ["kittens"], False),  # it has a message of its own
        ("red with it", ["with"], False),
    ],
)
def test_words_that_are_passed_over_are_said_if_they_are_half_of_the_text(text, unknown, is_said):
    notes = describe_unknown(text, unknown)
    assert bool(notes) == is_said
    assert all('"kittens", "burgers"' in note or '"Curtain"' in note for note in notes)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("in Burgundy with short sleeves", {"colour": "red", "sleeve": "short"}),
        ("sleeveless striped top", {"pattern": "striped", "sleeve": "sleeveless", "kind": "top"}),
        ("a leather handbag", {"kind": "bag"}),
        ("red ankle boots", {"colour": "red", "kind": "shoes"}),
        ("in red, to wear with jeans", {"colour": "red"}),
        ("red and navy", {}),
        ("red with burgundy stripes", {"colour": "red", "pattern": "striped"}),
        ("longer", {}),
    ],
)
def test_wished_values_are_those_that_a_text_names_alone(text, values):
    assert find_wished_values(text) == values
    for attribute, value in values.items():
        assert value in VALUE_TEXTS[attribute]


def test_a_reading_is_said_if_it_contradicts_the_wish():
    [note] = describe_reading('"in red"', 3, 12, 0.672)
    assert '3 of the first 12 results are "in red"' in note
    assert "67%" in note
    assert describe_reading('"in red"', 4, 12, 0.672) == []


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("longer", "longer"),
        ("the same but cropped", "cropped"),
        ("a maxi dress", "maxi"),
        ("down to the ankles, in red", "down to the ankles"),
        ("knee length", "knee length"),
    ],
)
def test_a_wish_for_a_length_is_said_to_be_hardly_followed(text, phrase):
    [note] = describe_lengths(text)
    assert f'("{phrase}")' in note


@pytest.mark.parametrize("text", ["with long sleeves", "long-sleeved", "shorts", "longer sleeves"])
def test_lengths_of_sleeves_get_no_such_note(text):
    assert describe_lengths(text) == []


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("t-shirt with exactly two pockets", "exactly two pockets"),
        ("t-shirt with a single pocket", "a single pocket"),
        ("coat with 3 buttons", "3 buttons"),
    ],
)
def test_a_number_of_parts_is_said_not_to_be_counted(text: str, phrase: str) -> None:
    notes = describe_unclear(text, has_image=False)
    assert any("does not count" in note and f'"{phrase}"' in note for note in notes)


@pytest.mark.parametrize("text", ["t-shirt with pockets", "a pocket", "two piece dress"])
def test_parts_without_a_number_have_no_such_note(text: str) -> None:
    assert not any("does not count" in note for note in describe_unclear(text, has_image=False))


def test_a_contrast_to_the_picture_is_said_to_be_open() -> None:
    [note] = describe_unclear("a contrast to this", has_image=True)
    assert "what should differ" in note


def test_nothing_but_an_attribute_of_the_picture_is_said_to_be_overlooked() -> None:
    [note] = describe_unclear("keep nothing but the colour", has_image=True)
    assert '"keep nothing but the colour"' in note
    assert not describe_unclear("nothing but the colour red", has_image=True)

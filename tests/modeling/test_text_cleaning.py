"""Typed texts are cleaned before tokenization, or cleaned as in `clip.tokenize`."""

import sys

import pytest

from dwc.modeling import text_cleaning
from dwc.modeling.text_cleaning import (
    clean_as_openai,
    clean_text,
    clean_typed_text,
    correct_spelling,
    decode_url_text,
)

KNOWN = {"red", "dress", "blue", "white", "vneck", "its", "sleeves", "light"}
KNOWN |= {"pattern", "heel", "belt", "less", "free", "sleeveless", "sleeve", "time", "sin"}
KNOWN |= {"car", "men", "man", "gas", "over", "all", "rec", "order", "work", "wear"}


def is_known(word):
    return "".join(char for char in word.lower() if char.isalnum()) in KNOWN


@pytest.mark.parametrize(
    "space",
    ["\u00a0", "\u2009", "\u3000", "\u2028", "\u202f", "\t", "\n", "\u200b", "\x00", "\x85"],
)
def test_any_space_is_a_space(space):
    assert clean_typed_text(f"red{space}dress", is_known) == "red dress"
    assert clean_typed_text(f"{space}red{space} {space}dress{space}") == "red dress"


@pytest.mark.parametrize(
    "joint", [",", "/", ";", "|", "&", "+", "-", "–", "—", "_", ".", "\\", "•"]
)
def test_joined_words_are_separated_where_the_parts_are_known(joint):
    words = clean_typed_text(f"red{joint}dress", is_known).split()
    assert [word.strip(",/;|&+-") for word in words] == ["red", "dress"]
    assert len(clean_typed_text(f"qqq{joint}zzz", is_known).split()) == 1


@pytest.mark.parametrize(
    ("word", "clean"),
    [
        ("RedDress", "Red Dress"),
        ("reddress", "red dress"),
        ("#reddress,", "#red dress,"),
        ("red...dress", "red dress"),
        ("red__dress", "red dress"),
        ("redzzz", "redzzz"),
        ("itsred", "its red"),
        ("workwear", "work wear"),
        ("recorder", "recorder"),
    ],
)
def test_words_joined_without_a_sign_are_separated_where_both_are_known(word, clean):
    assert clean_typed_text(word, is_known) == clean


@pytest.mark.parametrize(
    ("typed", "clean"),
    [
        ("patternless", "without pattern"),
        ("Heelless, red", "without Heel, red"),
        ("heel-less", "without heel"),
        ("(belt-free)", "(without belt)"),
        ("patternless/blue", "without pattern/ blue"),
        ("sleeveless", "sleeveless"),
        ("sleeve-less", "sleeve-less"),
        ("sleeve-less/blue", "sleeveless/ blue"),
        ("timeless", "timeless"),
    ],
)
def test_a_thing_that_is_absent_is_excluded(typed, clean):
    """The negation became the comparison "less"."""
    assert clean_typed_text(typed, is_known) == clean


@pytest.mark.parametrize("word", ["carmen", "overall", "mangas", "sin mangas"])
def test_words_that_do_not_describe_clothes_are_not_cut(word):
    assert clean_typed_text(word, is_known) == word


@pytest.mark.parametrize(
    ("typed", "respelled"),
    [
        ("#reddress,", [("reddress", "red dress")]),
        ("RedDress", [("RedDress", "Red Dress")]),
        (
            "Patternless, heel-less",
            [("Patternless", "without Pattern"), ("heel-less", "without heel")],
        ),
        ("dress exept red", [("exept", "except")]),
        ("3/4 sleeves, 1.5", []),
        ("red/dress", []),
        ("red dress", []),
    ],
)
def test_respelled_words_are_reported(typed, respelled):
    assert clean_text(typed, is_known).respelled == tuple(respelled)


@pytest.mark.parametrize(
    ("typed", "is_reported"),
    [("-blue\n-belt", True), ("- blue\n- belt", False), ("-belt", False), ("red\nblue", False)],
)
def test_a_list_that_could_be_minus_signs_is_reported(typed, is_reported):
    assert clean_text(typed, is_known).read_as_list == is_reported


@pytest.mark.parametrize("word", ["v-neck", "it's", "V-Neck", "women's", "t.b.d"])
def test_known_joined_words_stay(word):
    assert clean_typed_text(word, is_known) == word


@pytest.mark.parametrize(
    ("typed", "clean"),
    [
        ("it’s", "it's"),
        ("café", "cafe"),
        ("ÉCRU à la façon", "ECRU a la facon"),
        ("ｒｅｄ　ｄｒｅｓｓ", "red dress"),
        ("re\u00add dre\u200dss\ufeff", "red dress"),
        ("“red”", '"red"'),
        ("black &amp; white", "black & white"),
        ("größer", "grosser"),
        ("ﬂoral", "floral"),
        ("红色", "红色"),
        ("  ", ""),
    ],
)
def test_letters_and_signs_become_what_they_mean(typed, clean):
    assert clean_typed_text(typed) == clean


@pytest.mark.parametrize(
    ("typed", "clean"),
    [
        ("blue &not striped", "blue &not striped"),
        ("&notched", "&notched"),
        ("&notched;", "&notched;"),
        ("&regular", "&regular"),
        ("red&#44; blue&#x2c;", "red, blue,"),
        ("&quot;red&quot;", '"red"'),
    ],
)
def test_only_entities_that_end_in_a_semicolon_are_decoded(typed, clean):
    assert clean_typed_text(typed) == clean


@pytest.mark.parametrize(
    ("typed", "clean"),
    [
        ("-blue\n-longer", "blue, longer"),
        ("\u200b-stripes", "without stripes"),
        ("dress －ｂｅｌｔ", "dress without belt"),
        ("like this –shorter", "like this - shorter"),
        ("red\ndress", "red dress"),
        ("isnt red", "isn't red"),
        ("Wishes:\n-blue\n-longer", "Wishes: blue, longer"),
        ("color≠red", "color != red"),
    ],
)
def test_only_a_minus_before_a_word_excludes_it(typed, clean):
    assert clean_typed_text(typed) == clean
    assert clean_typed_text(clean) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("don’t", "don't"),
        ("women’s", "women's"),
        ("black &amp; white", "black & white"),
        ("black &amp;amp; white", "black & white"),
        ("ｒｅｄ", "red"),
        ("  is\u00a0red ", "is red"),
        ("plain red", "plain red"),
    ],
)
def test_texts_are_cleaned_as_openais_tokenizer_does(text, clean):
    assert clean_as_openai(text) == clean


def test_a_missing_ftfy_is_reported_once_and_only_where_it_matters(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "ftfy", None)
    text_cleaning._find_ftfy.cache_clear()
    assert clean_as_openai("plain &amp; red") == "plain & red"
    assert caplog.records == []
    assert clean_as_openai("don’t") == "don’t"
    clean_as_openai("women’s")
    text_cleaning._find_ftfy.cache_clear()
    assert len(caplog.records) == 1
    assert "pip install 'dwc[convert]'" in caplog.text


@pytest.mark.parametrize(
    ("typed", "clean"),
    [("waistcoats", "waistcoat"), ("trainer", "trainers"), ("red polos", "red polo")],
)
def test_an_unknown_number_of_a_garment_is_read_as_the_known_one(typed, clean) -> None:
    known = {"waist", "coats", "waistcoat", "trainers", "red", "polo"}
    assert clean_typed_text(typed, known.__contains__) == clean


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("sleevless, (Jaket)", "sleeveless, (jacket)"),
        ("stirpes balck sweter", "stripes black sweater"),
        ("right while dressy sprint gren", "right while dressy sprint gren"),
        ("pritns", "pritns"),  # "prints" is not in the vocabulary
        ("stripes", "stripes"),
    ],
)
def test_mistyped_words_for_clothes_are_corrected(typed, read):
    known = {"sleeveless", "jacket", "stripes", "black", "sweater", "bright", "white", "dress"}
    text, changes = correct_spelling(typed, lambda word: word.lower() in known)
    assert text == read
    assert len(changes) == sum(a != b for a, b in zip(typed.split(), read.split(), strict=True))


@pytest.mark.parametrize("text", ["that sort of thing", "wait, shot in black"])
def test_ordinary_words_are_no_mistyped_words_for_clothes(text):
    assert correct_spelling(text, lambda word: word in {"short", "waist", "black"}) == (text, ())


@pytest.mark.parametrize(
    ("typed", "clean"),
    [
        ("dress n0 black", "dress no black"),
        ("n0t bl4ck", "not black"),
        ("wh1te dress", "white dress"),
        ("b1ack dress", "black dress"),
        ("#noblack", "#no black"),
        ("size 3xl", "size 3xl"),
        ("70s dress", "70s dress"),
        ("dress for 2", "dress for 2"),
        ("noted", "noted"),
    ],
)
def test_digits_in_place_of_letters_are_read_as_letters(typed, clean):
    known = {"dress", "black", "white", "no", "not", "size", "for"}
    assert clean_typed_text(typed, lambda word: word.lower() in known) == clean


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("red%20dress%20not%20blue", "red dress not blue"),
        ("red%252520dress", "red dress"),
        ("red+dress%2C+no+stripes", "red dress, no stripes"),
        ("red%20%2B%20blue", "red + blue"),
        ("robe%20%C3%A9t%C3%A9%0A", "robe été\n"),
        ("100%25%20cotton", "100% cotton"),
        ("dress+not+blue", "dress not blue"),
        ("no+stripes", "no stripes"),
    ],
)
def test_a_text_encoded_for_an_address_is_decoded(typed, text):
    assert decode_url_text(typed) == text


@pytest.mark.parametrize(
    "text",
    [
        "50% off", "50%25 off", "red dress%20", "100%cashmere", "100%acrylic", "50%fabric",
        "%FFred", "red%00", "%20", "%25", "%", "", "red+dress", "black+white", "+ with",
        "é%20", "-stripes", "no+stripes, please",
    ],
)  # fmt: skip
def test_other_texts_with_percent_and_plus_signs_stay(text):
    assert decode_url_text(text) == text


@pytest.mark.parametrize(
    ("typed", "clean"),
    [
        ("dress\uff0c\u7ea2\u8272", "dress, \u7ea2\u8272"),
        ("dress\u3001\u7ea2\u8272", "dress\u3001 \u7ea2\u8272"),
        ("dress\u060c\u0623\u062d\u0645\u0631", "dress\u060c \u0623\u062d\u0645\u0631"),
        ("\u7ea2\u8272dress", "\u7ea2\u8272 dress"),
        (
            "dress,\u043a\u0440\u0430\u0441\u043d\u044b\u0439",
            "dress, \u043a\u0440\u0430\u0441\u043d\u044b\u0439",
        ),
        ("caf\u00e9 dress", "cafe dress"),
    ],
)
def test_letters_of_another_script_are_separated_from_known_words(typed: str, clean: str) -> None:
    # A word tokenizer deletes such letters, and so knows "dress" in the joined word.
    def is_known(word: str) -> bool:
        return "".join(filter(str.isascii, word)).strip(",") in {"dress", "cafe"}

    assert clean_text(typed, is_known).text == clean

"""What the bundled checkpoints read of typed texts: spaces, signs, long and foreign texts."""

import pytest
from PIL import Image

from dwc.checkpoints.load import load
from dwc.errors import QueryError
from dwc.modeling.processing_dwc import fill_template
from dwc.modeling.text_cleaning import FUNCTION_WORDS
from dwc.search.query import describe_model_input
from dwc.search.searcher import Searcher

LONG = (
    "a long flowing summer dress in light blue with short sleeves and a round neckline made of "
    "cotton with white stripes and a wide skirt that has buttons in front and two pockets, for the "
    "beach and the evening and for a walk in town as well, which comes in many other colors too"
)


@pytest.fixture(scope="module")
def searcher(loaded, store):
    return Searcher(loaded, store)


@pytest.fixture(scope="module")
def reference(pictures):
    with Image.open(pictures / "p03.png") as picture:
        return picture.convert("RGB").rotate(90)


@pytest.fixture(scope="module")
def bundled():
    return load()


def read(bundled, typed):
    return bundled.processor.read_typed(typed, bundled.model.config.caption_template)


@pytest.mark.parametrize(
    "typed",
    ["red\u00a0dress", "red\u2009dress", "red\u3000dress", "red\u2028dress", "ｒｅｄ　ｄｒｅｓｓ"],
)
def test_any_space_and_any_letters_read_as_typed_plainly(bundled, typed):
    """The CNN stream read one unknown word, and the list of unknown words was empty."""
    assert read(bundled, typed).text == "red dress"


@pytest.mark.parametrize(
    "typed",
    [
        "red,dress",
        "blue/white",
        "red-dress",
        "red&white",
        "red+blue",
        "red…dress",
        "RedDress",
        "reddress",
        "#reddress",
        "red_dress",
        "red://dress",
    ],
)
def test_joined_words_reach_the_cnn_stream(bundled, typed):
    text = read(bundled, typed).text
    words = bundled.processor(text=text)["word_ids"][0]
    assert len(words) == 2
    assert 0 not in words
    assert bundled.processor.unknown_words(text) == []


def test_a_long_text_is_cut_at_a_word_and_says_where(bundled):
    typed = read(bundled, LONG)
    assert LONG.startswith(typed.text)
    assert LONG[len(typed.text)] == " "
    assert f"{typed.text} {typed.cut}" == LONG
    (note,) = typed.notes
    assert typed.text.split()[-1] in note
    assert "at most 64 tokens" in note
    template = bundled.model.config.caption_template
    bundled.processor(text=fill_template(template, [typed.text]))
    assert typed.text.split()[-1] not in FUNCTION_WORDS
    longer = f"{typed.text} {' '.join(typed.cut.split()[:4])}"
    with pytest.raises(QueryError):
        bundled.processor(text=fill_template(template, [longer]))


@pytest.mark.parametrize(
    ("typed", "facts"),
    [
        ("red dress size 48 price 25 dollars", "“size 48” and “price 25 dollars”"),
        ("dress under $50", "“$50”"),
        ("heels, 10cm, on sale", "“10cm” and “on sale”"),
        ("red dress in size medium", "“size medium”"),
        ("dress in medium", "“in medium”"),
        ("plus size dress, half price", "“plus size” and “half price”"),
        ("the same in my size", "“in my size”"),
        ("a size up", "“a size up”"),
        ("more comfortable shoes", "“more comfortable”"),
        ("a black jumper for my husband", "“for my husband”"),
    ],
)
def test_sizes_and_prices_are_said_to_be_unknown(bundled, typed, facts):
    """They changed the first results, and nothing said that they mean nothing to the model."""
    [note] = [note for note in read(bundled, typed).notes if "picture does not show" in note]
    assert facts in note


@pytest.mark.parametrize(
    "typed",
    ["a dress of medium size", "sized dots", "42 buttons", "medium length", "the same size"],
)
def test_words_without_sizes_and_prices_have_no_such_note(bundled, typed):
    assert not any("picture does not show" in note for note in read(bundled, typed).notes)


def test_words_that_are_cut_off_are_not_said_to_be_read(bundled):
    typed = read(bundled, f"{LONG}, {LONG}, in red, not blue")
    assert typed.cut.endswith("in red")  # "in red, not blue" is read as "in red"
    assert typed.respelled == ()


@pytest.mark.parametrize(
    "typed", ["rotes Kleid ohne Ärmel", "Kleid in Rot", "红色连衣裙", "красное платье", "❤️"]
)
def test_a_foreign_text_is_answered_by_the_picture_alone(bundled, typed):
    text = read(bundled, typed)
    assert text.text == ""
    assert "reads English" in text.notes[0]
    assert "picture alone" in text.notes[0]


@pytest.mark.parametrize("typed", ["more of it", "red Kleid", "longer", "RED"])
def test_a_text_with_a_known_word_is_read(bundled, typed):
    assert read(bundled, typed).text == typed


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("-stripes", "in plain"), ("red dress -belt", "red dress without belt"),
        ("\u2212stripes", "in plain"), ("long-sleeved", "long-sleeved"),
    ],
)  # fmt: skip
def test_a_leading_minus_is_read_as_without(bundled, typed, text):
    """The word tokenizer deleted the minus, and read what was not wanted."""
    assert read(bundled, typed).text == text


def test_a_search_says_what_was_not_read(searcher, reference):
    foreign = searcher.search(reference, "红色连衣裙")
    alone = searcher.search(reference)
    assert [hit.id for hit in foreign.hits] == [hit.id for hit in alone.hits]
    assert foreign.weights == alone.weights
    assert foreign.unknown_words == ["红色连衣裙"]
    assert any("picture alone" in note for note in foreign.notes)
    with pytest.raises(QueryError, match="reads English; use other words, or add a picture"):
        searcher.search(None, "红色连衣裙")
    query = searcher.encode_query(reference, "红色连衣裙")
    words = describe_model_input(searcher.checkpoint, query).words
    assert [(word.word, word.known) for word in words] == [("红色连衣裙", False)]


def test_what_a_stream_cannot_read_is_struck(searcher, reference):
    query = searcher.encode_query(reference, "red 连衣裙")
    words = describe_model_input(searcher.checkpoint, query).words
    assert ("连衣裙", False) in [(word.word, word.known) for word in words]


def test_the_notes_say_which_words_were_respelled(bundled):
    notes = read(bundled, "reddress\n-patternless").notes
    assert "Read “patternless” as “without pattern”, “reddress” as “red dress”." in notes
    assert any("not as a minus" in note for note in notes)


@pytest.mark.parametrize(
    ("typed", "read", "changes"),
    [
        ("azure", "blue", (("azure", "blue"),)),
        ("an Azure kilt, please", "an blue skirt", (("Azure", "blue"), ("kilt", "skirt"))),
        ("sapphire blue jeans", "blue jeans", (("sapphire blue", "blue"),)),
        ("anoraks", "parka", (("anoraks", "parka"),)),
        ("red dress", "red dress", ()),
    ],
)
def test_an_unknown_word_is_read_as_its_neighbor_and_the_note_says_so(
    bundled, typed, read, changes
) -> None:
    result = bundled.processor.read_typed(typed, bundled.model.config.caption_template)
    assert (result.text, result.respelled) == (read, changes)
    assert all(f"“{word}” as “{other}”" in result.notes[0] for word, other in changes)
    assert bundled.processor.unknown_words(result.text) == []


def test_words_encoded_for_an_address_are_decoded_and_the_note_says_so(bundled) -> None:
    template = bundled.model.config.caption_template
    typed = bundled.processor.read_typed("red%20dress%20not%20blue", template)
    assert typed.text == bundled.processor.read_typed("red dress not blue", template).text
    assert "“red%20dress%20not%20blue” as “red dress not blue”" in typed.notes[0]
    assert bundled.processor.read_typed("100%cashmere", template).respelled == ()


def test_an_excluded_neighbor_is_rephrased_like_a_known_word(bundled) -> None:
    template = bundled.model.config.caption_template
    typed = bundled.processor.read_typed("a dress, anything but azure", template)
    known = bundled.processor.read_typed("a dress, anything but blue", template)
    assert typed.text == known.text


def test_a_word_without_a_neighbor_is_still_said_to_be_unknown(bundled) -> None:
    template = bundled.model.config.caption_template
    typed = bundled.processor.read_typed("a flurbish dress", template)
    assert (typed.text, typed.respelled) == ("a flurbish dress", ())
    assert bundled.processor.unknown_words(typed.text) == ["flurbish"]
    assert bundled.processor.read_typed("flurbish", template).unreadable == ("flurbish",)

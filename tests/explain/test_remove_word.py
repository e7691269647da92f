import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwc.explain.word_ablation import remove_word, typed_words


@pytest.mark.parametrize(
    ("text", "position", "left"),
    [
        ("is blue and shorter", 1, "is and shorter"),
        ("is blue and shorter", 3, "is blue and"),
        ("is red, blue and green.", 1, "is, blue and green."),
        ("is red, blue and green.", 4, "is red, blue and."),
        ("is red, blue", 2, "is red,"),
        ("is red, blue!", 2, "is red!"),
        ("red. blue, green", 1, "red. green"),
        ("Blue, without sleeves", 0, "without sleeves"),
        ("has a (small) print", 2, "has a print"),
        ('says "hello" in front.', 1, "says in front."),
        ('says "hello world", twice', 1, 'says "world", twice'),
        ('says "hello world", twice', 2, 'says "hello", twice'),
        ("red & blue", 1, "red &"),
        ("  is \n  red  ", 0, "red"),
        ("v-neck!", 0, ""),
        ("- red !", 0, ""),
        ("red red red", 1, "red red"),
    ],
)
def test_the_word_goes_and_the_sentence_stays(text, position, left):
    assert remove_word(text, position) == left


def test_words_are_counted_where_they_stand():
    words = typed_words("Red, & (v-neck) red — ... no!")
    assert [word.position for word in words] == [0, 1, 2, 3, 4]
    assert [word.word for word in words] == ["Red", "v-neck", "red", "—", "no"]
    assert typed_words(" ... & ") == []


@pytest.mark.parametrize(("text", "position"), [("is red", 2), ("is red", -1), ("...", 0)])
def test_a_word_that_is_not_there_cannot_go(text, position):
    with pytest.raises(ValueError, match=f"none at {position}"):
        remove_word(text, position)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab ,.;!?()\"'[]-é\n", max_size=30))
def test_exactly_one_word_goes(text):
    words = [word.word for word in typed_words(text)]
    for position in range(len(words)):
        left = remove_word(text, position)
        expected = words[:position] + words[position + 1 :]
        assert [word.word for word in typed_words(left)] == expected
        assert set(left) <= set(text) | {" "}
        kept = [c for c in left if c in string.punctuation]
        assert len(kept) <= sum(c in string.punctuation for c in text)

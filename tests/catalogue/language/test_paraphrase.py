"""Other words for a modification ask for the same."""

import pytest

from dwc.catalogue.language.paraphrase import paraphrase
from dwc.catalogue.language.parser import parse_modification
from tests.catalogue.language.test_parser import DRESS


@pytest.mark.parametrize(
    ("words", "reference"),
    [
        ("longer, with long sleeves", DRESS),
        ("no stripes", DRESS),
        ("in navy", DRESS),
        ("a yellow floral skirt", None),
    ],
)
def test_rewordings_mean_the_same(words, reference):
    others = paraphrase(words, reference, 3)
    assert len(others) == len(set(others)) >= 1
    for other in others:
        assert other != words
        assert parse_modification(other, reference) == parse_modification(words, reference)


def test_unparsed_words_have_no_paraphrase():
    assert paraphrase("for a wedding", DRESS, 3) == []
    assert paraphrase("blue", None, 3) == []

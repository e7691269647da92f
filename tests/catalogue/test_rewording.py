"""Other words for a wish ask for the same."""

import pytest

from dwc.catalogue.rewording import reword
from dwc.catalogue.understanding import understand
from tests.catalogue.test_understanding import DRESS


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
    others = reword(words, reference, 3)
    assert len(others) == len(set(others)) >= 1
    for other in others:
        assert other != words
        assert understand(other, reference) == understand(words, reference)


def test_what_is_not_understood_has_no_other_words():
    assert reword("for a wedding", DRESS, 3) == []
    assert reword("blue", None, 3) == []

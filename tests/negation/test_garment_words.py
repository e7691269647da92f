"""The kind of garment that a text names or asks for."""

import pytest

from dwc.negation.garment_words import find_kind, find_wished_kind


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

"""Phrases that may exclude something, though no rule reads them, are named."""

import pytest

from dwc.search.unclear_wishes import (
    describe_possible_exclusions,
    find_possible_exclusions,
)


@pytest.mark.parametrize(
    ("text", "unknown", "found"),
    [
        ("desist from black t-shirt", ["desist"], [("desist from", "black")]),
        ("t-shirt, hop off the black ones", ["hop"], [("hop off", "black")]),
        ("seen enough of the stripes", ["enough"], [("seen enough of", "stripes")]),
        ("leery of black, sick of white", ["sick"], [("sick of", "white")]),
        ("goes from black to red", ["goes"], []),
        ("made from denim", ["made"], []),
        ("made of black leather", ["made"], []),
        ("dress with a splash of red", ["splash"], []),
        ("away from black", [], []),
    ],
)
def test_an_unknown_word_beside_a_possible_exclusion_is_found(text, unknown, found) -> None:
    assert find_possible_exclusions(text, unknown) == found


def test_each_message_names_the_phrase() -> None:
    text = "Pink Ladies, desist from black: no dress that is not linen"
    notes = describe_possible_exclusions(text, text, ["desist"])
    assert [
        phrase in note
        for phrase, note in zip(
            ('"desist from"', '"no dress that is not linen"', '"Pink Ladies"'), notes, strict=True
        )
    ] == [True, True, True]

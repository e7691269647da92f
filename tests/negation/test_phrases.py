"""The negations that a text has."""

import pytest

from dwc.negation.exclusions import negations_in


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

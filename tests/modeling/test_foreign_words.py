"""Colors in other languages are read beside words that the model knows."""

import pytest

from dwc.modeling.color_words import read_foreign_colors

_KNOWN = frozenset(
    "t-shirt dress shirt rose noir pull robe rock with a in on gold film not no the".split()  # noqa: SIM905
)


def read(text: str) -> str:
    return read_foreign_colors(text, lambda word: word.lower() in _KNOWN)[0]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("t-shirt rose", "t-shirt pink"), ("rose t-shirt", "pink t-shirt"),
        ("t-shirt in rose, long", "t-shirt in pink, long"), ("noir pull", "black jumper"),
        ("robe rouge", "dress red"), ("t-shirt (azul)", "t-shirt (blue)"),
        ("t-shirt pas noir", "t-shirt not black"), ("rotes Shirt", "red Shirt"),
        ("Shirt, nicht schwarz", "Shirt, not black"), ("rock rot", "skirt red"),
    ],
)  # fmt: skip
def test_foreign_colors_are_read(typed: str, expected: str) -> None:
    assert read(typed) == expected


@pytest.mark.parametrize(
    "typed",
    [
        "t-shirt with a rose", "rose gold shirt", "dress with rose", "red rose shirt",
        "film noir t-shirt",
        "pull the shirt", "red robe", "rock t-shirt", "Kleid in Rot", "gonna rossa", "dress, wit a",
    ],
)  # fmt: skip
def test_other_words_stay(typed: str) -> None:
    assert read(typed) == typed


def test_the_changes_name_the_phrase_as_typed() -> None:
    _, changes = read_foreign_colors("Shirt nicht schwarz", lambda word: word == "shirt")
    assert changes == (("nicht schwarz", "not black"),)

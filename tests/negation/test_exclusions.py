"""The colors, kinds of garments and details that a text excludes."""

import pytest

from dwc.negation.exclusions import Exclusion, find_exclusions


@pytest.mark.parametrize(
    ("text", "names", "rest"),
    [
        ("not red", ["red"], ""),
        ("dress but not dark blue, longer", ["dark blue"], "dress but , longer"),
        ("not a dress or a skirt", ["dress", "skirt"], ""),
        ("a skirt instead of a dress", ["dress"], "a skirt "),
        ("jacket without a hood", ["hood"], "jacket "),
        ("blue but not navy", [], "blue but not navy"),  # a similar color is wanted
        ("nothing but a red dress", [], "nothing but a red dress"),
        ("not only red", [], "not only red"),
        ("not without a hood", [], "not without a hood"),
        ("no red dress", [], "no red dress"),
        ("no dress shoes", [], "no dress shoes"),
        ("no, in red", [], "no, in red"),
        ("not a t-shirt but a shirt", ["t-shirt"], " but a shirt"),
    ],
)
def test_excluded_colors_and_kinds_are_found(text, names, rest) -> None:
    exclusions, without = find_exclusions(text)
    assert [item.name for item in exclusions] == names
    assert without == rest
    types = {"dress": "kind", "skirt": "kind", "t-shirt": "kind", "hood": "detail"}
    assert all(item.type == types.get(item.name, "color") for item in exclusions)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("no high heels", [("high heels", "detail")]),
        ("no heels", [("heels", "kind")]),
        ("not a polo shirt", [("polo shirt", "kind")]),
        ("remove the peak", [("peak", "detail")]),
        ("a shirt without elbow-length sleeves", [("elbow-length sleeves", "detail")]),
        ("no roll neck or hood", [("roll neck", "detail"), ("hood", "detail")]),
        ("without white in the pattern", [("white in the pattern", "detail")]),
        ("no pinstripes, please", [("pinstripes", "pattern")]),
        ("not the same fit", []),
        ("no fuss, just laces", []),
    ],
)
def test_excluded_details_are_found(text, found) -> None:
    exclusions, _ = find_exclusions(text)
    assert exclusions == [Exclusion(*item) for item in found]


def test_phrases_that_models_overlook_stay_in_the_text_for_notes() -> None:
    _, rest = find_exclusions("no zip, not red", keep_overlooked=True)
    assert rest == "no zip, "
    _, rest = find_exclusions("no zip, not red")
    assert rest == ", "


def test_all_values_after_except_are_excluded():
    exclusions, rest = find_exclusions("bottoms except jeans and shorts")
    assert [item.name for item in exclusions] == ["jeans", "shorts"]
    assert rest.strip() == "bottoms"
    assert [item.name for item in find_exclusions("not jeans and shorts")[0]] == ["jeans"]

"""The section that filters the gallery: what it shows, and what a choice makes of the filter."""

import pytest

from dwc.errors import QueryError
from dwc.gallery.metadata import Metadata
from dwc.ui.panels.gallery_browser import choose_filter, render_facets
from tests.ui.reading import read

TYPES = {"kind": "text", "price": "number", "new": "boolean", "caption": "text", "<b>": "text"}
ROWS = [
    ("dress" if n % 3 else "coat", float(n), n < 50, f"caption {n}", "x" if n % 2 else "y")
    for n in range(100)
]
METADATA = Metadata.from_rows(TYPES, enumerate(ROWS), 100)


def facet(html, name):
    [found] = [
        part for part in read(html).all("details", "facet") if part.attributes["data-facet"] == name
    ]
    return found


def counts(html, name):
    return {
        label.one("input").attributes["value"]: (
            label.one("span", "facet-count").full_text(),
            "checked" in label.one("input").attributes,
        )
        for label in facet(html, name).all("label", "facet-value")
    }


def test_a_gallery_without_metadata_has_no_section():
    assert render_facets(Metadata({}, 5)) == ""


def test_values_have_counts_and_long_lists_are_left_to_the_text():
    html = render_facets(METADATA)
    assert counts(html, "kind") == {"dress": ("66", False), "coat": ("34", False)}
    assert counts(html, "new") == {"true": ("50", False), "false": ("50", False)}
    assert [box.attributes["placeholder"] for box in facet(html, "price").all("input")] == [
        "0", "99",
    ]  # fmt: skip
    assert "Further columns: caption." in read(html).full_text()
    assert "<b>Filter" not in html
    assert "all pictures" in read(html).one("details", "facets").children[0].full_text()


def test_counts_are_those_within_the_rest_of_the_filter():
    html = render_facets(METADATA, "kind = coat and price < 10")
    assert counts(html, "kind") == {"dress": ("6", False), "coat": ("4", True)}
    assert counts(html, "new") == {"true": ("4", False)}
    assert "kind = coat and price < 10 · 4 of 100" in (
        read(html).one("details", "facets").children[0].full_text()
    )


@pytest.mark.parametrize(
    ("before", "choice", "after"),
    [
        ("", {"column": "kind", "values": ["dress"]}, "kind = dress"),
        ("price < 5", {"column": "kind", "values": ["dress"]}, "price < 5 and kind = dress"),
        ("kind = dress", {"column": "kind", "values": ["dress", "coat"]}, "kind in (coat, dress)"),
        ("kind != dress", {"column": "kind", "values": []}, ""),
        ("new = true", {"column": "price", "least": "2"}, "new = true and price >= 2"),
        ("price > 3", {"column": "price", "least": "", "greatest": "7.5"}, "price <= 7.5"),
        ("price > 3", {"column": "price", "least": "", "greatest": ""}, ""),
        ("new = true or price < 3", {"column": "new", "values": ["false"]},
         "(new = true or price < 3) and new = false"),
        ("", {"column": "<b>", "values": ["x", "nothing"]}, '"<b>" = x'),
        ("kind = dress", {"text": "not price<5"}, "not (price < 5)"),
        ("kind = dress", {"text": ""}, ""),
    ],
)  # fmt: skip
def test_a_choice_replaces_the_conditions_on_its_column(before, choice, after):
    assert choose_filter(before, METADATA, choice) == after


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"column": "weight", "values": []}, "does not have"),
        ({"column": "price", "least": "cheap"}, "expected a number"),
        ({"text": "weight < 5"}, "Its columns are"),
        ({}, "does not have"),
    ],
)
def test_an_impossible_choice_is_refused(choice, says):
    with pytest.raises(QueryError, match=says):
        choose_filter("", METADATA, choice)


def test_what_was_written_stays_to_be_corrected():
    html = render_facets(METADATA, "kind = coat", "No <column>.", "weigt < 5")
    fields = read(html).all("input")
    assert [f.attributes["value"] for f in fields if f.attributes["type"] == "text"] == [
        "weigt < 5"
    ]
    assert "No &lt;column&gt;." in html

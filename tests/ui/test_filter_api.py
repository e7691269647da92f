"""Filters in the API: what `/gallery` lists, and which parameters the endpoints have."""

import inspect
from types import SimpleNamespace

import pytest

from dwc.errors import QueryError
from dwc.gallery.metadata import Metadata
from dwc.ui.api import _without_model, gallery_table
from dwc.ui.request_parsing import run_search

TYPES = {"kind": "text", "price": "number", "new": "boolean"}
ROWS = [("dress" if n % 2 else "coat", float(n), n > 7 if n else None) for n in range(10)]
METADATA = Metadata.from_rows(TYPES, enumerate(ROWS), 10)


class Store(SimpleNamespace):
    def __len__(self):
        return len(self.ids)


IDS = [f"p{n}" for n in range(10)]
SEARCHER = SimpleNamespace(store=Store(ids=IDS, metadata=METADATA, indexed_part=None))


def test_the_gallery_lists_its_columns_and_the_pictures_that_fit():
    table = gallery_table(SEARCHER, "price >= 6", 1, 2)
    assert (table["gallery_size"], table["fits"], table["ids"]) == (10, 4, ["p7", "p8"])
    assert table["metadata"] == [
        {"kind": "dress", "price": 7.0, "new": False}, {"kind": "coat", "price": 8.0, "new": True},
    ]  # fmt: skip
    assert table["columns"] == {
        "kind": {"type": "text", "missing": 0, "different": 2, "values": {"coat": 2, "dress": 2}},
        "price": {"type": "number", "missing": 0, "least": 6.0, "greatest": 9.0},
        "new": {"type": "boolean", "missing": 0, "different": 2, "values": {"false": 2, "true": 2}},
    }
    assert gallery_table(SEARCHER, "", 0, 0)["columns"]["new"]["missing"] == 1


def test_the_gallery_says_which_value_no_picture_has():
    """It answered that no picture fits; a search named the value and a similar one."""
    note = "No picture has kind = 'dres'. Did you mean 'dress'?"
    table = gallery_table(SEARCHER, "kind = dres", 0, 5)
    assert (table["fits"], table["notes"]) == (0, [note])
    assert gallery_table(SEARCHER, "kind != dres", 0, 5)["notes"] == [note]
    assert gallery_table(SEARCHER, "kind = dress and price < 0", 0, 5)["notes"] == []
    assert gallery_table(SEARCHER, "", 0, 5)["notes"] == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("weight < 3", 0, 5), "Its columns are"),
        (("", -1, 5), "0 or more"),
        ((3, 0, 5), "a string"),
    ],
)
def test_what_the_gallery_cannot_list_is_refused(arguments, says):
    with pytest.raises(QueryError, match=says):
        gallery_table(SEARCHER, *arguments)


def test_an_endpoint_without_a_choice_of_models_has_no_model():
    def function(reference=None, text="", k=10, model="", filter=""):
        return {"k": k, "model": model, "filter": filter}

    call = _without_model(function)
    assert list(inspect.signature(call).parameters) == ["reference", "text", "k", "filter"]
    assert call(None, "a", 3, "price < 5") == {"k": 3, "model": "", "filter": "price < 5"}
    assert call(None, "a", 3) == {"k": 3, "model": "", "filter": ""}


def test_a_filter_that_is_no_text_is_refused(searcher, pictures):
    with pytest.raises(QueryError, match=r"filter is 5; expected a string"):
        run_search(searcher, pictures, None, "is blue", filter=5)

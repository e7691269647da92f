"""Answers taken along: CSV, JSON, links, and what a link asks."""

import csv
import io
import json
import math
from dataclasses import replace
from urllib.parse import parse_qs, parse_qsl

import pytest

from dwc.errors import QueryError
from dwc.search.model_pool import Origin
from dwc.ui.handlers import answer_request
from dwc.ui.panels.results import export_answer, render_toolbar, to_csv, to_json
from dwc.ui.request_parsing import read_link, write_link
from dwc.ui.state import reweighted
from tests.ui.reading import read
from tests.ui.searching import search

ORIGIN = Origin("tiny", "0123456789ab", None, "colours", "ba9876543210", "")


@pytest.fixture
def standing(searcher, pictures):
    return search(searcher, pictures, pictures.ids[2], "=blue & shorter")


def test_the_csv_has_every_result_with_its_parts_and_its_question(standing):
    rows = list(csv.DictReader(io.StringIO(to_csv(standing, ORIGIN))))
    assert [row["id"] for row in rows] == [hit.id for hit in standing.result.hits]
    for row, hit in zip(rows, standing.result.hits, strict=True):
        parts = [float(row[name]) for name in hit.parts]
        assert sum(parts) == pytest.approx(float(row["score"]), abs=1e-5)
        assert row["text"] == "'=blue & shorter"  # no formula for a spreadsheet
        assert row["reference"] == standing.query.reference_id
        assert row["gallery_fingerprint"] == "ba9876543210"
        assert 0 < float(row["clip_weight"]) < 1


def test_the_json_is_strict_at_both_ends(standing):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    told = json.loads(to_json(reweighted(standing, -math.inf), ORIGIN), parse_constant=refuse)
    assert told["query"] == {
        "reference": standing.query.reference_id,
        "text": "=blue & shorter",
        "shift": "-inf",
        "filter": "",
        "folded": False,
    }
    assert told["model"]["fingerprint"] == "0123456789ab"
    assert len(told["results"]) == 12


def test_the_filter_is_exported_with_the_question(standing):
    """Without it, ranks among the pictures that fit looked like those of the whole gallery."""
    request = replace(standing.request, filter="colour = red", folded=True)
    filtered = replace(standing, request=request)
    rows = list(csv.DictReader(io.StringIO(to_csv(filtered, ORIGIN))))
    assert {(row["filter"], row["folded"]) for row in rows} == {("colour = red", "True")}
    query = json.loads(to_json(filtered, ORIGIN))["query"]
    assert (query["filter"], query["folded"]) == ("colour = red", True)


def test_results_whose_files_were_missing_are_exported_as_away(standing):
    assert "away" not in to_csv(standing, ORIGIN)
    first, *others = standing.result.hits
    result = replace(standing.result, hits=[replace(first, away=True), *others])
    marked = replace(standing, result=result)
    rows = list(csv.DictReader(io.StringIO(to_csv(marked, ORIGIN))))
    assert [row["away"] for row in rows] == ["yes", *[""] * len(others)]
    results = json.loads(to_json(marked, ORIGIN))["results"]
    assert [hit.get("away") for hit in results] == [True, *[None] * len(others)]


def test_the_whole_commit_is_exported(standing):
    commit = "0123456789abcdef0123456789abcdef01234567"
    origin = replace(ORIGIN, revision=commit)
    rows = list(csv.DictReader(io.StringIO(to_csv(standing, origin))))
    assert {row["model_revision"] for row in rows} == {commit}
    assert json.loads(to_json(standing, origin))["model"] == {
        "name": "tiny",
        "fingerprint": "0123456789ab",
        "revision": commit,
    }


def test_a_file_is_made_when_its_button_is_pressed(standing):
    toolbar = render_toolbar(standing)
    assert "dwc" not in toolbar
    kinds = [b.attributes.get("data-save") for b in read(toolbar).all("button")]
    assert kinds == ["csv", "json", None]
    assert export_answer("csv", standing) == {
        "name": "dwc-results.csv",
        "type": "text/csv",
        "content": "\ufeff" + to_csv(standing, standing.origin),
    }
    assert json.loads(export_answer("json", standing)["content"])["results"]
    assert [export_answer(kind, standing) for kind in ("xls", None, ["csv"])] == [None] * 3
    assert render_toolbar(None) == ""


@pytest.mark.parametrize("shift", [0.0, 1.25, math.inf, -math.inf])
def test_a_link_asks_the_same_again(models, pictures, standing, shift):
    moved = reweighted(standing, shift)
    link = write_link(replace(moved.request, model=models.default))
    assert ("shift" in parse_qs(link)) == (shift != 0)
    request, message = read_link(f"?{link}", models, pictures)
    assert message == ""
    assert request.words == "=blue & shorter"
    found = answer_request(models, pictures, request)
    assert found.request.reference_id == standing.request.reference_id
    assert found.request.shift == pytest.approx(shift)
    assert [hit.id for hit in found.result.hits] == [hit.id for hit in moved.result.hits]


def test_a_link_names_the_model(two_models, models, pictures):
    name = two_models.names[1]
    standing = search(two_models, pictures, None, "blue", model=name)
    link = write_link(standing.request)
    assert dict(parse_qsl(link)) == {"text": "blue", "model": name}
    assert read_link(link, two_models, pictures)[0].model == name
    assert read_link("text=blue", two_models, pictures)[0].model == two_models.default
    alone = search(models, pictures, None, "blue")
    assert dict(parse_qsl(write_link(alone.request))) == {"text": "blue", "model": models.default}
    _, message = read_link("text=blue&model=gone", two_models, pictures)
    assert f"no model 'gone' here. Choose one of these: {two_models.default}" in message


def test_a_link_cannot_carry_an_upload(standing):
    request = replace(standing.request, reference_id=None, upload="/somewhere/cat.png")
    uploaded = replace(standing, request=request)
    assert write_link(request) is None
    tree = read(render_toolbar(uploaded))
    assert "uploaded" in tree.all("button")[2].attributes["data-refusal"]
    assert "cannot carry an uploaded picture" in tree.one(cls="hint").full_text()


@pytest.mark.parametrize(
    ("link", "complaint"),
    [
        ("ref=gone&text=blue", "'gone', is not in this gallery"),
        ("text=blue&shift=left", "shift is 'left'"),
        ("text=blue&model=gone", "the model is 'gone', which is not here. Search to use 'first'"),
        ("text=blue&text=red", "The link gives text more than once. Search to use the first"),
        ("text=blue&shift=1&model=first&shift=2&text=red", "gives text and shift more than once"),
    ],
)
def test_links_that_ask_amiss_are_told(models, pictures, link, complaint):
    request, message = read_link(link, models, pictures)
    assert complaint in message
    assert request.words == "blue"


def test_a_link_may_repeat_a_value_and_spell_a_picture_in_another_way(models, pictures):
    id = pictures.ids[0]
    assert id.upper() != id
    for ref in (id.upper(), f"./{id}"):
        request, message = read_link(f"text=blue&ref={ref}&text=blue", models, pictures)
        assert (request.reference_id, request.words, message) == (id, "blue", "")


def test_a_link_with_too_many_words_is_read_and_not_answered(models, pictures):
    request, message = read_link("text=" + "w+" * 80, models, pictures)
    assert message == ""
    with pytest.raises(QueryError, match="at most 70 are read"):
        answer_request(models, pictures, request)


def test_an_address_that_asks_nothing_is_let_be(models, pictures):
    assert read_link("", models, pictures) == (None, "")
    assert read_link("?__theme=dark&shift=2", models, pictures) == (None, "")

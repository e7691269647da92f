"""Answers taken along: CSV, JSON, links, and what a link asks."""

import csv
import io
import json
import math
from dataclasses import replace
from urllib.parse import parse_qs, parse_qsl

import pytest

from dwc.search.model_pool import Origin
from dwc.ui.handlers import answer, answer_with
from dwc.ui.panels.toolbar import link_query, parcel, render_toolbar, to_csv, to_json
from dwc.ui.share_link import follow_link
from dwc.ui.state import reweighted
from tests.ui.reading import read

ORIGIN = Origin("tiny", "0123456789ab", None, "colours", "ba9876543210")


@pytest.fixture
def standing(searcher, pictures):
    file = {"path": str(pictures.thumbnail(pictures.ids[2]))}
    return answer(searcher, pictures, file, "=blue & shorter").standing


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
    }
    assert told["model"]["fingerprint"] == "0123456789ab"
    assert len(told["results"]) == 12


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
    assert parcel("csv", standing, ORIGIN) == {
        "name": "dwc-results.csv",
        "type": "text/csv",
        "content": to_csv(standing, ORIGIN),
    }
    assert json.loads(parcel("json", standing, ORIGIN)["content"])["results"]
    assert [parcel(kind, standing, ORIGIN) for kind in ("xls", None, ["csv"])] == [None] * 3
    assert render_toolbar(None) == ""


@pytest.mark.parametrize("shift", [0.0, 1.25, math.inf, -math.inf])
def test_a_link_asks_the_same_again(models, pictures, standing, shift):
    moved = reweighted(standing, shift)
    parameters = {name: values[0] for name, values in parse_qs(link_query(moved)).items()}
    assert ("shift" in parameters) == (shift != 0)
    assert "model" not in parameters
    linked = follow_link(models, pictures, parameters)
    found = linked.panels.standing
    assert found.query.reference_id == standing.query.reference_id
    assert linked.words == "=blue & shorter"
    assert found.shift == pytest.approx(shift)
    assert [hit.id for hit in found.result.hits] == [hit.id for hit in moved.result.hits]


def test_a_link_names_the_model_where_there_is_a_choice(two_models, pictures):
    name = two_models.names[1]
    standing = answer_with(two_models, pictures, name, None, "blue").standing
    parameters = dict(parse_qsl(link_query(standing, names_model=True)))
    assert parameters == {"text": "blue", "model": name}
    linked = follow_link(two_models, pictures, parameters)
    assert linked.model == linked.panels.standing.model == name
    first = follow_link(two_models, pictures, {"text": "blue"})
    assert first.model == two_models.default
    assert first.panels.results != linked.panels.results


def test_a_link_cannot_carry_an_upload(standing):
    uploaded = replace(standing, query=replace(standing.query, image=object(), reference_id=None))
    assert link_query(uploaded) is None
    assert "uploaded" in read(render_toolbar(uploaded)).all("button")[2].attributes["data-refusal"]


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"ref": "gone", "text": "blue"}, "'gone', is not in this gallery"),
        ({"text": "blue", "shift": "left"}, "shift is 'left'"),
        ({"text": "blue", "model": "gone"}, "no model 'gone' here. Choose one of these: first"),
        ({"text": "w " * 80}, "at most 70 are read"),
    ],
)
def test_links_that_ask_amiss_are_told(models, pictures, parameters, complaint):
    panels = follow_link(models, pictures, parameters).panels
    assert complaint in read(panels.trouble).full_text()
    assert panels.standing is None


def test_an_address_that_asks_nothing_is_let_be(models, pictures):
    assert follow_link(models, pictures, {}) is None
    assert follow_link(models, pictures, {"__theme": "dark", "shift": "2"}) is None

"""The map's panel, its twin in words, and what it hands to a browser."""

import base64
import json
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from dwc.catalogue.splits import gallery
from dwc.errors import QueryError
from dwc.explain.map_positions import MapMark, MapMarks
from dwc.gallery.projection import Projection
from dwc.ui.gallery_images import StoreImages
from dwc.ui.panels import map as map_panel
from dwc.ui.panels.map import (
    MIN_GROUP,
    MapService,
    describe_map,
    kinds_of,
    map_table,
    name_groups,
    name_location,
    nearest_positions,
    render,
)
from tests.ui.reading import read

GRID = np.array([[row, column] for column in range(5) for row in range(6)], dtype=float) / 6
"""Thirty places, one a picture of the tests' gallery."""


class OneModel:
    """`Models` of one searcher, known as "only"."""

    def __init__(self, searcher):
        self._searcher = searcher

    def require(self, name=None):
        if name not in (None, "", "only"):
            raise QueryError(f"there is no model {name!r} here.")
        return "only"

    @contextmanager
    def using(self, name):
        assert name == "only"
        yield self._searcher


@pytest.fixture
def projection():
    return Projection((GRID * 65535).round().astype(np.uint16), 30, 0.62)


@pytest.fixture
def searcher(pictures):
    ids = list(pictures.ids)

    class Store:
        fingerprint = "abc123abc123"
        indexed_part = None

        def __len__(self):
            return len(ids)

    store = Store()
    store.ids = ids
    return SimpleNamespace(store=store)


@pytest.fixture
def known(monkeypatch, projection):
    """The projections of the app, all of them this one."""
    projections = SimpleNamespace(known=lambda _: projection, get=lambda _: projection)
    monkeypatch.setattr(map_panel, "PROJECTIONS", projections)
    return projections


MARKS = MapMarks(
    reference=MapMark(0.0, 0.0, 0),
    query=MapMark(0.5, 0.5, None, (14, 15, 20, 21, 27)),
    results=(MapMark(0.5, 0.5, 21), MapMark(5 / 6, 4 / 6, 29)),
)


def standing(model="only"):
    request, sweep = SimpleNamespace(model=model, filter=""), SimpleNamespace(selected=None)
    return SimpleNamespace(request=request, query=None, result=None, sweep=sweep)


def test_pictures_outside_the_filter_are_told_apart(known, searcher, pictures, monkeypatch):
    monkeypatch.setattr(map_panel, "locate_answer", lambda *_: MARKS)
    filtered = standing()
    filtered.request.filter = "price < 5"
    fits = [n % 3 == 0 for n in range(30)]
    filtered.sweep.selected = np.array(fits)
    page = read(render(searcher, pictures, filtered))
    told = json.loads(page.one(cls="map").attributes["data-map"])
    sent = base64.b64decode(told["fits"])
    assert [bool(sent[n >> 3] >> (n & 7) & 1) for n in range(30)] == fits
    assert "do not fit price < 5 are faint" in page.full_text()


def test_the_panel_holds_what_is_drawn_and_says_what_it_is(known, searcher, pictures, monkeypatch):
    monkeypatch.setattr(map_panel, "locate_answer", lambda *_: MARKS)
    html = render(searcher, pictures, standing())
    page = read(html)
    told = json.loads(page.one(cls="map").attributes["data-map"])
    assert told["model"] == "only"
    assert told["store"] == "abc123abc123"
    assert told["marks"]["reference"] == {"x": 0.0, "y": 0.0, "position": 0, "among": []}
    assert told["marks"]["query"]["among"] == [14, 15, 20, 21, 27]
    assert told["groups"] == []
    said = page.full_text()
    assert "30 colours" in said
    assert "no picture, so put at the mean of the 5 that fit it best" in said
    assert "6.2 are among its 10 nearest here" in said
    assert "<p-0021>" not in html


def test_a_gallery_never_laid_out_is_said_to_be(monkeypatch, searcher, pictures):
    monkeypatch.setattr(map_panel, "PROJECTIONS", SimpleNamespace(known=lambda _: None))
    page = read(render(searcher, pictures, standing("<other>")))
    waiting = page.one(cls="map-waiting")
    assert json.loads(waiting.attributes["data-map"]) == {"model": "<other>"}
    assert "being laid out" in page.full_text()


def test_the_twin_tells_every_mark(pictures):
    html = describe_map(MARKS, GRID, lambda place: pictures.describe(pictures.ids[place]))
    said = read(html).full_text()
    assert "The reference, colour <p-0000>, lies at the upper left." in said
    assert "Nearest to it: colour <p-0001>; colour <p-0006>; colour <p-0007>." in said
    assert "The search lies in the middle, away from the reference. It is no picture" in said
    assert "the mean of the 5 that fit it best" in said
    assert "1 of the 2 results lies close to the search." in said
    assert "colour <p-0021>: middle, close to the search" in said
    assert "colour <p-0029>: lower right" in said


def test_the_twin_of_words_alone_and_of_an_upload(pictures):
    def describe(place):
        return pictures.describe(pictures.ids[place])

    alone = MapMarks(None, MARKS.query, MARKS.results)
    assert "The reference" not in read(describe_map(alone, GRID, describe)).full_text()
    upload = MapMarks(MapMark(0.5, 0.5, None, (14, 15, 20, 21, 27)), MARKS.query, MARKS.results)
    said = read(describe_map(upload, GRID, describe, ["dress"] * 29 + ["boots"])).full_text()
    assert "The reference is not of this gallery" in said
    assert "The search lies in the middle, close to the reference" in said
    assert "They are dress (1), boots (1)." in said


@pytest.mark.parametrize(
    ("x", "y", "name"),
    [
        (0.0, 0.0, "upper left"), (0.5, 0.0, "top"), (1.0, 0.1, "upper right"),
        (0.1, 0.5, "left"), (0.5, 0.5, "middle"), (0.9, 0.5, "right"),
        (0.2, 1.0, "lower left"), (0.5, 1.0, "bottom"), (1.0, 1.0, "lower right"),
    ],
)  # fmt: skip
def test_places_have_nine_names(x, y, name):
    assert name_location(x, y) == name


def test_the_nearest_are_found_without_those_left_out():
    assert nearest_positions(GRID, 0.0, 0.0, 3) == [0, 1, 6]
    assert nearest_positions(GRID, 0.0, 0.0, 2, without=[0, 1]) == [6, 7]
    assert nearest_positions(GRID[:1], 0.5, 0.5, 3, without=[0]) == []


def test_a_groups_name_stands_at_one_of_its_own():
    heap = np.random.default_rng(0).normal((0.2, 0.3), 0.02, (MIN_GROUP, 2))
    far = np.array([[0.9, 0.9]] * (MIN_GROUP - 1))
    kinds = ["dress"] * MIN_GROUP + ["hat"] * (MIN_GROUP - 1)
    (group,) = name_groups(np.concatenate([heap, far]), kinds)
    assert (group.name, group.count) == ("dress", MIN_GROUP)
    assert (group.x, group.y) in {tuple(place) for place in heap.tolist()}
    median = np.median(heap, axis=0)
    nearest = heap[((heap - median) ** 2).sum(1).argmin()]
    assert (group.x, group.y) == tuple(nearest)


def test_the_points_are_sixteen_bit_pairs(known, searcher, pictures, projection):
    told = MapService(OneModel(searcher), pictures).points({"model": "only"})
    assert told["store"] == "abc123abc123"
    points = np.frombuffer(base64.b64decode(told["points"]), dtype="<u2").reshape(-1, 2)
    assert (points == projection.positions).all()


def test_a_card_shows_the_picture_and_the_way_on(searcher, pictures):
    card = read(MapService(OneModel(searcher), pictures).card({"model": "only", "position": 4}))
    assert card.one("button").attributes["data-id"] == "p-0004"
    assert "colour <p-0004>" in card.full_text()


@pytest.mark.parametrize("position", [-1, 30, None, True, "3", 2.5])
def test_a_position_from_a_browser_is_checked(searcher, pictures, position):
    with pytest.raises(QueryError, match="the position is"):
        MapService(OneModel(searcher), pictures).card({"position": position})


def test_a_model_from_a_browser_is_checked(searcher, pictures):
    with pytest.raises(QueryError, match="no model"):
        MapService(OneModel(searcher), pictures).points({"model": "<none>"})


def test_the_table_is_told_in_pages(known, searcher, projection):
    whole = map_table(searcher, 0, 100)
    assert whole["ids"] == searcher.store.ids
    assert (whole["gallery_size"], whole["laid_out"], whole["neighbours_kept"]) == (30, 30, 0.62)
    page = map_table(searcher, 10, 5)
    assert page["ids"] == searcher.store.ids[10:15]
    assert page["x"] == whole["x"][10:15]
    assert whole["y"] == pytest.approx(projection.unit[:, 1].tolist(), abs=1e-5)
    assert json.loads(json.dumps(page)) == page
    for start, limit in ((-1, 5), (31, 5), (0, -1)):
        with pytest.raises(QueryError, match="expected a start from 0 to 30"):
            map_table(searcher, start, limit)


@pytest.mark.parametrize(("start", "limit"), [(0, None), (1.5, 2), ("many", 2), ([0], 2), (0, {})])
def test_a_page_is_given_by_whole_numbers(searcher, start, limit):
    with pytest.raises(QueryError, match=r"(start|limit) is .*; expected a (whole )?number\."):
        map_table(searcher, start, limit)


def test_numbers_may_come_as_text(known, searcher):
    assert map_table(searcher, "0", "2") == map_table(searcher, 0, 2)


def test_the_catalogues_pictures_have_kinds_and_others_have_none(tmp_path, pictures):
    items = gallery("test", 6)
    manifest = SimpleNamespace(source={"kind": "catalogue", "split": "test", "size": 6})
    drawn = SimpleNamespace(ids=[item.id for item in items], manifest=manifest, path=tmp_path)
    expected = [item.garment.category.replace("t_shirt", "T-shirt") for item in items]
    assert kinds_of(StoreImages(drawn), drawn.ids) == expected
    manifest.source = {"kind": "folder"}
    assert kinds_of(StoreImages(drawn), drawn.ids) is None
    assert kinds_of(pictures, pictures.ids) is None

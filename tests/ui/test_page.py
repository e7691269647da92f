"""The page's wiring without a browser: what each event's function gives fits what it fills."""

from types import SimpleNamespace

import gradio as gr
import pytest
import torch

from dwc.ui.blocks import build_page
from dwc.ui.format import signed
from dwc.ui.gallery_images import StoreImages
from dwc.ui.history import SearchHistory
from dwc.ui.panels.examples import choose_examples
from dwc.ui.panels.registry import PANELS
from dwc.ui.startup import open_models
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery
from tests.ui.reading import read
from tests.ui.test_startup import Counts


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The page over two models, of which one at a time is in memory, and its pictures."""
    place = tmp_path_factory.mktemp("page")
    torch.set_num_threads(1)
    (place / "gallery").mkdir()
    gallery = draw_gallery(place / "gallery", 20)
    folders = [str(write_tiny_checkpoint(place / n, s)) for s, n in enumerate(("one", "two"))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DWC_CACHE", str(place / "cache"))
        models, store = open_models(folders, str(gallery), Counts().show, 1)
    pictures = StoreImages(store)
    return build_page(models, pictures, choose_examples(pictures)), pictures


class Events:
    """The page's events by the names of their functions, called as Gradio would."""

    def __init__(self, page):
        self.page = page

    def call(self, name, *inputs, **data):
        found = [fn for fn in self.page.fns.values() if (fn.name or "").strip("_") == name]
        assert found, name
        event = [gr.EventData(None, data)] if data else []
        told = found[0].fn(*inputs, *event)
        outputs = [getattr(output, "elem_id", None) for output in found[0].outputs]
        told = [told] if len(outputs) == 1 else told
        assert len(told) == len(outputs)
        return told, dict(zip(outputs, told, strict=True))


@pytest.fixture
def events(world):
    return Events(world[0])


@pytest.fixture
def file(world):
    return {"path": str(world[1].thumbnail(world[1].ids[3]))}


def standing_of(told):
    (standing,) = [one for one in told if hasattr(one, "sweep")]
    return standing


def test_a_search_fills_the_answer_and_then_what_explains_it(events, file):
    told, by_element = events.call("search", file, "is blue", "one")
    assert 'class="card"' in by_element["results"]
    standing = standing_of(told)
    assert standing.model == "one"
    _, explained = events.call("fill_panels", standing)
    assert "Why no. 1" in explained["why"]
    assert set(explained) <= {panel.id for panel in PANELS}


def test_another_model_answers_and_the_head_says_so(events, file):
    told, by_element = events.call("choose_model", file, "is blue", "one", model="two")
    assert "two" in told
    assert standing_of(told).model == "two"
    (selected,) = [
        option.attributes["value"]
        for option in read(by_element["masthead"]).all("option")
        if "selected" in option.attributes
    ]
    assert selected == "two"
    one, _ = events.call("search", file, "is blue", "one")
    assert standing_of(one).result.hits != standing_of(told).result.hits


def test_a_model_is_chosen_before_anything_is_asked(events):
    told, by_element = events.call("choose_model", None, " ", "one", model="two")
    assert told[1] == "two"
    assert by_element["message"] == ""


def test_a_model_that_is_none_leaves_the_choice(events, file):
    told, by_element = events.call("choose_model", file, "is blue", "one", model="gone")
    assert told[1] == "one"
    assert "no model &#x27;gone&#x27; here" in by_element["message"]


def test_a_link_fills_the_whole_page(events, world):
    request = SimpleNamespace(query_params={"ref": world[1].ids[2], "text": "red", "model": "two"})
    told, by_element = events.call("open_link", request)
    assert standing_of(told).model == "two"
    assert by_element["words"] == "red"
    assert "Why no. 1" in by_element["why"]
    assert len(events.call("open_link", SimpleNamespace(query_params={}))[0]) == len(told)


def test_leaning_choosing_a_result_and_saving(events, file):
    told, _ = events.call("search", file, "is blue", "two")
    standing = standing_of(told)
    assert "model=two" in told[-1]
    moved, by_element = events.call("lean", standing, position=0.9)
    assert "Leaned by hand" in by_element["weights"]
    chosen = standing.result.hits[2].id
    looked, by_element = events.call("look_at", standing_of(moved), id=chosen)
    assert standing_of(looked).chosen == chosen
    assert "Why no. " in by_element["why"]
    (parcel,), _ = events.call("pack", standing, kind="json")
    assert parcel["name"] == "dwc-results.json"
    _, by_element = events.call("fill_panels", standing_of(moved))
    score = signed(standing_of(moved).result.hits[0].score)
    assert f"Why no. 1 scores {score}" in by_element["why"]
    for name, data in (
        ("look_at", {"id": "gone"}),
        ("lean", {"position": 7}),
        ("pack", {"kind": 1}),
    ):
        told, _ = events.call(name, standing, **data)
        assert all("__type__" in one for one in told)  # skipped


def test_an_example_is_asked_of_the_chosen_model(events):
    told, by_element = events.call("try_example", "two", example=1)
    assert standing_of(told).model == "two"
    assert by_element["words"] == standing_of(told).query.text
    events.call("try_example", "two", example=99)


def test_more_results_and_the_way_back(events, file):
    told, _ = events.call("search", file, "is blue", "one")
    first = standing_of(told)
    (trail, _), by_element = events.call("take_in", SearchHistory(), first)
    assert "is blue" in by_element["trail"]
    told, by_element = events.call("show_more", first)
    assert len(standing_of(told).result.hits) == 19  # all but the reference
    assert [card.attributes["data-rank"] for card in read(by_element["results"]).all(cls="card")][
        -1
    ] == "19"
    told, _ = events.call("search", None, "is red", "one")
    (trail, _), _ = events.call("take_in", trail, standing_of(told))
    told, by_element = events.call("go_back", trail, "one", step=1)
    assert standing_of(told).result.hits == first.result.hits
    assert (by_element["words"], by_element["reference"]) == ("is blue", file["path"])
    assert read(by_element["trail"]).all("button")[0].attributes["aria-current"] == "step"
    for name, given, data in (("go_back", [trail, "one"], {"step": 9}), ("show_more", [None], {})):
        told, _ = events.call(name, *given, **data)
        assert all("__type__" in one for one in told)  # skipped


def test_a_link_begins_the_way(events, world):
    request = SimpleNamespace(query_params={"text": "red"})
    told, by_element = events.call("open_link", request)
    (trail,) = [one for one in told if isinstance(one, SearchHistory)]
    assert [step.question.words for step in trail.steps] == ["red"]
    assert "red" in by_element["trail"]

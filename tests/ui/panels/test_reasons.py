"""The slider, the trace, the reasons and the words' effects, and the events that fill them."""

import copy
import math
from dataclasses import replace

import pytest
import torch

from dwc.checkpoints import load
from dwc.errors import QueryError
from dwc.explain.text_perturbations import WordEffect, WordEffects
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.query import describe_model_input
from dwc.search.reference_weights import ReferenceWeights, describe_weights
from dwc.search.results import Weight
from dwc.search.searcher import Searcher
from dwc.ui.gallery_images import StoreImages
from dwc.ui.panels.rank_trace import LIMIT, render_trace
from dwc.ui.panels.registry import PANELS, RESULT_PANELS, render_panels
from dwc.ui.panels.result_explanation import render_model_input, render_word_effects
from dwc.ui.panels.results import render_answer
from dwc.ui.panels.weights import render_answer_weights, render_slider, render_weights
from dwc.ui.state import parse_slider, reweighted, select_hit
from tests.search.tiny import SIZE_PX, write_tiny_checkpoint
from tests.ui.live import draw_gallery
from tests.ui.reading import read
from tests.ui.searching import pool_of, search

WORDS = "is blue <b> and shorter"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A real searcher of random weights over thirty figures, and the page's pictures."""
    place = tmp_path_factory.mktemp("explaining")
    (place / "figures").mkdir()
    torch.set_num_threads(1)
    loaded = load.load(write_tiny_checkpoint(place / "model"))
    source = FolderSource(draw_gallery(place / "figures"))
    store = build_store(source, image_embedder(loaded), place / "store", model_identity(loaded))
    return Searcher(loaded, store), StoreImages(store)


@pytest.fixture(scope="module")
def standing(world):
    searcher, pictures = world
    return search(searcher, pictures, pictures.ids[3], WORDS)


@pytest.fixture(scope="module")
def words_alone(world):
    return search(*world, None, "is blue")


def filled(world, standing, panels=PANELS):
    """What the panels show, by their ids, with one model to ask."""
    searcher, pictures = world
    shown = render_panels(panels, pool_of(searcher), pictures, standing)
    return {panel.id: html for panel, html in zip(panels, shown, strict=True)}


def ids_of(results):
    return [card.attributes["data-id"] for card in read(results).all(cls="card")]


def test_the_slider_stands_at_the_learned_mean():
    tree = read(render_slider({"clip": Weight(0.5, 0.5), "cnn": Weight(0.8, 0.2)}))
    slider = tree.one("input")
    assert slider.attributes["value"] == slider.attributes["data-learned"] == "650"
    assert "as learned: picture 65 %, words 35 %" in slider.attributes["aria-valuetext"]
    assert tree.one("button").style("--at") == "65.00%"


@pytest.mark.slow
def test_the_weights_in_their_context(world, standing):
    searcher, _ = world
    context = ReferenceWeights(
        {"clip": [0.0, 0.01, 0.02], "cnn": [0.98, 0.99, 1.0]}, 3, "three queries made up"
    )
    told = describe_weights(standing.query.encoding.composed, context)
    tree = read(
        render_weights(standing.result.weights, summary=told.summary, reference_weights=context)
    )
    assert (
        "than in 100 % (CLIP) and 0 % (CNN) of 3 reference queries"
        in tree.one(cls="hint").full_text()
    )
    heights = [
        float(point.split(",")[1]) for point in tree.one("polygon").attributes["points"].split()
    ]
    assert min(heights[1:4]) < heights[20] == 20  # a hill at the words' end, none in the middle
    assert searcher.reference_weights is None
    assert "reference queries" not in render_answer_weights(standing)
    assert "of 3 reference queries" in render_answer_weights(
        replace(standing, reference_weights=context)
    )


def test_without_picture_or_words_there_is_no_slider():
    assert read(render_slider({"clip": Weight(1.0, 0.0)})).all("input") == []
    assert render_slider({}) == ""


@pytest.mark.parametrize("position", [0, 0.25, 0.9, 1])
def test_leaning_shows_what_a_search_at_that_shift_finds(world, standing, position):
    searcher, pictures = world
    moved = reweighted(standing, parse_slider(position, None, standing))
    expected = searcher.answer(standing.query, 12, moved.request.shift)
    assert ids_of(render_answer(moved, pictures)) == [hit.id for hit in expected.hits]
    assert "Leaned by hand" in render_answer_weights(moved)
    mean = sum(weight.image for weight in moved.result.weights.values()) / 2
    assert mean == pytest.approx(position, abs=1e-5)


def test_the_learned_point_is_the_first_answer_again(world, standing):
    _, pictures = world
    away = reweighted(standing, parse_slider(1, None, standing))
    home = reweighted(away, parse_slider(None, True, away))
    assert ids_of(render_answer(home, pictures)) == [hit.id for hit in standing.result.hits]
    assert home.request.shift == 0
    assert "Leaned by hand" not in render_answer_weights(home)


@pytest.mark.parametrize("position", [None, "left", 7, True])
def test_what_no_slider_sends_is_refused(standing, position):
    with pytest.raises(QueryError):
        parse_slider(position, None, standing)


def test_nothing_leans_where_there_is_nothing_to_lean(world, words_alone):
    assert not words_alone.has_two_modalities
    told = filled(world, words_alone)
    assert "nothing to lean to" in told["trace"]
    assert "Why no. 1" in told["why"]


def test_visitors_share_what_never_changes(standing):
    assert copy.deepcopy(standing) is standing


def test_the_trace_draws_the_ranks_and_says_them(world, standing):
    _, pictures = world
    trace = standing.sweep.rank_trace([-1.0, 1.0], k=5, limit=LIMIT)
    tree = read(render_trace(trace, pictures))
    lines = tree.all("g", cls="line")
    assert len(lines) == len(trace.items)
    assert len([line for line in lines if "led" in line.attributes["class"].split()]) == 3
    for line in lines:
        points = line.all("polyline")[0].attributes["points"].split()
        assert len(points) == len(trace.shifts)
        assert "as learned" in line.attributes["aria-label"]
    heights = {
        line.attributes["data-id"]: float(line.all("circle")[0].attributes["cy"])
        for line in lines
        if line.all("circle")
    }
    assert sorted(heights, key=heights.get) == [hit.id for hit in standing.result.hits[:3]]
    rows = tree.one("tbody").all("tr")
    assert len(rows) == len(trace.items)


def test_the_waterfall_adds_up_and_the_place_is_told(world, standing):
    hit = standing.result.hits[2]
    told = filled(world, select_hit(standing, hit.id), RESULT_PANELS)
    tree = read(told["why"])
    assert tree.one("h3").full_text().startswith("Why no. 3 scores")
    parts = [
        float(cell.attributes["data-value"])
        for cell in tree.all(cls="number")
        if "data-value" in cell.attributes
    ]
    assert len(parts) == 4
    assert sum(parts) == pytest.approx(hit.score, abs=1e-4)
    facts = tree.one(cls="facts").full_text()
    assert "as learned" in facts
    assert "ahead of the next" in facts
    assert "score of no. 3" in told["words-effect"]


def test_reasons_follow_the_lean(world, standing):
    moved = reweighted(standing, math.inf)
    why = filled(world, moved, RESULT_PANELS)["why"]
    assert "Why no. 1" in why
    tree = read(why)
    values = [c.attributes.get("data-value") for c in tree.all(cls="number")]
    assert sum(value in ("0.000000", "-0.000000") for value in values) == 2  # the words' parts


def test_each_word_has_a_row_and_no_word_is_markup(world, standing):
    tree = read(filled(world, standing, RESULT_PANELS)["words-effect"])
    rows = tree.one("tbody").all("tr")
    assert [row.all("th")[0].full_text().split()[0] for row in rows][:2] == ["is", "blue"]
    assert len(rows) == len(WORDS.split())
    assert tree.all("b") == []


def test_word_effects_say_which_way_and_how_far():
    effects = WordEffects(
        words=[
            WordEffect(0, "blue", "", {"clip": -0.08, "cnn": -0.04}, 0.24, False),
            WordEffect(1, "and", "", {"clip": 0.001, "cnn": 0.0}, -0.001, False),
            WordEffect(2, "sequins", "", {"clip": 0.02, "cnn": 0.02}, None, True),
        ],
        weights={"clip": 0.5, "cnn": 0.5},
        id="x",
        score=1.0,
        shift=0.0,
    )
    tree = read(render_word_effects(effects, 1))
    blue, neutral, unknown = tree.one("tbody").all("tr")
    assert "6 points to the words" in blue.full_text()
    assert "+0.24" in blue.full_text()
    assert "no effect" in neutral.full_text()
    assert unknown.one("s").full_text() == "sequins"
    assert "2 points to the picture" in unknown.full_text()


def test_what_the_model_read_is_shown_as_it_read_it(world):
    searcher, pictures = world
    standing = search(searcher, pictures, pictures.ids[3], "is blue zebra <b>")
    read_question = describe_model_input(searcher.checkpoint, standing.query)
    assert read_question.picture.size == (SIZE_PX, SIZE_PX)
    assert read_question.text == "<BOS> is blue zebra <b> <EOS>"
    assert {word.word for word in read_question.words if word.known} >= {"is", "blue"}
    assert "zebra" in {word.word for word in read_question.words if not word.known}
    assert "".join(read_question.clip_pieces).replace(" ", "").count("zebra") == 1
    tree = read(render_model_input(read_question))
    assert tree.one("q").full_text() == read_question.text
    assert tree.one("img").attributes["src"].startswith("data:image/png;base64,")
    assert tree.all("b") == []


def test_the_picture_is_shown_as_the_network_sees_it(world):
    searcher, pictures = world
    asked = searcher.encode_query(reference_id=pictures.ids[3])
    shown = describe_model_input(searcher.checkpoint, asked)
    again = searcher.checkpoint.processor(images=shown.picture)["pixel_values"]
    given = searcher.checkpoint.processor(images=asked.image)["pixel_values"]
    assert float((again - given).abs().max()) < 0.02  # a level of 255, over the deviation
    assert shown.clip_pieces == shown.words == []

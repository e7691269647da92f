"""Columns side by side, pins, other wordings, and the same by the API's functions."""

import json
import math
from dataclasses import replace

import gradio as gr
import pytest
import torch

from dwc.checkpoints import load
from dwc.errors import QueryError
from dwc.explain.comparison import ComparedHit, Comparison, ComparisonColumn, compare
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.search.image_embedding import image_embedder, model_identity
from dwc.search.model_pool import ModelPool
from dwc.search.results import Weight
from dwc.search.searcher import Searcher
from dwc.ui.api import compare_query, explain_query
from dwc.ui.gallery_images import StoreImages
from dwc.ui.panels import comparison as compare_panel
from dwc.ui.panels import paraphrases as paraphrase_panel
from dwc.ui.panels.attention_maps import render_attention
from dwc.ui.panels.comparison import (
    COLUMN_LENGTH,
    COMPARED,
    ComparisonHandlers,
    pin_answer,
    render_comparison,
)
from dwc.ui.panels.paraphrases import parse_wordings, render_answered_form
from dwc.ui.relevance import Relevance
from dwc.ui.state import SearchRequest
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery
from tests.ui.reading import read
from tests.ui.searching import pool_of, search

UNKNOWN = Relevance(None, "nobody knows")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two searchers of random weights over thirty figures, and the page's pictures."""
    place = tmp_path_factory.mktemp("comparing")
    (place / "figures").mkdir()
    torch.set_num_threads(1)
    source = FolderSource(draw_gallery(place / "figures"))
    searchers = {}
    for seed, name in enumerate(("one", "two")):
        loaded = load.load(write_tiny_checkpoint(place / name, seed))
        embed, identity = image_embedder(loaded), model_identity(loaded)
        searchers[name] = Searcher(
            loaded, build_store(source, embed, place / f"{name}-s", identity)
        )
    return searchers, StoreImages(searchers["one"].store)


def standing_for(searcher, words, reference_id=None):
    images = StoreImages(searcher.store)
    return search(pool_of(searcher, "one"), images, reference_id, words)


def screen_of(standing):
    return {"request": standing.request.to_dict()}


@pytest.fixture(scope="module")
def standing(world):
    searchers, pictures = world
    return standing_for(searchers["one"], "is blue <b>", pictures.ids[4])


def columns_of(html):
    """Title to the ids shown, and their marks as they are read out."""
    return {
        column.one("h3").full_text(): (
            [item.attributes["data-id"] for item in column.one("ol").all("li")],
            [item.one(cls="marks").full_text() for item in column.one("ol").all("li")],
        )
        for column in read(html).all("section", cls="ranking")
    }


@pytest.mark.slow
def test_each_reading_is_a_column_and_the_learned_one_is_first(world, standing):
    searchers, pictures = world
    html = compare_panel.render(
        searchers["one"], pictures, standing, None, {"two": searchers["two"]}
    )
    columns = columns_of(html)
    assert list(columns) == ["As learned", "Only the picture", "Only the words", "Half and half",
                             "two"]  # fmt: skip
    answers = {"As learned": 0.0, "Only the picture": math.inf, "Only the words": -math.inf}
    for title, shift in answers.items():
        found = searchers["one"].answer(standing.query, COLUMN_LENGTH, shift)
        assert columns[title][0] == [hit.id for hit in found.hits]
    found = searchers["two"].search(
        text="is blue <b>", reference_id=pictures.ids[4], k=COLUMN_LENGTH
    )
    assert columns["two"][0] == [hit.id for hit in found.hits]
    assert set(columns["As learned"][1]) == {""}
    assert "two ends of the dial" in read(html).full_text()


def made(learned_ranks, name="words"):
    """A column whose hits stand there as learned."""
    hits = [
        ComparedHit(rank, f"p-{rank:04d}", 1.0, there, None if there is None else there - rank)
        for rank, there in enumerate(learned_ranks, start=1)
    ]
    weights = {"clip": Weight(0.2, 0.8), "cnn": Weight(0.4, 0.6)}
    return ComparisonColumn(name, weights, hits, shared=2)


LEARNED = made([1, 2, 3, 4, 5, 6], "learned")


def test_moves_are_marked_and_read_out(pictures):
    found = Comparison([made([3, 1, 3, COMPARED + 1, None]), LEARNED])
    marks = columns_of(render_comparison(found, UNKNOWN, pictures))["Only the words"][1]
    assert [mark.replace("\N{NO-BREAK SPACE}", " ") for mark in marks] == [
        "▲ 22 higher, rank 3 as learned",
        "▼ 11 lower, rank 1 as learned",
        "=rank 3 as learned, too",
        f"newrank {COMPARED + 1} as learned",
        "newnot ranked as learned",
    ]


def test_what_fits_is_outlined_and_counted(pictures):
    truth = Relevance(frozenset({"p-0001", "p-0006", "p-0029"}))
    html = render_comparison(Comparison([made([5, 4, 3, 2, 1, 6]), LEARNED]), truth, pictures)
    tree = read(html)
    learned, words = tree.all("section", cls="ranking")
    for column in (learned, words):
        outlined = [item.attributes["data-id"] for item in column.all("li", cls="fits")]
        assert outlined == ["p-0001"]  # the sixth is counted, but not shown
        assert "2 of 3 that fit" in column.full_text()
    assert "3 of the 30 garments fit" in tree.one(cls="hint").full_text()


def test_what_nobody_knows_is_not_marked(pictures):
    tree = read(render_comparison(Comparison([LEARNED]), UNKNOWN, pictures))
    assert "Nothing is marked as fitting: nobody knows." in tree.one(cls="hint").full_text()
    assert tree.all(cls="fits") == []
    assert "that fit" not in tree.one(cls="ranking").full_text()
    none = read(render_comparison(Comparison([LEARNED]), Relevance(frozenset()), pictures))
    assert "None of the 30" in none.one(cls="hint").full_text()


class Page:
    """The two panels with their events, as the page has them."""

    def __init__(self, world, names=("one", "two")):
        searchers, pictures = world
        self.models, self.images = ModelPool(names, searchers.__getitem__), pictures
        with gr.Blocks():
            panels = {
                "compare": gr.HTML(js_on_load=compare_panel.ON_LOAD),
                "paraphrase": gr.HTML(js_on_load=paraphrase_panel.ON_LOAD),
            }
            self.compare, self.pin = panels["compare"], gr.JSON()
            self.cache = gr.State(None)
            self.handlers = ComparisonHandlers(
                self.models, pictures, self.current, panels, self.pin, self.cache
            )
        self.repeated = []

    def current(self, state, screen):
        """The answer on the screen: the one cached, or noted as repeated."""
        if state is None and screen is not None:
            self.repeated.append(screen)
            request = SearchRequest.from_dict(screen["request"])
            return search(self.models, self.images, request.reference_id, request.words)
        return state

    def pin_or_drop(self, standing, keep):
        update = self.handlers.pin_or_drop(standing, screen_of(standing), did(keep=keep))
        return update[self.compare], update[self.pin], update[self.cache]

    def add_columns(self, standing, kept=None, cache=None):
        update = self.handlers.add_columns(standing, None, kept, cache)
        return update.get(self.compare)


def did(**data):
    return gr.EventData(None, data)


@pytest.mark.slow
def test_a_pinned_answer_stands_beside_the_next(world, standing):
    searchers, pictures = world
    page = Page(world, ["one"])
    html, kept, pin = page.pin_or_drop(standing, keep=True)
    assert pin.column.name == "Pinned: is blue <b>"
    assert "is blue <b>" in read(html).one("q").full_text()
    now = standing_for(searchers["one"], "is red", pictures.ids[9])
    columns = columns_of(page.add_columns(now, kept, pin))
    assert page.repeated == []
    # A server that has lost the pin finds it again by what the browser keeps.
    assert columns_of(page.add_columns(now, kept, None)) == columns
    assert page.repeated == [kept]
    before = [hit.id for hit in standing.result.hits]
    assert columns["Pinned: is blue <b>"][0] == before[:COLUMN_LENGTH]
    ranks = {hit.id: hit.rank for hit in searchers["one"].answer(now.query, 100).hits}
    for id, mark in zip(*columns["Pinned: is blue <b>"], strict=True):
        assert id not in ranks or f"rank {ranks[id]} as learned" in mark
    html, kept, pin = page.pin_or_drop(now, keep=False)
    assert (kept, pin) == (None, None)
    assert "Pinned" not in read(html).full_text()


@pytest.mark.slow
def test_nothing_is_added_where_there_is_nothing_to_add(world, standing):
    page = Page(world, ["one"])
    assert page.add_columns(standing) is None
    assert page.add_columns(None) is None
    assert page.handlers.pin_or_drop(None, None, did(keep=True)) == gr.skip()


@pytest.mark.slow
def test_models_in_memory_have_their_columns_and_no_other_is_loaded(world, standing):
    page = Page(world)
    with page.models.using("one"):
        pass
    assert page.add_columns(standing) is None
    with page.models.using("two"):
        pass
    assert "two" in columns_of(page.add_columns(standing))


@pytest.mark.slow
def test_a_pin_says_which_model_answered_where_there_are_several(world, standing):
    pin = pin_answer(standing, world[1], screen_of(standing), "one")
    assert pin.description.endswith("is blue <b> (one)")
    assert Page(world).pin_or_drop(standing, keep=True)[2].description.endswith("(one)")


def test_wordings_are_asked_and_stay_in_their_field(world, standing):
    searchers, pictures = world
    html = render_answered_form(searchers["one"], standing, "is navy\n\n zork </i> ")
    tree = read(html)
    assert tree.one("textarea").full_text() == "is navy\n\n zork </i> "
    rows = tree.one("tbody").all("tr")
    assert len(rows) == 3
    assert "as asked" in rows[0].full_text()
    asked = searchers["one"].encode_query(text="is navy", reference_id=pictures.ids[4])
    # All wordings are ranked over the same pictures, without the first one's copies.
    asked = replace(asked, excluded=standing.sweep.excluded, exclude_reference=False)
    found = [hit.id for hit in searchers["one"].answer(asked, 10).hits]
    first = [hit.id for hit in searchers["one"].answer(standing.query, 10).hits]
    assert f"{len(set(found) & set(first))} of 10" in rows[1].full_text()
    weights = searchers["one"].answer(asked).weights
    dot = float(rows[1].all("i")[0].style("left").rstrip("%"))
    assert dot == pytest.approx(100 * weights["clip"].image, abs=0.02)
    assert [struck.full_text() for struck in rows[2].all("s")][:1] == ["zork"]


@pytest.mark.parametrize("given", ["", " \n ", None, ["a", 1], "blue " * 300, "a\n" * 9])
def test_what_cannot_be_asked_is_told(world, standing, given):
    searchers, _ = world
    with pytest.raises(QueryError):
        parse_wordings(given)
    tree = read(render_answered_form(searchers["one"], standing, given))
    assert tree.one(cls="trouble").full_text()
    assert len(tree.all("textarea")) == 1


def test_without_words_there_is_nothing_to_say_otherwise(world):
    searchers, pictures = world
    picture_alone = standing_for(searchers["one"], "", pictures.ids[0])
    assert paraphrase_panel.render(searchers["one"], pictures, picture_alone) == ""
    assert "<textarea" in paraphrase_panel.render(
        searchers["one"], pictures, standing_for(searchers["one"], "is blue")
    )


def test_why_there_are_no_regions_is_told(world, standing):
    searchers, pictures = world
    assert "has no picture" in render_attention(
        searchers["one"], standing_for(searchers["one"], "red").query
    )
    alone = standing_for(searchers["one"], "", pictures.ids[0]).query
    assert "has no words" in render_attention(searchers["one"], alone)
    assert read(render_attention(searchers["one"], standing.query)).all("input")


def test_the_api_explains_a_result_in_plain_data(world, standing):
    searchers, pictures = world
    told = explain_query(searchers["one"], standing.query, "", 0.5)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    best = searchers["one"].answer(standing.query, 1, 0.5).hits[0]
    assert (told["why"]["id"], told["why"]["rank"]) == (best.id, 1)
    assert told["why"]["score"] == pytest.approx(best.score, abs=1e-5)
    assert told["word_effects"]["id"] == best.id
    assert [word["word"] for word in told["regions"]["words"]][:2] == ["is", "blue"]
    assert told["trace"]["shifts"][0] == "-inf"
    other = pictures.ids[20]
    assert explain_query(searchers["one"], standing.query, other, 0.0)["why"]["id"] == other
    with pytest.raises(QueryError, match="no picture 'nowhere'"):
        explain_query(searchers["one"], standing.query, "nowhere", 0.0)
    words = searchers["one"].encode_query(text="is blue")
    assert explain_query(searchers["one"], words, "", 0.0)["regions"] is None


def test_the_api_compares_in_plain_data(world, standing):
    searchers, pictures = world
    told = compare_query(searchers["one"], pictures, standing.query, 4)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["columns"] == compare(standing.sweep, standing.query, 4).to_dict()["columns"]
    assert told["fitting"] is None
    assert "nobody has said" in told["why_unknown"]

"""The explaining panels: how they are laid out, and that one's trouble is not the others'."""

from dataclasses import replace

import gradio as gr
import pytest

from dwc.errors import CheckpointError, QueryError
from dwc.search.model_pool import ModelPool
from dwc.ui.layout import PageContent, build_layout
from dwc.ui.panels.registry import (
    FAST_PANELS,
    PANELS,
    RESULT_PANELS,
    SLOW_PANELS,
    ExplanationPanel,
    render_panels,
)
from dwc.ui.state import select_hit
from tests.ui.reading import read
from tests.ui.searching import search


def refuse(searcher, pictures, standing):
    raise QueryError("not <this> one")


TOLD = ExplanationPanel("told", "Told", lambda *_: "<p>told</p>")
REFUSED = ExplanationPanel("refused", "Refused", refuse)
LOOKED_AT = ExplanationPanel("at", "At", lambda *given: given[2].selected_hit, of_result=True)
BY = ExplanationPanel("by", "", lambda searcher, *_: searcher.checkpoint.name)


@pytest.fixture
def standing(two_models, pictures):
    return search(two_models, pictures, None, "blue", model="second")


def test_every_panel_has_an_element_of_its_own():
    assert len({panel.id for panel in PANELS}) == len(PANELS)
    assert {*FAST_PANELS, *SLOW_PANELS} == set(PANELS)
    assert {panel.id for panel in RESULT_PANELS} >= {"why", "words-effect"}


def test_a_panels_trouble_is_its_own(two_models, pictures, standing):
    told, refused = render_panels([TOLD, REFUSED], two_models, pictures, standing)
    assert told == "<p>told</p>"
    assert read(refused).full_text() == "not <this> one"


def test_the_model_that_answered_explains(two_models, pictures, standing):
    assert render_panels([BY], two_models, pictures, standing) == ["second"]
    other = replace(standing, request=replace(standing.request, model="first"))
    assert render_panels([BY], two_models, pictures, other) == ["first"]


def test_a_model_that_cannot_be_loaded_again_is_told(two_models, pictures, standing):
    def fail(name):
        raise CheckpointError(f"{name} is gone")

    gone = ModelPool(two_models.names, fail)
    assert "second is gone" in render_panels([TOLD, BY], gone, pictures, standing)[0]


def test_without_results_nothing_is_told(two_models, pictures, standing):
    nothing = replace(standing, result=replace(standing.result, hits=[]))
    for empty in (None, nothing):
        assert render_panels([TOLD, REFUSED], two_models, pictures, empty) == ["", ""]


def test_the_first_result_is_looked_at_until_another_is_chosen(two_models, pictures, standing):
    ids = [hit.id for hit in standing.result.hits]
    assert render_panels([LOOKED_AT], two_models, pictures, standing) == [ids[0]]
    chosen = select_hit(standing, ids[4])
    assert render_panels([LOOKED_AT], two_models, pictures, chosen) == [ids[4]]
    assert [select_hit(standing, other) for other in ("gone", None, 3, ["x"])] == [None] * 4


@pytest.mark.slow
def test_panels_of_one_row_stand_side_by_side(two_models, pictures):
    opening = search(two_models, pictures, None, "blue")
    panels = [
        replace(TOLD, id=id, row=row, render=lambda *_, id=id: f"<p>{id}</p>")
        for id, row in (("told", ""), ("left", "pair"), ("right", "pair"))
    ]
    with gr.Blocks():
        components = build_layout(PageContent(two_models, pictures, [], opening), panels)
    shown = components.panels
    assert {id: element.value for id, element in shown.items()} == {
        id: f"<p>{id}</p>" for id in ("told", "left", "right")
    }
    assert list(shown) == ["told", "left", "right"]
    row = shown["left"].parent
    assert row.elem_id == "pair"
    assert row is shown["right"].parent
    assert shown["told"].parent is components.results.parent


@pytest.mark.parametrize("title", [False, True])
def test_a_panels_section_has_a_name(title):
    panel = ExplanationPanel("x", "A name", TOLD.render, title=title)
    section = read(panel.template).one("section")
    if title:
        heading = section.one("h2")
        assert section.attributes["aria-labelledby"] == heading.attributes["id"]
        assert heading.full_text() == "A name"
    else:
        assert section.attributes["aria-label"] == "A name"

"""The explaining panels: how they are laid out, and that one's trouble is not the others'."""

from dataclasses import replace

import gradio as gr
import pytest

from dwc.errors import CheckpointError, QueryError
from dwc.search.model_pool import ModelPool
from dwc.ui.handlers import answer_with
from dwc.ui.layout import build_answer_column
from dwc.ui.panels.registry import (
    AT_ONCE,
    LATER,
    OF_RESULT,
    PANELS,
    ExplanationPanel,
    render_panels,
)
from dwc.ui.state import select_hit
from tests.ui.reading import read


def refuse(searcher, pictures, standing):
    raise QueryError("not <this> one")


TOLD = ExplanationPanel("told", "Told", lambda *_: "<p>told</p>")
REFUSED = ExplanationPanel("refused", "Refused", refuse)
LOOKED_AT = ExplanationPanel("at", "At", lambda *given: given[2].looked_at, of_result=True)
BY = ExplanationPanel("by", "", lambda searcher, *_: searcher.checkpoint.name)


@pytest.fixture
def standing(two_models, pictures):
    return answer_with(two_models, pictures, "second", None, "blue").standing


def test_every_panel_has_an_element_of_its_own():
    assert len({panel.id for panel in PANELS}) == len(PANELS)
    assert {*AT_ONCE, *LATER} == set(PANELS)
    assert {panel.id for panel in OF_RESULT} >= {"why", "words-effect"}


def test_a_panels_trouble_is_its_own(two_models, pictures, standing):
    told, refused = render_panels([TOLD, REFUSED], two_models, pictures, standing)
    assert told == "<p>told</p>"
    assert read(refused).full_text() == "not <this> one"


def test_the_model_that_answered_explains(two_models, pictures, standing):
    assert render_panels([BY], two_models, pictures, standing) == ["second"]
    assert render_panels([BY], two_models, pictures, replace(standing, model="first")) == ["first"]


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


def test_panels_of_one_row_stand_side_by_side(two_models, pictures):
    first = answer_with(two_models, pictures, None, None, "blue")
    panels = [TOLD, replace(TOLD, id="left", row="pair"), replace(TOLD, id="right", row="pair")]
    with gr.Blocks() as page:
        shown = build_answer_column(first, panels, ["1", "2", "3"], pictures, names_model=False)
    assert [element.value for element in shown.explained.values()] == ["1", "2", "3"]
    assert list(shown.explained) == ["told", "left", "right"]
    row = shown.explained["left"].parent
    assert row.elem_id == "pair"
    assert row is shown.explained["right"].parent
    assert shown.explained["told"].parent is page


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

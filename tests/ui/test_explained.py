"""The explaining panels: how they are laid out, and that one's trouble is not the others'."""

from dataclasses import replace

import gradio as gr
import pytest

from dwc.errors import CheckpointError, QueryError
from dwc.search.models import Models
from dwc.ui.answering import answer_with
from dwc.ui.explained import AT_ONCE, LATER, OF_RESULT, PANELS, ExplainedPanel, fill
from dwc.ui.layout import lay_out_answer
from dwc.ui.standing import looking_at
from tests.ui.reading import read


def refuse(searcher, pictures, standing):
    raise QueryError("not <this> one")


TOLD = ExplainedPanel("told", "Told", lambda *_: "<p>told</p>")
REFUSED = ExplainedPanel("refused", "Refused", refuse)
LOOKED_AT = ExplainedPanel("at", "At", lambda *given: given[2].looked_at, of_result=True)
BY = ExplainedPanel("by", "", lambda searcher, *_: searcher.checkpoint.name)


@pytest.fixture
def standing(two_models, pictures):
    return answer_with(two_models, pictures, "second", None, "blue").standing


def test_every_panel_has_an_element_of_its_own():
    assert len({panel.id for panel in PANELS}) == len(PANELS)
    assert {*AT_ONCE, *LATER} == set(PANELS)
    assert {panel.id for panel in OF_RESULT} >= {"why", "words-effect"}


def test_a_panels_trouble_is_its_own(two_models, pictures, standing):
    told, refused = fill([TOLD, REFUSED], two_models, pictures, standing)
    assert told == "<p>told</p>"
    assert read(refused).full_text() == "not <this> one"


def test_the_model_that_answered_explains(two_models, pictures, standing):
    assert fill([BY], two_models, pictures, standing) == ["second"]
    assert fill([BY], two_models, pictures, replace(standing, model="first")) == ["first"]


def test_a_model_that_cannot_be_loaded_again_is_told(two_models, pictures, standing):
    def fail(name):
        raise CheckpointError(f"{name} is gone")

    gone = Models(two_models.names, fail)
    assert "second is gone" in fill([TOLD, BY], gone, pictures, standing)[0]


def test_without_results_nothing_is_told(two_models, pictures, standing):
    nothing = replace(standing, result=replace(standing.result, hits=[]))
    for empty in (None, nothing):
        assert fill([TOLD, REFUSED], two_models, pictures, empty) == ["", ""]


def test_the_first_result_is_looked_at_until_another_is_chosen(two_models, pictures, standing):
    ids = [hit.id for hit in standing.result.hits]
    assert fill([LOOKED_AT], two_models, pictures, standing) == [ids[0]]
    chosen = looking_at(standing, ids[4])
    assert fill([LOOKED_AT], two_models, pictures, chosen) == [ids[4]]
    assert [looking_at(standing, other) for other in ("gone", None, 3, ["x"])] == [None] * 4


def test_panels_of_one_row_stand_side_by_side(two_models, pictures):
    first = answer_with(two_models, pictures, None, None, "blue")
    panels = [TOLD, replace(TOLD, id="left", row="pair"), replace(TOLD, id="right", row="pair")]
    with gr.Blocks() as page:
        shown = lay_out_answer(first, panels, ["1", "2", "3"], pictures, names_model=False)
    assert [element.value for element in shown.explained.values()] == ["1", "2", "3"]
    assert list(shown.explained) == ["told", "left", "right"]
    row = shown.explained["left"].parent
    assert row.elem_id == "pair"
    assert row is shown.explained["right"].parent
    assert shown.explained["told"].parent is page


@pytest.mark.parametrize("title", [False, True])
def test_a_panels_section_has_a_name(title):
    panel = ExplainedPanel("x", "A name", TOLD.render, title=title)
    section = read(panel.template).one("section")
    if title:
        heading = section.one("h2")
        assert section.attributes["aria-labelledby"] == heading.attributes["id"]
        assert heading.full_text() == "A name"
    else:
        assert section.attributes["aria-label"] == "A name"

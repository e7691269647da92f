"""What answers add to the trail, and what going back along it brings back."""

import gradio as gr
import pytest
from PIL import Image

from dwc.search.model_pool import ModelPool
from dwc.ui.handlers import answer_with
from dwc.ui.history import SearchHistory
from dwc.ui.panels.history_view import build_history, go_back, record_answer
from dwc.ui.state import reweighted
from tests.ui.reading import read


def file_of(pictures, place):
    return {"path": str(pictures.thumbnail(pictures.ids[place]))}


@pytest.fixture
def ask(models, pictures):
    """Ask the first model, as the page does."""
    return lambda reference, words: answer_with(models, pictures, "first", reference, words)


@pytest.fixture
def walked(ask, pictures):
    """Three answers one after the other, the second leaned; and the trail through them."""
    first = ask(file_of(pictures, 2), "is blue").standing
    second = reweighted(ask(file_of(pictures, 5), "is red").standing, -1.5)
    third = ask(None, "is longer").standing
    trail = SearchHistory()
    for standing in (first, second, third):
        trail = record_answer(trail, standing)
    return trail, (first, second, third)


@pytest.fixture
def way(pictures):
    with gr.Blocks():
        return build_history(None, pictures, kept_minutes=10)


def test_an_answer_is_a_step_with_its_question_and_its_lean(walked, pictures):
    trail, _ = walked
    asked = [step.question for step in trail.steps]
    assert [question.words for question in asked] == ["is blue", "is red", "is longer"]
    assert [q.reference_id for q in asked] == [pictures.ids[2], pictures.ids[5], None]
    assert [step.lean.shift for step in trail.steps] == [0.0, -1.5, 0.0]
    assert trail.steps[2].lean.image_weight == 0.0
    assert trail.here.number == 3


def test_an_answer_taken_in_already_and_none_at_all_change_nothing(walked):
    trail, standings = walked
    assert record_answer(trail, standings[2]) == trail
    assert record_answer(trail, None) is trail
    further = record_answer(trail.back_to(2), reweighted(standings[1], 3.0))
    assert len(further.steps) == 3
    assert further.here.lean.shift == 3.0


def test_going_back_asks_the_same_again_leaned_as_it_was(models, pictures, way, walked):
    trail, standings = walked
    there = go_back(models, way, "first", trail, {"step": 2})
    assert there.picture == str(pictures.thumbnail(pictures.ids[5]))
    assert there.words == "is red"
    assert there.panels.standing.result.hits == standings[1].result.hits
    assert there.panels.standing.shift == -1.5
    assert "Leaned by hand" in there.panels.weights
    assert there.trail.here.number == 2
    assert there.said == ""
    # Where it stands now is where it stood: the answer shown is the step's own.
    assert record_answer(there.trail, there.panels.standing) == there.trail


def test_a_step_of_words_alone_has_no_picture(models, way, walked):
    there = go_back(models, way, "first", walked[0].back_to(1), {"step": 3})
    assert there.picture is None
    assert there.panels.standing is not None


@pytest.mark.parametrize("data", [{}, {"step": 9}, {"step": "2"}, {"step": True}, {"step": [1]}])
def test_what_no_strip_asks_for_changes_nothing(models, way, walked, data):
    assert go_back(models, way, "first", walked[0], data) is None


def test_an_upload_comes_back_while_it_is_kept(models, pictures, way, ask, walked, uploads):
    upload = uploads / "cat.png"
    Image.effect_noise((40, 30), 50).convert("RGB").save(upload)
    standing = ask({"path": str(upload)}, "is blue").standing
    assert standing.upload == str(upload)
    trail = record_answer(walked[0], standing).back_to(1)
    kept = go_back(models, way, "first", trail, {"step": 4})
    assert kept.picture == str(upload)
    assert kept.panels.standing.result.hits == standing.result.hits
    upload.unlink()
    gone = go_back(models, way, "first", trail, {"step": 4})
    assert (gone.picture, gone.words, gone.trail) == (None, "is blue", trail)
    assert gone.panels.standing is None
    assert gone.panels.trouble == ""
    assert "deleted after 10 minutes" in gone.said
    told = read(way.render(gone.trail, gone.said)).all("p")
    assert [p.full_text() for p in told] == [gone.said]


def test_a_complaint_leaves_the_trail_where_it_was(pictures, way, walked):
    def fail(name):
        raise OSError("must not be opened")

    trail, _ = walked
    there = go_back(ModelPool(["first"], fail), way, "unheard of", trail, {"step": 1})
    assert "no model" in there.panels.trouble
    assert there.trail == trail


def test_the_page_opens_with_the_way_begun(ask, pictures):
    standing = ask(file_of(pictures, 2), "is blue").standing
    with gr.Blocks():
        way = build_history(standing, pictures, kept_minutes=10)
    assert len(way.trail.value.steps) == 1
    assert "is blue" in way.strip.value

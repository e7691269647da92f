"""A gallery that is searched while it is indexed: every answer says how much it covers."""

import csv
import io
import json
from contextlib import nullcontext
from typing import Any

import pytest

from dwc.errors import CheckpointError, ImageError, QueryError
from dwc.gallery.store import Store
from dwc.ui.concurrency import SearchFailures
from dwc.ui.handlers import PageHandlers, answer_request, describe_screen
from dwc.ui.indexing import GalleryIndexing, IndexingStatus
from dwc.ui.panels.header import render_indexing
from dwc.ui.panels.registry import PANELS, render_panels
from dwc.ui.panels.results import to_csv, to_json
from dwc.ui.startup import open_models
from dwc.ui.state import SearchRequest
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.growing import BATCH, PICTURES, serve_growing

PART = {"pictures": BATCH, "total": PICTURES}
SAYS = f"Searched {BATCH} of {PICTURES} pictures"


def operate(app, name, **arguments):
    return app.post(f"/api/{name}", arguments).json


@pytest.mark.slow
def test_every_answer_says_how_much_of_the_gallery_was_searched(tmp_path):
    with serve_growing(tmp_path) as growing:
        app = growing.app
        assert growing.indexing.is_open
        answers = [
            operate(app, "search", text="is blue"),
            operate(app, "explain", text="is blue"),
            operate(app, "compare", text="is blue"),
            app.get("/api/gallery").json,
            app.search(None, "is blue").data[0],
            app.call("explain", [None, "is blue"]).data[0],
            app.call("compare", [None, "is blue"]).data[0],
            app.call("paraphrase", [None, "is blue", ["is red"]]).data[0],
            app.call("gallery", ["", 0, 10, ""]).data[0],
        ]
        assert [answer.get("indexing") for answer in answers] == [PART] * len(answers)
        for number in (0, 2, 4, 6):
            assert answers[number]["notes"][0].startswith(SAYS)
        assert "when the gallery is indexed to the end" in app.call("map", [0, 10, ""]).error
        health = app.get("/health").json["gallery"]
        assert health["pictures"] == BATCH
        assert health["indexing"] == {"finished": BATCH, "total": PICTURES, "running": True}
        line = app.get("/indexing").json
        assert (line["state"], line["searchable"]) == ("running", BATCH)
        assert f"{BATCH} of {PICTURES} pictures" in line["html"]

        growing.go_on(2)
        answer = operate(app, "search", text="is blue", k=200)
        assert answer["indexing"] == {"pictures": 3 * BATCH, "total": PICTURES}
        assert len(answer["results"]) == answer["gallery_size"] == 3 * BATCH
        new = app.get("/api/gallery").json["ids"][-1]
        assert "error" not in operate(app, "search", reference_id=new)

        growing.go_on()
        answer = operate(app, "search", text="is blue", k=200)
        assert "indexing" not in answer
        assert not any("indexed to the end" in note for note in answer["notes"])
        assert len(answer["results"]) == PICTURES
        assert "indexing" not in app.get("/health").json["gallery"]
        line = app.get("/indexing").json
        assert (line["state"], line["searchable"]) == ("complete", PICTURES)


@pytest.mark.slow
def test_the_end_is_the_gallery_that_one_indexing_makes(tmp_path):
    with serve_growing(tmp_path) as growing:
        growing.go_on(3)
        app = growing.app
        found = operate(app, "search", text="is blue", k=200)["results"]
        path = app.store.path
        grown = Store.open(path)
    again = Store.open(path)
    assert grown.manifest.complete
    assert sorted(hit["id"] for hit in found) == sorted(again.ids)
    assert len(again) == PICTURES
    assert again.indexed_part is None


@pytest.mark.slow
def test_what_explains_an_answer_searches_the_pictures_that_it_searched(tmp_path):
    with serve_growing(tmp_path) as growing:
        models, images = growing.models, growing.images
        before = answer_request(models, images, SearchRequest("is blue", images.ids[1]))
        assert before.result.notes[0].startswith(SAYS)
        panels = [panel for panel in PANELS if panel.id in ("why", "words-effect", "trace")]
        explained = render_panels(panels, models, images, before)
        assert all(explained)
        growing.go_on(3)
        assert render_panels(panels, models, images, before) == explained
        after = answer_request(models, images, before.request)
        assert after.part is None
        assert after.result.gallery_size == PICTURES
        assert render_panels(panels, models, images, after) != explained


@pytest.mark.slow
def test_a_saved_answer_says_how_much_of_the_gallery_was_searched(tmp_path):
    with serve_growing(tmp_path) as growing:
        request = SearchRequest("is blue")
        state = answer_request(growing.models, growing.images, request)
        growing.go_on(3)
        rows = list(csv.DictReader(io.StringIO(to_csv(state, state.origin))))
        assert {(row["searched_pictures"], row["searched_total"]) for row in rows} == {
            (str(BATCH), str(PICTURES))
        }
        saved = json.loads(to_json(state, state.origin))
        assert saved["indexing"] == PART
        assert saved["notes"][0].startswith(SAYS)
        whole = answer_request(growing.models, growing.images, request)
        assert "searched_pictures" not in to_csv(whole, whole.origin)
        assert state.origin.gallery_fingerprint != whole.origin.gallery_fingerprint


@pytest.mark.slow
def test_another_model_waits_for_the_end_and_then_searches_the_same_pictures(tmp_path):
    with serve_growing(tmp_path, models=2) as growing:
        with (
            pytest.raises(CheckpointError, match=rf"{BATCH} of {PICTURES} pictures are"),
            growing.models.using("model1"),
        ):
            pass
        growing.end()
        growing.wait_until(lambda: "model1" in growing.models.in_memory)
        with growing.models.using("model1") as searcher:
            assert searcher.store.ids == growing.images.ids
            assert len(searcher.store) == PICTURES


@pytest.mark.slow
def test_an_answer_that_the_server_forgot_is_not_taken_for_one_over_more_pictures(tmp_path):
    with serve_growing(tmp_path) as growing:
        models, images = growing.models, growing.images
        components: Any = None  # not used here
        handlers = PageHandlers(models, images, [], components, None, 10, SearchFailures())
        state = answer_request(models, images, SearchRequest("is blue"))
        screen = describe_screen(state, images)
        repeated = handlers.current_state(None, screen)
        assert repeated is not None
        assert repeated.result.hits == state.result.hits
        growing.go_on(3)
        assert handlers.current_state(state, screen) is state
        with pytest.raises(QueryError, match="before more of this one was indexed"):
            handlers.current_state(None, screen)


@pytest.mark.slow
def test_the_end_of_the_app_ends_what_a_further_model_embeds(tmp_path, caplog):
    with serve_growing(tmp_path, models=2) as growing:
        growing.go_on(3)
        growing.wait_until(lambda: growing.waiting == 1)  # for the first batch of the second model
        growing.indexing.is_stopped = True
        growing.end()
        growing.thread.join(60)
        assert not growing.thread.is_alive()
        assert growing.models.in_memory == ("model0",)
        assert "cannot be opened" not in caplog.text


@pytest.mark.slow
def test_a_failure_is_told_and_what_is_indexed_can_be_searched(tmp_path, caplog):
    with serve_growing(tmp_path, fails=True) as growing:
        growing.end()
        growing.wait_until(lambda: not growing.indexing.status().is_running)
        growing.wait_until(lambda: growing.searchable == 96)  # published by another thread
        line = growing.app.get("/indexing").json
        assert line["state"] == "stopped"
        assert "Indexing stopped at 96 of 100 pictures" in line["html"]
        assert "no space left" not in line["html"]
        assert "no space left" in caplog.text
        answer = operate(growing.app, "search", text="is blue")
        assert answer["indexing"] == {"pictures": 96, "total": PICTURES}
        assert growing.app.get("/health").json["gallery"]["indexing"]["running"] is False


@pytest.mark.slow
def test_a_gallery_that_is_indexed_within_seconds_opens_as_a_whole(tmp_path, monkeypatch):
    with serve_growing(tmp_path) as growing:
        growing.end()
    monkeypatch.setenv("DWC_CACHE", str(tmp_path / "cache"))
    again = GalleryIndexing()
    _, store = open_models(
        [str(tmp_path / "model0")],
        str(tmp_path / "gallery"),
        lambda name: nullcontext(lambda *progress: None),
        indexing=again,
    )
    assert not again.is_open
    assert again.status() is None
    assert store.indexed_part is None


@pytest.mark.slow
def test_an_error_before_any_picture_can_be_searched_ends_the_start(tmp_path, monkeypatch):
    monkeypatch.setenv("DWC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "gallery").mkdir()
    (tmp_path / "gallery" / "broken.png").write_bytes(b"no picture")
    folder = write_tiny_checkpoint(tmp_path / "model")
    with pytest.raises(ImageError, match="none of its 1 pictures can be read"):
        open_models(
            [str(folder)],
            str(tmp_path / "gallery"),
            lambda name: nullcontext(lambda *progress: None),
            indexing=GalleryIndexing(),
        )


@pytest.mark.slow
def test_an_app_that_ends_stops_at_the_next_batch_and_the_next_start_goes_on(tmp_path):
    with serve_growing(tmp_path) as growing:
        growing.indexing.is_stopped = True
        growing.end()
        growing.indexing.stop()
        path = growing.app.store.path
    store = Store.open(path)
    assert BATCH <= len(store) < PICTURES
    assert not store.manifest.complete


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (IndexingStatus(300, 320, 5000, 12.34, 372.0),
         ["320 of 5,000 pictures, 12 a second, 06:12 left", "the 300 that are ready"]),
        (IndexingStatus(32, 32, 40, 0.5, 0.0), ["32 of 40 pictures, 30.0 a minute. "]),
        (IndexingStatus(40, 40, 40, 1.0, 0.0, is_running=False), ["is indexed: 40 pictures"]),
        (IndexingStatus(32, 32, 40, 1.0, 9.0, is_running=False, error="disk full"),
         ["stopped at 32 of 40 pictures", "Start the app again"]),
        (None, []),
    ],
)  # fmt: skip
def test_the_line_has_count_rate_and_time_left(status, says):
    line = render_indexing(status, "pictures").replace(" ", " ")
    assert all(text in line for text in says)
    assert bool(line) == (status is not None)

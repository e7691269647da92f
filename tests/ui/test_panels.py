from dataclasses import replace
from types import SimpleNamespace

import pytest

from dwc.modeling.text_cleaning import TypedText
from dwc.search.model_pool import Origin
from dwc.search.query import ModelInput
from dwc.search.results import Hit, SearchResult, Weight
from dwc.ui.format import render_error, render_unknown_words
from dwc.ui.gallery_images import large_url
from dwc.ui.panels.examples import Example, choose_generic, parse_example, render_examples
from dwc.ui.panels.gallery_browser import (
    MAX_SKIPPED_SHOWN,
    PAGE_SIZE,
    parse_page,
    render_gallery,
    render_left_out,
)
from dwc.ui.panels.header import render_header
from dwc.ui.panels.result_explanation import render_model_input
from dwc.ui.panels.results import render_results
from dwc.ui.panels.weights import WHAT_IT_IS_NOT, render_weights
from tests.ui.reading import read

ORIGIN = Origin("tiny", "0123456789ab", None, "colours", "ba9876543210", "")
EVIL = '<img src=x onerror="alert(1)">'


def weights(clip, cnn):
    return {"clip": Weight(clip, 1 - clip), "cnn": Weight(cnn, 1 - cnn)}


def result_of(pictures, **changes):
    parts = {"clip_image": 0.3, "cnn_image": 0.2, "clip_text": 0.3, "cnn_text": 0.1}
    hits = [Hit(1, pictures.ids[3], 0.9, parts, 96.66), Hit(2, pictures.ids[1], 0.9, parts, 93.3)]
    return SearchResult(hits, weights(0.5, 0.6), [], {"total": 12.0}, len(pictures.ids), **changes)


def test_the_sentence_tells_the_mean_of_the_streams():
    tree = read(render_weights(weights(0.5, 0.62)))
    sentence = tree.one(cls="sentence").full_text().replace("\xa0", " ")
    assert sentence == "This search listens to the picture 56 % and to the words 44 %."
    leaned = (
        read(render_weights(weights(0.5, 0.62), is_shifted=True)).one(cls="sentence").full_text()
    )
    assert leaned.startswith("Leaned by hand, this search listens to the picture")


@pytest.mark.parametrize(("weight", "what"), [(1.0, "the picture alone"), (0.0, "the words alone")])
def test_one_modality_alone_is_said_so(weight, what):
    assert what in read(render_weights(weights(weight, weight))).one(cls="sentence").full_text()


def test_the_dial_shows_each_stream_where_it_stands():
    tree = read(render_weights(weights(0.25, 1.0)))
    labels = {pin.attributes["data-stream"]: pin for pin in tree.all(cls="pin-label")}
    assert labels["clip"].style("left") == "25.00%"
    assert labels["cnn"].style("transform") == "translateX(-100.00%)"  # stays inside
    spoken = tree.one(cls="sr-only").full_text()
    assert "CLIP stream listens mostly to the words: picture 25 %, words 75 %" in spoken


def test_a_single_stream_has_a_dial_too():
    assert len(read(render_weights({"clip": Weight(0.4, 0.6)})).all(cls="pin")) == 1
    assert render_weights({}) == ""


def test_what_the_weight_is_not_can_be_opened():
    assert "not shares of the result" in read(WHAT_IT_IS_NOT).one("details").full_text()


def test_cards_show_rank_score_percentile_and_the_way_on(pictures):
    tree = read(render_results(result_of(pictures), pictures))
    first, second = tree.all(cls="card")
    assert first.one(cls="rank").full_text() == "Rank 1"
    assert first.one(cls="score").full_text() == "Score 0.90"
    assert first.one(cls="percentile").full_text() == "above 96.6 % of the gallery"
    frame, enlarge, follow = first.all("button")
    for button in (frame, follow):
        assert button.attributes["data-id"] == pictures.ids[3]
    assert enlarge.attributes["data-large"] == large_url(
        pictures.ids[3], pictures.digest(pictures.ids[3])
    )
    assert follow.attributes["data-content"] == pictures.digest(pictures.ids[3])
    assert first.one("img").attributes["alt"] == f"colour <{pictures.ids[3]}>"
    assert second.one("img").attributes["src"].endswith(f"{pictures.ids[1]}.png")
    assert tree.one(cls="timing").full_text() == "30 pictures · 12 ms"


@pytest.mark.parametrize("unfamiliar", [None, 1.0, 1.01])
def test_the_notes_of_a_search_are_the_remarks_beside_its_results(pictures, unfamiliar):
    """What is said of an unfamiliar picture is one of the notes, and is not added here again."""
    notes = ["unlike those the model learned from", "copies are left out"]
    tree = read(render_results(result_of(pictures, ood_score=unfamiliar, notes=notes), pictures))
    assert [remark.full_text() for remark in tree.all(cls="remark")] == notes
    without = read(render_results(result_of(pictures, ood_score=unfamiliar), pictures))
    assert without.all(cls="remark") == []


def test_a_card_says_that_the_file_of_its_picture_was_missing(pictures):
    result = result_of(pictures)
    assert not read(render_results(result, pictures)).all(cls="away")
    result.hits[1] = replace(result.hits[1], away=True)
    first, second = read(render_results(result, pictures)).all(cls="card")
    assert not first.all(cls="away")
    assert "file was missing" in second.one(cls="away").full_text()


def test_what_people_typed_is_never_markup(pictures):
    shown = [
        render_unknown_words([EVIL]),
        render_error(EVIL),
        render_header([EVIL], EVIL, ORIGIN, pictures),
        render_header(["plain", EVIL], EVIL, replace(ORIGIN, revision=EVIL), pictures),
        render_results(result_of(pictures, notes=[EVIL]), pictures),
        render_examples([Example(pictures.ids[0], EVIL)], pictures),
    ]
    for html in shown:
        tree = read(html)
        assert not [image for image in tree.all("img") if "onerror" in image.attributes]
        assert EVIL in tree.full_text()


def test_unknown_words_are_struck_through():
    assert [s.full_text() for s in read(render_unknown_words(["sequins", "boho"])).all("s")] == [
        "sequins",
        "boho",
    ]
    assert render_unknown_words([]) == ""
    assert render_error("") == ""


def test_the_pages_of_the_gallery_hold_every_picture_once(pictures):
    pages = [read(render_gallery(pictures, page)) for page in range(2)]
    shown = [tile.attributes["data-id"] for tree in pages for tile in tree.all(cls="tile")]
    assert shown == list(pictures.ids)
    assert pages[1].one(cls="where").full_text() == f"{PAGE_SIZE + 1}–30 of 30"
    states = ["disabled" in button.attributes for button in pages[0].one("nav").all("button")]
    assert states == [True, True, False, False]


@pytest.mark.parametrize(
    ("sent", "page"), [(1, 1), (99, 1), (-5, 0), ("1", 0), (None, 0), (1.5, 0), (True, 1)]
)
def test_a_page_that_does_not_exist_is_not_shown(pictures, sent, page):
    assert parse_page(sent, pictures) == page


def test_generic_examples_are_of_the_gallery(pictures):
    chosen = choose_generic(pictures)
    assert len({example.reference_id for example in chosen}) == 4
    assert all(example.reference_id in pictures.ids for example in chosen)
    assert all(example.words for example in chosen)
    assert parse_example(1, chosen) == chosen[1]
    assert [parse_example(x, chosen) for x in (-1, 4, "1", None)] == [None] * 4


def test_the_head_shows_one_model_plainly_and_several_as_a_choice(pictures):
    plain = read(render_header(["tiny"], "tiny", ORIGIN, pictures))
    assert plain.all("select") == plain.all("label") == []
    assert "Model tiny" in plain.full_text()
    tree = read(render_header(["tiny", "other"], "other", ORIGIN, pictures))
    options = tree.one("select").all("option")
    assert [option.attributes["value"] for option in options] == ["tiny", "other"]
    assert ["selected" in option.attributes for option in options] == [False, True]
    assert tree.one("label").attributes["for"] == tree.one("select").attributes["id"]


def test_a_commit_is_shown_short_and_copied_whole(pictures):
    commit = "0123456789abcdef0123456789abcdef01234567"
    origin = replace(ORIGIN, revision=commit)
    button = read(render_header(["o/n"], "o/n", origin, pictures)).one(cls="commit")
    assert button.full_text() == commit[:7]
    assert button.attributes["data-copy"] == commit
    assert commit in button.attributes["title"]
    assert read(render_header(["o/n"], "o/n", ORIGIN, pictures)).all(cls="commit") == []


def test_the_page_says_what_the_gallery_leaves_out():
    skipped = {f"broken-{n}.png": "is not a picture" for n in range(MAX_SKIPPED_SHOWN + 2)}
    skipped["broken-0.png"] = EVIL
    remarks = ["3 HEIC pictures not read. Install pillow-heif."]
    tree = read(render_left_out(SimpleNamespace(skipped=skipped, remarks=remarks)))
    items = [item.full_text() for item in tree.all("li")]
    assert items[0] == remarks[0]
    assert items[1] == f"broken-0.png: {EVIL}"
    assert len(items) == 1 + MAX_SKIPPED_SHOWN + 1
    assert items[-1] == "and 2 more files"
    assert f"{MAX_SKIPPED_SHOWN + 2} files that cannot be read" in tree.one("summary").full_text()
    assert render_left_out(SimpleNamespace(skipped={}, remarks=[])) == ""


def test_a_name_that_is_no_text_is_shown_as_escapes():
    name = b"Andr\xe9.png".decode("utf-8", "surrogateescape")
    tree = read(render_left_out(SimpleNamespace(skipped={name: "is empty"}, remarks=[])))
    assert tree.one("li").full_text() == "Andr\\udce9.png: is empty"


def test_a_text_that_was_cut_is_shown_with_what_was_not_read():
    model_input = ModelInput(None, "is blue", [], [], ["red"])
    assert "<dt>subtracted</dt><dd><q>red</q>" in render_model_input(model_input)
    typed = TypedText("is blue", "is blue with long sleeves", "with long sleeves", (), 4)
    tree = read(render_model_input(model_input, typed))
    assert tree.one("s").full_text() == "with long sleeves"
    assert read(render_model_input(model_input, TypedText("is blue"))).all("s") == []

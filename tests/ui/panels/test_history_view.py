"""The strip of steps as a browser would see it."""

from dwc.ui.history import HistoryQuery, SearchHistory, WeightShift
from dwc.ui.panels.history_view import deleted_message, image_exists, render_history
from tests.ui.reading import read

EVIL = '<img src=x onerror="alert(1)">'
MINUTES = 10


def way(pictures, upload=None):
    """Three steps, back to the first, and another: the second and third are left aside."""
    trail = SearchHistory().search(HistoryQuery("is blue", pictures.ids[2]), WeightShift(0.0, 0.69))
    trail = trail.search(HistoryQuery("longer", pictures.ids[5]), WeightShift(1.2, 0.9))
    trail = trail.search(HistoryQuery("", upload=upload), WeightShift(0.0, 1.0)).back_to(1)
    return trail.search(HistoryQuery(EVIL), WeightShift(0.0, 0.0))


def stops(tree):
    return {
        int(stop.one("button").attributes["data-step"]): stop for stop in tree.all("li", cls="stop")
    }


def test_nothing_asked_has_no_way(pictures):
    assert render_history(SearchHistory(), pictures, MINUTES) == ""


def test_a_step_shows_its_picture_its_words_and_its_weight(pictures):
    shown = stops(read(render_history(way(pictures), pictures, MINUTES)))
    first = shown[1]
    assert first.one("img").attributes["src"].endswith(f"{pictures.ids[2]}.png")
    assert first.one(cls="said").full_text() == "is blue"
    assert first.one("i").style("width") == "69%"
    told = first.one("button").attributes["aria-label"]
    assert told == (f"Step 1: like colour <{pictures.ids[2]}>; “is blue”; picture 69 %, words 31 %")
    assert "leaned to picture 90 %, words 10 %" in shown[2].one("button").attributes["aria-label"]
    assert shown[2].one("button").attributes["aria-label"].startswith("Step 2, after step 1:")
    assert shown[4].one(cls="no-picture").full_text() == "words only"
    assert shown[3].one(cls="said").full_text() == "more like this"


def test_steps_name_their_models_if_there_are_several(pictures):
    """Their weights are not comparable, and a step looked like the other model's."""
    history = SearchHistory()
    for words, model in (("a", "dwc"), ("b", "dwc"), ("b", "progressive")):
        history = history.search(HistoryQuery(words, model=model), WeightShift(0.0, 0.5))
    assert len(history.steps) == 3
    shown = stops(read(render_history(history, pictures, MINUTES)))
    assert shown[3].one(cls="said").full_text() == "b; by progressive"
    assert "answered by dwc" in shown[2].one("button").attributes["aria-label"]
    single = SearchHistory().search(HistoryQuery("a", model="dwc"), WeightShift(0.0, 0.5))
    assert "dwc" not in render_history(single, pictures, MINUTES)


def test_where_one_stands_is_marked_and_what_was_left_lies_below(pictures):
    shown = stops(read(render_history(way(pictures), pictures, MINUTES)))
    here = [n for n, stop in shown.items() if "aria-current" in stop.one("button").attributes]
    assert here == [4]
    places = {n: (s.style("grid-row"), s.style("grid-column")) for n, s in shown.items()}
    assert places == {1: ("1", "1"), 4: ("1", "2"), 2: ("2", "2"), 3: ("2", "3")}
    assert [n for n, stop in shown.items() if "aside" in stop.classes()] == [2, 3]
    assert [n for n, stop in shown.items() if "branch" in stop.classes()] == [2]
    assert shown[2].style("--up") == "1"
    assert shown[2].one("button").attributes["aria-label"].endswith("left aside")


def test_an_upload_is_shown_while_it_is_kept_and_said_to_be_deleted_after(pictures, uploads):
    upload = uploads / "cat & dog.png"
    upload.write_bytes(b"a picture")
    trail = way(pictures, str(upload))
    kept = stops(read(render_history(trail, pictures, MINUTES)))[3]
    assert kept.one("img").attributes["src"].endswith("cat%20%26%20dog.png")
    assert image_exists(trail.steps[2])
    upload.unlink()
    assert not image_exists(trail.steps[2])
    gone = stops(read(render_history(trail, pictures, MINUTES)))[3]
    assert gone.all("img") == []
    assert "deleted after 10 minutes" in gone.one("button").attributes["aria-label"]
    assert "uploads are deleted after 10 minutes" in deleted_message(trail.steps[2], MINUTES)
    assert all(image_exists(trail.steps[place]) for place in (0, 1, 3))


def test_what_people_typed_is_never_markup(pictures):
    tree = read(render_history(way(pictures), pictures, MINUTES, message=EVIL))
    assert not [image for image in tree.all("img") if "onerror" in image.attributes]
    assert tree.one("p").full_text() == EVIL
    assert EVIL in tree.full_text().replace(EVIL, "", 1)


def test_a_single_step_says_what_the_strip_is_for(pictures):
    trail = SearchHistory().search(HistoryQuery("is blue"), WeightShift(0.0, 0.0))
    tree = read(render_history(trail, pictures, MINUTES))
    assert "alone" in tree.one("nav").classes()
    assert "go back to it" in tree.one(cls="hint").full_text()
    assert read(render_history(way(pictures), pictures, MINUTES)).all(cls="hint") == []

"""The page without a browser: every handler, called as Gradio would call it."""

import re

import gradio as gr
import pytest
import torch
from PIL import Image

from dwc.ui.blocks import build_page
from dwc.ui.format import signed
from dwc.ui.gallery_images import StoreImages
from dwc.ui.handlers import FORGOTTEN
from dwc.ui.history import SearchHistory
from dwc.ui.panels.examples import choose_examples
from dwc.ui.panels.registry import PANELS
from dwc.ui.startup import open_models
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery
from tests.ui.reading import read
from tests.ui.test_startup import Counts
from tests.visitors import run_in_thread

KEPT = ("model", "screen", "history", "pinned")  # by the browser


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Two models, of which one at a time is in memory, and the pictures."""
    place = tmp_path_factory.mktemp("page")
    torch.set_num_threads(1)
    (place / "gallery").mkdir()
    gallery = draw_gallery(place / "gallery", 20)
    lines = [f"{path.name},plain" for path in sorted(gallery.iterdir())]
    (gallery / "metadata.csv").write_text("\n".join(["file_name,kind", *lines]))
    folders = [str(write_tiny_checkpoint(place / n, s)) for s, n in enumerate(("one", "two"))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DWC_CACHE", str(place / "cache"))
        models, store = open_models(folders, str(gallery), Counts().show, 1)
    return models, StoreImages(store)


@pytest.fixture(scope="module")
def world(parts):
    """The page, and its pictures."""
    models, pictures = parts
    return build_page(models, pictures, choose_examples(pictures)), pictures


class Visit:
    """A visitor's page: what the browser shows and sends, and what the server remembers."""

    def __init__(self, world):
        self.page, self.pictures = world
        self.by_id = {block.elem_id: block for block in self.page.blocks.values() if block.elem_id}
        self.values = {name: getattr(block, "value", None) for name, block in self.by_id.items()}
        self.states = {}
        self.values["reference"] = None

    def call(self, name, with_inputs=None, **data):
        """Call a handler with what the page holds; the new values by elements' ids."""
        found = [fn for fn in self.page.fns.values() if fn.name == name]
        assert found, name
        function = found[0]
        inputs = [self.value_of(component) for component in function.inputs]
        event = [gr.EventData(None, data)] if data or "event" in _parameters(function.fn) else []
        update = function.fn(*(with_inputs or inputs), *event)
        if update == gr.skip():
            return {}
        assert set(update) <= set(function.outputs)
        for component, value in update.items():
            if component.elem_id:
                self.values[component.elem_id] = value
            else:
                self.states[component] = value
        return {getattr(c, "elem_id", None) or type(c): value for c, value in update.items()}

    def value_of(self, component):
        if component.elem_id:
            return self.values[component.elem_id]
        return self.states.get(component)

    def search(self, words, place=None):
        """Fill the fields, and search."""
        self.values["words"] = words
        if place is not None:
            self.values["reference"] = {"path": str(self.pictures.thumbnail(self.ids[place]))}
        filled = self.call("search_fields")
        self.call("record")
        return filled

    def forget(self):
        """The server loses the session."""
        self.states.clear()

    def open(self, **visit):
        """Load the page: it opens with its own answer, or asks for the one it has to show."""
        self.values["visit"] = {"address": "", **visit}
        opened = self.call("open_page")
        return opened or self.restore(**self.values["visit"])

    def restore(self, **visit):
        """Show a search again, and explain it."""
        return {**self.call("restore", visit=visit), **self.call("fill_panels")}

    @property
    def ids(self):
        return self.pictures.ids

    @property
    def request(self):
        return self.values["screen"]["request"]

    @property
    def cards(self):
        return [card.attributes["data-id"] for card in read(self.values["results"]).all(cls="card")]


def _parameters(function):
    code = getattr(function, "__wrapped__", function).__code__
    return code.co_varnames[: code.co_argcount]


@pytest.fixture
def visit(world):
    return Visit(world)


@pytest.mark.slow
def test_a_visitor_begins_with_an_empty_state_which_opening_fills(visit):
    states = [block for block in visit.page.blocks.values() if isinstance(block, gr.State)]
    assert [state.value for state in states] == [None, None]
    visit.open()
    assert [type(state).__name__ for state in visit.states.values()] == ["SearchState"]
    assert visit.values["screen"]["link"] == ""  # the page's own answer needs no address


def test_a_search_fills_the_answer_and_then_what_explains_it(visit):
    filled = visit.search("is blue", 3)
    assert 'class="card"' in filled["results"]
    assert visit.request["model"] == "one"
    explained = visit.call("fill_panels")
    assert "Why no. 1" in explained["why"]
    assert set(explained) <= {panel.id for panel in PANELS}


def test_a_complaint_leaves_the_results_and_what_they_answer(visit):
    visit.search("is blue", 3)
    before = visit.cards, visit.values["screen"]
    visit.values["reference"] = None
    filled = visit.search("")
    assert "nothing to search" in filled["message"]
    assert set(filled) == {"message", "unknown"}
    assert (visit.cards, visit.values["screen"]) == before


def test_another_model_answers_and_the_head_says_so(visit):
    visit.search("is blue", 3)
    one = visit.cards
    visit.call("choose_model", model="two")
    assert visit.request["model"] == visit.values["chosen-model"] == "two"
    (selected,) = [
        option.attributes["value"]
        for option in read(visit.values["masthead"]).all("option")
        if "selected" in option.attributes
    ]
    assert selected == "two"
    assert visit.cards != one
    assert "model=two" in visit.values["screen"]["link"]


def test_a_model_is_chosen_before_anything_is_asked(visit):
    visit.values["words"] = " "
    filled = visit.call("choose_model", model="two")
    assert visit.values["chosen-model"] == "two"
    assert filled["message"] == ""


def test_a_model_that_is_none_leaves_the_choice(visit):
    visit.search("is blue", 3)
    filled = visit.call("choose_model", model="gone")
    assert visit.values["chosen-model"] == "one"
    assert "no model &#x27;gone&#x27; here" in filled["message"]


@pytest.mark.slow
def test_a_link_fills_the_whole_page_and_begins_the_way(visit):
    filled = visit.open(address=f"?ref={visit.ids[2]}&text=red&model=two")
    assert visit.request["model"] == visit.values["chosen-model"] == "two"
    assert filled["words"] == "red"
    assert filled["reference"] == str(visit.pictures.thumbnail(visit.ids[2]))
    assert "Why no. 1" in filled["why"]
    steps = SearchHistory.from_dict(visit.values["history"]).steps
    assert [step.query.words for step in steps] == ["red"]
    assert "red" in visit.values["trail"]


@pytest.mark.parametrize(
    "link", ["?ref=gone&text=blue", "?text=blue&model=gone", "?text=" + "w+" * 80]
)
def test_a_link_that_cannot_be_followed_shows_no_other_answer(visit, link):
    filled = visit.open(address=link)
    assert read(filled["message"]).one(cls="trouble").full_text()
    assert visit.cards == []
    assert (visit.values["screen"], visit.values["weights"], visit.values["why"]) == (None, "", "")
    assert visit.call("show_more") == {}
    assert visit.values["words"].startswith(("blue", "w"))


@pytest.fixture
def bare_visit(parts):
    """A page that opens without an answer, as it does while its gallery is indexed."""
    models, pictures = parts
    return Visit((build_page(models, pictures, []), pictures))


@pytest.mark.slow
def test_settings_of_a_link_without_a_search_apply_to_the_first_search(bare_visit):
    """The page waited for an answer for good, and the next search ignored the link."""
    visit = bare_visit
    filled = visit.open(address="?filter=kind+%3D+plain&shift=2&model=two")
    assert visit.cards == []
    assert filled["message"] == ""
    assert "apply to your first search" in visit.values["screen"]["notice"]
    assert (visit.values["chosen-filter"], visit.values["chosen-model"]) == ("kind = plain", "two")
    assert visit.call("show_more") == {}
    visit.search("is blue", 3)
    request = visit.request
    assert (request["filter"], request["shift"], request["model"]) == ("kind = plain", 2.0, "two")
    visit.search("is red", 3)
    assert (visit.request["filter"], visit.request["shift"]) == ("kind = plain", 0.0)


@pytest.mark.slow
def test_an_address_without_a_search_ends_the_wait_for_one(bare_visit):
    filled = bare_visit.restore(address="", screen={"request": {"words": 5}})
    assert (filled["screen"], filled["message"]) == (None, "")


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["ref=gone&text=blue", "text=" + "w+" * 80])
def test_a_link_that_cannot_be_followed_keeps_its_settings(bare_visit, wrong):
    visit = bare_visit
    filled = visit.open(address=f"?{wrong}&filter=kind+%3D+plain&shift=inf&model=two")
    assert read(filled["message"]).one(cls="trouble").full_text()
    visit.search("is blue", 3)
    request = visit.request
    assert (request["filter"], request["shift"], request["model"]) == ("kind = plain", "inf", "two")


@pytest.mark.slow
def test_a_wrong_setting_of_a_link_leaves_the_others(bare_visit):
    filled = bare_visit.open(address="?shift=much&filter=kind+%3D+plain")
    assert "shift is &#x27;much&#x27;" in filled["message"]
    assert bare_visit.values["chosen-filter"] == "kind = plain"


@pytest.mark.parametrize(
    ("link", "ignored", "searches"),
    [
        ("text=is+red&filters=kind+%3D+plain&k=3", "&#x27;filters&#x27;, &#x27;k&#x27;", True),
        ("q=red&utm_source=mail", "&#x27;q&#x27;", False),
        ("text=is+red&page=2", "&#x27;page&#x27;", True),
        ("ref=gone&fold=true", "&#x27;fold&#x27;", False),
    ],
)
def test_what_a_link_has_in_vain_is_named(visit, link, ignored, searches):
    """It was dropped without a word."""
    filled = visit.open(address=f"?{link}")
    assert f"Not used of the link: {ignored}. A link can have ref, text" in filled["message"]
    assert ("is not in this gallery" in filled["message"]) == link.startswith("ref=gone")
    if searches:
        assert visit.cards
        assert (visit.request["words"], visit.request["filter"]) == ("is red", "")


@pytest.mark.slow
def test_what_a_link_with_settings_alone_has_in_vain_is_named(bare_visit):
    filled = bare_visit.open(address="?shift=2&K=3")
    assert "Not used of the link: &#x27;K&#x27;" in filled["message"]
    filled = bare_visit.open(address="?K=3")
    assert "Not used of the link: &#x27;K&#x27;" in filled["message"]


def test_a_setting_that_a_link_without_a_search_repeats_is_named(visit):
    filled = visit.open(address="?filter=kind+%3D+plain&filter=kind+%3D+x")
    assert "The link gives filter more than once" in filled["message"]


def test_leaning_choosing_a_result_and_saving(visit):
    visit.search("is blue", 3)
    learned = visit.cards
    assert "Leaned by hand" in visit.call("reweight", position=0.9)["weights"]
    assert visit.request["shift"] > 0
    looked = visit.call("select_result", id=visit.cards[2])
    assert "Why no. " in looked["why"]
    assert visit.request["selected"] == visit.cards[2]
    (file,) = (v for v in visit.call("save", kind="json").values() if isinstance(v, dict))
    assert file["name"] == "dwc-results.json"
    visit.call("reweight", learned=True)
    assert visit.cards == learned
    for name, data in (
        ("select_result", {"id": "gone"}),
        ("reweight", {"position": 7}),
        ("reweight", {}),
    ):
        assert visit.call(name, **data) == {}
    assert list(visit.call("save", kind=1).values()) == [None]  # nothing to save, nor the last


def test_reasons_are_filled_at_the_weight_that_is_shown(visit):
    visit.search("is blue", 3)
    visit.call("reweight", position=0.9)
    score = signed(
        float(read(visit.values["results"]).all(cls="score")[0].attributes["data-score"])
    )
    assert f"Why no. 1 scores {score}" in visit.call("fill_panels")["why"]


def test_an_example_is_asked_of_the_chosen_model(visit):
    visit.values["chosen-model"] = "two"
    visit.call("try_example", example=1)
    assert visit.request["model"] == "two"
    assert visit.values["words"] == visit.request["words"]
    assert visit.call("try_example", example=99) == {}


def test_more_results_and_the_way_back(visit):
    visit.search("is blue", 3)
    first = visit.cards
    visit.call("show_more")
    assert len(visit.cards) == 19  # all but the reference
    assert visit.request["count"] == 24
    visit.values["reference"] = None
    visit.search("is red")
    steps = SearchHistory.from_dict(visit.values["history"]).steps
    visit.call("go_back", step=steps[-2].number)
    assert visit.cards == first
    assert visit.values["words"] == "is blue"
    assert visit.values["reference"] == str(visit.pictures.thumbnail(visit.ids[3]))
    (current,) = [
        b for b in read(visit.values["trail"]).all("button") if "aria-current" in b.attributes
    ]
    assert current.attributes["data-step"] == f"{steps[-2].number}"
    assert visit.call("go_back", step=99) == visit.call("go_back", step="1") == {}


ACTIONS = {
    "show_more": {},
    "reweight": {"position": 0.9},
    "select_result": {"id": "?"},
    "save": {"kind": "csv"},
    "fold": {"folded": True},
    "fill_panels": {},
    "record": {},
    "pin_or_drop": {"keep": True},
    "probe": {"wordings": "is navy"},
}


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_after_the_server_forgot_acts_on_the_screen(world, name):
    """A restart, a dropped session: the same as if the server had remembered."""
    remembered, forgotten = Visit(world), Visit(world)
    for visit in (remembered, forgotten):
        visit.search("is blue", 3)
        visit.call("reweight", position=0.4)
        if visit is forgotten:
            visit.forget()
        data = dict(ACTIONS[name])
        if "id" in data:
            data["id"] = visit.cards[3]
        visit.last = visit.call(name, **data)
    for name, value in remembered.last.items():
        if isinstance(name, str) and name != "read":
            assert _untimed(forgotten.last[name]) == _untimed(value), name
    parcels = [
        [v["content"] for v in visit.last.values() if isinstance(v, dict) and "content" in v]
        for visit in (remembered, forgotten)
    ]
    assert parcels[0] == parcels[1]
    assert forgotten.cards == remembered.cards


def _untimed(value):
    return re.sub(r"\d+ ms", "", value) if isinstance(value, str) else value


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_over_another_gallery_or_model_does_nothing_but_say_so(visit, name):
    """The server came back on the same port with something else."""
    visit.search("is blue", 3)
    visit.forget()
    visit.values["screen"] = {**visit.values["screen"], "origin": "another"}
    before = {key: visit.values[key] for key in ("results", "screen", "why", "export")}
    update = visit.call(name, **ACTIONS[name])
    messages = [v for v in update.values() if isinstance(v, str)]
    assert len(messages) == 1
    assert "another model or another gallery" in messages[0]
    assert not any(isinstance(value, dict) for value in update.values())
    assert {key: visit.values[key] for key in before} == before


def test_an_answer_that_cannot_be_repeated_is_said_to_be_forgotten(visit, uploads):
    upload = uploads / "cat.png"
    Image.effect_noise((40, 30), 50).convert("RGB").save(upload)
    visit.values["reference"] = {"path": str(upload)}
    visit.search("is blue")
    assert visit.request["upload"] == str(upload)
    visit.forget()
    upload.unlink()
    update = visit.call("show_more")
    assert FORGOTTEN in update["message"]
    assert "no longer here" in update["message"]
    assert set(update) == {"message"}


def test_a_lagging_state_is_not_acted_on(visit):
    """The answer on the screen counts, whatever the server answered last."""
    visit.search("is blue", 3)
    on_screen, cards = {**visit.values}, visit.cards
    visit.search("is red", 5)
    visit.values = on_screen
    visit.call("show_more")
    assert (visit.request["words"], visit.request["count"]) == ("is blue", 24)
    assert visit.cards[:12] == cards


def test_a_reload_restores_answer_position_history_and_what_was_typed(world):
    visit = Visit(world)
    visit.search("is blue", 3)
    visit.search("is red", 5)
    visit.call("reweight", position=0.4)
    visit.call("record")
    visit.call("show_more")
    shown = {key: visit.values[key] for key in ("screen", "history", "pinned")}
    cards, current = visit.cards, visit.values["history"]["current"]
    again = Visit(world)
    draft = {"reference": str(visit.pictures.thumbnail(visit.ids[7])), "words": "not searched"}
    again.open(
        address="?text=ignored",
        screen=shown["screen"],
        history=shown["history"],
        step=current,
        draft=draft,
    )
    assert again.values["screen"] == shown["screen"]
    assert again.cards == cards
    assert again.values["history"] == shown["history"]
    assert again.values["words"] == "not searched"
    assert again.values["reference"] == draft["reference"]


def test_going_back_in_the_browser_goes_back_in_the_history(visit):
    visit.search("is blue", 3)
    screen, step = visit.values["screen"], visit.values["history"]["current"]
    visit.search("is red", 5)
    steps = len(visit.values["history"]["steps"])
    entry = {"screen": screen, "step": step, "history": visit.values["history"]}
    filled = visit.restore(address="", **entry)
    assert filled["words"] == "is blue"
    assert visit.values["history"]["current"] == step
    assert len(visit.values["history"]["steps"]) == steps


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "pyproject.toml", "../secret.png", "\0", "x" * 4000]
)
def test_a_browser_names_no_file_of_this_computer(visit, uploads, path):
    request = {"words": "blue", "reference_id": None, "upload": path, "model": "one",
               "shift": 0, "count": 12, "folded": False, "selected": None}  # fmt: skip
    history = {
        "steps": [{"number": 1, "parent": None, "query": {"words": "", "upload": path},
                   "weight_shift": {"shift": 0, "image_weight": 1}}],
        "current": 1,
    }  # fmt: skip
    filled = visit.open(
        screen={"request": request}, history=history, draft={"reference": path, "words": "x"}
    )
    assert filled["reference"] is None
    assert path not in filled["trail"] or path == "x" * 4000
    assert "picture deleted" in filled["trail"]
    assert visit.cards == []
    back = visit.call("go_back", step=1)
    assert back["reference"] is None


def test_an_upload_comes_back_while_it_is_kept(visit, uploads):
    upload = uploads / "cat.png"
    Image.effect_noise((40, 30), 50).convert("RGB").save(upload)
    visit.values["reference"] = {"path": str(upload)}
    visit.search("is blue")
    first = visit.cards
    assert visit.values["screen"]["link"] is None
    visit.search("is red", 3)
    step = visit.values["history"]["steps"][-2]["number"]
    visit.call("go_back", step=step)
    assert visit.values["reference"] == str(upload)
    assert visit.cards == first
    visit.search("is red", 3)
    answered = visit.cards
    upload.unlink()
    gone = visit.call("go_back", step=step)
    assert (gone["reference"], gone["words"], gone["message"]) == (None, "is blue", "")
    assert "deleted after 10 minutes" in read(gone["trail"]).one(cls="hint").full_text()
    assert visit.cards == answered


def test_only_gallery_pictures_become_the_reference(visit):
    path = str(visit.pictures.thumbnail(visit.ids[3]))
    assert visit.call("use_reference", id=visit.ids[3]) == {"reference": path}
    for sent in (None, 3, ["p-0003"]):
        assert visit.call("use_reference", id=sent) == {}
    for sent in ("../p-0003", "nothing"):
        refused = visit.call("use_reference", id=sent)
        assert set(refused) == {"message"}
        assert (
            f"The picture &#x27;{sent}&#x27; is not in this gallery. Choose another picture."
            in (refused["message"])
        )


def test_a_page_of_another_gallery_shows_the_one_that_answers(visit):
    """After a restart with more pictures, header and filter counted the former gallery's."""
    visit.search("is blue")
    for name in ("facets", "masthead", "gallery"):
        visit.values[name] = "as before the restart"
    visit.search("is red")
    assert visit.values["masthead"] == "as before the restart"
    visit.values["screen"]["origin"] = visit.values["screen"]["origin"][:-1] + "x"
    visit.search("is blue")
    assert "20" in visit.values["masthead"]
    assert "all pictures" in visit.values["facets"]
    assert read(visit.values["gallery"]).all(cls="tile")


def test_a_filter_that_nothing_fits_any_more_is_counted_again(visit):
    visit.values["facets"] = "as before the gallery changed"
    visit.values["chosen-filter"] = "kind = plain"
    visit.search("is blue")
    assert visit.values["facets"] == "as before the gallery changed"  # it may be in use
    visit.values["chosen-filter"] = "kind = gone"
    visit.search("is blue")
    assert "<b>kind = gone</b> · 0 of 20" in visit.values["facets"]


def test_outputs_that_do_not_change_are_not_constructed_again(visit, monkeypatch):
    """Gradio constructs each anew in every event, which took longer than most handlers."""
    from gradio.components.json_component import JsonData
    from gradio.state_holder import SessionState

    [function] = [fn for fn in visit.page.fns.values() if fn.name == "choose_model"]
    components = {block.elem_id: block for block in function.outputs}
    screen, header, state = (components[name] for name in ("screen", "masthead", None))
    session, constructed = SessionState(visit.page), []
    monkeypatch.setattr(SessionState, "_update_config", lambda self, key: constructed.append(key))

    def prepare(returned):
        data = run_in_thread(visit.page.postprocess_data(function, returned, session))
        assert len(data) == len(function.outputs)
        return {
            block.elem_id: value
            for block, value in zip(function.outputs, data, strict=True)
            if value not in (None, gr.skip())
        }

    assert prepare({header: "<p>head</p>"}) == {"masthead": "<p>head</p>"}
    prepared = prepare({screen: {"count": 12}, state: None, header: gr.skip()})
    assert prepared == {"screen": JsonData({"count": 12})}
    assert prepare(gr.skip()) == {}
    assert constructed == []
    assert session[state._id] is None

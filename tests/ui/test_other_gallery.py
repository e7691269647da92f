"""A page that was open before the gallery changed: what it sends names pictures by their content.

The server is started again with another gallery whose files have the same names, or with the same
pictures under other names.
"""

from types import SimpleNamespace

import pytest
import torch

from dwc.errors import ImageError
from dwc.ui import gallery_images
from dwc.ui.blocks import build_page
from dwc.ui.gallery_images import DIGEST_LENGTH, DigestIndex, StoreImages
from dwc.ui.handlers import OUTDATED
from dwc.ui.history import HistoryQuery, SearchHistory, WeightShift
from dwc.ui.panels.examples import choose_examples
from dwc.ui.panels.results import EMPTY
from dwc.ui.request_parsing import check_values, parse_reference
from dwc.ui.startup import open_models
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery
from tests.ui.reading import read
from tests.ui.test_blocks import Visit
from tests.ui.test_startup import Counts

OTHER = "is another one than was shown here"
SIZE = 12


def write_galleries(place):
    """`former`; `other`, with other pictures of the same names; `moved`, the same ones renamed."""
    for name, drawn in (("former", SIZE), ("other", SIZE + 7)):
        (place / name).mkdir()
        draw_gallery(place / name, drawn)
        for surplus in sorted((place / name).glob("*.png"))[SIZE:]:
            surplus.unlink()
    (place / "moved").mkdir()
    files = sorted((place / "former").iterdir())
    for file, name in zip(files, [*files[1:], files[0]], strict=True):
        (place / "moved" / name.name).write_bytes(file.read_bytes())
    for name in ("former", "other", "moved"):
        lines = [f"{path.name},plain" for path in sorted((place / name).glob("*.png"))]
        (place / name / "metadata.csv").write_text("\n".join(["file_name,kind", *lines]))


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """The page of each gallery, and its pictures, by the gallery's name."""
    place = tmp_path_factory.mktemp("galleries")
    torch.set_num_threads(1)
    write_galleries(place)
    model = str(write_tiny_checkpoint(place / "model"))
    built = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DWC_CACHE", str(place / "cache"))
        for name in ("former", "other", "moved"):
            models, store = open_models([model], str(place / name), Counts().show, 1)
            pictures = StoreImages(store)
            built[name] = build_page(models, pictures, choose_examples(pictures)), pictures
    return built


@pytest.fixture
def visit(worlds):
    """A visitor who has opened the page of the former gallery, and searched from a picture."""
    visit = Visit(worlds["former"])
    visit.open()
    visit.search("is blue", 3)
    visit.search("is red", 5)
    return visit


def restart(visit, world):
    """The visitor's tab, with the server of another gallery."""
    later = Visit(world)
    later.values = {**later.values, **visit.values}
    return later


@pytest.fixture
def later(visit, worlds):
    return restart(visit, worlds["other"])


def card(visit, number):
    (button,) = [
        button
        for button in read(visit.values["results"]).all(cls="card")[number].all("button")
        if button.attributes.get("aria-keyshortcuts") == "F"
    ]
    return {"id": button.attributes["data-id"], "content": button.attributes["data-content"]}


def test_the_galleries_have_other_pictures_under_the_same_names(worlds):
    former, other, moved = (worlds[name][1] for name in ("former", "other", "moved"))
    assert list(former.ids) == list(other.ids) == list(moved.ids)
    contents = [[images.digest(id) for id in images.ids] for images in (former, other, moved)]
    assert set(contents[0][1:]).isdisjoint(contents[1])
    assert contents[2] == [contents[0][-1], *contents[0][:-1]]
    assert all(len(digest) == DIGEST_LENGTH for digest in contents[0])


def test_from_here_says_that_the_picture_is_another_one(visit, later):
    sent = card(visit, 2)
    refused = later.call("use_reference", **sent)
    assert set(refused) == {"message", "screen"}
    assert refused["screen"] == {**visit.values["screen"], "notice": OUTDATED}
    assert OTHER in refused["message"]
    assert sent["id"] in refused["message"]
    assert set(later.call("use_reference", id=sent["id"])) == {"reference"}  # of an older page


@pytest.mark.parametrize("part", ["gallery", "examples"])
def test_tiles_and_examples_of_the_former_gallery_are_not_used(visit, later, part):
    buttons = [
        button.attributes
        for button in read(visit.values[part]).all("button")
        if "data-content" in button.attributes
    ]
    sent = buttons[1]
    if part == "gallery":
        refused = later.call("use_reference", id=sent["data-id"], content=sent["data-content"])
    else:
        example = int(sent["data-example"])
        refused = later.call("try_example", example=example, content=sent["data-content"])
    assert set(refused) == {"message", "screen"}
    assert (OTHER if part == "gallery" else "the examples are others now") in refused["message"]


def test_results_of_the_present_gallery_are_not_marked(visit, later):
    tile = read(visit.values["gallery"]).all("button")[1].attributes
    later.values["reference"] = None
    later.search("is blue")
    refused = later.call("use_reference", id=tile["data-id"], content=tile["data-content"])
    assert set(refused) == {"message"}


def test_a_step_of_the_history_says_that_its_picture_is_another_one(visit, later):
    before, request = later.values["results"], later.request
    (step,) = [s for s in visit.values["history"]["steps"] if s["query"]["words"] == "is blue"]
    refused = later.call("go_back", step=step["number"])
    assert set(refused) == {"message", "screen"}
    assert OTHER in refused["message"]
    assert (later.values["results"], later.request) == (before, request)
    assert later.values["screen"]["notice"] == OUTDATED


def test_back_and_a_reload_show_no_picture_of_the_other_gallery(visit, later):
    sent = {"address": "", "screen": visit.values["screen"], "history": visit.values["history"]}
    shown = later.restore(**sent, step=3, pin=None)
    assert OTHER in shown["message"]
    assert (shown["reference"], shown["words"]) == (None, "is red")
    assert shown["results"] == EMPTY
    assert later.values["screen"] is None
    tiles = read(shown["trail"]).all("button")
    assert [tile.all("img") for tile in tiles[1:]] == [[], []]
    assert "a picture that is gone" in tiles[1].attributes["aria-label"]


def test_a_filter_is_not_applied_to_another_picture(later):
    later.values["reference"] = None
    refused = later.call("choose_filter", choice={"column": "kind", "value": "plain"})
    assert set(refused) == {"message"}
    assert OTHER in refused["message"]


def test_the_opening_of_another_gallery_is_not_that_of_the_former(worlds):
    visit = Visit(worlds["former"])
    visit.open()
    later = restart(visit, worlds["other"])
    opening = dict(visit.request, reference_id=visit.ids[3], content=None)
    own = visit.pictures.digest(visit.ids[3])
    screen = dict(visit.values["screen"], request=dict(opening, content=own))
    assert OTHER in later.restore(address="", screen=screen)["message"]


def test_a_copied_link_says_that_its_picture_is_another_one(visit, worlds):
    link = visit.values["screen"]["link"]
    assert link.endswith(f"&content={visit.pictures.digest(visit.ids[5])}")
    fresh = Visit(worlds["other"])
    shown = fresh.open(address=f"?{link}")
    assert "another picture has its name now" in shown["message"]
    assert (shown["reference"], shown["words"]) == (None, "is red")
    assert shown["results"] == EMPTY
    assert Visit(worlds["former"]).open(address=f"?{link}")["message"] == ""


def test_a_link_without_the_content_opens_what_has_the_name(worlds):
    fresh = Visit(worlds["other"])
    shown = fresh.open(address=f"?ref={fresh.ids[5]}&text=red")
    assert shown["message"] == ""
    assert fresh.request["content"] == fresh.pictures.digest(fresh.ids[5])


def test_a_moved_picture_is_the_same(visit, worlds):
    later = restart(visit, worlds["moved"])
    moved = later.ids[6]
    path = str(later.pictures.thumbnail(moved))
    assert later.call("use_reference", id=visit.ids[5], content=visit.request["content"]) == {
        "reference": path
    }
    sent = {"address": "", "screen": visit.values["screen"], "history": visit.values["history"]}
    shown = later.restore(**sent, step=3, pin=None)
    assert (shown["message"], shown["reference"]) == ("", path)
    assert later.request["reference_id"] == moved
    assert later.request["content"] == visit.request["content"]
    assert len(later.values["history"]["steps"]) == len(visit.values["history"]["steps"])
    fresh = Visit(worlds["moved"])
    assert fresh.open(address=f"?{visit.values['screen']['link']}")["message"] == ""
    assert fresh.request["reference_id"] == moved


def test_an_example_takes_no_picture_of_another_one(visit, worlds):
    """The moved picture was found by its digest, and joined with the words at its old place."""
    later = restart(visit, worlds["moved"])
    before = later.values["results"]
    (first, *_) = read(visit.values["examples"]).all("button")
    sent = {"content": first.attributes["data-content"]}
    assert later.pictures.id_with_digest(sent["content"]) is not None
    for example in (0, 99):
        refused = later.call("try_example", example=example, **sent)
        assert set(refused) == {"message", "screen"}
        assert "the examples are others now. Load the page again" in refused["message"]
    assert set(later.call("try_example", example=0, content="")) == {"message", "screen"}
    assert later.values["results"] == before
    (own, *_) = read(Visit(worlds["moved"]).values["examples"]).all("button")
    assert later.call("try_example", example=0, content=own.attributes["data-content"])["results"]


@pytest.mark.parametrize("content", ["12ab", "0123abcd9", "xxxxxxxx"])
def test_a_cut_link_is_called_incomplete(worlds, content):
    fresh = Visit(worlds["former"])
    shown = fresh.open(address=f"?ref={fresh.ids[5]}&text=red&content={content}")
    assert "The link is incomplete or was changed" in shown["message"]
    assert content in shown["message"]
    assert "another picture" not in shown["message"]
    assert (shown["reference"], shown["words"]) == (None, "red")


def test_the_digit_case_of_a_link_is_not_distinguished(worlds):
    fresh = Visit(worlds["former"])
    digest = fresh.pictures.digest(fresh.ids[5])
    assert fresh.open(address=f"?ref={fresh.ids[5]}&content={digest.upper()}")["message"] == ""


def test_the_answer_kept_by_the_server_is_that_of_the_content(visit):
    screen = visit.values["screen"]
    for part, expected in (
        ({"reference_id": "moved.png"}, visit.ids[5]),
        ({"content": visit.pictures.digest(visit.ids[7])}, visit.ids[7]),
    ):
        visit.values["screen"] = dict(screen, request={**screen["request"], **part})
        assert visit.call("reweight", position=0.9)["results"]
        assert visit.request["reference_id"] == expected
        assert visit.request["content"] == visit.pictures.digest(expected)


def test_digests_are_read_once_for_each_state_of_the_gallery(worlds, monkeypatch):
    store = worlds["former"][1].store
    built = []

    class Index(DigestIndex):
        def __init__(self, store):
            built.append(len(store))
            super().__init__(store)

    monkeypatch.setattr(gallery_images, "DigestIndex", Index)
    images = StoreImages(store.restrict(store.ids[:5]))
    for id in images.ids:
        assert images.id_with_digest(images.digest(id)) == id
    last = images.digest(images.ids[-1])
    unknown = ["", "ffffffff", "00000000", last[:-1], last.upper() + "0", "0x12ab34"]
    assert [images.id_with_digest(digest) for digest in unknown] == [None] * len(unknown)
    assert built == [5]
    images.show(store)
    assert images.id_with_digest(images.digest(store.ids[-1])) == store.ids[-1]
    assert built == [5, SIZE]


def test_of_equal_contents_the_first_is_returned():
    keys = ["ffffffff01", "0000000002", "ffffffff03", "0000000004"]
    index = DigestIndex(SimpleNamespace(rows=SimpleNamespace(content_keys=keys)))
    assert [index.first(digest) for digest in ("ffffffff", "00000000", "00000001")] == [0, 1, None]
    empty = SimpleNamespace(rows=SimpleNamespace(content_keys=[]))
    assert DigestIndex(empty).first("ffffffff") is None


def test_a_picture_chosen_before_the_restart_is_not_called_an_upload(visit, worlds, uploads):
    images = worlds["other"][1]
    path = str(visit.pictures.thumbnail(visit.ids[3]))
    with pytest.raises(ImageError, match="of a gallery that the server no longer has"):
        parse_reference({"path": path}, images)
    named = {"path": path, "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(ImageError, match=r"no longer has.*Load the page again"):
        check_values([named], images.folder)


def test_steps_of_other_contents_are_other_searches():
    shift = WeightShift(0.0, 0.5)
    history = SearchHistory().search(HistoryQuery("red", "a.jpg", content="0123abcd"), shift)
    other = history.search(HistoryQuery("red", "a.jpg", content="89abcdef"), shift)
    assert len(other.steps) == 2
    moved = HistoryQuery("red", "sub/a.jpg", content="0123abcd")
    assert len(history.search(moved, shift).steps) == 1
    older_page = HistoryQuery("red", "a.jpg")
    assert len(history.search(older_page, shift).steps) == 1

"""The app as it is started: its endpoint through the client, and how it ends on what is wrong."""

import json
import subprocess
from argparse import ArgumentParser
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import app
from dwc.checkpoints.load import fingerprint
from dwc.commands import app as app_command
from dwc.search.model_pool import KEEP_LOADED
from tests.fork_server import PYTHON
from tests.gallery.conftest import make_old
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import ROOT, draw_gallery, environment, serve

pytestmark = pytest.mark.slow

FILE = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("app")


@pytest.fixture(scope="module")
def model(place):
    return write_tiny_checkpoint(place / "model")


@pytest.fixture(scope="module")
def gallery(place):
    folder = place / "gallery"
    folder.mkdir()
    draw_gallery(folder)
    (folder / "broken.png").write_bytes(b"not a picture")
    make_old(folder)
    return folder


@pytest.fixture(scope="module")
def address(place, model, gallery):
    with serve(model, gallery, place) as url:
        yield url


@pytest.fixture(scope="module")
def search(address):
    client = Client(address, verbose=False)
    return lambda **asked: client.predict(**asked, api_name="/search")


def post(address, data):
    """What the endpoint answers to data that no client would send."""
    call = f"{address}gradio_api/call/search"
    request = Request(
        call, json.dumps({"data": data}).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=20) as reply:
        event = json.load(reply)["event_id"]
    with urlopen(f"{call}/{event}", timeout=20) as reply:
        return reply.read().decode()


def test_a_picture_and_words(search, gallery):
    answer = search(
        reference=handle_file(gallery / "figure-03.png"), text="is shorter", k=5, shift=0
    )
    assert [result["rank"] for result in answer["results"]] == [1, 2, 3, 4, 5]
    assert "figure-03.png" not in {result["id"] for result in answer["results"]}
    for result in answer["results"]:
        assert set(result["parts"]) == {"clip_image", "clip_text", "cnn_image", "cnn_text"}
        assert sum(result["parts"].values()) == pytest.approx(result["score"], abs=1e-4)
    for weight in answer["weights"].values():
        assert 0 < weight["image"] < 1
        assert weight["image"] + weight["text"] == pytest.approx(1)
    assert answer["unknown_words"] == []
    assert all(time >= 0 for time in answer["timings_ms"].values())


def test_words_alone_and_a_picture_alone(search, gallery):
    words = search(text="is blue")
    picture = search(reference=handle_file(gallery / "figure-03.png"))
    assert {weight["image"] for weight in words["weights"].values()} == {0.0}
    assert {weight["image"] for weight in picture["weights"].values()} == {1.0}
    assert len(words["results"]) == len(picture["results"]) == 12


def test_a_shift_leans_the_weights(search, gallery):
    asked = {"reference": handle_file(gallery / "figure-03.png"), "text": "is blue", "k": 1}
    weights = [search(**asked, shift=shift)["weights"] for shift in (-2, 0, 2)]
    for stream in ("clip", "cnn"):
        assert sorted(w[stream]["image"] for w in weights) == [w[stream]["image"] for w in weights]
    assert search(**asked, shift="inf")["weights"]["clip"]["image"] == 1


def test_near_duplicates_are_folded_and_the_answer_is_filled_up(search):
    """Figures of neighboring hues look alike to an untrained model."""
    plain, folded = search(text="is blue", k=12), search(text="is blue", k=12, fold=True)
    assert "near_duplicates" not in plain["results"][0]
    assert len(folded["results"]) == 12
    under = [id for result in folded["results"] for id in result["near_duplicates"]]
    ids = [result["id"] for result in folded["results"]]
    assert under
    assert not set(ids) & set(under)
    assert {result["id"] for result in plain["results"]} <= {*ids, *under}


def test_unknown_words_are_listed(search):
    assert search(text="is blue with sequins")["unknown_words"] == ["sequins"]


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({}, "nothing to search"),
        ({"text": "   "}, "nothing to search"),
        ({"text": "x" * 5000}, "5,000 characters"),
        ({"text": "blue", "k": 0}, "k is 0"),
        ({"text": "blue", "shift": "far"}, "shift is 'far'"),
    ],
)
def test_what_cannot_be_asked_is_told(search, asked, complaint):
    with pytest.raises(AppError, match=complaint):
        search(**asked)


def test_of_a_long_text_the_beginning_is_read_and_said_to_be(search):
    answer = search(text="is blue with long sleeves " * 12, k=1)
    assert "Only the beginning of the text was read" in " ".join(answer["notes"])
    assert answer["results"]


def test_a_broken_and_a_huge_picture_are_told_and_the_app_goes_on(search, tmp_path):
    broken = tmp_path / "broken.jpg"
    Image.effect_noise((200, 200), 50).save(broken)
    broken.write_bytes(broken.read_bytes()[:2000])
    with pytest.raises(AppError, match="cut short or damaged"):
        search(reference=handle_file(broken))
    huge = tmp_path / "huge.png"
    Image.new("1", (20000, 5000)).save(huge)
    with pytest.raises(AppError, match="at most 80,000,000"):
        search(reference=handle_file(huge))
    assert search(text="is blue")["results"]


def test_no_file_of_this_computer_and_no_address_can_be_named(address, gallery):
    picture = str(gallery / "figure-00.png")
    for named in (
        {"path": picture, "meta": FILE},
        {"path": picture},
        {"path": picture, "meta": {}},
        {"path": picture, "meta": FILE, "is_stream": True},
    ):
        assert "event: error" in post(address, [named, "", 3, 0])
    for url in ("http://127.0.0.1:1/x.png", "https://example.org/x.png"):
        reply = post(address, [{"path": url, "meta": FILE}, "", 3, 0])
        assert "Addresses are not fetched" in reply


def test_thumbnails_are_served_and_the_rest_of_the_store_is_not(address, place):
    def status(file):
        try:
            with urlopen(f"{address}gradio_api/file={quote(str(file))}", timeout=10) as reply:
                return reply.status
        except HTTPError as error:
            return error.code

    (store,) = (place / "dwc" / "galleries").iterdir()
    assert status(next((store / "thumbnails").rglob("*.webp"))) == 200
    for hidden in (store / "gallery.sqlite", ROOT / "app.py", place / "gallery" / "figure-00.png"):
        assert hidden.exists()
        assert status(hidden) == 403
    assert status("https://example.org/x.png") == 404


def test_only_these_are_public(address):
    api = Client(address, verbose=False).view_api(return_format="dict")
    assert set(api["named_endpoints"]) == {
        "/search", "/explain", "/compare", "/paraphrase", "/gallery", "/models", "/map", "/atlas",
    }  # fmt: skip
    parameters = api["named_endpoints"]["/search"]["parameters"]
    assert [one["parameter_name"] for one in parameters] == [
        "reference", "text", "k", "shift", "fold", "filter"
    ]  # fmt: skip
    assert all(one["parameter_has_default"] for one in parameters)


def test_an_answer_is_explained_compared_and_reworded(address, search, gallery):
    client, words = Client(address, verbose=False), "is blue"
    picture = handle_file(next(iter(sorted(gallery.glob("figure-*.png")))))
    best = search(reference=picture, text=words)["results"][0]
    told = client.predict(reference=picture, text=words, api_name="/explain")
    assert told["why"]["id"] == best["id"]
    assert sum(told["why"]["parts"].values()) == pytest.approx(best["score"], abs=1e-4)
    assert [word["word"] for word in told["word_effects"]["words"]] == words.split()
    read = client.predict(reference=picture, text=words, k=3, api_name="/compare")
    assert {"learned", "picture", "words"} <= {column["name"] for column in read["columns"]}
    again = client.predict(text=words, wordings=["in blue"], api_name="/paraphrase")
    assert [wording["text"] for wording in again["wordings"]] == [words, "in blue"]


def test_the_map_and_the_usual_weights_are_told(address):
    client = Client(address, verbose=False)
    whole = client.predict(api_name="/map")
    assert whole["gallery_size"] == len(whole["ids"]) == len(whole["x"]) == len(whole["y"])
    page = client.predict(start=3, limit=2, api_name="/map")
    assert (page["ids"], page["x"]) == (whole["ids"][3:5], whole["x"][3:5])
    with pytest.raises(AppError, match="expected a start from 0"):
        client.predict(start=-1, api_name="/map")
    assert client.predict(api_name="/atlas")["streams"] == {}  # none were kept with this model


def test_the_answer_tells_what_it_came_from(search, model):
    answer = search(text="is blue", k=1)
    assert answer["model"] == {
        "name": "model",
        "fingerprint": fingerprint(model),
        "revision": None,
    }
    assert answer["gallery"]["name"] == "gallery"


def test_one_of_several_models_is_asked_by_its_name(place, model, gallery):
    """Both answer though one stays in memory; a third, which is none, is left out."""
    other = write_tiny_checkpoint(place / "other", seed=1)
    cache = place / "several"
    cache.mkdir()
    options = ("--model", str(other), "--model", "/nowhere/third", "--keep-loaded", "1")
    with serve(model, gallery, cache, *options) as address:
        assert "The model third is left out" in (cache / "app.log").read_text()
        client = Client(address, verbose=False)
        told = client.view_api(return_format="dict")["named_endpoints"]["/search"]["parameters"]
        assert [one["parameter_name"] for one in told] == [
            "reference", "text", "k", "shift", "model", "fold", "filter"
        ]  # fmt: skip
        assert all(one["parameter_has_default"] for one in told)
        by_default = client.predict(text="is blue", api_name="/search")
        assert by_default["model"]["fingerprint"] == fingerprint(model)
        asked = client.predict(text="is blue", model="other", api_name="/search")
        assert asked["model"]["fingerprint"] == fingerprint(other)
        assert asked["results"] != by_default["results"]
        again = client.predict(text="is blue", model="model", api_name="/search")
        assert again["results"] == by_default["results"]
        with pytest.raises(AppError, match="no model 'third' here"):
            client.predict(text="is blue", model="third", api_name="/search")


def test_the_page_says_what_was_skipped_and_not_where_it_lies(address, place):
    with urlopen(f"{address}config", timeout=10) as reply:
        page = reply.read().decode()
    assert "broken.png" in page
    assert "What this gallery leaves out: 1 files that cannot be read" in page
    assert str(place / "gallery") not in page


def test_nothing_is_counted_or_shared(address):
    with urlopen(f"{address}config", timeout=10) as reply:
        config = json.load(reply)
    assert config["analytics_enabled"] is False
    assert not config.get("share_url")


def test_the_second_start_embeds_nothing(address, place, model, gallery):
    second = place / "second"
    second.mkdir()
    (second / "dwc").symlink_to(place / "dwc")
    with serve(model, gallery, second):
        counts = (second / "app.log").read_text().splitlines()
    assert "0 of 31 pictures" in (place / "app.log").read_text().splitlines()
    # All at once: the one that cannot be read is remembered, too.
    assert [line for line in counts if "of 31" in line] == ["31 of 31 pictures"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--model", "/nowhere/model"], "there is no folder"),
        (["--gallery", "/nowhere/pictures"], "there is no such folder"),
        (["--gallery", "empty"], "has no pictures in it"),
        (["--gallery", "broken"], "none of its 1 pictures can be read"),
    ],
)
def test_what_cannot_be_loaded_is_told(options, complaint, model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DWC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.png").write_bytes(b"not a picture")
    first = [] if "--model" in options else ["--model", str(model)]  # only the first has to load
    assert app.main([*first, *options]) == 2
    assert complaint in capsys.readouterr().err


def test_a_failed_start_is_an_exit_code_without_a_traceback(tmp_path):
    ended = subprocess.run(
        [*PYTHON, "app.py", "--model", "/nowhere/model"],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 2
    assert "there is no folder" in ended.stderr
    assert "Traceback" not in ended.stderr


def parse(arguments):
    """The command's arguments, completed from the environment."""
    parser = ArgumentParser()
    app_command.configure(parser)
    return app_command.complete_from_environment(parser.parse_args(arguments))


def test_the_environment_names_model_and_gallery(monkeypatch):
    monkeypatch.setenv("DWC_MODEL", "owner/name")
    monkeypatch.setenv("DWC_GALLERY", "photos")
    args = parse([])
    assert (args.models, args.gallery, args.host, args.port) == (
        ["owner/name"],
        "photos",
        None,
        None,
    )
    assert parse(["--model", "other"]).models == ["other"]
    monkeypatch.delenv("DWC_MODEL")
    monkeypatch.delenv("DWC_GALLERY")
    assert (parse([]).models, parse([]).gallery) == ([], "catalogue")


def test_the_environment_names_the_index(monkeypatch):
    monkeypatch.delenv("DWC_INDEX", raising=False)
    assert parse([]).index == "auto"
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("DWC_INDEX", "~/shop.db")
    assert parse([]).index == "/home/me/shop.db"
    assert parse(["--index", "exact"]).index == "exact"
    assert parse(["--index", "~/other.db"]).index == "/home/me/other.db"


def test_mcp_is_requested_by_option_or_in_the_environment(monkeypatch, capsys):
    monkeypatch.delenv("DWC_MCP", raising=False)
    monkeypatch.setattr(app_command, "find_spec", lambda name: object())
    assert not parse([]).mcp
    assert parse(["--mcp"]).mcp
    monkeypatch.setenv("DWC_MCP", "1")
    assert parse([]).mcp
    monkeypatch.setattr(app_command, "find_spec", lambda name: None)
    assert app.main([]) == 2
    assert "pip install 'dwc[mcp]'" in capsys.readouterr().err


def test_several_models_are_named_by_options_or_in_the_environment(monkeypatch, tmp_path):
    assert parse(["--model", "a", "--model", "b"]).models == ["a", "b"]
    for named in ("a,b/c@v2", "a b/c@v2", " a, b/c@v2,\n"):
        monkeypatch.setenv("DWC_MODEL", named)
        assert parse([]).models == ["a", "b/c@v2"]
    folder = tmp_path / "my runs, all"
    folder.mkdir()
    monkeypatch.setenv("DWC_MODEL", str(folder))
    assert parse([]).models == [str(folder)]


def test_how_many_models_stay_in_memory(monkeypatch, capsys):
    monkeypatch.delenv("DWC_KEEP_LOADED", raising=False)
    assert parse([]).keep_loaded == KEEP_LOADED == 2
    monkeypatch.setenv("DWC_KEEP_LOADED", "3")
    assert parse([]).keep_loaded == 3
    assert parse(["--keep-loaded", "1"]).keep_loaded == 1
    for wrong in (["--keep-loaded", "0"], ["--keep-loaded", "many"]):
        with pytest.raises(SystemExit):
            parse(wrong)
        assert "no number of models, 1 or more" in capsys.readouterr().err
    monkeypatch.setenv("DWC_KEEP_LOADED", "-1")
    assert app.main([]) == 2
    assert "DWC_KEEP_LOADED: '-1'" in capsys.readouterr().err

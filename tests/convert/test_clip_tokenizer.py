"""Where CLIP's tokenizer comes from: each source, their order, and a network that is not there."""

import gzip
import json
import os
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from transformers import CLIPTextConfig

from dwc.convert import clip_tokenizer
from dwc.convert.clip_tokenizer import OPENAI_COMMIT, OPENAI_REPO, find_clip_tokenizer
from dwc.convert.to_checkpoint import authors_image_processor
from dwc.errors import CheckpointError
from dwc.modeling.processing_dwc import DWCProcessor
from dwc.training.catalogue.recipe import train_clip_tokenizer
from tests.fork_server import PYTHON
from tests.merges import merges_text

GOLDEN = Path(__file__).parents[1] / "golden"
TEXTS = json.loads((GOLDEN / "texts.json").read_text())
TOKENS, MAX_TOKENS = 530, 20
OPENAI = "bpe_simple_vocab_16e6.txt.gz"
MERGES = merges_text(TOKENS)


def sizes(tokens=TOKENS, max_tokens=MAX_TOKENS):
    text = CLIPTextConfig(
        vocab_size=tokens, max_position_embeddings=max_tokens, eos_token_id=tokens - 1
    )
    return SimpleNamespace(text_config=text)


def trained():
    """Another tokenizer of the same size, to be told from the one of MERGES."""
    return train_clip_tokenizer(TEXTS["vocabulary_texts"], TOKENS)


def is_trained(tokenizer):
    return tokenizer.get_vocab() == trained().get_vocab()


def write_openai(folder):
    (folder / OPENAI).write_bytes(gzip.compress(MERGES.encode()))


def write_pair(folder):
    """`vocab.json` and `merges.txt`, as transformers wrote tokenizers before version 5."""
    model = json.loads(trained().backend_tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    lines = [" ".join(pair) for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines, ""]))


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """An empty cache, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(clip_tokenizer, "_OPENAI_TOKENS", TOKENS)
    folder = f"models--{OPENAI_REPO.replace('/', '--')}"
    return tmp_path / "hub" / folder / "snapshots" / OPENAI_COMMIT


@pytest.fixture
def clip(tmp_path):
    """A file of CLIP's weights, alone in its folder, which nothing here reads."""
    file = tmp_path / "weights" / "clip.pt"
    file.parent.mkdir()
    file.touch()
    return file


@pytest.mark.parametrize("name", [OPENAI, "merges.txt", "packed.txt"])
def test_the_file_that_is_given_comes_first(clip, tmp_path, name):
    write_pair(clip.parent)
    packed = name != "merges.txt"
    (tmp_path / name).write_bytes(gzip.compress(MERGES.encode()) if packed else MERGES.encode())
    actual = find_clip_tokenizer(tmp_path / name, clip, sizes())
    assert not is_trained(actual)
    assert len(actual) == TOKENS
    assert actual.model_max_length == MAX_TOKENS
    # "the" by hand: t h -> th, e</w> stays, for "the</w>" is in no merge.
    assert actual.convert_ids_to_tokens(actual("The")["input_ids"])[1:-1] == ["t", "h", "e</w>"]
    assert actual.convert_ids_to_tokens(actual("Et")["input_ids"])[1:-1] == ["e", "t</w>"]
    assert actual.convert_ids_to_tokens(actual("eta")["input_ids"])[1:-1] == ["et", "a</w>"]


@pytest.mark.parametrize("write", [write_pair, lambda folder: trained().save_pretrained(folder)])
def test_a_tokenizers_folder_may_be_given(clip, tmp_path, write):
    write_openai(clip.parent)
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    write(folder)
    actual = find_clip_tokenizer(folder, clip, sizes())
    assert is_trained(actual)
    assert actual.model_max_length == MAX_TOKENS
    for text in TEXTS["queries"]:
        assert actual(text)["input_ids"] == trained()(text)["input_ids"]


def test_what_is_given_and_not_there_is_an_error_even_if_another_is(clip, tmp_path):
    write_openai(clip.parent)
    with pytest.raises(CheckpointError, match=r"none.*neither a file of merges.*nor a folder"):
        find_clip_tokenizer(tmp_path / "none", clip, sizes())


def test_clips_folder_brings_its_own_before_what_lies_in_it(tmp_path):
    write_openai(tmp_path)
    assert not is_trained(find_clip_tokenizer(None, tmp_path, sizes()))
    trained().save_pretrained(tmp_path)
    assert is_trained(find_clip_tokenizer(None, tmp_path, sizes()))


def test_clips_repository_brings_its_own(tmp_path, monkeypatch):
    requested = {}

    def download(repo, revision, allow_patterns):
        requested.update(repo=repo, revision=revision, patterns=allow_patterns)
        trained().save_pretrained(tmp_path / "snapshot")
        return str(tmp_path / "snapshot")

    monkeypatch.setattr(clip_tokenizer, "snapshot_download", download)
    assert is_trained(find_clip_tokenizer(None, "someone/clip@v1", sizes()))
    assert (requested["repo"], requested["revision"]) == ("someone/clip", "v1")
    assert all(name.endswith((".json", ".txt")) for name in requested["patterns"])


def test_beside_the_weights_openais_file_comes_before_a_pair(clip):
    assert find_clip_tokenizer(None, clip, sizes()) is None
    (clip.parent / "vocab.json").write_text("{}")  # alone, a table of anything
    assert find_clip_tokenizer(None, clip, sizes()) is None
    write_pair(clip.parent)
    assert is_trained(find_clip_tokenizer(None, clip, sizes()))
    write_openai(clip.parent)
    assert not is_trained(find_clip_tokenizer(None, clip, sizes()))


def test_the_hubs_cache_comes_last(clip, hub):
    hub.mkdir(parents=True)
    (hub / "merges.txt").write_text(MERGES)
    assert len(find_clip_tokenizer(None, clip, sizes())) == TOKENS
    write_pair(clip.parent)
    assert is_trained(find_clip_tokenizer(None, clip, sizes()))


def test_a_whole_tokenizer_in_the_hubs_cache_will_do(clip, hub):
    hub.mkdir(parents=True)
    trained().save_pretrained(hub)
    assert is_trained(find_clip_tokenizer(None, clip, sizes()))


def test_openais_is_not_taken_for_a_clip_of_other_tokens(clip, hub):
    hub.mkdir(parents=True)
    (hub / "merges.txt").write_text(MERGES)
    assert find_clip_tokenizer(None, clip, sizes(TOKENS - 1)) is None


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as one file's download sees; it remembers what it was asked for."""

    requested: list[str]

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()
        self.wfile.write(MERGES.encode())

    def answer(self):
        self.requested.append(self.path)
        self.send_response(200)
        self.send_header("X-Repo-Commit", OPENAI_COMMIT)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(MERGES)))
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.slow
def test_over_the_network_one_file_is_fetched(clip, tmp_path):
    """In a process of its own, since the Hub's address is read once."""
    handler = type("RecordingHub", (Hub,), {"requested": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    program = (
        "import sys; from dwc.convert import clip_tokenizer as source\n"
        "from tests.convert.test_clip_tokenizer import sizes\n"
        f"source._OPENAI_TOKENS = {TOKENS}\n"
        "print(len(source.find_clip_tokenizer(None, sys.argv[1], sizes())))\n"
    )
    root = Path(__file__).resolve().parents[2]
    environment = {
        **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        "PYTHONPATH": str(root),
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "0",
        "TRANSFORMERS_OFFLINE": "0",
    }
    try:
        done = subprocess.run(
            [*PYTHON, "-c", program, str(clip)],
            env=environment, text=True, capture_output=True,
        )  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
    assert done.stdout.strip() == str(TOKENS), done.stderr
    files = {path for path in handler.requested if not path.startswith("/api/")}  # the client's own
    assert files == {f"/{OPENAI_REPO}/resolve/{OPENAI_COMMIT}/merges.txt"}


@pytest.mark.slow
def test_a_server_that_says_nothing_is_not_waited_for(clip, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(clip_tokenizer, "_TIMEOUT_S", 0.2)
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/merges.txt"
        monkeypatch.setattr(clip_tokenizer, "hf_hub_url", lambda *_, **__: address)
        started = time.monotonic()
        assert find_clip_tokenizer(None, clip, sizes()) is None
        assert time.monotonic() - started < 2
    assert find_clip_tokenizer(None, clip, sizes()) is None  # now refused at once


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b" + bytes(40), "cannot be read as CLIP's merges"),
        (gzip.compress(MERGES.encode(), mtime=0)[:-20], "cannot be read as CLIP's merges"),
        (b"\xff\xfe", "cannot be read as CLIP's merges"),
        (b"#version: 0.2\ni n\n", "1 merges.*room for 16"),
        (b"", "0 merges.*room for 16"),
    ],
)
def test_a_broken_file_is_named_and_not_passed_over(clip, hub, content, message):
    hub.mkdir(parents=True)
    (hub / "merges.txt").write_text(MERGES)
    (clip.parent / OPENAI).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{OPENAI}.*{message}.*--clip-tokenizer"):
        find_clip_tokenizer(None, clip, sizes())


def test_a_tokenizer_of_another_clip_is_refused(clip):
    write_pair(clip.parent)
    with pytest.raises(CheckpointError, match=r"530 tokens.*531 rows.*--clip-tokenizer"):
        find_clip_tokenizer(None, clip, sizes(TOKENS + 1))


def test_a_folder_whose_tokenizer_cannot_be_read_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"no CLIP tokenizer.*--clip-tokenizer"):
        find_clip_tokenizer(None, tmp_path, sizes())


@pytest.mark.parametrize("golden", ["rn50", "vitb32"])
def test_with_openais_merges_ids_are_openais(golden, tmp_path):
    data = os.environ.get("DWC_TEST_DATA")
    if data is None:
        pytest.skip(f"DWC_TEST_DATA names no folder with clip_bpe/{OPENAI}")
    merges = Path(data) / "clip_bpe" / OPENAI
    actual = find_clip_tokenizer(merges, tmp_path, sizes(49408, 77))
    expected = json.loads((GOLDEN / f"golden_{golden}.json").read_text())["clip_ids"]
    assert [actual(text)["input_ids"] for text in TEXTS["queries"]] == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("don’t", [847, 713]),
        ("women’s", [1507, 568]),
        ("black &amp; white", [1449, 261, 1579]),
        ("ｒｅｄ", [736]),
    ],
)
def test_a_converted_model_reads_typographic_signs_as_openais_tokenizer(text, ids, tmp_path):
    data = os.environ.get("DWC_TEST_DATA")
    if data is None:
        pytest.skip(f"DWC_TEST_DATA names no folder with clip_bpe/{OPENAI}")
    tokenizer = find_clip_tokenizer(Path(data) / "clip_bpe" / OPENAI, tmp_path, sizes(49408, 77))
    processor = DWCProcessor(authors_image_processor(224), tokenizer, clip_text_cleaning="openai")
    assert processor(text=text)["clip_input_ids"].tolist() == [[49406, *ids, 49407]]

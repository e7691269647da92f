"""Models of the Hub, loaded through its real client from a server that can misbehave."""

import json
import shutil

import pytest
from huggingface_hub import constants

from dwc.checkpoints import load
from dwc.errors import CheckpointError
from tests.checkpoints.faults import cut_after, damaged, refused, shorter_by
from tests.checkpoints.loading import WEIGHTS, leftovers, refusal
from tests.checkpoints.server import TOKEN


def commit_again(hub, tiny, tmp_path, edit):
    """Another commit of the model, its files changed."""
    folder = shutil.copytree(tiny, tmp_path / "edited")
    edit(folder)
    return hub.repositories["models/owner/tiny"].commit(folder)


# What is found


@pytest.mark.slow
def test_a_model_is_fetched_checked_and_the_same(hub, cache, fingerprint):
    loaded = load.load("owner/tiny")
    assert loaded.fingerprint == fingerprint
    assert loaded.name == "owner/tiny"
    assert loaded.revision == hub.repositories["models/owner/tiny"].branches["main"]
    assert hub.count("README") == 0  # nothing that is not read


@pytest.mark.slow
@pytest.mark.parametrize("requested", [("owner/tiny@v2", None), ("owner/tiny", "v2")])
def test_a_revision_resolves_to_its_commit(hub, cache, other, requested):
    commit = hub.repositories["models/owner/tiny"].commit(other, branch="v2")
    loaded = load.load(requested[0], revision=requested[1])
    assert (loaded.name, loaded.revision) == ("owner/tiny", commit)
    assert loaded.fingerprint == load.fingerprint(other)
    assert load.load(f"owner/tiny@{commit}").revision == commit


def test_two_revisions_are_one_too_many(hub, cache):
    assert "one revision" in refusal("owner/tiny@v1", revision="v2")
    assert hub.count("tiny") == 0


@pytest.mark.slow
def test_every_file_is_of_the_commit_that_was_found_first(hub, cache, tiny, other):
    """A push between two files is not seen."""
    repository = hub.repositories["models/owner/tiny"]
    first = repository.branches["main"]

    def push(reply):
        repository.commit(other)
        return reply

    hub.fail("GET .*config.json", push, times=1)
    loaded = load.load("owner/tiny")
    assert loaded.revision == first
    assert loaded.fingerprint == load.fingerprint(tiny)
    assert load.load("owner/tiny").fingerprint == load.fingerprint(other)


@pytest.mark.slow
def test_a_private_model_needs_the_token(hub, cache, fingerprint):
    hub.repositories["models/owner/tiny"].private = True
    assert "private (401)" in refusal()
    assert load.load("owner/tiny", token=TOKEN).fingerprint == fingerprint
    assert TOKEN not in "".join(file.read_text() for file in cache.rglob("refs/*"))


@pytest.mark.slow
def test_what_is_here_is_not_fetched_again(hub, cache):
    load.load("owner/tiny")
    hub.heal()
    load.load("owner/tiny")
    assert hub.count("resolve") == hub.count("cdn") == 0
    assert hub.count("api/models") == 1


# What is refused


@pytest.mark.parametrize(
    ("pattern", "fault", "message"),
    [
        ("api/models", refused(401), r"refuses owner/tiny \(401\).*hf auth login"),
        ("api/models", refused(403), r"no right to owner/tiny \(403\).*hf auth login"),
        ("HEAD .*config", refused(403), r"no right to config\.json of owner/tiny \(403\)"),
        (WEIGHTS, refused(403), r"no right to model\.safetensors of owner/tiny \(403\)"),
        ("HEAD .*model", refused(404, "EntryNotFound"), r"model\.safetensors .*not there \(404\)"),
        ("api/models", refused(400), r"answered 400 for owner/tiny"),
    ],
)
def test_each_refusal_is_reported_with_its_cure(hub, cache, pattern, fault, message):
    hub.fail(pattern, fault)
    with pytest.raises(CheckpointError, match=message):
        load.load("owner/tiny")


def test_a_wrong_token_is_distinguished_from_a_missing_model(hub, cache):
    assert "refuses owner/tiny (401)" in refusal(token="hf_wrong")
    assert "no model owner/none" in refusal("owner/none")
    assert "no model owner/none" in refusal("owner/none", token=TOKEN)


def test_a_gated_model_says_where_to_consent(hub, cache):
    hub.repositories["models/owner/tiny"].gated = True
    assert f"{hub.address}/owner/tiny" in refusal(token=TOKEN)


@pytest.mark.slow
def test_a_missing_revision_is_named(hub, cache):
    load.load("owner/tiny")  # what the cache has of another revision does not stand in
    assert "no revision 'v9' (404)" in refusal("owner/tiny@v9")


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", "no config.json"),
        ("processor_config.json", "no processor_config.json"),
        ("model.safetensors", "weights are missing"),
        ("word_tokenizer/tokenizer.json", "tokenizer"),
    ],
)
def test_a_commit_that_lacks_a_file_is_refused(hub, cache, tiny, tmp_path, missing, message):
    commit_again(hub, tiny, tmp_path, lambda folder: (folder / missing).unlink())
    assert message in refusal()


def test_pickles_are_not_fetched_but_their_cure_is_given(hub, cache, tiny, tmp_path):
    def pickle(folder):
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    commit_again(hub, tiny, tmp_path, pickle)
    assert "python -m dwc convert" in refusal()
    assert hub.count("pytorch_model.bin") == 0


def test_another_kind_of_model_is_refused_by_its_config_alone(hub, cache, tiny, tmp_path):
    def become_clip(folder):
        (folder / "config.json").write_text(json.dumps({"model_type": "clip"}))

    commit_again(hub, tiny, tmp_path, become_clip)
    assert "type 'clip', not 'dwc'" in refusal()
    assert hub.count("safetensors") == 0


def test_an_answer_that_is_not_the_hubs_is_reported(hub, cache):
    hub.fail("api/models", lambda reply: type(reply)(200, {}, b"<html>Log in to the hotel"))
    assert "not as the Hub does" in refusal()


# What passes


@pytest.mark.slow
@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("pattern", ["GET .*api/models", "HEAD .*config", WEIGHTS])
def test_a_stumble_is_waited_out(hub, cache, no_waits, fingerprint, status, pattern):
    hub.fail(pattern, refused(status), times=2)
    assert load.load("owner/tiny").fingerprint == fingerprint
    assert no_waits


@pytest.mark.slow
def test_it_waits_as_long_as_requested_within_bounds(hub, cache, no_waits):
    hub.fail("api/models", refused(429, retry_after="7"), times=1)
    hub.fail("api/models", refused(429, retry_after="86400"), times=1)
    load.load("owner/tiny")
    assert no_waits == [7, 30]


@pytest.mark.slow
def test_a_hub_that_is_down_for_good_is_reported(hub, cache, no_waits):
    hub.fail("api/models", refused(503))
    assert "answered 503" in refusal()
    assert hub.count("api/models") == 4


@pytest.mark.slow
def test_a_cut_download_goes_on_where_it_was(hub, cache, no_waits, fingerprint, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1_000)
    hub.fail(WEIGHTS, cut_after(5_000), times=2)
    assert load.load("owner/tiny").fingerprint == fingerprint
    requested = [
        {name.lower(): value for name, value in headers.items()} for _, _, headers in hub.requested
    ]
    ranges = [headers["range"] for headers in requested if "range" in headers]
    assert ranges == ["bytes=5000-", "bytes=10000-"]


# What is damaged


@pytest.mark.slow
def test_a_wrong_length_is_never_loaded(hub, cache, fingerprint):
    hub.fail(WEIGHTS, shorter_by(10))
    assert "another length" in refusal()
    hub.heal()
    assert load.load("owner/tiny").fingerprint == fingerprint
    assert leftovers(cache) == []


@pytest.mark.slow
@pytest.mark.parametrize("file", [WEIGHTS, "GET .*resolve.*word_tokenizer/tokenizer.json"])
def test_content_damaged_on_the_way_is_fetched_again(hub, cache, fingerprint, file):
    hub.fail(file, damaged, times=1)
    assert load.load("owner/tiny").fingerprint == fingerprint
    assert hub.count(file) == 2


@pytest.mark.slow
def test_content_that_stays_damaged_is_never_loaded(hub, cache, fingerprint):
    hub.fail(WEIGHTS, damaged)
    assert "model.safetensors of owner/tiny came damaged twice" in refusal()
    hub.close()
    assert "model.safetensors" in refusal() or "cannot be reached" in refusal()


@pytest.mark.slow
def test_a_file_that_was_damaged_on_disk_is_fetched_again(hub, cache, fingerprint):
    load.load("owner/tiny")
    weights = next(cache.rglob("model.safetensors")).resolve()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert load.load("owner/tiny").fingerprint == fingerprint


@pytest.mark.slow
def test_offline_a_damaged_file_is_reported_and_not_loaded(hub, cache, no_waits, monkeypatch):
    load.load("owner/tiny")
    weights = next(cache.rglob("model.safetensors")).resolve()
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    message = refusal()
    assert "model.safetensors in the cache was damaged" in message
    assert "HF_HUB_OFFLINE" in message

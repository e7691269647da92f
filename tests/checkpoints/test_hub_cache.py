"""What was compared with its hash is not hashed again until it is touched."""

import os
import shutil
import time

import pytest
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from dwc.checkpoints import hub as hub_client
from dwc.checkpoints import load, safetensors_files
from dwc.errors import CheckpointError

LATER_NS = 60_000_000_000


@pytest.fixture
def file(tmp_path):
    """A file where the Hub's client would keep it: a link to its content."""
    blob = tmp_path / "models--a--b" / "blobs" / "abc"
    link = tmp_path / "models--a--b" / "snapshots" / "c0ffee" / "folder" / "file"
    for one in (blob, link):
        one.parent.mkdir(parents=True)
    blob.write_bytes(b"content")
    link.symlink_to(blob)
    return link


@pytest.fixture
def later(monkeypatch):
    """Files written now are old."""
    clock = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: clock() + LATER_NS)


def test_what_was_checked_is_known_by_its_hash_alone(file, later):
    assert not hub_client.was_checked(file, "abc")
    hub_client.remember_checked(file, "abc")
    assert hub_client.was_checked(file, "abc")
    assert not hub_client.was_checked(file, "abd")


def test_a_file_written_just_now_may_be_written_again_unseen(file):
    hub_client.remember_checked(file, "abc")
    assert not hub_client.was_checked(file, "abc")


@pytest.mark.parametrize("keeps_times", [False, True])
def test_a_touched_file_is_to_be_checked_again(file, later, keeps_times):
    """Though it is of the same length, and says that it is of the same age."""
    hub_client.remember_checked(file, "abc")
    before = file.stat()
    time.sleep(0.02)  # past the clock of the file system
    file.write_bytes(b"CONTENT")
    if keeps_times:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not hub_client.was_checked(file, "abc")
    hub_client.remember_checked(file, "abc")
    assert len(list(file.parents[3].glob(".dwc-checked/*"))) == 1


def test_a_cache_that_may_only_be_read_serves_as_well(file, later):
    (file.parents[3] / ".dwc-checked").write_text("no folder can be made here")
    hub_client.remember_checked(file, "abc")
    assert not hub_client.was_checked(file, "abc")


@pytest.mark.slow
def test_a_second_load_hashes_nothing_and_damage_is_still_seen(
    hub, cache, tiny, later, monkeypatch
):
    hashed = []
    hash_content = hub_client._hash_content

    def count(file, expected):
        hashed.append(file.name)
        return hash_content(file, expected)

    monkeypatch.setattr(hub_client, "_hash_content", count)
    first = load.load("owner/tiny")
    assert "model.safetensors" in hashed
    hashed.clear()
    assert load.load("owner/tiny").fingerprint == first.fingerprint
    assert hashed == []
    time.sleep(0.02)
    weights = next(cache.rglob("model.safetensors")).resolve()
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    assert load.load("owner/tiny").fingerprint == load.fingerprint(tiny)
    assert hashed.count("model.safetensors") == 2  # the damaged one, and the one fetched instead
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    weights = next(cache.rglob("model.safetensors")).resolve()
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(CheckpointError, match=r"model\.safetensors in the cache was damaged"):
        load.load("owner/tiny")


@pytest.mark.slow
def test_cached_weights_are_scanned_once(hub, cache, tiny, later, monkeypatch):
    looked = []
    has_finite_sum = safetensors_files._has_finite_sum
    monkeypatch.setattr(
        safetensors_files,
        "_has_finite_sum",
        lambda piece: looked.append(1) or has_finite_sum(piece),
    )
    load.load("owner/tiny")
    assert looked
    looked.clear()
    load.load("owner/tiny")
    assert not looked
    load.load(tiny)  # a folder says nothing of its files
    assert looked


@pytest.mark.slow
def test_numbers_that_are_not_finite_are_refused_at_every_load(hub, cache, tiny, later, tmp_path):
    broken = shutil.copytree(tiny, tmp_path / "broken")
    state = load_file(broken / "model.safetensors")
    state["clip_stream.project_image.bias"][0] = float("nan")
    save_file(state, broken / "model.safetensors", {"format": "pt"})
    hub.add("owner/broken", broken)
    for _ in range(3):
        with pytest.raises(CheckpointError, match="not finite"):
            load.load("owner/broken")


def test_a_stored_digest_of_a_commit_is_loaded(file):
    folder = file.parents[1]
    assert hub_client.load_cached_digest(folder, "key") is None
    hub_client.save_cached_digest(folder, "key", "0123abcd")
    assert hub_client.load_cached_digest(folder, "key") == "0123abcd"
    assert hub_client.load_cached_digest(folder, "other") is None


def test_an_incomplete_stored_digest_is_not_loaded(file):
    folder = file.parents[1]
    hub_client.save_cached_digest(folder, "key", "0123abcd")
    (note,) = file.parents[3].glob(".dwc-checked/*")
    note.write_bytes(note.read_bytes()[:-3])
    assert hub_client.load_cached_digest(folder, "key") is None


@pytest.mark.slow
def test_a_fingerprint_is_computed_once_and_again_for_other_content(
    hub, cache, tiny, other, monkeypatch
):
    computed = []
    compute = load.fingerprint

    def count(*arguments):
        computed.append(arguments[0])
        return compute(*arguments)

    monkeypatch.setattr(load, "fingerprint", count)
    fingerprints = [load.load("owner/tiny").fingerprint for _ in range(2)]
    assert fingerprints == [compute(tiny)] * 2
    assert len(computed) == 1
    hub.repositories["models/owner/tiny"].commit(other)
    assert load.load("owner/tiny").fingerprint == compute(other)
    assert len(computed) == 2

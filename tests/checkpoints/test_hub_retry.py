"""Where the Hub gives no answer, or the disk has no room: told, and what was there is used."""

import subprocess
import time

import pytest
from huggingface_hub import constants

from dwc.checkpoints import load
from tests.checkpoints.faults import refused, shorter_by, silent, stalled
from tests.checkpoints.loading import WEIGHTS, leftovers, refusal


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "fault"), [("api/models/", silent), (WEIGHTS, stalled), (WEIGHTS, silent)]
)
def test_a_stalling_hub_is_given_up_in_bounded_time(hub, cache, no_waits, pattern, fault):
    hub.fail(pattern, fault)
    started = time.monotonic()
    assert "stalls" in refusal()
    assert time.monotonic() - started < 10
    assert leftovers(cache) == []


@pytest.mark.slow
def test_a_dead_hub_is_reported(hub, cache, no_waits):
    hub.close()
    assert f"{hub.address} cannot be reached" in refusal()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["offline", "dead", "down"])
def test_what_was_loaded_once_loads_without_the_hub(
    hub, cache, no_waits, monkeypatch, fingerprint, way
):
    first = load.load("owner/tiny")
    if way == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    elif way == "dead":
        hub.close()
    else:
        hub.fail("", refused(500))
    again = load.load("owner/tiny")
    assert (again.fingerprint, again.revision) == (fingerprint, first.revision)
    assert load.load("owner/tiny", revision=first.revision).fingerprint == fingerprint


def test_offline_and_never_loaded_is_reported(hub, cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids" in refusal()
    assert hub.count("tiny") == 0


@pytest.mark.slow
def test_a_new_commit_that_came_in_part_leaves_the_old_one_usable(
    hub, cache, other, fingerprint, monkeypatch
):
    first = load.load("owner/tiny")
    hub.repositories["models/owner/tiny"].commit(other)
    hub.fail(WEIGHTS, shorter_by(1))
    assert "another length" in refusal()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    again = load.load("owner/tiny")
    assert (again.fingerprint, again.revision) == (fingerprint, first.revision)


@pytest.mark.slow
def test_a_first_download_that_came_in_part_is_not_loaded(hub, cache, monkeypatch):
    commit = hub.repositories["models/owner/tiny"].branches["main"]
    hub.fail(WEIGHTS, shorter_by(1))
    refusal()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refusal()
    assert "weights are missing" in refusal(revision=commit)


@pytest.mark.slow
def test_a_full_disk_is_reported_and_leaves_what_was_there(
    hub, tmp_path, cache, monkeypatch, other
):
    """On a file system of the size of one checkpoint and a bit."""
    small = tmp_path / "small"
    small.mkdir()
    size = sum(f.stat().st_size for f in other.rglob("*") if f.is_file())
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size + 80_000}", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no file system may be mounted here")
    try:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(small))
        first = load.load("owner/tiny")
        hub.repositories["models/owner/tiny"].commit(other)
        assert "disk is full" in refusal()
        assert leftovers(small) == []
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert load.load("owner/tiny").fingerprint == first.fingerprint
    finally:
        # Lazily: the weights that were loaded may still be mapped.
        subprocess.run(["umount", "--lazy", str(small)], check=True)

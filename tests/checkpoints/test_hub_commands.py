"""Names of the Hub on the command line, each command in a process of its own."""

import json
import os
import subprocess

import pytest
from PIL import Image

from tests.fork_server import PYTHON
from tests.ui.live import ROOT


def environment(hub, cache):
    """What turns a process of its own to this Hub."""
    left_out = ("HF_HUB_OFFLINE", "HF_TOKEN", "DWC_MODEL", "DWC_GALLERY")
    return {
        **{name: value for name, value in os.environ.items() if name not in left_out},
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "OMP_NUM_THREADS": "1",
    }


def start(hub, cache, *arguments, **more):
    return subprocess.Popen(
        [*PYTHON, *map(str, arguments)],
        cwd=ROOT,
        env={**environment(hub, cache), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, errors = process.communicate(timeout=120)
    return process.returncode, out, errors


@pytest.mark.slow
def test_two_processes_that_load_at_once_both_do(hub, tmp_path, fingerprint):
    code = "from dwc.checkpoints.load import load; print(load('owner/tiny').fingerprint)"
    both = [start(hub, tmp_path / "home", "-c", code) for _ in range(2)]
    for process in both:
        returned, out, errors = finish(process)
        assert returned == 0, errors
        assert out.split()[-1] == fingerprint


@pytest.mark.slow
def test_commands_take_a_hub_name_with_its_revision(hub, tmp_path, other, fingerprint):
    """Index by a revision, then search offline: the store knows which commit it is of."""
    first = hub.repositories["models/owner/tiny"].branches["main"]
    hub.repositories["models/owner/tiny"].commit(other)
    pictures, home = tmp_path / "pictures", tmp_path / "home"
    pictures.mkdir()
    _draw(pictures)
    store = tmp_path / "store"
    name = f"owner/tiny@{first}"
    indexed = finish(
        start(hub, home, "-m", "dwc", "index", pictures, "--model", name, "--out", store)
    )
    assert indexed[0] == 0, indexed[2]
    searched = finish(
        start(hub, home, "-m", "dwc", "search", store, "--text", "is red", "--json",
              HF_HUB_OFFLINE="1")
    )  # fmt: skip
    assert searched[0] == 0, searched[2]
    assert json.loads(searched[1])["results"]


@pytest.mark.slow
def test_evaluate_reports_a_missing_model_in_one_line(hub, tmp_path):
    returned, _, errors = finish(
        start(hub, tmp_path / "home", "-m", "dwc", "evaluate", "owner/none")
    )
    assert returned == 2
    assert "CheckpointError: The Hub has no model owner/none" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_evaluate_loads_a_hub_name(hub, cache, capsys, monkeypatch, fingerprint):
    from dwc.cli import main
    from dwc.commands import evaluate

    monkeypatch.setattr(evaluate, "_measure", lambda checkpoint, args: {})
    assert main(["evaluate", "owner/tiny@main"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "model": "owner/tiny", "fingerprint": fingerprint,
    }  # fmt: skip


@pytest.mark.slow
def test_the_app_takes_a_hub_name(hub, tmp_path):
    """Told apart from a folder, and refused in one line where it is not there."""
    returned, _, errors = finish(
        start(hub, tmp_path / "home", "app.py", "--model", "owner/tiny@v9")
    )
    assert returned == 2
    assert "owner/tiny has no revision 'v9' (404)" in errors
    assert "Traceback" not in errors


def _draw(folder):
    for name, colour in {"red": (200, 0, 0), "blue": (0, 0, 200)}.items():
        Image.new("RGB", (40, 40), colour).save(folder / f"{name}.png")

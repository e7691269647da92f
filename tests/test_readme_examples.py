"""The README's examples in Python, for curl and in JavaScript, run as they are written there.

Only the app's port is another one, since 7860 may be in use.
"""

import json
import re
import shlex
import shutil
import subprocess

import pytest
from PIL import Image

from tests.fork_server import PYTHON
from tests.search.tiny import write_tiny_checkpoint
from tests.test_readme import README
from tests.ui.live import ROOT, draw_gallery, environment, serve

pytestmark = pytest.mark.slow

OTHERS = 5  # the gallery's pictures without the reference, which is never among the results
CLIENT = "@gradio/client@2"
NPM = ["install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]


def examples(language):
    """The README's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files that the examples name; the coat is one of the gallery's pictures."""
    path = tmp_path_factory.mktemp("examples")
    (path / "wardrobe").mkdir()
    draw_gallery(path / "wardrobe", OTHERS + 1)
    Image.open(path / "wardrobe" / "figure-03.png").save(path / "coat.jpg")
    return path


@pytest.fixture(scope="module")
def address(folder):
    model = write_tiny_checkpoint(folder / "model")
    with serve(model, folder / "wardrobe", folder) as url:
        yield url.rstrip("/")


def run(command, folder):
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**environment(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_python(folder):
    """The store is made by the README's command, with the bundled model."""
    (line,) = re.findall(r"^python -m (dwc index .*)$", README, re.MULTILINE)
    command = [*PYTHON, "-m", *shlex.split(line, comments=True)]
    command[command.index("~/Pictures/wardrobe")] = "wardrobe"
    run(command, folder)
    (code,) = examples("python")
    answer = run([*PYTHON, "-c", code], folder)
    assert answer.startswith("{'clip': Weight(image=0.")
    assert answer.count("figure-") == OTHERS


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(folder, address):
    commands = [line for block in examples("sh") for line in block.splitlines() if "curl " in line]
    assert commands
    for command in commands:
        answer = json.loads(run(shlex.split(on_port(command, address)), folder))
        assert len(answer["results"]) == OTHERS
        assert 0 < answer["weights"]["clip"]["image"] < 1


def test_javascript(folder, address):
    """With `@gradio/client` from npm."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node or npm is not installed")
    try:
        subprocess.run(
            ["npm", *NPM, CLIENT], cwd=folder, check=True, capture_output=True, timeout=300
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm could not fetch {CLIENT}: {error}")
    (code,) = examples("js")
    (folder / "example.mjs").write_text(on_port(code, address), encoding="utf-8")
    answer = run(["node", "example.mjs"], folder)
    assert answer.count("rank: ") == OTHERS
    assert "clip: { image: 0." in answer


def on_port(example, address):
    assert "http://127.0.0.1:7860" in example
    return example.replace("http://127.0.0.1:7860", address)

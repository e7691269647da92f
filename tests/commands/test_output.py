"""Text for consoles that lack letters, and names that hold control characters."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from dwc.commands.output import json_text, printable_lines
from tests.fork_server import PYTHON
from tests.search.tiny import write_tiny_checkpoint

ESCAPE = "\x1b[31mred\x1b[0m"
NAMES = ["caf\u00e9", "\u670d", "Andr\udce9", ESCAPE, "a\u202eb", "c\x9b2J", "line\nline"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_json_is_json_in_every_encoding(name: str, encoding: str) -> None:
    text = json_text({"id": name}, encoding)
    assert json.loads(text.encode(encoding).decode(encoding)) == {"id": name}
    assert not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in text if sign != "\n")


def test_letters_stay_where_the_encoding_has_them() -> None:
    assert "caf\u00e9" in json_text({"id": "caf\u00e9"}, "cp1252")
    assert "caf\\u00e9" in json_text({"id": "caf\u00e9"}, "ascii")


def test_control_characters_are_escaped() -> None:
    assert printable_lines(ESCAPE) == r"\x1b[31mred\x1b[0m"
    assert printable_lines("one\n\x1btwo\u202e") == "one\n\\x1btwo\\u202e"
    assert printable_lines("caf\u00e9, \u670d") == "caf\u00e9, \u670d"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of pictures with odd names."""
    folder = tmp_path_factory.mktemp("odd")
    photos = folder / "photos"
    photos.mkdir()
    names = [b"caf\xc3\xa9.png", b"Andr\xe9.png", b"\x1b[31mred.png", b"plain.png"]
    for n, name in enumerate(names):
        Image.new("RGB", (40, 40 + n), (60 * n, 90, 200)).save(folder / "one.png")
        os.rename(folder / "one.png", os.path.join(os.fsencode(photos), name))
    model = write_tiny_checkpoint(folder / "model")
    done = run("ascii", "index", photos, "--model", model, "--out", folder / "store")
    assert done.returncode == 0, done.stderr
    return folder / "store"


def run(encoding: str, *arguments: object) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [*PYTHON, "-m", "dwc", *map(str, arguments)],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_search_prints_odd_names_in_every_encoding(store: Path, encoding: str) -> None:
    done = run(encoding, "search", store, "--text", "is red", "--json")
    assert done.returncode == 0, done.stderr
    ids = {hit["id"] for hit in json.loads(done.stdout.decode(encoding))["results"]}
    assert len(ids) == 4
    assert {"caf\u00e9.png", "plain.png"} < ids
    table = run(encoding, "search", store, "--text", "is red")
    assert table.returncode == 0, table.stderr
    assert b"\x1b" not in table.stdout
    assert rb"\x1b[31mred.png" in table.stdout


@pytest.mark.slow
@pytest.mark.parametrize("words", ["-sleeves", "-high sleeves", "-1 sleeves"])
def test_words_may_begin_with_a_minus(store: Path, words: str) -> None:
    done = run("utf-8", "search", store, "--text", words, "--json")
    assert done.returncode == 0, done.stderr
    assert "sleeves" in json.loads(done.stdout)["read"]

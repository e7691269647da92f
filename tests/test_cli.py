"""The command line, end to end: odd files in, JSON out, mistakes told in one line."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dwc.checkpoints import load
from dwc.cli import COMMANDS, main
from dwc.datasets.image_loading import decode
from dwc.gallery.store import Store
from dwc.search.image_embedding import image_embedder
from dwc.search.searcher import Searcher
from tests.datasets.image_files import png_header, saved, two_halves
from tests.search.tiny import write_tiny_checkpoint

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def odd_files(tmp_path_factory):
    """A folder as people have them; returned with the names of those that cannot be read."""
    folder = tmp_path_factory.mktemp("odd")
    picture = two_halves((90, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    glass = picture.convert("RGBA")
    glass.putalpha(90)
    good = {
        "plain.jpg": saved(picture, "JPEG"),
        "rotated.jpg": saved(picture, "JPEG", exif=exif),
        "upright.png": saved(picture.transpose(Image.Transpose.ROTATE_270), "PNG"),
        "print.jpg": saved(picture.convert("CMYK"), "JPEG"),
        "palette.png": saved(glass.quantize(), "PNG"),
        "grey.tiff": saved(picture.convert("L"), "TIFF"),
        "moving.gif": saved(picture, "GIF", save_all=True, append_images=[glass.convert("RGB")]),
    }
    bad = {
        "cut.jpg": good["plain.jpg"][:400],
        "empty.png": b"",
        "letter.jpg": b"Dear all, find attached",
        "huge.png": png_header(60_000, 60_000),
    }
    for name, content in (good | bad).items():
        (folder / name).write_bytes(content)
    return folder, set(good), set(bad)


@pytest.fixture(scope="module")
def indexed(model, odd_files, tmp_path_factory):
    out = tmp_path_factory.mktemp("stores") / "odd"
    assert main(["index", str(odd_files[0]), "--model", str(model), "--out", str(out)]) == 0
    return out


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dwc", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_is_instant_and_lists_the_commands():
    script = "import sys; from dwc.cli import main\ntry: main(['--help'])\nfinally: "
    script += "print('heavy', [m for m in ('torch', 'transformers', 'PIL') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "heavy []" in done.stdout
    for command in COMMANDS:
        assert command in done.stdout


@pytest.mark.slow
def test_index_names_and_counts_what_it_skips(model, odd_files, tmp_path):
    folder, good, bad = odd_files
    done = run("index", folder, "--model", model, "--out", tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'store'}: 7 pictures, 4 skipped\n"
    for name in bad:
        assert f"skipped: {folder / name}: " in done.stderr
    assert "11 of 11 pictures" in done.stderr
    assert "Traceback" not in done.stderr
    store = Store.open(tmp_path / "store")
    assert set(store.ids) == good
    store.verify()


@pytest.mark.slow
def test_vectors_stay_with_their_names_after_skipped_files(model, odd_files, indexed):
    folder, good, _ = odd_files
    store = Store.open(indexed)
    embed = image_embedder(load.load(model))
    for name in good:
        vector = embed([decode(folder / name)])[0]
        distances = np.abs(store.vectors - vector).max(axis=1)
        assert distances[store.position(name)] < 1e-5
        assert np.argmin(distances) == store.position(name)
    rotated = store.rows[store.position("rotated.jpg")]
    assert (rotated.width, rotated.height) == (60, 90)


@pytest.mark.slow
def test_search_prints_what_the_searcher_answers(model, odd_files, indexed, capsys):
    image = odd_files[0] / "rotated.jpg"
    arguments = ["search", str(indexed), "--image", str(image), "--text", "is red zork", "--k", "3"]
    assert main([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    searcher = Searcher(load.load(model), Store.open(indexed))
    expected = searcher.search(image, "is red zork", k=3).to_dict()
    answer.pop("timings_ms")
    expected.pop("timings_ms")
    assert answer == expected
    assert main(arguments) == 0
    table = capsys.readouterr().out
    assert "unknown words: zork" in table
    for hit in expected["results"]:
        assert f"{hit['score']:.3f}" in table
        assert hit["id"] in table


@pytest.mark.slow
def test_a_result_whose_file_was_missing_is_marked(model, tmp_path, capsys):
    photos, store = tmp_path / "photos", tmp_path / "away.store"
    photos.mkdir()
    for n in range(3):
        Image.new("RGB", (30, 20), (80 * n, 100, 90)).save(photos / f"p{n}.png")
    index = ["index", str(photos), "--model", str(model), "--out", str(store)]
    assert main(index) == 0
    (photos / "p1.png").unlink()
    assert main(index) == 0
    capsys.readouterr()
    search = ["search", str(store), "--text", "is red"]
    for options in ([], ["--fold"]):
        assert main([*search, *options, "--json"]) == 0
        results = json.loads(capsys.readouterr().out)["results"]
        assert {hit["id"]: hit.get("away") for hit in results}.get("p1.png", True) is True
        assert not any(hit.get("away") for hit in results if hit["id"] != "p1.png")
        assert all("away" not in hit for hit in results if hit["id"] != "p1.png")
    assert main(search) == 0
    table = capsys.readouterr().out
    assert "  p1.png (away)\n" in table
    assert "away: the file was missing when the gallery was last indexed" in table
    Image.new("RGB", (30, 20), (80, 100, 90)).save(photos / "p1.png")
    assert main(index) == 0
    capsys.readouterr()
    assert main(search) == 0
    assert "away" not in capsys.readouterr().out


def test_an_infinite_shift_is_still_json(indexed, capsys):
    arguments = [
        "search",
        str(indexed),
        "--reference-id",
        "plain.jpg",
        "--text",
        "is red",
        "--json",
    ]
    assert main([*arguments, "--shift=-inf"]) == 0
    answer = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert answer["shift"] == "-inf"
    assert answer["weights"]["clip"] == {"image": 0.0, "text": 1.0}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["search", "STORE"], "QueryError: neither a picture nor words"),
        (["search", "STORE", "--text", "is red", "--k", "0"], "QueryError: k is 0"),
        (["search", "STORE", "--text", "is red", "--shift", "nan"], "QueryError: the shift"),
        (["search", "STORE", "--image", "none.jpg"], "ImageError: none.jpg: there is no such"),
        (["search", "nowhere", "--text", "is red"], "StoreError: nowhere: is not a gallery store"),
        (["index", "nowhere", "--out", "x"], "ImageError: nowhere: there is no such folder"),
        (["search", "STORE", "--text", "x", "--model", "./none"], "CheckpointError: "),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, says, indexed, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([str(indexed) if word == "STORE" else word for word in arguments]) == 2
    message = capsys.readouterr()
    assert message.out == ""
    assert message.err.startswith(says)
    assert message.err.count("\n") == 1


@pytest.mark.slow
def test_a_mistake_shows_no_traceback_and_exits_with_2(tmp_path):
    done = run("search", tmp_path, "--text", "is red")
    assert done.returncode == 2
    assert done.stderr.startswith("StoreError: ")
    assert "Traceback" not in done.stderr


def test_an_unknown_command_is_reported():
    with pytest.raises(SystemExit) as raised:
        main(["destroy"])
    assert raised.value.code == 2


def test_an_interrupt_exits_with_130(monkeypatch, capsys):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("dwc.commands.search.run", interrupt)
    assert main(["search", "store"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_full_disk_is_named_with_what_to_do(monkeypatch, capsys):
    def write(args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dwc.commands.search.run", write)
    assert main(["search", "store"]) == 2
    assert "No space left on device. Free some space" in capsys.readouterr().err

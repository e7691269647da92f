"""`dwc index` over folders as people have them: what is counted, kept, refused and printed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from dwc.cli import main
from dwc.commands.index import ProgressLine
from dwc.datasets.image_loading import HAS_HEIF
from dwc.gallery.store import DATABASE, Store
from tests.datasets.image_files import iso_header, saved, two_halves
from tests.fork_server import PYTHON
from tests.search.tiny import write_tiny_checkpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def gallery(tmp_path):
    folder = tmp_path / "photos"
    (folder / "nas").mkdir(parents=True)
    for n in range(3):
        Image.new("RGB", (30, 20), (80 * n, 100, 90)).save(folder / f"p{n}.png")
        Image.new("RGB", (30, 20), (9, 80 * n, 90)).save(folder / "nas" / f"q{n}.png")
    return folder


@pytest.fixture
def index(model, tmp_path, capsys):
    """Runs the command; its exit code, its JSON (None where it printed none), and its stderr."""

    def index(folder, *options, out=tmp_path / "store"):
        code = main(
            ["index", str(folder), "--model", str(model), "--out", str(out), "--json", *options]
        )
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if printed.out else None, printed.err

    return index


@pytest.mark.slow
def test_the_json_counts_what_was_taken_and_left_out(gallery, index):
    (gallery / "@eaDir").mkdir()
    (gallery / "a.jxl").write_bytes(b"x")
    (gallery / "notes.txt").write_text("no picture")
    (gallery / "cut.png").write_bytes((gallery / "p1.png").read_bytes()[:60])
    (gallery / "drafts").mkdir()
    code, answer, err = index(gallery, "--exclude", "drafts/", "--exclude", "q2.*")
    assert code == 0
    assert (answer["pictures"], answer["embedded"], answer["away"]) == (5, 5, 0)
    assert answer["left_out"] == {
        "kind not supported": 1, "excluded": 2, "service folder": 1, "not a picture": 1,
    }  # fmt: skip
    assert set(answer["skipped"]) == {"a.jxl", "cut.png"}
    assert "1 JPEG XL picture is not read" in err
    assert "left out: 1 kind not supported, 2 excluded, 1 service folder, 1 not a picture" in err
    assert index(gallery, "--exclude", "drafts/", "--exclude", "q2.*")[1]["embedded"] == 0


@pytest.mark.slow
def test_what_is_not_read_is_counted_with_what_to_do_for_its_kind(gallery, index):
    (gallery / "a.zip").write_bytes(b"PK")
    (gallery / "b.jxl").write_bytes(b"x")
    (gallery / "c.CR2").write_bytes(b"II*\0")
    _, _, err = index(gallery)
    assert "\n1 archive is not read. Unpack it, or pack its pictures in a tar file" in err
    assert "\n1 JPEG XL picture is not read. Convert it to JPEG or PNG.\n" in err
    assert "\n1 RAW picture is not read. Export it from your raw converter as JPEG.\n" in err
    for name in ("a2.zip", "a3.7z", "b2.jxl", "c2.CR2"):
        shutil.copy(gallery / {"a": "a.zip", "b": "b.jxl", "c": "c.CR2"}[name[0]], gallery / name)
    _, _, err = index(gallery)
    assert "\n3 archives are not read. Unpack them, or pack their pictures in a tar file" in err
    assert "\n2 JPEG XL pictures are not read. Convert them to JPEG or PNG.\n" in err
    assert "\n2 RAW pictures are not read. Export them from your raw converter as JPEG.\n" in err


@pytest.mark.slow
def test_a_pattern_that_leaves_nothing_out_is_reported_with_the_reason(gallery, index):
    for name in ("#1 drafts", "raw [old]"):
        (gallery / name).mkdir()
        Image.new("RGB", (30, 20), (1, 2, 3)).save(gallery / name / "a.png")
    Image.new("RGB", (30, 20), (1, 2, 3)).save(gallery / "X.GIF")
    reasons = {
        "#1 drafts/": "Write \\#1 drafts/",
        "./nas": "Write /nas",
        "raw [old]/": "write raw \\[old\\]/",
        "*.gif": "there is X.GIF",
        str(gallery / "nas"): "Write /nas",
        "nowhere/": "Nothing matches it",
        " ": "It is empty",
        "": "It is empty",
    }
    options = [part for pattern in (*reasons, "p2.*") for part in ("--exclude", pattern)]
    code, answer, err = index(gallery, *options)
    assert (code, answer["pictures"]) == (0, 8)
    assert list(answer["unused_patterns"]) == list(reasons)
    for pattern, reason in reasons.items():
        assert reason in answer["unused_patterns"][pattern]
        assert f"--exclude {pattern!r} left nothing out. " in err
    advised = ("\\#1 drafts/", "/nas", "raw \\[old\\]/", "*.GIF")
    _, answer, err = index(gallery, *(part for p in advised for part in ("--exclude", p)))
    assert (answer["pictures"], answer["unused_patterns"]) == (3, {})
    assert "left nothing out" not in err
    inner = sorted(path.relative_to(gallery).as_posix() for path in (gallery / "nas").rglob("*.*"))
    again = f"!{inner[0]}"
    _, answer, err = index(gallery, "--exclude", "nas/", "--exclude", again)
    assert list(answer["unused_patterns"]) == [again]
    assert f"--exclude {again!r} has no effect. 'nas/' leaves out the folder nas/" in err


@pytest.mark.slow
def test_an_away_subtree_is_kept_said_and_removed_on_request(gallery, index, tmp_path):
    index(gallery)
    shutil.move(gallery / "nas", tmp_path / "elsewhere")
    (gallery / "nas").mkdir()
    code, answer, err = index(gallery)
    assert (code, answer["pictures"], answer["away"], answer["embedded"]) == (0, 6, 3, 0)
    assert "3 pictures are not there now" in err
    assert "--prune" in err
    code, answer, err = index(gallery, "--prune")
    assert (code, answer["pictures"], answer["away"], answer["removed"]) == (0, 3, 0, 3)
    assert "3 removed from the store" in err


@pytest.mark.slow
def test_a_picture_that_became_unreadable_counts_as_removed(gallery, index):
    index(gallery)
    (gallery / "p1.png").write_text("no picture any more")
    code, answer, err = index(gallery)
    assert (code, answer["pictures"], answer["removed"]) == (0, 5, 1)
    assert set(answer["skipped"]) == {"p1.png"}
    assert "1 removed from the store" in err
    assert index(gallery)[1]["removed"] == 0


@pytest.mark.slow
def test_pruning_an_emptied_folder_removes_nothing_and_says_so(gallery, index, tmp_path):
    index(gallery)
    shutil.rmtree(gallery)
    gallery.mkdir()
    code, answer, err = index(gallery, "--prune")
    assert (code, answer) == (2, None)
    assert f"none of the 6 pictures in {tmp_path / 'store'} is there any more" in err
    assert f"delete {tmp_path / 'store'}" in err
    store = Store.open(tmp_path / "store")
    assert (len(store), len(store.away)) == (6, 6)
    assert index(gallery)[0] == 0


def test_excluding_everything_removes_nothing(gallery, index, tmp_path):
    index(gallery)
    code, answer, err = index(gallery, "--exclude", "*")
    assert (code, answer) == (2, None)
    assert "has no pictures in it. Left out: 4 excluded" in err
    assert len(Store.open(tmp_path / "store")) == 6


def test_a_file_instead_of_a_folder_is_named(gallery, index):
    code, _, err = index(gallery / "p1.png")
    assert code == 2
    assert "is a file; a gallery is a folder" in err


@pytest.mark.slow
def test_a_store_instead_of_its_pictures_is_named(gallery, index, tmp_path):
    index(gallery)
    code, _, err = index(tmp_path / "store", out=tmp_path / "another")
    assert code == 2
    assert "is a store, which has vectors but no pictures" in err
    assert f"that it was made of, such as {gallery}." in err


@pytest.mark.slow
def test_another_folder_into_a_store_is_refused(gallery, index, tmp_path):
    index(gallery)
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (9, 9)).save(other / "a.png")
    code, answer, err = index(other)
    assert (code, answer) == (2, None)
    assert "StoreError: " in err
    assert "Give another --out" in err
    assert len(Store.open(tmp_path / "store")) == 6


@pytest.mark.parametrize("names", [["a.jxl", "b.cr2"], ["notes.txt"], []])
def test_a_folder_in_which_nothing_can_be_read_fails(tmp_path, index, names):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in names:
        (folder / name).write_text("no picture")
    code, answer, err = index(folder)
    assert (code, answer) == (2, None)
    assert "has no pictures in it" in err
    if "a.jxl" in names:
        assert "2 kind not supported (1 JPEG XL, 1 RAW)" in err


def test_a_folder_of_damaged_pictures_alone_fails(tmp_path, index):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_text("no picture")
    code, answer, err = index(folder)
    assert code == 2
    assert "none of its 1 pictures can be read" in err
    assert set(answer["skipped"]) == {"a.jpg"}


@pytest.mark.skipif(HAS_HEIF, reason="pillow-heif is installed")
def test_a_folder_of_heic_alone_says_what_reads_it(tmp_path, index):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "IMG_0001.HEIC").write_bytes(iso_header(b"heic"))
    code, _, err = index(folder)
    assert code == 2
    assert "1 HEIC" in err
    assert "pip install 'dwc[images]'" in err


def test_heic_in_a_file_of_another_suffix_is_counted_by_its_kind(gallery, index):
    if HAS_HEIF:
        pytest.skip("pillow-heif is installed")
    (gallery / "IMG_0001.jpg").write_bytes(iso_header(b"heic"))
    for _ in range(2):
        _, answer, _ = index(gallery)
        assert answer["unsupported"] == {"HEIC": 1}
        assert answer["left_out"] == {"kind not supported": 1}
        assert "HEIC" in answer["skipped"]["IMG_0001.jpg"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
def test_output_fails_for_no_name_and_no_encoding(gallery, model, tmp_path):
    Image.new("RGB", (9, 9)).save(gallery / "été \u2028 \u202e ☃.png")
    with open(os.fsencode(gallery) + b"/Andr\xe9\x1b[31m\n.png", "wb") as file:
        file.write(b"no picture")
    with open(os.fsencode(gallery) + b"/Zo\xeb.png", "wb") as file:
        file.write(saved(two_halves(), "PNG"))
    out = str(tmp_path / "store")
    for encoding in ("ascii", "cp1252"):
        environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
        for command in (
            ["index", str(gallery), "--model", str(model), "--out", out],
            ["search", out, "--text", "is blue", "--k", "12"],
        ):
            # The encoding of file names is that of an interpreter's start.
            is_first = encoding == "ascii" and command[0] == "index"
            python = [sys.executable] if is_first else PYTHON
            done = subprocess.run(
                [*python, "-m", "dwc", *command],
                cwd=ROOT, env=environment, capture_output=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert b"Traceback" not in done.stderr
            assert b"\x1b" not in done.stdout + done.stderr
            if command[0] == "index":
                assert b"skipped: " in done.stderr
                assert b"Andr\\xe9\\x1b[31m\\n.png: is not a picture" in done.stderr
            else:
                assert b"Zo\\xeb.png" in done.stdout


@pytest.mark.slow
def test_orphans_are_listed_and_removed_on_request(gallery, index, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DWC_CACHE", str(tmp_path / "cache"))
    for name in ("gone", "here"):
        shutil.copytree(gallery, tmp_path / name)
        index(tmp_path / name, out=tmp_path / "cache" / "galleries" / f"{name}-1234-5678")
    shutil.rmtree(tmp_path / "gone")
    for options, count in (
        (["--list-stores"], 2),
        (["--remove-orphans"], 2),
        (["--list-stores"], 1),
    ):
        assert main(["index", *options, "--json"]) == 0
        entries = json.loads(capsys.readouterr().out)
        assert len(entries) == count
        orphans = [Path(entry["path"]).name for entry in entries if entry["orphan"]]
        assert orphans == ["gone-1234-5678"][: count - 1]
    assert main(["index", "--list-stores"]) == 0
    assert "in use, 6 pictures of" in capsys.readouterr().out


def test_progress_in_a_log_is_a_line_for_every_tenth(capsys):
    with ProgressLine("model") as line:
        for finished in range(201):
            line.show(finished, 200, (200 - finished) * 30.0)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[0] == "model: 0 of 200 pictures, 1:40:00 left"
    assert lines[-1] == "model: 200 of 200 pictures"
    assert all("\r" not in one for one in lines)


def test_progress_on_a_terminal_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with ProgressLine() as line:
        for finished in range(5, 21):
            line.show(finished, 20, 1.0)
    printed = capsys.readouterr().err
    assert "20/20" in printed
    assert printed.count("\n") == 1


def test_a_store_is_checked_down_to_each_bit(index, gallery, tmp_path, capsys) -> None:
    code, _, _ = index(gallery)
    assert code == 0
    folder = tmp_path / "store"
    assert main(["index", "--check", str(folder)]) == 0
    assert "6 pictures, all sound" in capsys.readouterr().out
    vectors = next(folder.glob("vectors-*.f32"))
    thumbnail = next(folder.glob("thumbnails/*/*"))
    for file, offset in ((vectors, 1), (vectors, -1), (folder / DATABASE, 0), (thumbnail, 0)):
        sound = file.read_bytes()
        flipped = bytearray(sound)
        flipped[offset] ^= 0x10
        file.write_bytes(flipped)
        assert main(["index", "--check", str(folder)]) == 2, file
        message = capsys.readouterr().err
        assert "python -m dwc index" in message or "index again" in message
        file.write_bytes(sound)
    thumbnail.unlink()
    assert main(["index", "--check", str(folder)]) == 2
    assert "1 of 6 thumbnails" in capsys.readouterr().err


def test_metadata_is_typed_and_counted_in_what_is_printed(gallery, index):
    (gallery / "metadata.csv").write_text(
        "file_name,code,price\np0.png,00123,5\np1.png,NA,6\nno.png,7,7\n"
    )
    code, answer, err = index(gallery)
    assert code == 0
    assert answer["metadata"] == {
        "columns": {"code": "text", "price": "number"},
        "missing": ["no.png"],
        "without_row": 4,
        "problems": [],
    }
    assert "metadata: code (text), price (number)" in err
    assert "The metadata lists 1 picture that does not exist: 'no.png'." in err
    assert "4 pictures are not listed in the metadata." in err


@pytest.mark.slow
def test_an_index_is_built_used_and_checked(gallery, index, monkeypatch, tmp_path, capsys):
    """With limits so low that a few pictures are many."""
    pytest.importorskip("faiss")
    for n in range(60):
        Image.new("RGB", (30, 20), (4 * n, 100, n)).save(gallery / f"r{n}.png")
    monkeypatch.setattr("dwc.gallery.search_index.MIN_PICTURES", 10)
    monkeypatch.setattr("dwc.search.weight_sweep._LARGE_SHARE", 1.0)
    code, answer, err = index(gallery, "--index", "faiss")
    assert (code, answer["pictures"]) == (0, 66)
    assert "index: faiss, finds 100.0% of the 50 best" in err

    def search(*options):
        store = str(tmp_path / "store")
        assert main(["search", store, "--text", "is red", "--k", "5", *options]) == 0
        return capsys.readouterr().out

    swift = json.loads(search("--index", "faiss", "--json"))
    exact = json.loads(search("--index", "exact", "--json"))
    assert (swift.pop("index"), swift.pop("index_recall")) == ("faiss", 1.0)
    assert "index" not in exact
    assert [hit["id"] for hit in swift["results"]] == [hit["id"] for hit in exact["results"]]
    assert "index: faiss (finds 100.0% of the 50 best)" in search("--index", "faiss")
    assert main(["index", "--check", str(tmp_path / "store")]) == 0
    file = tmp_path / "store" / "candidates.faiss"
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    file.write_bytes(damaged)
    assert main(["index", "--check", str(tmp_path / "store")]) == 2
    assert "candidates.faiss: is damaged. Delete it" in capsys.readouterr().err


def test_a_gallery_is_written_to_milvus_searched_and_checked(
    gallery, index, monkeypatch, tmp_path, capsys, caplog
):
    """With limits so low that a few pictures are many; and back to exact search."""
    pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    for n in range(30):
        Image.new("RGB", (30, 20), (8 * n, 100, n)).save(gallery / f"r{n}.png")
    names = sorted(file.name for file in gallery.glob("*.png"))
    cells = [f"{name},{n if n % 3 else ''},{'ab'[n % 2]}" for n, name in enumerate(names)]
    (gallery / "metadata.csv").write_text("\n".join(["file_name,price,size", *cells]))
    monkeypatch.setattr("dwc.search.weight_sweep._LARGE_SHARE", 1.0)
    monkeypatch.setattr("dwc.search.weight_sweep._FEW_SELECTED", 0)
    milvus = str(tmp_path / "milvus.db")
    code, answer, err = index(gallery, "--index", milvus)
    assert (code, answer["pictures"]) == (0, 36)
    assert "index: milvus, 36 rows written, 0 removed" in err
    assert "Traceback" not in err
    store = str(tmp_path / "store")

    def search(*options):
        assert main(["search", store, "--text", "is red", "--k", "5", *options]) == 0
        return capsys.readouterr()

    for filter in ("size = a", "not (price < 20)", "price is missing or size != b"):
        swift, exact = (
            json.loads(search("--index", name, "--filter", filter, "--json").out)
            for name in (milvus, "exact")
        )
        assert (swift.pop("index"), swift.pop("index_recall")) == ("milvus", None)
        assert [hit["id"] for hit in swift["results"]] == [hit["id"] for hit in exact["results"]]
        assert swift["filter_fits"] == exact["filter_fits"]
    assert "index: milvus\n" in search("--index", milvus).out
    assert main(["index", "--check", store, "--index", milvus]) == 0
    capsys.readouterr()
    (gallery / "r3.png").unlink()
    assert index(gallery, "--prune")[0] == 0
    capsys.readouterr()
    outdated = search("--index", milvus)
    assert "has other rows than the store" in caplog.text
    assert "The store is searched exactly." in caplog.text
    assert "index: milvus" not in outdated.out
    assert main(["index", "--check", store, "--index", milvus]) == 2
    capsys.readouterr()
    assert "index: milvus, 0 rows written, 1 removed" in index(gallery, "--index", milvus)[2]
    assert main(["index", "--check", store, "--index", milvus]) == 0


def test_an_unknown_index_is_refused_before_anything_is_done(gallery, index, tmp_path):
    code, _, err = index(gallery, "--index", "annoy")
    assert code == 2
    assert "there is no index 'annoy'" in err
    assert not (tmp_path / "store").exists()

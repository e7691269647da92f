"""Stores that are killed, cut, altered, foreign or locked."""

import random
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dwc.errors import ImageError, StoreError
from dwc.gallery.sources import FolderSource
from dwc.gallery.store import DATABASE, Store, StoredImage, unreadable_database
from dwc.gallery.store_writer import StoreWriter
from tests.gallery.embedding import IDENTITY, mean_colors

ROOT = Path(__file__).parents[2]


def begin_build(photos, out):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.gallery.killed_build", str(photos), str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begin\n"
    return process


def committed_rows(out):
    """How many rows a store has, or None before its first commit."""
    if not (out / DATABASE).exists():
        return None
    with closing(sqlite3.connect(out / DATABASE)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            return None
        return connection.execute("SELECT count(*) FROM pictures").fetchone()[0]


@pytest.mark.slow
def test_a_build_killed_at_any_instant_goes_on(build, photos, tmp_path):
    for n in range(60):
        Image.new("RGB", (30, 20), (4 * n, 255 - 4 * n, 77)).save(photos / f"r{n:02}.png")
    source = FolderSource(photos)
    ids = {item.id for item in source.items()}
    out = tmp_path / "killed"
    rng = random.Random(0)
    sizes = set()
    for attempt in range(12):
        if attempt % 4 == 3 and out.exists():
            # Something is gone, so that the next run begins with taking rows out.
            (photos / f"r{attempt:02}.png").unlink()
            ids.discard(f"r{attempt:02}.png")
        if attempt % 6 == 5:
            shutil.rmtree(out)
        process = begin_build(photos, out)
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        process.wait()
        process.stdout.close()
        if committed_rows(out) is None:
            continue
        store = Store.open(out)
        store.verify()
        sizes.add(len(store))
        for position, row in enumerate(store.rows):
            if row.id in ids:
                picture = source.item(row.id).open()
                assert np.array_equal(store.vectors[position], mean_colors([picture])[0])
    assert len(sizes) > 2, "the kills fell at too few places to mean anything"
    before = committed_rows(out) or 0
    store = build(photos, out=out)
    assert set(store.ids) == ids
    assert build.embedded <= len(ids) - before + 1  # at most one picture is gone since
    assert store.manifest.complete
    assert store.vectors.shape == (len(ids), 6)
    assert (out / f"vectors-{store.manifest.generation}.f32").stat().st_size == len(ids) * 24


def test_an_interrupted_build_can_be_searched_and_says_so(photos, tmp_path, caplog):
    calls = []

    def embed(images):
        calls.append(images)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return mean_colors(images)

    from dwc.gallery.builder import build_store

    with pytest.raises(KeyboardInterrupt):
        build_store(FolderSource(photos), embed, tmp_path / "store", IDENTITY, batch_size=4)
    store = Store.open(tmp_path / "store")
    assert len(store) == 8
    assert not store.manifest.complete
    assert "interrupted at 8 pictures" in caplog.text


def test_a_store_of_another_model_is_refused(build, photos):
    store = build(photos)
    other = replace(IDENTITY, fingerprint="91bc00400000", name="others/model")
    expected = (
        "the store was built with model 3f2a91c00000; the loaded one is 91bc00400000. Rebuild it: "
        f"python -m dwc index {photos} --model others/model --out {store.path}"
    )
    with pytest.raises(StoreError) as raised:
        store.require_model(other.fingerprint, other.name)
    assert str(raised.value) == expected
    with pytest.raises(StoreError, match=r"3f2a91c00000.*91bc00400000.*--model others/model"):
        build(photos, model=other)
    assert len(Store.open(store.path)) == 13
    store.require_model(IDENTITY.fingerprint, "colours")


def test_a_truncated_vector_file_is_reported_and_repaired(build, photos):
    store = build(photos)
    file = store.path / "vectors-0.f32"
    whole = file.read_bytes()
    file.write_bytes(whole[: 24 * 9 + 7])
    with pytest.raises(StoreError, match=r"223 bytes; 13 rows of 6 numbers need 312.*dwc index"):
        Store.open(store.path)
    mended = build(photos)
    assert build.embedded == 4
    assert sorted(mended.ids) == sorted(store.ids)
    file.unlink(missing_ok=True)
    (store.path / f"vectors-{mended.manifest.generation}.f32").unlink(missing_ok=True)
    with pytest.raises(StoreError, match="0 bytes"):
        Store.open(store.path)


def test_altered_vectors_are_reported_and_repaired(build, photos):
    store = build(photos)
    file = store.path / "vectors-0.f32"
    content = bytearray(file.read_bytes())
    content[24 * 5 + 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"row 5.*is not the one that was written.*dwc index"):
        Store.open(store.path)
    mended = build(photos)
    assert build.embedded == 1
    mended.verify()


def test_what_lies_beyond_the_rows_is_cut_off(build, photos):
    store = build(photos)
    file = store.path / "vectors-0.f32"
    whole = file.read_bytes()
    file.write_bytes(whole + b"half a batch")
    assert len(Store.open(store.path)) == 13
    Image.new("RGB", (9, 9), (1, 2, 3)).save(photos / "added.png")
    grown = build(photos)
    grown.verify()
    assert file.stat().st_size == 14 * 24


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"is not a gallery store.*python -m dwc index"):
        Store.open(tmp_path)
    with pytest.raises(StoreError, match="is not a gallery store"):
        Store.open(tmp_path / "missing")
    (tmp_path / DATABASE).write_bytes(b"")
    with pytest.raises(StoreError, match="nothing was indexed yet"):
        Store.open(tmp_path)
    (tmp_path / DATABASE).write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match="cannot be read"):
        Store.open(tmp_path)
    with pytest.raises(StoreError, match="cannot be read"):
        StoreWriter(tmp_path, IDENTITY, {}, "photos")


@pytest.mark.parametrize("text", ["disk I/O error", "database or disk is full"])
def test_a_disk_that_fails_is_no_reason_to_delete_the_store(tmp_path, text):
    message = str(unreadable_database(tmp_path, sqlite3.OperationalError(text)))
    assert text in message
    assert "run the command again" in message
    assert "Delete" not in message


def test_a_store_of_another_format_is_refused(build, photos):
    store = build(photos)
    with sqlite3.connect(store.path / DATABASE) as connection:
        connection.execute("UPDATE manifest SET value = '99' WHERE name = 'format'")
    connection.close()
    with pytest.raises(StoreError, match="format 99; this version reads format 1"):
        Store.open(store.path)


@pytest.mark.parametrize("is_new", [False, True])
def test_a_store_that_may_not_be_written_is_not_called_busy(
    build, photos, tmp_path, monkeypatch, is_new
):
    """SQLite opens the lock only for reading, as in a folder without write permission."""
    out = tmp_path / "store"
    if not is_new:
        build(photos, out=out)

    connect_as_usual = sqlite3.connect

    def connect(path, **options):
        if path == "":  # a temporary database is in no folder
            return connect_as_usual(path, **options)
        address = f"file:{path}?mode=ro"
        return sqlite3.Connection(address, uri=True, isolation_level=None, timeout=0)

    with monkeypatch.context() as patch:
        patch.setattr("dwc.gallery.store_writer.sqlite3.connect", connect)
        with pytest.raises(StoreError, match=r"may not be written .* Check the folder"):
            build(photos, out=out)


def test_there_is_one_writer_at_a_time(build, photos, tmp_path):
    out = tmp_path / "store"
    with (
        StoreWriter(out, IDENTITY, FolderSource(photos).spec, str(photos)),
        pytest.raises(StoreError, match="is being written by another process"),
    ):
        build(photos, out=out)
    assert len(build(photos, out=out)) == 13


def test_vectors_of_the_wrong_shape_are_a_mistake(tmp_path):
    with StoreWriter(tmp_path / "store", IDENTITY, {"kind": "catalogue"}, "catalogue") as writer:
        row = StoredImage("a", "key", "hash", 1, 1, 0)
        with pytest.raises(ValueError, match=r"1 pictures of 6 dimensions.*\(1, 5\)"):
            writer.append([row], np.zeros((1, 5), dtype=np.float32))


def test_a_picture_is_opened_or_else_its_thumbnail(build, photos):
    store = build(photos)
    assert store.picture("p3.png").original
    assert store.picture("p3.png").image.getpixel((0, 0)) == (60, 100, 195)
    Image.new("RGB", (30, 20), "black").save(photos / "p3.png")  # another picture by now
    changed = store.picture("p3.png")
    assert not changed.original
    assert np.abs(np.subtract(changed.image.getpixel((0, 0)), (60, 100, 195))).max() < 8
    shutil.rmtree(photos)
    assert not store.picture("deep/er/q1.webp").original
    moved = Store.open(store.path)
    assert not moved.picture("p1.png").original
    store.thumbnail("p1.png").unlink()
    with pytest.raises(ImageError, match="no such file"):
        moved.picture("p1.png")
    with pytest.raises(StoreError, match="has no picture 'nobody'"):
        store.picture("nobody")


def test_a_write_protected_store_opens(build, photos):
    store = build(photos)
    files = [store.path, *store.path.rglob("*")]
    for file in files:
        file.chmod(0o555 if file.is_dir() else 0o444)
    try:
        assert len(Store.open(store.path)) == 13
    finally:
        for file in files:
            file.chmod(0o755 if file.is_dir() else 0o644)


@pytest.mark.parametrize("pattern", [DATABASE, "vectors-*.f32"])
def test_a_git_lfs_pointer_is_called_one(build, photos, tmp_path, pattern):
    build(photos)
    (file,) = (tmp_path / "store").glob(pattern)
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(StoreError, match=f"{file.name} is a Git LFS pointer.*git lfs pull"):
        Store.open(tmp_path / "store")

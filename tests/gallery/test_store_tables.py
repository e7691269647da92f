"""Tables of a store that are read from the database when they are used."""

import tracemalloc
from contextlib import closing

import numpy as np
import pytest

from dwc.gallery.sources import Stamp
from dwc.gallery.store import Store, StoredImage
from dwc.gallery.store_tables import KnownFile, select_values
from dwc.gallery.store_writer import StoreWriter
from tests.gallery.made_store import MODEL, SOURCE

IDS = ["b/2.png", "a.png", "Größe.png", "漢字.png"]
FILE = KnownFile(Stamp(1, 2, 3, 4), "key")


def row(id):
    return StoredImage(id, f"key of {id}", f"pixels of {id}", 3, 2, 0)


def append(writer, ids):
    vectors = np.full((len(ids), MODEL.dimension), 0.5, dtype=np.float32)
    writer.append([row(id) for id in ids], vectors)


@pytest.fixture
def writer(tmp_path):
    with closing(StoreWriter(tmp_path / "store", MODEL, SOURCE, "/nowhere")) as writer:
        append(writer, IDS)
        yield writer


def test_rows_are_a_sequence_that_grows(writer):
    rows = writer.rows
    assert [one.id for one in rows] == IDS
    assert rows[1].id == rows[-3].id == "a.png"
    assert [one.id for one in rows[1:3]] == IDS[1:3]
    assert [one.id for one in rows[::-2]] == IDS[::-2]
    for position in (4, -5):
        with pytest.raises(IndexError):
            rows[position]
    assert rows == list(rows)
    append(writer, ["new.png"])
    assert (len(rows), rows[4].id) == (5, "new.png")
    writer.rename({"a.png": "renamed.png"})
    assert rows[1].id == "renamed.png"
    writer.keep(["renamed.png", "new.png"])
    assert [one.id for one in rows] == ["renamed.png", "new.png"]
    assert set(rows.with_ids(["new.png", "a.png", "renamed.png"])) == {"new.png", "renamed.png"}


def test_content_keys_are_a_mapping(writer):
    keys = writer.content_keys
    assert dict(keys) == {id: f"key of {id}" for id in IDS}
    assert (len(keys), bool(keys), "a.png" in keys, "A.png" in keys) == (4, True, True, False)
    with pytest.raises(KeyError):
        keys["A.png"]
    many = [f"{n}.png" for n in range(1200)]  # more than one statement can name
    append(writer, many)
    assert len(keys.select([*many, *many, "unknown"])) == 1200
    assert len(list(keys)) == 1204
    assert select_values(keys, ["a.png", "x"]) == select_values(dict(keys), ["a.png", "x"])


def test_no_rows_are_an_empty_mapping(tmp_path):
    with closing(StoreWriter(tmp_path / "store", MODEL, SOURCE, "/nowhere")) as writer:
        assert (list(writer.rows), dict(writer.content_keys), dict(writer.files)) == ([], {}, {})
        assert not writer.content_keys
        assert select_values(writer.content_keys, ["a"]) == {}
        assert list(writer.snapshot()) == []


def test_the_state_of_files_is_seen_before_and_after_it_is_written(writer):
    reason = KnownFile(Stamp(5, 6), "", "is broken")
    writer.note_file("a.png", FILE)
    writer.note_file("broken.png", reason)
    assert writer.files["a.png"] == FILE
    assert writer.files.get("unknown") is None
    writer.skip("broken.png", "is broken")
    writer.finish()
    assert dict(writer.files) == {"a.png": FILE, "broken.png": reason}
    writer.forget_file("a.png")
    assert "a.png" not in writer.files
    writer.note_file("b/2.png", FILE)
    writer.note_file("gone.png", FILE)  # neither stored nor skipped
    writer.finish()
    assert dict(writer.files) == {"b/2.png": FILE, "broken.png": reason}


def test_a_snapshot_of_the_writer_stays_as_it_is(writer):
    snapshot = writer.snapshot()
    append(writer, ["new.png"])
    writer.rename({"a.png": "renamed.png"})
    assert list(snapshot.ids) == IDS
    assert snapshot.content_keys.find("key of a.png") == [1]
    assert writer.snapshot().content_keys.find("key of new.png") == [4]


@pytest.mark.slow
def test_rows_take_no_memory_of_their_own(tmp_path):
    """Ten thousand rows of a reader and of a writer take less than 20 bytes each."""
    count = 12_000
    ids = [f"{n:07d}.jpg" for n in range(count)]
    with StoreWriter(tmp_path / "store", MODEL, SOURCE, "/nowhere") as writer:
        append(writer, ids)
        writer.finish()
    Store.open(tmp_path / "store").position(ids[0])
    tracemalloc.start()
    try:
        store = Store.open(tmp_path / "store")
        assert store.position(ids[7_000]) == 7_000
        assert store.rows[-1].id == ids[-1]
        assert store.positions_like(ids[3]) == [3]
        with closing(StoreWriter(tmp_path / "store", MODEL, SOURCE, "/nowhere")) as again:
            assert again.content_keys[ids[5]] == f"key of {ids[5]}"
            memory, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert memory < 20 * count

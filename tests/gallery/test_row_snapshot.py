"""Copies of a store's rows that readers map into memory, and stores without such a copy."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from dwc.errors import StoreError
from dwc.gallery import row_snapshot
from dwc.gallery.filters import find_matching, parse_filter
from dwc.gallery.row_snapshot import StoredImage
from dwc.gallery.sources import FolderSource
from dwc.gallery.store import DATABASE, Store
from dwc.gallery.store_writer import StoreWriter
from tests.gallery.conftest import make_old
from tests.gallery.embedding import IDENTITY
from tests.gallery.made_store import MODEL, SOURCE, write_store

IDS = ["b/2.png", "a.png", "Größe.png", "odd/Andr\\xe9.png", "a\nb.png", "漢字.png"]
TYPES = {"colour": "text", "price": "number", "new": "boolean", "title": "text"}
VALUES = [
    ("Red", 10.0, True, "Straße"), ("red", None, False, "STRASSE"), None, ("blue", 2.5, None, None),
    (None, 0.0, True, "x"), ("Blue", -1.0, False, "漢字"),
]  # fmt: skip


@pytest.fixture
def mapped(monkeypatch):
    """Make even the smallest store have a copy of its rows."""
    monkeypatch.setattr(row_snapshot, "MAPPED_ROWS", 1)


def copies(folder):
    return sorted(file.name for file in folder.glob("*rows-*"))


def vectors(count):
    return np.random.default_rng(3).standard_normal((count, MODEL.dimension)).astype(np.float32)


def make(folder, ids=IDS, types=TYPES, values=VALUES):
    return write_store(folder, vectors(len(ids)), ids, types, values)


def make_as_before(folder):
    """Write a store as versions without the table `revisions` did."""
    make(folder)
    for file in folder.glob("rows-*"):
        file.unlink()
    with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in names.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DROP TABLE revisions")


def assert_same(store, other):
    assert store.rows == other.rows
    assert store.ids == list(other.ids)
    assert store.fingerprint == other.fingerprint
    assert list(store.metadata.columns) == list(other.metadata.columns)
    for position, id in enumerate(other.ids):
        assert store.position(id) == position
        assert store.metadata.row(position) == other.metadata.row(position)
        assert store.positions_like(id) == other.positions_like(id)
        assert store.id_with_content(id) == other.id_with_content(id)
    for text in ("colour = RED", "title = straße", "not new = true", "price < 3", "title = y"):
        masks = [
            find_matching(parse_filter(text, opened.metadata), opened.metadata)
            for opened in (store, other)
        ]
        assert np.array_equal(*masks), text


def test_a_mapped_copy_gives_what_the_database_gives(tmp_path, monkeypatch):
    small = make(tmp_path / "small")
    assert copies(small.path) == []
    monkeypatch.setattr(row_snapshot, "MAPPED_ROWS", 1)
    large = make(tmp_path / "large")
    assert len(copies(large.path)) == 1
    assert_same(large, small)
    assert_same(Store.open(large.path), small)


def test_rows_are_a_sequence(tmp_path, mapped):
    store = make(tmp_path / "store")
    assert list(store.ids) == IDS
    assert store.ids[-1] == IDS[-1]
    assert store.ids[1:3] == IDS[1:3]
    assert store.ids[::-2] == IDS[::-2]
    assert store.ids[4:2] == []
    assert "a.png" in store.ids
    assert "A.png" not in store.ids
    assert 3 not in store.ids
    assert "\ud800" not in store.ids
    assert store.ids.index("漢字.png") == 5
    with pytest.raises(ValueError, match=r"'b' is not among the 6 texts"):
        store.ids.index("b")
    with pytest.raises(ValueError, match="not among"):
        store.ids.index("b/2.png", 1)
    for position in (6, -7):
        with pytest.raises(IndexError):
            store.ids[position]
        with pytest.raises(IndexError):
            store.rows[position]
    assert store.rows[1] == store.rows[:][1] == list(store.rows)[1]
    assert store.ids != IDS[:5]
    assert store.ids != "text"
    assert store.rows[2].width == 1
    assert store.complete_id("./gro\u0308ße.png".upper()) == "Größe.png"


def test_a_store_without_pictures_has_an_empty_copy(tmp_path):
    store = write_store(tmp_path / "store", np.empty((0, MODEL.dimension), np.float32), [])
    assert (list(store.rows), store.ids, store.metadata.columns) == ([], [], {})
    assert "a" not in store.ids


def test_pictures_with_equal_pixels_are_found_in_order(build, photos, mapped):
    Image.new("RGB", (30, 20), (20, 100, 235)).save(photos / "z.bmp")
    Image.new("RGB", (30, 20), (20, 100, 235)).save(photos / "a.bmp")
    store = build(photos)
    same = sorted(store.position(id) for id in ("a.bmp", "p1.png", "z.bmp"))
    assert store.positions_like("p1.png") == same
    assert store.positions_showing(Image.open(photos / "z.bmp")) == same
    assert store.positions_showing(Image.new("RGB", (31, 20))) == []
    first = min(store.position(id) for id in ("a.bmp", "z.bmp"))  # one content, two files
    assert store.id_with_content(store.thumbnail("z.bmp").stem) == store.ids[first]
    assert store.id_with_content("nothing") is None


def test_a_selection_has_the_rows_and_the_values_of_its_pictures(tmp_path, mapped):
    store = make(tmp_path / "store")
    some = store.restrict([IDS[1], IDS[3], IDS[5], "unknown"])
    assert some.ids == [IDS[1], IDS[3], IDS[5]]
    assert [some.position(id) for id in some.ids] == [0, 1, 2]
    assert np.array_equal(some.vectors, store.vectors[[1, 3, 5]])
    assert some.rows == [store.rows[1], store.rows[3], store.rows[5]]
    for position, origin in enumerate((1, 3, 5)):
        assert some.metadata.row(position) == store.metadata.row(origin)
    assert some.metadata.columns["colour"].texts == ("Blue", "blue", "red")
    assert find_matching(parse_filter("colour = BLUE", some.metadata), some.metadata).tolist() == [
        False, True, True,
    ]  # fmt: skip
    assert IDS[0] not in some.ids
    again = some.restrict([IDS[5]])
    assert (again.ids, again.position(IDS[5])) == ([IDS[5]], 0)
    assert IDS[1] not in again.ids
    none = store.restrict([])
    assert (len(none), none.ids) == (0, [])
    assert IDS[0] not in none.ids


def test_a_store_of_the_former_format_opens_and_is_not_written(tmp_path, mapped):
    make_as_before(tmp_path / "former")
    content = (tmp_path / "former" / DATABASE).read_bytes()
    store = Store.open(tmp_path / "former")
    assert_same(store, make(tmp_path / "new"))
    assert copies(tmp_path / "former") == []
    assert (tmp_path / "former" / DATABASE).read_bytes() == content


def test_a_store_of_the_former_format_gets_a_copy_when_it_is_indexed_again(
    build, photos, monkeypatch
):
    first = build(photos)
    with closing(sqlite3.connect(first.path / DATABASE)) as connection, connection:
        connection.execute("DROP TRIGGER count_update_of_pictures")
        connection.execute("DROP TABLE revisions")
    monkeypatch.setattr(row_snapshot, "MAPPED_ROWS", 1)
    again = build(photos)
    assert build.embedded == 0
    assert len(copies(again.path)) == 1
    assert again.rows == first.rows


@pytest.mark.slow
def test_an_open_store_keeps_its_rows_while_another_process_changes_them(
    build, photos, tmp_path, mapped
):
    store = build(photos)
    rows, ids = list(store.rows), list(store.ids)
    reader = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys; from dwc.gallery import row_snapshot; row_snapshot.MAPPED_ROWS = 1\n"
            "from dwc.gallery.store import Store\n"
            "store = Store.open(sys.argv[1]); print(len(store), flush=True); input()\n"
            "store.verify(); print(*store.ids, sep='|')",
            str(store.path),
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert reader.stdout.readline() == "13\n"
    (photos / "p1.png").rename(photos / "moved.png")  # renames a row
    (photos / "p2.png").unlink()
    Image.new("RGB", (30, 20), (1, 2, 3)).save(photos / "p3.png")  # changes a row
    changed = build(photos, prune=True)
    assert len(copies(store.path)) == 1
    assert set(changed.ids) == {*ids, "moved.png"} - {"p1.png", "p2.png"}
    assert changed.ids != ids
    assert (list(store.rows), store.ids, store.position("p2.png")) == (
        rows,
        ids,
        ids.index("p2.png"),
    )
    store.verify()
    output, _ = reader.communicate("\n")
    assert output.strip().split("|") == ids


def test_the_copy_is_made_anew_when_rows_or_metadata_change(tmp_path, mapped):
    store = make(tmp_path / "store")
    made = [copies(store.path)]
    with StoreWriter(store.path, MODEL, SOURCE, "/nowhere") as writer:
        writer.finish()
    assert copies(store.path) == made[0]
    with StoreWriter(store.path, MODEL, SOURCE, "/nowhere") as writer:
        writer.rename({"a.png": "renamed.png"})
        writer.finish()
    made.append(copies(store.path))
    assert Store.open(store.path).ids[1] == "renamed.png"
    with closing(sqlite3.connect(store.path / DATABASE)) as connection, connection:
        connection.execute(
            """UPDATE metadata SET fields = '["green", 1.0, true, "t"]' WHERE id = 'b/2.png'"""
        )
    changed = Store.open(store.path)
    assert changed.metadata.columns["colour"].value(0) == "green"
    assert store.metadata.columns["colour"].value(0) == "Red"
    assert len(copies(store.path)) == 2  # readers remove nothing
    with StoreWriter(store.path, MODEL, SOURCE, "/nowhere") as writer:
        writer.keep(["b/2.png"])
        writer.finish()
    made.append(copies(store.path))
    assert len(set(map(tuple, made))) == 3
    assert all(len(names) == 1 for names in made)
    assert Store.open(store.path).ids == ["b/2.png"]


def test_a_program_that_knows_no_copies_outdates_them(tmp_path, mapped):
    store = make(tmp_path / "store")
    with closing(sqlite3.connect(store.path / DATABASE)) as connection, connection:
        connection.execute("UPDATE pictures SET id = 'other.png' WHERE position = 0")
    assert Store.open(store.path).ids[0] == "other.png"
    assert store.ids[0] == IDS[0]


def test_rows_that_are_being_added_are_seen_at_the_next_opening(tmp_path, mapped):
    with StoreWriter(tmp_path / "store", MODEL, SOURCE, "/nowhere") as writer:
        first = None
        for number in range(3):
            writer.append([StoredImage(f"{number}", "k", "p", 1, 1, 0)], vectors(1))
            store = Store.open(tmp_path / "store", expected=3)
            first = first or store
            assert store.ids == [str(n) for n in range(number + 1)]
            assert store.indexed_part == (number + 1, 3)
        assert first.ids == ["0"]
        assert copies(store.path) == []  # an unfinished store gets none
        writer.finish()
    assert len(copies(store.path)) == 1


@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "other"])
def test_a_damaged_copy_is_not_used(build, photos, mapped, damage):
    store = build(photos)
    (file,) = store.path.glob("rows-*.bin")
    whole = file.read_bytes()
    file.unlink()  # the open store still maps it
    if damage != "missing":
        file.write_bytes({"cut": whole[:-9], "empty": b"", "other": b"x" * len(whole)}[damage])
    again = Store.open(store.path)
    assert again.rows == store.rows
    assert file.read_bytes() == whole
    again.check()


def test_altered_bytes_of_a_copy_are_found(build, photos, mapped):
    store = build(photos)
    (file,) = store.path.glob("rows-*.bin")
    whole = file.read_bytes()
    checksum = np.uint32(store.rows.checksums[2]).tobytes()
    file.unlink()
    file.write_bytes(whole.replace(checksum, b"abcd"))
    again = Store.open(store.path)  # it reads the database instead
    assert again.rows.checksums[2] == np.frombuffer(checksum, dtype=np.uint32)[0]
    for altered in (whole.replace(b"p1.png", b"x1.png"), whole + b"more"):
        file.unlink()
        file.write_bytes(altered)
        with pytest.raises(StoreError, match=r"the copy of the rows .* Delete the files rows-"):
            store.check()
    file.unlink()
    store.check()


def test_a_folder_that_cannot_be_written_needs_no_copy(tmp_path, mapped, monkeypatch):
    store = make(tmp_path / "store")
    (file,) = store.path.glob("rows-*.bin")
    file.unlink()

    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(row_snapshot, "atomic_path", refuse)
    assert Store.open(store.path).ids == IDS
    assert copies(store.path) == []


def test_missing_rows_are_reported(tmp_path, mapped):
    store = make(tmp_path / "store")
    for file in store.path.glob("rows-*.bin"):
        file.unlink()
    with closing(sqlite3.connect(store.path / DATABASE)) as connection, connection:
        connection.execute("DELETE FROM pictures WHERE position = 2")
    with pytest.raises(StoreError, match=r"rows are missing from gallery.sqlite. Delete it"):
        Store.open(store.path)


def test_copies_of_killed_processes_are_removed(build, photos, mapped):
    store = build(photos)
    (store.path / "rows-0123456789abcdef.bin").write_bytes(b"former")
    (store.path / ".rows-0123456789abcdef.1-2.partial.bin").write_bytes(b"half")
    make_old(photos)
    again = build(photos)
    assert len(copies(again.path)) == 1
    assert again.rows == store.rows


def test_a_folder_with_a_copy_is_still_refused_without_a_database(tmp_path, mapped):
    store = make(tmp_path / "store")
    (store.path / DATABASE).unlink()
    with pytest.raises(StoreError, match="holds other things already"):
        StoreWriter(store.path, IDENTITY, FolderSource(tmp_path).spec, "photos")

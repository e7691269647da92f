"""Rows of a gallery in Milvus, and the choice of Milvus: what needs none of its packages."""

import numpy as np
import pytest

from dwc.errors import DWCError, QueryError, StoreError
from dwc.gallery import milvus_connection, milvus_index
from dwc.gallery.filters import parse_filter
from dwc.gallery.milvus_connection import check_location, display_location
from dwc.gallery.milvus_index import GalleryRows, collection_name
from dwc.gallery.search_index import check_index_name, open_index
from dwc.gallery.store import ModelIdentity
from tests.gallery.made_store import write_store
from tests.search.made import made_gallery

TYPES = {"category": "text", "price": "number", "new": "boolean"}
ROWS = [("Dress", 5.0, True), ('say "so" \\', None, None), None, ("x" * 600, -1.5, False)]


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "store", *made_gallery(4), TYPES, ROWS)


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(milvus_connection, "find_spec", lambda name: object())


def test_a_row_has_no_null(store):
    rows = GalleryRows(store).encode(range(4))
    values = [(r["c0"], r["c1"], r["c1_known"], r["c2"]) for r in rows]
    assert values[0] == ("=dress", 5.0, True, 1)
    assert values[1] == ('=say "so" \\', 0.0, False, -1)
    assert values[2] == ("", 0.0, False, -1)
    assert values[3][1:] == (-1.5, True, 0)
    assert len(values[3][0]) == 33
    assert values[3][0].startswith("#")
    assert np.array_equal(rows[2]["vector"], store.vectors[2])
    assert all(0 <= row["key"] < 2**63 for row in rows)


@pytest.mark.parametrize("text", ["ß" * 300, "line\nbreak", "\x00", "\ud800", "\u202e"])
def test_texts_that_milvus_may_not_read_back_are_hashed(text):
    encoded = milvus_index._encode_text(text)
    assert encoded.startswith("#")
    assert encoded == milvus_index._encode_text(text.upper())
    assert encoded != milvus_index._encode_text(text + "x")


@pytest.mark.parametrize(
    ("filter", "expression"),
    [
        ("category = DRESS", 'c0 in ["=dress"]'),
        ("category != dress", 'not (c0 in ["=dress"])'),
        ("category in (dress, Dress, skirt)", 'c0 in ["=dress", "=skirt"]'),
        ("category = 'say \"so\" \\\\'", 'c0 in ["=say \\"so\\" \\\\"]'),
        ("price < 50", "(c1_known == true and c1 < 50.0)"),
        ("price in (1, 2.5)", "(c1_known == true and c1 in [1.0, 2.5])"),
        ("not price >= -1e+30", "not ((c1_known == true and c1 >= -1e+30))"),
        ("price = -0", "(c1_known == true and c1 in [0.0])"),
        ("price is missing", "c1_known == false"),
        ("category is missing or new is not missing", '(c0 == "" or not (c2 == -1))'),
        ("new = true and not (new = false)", "(c2 in [1] and not (c2 in [0]))"),
    ],
)
def test_filters_become_expressions(store, filter, expression):
    assert GalleryRows(store).expression(parse_filter(filter, store.metadata)) == expression


def test_columns_that_milvus_cannot_have_are_left_out(tmp_path):
    """A server has 64 fields; a number takes two of them."""
    types = {"size": "number"} | {f"t{n}": "text" for n in range(70)}
    rows = [(1.0, *["a"] * 70)] * 4
    store = write_store(tmp_path / "store", *made_gallery(4), types, rows)
    made = GalleryRows(store)
    assert list(made.fields) == ["size", *(f"t{n}" for n in range(58))]
    assert made.expression(parse_filter("t57 = a", store.metadata)) == 'c58 in ["=a"]'
    for text in ("t58 = a", "t1 = a and not (t2 = b or t61 = c)"):
        assert made.expression(parse_filter(text, store.metadata)) is None


def test_the_digest_is_that_of_vectors_metadata_model_and_ids(tmp_path):
    vectors, ids = made_gallery(4)
    moved = vectors.copy()
    moved[2] *= 0.5
    other = ModelIdentity("ba9876543210", "made", None, {"clip": 8, "cnn": 12})
    fields = [[*ROWS[:3], ("Dress", -1.5, False)], [*ROWS[:3], ("x" * 600, -1.5, None)]]
    missing = [("Dress", 0.0, True), *ROWS[1:]], [("Dress", None, True), *ROWS[1:]]
    cases = [
        (vectors, ids, TYPES, ROWS),
        (moved, ids, TYPES, ROWS),
        (vectors, [*ids[:3], "new"], TYPES, ROWS),
        *((vectors, ids, TYPES, changed) for changed in (*fields, *missing)),
        (vectors, ids, {**TYPES, "category": "boolean"}, [None] * 4),
        (vectors, ids),
        (vectors, ids, TYPES, ROWS, other),
    ]
    stores = [write_store(tmp_path / f"s{n}", *case) for n, case in enumerate(cases)]
    digests = [GalleryRows(store).digest for store in stores]
    assert len(set(digests)) == len(cases)
    turned = write_store(tmp_path / "turned", vectors[::-1], ids[::-1], TYPES, ROWS[::-1])
    assert GalleryRows(turned).digest == digests[0]  # the order of the pictures is the store's own
    names = [collection_name(store) for store in stores]
    assert len({*names[:-1]}) == 1
    assert names[-1] != names[0]
    elsewhere = {"kind": "folder", "folder": "/elsewhere"}
    another = write_store(tmp_path / "another", vectors, ids, source=elsewhere)
    assert collection_name(another) != names[0]


def test_rows_are_compared_by_their_stamps(store):
    rows = GalleryRows(store)
    stamps = rows.stamps[[0, 1, 3]].copy()
    stamps[1] += 1
    keys = np.array([*rows.keys[[0, 1, 3]], 77])
    surplus, missing = rows.compare(keys, np.array([*stamps, 5]))
    assert surplus.tolist() == [77]
    assert missing.tolist() == [1, 2]
    assert rows.positions([77, int(rows.keys[2]), 0, 2**63 - 1]).tolist() == [-1, 2, -1, -1]


def test_ids_with_the_same_key_are_refused(store, monkeypatch):
    monkeypatch.setattr(milvus_index, "hash_id", lambda id: 5 if id in ("g1", "g3") else len(id))
    monkeypatch.setattr(milvus_index, "LAST_KEY", 9)
    with pytest.raises(StoreError, match=r"have the same key in Milvus\. Rename one"):
        GalleryRows(store)


def test_a_missing_package_is_named_with_its_extra(store, tmp_path, monkeypatch):
    for missing in ("pymilvus", "milvus_lite"):
        monkeypatch.setattr(
            milvus_connection, "find_spec", lambda name, m=missing: name != m or None
        )
        for refuse in (check_index_name, lambda name: open_index(name, store)):
            with pytest.raises(DWCError, match=r"pip install 'dwc\[milvus\]'"):
                refuse(str(tmp_path / "m.db"))
    assert check_index_name("http://host:19530") == "http://host:19530"  # no Milvus Lite needed


def test_locations_are_checked_before_anything_is_done(tmp_path, installed):
    (tmp_path / "file.db").write_text("SQLite")
    (tmp_path / "full.db").mkdir()
    (tmp_path / "full.db" / "notes.txt").write_text("mine")
    for name, message in (
        ("file.db", "is a file"),
        ("full.db", "holds other things"),
        ("gone/new.db", "does not exist. Create it first"),
    ):
        with pytest.raises(StoreError, match=message):
            check_location(str(tmp_path / name))
    assert check_location(str(tmp_path / "new.db"))
    for address in (
        "http://",
        "https://:19530",
        "http://host:port",
        "http://me:secret@:1",
        "http://host:19530/shop.db",
    ):
        with pytest.raises(QueryError, match="expected one such as http://host:19530") as raised:
            check_location(address)
        assert "secret" not in str(raised.value)
    with pytest.raises(QueryError, match=r"a path that ends in \.db, or http://host:19530"):
        check_index_name("milvus")


def test_messages_have_no_password():
    assert display_location("https://me:p@ss@host:1/shop") == "https://host:1/shop"
    assert display_location("a@b.db") == "a@b.db"


def test_few_pictures_suffice_and_parts_of_stores_are_searched_exactly(store, tmp_path, installed):
    location = str(tmp_path / "m.db")
    assert open_index(location, store.restrict(store.ids[:3])) is None
    empty = write_store(tmp_path / "empty", np.empty((0, 20), np.float32), [])
    assert open_index(location, empty) is None

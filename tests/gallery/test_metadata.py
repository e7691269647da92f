"""Metadata beside pictures: how it is typed, saved with the store, updated, and reported."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from PIL import Image

from dwc.errors import QueryError
from dwc.gallery.filters import find_matching, parse_filter
from dwc.gallery.metadata import fold_column
from dwc.gallery.sources import FolderSource
from dwc.gallery.store import DATABASE, Store
from tests.gallery.conftest import make_old


def columns(store):
    return {name: column.type for name, column in store.metadata.columns.items()}


def row(store, id):
    return store.metadata.row(store.position(id))


def write_csv(folder, *lines, name="metadata.csv"):
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_jsonl(folder, *rows):
    lines = (json.dumps(row) for row in rows)
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_columns_of_a_csv_get_the_type_that_all_cells_have(photos, build):
    write_csv(
        photos,
        "file_name,price,code,size,new,note,amount,serial",
        "p0.png,12.50,00123,12,true,NA,7,12345678901234567890",
        "p1.png,-3,4567,NA,FALSE,null,,1",
        "p2.png,.5,12E4,38,True,,1e-05,2",
    )
    store = build(photos)
    assert columns(store) == {
        "price": "number", "code": "text", "size": "text", "new": "boolean", "note": "text",
        "amount": "number", "serial": "text",
    }  # fmt: skip
    assert row(store, "p0.png") == {
        "price": 12.5, "code": "00123", "size": "12", "new": True, "note": "NA", "amount": 7.0,
        "serial": "12345678901234567890",
    }  # fmt: skip
    assert row(store, "p1.png") == {
        "price": -3.0, "code": "4567", "size": "NA", "new": False, "note": "null", "serial": "1",
    }  # fmt: skip
    assert row(store, "p2.png")["code"] == "12E4"
    assert row(store, "p3.png") == {}


def test_numbers_that_differ_in_their_digits_only_are_named(photos, build):
    write_csv(
        photos,
        "file_name,code,price,count",
        "p0.png,1.10,49.90,1",
        "p1.png,2.5,39.00,2",
        "p2.png,1.1,49.90,1",
    )
    store = build(photos)
    assert set(columns(store).values()) == {"number"}
    [problem] = store.manifest.metadata["problems"]
    assert "'code' has numbers, so 1.1 and 1.10 count as the same value" in problem
    assert "metadata.jsonl" in problem


def test_json_lines_keep_their_types(photos, build):
    write_jsonl(
        photos,
        {"file_name": "p0.png", "code": "00123", "count": 3, "sold": False, "mixed": 5, "tag": ""},
        {"file_name": "p1.png", "code": "7", "count": 2.5, "sold": None, "mixed": "x", "tag": "NA"},
        {"file_name": "p2.png", "code": "true", "count": float("nan"), "parts": [1, 2]},
        {"file_name": "p3.png", "big": 2**60, "count": 2},
        {"file_name": "p4.png", "big": 2},
    )
    store = build(photos)
    assert columns(store) == {
        "code": "text", "count": "number", "sold": "boolean", "mixed": "text", "tag": "text",
        "big": "text",
    }  # fmt: skip
    assert row(store, "p0.png") == {"code": "00123", "count": 3.0, "sold": False, "mixed": "5"}
    assert row(store, "p1.png") == {"code": "7", "count": 2.5, "mixed": "x", "tag": "NA"}
    assert row(store, "p2.png") == {"code": "true"}
    assert row(store, "p3.png") == {"big": str(2**60), "count": 2.0}
    assert any("'parts'" in remark and "nested" in remark for remark in store.manifest.remarks())


def test_tables_that_contradict_each_other_are_named(photos, build):
    write_csv(photos, "file_name,price,new,color", "p0.png,12.50,true,", "p1.png,3,false,red")
    write_jsonl(
        photos,
        {"file_name": "p0.png", "price": 12.5, "new": True, "color": "blue"},
        {"file_name": "p1.png", "price": "4 or 5", "new": True, "color": "red", "note": "x"},
    )
    store = build(photos)
    assert row(store, "p0.png") == {"price": 12.5, "new": True, "color": "blue"}
    assert row(store, "p1.png") == {"price": 3.0, "new": False, "color": "red", "note": "x"}
    assert columns(store)["price"] == "number"
    remarks = [text for text in store.manifest.remarks() if "contradicts" in text]
    assert remarks == [
        f"metadata.jsonl contradicts an earlier table in the column {name!r} of 1 picture; the "
        "earlier table's values are used: 'p1.png'."
        for name in ("price", "new")
    ]


def test_columns_of_several_tables_that_are_spelled_differently_are_one(photos, build):
    """A filter on one of them found the pictures of that table alone."""
    write_csv(photos, "file_name,color,unit_price", "p0.png,red,1.5", "p1.png,blue,2")
    write_csv(photos / "deep" / "er", "file_name,Color,Unit Price", "q0.webp,red,3")
    write_jsonl(
        photos,
        {"file_name": "p1.png", "COLOR": "green"},
        {"file_name": "p2.png", "color ": "red", "unit-price": "many"},
    )
    store = build(photos)
    assert columns(store) == {"Color": "text", "Unit Price": "text"}
    assert row(store, "deep/er/q0.webp") == {"Color": "red", "Unit Price": "3"}
    assert row(store, "p0.png") == {"Color": "red", "Unit Price": "1.5"}
    assert row(store, "p1.png") == {"Color": "blue", "Unit Price": "2"}
    assert row(store, "p2.png") == {"Color": "red", "Unit Price": "many"}
    for spelled in ("color", "COLOR"):
        fits = find_matching(parse_filter(f"{spelled} = red", store.metadata), store.metadata)
        assert [id for id, fit in zip(store.ids, fits, strict=True) if fit] == [
            "deep/er/q0.webp", "p0.png", "p2.png",
        ]  # fmt: skip
    remarks = "\n".join(store.manifest.remarks())
    joined = "read as one column, 'Color', since their names differ only in letter case, spaces"
    assert joined in remarks
    assert "'Unit Price'" in remarks
    assert "metadata.jsonl contradicts an earlier table in the column 'Color'" in remarks


def test_a_row_with_a_column_twice_is_left_out_and_said(photos, build):
    """The last value was taken without a word."""
    line = '{"file_name": "p0.png", "price": 10, "price": 99}\n'
    (photos / "metadata.jsonl").write_text(line + '{"file_name": "p1.png", "price": 5}\n')
    store = build(photos)
    assert row(store, "p1.png") == {"price": 5}
    assert not row(store, "p0.png").get("price")
    remarks = "\n".join(store.manifest.remarks())
    assert "line 1 is not JSON ('price' is given twice)" in remarks


def test_columns_of_one_table_that_are_spelled_alike_stay_apart(photos, build):
    write_csv(photos, "file_name,Color,color", "p0.png,red,#f00", "p1.png,,#00f")
    write_csv(photos / "deep" / "er", "file_name,color", "q0.webp,#f00")
    store = build(photos)
    assert row(store, "p0.png") == {"Color": "red", "color": "#f00"}
    assert row(store, "p1.png") == {"color": "#00f"}
    assert row(store, "deep/er/q0.webp") == {"color": "#f00"}
    remarks = [text for text in store.manifest.remarks() if "alike" in text]
    assert len(remarks) == 1
    assert "stay apart" in remarks[0]
    assert "(metadata.csv)" in remarks[0]
    with pytest.raises(QueryError, match="COLOR"):
        parse_filter("COLOR = red", store.metadata)


def test_names_are_alike_up_to_case_and_what_separates_words():
    same = ("unit price", "Unit_Price", " UNIT - PRICE\u00a0", "unit__price")
    assert len({fold_column(name) for name in same}) == 1
    different = ("unitprice", "_unit_price", "unit price_", "unit price 2", "unit.price")
    assert len({fold_column(name) for name in (*same, *different)}) == 1 + len(different)


def test_pictures_that_are_away_keep_values_under_another_spelling(photos, build):
    write_csv(photos / "deep" / "er", "file_name,COLOR,price", "q0.webp,red,4")
    write_csv(photos, "file_name,color", "p0.png,blue")
    assert columns(build(photos)) == {"COLOR": "text", "price": "number"}
    shutil.move(photos / "deep", photos.parent / "deep")  # a drive that is not mounted
    store = build(photos)
    assert row(store, "deep/er/q0.webp") == {"color": "red"}
    assert row(store, "p0.png") == {"color": "blue"}


def test_no_file_or_folder_name_changes_what_the_gallery_is(tmp_path, build):
    folder = tmp_path / "shop"
    (folder / "train").mkdir(parents=True)
    (folder / "test").mkdir()
    for n, name in enumerate(("train-print-shirt.jpg", "train/a.png", "test/b.png", "c.png")):
        Image.new("RGB", (30, 20), (60 * n, 9, 9)).save(folder / name)
    write_csv(folder, "file_name,code", "train-print-shirt.jpg,00123", "c.png,007")
    write_csv(folder / "train", "file_name,code", "a.png,0")
    store = build(folder)
    assert store.ids == ["c.png", "test/b.png", "train-print-shirt.jpg", "train/a.png"]
    codes = [row(store, id).get("code") for id in store.ids]
    assert codes == ["007", None, "00123", "0"]


def test_a_table_beside_the_indexed_folder_is_named(tmp_path, build):
    (tmp_path / "w" / "photos").mkdir(parents=True)
    Image.radial_gradient("L").save(tmp_path / "w" / "photos" / "a.png")
    write_csv(tmp_path / "w", "file,sleeve", "a.png,long", name="attributes.csv")
    store = build(tmp_path / "w" / "photos")
    assert columns(store) == {}
    [remark] = store.manifest.remarks()
    assert remark.startswith("attributes.csv is beside the folder")
    assert remark.endswith("index the folder that has both.")


def test_spaces_at_the_ends_of_texts_do_not_count(tmp_path, build):
    """A filter for the brand left out the picture whose brand had a space after it."""
    for name in "abc":
        Image.new("RGB", (60, 60)).save(tmp_path / f"{name}.png")
    write_jsonl(
        tmp_path,
        {"file_name": "a.png", "brand": "Zara ", "note": "  "},
        {"file_name": "b.png", "brand": "zara", "note": "new"},
    )
    store = build(tmp_path)
    assert [row(store, id) for id in store.ids] == [
        {"brand": "Zara"}, {"brand": "zara", "note": "new"}, {},
    ]  # fmt: skip
    found = find_matching(parse_filter("brand = ZARA", store.metadata), store.metadata)
    assert [bool(is_found) for is_found in found] == [True, True, False]


def test_a_table_of_another_name_is_said_not_to_be_read(tmp_path, build):
    Image.new("RGB", (60, 60)).save(tmp_path / "a.png")
    write_csv(tmp_path, "file,price", "a.png,12", name="products.csv")
    [*_, remark] = build(tmp_path).manifest.remarks()
    assert remark.startswith("'products.csv' is not read.")
    assert "save it as metadata.csv" in remark
    write_csv(tmp_path, "file,price", "a.png,12")
    store = build(tmp_path)
    assert row(store, "a.png") == {"price": 12}
    assert not any("products.csv" in remark for remark in store.manifest.remarks())


@pytest.mark.parametrize(
    ("name", "is_named"),
    [
        ("attributes.json", True), ("metadata.csv.gz", True), ("LABELS.TXT", True),
        ("products.db", True), ("prices.tsv.xz", True), ("readme.txt", False),
        ("config.yaml", False), ("archive.gz", False),
    ],
)  # fmt: skip
def test_a_file_that_may_be_a_table_is_said_not_to_be_read(tmp_path, build, name, is_named):
    Image.new("RGB", (60, 60)).save(tmp_path / "a.png")
    (tmp_path / name).write_bytes(b"a.png,12")
    remarks = build(tmp_path).manifest.remarks()
    assert any(f"{name!r} is not read." in remark for remark in remarks) == is_named


def test_a_wardrobe_names_the_pictures_in_its_folder(tmp_path, build):
    (tmp_path / "w" / "photos").mkdir(parents=True)
    Image.new("RGB", (30, 20), (60, 9, 9)).save(tmp_path / "w" / "photos" / "a.png")
    write_csv(tmp_path / "w", "file,split,kids,sleeve", "a.png,eval,false,-", name="attributes.csv")
    assert row(build(tmp_path / "w"), "photos/a.png") == {
        "split": "eval", "kids": False, "sleeve": "-",
    }  # fmt: skip


def test_names_are_found_however_they_are_written(photos, build):
    Image.new("RGB", (9, 9), (1, 200, 3)).save(photos / "cafe\u0301.png")  # as macOS stores é
    write_csv(
        photos,
        "note,filename",
        "dot,./p0.png",
        "backslash,deep\\er\\q0.webp",
        "composed,caf\u00e9.png",
        "out,../photos/p1.png",
    )
    store = build(photos)
    assert row(store, "p0.png") == {"note": "dot"}
    assert row(store, "deep/er/q0.webp") == {"note": "backslash"}
    assert row(store, "cafe\u0301.png") == {"note": "composed"}
    assert store.manifest.metadata["missing"] == ["../photos/p1.png"]


def test_metadata_is_updated_where_no_picture_changed(photos, build):
    write_csv(photos, "file_name,price", "p0.png,1", "p1.png,2")
    build(photos)
    write_csv(photos, "file_name,price,colour", "p0.png,5,red", "p2.png,6,")
    store = build(photos)
    assert build.embedded == 0
    assert row(store, "p0.png") == {"price": 5.0, "colour": "red"}
    assert row(store, "p1.png") == {}
    assert row(store, "p2.png") == {"price": 6.0}
    (photos / "metadata.csv").unlink()
    store = build(photos)
    assert (build.embedded, columns(store), store.manifest.metadata) == (0, {}, {})


def test_listed_pictures_without_a_file_and_pictures_without_a_row_are_counted(photos, build):
    (photos / "drafts").mkdir()
    write_csv(
        photos,
        "file_name,price",
        *(f"p{n}.png,{n}" for n in range(8)),
        "gone.png,3",
        "p3.png,9",
    )
    store = build(photos)
    assert store.manifest.metadata["missing"] == ["gone.png"]
    assert store.manifest.metadata["without_row"] == 5
    assert row(store, "p3.png") == {"price": 3.0}
    remarks = " ".join(store.manifest.remarks())
    assert "lists 1 picture that does not exist: 'gone.png'" in remarks
    assert "5 pictures are not listed in the metadata" in remarks
    assert "metadata.csv lists 1 pictures more than once" in remarks
    assert store.manifest.summary()["metadata"]["without_row"] == 5


def test_what_an_exclude_pattern_leaves_out_is_not_missing(photos, tmp_path):
    from dwc.gallery.builder import build_store
    from tests.gallery.embedding import IDENTITY, mean_colors

    write_csv(photos, "file_name,price", "p0.png,1", "deep/er/q0.webp,2")
    source = FolderSource(photos, ["deep/"])
    store = build_store(source, mean_colors, tmp_path / "store", IDENTITY)
    assert store.manifest.metadata["missing"] == []


def test_pictures_that_are_away_keep_their_metadata(photos, build):
    write_csv(photos / "deep" / "er", "file_name,price,note", "q0.webp,4,x", "q1.webp,5,y")
    write_csv(photos, "file_name,price", "p0.png,1")
    build(photos)
    shutil.move(photos / "deep", photos.parent / "deep")  # a drive that is not mounted
    store = build(photos)
    assert row(store, "deep/er/q0.webp") == {"price": 4.0}
    photos.rename(photos.parent / "elsewhere")
    source = FolderSource(photos, may_be_away=True)
    from dwc.gallery.builder import build_store
    from tests.gallery.embedding import IDENTITY, mean_colors

    store = build_store(source, mean_colors, store.path, IDENTITY)
    assert row(store, "deep/er/q0.webp") == {"price": 4.0}
    assert row(store, "p0.png") == {"price": 1.0}


def test_removed_pictures_lose_their_metadata(photos, build):
    write_csv(photos, "file_name,price", "p0.png,1", "p1.png,2")
    build(photos)
    (photos / "p0.png").unlink()
    write_csv(photos, "file_name,price", "p1.png,2")
    store = build(photos, prune=True)
    with closing(sqlite3.connect(store.path / DATABASE)) as connection:
        assert connection.execute("SELECT id FROM metadata").fetchall() == [("p1.png",)]


def test_metadata_follows_its_row_wherever_that_is(photos, build):
    write_csv(photos, "file_name,price", *(f"p{n}.png,{n}" for n in range(10)))
    store = build(photos)
    part = store.restrict(["p7.png", "p2.png"])
    assert [row(part, id)["price"] for id in part.ids] == [2.0, 7.0]
    (photos / "p3.png").rename(photos / "a.png")
    make_old(photos)
    write_csv(photos, "file_name,price", "a.png,33", "p4.png,4")
    store = build(photos)
    assert build.embedded == 0
    assert row(store, "a.png") == {"price": 33.0}
    assert row(store, "p4.png") == {"price": 4.0}


def test_a_store_of_an_older_version_is_read_and_gets_metadata(photos, build):
    store = build(photos)
    with closing(sqlite3.connect(store.path / DATABASE)) as connection, connection:
        connection.execute("DROP TABLE metadata")
        connection.execute("DROP TABLE metadata_columns")
    assert Store.open(store.path).metadata.columns == {}
    write_csv(photos, "file_name,price", "p0.png,1")
    store = build(photos)
    assert (build.embedded, row(store, "p0.png")) == (0, {"price": 1.0})


def test_an_interrupted_build_has_the_metadata_already(photos, tmp_path):
    from dwc.gallery.builder import build_store
    from tests.gallery.embedding import IDENTITY, mean_colors

    write_csv(photos, "file_name,price", "p0.png,1")
    batches = []

    def embed(images):
        batches.append(images)
        if len(batches) == 3:
            raise KeyboardInterrupt
        return mean_colors(images)

    with pytest.raises(KeyboardInterrupt):
        build_store(FolderSource(photos), embed, tmp_path / "cut", IDENTITY, batch_size=4)
    store = Store.open(tmp_path / "cut")
    assert not store.manifest.complete
    assert row(store, "p0.png") == {"price": 1.0}


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["name,price", "p0.png,1"], "expected a column file_name"),
        (["file_name,price", "p0.png,1,2"], "line 2 has 3 cells; expected 2"),
        (["file_name,price", ",5"], "line 2 names no picture"),
        (["file_name,price,price", "p0.png,1,2"], "several columns 'price'"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_and_the_pictures_are_indexed(
    photos, build, lines, says
):
    write_csv(photos, *lines)
    store = build(photos)
    assert len(store) == 13
    [remark] = [remark for remark in store.manifest.remarks() if "metadata.csv" in remark]
    assert says in remark


@pytest.mark.parametrize("broken", [(5,), (5, 9)])
def test_a_cell_with_a_lone_quotation_mark_loses_no_rows_silently(photos, build, broken):
    lines = [f"p{n}.png,{chr(34) if n in broken else ''}dress {n}" for n in range(13)]
    write_csv(photos, "file_name,title", *lines)
    store = build(photos)
    [remark] = [remark for remark in store.manifest.remarks() if "metadata.csv" in remark]
    assert remark.startswith("metadata.csv is not used. ")
    assert "begins with a quotation mark" in remark
    assert store.metadata.columns == {}


def test_a_table_in_another_encoding_is_said(photos, build):
    (photos / "Metadata.CSV").write_bytes(b"file_name,note\np0.png,caf\xe9\n")
    [remark] = [remark for remark in build(photos).manifest.remarks() if "Metadata.CSV" in remark]
    assert "line 2: has the byte 0xe9; expected UTF-8" in remark


def test_numbers_of_a_spreadsheet_with_decimal_commas_are_numbers(photos, build):
    """Filters read 1.200 as 1.2, and 12,50 was no number."""
    write_csv(
        photos,
        "file_name;Preis;Rabatt;Code",
        "p0.png;1.200;12,50;1,2",
        "p1.png;950;7,00;A",
        "p2.png;2.500;99,90;3,4",
    )
    store = build(photos)
    assert columns(store) == {"Preis": "number", "Rabatt": "number", "Code": "text"}
    assert row(store, "p0.png") == {"Preis": 1200.0, "Rabatt": 12.5, "Code": "1,2"}
    [problem] = [text for text in store.manifest.remarks() if "decimal commas" in text]
    assert "'Rabatt', 'Preis'" in problem
    for opened in (store, Store.open(store.path), store.restrict(["p0.png", "p1.png"])):
        assert opened.metadata.decimal_commas == {"Preis", "Rabatt"}
    assert store.manifest.summary()["metadata"]["decimal_commas"] == ["Preis", "Rabatt"]
    with pytest.raises(QueryError, match="points between thousands, so it may be 1000 or 1;"):
        parse_filter("Preis < 1.000", store.metadata)
    write_csv(photos, "file_name;preis;Rabatt", "p0.png;1.5;2")
    store = build(photos)
    assert store.metadata.decimal_commas == frozenset()
    assert "decimal_commas" not in store.manifest.summary()["metadata"]


@pytest.mark.parametrize(
    ("cells", "type", "first", "remark"),
    [
        (["1.200", "950", "2.500"], "number", 1.2, "1.200 is read with a decimal point, as 1.2"),
        (["1.20", "9", "2.5"], "number", 1.2, None),
        (["1,200", "950", "2,500"], "text", "1,200", None),  # thousands, as English writes them
        (["1,2", "1.5", "3"], "text", "1,2", None),
        (["1.200.000", "950", "2.500"], "text", "1.200.000", None),
    ],
)
def test_points_and_commas_that_may_separate_thousands_are_not_guessed(
    photos, build, cells, type, first, remark
):
    write_csv(photos, "file_name;n", *(f"p{n}.png;{cell}" for n, cell in enumerate(cells)))
    store = build(photos)
    assert columns(store) == {"n": type}
    assert row(store, "p0.png") == {"n": first}
    said = [text for text in store.manifest.remarks() if "decimal" in text]
    assert len(said) == (remark is not None)
    assert all(remark in text for text in said)


def test_the_digest_changes_with_any_value(photos, build):
    digests = []
    for price in (1, 2):
        write_csv(photos, "file_name,price,note", f"p0.png,{price},new", "p1.png,3,old")
        digests.append(build(photos).metadata.digest)
    write_csv(photos, "file_name,price,note", "p0.png,2,new", "p1.png,3,worn")
    digests.append(build(photos).metadata.digest)
    assert len({*digests}) == 3
    assert build(photos).metadata.digest == digests[-1]

"""Galleries in datasets of the library `datasets`; skipped where it is not installed."""

import datetime
import io
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from dwc.errors import ImageError
from dwc.gallery.builder import build_store, update_store
from dwc.gallery.dataset_source import DatasetSource
from dwc.gallery.filters import find_matching, parse_filter
from dwc.gallery.sources import FolderSource, HubDatasetSource, from_spec, open_source
from dwc.gallery.store import Store
from tests.gallery.embedding import IDENTITY, mean_colors
from tests.gallery.test_webdataset_source import picture

datasets = pytest.importorskip("datasets")
pyarrow = pytest.importorskip("pyarrow")
pyarrow_parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DWC_CACHE", str(tmp_path / "cache"))


def make_dataset(contents, **columns):
    """A dataset with a column of pictures in their files' bytes."""
    features = {
        "photo": datasets.Image(),
        **{name: feature for name, (feature, _) in columns.items()},
    }
    values = {name: value for name, (_, value) in columns.items()}
    files = [{"bytes": content, "path": f"shirt-{n}.png"} for n, content in enumerate(contents)]
    return datasets.Dataset.from_dict(
        {"photo": files, **values}, features=datasets.Features(features)
    )


TEXT = datasets.Value("string")
COLUMNS = {
    "code": (TEXT, ["00123", "NA", None]),
    "count": (datasets.Value("int64"), [1, None, 3]),
    "big": (datasets.Value("int64"), [2**60, 1, 2]),
    "sold": (datasets.Value("bool"), [True, False, None]),
    "label": (datasets.ClassLabel(names=["coat", "dress"]), [1, 0, -1]),
    "day": (datasets.Value("date32"), [datetime.date(2024, 1, 2), None, None]),
}


def check(store, prefix=""):
    assert store.ids == [f"{prefix}{n:06d}-shirt-{n}.png" for n in range(3)]
    expected = [Image.open(io.BytesIO(picture(n))) for n in range(3)]
    assert np.allclose(store.vectors, mean_colors(expected))
    assert {name: column.type for name, column in store.metadata.columns.items()} == {
        "code": "text", "count": "number", "big": "text", "sold": "boolean", "label": "text",
        "day": "text",
    }  # fmt: skip
    assert store.metadata.row(0) == {
        "code": "00123", "count": 1.0, "big": str(2**60), "sold": True, "label": "dress",
        "day": "2024-01-02",
    }  # fmt: skip
    assert store.metadata.row(1) == {"code": "NA", "big": "1", "sold": False, "label": "coat"}
    assert Store.open(store.path).picture(store.ids[1]).original


def build(location, tmp_path):
    return build_store(open_source(str(location)), mean_colors, tmp_path / "store", IDENTITY)


def test_a_saved_dataset_is_indexed(tmp_path):
    make_dataset(map(picture, range(3)), **COLUMNS).save_to_disk(str(tmp_path / "saved"))
    check(build(tmp_path / "saved", tmp_path))
    assert build_again(tmp_path / "saved", tmp_path) == 0


def build_again(location, tmp_path):
    source = open_source(str(location))
    return update_store(source, mean_colors, tmp_path / "store", IDENTITY).embedded


def test_numbers_of_less_than_64_bits_are_found_as_they_are_written(tmp_path):
    columns = {
        "rate": (datasets.Value("float32"), [0.1, 1e-7, None]),
        "half": (datasets.Value("float16"), [0.1, 2.5, None]),
        "exact": (datasets.Value("float64"), [0.1, 1 / 3, 7.0]),
    }
    make_dataset(map(picture, range(3)), **columns).save_to_disk(str(tmp_path / "saved"))
    store = build(tmp_path / "saved", tmp_path)
    assert store.metadata.row(0) == {"rate": 0.1, "half": 0.1, "exact": 0.1}
    assert store.metadata.row(1) == {"rate": 1e-7, "half": 2.5, "exact": 1 / 3}
    for text in ("rate = 0.1", "half = 0.1", "rate >= 0.1"):
        found = find_matching(parse_filter(text, store.metadata), store.metadata)
        assert [bool(is_found) for is_found in found] == [True, False, False]


def test_splits_are_all_indexed(tmp_path):
    one, two = (make_dataset([picture(n)]) for n in (1, 2))
    splits = datasets.DatasetDict({"train": one, "test": two})
    splits.save_to_disk(str(tmp_path / "saved"))
    assert build(tmp_path / "saved", tmp_path).ids == [
        "train/000000-shirt-0.png", "test/000000-shirt-0.png",
    ]  # fmt: skip


def test_parquet_files_are_indexed_whatever_they_are_called(tmp_path):
    (tmp_path / "shop").mkdir()
    whole = make_dataset(list(map(picture, range(3))), **COLUMNS)
    whole.to_parquet(str(tmp_path / "shop" / "train-print-shirt.parquet"))
    check(build(tmp_path / "shop" / "train-print-shirt.parquet", tmp_path))
    make_dataset([picture(7)]).to_parquet(str(tmp_path / "shop" / "other.PARQUET"))
    source = open_source(str(tmp_path / "shop"))
    assert [item.id for item in source.items()] == [
        "other/000000-shirt-0.png", *(f"train-print-shirt/{n:06d}-shirt-{n}.png" for n in range(3)),
    ]  # fmt: skip
    assert [i.id for i in from_spec(source.spec).items()] == [i.id for i in source.items()]


def test_a_picture_changed_in_place_is_embedded_again(tmp_path):
    path = tmp_path / "shop.parquet"
    make_dataset([picture(1), picture(2)]).to_parquet(str(path))
    build(path, tmp_path)
    make_dataset([picture(1), picture(9)]).to_parquet(str(path))
    result = update_store(open_source(str(path)), mean_colors, tmp_path / "store", IDENTITY)
    assert result.embedded == 1
    [vector] = mean_colors([Image.open(io.BytesIO(picture(9)))])
    assert np.allclose(result.store.vectors[result.store.position("000001-shirt-1.png")], vector)


def test_a_listed_picture_that_does_not_exist_is_named_when_listed(tmp_path):
    for n in range(2):
        (tmp_path / f"p{n}.png").write_bytes(picture(n))
    features = datasets.Features({"image": datasets.Image(), "code": TEXT})
    paths = [str(tmp_path / "p0.png"), "p1.png", str(tmp_path / "gone.png"), None]
    files = [None if path is None else {"bytes": None, "path": path} for path in paths]
    dataset = datasets.Dataset.from_dict({"image": files, "code": list("abcd")}, features=features)
    # The library's own `to_parquet` looks for the files.
    pyarrow_parquet.write_table(dataset.data.table, tmp_path / "listed.parquet")
    source = DatasetSource(str(tmp_path / "listed.parquet"))
    listing = source.list()
    assert [item.id for item in listing.items] == ["000000-p0.png", "000001-p1.png"]
    messages = {id: entry.message for id, entry in listing.left_out.items()}
    assert "gone.png, which does not exist" in messages["000002-gone.png"]
    assert "has no picture" in messages["000003"]
    store = build_store(source, mean_colors, tmp_path / "store", IDENTITY)
    assert set(store.manifest.skipped) == {"000002-gone.png", "000003"}
    (tmp_path / "p1.png").write_bytes(picture(8))
    assert build_again(tmp_path / "listed.parquet", tmp_path) == 1


def test_the_column_is_found_or_named(tmp_path):
    files = {"bytes": picture(1), "path": None}
    features = datasets.Features(
        {"front": datasets.Image(), "back": datasets.Image(), "raw": datasets.Value("binary")}
    )
    dataset = datasets.Dataset.from_dict(
        {"front": [files], "back": [{**files, "bytes": picture(2)}], "raw": [b"no picture"]},
        features=features,
    )
    path = tmp_path / "two.parquet"
    dataset.to_parquet(str(path))
    with pytest.raises(
        ImageError, match=r"several columns of pictures: back, front.*two\.parquet#"
    ):
        open_source(str(path)).list()
    with pytest.raises(ImageError, match="'side' is no column of pictures"):
        open_source(f"{path}#side").list()
    source = open_source(f"{path}#back")
    assert source.items()[0].read() == picture(2)
    assert from_spec(source.spec).argument == source.argument == f"{path}#back"
    dataset.select_columns(["raw"]).to_parquet(str(path))
    with pytest.raises(ImageError, match="no column of pictures among raw"):
        open_source(str(path)).list()
    plain = datasets.Dataset.from_dict({"raw": [picture(4)], "n": [1]})
    plain.to_parquet(str(path))
    assert open_source(str(path)).items()[0].open().size == (30, 20)


def test_a_dataset_of_the_hub_is_read_from_its_parquet_files(tmp_path, monkeypatch):
    folder = tmp_path / "repository"
    (folder / "data").mkdir(parents=True)
    make_dataset([picture(1)]).to_parquet(str(folder / "data" / "train-0.parquet"))
    (folder / "preview.png").write_bytes(picture(5))
    outside = datasets.Dataset.from_dict(
        {"photo": [{"bytes": None, "path": str(tmp_path / "secret.png")}]},
        features=datasets.Features({"photo": datasets.Image()}),
    )
    (tmp_path / "secret.png").write_bytes(picture(3))
    outside.to_parquet(str(folder / "data" / "train-1.parquet"))
    seen = {}

    def snapshot_download(repo_id, **options):
        seen.update(options, repo_id=repo_id)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    source = open_source("owner/shop@v2")
    listing = source.list()
    assert [item.id for item in listing.items] == ["data/train-0/000000-shirt-0.png"]
    [left_out] = listing.left_out.values()
    assert "a file outside the dataset" in left_out.message
    assert (seen["repo_id"], seen["revision"]) == ("owner/shop", "v2")
    assert {"*.parquet", "*.tar", "*.TAR"} <= set(seen["allow_patterns"])
    assert source.spec == from_spec(source.spec).spec


def test_a_saved_dataset_of_the_hub_does_not_show_files_of_this_computer(tmp_path, monkeypatch):
    (tmp_path / "secret.png").write_bytes(picture(3))
    rows = {"photo": [{"bytes": None, "path": str(tmp_path / "secret.png")}]}
    folder = tmp_path / "repository"
    features = datasets.Features({"photo": datasets.Image()})
    dataset = datasets.Dataset.from_dict(rows, features=features)
    dataset.save_to_disk(str(folder))
    [file] = folder.glob("*.arrow")
    table = dataset.data.table  # without the files' bytes, which `save_to_disk` adds
    with pyarrow.OSFile(str(file), "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(folder))
    listing = open_source("owner/shop").list()
    assert not listing.items
    [left_out] = listing.left_out.values()
    assert "a file outside the dataset" in left_out.message


def test_a_repository_of_picture_files_is_not_left_to_the_library(tmp_path, monkeypatch):
    folder = tmp_path / "repository"
    (folder / "train").mkdir(parents=True)
    for name in ("train-print-shirt.png", "train/a.png", "b.png"):
        (folder / name).write_bytes(picture(len(name)))
    (folder / "metadata.csv").write_text("file_name,code\nb.png,00123\n")
    datasets.Dataset.from_dict({"n": [1]}).to_parquet(str(folder / "numbers.parquet"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(folder))
    listing = HubDatasetSource("owner/shop").list()
    assert [item.id for item in listing.items] == ["b.png", "train-print-shirt.png", "train/a.png"]
    assert listing.metadata.rows == {"b.png": ("00123",)}
    (folder / "metadata.csv").unlink()
    assert len(HubDatasetSource("owner/shop").list().items) == 3  # no pictures in the Parquet file


def test_what_is_no_dataset_is_refused(tmp_path, photos):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(ImageError, match=r"cut\.parquet: cannot be read by the library"):
        open_source(str(tmp_path / "cut.parquet")).list()
    with pytest.raises(ImageError, match="is not a dataset, and has no column 'image'"):
        open_source(f"{photos}#image")
    shutil.copytree(photos, tmp_path / "a#b")
    assert isinstance(open_source(str(tmp_path / "a#b")), FolderSource)


def test_a_number_of_a_range_without_a_file_is_named(tmp_path):
    location = tmp_path / "part-{0..1}.parquet"
    make_dataset([picture(0)]).to_parquet(str(tmp_path / "part-0.parquet"))
    listing = DatasetSource(str(location)).list()
    assert [item.id for item in listing.items] == ["part-0/000000-shirt-0.png"]
    assert listing.reasons == {"missing": 1}
    make_dataset([picture(1)]).to_parquet(str(tmp_path / "part-1.parquet"))
    ids = [item.id for item in DatasetSource(str(location)).items()]
    assert ids == ["part-0/000000-shirt-0.png", "part-1/000000-shirt-0.png"]


def test_a_dataset_replaced_by_one_of_the_same_time_is_read_again(tmp_path):
    saved, packed = tmp_path / "saved", tmp_path / "a.parquet"

    def write(number):
        """Write the same number of bytes for every number, with the same time."""
        dataset = datasets.Dataset.from_dict({"photo": [picture(number)]})
        dataset = dataset.cast_column("photo", datasets.Value("binary"))
        dataset.save_to_disk(str(saved))
        pyarrow_parquet.write_table(dataset.data.table, packed, compression="none")
        for file in (*saved.iterdir(), packed):
            os.utime(file, (1_600_000_000, 1_600_000_000))
        files = sorted(saved.iterdir())
        return packed.stat().st_size, [(file.name, file.stat().st_size) for file in files]

    sizes = write(1)
    for location in (saved, packed):
        build_store(
            open_source(str(location)), mean_colors, tmp_path / f"{location.name}.store", IDENTITY
        )
    shutil.rmtree(saved)
    packed.unlink()
    assert write(9) == sizes
    for location in (saved, packed):
        result = update_store(
            open_source(str(location)), mean_colors, tmp_path / f"{location.name}.store", IDENTITY
        )
        assert result.embedded == 1

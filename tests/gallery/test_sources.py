"""What counts as a picture of a source, and that it is found again by its id."""

import os
import sys

import pytest
from PIL import Image

from dwc.catalogue.splits import gallery
from dwc.errors import ImageError
from dwc.gallery.sources import (
    CatalogueSource,
    FolderSource,
    HubDatasetSource,
    from_spec,
    open_source,
)


def test_a_folder_lists_its_pictures_by_relative_path(photos):
    (photos / ".hidden.png").write_bytes(b"x")
    (photos / ".thumbs").mkdir()
    (photos / ".thumbs" / "a.png").write_bytes(b"x")
    (photos / "notes.txt").write_text("no picture")
    (photos / "folder.jpg").mkdir()
    (photos / "LOUD.JPG").write_bytes(b"x")
    ids = [item.id for item in FolderSource(photos).items()]
    expected = ["LOUD.JPG", *(f"deep/er/q{n}.webp" for n in range(3))]
    assert ids == [*expected, *(f"p{n}.png" for n in range(10))]


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
def test_a_name_that_is_not_utf8_gets_an_id_that_is(photos):
    name = os.fsencode(photos) + b"/caf\xe9.png"
    with open(name, "wb") as file:
        Image.new("RGB", (9, 9)).save(file, "PNG")
    [item] = [item for item in FolderSource(photos).items() if "caf" in item.id]
    assert item.id == "caf\\xe9.png"
    assert item.open().size == (9, 9)


def test_the_content_key_follows_the_content_and_not_the_date(photos):
    source = FolderSource(photos)
    item = source.item("p0.png")
    key = item.content_key()
    os.utime(photos / "p0.png", (0, 0))
    assert item.content_key() == key
    assert source.item("p1.png").content_key() != key
    (photos / "p0.png").write_bytes((photos / "p1.png").read_bytes())
    assert item.content_key() == source.item("p1.png").content_key()


def test_an_id_cannot_lead_out_of_the_folder(photos):
    Image.new("RGB", (9, 9)).save(photos.parent / "secret.png")
    for id in ("../secret.png", str(photos.parent / "secret.png"), "deep/../../secret.png", "no"):
        with pytest.raises(ImageError, match="is no file in"):
            FolderSource(photos).item(id)


def test_a_folder_called_catalogue_is_pointed_out(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_source("catalogue"), CatalogueSource)
    assert not caplog.records
    (tmp_path / "catalogue").mkdir()
    assert isinstance(open_source("catalogue"), CatalogueSource)
    assert "write ./catalogue" in caplog.text
    assert isinstance(open_source("./catalogue"), FolderSource)


def test_an_argument_finds_its_source(photos, monkeypatch):
    assert isinstance(open_source("catalogue"), CatalogueSource)
    assert isinstance(open_source("owner/name"), HubDatasetSource)
    monkeypatch.chdir(photos.parent)
    assert open_source("photos").spec == FolderSource(photos).spec
    assert isinstance(open_source("photos/deep"), FolderSource)
    for missing in ("nowhere", "./no/where", "/no/where"):
        with pytest.raises(ImageError, match="no such folder"):
            open_source(missing)


def test_a_spec_gives_the_source_back(photos):
    for source in (FolderSource(photos), CatalogueSource("val", 7, 64)):
        again = from_spec(source.spec)
        assert type(again) is type(source)
        assert [item.id for item in again.items()] == [item.id for item in source.items()]
    hub = from_spec(HubDatasetSource("owner/name", "abc").spec)
    assert (hub.repo_id, hub.revision) == ("owner/name", "abc")


def test_a_dataset_of_the_hub_is_downloaded_at_its_revision(photos, monkeypatch):
    asked = {}

    def snapshot_download(repo_id, **options):
        asked.update(options, repo_id=repo_id)
        return str(photos)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    source = HubDatasetSource("owner/name", "abc")
    assert [item.id for item in source.items()] == [i.id for i in FolderSource(photos).items()]
    assert source.item("p1.png").open().size == (30, 20)
    assert (asked["repo_id"], asked["repo_type"], asked["revision"]) == (
        "owner/name", "dataset", "abc",
    )  # fmt: skip
    assert {"*.jpg", "*.JPG"} <= set(asked["allow_patterns"])


def test_a_dataset_that_cannot_be_had_is_named(monkeypatch):
    def snapshot_download(repo_id, **options):
        raise OSError("no connection")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(ImageError, match=r"owner/name.*no connection"):
        HubDatasetSource("owner/name").items()


def test_another_way_of_drawing_makes_another_picture(monkeypatch):
    item = CatalogueSource("test", 1, 64).items()[0]
    key = item.content_key()
    monkeypatch.setattr("dwc.catalogue.drawing.DRAWING_VERSION", 1_000_000)
    assert item.content_key() != key


def test_the_catalogue_is_drawn_as_it_is_listed():
    source = CatalogueSource("test", 5, 64)
    items = source.items()
    assert [item.id for item in items] == [garment.id for garment in gallery("test", 5)]
    assert len({item.content_key() for item in items}) == 5
    assert items[0].content_key() != CatalogueSource("test", 5, 32).items()[0].content_key()
    picture = source.item(items[2].id).open()
    assert (picture.mode, picture.size) == ("RGB", (64, 64))
    with pytest.raises(ImageError, match="is not in the catalogue"):
        source.item("nothing")


def test_without_its_library_a_dataset_names_the_extra(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setenv("DWC_CACHE", str(tmp_path))
    (tmp_path / "shop.parquet").write_bytes(b"PAR1")
    with pytest.raises(ImageError, match=r"pip install 'dwc\[datasets\]'"):
        open_source(str(tmp_path / "shop.parquet")).list()


def test_a_picture_changed_in_memory_is_the_changed_one(photos):
    from dwc.datasets.image_loading import decode

    with Image.open(photos / "p0.png") as picture:
        picture.load()
        picture.paste((1, 2, 3), (0, 0, 30, 20))
        assert decode(picture).getpixel((5, 5)) == (1, 2, 3)

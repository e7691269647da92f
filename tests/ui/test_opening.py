from pathlib import Path

from dwc.gallery.sources import CatalogueSource, FolderSource
from dwc.ui.opening import cache_folder, store_folder


def test_the_cache_is_where_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("DWC_CACHE", str(tmp_path / "named"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "named"
    monkeypatch.delenv("DWC_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "dwc"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "dwc"


def test_a_store_belongs_to_one_model_and_one_gallery(monkeypatch, tmp_path):
    monkeypatch.setenv("DWC_CACHE", str(tmp_path))
    for name in ("a/photos", "b/photos", "c/my photos & more"):
        (tmp_path / name).mkdir(parents=True)
    sources = [
        FolderSource(tmp_path / "a/photos"),
        FolderSource(tmp_path / "b/photos"),
        FolderSource(tmp_path / "c/my photos & more"),
        CatalogueSource(),
        CatalogueSource(size=100),
    ]
    folders = [store_folder(model, source) for model in ("f1", "f2") for source in sources]
    assert len(set(folders)) == len(folders)
    assert store_folder("f1", FolderSource(tmp_path / "a/photos")) == folders[0]
    assert all(folder.parent == tmp_path / "galleries" for folder in folders)
    assert all(
        set(folder.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for folder in folders
    )

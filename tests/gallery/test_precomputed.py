"""Precomputed gallery vectors, and pictures that are drawn when they are shown."""

import numpy as np
import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from dwc.catalogue import drawing
from dwc.datasets.image_loading import decode
from dwc.errors import StoreError
from dwc.gallery.builder import build_store, draw_thumbnails, load_precomputed, save_precomputed
from dwc.gallery.sources import CatalogueSource
from dwc.gallery.store import ModelIdentity, Store
from dwc.ui.gallery_images import DrawThumbnails, StoreImages

MODEL = ModelIdentity("abc", "model", None, {"clip": 3, "cnn": 2})
SOURCE = CatalogueSource(size=6, picture_px=48)


def embed(images) -> np.ndarray:
    rows = np.stack([np.asarray(image.resize((5, 1)))[0, :, 0] for image in images]) + 1.0
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def embed_nothing(images) -> np.ndarray:
    raise AssertionError(f"{len(images)} pictures were embedded")


@pytest.fixture
def file(tmp_path):
    with_pictures = build_store(SOURCE, embed, tmp_path / "first", MODEL)
    save_precomputed(with_pictures, tmp_path / "gallery.safetensors")
    return tmp_path / "gallery.safetensors"


@pytest.fixture
def store(tmp_path, file) -> Store:
    known = load_precomputed(file, "abc")
    return build_store(SOURCE, embed_nothing, tmp_path / "second", MODEL, precomputed=known)


def test_a_store_of_precomputed_vectors_equals_one_that_was_embedded(tmp_path, store) -> None:
    first = Store.open(tmp_path / "first")
    assert store.ids == first.ids
    assert [row[:-1] for row in store.rows] == [row[:-1] for row in first.rows]
    assert np.abs(store.vectors - first.vectors).max() < 1e-3
    store.verify()
    assert store.fingerprint == first.fingerprint


@pytest.mark.slow
def test_pictures_are_drawn_when_they_are_shown(tmp_path, store) -> None:
    first = Store.open(tmp_path / "first")
    id = store.ids[2]
    assert not any(store.path.glob("thumbnails/*/*"))
    assert store.draw_thumbnail(id).read_bytes() == first.thumbnail(id).read_bytes()
    assert store.picture(id).original
    assert draw_thumbnails(store) == 5
    assert draw_thumbnails(store) == 0
    for id in store.ids:
        assert decode(store.thumbnail(id)).size == (48, 48)


def test_a_browser_gets_a_thumbnail_that_did_not_exist(store, tmp_path) -> None:
    async def app(scope, receive, send) -> None:
        await PlainTextResponse("served")(scope, receive, send)

    images = StoreImages(store)
    client = TestClient(DrawThumbnails(app, images))
    wanted = images.thumbnail(store.ids[0])
    strange = tmp_path / "second" / "thumbnails" / "00" / "other.webp"
    for path in (wanted, strange, tmp_path / "x.webp"):
        assert client.get(f"/gradio_api/file={path}").text == "served"
    assert wanted.is_file()
    assert [file.name for file in store.path.glob("thumbnails/*/*")] == [wanted.name]


def test_vectors_of_another_model_or_a_damaged_file_are_not_used(file, caplog) -> None:
    assert load_precomputed(file, "another") == {}
    assert "belongs to model abc, not to another" in caplog.text
    content = file.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"x" * 40):
        file.write_bytes(damaged)
        assert load_precomputed(file, "abc") == {}
    assert "the gallery is embedded instead" in caplog.text
    assert load_precomputed(file.with_name("none"), "abc") == {}


@pytest.mark.slow
def test_garments_of_another_drawing_version_are_embedded(file, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(drawing, "DRAWING_VERSION", "another")
    known = load_precomputed(file, "abc")
    with pytest.raises(AssertionError, match="6 pictures were embedded"):
        build_store(SOURCE, embed_nothing, tmp_path / "third", MODEL, precomputed=known)


def test_the_store_of_another_gallery_of_drawings_is_not_mixed_with_this_one(store) -> None:
    with pytest.raises(StoreError, match="its pictures are not those"):
        build_store(CatalogueSource("test", 6, 48), embed_nothing, store.path, MODEL)
    larger = build_store(CatalogueSource(size=7, picture_px=48), embed, store.path, MODEL)
    assert larger.ids[:6] == store.ids


def test_a_git_lfs_pointer_is_called_one(file, caplog) -> None:
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    assert load_precomputed(file, "abc") == {}
    assert "gallery.safetensors is a Git LFS pointer" in caplog.text
    assert "git lfs pull" in caplog.text

"""From folders to stores: alignment, bad files, and what a second run adds and drops."""

import sqlite3

import numpy as np
import pytest
from PIL import Image

from dwc.datasets.image_loading import decode
from dwc.errors import ImageError, StoreError
from dwc.gallery.builder import build_store, update_store
from dwc.gallery.sources import CatalogueSource, FolderSource
from dwc.gallery.store import Store
from tests.gallery.embedding import IDENTITY, mean_colors


def assert_aligned(store, folder):
    """Every row's vector is its own picture's, and so are its hash, size and thumbnail."""
    source = FolderSource(folder)
    for position, row in enumerate(store.rows):
        picture = source.item(row.id).open()
        assert np.array_equal(store.vectors[position], mean_colors([picture])[0]), row.id
        assert store.position(row.id) == position
        assert (row.width, row.height) == picture.size
        assert row.content_key == source.item(row.id).content_key()
        with Image.open(store.thumbnail(row.id)) as thumbnail:
            difference = np.subtract(
                np.asarray(thumbnail)[5, 5], np.asarray(picture)[5, 5].astype(int)
            )
            assert np.abs(difference).max() < 12
    store.verify()


def test_a_store_holds_the_folder_in_order(build, photos):
    store = build(photos)
    assert store.ids == [item.id for item in FolderSource(photos).items()]
    assert build.embedded == 13
    assert store.vectors.shape == (13, 6)
    assert not store.vectors.flags.writeable
    assert store.manifest.complete
    assert store.manifest.count == 13
    assert store.manifest.model == IDENTITY
    assert_aligned(store, photos)


def spoil(folder):
    (folder / "p0a-empty.png").write_bytes(b"")
    (folder / "p3a-text.jpg").write_text("a letter")
    (folder / "p5a-cut.png").write_bytes((folder / "p5.png").read_bytes()[:60])
    (folder / "z-last.gif").write_bytes(b"GIF89a")
    return {"p0a-empty.png", "p3a-text.jpg", "p5a-cut.png", "z-last.gif"}


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_bad_files_are_skipped_and_the_rest_stays_aligned(build, photos, batch_size):
    bad = spoil(photos)
    store = build(photos, batch_size=batch_size)
    assert len(store) == 13
    assert set(store.manifest.skipped) == bad
    for id, reason in store.manifest.skipped.items():
        assert id in reason
    assert_aligned(store, photos)


def test_a_picture_without_a_finite_embedding_is_skipped(photos, tmp_path):
    def embed(images):
        vectors = mean_colors(images)
        vectors[[image.getpixel((0, 0))[0] == 80 for image in images]] = np.nan  # p4
        return vectors

    result = update_store(FolderSource(photos), embed, tmp_path / "store", IDENTITY, batch_size=5)
    store = result.store
    assert set(store.manifest.skipped) == {"p4.png"}
    assert len(store) == result.embedded == 12
    assert_aligned(store, photos)


def test_a_second_run_embeds_nothing(build, photos):
    before = build(photos)
    after = build(photos)
    assert build.embedded == 0
    assert after.ids == before.ids
    assert np.array_equal(after.vectors, before.vectors)


def test_a_second_run_adds_what_is_new_and_replaces_what_changed(build, photos):
    spoil(photos)
    build(photos)
    Image.new("RGB", (9, 9), (1, 2, 3)).save(photos / "added.png")
    Image.new("RGB", (9, 9), (250, 2, 3)).save(photos / "p2.png")  # changed
    (photos / "p7.png").unlink()
    (photos / "p8.png").rename(photos / "moved.png")
    (photos / "z-last.gif").unlink()
    Image.new("RGB", (9, 9), (99, 2, 3)).save(photos / "p0a-empty.png")  # mended
    store = build(photos)
    assert build.embedded == 3  # added, changed, mended
    assert set(store.manifest.skipped) == {"p3a-text.jpg", "p5a-cut.png"}
    present = {item.id for item in FolderSource(photos).items()}
    assert set(store.ids) == present - {*store.manifest.skipped} | {"p7.png"}
    assert store.away == {"p7.png"}
    store = build(photos, prune=True)
    assert build.embedded == 0
    assert set(store.ids) == present - {*store.manifest.skipped}
    assert not store.away
    assert_aligned(store, photos)
    used = {store.thumbnail(id) for id in store.ids}
    assert set(store.path.glob("thumbnails/*/*")) == used
    assert len(list(store.path.glob("vectors-*"))) == 1


def test_long_pictures_with_the_same_top_are_not_the_same_picture(build, photos):
    for name, color in (("a", (200, 10, 10)), ("b", (10, 10, 200)), ("copy", (200, 10, 10))):
        strip = Image.new("RGB", (20, 110), color)
        strip.paste((7, 7, 7), (0, 0, 20, 40))
        strip.save(photos / f"{name}.png")
    store = build(photos)
    both = [store.position("a.png"), store.position("copy.png")]
    assert store.positions_like("a.png") == both
    assert store.positions_like("b.png") == [store.position("b.png")]
    assert store.positions_showing(decode(photos / "a.png")) == both
    assert store.positions_showing(decode(decode(photos / "a.png"))) == both


def test_the_same_picture_twice_has_two_rows_and_one_thumbnail(build, photos):
    (photos / "copy.png").write_bytes((photos / "p1.png").read_bytes())
    store = build(photos)
    assert store.thumbnail("copy.png") == store.thumbnail("p1.png")
    both = [store.position("copy.png"), store.position("p1.png")]
    assert store.positions_like("p1.png") == store.positions_like("copy.png") == both
    with Image.open(photos / "p1.png") as picture:
        assert store.positions_showing(picture) == both
        assert store.positions_showing(picture.rotate(90, expand=True)) == []
        picture.putpixel((3, 3), (0, 0, 0))
        assert store.positions_showing(picture) == []
    (photos / "copy.png").unlink()
    assert build(photos).thumbnail("p1.png").is_file()


def test_a_store_with_a_reader_can_be_brought_up_to_date(build, photos):
    reader = build(photos)
    before = reader.vectors.copy()
    (photos / "p0.png").unlink()
    Image.new("RGB", (9, 9), (1, 2, 3)).save(photos / "added.png")
    build(photos, prune=True)
    assert np.array_equal(reader.vectors, before)


def test_progress_is_reported_from_start_to_end(build, photos):
    reported = []
    build(photos, progress=lambda *now: reported.append(now))
    assert [(done, total) for done, total, _ in reported] == [
        (0, 13),
        (4, 13),
        (8, 13),
        (12, 13),
        (13, 13),
    ]
    assert all(left >= 0 for _, _, left in reported)
    assert reported[-1][2] == 0
    Image.new("RGB", (9, 9), (1, 2, 3)).save(photos / "added.png")
    reported.clear()
    build(photos, progress=lambda *now: reported.append(now))
    assert [(done, total) for done, total, _ in reported] == [(13, 14), (14, 14)]


def test_a_source_without_pictures_changes_nothing(build, photos, tmp_path):
    build(photos)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="no pictures in it"):
        build(tmp_path / "empty")
    assert len(Store.open(tmp_path / "store")) == 13


def test_a_folder_of_pictures_is_not_written_into(build, photos):
    before = sorted(photos.rglob("*"))
    with pytest.raises(StoreError, match="holds other things"):
        build(photos, out=photos)
    assert sorted(photos.rglob("*")) == before
    with pytest.raises(StoreError, match="is a file"):
        build(photos, out=photos / "p0.png")


@pytest.mark.slow
def test_drawings_are_made_by_other_processes(tmp_path):
    source = CatalogueSource("val", 70, 16)
    store = build_store(source, mean_colors, tmp_path / "store", IDENTITY, workers=2)
    assert store.ids == [item.id for item in source.items()]
    for position in (0, 33, 69):
        drawn = mean_colors([source.items()[position].open()])[0]
        assert np.array_equal(store.vectors[position], drawn)


@pytest.mark.slow
def test_the_catalogue_becomes_a_store(tmp_path):
    source = CatalogueSource("val", 6, 32)
    store = build_store(source, mean_colors, tmp_path / "store", IDENTITY)
    assert store.ids == [item.id for item in source.items()]
    found = store.picture(store.ids[3])
    assert found.original
    assert found.image.tobytes() == source.items()[3].open().tobytes()
    with sqlite3.connect(store.path / "gallery.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)

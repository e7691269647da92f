"""A gallery that several processes embed in parts is the store that one process builds."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dwc.errors import ImageError, StoreError
from dwc.gallery import parts
from dwc.gallery.builder import build_store, update_store
from dwc.gallery.sources import CatalogueSource, FolderSource
from dwc.gallery.store import Store
from dwc.gallery.store_writer import StoreWriter
from tests.gallery.conftest import make_old
from tests.gallery.embedding import IDENTITY, mean_colors


class Embedder:
    """Embeds images, counts them, and raises `KeyboardInterrupt` in place of one after `limit`."""

    def __init__(self, limit=None):
        self.embedded, self.limit = 0, limit

    def __call__(self, images):
        if self.limit is not None and self.embedded + len(images) > self.limit:
            raise KeyboardInterrupt
        self.embedded += len(images)
        return mean_colors(images)


def run_together(source, store, count, limits=None, model=IDENTITY, prune=False):
    """Do one after the other what the processes of a launch do at the same time.

    Args:
        limits: How many pictures each process embeds before it is killed; by default none is.

    Returns:
        How many pictures each process embedded, with those of the join as the last number, and the
        result of the join, or None if a process was killed.
    """
    embedders = [Embedder(limit) for limit in limits or [None] * count]
    last = Embedder()
    with parts.locked_parts(store):
        parts.prepare_parts(source, store, model)
        shares = [parts.plan_share(source, store, n, count) for n in range(count)]
        assert len({share.plan for share in shares}) == 1
        expected = []
        for n, (share, embed) in enumerate(zip(shares, embedders, strict=True)):
            parts.part_folder(store, n).mkdir(parents=True, exist_ok=True)
            try:
                expected.append(parts.embed_share(share, source, embed, store, model, n, 2, 1))
            except KeyboardInterrupt:
                continue
        result = None
        if len(expected) == count:
            result = parts.join_parts(source, last, store, model, 4, prune=prune, expected=expected)
    return [*(embed.embedded for embed in embedders), last.embedded], result


def assert_equal(store, other):
    """Two stores are the same, picture for picture, thumbnails and records included."""
    store, other = Store.open(store), Store.open(other)
    store.check()
    assert store.rows == other.rows
    np.testing.assert_array_equal(store.vectors, other.vectors)
    assert store.manifest.skipped == other.manifest.skipped
    assert store.manifest.summary() == other.manifest.summary()
    thumbnails = [sorted(f.name for f in s.path.rglob("*.webp")) for s in (store, other)]
    assert thumbnails[0] == thumbnails[1]


@pytest.fixture
def source(photos):
    """Thirteen pictures, two of them equal, and a file that is no picture."""
    (photos / "p4-copy.png").write_bytes((photos / "p4.png").read_bytes())
    (photos / "p2-damaged.png").write_bytes((photos / "p2.png").read_bytes()[:60])
    make_old(photos)
    return FolderSource(photos)


@pytest.fixture
def alone(source, tmp_path):
    """The store that one process builds."""
    return build_store(source, mean_colors, tmp_path / "alone", IDENTITY, batch_size=4).path


@pytest.mark.parametrize(
    ("count", "shares"), [(2, [7, 7]), (4, [4, 4, 3, 3]), (20, [1] * 14 + [0] * 6)]
)
def test_uneven_and_empty_shares_make_the_store_of_one_process(
    source, alone, tmp_path, count, shares
):
    embedded, result = run_together(source, tmp_path / "store", count)
    assert (sum(embedded), result.embedded, embedded[-1]) == (14, 14, 0)
    assert max(embedded[:-1]) - min(embedded[:-1]) <= 2  # one of them is given the damaged file
    if count == 20:
        assert sorted(embedded[:-1], reverse=True) == shares
    assert_equal(tmp_path / "store", alone)
    assert not parts.parts_folder(tmp_path / "store").exists()


def test_a_second_run_does_nothing(source, alone, tmp_path):
    run_together(source, tmp_path / "store", 2)
    before = {f: f.read_bytes() for f in (tmp_path / "store").glob("vectors*")}
    embedded, result = run_together(source, tmp_path / "store", 3)
    assert (embedded, result.embedded, result.removed) == ([0, 0, 0, 0], 0, 0)
    assert {f: f.read_bytes() for f in (tmp_path / "store").glob("vectors*")} == before
    assert_equal(tmp_path / "store", alone)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_parts_of_a_killed_run_serve_any_number_of_processes(source, alone, tmp_path, count):
    store = tmp_path / "store"
    embedded, result = run_together(source, store, 3, limits=[None, 2, 0])
    assert (embedded, result) == ([5, 2, 0, 0], None)
    assert parts.parts_folder(store).is_dir()
    again, _ = run_together(source, store, count)
    # Nothing that was embedded before is embedded again. A copy may be in the share of a process
    # whose part has its content.
    assert sum(again) in (14 - 7 - 1, 14 - 7)
    assert_equal(store, alone)
    assert not parts.parts_folder(store).exists()


def test_a_run_killed_while_it_joins_loses_nothing(source, alone, tmp_path, monkeypatch):
    store = tmp_path / "store"
    append, calls = StoreWriter.append, []

    def append_until_killed(writer, rows, vectors):
        if writer.path == store:
            calls.append(len(rows))
            if len(calls) == 3:
                raise KeyboardInterrupt
        return append(writer, rows, vectors)

    with monkeypatch.context() as context:
        context.setattr(StoreWriter, "append", append_until_killed)
        with pytest.raises(KeyboardInterrupt):
            run_together(source, store, 2)
    assert parts.parts_folder(store).is_dir()
    embedded, _ = run_together(source, store, 2)
    assert sum(embedded) == 0
    assert_equal(store, alone)


def test_pictures_that_changed_after_the_kill_are_embedded_again(source, photos, tmp_path):
    store = tmp_path / "store"
    run_together(source, store, 2, limits=[None, 4])
    Image.new("RGB", (30, 20), (250, 1, 1)).save(photos / "p0.png")
    (photos / "p1.png").unlink()
    make_old(photos)
    run_together(source, store, 2)
    alone = build_store(source, mean_colors, tmp_path / "alone", IDENTITY).path
    assert_equal(store, alone)
    assert "p1.png" not in Store.open(store).ids


def test_thumbnails_that_are_gone_are_made_again(source, alone, tmp_path):
    store = tmp_path / "store"
    run_together(source, store, 2, limits=[None, 2])
    shutil.rmtree(parts.part_folder(store, 0) / "thumbnails")
    run_together(source, store, 2)
    assert_equal(store, alone)


def test_damaged_vectors_of_a_part_are_computed_again(photos, tmp_path):
    store, source = tmp_path / "store", FolderSource(photos)
    alone = build_store(source, mean_colors, tmp_path / "alone", IDENTITY).path
    assert run_together(source, store, 2, limits=[None, 2])[0] == [7, 2, 0]
    (file,) = parts.part_folder(store, 0).glob("vectors*")
    content = bytearray(file.read_bytes())
    content[5] ^= 64
    file.write_bytes(content)
    embedded, _ = run_together(source, store, 2)
    assert sum(embedded) == 13 - 9 + 1
    assert_equal(store, alone)


@pytest.mark.slow
def test_moved_copied_changed_and_new_pictures_update_as_one_process_does(
    source, photos, alone, tmp_path
):
    store = tmp_path / "store"
    run_together(source, store, 2)
    (photos / "p3.png").rename(photos / "moved.png")
    (photos / "copy.png").write_bytes((photos / "p5.png").read_bytes())
    Image.new("RGB", (30, 20), (250, 1, 1)).save(photos / "p6.png")
    Image.new("RGB", (30, 20), (1, 1, 250)).save(photos / "new.png")
    (photos / "p7.png").unlink()
    make_old(photos)
    embedded, result = run_together(source, store, 3, prune=True)
    expected = update_store(source, mean_colors, alone, IDENTITY, prune=True)
    assert sum(embedded) == 2
    assert (result.embedded, result.removed) == (expected.embedded, expected.removed) == (2, 1)
    assert_equal(store, alone)


def test_drawn_garments_are_divided_as_well(tmp_path):
    source = CatalogueSource(size=5, picture_px=32)
    embedded, _ = run_together(source, tmp_path / "store", 2)
    assert embedded == [3, 2, 0]
    alone = build_store(source, mean_colors, tmp_path / "alone", IDENTITY).path
    assert_equal(tmp_path / "store", alone)


def test_parts_of_another_model_are_refused_and_left(photos, tmp_path):
    store, source = tmp_path / "store", FolderSource(photos)
    other = replace(IDENTITY, fingerprint="000000000000")
    run_together(source, store, 2, limits=[None, 2])
    with pytest.raises(StoreError, match=r"another model \(3f2a91c00000; now 000000000000\)"):
        run_together(source, store, 2, model=other)
    assert sum(run_together(source, store, 2)[0]) == 13 - 9


def test_parts_of_another_folder_are_refused_and_of_other_exclusions_used(source, photos, tmp_path):
    store = tmp_path / "store"
    run_together(source, store, 2, limits=[None, 2])
    (tmp_path / "other").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "other" / "a.png")
    with pytest.raises(StoreError, match="parts of an earlier run with another source"):
        run_together(FolderSource(tmp_path / "other"), store, 2)
    narrower = FolderSource(photos, exclude=["p2*"])
    embedded, _ = run_together(narrower, store, 2)
    assert sum(embedded) < 14 - 9 + 1
    alone = build_store(narrower, mean_colors, tmp_path / "alone", IDENTITY).path
    assert_equal(store, alone)


def test_a_store_of_another_model_is_refused_before_anything_is_embedded(source, alone):
    other = replace(IDENTITY, fingerprint="000000000000")
    with pytest.raises(StoreError, match="was built with model 3f2a91c00000"):
        run_together(source, alone, 2, model=other)
    assert not parts.parts_folder(alone).exists()


def test_two_runs_do_not_share_parts(source, tmp_path):
    store = tmp_path / "store"
    with (
        parts.locked_parts(store),
        pytest.raises(StoreError, match="is being written by another process"),
        parts.locked_parts(store),
    ):
        pass
    with parts.locked_parts(store):
        pass
    assert not parts.parts_folder(store).exists()


def test_an_empty_gallery_is_an_error_and_leaves_no_parts(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(ImageError, match="has no pictures in it"):
        run_together(FolderSource(tmp_path / "photos"), tmp_path / "store", 2)
    assert not parts.parts_folder(tmp_path / "store").exists()


def test_parts_that_are_not_in_the_shared_folder_are_an_error(source, tmp_path):
    store = tmp_path / "store"
    run_together(source, store, 2, limits=[None, 2])
    with pytest.raises(StoreError, match="has 2 of the 7 pictures that process 2 of 2 embedded"):
        parts.join_parts(source, mean_colors, store, IDENTITY, 4, expected=[7, 7])
    assert parts.parts_folder(store).is_dir()


def test_a_damaged_part_or_record_of_settings_names_the_cure(source, tmp_path):
    store = tmp_path / "store"
    run_together(source, store, 2, limits=[None, 2])
    settings = parts.parts_folder(store) / "settings.json"
    content = settings.read_text()
    settings.write_text(content[:20])
    with pytest.raises(StoreError, match=r"settings\.json: cannot be read .* Delete"):
        run_together(source, store, 2)
    settings.write_text(content)
    (file,) = parts.part_folder(store, 1).glob("*.sqlite")
    file.write_bytes(b"x" * 4096)
    with pytest.raises(StoreError, match=r"0001: .* cannot be read .* Delete the folder"):
        run_together(source, store, 2)

"""A picture is its content: what moves, is away or is touched is not embedded again, or lost."""

import os
import shutil
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dwc.datasets import image_loading
from dwc.datasets.image_details import ISSUES
from dwc.errors import ImageError, StoreError
from dwc.gallery import sources
from dwc.gallery.builder import build_store, update_store
from dwc.gallery.sources import FileItem, FolderSource
from dwc.gallery.store import DATABASE, Store, find_store, list_stores, match_id
from tests.gallery.conftest import make_old
from tests.gallery.embedding import IDENTITY, mean_colors
from tests.gallery.test_builder import assert_aligned


@pytest.fixture
def reads(monkeypatch):
    """The ids of the files that were opened."""
    opened = []
    read = FileItem._read
    monkeypatch.setattr(
        FileItem, "_read", lambda item, known: opened.append(item.id) or read(item, known)
    )
    return opened


def test_a_subtree_that_is_away_keeps_its_rows(build, photos, tmp_path):
    build(photos)
    shutil.move(photos / "deep", tmp_path / "elsewhere")
    (photos / "deep").mkdir()
    store = build(photos)
    assert (len(store), build.embedded) == (13, 0)
    assert store.away == {f"deep/er/q{n}.webp" for n in range(3)}
    assert store.manifest.summary()["away"] == 3
    remark = "3 pictures are not there now: kept as away. To remove them, index again with --prune."
    assert remark in store.manifest.remarks()
    one = replace(store.manifest, away=frozenset({"deep/er/q0.webp"}))
    assert one.remarks()[0].startswith("1 picture is not there now: kept as away. To remove it,")
    assert not store.picture("deep/er/q1.webp").original
    shutil.rmtree(photos / "deep")
    shutil.move(tmp_path / "elsewhere", photos / "deep")
    back = build(photos)
    assert (len(back), build.embedded, back.away) == (13, 0, frozenset())
    assert_aligned(back, photos)


def test_a_folder_of_archives_alone_is_refused_with_their_number(build, tmp_path):
    (tmp_path / "packed").mkdir()
    for name in ("a.zip", "b.7z"):
        (tmp_path / "packed" / name).write_bytes(b"PK")
    with pytest.raises(ImageError, match=r"2 kind not supported \(2 archives\)\. .*Unpack it"):
        build(tmp_path / "packed")


def test_a_gallery_that_is_empty_for_now_keeps_its_rows(build, photos, tmp_path):
    build(photos)
    shutil.move(photos, tmp_path / "elsewhere")
    photos.mkdir()
    store = build(photos)
    assert (len(store), len(store.away), build.embedded) == (13, 13, 0)
    photos.rmdir()
    with pytest.raises(ImageError, match="no such folder"):
        build(photos)
    assert len(Store.open(store.path)) == 13


def test_a_gallery_whose_drive_is_off_keeps_its_store(photos, tmp_path):
    source = FolderSource(photos)
    build_store(source, mean_colors, tmp_path / "store", IDENTITY)
    photos.rename(tmp_path / "elsewhere")
    away = FolderSource(photos, may_be_away=True)
    for prune in (False, True):  # what cannot be read is not known to be gone
        store = build_store(away, mean_colors, tmp_path / "store", IDENTITY, prune=prune)
        assert (len(store), len(store.away)) == (13, 13)
    with pytest.raises(ImageError, match="has no pictures in it"):
        build_store(away, mean_colors, tmp_path / "new store", IDENTITY)
    (tmp_path / "elsewhere").rename(photos)
    assert build_store(source, mean_colors, tmp_path / "store", IDENTITY).away == frozenset()


def test_a_time_of_change_in_the_future_is_trusted(build, photos, reads):
    for file in photos.rglob("*.png"):
        os.utime(file, (4_000_000_000, 4_000_000_000))
    build(photos)
    reads.clear()
    build(photos)
    assert reads == []


def test_away_pictures_are_removed_when_that_is_requested(build, photos):
    build(photos)
    shutil.rmtree(photos / "deep")
    store = build(photos, prune=True)
    assert (len(store), build.embedded, store.away) == (10, 0, frozenset())
    assert_aligned(store, photos)
    assert len(list(store.path.glob("thumbnails/*/*"))) == 10


@pytest.mark.parametrize("prune", [False, True])
def test_a_locked_subtree_keeps_its_rows(build, photos, monkeypatch, prune):
    build(photos)
    scan = os.scandir

    def locked(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr("os.scandir", locked)
    store = build(photos, prune=prune)
    assert (len(store), len(store.away), build.embedded) == (13, 3, 0)
    assert store.manifest.left_out == {"unreadable": 1}
    assert "Permission denied" in store.manifest.skipped["deep"]


def test_an_open_store_goes_on_while_its_gallery_shrinks(build, photos):
    reader = build(photos)
    shutil.rmtree(photos / "deep")
    build(photos)
    assert all(reader.thumbnail(id).is_file() for id in reader.ids)
    assert reader.picture("deep/er/q1.webp").image.size == (20, 30)


def test_moved_and_renamed_pictures_keep_their_vectors(build, photos, reads):
    build(photos)
    reads.clear()
    (photos / "deep").rename(photos / "2024")
    (photos / "p3.png").rename(photos / "a new name.png")
    store = build(photos)
    assert build.embedded == 0
    assert store.away == frozenset()
    assert len(store) == 13
    assert {"2024/er/q1.webp", "a new name.png"} <= set(store.ids)
    assert sorted(reads) == [f"2024/er/q{n}.webp" for n in range(3)] + ["a new name.png"]
    assert_aligned(store, photos)


def test_pictures_that_swap_names_swap_rows(build, photos):
    build(photos)
    for old, new in (("p1.png", "x"), ("p2.png", "p1.png"), ("x", "p2.png")):
        (photos / old).rename(photos / new)
    (photos / "p4.png").rename(photos / "p5.png")  # over another
    os.utime(photos / "p5.png", (1, 1))
    make_old(photos)
    store = build(photos)
    assert build.embedded == 0
    assert len(store) == 12
    assert_aligned(store, photos)


def test_copies_get_copies_of_the_vector(build, photos):
    build(photos)
    shutil.copytree(photos / "deep", photos / "copies")
    store = build(photos)
    assert (len(store), build.embedded) == (16, 0)
    assert_aligned(store, photos)


def test_unchanged_files_are_not_opened(build, photos, reads):
    build(photos)
    assert len(reads) == 13
    reads.clear()
    build(photos)
    assert reads == []
    os.utime(photos / "p3.png", (1_000_000_000, 1_000_000_000))
    build(photos)
    assert (reads, build.embedded) == (["p3.png"], 0)
    reads.clear()
    build(photos)
    assert reads == []


def test_a_file_that_was_just_written_is_read_again(build, photos, reads):
    Image.new("RGB", (9, 9), (1, 2, 3)).save(photos / "p2.png")
    build(photos)
    info = (photos / "p2.png").stat()
    content = (photos / "p2.png").read_bytes()
    Image.new("RGB", (9, 9), (3, 2, 1)).save(photos / "p2.png")
    if (photos / "p2.png").stat().st_size != len(content):
        (photos / "p2.png").write_bytes((photos / "p2.png").read_bytes().ljust(len(content), b"\0"))
    os.utime(photos / "p2.png", ns=(info.st_atime_ns, info.st_mtime_ns))  # size and time the same
    store = build(photos)
    assert build.embedded == 1
    assert_aligned(store, photos)


def test_files_that_could_not_be_read_are_not_read_at_each_start(build, photos, reads):
    (photos / "broken.jpg").write_text("a letter")
    make_old(photos)
    build(photos)
    reads.clear()
    store = build(photos)
    assert reads == []
    assert "broken.jpg" in store.manifest.skipped
    Image.new("RGB", (9, 9), (1, 2, 3)).save(photos / "broken.jpg")
    assert len(build(photos)) == 14


def test_each_new_file_is_opened_once(build, photos, reads):
    build(photos)
    assert len(reads) == len(set(reads)) == 13


def test_an_excluded_picture_leaves_the_store(photos, tmp_path):
    for exclude, count in (((), 13), (("deep/", "p1.png"), 9), ((), 13)):
        source = FolderSource(photos, exclude)
        store = build_store(source, mean_colors, tmp_path / "store", IDENTITY)
        assert len(store) == count
        assert_aligned(store, photos)
        assert FolderSource(**{k: v for k, v in source.spec.items() if k != "kind"}).spec == (
            source.spec
        )


def test_another_folder_is_refused_and_changes_nothing(build, photos, tmp_path):
    store = build(photos)
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (9, 9)).save(other / "a.png")
    with pytest.raises(StoreError, match=r"is the store of .*photos; its pictures are not those"):
        build(other)
    with pytest.raises(StoreError, match="is the store of"):
        build(photos / "deep")
    assert Store.open(store.path).ids == store.ids


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_a_gallery_has_one_store_whatever_leads_to_it(build, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = build(photos)
    (tmp_path / "link").symlink_to(photos)
    for name in (tmp_path / "link", "photos", "photos/../photos/", tmp_path / "link" / "."):
        assert FolderSource(name).spec == FolderSource(photos).spec
        again = build(name)
        assert (again.ids, build.embedded) == (store.ids, 0)


def test_a_renamed_gallery_keeps_its_store(build, photos, tmp_path):
    stores = tmp_path / "stores"
    store = build(photos, out=stores / f"photos-{IDENTITY.fingerprint}")
    assert find_store(stores, IDENTITY.fingerprint, FolderSource(photos)) == store.path
    renamed = tmp_path / "renamed"
    photos.rename(renamed)
    source = FolderSource(renamed)
    assert find_store(stores, IDENTITY.fingerprint, source) == store.path
    assert find_store(stores, "another model", source) is None
    assert [one.orphan for one in list_stores(stores)] == [True]
    again = build(renamed, out=store.path)
    assert (len(again), build.embedded, again.away) == (13, 0, frozenset())
    assert [one.orphan for one in list_stores(stores)] == [False]
    assert_aligned(again, renamed)


def test_a_store_of_an_older_version_opens_and_is_brought_up_to_date(build, photos, reads):
    store = build(photos)
    with sqlite3.connect(store.path / DATABASE) as connection:
        for table in ("files", "away", "report"):
            connection.execute(f"DROP TABLE {table}")
    connection.close()
    old = Store.open(store.path)
    assert (old.ids, old.away, old.manifest.left_out) == (store.ids, frozenset(), {})
    reads.clear()
    assert build(photos).ids == store.ids
    assert (len(reads), build.embedded) == (13, 0)
    reads.clear()
    build(photos)
    assert reads == []


def test_a_picture_that_was_decoded_otherwise_is_embedded_again(build, photos):
    store = build(photos)
    with sqlite3.connect(store.path / DATABASE) as connection:
        connection.execute("DELETE FROM report")
        connection.execute("UPDATE pictures SET pixel_hash = 'old' WHERE id = 'p3.png'")
    connection.close()
    again = build(photos)
    assert build.embedded == 1
    assert set(again.ids) == set(store.ids)
    assert_aligned(again, photos)


def test_what_is_left_out_reaches_the_manifest(build, photos):
    (photos / "@eaDir").mkdir()
    (photos / "a.jxl").write_bytes(b"x")
    (photos / ".hidden.png").write_bytes(b"x")
    (photos / "notes.txt").write_text("no picture")
    (photos / "cut.png").write_bytes((photos / "p1.png").read_bytes()[:60])
    Image.new("RGB", (9, 9)).save(photos / "profile.png", icc_profile=b"broken")
    summary = Store.open(build(photos).path).manifest.summary()
    assert summary["pictures"] == 14
    assert summary["left_out"] == {
        "kind not supported": 1, "service folder": 1, "hidden": 1, "not a picture": 1,
    }  # fmt: skip
    assert summary["unsupported"] == {"JPEG XL": 1}
    assert set(summary["skipped"]) == {"a.jxl", "cut.png"}
    assert summary["ignored_profiles"] == ["profile.png"]


def test_pictures_that_are_too_small_to_compare_well_are_counted(build, photos):
    small = build(photos).manifest.small
    Image.new("RGB", (47, 300), "red").save(photos / "small.png")
    Image.new("RGB", (48, 48), "blue").save(photos / "large-enough.png")
    manifest = build(photos).manifest
    assert manifest.small == manifest.summary()["small"] == small + 1
    assert any(f"{small + 1} pictures are too small" in text for text in manifest.remarks())
    for path in [path for path in photos.rglob("*.*") if path.name != "large-enough.png"]:
        path.unlink()
    manifest = build(photos, prune=True).manifest
    assert manifest.small == 0
    assert not any("too small" in text for text in manifest.remarks())


def files_with_issues(folder):
    """Write one file of each kind that is counted; return the ids by kind."""
    noise = Image.effect_noise((64, 96), 80).convert("RGB")
    noise.save(folder / "profile.png", icc_profile=b"broken")
    red, blue = Image.new("RGB", (64, 96), "white"), Image.new("RGB", (64, 96), "white")
    red.paste("red", (8, 8, 56, 88))
    blue.paste("blue", (8, 8, 56, 88))
    red.save(folder / "pages.tif", save_all=True, append_images=[blue])
    Image.new("RGB", (64, 96), "white").save(folder / "white.bmp")
    noise.save(folder / "half.bmp")
    content = (folder / "half.bmp").read_bytes()
    (folder / "half.bmp").write_bytes(content[: len(content) // 2] + bytes(len(content) // 2))
    strip = Image.new("RGB", (700, 96), "white")
    strip.paste(noise)
    strip.save(folder / "strip.png")
    return {"ignored_profiles": ["profile.png"], "other_frames": ["pages.tif"],
            "incomplete": ["half.bmp"], "blank": ["white.bmp"],
            "elongated": ["strip.png"]}  # fmt: skip


def issues_of(store):
    summary = Store.open(store.path).manifest.summary()
    return {name: summary[name] for name in ISSUES}


def test_pictures_with_issues_are_counted_until_they_change(build, tmp_path):
    folder = tmp_path / "issues"
    folder.mkdir()
    expected = files_with_issues(folder)
    make_old(folder)
    store = build(folder)
    assert issues_of(store) == expected
    remarks = " ".join(store.manifest.remarks())
    for text in ("1 broken color profile is ignored", "1 file has several pages or frames; one is",
                 "'pages.tif'", "1 picture is possibly incomplete", "'half.bmp'",
                 "1 picture is blank", "'white.bmp'",
                 "1 picture is very tall or wide (more than 2.5:1)",
                 "Cut it into pictures of one garment: 'strip.png'."):  # fmt: skip
        assert text in remarks
    assert issues_of(build(folder)) == expected
    assert build.embedded == 0
    with sqlite3.connect(store.path / DATABASE) as connection:  # as of an earlier version
        connection.execute("DELETE FROM report")
    connection.close()
    assert issues_of(build(folder)) == expected
    assert build.embedded == 0
    for name in ("pages.tif", "half.bmp", "white.bmp", "profile.png", "strip.png"):
        (folder / name).rename(folder / f"moved-{name}")
    shutil.copyfile(folder / "moved-half.bmp", folder / "copy.bmp")
    moved = {kind: [f"moved-{id}" for id in ids] for kind, ids in expected.items()}
    moved["incomplete"].insert(0, "copy.bmp")
    assert issues_of(build(folder, prune=True)) == moved
    assert build.embedded == 0
    for seed, file in enumerate(sorted(folder.iterdir())):
        Image.effect_noise((64, 96 + seed), 80).convert("RGB").save(file)
    assert issues_of(build(folder, prune=True)) == {kind: [] for kind in expected}


def test_the_issues_that_a_killed_build_found_are_counted(build, tmp_path):
    folder = tmp_path / "issues"
    folder.mkdir()
    Image.effect_noise((64, 96), 90).convert("RGB").save(folder / "a.png")
    store = build(folder)
    expected = files_with_issues(folder)
    make_old(folder)
    batches = []

    def die_in_the_second_batch(images):
        batches.append(len(images))
        if len(batches) == 2:
            raise KeyboardInterrupt
        return mean_colors(images)

    source = FolderSource(folder)
    with pytest.raises(KeyboardInterrupt):
        build_store(source, die_in_the_second_batch, store.path, IDENTITY, batch_size=2)
    assert issues_of(build(folder)) == expected
    assert build.embedded == 3


def die(images):
    raise KeyboardInterrupt


@pytest.mark.parametrize("change", ["rename", "copy", "overwrite"])
def test_the_issues_of_moved_and_copied_pictures_outlast_a_killed_build(build, tmp_path, change):
    folder = tmp_path / "issues"
    folder.mkdir()
    Image.new("RGB", (64, 96), "white").save(folder / "white.bmp")
    Image.effect_noise((64, 96), 90).convert("RGB").save(folder / "noise.bmp")
    make_old(folder)
    store = build(folder)
    target = folder / ("noise.bmp" if change == "overwrite" else "other.bmp")
    if change == "rename":
        (folder / "white.bmp").rename(target)
    else:
        shutil.copyfile(folder / "white.bmp", target)
    new = "white.bmp" if change == "overwrite" else "new.png"
    if change == "overwrite":
        shutil.copyfile(folder / "white.bmp", folder / "last.bmp")
    Image.effect_noise((64, 97), 90).convert("RGB").save(folder / new)
    make_old(folder)
    with pytest.raises(KeyboardInterrupt):
        build_store(FolderSource(folder), die, store.path, IDENTITY)
    expected = {"rename": ["other.bmp"], "copy": ["other.bmp", "white.bmp"],
                "overwrite": ["last.bmp", "noise.bmp"]}[change]  # fmt: skip
    assert issues_of(build(folder))["blank"] == expected
    assert build.embedded == 1


def test_an_issue_that_is_gone_stays_gone_after_a_killed_build(build, tmp_path):
    folder = tmp_path / "issues"
    folder.mkdir()
    for n in range(2):
        Image.new("RGB", (64, 96 + n), "white").save(folder / f"{n}.bmp")
    make_old(folder)
    store = build(folder)
    assert issues_of(store)["blank"] == ["0.bmp", "1.bmp"]
    for n in range(2):
        Image.effect_noise((64, 96 + n), 90).convert("RGB").save(folder / f"{n}.bmp")
    make_old(folder)
    batches = []

    def die_in_the_second_batch(images):
        batches.append(images)
        return mean_colors(images) if len(batches) == 1 else die(images)

    with pytest.raises(KeyboardInterrupt):
        build_store(
            FolderSource(folder), die_in_the_second_batch, store.path, IDENTITY, batch_size=1
        )
    assert issues_of(build(folder))["blank"] == []
    assert build.embedded == 1


def test_pictures_that_icloud_takes_off_the_disk_keep_their_rows(build, photos):
    build(photos)
    (photos / "p3.png").unlink()
    (photos / ".p3.png.icloud").write_bytes(b"bplist00")
    shutil.rmtree(photos / "deep")
    (photos / ".deep.icloud").write_bytes(b"bplist00")
    away = {"p3.png", *(f"deep/er/q{n}.webp" for n in range(3))}
    for prune in (False, True):
        store = build(photos, prune=prune)
        assert (len(store), build.embedded, store.away) == (13, 0, away)
        assert store.manifest.left_out == {"not downloaded from iCloud": 2}
        assert set(store.manifest.skipped) == {".p3.png.icloud", ".deep.icloud"}
        assert "left out: 2 not downloaded from iCloud" in store.manifest.remarks()
    (photos / ".p3.png.icloud").unlink()
    assert "p3.png" not in build(photos, prune=True).ids


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
def test_odd_names_do_not_end_the_run_and_come_back(build, photos):
    os.makedirs(os.fsencode(photos) + b"/odd/Andr\xe9")
    with open(os.fsencode(photos) + b"/odd/Andr\xe9/broken.png", "wb") as file:
        file.write(b"no picture")
    with open(os.fsencode(photos) + b"/odd/Andr\xe9/a\nb.png", "wb") as file:
        Image.new("RGB", (9, 9), (50, 60, 70)).save(file, "PNG")
    for _ in range(2):
        store = build(photos)
        assert set(store.manifest.skipped) == {"odd/Andr\\xe9/broken.png"}
        [reason] = store.manifest.skipped.values()
        assert "odd/Andr\\xe9/broken.png: is not a picture" in reason
        found = store.picture("odd/Andr\\xe9/a\nb.png")
        assert found.original
        assert found.image.getpixel((0, 0)) == (50, 60, 70)


def test_a_restricted_store_has_the_rows_of_its_pictures(build, photos):
    store = build(photos)
    assert store.restrict(store.ids) is store
    some = store.restrict(["p3.png", "p1.png", "unknown"])
    assert some.ids == ["p1.png", "p3.png"]
    for id in some.ids:
        assert np.array_equal(some.vectors[some.position(id)], store.vectors[store.position(id)])


def test_the_number_of_embedded_pictures_is_returned(photos, tmp_path):
    source = FolderSource(photos)
    first = update_store(source, mean_colors, tmp_path / "store", IDENTITY)
    assert (len(first.store), first.embedded, first.removed) == (13, 13, 0)
    assert update_store(source, mean_colors, tmp_path / "store", IDENTITY).embedded == 0


def assert_is_read_after(build, photos, name, repair):
    """A picture that could not be read is skipped, and read by the next build after `repair`."""
    for _ in range(2):
        store = build(photos)
        assert (len(store), set(store.manifest.skipped)) == (12, {name})
    repair()
    store = build(photos)
    assert (len(store), store.manifest.skipped, build.embedded) == (13, {}, 1)
    assert_aligned(store, photos)


def test_a_picture_that_was_too_large_is_read_when_more_is_allowed(build, photos, monkeypatch):
    Image.new("RGB", (600, 400), (1, 2, 3)).save(photos / "p3.png")
    make_old(photos)
    monkeypatch.setenv("DWC_MAX_DECODED_MB", "0.1")
    assert_is_read_after(
        build, photos, "p3.png", lambda: monkeypatch.setenv("DWC_MAX_DECODED_MB", "10")
    )


@pytest.mark.parametrize(
    ("error", "place"),
    [
        (PermissionError(13, "no"), "opening"),
        (OSError(5, "no"), "opening"),
        (OSError(5, "no"), "header"),
        (OSError(5, "no"), "decoding"),
        (MemoryError(), "decoding"),
    ],
)
def test_a_picture_that_could_not_be_accessed_is_read_when_it_can_be(
    build, photos, monkeypatch, error, place
):
    fails = True
    open_path, open_image = Path.open, image_loading._open_image

    def raise_error(*arguments):
        raise error

    def failing_open(path, *mode, **options):
        is_failing = fails and path.name == "p3.png" and place == "opening"
        return raise_error() if is_failing else open_path(path, *mode, **options)

    def failing_open_image(file, header, name):
        if not fails or not name.endswith("p3.png") or place == "opening":
            return open_image(file, header, name)
        if place == "header":
            raise error
        image = open_image(file, header, name)
        image.load = raise_error
        return image

    monkeypatch.setattr(Path, "open", failing_open)
    monkeypatch.setattr(image_loading, "_open_image", failing_open_image)

    def repair():
        nonlocal fails
        fails = False

    assert_is_read_after(build, photos, "p3.png", repair)


def test_a_failure_that_an_older_version_recorded_is_tried_again(build, photos, monkeypatch):
    (photos / "p3.png").rename(photos / "p3.hidden")
    store = build(photos)
    (photos / "p3.hidden").rename(photos / "p3.png")
    info = (photos / "p3.png").stat()
    with sqlite3.connect(store.path / DATABASE) as connection:
        connection.execute(
            "INSERT OR REPLACE INTO files VALUES ('p3.png', ?, ?, '', 'may not be read')",
            (info.st_size, info.st_mtime_ns),
        )
    connection.close()
    locked = True
    open_path = Path.open

    def open_unlocked(path, *mode, **options):
        if locked and path.name == "p3.png":
            raise PermissionError(13, "no")
        return open_path(path, *mode, **options)

    monkeypatch.setattr(Path, "open", open_unlocked)
    assert "p3.png" in build(photos).manifest.skipped  # forgets the older version's record
    locked = False
    assert "p3.png" in build(photos).ids


def dated_alike(folder, *names):
    """Give files the same size and the same modification time."""
    size = max((folder / name).stat().st_size for name in names)
    for name in names:
        (folder / name).write_bytes((folder / name).read_bytes().ljust(size, b"\0"))
        os.utime(folder / name, (1_600_000_000, 1_600_000_000))


def test_files_alike_in_size_and_time_that_swap_names_are_noticed(build, photos):
    dated_alike(photos, "p1.png", "p2.png")
    build(photos)
    for old, new in (("p1.png", "x"), ("p2.png", "p1.png"), ("x", "p2.png")):
        (photos / old).rename(photos / new)
    store = build(photos)
    assert build.embedded == 0
    assert_aligned(store, photos)


def test_folders_that_swap_names_are_noticed(build, photos):
    (photos / "front").mkdir()
    (photos / "back").mkdir()
    (photos / "p1.png").rename(photos / "front" / "a.png")
    (photos / "p2.png").rename(photos / "back" / "a.png")
    dated_alike(photos, "front/a.png", "back/a.png")
    build(photos)
    for old, new in (("front", "x"), ("back", "front"), ("x", "back")):
        (photos / old).rename(photos / new)
    store = build(photos)
    assert build.embedded == 0
    assert_aligned(store, photos)


@pytest.mark.skipif(sys.platform == "win32", reason="has no time of the last change")
def test_an_edit_that_restores_size_and_time_is_noticed(build, photos):
    dated_alike(photos, "p1.png", "p2.png")
    build(photos)
    (photos / "p1.png").write_bytes((photos / "p2.png").read_bytes())
    dated_alike(photos, "p1.png")
    store = build(photos)
    assert build.embedded == 0
    assert_aligned(store, photos)


def test_new_inodes_of_all_files_do_not_count_as_changes(build, photos, reads, monkeypatch):
    build(photos)
    reads.clear()
    stamp = sources.Stamp
    for offset in (1000, 2000):  # a drive that numbers its files anew when it is mounted

        def renumbered(size, mtime_ns, ctime_ns, inode, offset=offset):
            return stamp(size, mtime_ns, ctime_ns, inode + offset)

        monkeypatch.setattr(sources, "Stamp", renumbered)
        build(photos)
        Image.new("RGB", (9, 9), (offset // 10, 2, 3)).save(photos / f"new{offset}.png")
        os.utime(photos / f"new{offset}.png", (1_600_000_000, 1_600_000_000))
        build(photos)
        build(photos)
    assert reads == ["new1000.png", "new2000.png"]


def test_not_all_pictures_are_pruned(build, photos, tmp_path):
    build(photos)
    shutil.move(photos, tmp_path / "elsewhere")
    photos.mkdir()
    for count in (13, 14):  # in the end there is another drive, with another picture
        with pytest.raises(StoreError, match=r"none of the 13 pictures in .* is there any more"):
            build(photos, prune=True)
        store = Store.open(tmp_path / "store")
        assert (len(store), len(store.away), store.manifest.complete) == (count, 13, True)
        if count == 13:
            Image.new("RGB", (9, 9), (1, 2, 3)).save(photos / "other.png")
    store = build(photos, prune=True)  # one of the 14 is there
    assert (store.ids, store.away) == (["other.png"], frozenset())


def test_pictures_that_all_moved_are_followed_by_a_build_that_prunes(build, photos, tmp_path):
    build(photos)
    shutil.move(photos, tmp_path / "elsewhere")
    photos.mkdir()
    shutil.move(tmp_path / "elsewhere", photos / "2024")
    store = build(photos, prune=True)
    assert (len(store), build.embedded, store.away) == (13, 0, frozenset())


ACCENTED = "caf\u00e9.jpg"


@pytest.mark.parametrize(
    ("id", "matched"),
    [
        ("deep/p1.jpg", "deep/p1.jpg"),
        ("./deep/p1.jpg", "deep/p1.jpg"),
        ("deep//p1.jpg", "deep/p1.jpg"),
        ("Deep/P1.JPG", "deep/p1.jpg"),
        ("cafe\u0301.jpg", ACCENTED),
        ("./CAFE\u0301.jpg", ACCENTED),
        ("two.jpg", None),
        ("TWO.jpg", "TWO.jpg"),
        ("./TWO.jpg", "TWO.jpg"),
        ("p1.jpg", None),
        ("", None),
    ],
)
def test_an_id_is_matched_however_it_is_spelled(id, matched):
    assert match_id(id, ["deep/p1.jpg", ACCENTED, "Two.jpg", "TWO.jpg"]) == matched

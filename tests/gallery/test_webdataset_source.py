"""Galleries in tar files as WebDataset writes them."""

import io
import json
import os
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from dwc.errors import ImageError
from dwc.gallery.builder import build_store, update_store
from dwc.gallery.sources import FolderSource, HubDatasetSource, from_spec, open_source
from dwc.gallery.store import Store
from dwc.gallery.webdataset_source import WebDatasetSource
from tests.gallery.conftest import make_old
from tests.gallery.embedding import IDENTITY, mean_colors
from tests.gallery.test_walker import POSIX


def picture(n, kind="PNG"):
    content = io.BytesIO()
    Image.new("RGB", (30, 20), (20 * n, 100, 255 - 20 * n)).save(content, kind)
    return content.getvalue()


def write_tar(path, members, mtime=1_600_000_000, folder=False):
    if folder:
        path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            content = content.encode() if isinstance(content, str) else content
            info.size, info.mtime = len(content), mtime
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    write_tar(
        folder / "shop-000.tar",
        {
            "a/0.JPG": picture(0, "JPEG"),
            "a/0.JSON": json.dumps({"code": "00123", "price": 5, "note": "NA", "tags": ["x"]}),
            "./1.png": picture(1),
            "1.TXT": "12",
            "1.cls": "7\n",
            "notes.md": "no picture",
            "._1.png": b"AppleDouble",
        },
    )
    write_tar(
        folder / "shop-001.TAR",
        {"2.front.png": picture(2), "2.cls": "8", "train.png": picture(3), "raw.CR2": b"II*"},
    )
    return folder


IDS = ["shop-000.tar/a/0.JPG", "shop-000.tar/1.png", "shop-001.TAR/2.front.png",
       "shop-001.TAR/train.png"]  # fmt: skip


def test_a_folder_of_shards_is_indexed_with_its_metadata(shards, tmp_path):
    source = open_source(str(shards))
    assert isinstance(source, WebDatasetSource)
    store = build_store(source, mean_colors, tmp_path / "store", IDENTITY)
    assert store.ids == IDS
    expected = [Image.open(io.BytesIO(picture(n))) for n in (1, 2, 3)]
    assert np.allclose(store.vectors[1:], mean_colors(expected))
    types = {name: column.type for name, column in store.metadata.columns.items()}
    assert types == {
        "code": "text", "price": "number", "note": "text", "text": "text", "cls": "number",
    }  # fmt: skip
    rows = [store.metadata.row(n) for n in range(4)]
    assert rows == [
        {"code": "00123", "price": 5.0, "note": "NA"},
        {"text": "12", "cls": 7.0},
        {"cls": 8.0},
        {},
    ]
    assert store.manifest.unsupported == {"RAW": 1}
    assert store.manifest.left_out["not a picture"] == 2
    assert any("'tags'" in remark for remark in store.manifest.remarks())
    for id in store.ids:
        assert Store.open(store.path).picture(id).original


@pytest.mark.parametrize("pattern", ["shop-*.[tT][aA][rR]", "shop-{000..001}.*"])
def test_a_pattern_names_several_files(shards, pattern):
    source = WebDatasetSource(str(shards / pattern))
    assert [item.id for item in source.items()] == IDS
    assert [item.id for item in from_spec(source.spec).items()] == IDS


def test_one_file_and_what_is_no_such_file(shards, photos):
    assert [item.id for item in open_source(str(shards / "shop-001.TAR")).items()] == IDS[2:]
    for missing in ("none.tar", "none-*.tar", "shop-{5..9}.tar"):
        with pytest.raises(ImageError, match=r"no such \.tar file"):
            open_source(str(shards / missing))
    write_tar(photos / "backup.tar", {"x.png": picture(1)})
    assert isinstance(open_source(str(photos)), FolderSource)  # its pictures are the gallery


def test_a_picture_replaced_in_place_is_embedded_again(shards, tmp_path):
    path = shards / "shop-000.tar"
    source = WebDatasetSource(str(shards))
    build_store(source, mean_colors, tmp_path / "store", IDENTITY)
    result = update_store(source, mean_colors, tmp_path / "store", IDENTITY)
    assert result.embedded == 0
    content = path.read_bytes()
    old, new = picture(1), picture(9)
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    result = update_store(source, mean_colors, tmp_path / "store", IDENTITY)
    assert result.embedded == 1
    position = result.store.position("shop-000.tar/1.png")
    [vector] = mean_colors([Image.open(io.BytesIO(new))])
    assert np.allclose(result.store.vectors[position], vector)


def test_a_damaged_archive_is_said_and_the_rest_is_indexed(shards, tmp_path):
    whole = (shards / "shop-000.tar").read_bytes()
    (shards / "shop-002.tar").write_bytes(whole[:700])
    (shards / "shop-003.tar").write_bytes(b"no tar file at all" * 100)
    store = build_store(WebDatasetSource(str(shards)), mean_colors, tmp_path / "store", IDENTITY)
    assert set(store.ids) >= set(IDS)
    skipped = " ".join(store.manifest.skipped.values())
    assert "shop-003.tar: cannot be read as a tar file" in skipped
    assert "shop-002.tar" in skipped


@pytest.mark.parametrize(
    ("damage", "kept", "says"),
    [
        (lambda whole, offsets: whole[: offsets[5]], 5, "without the end of a tar file"),
        (lambda whole, offsets: whole[: offsets[5] + 200], 5, "without the end of a tar file"),
        (
            lambda whole, offsets: whole[: offsets[3]] + b"\xff" * 512 + whole[offsets[3] + 512 :],
            3,
            "has a damaged header at byte",
        ),
        (
            lambda whole, offsets: whole[: offsets[3]] + bytes(512) + whole[offsets[3] + 512 :],
            3,
            "goes on behind its end",
        ),
        (lambda whole, offsets: whole + whole, 8, "goes on behind its end"),
    ],
)
def test_pictures_behind_a_damaged_header_are_missed(tmp_path, damage, kept, says):
    path = tmp_path / "shop.tar"
    with tarfile.open(path, "w") as archive:
        for number in range(8):
            member = tarfile.TarInfo(f"p{number}.png")
            member.size = len(picture(number))
            archive.addfile(member, io.BytesIO(picture(number)))
    assert not WebDatasetSource(str(path)).list().left_out
    with tarfile.open(path) as archive:
        offsets = [member.offset for member in archive]
    path.write_bytes(damage(path.read_bytes(), offsets))
    listing = WebDatasetSource(str(path)).list()
    assert len(listing.items) == kept
    (left_out,) = listing.left_out.values()
    assert left_out.reason == "unreadable"
    assert says in left_out.message
    assert "Pictures behind it are missing." in left_out.message


def test_patterns_leave_out_members(shards):
    listing = WebDatasetSource(str(shards), ["a/", "train.*"]).list()
    assert [item.id for item in listing.items] == [IDS[1], IDS[2]]
    assert listing.reasons["excluded"] == 2


def test_patterns_that_leave_nothing_out_are_named(shards):
    (shards / "drafts").mkdir()
    write_tar(shards / "drafts" / "x.tar", {"x.png": picture(7)})
    patterns = ["a/", "drafts/", "SHOP-001.TAR/train.png", "train", "!1.png"]
    listing = WebDatasetSource(str(shards), patterns).list()
    assert list(listing.unused_patterns) == ["SHOP-001.TAR/train.png", "train", "!1.png"]
    again = WebDatasetSource(str(shards), ["*.tar/a/", "train.*", "!a/0.JPG", "!0.JPG"]).list()
    assert IDS[0] in [item.id for item in again.items]
    assert list(again.unused_patterns) == ["!a/0.JPG"]
    reason = listing.unused_patterns["SHOP-001.TAR/train.png"]
    assert reason == "Upper and lower case differ: there is shop-001.TAR/train.png."


def test_another_archive_is_another_gallery(shards, tmp_path):
    from dwc.errors import StoreError

    build_store(
        WebDatasetSource(str(shards / "shop-000.tar")), mean_colors, tmp_path / "store", IDENTITY
    )
    with pytest.raises(StoreError, match="is the store of"):
        build_store(
            WebDatasetSource(str(shards / "shop-001.TAR")),
            mean_colors,
            tmp_path / "store",
            IDENTITY,
        )


def reasons(source):
    """The ids of the pictures, and for each id that is left out its reason."""
    listing = source.list()
    return [item.id for item in listing.items], {
        id: entry.reason for id, entry in listing.left_out.items()
    }


def test_a_number_of_a_range_without_a_file_is_named(tmp_path):
    for number in (0, 1, 3):
        write_tar(tmp_path / f"shop-00{number}.tar", {f"{number}.png": picture(number)})
    source = WebDatasetSource(str(tmp_path / "shop-{000..003}.tar"))
    taken, left_out = reasons(source)
    assert taken == ["shop-000.tar/0.png", "shop-001.tar/1.png", "shop-003.tar/3.png"]
    assert left_out == {"shop-002.tar": "missing"}
    store = build_store(source, mean_colors, tmp_path / "store", IDENTITY)
    [message] = store.manifest.skipped.values()
    assert "shop-002.tar: does not exist, but shop-{000..003}.tar names it" in message
    assert "left out: 1 missing" in store.manifest.remarks()
    excluding = WebDatasetSource(str(tmp_path / "shop-{000..003}.tar"), ["shop-002.tar"])
    assert reasons(excluding)[1] == {"shop-002.tar": "excluded"}


def test_pictures_of_a_missing_file_are_away_until_they_are_pruned(tmp_path):
    for number in range(3):
        write_tar(tmp_path / f"shop-{number}.tar", {f"{number}.png": picture(number)})
    source = WebDatasetSource(str(tmp_path / "shop-{0..2}.tar"))
    build_store(source, mean_colors, tmp_path / "store", IDENTITY)
    (tmp_path / "shop-1.tar").unlink()
    store = build_store(source, mean_colors, tmp_path / "store", IDENTITY)
    assert store.away == {"shop-1.tar/1.png"}
    result = update_store(source, mean_colors, tmp_path / "store", IDENTITY, prune=True)
    assert (result.removed, len(result.store)) == (1, 2)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("{2..0}", ["0", "1", "2"]),
        ("{08..10}", ["08", "09", "10"]),
        ("{0..002}", ["000", "001", "002"]),
        ("{0..1}-{5..6}", ["0-5", "0-6", "1-5", "1-6"]),
    ],
)
def test_ranges_are_those_of_a_shell(tmp_path, pattern, names):
    write_tar(tmp_path / f"s{names[0]}.tar", {"a.png": picture(0)})
    taken, left_out = reasons(WebDatasetSource(str(tmp_path / f"s{pattern}.tar")))
    assert taken == [f"s{names[0]}.tar/a.png"]
    assert list(left_out) == [f"s{name}.tar" for name in names[1:]]
    for huge in ("{0..99999}-{0..99999}", "{0..99999999999999999999}"):
        with pytest.raises(ImageError, match="more than 100,000 files"):
            WebDatasetSource(str(tmp_path / f"s{huge}.tar"))


@POSIX
def test_files_in_a_folder_are_found_by_the_rules_for_pictures(shards, tmp_path):
    deleted = write_tar(tmp_path / "deleted.tar", {"deleted.png": picture(4)})
    for folder in (".Trash-1000/files", "#recycle", "@eaDir"):
        (shards / folder).mkdir(parents=True)
        shutil.copy(deleted, shards / folder / "old.tar")
    (shards / "@eaDir" / "preview.jpg").write_bytes(picture(5, "JPEG"))
    (shards / ".hidden.tar").write_bytes(deleted.read_bytes())
    (shards / "index.txt").write_text("two shards")
    (shards / "drafts").mkdir()
    shutil.copy(deleted, shards / "drafts")
    (shards / "a-latest.tar").symlink_to("shop-000.tar")
    (shards / "lost.tar").symlink_to("nowhere.tar")
    (tmp_path / "elsewhere").mkdir()
    write_tar(tmp_path / "elsewhere" / "more.tar", {"linked.png": picture(6)})
    (shards / "more").symlink_to(tmp_path / "elsewhere")
    source = open_source(str(shards), exclude=["drafts/"])
    assert isinstance(source, WebDatasetSource)
    taken, left_out = reasons(source)
    assert taken == ["more/more.tar/linked.png", *IDS]
    assert {id: reason for id, reason in left_out.items() if "tar/" not in id.lower()} == {
        ".Trash-1000": "hidden",
        "#recycle": "service folder",
        "@eaDir": "service folder",
        ".hidden.tar": "hidden",
        "index.txt": "not a picture",
        "drafts": "excluded",
        "a-latest.tar": "linked twice",
        "lost.tar": "unreadable",
    }
    assert source.item("more/more.tar/linked.png").open().size == (30, 20)


@POSIX
def test_files_that_match_a_pattern_are_found_by_the_same_rules(tmp_path):
    real = write_tar(tmp_path / "b" / "s-1.tar", {"a.png": picture(0)}, folder=True)
    (tmp_path / "b" / "s-0.tar").symlink_to(real)
    (tmp_path / "b" / "s-2.tar").symlink_to("nowhere.tar")
    write_tar(tmp_path / "#recycle" / "s-3.tar", {"d.png": picture(4)}, folder=True)
    (tmp_path / "b" / "s-4.tar").mkdir()
    assert reasons(WebDatasetSource(str(tmp_path / "*" / "s-?.tar"))) == (
        ["b/s-1.tar/a.png"],
        {
            "b/s-0.tar": "linked twice",
            "b/s-2.tar": "unreadable",
            "#recycle/s-3.tar": "service folder",
            "b/s-4.tar": "not a picture",
        },
    )
    assert reasons(WebDatasetSource(str(tmp_path / "#recycle" / "*.tar"))) == (
        ["s-3.tar/d.png"],
        {},
    )


@POSIX
def test_in_the_cache_of_the_hub_every_name_counts(tmp_path, monkeypatch):
    blob = write_tar(tmp_path / "blob", {"a.png": picture(0)})
    (tmp_path / "snapshot").mkdir()
    for name in ("x.tar", "y.tar"):
        (tmp_path / "snapshot" / name).symlink_to(blob)
    (tmp_path / "snapshot" / "logo.png").write_bytes(picture(3))
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda *args, **options: str(tmp_path / "snapshot")
    )
    assert reasons(HubDatasetSource("owner/name")) == (["x.tar/a.png", "y.tar/a.png"], {})


def test_folders_in_a_file_are_left_out_by_the_rules_for_folders(tmp_path):
    members = [
        "./a.png", "@eaDir/a.jpg/SYNO.png", "x/.Trash/b.png", "x/.Trash/b.json", "../c.png",
        "My.photoslibrary/originals/0/d.png", "My.photoslibrary/resources/0/d.png",
    ]  # fmt: skip
    path = write_tar(tmp_path / "s.tar", {n: picture(i) for i, n in enumerate(members)})
    taken, left_out = reasons(WebDatasetSource(str(path)))
    assert taken == ["s.tar/a.png", "s.tar/../c.png", "s.tar/My.photoslibrary/originals/0/d.png"]
    assert left_out == {
        "s.tar/@eaDir": "service folder",
        "s.tar/x/.Trash": "hidden",
        "s.tar/My.photoslibrary/resources": "service folder",
    }


@POSIX
def test_links_in_a_file_are_said(tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "a.png").write_bytes(picture(0))
    os.link(tmp_path / "in" / "a.png", tmp_path / "in" / "b.png")
    (tmp_path / "in" / "sub" / "c.png").symlink_to("../a.png")
    (tmp_path / "in" / "sub" / "d.png").symlink_to("/elsewhere/d.png")
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        archive.add(tmp_path / "in" / "a.png", "./a.png")
        archive.add(tmp_path / "in" / "b.png", "./b.png")
        archive.add(tmp_path / "in" / "sub", "./sub")
    source = WebDatasetSource(str(tmp_path / "s.tar"))
    assert reasons(source) == (
        ["s.tar/a.png"],
        {
            "s.tar/b.png": "linked twice",
            "s.tar/sub/c.png": "linked twice",
            "s.tar/sub/d.png": "unreadable",
        },
    )
    message = source.list().left_out["s.tar/sub/d.png"].message
    assert "is a link to /elsewhere/d.png" in message
    assert "--dereference" in message


def test_members_of_unread_kinds_are_read_if_their_content_can_be(tmp_path):
    members = {"a.psd": picture(0, "JPEG"), "b.jxl": b"8BPS", "c.nef": b"MM\0*", "d.svg": b""}
    source = WebDatasetSource(str(write_tar(tmp_path / "s.tar", members)))
    listing = source.list()
    assert [item.id for item in listing.items] == ["s.tar/a.psd"]
    assert listing.items[0].open().size == (30, 20)
    assert listing.unsupported == {"Photoshop": 1, "RAW": 1, "SVG": 1}


def test_a_file_replaced_by_one_of_the_same_time_is_read_again(shards, tmp_path):
    make_old(shards)
    path = shards / "shop-000.tar"
    source = WebDatasetSource(str(path))
    build_store(source, mean_colors, tmp_path / "store", IDENTITY)
    times = path.stat()
    new = tmp_path / "new.tar"
    new.write_bytes(path.read_bytes().replace(picture(1), picture(9)))
    os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
    new.replace(path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (times.st_size, times.st_mtime_ns)
    result = update_store(source, mean_colors, tmp_path / "store", IDENTITY)
    assert result.embedded == 1
    position = result.store.position("shop-000.tar/1.png")
    [vector] = mean_colors([Image.open(io.BytesIO(picture(9)))])
    assert np.allclose(result.store.vectors[position], vector)
    assert update_store(source, mean_colors, tmp_path / "store", IDENTITY).embedded == 0

"""Galleries in tar files as WebDataset writes them."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from dwc.errors import ImageError
from dwc.gallery.builder import build_store, update_store
from dwc.gallery.sources import FolderSource, from_spec, open_source
from dwc.gallery.store import Store
from dwc.gallery.webdataset_source import WebDatasetSource
from tests.gallery.embedding import IDENTITY, mean_colors


def picture(n, kind="PNG"):
    content = io.BytesIO()
    Image.new("RGB", (30, 20), (20 * n, 100, 255 - 20 * n)).save(content, kind)
    return content.getvalue()


def write_tar(path, members, mtime=1_600_000_000):
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

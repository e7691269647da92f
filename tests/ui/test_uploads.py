"""The lifetime and the limits of uploads."""

import os
import time

import pytest

from dwc.ui import uploads
from dwc.ui.uploads import UPLOAD_LIFETIME_SECONDS, delete_expired_uploads, is_full

HASH = "0123456789abcdef" * 4


def write(path, age=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"1")
    set_age(path, age)
    return path


def set_age(path, age):
    os.utime(path, (time.time() - age,) * 2)


def test_what_is_older_than_the_lifetime_is_deleted(tmp_path):
    old = UPLOAD_LIFETIME_SECONDS + 60
    fresh = write(tmp_path / HASH / "new.png", 60)
    write(tmp_path / HASH / "old.png", old)
    begun = write(tmp_path / "tmpabc", 60)
    write(tmp_path / "tmpdef", old)
    write(tmp_path / HASH[::-1] / "old.png", old)
    delete_expired_uploads(tmp_path)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {fresh, begun}


def test_an_empty_folder_goes_when_it_is_old(tmp_path):
    (tmp_path / HASH).mkdir()
    delete_expired_uploads(tmp_path)
    assert (tmp_path / HASH).is_dir()  # an upload may be on its way
    set_age(tmp_path / HASH, UPLOAD_LIFETIME_SECONDS + 60)
    delete_expired_uploads(tmp_path)
    assert not (tmp_path / HASH).exists()


def test_other_folders_and_what_links_lead_to_are_left_alone(tmp_path):
    old, folder = UPLOAD_LIFETIME_SECONDS + 60, tmp_path / "uploads"
    other = write(folder / "somebody's" / "old.png", old)
    outside = write(tmp_path / "outside" / "old.png", old)
    (folder / HASH).symlink_to(outside.parent)
    delete_expired_uploads(folder)
    assert other.exists()
    assert outside.exists()


def test_a_folder_that_does_not_exist_is_empty(tmp_path):
    delete_expired_uploads(tmp_path / "none")
    assert not is_full(tmp_path / "none")


@pytest.mark.parametrize(("limit", "value"), [("MAX_UPLOADED_FILES", 3), ("MAX_UPLOADED_BYTES", 3)])
def test_number_and_size_have_limits(tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(uploads, limit, value)
    write(tmp_path / HASH / "a.png")
    write(tmp_path / "tmpabc")
    assert not is_full(tmp_path)
    write(tmp_path / HASH / "b.png")
    assert is_full(tmp_path)

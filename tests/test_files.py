import hashlib
import json
import os
import threading

import pytest

from dwc import files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_written_file_appears_whole_and_alone(tmp_path):
    files.write_json(tmp_path / "deep" / "a.json", {"b": [1, 2]})
    assert json.loads((tmp_path / "deep" / "a.json").read_text()) == {"b": [1, 2]}
    assert (tmp_path / "deep" / "a.json").read_bytes().endswith(b"}\n")
    assert names(tmp_path / "deep") == ["a.json"]


@pytest.mark.parametrize("fsync", [False, True])
@pytest.mark.parametrize("unique", [False, True])
def test_a_failed_write_leaves_the_old_content(tmp_path, fsync, unique):
    path = tmp_path / "a.txt"
    files.write_text(path, "old\n")

    def write():
        with files.atomic_path(path, fsync=fsync, unique=unique) as partial:
            partial.write_text("half of the n")
            raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        write()
    assert path.read_text() == "old\n"
    assert names(tmp_path) == ["a.txt"]


def test_until_the_end_of_a_write_readers_get_the_old_content(tmp_path):
    path = tmp_path / "a.npy"
    files.write_bytes(path, b"old")
    with files.atomic_path(path) as partial:
        assert partial.suffix == ".npy"
        partial.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_fsync_reaches_the_file_before_its_rename(tmp_path, monkeypatch):
    order = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), sync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("replace"), replace(a, b)))
    files.write_bytes(tmp_path / "a", b"1", fsync=True)
    assert order == ["fsync", "replace", "fsync"]


def test_threads_that_write_one_file_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "a.txt"
    ready = threading.Barrier(2)
    failures = []

    def write(letter):
        try:
            with files.atomic_path(path) as partial:
                partial.write_text(letter)
                ready.wait(10)
                partial.write_text(partial.read_text() * 1000)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=letter) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert path.read_text() in ("a" * 1000, "b" * 1000)
    assert names(tmp_path) == ["a.txt"]


def test_a_fixed_temporary_name_reuses_what_a_kill_left(tmp_path):
    left = []
    for _ in range(2):
        with files.atomic_path(tmp_path / "pool.npy", unique=False) as partial:
            left.append(partial)
            partial.touch()
    assert left[0] == left[1]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "features"
    for content in ("one", "two"):
        with files.atomic_folder(folder) as partial:
            (partial / content).touch()
    assert names(folder) == ["two"]

    def fail():
        with files.atomic_folder(folder) as partial:
            (partial / "three").touch()
            raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        fail()
    assert names(folder) == ["two"]
    assert names(tmp_path) == ["features"]


def test_file_digest_is_the_hash_of_all_blocks(tmp_path):
    content = os.urandom(3_000_001)
    (tmp_path / "a").write_bytes(content)
    assert files.file_digest(tmp_path / "a") == hashlib.sha256(content).hexdigest()
    prefixed = hashlib.sha1(b"blob 3000001\0")
    expected = hashlib.sha1(b"blob 3000001\0" + content).hexdigest()
    assert files.file_digest(tmp_path / "a", prefixed) == expected


def test_equal_descriptions_have_equal_digests():
    assert files.description_digest({"a": 1, "b": 2}) == files.description_digest({"b": 2, "a": 1})
    assert files.description_digest({"a": 1}) != files.description_digest({"a": 2})
    assert len(files.description_digest(["x"])) == 12
    assert len(files.description_digest(["x"], digits=32)) == 32


def test_a_name_given_twice_is_no_json():
    assert files.parse_json('[{"a": 1}, {"a": 2, "b": {}}]') == [{"a": 1}, {"a": 2, "b": {}}]
    with pytest.raises(ValueError, match="'a' is given twice"):
        files.parse_json('{"b": {"a": 1, "a": 1}}')

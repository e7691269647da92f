"""Long lists of files lie on the disk, and read like lists."""

import os
import sqlite3
import tracemalloc

import pytest

from dwc.errors import ImageError
from dwc.gallery.listed_files import ListedFiles, SelectedItems
from dwc.gallery.walker import GalleryFile

IDS = ["b.png", "a/z.png", "a-b.png", "A.png", "é.png", "a/b/c.png"]


def file(id, path=None):
    return GalleryFile(id, path or f"/photos/{id}", len(id), 1_700_000_000_123_456_789, -5, 2**62)


def same(found):
    return found


def listed(files):
    return ListedFiles(iter(files), "/photos", same)


def test_the_files_are_a_sequence_in_the_order_of_their_ids():
    files = listed(map(file, IDS))
    expected = sorted(map(file, IDS))
    assert files == expected
    assert list(files.ids()) == [item.id for item in expected]
    assert (files[0], files[-1], files[1:3]) == (expected[0], expected[-1], expected[1:3])
    assert len(files) == 6
    assert file("a-b.png") in files
    with pytest.raises(IndexError, match="6 files"):
        files[6]
    assert listed([]) == []


def test_paths_that_are_no_text_or_lie_elsewhere_are_returned_as_they_are():
    odd = os.fsdecode(b"/photos/caf\xe9.png")
    files = listed([file("caf\\xe9.png", odd), file("z/a.png", "/other/a.png"), file("a.png")])
    assert [item.path for item in files] == ["/photos/a.png", odd, "/other/a.png"]


@pytest.mark.parametrize("positions", [[], [0], [2, 3, 4], [0, 3, 5], list(range(0, 3000, 2))])
def test_any_files_can_be_selected(positions):
    names = [f"{n:04}.png" for n in range(3000)]
    for items in (listed(map(file, names)), list(map(file, names))):
        selected = SelectedItems(items)
        for position in positions:
            selected.append(position)
        assert [item.id for item in selected] == [names[n] for n in positions]
        assert len(selected) == len(positions)


@pytest.mark.slow
def test_a_long_list_takes_no_more_memory_than_a_short_one():
    peaks = []
    for count in (10_000, 60_000):
        tracemalloc.start()
        files = listed(file(f"folder/{n}.png") for n in range(count))
        assert sum(1 for _ in files) == sum(1 for _ in files.ids()) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_a_full_disk_is_named(monkeypatch):
    class Connection(sqlite3.Connection):
        def executemany(self, *arguments):
            raise sqlite3.OperationalError("database or disk is full")

    def connect(name, **options):
        return Connection(name, **options)

    monkeypatch.setattr("dwc.gallery.listed_files.sqlite3.connect", connect)
    with pytest.raises(ImageError, match=r"/photos: the list .* disk is full.* SQLITE_TMPDIR"):
        listed(map(file, IDS))

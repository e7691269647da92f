import os

import pytest
from PIL import Image

from tests.gallery.embedding import IDENTITY, mean_colors


def make_old(folder):
    """Date every file in a folder a year back: a store trusts the date of no file just written."""
    for file in folder.rglob("*"):
        info = file.lstat()
        os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns - 31_536_000 * 10**9))


@pytest.fixture
def photos(tmp_path):
    """Thirteen plain pictures, each of its own color, two folders deep, of last year."""
    folder = tmp_path / "photos"
    (folder / "deep" / "er").mkdir(parents=True)
    for n in range(10):
        Image.new("RGB", (30, 20), (20 * n, 100, 255 - 20 * n)).save(folder / f"p{n}.png")
    for n in range(3):
        Image.new("RGB", (20, 30), (10, 80 * n, 90)).save(folder / "deep" / "er" / f"q{n}.webp")
    make_old(folder)
    return folder


@pytest.fixture
def build(tmp_path):
    """Builds a store from a folder, by default at `tmp_path / "store"`; counts the embedded."""
    from dwc.gallery.builder import build_store
    from dwc.gallery.sources import FolderSource

    def build(folder, out=tmp_path / "store", model=IDENTITY, batch_size=4, **options):
        build.embedded = 0

        def embed(images):
            build.embedded += len(images)
            return mean_colors(images)

        source = FolderSource(folder)
        return build_store(source, embed, out, model, batch_size=batch_size, **options)

    return build

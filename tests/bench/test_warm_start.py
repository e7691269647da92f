"""A start over an embedded gallery: with 100,000 pictures at most 1.5 times that with 100."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from dwc.checkpoints import load
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.search.image_embedding import model_identity
from dwc.ui.startup import store_folder
from tests.bench.measuring import in_turns, tell

pytestmark = pytest.mark.bench

ROOT = Path(__file__).parents[2]
SIZES = (100, 100_000)

START = """
import sys
from contextlib import contextmanager
from dwc.ui.blocks import build_page
from dwc.ui.gallery_images import StoreImages
from dwc.ui.panels.examples import choose_examples
from dwc.ui.startup import list_bundled, open_models

@contextmanager
def show(name):
    yield lambda *progress: None

models, store = open_models(list_bundled(), sys.argv[1], show, waits=False)
images = StoreImages(store)
build_page(models, images, choose_examples(images))
"""


def write_small_png(path, number):
    """An 8 x 8 PNG of a color of its own, dated a year back."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    row = b"\0" + bytes((number & 255, number >> 8 & 255, number >> 16)) * 8
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    content = header + chunk(b"IDAT", zlib.compress(row * 8, 1)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    os.utime(path, (1_600_000_000, 1_600_000_000))


@pytest.fixture
def galleries(tmp_path, monkeypatch):
    """Folders of each size, with their stores in the cache; the vectors are random."""
    monkeypatch.setenv("DWC_CACHE", str(tmp_path / "cache"))
    checkpoint = load.load(load.BUNDLED)
    model = model_identity(checkpoint)
    rng = np.random.default_rng(0)

    def embed(images):
        return rng.standard_normal((len(images), model.dimension)).astype(np.float32)

    folders = []
    for size in SIZES:
        folder = tmp_path / f"{size}"
        for number in range(size):
            inner = folder / f"{number // 1000:03}"
            inner.mkdir(parents=True, exist_ok=True)
            write_small_png(inner / f"{number:06}.png", number)
        source = FolderSource(folder)
        path = store_folder(checkpoint.fingerprint, source)
        assert len(build_store(source, embed, path, model, batch_size=1000)) == size
        folders.append(folder)
    return folders


def test_a_warm_start_over_many_small_pictures(galleries):
    def start(folder):
        subprocess.run([sys.executable, "-c", START, str(folder)], cwd=ROOT, check=True)

    few, many = galleries
    compared = in_turns(lambda: start(many), lambda: start(few), rounds=3)
    tell(
        "warm start over 100,000 pictures, against 100",
        f"{compared.ours_ms / 1e3:.1f} s, {compared.ratio:.2f} times",
        "at most 1.5 times",
    )
    assert compared.ratio <= 1.5

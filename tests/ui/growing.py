"""The app in this process over a gallery that is indexed batch by batch, when a test says so."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from dwc.search.image_embedding import image_embedder
from dwc.ui import indexing, startup
from dwc.ui.blocks import build_page
from dwc.ui.gallery_images import StoreImages
from dwc.ui.indexing import GalleryIndexing
from dwc.ui.monitoring import MonitoringOptions, add_monitoring
from dwc.ui.panels.examples import choose_examples
from dwc.ui.rest import add_program_access
from dwc.ui.startup import launch_options, open_meanwhile, open_models, serve_thumbnails
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery, free_port
from tests.ui.served import ServedApp

PICTURES = 100
BATCH = 32  # as the builder takes them


class Growing:
    """What is indexed, and how a test lets it go on."""

    def __init__(self, fails: bool) -> None:
        self.indexing = GalleryIndexing()
        self.app: Any = None
        self.models: Any = None
        self.images: Any = None
        self.waiting = 0  # batches that wait for the test
        self.thread: Any = None
        self._fails = fails
        self._batches = threading.Semaphore(1)  # the first one is embedded before the page opens

    def embedder(self, checkpoint):
        embed = image_embedder(checkpoint)

        def embed_when_told(images):
            self.waiting += 1
            self._batches.acquire()
            self.waiting -= 1
            if self._fails and len(images) < BATCH:
                raise OSError("no space left on the device")
            return embed(images)

        return embed_when_told

    def go_on(self, batches: int = 1) -> None:
        """Embed further batches, and wait until searches find what is in them."""
        expected = min(self.searchable + batches * BATCH, PICTURES)
        self._batches.release(batches)
        self.wait_until(lambda: self.searchable >= expected)

    def end(self) -> None:
        """Embed all that is left."""
        self._batches.release(100)

    def wait_until(self, is_done: Callable[[], bool]) -> None:
        """Wait for the other threads."""
        for _ in range(600):
            if is_done():
                return
            time.sleep(0.05)
        raise AssertionError(f"not done with {self.searchable} pictures")

    @property
    def searchable(self) -> int:
        status = self.indexing.status()
        assert status is not None
        return status.searchable


@contextmanager
def serve_growing(place: Path, fails: bool = False, models: int = 1) -> Iterator[Growing]:
    """Start the app when the first batch of its gallery is indexed, and stop it.

    Args:
        place: A folder for everything.
        fails: Whether the last batch cannot be embedded.
        models: How many models there are.
    """
    (place / "gallery").mkdir()
    gallery = draw_gallery(place / "gallery", PICTURES)
    growing = Growing(fails)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DWC_CACHE", str(place / "cache"))
        patch.setenv("GRADIO_TEMP_DIR", str(place / "uploads"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(startup, "image_embedder", growing.embedder)
        patch.setattr(indexing, "OPEN_AFTER_SECONDS", 0.0)
        patch.setattr(indexing, "_OPEN_AT_LATEST_SECONDS", 0.0)
        patch.setattr(indexing, "_SECONDS_BETWEEN", 0.0)
        torch.set_num_threads(1)
        folders = [str(write_tiny_checkpoint(place / f"model{n}", n)) for n in range(models)]
        pool, store = open_models(
            folders,
            str(gallery),
            lambda name: nullcontext(lambda *progress: None),
            indexing=growing.indexing,
        )
        images = StoreImages(store, growing.indexing)
        serve_thumbnails(images)
        page = build_page(pool, images, choose_examples(images))
        port = free_port()
        options = launch_options(images, "127.0.0.1", port)
        add_monitoring(page, options, pool, images, MonitoringOptions())
        add_program_access(options, pool, images)
        growing.thread = open_meanwhile(pool, (), store, growing.indexing)
        page.launch(**options, prevent_thread_lock=True, quiet=True, inbrowser=False)
        try:
            growing.models, growing.images = pool, images
            growing.app = ServedApp(page, port, place, store)
            yield growing
        finally:
            growing.end()
            growing.thread.join(60)
            page.close()

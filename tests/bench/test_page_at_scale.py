"""The page over 100,000 pictures, in a real browser: how closely it follows the hand.

The vectors are random, the pictures thirty files under many names: what is measured is the way
from the slider through the server to the cards, which neither depends on.
"""

import os
from itertools import cycle

import numpy as np
import pytest

from dwc.checkpoints import load
from dwc.gallery.builder import build_store
from dwc.gallery.sources import FolderSource
from dwc.search.image_embedding import model_identity
from dwc.ui.startup import store_folder
from tests.bench.measuring import tell
from tests.browser.conftest import browser, open_page  # noqa: F401  (fixtures)
from tests.browser.leaning import follow_the_hand
from tests.ui.live import draw_gallery, serve

pytestmark = [pytest.mark.bench, pytest.mark.browser]

PICTURES = 100_000
CARDS = 96
FOLLOWS_MS = 150


@pytest.fixture(scope="module")
def large_gallery(tmp_path_factory):
    """A folder of as many names, a thousand to a subfolder."""
    place = tmp_path_factory.mktemp("scale")
    (place / "figures").mkdir()
    figures = cycle(sorted(draw_gallery(place / "figures").iterdir()))
    folder = place / "gallery"
    for number in range(PICTURES):
        name = folder / f"{number // 1000:03d}" / f"{number:06d}.png"
        if number % 1000 == 0:
            name.parent.mkdir(parents=True)
        os.link(next(figures), name)
    return folder


@pytest.fixture(scope="module")
def address(browser, checkpoint_folder, cache, large_gallery, tmp_path_factory):  # noqa: F811
    loaded = load.load(checkpoint_folder)
    rng = np.random.default_rng(0)
    streams = model_identity(loaded).streams

    def embed(images):
        parts = [rng.standard_normal((len(images), size)) for size in streams.values()]
        unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
        return np.concatenate(unit, axis=1).astype(np.float32)

    source = FolderSource(large_gallery)
    place = tmp_path_factory.mktemp("served")
    os.environ["DWC_CACHE"] = str(place / "dwc")  # where the app looks, see `serve`
    try:
        build_store(
            source, embed, store_folder(loaded.fingerprint, source), model_identity(loaded), 256
        )
    finally:
        os.environ["DWC_CACHE"] = str(cache)
    with serve(checkpoint_folder, large_gallery, place) as url:
        yield url


@pytest.mark.parametrize("all_cards", [False, True], ids=["12 cards", "96 cards"])
def test_the_page_follows_the_hand_over_100_000_pictures(open_page, all_cards):  # noqa: F811
    page = open_page()
    cards = page.locator("#results .card")
    while all_cards and cards.count() < CARDS:
        shown = cards.count()
        page.click("#results [data-more]")
        page.wait_for_function(
            "shown => document.querySelectorAll('#results .card').length > shown", arg=shown
        )
    milliseconds = follow_the_hand(page)
    tell(
        f"the slider's move to new order, {PICTURES:,} pictures, {cards.count()} cards",
        f"{milliseconds:.0f} ms",
        f"at most {FOLLOWS_MS} ms",
    )
    assert milliseconds <= FOLLOWS_MS

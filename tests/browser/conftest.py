"""A Chromium on the real app: skipped where there is none, a failure there under CI."""

import os
import shutil
from pathlib import Path

import pytest

from dwc.checkpoints.load import fingerprint
from dwc.search.reference_weights import ReferenceQueries, ReferenceWeights
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery, serve

# The first has no window of its own to draw: a page costs two thirds of what it costs the others.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# It must reach nothing but the app, and a container gives it neither a sandbox nor a GPU.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def pytest_collection_modifyitems(items):
    """Run a browser test again when it only ran out of time, which a busy machine can cause."""
    again = pytest.mark.flaky(reruns=2, only_rerun=["TimeoutError", "no answer within"])
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(again)


@pytest.fixture(scope="session")
def browser():
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    missing = None if executable else f"none of {', '.join(BROWSERS)} is installed"
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing = "playwright is not installed: pip install -e .[dev]"
    if missing:
        if os.environ.get("CI"):
            pytest.fail(f"{missing}, and CI has to drive a browser")
        pytest.skip(missing)
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def address(browser, tmp_path_factory):
    """The app with every panel: its checkpoint has reference queries, so there is an atlas."""
    folder = tmp_path_factory.mktemp("browser")
    gallery = folder / "gallery"
    gallery.mkdir()
    model = write_tiny_checkpoint(folder / "model")
    images = sorted(file.name for file in draw_gallery(gallery).iterdir())
    weights = [round(0.05 + 0.03 * number, 6) for number in range(len(images))]
    queries = ReferenceQueries(
        references=images,
        words=[f"is blue {number}" for number in range(len(images))],
        picture_shares=[number % 5 / 5 for number in range(len(images))],
        image_weights={"clip": weights, "cnn": weights},
    )
    ReferenceWeights.from_queries(queries, "made", fingerprint(model)).save(model)
    with serve(model, gallery, folder) as url:
        yield url


@pytest.fixture
def open_page(browser, address):
    """Open the app in a window of its own; every error of its scripts fails the test."""
    pages, errors = [], []

    def open_page(width=1280, height=900, **options):
        page = browser.new_page(viewport={"width": width, "height": height}, **options)
        pages.append(page)
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.wait_for_selector("#results .card")
        # The script's start has run once the language is set: events are wired by then.
        page.wait_for_function("document.documentElement.lang === 'en'")
        # The server has filled the visit's state: a search is not overtaken by the page's opening.
        page.wait_for_function("history.state?.screen != null")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not errors

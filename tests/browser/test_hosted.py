"""The page where others host it: below a path, in a frame, and as a web component."""

import re
from urllib.parse import urlsplit

import pytest

from tests.browser.answers import await_answer
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery, serve
from tests.ui.reverse_proxy import proxied

pytestmark = pytest.mark.browser

PATH = "/demo/wardrobe"


@pytest.fixture(scope="module")
def proxy(browser, tmp_path_factory):
    """A web server that has the app below a path, and nothing else."""
    folder = tmp_path_factory.mktemp("hosted")
    (folder / "gallery").mkdir()
    gallery = draw_gallery(folder / "gallery")
    model = write_tiny_checkpoint(folder / "model")
    with (
        serve(model, gallery, folder, "--root-path", PATH) as address,
        proxied(PATH, urlsplit(address).port) as proxy,
    ):
        yield proxy


@pytest.fixture
def page(browser, proxy):
    """A page that notes where its requests go; errors of its scripts fail the test."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(30_000)
    errors, page.requested = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: page.requested.append(request.url))
    proxy.unknown.clear()
    yield page
    page.close()
    assert errors == []


def use(page, frame):
    """Search by words, then go on from the second result, which is an event of our own script."""
    frame.wait_for_selector("#results .card")
    frame.wait_for_function("window.dwcSession !== undefined")
    page.wait_for_timeout(500)  # the page's opening ends: what it fills in is not overtaken
    wait_for_pictures(frame)
    frame.fill("#words textarea", "is red")
    await_answer(page, lambda: frame.click("#search"))
    first = ids(frame)
    wait_for_pictures(frame)
    second = "#results .card:nth-child(2) [aria-keyshortcuts=F]"
    await_answer(page, lambda: frame.click(second))
    frame.wait_for_function("document.querySelector('#reference img')?.naturalWidth > 0")
    await_answer(page, lambda: frame.click("#search"))
    assert ids(frame) != first
    wait_for_pictures(frame)
    frame.click("#results .card:nth-child(2) .enlarge")
    large = f"{PATH}/gradio_api/large?"
    frame.wait_for_function(
        f"document.querySelector('#large-picture img')?.src.includes('{large}')"
    )


def ids(frame):
    return frame.eval_on_selector_all("#results .card", "cards => cards.map(c => c.dataset.id)")


def wait_for_pictures(frame):
    """Wait until the first row of results has its thumbnails."""
    frame.wait_for_function(
        "[...document.querySelectorAll('#results .card img')].slice(0, 3)"
        ".every(image => image.naturalWidth > 0)"
    )


def check_requests(page, proxy, elsewhere=""):
    """Everything came from below the path, except for addresses that match a pattern."""
    app = [url for url in page.requested if url.startswith(proxy.address)]
    assert any("/gradio_api/file=" in url for url in app)
    outside = [url for url in app if not url.startswith(f"{proxy.address}{PATH}/")]
    assert [url for url in outside if not re.fullmatch(elsewhere, urlsplit(url).path)] == []
    assert [path for path in proxy.unknown if not re.fullmatch(elsewhere, path)] == []


def test_below_a_path(page, proxy):
    page.goto(f"{proxy.address}{PATH}/")
    use(page, page.main_frame)
    check_requests(page, proxy)
    assert {urlsplit(url).netloc for url in page.requested if url.startswith("http")} == {
        urlsplit(proxy.address).netloc
    }
    assert urlsplit(page.url).path == f"{PATH}/"
    assert "text=is+red" in page.url or "text=is%20red" in page.url


def test_below_a_path_without_the_slash_at_its_end(page, proxy):
    page.goto(f"{proxy.address}{PATH}")
    page.wait_for_selector("#results .card")
    wait_for_pictures(page.main_frame)


def test_in_a_frame(page, proxy):
    frame = f'<iframe src="{proxy.address}{PATH}/" width="1200" height="850"></iframe>'
    with proxied(pages={"/": frame}) as host:
        page.goto(f"{host.address}/")
        (inner,) = page.main_frame.child_frames
        use(page, inner)
        check_requests(page, proxy)
        assert host.unknown == []
        assert page.url == f"{host.address}/"


def test_as_a_web_component(page, proxy):
    address = f"{proxy.address}{PATH}/"
    component = (
        "<!doctype html><title>Shop</title>"
        f'<script type="module" src="{address}gradio.js"></script>'
        f'<h1>A shop</h1><gradio-app src="{address}"></gradio-app>'
    )
    with proxied(pages={"/?id=7": component}) as host:
        page.goto(f"{host.address}/?id=7")
        use(page, page.main_frame)
        # Gradio asks the server's root for its style sheet first.
        check_requests(page, proxy, r"/assets/index-[\w-]+\.css")
        page.wait_for_function(
            f"document.querySelector('link[href^=\"{address}assets/index-\"]')?.sheet"
        )
        assert page.evaluate("window.dwcEmbedding.pageAddress().href") == address
        page.keyboard.press("Escape")
        page.click("#theme-toggle")
        page.wait_for_selector("gradio-app .dark .gradio-container, gradio-app.dark")
        # Gradio inserts pictures with relative addresses, which the page's script then completes.
        assert {path.partition("=")[0] for path in host.unknown} <= {"/gradio_api/file"}
        assert page.url == f"{host.address}/?id=7"
        assert page.evaluate("document.body.className") == ""

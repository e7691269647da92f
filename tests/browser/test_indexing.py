"""A page that opens while its gallery is indexed: the line with the progress, searches, the end."""

import pytest

from tests.browser.answers import await_answer
from tests.ui.growing import BATCH, PICTURES, serve_growing

pytestmark = pytest.mark.browser


@pytest.fixture
def growing(tmp_path):
    with serve_growing(tmp_path) as growing:
        yield growing


@pytest.fixture
def page(browser, growing):
    page, errors = browser.new_page(viewport={"width": 1280, "height": 900}), []
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"http://127.0.0.1:{growing.app.port}/")
    page.wait_for_selector("#indexing progress")
    yield page
    page.close()
    assert not errors


def await_line(page, text):
    page.wait_for_function(
        "text => document.querySelector('#indexing').innerText.includes(text)", arg=text
    )


def ids(page):
    return page.eval_on_selector_all("#results .card", "cards => cards.map((c) => c.dataset.id)")


def test_the_page_grows_with_its_gallery_and_keeps_what_the_visitor_has(page, growing):
    await_line(page, f"{BATCH} of {PICTURES} pictures")
    await_line(page, "left")
    assert "being indexed" in page.inner_text("#masthead")
    page.fill("#words textarea", "is blue")
    await_answer(page, lambda: page.click("#search"))
    assert f"Searched {BATCH} of {PICTURES} pictures" in page.inner_text("#results")
    page.wait_for_function("!document.getElementById('answer').hasAttribute('data-explaining')")
    found, address = ids(page), page.url
    with page.expect_download() as saving:
        page.click("[data-save=csv]")
    assert "searched_total" in saving.value.path().read_text(encoding="utf-8-sig")
    page.click("#gallery .pager button:has-text('Next')")
    page.wait_for_function("document.querySelector('#gallery .where').innerText.includes('25–32')")
    page.evaluate("document.activeElement.blur()")

    growing.go_on(2)
    await_line(page, f"{3 * BATCH} of {PICTURES} pictures")
    page.wait_for_function("document.querySelector('#gallery .where').innerText.includes('of 96')")
    assert page.inner_text("#gallery .where").startswith("25–48")
    growing.go_on()
    await_line(page, f"The gallery is indexed: {PICTURES} pictures")
    page.wait_for_function(
        "count => document.querySelector('#masthead').innerText.includes(`${count} pictures`)",
        arg=PICTURES,
    )
    assert (ids(page), page.url) == (found, address)
    assert page.input_value("#words textarea") == "is blue"
    # What explains the answer still explains it, over the pictures that it was made from.
    page.click("#results .card:nth-child(3) .frame")
    page.wait_for_function("document.querySelector('#why h3').innerText.includes('3')")
    assert f"of the {BATCH} pictures" in page.inner_text("#why")
    assert page.locator("#message .trouble").count() == 0

    await_answer(page, lambda: page.click("#search"))
    assert "Searched" not in page.inner_text("#results")
    assert f"of {PICTURES} shown" in page.inner_text("#results .more")
    page.reload()
    page.wait_for_function("document.querySelectorAll('#results .card').length > 0")
    assert "Searched" not in page.inner_text("#results")
    page.wait_for_function("document.querySelector('#indexing').innerText.trim() === ''")


def test_a_link_made_over_a_part_opens_over_the_whole(page, growing, browser):
    page.fill("#words textarea", "is red")
    await_answer(page, lambda: page.click("#search"))
    page.click("#share")
    page.wait_for_function("location.search.includes('text=is')")
    address = page.url
    growing.go_on(3)
    other = browser.new_page()
    other.set_default_timeout(20_000)
    other.goto(address)
    other.wait_for_selector("#results .card")
    assert f"of {PICTURES} shown" in other.inner_text("#results .more")
    other.close()


def test_a_link_with_settings_alone_waits_for_no_answer(page):
    """The page went on opening this search for good."""
    page.goto(f"{page.url}?shift=2")
    page.wait_for_function(
        "document.getElementById('answer-notice-text')?.innerText.includes('your first search')"
    )
    assert page.get_attribute("#answer", "data-waiting") is None
    page.wait_for_selector("#gallery .tile >> nth=3")
    thumbnail = page.get_attribute("#gallery .tile >> nth=3 >> img", "src")
    page.click("#gallery .tile >> nth=3")
    page.wait_for_function(
        "src => document.querySelector('#reference img')?.src.endsWith(src)", arg=thumbnail
    )
    page.fill("#words textarea", "is blue")
    await_answer(page, lambda: page.click("#search"))
    page.wait_for_function("location.search.includes('shift=2')")
    assert page.inner_text("#answer-notice-text") == ""


def test_a_failure_is_told_on_the_page(browser, tmp_path):
    with serve_growing(tmp_path, fails=True) as growing:
        page = browser.new_page()
        page.set_default_timeout(20_000)
        page.goto(f"http://127.0.0.1:{growing.app.port}/")
        page.wait_for_selector("#indexing progress")
        growing.end()
        await_line(page, "Indexing stopped at 96 of 100 pictures")
        page.wait_for_function(
            "document.querySelector('#masthead').innerText.includes('indexed in part')"
        )
        page.close()

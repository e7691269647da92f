"""A choice of models in a real browser: chosen, remembered by a link, told when one has gone."""

import shutil

import pytest

from tests.browser.answers import await_answer
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery, free_port, serve

pytestmark = pytest.mark.browser

CHOICE = "#model-choice"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("several")


@pytest.fixture(scope="module")
def address(browser, place):
    """Two models, of which one at a time is in memory."""
    (place / "gallery").mkdir()
    first, second = (write_tiny_checkpoint(place / n, s) for s, n in enumerate(("first", "second")))
    gallery = draw_gallery(place / "gallery")
    with serve(first, gallery, place, "--model", str(second), "--keep-loaded", "1") as url:
        yield url


def shown(page):
    return page.eval_on_selector_all(
        "#results .card .score", "scores => scores.map((score) => score.dataset.score)"
    )


def test_another_model_answers_the_same_question_and_explains_it(open_page):
    page = open_page()
    before, why = shown(page), page.inner_text("#why h3")
    assert page.locator(f"{CHOICE} option").all_text_contents() == ["first", "second"]
    page.focus(CHOICE)
    await_answer(page, lambda: page.keyboard.press("ArrowDown"))
    page.wait_for_function("before => document.querySelector('#why h3').textContent !== before",
                           arg=why)  # fmt: skip
    assert page.input_value(CHOICE) == "second"
    assert shown(page) != before
    assert page.evaluate("document.activeElement.id") == "model-choice"
    await_answer(page, lambda: page.click("#search"))
    assert shown(page) != before
    await_answer(page, lambda: page.select_option(CHOICE, "first"))
    assert shown(page) == before


def test_a_link_asks_the_model_that_answered(open_page):
    page = open_page()
    await_answer(page, lambda: page.select_option(CHOICE, "second"))
    found = shown(page)
    page.click("#share")
    page.wait_for_function("location.search.includes('model=second')")
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_function("document.querySelector('#model-choice')?.value === 'second'")
    page.wait_for_function(
        "score => document.querySelector('#results .score').dataset.score === score", arg=found[0]
    )
    assert shown(page) == found


def test_a_link_with_a_model_alone_shows_its_answer_to_the_opening_search(open_page, address):
    page = open_page()
    before = shown(page)
    page.goto(f"{address}?model=second")
    page.wait_for_function("document.querySelector('#model-choice')?.value === 'second'")
    page.wait_for_function("!document.getElementById('answer').hasAttribute('data-stale')")
    assert shown(page) != before


def test_a_step_of_the_history_is_answered_by_its_own_model(open_page):
    """The present model answered it, and what the step's own model had answered was lost."""
    page = open_page()
    page.fill("#words textarea", "is blue")
    await_answer(page, lambda: page.click("#search"))
    found = shown(page)
    await_answer(page, lambda: page.select_option(CHOICE, "second"))
    page.wait_for_function("document.querySelectorAll('#trail .stop').length === 3")
    assert page.inner_text("#trail [aria-current] .said") == "is blue; by second"
    await_answer(page, lambda: page.click('#trail button[data-step="2"]'))
    page.wait_for_function("document.querySelector('#model-choice').value === 'first'")
    assert shown(page) == found
    assert page.inner_text("#trail [aria-current] .said") == "is blue; by first"
    assert page.locator("#trail .stop").count() == 3


def test_a_model_that_has_gone_is_told_and_the_other_stays(open_page, place):
    page = open_page()
    await_answer(page, lambda: page.click("#search"))  # by the first, so that the second is let go
    before = shown(page)
    moved = place / "second", place / "elsewhere"
    shutil.move(*moved)
    try:
        page.select_option(CHOICE, "second")
        page.wait_for_selector("#message .trouble")
        assert "second cannot be loaded again" in page.inner_text("#message")
        assert page.input_value(CHOICE) == "first"
        assert shown(page) == before
    finally:
        shutil.move(*reversed(moved))
    await_answer(page, lambda: page.select_option(CHOICE, "second"))
    page.wait_for_function("document.querySelector('#message').innerText.trim() === ''")


@pytest.mark.parametrize("delay", [0, 30])
def test_a_search_just_after_a_choice_of_model_is_answered_by_it(open_page, delay):
    page = open_page()
    page.fill("#words textarea", "is blue")
    page.evaluate(
        """([choice, delay]) => {
          const models = document.querySelector(choice);
          models.value = "second";
          models.dispatchEvent(new Event("change", {bubbles: true}));
          setTimeout(() => document.getElementById("search").click(), delay);
        }""",
        [CHOICE, delay],
    )
    page.wait_for_function("history.state?.screen?.request.words === 'is blue'", timeout=60_000)
    page.wait_for_function("history.state.screen.request.model === 'second'", timeout=60_000)
    page.wait_for_function("!document.getElementById('answer').hasAttribute('data-stale')")
    assert page.input_value(CHOICE) == "second"


def test_a_search_by_a_model_that_is_not_served_any_more_says_so(browser, tmp_path):
    (tmp_path / "gallery").mkdir()
    gallery = draw_gallery(tmp_path / "gallery")
    first, second = (
        write_tiny_checkpoint(tmp_path / n, s) for s, n in enumerate(("first", "second"))
    )
    port = free_port()
    page = browser.new_page()
    page.set_default_timeout(20_000)
    with serve(first, gallery, tmp_path, "--model", str(second), port=port) as url:
        page.goto(url)
        page.wait_for_function("history.state?.screen != null")
        await_answer(page, lambda: page.select_option(CHOICE, "second"))
    with serve(first, gallery, tmp_path, port=port):
        for _ in range(2):
            page.fill("#words textarea", "is blue")
            await_answer(page, lambda: page.click("#search"))
            page.wait_for_function(
                """() => {
                    const text = document.querySelector("#message .trouble")?.textContent ?? "";
                    return text.includes("there is no model 'second' here. Choose one")
                        && text.includes("load it again");
                }"""
            )
    page.close()

"""What a person does with the page, in a real browser."""

import re

import pytest

from tests.browser.answers import await_answer

pytestmark = pytest.mark.browser

WORDS = "#words textarea"


def reference(page):
    image = page.locator("#reference img")
    return image.get_attribute("src") if image.count() else None


def search(page, words=None):
    """Search, and wait for the answer."""
    if words is not None:
        page.fill(WORDS, words)
    await_answer(page, lambda: page.click("#search"))


def complaint(page, words):
    search(page, words)
    page.wait_for_selector("#message .trouble")
    return page.inner_text("#message")


def cards(page):
    """Score and parts of every card, as the page tells them, once the first has its picture."""
    page.wait_for_function("document.querySelector('#results .card img').naturalWidth > 0")
    return page.eval_on_selector_all(
        "#results .card",
        """(cards) => cards.map((card) => ({
            id: card.dataset.id,
            score: Number(card.querySelector('.score').dataset.score),
            parts: Object.fromEntries([...card.querySelectorAll('.part')].map(
                (part) => [part.dataset.part, Number(part.dataset.value)])),
            widths: [...card.querySelectorAll('.part')].map(
                (part) => part.getBoundingClientRect().width),
        }))""",
    )


def contrast(page, selector):
    """WCAG's contrast ratio of an element's text to the nearest ground behind it."""
    return page.eval_on_selector(
        selector,
        """(element) => {
            const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
            const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
                .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
                .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
            let ground = element;
            while (ground && (rgb(getComputedStyle(ground).backgroundColor)[3] ?? 1) === 0)
                ground = ground.parentElement;
            const pair = [getComputedStyle(element).color,
                getComputedStyle(ground ?? document.body).backgroundColor].map(rgb).map(light);
            return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
        }""",
    )


def test_the_page_opens_with_an_answer(open_page):
    page = open_page()
    assert "This search listens to" in page.inner_text("#weights")
    assert len(cards(page)) == 12
    assert page.locator("#gallery .tile").count() == 24
    assert reference(page)


def test_a_question_asked_while_another_is_answered_is_answered_next(open_page):
    page = open_page()
    page.fill(WORDS, "is blue")

    def twice():
        page.click("#search")
        page.fill(WORDS, "is red with sequins")
        page.click("#search")

    await_answer(page, twice)
    assert page.inner_text("#unknown s") == "sequins"


def test_a_result_is_shown_large_and_closed_again(open_page):
    page = open_page()
    first = page.locator("#results .card").first
    first.hover()
    first.locator(".enlarge").click()
    page.wait_for_selector("#large-picture[open]")
    page.wait_for_function("document.querySelector('#large-picture img').src.includes('large?id')")
    assert page.eval_on_selector("#large-picture img", "(image) => image.naturalWidth") > 0
    described = first.locator(".frame img").get_attribute("alt")
    assert page.locator("#large-picture img").get_attribute("alt") == described
    page.keyboard.press("Escape")
    page.wait_for_selector("#large-picture", state="hidden")
    first.locator(".frame").focus()
    page.keyboard.press("l")
    page.wait_for_selector("#large-picture[open]")
    page.locator("#large-picture").click()
    page.wait_for_selector("#large-picture", state="hidden")


def test_a_gallery_picture_and_words_are_searched(open_page):
    page = open_page()
    before = reference(page)
    tile = page.locator("#gallery .tile").nth(6)
    chosen = tile.get_attribute("data-id")
    tile.click()
    page.wait_for_function(
        "(src) => document.querySelector('#reference img')?.src !== src", arg=before
    )
    search(page, "is blue with sequins")
    sentence = page.inner_text("#weights .sentence").replace("\xa0", " ")
    picture, words = map(int, re.findall(r"(\d+) %", sentence))
    assert picture + words == 100
    assert page.locator("#weights .pin-label").count() == 2
    assert page.inner_text("#unknown s") == "sequins"
    found = cards(page)
    assert chosen not in {card["id"] for card in found}
    for card in found:
        assert len(card["parts"]) == 4
        assert sum(card["parts"].values()) == pytest.approx(card["score"], abs=1e-4)
        assert sum(card["widths"]) > 0
    scores = [card["score"] for card in found]
    assert scores == sorted(scores, reverse=True)
    assert re.fullmatch(r"30 pictures · \d+ ms", page.inner_text("#results .timing"))


def test_from_here_makes_a_result_the_next_reference(open_page):
    page = open_page()
    search(page, "is blue")
    before = reference(page)
    thumbnail = page.get_attribute("#results .card:nth-child(2) img", "src")
    page.click("#results .card:nth-child(2) .meta button")
    page.wait_for_function(
        "(src) => document.querySelector('#reference img')?.src !== src", arg=before
    )
    assert reference(page).endswith(thumbnail)
    page.wait_for_function("document.activeElement.closest('#words') !== null")
    assert page.input_value(WORDS) == "is blue"


def test_an_example_is_one_click(open_page):
    page = open_page()
    button = page.locator("#examples button").nth(2)
    words = button.inner_text().strip()
    await_answer(page, button.click)
    assert page.input_value(WORDS) == words


def test_nothing_to_search_is_told_in_the_page_and_the_results_stay(open_page):
    page = open_page()
    before = cards(page)
    page.click("#reference [aria-label='Remove Image']")
    page.wait_for_selector("#reference img", state="detached")
    assert "nothing to search" in complaint(page, "")
    assert cards(page) == before
    search(page, "is blue")
    assert "the words alone" in page.inner_text("#weights")
    page.wait_for_function("document.querySelector('#message').innerText.trim() === ''")


def test_words_that_are_too_many_are_told(open_page):
    page = open_page()
    assert "Shorten" in complaint(page, "blue " * 201)
    search(page, "is blue with long sleeves " * 12)
    remarks = page.locator("#results .remark").all_inner_texts()
    assert "Only the beginning of the text was read" in " ".join(remarks)
    page.click("#read summary")
    assert "with long sleeves" in page.inner_text("#read s >> nth=0")


def test_an_upload_is_searched_and_a_broken_one_is_told(open_page, tmp_path):
    from PIL import Image

    page = open_page()
    broken, whole, large = (tmp_path / name for name in ("broken.png", "whole.png", "large.png"))
    Image.effect_noise((120, 80), 60).convert("RGB").save(whole)
    broken.write_bytes(whole.read_bytes()[:3000])
    large.write_bytes(b"0" * (60 * 1024 * 1024 + 1))
    chooser = "#reference input[type=file]"
    page.set_input_files(chooser, large)
    page.wait_for_selector("#refused-upload:not(:empty)")
    assert "at most" in page.inner_text("#refused-upload")

    with page.expect_response(re.compile("/upload")):
        page.set_input_files(chooser, broken)
    page.wait_for_function("document.querySelector('#reference img')?.src.includes('broken')")
    assert "cut short or damaged" in complaint(page, "")

    with page.expect_response(re.compile("/upload")):
        page.set_input_files(chooser, whole)
    page.wait_for_function("document.querySelector('#reference img')?.src.includes('whole')")
    search(page)
    assert "the picture alone" in page.inner_text("#weights")


def test_what_is_typed_is_text(open_page):
    page = open_page()
    search(page, "<img src=x>")
    assert page.locator("#unknown img").count() == 0
    assert page.inner_text("#unknown s")


def test_the_gallery_is_leafed_through(open_page):
    page = open_page()
    first = page.locator("#gallery .tile").first.get_attribute("data-id")
    page.click("#gallery button:has-text('Next')")
    page.wait_for_function("document.querySelectorAll('#gallery .tile').length === 6")
    assert page.inner_text("#gallery .where") == "25–30 of 30"
    page.click("#gallery button:has-text('First')")
    page.wait_for_function("document.querySelectorAll('#gallery .tile').length === 24")
    assert page.locator("#gallery .tile").first.get_attribute("data-id") == first


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_no_width_scrolls_sideways(open_page, width):
    page = open_page(width=width, height=800)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for selector in ("#reference", "#search", "#weights .dial", "#results .card", "#gallery"):
        box = page.locator(selector).first.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width + 0.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(open_page, scheme):
    page = open_page(color_scheme=scheme)
    assert page.evaluate("document.body.classList.contains('dark')") is (scheme == "dark")
    for selector in (
        ".masthead .title p", ".chip", "#like-this", "#words textarea", "#search",
        "#examples button span", "#weights .sentence", "#weights .sentence .of-image",
        "#weights .pin-label", "#weights .ends .of-text", "details.note summary",
        ".legend li", ".timing", ".split .of-image", ".split .of-text", ".percentile",
        ".card button", "#gallery .where", ".rank",
    ):  # fmt: skip
        assert contrast(page, selector) >= 4.5, selector


def test_the_toggle_turns_the_colours_and_is_remembered(open_page):
    page = open_page(color_scheme="light")
    toggle = page.locator("#theme-toggle")
    assert toggle.get_attribute("aria-pressed") == "false"
    toggle.click()
    assert toggle.get_attribute("aria-pressed") == "true"
    page.reload()
    page.wait_for_selector("#results .card")
    page.wait_for_function("document.body.classList.contains('dark')")


def test_a_search_by_keyboard_alone(open_page):
    page = open_page()
    page.focus(WORDS)
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("is red")
    await_answer(page, lambda: page.keyboard.press("Enter"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "search"
    outline = "getComputedStyle(document.activeElement).outlineWidth"
    assert page.evaluate(outline) == "3px"
    panel = "document.activeElement.closest('#message, #examples, #about-weights, #results')?.id"
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(panel))
    assert [name for name in dict.fromkeys(reached) if name] == [
        "examples",
        "about-weights",
        "results",
    ]


def test_every_picture_and_button_has_a_name(open_page):
    page = open_page()
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('#masthead button, #layout button, #layout img')]
            .filter((element) => element.checkVisibility())
            .filter((element) => !(element.getAttribute('aria-label') || element.alt ||
                element.textContent.trim() || element.querySelector('img[alt]:not([alt=""])')))
            .map((element) => element.outerHTML.slice(0, 120))"""
    )
    assert unnamed == []

"""Word-to-region maps, pinned answers and other wordings, in a real browser."""

import pytest

pytestmark = pytest.mark.browser

SIZES = [(1280, 1180), (360, 800)]


def search(page, words):
    page.fill("#words textarea", words)
    page.click("#search")
    told = "words => document.querySelector('#read q')?.textContent.includes(words)"
    page.wait_for_function(told, arg=words)
    page.wait_for_function(
        "words => document.querySelector('.region-words label')?.textContent.trim()"
        ".startsWith(words.split(' ')[0])",
        arg=words,
    )


def within(page, selector, width):
    for box in page.locator(selector).all():
        place = box.bounding_box()
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= width + 0.5


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_words_map_is_chosen_by_keys(open_page, width, height):
    page = open_page(width=width, height=height)
    search(page, "longer and blue")
    radios = page.locator(".region-words input")
    assert radios.count() == 3
    assert radios.first.is_checked()
    shown = ".region-frame img[data-word]:not([hidden])"
    assert page.locator(shown).count() == 1
    first = page.get_attribute(shown, "alt")
    assert first.startswith("“longer” looks")
    radios.first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelectorAll('.region-words input')[1].checked")
    assert page.locator(shown).count() == 1
    assert page.get_attribute(shown, "alt").startswith("“and” looks")
    caption = page.inner_text("#regions figcaption >> nth=0")
    assert caption.strip() == page.get_attribute(shown, "alt")
    frame, overlay = (page.locator(one).bounding_box() for one in (".region-frame >> nth=0", shown))
    assert overlay["width"] == pytest.approx(frame["width"], abs=1)
    within(page, "#regions, .region-frame, .region-words label", width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_an_answer_is_pinned_and_the_next_stands_beside_it(open_page, width, height):
    page = open_page(width=width, height=height)
    search(page, "longer and blue")
    learned = "section.ranking.learned li[data-id]"
    ids = "items => items.map((item) => item.dataset.id)"
    before = page.eval_on_selector_all(learned, ids)
    page.focus("#pin")
    page.keyboard.press("Enter")
    page.wait_for_selector(".ranking[aria-label='Pinned: longer and blue']")
    page.wait_for_function("document.activeElement.id === 'pin'")
    search(page, "red without sleeves")
    page.wait_for_selector(".ranking[aria-label='Pinned: longer and blue'] .moved")
    kept = ".ranking[aria-label='Pinned: longer and blue'] li[data-id]"
    assert page.eval_on_selector_all(kept, ids) == before
    within(page, ".ranking, .ranking img, .own-questions a", width)
    page.click("#pin")
    page.wait_for_selector(".ranking[aria-label^='Pinned']", state="detached")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_other_wordings_are_asked(open_page, width, height):
    page = open_page(width=width, height=height)
    search(page, "shorter and blue")
    page.fill("#wordings", "blue and shorter\nnavy")
    page.focus("#probe")
    page.keyboard.press("Enter")
    page.wait_for_selector(".wordings tbody tr >> nth=2")
    assert page.locator(".wordings tbody th").all_inner_texts()[0] == "shorter and blue"
    assert page.input_value("#wordings") == "blue and shorter\nnavy"
    page.wait_for_function("document.activeElement.id === 'probe'")
    within(page, "#paraphrase .scroller", width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.fill("#wordings", " ")
    page.click("#probe")
    page.wait_for_selector("#paraphrase .trouble")


def test_the_endpoints_are_public(open_page, address):
    page = open_page()
    told = page.request.get(f"{address}gradio_api/info").json()["named_endpoints"]
    assert {"/search", "/explain", "/compare", "/paraphrase"} <= set(told)
    for name, inputs in {
        "/explain": ["reference", "text", "id", "shift", "filter"],
        "/compare": ["reference", "text", "k", "filter"],
        "/paraphrase": ["reference", "text", "wordings", "k", "filter"],
    }.items():
        assert [one["parameter_name"] for one in told[name]["parameters"]] == inputs

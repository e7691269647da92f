"""The filter on the page: its section, the address, Back and Forward, and galleries without it."""

from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.browser.answers import await_answer
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery, serve

pytestmark = pytest.mark.browser

SECTION = "#facets details.facets"
SUMMARY = f"{SECTION} > summary"


@pytest.fixture(scope="module")
def address(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("filter")
    (folder / "gallery").mkdir()
    draw_gallery(folder / "gallery")
    lines = ["file_name,pattern,price,shade"]
    lines += [
        f"figure-{n:02d}.png,{'striped' if n % 2 else 'plain'},{n},{'abbcccdddd'[n % 10]}"
        for n in range(30)
    ]
    (folder / "gallery" / "metadata.csv").write_text("\n".join(lines))
    with serve(write_tiny_checkpoint(folder / "model"), folder / "gallery", folder) as url:
        yield url


def numbers(page, selector="#results .card"):
    ids = page.eval_on_selector_all(selector, "all => all.map((one) => one.dataset.id)")
    return [int(id[7:9]) for id in ids]


def ticked(page):
    return page.eval_on_selector_all("#facets :checked", "all => all.map((one) => one.value)")


def filter_of(page):
    return parse_qs(urlsplit(page.url).query).get("filter", [""])[0]


_ALL_STRIPED = """
() => {
    const ids = [...document.querySelectorAll('#results .card')].map((card) => card.dataset.id);
    return ids.length && ids.every((id) => id.match(/[0-9]+/)[0] % 2);
}
"""


def test_a_facet_filters_results_gallery_address_and_history(open_page):
    page = open_page()
    assert not page.is_visible("#facets .facet-value")  # compact until it is opened
    page.click(SUMMARY)
    page.click('#facets [data-facet="pattern"] summary')
    await_answer(page, lambda: page.click('#facets label:has([value="striped"])'), timeout=60)
    assert all(n % 2 for n in numbers(page))
    assert all(n % 2 for n in numbers(page, "#gallery .tile"))
    assert filter_of(page) == "pattern = striped"
    assert "pattern = striped · 15 of 30" in page.inner_text(SUMMARY)
    assert page.is_visible("#facets .facet-value")  # what was open is open
    assert page.evaluate("document.activeElement.value") == "striped"
    assert page.locator("#trail .stop").count() == 2

    page.click('#facets [data-facet="price"] summary')
    page.fill("#facets [data-end=greatest]", "12")
    await_answer(page, lambda: page.press("#facets [data-end=greatest]", "Tab"), timeout=60)
    assert sorted({*numbers(page)}) == [n for n in range(13) if n % 2 and n in numbers(page)]
    assert filter_of(page) == "pattern = striped and price <= 12"

    await_answer(page, page.go_back, timeout=60)
    assert filter_of(page) == "pattern = striped"
    assert page.is_checked('#facets [value="striped"]')
    assert "15 of 30" in page.inner_text(SUMMARY)
    await_answer(page, page.go_back, timeout=60)
    assert filter_of(page) == ""
    assert "all pictures" in page.inner_text(SUMMARY)
    assert any(n % 2 == 0 for n in numbers(page))
    await_answer(page, page.go_forward, timeout=60)
    assert filter_of(page) == "pattern = striped"
    await_answer(page, page.reload, timeout=60)
    # A busy server may pause between the page and the search that it shows again.
    page.wait_for_function(_ALL_STRIPED)
    assert "15 of 30" in page.inner_text(SUMMARY)


def test_the_ticks_and_fields_are_those_of_the_filter(open_page):
    """A choice changes the order of the values; a tick stayed where it was, at another value."""
    page = open_page()
    page.click(SUMMARY)
    for column in ("pattern", "shade"):
        page.click(f'#facets [data-facet="{column}"] summary')
    await_answer(page, lambda: page.click('#facets label:has([value="b"])'), timeout=60)
    assert ticked(page) == ["b"]
    await_answer(page, lambda: page.click('#facets label:has([value="plain"])'), timeout=60)
    assert sorted(ticked(page)) == ["b", "plain"]
    await_answer(page, page.go_back, timeout=60)
    assert ticked(page) == ["b"]
    assert page.input_value("#filter-text") == "shade = b"
    await_answer(page, lambda: page.click('#facets label:has([value="c"])'), timeout=60)
    assert filter_of(page) == "shade in (b, c)"
    assert sorted(ticked(page)) == ["b", "c"]
    page.fill("#filter-text", "price < 5")
    await_answer(page, lambda: page.press("#filter-text", "Enter"), timeout=60)
    assert ticked(page) == []
    await_answer(page, page.go_back, timeout=60)
    assert page.input_value("#filter-text") == "shade in (b, c)"
    assert sorted(ticked(page)) == ["b", "c"]


def test_a_search_stays_within_the_filter_of_the_address(open_page, address):
    page = open_page()
    condition = "price < 10 and not pattern = striped"
    page.goto(f"{address}?text=is%20red&filter={quote(condition)}")
    page.wait_for_function("history.state?.screen?.request.words === 'is red'", timeout=60_000)
    assert sorted(numbers(page)) == [0, 2, 4, 6, 8]
    page.fill("#words textarea", "is blue")
    await_answer(page, lambda: page.click("#search"), timeout=60)
    assert sorted(numbers(page)) == [0, 2, 4, 6, 8]
    assert filter_of(page) == "price < 10 and pattern != striped"
    page.click(SUMMARY)
    page.fill("#filter-text", "weight < 3")
    await_answer(page, lambda: page.press("#filter-text", "Enter"), timeout=60)
    assert "Its columns are: pattern, price" in page.inner_text("#facets [role=alert]")
    assert page.input_value("#filter-text") == "weight < 3"
    assert sorted(numbers(page)) == [0, 2, 4, 6, 8]
    await_answer(page, lambda: page.click("#filter-clear"), timeout=60)
    assert filter_of(page) == ""
    assert len(numbers(page)) == 12


@pytest.mark.parametrize("starts", ["button", "Enter"])
def test_a_search_applies_the_filter_that_is_typed(open_page, starts):
    """The answer ignored it, while the field showed it."""
    page = open_page()
    page.click(SUMMARY)

    def search(words):
        page.fill("#words textarea", words)
        if starts == "button":
            page.click("#search")
        else:
            page.press("#words textarea", "Enter")

    def await_words(words):
        page.wait_for_function(
            "words => history.state?.screen?.request.words === words", arg=words, timeout=60_000
        )
        page.wait_for_function("!document.getElementById('answer').hasAttribute('data-stale')")

    page.fill("#filter-text", "price < 6")
    search("is blue")
    await_words("is blue")
    assert filter_of(page) == "price < 6"
    assert max(numbers(page)) < 6

    page.fill("#filter-text", "weight < 3")
    search("is red")
    page.wait_for_selector("#facets [role=alert]")
    page.wait_for_function("document.activeElement.id === 'filter-text'")
    page.wait_for_timeout(500)
    assert page.evaluate("history.state.screen.request.words") == "is blue"

    page.fill("#filter-text", "")
    search("is red")
    await_words("is red")
    assert filter_of(page) == ""
    assert len(numbers(page)) == 12


@pytest.mark.parametrize("delay", [0, 30, 150])
def test_a_search_just_after_a_filter_is_filtered(open_page, delay):
    page = open_page()
    page.click(SUMMARY)
    page.click('#facets [data-facet="price"] summary')
    page.fill("#words textarea", "is blue")
    page.evaluate(
        """(delay) => {
          const most = document.querySelector("#facets [data-end=greatest]");
          most.value = "6";
          most.dispatchEvent(new Event("change", {bubbles: true}));
          setTimeout(() => document.getElementById("search").click(), delay);
        }""",
        delay,
    )
    page.wait_for_function("history.state?.screen?.request.filter === 'price <= 6'", timeout=60_000)
    page.wait_for_function("history.state.screen.request.words === 'is blue'", timeout=60_000)
    page.wait_for_function("!document.getElementById('answer').hasAttribute('data-stale')")
    assert filter_of(page) == "price <= 6"
    assert max(numbers(page)) <= 6

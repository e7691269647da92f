"""Leaning a search, and asking for its reasons, in a real browser."""

import json

import pytest

from tests.browser.leaning import SLIDER, follow_the_hand, lean

pytestmark = pytest.mark.browser


def shown(page):
    return page.eval_on_selector_all(
        "#results .card", "cards => cards.map((card) => card.dataset.id)"
    )


def sentence(page):
    return page.inner_text("#weights .sentence").replace("\xa0", " ")


def test_the_slider_leans_the_search_and_the_button_returns_to_what_was_learned(open_page):
    page = open_page()
    learned, said = shown(page), sentence(page)
    assert page.locator("#learned").is_disabled()
    lean(page, 0)
    page.wait_for_function(
        "document.querySelector('#weights .sentence').textContent.includes('the words alone')"
    )
    assert shown(page) != learned
    assert page.locator("#learned").is_enabled()
    page.click("#learned")
    page.wait_for_function(
        "said => document.querySelector('#weights .sentence').textContent"
        ".replaceAll('\\u00a0', ' ') === said",
        arg=said,
    )
    assert shown(page) == learned
    assert page.locator("#learned").is_disabled()


def test_the_slider_is_moved_by_keys_and_tells_where_it_stands(open_page):
    page = open_page()
    page.focus(SLIDER)
    page.keyboard.press("End")
    page.wait_for_function(
        "document.querySelector('#weights .sentence').textContent.includes('the picture alone')"
    )
    assert page.get_attribute(SLIDER, "aria-valuetext") == "picture 100 %, words 0 %"


@pytest.mark.parametrize("words", [None, "is red"], ids=["the same again", "another"])
def test_a_new_answer_takes_the_slider_back_to_what_was_learned(open_page, words):
    """An answer whose slider is written exactly as the last one's, too."""
    page = open_page()
    lean(page, 0.95)
    if words:
        page.fill("#words textarea", words)
    page.click("#search")
    page.wait_for_function(
        "document.querySelector('#weights .sentence').textContent.startsWith('This search')"
        f"&& document.querySelector('{SLIDER}').value"
        f"=== document.querySelector('{SLIDER}').dataset.learned"
    )
    assert page.get_attribute(SLIDER, "aria-valuetext").startswith("as learned")
    assert page.locator("#learned").is_disabled()
    lean(page, 0.2)  # and the slider that came can be leaned again
    assert page.locator("#learned").is_enabled()


def test_the_page_follows_the_hand(open_page):
    """At most 150 ms from the slider's move to the new order, the median of many moves."""
    assert follow_the_hand(open_page()) <= 150


def test_a_click_on_a_result_tells_why(open_page):
    page = open_page()
    assert page.inner_text("#why h3").startswith("Why no. 1 scores")
    page.click("#results .card:nth-child(3) .frame")
    page.wait_for_function("document.querySelector('#why h3').textContent.includes('no. 3')")
    page.wait_for_function(
        "document.querySelector('#words-effect').textContent.includes('score of no. 3')"
    )
    parts = page.eval_on_selector_all(
        "#why td.number[data-value]", "cells => cells.map((cell) => Number(cell.dataset.value))"
    )
    score = float(page.get_attribute("#results .card:nth-child(3) .score", "data-score"))
    assert sum(parts) == pytest.approx(score, abs=1e-4)


def test_lines_of_the_trace_are_named_when_focused(open_page):
    page = open_page()
    line = page.locator("#trace g.line").first
    line.focus()
    assert "as learned" in line.get_attribute("aria-label")
    page.wait_for_function(
        "getComputedStyle(document.activeElement.querySelector('.name')).opacity === '1'"
    )


def test_words_alone_have_nothing_to_lean_to(open_page):
    page = open_page()
    page.click("#reference [aria-label='Remove Image']")
    page.wait_for_selector("#reference img", state="detached")
    page.click("#search")
    page.wait_for_function(
        "document.querySelector('#weights .sentence').textContent.includes('the words alone')"
    )
    page.wait_for_selector(SLIDER, state="detached")
    page.wait_for_function(
        "document.querySelector('#trace').textContent.includes('nothing to lean to')"
    )


def test_results_are_saved_and_a_link_asks_the_same_again(open_page, tmp_path):
    page = open_page()
    lean(page, 0.9)
    for kind in ("csv", "json"):
        with page.expect_download() as download:
            page.click(f'#export button[data-save="{kind}"]')
        assert download.value.suggested_filename == f"dwc-results.{kind}"
        download.value.save_as(tmp_path / f"dwc-results.{kind}")
    told = json.loads((tmp_path / "dwc-results.json").read_text())
    found = shown(page)
    assert [hit["id"] for hit in told["results"]] == found
    assert (tmp_path / "dwc-results.csv").read_text().count("\n") == len(found) + 1
    words, position = page.input_value("#words textarea"), page.input_value(SLIDER)
    page.click("#share")
    page.wait_for_function("location.search.includes('shift=')")
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_function(
        "document.querySelector('#weights .sentence')?.textContent.startsWith('Leaned by hand')"
    )
    assert shown(page) == found
    assert page.input_value("#words textarea") == words
    assert page.input_value(SLIDER) == position
    assert page.locator("#learned").is_enabled()

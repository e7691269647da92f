"""Going on from a result, back along the way, further down the answer; at a desk and on a phone."""

import re

import pytest

pytestmark = pytest.mark.browser

WORDS = "#words textarea"
STOPS = "#trail button[data-step]"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 800, "has_touch": True}


def ids(page, cards="#results .card"):
    return page.eval_on_selector_all(cards, "cards => cards.map((card) => card.dataset.id)")


def shown(page):
    """Those that are not folded away."""
    return page.eval_on_selector_all(
        "#results .card",
        "cards => cards.filter((card) => card.checkVisibility()).map((card) => card.dataset.id)",
    )


def reference(page):
    return page.get_attribute("#reference img", "src")


def stops(page):
    """Row, column and words of every step, where one stands, and what is fainter."""
    return page.eval_on_selector_all(
        STOPS,
        """buttons => buttons.map((button) => {
            const stop = button.parentElement;
            return [Number(stop.style.gridRow.split(' ')[0]),
                Number(stop.style.gridColumn.split(' ')[0]),
                button.querySelector('.said').textContent,
                button.hasAttribute('aria-current'), stop.classList.contains('aside')];
        })""",
    )


def search(page, words, steps):
    """Ask, and wait until the way has so many steps."""
    page.fill(WORDS, words)
    page.click("#search")
    wait_for_steps(page, steps)


def wait_for_steps(page, steps):
    page.wait_for_function(
        "steps => document.querySelectorAll('#trail button[data-step]').length === steps", arg=steps
    )


def go_back(page, step, words):
    page.click(f'#trail button[data-step="{step}"]')
    page.wait_for_function(
        f"words => document.querySelector('{WORDS}').value === words "
        f"&& document.querySelector('#trail [data-step=\"{step}\"]').ariaCurrent === 'step'",
        arg=words,
    )


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_back_to_a_step_restores_it_and_another_question_branches(open_page, size):
    page = open_page(**size)
    search(page, "is red", 2)
    first = reference(page), ids(page)
    page.click("#results .card:nth-child(2) .meta button")
    page.wait_for_function(
        "src => document.querySelector('#reference img').getAttribute('src') !== src", arg=first[0]
    )
    search(page, "is shorter", 3)
    assert [stop[:2] for stop in stops(page)] == [[1, 1], [1, 2], [1, 3]]
    go_back(page, 2, "is red")
    page.wait_for_function(
        "id => document.querySelector('#results .card').dataset.id === id", arg=first[1][0]
    )
    assert (reference(page), ids(page)) == first
    search(page, "has no sleeves", 4)
    assert stops(page)[1:] == [
        [1, 2, "is red", False, False],
        [1, 3, "has no sleeves", True, False],
        [2, 3, "is shorter", False, True],
    ]
    frame = page.locator("#trail .way-frame").bounding_box()
    here = page.locator("#trail [aria-current]").bounding_box()
    assert frame["x"] <= here["x"]
    assert here["x"] + here["width"] <= frame["x"] + frame["width"] + 0.5
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_a_lean_is_restored_with_its_step(open_page):
    page = open_page()
    page.eval_on_selector(
        "#shift input",
        "slider => { slider.value = 0; slider.dispatchEvent(new Event('input', {bubbles: true})) }",
    )
    page.wait_for_function(
        "document.querySelector('#trail [aria-current]').ariaLabel.includes('leaned to')"
    )
    words, leaned = page.input_value(WORDS), ids(page)
    search(page, "is red", 2)
    go_back(page, 1, words)
    page.wait_for_function("document.querySelector('#shift input').value === '0'")
    assert ids(page) == leaned
    assert "Leaned by hand" in page.inner_text("#weights .sentence")


def test_the_way_is_walked_by_keys(open_page):
    page = open_page()
    words = page.input_value(WORDS)
    search(page, "is red", 2)
    page.focus(f"{STOPS}[aria-current]")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.dataset.step") == "1"
    page.keyboard.press("Enter")
    page.wait_for_function(f"words => document.querySelector('{WORDS}').value === words", arg=words)


def test_an_upload_that_was_deleted_is_said_so(open_page, tmp_path, tmp_path_factory):
    from PIL import Image

    page = open_page()
    picture = tmp_path / "deleted-soon.png"
    Image.effect_noise((90, 70), 60).convert("RGB").save(picture)
    with page.expect_response(re.compile("/upload")):
        page.set_input_files("#reference input[type=file]", picture)
    page.wait_for_function("document.querySelector('#reference img')?.src.includes('deleted-soon')")
    search(page, "is red", 2)
    page.wait_for_function(
        "document.querySelector('#trail [data-step=\"2\"] img').naturalWidth > 0"
    )
    page.click("#gallery .tile >> nth=4")
    page.wait_for_function(
        "!document.querySelector('#reference img')?.src.includes('deleted-soon')"
    )
    search(page, "is blue", 3)
    for kept in tmp_path_factory.getbasetemp().glob("browser*/uploads/**/deleted-soon*"):
        kept.unlink()
    answered = ids(page)
    page.click('#trail button[data-step="2"]')
    page.wait_for_selector("#trail [role=status]")
    assert "uploads are deleted after 10 minutes" in page.inner_text("#trail [role=status]")
    assert page.input_value(WORDS) == "is red"
    assert page.locator("#reference img").count() == 0
    assert page.locator("#message .trouble").count() == 0
    assert ids(page) == answered


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_more_results_follow_with_the_focus_and_stay_when_leaned(open_page, size):
    page = open_page(**size)
    first = ids(page)
    page.click("[data-more]")
    page.wait_for_function("document.querySelectorAll('#results .card').length === 24")
    page.wait_for_function(
        "document.activeElement.closest('.card')?.dataset.rank === '13'", timeout=5000
    )
    assert ids(page)[:12] == first
    sums = page.eval_on_selector_all(
        "#results .card",
        """cards => cards.map((card) => [Number(card.querySelector('.score').dataset.score),
            [...card.querySelectorAll('.part')]
                .reduce((sum, part) => sum + Number(part.dataset.value), 0)])""",
    )
    assert all(score == pytest.approx(total, abs=1e-4) for score, total in sums)
    page.click("[data-more]")
    page.wait_for_function("document.querySelectorAll('#results .card').length === 29")
    assert page.locator("[data-more]").count() == 0
    assert page.inner_text(".more .hint") == "29 of 29 shown."
    page.eval_on_selector(
        "#shift input",
        "slider => { slider.value = 0; slider.dispatchEvent(new Event('input', {bubbles: true})) }",
    )
    page.wait_for_function(
        "document.querySelector('#weights .sentence').textContent.includes('the words alone')"
    )
    assert len(ids(page)) == 29


def test_results_are_walked_by_keys_and_f_goes_on_from_one(open_page):
    page = open_page()
    page.focus("#results .card:nth-child(1) .frame")
    rank = "document.activeElement.closest('.card')?.dataset.rank"
    across = page.evaluate(
        "getComputedStyle(document.querySelector('.cards')).gridTemplateColumns.split(' ').length"
    )
    for key, expected in (("ArrowRight", 2), ("ArrowDown", 2 + across), ("ArrowUp", 2)):
        page.keyboard.press(key)
        assert page.evaluate(rank) == str(expected)
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#why h3').textContent.includes('no. 2')")
    page.focus("#results .card:nth-child(2) .frame")
    thumbnail = page.get_attribute("#results .card:nth-child(2) img", "src")
    page.keyboard.press("f")
    page.wait_for_function(
        "src => document.querySelector('#reference img').src.endsWith(src)", arg=thumbnail
    )
    page.wait_for_function("document.activeElement.closest('#words') !== null")
    words = page.input_value(WORDS)
    page.keyboard.type("f")  # in the words it is a letter
    assert page.input_value(WORDS) in ("f", f"{words}f")


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_look_alikes_are_folded_and_unfolded(open_page, size):
    page = open_page(**size)
    page.click("[data-more]")
    page.wait_for_function("document.querySelectorAll('#results .card').length === 24")
    everything = ids(page)
    under = page.eval_on_selector_all(
        "#results .card[data-under]",
        "cards => cards.map((card) => [card.dataset.id, card.dataset.under])",
    )
    assert under, "the figures of neighbouring hues look alike to an untrained model"
    assert shown(page) == everything
    assert page.locator("#results .alike").first.is_hidden()
    page.click("#fold")
    assert page.get_attribute("#fold", "aria-checked") == "true"
    folded = [id for id in everything if id not in dict(under)]
    page.wait_for_function("document.querySelectorAll('#results .card').length > 24")
    refilled = shown(page)
    assert refilled[: len(folded)] == folded
    assert len(refilled) == 24  # as many as before: what was folded is made up for
    everything, folded = ids(page), refilled
    under = page.eval_on_selector_all(
        "#results .card[data-under]",
        "cards => cards.map((card) => [card.dataset.id, card.dataset.under])",
    )
    assert f"{len(under)} of these {len(everything)}" in page.inner_text("#fold-told")
    button = page.locator("#results .alike").first
    rank = button.get_attribute("data-rank")
    own = [id for id, first in under if first == rank]
    assert button.inner_text().startswith(f"+{len(own)} look-alike")
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    assert page.evaluate("document.activeElement.classList.contains('alike')")
    place = folded.index(everything[int(rank) - 1]) + 1
    assert shown(page) == [*folded[:place], *own, *folded[place:]]
    button.click()
    assert shown(page) == folded
    button.click()
    page.click("#fold")
    page.wait_for_function("document.querySelectorAll('#results .card').length === 24")
    assert shown(page) == everything[:24]
    assert page.inner_text("#fold-told") == ""


def test_a_tapped_line_of_the_trace_shows_its_picture(open_page):
    page = open_page(**PHONE)
    assert page.locator("#trace .leaders img").first.is_visible()
    line = page.locator("#trace g.line.led").first
    assert page.locator("#trace .traced").is_hidden()
    page.locator("#trace svg").scroll_into_view_if_needed()
    x, y = line.evaluate(
        """line => {
            const dot = line.querySelector('circle').getBoundingClientRect();
            return [dot.x + dot.width / 2, dot.y + dot.height / 2];
        }"""
    )
    page.touchscreen.tap(x, y)
    page.wait_for_selector("#trace .traced:not([hidden])")
    picked = page.locator("#trace g.line.picked")
    assert picked.count() == 1
    shown = page.get_attribute("#trace .traced img", "src")
    assert shown.endswith(f"/{picked.get_attribute('data-picture')}")
    line = page.locator("#trace g.line").last
    line.focus()
    page.keyboard.press("Enter")
    assert page.inner_text("#trace .traced p") == page.locator(
        "#trace g.line.picked"
    ).get_attribute("aria-label")

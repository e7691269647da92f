"""The page for those who do not see it, or hear it read, or have no mouse, or a small screen."""

import os

import pytest

from tests.browser.axe import NoAxeError, fetch_axe, undecided_contrasts, violations
from tests.ui.growing import serve_growing

pytestmark = pytest.mark.browser

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 800, "has_touch": True}
SIZES = pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])

WORDS = "#words textarea"
LEAST_CONTRAST = 4.5
LEAST_TARGET_PX = 24
UNDECIDED = {
    "shortTextContent",  # a rank or a dot of one character, in the style of its longer neighbours
    "nonBmp",  # the minus sign, in the style of the plus beside it
    "elmPartiallyObscured",  # what a scroll frame cuts off; on the wide page it is whole
}


@pytest.fixture(scope="session")
def axe(request):
    """axe-core's script: skipped where it cannot be fetched, a failure there under CI."""
    try:
        return fetch_axe(request.config.cache.mkdir("axe-core"))
    except NoAxeError as missing:
        if os.environ.get("CI"):
            pytest.fail(f"{missing}, and CI has to run axe")
        pytest.skip(str(missing))


@pytest.fixture
def open_all(open_page):
    """Open the page and all that is folded on it, down to the map, which is drawn when seen."""

    def open_all(size, **options):
        page = open_page(**size, **options)
        page.locator("#map").scroll_into_view_if_needed()
        page.wait_for_selector("#map .map[data-drawn]", timeout=60_000)
        page.wait_for_selector("#regions .region-words")
        page.evaluate("for (const note of document.querySelectorAll('details')) note.open = true")
        return page

    return open_all


def ask_and_complain(page):
    """A search with a word that the model lacks, then one that cannot be: a page full of notes."""
    page.fill(WORDS, "is blue with sequins")
    page.click("#search")
    page.wait_for_selector('#trail button[data-step="2"]')
    page.click("#fold")
    page.locator("#results .alike").first.click()
    page.fill(WORDS, "blue " * 201)
    page.click("#search")
    page.wait_for_selector("#message .trouble")


@SCHEMES
@SIZES
def test_axe_finds_nothing_serious(open_all, axe, size, scheme):
    page = open_all(size, color_scheme=scheme)
    page.evaluate(axe)
    assert violations(page) == []
    # The slider lies over the dial, for axe as a cover; without it the dial's words are judged.
    # Words in drawings have a test of their own: axe takes a drawing for a picture.
    page.add_style_tag(content="#shift, svg text { display: none !important; }")
    undecided = undecided_contrasts(page)
    assert {reason: of for reason, of in undecided.items() if reason not in UNDECIDED} == {}


@SCHEMES
def test_axe_finds_nothing_serious_in_a_page_full_of_notes(open_all, axe, scheme):
    page = open_all(PHONE, color_scheme=scheme)
    ask_and_complain(page)
    page.evaluate(axe)
    assert violations(page) == []


@SCHEMES
def test_words_in_drawings_stand_out(open_all, scheme):
    """WCAG's ratio of a text's fill to the nearest ground behind its drawing."""
    page = open_all(DESK, color_scheme=scheme)
    faint = page.evaluate(
        """(least) => {
            const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
            const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
                .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
                .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
            const texts = [...document.querySelectorAll('svg text')];
            if (texts.length < 20) throw new Error(`only ${texts.length} texts are drawn`);
            return texts.filter((text) => {
                let ground = text;
                while ((rgb(getComputedStyle(ground).backgroundColor)[3] ?? 1) === 0)
                    ground = ground.parentElement;
                const pair = [getComputedStyle(text).fill,
                    getComputedStyle(ground).backgroundColor].map(rgb).map(light);
                return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05) < least;
            }).map((text) => text.outerHTML);
        }""",
        LEAST_CONTRAST,
    )
    assert faint == []


def test_on_a_phone_nothing_reaches_out_of_view(open_all):
    page = open_all(PHONE)
    ask_and_complain(page)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    outside = page.evaluate(
        """(width) => {
            const framed = (element) => {
                for (let around = element.parentElement; around; around = around.parentElement)
                    if (getComputedStyle(around).overflowX !== 'visible') return true;
                return false;
            };
            return [...document.querySelectorAll('#masthead *, #layout *')]
                .filter((element) => element.checkVisibility({visibilityProperty: true}))
                .filter((element) => {
                    const {left, right} = element.getBoundingClientRect();
                    return left < right && (left < -0.5 || right > width + 0.5);
                })
                .filter((element) => !framed(element))
                .map((element) => element.outerHTML.slice(0, 160));
        }""",
        PHONE["width"],
    )
    assert outside == []
    frames = page.locator(".scroller, .way-frame, .trace-frame").all()
    assert frames
    for frame in frames:
        box = frame.bounding_box()
        assert box["x"] >= -0.5 - 11  # the trail's frame begins in the page's margin
        assert box["x"] + box["width"] <= PHONE["width"] + 0.5


@SIZES
def test_what_is_touched_is_large_enough(open_all, size):
    """24 px either way. Not the lines of the trace, which are as thin as what they draw: the
    pictures that lead, and the table, are beside them. Nor labels above what they name."""
    page = open_all(size)
    page.click("#fold")
    small = page.evaluate(
        """(least) => [...document.querySelectorAll(
                'a[href], button, input, select, textarea, summary, [tabindex="0"]')]
            .filter((element) => element.checkVisibility({visibilityProperty: true}))
            .filter((element) => !element.matches('#trace g.line, input[type=file]'))
            .filter((element) => {
                const {width, height} = element.getBoundingClientRect();
                return width < least || height < least;
            })
            .map((element) => element.outerHTML.slice(0, 160))""",
        LEAST_TARGET_PX,
    )
    assert small == []


def test_nothing_moves_where_less_motion_is_wished(open_all):
    moving = """() => {
        const ms = (times) => Math.max(...times.split(',').map(
            (time) => parseFloat(time) * (time.trim().endsWith('ms') ? 1 : 1000)));
        const moves = [];
        for (const element of document.querySelectorAll('#masthead *, #layout *'))
            for (const part of [null, '::before', '::after']) {
                const style = getComputedStyle(element, part);
                const animated = style.animationName === 'none' ? 0 : ms(style.animationDuration);
                if (Math.max(ms(style.transitionDuration), animated) > 1 ||
                    style.scrollBehavior === 'smooth')
                    moves.push(element.outerHTML.slice(0, 100) + (part ?? ''));
            }
        return moves;
    }"""
    assert open_all(DESK, reduced_motion="no-preference").evaluate(moving), "there is motion"
    calm = open_all(DESK, reduced_motion="reduce")
    assert calm.evaluate(moving) == []
    assert calm.evaluate("document.getAnimations().length") == 0
    # The page leads back to the words at once, in the very frame, instead of scrolling there.
    calm.evaluate("document.querySelector('#gallery').scrollIntoView()")
    calm.evaluate("window.dwc.askAgain()")
    top = calm.evaluate("document.querySelector('#question').getBoundingClientRect().top")
    assert top >= -1


def test_every_picture_has_words_and_every_drawing_a_name_and_a_twin(open_all):
    page = open_all(DESK)
    assert page.locator("#layout img").count() > 40
    assert page.locator("#layout img:not([alt])").count() == 0
    # A name, unless it is kept from those who do not see it, as a button's sign is.
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('svg, canvas')]
            .filter((drawing) => !drawing.closest('[aria-hidden=true]'))
            .filter((drawing) => !drawing.closest('button')?.ariaLabel)
            .filter((drawing) => drawing.checkVisibility({visibilityProperty: true}))
            .filter((drawing) => !drawing.ariaLabel || !drawing.role)
            .map((drawing) => drawing.outerHTML.slice(0, 160))"""
    )
    assert nameless == []
    lines = page.locator("#trace g.line")
    assert lines.count() > 5
    assert page.locator("#trace details tbody tr").count() == lines.count()
    drawings = page.locator("#atlas figure svg")
    assert drawings.count() == page.locator("#atlas details table").count() == 4
    results = page.locator("#results .card").count()
    assert page.locator("#map details li").count() == results
    assert page.locator("#results .split .sr-only").count() == results
    assert page.locator("#reasons .steps + td:not(:empty)").count() == (
        page.locator("#reasons .steps").count()
    )
    spoken = page.inner_text("#weights .dial .sr-only")
    assert page.locator("#weights .pin").count() == spoken.count("stream listens") == 2
    hidden = page.locator(":is(#trace, #atlas, #map) [aria-hidden=true] :is(table, details)")
    assert hidden.count() == 0


def tab_to(page, selector, back=False, most=150):
    """Tab until what has the focus matches, as a person without a mouse has to."""
    for _ in range(most):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
            return
    pytest.fail(f"{selector} is not reached within {most} steps")


def wait_until_told(page, selector, words):
    page.wait_for_function(
        "([place, words]) => document.querySelector(place)?.textContent.includes(words)",
        arg=[selector, words],
    )


def test_from_a_search_to_a_lean_to_why_and_back_by_keys_alone(open_page):
    page = open_page()
    before = page.input_value(WORDS)
    tab_to(page, WORDS)
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("is red")
    page.keyboard.press("Enter")
    page.wait_for_selector('#trail button[data-step="2"]')

    tab_to(page, "#shift input")
    page.keyboard.press("Home")
    wait_until_told(page, "#weights .sentence", "the words alone")
    tab_to(page, "#learned")
    page.keyboard.press("Enter")
    wait_until_told(page, "#weights .sentence", "This search listens to")
    assert page.evaluate("document.activeElement.matches('#shift input')")

    tab_to(page, "#results .card:nth-child(3) .frame")
    page.keyboard.press("Enter")
    wait_until_told(page, "#why h3", "no. 3")

    tab_to(page, '#trail button[data-step="1"]', back=True)
    page.keyboard.press("Enter")
    page.wait_for_selector('#trail [data-step="1"][aria-current]')
    assert page.input_value(WORDS) == before


def test_the_whole_page_is_walked_by_tab_and_shows_where_one_is(open_all):
    page = open_all(DESK)
    # Of a group of radio buttons one is a stop, and the arrow keys lead to the others.
    expected = page.evaluate(
        """() => {
            const stops = [...document.querySelectorAll(
                    'a[href], button, input, select, textarea, summary, [tabindex="0"]')]
                .filter((stop) => stop.checkVisibility({visibilityProperty: true}))
                .filter((stop) => stop.tabIndex >= 0 && !stop.disabled)
                .filter((stop) => stop.type !== 'radio' || stop.checked);
            stops.forEach((stop, place) => { stop.dataset.stop = place; });
            getSelection().removeAllRanges();
            document.activeElement.blur();
            return stops.length;
        }"""
    )
    assert expected > 80
    reached, unseen = set(), []
    for _ in range(expected + 10):
        page.keyboard.press("Tab")
        place, seen, told = page.evaluate(
            """() => {
                const here = document.activeElement;
                const line = here.matches('g.line') && here.querySelector('polyline:last-of-type');
                const mark = here.matches('.region-words input') ? here.nextElementSibling : here;
                const style = getComputedStyle(mark);
                const seen = line ? parseFloat(getComputedStyle(line).strokeWidth) > 4
                    : style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
                return [here.dataset.stop ?? null, seen, here.outerHTML.slice(0, 120)];
            }"""
        )
        if place is None:  # past the last
            break
        reached.add(int(place))
        if not seen:
            unseen.append(told)
    assert sorted(reached) == list(range(expected))
    assert unseen == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_while_the_gallery_is_indexed(browser, axe, tmp_path, scheme):
    with serve_growing(tmp_path) as growing:
        page = browser.new_page(viewport={"width": 380, "height": 800}, color_scheme=scheme)
        page.set_default_timeout(20_000)
        page.goto(f"http://127.0.0.1:{growing.app.port}/")
        page.wait_for_selector("#indexing progress")
        page.evaluate(axe)
        # Gradio's empty box for uploads has a label that its words are no part of.
        assert [line for line in violations(page) if "upload-container" not in line] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.close()

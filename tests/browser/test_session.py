"""What the browser shows and what the server knows: restarts, cut networks, dropped sessions.

Whatever happens, nothing shows, saves or links an answer to another question than is asked.
"""

import json
import re
from contextlib import ExitStack
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from tests.browser.answers import await_answer
from tests.browser.leaning import SLIDER, lean
from tests.browser.proxy import Proxy
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery, free_port, serve

pytestmark = pytest.mark.browser

WORDS = "#words textarea"
NOTICE = "#answer-notice-text"


class Server:
    """The app on one port, behind a network that can be cut; it can be restarted."""

    def __init__(self, place):
        self.place = place
        (place / "gallery").mkdir()
        self.gallery = draw_gallery(place / "gallery")
        self.model = write_tiny_checkpoint(place / "model")
        self.port = free_port()
        self.running = ExitStack()
        self.start()
        self.proxy = Proxy(self.port)
        self.address = f"http://127.0.0.1:{self.proxy.port}/"

    def start(self):
        self.running.enter_context(serve(self.model, self.gallery, self.place, port=self.port))

    def stop(self):
        self.running.close()

    def restart(self, model=None, gallery=None):
        self.stop()
        self.model = model or self.model
        self.gallery = gallery or self.gallery
        self.start()

    def close(self):
        self.stop()
        self.proxy.close()


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("session"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def address(server):
    return server.address


def cards(page):
    return page.eval_on_selector_all(
        "#results .card", "cards => cards.map((card) => [card.dataset.id, "
        "card.querySelector('.score').dataset.score])"
    )  # fmt: skip


def search(page, words, tile=None):
    if tile is not None:
        thumbnail = page.get_attribute(f"#gallery .tile >> nth={tile} >> img", "src")
        page.click(f"#gallery .tile >> nth={tile}")
        page.wait_for_function(
            "src => document.querySelector('#reference img').src.endsWith(src)", arg=thumbnail
        )
    page.fill(WORDS, words)
    await_answer(page, lambda: page.click("#search"), timeout=45)
    wait_for_step(page, words)


def wait_for_step(page, words):
    page.wait_for_function(
        "words => history.state?.screen?.request.words === words && history.state.step",
        arg=words,
    )


def save(page, kind="csv"):
    with page.expect_download() as download:
        page.click(f'#export button[data-save="{kind}"]')
    return download.value.path().read_text()


def untimed(content):
    return re.sub(r'"timings_ms": \{.*?\}', "", content, flags=re.DOTALL)


class Forgetful:
    """Between page and server: `forget` gives the visit another session, as if it was dropped.

    Only for events that pass by the queue: the answers of the others come by a stream of the
    session in which it was opened.
    """

    def __init__(self, page):
        self.sessions = 0
        page.route(re.compile("/run/predict"), self._rename)

    def forget(self):
        self.sessions += 1

    def _rename(self, route):
        data = route.request.post_data_json
        data["session_hash"] = f"another{self.sessions}"
        route.continue_(post_data=json.dumps(data))


def test_buttons_act_on_the_screen_after_a_restart_and_dropped_sessions(open_page, server):
    page = open_page()
    search(page, "is red", tile=5)
    before = cards(page)
    saved = {kind: save(page, kind) for kind in ("csv", "json")}
    server.restart()
    assert save(page) == saved["csv"]
    assert cards(page) == before
    session = Forgetful(page)

    session.forget()
    assert untimed(save(page, "json")) == untimed(saved["json"])

    session.forget()
    page.click("[data-more]")
    page.wait_for_function("document.querySelectorAll('#results .card').length === 24")
    assert cards(page)[:12] == before

    # The page's own session has not been heard of since the restart.
    page.click("#results .card:nth-child(3) .frame")
    page.wait_for_function("document.querySelector('#why h3').textContent.includes('no. 3')")
    parts = page.eval_on_selector_all(
        "#why td.number[data-value]", "cells => cells.map((cell) => Number(cell.dataset.value))"
    )
    assert sum(parts) == pytest.approx(float(before[2][1]), abs=1e-4)

    session.forget()
    lean(page, 0.9)
    page.wait_for_function("location.search.includes('shift=')")
    leaned = cards(page)
    answer = json.loads(save(page, "json"))
    assert answer["query"]["text"] == "is red"
    assert [result["id"] for result in answer["results"]] == [id for id, _ in leaned]

    session.forget()
    page.click("#learned")
    page.wait_for_function("!location.search.includes('shift=')")
    assert cards(page)[:12] == before

    session.forget()
    page.click("#fold")
    page.wait_for_function("history.state.screen.request.folded")
    page.click("#fold")
    page.wait_for_function("!history.state.screen.request.folded")
    assert cards(page)[:12] == before

    page.click("#pin")
    page.wait_for_selector("#compare q")
    assert "is red" in page.inner_text("#compare q")
    page.fill("#wordings", "is navy")
    page.click("#probe")
    page.wait_for_selector("#paraphrase table")
    assert "is red" in page.inner_text("#paraphrase table")

    page.click("#share")
    assert parse_qs(urlsplit(page.url).query)["text"] == ["is red"]
    page.click("#trail button[data-step] >> nth=0")
    page.wait_for_function("history.state.screen.request.words !== 'is red'")
    assert page.input_value(WORDS) == page.evaluate("history.state.screen.request.words")


def test_the_last_of_two_quick_clicks_counts(open_page):
    page = open_page()
    search(page, "is red", tile=5)
    click = """([selector, numbers]) => {
        const found = document.querySelectorAll(selector);
        for (const number of numbers) found[number].click();
    }"""
    page.evaluate(click, ["#results .card .frame", [1, 3]])
    page.wait_for_function("document.querySelector('#why h3')?.textContent.includes('no. 4')")
    await_answer(page, lambda: page.evaluate(click, ["#fold", [0, 0]]))
    assert page.evaluate("history.state.screen.request.folded") is False
    assert page.get_attribute("#fold", "aria-checked") == "false"
    page.eval_on_selector(
        SLIDER,
        """(slider) => {
            for (const share of [0.9, 0.7, 0.1]) {
                slider.value = share * slider.max;
                slider.dispatchEvent(new Event('input', {bubbles: true}));
            }
        }""",
    )
    page.wait_for_function("history.state.screen.request.shift < 0")
    page.evaluate(click, ["#gallery .tile", [2, 7]])
    wanted = page.get_attribute("#gallery .tile >> nth=7 >> img", "src")
    page.wait_for_function(
        "src => document.querySelector('#reference img').src.endsWith(src)", arg=wanted
    )


def test_picture_words_position_and_history_survive_a_server_that_is_away(
    open_page, server, tmp_path
):
    page = open_page()
    picture = tmp_path / "mine.png"
    Image.effect_noise((90, 70), 60).convert("RGB").save(picture)
    with page.expect_response(re.compile("/upload")):
        page.set_input_files("#reference input[type=file]", picture)
    page.wait_for_function("document.querySelector('#reference img')?.src.includes('mine')")
    search(page, "is red")
    page.click("[data-more]")
    page.wait_for_function("document.querySelectorAll('#results .card').length === 24")
    before = cards(page)
    assert page.evaluate("location.search") == ""
    assert "cannot carry an uploaded picture" in page.inner_text("#taken")
    page.fill(WORDS, "is blue")  # not searched yet
    server.proxy.cut()
    with page.expect_event("requestfailed", lambda request: "/queue/join" in request.url):
        page.click("#search")  # Gradio notices that the server is away, and will reload the page
    server.proxy.mend()
    page.wait_for_function("performance.getEntriesByType('navigation')[0].type === 'reload'")
    page.wait_for_function("document.querySelectorAll('#results .card').length === 24")
    page.wait_for_function(f"document.querySelector('{WORDS}').value === 'is blue'")
    assert cards(page) == before
    assert "mine" in page.get_attribute("#reference img", "src")
    assert page.locator("#trail button[data-step]").count() == 2
    page.wait_for_function(f"document.querySelector('{NOTICE}').textContent.includes('is red')")
    await_answer(page, lambda: page.click("#search"), timeout=45)
    page.wait_for_function(f"document.querySelector('{NOTICE}').textContent === ''")
    assert cards(page) != before


def test_the_address_follows_the_search_and_back_and_forward_lead_along(open_page, server):
    page = open_page()
    own = cards(page)
    search(page, "is red", tile=5)
    red = cards(page)
    lean(page, 0.9)
    page.wait_for_function("location.search.includes('shift=')")
    red_leaned = cards(page)
    search(page, "is blue")
    blue, address = cards(page), page.url
    page.go_back()
    page.wait_for_function(f"document.querySelector('{WORDS}').value === 'is red'")
    page.wait_for_function("document.querySelector('#answer[data-waiting]') === null")
    assert cards(page) == red_leaned
    assert page.get_attribute("#trail [aria-current]", "data-step") == "2"
    page.go_back()
    page.wait_for_function("!location.search && !document.querySelector('#answer[data-waiting]')")
    assert cards(page) == own
    page.go_forward()
    page.go_forward()
    page.wait_for_function("history.state?.screen?.request.words === 'is blue'")
    page.wait_for_function("document.querySelector('#answer[data-waiting]') === null")
    page.wait_for_function(f"document.querySelector('{WORDS}').value === 'is blue'")
    assert cards(page) == blue
    page.reload()
    page.wait_for_function(f"document.querySelector('{WORDS}')?.value === 'is blue'")
    page.wait_for_function("document.querySelector('#answer[data-waiting]') === null")
    assert cards(page) == blue
    assert page.locator("#trail button[data-step]").count() == 3
    other = open_page()
    other.goto(address)
    other.wait_for_function(f"document.querySelector('{WORDS}')?.value === 'is blue'")
    other.wait_for_function("document.querySelector('#answer[data-waiting]') === null")
    assert cards(other) == blue
    assert red != red_leaned


def test_results_of_another_question_are_marked(open_page):
    page = open_page()
    assert page.inner_text(NOTICE) == ""
    words = page.input_value(WORDS)
    page.fill(WORDS, "is red")
    page.wait_for_function(f"document.querySelector('{NOTICE}').textContent !== ''")
    assert words in page.inner_text(NOTICE)
    page.fill(WORDS, f" {words} ")
    page.wait_for_function(f"document.querySelector('{NOTICE}').textContent === ''")
    page.click("#gallery .tile >> nth=9")
    page.wait_for_function(f"document.querySelector('{NOTICE}').textContent !== ''")


def test_a_link_is_followed_as_soon_as_there_is_room(open_page, server, browser):
    """The server takes nothing for a while: the page shows no other answer under the link."""
    page = browser.new_page()
    page.set_default_timeout(20_000)
    refused = []

    def refuse(route):
        if len(refused) < 2:
            refused.append(route.request.url)
            route.fulfill(status=503, json={"detail": "Queue is full."})
        else:
            route.continue_()

    page.route(re.compile("/queue/join"), refuse)
    page.goto(f"{server.address}?text=is+blue")
    page.wait_for_selector("#answer[data-waiting]", state="attached")
    page.wait_for_function(f"document.querySelector('{NOTICE}').textContent.includes('busy')")
    assert page.locator("#results").is_hidden()
    assert page.locator("#weights").is_hidden()
    page.wait_for_function("history.state?.screen?.request.words === 'is blue'")
    page.wait_for_selector("#results .card")
    assert page.input_value(WORDS) == "is blue"
    assert page.evaluate("location.search").startswith("?text=is+blue&model=")
    assert len(refused) == 2
    page.close()


def test_a_link_that_was_encoded_again_is_followed(open_page, server):
    page = open_page()
    for query in ("text=is%2520blue", "text%3Dis%20blue"):
        page.goto("about:blank")
        page.goto(f"{server.address}?{query}")
        page.wait_for_function("history.state?.screen?.request.words === 'is blue'")
        page.wait_for_function("location.search.startsWith('?text=is+blue&')")
        assert page.input_value(WORDS) == "is blue"


def test_a_link_with_names_in_another_case_is_followed_and_unknown_ones_are_named(
    open_page, server
):
    page = open_page()
    page.goto(f"{server.address}?TEXT=is+blue&filters=x+%3D+1&__theme=dark")
    page.wait_for_function("history.state?.screen?.request.words === 'is blue'")
    page.wait_for_function("document.querySelector('#message .trouble') !== null")
    assert "Not used of the link: 'filters'. A link can have" in page.inner_text("#message")
    page.goto(f"{server.address}?q=blue")
    page.wait_for_function("document.querySelector('#message .trouble') !== null")
    assert "Not used of the link: 'q'." in page.inner_text("#message")
    assert page.locator("#results .card").count() > 0


def test_a_refused_search_leaves_no_doubt_about_the_results(open_page):
    page = open_page()
    search(page, "is red")
    before = cards(page)
    page.route(
        re.compile("/queue/join"),
        lambda route: route.fulfill(status=503, json={"detail": "Queue is full."}),
    )
    page.fill(WORDS, "is blue")
    page.click("#search")
    page.wait_for_function(f"document.querySelector('{NOTICE}').textContent.includes('not take')")
    assert re.search(r"busy, about \d+ s\.", page.inner_text(NOTICE))
    assert cards(page) == before
    assert json.loads(save(page, "json"))["query"]["text"] == "is red"
    page.unroute_all()
    # The page sends the search again by itself.
    page.wait_for_function("history.state.screen.request.words === 'is blue'")
    page.wait_for_function(f"document.querySelector('{NOTICE}').textContent === ''")
    assert page.locator(SLIDER).count() == 1


def test_a_search_whose_picture_is_refused_is_told_why_and_not_repeated(open_page, server):
    """After a restart with another model, thumbnails have other addresses."""
    page = open_page()
    search(page, "is red", 3)
    before = cards(page)
    model = server.model
    server.restart(write_tiny_checkpoint(server.place / "other", 1))
    try:
        requests = []
        page.on("response", lambda response: requests.append(response.url))
        page.fill(WORDS, "is blue")
        page.click("#search")
        page.wait_for_selector("#message .trouble")
        assert "a gallery that the server no longer has" in page.inner_text("#message")
        assert "the message says why" in page.inner_text(NOTICE)
        page.wait_for_timeout(4000)
        assert sum("/queue/join" in url for url in requests) <= 2  # the search, and nothing again
        assert cards(page) == before
        page.click("#gallery .tile >> nth=4")  # of the page of the server before
        page.wait_for_timeout(1000)
        page.click("#search")
        page.wait_for_function(
            "document.querySelector('#message').textContent.includes('load it again')"
        )
        page.reload()
        page.wait_for_selector("#message .trouble")  # the search before is not repeated by another
        page.click("#gallery .tile >> nth=4")
        page.fill(WORDS, "is blue")
        await_answer(page, lambda: page.click("#search"), timeout=45)
        page.wait_for_function("history.state.screen.request.words === 'is blue'")
    finally:
        server.restart(model)


def draw_other_gallery(folder):
    """Other pictures than those of the server's gallery, under the same names."""
    folder.mkdir()
    draw_gallery(folder, 37)
    for surplus in sorted(folder.iterdir())[30:]:
        surplus.unlink()
    return folder


def wait_for_message(page, text):
    page.wait_for_function(
        "text => document.querySelector('#message')?.textContent.includes(text)", arg=text
    )


def test_pictures_of_another_gallery_do_not_pass_for_those_that_were_shown(
    open_page, server, browser
):
    """Cameras number their files: those of another gallery have the same names."""
    page = open_page()
    search(page, "is red", tile=5)
    search(page, "is blue", tile=7)
    former, link, before = server.gallery, page.url, cards(page)
    reference = page.get_attribute("#reference img", "src")
    server.restart(gallery=draw_other_gallery(server.place / "numbered"))
    try:
        chosen = next(id for id, _ in before if id not in ("figure-05.png", "figure-00.png"))
        page.click(f'#results .card[data-id="{chosen}"] .meta button[aria-keyshortcuts]')
        wait_for_message(page, f"'{chosen}' is another one than was shown")
        page.wait_for_function(
            f"document.querySelector('{NOTICE}').textContent.includes('earlier')"
        )
        assert page.locator("#answer[data-stale]").count() == 1
        page.click('#trail button[data-step="2"]')
        wait_for_message(page, "'figure-05.png' is another one than was shown")
        assert cards(page) == before
        assert page.get_attribute("#reference img", "src") == reference

        page.go_back()
        page.wait_for_function("!document.querySelector('#results .card')")
        wait_for_message(page, "'figure-05.png' is another one than was shown")
        assert page.input_value(WORDS) == "is red"
        assert page.locator("#reference img").count() == 0

        fresh = browser.new_page()
        fresh.set_default_timeout(15_000)
        fresh.goto(link)
        wait_for_message(fresh, "another picture has its name now")
        assert fresh.locator("#results .card").count() == 0
        assert fresh.locator("#reference img").count() == 0
        query = parse_qs(urlsplit(link).query)
        fresh.goto(f"{server.address}?ref={query['ref'][0]}&text=is+blue")
        fresh.wait_for_selector("#results .card")
        fresh.wait_for_function("history.state?.screen?.request.words === 'is blue'")
        assert fresh.locator("#message .trouble").count() == 0
        fresh.close()
    finally:
        server.restart(gallery=former)

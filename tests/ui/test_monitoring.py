"""Reports of requests and events, without a server."""

import gradio as gr
import pytest

from dwc.search.results import SearchRecord, add_query, add_stage, record_searches
from dwc.ui.logs import LogReports
from dwc.ui.monitoring import (
    EventReport,
    ObserveRequests,
    RequestReport,
    observe_events,
    path_in_app,
    route_of,
)
from tests.visitors import run_in_thread


class Reports:
    def __init__(self):
        self.requests, self.events = [], []

    def report_request(self, report):
        self.requests.append(report)

    def report_event(self, report):
        self.events.append(report)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/health", "/health"),
        ("/gradio_api/queue/join", "/gradio_api/queue/join"),
        ("/gradio_api/call/search", "/gradio_api/call"),
        ("/gradio_api/call/search/0123abcd", "/gradio_api/call"),
        ("/gradio_api/upload_progress", "/gradio_api/upload_progress"),
        ("/gradio_api/file=/home/me/coat.jpg", "/gradio_api/file"),
        ("/assets/index-0123.js", "/assets"),
        ("/theme.css", "/theme.css"),
        ("/coat.jpg", "other"),
        ("/healthy", "other"),
        ("/gradio_api/coat.jpg", "other"),
    ],
)
def test_a_route_has_nothing_that_a_visitor_chooses(path, route):
    assert route_of(path) == route


def test_the_path_of_a_proxy_is_removed():
    assert path_in_app({"path": "/demo/health", "root_path": "/demo"}) == "/health"
    assert path_in_app({"path": "/demonstration", "root_path": "/demo"}) == "/demonstration"
    assert path_in_app({"path": "/health"}) == "/health"


def request(app, headers=(), path="/health", method="GET"):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
    run_in_thread(app(scope, None, send))
    return sent


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def fail(scope, receive, send):
    raise RuntimeError("no answer")


def test_a_request_is_reported_with_its_id_and_time():
    reports = Reports()
    start, _ = request(ObserveRequests(answer, [reports]), [(b"x-request-id", b"mine")])
    assert (b"x-request-id", b"mine") in start["headers"]
    (report,) = reports.requests
    assert (report.id, report.method, report.route, report.status) == (
        "mine",
        "GET",
        "/health",
        204,
    )
    assert 0 < report.seconds < 10


def test_an_unknown_method_is_not_reported_as_it_is():
    reports = Reports()
    request(ObserveRequests(answer, [reports]), method="CRIMSON")
    assert reports.requests[0].method == "other"


def test_a_request_without_a_response_is_reported_too():
    reports = Reports()
    with pytest.raises(RuntimeError):
        request(ObserveRequests(fail, [reports]))
    assert [report.status for report in reports.requests] == [0]


@pytest.mark.parametrize("forged", [b"two words", b"x" * 65, b'"', b"\xff"])
def test_an_id_that_could_spoil_the_log_is_replaced(forged):
    reports = Reports()
    request(ObserveRequests(answer, [reports]), [(b"x-request-id", forged)])
    assert reports.requests[0].id.isalnum()


class Handlers:
    def search(self, words: str, event: gr.EventData):
        add_stage("encode", 2.0)
        add_stage("encode", 3.0)
        add_query(words, "coat.jpg")
        return words.upper()

    def refuse(self, words: str):
        raise gr.Error(words)

    def fail(self, words: str):
        return {}[words]


@pytest.fixture
def observed():
    """The handlers of a page, as Gradio calls them, and their reports."""
    handlers, reports = Handlers(), Reports()
    with gr.Blocks() as page:
        words = gr.Textbox()
        words.submit(handlers.search, words, words, api_name="search")
        words.change(handlers.refuse, words, words)
        words.blur(handlers.fail, words, words, api_visibility="private")
        words.focus(None, js="() => 1")
    observe_events(page, [reports])
    return {f.fn.__name__: f.fn for f in page.fns.values() if f.fn is not None}, reports


@pytest.mark.slow
def test_an_event_is_reported_with_the_searches_that_it_makes(observed):
    handlers, reports = observed
    assert handlers["search"]("is red", None) == "IS RED"
    (report,) = reports.events
    assert (report.name, report.outcome, report.error) == ("search", "ok", "")
    assert report.searches == SearchRecord({"encode": 5.0}, "is red", "coat.jpg")
    assert (report.request_id, report.wait_seconds) == ("", 0.0)


@pytest.mark.slow
def test_errors_are_reported_and_raised(observed):
    handlers, reports = observed
    with pytest.raises(gr.Error):
        handlers["refuse"]("a secret")
    with pytest.raises(KeyError):
        handlers["fail"]("a secret")
    assert [(r.outcome, r.error) for r in reports.events] == [
        ("refused", "Error"), ("failed", "KeyError"),
    ]  # fmt: skip
    assert "a secret" not in repr(reports.events)


@pytest.mark.slow
def test_gradio_sees_the_same_signature(observed):
    from gradio.helpers import special_args

    handlers, _ = observed
    _, _, event_index, _ = special_args(handlers["search"])
    assert event_index == 1


def test_records_of_searches_do_not_mix():
    with record_searches() as outer:
        add_stage("search", 1.0)
        with record_searches() as inner:
            add_stage("search", 2.0)
    add_stage("search", 4.0)
    assert (outer.stages_ms, inner.stages_ms) == ({"search": 1.0}, {"search": 2.0})


def event(outcome="ok", words="is red"):
    searches = SearchRecord({"encode": 1.234}, words, "coat.jpg")
    return EventReport("id", "search", outcome, "", 0.5, 0.25, searches)


@pytest.mark.parametrize("with_queries", [False, True])
def test_the_log_has_words_only_if_they_are_wanted(caplog, with_queries):
    caplog.set_level("DEBUG", "dwc.ui.monitoring")
    LogReports(with_queries).report_event(event())
    (record,) = caplog.records
    expected = {"request": "id", "event": "search", "outcome": "ok", "wait_ms": 500.0, "ms": 250.0,
                "stages_ms": {"encode": 1.2}}  # fmt: skip
    if with_queries:
        expected |= {"words": "is red", "reference": "coat.jpg"}
    assert record.fields == expected


def test_levels_tell_errors_and_files_apart(caplog):
    caplog.set_level("DEBUG", "dwc.ui.monitoring")
    log = LogReports()
    log.report_event(event("failed"))
    for route, status in (("/", 200), ("/gradio_api/file", 200), ("/gradio_api/file", 403)):
        log.report_request(RequestReport("id", "GET", route, status, 0.1))
    assert [r.levelname for r in caplog.records] == ["ERROR", "INFO", "DEBUG", "INFO"]

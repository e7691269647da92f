"""The app on a server: health, logs and metrics, directly and behind a path."""

import json
import re
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from gradio_client import Client, handle_file

from dwc import __version__
from dwc.checkpoints.load import fingerprint
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import ROOT, draw_gallery, environment, free_port, serve
from tests.ui.reverse_proxy import proxied

pytestmark = pytest.mark.slow

WORDS = "is crimson"
HAS_MCP = find_spec("mcp") is not None
PATH = "/demo"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("monitoring")
    (folder / "gallery").mkdir()
    draw_gallery(folder / "gallery", 12)
    write_tiny_checkpoint(folder / "model")
    return folder


@pytest.fixture(scope="module")
def address(place):
    """The app with everything on, once a search was made and one was refused."""
    prometheus = pytest.importorskip("prometheus_client")
    assert prometheus
    options = ("--log-level", "debug", "--metrics", "--root-path", PATH)
    options += ("--mcp",) if HAS_MCP else ()
    with serve(place / "model", place / "gallery", place, *options) as address:
        client = Client(address, verbose=False, headers={"X-Request-ID": "from-a-test"})
        picture = handle_file(str(place / "gallery" / "figure-03.png"))
        client.predict(picture, WORDS, 3, 0.0, api_name="/search")
        with pytest.raises(Exception, match="nothing to search"):
            client.predict(None, "", 3, 0.0, api_name="/search")
        yield address


def get(url, method="GET", **headers):
    with urlopen(Request(url, method=method, headers=headers), timeout=20) as answer:
        return answer, answer.read().decode()


def log_of(place):
    lines = (place / "app.log").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.mark.parametrize("path", ["health", "health/", "demo/health"])
def test_health_names_the_model_and_the_gallery(address, place, path):
    answer, content = get(f"{address}{path}")
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    health = json.loads(content)
    assert health["gallery"].pop("fingerprint")
    assert health == {
        "status": "ok",
        "version": __version__,
        "model": {"name": "model", "fingerprint": fingerprint(place / "model"), "revision": None},
        "gallery": {"name": "gallery", "pictures": 12},
    }


def test_health_and_metrics_are_reached_behind_a_proxy(address):
    with proxied(PATH, urlsplit(address).port) as proxy:
        assert json.loads(get(f"{proxy.address}{PATH}/health")[1])["status"] == "ok"
        assert "dwc_requests_total" in get(f"{proxy.address}{PATH}/metrics")[1]


def test_a_monitor_may_ask_for_the_head_alone_and_change_nothing(address):
    answer, content = get(f"{address}health", method="HEAD")
    assert (answer.status, content) == (200, "")
    with pytest.raises(HTTPError, match=r"40[45]"):
        get(f"{address}health", method="DELETE")


@pytest.mark.parametrize("path", ["metrics", "metrics/", "demo/metrics"])
def test_metrics_count_and_time_with_and_without_the_slash(address, path):
    answer, text = get(f"{address}{path}")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    samples = dict(
        re.fullmatch(r"([^#].*) (\S+)", line).groups()
        for line in text.splitlines()
        if not line.startswith("#")
    )
    assert samples['dwc_events_total{event="search",outcome="ok"}'] == "1.0"
    assert samples['dwc_events_total{event="search",outcome="refused"}'] == "1.0"
    for stage in ("encode", "search"):
        # the search with which the page opens was made before the page was served
        assert samples[f'dwc_stage_seconds_count{{stage="{stage}"}}'] == "1.0"
        assert float(samples[f'dwc_stage_seconds_sum{{stage="{stage}"}}']) > 0
    assert samples["dwc_gallery_pictures"] == "12.0"
    assert samples["dwc_models_in_memory"] == "1.0"
    assert samples["dwc_queries_waiting"] == "0.0"
    assert any(name.startswith("process_resident_memory_bytes") for name in samples)
    assert "crimson" not in text
    assert "figure" not in text


def test_metrics_do_not_grow_with_what_visitors_ask_for(address):
    for number in range(20):
        for path in (f"x{number}", f"gradio_api/file=/tmp/{number}", f"gradio_api/zz{number}/a"):
            with pytest.raises(HTTPError):
                get(f"{address}{path}")
    routes = set(re.findall(r'dwc_requests_total\{.*route="([^"]*)"', get(f"{address}metrics")[1]))
    assert [route for route in routes if re.search(r"\d", route)] == []


def test_the_log_tells_the_times_of_a_search_and_neither_words_nor_pictures(address, place):
    log = log_of(place)
    (event,) = [e for e in log if e.get("event") == "search" and e["outcome"] == "ok"]
    assert event["request"] == "from-a-test"
    assert set(event["stages_ms"]) == {"encode", "search"}
    assert 0 < sum(event["stages_ms"].values()) <= event["ms"]
    assert event["wait_ms"] >= 0
    assert (event["level"], event["message"]) == ("info", "event")
    assert time.strptime(event["time"][:19], "%Y-%m-%dT%H:%M:%S")
    (refused,) = [e for e in log if e.get("outcome") == "refused"]
    assert (refused["event"], refused["error"]) == ("search", "Error")
    requests = [entry for entry in log if entry["message"] == "request"]
    assert {"/gradio_api/upload", "/gradio_api/queue/join"} & {e["route"] for e in requests}
    text = (place / "app.log").read_text()
    assert "crimson" not in text
    assert "figure-03" not in text


def test_searches_of_programs_are_observed_too(address, place):
    """Through HTTP and MCP; `address` comes first, since its counts are exact."""
    query = {"text": WORDS, "reference_id": "figure-03.png"}
    body = json.dumps({**query, "k": 2}).encode()
    headers = {"Content-Type": "application/json", "X-Request-ID": "over-http"}
    with urlopen(Request(f"{address}api/search", body, headers), timeout=20) as answer:
        assert len(json.load(answer)["results"]) == 2
    call = {"name": "search", "arguments": {**query, "images": 0}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    headers |= {"Accept": "application/json, text/event-stream", "X-Request-ID": "over-mcp"}
    if HAS_MCP:
        request = Request(f"{address}mcp", json.dumps(message).encode(), headers)
        with urlopen(request, timeout=20) as answer:
            assert json.load(answer)["result"]["structuredContent"]["results"]
    refused = Request(f"{address}api/explain", b'{"text": "x", "id": "figure-77"}', headers)
    with pytest.raises(HTTPError, match="404"):
        urlopen(refused, timeout=20)
    log = log_of(place)
    for name in ("over-http", "over-mcp") if HAS_MCP else ("over-http",):
        (event,) = [e for e in log if e.get("request") == name and e.get("event") == "search"]
        assert set(event["stages_ms"]) == {"encode", "search"}
        assert event["wait_ms"] >= 0
    (refusal,) = [e for e in log if e.get("event") == "explain"]
    assert (refusal["outcome"], refusal["error"]) == ("refused", "NotFoundError")
    routes: set[str] = set()
    deadline = time.monotonic() + 20  # a request is logged after its answer was sent
    while not routes >= {"/api/search", "/api/explain"} and time.monotonic() < deadline:
        routes = {entry.get("route") for entry in log_of(place)}
    assert routes >= {"/api/search", "/api/explain"}
    text = (place / "app.log").read_text()
    assert "crimson" not in text
    assert "figure-03" not in text


def test_every_response_has_the_id_of_its_request(address):
    answer, _ = get(f"{address}config")
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-ID"])
    answer, _ = get(f"{address}config", **{"X-Request-ID": "mine-1"})
    assert answer.headers["X-Request-ID"] == "mine-1"
    forged = 'x" injected=1'
    answer, _ = get(f"{address}config", **{"X-Request-ID": forged})
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-ID"])


def test_words_are_logged_if_the_operator_asks_for_them(place, tmp_path):
    options = ("--log-level", "info", "--log-queries")
    with serve(place / "model", place / "gallery", tmp_path, *options) as address:
        picture = handle_file(str(place / "gallery" / "figure-03.png"))
        Client(address, verbose=False).predict(picture, WORDS, 3, 0.0, api_name="/search")
        (event,) = [e for e in log_of(tmp_path) if e.get("event") == "search"]
        assert (event["words"], event["reference"]) == (WORDS, None)
        with pytest.raises(HTTPError, match="404"):  # no metrics unless asked for
            get(f"{address}metrics")


def test_while_the_model_is_loaded_the_server_says_so(place):
    """From the first moment at which it answers, until the page is there."""
    port = free_port()
    answers = []
    app = subprocess.Popen(
        [sys.executable, "app.py", "--model", str(place / "model"),
         "--gallery", str(place / "gallery"), "--port", str(port)],
        cwd=ROOT, env=environment(place), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    drained = threading.Thread(target=app.stdout.read, daemon=True)
    drained.start()
    try:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and (not answers or answers[-1][0] != 200):
            assert app.poll() is None
            try:
                answer, content = get(f"http://127.0.0.1:{port}/health")
                answers.append((answer.status, json.loads(content)["status"], None))
            except HTTPError as error:
                status = json.loads(error.read())["status"]
                answers.append((error.code, status, error.headers["Retry-After"]))
            except (URLError, OSError):
                time.sleep(0.05)
        assert "DWC" in get(f"http://127.0.0.1:{port}/")[1]
    finally:
        app.terminate()
        app.wait(20)
    assert set(answers) == {(503, "loading", "2"), (200, "ok", None)}


def test_without_the_client_of_prometheus_the_message_names_the_extra(place):
    code = (
        "import sys; sys.modules['prometheus_client'] = None; from dwc.cli import main;"
        "sys.exit(main(['app', '--metrics', '--model', '/nowhere']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(place), capture_output=True,
        text=True, timeout=240,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "pip install 'dwc[metrics]'" in ended.stderr

"""The threats of `assets/docs/security.md` against one started app over loopback."""

import base64
import hashlib
import io
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image
from starlette.routing import Mount

from dwc.ui import security, uploads
from dwc.ui.security import MAX_BODY_BYTES, UNUSED_ROUTES
from dwc.ui.startup import MAX_UPLOAD_BYTES
from tests.ui.live import ROOT, draw_gallery
from tests.ui.served import API, FILE, Reply, ServedApp, says_too_much, serve_here

pytestmark = pytest.mark.slow

SECRET = "a secret of this computer"
TAG = "dwc-probe"
MARKUP = f"<{TAG} title=\"1\" x='2'>&amp;"


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[ServedApp]:
    """The app over a gallery and a model whose names and metadata hold markup."""
    place = tmp_path_factory.mktemp("threats")
    gallery = place / "gallery"
    gallery.mkdir()
    draw_gallery(gallery)
    (gallery / f"{MARKUP}.png").write_bytes(picture())
    (gallery / f"broken {MARKUP}.png").write_bytes(b"no picture")
    (gallery / "metadata.csv").write_text(
        f"file,title\nfigure-00.png,{MARKUP.replace(',', '')}\nfigure-01.png,plain\n"
    )
    (place / "secret.txt").write_text(SECRET)
    (place / "secret.png").write_bytes(picture())
    with serve_here(place, model=f"{MARKUP} model", gallery=gallery) as served:
        yield served


def picture(level: int = 60) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (40, 30), (level, 90, 120)).save(content, "PNG")
    return content.getvalue()


def page_event(app: ServedApp, api_name: str) -> int:
    return next(n for n, one in app.events().items() if one["api_name"] == api_name)


# Files of this computer


def escapes(app: ServedApp) -> list[str]:
    """Paths that lead to files which are not to be had, in the forms that a request may use."""
    up = "../" * 12
    targets = [app.place / "secret.txt", app.place / "secret.png", ROOT / "app.py"]
    bases = [app.images.folder, app.uploads, app.store.path]
    return [
        *map(str, targets),
        *(f"{base}/{up}{target}" for base in bases for target in targets),
        *(os.path.relpath(target, base) for base in bases for target in targets),
        *(f"{base}/{os.path.relpath(target, base)}" for base in bases for target in targets),
        "app.py", "./app.py", "../secret.txt", str(app.store.path / "gallery.sqlite"),
        str(app.uploads), str(app.images.folder), str(app.place / "gallery" / "figure-00.png"),
        f"file://{targets[0]}", f"//{targets[0]}", f"{targets[0]}\0.png",
    ]  # fmt: skip


# Gradio's routes and ours that have a path or a name in them.
ROUTES = [
    "/", "/static/", "/assets/", "/svelte/", "/pwa_icon/", "/monitoring/", "/theme.css/",
    *(f"{API}{route}" for route in (
        "/file=", "/file/", "/proxy=", "/run/", "/call/", "/call/search/", "/stream/", "/large?id=",
        "/custom_component/1/server/a/", "/run-history/records/a/b/assets/",
        "/queue/data?session_hash=",
    )),
]  # fmt: skip


def test_no_path_in_an_address_leads_out(app):
    for path in escapes(app):
        for route in ROUTES:
            for named in (quote(path, safe="/"), quote(path, safe="")):
                reply = app.get(route + named)
                assert reply.status < 500, (route, named, reply.text)
                assert not holds_secret(reply), (route, named)


def holds_secret(reply: Reply) -> bool:
    secrets = (SECRET.encode(), picture(), b"from dwc import cli", b"SQLite format 3")
    return any(secret in reply.body for secret in secrets)


def test_no_parameter_of_an_endpoint_leads_out(app):
    inputs = {one["api_name"]: len(one["inputs"]) for one in app.endpoints().values()}
    assert {"search", "explain", "compare", "paraphrase", "map", "atlas"} <= set(inputs)
    for path in escapes(app)[::4]:
        for name, count in inputs.items():
            for place in range(count):
                for value in (path, {"path": path}, {"path": path, "meta": FILE}):
                    data: list[object] = [None, "is blue", *[None] * 20][:count]
                    data[place] = value
                    answer = app.call(name, data)
                    assert SECRET not in answer.text
                    if isinstance(value, dict):
                        assert answer.data is None, (name, place, value)
    assert not any(holds_secret(app.named(file)) for file in app.files())


def test_the_page_opens_whatever_its_address_has(app):
    """For `page`, the name of a page of Gradio's, there was an error in JSON."""
    plain = app.get("/")
    for query in ("text=in+blue&page=2", "page=", "page=x&page=y", "view=api&page=2", "p%61ge=2"):
        page = app.get(f"/?{query}")
        assert (page.status, page.headers["content-type"]) == (200, plain.headers["content-type"])
        assert "<gradio-app" in page.text or "window.gradio_config" in page.text
    assert app.request("HEAD", "/?page=2").status == 200
    assert app.get(f"{API}/info").json.keys() == app.get(f"{API}/info?page=").json.keys()


def test_no_event_copies_a_file_to_where_it_is_served(app):
    """A file that an event names anywhere in its data is neither read nor echoed."""
    files = app.files()
    handlers = {n: one["api_name"] for n, one in app.events().items()}
    for path in (str(ROOT / "app.py"), str(app.place / "secret.txt"), "app.py"):
        file = {"path": path, "meta": FILE}
        visit = {"address": "?text=blue", "pin": file, "screen": {"a": file}, "draft": file}
        for number, name in handlers.items():
            count = len(app.dependencies[number]["inputs"])
            for data in ([file] * count, [visit] * count, [None] * count):
                event = {"visit": visit, "keep": True, "id": file, "wordings": [file]}
                answer = app.send_event(number, data, event)
                assert answer.status == 200, (name, answer)
                assert quote(path) not in answer.text or answer.data is None, (name, path)
    assert app.files() == files


def test_thumbnails_and_uploads_are_served_and_nothing_beside_them(app):
    thumbnail = app.images.draw_thumbnail(app.images.ids[0])
    assert app.named(thumbnail).status == 200
    upload = app.upload(picture())
    assert app.named(upload).body == picture()
    for path in escapes(app):
        assert app.named(path).status in (400, 403, 404), path


def test_an_upload_gets_a_name_inside_its_folder(app):
    for name in ("../../escaped.png", "/tmp/escaped.png", "..", "a/../../b.png", "%2e%2e/c.png"):
        reply = app.send_form(picture(), name)
        if reply.status == 200:
            assert Path(reply.json[0]).resolve().is_relative_to(app.uploads.resolve())
        else:
            assert reply.status == 400
    assert not list(app.place.glob("*escaped*"))


def test_an_upload_is_searched_with_as_the_page_sends_it(app):
    path = app.upload(picture())
    file = {"path": path, "url": f"http://127.0.0.1:{app.port}{API}/file={path}", "size": 200,
            "orig_name": "picture.png", "mime_type": "image/png", "is_stream": False,
            "meta": FILE}  # fmt: skip
    answer = app.send_event(page_event(app, "search_fields"), [file, "is blue", "", None, ""])
    assert answer.error == ""
    assert "data-id" in json.dumps(answer.data)


def test_an_upload_that_is_a_page_is_downloaded_and_not_shown(app):
    path = app.upload(b"<script>document.title = 1</script>", "page.html")
    reply = app.named(path)
    assert reply.headers["content-disposition"].startswith("attachment")
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["x-content-type-options"] == "nosniff"


# Other visitors


def test_the_name_of_an_upload_cannot_be_guessed(app):
    """It holds a hash with a secret of the server; without it, folders are not listed."""
    content = picture(61)
    folder = Path(app.upload(content)).parent
    assert re.fullmatch(r"[0-9a-f]{64}", folder.name)
    hashes = [hashlib.new(name, content).hexdigest() for name in ("sha256", "sha3_256", "blake2s")]
    assert folder.name not in hashes
    for listed in (app.uploads, folder):
        assert app.named(listed).status == 403


def test_a_session_shows_nothing_of_another(app):
    """A visitor's answer stays with the secret name of their session."""
    fields, more = page_event(app, "search_fields"), page_event(app, "show_more")
    first = app.send_event(
        fields, [None, "is blue and secret", "", None, ""], session="first-visitor"
    )
    assert first.error == ""
    assert "card" in json.dumps(first.data)
    other = app.send_event(more, [None] * 2, session="other-visitor")
    assert "card" not in json.dumps(other.data)
    for path in ("/queue/data?session_hash=third-visitor", "/call/search/third-visitor"):
        assert "blue" not in app.get(API + path).text
    ids = {app.post(f"{API}/call/search", {"data": [None, "blue"]}).json["event_id"] for _ in "ab"}
    assert len(ids) == 2
    assert all(re.fullmatch(r"[0-9a-f]{32}", event_id) for event_id in ids)


def test_other_pages_may_not_read_answers(app):
    for origin in ("https://other.example", "null"):
        reply = app.get("/config", Origin=origin)
        assert reply.status == 200
        assert "access-control-allow-origin" not in {name.lower() for name in reply.headers}


# Markup


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.seen |= {tag, *(name for name, _ in attrs if name.startswith("on"))}


def tags_in(html: str) -> set[str]:
    parser = Tags()
    parser.feed(html)
    return parser.seen


def texts_in(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, (list, dict)):
        for value in content.values() if isinstance(content, dict) else content:
            yield from texts_in(value)


def test_names_and_metadata_are_text_in_the_page(app):
    """Markup from file names, from the model's name and from metadata is escaped."""
    page = app.get("/").text
    assert f"<{TAG}" not in page
    shown = [one["props"].get("value") for one in app.components.values() if one["type"] == "html"]
    html = "".join(text for text in shown if isinstance(text, str))
    assert f"&lt;{TAG}" in html  # the model in the head, and the files that were left out
    assert TAG not in tags_in(html)


def test_words_are_text_wherever_they_are_shown(app):
    words = f"is blue {MARKUP}"
    session = "markup-visitor"
    number = page_event(app, "search_fields")
    answered = app.send_event(number, [None, words, "", None, ""], session=session)
    outputs = [app.components[n] for n in app.dependencies[number]["outputs"]]
    (place,) = (n for n, one in enumerate(outputs) if one["props"].get("elem_id") == "screen")
    screen = answered.data[place]
    contents = [(one["type"], data) for one, data in zip(outputs, answered.data, strict=True)]
    for handler in app.events().values():
        inputs = [app.components[n]["props"].get("elem_id") for n in handler["inputs"]]
        if inputs != [None, "screen"]:
            continue
        event = {"id": app.images.ids[1], "wordings": words, "keep": True, "kind": "json"}
        reply = app.send_event(handler["id"], [None, screen], event, session=session)
        types = [app.components[n]["type"] for n in handler["outputs"]]
        contents += zip(types, reply.data or [], strict=False)
    html = "".join(
        content for kind, content in contents if kind == "html" and isinstance(content, str)
    )
    assert f"&lt;{TAG}" in html
    assert TAG not in tags_in(html)


def test_a_message_of_an_error_is_text(app):
    number = page_event(app, "restore")
    for link in (f"ref={quote(MARKUP)}", f"text=blue&model={quote(MARKUP)}x"):
        data = app.send_event(number, [], {"visit": {"address": f"?{link}"}}).data
        html = "".join(text for text in texts_in(data) if text.startswith("<p"))
        assert f"&lt;{TAG}" in html
        assert TAG not in tags_in(html)


# Requests to other addresses


def test_no_request_makes_the_server_connect(app):
    """A listener on this computer gets no connection, whatever names it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.3)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/a.png"
        file = {"path": address, "url": address, "meta": FILE}
        for path in (f"/file={address}", f"/proxy={address}", f"/file={quote(address, safe='')}"):
            assert app.get(API + path).status == 404
        for one in app.endpoints().values():
            if one["inputs"] and app.components[one["inputs"][0]]["type"] == "image":
                data = [file, "is blue", *[None] * 20][: len(one["inputs"])]
                assert "not fetched" in app.call(one["api_name"], data).error
        for value in (address, {"path": address}, {"path": "a.png", "url": address}):
            assert app.search(value, "is blue").data is None
        for number, handler in app.events().items():
            data = [file] * len(handler["inputs"])
            app.send_event(number, data, {"visit": {"pin": file}, "id": address})
        with pytest.raises(TimeoutError):
            listener.accept()


def test_addresses_stay_refused_after_an_answer_without_a_value(app):
    """In a session that Gradio has made components for anew, too."""
    number, session = page_event(app, "search_fields"), "renewed-visitor"
    file = {"path": "http://127.0.0.1:9/a.png", "meta": FILE}
    for _ in range(2):
        app.send_event(page_event(app, "try_example"), ["", None, ""], {"example": -1}, session)
        assert (
            "not fetched" in app.send_event(number, [file, "", "", None, ""], None, session).error
        )


# Routes


def test_every_route_is_known(app):
    """A route that a later Gradio adds is to be judged: used, or refused."""
    paths = set(paths_of(app.page.app))
    refused = {
        path for path in paths if any(f"{path}/".startswith(f"{one}/") for one in UNUSED_ROUTES)
    }
    kept = {path.removeprefix(API).lstrip("/") for path in paths - refused}
    used = {re.sub(r"[/={].*", "", path) for path in kept}
    assert used <= USED_ROUTES, used - USED_ROUTES


USED_ROUTES = {
    "", "api", "app_id", "assets", "call", "cancel", "component_server", "config", "favicon.ico",
    "file", "gradio.js", "heartbeat", "info", "login_check", "manifest.json", "mcp", "openapi.json",
    "proxy", "pwa_icon", "queue", "reset", "robots.txt", "run", "startup-events", "static",
    "svelte", "theme.css", "token", "upload", "upload_progress", "user", "docs", "redoc", "health",
    "metrics", "indexing",
}  # fmt: skip


def paths_of(router: object, prefix: str = "") -> Iterator[str]:
    for route in getattr(router, "routes", ()):
        path = prefix + getattr(route, "path", "")
        if hasattr(route, "path"):
            yield path
        yield from paths_of(route, path if isinstance(route, Mount) else prefix)


def test_unused_routes_are_refused(app):
    for route in UNUSED_ROUTES:
        for path in (route, f"{route}/", f"{route}/a", f"{route}/b/c?d=e"):
            for method in ("GET", "POST"):
                reply = app.request(method, path, b"{}" if method == "POST" else None)
                assert reply.status == 404, path
                assert "does not offer" in reply.text


def test_the_model_is_reached_through_the_queue_alone(app):
    for name in ("search", "explain", "map"):
        reply = app.post(f"{API}/run/{name}", {"data": [None, "is blue"]})
        assert reply.status == 404
        assert "queue" in reply.json["detail"]


# Sizes


def test_bodies_beyond_the_limit_are_refused(app):
    head = {"Content-Type": "application/json"}
    announced = app.request(
        "POST", f"{API}/call/search", b"", {**head, "Content-Length": "2000000"}
    )
    assert announced.status == 413
    assert announced.json["detail"] == (
        "The request has 2,000,000 bytes; at most 1,048,576 are read. Send less."
    )
    big = {**head, "Content-Length": str(MAX_UPLOAD_BYTES + 10**6)}
    assert app.request("POST", f"{API}/upload", b"", big).status == 413
    assert unannounced(app, f"{API}/call/search", 1_050_000).startswith(b"HTTP/1.1 413")
    assert app.search(None, "is blue").error == ""


def test_programs_may_send_a_picture_as_text(app):
    """The HTTP API and MCP take a picture in Base64, as large as an upload may be."""
    content = io.BytesIO()
    Image.effect_noise((1100, 1100), 80).save(content, "PNG")
    query = {"reference": base64.b64encode(content.getvalue()).decode(), "text": "is blue", "k": 3}
    assert len(query["reference"]) > MAX_BODY_BYTES
    assert len(app.post("/api/search", query).json["results"]) == 3
    head = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    if find_spec("mcp"):
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": {"name": "search", "arguments": query}}  # fmt: skip
        reply = app.request("POST", "/mcp", json.dumps(call).encode(), head)
        assert len(reply.json["result"]["structuredContent"]["results"]) == 3
    big = {**head, "Content-Length": str(2 * MAX_UPLOAD_BYTES)}
    for path in ("/api/search", "/mcp"):
        reply = app.request("POST", path, b"", big)
        assert reply.status == 413
        assert "are read. Send less" in reply.json["error"]


def unannounced(app: ServedApp, path: str, size: int) -> bytes:
    """Send a body in parts, without its length; the beginning of the answer."""
    with socket.create_connection(("127.0.0.1", app.port), timeout=60) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        part = b"x" * 50_000
        for _ in range(0, size, len(part)):
            connection.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        return connection.recv(200)


def test_headers_and_addresses_beyond_the_limit_are_refused(app):
    assert app.get("/config", Cookie="a=" + "b" * 40_000).status == 431
    assert app.get("/?text=" + "b" * 40_000).status == 414
    assert app.get("/config", Cookie="a=" + "b" * 4000).status == 200
    reply = app.get("/config", Cookie="a=" + "b" * 40_000)
    assert "at most 32,768 are read" in reply.json["detail"]


def test_a_full_folder_of_uploads_refuses_more(app, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_UPLOADED_FILES", 1)
    app.uploads.joinpath("tmp-one").write_bytes(b"1")
    reply = app.send_form(picture())
    assert reply.status == 507
    assert "deleted after 10 minutes" in reply.json["detail"]
    assert app.search(None, "is blue").error == ""


def test_large_values_are_not_sent_back(app):
    long = "9" * 100_000
    for answer in (
        app.search(None, "is blue", long),
        app.search(None, long),
        app.call("map", [long, 5]),
        app.call("explain", [None, "is blue", "x" * 100_000, 0]),
    ):
        assert answer.error
        assert len(answer.text) < 2000


# Slow clients


def test_half_requests_keep_nobody_waiting(app):
    """Connections that never finish their headers or their body keep no others from an answer."""
    head = "POST /gradio_api/call/search HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n{"
    begun = [b"GET /config HTTP/1.1\r\nHost: a\r\n", b"P", head.encode()]
    alone = max(app.search(None, "is blue").seconds for _ in range(3))
    with ExitStack() as open_connections:
        for number in range(120):
            connection = socket.create_connection(("127.0.0.1", app.port), timeout=60)
            open_connections.enter_context(connection)
            connection.sendall(begun[number % len(begun)])
        time.sleep(0.2)
        answers = [app.search(None, "is blue") for _ in range(3)]
    assert all(answer.error == "" for answer in answers)
    assert max(answer.seconds for answer in answers) < max(2.0, 4 * alone)


def test_a_body_that_stops_is_given_up(app, monkeypatch):
    monkeypatch.setattr(security, "BODY_PAUSE_SECONDS", 0.3)
    for path in (f"{API}/call/search", f"{API}/upload", f"{API}/component_server"):
        kind = "multipart/form-data; boundary=b" if path.endswith("upload") else "application/json"
        with socket.create_connection(("127.0.0.1", app.port), timeout=60) as connection:
            connection.sendall(
                f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\n"
                "Content-Length: 900\r\n\r\n--b".encode()
            )
            assert connection.recv(1000).startswith(b"HTTP/1.1 408"), path


def test_a_client_that_leaves_stops_nothing(app):
    for path in (f"{API}/call/search", f"{API}/upload"):
        with socket.create_connection(("127.0.0.1", app.port), timeout=60) as connection:
            connection.sendall(
                f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n".encode()
            )
    answers: list = []
    threads = [
        threading.Thread(target=lambda: answers.append(app.search(None, "is red")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [answer.error for answer in answers] == [""] * 4


# Bombs


def test_a_decompression_bomb_costs_an_error(app):
    """A file of some kilobytes that would be 300 MB of pixels is refused by its header."""
    bomb = io.BytesIO()
    Image.new("1", (20_000, 15_000)).save(bomb, "PNG")
    assert len(bomb.getvalue()) < 200_000
    answer = app.search({"path": app.upload(bomb.getvalue()), "meta": FILE}, "is blue")
    assert "at most 80,000,000 are read" in answer.error
    assert says_too_much(answer.text, app) is None

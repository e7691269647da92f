"""The app over loopback in this process, and a client that sends whatever it is given."""

import http.client
import json
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import torch

from dwc.gallery.store import Store
from dwc.ui.blocks import PageBlocks, build_page
from dwc.ui.gallery_images import StoreImages
from dwc.ui.panels.examples import choose_examples
from dwc.ui.rest import add_program_access
from dwc.ui.startup import launch_options, open_models, serve_thumbnails
from tests.search.tiny import write_tiny_checkpoint
from tests.ui.live import draw_gallery, free_port
from tests.ui.test_startup import Counts

FILE = {"_type": "gradio.FileData"}
API = "/gradio_api"
TIMEOUT = 120  # of a connection; the tests bound times themselves


@dataclass(frozen=True)
class Reply:
    """An answer: its status, its body, the events of a stream, and the seconds it took."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What an endpoint or an event of the page answered in the end.

    `data` are the outputs, None for an error; `error` is its message, empty for none.
    """

    status: int
    error: str
    data: Any
    text: str
    seconds: float


class ServedApp:
    """A started app and its folders; every request opens a connection of its own."""

    def __init__(self, page: PageBlocks, port: int, place: Path, store: Store) -> None:
        self.page, self.port, self.place, self.store = page, port, place, store
        self.images = StoreImages(store)
        self.uploads = place / "uploads"
        self.first: object = None  # an answer to compare later ones with
        config = self.get("/config").json
        self.dependencies = {one["id"]: one for one in config["dependencies"]}
        self.components = {one["id"]: one for one in config["components"]}

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send one request, its path as it is."""
        started = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body is not None and "Content-Length" not in (headers or {}):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            try:
                content = response.read()
            except http.client.IncompleteRead as error:  # Gradio ends the stream of no event so
                content = error.partial
            seconds = time.monotonic() - started
            return Reply(response.status, content, dict(response.getheaders()), seconds)
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, content: object) -> Reply:
        """Send JSON; bytes are sent as they are."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.request("POST", path, body, {"Content-Type": "application/json"})

    def upload(self, content: bytes, name: str = "picture.png") -> str:
        """Upload a file; the path that the server gave it."""
        return self.send_form(content, name).json[0]

    def send_form(self, content: bytes, name: str = "picture.png") -> Reply:
        boundary = uuid.uuid4().hex
        head = f'Content-Disposition: form-data; name="files"; filename="{name}"'.encode()
        body = b"--%b\r\n%b\r\n\r\n%b\r\n--%b--\r\n" % (
            boundary.encode(), head, content, boundary.encode(),
        )  # fmt: skip
        kind = f"multipart/form-data; boundary={boundary}"
        return self.request("POST", f"{API}/upload", body, {"Content-Type": kind})

    def call(self, name: str, data: object) -> Answer:
        """Call a public endpoint; `data` is the list of its inputs, or anything else."""
        return self.send_call(name, {"data": data})

    def send_call(self, name: str, content: object) -> Answer:
        """Call a public endpoint with a body of any kind, and wait for its answer."""
        call = f"{API}/call/{name}"
        begun = self.post(call, content)
        if begun.status != 200:
            return _refusal(begun)
        stream = self.get(f"{call}/{begun.json['event_id']}")
        kind, _, data = stream.text.rpartition("event: ")[2].partition("\ndata: ")
        content = json.loads(data)
        is_error = kind != "complete"
        message = content.get("error") if isinstance(content, dict) else content
        return Answer(
            stream.status,
            str(message) if is_error else "",
            None if is_error else content,
            stream.text,
            begun.seconds + stream.seconds,
        )

    def search(self, reference: object = None, text: object = "", *more: object) -> Answer:
        return self.call("search", [reference, text, *more])

    def send_event(
        self, number: object, data: object, event_data: object = None, session: str | None = None
    ) -> Answer:
        """Send an event of the page, by the number of its handler, as a browser does."""
        session = session or uuid.uuid4().hex[:11]
        content = {"fn_index": number, "data": data, "event_data": event_data,
                   "session_hash": session}  # fmt: skip
        begun = self.post(f"{API}/queue/join", content)
        if begun.status != 200:
            return _refusal(begun)
        stream = self.get(f"{API}/queue/data?session_hash={session}")
        messages = [
            json.loads(line[6:]) for line in stream.text.splitlines() if line[:6] == "data: "
        ]
        done = next(one for one in messages if one["msg"] == "process_completed")
        output, seconds = done["output"], begun.seconds + stream.seconds
        error = "" if done["success"] else str(output.get("error"))
        return Answer(stream.status, error, output.get("data"), stream.text, seconds)

    def events(self) -> dict[int, dict[str, Any]]:
        """The handlers of the page's own events."""
        return {
            number: one
            for number, one in self.dependencies.items()
            if one["backend_fn"] and one["api_visibility"] == "private"
        }

    def endpoints(self) -> dict[int, dict[str, Any]]:
        """The public endpoints."""
        return {
            number: one
            for number, one in self.dependencies.items()
            if one["backend_fn"] and one["api_visibility"] == "public"
        }

    def named(self, file: Path | str) -> Reply:
        """Ask for a file by its path."""
        return self.get(f"{API}/file={quote(str(file))}")

    def files(self) -> set[Path]:
        """All files in the folder of uploads."""
        return {path for path in self.uploads.rglob("*") if path.is_file()}


def _refusal(reply: Reply) -> Answer:
    content = reply.json
    detail = content.get("detail", content.get("error")) if isinstance(content, dict) else content
    return Answer(reply.status, json.dumps(detail), None, reply.text, reply.seconds)


@contextmanager
def serve_here(
    place: Path, model: str = "model", gallery: Path | None = None
) -> Iterator[ServedApp]:
    """Start the app in this process, with the options of the command, and stop it."""
    if gallery is None:
        gallery = place / "gallery"
        gallery.mkdir()
        draw_gallery(gallery)
    (place / "uploads").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DWC_CACHE", str(place / "cache"))
        patch.setenv("GRADIO_TEMP_DIR", str(place / "uploads"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        # As `configure_gradio` does, once for this process: Gradio's statistics cost more than an
        # answer of a tiny model.
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        patch.setenv("GRADIO_ANALYTICS_MAX_EVENTS", "1")
        patch.setenv("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))
        torch.set_num_threads(1)
        checkpoint = write_tiny_checkpoint(place / model)
        models, store = open_models([str(checkpoint)], str(gallery), Counts().show)
        images = StoreImages(store)
        serve_thumbnails(images)
        page = build_page(models, images, choose_examples(images))
        port = free_port()
        options = launch_options(images, "127.0.0.1", port)
        add_program_access(options, models, images, serves_mcp=find_spec("mcp") is not None)
        page.launch(**options, prevent_thread_lock=True, quiet=True, inbrowser=False)
        try:
            yield ServedApp(page, port, place, store)
        finally:
            page.close()


_SERVER_TEXT = re.compile(r"Traceback|File \"|site-packages|0x[0-9a-f]{6,}|line \d+, in ")


def says_too_much(text: str, app: ServedApp) -> str | None:
    """What a text tells about the server's inside; None if nothing."""
    for private in (str(app.place / "gallery"), os.getcwd(), str(Path.home())):
        if private in text and len(private) > 1:
            return private
    found = _SERVER_TEXT.search(text)
    return None if found is None else found[0]

"""A small web server that answers while the app loads its first model.

Without this server, monitors and visitors could not distinguish an app that is starting from an app
that is down. The module imports only the standard library, so that the server can answer at once.
"""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from dwc import __version__

HEALTH = "/health"
"""The path of the health check."""

RETRY_SECONDS = 2
"""The seconds after which a client should try again while the model is loaded."""

FIRST_PORT = 7860
"""The first port to try if none is given; Gradio has the same default."""

_LOCAL = "127.0.0.1"
_PORTS = 100
_CLIENT_SECONDS = 5.0  # a client that sends nothing for so long is disconnected
_POLL_SECONDS = 0.02
_PAGE = f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="{RETRY_SECONDS}">
<meta name="viewport" content="width=device-width">
<title>DWC is starting</title>
<body style="font-family: sans-serif; margin: 15vh auto; max-width: 30em">
<h1>Starting</h1>
<p>The model is being loaded. This page opens by itself.</p>
</html>
"""


def loading_status() -> dict[str, str]:
    """Return the answer of `/health` while the first model is being loaded."""
    return {"status": "loading", "version": __version__}


@contextmanager
def answer_while_loading(host: str | None, port: int | None) -> Iterator[int | None]:
    """Answer requests with status 503 (service unavailable) while the `with` block loads the model.

    The answer to `/health` is the status as JSON. The answer to any other path is a page that
    reloads itself. If the given port cannot be used, no server is started here, and no error is
    raised: the app's own server reports the error when it starts after the block.

    Args:
        host: The host name or address to listen on. If None, it is taken from the environment
            variable GRADIO_SERVER_NAME, or else is 127.0.0.1.
        port: The port to listen on. If None, it is taken from the environment variable
            GRADIO_SERVER_PORT, or else is the first free port from 7860 to 7959.

    Yields:
        The port on which the app's own server should listen after the block; None if no port is
        given and all ports from 7860 to 7959 are in use.
    """
    host = (host or os.environ.get("GRADIO_SERVER_NAME") or _LOCAL).strip("[]")
    if port is None and os.environ.get("GRADIO_SERVER_PORT", "").isdecimal():
        port = int(os.environ["GRADIO_SERVER_PORT"])
    ports = range(FIRST_PORT, FIRST_PORT + _PORTS) if port is None else [port]
    server = next(filter(None, (_listen(host, candidate) for candidate in ports)), None)
    if server is None:
        yield port
        return
    thread = threading.Thread(
        target=server.serve_forever, args=(_POLL_SECONDS,), name="loading-server", daemon=True
    )
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listen(host: str, port: int) -> ThreadingHTTPServer | None:
    """Return a server that listens on a port; None if the port cannot be used."""
    try:
        return _Server((host, port), _Handler)
    except (OSError, OverflowError):
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore errors, which come from clients that disconnect."""


class _Handler(BaseHTTPRequestHandler):
    """Handler that answers every request with status 503."""

    timeout = _CLIENT_SECONDS
    server_version, sys_version = "DWC", ""

    def do_GET(self) -> None:
        """Answer `/health` with the status as JSON, and any other path with a page."""
        path = self.path.partition("?")[0].rstrip("/")
        is_health = path.endswith(HEALTH)
        content = json.dumps(loading_status()) if is_health else _PAGE
        kind = "application/json" if is_health else "text/html; charset=utf-8"
        body = content.encode()
        self.send_response(503)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", str(RETRY_SECONDS))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_GET

    def log_message(self, *_: object) -> None:
        """Do not log requests."""

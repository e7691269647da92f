"""A reverse proxy that serves an app below a path, as web servers do, and pages of its own."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress

HEAD_END = b"\r\n\r\n"


class ReverseProxy:
    """Listens on a port of its own; removes `path` from what it passes on to `target`.

    Other paths are those of `pages`; any other is not found.
    """

    def __init__(self, path: str, target: int | None, pages: Mapping[str, str]) -> None:
        self._path, self._target, self._pages = path, target, pages
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.unknown: list[str] = []  # requests that only a wrong address can have made
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with closing(client), suppress(OSError):
            head = b""
            while HEAD_END not in head:
                content = client.recv(65536)
                if not content:
                    return
                head += content
            head, _, body = head.partition(HEAD_END)
            first, *headers = head.decode("latin-1").split("\r\n")
            method, path, _ = first.split(" ")
            if self._target is not None and path.startswith(f"{self._path}/"):
                request = f"{method} {path.removeprefix(self._path)} HTTP/1.1"
                hop = ("connection:", "keep-alive:")
                lines = [line for line in headers if not line.lower().startswith(hop)]
                self._pass_on(client, "\r\n".join([request, *lines, "Connection: close"]), body)
            elif self._target is not None and path == self._path:
                _answer(client, "301 Moved Permanently", "", f"Location: {self._path}/\r\n")
            elif path in self._pages:
                _answer(client, "200 OK", self._pages[path])
            else:
                if path != "/favicon.ico":
                    self.unknown.append(path)
                _answer(client, "404 Not Found", "")

    def _pass_on(self, client: socket.socket, head: str, body: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self._target)) as app:
            app.sendall(head.encode("latin-1") + HEAD_END + body)
            threading.Thread(target=_copy, args=(client, app), daemon=True).start()
            _copy(app, client)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)


def _answer(client: socket.socket, status: str, page: str, headers: str = "") -> None:
    body = page.encode()
    client.sendall(
        f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n{headers}"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        + body
    )


@contextmanager
def proxied(
    path: str = "", target: int | None = None, pages: Mapping[str, str] | None = None
) -> Iterator[ReverseProxy]:
    """A reverse proxy for as long as the block runs."""
    proxy = ReverseProxy(path, target, pages or {})
    try:
        yield proxy
    finally:
        proxy.close()

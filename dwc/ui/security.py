"""Protection of the web server: refused routes, limits of requests, and error responses.

No request can make the server fetch something from another address. Requests that are too large or
too slow are refused. Error responses are JSON, and contain no paths of the server's files.
`request_parsing.py` checks the values in requests; `uploads.py` checks paths of uploaded files.

`assets/docs/security.md` lists the threats, each with the tests of its defense.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote_plus

from anyio import fail_after, to_thread
from gradio.route_utils import API_PREFIX, FnIndexInferError
from gradio.utils import get_upload_folder
from pydantic import ValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dwc.errors import DWCError
from dwc.ui.monitoring import path_in_app
from dwc.ui.uploads import UPLOAD_MINUTES, is_full

# Gradio fetches `/file=https://…` and `/proxy=…` for any client. The page needs only its own
# files, and the server must not make requests on behalf of strangers.
_FETCHING_ROUTES = ("/file=http:", "/file=https:", "/proxy=")

# Routes of Gradio that the page does not use. They would write files, run an editor of this code,
# or show statistics.
UNUSED_ROUTES = (
    *(
        API_PREFIX + route
        for route in (
            "/custom_component",
            "/deep_link",
            "/dev/reload",
            "/file",
            "/process_recording",
            "/profiling",
            "/run-history",
            "/runs",
            "/stream",
            "/undo-vibe-edit",
            "/vibe-code",
            "/vibe-edit",
            "/vibe-starter-queries",
        )
    ),
    "/login",
    "/logout",
    "/monitoring",
)
"""Routes of Gradio that the server refuses, each with all routes below it."""
_BELOW_UNUSED_ROUTES = tuple(f"{route}/" for route in UNUSED_ROUTES)


def _is_unused(scope: Scope) -> bool:
    path = path_in_app(scope)
    return path in UNUSED_ROUTES or path.startswith(_BELOW_UNUSED_ROUTES)


class FetchNothing:
    """Middleware that refuses requests that would make the server fetch a URL.

    It also refuses requests for those routes of Gradio that the page does not use.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for a refused route with status 404; forward any other request."""
        if scope["type"] == "http":
            path = scope["path"].lower()
            refusal: Response | None = None
            if any(route in path for route in _FETCHING_ROUTES):
                refusal = PlainTextResponse("This server fetches nothing.", status_code=404)
            elif _is_unused(scope):
                refusal = refuse(404, "This server does not offer this address.")
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)


class OnePage:
    """Middleware that removes the query parameter `page` from requests for the web page.

    Gradio would take the value of this parameter as the name of one of several pages, and answer
    that there is no such page. The app has only one page and does not use the parameter. The
    visitor is told that it is ignored, as for any unknown parameter: the handler that shows this
    message gets the complete address from the browser.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request; if it is a request for the page, remove the parameter `page` first."""
        if scope["type"] == "http" and path_in_app(scope) == "/":
            parameters = [
                parameter
                for parameter in scope.get("query_string", b"").split(b"&")
                if unquote_plus(parameter.partition(b"=")[0].decode("latin-1")) != "page"
            ]
            scope = {**scope, "query_string": b"&".join(parameters)}
        await self.app(scope, receive, send)


MAX_BODY_BYTES = 1024**2
"""The maximum size of a request's body in bytes, on routes that receive no picture."""

MAX_HEADER_BYTES = 32 * 1024
"""The maximum size of a request's address, and of all its headers together, in bytes."""

BODY_PAUSE_SECONDS = 20.0
"""The maximum time that the server waits for the next part of a body, in seconds."""


UPLOAD_ROUTE = f"{API_PREFIX}/upload"
PROGRAM_ROUTES = ("/api", "/mcp")
"""The routes whose requests may contain a picture in Base64: the HTTP API and MCP."""

_MULTIPART_BYTES = 64 * 1024  # room for the parts of a form around the file


def body_limits(max_upload_bytes: int) -> dict[str, int]:
    """Return the maximum sizes of bodies that contain a picture.

    Args:
        max_upload_bytes: The maximum size of a picture's file in bytes.

    Returns:
        The maximum sizes in bytes by route. A maximum also applies to all routes below its route.
        On all other routes, the maximum is `MAX_BODY_BYTES`.
    """
    as_base64 = -(-max_upload_bytes // 3) * 4 + MAX_BODY_BYTES
    limits = dict.fromkeys(PROGRAM_ROUTES, as_base64)
    return {UPLOAD_ROUTE: max_upload_bytes + _MULTIPART_BYTES, **limits}


def is_below(path: str, route: str) -> bool:
    """Return whether a path is equal to a route or below it."""
    return path == route or path.startswith(f"{route}/")


class LimitRequests:
    """Middleware that refuses requests that are too large or arrive too slowly.

    It also refuses uploads if the upload folder is full.
    """

    def __init__(self, app: ASGIApp, limits: Mapping[str, int]) -> None:
        """Create the middleware.

        Args:
            app: The application that receives the accepted requests.
            limits: The maximum sizes of bodies in bytes by route, as `body_limits` returns them.
        """
        self.app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request within the limits; answer all other requests with an error in JSON."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = path_in_app(scope)
        fitting = (limit for route, limit in self._limits.items() if is_below(path, route))
        limit = next(fitting, MAX_BODY_BYTES)
        refusal = _check_head(scope, limit)
        if refusal is None and is_below(path, UPLOAD_ROUTE):
            refusal = await _check_room()
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        body, started = _LimitedBody(receive, limit), False

        async def answer(message: Message) -> None:
            nonlocal started
            if body.refusal is not None and not started:
                return  # the application's own error response, which would hide the reason
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).setdefault("X-Content-Type-Options", "nosniff")
            await send(message)

        with suppress(_BodyRefused):
            await self.app(scope, body, answer)
        if body.refusal is not None and not started:
            await body.refusal(scope, receive, send)


FAILED = (
    "This failed because of a mistake in the server, which has been logged. Try another search."
)
"""The message for all unexpected errors, whose original messages may contain paths."""


class MarkBadInputs:
    """Middleware that sets the status 400 if a direct call failed because of its inputs.

    A direct call bypasses Gradio's queue. Gradio answers every failed direct call with status 500,
    as if the server were at fault.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request; if it fails because of its inputs, respond with status 400."""
        if scope["type"] != "http" or f"{API_PREFIX}/run/" not in scope["path"]:
            await self.app(scope, receive, send)
            return
        start: Message | None = None

        async def answer(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] == 500:
                start = message  # sent later: the body shows whether the inputs were at fault
                return
            if start is not None:
                if _explains(message.get("body", b"")):
                    start["status"] = 400
                await send(start)
                start = None
            await send(message)

        await self.app(scope, receive, answer)


def _explains(body: bytes) -> bool:
    try:
        content = json.loads(body)
    except ValueError:
        return False
    error = content.get("error") if isinstance(content, dict) else None
    return isinstance(error, str) and error != FAILED


class _BodyRefused(Exception):
    """Exception that ends the reading of a body that is too large or arrives too slowly."""


class _LimitedBody:
    """ASGI `receive` callable that raises an error for a body that is too large or too slow.

    A body is too slow if no part of it arrives for `BODY_PAUSE_SECONDS`.

    Attributes:
        refusal: The response to a body that is too large or too slow; None while the body is
            accepted.
    """

    def __init__(self, receive: Receive, limit: int) -> None:
        self.refusal: Response | None = None
        self._receive, self._limit = receive, limit
        self._received, self._is_complete = 0, False

    async def __call__(self) -> Message:
        """Return the next part of the body, as an ASGI message."""
        if self._is_complete:
            return await self._receive()  # waits until the client disconnects
        try:
            with fail_after(BODY_PAUSE_SECONDS):
                message = await self._receive()
        except TimeoutError:
            self._refuse(
                408,
                f"Nothing arrived for {BODY_PAUSE_SECONDS:g} seconds in the middle of the request. "
                "Send it again.",
            )
        self._received += len(message.get("body", b""))
        if self._received > self._limit:
            self._refuse(413, _too_large("more", self._limit))
        self._is_complete = not message.get("more_body", False)
        return message

    def _refuse(self, status: int, message: str) -> NoReturn:
        self.refusal = refuse(status, message)
        raise _BodyRefused


async def _check_room() -> Response | None:
    """Return an error response if the upload folder is full, else None."""
    if not await to_thread.run_sync(is_full, Path(get_upload_folder())):
        return None
    return refuse(
        507,
        "The server has no more room for uploads. They are deleted after "
        f"{UPLOAD_MINUTES} minutes; try again then.",
    )


def _check_head(scope: Scope, limit: int) -> Response | None:
    """Return an error response if a request's address, headers or body are too large, else None.

    The size of the body is taken from the header `Content-Length`.
    """
    address = len(scope.get("raw_path") or b"") + len(scope.get("query_string", b""))
    if address > MAX_HEADER_BYTES:
        message = f"The address has {address:,} bytes; at most {MAX_HEADER_BYTES:,} are read."
        return refuse(414, f"{message} Shorten it.")
    headers = sum(len(name) + len(value) for name, value in scope["headers"])
    if headers > MAX_HEADER_BYTES:
        message = f"The headers have {headers:,} bytes; at most {MAX_HEADER_BYTES:,} are read."
        return refuse(431, f"{message} Send fewer or smaller ones, such as cookies.")
    announced = Headers(scope=scope).get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        return refuse(413, _too_large(f"{int(announced):,}", limit))
    return None


def _too_large(size: str, limit: int) -> str:
    return f"The request has {size} bytes; at most {limit:,} are read. Send less."


def refuse(status: int, message: str) -> JSONResponse:
    """Return an error message as a JSON response.

    The response contains the message twice: as `error`, the field of this project's API, and as
    `detail`, the field that Gradio's scripts read.
    """
    return JSONResponse({"detail": message, "error": message}, status_code=status)


def _answer_error(request: Request, error: Exception) -> Response:
    return refuse(400, str(error))


def _answer_unknown(request: Request, error: Exception) -> Response:
    known = f"{request.method} {request.url.path} names something that is not here"
    return refuse(404, f"{known}. The endpoints and their inputs are listed under /?view=api.")


def _answer_invalid(request: Request, error: Exception) -> Response:
    details = error.errors() if isinstance(error, ValidationError) else []
    problems = [f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in details]
    return refuse(422, f"The request is not valid: {'; '.join(problems[:3])}.")


def _answer_disconnected(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody receives it


def _answer_failure(request: Request, error: Exception) -> Response:
    return refuse(500, FAILED)


EXCEPTION_HANDLERS = {
    DWCError: _answer_error,
    FnIndexInferError: _answer_unknown,
    KeyError: _answer_unknown,
    ValidationError: _answer_invalid,
    ClientDisconnect: _answer_disconnected,
    Exception: _answer_failure,
}
"""The function that answers errors of each class in JSON.

Without these functions, Gradio would report invalid requests as internal errors.
"""

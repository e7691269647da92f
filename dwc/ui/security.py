"""Security checks of the web server: files that a request may name, and routes that are refused.

A request may name only files that were uploaded to this server, and no request can make the server
fetch something from another address.
`assets/docs/security.md` lists the threats, each with the tests of its defense.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread
from gradio.route_utils import API_PREFIX
from gradio.utils import get_upload_folder
from gradio_client.utils import is_file_obj_with_meta
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dwc.errors import ImageError, QueryError
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.monitoring.observation import path_in_app
from dwc.ui.request_limits import is_below, refuse

MAX_DEPTH = 32
"""The maximum depth of nested lists and objects in a request."""


def is_upload(path: str) -> bool:
    """Return whether a path is an existing file in the upload folder."""
    try:
        return _is_in_upload_folder(path) and Path(path).is_file()
    except OSError:  # for example, the path is too long or has a loop of symbolic links
        return False


def read_upload(path: str) -> bytes:
    """Return the content of an uploaded file.

    The path comes from a request. Gradio checks a path only if the request marks it as a file, so
    this function checks every path.

    Raises:
        ImageError: The file is not an upload, or no longer exists.
    """
    if not _is_in_upload_folder(path):
        raise ImageError("The picture was not uploaded here. Choose it again.")
    try:
        return Path(path).read_bytes()
    except OSError:
        raise ImageError("The picture is no longer here. Choose it again.") from None


def _is_in_upload_folder(path: str) -> bool:
    return _is_inside(path, Path(get_upload_folder()))


def check_values(values: Iterable[Any], image_folder: Path | None) -> None:
    """Check the values that a request sends to an event handler or an endpoint.

    Gradio opens or fetches whatever file an object of its file format names, in any input.

    Args:
        values: The values, as parsed from JSON.
        image_folder: The folder with the gallery's thumbnails, which requests may name; None if
            requests may name uploads only.

    Raises:
        QueryError: A value is nested too deeply, or a text has characters that cannot be encoded.
        ImageError: A value names a web address, or a file that is neither an upload nor a
            thumbnail.
    """
    for value in _iterate(values):
        if isinstance(value, str):
            check_text(value)
        elif _has_broken_meta(value):
            raise ImageError("The picture is not described as uploads are. Choose it again.")
        elif is_file_obj_with_meta(value):
            path = value["path"]
            if path.partition(":")[0].lower() in _FETCHED:
                raise ImageError("Addresses are not fetched. Save the picture and upload it.")
            if not _may_be_named(path, image_folder):
                raise ImageError("The picture was not uploaded here. Choose it again.")


def _has_broken_meta(value: Any) -> bool:
    """Whether Gradio could not tell if a value is a file of its format, and would fail."""
    if not isinstance(value, dict) or not isinstance(value.get("path"), str):
        return False
    return not isinstance(value.get("meta", {}), dict)


_FETCHED = ("http", "https", "ftp", "file", "data")


def _iterate(values: Iterable[Any]) -> Iterator[Any]:
    """Yield all values in nested lists and mappings, without recursion; refuse deep nesting."""
    stack = [(value, 1) for value in values]
    while stack:
        value, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise QueryError(
                f"the request is nested more than {MAX_DEPTH} levels deep. Send plain values."
            )
        yield value
        if isinstance(value, Mapping):
            stack.extend((item, depth + 1) for pair in value.items() for item in pair)
        elif isinstance(value, (list, tuple)):
            stack.extend((item, depth + 1) for item in value)


def check_text(text: str) -> None:
    """Check that a text can be encoded.

    Raises:
        QueryError: The text has half of a surrogate pair, which JSON can express.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryError(
            f"a text has the character {text[error.start]!r} at place {error.start + 1}, which is "
            "half of a surrogate pair; expected Unicode text. Remove this character."
        ) from None


def _may_be_named(path: str, image_folder: Path | None) -> bool:
    is_image = image_folder is not None and _is_inside(path, image_folder)
    return is_image or _is_in_upload_folder(path)


def _is_inside(path: str, folder: Path) -> bool:
    try:
        return Path(path).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # for example, it has a null character
        return False


# Gradio fetches `/file=https://…` and `/proxy=…` for any client. The page needs only its own
# files, and the server must not make requests on behalf of strangers.
_FILE_ROUTE = "/file="
_DRAWING_THREADS = 2  # more threads would only wait for Python's global interpreter lock
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


def _is_unused(scope: Scope) -> bool:
    return any(is_below(path_in_app(scope), route) for route in UNUSED_ROUTES)


class DrawThumbnails:
    """Middleware that draws a garment's thumbnail when a browser requests it for the first time."""

    def __init__(self, app: ASGIApp, images: GalleryImages) -> None:
        self.app, self.images = app, images
        self._threads = CapacityLimiter(_DRAWING_THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Draw the requested file if it is a missing thumbnail; then forward the request."""
        if scope["type"] == "http":
            _, is_file, path = scope["path"].partition(_FILE_ROUTE)
            if is_file and not os.path.exists(path):
                await to_thread.run_sync(self.images.draw_missing, path, limiter=self._threads)
        await self.app(scope, receive, send)


class FetchNothing:
    """Middleware that refuses routes which fetch from the web, and routes that are not used."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject requests for these routes (status 404); forward all others."""
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

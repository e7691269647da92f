"""Security checks: files that a request may name, lifetime of uploads, and blocked routes.

A request may name only files that were uploaded to this server, and no request can make the server
fetch something from another address.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from anyio import CapacityLimiter, to_thread
from gradio.utils import get_upload_folder
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from dwc.errors import ImageError
from dwc.ui.gallery_images import GalleryImages

UPLOAD_CHECK_SECONDS = 60
"""Interval between checks for expired uploads, in seconds."""

UPLOAD_LIFETIME_SECONDS = 600
"""Time after which an upload is deleted, in seconds."""

UPLOAD_MINUTES = UPLOAD_LIFETIME_SECONDS // 60


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
    try:
        return Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve())
    except (OSError, ValueError, RuntimeError):  # for example, it has a null character
        return False


def refuse_addresses(component: gr.Image) -> None:
    """Make an image component refuse web addresses in requests, which Gradio would fetch."""
    move_file = component.async_move_resource_to_block_cache

    async def move_upload(path: str | Path | None) -> Any:
        if path is not None and urlsplit(str(path)).scheme in ("http", "https"):
            raise gr.Error(
                "Addresses are not fetched. Save the picture and upload it.", print_exception=False
            )
        return await move_file(path)

    component.async_move_resource_to_block_cache = move_upload


# Gradio fetches `/file=https://…` and `/proxy=…` for any client. The page needs only its own
# files, and the server must not make requests on behalf of strangers.
_FILE_ROUTE = "/file="
_DRAWING_THREADS = 2  # more threads would only wait for Python's global interpreter lock
_FETCHING_ROUTES = ("/file=http:", "/file=https:", "/proxy=")


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
    """Middleware that rejects requests which would make the server fetch something from the web."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject requests for routes that fetch from the web (status 404); forward all others."""
        if scope["type"] == "http":
            path = scope["path"].lower()
            if any(route in path for route in _FETCHING_ROUTES):
                refusal = PlainTextResponse("This server fetches nothing.", status_code=404)
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)

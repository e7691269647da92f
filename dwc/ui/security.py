"""Which files a browser may name, how long uploads stay, and which of Gradio's routes are closed.

A browser may name what was uploaded here, and nothing is fetched from elsewhere.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from gradio.utils import get_upload_folder
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from dwc.errors import ImageError

UPLOAD_CHECK_SECONDS = 60
"""How often expired uploads are looked for."""

UPLOAD_LIFETIME_SECONDS = 600
"""After how long an upload is deleted."""

UPLOAD_MINUTES = UPLOAD_LIFETIME_SECONDS // 60


def is_upload(path: str) -> bool:
    """Whether a path is a file in the folder of uploads, and still exists."""
    try:
        return _is_in_upload_folder(path) and Path(path).is_file()
    except OSError:  # too long, or a loop of links
        return False


def read_upload(path: str) -> bytes:
    """The content of an uploaded file.

    A request names its file itself, and Gradio checks the name only where the request marks it as
    a file. So it is checked here.

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
    except (OSError, ValueError, RuntimeError):  # a null character, or a loop of links
        return False


def refuse_addresses(component: gr.Image) -> None:
    """Make a component take uploads only: Gradio would fetch any public address for its sender."""
    move_file = component.async_move_resource_to_block_cache

    async def move_upload(path: str | Path | None) -> Any:
        if path is not None and urlsplit(str(path)).scheme in ("http", "https"):
            raise gr.Error(
                "Addresses are not fetched. Save the picture and upload it.", print_exception=False
            )
        return await move_file(path)

    component.async_move_resource_to_block_cache = move_upload


# Gradio fetches `/file=https://…` and `/proxy=…` for any client. The page shows its own files only,
# and must not make requests in a stranger's name.
_FETCHING_ROUTES = ("/file=http:", "/file=https:", "/proxy=")


class FetchNothing:
    """Middleware that answers 404 to requests that would make the server fetch an address."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on every other request."""
        if scope["type"] == "http":
            path = scope["path"].lower()
            if any(route in path for route in _FETCHING_ROUTES):
                refusal = PlainTextResponse("This server fetches nothing.", status_code=404)
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)

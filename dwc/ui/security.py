"""Which files a browser may name: what was uploaded here, and nothing fetched from elsewhere.

Routes that Gradio opens and this page has no use for, closed.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from gradio.utils import get_upload_folder
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from dwc.errors import ImageError


def read_upload(path: str) -> bytes:
    """The content of an uploaded file.

    A request names its file itself, and Gradio checks the name only where the request marks it as a
    file; so it is checked here. Raises `ImageError` for any file that is not an upload.
    """
    file = Path(path).resolve()
    if not file.is_relative_to(Path(get_upload_folder()).resolve()):
        raise ImageError("The picture was not uploaded here. Choose it again.")
    try:
        return file.read_bytes()
    except OSError:
        raise ImageError("The picture is no longer here. Choose it again.") from None


def refuse_addresses(component: gr.Image) -> None:
    """Have a component take uploads alone: Gradio would fetch any public address for its sender."""
    move_file = component.async_move_resource_to_block_cache

    async def move_upload(path: str | Path | None) -> Any:
        if path is not None and urlsplit(str(path)).scheme in ("http", "https"):
            raise gr.Error(
                "Addresses are not fetched. Save the picture and upload it.", print_exception=False
            )
        return await move_file(path)

    component.async_move_resource_to_block_cache = move_upload


# Gradio fetches `/file=https://…` and `/proxy=…` for whoever asks. The page shows its own files
# alone, and must not make requests in a stranger's name.
_FETCHED = ("/file=http:", "/file=https:", "/proxy=")


class FetchNothing:
    """Answers 404 to what would make the server fetch an address."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on everything else."""
        if scope["type"] == "http":
            path = scope["path"].lower()
            if any(closed in path for closed in _FETCHED):
                refusal = PlainTextResponse("This server fetches nothing.", status_code=404)
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)

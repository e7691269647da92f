"""Which files a browser may name: what was uploaded here, and nothing fetched from elsewhere."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from gradio.utils import get_upload_folder

from dwc.errors import PictureError


def read_upload(path: str) -> bytes:
    """The content of an uploaded file.

    A request names its file itself, and Gradio checks the name only where the request marks it as a
    file; so it is checked here. Raises `PictureError` for any file that is not an upload.
    """
    file = Path(path).resolve()
    if not file.is_relative_to(Path(get_upload_folder()).resolve()):
        raise PictureError("The picture was not uploaded here. Choose it again.")
    try:
        return file.read_bytes()
    except OSError:
        raise PictureError("The picture is no longer here. Choose it again.") from None


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

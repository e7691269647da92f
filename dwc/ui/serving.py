"""How the page is served: looks, limits, and the few files a browser may read."""

from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from dwc.ui.closing import FetchNothing
from dwc.ui.pictures import Pictures
from dwc.ui.theme import make_head, make_theme, read_style

MAX_UPLOAD_BYTES = 20 * 1024 * 1024


def launch_options(pictures: Pictures, host: str | None, port: int | None) -> dict[str, Any]:
    """Keyword arguments for `gr.Blocks.launch`.

    Where `host` or `port` is None, Gradio's own rules hold: GRADIO_SERVER_NAME and
    GRADIO_SERVER_PORT (which Spaces set), else 127.0.0.1 and the first free port from 7860.
    """
    return {
        "server_name": host,
        "server_port": port,
        "share": False,
        "allowed_paths": [str(pictures.folder)],
        "max_file_size": MAX_UPLOAD_BYTES,
        "footer_links": ["api"],
        "ssr_mode": False,
        "app_kwargs": {"middleware": [Middleware(FetchNothing)]},
        "show_error": True,
        "theme": make_theme(),
        "css": read_style(),
        "head": make_head(MAX_UPLOAD_BYTES),
        "js": "() => window.dwc.start()",
    }


def serve_thumbnails(pictures: Pictures) -> None:
    """Let the thumbnails be served and handed back where they lie, without copies in the cache."""
    gr.set_static_paths([pictures.folder])

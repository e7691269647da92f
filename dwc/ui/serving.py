"""The page's looks: Gradio's plainest theme, and our own style and behaviour over it.

How the page is served: looks, limits, and the few files a browser may read.
"""

from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from dwc.ui.gallery_images import GalleryImages
from dwc.ui.security import FetchNothing

_STATIC = Path(__file__).parent / "static"
# Later ones may refine what came before.
_STYLES = (
    "style.css",
    "history.css",
    "comparison.css",
    "map.css",
    "weight_statistics.css",
    "study.css",
)
_SCRIPTS = ("page.js", "results.js", "panels.js", "map_drawing.js", "map.js")
# Installed fonts only: nothing is fetched from elsewhere.
FONTS = ("Inter", "Helvetica Neue", "Arial", "sans-serif")


def make_theme() -> gr.themes.Base:
    """Gradio's own components (upload field, text field, buttons) in the page's colours."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.slate,
        neutral_hue=gr.themes.colors.slate,
        font=FONTS,
        font_mono=("ui-monospace", "monospace"),
    )


def read_style() -> str:
    """The style sheets, one after the other."""
    return "\n".join((_STATIC / name).read_text(encoding="utf-8") for name in _STYLES)


def make_head(max_upload_bytes: int) -> str:
    """The script for the page's head; it refuses larger uploads before they travel."""
    script = "\n".join((_STATIC / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    return f"<script>const DWC_MAX_UPLOAD_BYTES = {max_upload_bytes};\n{script}</script>"


MAX_UPLOAD_BYTES = 60 * 1024 * 1024


def launch_options(pictures: GalleryImages, host: str | None, port: int | None) -> dict[str, Any]:
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


def serve_thumbnails(pictures: GalleryImages) -> None:
    """Let the thumbnails be served and handed back where they lie, without copies in the cache."""
    gr.set_static_paths([pictures.folder])

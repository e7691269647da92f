"""The page's looks: Gradio's plainest theme, and our own style and behaviour over it."""

from pathlib import Path

import gradio as gr

_HERE = Path(__file__).parent
# Later ones may refine what came before.
_STYLES = ("style.css", "way.css", "compare.css", "map.css", "atlas.css", "study.css")
_SCRIPTS = ("behaviour.js", "map_drawing.js", "map.js")
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
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _STYLES)


def make_head(max_upload_bytes: int) -> str:
    """The script for the page's head; it refuses larger uploads before they travel."""
    script = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    return f"<script>const DWC_MAX_UPLOAD_BYTES = {max_upload_bytes};\n{script}</script>"

"""The page's head: what this is, which model answers, over which gallery."""

from pathlib import Path

from dwc.ui.pictures import Pictures
from dwc.ui.wording import count, escape


def render_header(model_name: str, pictures: Pictures) -> str:
    """The title, one line, and the chips; the toggle is worked by `behaviour.js`."""
    return (
        '<header class="masthead"><div class="title"><h1>DWC</h1>'
        "<p>what a search by picture and words listens to</p></div>"
        '<div class="chips">'
        f'<span class="chip">Model <b>{escape(shorten(model_name))}</b></span>'
        f'<span class="chip">Gallery <b>{count(len(pictures.ids))} {escape(pictures.noun)}</b>'
        "</span>"
        '<button type="button" class="chip" id="theme-toggle" aria-pressed="false" '
        'aria-label="Dark colours" title="Dark or light">'
        '<svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true">'
        '<circle cx="8" cy="8" r="6.5" fill="none" stroke="currentColor" stroke-width="1.5"/>'
        '<path d="M8 1.5a6.5 6.5 0 0 1 0 13z" fill="currentColor"/></svg></button>'
        "</div></header>"
    )


def shorten(model_name: str) -> str:
    """A folder's own name without the way to it; a name of the Hub as it is."""
    path = Path(model_name)
    is_path = path.is_absolute() or model_name.startswith((".", "~")) or path.is_dir()
    return path.name if is_path and path.name else model_name

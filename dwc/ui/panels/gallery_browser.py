"""The gallery, a page at a time; any picture of it can become the reference."""

from collections.abc import Mapping
from typing import Any

from dwc.ui.format import count, escape, on_load
from dwc.ui.gallery_images import GalleryImages, url_of

PAGE_SIZE = 24

HEADING = """
<h2 id="browse">The gallery</h2>
<p class="hint">Every picture that a search looks through. Choose one to search from it.</p>
"""

ON_LOAD = on_load("dwcPanels.galleryBrowser", "follow", "turn")


def count_pages(pictures: GalleryImages) -> int:
    """How many pages the gallery fills; an empty one still shows a page."""
    return max(1, -(-len(pictures.ids) // PAGE_SIZE))


def page_asked(data: Mapping[str, Any], pictures: GalleryImages) -> int:
    """The page that a browser asked for, counted from 0; whatever it sent, one that exists."""
    page = data.get("page")
    if not isinstance(page, int):
        return 0
    return min(max(page, 0), count_pages(pictures) - 1)


def render_gallery(pictures: GalleryImages, page: int) -> str:
    """One page of the gallery, counted from 0, with the way to the others."""
    first = page * PAGE_SIZE
    shown = pictures.ids[first : first + PAGE_SIZE]
    tiles = "".join(_tile(picture_id, pictures) for picture_id in shown)
    last = count_pages(pictures) - 1
    return (
        f'<ul class="tiles">{tiles}</ul>'
        '<nav class="pager" aria-label="Pages of the gallery">'
        f"{_turn('First', 0, page == 0)}{_turn('Previous', page - 1, page == 0)}"
        f'<span class="where" aria-live="polite">{count(first + 1 if shown else 0)}'
        f"–{count(first + len(shown))} of {count(len(pictures.ids))}</span>"
        f"{_turn('Next', page + 1, page == last)}{_turn('Last', last, page == last)}</nav>"
    )


def _tile(picture_id: str, pictures: GalleryImages) -> str:
    description = escape(pictures.describe(picture_id))
    return (
        f'<li><button type="button" class="tile" data-id="{escape(picture_id)}" '
        f'title="{description}">'
        f'<img src="{escape(url_of(pictures.thumbnail(picture_id)))}" alt="{description}" '
        'loading="lazy" width="96" height="96"></button></li>'
    )


def _turn(label: str, page: int, disabled: bool) -> str:
    state = " disabled" if disabled else ""
    return f'<button type="button" data-page="{page}"{state}>{label}</button>'

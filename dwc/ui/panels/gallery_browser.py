"""The gallery browser: shows all images page by page; a click makes an image the reference."""

from collections.abc import Sequence

import numpy as np

from dwc.gallery.filters import find_matching, parse_filter
from dwc.ui.format import escape, format_count, on_load
from dwc.ui.gallery_images import GalleryImages, url_of

PAGE_SIZE = 24

ON_LOAD = on_load("dwcPanels.galleryBrowser", "follow", "turn")

MAX_SKIPPED_SHOWN = 50
"""How many unreadable files are listed by name; the rest are only counted."""

HEADING = """
<h2 id="browse">The gallery</h2>
<p class="hint">Every picture that a search looks through. Choose one to search from it.</p>
"""


def fitting_ids(images: GalleryImages, filter: str = "") -> Sequence[str]:
    """Return the ids of the images that fit a filter, given as text; all for an empty filter.

    Raises:
        QueryError: The filter is invalid.
    """
    condition = parse_filter(filter, images.metadata)
    if condition is None:
        return images.ids
    positions = np.flatnonzero(find_matching(condition, images.metadata)).tolist()
    return [images.ids[position] for position in positions]


def count_pages(images: GalleryImages, filter: str = "") -> int:
    """Return the number of pages of the images that fit a filter; at least 1."""
    return max(1, -(-len(fitting_ids(images, filter)) // PAGE_SIZE))


def parse_page(page: object, images: GalleryImages, filter: str = "") -> int:
    """Return the index of an existing page, from 0, for a page index that a browser sent.

    An index beyond the first or last page becomes that page; other input becomes 0.
    """
    if not isinstance(page, int):
        return 0
    return min(max(page, 0), count_pages(images, filter) - 1)


def render_gallery(images: GalleryImages, page: int, filter: str = "") -> str:
    """Return the HTML of one page of the gallery, and of the buttons to other pages.

    Args:
        images: The gallery.
        page: The index of the page, from 0.
        filter: The condition on the metadata of the images to show, as text; empty for none.

    Raises:
        QueryError: The filter is invalid.
    """
    fitting = fitting_ids(images, filter)
    first = page * PAGE_SIZE
    ids = fitting[first : first + PAGE_SIZE]
    tiles = "".join(_tile(image_id, images) for image_id in ids)
    last = count_pages(images, filter) - 1
    suffix = f" that fit {escape(filter)}" if filter else ""
    return (
        f'<ul class="tiles">{tiles}</ul>'
        '<nav class="pager" aria-label="Pages of the gallery">'
        f"{_button('First', 0, page == 0)}{_button('Previous', page - 1, page == 0)}"
        f'<span class="where" aria-live="polite">{format_count(first + 1 if ids else 0)}'
        f"–{format_count(first + len(ids))} of {format_count(len(fitting))}{suffix}</span>"
        f"{_button('Next', page + 1, page == last)}{_button('Last', last, page == last)}</nav>"
    )


def render_left_out(images: GalleryImages) -> str:
    """Return the HTML of a collapsed note on files that the gallery does not show.

    The note has remarks on missing files and on images that were left out, and a list of files that
    cannot be read. The result is empty if there are none of these.
    """
    skipped = list(images.skipped.items())
    items = [f"<li>{escape(remark)}</li>" for remark in images.remarks]
    items += [
        f"<li><b>{escape(image_id)}</b>: {escape(reason)}</li>"
        for image_id, reason in skipped[:MAX_SKIPPED_SHOWN]
    ]
    if len(skipped) > MAX_SKIPPED_SHOWN:
        items.append(f"<li>and {format_count(len(skipped) - MAX_SKIPPED_SHOWN)} more files</li>")
    if not items:
        return ""
    unread = f"{format_count(len(skipped))} files that cannot be read" if skipped else ""
    summary = "What this gallery leaves out" + (f": {unread}" if unread else "")
    return (
        f'<details class="note"><summary>{summary}</summary>'
        f'<ul class="left-out">{"".join(items)}</ul></details>'
    )


def _tile(image_id: str, images: GalleryImages) -> str:
    description = escape(images.describe(image_id))
    return (
        f'<li><button type="button" class="tile" data-id="{escape(image_id)}" '
        f'title="{description}">'
        f'<img src="{escape(url_of(images.thumbnail(image_id)))}" alt="{description}" '
        'loading="lazy" width="96" height="96"></button></li>'
    )


def _button(label: str, page: int, disabled: bool) -> str:
    state = " disabled" if disabled else ""
    return f'<button type="button" data-page="{page}"{state}>{label}</button>'

"""The gallery browser, and the section with which visitors filter the gallery by its metadata.

The browser shows all images that fit the filter, page by page; a click makes an image the
reference.

The filter section is collapsed at first. It has one part for each column of the metadata. For a
column of texts or truth values, this part has a checkbox with a count for each value; for a column
of numbers, it has a range. The count of a value is the number of pictures that have the value and
fit the conditions on the other columns. The section also has a field in which a visitor can type a
filter.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwc.errors import QueryError
from dwc.gallery.filters import (
    Comparison,
    Filter,
    Membership,
    Order,
    all_of,
    find_matching,
    format_filter,
    parse_filter,
    parts_by_column,
)
from dwc.gallery.metadata import Column, Metadata, Value, format_value
from dwc.ui.format import escape, format_count, on_load, render_error
from dwc.ui.gallery_images import GalleryImages, url_of

PAGE_SIZE = 24

ON_LOAD = on_load("dwcPanels.galleryBrowser", "follow", "turn")

MAX_SKIPPED_SHOWN = 50
"""The maximum number of unreadable files that are listed by name; the rest are counted."""

HEADING = """
<h2 id="browse">The gallery</h2>
<p class="hint">Every picture that a search looks through. Choose one to search from it.</p>
"""


def _fitting_positions(images: GalleryImages, filter: str) -> Sequence[int] | NDArray[np.int64]:
    """Return the indices of the images that fit a filter; all indices if the filter is empty.

    Raises:
        QueryError: The filter is invalid.
    """
    condition = parse_filter(filter, images.metadata)
    if condition is None:
        return range(len(images.ids))
    return np.flatnonzero(find_matching(condition, images.metadata))


def count_pages(images: GalleryImages, filter: str = "") -> int:
    """Return on how many pages the gallery browser shows the images that fit a filter.

    If there are no such images, there is one empty page.
    """
    return max(1, -(-len(_fitting_positions(images, filter)) // PAGE_SIZE))


def parse_page(page: object, images: GalleryImages, filter: str = "") -> int:
    """Convert a page index that a browser sent to the index of an existing page, from 0.

    A negative index or a value that is not an integer becomes 0. An index that is too large becomes
    the index of the last page.
    """
    if not isinstance(page, int):
        return 0
    return min(max(page, 0), count_pages(images, filter) - 1)


def render_gallery(images: GalleryImages, page: int, filter: str = "") -> str:
    """Return the HTML of one page of the gallery browser, with buttons to the other pages.

    Args:
        images: The gallery.
        page: The index of the page in the gallery browser, from 0.
        filter: The condition on the metadata of the images to show, as text; empty for none.

    Raises:
        QueryError: The filter is invalid.
    """
    fitting = _fitting_positions(images, filter)
    first = page * PAGE_SIZE
    ids = [images.ids[int(position)] for position in fitting[first : first + PAGE_SIZE]]
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

    The note contains remarks, for example on missing files, and a list of the files that cannot be
    read. The result is empty if there is nothing to report.
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
        f'data-content="{images.digest(image_id)}" title="{description}">'
        f'<img src="{escape(url_of(images.thumbnail(image_id)))}" alt="{description}" '
        'loading="lazy" width="96" height="96"></button></li>'
    )


def _button(label: str, page: int, disabled: bool) -> str:
    state = " disabled" if disabled else ""
    return f'<button type="button" data-page="{page}"{state}>{label}</button>'


MAX_FACET_VALUES = 60
"""The maximum number of different texts in a column for which checkboxes are shown."""

FACETS_ON_LOAD = on_load("dwcPanels.facets", "filter")


def render_facets(
    metadata: Metadata, text: str = "", message: str = "", written: str | None = None
) -> str:
    """Return the HTML of the filter section; empty for a gallery without metadata.

    Args:
        metadata: The gallery's metadata.
        text: The current filter; empty for none.
        message: An error message about a rejected filter; empty for none.
        written: The rejected filter, which the visitor can correct; None if no filter was rejected.
    """
    if not metadata.columns:
        return ""
    filter = _parse_or_none(text, metadata)
    by_column, others = parts_by_column(filter)
    parts = [
        _render_column(number, name, metadata, by_column, others)
        for number, name in enumerate(metadata.columns)
    ]
    current = format_filter(filter)
    field = current if written is None else written
    rest = [name for name, part in zip(metadata.columns, parts, strict=True) if not part]
    hint = f"Further columns: {', '.join(rest)}. " if rest else ""
    fitting = metadata.count if filter is None else np.count_nonzero(_mask([filter], metadata))
    count = f"{format_count(int(fitting))} of {format_count(metadata.count)}"
    summary = f"<b>{escape(current)}</b> · {count}" if filter else "all pictures"
    clear = '<button type="button" id="filter-clear">Clear</button>' if filter else ""
    return (
        f'<details class="facets" data-facet="all"><summary>Filter: {summary}</summary>'
        f"{''.join(parts)}"
        '<form class="filter-form"><label for="filter-text">As text</label>'
        f'<input type="text" id="filter-text" value="{escape(field)}" '
        'placeholder="price &lt; 50 and not colour = red" autocomplete="off" spellcheck="false">'
        f'<button type="submit" id="filter-apply">Apply</button>{clear}</form>'
        f'<p class="hint">{escape(hint)}Conditions with =, !=, &lt;, &gt;, in (a, b), joined by '
        f"and, or, not.</p>{render_error(message)}</details>"
    )


def choose_filter(text: str, metadata: Metadata, choice: Mapping[str, Any]) -> str:
    """Return the filter after a visitor's choice, as text.

    Args:
        text: The filter before the choice.
        metadata: The gallery's metadata.
        choice: The data that the browser sent. It has either `text`, a complete filter, or
            `column`, the name of a column. In the second case, it also has either `values`, the
            list of all checked values as texts, or `least` and `greatest`, the ends of a range as
            texts. An end may be empty.

    Raises:
        QueryError: The choice is invalid.
    """
    written = choice.get("text")
    if isinstance(written, str):
        return format_filter(parse_filter(written, metadata))
    name = choice.get("column")
    if not isinstance(name, str) or name not in metadata.columns:
        raise QueryError(f"the filter's column is {name!r}, which this gallery does not have.")
    column = metadata.columns[name]
    by_column, others = parts_by_column(_parse_or_none(text, metadata))
    by_column.pop(name, None)
    chosen: list[Filter] = []
    values = choice.get("values")
    if isinstance(values, list):
        known = [value for value in _list_values(column) if format_value(value) in values]
        if known:
            chosen.append(Membership(name, tuple(known)))
    elif column.type == "number":
        ends: tuple[tuple[str, Order], ...] = (("least", ">="), ("greatest", "<="))
        for end, operator in ends:
            if (limit := _parse_limit(choice.get(end), name)) is not None:
                chosen.append(Comparison(name, operator, limit))
    parts = [part for column_parts in by_column.values() for part in column_parts]
    return format_filter(all_of([*parts, *others, *chosen]))


def _parse_limit(value: object, name: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        limit = float(str(value))
    except ValueError:
        limit = np.nan
    if not np.isfinite(limit):
        raise QueryError(f"the end of the range of {name!r} is {value!r}; expected a number.")
    return limit


def _parse_or_none(text: str, metadata: Metadata) -> Filter | None:
    try:
        return parse_filter(text, metadata)
    except QueryError:  # a filter for another gallery, from a tab opened earlier
        return None


def _mask(parts: list[Filter], metadata: Metadata) -> NDArray[np.bool_]:
    condition = all_of(parts)
    if condition is None:
        return np.ones(metadata.count, dtype=bool)
    return find_matching(condition, metadata)


def _list_values(column: Column) -> list[Value]:
    if column.type == "number":
        return []
    return [True, False] if column.type == "boolean" else list(column.texts)


def _render_column(
    number: int,
    name: str,
    metadata: Metadata,
    by_column: Mapping[str, list[Filter]],
    others: list[Filter],
) -> str:
    """Return the HTML of the part of the filter section for one column of the metadata.

    The result is empty for a text column with fewer than 2 or more than `MAX_FACET_VALUES`
    different texts.

    Args:
        number: The index of the column; it makes the ids of the HTML elements unique.
        name: The column's name.
        metadata: The gallery's metadata.
        by_column: The parts of the current filter that refer to a single column, by that column's
            name.
        others: The parts of the current filter that refer to several columns.
    """
    column, own = metadata.columns[name], by_column.get(name, [])
    rest = [part for other, parts in by_column.items() if other != name for part in parts]
    if column.type == "number":
        content = _render_range(number, column, own)
    elif len(column.texts) > MAX_FACET_VALUES or len(_list_values(column)) < 2:
        return ""
    else:
        content = _render_values(column, own, _mask([*rest, *others], metadata))
    chosen = f": <b>{escape(_describe_choice(name, own))}</b>" if own else ""
    return (
        f'<details class="facet" data-facet="{escape(name)}"><summary>{escape(name)}{chosen}'
        f'</summary><fieldset data-column="{escape(name)}"><legend class="sr-only">{escape(name)}'
        f"</legend>{content}</fieldset></details>"
    )


def _describe_choice(name: str, own: list[Filter]) -> str:
    if len(own) == 1 and isinstance(own[0], Membership):
        return ", ".join(map(format_value, own[0].values))
    return " and ".join(format_filter(part).removeprefix(f"{name} ") for part in own)


def _render_values(column: Column, own: list[Filter], mask: NDArray[np.bool_]) -> str:
    checked: set[Value] = set()
    for part in own:
        if isinstance(part, Membership):
            checked.update(part.values)
    values = _list_values(column)
    counts = {value: int(np.count_nonzero(column.has_any([value]) & mask)) for value in values}
    listed = [value for value in values if counts[value] or value in checked]
    listed.sort(key=lambda value: -counts[value])
    return "".join(
        f'<label class="facet-value"><input type="checkbox" value="{escape(format_value(value))}"'
        f"{' checked' if value in checked else ''}><span>{escape(format_value(value))}</span>"
        f'<span class="facet-count">{format_count(counts[value])}</span></label>'
        for value in listed
    )


def _render_range(number: int, column: Column, own: list[Filter]) -> str:
    known = column.values[~column.is_missing]
    if not len(known):
        return '<p class="hint">No picture has a value.</p>'
    limits = {part.operator: part.limit for part in own if isinstance(part, Comparison)}
    ends = (
        ("least", "from", limits.get(">="), known.min()),
        ("greatest", "to", limits.get("<="), known.max()),
    )
    return "".join(
        f'<label class="facet-end" for="facet-{number}-{end}">{label}</label>'
        f'<input type="number" step="any" id="facet-{number}-{end}" data-end="{end}" '
        f'value="{"" if limit is None else escape(format_value(limit))}" '
        f'placeholder="{escape(format_value(float(extreme)))}">'
        for end, label, limit, extreme in ends
    )

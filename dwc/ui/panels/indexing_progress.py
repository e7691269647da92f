"""The line that says how far the gallery is indexed, on a page that opened before the end of that.

The script of the element asks the server for the line at once and then every two seconds. When more
pictures can be searched, it triggers the event `grow`, whose handler shows them in the gallery
browser.
"""

from tqdm import tqdm

from dwc.ui.format import escape, format_count, on_load
from dwc.ui.indexing import IndexingStatus

ADDRESS = "indexing"
"""The path, relative to the page, from which the script reads the line."""

ON_LOAD = on_load("dwcPanels.indexing", "grow")


def render_indexing(status: IndexingStatus | None, noun: str) -> str:
    """Return the HTML of the line.

    Args:
        status: How far the gallery is indexed; None if the page opened with the whole gallery.
        noun: The plural noun for the images.
    """
    if status is None:
        return ""
    noun = escape(noun)
    ready = f"the {format_count(status.searchable)} that are ready"
    indexed = f"{format_count(status.finished)} of {format_count(status.total)} {noun}"
    if status.is_complete:
        return (
            f'<p role="status">The gallery is indexed: {format_count(status.searchable)} {noun}. '
            "Results from before cover only a part of it, and say so; search again for all.</p>"
        )
    if not status.is_running:
        return (
            f'<p class="trouble" role="alert">Indexing stopped at {indexed}; the server\'s log '
            f"says why. Searches find {ready}. Start the app again to go on.</p>"
        )
    pace = f", {_format_rate(status.per_second)}" if status.per_second > 0 else ""
    left = f", {tqdm.format_interval(status.seconds_left)} left" if status.seconds_left else ""
    return (
        f"<p>Indexing the gallery: {indexed}{pace}{left}. Searches find {ready}. "
        f'<progress value="{status.finished}" max="{max(status.total, 1)}" '
        'aria-label="Indexed"></progress></p>'
    )


def indexing_answer(status: IndexingStatus | None, noun: str) -> dict[str, object]:
    """Return what the script of the element reads, as a JSON-compatible dict.

    The entries are `html`, the line; `searchable`, the number of pictures that searches find; and
    `state`: "running", "complete" or "stopped".
    """
    state = "complete"
    if status is not None and not status.is_complete:
        state = "running" if status.is_running else "stopped"
    return {
        "html": render_indexing(status, noun),
        "searchable": 0 if status is None else status.searchable,
        "state": state,
    }


def _format_rate(per_second: float) -> str:
    if per_second >= 1:
        return f"{per_second:.0f} a second" if per_second >= 10 else f"{per_second:.1f} a second"
    return f"{60 * per_second:.1f} a minute"

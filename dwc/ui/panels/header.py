"""The top of the web page: the header, and the line with the progress of indexing.

The header has the title, the model in use, the gallery, and a button that switches between light
and dark colors.

The progress line exists only if the page opened before the complete gallery was indexed. A script
reads the line from the server when the page opens, and then every two seconds. When more pictures
can be searched, the script triggers the event `grow`, whose handler shows these pictures in the
gallery browser.
"""

from collections.abc import Sequence

from tqdm import tqdm

from dwc.search.model_pool import Origin
from dwc.ui.format import escape, format_count, on_load
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.indexing import IndexingStatus

ON_LOAD = on_load("dwcPanels.header", "choose")

COMMIT_DIGITS = 7
"""The number of digits of a commit hash that are shown, as in git and on the Hub."""


def render_header(names: Sequence[str], chosen: str, origin: Origin, images: GalleryImages) -> str:
    """Return the HTML of the page header: the title, the model, the gallery and the theme toggle.

    The theme toggle switches between light and dark colors; the script `page.js` implements it.

    Args:
        names: The names of the available models; if there are several, a selector is shown.
        chosen: The name of the selected model.
        origin: The selected model and its gallery; the header shows the model's commit, if any.
        images: The gallery.
    """
    indexing = images.indexing
    if indexing is None or indexing.is_complete:
        size = f"{format_count(len(images.ids))} {escape(images.noun)}"
    else:
        size = "being indexed" if indexing.is_running else "indexed in part"
    return (
        '<header class="masthead"><div class="title"><h1>DWC</h1>'
        "<p>what a search by picture and words listens to</p></div>"
        '<div class="chips">'
        f'<span class="chip">{_model(names, chosen)}{_commit(origin.revision)}</span>'
        f'<span class="chip">Gallery <b>{size}</b></span>'
        '<button type="button" class="chip" id="theme-toggle" aria-pressed="false" '
        'aria-label="Dark colours" title="Dark or light">'
        '<svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true">'
        '<circle cx="8" cy="8" r="6.5" fill="none" stroke="currentColor" stroke-width="1.5"/>'
        '<path d="M8 1.5a6.5 6.5 0 0 1 0 13z" fill="currentColor"/></svg></button>'
        "</div></header>"
    )


def _model(names: Sequence[str], chosen: str) -> str:
    if len(names) == 1:
        return f"Model <b>{escape(chosen)}</b>"
    options = "".join(
        f'<option value="{escape(name)}"{" selected" if name == chosen else ""}>{escape(name)}'
        "</option>"
        for name in names
    )
    return f'<label for="model-choice">Model</label> <select id="model-choice">{options}</select>'


def _commit(revision: str | None) -> str:
    """Return the HTML of a button that shows a shortened commit hash and copies the full hash.

    The result is empty if `revision` is None.
    """
    if revision is None:
        return ""
    commit = escape(revision)
    return (
        f' <button type="button" class="commit" data-copy="{commit}" title="Commit {commit}. '
        f'Press to copy it." aria-label="Copy the commit, {commit}">'
        f"{escape(revision[:COMMIT_DIGITS])}</button>"
        '<span role="status" id="copied"></span>'
    )


INDEXING_ADDRESS = "indexing"
"""The path, relative to the page, from which a script reads the progress of indexing."""

INDEXING_ON_LOAD = on_load("dwcPanels.indexing", "grow")


def render_indexing(status: IndexingStatus | None, noun: str) -> str:
    """Return the HTML of the line with the progress of indexing.

    Args:
        status: The progress; None if the page opened with the complete gallery. The result is then
            empty.
        noun: The plural noun for the images, such as "garments".
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
    """Return the progress of indexing for the page's script, as a JSON-compatible dict.

    The entries are `html`, the output of `render_indexing`; `searchable`, the number of pictures
    that searches include; and `state`: "running", "complete" or "stopped".
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

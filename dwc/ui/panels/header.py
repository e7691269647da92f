"""The page header: the title, the model in use, the gallery, and the theme toggle."""

from collections.abc import Sequence

from dwc.search.model_pool import Origin
from dwc.ui.format import escape, format_count, on_load
from dwc.ui.gallery_images import GalleryImages

ON_LOAD = on_load("dwcPanels.header", "choose")

COMMIT_DIGITS = 7
"""How many digits of a commit hash are shown: as many as git and the Hugging Face Hub show."""


def render_header(names: Sequence[str], chosen: str, origin: Origin, images: GalleryImages) -> str:
    """Return the HTML of the page header; the script `page.js` implements the theme toggle.

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
    """Return the HTML of a button that shows a shortened commit hash and copies the whole hash.

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

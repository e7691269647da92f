"""The search history of a visit, drawn as a tree with one tile per search.

The top row contains the current search. The other rows contain the searches in other branches of
the tree, which are drawn paler.
"""

from pathlib import Path

from dwc.search.results import mean_image_weight
from dwc.ui.format import escape, on_load, percents, render_hint
from dwc.ui.gallery_images import GalleryImages, url_of
from dwc.ui.history import HistoryQuery, HistoryRow, HistoryStep, SearchHistory, WeightShift
from dwc.ui.security import is_upload
from dwc.ui.state import SearchRequest, SearchState

ON_LOAD = on_load("dwcPanels.history", "back")

_HINT = "Every search of this visit is kept here. Choose one to go back to it."


def record_answer(history: SearchHistory, state: SearchState | None) -> SearchHistory:
    """Return the history with a search result recorded as the current step.

    If the current step or one of its children has the same query, no step is added: that step
    becomes the current step, and its image weight is updated.

    Args:
        history: The search history of the visit.
        state: The search result; None to return the history unchanged.
    """
    if state is None:
        return history
    request = state.request
    weight_shift = WeightShift(request.shift, mean_image_weight(state.result.weights))
    return history.search(query_of(request), weight_shift)


def query_of(request: SearchRequest) -> HistoryQuery:
    """Return the query that the history records for a search."""
    return HistoryQuery(
        request.words, request.reference_id, request.upload, request.filter, request.model
    )


def image_exists(step: HistoryStep) -> bool:
    """Return whether the reference image of a step still exists.

    The result is False only if the reference was uploaded and has been deleted since. The result is
    also True for a step without a reference.
    """
    return step.query.upload is None or is_upload(step.query.upload)


def deleted_message(step: HistoryStep, upload_minutes: int) -> str:
    """Return the message for going back to a step whose uploaded reference has been deleted."""
    rest = "Its words are back: choose" if step.query.words else "Choose"
    return (
        f"Step {step.number} began from a picture that you uploaded, and uploads are deleted after "
        f"{upload_minutes} minutes. {rest} the picture again to repeat it."
    )


def render_history(
    history: SearchHistory, images: GalleryImages, upload_minutes: int, message: str = ""
) -> str:
    """Return the HTML of the history under its heading; empty before the first search.

    Args:
        history: The search history of the visit.
        images: The gallery.
        upload_minutes: After how many minutes uploads are deleted.
        message: The output of `deleted_message`; empty for no message.
    """
    rows = history.rows()
    if not rows:
        return ""
    tiles = "".join(
        _tile(step, row, number, row.column + index, history, images, upload_minutes)
        for number, row in enumerate(rows, start=1)
        for index, step in enumerate(row.steps)
    )
    is_single = len(history.steps) == 1
    note = f'<p class="hint" role="status">{escape(message)}</p>' if message else ""
    hint = render_hint(_HINT) if is_single else ""
    return (
        f'<nav class="trail{" alone" if is_single else ""}" aria-labelledby="trail-title">'
        '<h3 id="trail-title">The way so far</h3>'
        f'<div class="way-frame"><ol class="way">{tiles}</ol></div>{note}{hint}</nav>'
    )


def _tile(
    step: HistoryStep,
    row: HistoryRow,
    row_number: int,
    column: int,
    history: SearchHistory,
    images: GalleryImages,
    upload_minutes: int,
) -> str:
    current = ' aria-current="step"' if step.number == history.current else ""
    is_abandoned = row_number > 1
    words = step.query.words
    picture, rest = percents(step.weight_shift.image_weight)
    shifted = "leaned to " if step.weight_shift.shift != 0 else ""
    thumbnail, name = _reference(step, images, upload_minutes)
    after = "" if step.parent is None else f", after step {step.parent}"
    description = [
        f"Step {step.number}{after}: {name}",
        f"“{words}”" if words else "no words",
        f"{shifted}picture {picture} %, words {rest} %",
    ]
    said = words or "more like this"
    if step.query.filter:
        description.append(f"only {step.query.filter}")
        said = f"{said}; only {step.query.filter}"
    if len({step.query.model for step in history.steps}) > 1 and step.query.model:
        description.append(f"answered by {step.query.model}")
        said = f"{said}; by {step.query.model}"
    if is_abandoned:
        description.append("left aside")
    kind, up = "stop aside" if is_abandoned else "stop", ""
    if step is row.steps[0]:
        kind += " branch" if is_abandoned else " start"
        up = f";--up:{row.up}"
    label = escape("; ".join(description))
    return (
        f'<li class="{kind}" style="grid-row:{row_number};grid-column:{column + 1}{up}">'
        f'<button type="button" data-step="{step.number}" title="{label}"{current} '
        f'aria-label="{label}">{thumbnail}'
        f'<span class="listened" aria-hidden="true"><i style="width:{picture}%"></i></span>'
        f'<span class="said">{escape(said)}</span></button></li>'
    )


def _reference(step: HistoryStep, images: GalleryImages, upload_minutes: int) -> tuple[str, str]:
    """Return the HTML of the thumbnail of a step's reference, and a description of the reference.

    If there is no reference, or if its file was deleted, a few words take the place of the
    thumbnail.
    """
    query = step.query
    if query.reference_id is not None:
        if query.reference_id not in images.ids:  # the step is from another gallery
            return '<span class="no-picture">picture gone</span>', "a picture that is gone"
        name = images.describe(query.reference_id)
        return _thumbnail(url_of(images.thumbnail(query.reference_id)), name), f"like {name}"
    if query.upload is None:
        return '<span class="no-picture">words only</span>', "words alone"
    if not image_exists(step):
        deleted = f"your picture, deleted after {upload_minutes} minutes"
        return '<span class="no-picture">picture deleted</span>', deleted
    return _thumbnail(url_of(Path(query.upload)), "your picture"), "like your picture"


def _thumbnail(url: str, name: str) -> str:
    return f'<img src="{escape(url)}" alt="{escape(name)}" width="60" height="60">'

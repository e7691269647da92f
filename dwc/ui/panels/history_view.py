"""The way of a search as a strip: a tile a step, what was left aside fainter below.

The trail on the page: what an answer adds to it, and going back along it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from dwc.search.model_pool import ModelPool
from dwc.search.results import mean_image_weight
from dwc.ui.format import escape, on_load, percents
from dwc.ui.gallery_images import GalleryImages, url_of
from dwc.ui.handlers import AnswerUpdate, answer_with, thumbnail_of
from dwc.ui.history import HistoryQuery, HistoryRow, HistoryStep, SearchHistory, WeightShift
from dwc.ui.state import SearchState

ON_LOAD = on_load("dwcPanels.history", "back")

_HINT = "Every search of this visit is kept here. Choose one to go back to it."


def render_history(
    trail: SearchHistory, pictures: GalleryImages, uploads_kept_minutes: int, said: str = ""
) -> str:
    """The tree of steps under its heading; empty before the first.

    `said` is what there is to tell about going back.
    """
    lines = trail.lines()
    if not lines:
        return ""
    stops = "".join(
        _stop(step, line, row, line.column + place, trail, pictures, uploads_kept_minutes)
        for row, line in enumerate(lines, start=1)
        for place, step in enumerate(line.steps)
    )
    alone = len(trail.steps) == 1
    note = f'<p class="hint" role="status">{escape(said)}</p>' if said else ""
    hint = f'<p class="hint">{_HINT}</p>' if alone else ""
    return (
        f'<nav class="trail{" alone" if alone else ""}" aria-labelledby="trail-title">'
        '<h3 id="trail-title">The way so far</h3>'
        f'<div class="way-frame"><ol class="way">{stops}</ol></div>{note}{hint}</nav>'
    )


def deleted_message(step: HistoryStep, uploads_kept_minutes: int) -> str:
    """What to say where a step's picture was uploaded and is no longer kept."""
    rest = "Its words are back: choose" if step.question.words else "Choose"
    return (
        f"Step {step.number} began from a picture that you uploaded, and uploads are deleted after "
        f"{uploads_kept_minutes} minutes. {rest} the picture again to repeat it."
    )


def is_kept(step: HistoryStep) -> bool:
    """Whether a step's picture is still there; one without picture needs none."""
    return step.question.upload is None or Path(step.question.upload).is_file()


def _stop(
    step: HistoryStep,
    line: HistoryRow,
    row: int,
    column: int,
    trail: SearchHistory,
    pictures: GalleryImages,
    uploads_kept_minutes: int,
) -> str:
    current = ' aria-current="step"' if step.number == trail.current else ""
    aside = row > 1
    words = step.question.words
    weight, rest = percents(step.lean.image_weight)
    turn = "leaned to " if step.lean.shift != 0 else ""
    shown, name = _picture(step, pictures, uploads_kept_minutes)
    told = [
        f"Step {step.number}: {name}",
        f"“{words}”" if words else "no words",
        f"{turn}picture {weight} %, words {rest} %",
    ]
    if step.parent is not None:
        told[0] = f"Step {step.number}, after step {step.parent}: {name}"
    if aside:
        told.append("left aside")
    kind, up = "stop aside" if aside else "stop", ""
    if step is line.steps[0]:
        kind += " branch" if aside else " start"
        up = f";--up:{line.up}"
    said = escape("; ".join(told))
    return (
        f'<li class="{kind}" style="grid-row:{row};grid-column:{column + 1}{up}">'
        f'<button type="button" data-step="{step.number}" title="{said}"{current} '
        f'aria-label="{said}">{shown}'
        f'<span class="listened" aria-hidden="true"><i style="width:{weight}%"></i></span>'
        f'<span class="said">{escape(words) or "more like this"}</span></button></li>'
    )


def _picture(
    step: HistoryStep, pictures: GalleryImages, uploads_kept_minutes: int
) -> tuple[str, str]:
    """What is shown for the reference, and what it is called."""
    question = step.question
    if question.reference_id is not None:
        name = pictures.describe(question.reference_id)
        return _thumbnail(url_of(pictures.thumbnail(question.reference_id)), name), f"like {name}"
    if question.upload is None:
        return '<span class="no-picture">words only</span>', "words alone"
    if not is_kept(step):
        gone = f"your picture, deleted after {uploads_kept_minutes} minutes"
        return '<span class="no-picture">picture deleted</span>', gone
    return _thumbnail(url_of(Path(question.upload)), "your picture"), "like your picture"


def _thumbnail(url: str, name: str) -> str:
    return f'<img src="{escape(url)}" alt="{escape(name)}" width="60" height="60">'


@dataclass(frozen=True)
class HistoryView:
    """The strip and the session's trail that it shows; `kept_minutes` is how long uploads stay."""

    strip: gr.HTML
    trail: gr.State
    pictures: GalleryImages
    kept_minutes: int

    def follow(self, event: Any, standing: gr.State, **options: Any) -> Any:
        """After an event that shows or leans an answer, have the trail take it in.

        Returns what further events can follow.
        """

        def take_in(trail: SearchHistory, now: SearchState | None) -> Any:
            taken = record_answer(trail, now)
            return (gr.skip(), gr.skip()) if taken == trail else (taken, self.render(taken))

        return event.then(take_in, [self.trail, standing], [self.trail, self.strip], **options)

    def render(self, trail: SearchHistory, said: str = "") -> str:
        """The strip's HTML, with what there is to tell about going back."""
        return render_history(trail, self.pictures, self.kept_minutes, said)


@dataclass(frozen=True)
class RestoredStep:
    """What going back to a step brings back; `picture` is a file's path, None for none.

    Where the step's picture is no longer kept, `panels` leave the answer as it is, the trail stays
    where it was, and `said` tells so.
    """

    picture: str | None
    words: str
    panels: AnswerUpdate
    trail: SearchHistory
    said: str = ""


def build_history(
    standing: SearchState | None, pictures: GalleryImages, kept_minutes: int
) -> HistoryView:
    """The strip, here in the page, of a trail that begins with the page's first answer."""
    trail = record_answer(SearchHistory(), standing)
    strip = gr.HTML(
        render_history(trail, pictures, kept_minutes),
        elem_id="trail",
        js_on_load=ON_LOAD,
        apply_default_css=False,
    )
    return HistoryView(strip, gr.State(trail), pictures, kept_minutes)


def record_answer(trail: SearchHistory, standing: SearchState | None) -> SearchHistory:
    """The trail with the answer that is shown now; the same where it was taken in already."""
    if standing is None:
        return trail
    asked = standing.query
    question = HistoryQuery(asked.text, asked.reference_id, standing.upload)
    return trail.ask(
        question, WeightShift(standing.shift, mean_image_weight(standing.result.weights))
    )


def go_back(
    models: ModelPool, way: HistoryView, name: str, trail: SearchHistory, data: Mapping[str, Any]
) -> RestoredStep | None:
    """Ask a step's question once more, leaned as it was; None for a step that there is not.

    The model `name` answers. An answer that cannot be had is a complaint in `panels`.
    """
    there = trail.back_to(data.get("step"))
    if there is None or there.here is None:
        return None
    question = there.here.question
    if not is_kept(there.here):
        told = deleted_message(there.here, way.kept_minutes)
        return RestoredStep(None, question.words, AnswerUpdate(trouble=""), trail, told)
    picture = question.upload or thumbnail_of(question.reference_id, way.pictures)
    file = None if picture is None else {"path": picture}
    shift = there.here.lean.shift
    panels = answer_with(models, way.pictures, name, file, question.words, shift)
    trail = trail if panels.standing is None else record_answer(there, panels.standing)
    return RestoredStep(picture, question.words, panels, trail)

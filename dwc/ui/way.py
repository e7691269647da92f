"""The trail on the page: what an answer adds to it, and going back along it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dwc.search.models import Models
from dwc.search.result import mean_image_weight
from dwc.ui.answering import Panels, answer_with, thumbnail_of
from dwc.ui.pictures import Pictures
from dwc.ui.standing import Standing
from dwc.ui.trail import Lean, Question, Trail
from dwc.ui.trail_strip import ON_LOAD, is_kept, render_trail, tell_deleted


@dataclass(frozen=True)
class Way:
    """The strip and the session's trail that it shows; `kept_minutes` is how long uploads stay."""

    strip: gr.HTML
    trail: gr.State
    pictures: Pictures
    kept_minutes: int

    def follow(self, event: Any, standing: gr.State, **options: Any) -> Any:
        """After an event that shows or leans an answer, have the trail take it in.

        Returns what further events can follow.
        """

        def take_in(trail: Trail, now: Standing | None) -> Any:
            taken = take(trail, now)
            return (gr.skip(), gr.skip()) if taken == trail else (taken, self.render(taken))

        return event.then(take_in, [self.trail, standing], [self.trail, self.strip], **options)

    def render(self, trail: Trail, said: str = "") -> str:
        """The strip's HTML, with what there is to tell about going back."""
        return render_trail(trail, self.pictures, self.kept_minutes, said)


@dataclass(frozen=True)
class Return:
    """What going back to a step brings back; `picture` is a file's path, None for none.

    Where the step's picture is no longer kept, `panels` leave the answer as it is, the trail stays
    where it was, and `said` tells so.
    """

    picture: str | None
    words: str
    panels: Panels
    trail: Trail
    said: str = ""


def lay_out_way(standing: Standing | None, pictures: Pictures, kept_minutes: int) -> Way:
    """The strip, here in the page, of a trail that begins with the page's first answer."""
    trail = take(Trail(), standing)
    strip = gr.HTML(
        render_trail(trail, pictures, kept_minutes),
        elem_id="trail",
        js_on_load=ON_LOAD,
        apply_default_css=False,
    )
    return Way(strip, gr.State(trail), pictures, kept_minutes)


def take(trail: Trail, standing: Standing | None) -> Trail:
    """The trail with the answer that is shown now; the same where it was taken in already."""
    if standing is None:
        return trail
    asked = standing.asked
    question = Question(asked.text, asked.reference_id, standing.upload)
    return trail.ask(question, Lean(standing.shift, mean_image_weight(standing.result.weights)))


def go_back(
    models: Models, way: Way, name: str, trail: Trail, data: Mapping[str, Any]
) -> Return | None:
    """Ask a step's question once more, leaned as it was; None for a step that there is not.

    The model `name` answers. An answer that cannot be had is a complaint in `panels`.
    """
    there = trail.back_to(data.get("step"))
    if there is None or there.here is None:
        return None
    question = there.here.question
    if not is_kept(there.here):
        told = tell_deleted(there.here, way.kept_minutes)
        return Return(None, question.words, Panels(trouble=""), trail, told)
    picture = question.upload or thumbnail_of(question.reference_id, way.pictures)
    file = None if picture is None else {"path": picture}
    shift = there.here.lean.shift
    panels = answer_with(models, way.pictures, name, file, question.words, shift)
    trail = trail if panels.standing is None else take(there, panels.standing)
    return Return(picture, question.words, panels, trail)

"""The panels that explain an answer, in their order down the page.

A new panel is one line in `PANELS`; the page lays it out and fills it for every answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from dwc.errors import DWCError
from dwc.search.model_pool import ModelPool
from dwc.search.searcher import Searcher
from dwc.ui.format import render_error
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.panels import (
    attention_maps,
    comparison,
    map,
    model_input,
    paraphrases,
    rank_trace,
    score_split,
    weight_statistics,
    word_ablation,
)
from dwc.ui.state import SearchState

Render = Callable[[Searcher, GalleryImages, SearchState], str]
"""The searcher that gave an answer, the gallery, an answer with results -> the panel's HTML."""


@dataclass(frozen=True)
class ExplanationPanel:
    """One panel, a section under the results; hidden while it is empty.

    Attributes:
        id: The element's id.
        label: Names the section for screen readers. Without it there is no section, as for a
            closed note.
        render: Returns the content for an answer.
        title: Whether the label is a heading as well.
        row: Panels in sequence with the same row are side by side in an element of that id.
        of_result: Whether it explains the selected result, and is filled for each selection.
        slow: Whether it is filled after the others.
        on_load: What its `gr.HTML` runs in the browser.
    """

    id: str
    label: str
    render: Render
    title: bool = False
    row: str = ""
    of_result: bool = False
    slow: bool = False
    on_load: str | None = None

    @property
    def template(self) -> str:
        """The section around what `render` returns."""
        if not self.label:
            return "${value}"
        if not self.title:
            return f'<section aria-label="{self.label}">${{value}}</section>'
        return (
            f'<section aria-labelledby="{self.id}-title"><h2 id="{self.id}-title">{self.label}</h2>'
            "${value}</section>"
        )


def _panel(id: str, label: str, module: ModuleType, **options: Any) -> ExplanationPanel:
    """The panel of a module, which has `render` and may have `ON_LOAD`."""
    on_load = getattr(module, "ON_LOAD", None)
    return ExplanationPanel(id, label, module.render, on_load=on_load, **options)


PANELS: tuple[ExplanationPanel, ...] = (
    _panel("trace", "What if it listened otherwise?", rank_trace, title=True),
    _panel("why", "Why this result", score_split, row="reasons", of_result=True),
    _panel("words-effect", "What each word did", word_ablation, row="reasons", of_result=True),
    _panel("regions", "Where the words looked", attention_maps, title=True, slow=True),
    _panel("compare", "The same question, read otherwise", comparison, title=True, slow=True),
    _panel("paraphrase", "The same wish in other words", paraphrases, title=True, slow=True),
    _panel("read", "", model_input),
    _panel("map", "The gallery as a map", map, title=True, slow=True),
    _panel("atlas", "What it usually listens to", weight_statistics, title=True, slow=True),
)
"""All panels, in their order down the page."""

FAST_PANELS = tuple(panel for panel in PANELS if not panel.slow)
SLOW_PANELS = tuple(panel for panel in PANELS if panel.slow)
RESULT_PANELS = tuple(panel for panel in PANELS if panel.of_result)
MAP_PANELS = tuple(panel for panel in PANELS if panel.id == "map")
SHIFT_PANELS = (*RESULT_PANELS, *MAP_PANELS)
"""Filled again once the slider rests; the trace shows every shift already."""


def render_panels(
    panels: Sequence[ExplanationPanel],
    models: ModelPool,
    images: GalleryImages,
    state: SearchState | None,
) -> list[str]:
    """The content of these panels for an answer, by the model that gave it.

    Every panel is empty for an answer without results. A panel that fails shows its own error
    message, and the others their content.
    """
    if state is None or not state.result.hits or not panels:
        return ["" for _ in panels]
    try:
        with models.using(state.request.model) as searcher:
            return [_render(panel, searcher, images, state) for panel in panels]
    except DWCError as error:  # the model was unloaded, and cannot be loaded again
        return [render_error(str(error)), *("" for _ in panels[1:])]


def _render(
    panel: ExplanationPanel, searcher: Searcher, images: GalleryImages, state: SearchState
) -> str:
    try:
        return panel.render(searcher, images, state)
    except DWCError as error:
        return render_error(str(error))

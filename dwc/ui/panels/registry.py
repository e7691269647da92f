"""The list of panels that explain a search result, in the order in which the page shows them.

To add a panel, add an entry to `PANELS`. The page then lays it out and fills it after every search.
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
    paraphrases,
    rank_trace,
    result_explanation,
    weight_statistics,
)
from dwc.ui.state import SearchState

Render = Callable[[Searcher, GalleryImages, SearchState], str]
"""Function that returns a panel's HTML for a searcher, a gallery and a search with results."""


@dataclass(frozen=True)
class ExplanationPanel:
    """An explanation panel: a page section below the results, hidden while it is empty.

    Attributes:
        id: The id of the HTML element.
        label: The section's name for screen readers. It is empty for a collapsed note, whose HTML
            is not wrapped in a section.
        render: Function that returns the panel's content for a search result.
        title: Whether the label is also shown as a heading.
        row: The id of the HTML element of a row of panels; consecutive panels with the same `row`
            are side by side. Empty for a panel of full width.
        of_result: Whether the panel explains the selected result. Such a panel is filled again
            whenever another result is selected.
        slow: Whether the panel takes long to compute. Such a panel is filled after the fast panels.
        uses_model: Whether computing the panel needs forward passes of the model. Such a panel may
            have to wait for searches.
        on_load: The JavaScript that the browser runs when it inserts the panel; None for no
            JavaScript.
    """

    id: str
    label: str
    render: Render
    title: bool = False
    row: str = ""
    of_result: bool = False
    slow: bool = False
    uses_model: bool = False
    on_load: str | None = None

    @property
    def template(self) -> str:
        """The HTML template of the section, with `${value}` in place of the output of `render`."""
        if not self.label:
            return "${value}"
        if not self.title:
            return f'<section aria-label="{self.label}">${{value}}</section>'
        return (
            f'<section aria-labelledby="{self.id}-title"><h2 id="{self.id}-title">{self.label}</h2>'
            "${value}</section>"
        )


def _panel(id: str, label: str, module: ModuleType, **options: Any) -> ExplanationPanel:
    """Create a panel from a module that defines `render` and, optionally, `ON_LOAD`."""
    on_load = getattr(module, "ON_LOAD", None)
    return ExplanationPanel(id, label, module.render, on_load=on_load, **options)


PANELS: tuple[ExplanationPanel, ...] = (
    _panel("trace", "What if it listened otherwise?", rank_trace, title=True),
    ExplanationPanel(
        "why",
        "Why this result",
        result_explanation.render_score_panel,
        row="reasons",
        of_result=True,
    ),
    ExplanationPanel(
        "words-effect",
        "What each word did",
        result_explanation.render_words_panel,
        row="reasons",
        of_result=True,
        uses_model=True,
    ),
    _panel(
        "regions", "Where the words looked", attention_maps, title=True, slow=True, uses_model=True
    ),
    _panel("compare", "The same question, read otherwise", comparison, title=True, slow=True),
    _panel("paraphrase", "The same wish in other words", paraphrases, title=True, slow=True),
    ExplanationPanel("read", "", result_explanation.render_input_panel),
    _panel("map", "The gallery as a map", map, title=True, slow=True),
    _panel("atlas", "What it usually listens to", weight_statistics, title=True, slow=True),
)
"""All panels in the order in which the page shows them."""

FAST_PANELS = tuple(panel for panel in PANELS if not panel.slow)
SLOW_PANELS = tuple(panel for panel in PANELS if panel.slow)
RESULT_PANELS = tuple(panel for panel in PANELS if panel.of_result)
LIGHT_RESULT_PANELS = tuple(panel for panel in RESULT_PANELS if not panel.uses_model)
MODEL_RESULT_PANELS = tuple(panel for panel in RESULT_PANELS if panel.uses_model)
MAP_PANELS = tuple(panel for panel in PANELS if panel.id == "map")
SHIFT_PANELS = (*RESULT_PANELS, *MAP_PANELS)
"""Panels that are filled again when the slider of the image weight stops moving.

The rank trace is not among them, because it shows all image weights at once.
"""


def render_panels(
    panels: Sequence[ExplanationPanel],
    models: ModelPool,
    images: GalleryImages,
    state: SearchState | None,
) -> list[str]:
    """Return the HTML of the given panels for a search result.

    Args:
        panels: The panels.
        models: The models.
        images: The gallery.
        state: The search result; None before the first search.

    Returns:
        The HTML of each panel, in the same order. If a panel cannot be rendered, its HTML is an
        error message; the other panels are not affected. If the model cannot be loaded, only the
        first panel has an error message, and the others are empty. If there are no results, all
        panels are empty.
    """
    if state is None or not state.result.hits or not panels:
        return ["" for _ in panels]
    try:
        with models.using(state.request.model) as present:
            searcher = state.explained_by(present)
            return [_render(panel, searcher, images, state) for panel in panels]
    except DWCError as error:  # the model was unloaded and cannot be loaded again
        return [render_error(str(error)), *("" for _ in panels[1:])]


def _render(
    panel: ExplanationPanel, searcher: Searcher, images: GalleryImages, state: SearchState
) -> str:
    try:
        return panel.render(searcher, images, state)
    except DWCError as error:
        return render_error(str(error))

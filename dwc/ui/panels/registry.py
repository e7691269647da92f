"""The panels that explain an answer: which there are, in their order down the page.

To add one, add a line to `PANELS`; the page lays it out and fills it for every answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dwc.errors import DWCError
from dwc.explain.model_input import describe_model_input
from dwc.explain.score_split import explain_score
from dwc.explain.word_ablation import ablate_words
from dwc.search.model_pool import ModelPool
from dwc.search.searcher import Searcher
from dwc.search.weight_sweep import shift_for_weight
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.panels import attention_maps as regions_panel
from dwc.ui.panels import comparison as compare_panel
from dwc.ui.panels import map as map_panel
from dwc.ui.panels import paraphrases as paraphrase_panel
from dwc.ui.panels import weight_statistics as atlas_panel
from dwc.ui.panels.messages import render_trouble
from dwc.ui.panels.model_input import render_model_input
from dwc.ui.panels.rank_trace import LIMIT, NOTHING, POSITIONS, TRACED, render_trace
from dwc.ui.panels.rank_trace import ON_LOAD as TRACE_ON_LOAD
from dwc.ui.panels.score_split import render_why
from dwc.ui.panels.word_ablation import render_word_effects
from dwc.ui.state import SearchState

Render = Callable[[Searcher, GalleryImages, SearchState], str]
"""An answer that has results, and the searcher that gave it -> the panel's HTML."""


@dataclass(frozen=True)
class ExplanationPanel:
    """One panel, a section of its own under the results; hidden while it is empty.

    `id` is the element's. `label` names the section for those who cannot see it; with `title` that
    is a heading as well, and without any label there is no section, as for a closed note.
    Neighbours of the same `row` stand side by side in an element of that id. A panel `of_result`
    tells about `Standing.looked_at` and is filled again when another result is chosen. A `slow` one
    is filled once the others are shown. `js_on_load` is what its `gr.HTML` runs.
    """

    id: str
    label: str
    render: Render
    title: bool = False
    row: str = ""
    of_result: bool = False
    slow: bool = False
    js_on_load: str | None = None

    @property
    def template(self) -> str:
        """The section around what `render` gives."""
        if not self.label:
            return "${value}"
        if not self.title:
            return f'<section aria-label="{self.label}">${{value}}</section>'
        return (
            f'<section aria-labelledby="{self.id}-title"><h2 id="{self.id}-title">{self.label}</h2>'
            "${value}</section>"
        )


def _trace(searcher: Searcher, pictures: GalleryImages, standing: SearchState) -> str:
    if not standing.can_lean:
        return NOTHING
    steps = range(1, POSITIONS - 1)
    shifts = [shift_for_weight(standing.sweep, step / (POSITIONS - 1)) for step in steps]
    return render_trace(standing.sweep.rank_trace(shifts, TRACED, LIMIT), pictures)


def _why(searcher: Searcher, pictures: GalleryImages, standing: SearchState) -> str:
    return render_why(explain_score(standing.sweep, standing.looked_at, standing.shift), pictures)


def _words(searcher: Searcher, pictures: GalleryImages, standing: SearchState) -> str:
    found = explain_score(standing.sweep, standing.looked_at, standing.shift)
    effects = ablate_words(searcher, standing.query, standing.looked_at, standing.shift)
    return render_word_effects(effects, found.rank)


def _read(searcher: Searcher, pictures: GalleryImages, standing: SearchState) -> str:
    return render_model_input(describe_model_input(searcher.checkpoint, standing.query))


def _regions(searcher: Searcher, pictures: GalleryImages, standing: SearchState) -> str:
    return regions_panel.render_attention(searcher.checkpoint, standing.query)


PANELS: tuple[ExplanationPanel, ...] = (
    ExplanationPanel(
        "trace", "What if it listened otherwise?", _trace, title=True, js_on_load=TRACE_ON_LOAD
    ),
    ExplanationPanel("why", "Why this result", _why, row="reasons", of_result=True),
    ExplanationPanel("words-effect", "What each word did", _words, row="reasons", of_result=True),
    ExplanationPanel(
        "regions",
        "Where the words looked",
        _regions,
        title=True,
        slow=True,
        js_on_load=regions_panel.ON_LOAD,
    ),
    ExplanationPanel(
        "compare",
        "The same question, read otherwise",
        compare_panel.comparison_html,
        title=True,
        slow=True,
        js_on_load=compare_panel.ON_LOAD,
    ),
    ExplanationPanel(
        "paraphrase",
        "The same wish in other words",
        paraphrase_panel.paraphrase_html,
        title=True,
        slow=True,
        js_on_load=paraphrase_panel.ON_LOAD,
    ),
    ExplanationPanel("read", "", _read),
    ExplanationPanel(
        "map",
        "The gallery as a map",
        map_panel.render_map,
        title=True,
        slow=True,
        js_on_load=map_panel.ON_LOAD,
    ),
    ExplanationPanel(
        "atlas",
        "What it usually listens to",
        atlas_panel.render_weight_statistics,
        title=True,
        slow=True,
        js_on_load=atlas_panel.ON_LOAD,
    ),
)
"""All panels, in their order down the page."""

AT_ONCE = tuple(panel for panel in PANELS if not panel.slow)
LATER = tuple(panel for panel in PANELS if panel.slow)
OF_RESULT = tuple(panel for panel in PANELS if panel.of_result)
MAP = tuple(panel for panel in PANELS if panel.id == "map")
OF_SHIFT = (*OF_RESULT, *MAP)
"""What is told anew once the slider rests; the trace shows every shift already."""


def render_panels(
    panels: Sequence[ExplanationPanel],
    models: ModelPool,
    pictures: GalleryImages,
    standing: SearchState | None,
) -> list[str]:
    """What these panels show of an answer, by the model that gave it; empty without results.

    A panel that has nothing to tell but a complaint shows that, and the others what they have.
    """
    if standing is None or not standing.result.hits or not panels:
        return ["" for _ in panels]
    try:
        with models.using(standing.model) as searcher:
            return [_render(panel, searcher, pictures, standing) for panel in panels]
    except DWCError as error:  # the model is no longer in memory, and cannot be loaded again
        return [render_trouble(str(error)), *("" for _ in panels[1:])]


def _render(
    panel: ExplanationPanel, searcher: Searcher, pictures: GalleryImages, standing: SearchState
) -> str:
    try:
        return panel.render(searcher, pictures, standing)
    except DWCError as error:
        return render_trouble(str(error))

"""How the page is arranged: the question on the left, what answers it on the right."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import gradio as gr

from dwc.ui.gallery_images import GalleryImages
from dwc.ui.handlers import AnswerUpdate, thumbnail_of
from dwc.ui.panels import examples as examples_panel
from dwc.ui.panels import gallery_browser as shelf_panel
from dwc.ui.panels import results as folding_panel
from dwc.ui.panels import results as results_panel
from dwc.ui.panels import toolbar as toolbar_panel
from dwc.ui.panels import weight_slider as lean_panel
from dwc.ui.panels.examples import Example, render_examples
from dwc.ui.panels.gallery_browser import render_gallery
from dwc.ui.panels.history_view import HistoryView, build_history
from dwc.ui.panels.registry import ExplanationPanel
from dwc.ui.panels.toolbar import render_toolbar
from dwc.ui.panels.weights import WHAT_IT_IS_NOT
from dwc.ui.security import refuse_addresses

UPLOADS_CHECKED_SECONDS = 60
UPLOADS_KEPT_SECONDS = 600


@dataclass(frozen=True)
class QueryColumn:
    """What a person asks with."""

    reference: gr.Image
    words: gr.Textbox
    unknown: gr.HTML
    go: gr.Button
    trouble: gr.HTML
    way: HistoryView
    tries: gr.HTML


@dataclass(frozen=True)
class AnswerColumn:
    """What is answered; `explained` are the panels' elements by their ids.

    `standing` is the session's question with its answer; `parcel` the file that is handed over.
    """

    weights: gr.HTML
    slider: gr.HTML
    results: gr.HTML
    toolbar: gr.HTML
    explained: Mapping[str, gr.HTML]
    shelf: gr.HTML
    standing: gr.State
    parcel: gr.JSON


def build_query_column(
    opening: Example, first: AnswerUpdate, examples: Sequence[Example], pictures: GalleryImages
) -> QueryColumn:
    """The reference, the words, the button, and questions to try."""
    html('<h2 id="like-this">Like this…</h2>')
    reference = gr.Image(
        thumbnail_of(opening.reference_id, pictures),
        type="filepath",
        sources=["upload", "webcam", "clipboard"],
        label="Reference picture",
        show_label=False,
        buttons=[],
        placeholder="Drop a picture here",
        alt_text="The picture to start from",
        elem_id="reference",
    )
    refuse_addresses(reference)
    html(
        '<p class="hint">What you upload is deleted after '
        f"{UPLOADS_KEPT_SECONDS // 60} minutes.</p>"
    )
    words = gr.Textbox(
        opening.words,
        label="…but",
        placeholder="blue and with long sleeves",
        lines=1,
        max_lines=5,
        elem_id="words",
    )
    unknown = html(first.unknown or "", elem_id="unknown")
    go = gr.Button("Search", variant="primary", elem_id="search")
    trouble = html(first.trouble, elem_id="message")
    html(
        '<p class="trouble" role="alert" id="refused-upload"></p>'
        '<p class="sr-only" role="status" id="search-status"></p>'
    )
    way = build_history(first.standing, pictures, UPLOADS_KEPT_SECONDS // 60)
    tries = html(
        render_examples(examples, pictures),
        elem_id="examples",
        js_on_load=examples_panel.ON_LOAD,
    )
    return QueryColumn(reference, words, unknown, go, trouble, way, tries)


def build_answer_column(
    first: AnswerUpdate,
    panels: Sequence[ExplanationPanel],
    told: Sequence[str],
    pictures: GalleryImages,
    names_model: bool,
) -> AnswerColumn:
    """The weights, the results, and what explains them: each of `panels` with what it has `told`.

    `names_model`: whether links say which model answered.
    """
    weights = html(
        first.weights or "",
        elem_id="weights",
        html_template='<section aria-label="What this search listens to" aria-live="polite">'
        "${value}</section>",
    )
    slider = html(first.slider or "", elem_id="shift", js_on_load=lean_panel.ON_LOAD)
    html(WHAT_IT_IS_NOT, elem_id="about-weights")
    html(folding_panel.SWITCH, elem_id="view", js_on_load=folding_panel.SWITCH_ON_LOAD)
    results = html(
        first.results or "",
        elem_id="results",
        html_template='<section aria-label="Results">${value}</section>',
        js_on_load=results_panel.ON_LOAD,
    )
    toolbar = html(
        render_toolbar(first.standing, names_model),
        elem_id="export",
        js_on_load=toolbar_panel.ON_LOAD,
    )
    explained = dict(_lay_out_panels(panels, told))
    html(shelf_panel.HEADING, elem_id="gallery-head")
    shelf = html(render_gallery(pictures, 0), elem_id="gallery", js_on_load=shelf_panel.ON_LOAD)
    standing = gr.State(first.standing)
    parcel = gr.JSON(visible="hidden")  # in the page, so that its script can read it
    return AnswerColumn(weights, slider, results, toolbar, explained, shelf, standing, parcel)


def _lay_out_panels(
    panels: Sequence[ExplanationPanel], told: Sequence[str]
) -> Iterator[tuple[str, gr.HTML]]:
    both = zip(panels, told, strict=True)
    for row, neighbours in groupby(both, key=lambda one: one[0].row):
        if not row:
            for panel, value in neighbours:
                yield panel.id, _lay_out_panel(panel, value)
            continue
        with gr.Row(elem_id=row, elem_classes="explained-row"):
            for panel, value in neighbours:
                yield panel.id, _lay_out_panel(panel, value)


def _lay_out_panel(panel: ExplanationPanel, value: str) -> gr.HTML:
    return html(
        value,
        elem_id=panel.id,
        elem_classes="explained" if panel.label else None,
        html_template=panel.template,
        js_on_load=panel.js_on_load,
    )


def html(value: str, **options: Any) -> gr.HTML:
    """An element of the page's own, without Gradio's looks and scripts."""
    return gr.HTML(value, apply_default_css=False, **{"js_on_load": None, **options})

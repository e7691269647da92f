"""Layout of the app's web page: the query on the left, the search result on the right."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import gradio as gr

from dwc.search.model_pool import ModelPool
from dwc.ui import history as search_history
from dwc.ui.format import on_load, render_hint, render_unknown_words
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.handlers import PageComponents, describe_screen, reference_file
from dwc.ui.panels import (
    examples,
    gallery_browser,
    header,
    results,
    study,
    weights,
)
from dwc.ui.panels.gallery_browser import FACETS_ON_LOAD, render_facets
from dwc.ui.panels.map import add_map_service
from dwc.ui.panels.registry import ExplanationPanel, render_panels
from dwc.ui.state import SearchState
from dwc.ui.uploads import UPLOAD_MINUTES


@dataclass(frozen=True)
class PageContent:
    """The data that the web page shows when it is opened.

    Attributes:
        models: The models.
        images: The gallery.
        examples: The example searches.
        opening: The search result with which the page opens; None if it opens without one.
    """

    models: ModelPool
    images: GalleryImages
    examples: Sequence[examples.Example]
    opening: SearchState | None


def build_layout(content: PageContent, panels: Sequence[ExplanationPanel]) -> PageComponents:
    """Create the components of the web page, filled with the search result that it shows first.

    Call this function inside `gr.Blocks`.

    Args:
        content: What the page shows when it is opened.
        panels: The explanation panels, in the order in which the page shows them.
    """
    models, images = content.models, content.images
    masthead = html(
        header.render_header(models.names, models.default, models.origin(), images),
        elem_id="masthead",
        js_on_load=header.ON_LOAD,
    )
    indexing = None
    if images.indexing is not None:
        indexing = html(
            header.render_indexing(images.indexing, images.noun),
            elem_id="indexing",
            js_on_load=header.INDEXING_ON_LOAD,
        )
    with gr.Row(elem_id="layout"):
        with gr.Column(elem_id="question"):
            query = _build_query_column(content)
        with gr.Column(elem_id="answer"):
            answer = _build_answer_column(content, panels)
            html_if(study.render_study_file(), elem_id="study")
    return PageComponents(
        header=masthead,
        indexing=indexing,
        **query,
        **answer,
        map_service=add_map_service(models, images),
        **_build_session(content),
    )


def _build_query_column(content: PageContent) -> dict[str, Any]:
    """Create the components of the left column; return them by their names in `PageComponents`.

    The column contains the reference, the text, the search button, the history and the examples.
    """
    images, opening = content.images, content.opening
    file = None if opening is None else reference_file(opening.request, images)
    html('<h2 id="like-this">Like this…</h2>')
    reference = gr.Image(
        None if file is None else file["path"],
        type="filepath",
        sources=["upload", "webcam", "clipboard"],
        label="Reference picture",
        show_label=False,
        buttons=[],
        placeholder="Drop a picture here",
        alt_text="The picture to start from",
        elem_id="reference",
    )
    html(render_hint(f"What you upload is deleted after {UPLOAD_MINUTES} minutes."))
    words = gr.Textbox(
        "" if opening is None else opening.request.words,
        label="…but",
        placeholder="blue and with long sleeves",
        lines=1,
        max_lines=5,
        elem_id="words",
    )
    unknown_words = [] if opening is None else opening.result.unknown_words
    unknown = html(render_unknown_words(unknown_words), elem_id="unknown")
    search = gr.Button("Search", variant="primary", elem_id="search")
    facets = html(render_facets(images.metadata), elem_id="facets", js_on_load=FACETS_ON_LOAD)
    message = html("", elem_id="message")
    html(
        '<p class="trouble" role="alert" id="refused-upload"></p>'
        '<p class="sr-only" role="status" id="search-status"></p>'
    )
    history = search_history.record_answer(search_history.SearchHistory(), opening)
    history_strip = html(
        search_history.render_history(history, images, UPLOAD_MINUTES),
        elem_id="trail",
        js_on_load=search_history.ON_LOAD,
    )
    example_buttons = html(
        examples.render_examples(content.examples, images),
        elem_id="examples",
        js_on_load=examples.ON_LOAD,
    )
    return {
        "reference": reference,
        "words": words,
        "unknown": unknown,
        "search": search,
        "facets": facets,
        "message": message,
        "history_strip": history_strip,
        "examples": example_buttons,
        "history": gr.JSON(history.to_dict(), visible="hidden", elem_id="history"),
    }


def _build_answer_column(
    content: PageContent, panels: Sequence[ExplanationPanel]
) -> dict[str, Any]:
    """Create the components of the right column; return them by their names in `PageComponents`.

    The column contains the weights, the results, the explanation panels and the gallery.
    """
    models, images, opening = content.models, content.images, content.opening
    html('<p role="status" id="answer-notice-text"></p>', elem_id="answer-notice")
    dial = html(
        "" if opening is None else weights.render_answer_weights(opening),
        elem_id="weights",
        html_template='<section aria-label="What this search listens to" aria-live="polite">'
        "${value}</section>",
    )
    slider = html(
        "" if opening is None else weights.render_answer_slider(opening),
        elem_id="shift",
        js_on_load=weights.SLIDER_ON_LOAD,
    )
    html(weights.WHAT_IT_IS_NOT, elem_id="about-weights")
    fold_switch = html(results.SWITCH, elem_id="view", js_on_load=results.SWITCH_ON_LOAD)
    cards = html(
        results.EMPTY if opening is None else results.render_answer(opening, images),
        elem_id="results",
        html_template='<section aria-label="Results">${value}</section>',
        js_on_load=results.ON_LOAD,
    )
    tools = html(
        results.render_toolbar(opening),
        elem_id="export",
        js_on_load=results.TOOLBAR_ON_LOAD,
    )
    contents = render_panels(panels, models, images, opening)
    panel_components = dict(_lay_out_panels(panels, contents))
    html(gallery_browser.HEADING, elem_id="gallery-head")
    gallery = html(
        gallery_browser.render_gallery(images, 0),
        elem_id="gallery",
        js_on_load=gallery_browser.ON_LOAD,
    )
    # Always there, even if it is empty: after a restart, the gallery may leave out other files.
    left_out_note = html(gallery_browser.render_left_out(images), elem_id="left-out")
    return {
        "weights": dial,
        "slider": slider,
        "fold_switch": fold_switch,
        "results": cards,
        "toolbar": tools,
        "panels": panel_components,
        "gallery": gallery,
        "left_out": left_out_note,
    }


def _build_session(content: PageContent) -> dict[str, Any]:
    """Create the hidden components of a session; return them by their names in `PageComponents`.

    Their values are data that the browser stores, or data that the server caches.
    """
    models, opening = content.models, content.opening
    screen = None
    if opening is not None:
        screen = {**describe_screen(opening, content.images), "link": ""}
    return {
        "session": html("", elem_id="session", js_on_load=on_load("dwcSession.connect", "restore")),
        "model": gr.Textbox(models.default, visible="hidden", elem_id="chosen-model"),
        "filter": gr.Textbox("", visible="hidden", elem_id="chosen-filter"),
        "screen": gr.JSON(screen, visible="hidden", elem_id="screen"),
        "visit": gr.JSON(None, visible="hidden", elem_id="visit"),
        "parcel": gr.JSON(visible="hidden"),
        "pin": gr.JSON(None, visible="hidden", elem_id="pinned"),
        "state": gr.State(None),
        "pin_cache": gr.State(None),
        "wait": gr.JSON({"seconds": 1}, visible="hidden"),
    }


def _lay_out_panels(
    panels: Sequence[ExplanationPanel], contents: Sequence[str]
) -> Iterator[tuple[str, gr.HTML]]:
    pairs = zip(panels, contents, strict=True)
    for row, neighbors in groupby(pairs, key=lambda pair: pair[0].row):
        if not row:
            for panel, value in neighbors:
                yield panel.id, _lay_out_panel(panel, value)
            continue
        with gr.Row(elem_id=row, elem_classes="explained-row"):
            for panel, value in neighbors:
                yield panel.id, _lay_out_panel(panel, value)


def _lay_out_panel(panel: ExplanationPanel, value: str) -> gr.HTML:
    return html(
        value,
        elem_id=panel.id,
        elem_classes="explained" if panel.label else None,
        html_template=panel.template,
        js_on_load=panel.on_load,
    )


def html(value: str, **options: Any) -> gr.HTML:
    """Create an HTML element without Gradio's default styles and scripts.

    Args:
        value: The HTML content of the element.
        **options: Further arguments of `gr.HTML`.
    """
    return gr.HTML(value, apply_default_css=False, **{"js_on_load": None, **options})


def html_if(value: str, **options: Any) -> None:
    """Create an HTML element with the function `html`, unless the content is empty.

    Args:
        value: The HTML content of the element. If it is empty, no element is created.
        **options: Further arguments of `gr.HTML`.
    """
    if value:
        html(value, **options)

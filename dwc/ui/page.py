"""The page: its arrangement, and which event leads where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dwc.search.searcher import Searcher
from dwc.ui import examples as examples_panel
from dwc.ui import lean as lean_panel
from dwc.ui import results as results_panel
from dwc.ui import shelf as shelf_panel
from dwc.ui.answering import (
    Explained,
    Panels,
    answer,
    explain_answer,
    explain_result,
    file_of,
    lean,
    open_with,
    reference_of,
    thumbnail_of,
)
from dwc.ui.api import add_search_endpoint
from dwc.ui.examples import Example, example_asked, render_examples
from dwc.ui.header import render_header
from dwc.ui.linking import follow_link
from dwc.ui.pictures import Pictures
from dwc.ui.shelf import page_asked, render_shelf
from dwc.ui.standing import Standing
from dwc.ui.toolbar import Origin, render_toolbar
from dwc.ui.uploads import refuse_addresses
from dwc.ui.weights import WHAT_IT_IS_NOT

# The events that use the model wait for each other: two searches at once on the same cores would
# both take twice as long.
MODEL = "model"
UPLOADS_CHECKED_SECONDS = 60
UPLOADS_KEPT_SECONDS = 600
QUEUE_LENGTH = 64


def build_page(
    searcher: Searcher, pictures: Pictures, origin: Origin, examples: Sequence[Example]
) -> gr.Blocks:
    """The whole page, ready to be launched with `serving.launch_options`.

    It opens with an answer: the first example that can be searched is searched here, once; or with
    what its address asks.
    """
    opening, first = open_with(searcher, pictures, examples)
    with gr.Blocks(
        title="DWC: what a search listens to",
        fill_width=True,
        analytics_enabled=False,
        delete_cache=(UPLOADS_CHECKED_SECONDS, UPLOADS_KEPT_SECONDS),
    ) as page:
        _html(render_header(origin.model, pictures), elem_id="masthead")
        with gr.Row(elem_id="layout"):
            with gr.Column(elem_id="question"):
                asked = _lay_out_question(opening, first, examples, pictures)
            with gr.Column(elem_id="answer"):
                told = explain_answer(searcher, pictures, first.standing)
                shown = _lay_out_answer(first, told, pictures, origin)
        _wire(page, searcher, pictures, origin, examples, asked, shown)
        add_search_endpoint(searcher, pictures, MODEL)
    page.queue(max_size=QUEUE_LENGTH, default_concurrency_limit=1)
    return page


@dataclass(frozen=True)
class _Question:
    reference: gr.Image
    words: gr.Textbox
    unknown: gr.HTML
    go: gr.Button
    trouble: gr.HTML
    tries: gr.HTML


@dataclass(frozen=True)
class _Answer:
    weights: gr.HTML
    slider: gr.HTML
    results: gr.HTML
    toolbar: gr.HTML
    trace: gr.HTML
    why: gr.HTML
    words: gr.HTML
    read: gr.HTML
    shelf: gr.HTML
    standing: gr.State


def _lay_out_question(
    opening: Example, first: Panels, examples: Sequence[Example], pictures: Pictures
) -> _Question:
    _html('<h2 id="like-this">Like this…</h2>')
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
    _html(
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
    unknown = _html(first.unknown or "", elem_id="unknown")
    go = gr.Button("Search", variant="primary", elem_id="search")
    trouble = _html(first.trouble, elem_id="message")
    _html(
        '<p class="trouble" role="alert" id="refused-upload"></p>'
        '<p class="sr-only" role="status" id="search-status"></p>'
    )
    tries = _html(
        render_examples(examples, pictures),
        elem_id="examples",
        js_on_load=examples_panel.ON_LOAD,
    )
    return _Question(reference, words, unknown, go, trouble, tries)


def _lay_out_answer(first: Panels, told: Explained, pictures: Pictures, origin: Origin) -> _Answer:
    weights = _html(
        first.weights or "",
        elem_id="weights",
        html_template='<section aria-label="What this search listens to" aria-live="polite">'
        "${value}</section>",
    )
    slider = _html(first.slider or "", elem_id="shift", js_on_load=lean_panel.ON_LOAD)
    _html(WHAT_IT_IS_NOT, elem_id="about-weights")
    results = _html(
        first.results or "",
        elem_id="results",
        html_template='<section aria-label="Results">${value}</section>',
        js_on_load=results_panel.ON_LOAD,
    )
    toolbar = _html(render_toolbar(first.standing, origin), elem_id="export")
    trace = _html(
        told.trace,
        elem_id="trace",
        html_template='<section aria-labelledby="trace-title"><h2 id="trace-title">What if it '
        "listened otherwise?</h2>${value}</section>",
    )
    with gr.Row(elem_id="reasons"):
        why = _html(
            told.why,
            elem_id="why",
            html_template='<section aria-label="Why this result">${value}</section>',
        )
        words = _html(
            told.words,
            elem_id="words-effect",
            html_template='<section aria-label="What each word did">${value}</section>',
        )
    read = _html(told.read, elem_id="read")
    _html(shelf_panel.HEADING, elem_id="gallery-head")
    shelf = _html(render_shelf(pictures, 0), elem_id="gallery", js_on_load=shelf_panel.ON_LOAD)
    standing = gr.State(first.standing)
    return _Answer(weights, slider, results, toolbar, trace, why, words, read, shelf, standing)


def _wire(
    page: gr.Blocks,
    searcher: Searcher,
    pictures: Pictures,
    origin: Origin,
    examples: Sequence[Example],
    asked: _Question,
    shown: _Answer,
) -> None:
    panels = [
        asked.trouble,
        asked.unknown,
        shown.weights,
        shown.slider,
        shown.results,
        shown.standing,
    ]
    explained = [shown.trace, shown.why, shown.words, shown.read, shown.toolbar]

    def ask_and_show(reference: Mapping[str, Any] | None, words: str | None) -> list[Any]:
        return answer(searcher, pictures, reference, words).updates()

    def try_example(event: gr.EventData) -> list[Any]:
        example = example_asked(event._data, examples)
        if example is None:
            return [gr.skip() for _ in range(2 + len(panels))]
        file = file_of(example.reference_id, pictures)
        found = answer(searcher, pictures, file, example.words)
        return [thumbnail_of(example.reference_id, pictures), example.words, *found.updates()]

    def explain_all(standing: Standing | None) -> list[Any]:
        told = explain_answer(searcher, pictures, standing)
        return [*told.updates(), render_toolbar(standing, origin)]

    def explain_one(standing: Standing | None, event: gr.EventData) -> list[Any]:
        picture_id = event._data.get("id")
        if standing is None or picture_id not in {hit.id for hit in standing.result.hits}:
            return [gr.skip(), gr.skip()]
        return list(explain_result(searcher, pictures, standing, picture_id))

    def lean_search(standing: Standing | None, event: gr.EventData) -> list[Any]:
        moved = lean(searcher, pictures, standing, event._data)
        if moved is None:
            return [gr.skip() for _ in range(4)]
        return [*moved, render_toolbar(moved[-1], origin)]

    def open_link(request: gr.Request) -> list[Any]:
        linked = follow_link(searcher, pictures, dict(request.query_params))
        if linked is None:
            return [gr.skip() for _ in range(2 + len(panels) + len(explained))]
        found = linked.panels
        told = [gr.skip() for _ in explained]
        if found.standing is not None:
            told = explain_all(found.standing)
        picture = thumbnail_of(linked.reference_id, pictures)
        return [picture, linked.words, *found.updates(), *told]

    def follow(event: gr.EventData) -> Any:
        return reference_of(event._data, pictures) or gr.skip()

    def turn(event: gr.EventData) -> str:
        return render_shelf(pictures, page_asked(event._data, pictures))

    on_model = {"concurrency_id": MODEL, "concurrency_limit": 1, "api_visibility": "private"}
    light = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    searching = {
        "fn": ask_and_show,
        "inputs": [asked.reference, asked.words],
        "outputs": panels,
        # Unopened: `ask` decodes it within limits, and says what is wrong with it in the page.
        "preprocess": False,
        "show_progress": "minimal",
        "show_progress_on": shown.results,
        **on_model,
    }
    explaining = {
        "fn": explain_all,
        "inputs": shown.standing,
        "outputs": explained,
        "show_progress": "hidden",
        **on_model,
    }
    asked.go.click(**searching).then(**explaining)
    asked.words.submit(**searching).then(**explaining)
    asked.tries.ask(
        try_example,
        None,
        [asked.reference, asked.words, *panels],
        show_progress="minimal",
        show_progress_on=shown.results,
        **on_model,
    ).then(**explaining)
    shown.slider.lean(
        lean_search,
        shown.standing,
        [shown.weights, shown.results, shown.standing, shown.toolbar],
        trigger_mode="always_last",
        **light,
    )
    shown.results.why(
        explain_one,
        shown.standing,
        [shown.why, shown.words],
        show_progress="hidden",
        **on_model,
    ).then(None, js="() => window.dwc.showWhy()", api_visibility="private")
    for panel in (shown.results, shown.shelf):
        panel.follow(follow, None, asked.reference, **light).then(
            None, js="() => window.dwc.askAgain()", api_visibility="private"
        )
    shown.shelf.turn(turn, None, shown.shelf, **light)
    page.load(
        open_link,
        None,
        [asked.reference, asked.words, *panels, *explained],
        show_progress="hidden",
        **on_model,
    )


def _html(value: str, **options: Any) -> gr.HTML:
    return gr.HTML(value, apply_default_css=False, **{"js_on_load": None, **options})

"""The page: its arrangement, and which event leads where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dwc.errors import DWCError
from dwc.search.result import SearchResult
from dwc.ui import examples as examples_panel
from dwc.ui import results as results_panel
from dwc.ui import shelf as shelf_panel
from dwc.ui.api import add_search_endpoint
from dwc.ui.asking import Searches, ask
from dwc.ui.examples import Example, example_asked, render_examples
from dwc.ui.header import render_header
from dwc.ui.notices import render_trouble, render_unknown
from dwc.ui.pictures import Pictures
from dwc.ui.results import EMPTY, render_results
from dwc.ui.shelf import page_asked, render_shelf
from dwc.ui.uploads import refuse_addresses
from dwc.ui.weights import WHAT_IT_IS_NOT, render_weights

# The events that use the model wait for each other: two searches at once on the same cores would
# both take twice as long.
MODEL = "model"
UPLOADS_CHECKED_SECONDS = 600
UPLOADS_KEPT_SECONDS = 3600
QUEUE_LENGTH = 64


@dataclass(frozen=True)
class Panels:
    """What the answer to a question fills, as HTML; None leaves a panel as it is."""

    trouble: str
    unknown: str | None = None
    weights: str | None = None
    results: str | None = None

    def updates(self) -> list[Any]:
        """In the order in which the page wires them."""
        panels = (self.trouble, self.unknown, self.weights, self.results)
        return [gr.skip() if panel is None else panel for panel in panels]


def answer(
    searcher: Searches, pictures: Pictures, reference: Mapping[str, Any] | None, words: str | None
) -> Panels:
    """Ask, and render what comes back; a complaint leaves the results standing."""
    try:
        return show(ask(searcher, pictures, reference, words), pictures)
    except DWCError as error:
        return Panels(trouble=render_trouble(str(error)), unknown="")


def show(result: SearchResult, pictures: Pictures) -> Panels:
    """Every panel of an answer."""
    return Panels(
        trouble="",
        unknown=render_unknown(result.unknown_words),
        weights=render_weights(result.weights),
        results=render_results(result, pictures),
    )


def reference_of(data: Mapping[str, Any], pictures: Pictures) -> str | None:
    """The thumbnail of the picture that a browser named, or None where the gallery lacks it."""
    picture_id = data.get("id")
    if not isinstance(picture_id, str) or picture_id not in pictures.ids:
        return None
    return str(pictures.thumbnail(picture_id))


def open_with(
    searcher: Searches, pictures: Pictures, examples: Sequence[Example]
) -> tuple[Example, Panels]:
    """The first example that has an answer, or an empty page where none has."""
    for example in examples:
        file = _file_of(example.reference_id, pictures)
        panels = answer(searcher, pictures, file, example.words)
        if panels.results is not None:
            return example, panels
    return Example(None, ""), Panels("", "", "", EMPTY)


def build_page(
    searcher: Searches, pictures: Pictures, model_name: str, examples: Sequence[Example]
) -> gr.Blocks:
    """The whole page, ready to be launched with `serving.launch_options`.

    It opens with an answer: the first example that can be searched is searched here, once.
    """
    opening, first = open_with(searcher, pictures, examples)
    with gr.Blocks(
        title="DWC: what a search listens to",
        fill_width=True,
        analytics_enabled=False,
        delete_cache=(UPLOADS_CHECKED_SECONDS, UPLOADS_KEPT_SECONDS),
    ) as page:
        _html(render_header(model_name, pictures), elem_id="masthead")
        with gr.Row(elem_id="layout"):
            with gr.Column(elem_id="question"):
                asked = _lay_out_question(opening, first, examples, pictures)
            with gr.Column(elem_id="answer"):
                shown = _lay_out_answer(first, pictures)
        _wire(searcher, pictures, examples, asked, shown)
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
    results: gr.HTML
    shelf: gr.HTML


def _lay_out_question(
    opening: Example, first: Panels, examples: Sequence[Example], pictures: Pictures
) -> _Question:
    _html('<h2 id="like-this">Like this…</h2>')
    reference = gr.Image(
        _thumbnail_of(opening.reference_id, pictures),
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


def _lay_out_answer(first: Panels, pictures: Pictures) -> _Answer:
    weights = _html(
        first.weights or "",
        elem_id="weights",
        html_template='<section aria-label="What this search listens to" aria-live="polite">'
        "${value}</section>",
    )
    _html(WHAT_IT_IS_NOT, elem_id="about-weights")
    results = _html(
        first.results or "",
        elem_id="results",
        html_template='<section aria-label="Results">${value}</section>',
        js_on_load=results_panel.ON_LOAD,
    )
    _html(shelf_panel.HEADING, elem_id="gallery-head")
    shelf = _html(render_shelf(pictures, 0), elem_id="gallery", js_on_load=shelf_panel.ON_LOAD)
    return _Answer(weights, results, shelf)


def _wire(
    searcher: Searches,
    pictures: Pictures,
    examples: Sequence[Example],
    asked: _Question,
    shown: _Answer,
) -> None:
    panels = [asked.trouble, asked.unknown, shown.weights, shown.results]

    def ask_and_show(reference: Mapping[str, Any] | None, words: str | None) -> list[Any]:
        return answer(searcher, pictures, reference, words).updates()

    def try_example(event: gr.EventData) -> list[Any]:
        example = example_asked(event._data, examples)
        if example is None:
            return [gr.skip() for _ in range(2 + len(panels))]
        file = _file_of(example.reference_id, pictures)
        found = answer(searcher, pictures, file, example.words)
        return [_thumbnail_of(example.reference_id, pictures), example.words, *found.updates()]

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
    asked.go.click(**searching)
    asked.words.submit(**searching)
    asked.tries.ask(
        try_example,
        None,
        [asked.reference, asked.words, *panels],
        show_progress="minimal",
        show_progress_on=shown.results,
        **on_model,
    )
    for panel in (shown.results, shown.shelf):
        panel.follow(follow, None, asked.reference, **light).then(
            None, js="() => window.dwc.askAgain()", api_visibility="private"
        )
    shown.shelf.turn(turn, None, shown.shelf, **light)


def _html(value: str, **options: Any) -> gr.HTML:
    return gr.HTML(value, apply_default_css=False, **{"js_on_load": None, **options})


def _thumbnail_of(picture_id: str | None, pictures: Pictures) -> str | None:
    return None if picture_id is None else str(pictures.thumbnail(picture_id))


def _file_of(picture_id: str | None, pictures: Pictures) -> dict[str, Any] | None:
    path = _thumbnail_of(picture_id, pictures)
    return None if path is None else {"path": path}

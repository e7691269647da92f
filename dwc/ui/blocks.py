"""The page: its parts put together, and which event leads where."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from dwc.errors import DWCError
from dwc.search.model_pool import ModelPool
from dwc.ui.api import add_explaining_endpoints, add_overview_endpoints, add_search_endpoint
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.handlers import (
    AnswerUpdate,
    answer_with,
    file_of,
    first_answer,
    reference_of,
    reweight,
    thumbnail_of,
)
from dwc.ui.history import SearchHistory
from dwc.ui.layout import (
    UPLOADS_CHECKED_SECONDS,
    UPLOADS_KEPT_SECONDS,
    AnswerColumn,
    QueryColumn,
    build_answer_column,
    build_query_column,
    html,
)
from dwc.ui.panels import header as header_panel
from dwc.ui.panels.comparison import ComparisonEvents
from dwc.ui.panels.examples import Example, example_asked
from dwc.ui.panels.gallery_browser import page_asked, render_gallery
from dwc.ui.panels.header import render_header
from dwc.ui.panels.history_view import go_back, record_answer
from dwc.ui.panels.map import add_map_service
from dwc.ui.panels.messages import render_trouble
from dwc.ui.panels.registry import (
    AT_ONCE,
    LATER,
    MAP,
    OF_RESULT,
    OF_SHIFT,
    PANELS,
    ExplanationPanel,
    render_panels,
)
from dwc.ui.panels.results import render_answer, with_more
from dwc.ui.panels.study import lay_out_study
from dwc.ui.panels.toolbar import parcel, render_toolbar
from dwc.ui.panels.weight_statistics import query_asked
from dwc.ui.share_link import follow_link
from dwc.ui.state import SearchState, select_hit

# The events that use the model wait for each other: two searches at once on the same cores would
# both take twice as long.
MODEL = "model"
ON_MODEL = {"concurrency_id": MODEL, "concurrency_limit": 1, "api_visibility": "private"}
LIGHT = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
QUEUE_LENGTH = 64


def build_page(
    models: ModelPool, pictures: GalleryImages, examples: Sequence[Example]
) -> gr.Blocks:
    """The whole page, ready to be launched with `serving.launch_options`.

    It opens with an answer: the first example that can be searched is searched here, once, by the
    first of the models; or with what its address asks.
    """
    opening, first = first_answer(models, pictures, examples)
    with gr.Blocks(
        title="DWC: what a search listens to",
        fill_width=True,
        analytics_enabled=False,
        delete_cache=(UPLOADS_CHECKED_SECONDS, UPLOADS_KEPT_SECONDS),
    ) as page:
        head = html(
            render_header(models.names, models.default, models.origin(), pictures),
            elem_id="masthead",
            js_on_load=header_panel.ON_LOAD,
        )
        with gr.Row(elem_id="layout"):
            with gr.Column(elem_id="question"):
                asked = build_query_column(opening, first, examples, pictures)
            with gr.Column(elem_id="answer"):
                told = render_panels(PANELS, models, pictures, first.standing)
                shown = build_answer_column(first, PANELS, told, pictures, len(models.names) > 1)
                lay_out_study()
        _Wiring(models, pictures, examples, page, head, asked, shown).connect()
        add_search_endpoint(models, pictures, MODEL)
        add_explaining_endpoints(models, pictures, MODEL)
        add_overview_endpoints(models)
    page.queue(max_size=QUEUE_LENGTH, default_concurrency_limit=1)
    return page


class _Wiring:
    """Which event of the page calls what, and what it fills."""

    def __init__(
        self,
        models: ModelPool,
        pictures: GalleryImages,
        examples: Sequence[Example],
        page: gr.Blocks,
        head: gr.HTML,
        asked: QueryColumn,
        shown: AnswerColumn,
    ) -> None:
        self.models, self.pictures, self.examples = models, pictures, examples
        self.page, self.head, self.asked, self.shown = page, head, asked, shown
        self.chosen = gr.State(models.default)
        self.comparing = ComparisonEvents(
            models, pictures, shown.standing, shown.explained, ON_MODEL
        )
        self.map_service = add_map_service(models, pictures)
        # In the order of `_show`.
        self.panels = [
            asked.trouble,
            asked.unknown,
            shown.weights,
            shown.slider,
            shown.results,
            shown.standing,
            shown.toolbar,
        ]

    def connect(self) -> None:
        """Connect every event."""
        self._connect_searches()
        self._connect_answer()
        self._connect_way()
        self._connect_gallery()
        self._connect_map()
        self.comparing.connect()

    def _connect_searches(self) -> None:
        asked, shown, head, chosen = self.asked, self.shown, self.head, self.chosen
        searching: dict[str, Any] = {
            # Unopened: `ask` decodes it within limits, and says what is wrong with it in the page.
            "preprocess": False,
            # Who asks while an answer is on its way is answered next: by default, not at all.
            "trigger_mode": "always_last",
            "show_progress": "minimal",
            "show_progress_on": shown.results,
            **ON_MODEL,
        }
        question = [asked.reference, asked.words, chosen]
        for begin in (asked.go.click, asked.words.submit):
            self._explain_after(begin(self._search, question, self.panels, **searching))
        tried = [asked.reference, asked.words, *self.panels]
        self._explain_after(asked.tries.ask(self._try_example, chosen, tried, **searching))
        led = shown.explained["atlas"].ask(
            self._try_query, [chosen, shown.standing], tried, **searching
        )
        self._explain_after(led)
        again = [head, chosen, *self.panels]
        choosing = head.choose(self._choose_model, question, again, **searching)
        choosing.then(None, js="() => window.dwc.showModel()", api_visibility="private")
        self._explain_after(choosing)
        opened = self.page.load(
            self._open_link,
            None,
            [head, chosen, *tried, *self._elements(PANELS), asked.way.trail, asked.way.strip],
            show_progress="hidden",
            **ON_MODEL,
        )
        self.comparing.after(opened)

    def _connect_answer(self) -> None:
        shown = self.shown
        shown.slider.lean(
            self._lean,
            shown.standing,
            [shown.weights, shown.results, shown.standing, shown.toolbar],
            trigger_mode="always_last",
            **LIGHT,
        )
        rested = shown.slider.rest(
            self._filling(OF_SHIFT),
            shown.standing,
            self._elements(OF_SHIFT),
            show_progress="hidden",
            trigger_mode="always_last",
            **ON_MODEL,
        )
        self.asked.way.follow(rested, shown.standing, **LIGHT)
        shown.results.more(
            self._show_more,
            shown.standing,
            [shown.results, shown.standing, shown.toolbar],
            **LIGHT,
        )
        shown.results.why(
            self._look_at,
            shown.standing,
            [shown.standing, *self._elements(OF_RESULT)],
            show_progress="hidden",
            **ON_MODEL,
        ).then(None, js="() => window.dwc.showWhy()", api_visibility="private")
        shown.toolbar.save(self._pack, shown.standing, shown.parcel, **LIGHT).then(
            None, shown.parcel, js="(parcel) => window.dwc.save(parcel)", api_visibility="private"
        )

    def _connect_way(self) -> None:
        way, asked = self.asked.way, self.asked
        back = way.strip.back(
            self._go_back,
            [way.trail, self.chosen],
            [asked.reference, asked.words, *self.panels, way.trail, way.strip],
            show_progress="minimal",
            show_progress_on=self.shown.results,
            **ON_MODEL,
        )
        self._explain_after(back)

    def _connect_gallery(self) -> None:
        for panel in (self.shown.results, self.shown.shelf, self.map_service):
            panel.follow(self._follow, None, self.asked.reference, **LIGHT).then(
                None, js="() => window.dwc.askAgain()", api_visibility="private"
            )
        self.shown.shelf.turn(self._turn, None, self.shown.shelf, **LIGHT)

    def _connect_map(self) -> None:
        self.map_service.laid_out(
            self._filling(MAP),
            self.shown.standing,
            self._elements(MAP),
            show_progress="hidden",
            **ON_MODEL,
        )

    def _explain_after(self, event: Any) -> None:
        """Once an answer is shown, go on the trail, and fill the explaining panels.

        The quick ones come before the slow.
        """
        event = self.asked.way.follow(event, self.shown.standing, **LIGHT)
        for panels in (AT_ONCE, LATER):
            if panels:
                event = event.then(
                    self._filling(panels),
                    self.shown.standing,
                    self._elements(panels),
                    show_progress="hidden",
                    **ON_MODEL,
                )
        self.comparing.after(event)

    def _filling(self, panels: Sequence[ExplanationPanel]) -> Any:
        def fill_panels(standing: SearchState | None) -> Any:
            told = render_panels(panels, self.models, self.pictures, standing)
            return told[0] if len(told) == 1 else told  # Gradio takes a list of one for its value

        return fill_panels

    def _elements(self, panels: Sequence[ExplanationPanel]) -> list[gr.HTML]:
        return [self.shown.explained[panel.id] for panel in panels]

    def _search(
        self, reference: Mapping[str, Any] | None, words: str | None, name: str
    ) -> list[Any]:
        return self._show(answer_with(self.models, self.pictures, name, reference, words))

    def _try_example(self, name: str, event: gr.EventData) -> list[Any]:
        return self._try(example_asked(event._data, self.examples), name)

    def _try_query(self, name: str, standing: SearchState | None, event: gr.EventData) -> list[Any]:
        return self._try(query_asked(event._data, standing, self.pictures), name)

    def _try(self, example: Example | None, name: str) -> list[Any]:
        if example is None:
            return [gr.skip() for _ in range(2 + len(self.panels))]
        file = file_of(example.reference_id, self.pictures)
        found = answer_with(self.models, self.pictures, name, file, example.words)
        picture = thumbnail_of(example.reference_id, self.pictures)
        return [picture, example.words, *self._show(found)]

    def _choose_model(
        self,
        reference: Mapping[str, Any] | None,
        words: str | None,
        name: str,
        event: gr.EventData,
    ) -> list[Any]:
        """The same question to another model; where it cannot be had, the last one stays chosen."""
        try:
            name = self._load(event._data.get("model"))
        except DWCError as error:
            return [
                self._render_head(name),
                name,
                *self._show(AnswerUpdate(render_trouble(str(error)))),
            ]
        found = AnswerUpdate(
            trouble=""
        )  # nothing asked yet: nothing to answer, or to complain about
        if reference is not None or (words or "").strip():
            found = answer_with(self.models, self.pictures, name, reference, words)
        return [self._render_head(name), name, *self._show(found)]

    def _load(self, name: object) -> str:
        name = self.models.require(name)
        with self.models.using(name):
            return name

    def _open_link(self, request: gr.Request) -> list[Any]:
        linked = follow_link(self.models, self.pictures, dict(request.query_params))
        if linked is None:
            return [gr.skip() for _ in range(6 + len(self.panels) + len(PANELS))]
        told: list[Any] = [gr.skip() for _ in range(2 + len(PANELS))]
        if (standing := linked.panels.standing) is not None:
            trail = record_answer(
                SearchHistory(), standing
            )  # the way begins with the link, not the page's own
            told = [*render_panels(PANELS, self.models, self.pictures, standing)]
            told += [trail, self.asked.way.render(trail)]
        picture = thumbnail_of(linked.reference_id, self.pictures)
        head = self._render_head(linked.model)
        return [head, linked.model, picture, linked.words, *self._show(linked.panels), *told]

    def _lean(self, standing: SearchState | None, event: gr.EventData) -> list[Any]:
        moved = reweight(self.pictures, standing, event._data)
        if moved is None:
            return [gr.skip() for _ in range(4)]
        return [*moved, self._render_toolbar(moved[-1])]

    def _show_more(self, standing: SearchState | None) -> list[Any]:
        further = None if standing is None else with_more(standing)
        if further is None:
            return [gr.skip() for _ in range(3)]
        return [render_answer(further, self.pictures), further, self._render_toolbar(further)]

    def _go_back(self, trail: SearchHistory, name: str, event: gr.EventData) -> list[Any]:
        way = self.asked.way
        there = go_back(self.models, way, name, trail, event._data)
        if there is None:
            return [gr.skip() for _ in range(4 + len(self.panels))]
        strip = way.render(there.trail, there.said)
        return [there.picture, there.words, *self._show(there.panels), there.trail, strip]

    def _look_at(self, standing: SearchState | None, event: gr.EventData) -> list[Any]:
        looking = None if standing is None else select_hit(standing, event._data.get("id"))
        if looking is None:
            return [gr.skip() for _ in range(1 + len(OF_RESULT))]
        return [looking, *render_panels(OF_RESULT, self.models, self.pictures, looking)]

    def _pack(self, standing: SearchState | None, event: gr.EventData) -> Any:
        if standing is None:
            return gr.skip()
        origin = self.models.origin(standing.model)
        return parcel(event._data.get("kind"), standing, origin) or gr.skip()

    def _follow(self, event: gr.EventData) -> Any:
        return reference_of(event._data, self.pictures) or gr.skip()

    def _turn(self, event: gr.EventData) -> str:
        return render_gallery(self.pictures, page_asked(event._data, self.pictures))

    def _show(self, found: AnswerUpdate) -> list[Any]:
        toolbar = gr.skip() if found.standing is None else self._render_toolbar(found.standing)
        return [*found.updates(), toolbar]

    def _render_toolbar(self, standing: SearchState) -> str:
        return render_toolbar(standing, names_model=len(self.models.names) > 1)

    def _render_head(self, name: str) -> str:
        return render_header(self.models.names, name, self.models.origin(name), self.pictures)

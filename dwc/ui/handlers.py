"""The handlers of the page's events: values of components in, `{component: value}` out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from dwc.errors import DWCError, QueryError
from dwc.search.model_pool import ModelPool
from dwc.ui.format import render_error, render_unknown_words
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.history import HistoryQuery, SearchHistory
from dwc.ui.panels.comparison import describe_query
from dwc.ui.panels.examples import Example, parse_example
from dwc.ui.panels.gallery_browser import parse_page, render_gallery
from dwc.ui.panels.header import render_header
from dwc.ui.panels.history_view import deleted_message, image_exists, record_answer, render_history
from dwc.ui.panels.registry import PANELS, RESULT_PANELS, ExplanationPanel, render_panels
from dwc.ui.panels.results import EMPTY, render_answer
from dwc.ui.panels.save_and_share import export_answer, render_toolbar
from dwc.ui.panels.weight_statistics import parse_reference_query
from dwc.ui.panels.weights import render_answer_slider, render_answer_weights
from dwc.ui.request_parsing import FileData, parse_query, read_link, write_link
from dwc.ui.security import is_upload
from dwc.ui.state import (
    SearchRequest,
    SearchState,
    parse_slider,
    rank,
    reweighted,
    select_hit,
    update_request,
    with_folding,
    with_more,
)

Update = dict[Any, Any]
"""New values by component; components that are not in it keep theirs."""

FORGOTTEN = "The server has forgotten this answer. Search again."


@dataclass(frozen=True)
class PageComponents:
    """The components that handlers read and fill; `layout.py` builds them.

    Attributes:
        header: The masthead, with the choice of a model.
        reference: The reference image.
        words: The modification text.
        unknown: The words that the model does not know.
        search: The button.
        message: Why a search could not be made.
        history_strip: The history as tiles.
        examples: Searches to try.
        weights: The sentence and the dial.
        slider: The weight slider.
        fold_switch: The switch that folds near-duplicates.
        results: The cards.
        toolbar: Export and link.
        panels: The explaining panels by their ids.
        gallery: The gallery browser.
        map_service: Through which the map is loaded.
        session: Through which the browser restores a search: Back, Forward, a waiting link.
        model: The chosen model's name; kept by the browser, as are the next three.
        screen: The answer on the screen: its request, origin, link, and description.
        history: The history of the visit.
        visit: What the browser knows when the page opens: its address, and what it showed before.
        state: The server's cache of the answer.
        parcel: A file that the browser is to save.
        pin: How to repeat the pinned answer; kept by the browser.
        pin_cache: The server's cache of the pinned answer.
    """

    header: gr.HTML
    reference: gr.Image
    words: gr.Textbox
    unknown: gr.HTML
    search: gr.Button
    message: gr.HTML
    history_strip: gr.HTML
    examples: gr.HTML
    weights: gr.HTML
    slider: gr.HTML
    fold_switch: gr.HTML
    results: gr.HTML
    toolbar: gr.HTML
    panels: Mapping[str, gr.HTML]
    gallery: gr.HTML
    map_service: gr.HTML
    session: gr.HTML
    model: gr.Textbox
    screen: gr.JSON
    history: gr.JSON
    visit: gr.JSON
    state: gr.State
    parcel: gr.JSON
    pin: gr.JSON
    pin_cache: gr.State

    @property
    def answer(self) -> list[Any]:
        """What an answer fills, but for the explaining panels."""
        return [
            self.message,
            self.unknown,
            self.weights,
            self.slider,
            self.results,
            self.toolbar,
            self.state,
            self.screen,
        ]

    @property
    def query(self) -> list[Any]:
        """What a search starts from."""
        return [self.reference, self.words, self.model, self.screen]


def answer_request(models: ModelPool, images: GalleryImages, request: SearchRequest) -> SearchState:
    """Search, and rank what the request shows.

    Raises:
        DWCError: The model cannot be loaded, or the query cannot be searched.
    """
    name = models.require(request.model)
    with models.using(name) as searcher:
        query = searcher.encode_query(
            **parse_query(images, reference_file(request, images), request.words)
        )
        sweep = searcher.sweep(query)
        result = searcher.answer(query, request.count, sweep=sweep)
        near_duplicates, context = searcher.near_duplicates, searcher.reference_weights
    request = replace(request, words=request.words.strip(), model=name)
    weights = sweep.weights()
    if not any(0 < weight.image < 1 for weight in weights.values()):
        request = replace(request, shift=0.0)  # there is only one modality
    result = replace(
        result,
        hits=rank(sweep, near_duplicates, request),
        weights=sweep.weights(request.shift),
        shift=request.shift,
    )
    return SearchState(request, query, sweep, result, models.origin(name), context, near_duplicates)


def find_opening(
    models: ModelPool, images: GalleryImages, examples: Sequence[Example]
) -> SearchState | None:
    """The answer with which the page opens: the first example that the first model can answer."""
    for example in examples:
        request = SearchRequest(example.words, example.reference_id, model=models.default)
        try:
            return answer_request(models, images, request)
        except DWCError:
            continue
    return None


def describe_screen(state: SearchState, images: GalleryImages, names_model: bool) -> dict[str, Any]:
    """What the browser keeps of the answer on its screen.

    Returns:
        `request` and `origin`, to repeat the search of the same model and gallery; `link`, the
        address's query string, None for an upload; `reference`, the reference's file, by which the
        page notices that another one is chosen; `description`, the search in a line.
    """
    request = state.request
    reference = reference_file(request, images)
    return {
        "request": request.to_dict(),
        "origin": _origin_key(state),
        "link": write_link(request, names_model),
        "reference": None if reference is None else reference["path"],
        "description": describe_query(request, images),
    }


def reference_file(request: SearchRequest, images: GalleryImages) -> FileData | None:
    """A request's reference as Gradio describes a file.

    Raises:
        QueryError: The gallery has no such image.
    """
    if request.upload is not None:
        return {"path": request.upload}
    if request.reference_id is None:
        return None
    if request.reference_id not in images.ids:
        raise QueryError(f"the picture {request.reference_id!r} is not in this gallery.")
    return {"path": str(images.thumbnail(request.reference_id))}


def get_attribute(event: gr.EventData, name: str) -> Any:
    """An attribute of an event's payload; None if the browser did not send it."""
    return getattr(event, name, None)


class PageHandlers:
    """Everything that the page's events do.

    Handlers get what the browser shows (`screen`) together with the server's `state`; see
    `dwc.ui.state`.
    """

    def __init__(
        self,
        models: ModelPool,
        images: GalleryImages,
        examples: Sequence[Example],
        components: PageComponents,
        opening: SearchState | None,
        upload_minutes: int,
    ) -> None:
        """Serve a page with these components, which opens with the answer `opening`."""
        self._models, self._images, self._examples = models, images, examples
        self._components, self._opening = components, opening
        self._upload_minutes = upload_minutes

    def current_state(self, state: SearchState | None, screen: object) -> SearchState | None:
        """The answer on the screen, from the cache or searched again; None where there is none.

        Raises:
            DWCError: The search cannot be repeated, or would be answered by another model or over
                another gallery than the answer on the screen.
        """
        shown = screen if isinstance(screen, Mapping) else {}
        request = SearchRequest.from_dict(shown.get("request"))
        if request is None:
            return None
        if state is not None and _origin_key(state) == shown.get("origin"):
            if state.request == request:
                return state
            if _question(state.request) == _question(request):
                return update_request(state, request)
        repeated = answer_request(self._models, self._images, request)
        if _origin_key(repeated) != shown.get("origin"):
            raise QueryError("it came from another model or another gallery.")
        return repeated

    # Searching

    def search_fields(
        self, reference: FileData | None, words: str | None, model: str, screen: object
    ) -> Update:
        """Search with what is in the fields."""
        return self._search(self._parse_fields(reference, words, model), screen)

    def try_example(self, model: str, screen: object, event: gr.EventData) -> Update:
        """Search with an example."""
        example = parse_example(get_attribute(event, "example"), self._examples)
        return self._search_example(example, model, screen)

    def try_reference_query(
        self, model: str, screen: object, state: SearchState | None, event: gr.EventData
    ) -> Update:
        """Search with one of the queries that the model's weight statistics show."""

        def act(current: SearchState) -> Update:
            side, index = get_attribute(event, "side"), get_attribute(event, "place")
            example = parse_reference_query(side, index, current, self._images)
            return self._search_example(example, model, screen)

        return self._with_current(state, screen, act)

    def choose_model(
        self,
        reference: FileData | None,
        words: str | None,
        model: str,
        screen: object,
        event: gr.EventData,
    ) -> Update:
        """Answer by another model; where it cannot be loaded, the last one stays chosen."""
        c = self._components
        try:
            name = self._models.require(get_attribute(event, "model"))
            with self._models.using(name):
                pass
        except DWCError as error:
            return {c.header: self.render_header(model), c.message: render_error(str(error))}
        chosen = {c.header: self.render_header(name), c.model: name}
        if reference is None and not (words or "").strip():
            return {**chosen, c.message: ""}  # nothing to search with yet
        return {**chosen, **self._search(self._parse_fields(reference, words, name), screen)}

    # Opening and restoring

    def open_page(self, visit: object) -> Update:
        """Fill a visitor's state: from what the browser showed before, its link, or the opening."""
        known = visit if isinstance(visit, Mapping) else {}
        screen = known.get("screen")
        shown = screen if isinstance(screen, Mapping) else {}
        request, message = SearchRequest.from_dict(shown.get("request")), ""
        if request is None:
            request, message = read_link(str(known.get("address", "")), self._models, self._images)
        if request is None:
            return self._open_with_own_answer()
        history = SearchHistory.from_dict(known.get("history"))
        query = HistoryQuery(request.words, request.reference_id, request.upload)
        history = history.back_to_query(query, known.get("step")) or history
        update = self._fill_fields(request)
        try:
            if message:
                raise QueryError(message)
            state = answer_request(self._models, self._images, request)
        except DWCError as error:
            update |= self._clear_answer(str(error))
        else:
            history = record_answer(history, state)
            update |= self._show(state) | self.fill_panels(PANELS, state)
            update |= self._show_model(state.request.model)
        update |= self._show_history(history)
        update[self._components.pin] = known.get("pin")
        return update | self._restore_draft(known.get("draft"))

    def restore(self, event: gr.EventData) -> Update:
        """`open_page`, for a link that waited, and for the browser's Back and Forward."""
        return self.open_page(get_attribute(event, "visit"))

    def go_back(self, history: object, model: str, screen: object, event: gr.EventData) -> Update:
        """Repeat a step of the history, weighted as it was last."""
        there = SearchHistory.from_dict(history).back_to(get_attribute(event, "step"))
        step = None if there is None else there.current_step
        if there is None or step is None:
            return gr.skip()
        c = self._components
        if not image_exists(step):
            message = deleted_message(step, self._upload_minutes)
            strip = self._render_history(SearchHistory.from_dict(history), message)
            fields = {c.reference: None, c.words: step.query.words}
            return {**fields, c.message: "", c.history_strip: strip}
        request = replace(
            self._carried(screen),
            words=step.query.words,
            reference_id=step.query.reference_id,
            upload=step.query.upload,
            model=model,
            shift=step.weight_shift.shift,
        )
        try:
            fields = self._fill_fields(request)
            state = answer_request(self._models, self._images, request)
        except DWCError as error:
            return {c.message: render_error(str(error))}
        recorded = self._show_history(record_answer(there, state))
        return {**fields, **self._show(state), **recorded}

    # Acting on the answer

    def reweight(self, state: SearchState | None, screen: object, event: gr.EventData) -> Update:
        """Follow the slider; the model is not run."""

        def act(current: SearchState) -> Update:
            if not current.has_two_modalities:
                return {}
            position = get_attribute(event, "position")
            try:
                shift = parse_slider(position, get_attribute(event, "learned"), current)
            except QueryError:  # not sent by the page's own slider
                return {}
            moved, c = reweighted(current, shift), self._components
            return {c.weights: render_answer_weights(moved), **self._show_ranking(moved)}

        return self._with_current(state, screen, act)

    def show_more(self, state: SearchState | None, screen: object) -> Update:
        """Show the next results of the same ranking."""

        def act(current: SearchState) -> Update:
            further = with_more(current)
            return {} if further is None else self._show_ranking(further)

        return self._with_current(state, screen, act)

    def fold(self, state: SearchState | None, screen: object, event: gr.EventData) -> Update:
        """Fold near-duplicates and refill the page, or unfold them."""
        folded = get_attribute(event, "folded") is True
        return self._with_current(
            state, screen, lambda current: self._show_ranking(with_folding(current, folded))
        )

    def select_result(
        self, state: SearchState | None, screen: object, event: gr.EventData
    ) -> Update:
        """Explain another result."""

        def act(current: SearchState) -> Update:
            selected = select_hit(current, get_attribute(event, "id"))
            if selected is None:
                return {}
            return {
                **self._remember(selected),
                **self.fill_panels(RESULT_PANELS, selected),
            }

        return self._with_current(state, screen, act)

    def save(self, state: SearchState | None, screen: object, event: gr.EventData) -> Update:
        """Write the answer on the screen as a file."""

        def act(current: SearchState) -> Update:
            return {self._components.parcel: export_answer(get_attribute(event, "kind"), current)}

        # Where this fails, the file of an earlier answer must not be saved once more.
        return self._with_current(state, screen, act, {self._components.parcel: None})

    def record(self, history: object, state: SearchState | None, screen: object) -> Update:
        """Add the answer on the screen to the history."""

        def act(current: SearchState) -> Update:
            before = SearchHistory.from_dict(history)
            recorded = record_answer(before, current)
            return {} if recorded == before else self._show_history(recorded)

        return self._with_current(state, screen, act)

    def explain(
        self, panels: Sequence[ExplanationPanel]
    ) -> Callable[[SearchState | None, object], Update]:
        """The handler that fills these panels for the answer on the screen."""

        def fill_panels(state: SearchState | None, screen: object) -> Update:
            shown = screen if isinstance(screen, Mapping) else {}
            request = SearchRequest.from_dict(shown.get("request"))
            if state is None or request is None or _question(state.request) == _question(request):
                return self._with_current(
                    state, screen, lambda current: self.fill_panels(panels, current)
                )
            return gr.skip()  # a later search is answered already, and will be explained

        return fill_panels

    # The gallery

    def use_reference(self, event: gr.EventData) -> Update:
        """Make an image of the gallery the next reference."""
        image_id = get_attribute(event, "id")
        if not isinstance(image_id, str) or image_id not in self._images.ids:
            return gr.skip()
        return {self._components.reference: str(self._images.thumbnail(image_id))}

    def turn_page(self, event: gr.EventData) -> Update:
        """Show another page of the gallery."""
        page = parse_page(get_attribute(event, "page"), self._images)
        return {self._components.gallery: render_gallery(self._images, page)}

    # Rendering

    def fill_panels(self, panels: Sequence[ExplanationPanel], state: SearchState) -> Update:
        """The explaining panels of an answer."""
        contents = render_panels(panels, self._models, self._images, state)
        components = [self._components.panels[panel.id] for panel in panels]
        return dict(zip(components, contents, strict=True))

    def render_header(self, model: str) -> str:
        """The masthead with a model chosen."""
        return render_header(self._models.names, model, self._models.origin(model), self._images)

    def _search(self, request: SearchRequest, screen: object) -> Update:
        """Answer a request; an error message leaves the results on the screen as they are."""
        try:
            folded = self._carried(screen).folded
            return self._show(self._answer(replace(request, folded=folded)))
        except DWCError as error:
            c = self._components
            return {c.message: render_error(str(error)), c.unknown: ""}

    def _search_example(self, example: Example | None, model: str, screen: object) -> Update:
        """Search with an example, and put it into the fields; nothing where there is none."""
        if example is None:
            return gr.skip()
        request = SearchRequest(example.words, example.reference_id, model=model)
        return {**self._fill_fields(request), **self._search(request, screen)}

    def _answer(self, request: SearchRequest) -> SearchState:
        if self._opening is not None and request == self._opening.request:
            return self._opening
        return answer_request(self._models, self._images, request)

    def _parse_fields(
        self, reference: FileData | None, words: str | None, model: str
    ) -> SearchRequest:
        path = None if reference is None else str(reference.get("path") or "")
        image_id = None if path is None else self._images.id_of(path)
        upload = path if image_id is None else None
        return SearchRequest(words or "", image_id, upload, model)

    def _carried(self, screen: object) -> SearchRequest:
        """An empty request that keeps what a visitor has set for all answers."""
        shown = screen if isinstance(screen, Mapping) else {}
        request = SearchRequest.from_dict(shown.get("request"))
        return SearchRequest(folded=request is not None and request.folded)

    def _with_current(
        self,
        state: SearchState | None,
        screen: object,
        act: Callable[[SearchState], Update],
        otherwise: Update | None = None,
    ) -> Update:
        """Act on the answer on the screen.

        Where there is none, or it cannot be had again, `otherwise` is returned, with a message.
        """
        c = self._components
        try:
            current = self.current_state(state, screen)
        except DWCError as error:
            return {**(otherwise or {}), c.message: render_error(f"{FORGOTTEN} ({error})")}
        if current is None:
            return otherwise or gr.skip()
        cached = {} if current is state else {c.state: current}
        return {**cached, **act(current)} or gr.skip()

    def _show(self, state: SearchState) -> Update:
        c = self._components
        return {
            c.message: "",
            c.unknown: render_unknown_words(state.result.unknown_words),
            c.weights: render_answer_weights(state),
            c.slider: render_answer_slider(state),
            **self._show_ranking(state),
        }

    def _show_ranking(self, state: SearchState) -> Update:
        c = self._components
        toolbar = render_toolbar(state, self._names_model)
        results = render_answer(state, self._images)
        return {c.results: results, c.toolbar: toolbar, **self._remember(state)}

    def _remember(self, state: SearchState) -> Update:
        """Cache an answer, and let the browser keep how to repeat it."""
        screen = describe_screen(state, self._images, self._names_model)
        if self._opening is not None and state.request == self._opening.request:
            screen["link"] = ""  # the page's own answer needs no address
        return {self._components.state: state, self._components.screen: screen}

    def _clear_answer(self, message: str) -> Update:
        """No answer, and why: what is on the screen would belong to another search."""
        c = self._components
        cleared = dict.fromkeys((c.unknown, c.weights, c.slider, c.toolbar, *c.panels.values()), "")
        return {
            **cleared,
            c.message: render_error(message),
            c.results: EMPTY,
            c.state: None,
            c.screen: None,
        }

    def _open_with_own_answer(self) -> Update:
        """The page shows its own answer already; only the visitor's state is filled."""
        if self._opening is None:
            return gr.skip()
        return {**self._remember(self._opening), **self._show_history(self._opening_history())}

    def _opening_history(self) -> SearchHistory:
        return record_answer(SearchHistory(), self._opening)

    def _fill_fields(self, request: SearchRequest) -> Update:
        c = self._components
        upload = request.upload
        path = upload if upload is not None and is_upload(upload) else None
        if request.reference_id in self._images.ids:
            path = str(self._images.thumbnail(str(request.reference_id)))
        return {c.reference: path, c.words: request.words}

    def _restore_draft(self, draft: object) -> Update:
        """What was in the fields but not searched yet; uploads as long as they exist."""
        if not isinstance(draft, Mapping):
            return {}
        c = self._components
        path, words = draft.get("reference"), draft.get("words")
        update: Update = {c.words: words} if isinstance(words, str) else {}
        if path is None:
            update[c.reference] = None
        elif isinstance(path, str) and (self._images.id_of(path) or is_upload(path)):
            update[c.reference] = path
        return update

    def _show_model(self, name: str) -> Update:
        return {self._components.header: self.render_header(name), self._components.model: name}

    def _show_history(self, history: SearchHistory) -> Update:
        c = self._components
        return {c.history: history.to_dict(), c.history_strip: self._render_history(history)}

    def _render_history(self, history: SearchHistory, message: str = "") -> str:
        return render_history(history, self._images, self._upload_minutes, message)

    @property
    def _names_model(self) -> bool:
        """Whether links name the model: there is a choice."""
        return len(self._models.names) > 1


def _question(request: SearchRequest) -> tuple[str, str | None, str | None, str]:
    """What is asked, whatever part of the answer is shown."""
    return request.words, request.reference_id, request.upload, request.model


def _origin_key(state: SearchState) -> str:
    return f"{state.origin.fingerprint}-{state.origin.gallery_fingerprint}"

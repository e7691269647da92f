"""Event handlers of the app's web page.

A handler is called with the values of some components and, for some events, with data that the
browser sent. It returns the new values of components as a dict `{component: value}`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from dwc.errors import DWCError, QueryError
from dwc.gallery.filters import format_filter
from dwc.search.model_pool import ModelPool, Origin, origin_of
from dwc.search.results import shift_to_json
from dwc.ui.concurrency import SearchActivity, SearchFailures, busy_seconds
from dwc.ui.format import render_error, render_unknown_words
from dwc.ui.gallery_images import GalleryImages, find_shown, require_shown
from dwc.ui.history import (
    SearchHistory,
    deleted_message,
    image_exists,
    query_of,
    record_answer,
    render_history,
)
from dwc.ui.panels.examples import Example, parse_example
from dwc.ui.panels.gallery_browser import (
    choose_filter,
    parse_page,
    render_facets,
    render_gallery,
    render_left_out,
)
from dwc.ui.panels.header import render_header
from dwc.ui.panels.registry import LIGHT_RESULT_PANELS, ExplanationPanel, render_panels
from dwc.ui.panels.results import EMPTY, export_answer, render_answer, render_toolbar
from dwc.ui.panels.weight_statistics import parse_reference_query
from dwc.ui.panels.weights import render_answer_slider, render_answer_weights
from dwc.ui.request_parsing import (
    FileData,
    describe_ignored,
    get_attribute,
    has_link_settings,
    parse_link,
    parse_query,
    parse_shift,
    read_link,
    with_link_settings,
    write_link,
)
from dwc.ui.state import (
    RESULTS_SHOWN,
    SearchRequest,
    SearchState,
    describe_query,
    identify_reference,
    parse_slider,
    rank,
    reweighted,
    select_hit,
    update_request,
    with_folding,
    with_more,
)
from dwc.ui.uploads import is_upload

Update = dict[Any, Any]
"""New values by component; components that are not in the dict keep their values."""

FORGOTTEN = "The server has forgotten this answer. Search again."

OUTDATED = (
    "These results are of an earlier state of the gallery. Load the page again for the new one."
)

OTHER_EXAMPLES = (
    "This example was drawn for an earlier state of the gallery, and the examples are others now. "
    "Load the page again, then choose one."
)

SETTINGS_KEPT = (
    "The link has no picture and no words to search with. Its settings (the filter, the model, the "
    "weight shift) apply to your first search."
)

_EXPLANATION_DELAY = 2.0
"""The maximum seconds for which an explanation waits for searches in progress."""


@dataclass(frozen=True)
class PageComponents:
    """The Gradio components that handlers read and update; `layout.py` creates them.

    The components from `map_service` on are hidden. The values of hidden components of type
    `gr.State` are stored on the server, the values of all other hidden components in the browser.

    Attributes:
        header: The page header, with the model selector.
        reference: The reference image.
        words: The modification text, which says what should be different.
        unknown: The typed words that are not in the model's vocabulary.
        search: The search button.
        message: The error message of a failed search.
        history_strip: The drawing of the search history, with one tile per search.
        examples: Example searches to try.
        weights: The sentence about the weights, and the dial that shows them.
        slider: The slider of the image weight.
        fold_switch: The switch that hides near-duplicates under the better-ranked image.
        results: The result cards.
        toolbar: The buttons that save the results or copy a link to the search.
        panels: The explanation panels by their ids.
        facets: The section that filters the gallery by metadata; empty if the gallery has none.
        gallery: The gallery browser.
        left_out: The note on files that the gallery does not show; empty if there are none.
        indexing: The line that shows the progress of indexing; None if the page opened with the
            complete gallery.
        map_service: Hidden element through which the browser loads the points of the map.
        session: Element whose event `restore` asks the server to show a search again. The browser
            triggers this event when the visitor presses Back or Forward, and after a failed
            attempt.
        model: The name of the selected model.
        filter: The current filter as text; empty for none.
        screen: The data about the search result on the screen, as returned by `describe_screen`. If
            there is no result, the value is None or the settings for the first search, as returned
            by `PageHandlers._keep_settings`.
        history: The search history of the visit, as returned by `SearchHistory.to_dict`.
        visit: The data that the script `session.js` sends when the page opens. `address` is the
            query string of the page's address. After a reload, the data also contain the former
            content of the page: the values of the components `screen`, `history` and `pin`; `step`,
            the number of the current step of the history; and `draft`, the values of the input
            fields.
        state: The visitor's search result, cached on the server.
        parcel: A file for the browser to download, as returned by `export_answer`.
        pin: The data to repeat the pinned search, in the form of `screen`. Later searches are
            compared with the pinned search. None if no search is pinned.
        pin_cache: The result of the pinned search, cached on the server.
        wait: The seconds after which to send a refused search again, as returned by
            `PageHandlers.estimate_wait`.
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
    facets: gr.HTML
    gallery: gr.HTML
    left_out: gr.HTML
    indexing: gr.HTML | None
    map_service: gr.HTML
    session: gr.HTML
    model: gr.Textbox
    filter: gr.Textbox
    screen: gr.JSON
    history: gr.JSON
    visit: gr.JSON
    state: gr.State
    parcel: gr.JSON
    pin: gr.JSON
    pin_cache: gr.State
    wait: gr.JSON

    @property
    def answer(self) -> list[Any]:
        """The components that a new search result fills, except the explanation panels."""
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
        """The components whose values are the input of a search."""
        return [self.reference, self.words, self.model, self.screen]

    @property
    def growing(self) -> list[Any]:
        """The components that change when the gallery changes, for example during indexing."""
        return [self.header, self.facets, self.gallery, self.left_out]

    @property
    def filtering(self) -> list[Any]:
        """The components that show the current filter."""
        return [self.filter, self.facets, self.gallery]


def answer_request(models: ModelPool, images: GalleryImages, request: SearchRequest) -> SearchState:
    """Run the search that a request describes, and return its result.

    The result has as many hits as the request asks for. If the request folds near-duplicates (hides
    them under better-ranked hits), the result also contains the hidden hits.

    Raises:
        DWCError: The model cannot be loaded, the query is invalid, or the gallery no longer has the
            reference.
    """
    request = identify_reference(request, images)
    name = models.require(request.model)
    with models.using(name) as searcher:
        query = searcher.encode_query(
            **parse_query(images, reference_file(request, images), request.words),
            filter=request.filter,
        )
        sweep = searcher.sweep(query)
        result = searcher.answer(query, request.count, sweep=sweep)
        near_duplicates, context = searcher.near_duplicates, searcher.reference_weights
        # `models` may already have another searcher, whose gallery has grown.
        origin = origin_of(searcher)
        part = None if result.indexed_part is None else searcher.store
    condition = format_filter(query.filter)
    request = replace(request, words=request.words.strip(), model=name, filter=condition)
    weights = sweep.weights()
    if not any(0 < weight.image < 1 for weight in weights.values()):
        request = replace(request, shift=0.0)  # only an image or only a text: the weight is fixed
    result = replace(
        result,
        hits=rank(sweep, near_duplicates, request),
        weights=sweep.weights(request.shift),
        shift=request.shift,
    )
    return SearchState(request, query, sweep, result, origin, context, near_duplicates, part)


def find_opening(
    models: ModelPool, images: GalleryImages, examples: Sequence[Example]
) -> SearchState | None:
    """Return the search result that the web page shows when it is opened.

    This is the result of the first example that the default model can search. The result is None if
    the model cannot search any of the examples.
    """
    for example in examples:
        request = SearchRequest(example.words, example.reference_id, model=models.default)
        try:
            return answer_request(models, images, request)
        except DWCError:
            continue
    return None


def describe_screen(state: SearchState, images: GalleryImages) -> dict[str, Any]:
    """Return the data about a search result that the browser stores.

    Args:
        state: The search result.
        images: The gallery.

    Returns:
        A dict with these entries:

        - `request`: the request that repeats the search, as a dict.
        - `origin`: a string that identifies the model and the gallery.
        - `link`: the query string that repeats the search; None for an uploaded reference.
        - `reference`: the path of the reference's file; None for a search without a reference. The
          page uses the path to detect that the visitor has chosen another reference.
        - `description`: the search in one line.
    """
    request = state.request
    reference = reference_file(request, images)
    return {
        "request": request.to_dict(),
        "origin": _origin_key(state),
        "link": write_link(request),
        "reference": None if reference is None else reference["path"],
        "description": describe_query(request, images),
    }


def reference_file(request: SearchRequest, images: GalleryImages) -> FileData | None:
    """Return the reference image of a request in Gradio's format for files.

    The result is None if the request has no reference.

    Raises:
        QueryError: The reference is not in the gallery.
    """
    if request.upload is not None:
        return {"path": request.upload}
    if request.reference_id is None:
        return None
    image_id = require_shown(images, request.reference_id, request.content)
    return {"path": str(images.draw_thumbnail(image_id))}


class PageHandlers:
    """The handlers of the web page's events, except those in `ComparisonHandlers`.

    Every handler returns a dict with the new values of components; components that are not in the
    dict keep their values. Handlers that act on a search result have two parameters for it.
    `screen` is the data about the result on the screen, sent by the browser. `state` is the result
    that the server has cached. The module docstring of `dwc.ui.state` explains why both are needed.
    """

    def __init__(
        self,
        models: ModelPool,
        images: GalleryImages,
        examples: Sequence[Example],
        components: PageComponents,
        opening: SearchState | None,
        upload_minutes: int,
        failures: SearchFailures,
    ) -> None:
        """Build the object whose methods are the page's handlers.

        Args:
            models: The models.
            images: The gallery.
            examples: The example searches that the page offers.
            components: The page's components.
            opening: The search result with which the page opens; None if it opens without a result.
            upload_minutes: The number of minutes after which uploads are deleted.
            failures: For each visitor, the error message of the last failed search, unless a
                handler has already shown the message.
        """
        self._failures = failures
        self._models, self._images, self._examples = models, images, examples
        self._components, self._opening = components, opening
        self._upload_minutes = upload_minutes
        self._activity = SearchActivity()

    def current_state(self, state: SearchState | None, screen: object) -> SearchState | None:
        """Return the search result on the screen, from the cache or by searching again.

        Args:
            state: The cached search result. It may be None, or the result of another search.
            screen: The data about the search result on the screen, as sent by the browser; see
                `describe_screen`.

        Returns:
            The search result on the screen; None if `screen` does not describe a search.

        Raises:
            DWCError: The search cannot be repeated, or the repeated search used another model or
                another gallery than the result on the screen.
        """
        fields = screen if isinstance(screen, Mapping) else {}
        request = _request_on_screen(screen)
        if request is None:
            return None
        if state is not None and _origin_key(state) == fields.get("origin"):
            if state.request == request:
                return state
            if _has_same_query(state.request, request):
                known = state.request  # has the current id of a moved image
                request = replace(request, reference_id=known.reference_id, content=known.content)
                return update_request(state, request)
        repeated = answer_request(self._models, self._images, request)
        if _origin_key(repeated) != fields.get("origin"):
            if self._images.indexing is not None:
                raise QueryError(
                    "it came from another gallery, or from before more of this one was indexed."
                )
            raise QueryError("it came from another model or another gallery.")
        return repeated

    # Searching

    def search_fields(
        self,
        reference: FileData | None,
        words: str | None,
        model: str,
        screen: object,
        filter: str = "",
    ) -> Update:
        """Search with the content of the input fields and the current filter."""
        request = replace(self._parse_fields(reference, words, model), filter=filter)
        return self._search(request, screen)

    def try_example(self, model: str, screen: object, filter: str, event: gr.EventData) -> Update:
        """Search with the example that was clicked, unless the examples have changed.

        The browser sends the example's index and the digest of the image on the clicked button. If
        the current example with this index has another image, the page is older than the current
        examples. An error message is then shown instead of a search.
        """
        example = parse_example(get_attribute(event, "example"), self._examples)
        content = get_attribute(event, "content")
        if isinstance(content, str) and content != self._example_digest(example):
            return self._refuse(QueryError(OTHER_EXAMPLES), screen)
        return self._search_example(example, model, screen, filter)

    def try_reference_query(
        self,
        model: str,
        screen: object,
        state: SearchState | None,
        filter: str,
        event: gr.EventData,
    ) -> Update:
        """Search with the query that was clicked in the panel of weight statistics.

        The panel shows some of the reference queries: a fixed set of queries for which the
        checkpoint contains the model's image weights.
        """

        def act(current: SearchState) -> Update:
            side, index = get_attribute(event, "side"), get_attribute(event, "place")
            example = parse_reference_query(side, index, current, self._images)
            return self._search_example(example, model, screen, filter)

        return self._with_current(state, screen, act)

    def choose_filter(self, filter: str, model: str, screen: object, event: gr.EventData) -> Update:
        """Change the filter, and repeat the search on the screen with the changed filter."""
        metadata, choice = self._images.metadata, get_attribute(event, "choice")
        try:
            chosen = choose_filter(filter, metadata, choice if isinstance(choice, dict) else {})
        except QueryError as error:
            written = choice.get("text") if isinstance(choice, dict) else None
            facets = render_facets(metadata, filter, str(error), written)
            return {self._components.facets: facets}
        request = _request_on_screen(screen)
        if request is None:  # there was no search yet
            return self._show_filter(chosen)
        request = replace(request, filter=chosen, count=RESULTS_SHOWN, selected=None)
        try:
            state = self._answer(request)
        except DWCError as error:
            return {self._components.message: render_error(str(error))}
        update = {**self._show(state), **self._show_filter(state.request.filter)}
        if _is_of_other_gallery(screen, state):
            update |= self._describe_gallery(state.request.model)
        return update

    def choose_model(
        self,
        reference: FileData | None,
        words: str | None,
        model: str,
        screen: object,
        filter: str,
        event: gr.EventData,
    ) -> Update:
        """Switch to another model, and search again with the content of the input fields.

        If both input fields are empty, only the model is switched. If the model cannot be loaded,
        the current model stays selected, and an error message is shown.
        """
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
        return {**chosen, **self.search_fields(reference, words, name, screen, filter)}

    # Opening and restoring

    def open_page(self, visit: object) -> Update:
        """Show the example search that the web page shows when it is opened.

        In two cases, this handler changes nothing: if the page was reloaded and showed another
        search before, or if the page's address has a reference, a text, a filter, a model or a
        weight shift. The browser then triggers the handler `restore`, which may have to wait for
        the searches of other visitors.

        Args:
            visit: The data that the browser sends; see the attribute `visit` of `PageComponents`.
        """
        request, _, _ = self._read_visit(visit)
        if request is not None:
            return gr.skip()
        return (self._open_with_own_answer() | self._show_ignored(visit)) or gr.skip()

    def restore(self, event: gr.EventData) -> Update:
        """Show the search that the browser has saved, or else the search in the page's address.

        The browser sends this event when the page opens and after Back or Forward. If the server
        did not answer the event, the browser sends it again. The event's attribute `visit` has the
        page's address and the data that the browser has saved: the last search, the history, the
        pinned search, and the text in the input fields. This method does not fill the explanation
        panels; later events of the page do.

        An address without a reference and without a text may have a filter, a model or a weight
        shift. These settings then apply to the example search with which the page opens. If the
        page opens without a search, they apply to the visitor's first search.
        """
        visit = get_attribute(event, "visit")
        request, message, known = self._read_visit(visit)
        if request is None:
            opened = self._open_with_own_answer() or self._clear_answer("")
            return opened | self._show_ignored(visit)
        history = SearchHistory.from_dict(known.get("history"))
        history = history.back_to_query(query_of(request), known.get("step")) or history
        update = self._fill_fields(request) | self._show_filter(request.filter)
        is_search = request.has_reference or bool(request.words)
        try:
            if message:
                raise QueryError(message)
            state = answer_request(self._models, self._images, request) if is_search else None
        except DWCError as error:
            update |= self._clear_answer(str(error)) | self._show_ignored(visit, str(error))
            update |= self._keep_settings(request)
        else:
            if state is None:
                update |= self._clear_answer("") | self._keep_settings(request, SETTINGS_KEPT)
                return update | self._show_ignored(visit)
            history = record_answer(history, state)
            update |= self._show(state)
            update |= self._show_model(state.request.model)
            update |= self._show_ignored(visit)
        update |= self._show_history(history)
        update[self._components.pin] = known.get("pin")
        return update | self._restore_draft(known.get("draft"))

    def _read_visit(self, visit: object) -> tuple[SearchRequest | None, str, Mapping[str, Any]]:
        """Find the search to show in the data that the browser sends when the page opens.

        Args:
            visit: The data; see the attribute `visit` of `PageComponents`.

        Returns:
            Three values:

            - the search to show, from the saved data or else from the page's address; None to show
              the search with which the page opens;
            - an error message; empty if the address is valid or is not used;
            - `visit` itself; an empty mapping if it is not a mapping.
        """
        known = visit if isinstance(visit, Mapping) else {}
        request, message = _request_on_screen(known.get("screen")), ""
        if request is None:
            address = str(known.get("address", ""))
            request, message = read_link(address, self._models, self._images)
            settings = parse_link(address)
            if request is None and has_link_settings(settings):
                request = SearchRequest(model=self._models.default)
                if self._opening is not None:
                    request = self._opening.request
                request, complaint = with_link_settings(
                    request, settings, self._models, self._images
                )
                message = message or complaint
        return request, message, known

    def go_back(self, history: object, model: str, screen: object, event: gr.EventData) -> Update:
        """Repeat a search of the history, at the image weight at which it was last shown.

        The search uses the same model as before. This model becomes the selected model of the page.
        """
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
            model=step.query.model or model,
            shift=step.weight_shift.shift,
            filter=step.query.filter,
            content=step.query.content,
        )
        try:
            fields = self._fill_fields(request) | self._show_filter(request.filter)
            state = answer_request(self._models, self._images, request)
        except DWCError as error:
            return self._refuse(error, screen)
        recorded = self._show_history(record_answer(there, state))
        answer = self._show(state) | self._show_model(state.request.model)
        return {**fields, **answer, **recorded}

    def estimate_wait(self, request: gr.Request) -> Update:
        """Return the number of seconds after which the browser should send a refused search again.

        The number is the new value of the component `wait`. If the search failed for another reason
        than a busy server, such as invalid inputs, the value is the error message instead.
        """
        c = self._components
        error = self._failures.take(request.session_hash)
        if error is not None:
            return {c.wait: {"error": error}, c.message: render_error(error)}
        return {c.wait: {"seconds": busy_seconds()}}

    # Acting on the search result

    def reweight(self, state: SearchState | None, screen: object, event: gr.EventData) -> Update:
        """Rank the results again at the slider's image weight, without running the model."""

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
        """Fold or unfold near-duplicates, depending on the switch.

        Folded near-duplicates are hidden under the better-ranked image, and further results fill
        their places.
        """
        folded = get_attribute(event, "folded") is True
        return self._with_current(
            state, screen, lambda current: self._show_ranking(with_folding(current, folded))
        )

    def select_result(
        self, state: SearchState | None, screen: object, event: gr.EventData
    ) -> Update:
        """Select another result, which the explanation panels then explain.

        This handler fills only the panels that do not need the model. A later event fills the
        others.
        """

        def act(current: SearchState) -> Update:
            selected = select_hit(current, get_attribute(event, "id"))
            if selected is None:
                return {}
            return {
                **self._remember(selected),
                **self.fill_panels(LIGHT_RESULT_PANELS, selected),
            }

        return self._with_current(state, screen, act)

    def save(self, state: SearchState | None, screen: object, event: gr.EventData) -> Update:
        """Send the search result on the screen to the browser as a file to download."""

        def act(current: SearchState) -> Update:
            return {self._components.parcel: export_answer(get_attribute(event, "kind"), current)}

        # If the search cannot be repeated, the file of an earlier result must not be saved again.
        return self._with_current(state, screen, act, {self._components.parcel: None})

    def record(
        self, history: object, state: SearchState | None, screen: object, message: object = ""
    ) -> Update:
        """Add the search result on the screen to the history.

        Args:
            history: The history, as sent by the browser.
            state: The cached search result.
            screen: The data about the search result on the screen, as sent by the browser.
            message: The error message on the page; empty for none. If there is one, a failed search
                came before, and its message must stay on the page.
        """

        def act(current: SearchState) -> Update:
            before = SearchHistory.from_dict(history)
            recorded = record_answer(before, current)
            update = {} if recorded == before else self._show_history(recorded)
            if current.result.fitting == 0:
                # The page may have been opened before the gallery got other metadata.
                html = render_facets(self._images.metadata, current.request.filter)
                update[self._components.facets] = html
            return update

        return self._with_current(state, screen, act, message=message)

    def explain(self, panels: Sequence[ExplanationPanel]) -> Callable[..., Update]:
        """Return a handler that fills the given panels for the search result on the screen.

        The handler takes the cached search result, the data about the search result on the screen,
        and the error message on the page.
        """

        def fill_panels(state: SearchState | None, screen: object, message: object = "") -> Update:
            request = _request_on_screen(screen)
            if state is None or request is None or _has_same_query(state.request, request):
                self._activity.wait_until_idle(_EXPLANATION_DELAY)
                return self._with_current(
                    state,
                    screen,
                    lambda current: self.fill_panels(panels, current),
                    message=message,
                )
            return gr.skip()  # a later search has ended; its own event fills the panels

        return fill_panels

    # The gallery

    def use_reference(self, screen: object, event: gr.EventData) -> Update:
        """Fill the reference field with an image of the gallery that a visitor chose."""
        image_id, content = get_attribute(event, "id"), get_attribute(event, "content")
        if not isinstance(image_id, str):
            return gr.skip()
        digest = content if isinstance(content, str) else None
        try:
            found = require_shown(self._images, image_id, digest)
        except QueryError as error:
            return self._refuse(error, screen)
        return {self._components.reference: str(self._images.draw_thumbnail(found))}

    def turn_page(self, filter: str, event: gr.EventData) -> Update:
        """Show another page of the gallery browser, which lists the images that fit the filter."""
        try:
            page = parse_page(get_attribute(event, "page"), self._images, filter)
        except QueryError:  # a filter for another gallery, from a tab opened earlier
            page, filter = 0, ""
        return {self._components.gallery: render_gallery(self._images, page, filter)}

    def grow(self, filter: str, model: str, event: gr.EventData) -> Update:
        """Update the gallery browser with the pictures that were indexed since the page was opened.

        The browser sends the index of the gallery browser's current page. When indexing has ended,
        the header, the filter section and the note on omitted files are updated, too.
        """
        c, images = self._components, self._images
        status = images.indexing
        update = self.turn_page(filter, event)
        if status is not None and not status.is_running:
            update |= self._describe_gallery(model)
            update[c.facets] = render_facets(images.metadata, filter)
        return update

    # Rendering

    def fill_panels(self, panels: Sequence[ExplanationPanel], state: SearchState) -> Update:
        """Return the updates that fill the given explanation panels for a search result."""
        contents = render_panels(panels, self._models, self._images, state)
        components = [self._components.panels[panel.id] for panel in panels]
        return dict(zip(components, contents, strict=True))

    def render_header(self, model: str) -> str:
        """Return the HTML of the page header, in which the model of the given name is selected."""
        return render_header(self._models.names, model, self._models.origin(model), self._images)

    def _search(self, request: SearchRequest, screen: object) -> Update:
        """Run the search of a request, and return the updates that show its result.

        If the search fails, the updates show an error message, and the earlier results stay on the
        screen.
        """
        try:
            carried = self._carried(screen)
            request = replace(request, folded=carried.folded, shift=carried.shift)
            with self._activity.count():
                state = self._answer(request)
            update = self._show(state)
            if _is_of_other_gallery(screen, state):
                update |= self._describe_gallery(state.request.model)
                update |= self._show_filter(state.request.filter)
            return update
        except DWCError as error:
            c = self._components
            message = str(error)
            if request.model and request.model not in self._models.names:
                message += " This page is older than the server: load it again."
            return {c.message: render_error(message), c.unknown: ""}

    def _search_example(
        self, example: Example | None, model: str, screen: object, filter: str = ""
    ) -> Update:
        """Search with an example, and show it in the input fields; do nothing for None."""
        if example is None:
            return gr.skip()
        request = SearchRequest(example.words, example.reference_id, model=model, filter=filter)
        return {**self._fill_fields(request), **self._search(request, screen)}

    def _example_digest(self, example: Example | None) -> str | None:
        """Return the digest of an example's image, to compare with the one that a browser sent.

        The digest is empty for an example without an image. The result is None if `example` is
        None, or if the gallery no longer has the image.
        """
        if example is None:
            return None
        if example.reference_id is None:
            return ""
        is_known = example.reference_id in self._images.ids
        return self._images.digest(example.reference_id) if is_known else None

    def _answer(self, request: SearchRequest) -> SearchState:
        request = identify_reference(request, self._images)
        if self._opening is not None and request == self._opening.request:
            return self._opening
        return answer_request(self._models, self._images, request)

    def _refuse(self, error: DWCError, screen: object) -> Update:
        """Return updates that show why a picture on the page is not used.

        If the results on the screen are from another model or gallery than the current one, the
        page marks them as outdated.
        """
        c = self._components
        update: Update = {c.message: render_error(str(error))}
        request = _request_on_screen(screen)
        if request is None or not isinstance(screen, Mapping):
            return update
        is_current = request.model in self._models.names and screen.get("origin") == _identify(
            self._models.origin(request.model)
        )
        return update if is_current else {**update, c.screen: {**screen, "notice": OUTDATED}}

    def _parse_fields(
        self, reference: FileData | None, words: str | None, model: str
    ) -> SearchRequest:
        path = None if reference is None else str(reference.get("path") or "")
        image_id = None if path is None else self._images.id_of(path)
        upload = path if image_id is None else None
        return SearchRequest(words or "", image_id, upload, model)

    def _carried(self, screen: object) -> SearchRequest:
        """Return a request without a query, with the settings that carry over to the next search.

        If a search is on the screen, the only such setting is `folded`: whether near-duplicates are
        hidden. If not, the only such setting is the weight shift of the link that opened the page.
        """
        request = _request_on_screen(screen)
        if request is not None:
            return SearchRequest(folded=request.folded)
        try:
            return SearchRequest(shift=parse_shift(screen["shift"]))  # type: ignore[index]
        except (TypeError, KeyError, QueryError):
            return SearchRequest()

    def _with_current(
        self,
        state: SearchState | None,
        screen: object,
        act: Callable[[SearchState], Update],
        otherwise: Update | None = None,
        message: object = "",
    ) -> Update:
        """Call `act` with the search result on the screen, and return the updates.

        Args:
            state: The cached search result.
            screen: The data about the search result on the screen, as sent by the browser.
            act: Function that returns updates for a search result.
            otherwise: Updates to return if there is no search result on the screen; None for no
                updates.
            message: The error message on the page; empty for none. If there is one, an earlier
                handler of the same action has failed, and its message must stay on the page.

        Returns:
            The updates that `act` returned. If the search had to be repeated, the updates also
            cache the repeated result. If the search cannot be repeated, the updates are `otherwise`
            and an error message, unless `message` is already on the page.
        """
        c = self._components
        try:
            current = self.current_state(state, screen)
        except DWCError as error:
            if message:
                return otherwise or gr.skip()
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
        toolbar = render_toolbar(state)
        results = render_answer(state, self._images)
        return {c.results: results, c.toolbar: toolbar, **self._remember(state)}

    def _remember(self, state: SearchState) -> Update:
        """Return updates that cache a search result, and send its data to the browser.

        The data, which `describe_screen` returns, are needed to repeat the search.
        """
        screen = describe_screen(state, self._images)
        if self._opening is not None and state.request == self._opening.request:
            screen["link"] = ""  # the page's opening search needs no link
        return {self._components.state: state, self._components.screen: screen}

    def _clear_answer(self, message: str) -> Update:
        """Return updates that clear the results and show an error message.

        This is necessary if the results do not belong to the search in the input fields.

        Args:
            message: The error message; empty for none.
        """
        c = self._components
        cleared = dict.fromkeys((c.unknown, c.weights, c.slider, c.toolbar, *c.panels.values()), "")
        return {
            **cleared,
            c.message: render_error(message),
            c.results: EMPTY,
            c.state: None,
            c.screen: None,
        }

    def _keep_settings(self, request: SearchRequest, notice: str = "") -> Update:
        """Return updates that store the model and the weight shift from the page's address.

        On a page without a search result, the visitor's first search uses these stored settings.
        `_fill_fields` and `_show_filter` store the other parts of the request.

        Args:
            request: The request that the address describes.
            notice: Text to show where the results will be; empty for none.
        """
        update = self._show_model(request.model) if request.model in self._models.names else {}
        if request.shift or notice:
            update[self._components.screen] = {
                "shift": shift_to_json(request.shift),
                "notice": notice,
            }
        return update

    def _show_ignored(self, visit: object, error: str = "") -> Update:
        """Return updates that show an error message and the names of ignored parameters.

        A parameter of the page's address is ignored if the page does not use it. The updates are
        empty if there is no error and no ignored parameter. If the visit restores a search from the
        browser's history, the address is not checked, because that search does not come from the
        address.

        Args:
            visit: The data that the browser sends; see the attribute `visit` of `PageComponents`.
            error: The message of another error; empty for none.
        """
        known = visit if isinstance(visit, Mapping) else {}
        ignored = ""
        if _request_on_screen(known.get("screen")) is None:
            ignored = describe_ignored(str(known.get("address", "")))
        message = f"{error} {ignored}".strip()
        return {self._components.message: render_error(message)} if message else {}

    def _open_with_own_answer(self) -> Update:
        """Return the updates for a page that opens with the result of an example search.

        The updates fill only hidden components and the history. All other components already show
        this result when the page is built. If the page opens without a result, there are no
        updates.
        """
        if self._opening is None:
            return {}
        return {**self._remember(self._opening), **self._show_history(self._opening_history())}

    def _opening_history(self) -> SearchHistory:
        return record_answer(SearchHistory(), self._opening)

    def _fill_fields(self, request: SearchRequest) -> Update:
        c = self._components
        upload = request.upload
        path = upload if upload is not None and is_upload(upload) else None
        if request.reference_id is not None:
            image_id = find_shown(self._images, request.reference_id, request.content)
            path = None if image_id is None else str(self._images.draw_thumbnail(image_id))
        return {c.reference: path, c.words: request.words}

    def _restore_draft(self, draft: object) -> Update:
        """Return updates that fill the input fields with the values that the browser has saved.

        An uploaded reference is restored only if its file still exists.
        """
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

    def _show_filter(self, filter: str) -> Update:
        """Return updates that show the current filter, if the gallery has metadata."""
        c, images = self._components, self._images
        if not images.metadata.columns:
            return {}
        try:
            gallery = render_gallery(images, 0, filter)
        except QueryError:  # a filter for another gallery; the search reports the error
            filter, gallery = "", render_gallery(images, 0)
        return {
            c.filter: filter,
            c.facets: render_facets(images.metadata, filter),
            c.gallery: gallery,
        }

    def _describe_gallery(self, model: str) -> Update:
        """Return updates of the components that describe the gallery as a whole.

        The components are the header and the note on files that the gallery does not show.
        """
        c = self._components
        return {c.header: self.render_header(model), c.left_out: render_left_out(self._images)}

    def _show_model(self, name: str) -> Update:
        return {self._components.header: self.render_header(name), self._components.model: name}

    def _show_history(self, history: SearchHistory) -> Update:
        c = self._components
        return {c.history: history.to_dict(), c.history_strip: self._render_history(history)}

    def _render_history(self, history: SearchHistory, message: str = "") -> str:
        return render_history(history, self._images, self._upload_minutes, message)


def _request_on_screen(screen: object) -> SearchRequest | None:
    """Return the request that led to the search result on the screen.

    The result is None if `screen`, which a browser sent, does not describe a search.
    """
    return SearchRequest.from_dict(screen.get("request")) if isinstance(screen, Mapping) else None


def _is_of_other_gallery(screen: object, state: SearchState) -> bool:
    """Return whether a new search result has another model or gallery than the one on the screen.

    For example, the server may have been restarted with other pictures while the page was open.

    Args:
        screen: The data about the search result that was on the screen before.
        state: The new search result.
    """
    before = screen.get("origin") if isinstance(screen, Mapping) else None
    return isinstance(before, str) and before != _origin_key(state)


def _has_same_query(one: SearchRequest, other: SearchRequest) -> bool:
    """Return whether two requests have the same query: text, reference, filter and model.

    Requests with the same query may differ in the image weight and in how the results are shown.
    """
    return query_of(one).is_same(query_of(other))


def _origin_key(state: SearchState) -> str:
    return _identify(state.origin)


def _identify(origin: Origin) -> str:
    return f"{origin.fingerprint}-{origin.gallery_fingerprint}-{origin.metadata_digest}"

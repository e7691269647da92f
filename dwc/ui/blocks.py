"""Assembly of the page from Gradio blocks, and connection of component events to handlers."""

import copy
import inspect
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.data_classes import GradioModel, GradioRootModel
from gradio.exceptions import ComponentProcessingError
from pydantic import ValidationError

from dwc.errors import DWCError, ImageError, QueryError
from dwc.search.model_pool import ModelPool
from dwc.ui.api import (
    ENDPOINTS,
    add_explaining_endpoints,
    add_overview_endpoints,
    add_search_endpoint,
)
from dwc.ui.concurrency import QUEUE_LENGTH, SearchFailures
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.handlers import PageComponents, PageHandlers, find_opening
from dwc.ui.layout import PageContent, build_layout
from dwc.ui.panels.comparison import ComparisonHandlers
from dwc.ui.panels.examples import Example
from dwc.ui.panels.registry import (
    FAST_PANELS,
    LIGHT_RESULT_PANELS,
    MAP_PANELS,
    MODEL_RESULT_PANELS,
    PANELS,
    SHIFT_PANELS,
    SLOW_PANELS,
    ExplanationPanel,
)
from dwc.ui.request_parsing import check_values, parse_string
from dwc.ui.security import FAILED
from dwc.ui.uploads import UPLOAD_CHECK_SECONDS, UPLOAD_LIFETIME_SECONDS, UPLOAD_MINUTES

logger = logging.getLogger(__name__)

SEARCHES_AT_ONCE = 32
"""The maximum number of searches at the same time; their queries share forward passes."""

SEARCH_LANE: dict[str, Any] = {
    "concurrency_id": "search",
    "concurrency_limit": SEARCHES_AT_ONCE,
}
EXPLAIN_LANE: dict[str, Any] = {
    # Explanations run one at a time, because they take as long as searches and are less urgent.
    "concurrency_id": "explain",
    "concurrency_limit": 1,
}
SEARCH: dict[str, Any] = {
    # Gradio must not open the file: the handlers decode it, with their own size limits and error
    # messages.
    "preprocess": False,
    "show_progress": "minimal",
    "api_visibility": "private",
    **SEARCH_LANE,
}
EXPLAIN: dict[str, Any] = {
    # The inputs are texts and JSON values. Gradio's preprocessing would not change them, but would
    # use a thread for each input.
    "preprocess": False,
    # By default, Gradio drops an event that is triggered while the same event is pending. The
    # handlers skip explanations of results that are no longer on the screen.
    "trigger_mode": "multiple",
    "show_progress": "hidden",
    "api_visibility": "private",
    **EXPLAIN_LANE,
}
LIGHT: dict[str, Any] = {
    "preprocess": False,
    # These events do not use Gradio's queue, so they never wait for searches.
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}


class PageBlocks(gr.Blocks):
    """Gradio blocks that check the inputs of every event, and hide details of the server's errors.

    The public endpoints may be called without their last inputs. Gradio's clients send default
    values for omitted inputs, but scripts that send plain HTTP requests do not. This class fills in
    the inputs that such a script omits. Otherwise the script would fail as soon as a new version of
    an endpoint has an additional input.

    Attributes:
        image_folder: The folder with the gallery's thumbnails. A request may refer to files in this
            folder and to uploaded files; if the folder is None, to uploaded files only.
        failures: The error message of each visitor's last failed search, unless a handler showed
            the message itself.
    """

    image_folder: Path | None = None

    def __init__(self, **options: Any) -> None:
        """Create the blocks; the options are those of `gr.Blocks`."""
        self.failures = SearchFailures()
        super().__init__(**options)

    def __exit__(self, *error: Any) -> None:
        """Finish building the page, and cache the signatures of its components' constructors.

        For every new session, Gradio describes each component and inspects the signature of its
        constructor. The cache makes this faster.
        """
        super().__exit__(*error)
        for kind in {type(block) for block in self.blocks.values()}:
            for base in kind.__mro__:
                if "__init__" in vars(base) and issubclass(base, Block):
                    constructor: Any = vars(base)["__init__"]
                    constructor.__signature__ = inspect.signature(constructor)

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        """Fill in omitted trailing inputs of endpoints with defaults, and check all inputs.

        Raises:
            DWCError: An input is missing, names a file that is not allowed, or has a type that the
                page never sends.
        """
        if block_fn.api_name in ENDPOINTS:
            missing = block_fn.inputs[len(inputs) :]
            inputs.extend(component.value for component in missing)
        if block_fn.fn is None:
            raise QueryError("this event is handled in the browser; the server has no part in it.")
        is_public = block_fn.api_visibility == "public"
        if len(inputs) < len(block_fn.inputs) or (is_public and len(inputs) > len(block_fn.inputs)):
            raise QueryError(
                f"the request has {len(inputs)} inputs; expected {len(block_fn.inputs)}. They are "
                "listed under /?view=api."
            )
        check_values(inputs, self.image_folder)
        if not is_public:
            for component, value in zip(block_fn.inputs, inputs, strict=False):
                _check_field(component, value)

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        """Check the files that the outputs name, and prepare the outputs for the browser.

        An output may name only files in the allowed folders. If a handler returns values for only
        some of its components, only these values are prepared. Gradio's own method would also
        construct all other components again, although they do not change. This would take longer
        than most handlers. Gradio would also prepare each value in a thread of its own; texts and
        JSON values are prepared without threads, which is faster.
        """
        check_values([predictions], self.image_folder)
        if not isinstance(predictions, dict) or block_fn.batch:
            return await super().postprocess_data(block_fn, predictions, state)
        if predictions == gr.skip():
            changed = {}
        elif predictions and all(isinstance(key, Block) for key in predictions):
            changed = {block: value for block, value in predictions.items() if value != gr.skip()}
        else:
            return await super().postprocess_data(block_fn, predictions, state)
        prepared = {}
        if changed:
            partial = copy.copy(block_fn)
            partial.outputs = [block for block in block_fn.outputs if block in changed]
            values = [changed[block] for block in partial.outputs]
            if all(isinstance(block, _QUICK) for block in partial.outputs):
                partial.postprocess = False  # Gradio would start a thread for each
                values = [
                    value if block.stateful else _serialize(block.postprocess(value))
                    for block, value in zip(partial.outputs, values, strict=True)
                ]
            data = await super().postprocess_data(
                partial, values if len(values) > 1 else values[0], state
            )
            prepared = dict(zip(partial.outputs, data, strict=True))
        return [
            prepared[block] if block in prepared else None if block.stateful else gr.skip()
            for block in block_fn.outputs
        ]

    async def process_api(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Run an event handler or an endpoint; hide details of the server's errors.

        Raises:
            gr.Error: The request is invalid, or the server failed. In the first case, the message
                says what is invalid. In the second case, the message is always the same.
        """
        try:
            return await self._process(*arguments, **options)
        except gr.Error as error:
            function = arguments[0] if arguments else options.get("block_fn")
            if getattr(function, "concurrency_id", None) == SEARCH_LANE["concurrency_id"]:
                self.failures.add(options.get("session_hash"), str(error.message))
            raise

    async def _process(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        try:
            return await super().process_api(*arguments, **options)
        except gr.Error as error:
            error.print_exception = False  # the request is invalid, and the message explains why
            raise
        except DWCError as error:
            raise gr.Error(str(error), print_exception=False) from error
        except ValidationError as error:  # an input has the wrong form, such as that of a file
            problem = error.errors()[0]
            location = ".".join(map(str, problem["loc"]))
            message = f"an input has another form than expected: {location} {problem['msg']}"
            raise gr.Error(message, print_exception=False) from error
        except ComponentProcessingError as error:
            # The message names the component, the expected values, and the start of the value.
            message = str(error).partition("\n\nOriginal error")[0]
            raise gr.Error(message, print_exception=False) from error
        except Exception as error:
            logger.exception("A request failed:")
            raise gr.Error(FAILED, print_exception=False) from error


_QUICK = (gr.HTML, gr.JSON, gr.State, gr.Textbox)  # types whose values need no files


def _serialize(value: Any) -> Any:
    """Convert a component's value to the JSON-compatible form in which Gradio sends it."""
    return value.model_dump() if isinstance(value, (GradioModel, GradioRootModel)) else value


def _check_field(component: Any, value: object) -> None:
    """Check the type of a value that the browser sends for a component of the page.

    Raises:
        ImageError: The value of an image component is not a file.
        QueryError: The value of a text field is not a text.
    """
    if isinstance(component, gr.Image) and not (value is None or isinstance(value, Mapping)):
        raise ImageError("The picture did not arrive. Choose it again.")
    if isinstance(component, gr.Textbox):
        parse_string(value, component.label or "the text")


def build_page(models: ModelPool, images: GalleryImages, examples: Sequence[Example]) -> gr.Blocks:
    """Build the page, ready to be launched with the options of `startup.launch_options`.

    The page opens with the result of an example search: the first example that the default model
    can search. There are three exceptions:

    - If the page is opened by a link to a search, it shows the result of that search.
    - After a reload, it shows the result that was on the screen before.
    - If the page opens before the gallery is indexed, it shows no result.

    The example search is run once, by this function, and not for every visitor.
    """
    # If only a part of the gallery is indexed, the result of a search would soon be outdated.
    opening = None if images.indexing is not None else find_opening(models, images, examples)
    with PageBlocks(
        title="DWC: what a search listens to",
        fill_width=True,
        analytics_enabled=False,
        delete_cache=(UPLOAD_CHECK_SECONDS, UPLOAD_LIFETIME_SECONDS),
    ) as page:
        page.image_folder = images.folder
        components = build_layout(PageContent(models, images, examples, opening), PANELS)
        handlers = PageHandlers(
            models, images, examples, components, opening, UPLOAD_MINUTES, page.failures
        )
        comparison = ComparisonHandlers(
            models,
            images,
            handlers.current_state,
            components.panels,
            components.pin,
            components.pin_cache,
        )
        _Wiring(page, components, handlers, comparison).connect()
        add_search_endpoint(models, images, SEARCH_LANE)
        add_explaining_endpoints(models, images, EXPLAIN_LANE)
        add_overview_endpoints(models)
    # Direct requests would bypass the queue and its limits of concurrency.
    page.queue(max_size=QUEUE_LENGTH, default_concurrency_limit=1, api_open=False)
    return page


class _Wiring:
    """Helper of `build_page` that connects the events of components to handlers."""

    def __init__(
        self,
        page: gr.Blocks,
        components: PageComponents,
        handlers: PageHandlers,
        comparison: ComparisonHandlers,
    ) -> None:
        self.page, self.components = page, components
        self.handlers, self.comparison = handlers, comparison
        c = components
        self.current = [c.state, c.screen]
        self.restored = [*c.answer, c.header, c.model, c.reference, c.words, c.history]
        self.restored += [c.history_strip, c.pin, *c.panels.values(), *c.filtering]

    def connect(self) -> None:
        """Connect all events to their handlers. Call this inside `gr.Blocks`."""
        self._connect_searches()
        self._connect_session()
        self._connect_answer()
        self._connect_comparison()
        self._connect_gallery()

    def _connect_searches(self) -> None:
        c, handlers = self.components, self.handlers
        searching = {**SEARCH, "show_progress_on": c.results}
        answer = [*c.answer, c.filter, *c.growing]
        filled = [c.reference, c.words, *answer]
        for start in (c.search.click, c.words.submit):
            # A search requested during another one runs next. By default it would be dropped.
            event = start(
                handlers.search_fields,
                [*c.query, c.filter],
                answer,
                trigger_mode="always_last",
                **searching,
            )
            self._explain_after(event, "search")
        example = self._on(
            c.examples,
            "ask",
            handlers.try_example,
            [c.model, c.screen, c.filter],
            filled,
            **searching,
        )
        self._explain_after(example, "examples-ask")
        query = self._on(
            c.panels["atlas"],
            "ask",
            handlers.try_reference_query,
            [c.model, c.screen, c.state, c.filter],
            filled,
            **searching,
        )
        self._explain_after(query, "atlas-ask")
        chosen = self._on(
            c.header,
            "choose",
            handlers.choose_model,
            [*c.query, c.filter],
            [c.model, *answer],
            **searching,
        )
        chosen.then(None, js="() => window.dwc.showModel()", api_visibility="private")
        self._explain_after(chosen, "masthead-choose")
        back = self._on(
            c.history_strip,
            "back",
            handlers.go_back,
            [c.history, c.model, c.screen],
            [*filled, c.history, c.history_strip, c.model],
            **{**LIGHT, "show_progress": "minimal"},
            show_progress_on=c.results,
        )
        self._explain_after(back, "trail-back")
        filtered = self._on(
            c.facets,
            "filter",
            handlers.choose_filter,
            [c.filter, c.model, c.screen],
            answer,
            **searching,
        )
        self._explain_after(filtered, "facets-filter")

    def _connect_session(self) -> None:
        """Connect the handlers that run when the page opens and when a search is restored.

        The script `session.js` stores the current search in the browser's history and in the page's
        address. So the search can be restored after a reload or with the Back button. The events
        that call this script are connected, too.
        """
        c, handlers = self.components, self.handlers
        opened = self.page.load(
            handlers.open_page,
            c.visit,
            self.restored,
            js="() => [window.dwcSession.visit(true)]",
            **LIGHT,
        )
        opened.success(None, js="() => window.dwcSession.opened()", api_visibility="private")
        restored = self._on(
            c.session,
            "restore",
            handlers.restore,
            None,
            self.restored,
            **{**SEARCH, "show_progress": "hidden"},
        )
        for event in (opened, restored):
            self._retry_after(event, "(wait) => window.dwcSession.retry(wait)")
        self._fill_panels_after(restored)
        gr.on(
            [c.screen.change],
            None,
            [c.screen],
            js="(screen) => window.dwcSession.show(screen)",
            api_visibility="private",
        )
        gr.on(
            [c.reference.change, c.words.change, c.model.change, c.filter.change, c.screen.change],
            None,
            [c.reference, c.words, c.model, c.filter, c.screen],
            js="(...shown) => window.dwcSession.compare(...shown)",
            api_visibility="private",
        )
        gr.on(
            [c.history.change, c.pin.change],
            None,
            [c.history, c.pin],
            js="(...kept) => window.dwcSession.keep(...kept)",
            api_visibility="private",
        )

    def _connect_answer(self) -> None:
        c, handlers = self.components, self.handlers
        ranking = [c.results, c.toolbar, c.state, c.screen, c.message]
        self._on(
            c.slider,
            "lean",
            handlers.reweight,
            self.current,
            [c.weights, *ranking],
            **LIGHT,
        )
        rested = self._on(
            c.slider,
            "rest",
            handlers.explain(SHIFT_PANELS),
            self.current,
            [*self._of(SHIFT_PANELS), c.state, c.message],
            **EXPLAIN,
        )
        self._record_after(rested)
        self._on(c.results, "more", handlers.show_more, self.current, ranking, **LIGHT)
        self._on(c.fold_switch, "fold", handlers.fold, self.current, ranking, **LIGHT)
        selected = self._on(
            c.results,
            "why",
            handlers.select_result,
            self.current,
            [c.state, c.screen, c.message, *self._of(LIGHT_RESULT_PANELS)],
            **LIGHT,
        )
        selected.then(None, js="() => window.dwc.showWhy()", api_visibility="private")
        self._fill_after(selected, MODEL_RESULT_PANELS)
        self._on(
            c.toolbar,
            "save",
            handlers.save,
            self.current,
            [c.parcel, c.state, c.message],
            **LIGHT,
        ).success(
            None, c.parcel, js="(parcel) => window.dwc.save(parcel)", api_visibility="private"
        )

    def _connect_comparison(self) -> None:
        c = self.components
        pinned = self._on(
            c.panels["compare"],
            "pin",
            self.comparison.pin_or_drop,
            self.current,
            [c.panels["compare"], c.pin, c.pin_cache],
            **EXPLAIN,
        )
        probed = self._on(
            c.panels["paraphrase"],
            "probe",
            self.comparison.probe,
            self.current,
            c.panels["paraphrase"],
            **EXPLAIN,
        )
        for event, button in ((pinned, "pin"), (probed, "probe")):
            refocus = f"() => window.dwcPanels.refocus('{button}')"
            event.then(None, js=refocus, api_visibility="private")

    def _connect_gallery(self) -> None:
        c, handlers = self.components, self.handlers
        chosen = [c.reference, c.message, c.screen]
        for panel in (c.results, c.gallery, c.map_service):
            self._on(panel, "follow", handlers.use_reference, c.screen, chosen, **LIGHT).then(
                None, js="() => window.dwc.askAgain()", api_visibility="private"
            )
        self._on(c.gallery, "turn", handlers.turn_page, c.filter, c.gallery, **LIGHT)
        if c.indexing is not None:
            self._on(c.indexing, "grow", handlers.grow, [c.filter, c.model], c.growing, **LIGHT)
        self._on(
            c.map_service,
            "laid_out",
            handlers.explain(MAP_PANELS),
            self.current,
            [*self._of(MAP_PANELS), c.state, c.message],
            **EXPLAIN,
        )

    def _on(self, component: Any, name: str, *handling: Any, **options: Any) -> Any:
        """Connect a handler to an event that an element's script sends, and return the listener.

        While the handler runs, the browser holds back further events with this name from this
        element. When the handler has ended, `static/events.js` sends the latest of these events.

        Args:
            component: The element, which must have an `elem_id`.
            name: The event's name.
            handling: The handler, its inputs and its outputs.
            options: Further options of the Gradio listener.
        """
        listen = getattr(component, name)
        event = listen(*handling, **{"trigger_mode": "multiple", **options})
        ended = f"() => window.dwcEvents.ended('{component.elem_id}-{name}')"
        for outcome in (event.success, event.failure):
            outcome(None, js=ended, api_visibility="private")
        return event

    def _explain_after(self, event: Any, key: str) -> None:
        """Connect the steps after a search: its result enters the history and is then explained.

        If the server is too busy to run the search, the browser sends the search again later.

        Args:
            event: The search event, as returned by the Gradio listener that connected it.
            key: Identifier of the event that the scripts must send again. It is "search" for the
                search button. For other events, it consists of the element's id and the event's
                name, as in "examples-ask".
        """
        self._retry_after(event, f"(wait) => window.dwcSession.refuse(wait, '{key}')")
        self._fill_panels_after(self._record_after(event))

    def _retry_after(self, event: Any, js: str) -> None:
        """Connect a script that sends an event again if the event fails.

        The script runs in the browser. If a search raises an error, its handler shows the message
        on the page, and the event does not fail. An event fails only if the server is too busy,
        refuses the inputs, has an internal error, or cannot be reached.

        Args:
            event: The event, as returned by the Gradio listener that connected it.
            js: The script, a JavaScript function. Its argument is the value of the component
                `wait`: the seconds to wait, or the error message if waiting does not help.
        """
        c = self.components
        waited = event.failure(self.handlers.estimate_wait, None, [c.wait, c.message], **LIGHT)
        waited.then(None, c.wait, js=js, api_visibility="private")

    def _fill_panels_after(self, event: Any) -> None:
        """Connect the steps that explain a search result; they run after the given event.

        The event is the one that shows the result. First the fast explanation panels are filled,
        then the slow panels. At the end, the panel that compares rankings gets further columns: one
        for the search that the visitor has pinned, and one for each other model in memory.
        """
        for panels in (FAST_PANELS, SLOW_PANELS):
            event = self._fill_after(event, panels)
        self._add_columns_after(event)
        event.then(None, js="() => window.dwcSession.explained()", api_visibility="private")

    def _fill_after(self, event: Any, panels: Sequence[ExplanationPanel]) -> Any:
        c = self.components
        filled = event.then(
            self.handlers.explain(panels),
            [*self.current, c.message],
            [*self._of(panels), c.state, c.message],
            **EXPLAIN,
        )
        refused = "() => window.dwcSession.refuseExplanation()"
        filled.failure(None, js=refused, api_visibility="private")
        return filled

    def _record_after(self, event: Any) -> Any:
        c = self.components
        return event.then(
            self.handlers.record,
            [c.history, *self.current, c.message],
            [c.history, c.history_strip, c.state, c.message, c.facets],
            **LIGHT,
        )

    def _add_columns_after(self, event: Any) -> None:
        c = self.components
        event.then(
            self.comparison.add_columns,
            [*self.current, c.pin, c.pin_cache],
            [c.panels["compare"], c.pin_cache],
            **EXPLAIN,
        )

    def _of(self, panels: Sequence[ExplanationPanel]) -> list[gr.HTML]:
        return [self.components.panels[panel.id] for panel in panels]

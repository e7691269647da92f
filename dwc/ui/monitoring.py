"""Monitoring of the app: reports of requests and events, metrics, and the health check.

A request is an HTTP request. An event is a call of one of the page's handlers, of one of Gradio's
endpoints, or of one of the operations of `operations.py`. Gradio runs most events after it has
answered the request that triggered the event. The report of an event has the id of that request.

`add_monitoring` sets up the monitoring. Finished requests and events are reported to observers:
`LogReports` of `logs.py` logs them, and `Metrics` counts them for Prometheus, a monitoring system.
The answer of `/health` shows whether searches can be answered.
"""

import argparse
import functools
import inspect
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import gradio as gr
from gradio.context import LocalContext
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dwc import __version__
from dwc.errors import DWCError
from dwc.search.model_pool import ModelPool
from dwc.search.query_batching import MODEL_QUEUE
from dwc.search.results import SearchRecord, record_searches
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.loading_server import HEALTH
from dwc.ui.logs import LogReports

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


REQUEST_ID = "x-request-id"
"""The header with a request's id. A proxy may set it in the request; every response has it."""

# A request's id is written to the logs, so it must not contain other characters.
_VALID_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
_SCOPE_KEY = "dwc.request"
# The routes to report. The rest of a path may contain file names, words and ids, and is not
# reported.
_ROUTES = re.compile(
    r"/(?:gradio_api/(?:call|run|queue/join|queue/data|file|large|upload|upload_progress|info|heartbeat|"
    r"component_server|cancel|reset|openapi\.json)|"
    r"api/(?:search|explain|compare|gallery|models|picture|openapi\.json)|mcp|"
    r"assets|static|svelte|health|metrics|config|theme\.css|gradio\.js|manifest\.json|favicon\.ico)?(?=/|=|$)"
)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OTHER = "other"
"""The value reported instead of a route or a method that the app does not have."""

_NO_STATUS = 0  # the client disconnected before there was a response


@dataclass(frozen=True)
class _Arrival:
    """The id of a request, and its time of arrival in seconds, as given by `time.perf_counter`."""

    id: str
    time: float


_current_arrival: ContextVar[_Arrival | None] = ContextVar("request_arrival", default=None)


@dataclass(frozen=True)
class RequestReport:
    """Report of a finished request.

    Attributes:
        id: The request's id.
        method: The HTTP method; "other" for an unknown method.
        route: The part of the path that does not depend on a visitor's input, such as
            `/gradio_api/file`; "other" for an unknown path.
        status: The HTTP status; 0 if there was no response.
        seconds: The time until the end of the response, in seconds.
    """

    id: str
    method: str
    route: str
    status: int
    seconds: float


@dataclass(frozen=True)
class EventReport:
    """Report of a finished event.

    Attributes:
        request_id: The id of the request that triggered the event; empty if it is unknown.
        name: The name of the endpoint or operation; for an event of the page, the handler's name.
        outcome: "ok" if there was no error; "refused" after an error whose message is for the
            visitor; "failed" after any other error.
        error: The class of the error; empty if there was none.
        wait_seconds: The time from the request's arrival to the start of the call, in seconds.
        seconds: The time that the call took, in seconds.
        searches: A record of the searches that the call made.
    """

    request_id: str
    name: str
    outcome: str
    error: str
    wait_seconds: float
    seconds: float
    searches: SearchRecord


class Observer(Protocol):
    """Interface of objects that receive the reports of finished requests and events.

    Their methods are called from several threads.
    """

    def report_request(self, report: RequestReport) -> None:
        """Receive the report of a finished request."""

    def report_event(self, report: EventReport) -> None:
        """Receive the report of a finished event."""


class ObserveRequests:
    """Middleware that gives every HTTP request an id, and reports the request when it ends."""

    def __init__(self, app: ASGIApp, observers: Sequence[Observer]) -> None:
        self.app, self.observers = app, observers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, add its id to the response, and report the request to observers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        arrival = _Arrival(_read_id(scope), time.perf_counter())
        scope[_SCOPE_KEY] = arrival
        token = _current_arrival.set(arrival)
        status = _NO_STATUS

        async def send_with_id(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = arrival.id
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            _current_arrival.reset(token)
            seconds = time.perf_counter() - arrival.time
            method = scope["method"] if scope["method"] in _METHODS else OTHER
            report = RequestReport(
                arrival.id, method, route_of(path_in_app(scope)), status, seconds
            )
            for observer in self.observers:
                observer.report_request(report)


def path_in_app(scope: Scope) -> str:
    """Return a request's path without the prefix under which a proxy serves the app."""
    root, path = scope.get("root_path", ""), str(scope["path"])
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


def route_of(path: str) -> str:
    """Return the part of a path that does not depend on a visitor's pictures or words.

    Example: `/gradio_api/file=/home/me/coat.jpg` -> `/gradio_api/file`. The result is "other" for
    all paths that the app does not have, so that the metrics have only a few different routes.
    """
    match = _ROUTES.match(path)
    return match[0] if match else OTHER


def observe_events(page: gr.Blocks, observers: Sequence[Observer]) -> None:
    """Report every later call of a page's handlers to the observers.

    Handlers that are coroutines or generators are left out. Call this function once, after the page
    is built.
    """
    for block_fn in page.fns.values():
        handler = block_fn.fn
        if handler is None or not _is_plain(handler):
            continue
        name = block_fn.api_name or getattr(handler, "__name__", "handler")
        block_fn.fn = _reporting(handler, name, observers)


def _is_plain(handler: Callable[..., Any]) -> bool:
    """Return whether a handler is a plain function: neither a coroutine nor a generator."""
    special = (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
    )
    return not any(is_special(handler) for is_special in special)


def _reporting(
    handler: Callable[..., Any], name: str, observers: Sequence[Observer]
) -> Callable[..., Any]:
    """Return a handler that calls the given handler and reports the call to the observers.

    The returned handler has the same signature, which Gradio inspects.
    """

    @functools.wraps(handler)
    def reporting(*args: Any, **kwargs: Any) -> Any:
        with _report_call(name, _find_arrival(), observers):
            return handler(*args, **kwargs)

    return reporting


@contextmanager
def observe_operation(name: str, observers: Sequence[Observer]) -> Iterator[None]:
    """Time the `with` block, and report it to observers as an event of the current request.

    Args:
        name: The name of the operation.
        observers: The observers that get the report; if there are none, nothing is recorded.
    """
    if not observers:
        yield
        return
    with _report_call(name, _current_arrival.get(), observers):
        yield


@contextmanager
def _report_call(
    name: str, arrival: _Arrival | None, observers: Sequence[Observer]
) -> Iterator[None]:
    """Time the `with` block, and report it to observers as an event.

    Args:
        name: The name of the event.
        arrival: The id and arrival time of the request that triggered the event; None if the
            request is unknown.
        observers: The observers that get the report.
    """
    start = time.perf_counter()
    arrival = arrival or _Arrival("", start)
    outcome, error_name = "ok", ""
    with record_searches() as searches:
        try:
            yield
        except BaseException as error:
            outcome = "refused" if isinstance(error, (gr.Error, DWCError)) else "failed"
            error_name = type(error).__name__
            raise
        finally:
            report = EventReport(
                request_id=arrival.id,
                name=name,
                outcome=outcome,
                error=error_name,
                wait_seconds=start - arrival.time,
                seconds=time.perf_counter() - start,
                searches=searches,
            )
            for observer in observers:
                observer.report_event(report)


def _find_arrival() -> _Arrival | None:
    """Return the id and arrival time of the current event's request; None if it is unknown."""
    request = LocalContext.request.get(None)
    original = getattr(request, "request", None)  # Gradio wraps the request
    scope = getattr(original, "scope", None)
    return scope.get(_SCOPE_KEY) if scope else None


def _read_id(scope: Scope) -> str:
    """Return a request's id from its headers; a new id if they have no valid id."""
    for name, value in scope["headers"]:
        if name == REQUEST_ID.encode() and _VALID_ID.fullmatch(value):
            return value.decode()
    return uuid.uuid4().hex[:16]


# Upper bounds of the histograms' intervals, in seconds.
_HISTOGRAM_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60)


class Metrics:
    """Observer that counts requests and events for Prometheus, and records how long they took.

    Prometheus is a monitoring system, which reads the metrics from the app. No metric depends on a
    visitor's words or pictures.

    Attributes:
        registry: The collection of all metrics of this app.
    """

    def __init__(self, models: ModelPool, images: GalleryImages) -> None:
        """Build the object that records the metrics of an app.

        Args:
            models: The models.
            images: The gallery.

        Raises:
            ImportError: The package `prometheus-client` is not installed.
        """
        import prometheus_client as client

        self._client = client
        self.registry: CollectorRegistry = client.CollectorRegistry()
        client.ProcessCollector(registry=self.registry)
        client.PlatformCollector(registry=self.registry)
        client.GCCollector(registry=self.registry)

        def counter(name: str, text: str, *labels: str) -> Any:
            return client.Counter(f"dwc_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, *labels: str) -> Any:
            return client.Histogram(
                f"dwc_{name}", text, labels, registry=self.registry, buckets=_HISTOGRAM_SECONDS
            )

        def gauge(name: str, text: str) -> Any:
            return client.Gauge(f"dwc_{name}", text, registry=self.registry)

        self._requests = counter("requests", "HTTP requests.", "method", "route", "status")
        self._request_seconds = histogram(
            "request_seconds", "Time from a request to the end of its response.", "route"
        )
        self._events = counter("events", "Calls of handlers and endpoints.", "event", "outcome")
        self._event_seconds = histogram("event_seconds", "Time that a call takes.", "event")
        self._wait_seconds = histogram(
            "event_wait_seconds", "Time from a request to the start of its call.", "event"
        )
        self._stage_seconds = histogram("stage_seconds", "Time of a search's stage.", "stage")
        gauge("gallery_pictures", "Pictures in the gallery.").set_function(lambda: len(images.ids))
        gauge("models_in_memory", "Models that are loaded now.").set_function(
            lambda: len(models.in_memory)
        )
        gauge("queries_waiting", "Queries that wait for the model.").set_function(
            lambda: len(MODEL_QUEUE)
        )
        origin = models.origin()
        client.Info("dwc_app", "The app and its default model.", registry=self.registry).info(
            {"version": __version__, "model": origin.model, "fingerprint": origin.fingerprint}
        )

    def report_request(self, report: RequestReport) -> None:
        """Count a finished request, and record how long it took."""
        self._requests.labels(report.method, report.route, str(report.status)).inc()
        self._request_seconds.labels(report.route).observe(report.seconds)

    def report_event(self, report: EventReport) -> None:
        """Count a finished event; record its duration and those of the stages of its searches."""
        self._events.labels(report.name, report.outcome).inc()
        self._event_seconds.labels(report.name).observe(report.seconds)
        self._wait_seconds.labels(report.name).observe(max(report.wait_seconds, 0.0))
        for stage, milliseconds in report.searches.stages_ms.items():
            self._stage_seconds.labels(stage).observe(milliseconds / 1e3)

    def render(self) -> Response:
        """Return all metrics as a response in the text format of Prometheus."""
        return Response(
            self._client.generate_latest(self.registry),
            media_type=self._client.CONTENT_TYPE_LATEST,
        )


METRICS = "/metrics"
"""The path from which Prometheus reads the metrics."""


class MonitoringOptions(NamedTuple):
    """Options of the monitoring: which parts of it are switched on.

    Attributes:
        logs: Whether to log requests and events.
        queries: Whether to log the words of searches and the ids of their reference images.
        metrics: Whether to serve metrics.
    """

    logs: bool = False
    queries: bool = False
    metrics: bool = False

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> "MonitoringOptions":
        """Return the options for parsed command-line arguments of `dwc app`."""
        return cls(args.log_level is not None, args.log_queries, args.metrics)


class Routes:
    """Middleware that answers requests for given paths, with or without a slash at the end."""

    def __init__(self, app: ASGIApp, routes: dict[str, Callable[[], Response]]) -> None:
        self.app, self.routes = app, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD requests for one of the paths; forward all others."""
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            render = self.routes.get(path_in_app(scope).rstrip("/"))
            if render is not None:
                response = await run_in_threadpool(render)
                response.headers["Cache-Control"] = "no-store"
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)


def add_monitoring(
    page: gr.Blocks,
    launch_options: Mapping[str, Any],
    models: ModelPool,
    images: GalleryImages,
    options: MonitoringOptions,
) -> Sequence[Observer]:
    """Set up the monitoring of a page: its health check and, as chosen, its logs and metrics.

    Call this function once, after the page is built.

    Args:
        page: The page.
        launch_options: The return value of `startup.launch_options`. This function inserts the
            middleware that monitors requests at the start of the list of middleware in it.
        models: The models; the default model must have been loaded.
        images: The gallery.
        options: The chosen logs and metrics. The health check, `/health`, is always served.

    Returns:
        The observers. The operations of `operations.py` must report to them, too.
    """
    observers: list[Observer] = []
    routes: dict[str, Callable[[], Response]] = {
        HEALTH: lambda: JSONResponse(describe_health(models, images))
    }
    if options.logs:
        observers.append(LogReports(options.queries))
    if options.metrics:
        metrics = Metrics(models, images)
        observers.append(metrics)
        routes[METRICS] = metrics.render
    middleware = launch_options["app_kwargs"]["middleware"]
    middleware.insert(0, Middleware(Routes, routes=routes))
    if observers:
        observe_events(page, observers)
        middleware.insert(0, Middleware(ObserveRequests, observers=observers))
    return observers


def describe_health(models: ModelPool, images: GalleryImages) -> dict[str, Any]:
    """Return the answer of `/health` when searches can be answered.

    It is a dict with the status "ok", the version, the model, and the gallery with the progress of
    indexing.

    Args:
        models: The models; the default model must have been loaded.
        images: The gallery.
    """
    origin = models.origin().to_dict()
    status = images.indexing
    indexing = {}
    if status is not None and not status.is_complete:
        indexing["indexing"] = {
            "finished": status.finished,
            "total": status.total,
            "running": status.is_running,
        }
    return {
        "status": "ok",
        "version": __version__,
        "model": origin["model"],
        "gallery": {**origin["gallery"], "pictures": len(images.ids), **indexing},
    }

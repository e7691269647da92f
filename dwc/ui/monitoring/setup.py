"""Set-up of the monitoring of a page: the routes `/health` and `/metrics`, and the observers."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dwc import __version__
from dwc.search.model_pool import ModelPool
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.monitoring.loading_server import HEALTH
from dwc.ui.monitoring.logs import LogReports
from dwc.ui.monitoring.metrics import Metrics
from dwc.ui.monitoring.observation import (
    Observer,
    ObserveRequests,
    observe_events,
    path_in_app,
)

METRICS = "/metrics"
"""The path from which Prometheus reads."""


class MonitoringOptions(NamedTuple):
    """What is monitored.

    Attributes:
        logs: Whether to log requests and events.
        queries: Whether the logs have the words and the gallery pictures of searches.
        metrics: Whether to serve metrics.
    """

    logs: bool = False
    queries: bool = False
    metrics: bool = False

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> "MonitoringOptions":
        """Return the options that the arguments of `dwc app` request."""
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
    """Make a page report its events, and add the middleware that monitors its requests.

    Call this function once, after the page is built.

    Args:
        page: The page.
        launch_options: The options made by `startup.launch_options`; their list of middleware gets
            this one before any other.
        models: The models; the default one must have been loaded.
        images: The gallery.
        options: What is monitored; `/health` is always there.

    Returns:
        The observers, to which the operations for programs must report, too.
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
    """Return what `/health` answers once a search can be answered.

    Args:
        models: The models; the default one must have been loaded.
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

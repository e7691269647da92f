"""Access for programs: adds the HTTP API and MCP to the page's server."""

import os
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from gradio.route_utils import get_root_url
from starlette.requests import Request

from dwc.search.model_pool import ModelPool
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.monitoring.observation import Observer
from dwc.ui.operations import Operations
from dwc.ui.request_limits import body_limits
from dwc.ui.rest import RestApi
from dwc.ui.workers import Workers

_LOCAL_HOSTS = (None, "127.0.0.1", "localhost", "::1")

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]
"""A context manager in which a server runs, made from its app."""


def add_program_access(
    options: MutableMapping[str, Any],
    models: ModelPool,
    images: GalleryImages,
    serves_mcp: bool = False,
    observers: Sequence[Observer] = (),
) -> None:
    """Add the HTTP API, and MCP if requested, to the options for `gr.Blocks.launch`.

    Args:
        options: The options made by `startup.launch_options`; this function changes them.
        models: The models.
        images: The gallery.
        serves_mcp: Whether MCP is served. The package `mcp` must then be installed.
        observers: The observers that get a report of every operation.
    """
    # Gradio's own MCP server would offer the same endpoints with answers as text, and mix up the
    # values of `gr.State` of its clients. An environment variable could switch it on.
    options["mcp_server"] = False
    operations, workers = Operations(models, images, observers), Workers()
    app_kwargs = options["app_kwargs"]
    routes = app_kwargs.setdefault("routes", [])
    rest = RestApi(operations, workers, _root_url, has_mcp=serves_mcp)
    routes += rest.routes
    if serves_mcp:
        from dwc.ui.mcp_server import ADDRESS, McpMount

        host = options["server_name"] or os.environ.get("GRADIO_SERVER_NAME")
        limit = body_limits(options["max_file_size"])[ADDRESS]
        mount = McpMount(operations, workers, limit, is_local=host in _LOCAL_HOSTS)
        routes += mount.routes
        app_kwargs["lifespan"] = _nest(app_kwargs["lifespan"], mount.lifespan)


def _nest(outer: Lifespan, inner: Lifespan) -> Lifespan:
    @asynccontextmanager
    async def run(app: Any) -> AsyncIterator[None]:
        async with outer(app), inner(app):
            yield

    return run


def _root_url(request: Request) -> str:
    """Return the page's address as the client of a request sees it, also behind a proxy."""
    root_path = getattr(request.app, "root_path", None)
    return get_root_url(request, request.url.path, root_path)

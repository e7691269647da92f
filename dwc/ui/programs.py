"""Access for programs: adds the HTTP API and MCP to the page's server."""

import os
from collections.abc import MutableMapping, Sequence
from typing import Any

from gradio.route_utils import get_root_url
from starlette.requests import Request

from dwc.search.model_pool import ModelPool
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.monitoring.observation import Observer
from dwc.ui.operations import Operations
from dwc.ui.rest import RestApi
from dwc.ui.workers import Workers

_LOCAL_HOSTS = (None, "127.0.0.1", "localhost", "::1")
_BASE64_GROWTH = 4 / 3
_OTHER_BYTES = 1024 * 1024  # for everything in a request but the picture


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
    max_body_bytes = int(options["max_file_size"] * _BASE64_GROWTH) + _OTHER_BYTES
    app_kwargs = options["app_kwargs"]
    routes = app_kwargs.setdefault("routes", [])
    rest = RestApi(operations, workers, max_body_bytes, _root_url, has_mcp=serves_mcp)
    routes += rest.routes
    if serves_mcp:
        from dwc.ui.mcp_server import McpMount

        host = options["server_name"] or os.environ.get("GRADIO_SERVER_NAME")
        mount = McpMount(operations, workers, max_body_bytes, is_local=host in _LOCAL_HOSTS)
        routes += mount.routes
        app_kwargs["lifespan"] = mount.lifespan


def _root_url(request: Request) -> str:
    """Return the page's address as the client of a request sees it, also behind a proxy."""
    root_path = getattr(request.app, "root_path", None)
    return get_root_url(request, request.url.path, root_path)

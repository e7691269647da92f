"""MCP server: the operations as tools for language models, on the same port as the page.

MCP is the Model Context Protocol (https://modelcontextprotocol.io). The tools are the operations of
`operations.py`. An answer contains the results as structured content, the same results as JSON text
for clients that ignore structured content, and the images of the best results. The server has no
sessions: the answer to a call depends only on the arguments of that call.

Import this module only if the package `mcp` is installed. The extra `mcp` installs it.
"""

import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from dwc import __version__
from dwc.errors import DWCError
from dwc.ui.concurrency import Workers
from dwc.ui.operations import OPERATIONS, Operation, Operations, parse_arguments

ADDRESS = "/mcp"
"""The path of the MCP endpoint on the page's server."""

MAX_IMAGES = 24
"""The maximum number of results whose images are in an answer."""

DEFAULT_IMAGES = 8
"""The default number of results whose images are in an answer."""

INSTRUCTIONS = (
    "Search a gallery of pictures with a picture, words of change, or both. Call `gallery` for "
    "pictures to start from, `search` to search, and `explain` or `compare` to see why."
)

_IMAGES_SCHEMA: dict[str, Any] = {
    "type": "integer",
    "minimum": 0,
    "maximum": MAX_IMAGES,
    "default": DEFAULT_IMAGES,
    "description": "How many of the best results come with their pictures.",
}
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class McpMount:
    """The MCP endpoint, to be added to the page's server.

    Attributes:
        routes: The routes to add.
        lifespan: Function that takes the app and returns an async context manager, inside which
            the server must run.
    """

    def __init__(
        self,
        operations: Operations,
        workers: Workers,
        max_body_bytes: int,
        is_local: bool,
    ) -> None:
        """Create the endpoint.

        Args:
            operations: The operations to offer.
            workers: The threads that run the operations.
            max_body_bytes: The maximum size of a request's body in bytes.
            is_local: Whether the server is only for this machine. If so, requests with the host
                name of another machine are refused, since otherwise a website could read the
                gallery through a visitor's browser (DNS rebinding).
        """
        hosts = [f"{host}:*" for host in _LOOPBACK]
        origins = [f"http://{host}" for host in hosts]
        self._manager = StreamableHTTPSessionManager(
            _make_server(operations, workers),
            json_response=True,
            stateless=True,
            security_settings=TransportSecuritySettings(
                enable_dns_rebinding_protection=is_local,
                allowed_hosts=[*hosts, *_LOOPBACK],
                allowed_origins=[*origins, *(f"http://{host}" for host in _LOOPBACK)],
            ),
            max_request_body_size=max_body_bytes,
        )
        self.routes: list[BaseRoute] = [
            Route(address, endpoint=_Endpoint(self._manager))
            for address in (ADDRESS, f"{ADDRESS}/")
        ]

    @property
    def lifespan(self) -> Callable[[Any], AbstractAsyncContextManager[None]]:
        """Function that takes the app and returns an async context manager.

        The page's server must run inside this context manager; outside it, no MCP request can be
        answered.
        """

        @asynccontextmanager
        async def run(app: Any) -> AsyncIterator[None]:
            async with self._manager.run():
                yield

        return run


class _Endpoint:
    """The ASGI app that answers the requests of MCP clients.

    It is a class because Starlette's `Route` treats a function as a request handler, not as an ASGI
    app.
    """

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self._manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._manager.handle_request(scope, receive, send)


def _make_server(operations: Operations, workers: Workers) -> Server[Any, Any]:
    server: Server[Any, Any] = Server("dwc", version=__version__, instructions=INSTRUCTIONS)
    by_name = {operation.name: operation for operation in OPERATIONS}

    @server.list_tools()
    async def list_tools() -> list[types.Tool]:
        return [_describe(operation, operations.models.names) for operation in OPERATIONS]

    # The arguments are checked by `parse_arguments`, with messages that say what to do.
    @server.call_tool(validate_input=False)
    async def call_tool(name: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        try:
            if name not in by_name:
                raise DWCError(f"there is no tool {name!r}; choose one of {', '.join(by_name)}.")
            return await workers.run(partial(_call, operations, by_name[name], arguments))
        except DWCError as error:
            content = types.TextContent(type="text", text=str(error))
            return types.CallToolResult(content=[content], isError=True)

    return server


def _describe(operation: Operation, model_names: tuple[str, ...]) -> types.Tool:
    schema = operation.arguments.model_json_schema()
    # The services that run language models reject these keywords at the top level of a schema.
    for rule in ("anyOf", "not"):
        schema.pop(rule, None)
    properties = schema.setdefault("properties", {})
    if "model" in properties:
        properties["model"]["enum"] = ["", *model_names]
    if operation.name == "search":
        properties["images"] = _IMAGES_SCHEMA
    return types.Tool(
        name=operation.name,
        title=operation.title,
        description=operation.description,
        inputSchema=schema,
        outputSchema=operation.answer.model_json_schema(),
        annotations=types.ToolAnnotations(
            title=operation.title, readOnlyHint=True, idempotentHint=True, openWorldHint=False
        ),
    )


def _call(
    operations: Operations, operation: Operation, arguments: Mapping[str, Any]
) -> types.CallToolResult:
    """Run a tool; return its answer as structured content and as JSON text.

    The answer of a search is followed by the images of the best results.

    Args:
        operations: The operations of the app.
        operation: The operation that the tool runs.
        arguments: The arguments of the call, as sent by the client.
    """
    values = dict(arguments)
    images = 0
    if operation.name == "search":
        images = _parse_image_count(values.pop("images", DEFAULT_IMAGES))
    answer = operations.run(operation, parse_arguments(operation.arguments, values))
    content: list[types.ContentBlock] = [
        types.TextContent(type="text", text=json.dumps(answer, ensure_ascii=False))
    ]
    for result in answer.get("results", [])[:images]:
        content += _illustrate(operations, result)
    return types.CallToolResult(content=content, structuredContent=answer, isError=False)


def _illustrate(operations: Operations, result: Mapping[str, Any]) -> list[types.ContentBlock]:
    """Return a caption and the picture of a search result, as two parts of an MCP answer."""
    image_id = result["id"]
    caption = f"{result['rank']}. {image_id}: {operations.images.describe(image_id)}"
    data = base64.b64encode(operations.thumbnail(image_id).read_bytes()).decode()
    return [
        types.TextContent(type="text", text=caption),
        types.ImageContent(type="image", data=data, mimeType="image/webp"),
    ]


def _parse_image_count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value % 1:
        raise DWCError(f"images is {value!r}; expected a whole number from 0 to {MAX_IMAGES}.")
    if not 0 <= value <= MAX_IMAGES:
        raise DWCError(f"images is {value}; expected a whole number from 0 to {MAX_IMAGES}.")
    return int(value)

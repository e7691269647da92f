"""The HTTP API for programs: one request, one JSON answer, one HTTP status per kind of error.

`add_program_access` adds the API to the page's server and, if wanted, MCP (`mcp_server.py`).
`RestApi` serves the operations of `operations.py` under `/api`. `describe_api` returns the OpenAPI
3.1 document, which is served at `/api/openapi.json`.
"""

import copy
import math
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from gradio.route_utils import get_root_url
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dwc import __version__
from dwc.errors import BusyError, DWCError, ImageError, QueryError
from dwc.files import parse_json
from dwc.search.model_pool import ModelPool
from dwc.ui.answers import ErrorAnswer
from dwc.ui.concurrency import RETRY_SECONDS, Workers
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.monitoring import Observer
from dwc.ui.operations import OPERATIONS, NotFoundError, Operation, Operations, parse_arguments
from dwc.ui.security import body_limits

ADDRESS = "/api"
"""The path of the HTTP API on the page's server; its OpenAPI document is `/api/openapi.json`."""

OTHER_DOCUMENT_ADDRESSES = ("/openapi.json", "/gradio_api/openapi.json")
"""Further paths of the OpenAPI document, at which some programs expect it."""

_LOCAL_HOSTS = (None, "127.0.0.1", "localhost", "::1")

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]
"""Function that takes an app and returns a context manager in which its server runs."""


def add_program_access(
    options: MutableMapping[str, Any],
    models: ModelPool,
    images: GalleryImages,
    serves_mcp: bool = False,
    observers: Sequence[Observer] = (),
) -> None:
    """Add the HTTP API for programs to the options for `gr.Blocks.launch`.

    If wanted, MCP (Model Context Protocol), the interface for language models, is added, too.

    Args:
        options: The return value of `startup.launch_options`; this function changes it.
        models: The models.
        images: The gallery.
        serves_mcp: Whether to serve MCP. The package `mcp` must then be installed.
        observers: The observers to which the operations are reported.
    """
    # Gradio's own MCP server would answer with text only, and mix up the values of `gr.State` of
    # different clients. Without this line, an environment variable could switch it on.
    options["mcp_server"] = False
    operations, workers = Operations(models, images, observers), Workers()
    app_kwargs = options["app_kwargs"]
    routes = app_kwargs.setdefault("routes", [])
    rest = RestApi(operations, workers, _root_url, has_mcp=serves_mcp)
    routes += rest.routes
    if serves_mcp:
        from dwc.ui.mcp_server import ADDRESS as MCP_ADDRESS
        from dwc.ui.mcp_server import McpMount

        host = options["server_name"] or os.environ.get("GRADIO_SERVER_NAME")
        limit = body_limits(options["max_file_size"])[MCP_ADDRESS]
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
    """Return the address of the page as the client of a request sees it, even behind a proxy."""
    root_path = getattr(request.app, "root_path", None)
    return get_root_url(request, request.url.path, root_path)


_MAX_FORM_FIELDS = 16
_MAX_FIELD_BYTES = 64 * 1024
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")


class _RequestError(DWCError):
    """Error of a request whose body cannot be read, or whose URL has query parameters.

    Attributes:
        status: The HTTP status of the response.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RestApi:
    """The routes of the HTTP API. `security.py` limits the sizes of its requests."""

    def __init__(
        self,
        operations: Operations,
        workers: Workers,
        root_url: Callable[[Request], str],
        has_mcp: bool = False,
    ) -> None:
        """Build the object that answers the requests.

        Args:
            operations: The operations.
            workers: The threads that run the operations.
            root_url: Function that returns the address of the page as the client of a request sees
                it, without a slash at the end.
            has_mcp: Whether MCP is served too; the OpenAPI document then mentions it.
        """
        self._operations, self._workers = operations, workers
        self._root_url, self._has_mcp = root_url, has_mcp

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes to add to the page's server, before the routes of Gradio.

        They are not in a `Mount`, because Starlette finds no route in a mount if a proxy has
        removed a path prefix (the root path).
        """
        routes: list[BaseRoute] = [
            Route(
                f"{ADDRESS}/{operation.name}",
                partial(self._answer, operation),
                methods=["POST" if operation.has_query else "GET"],
            )
            for operation in OPERATIONS
        ]
        routes.append(Route(f"{ADDRESS}/picture", self._send_picture, methods=["GET"]))
        documents = (f"{ADDRESS}/openapi.json", *OTHER_DOCUMENT_ADDRESSES)
        routes += [Route(path, self._send_description, methods=["GET"]) for path in documents]
        return routes

    async def _answer(self, operation: Operation, request: Request) -> Response:
        try:
            picture = None
            if operation.has_query:
                _refuse_query_string(request)
                values, picture = await self._read_body(request)
            else:
                values = parse_query_string(request.query_params.multi_items())
            args = parse_arguments(operation.arguments, values)
            call = partial(self._operations.run, operation, args, picture)
            return JSONResponse(await self._workers.run(call))
        except DWCError as error:
            return _refusal(error)

    async def _send_picture(self, request: Request) -> Response:
        try:
            get_thumbnail = partial(self._operations.thumbnail, request.query_params.get("id", ""))
            return FileResponse(await self._workers.run(get_thumbnail), media_type="image/webp")
        except DWCError as error:
            return _refusal(error)

    async def _send_description(self, request: Request) -> Response:
        server = self._root_url(request) + ADDRESS
        return JSONResponse(describe_api(self._operations, server, self._has_mcp))

    async def _read_body(self, request: Request) -> tuple[dict[str, Any], bytes | None]:
        """Return the arguments in a request's body, and the reference picture.

        Returns:
            Two values: the arguments by name; and the content of the picture's file if the body is
            a form with such a file, else None.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json":
            return _parse_json(await request.body()), None
        if kind != "multipart/form-data":
            raise _RequestError(
                415,
                f"the content type is {kind[:80]!r}; expected application/json or "
                "multipart/form-data.",
            )
        return await _read_form(request)


async def _read_form(request: Request) -> tuple[dict[str, Any], bytes | None]:
    try:
        form = await request.form(
            max_files=1, max_fields=_MAX_FORM_FIELDS, max_part_size=_MAX_FIELD_BYTES
        )
    except Exception as error:  # starlette and python-multipart raise errors of several types
        raise _RequestError(400, f"the form cannot be read: {error}.") from error
    try:
        fields: dict[str, Any] = {}
        picture = None
        for name, value in form.multi_items():
            if name in fields or (name == "reference" and picture is not None):
                raise QueryError(f"{name[:80]} is given twice; send it once.")
            if isinstance(value, UploadFile):
                if name != "reference":
                    raise QueryError(f"{name[:80]} is a file; only reference may be a file.")
                content = await value.read()
                # If no file was chosen, browsers send an empty file without a name.
                picture = content if content or value.filename else None
            else:
                fields[name] = _parse_field(name, value)
        if fields.pop("reference", ""):
            raise ImageError("reference is text; in a form, send the picture's file.")
        return fields, picture
    finally:
        await form.close()


def _refuse_query_string(request: Request) -> None:
    """Raise an error if the address of a request has arguments; they must be in the body.

    Names that begin with two underscores are ignored, because a website that hosts the page may add
    them.

    Raises:
        _RequestError: The address has arguments, which would be ignored without this check.
    """
    names = [name for name in request.query_params if not name.startswith("__")]
    if names:
        raise _RequestError(
            400,
            f"the address has the argument {names[0][:80]}; expected all arguments in the body, as "
            "JSON or as a form.",
        )


def _parse_field(name: str, value: str) -> Any:
    """Convert a field of a form to the type that it has in JSON.

    An invalid number stays a string, which the later check of the arguments refuses.
    """
    if name == "fold" and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if name == "k" and _WHOLE_NUMBER.fullmatch(value):
        return int(value)
    if name == "shift" and value not in ("inf", "-inf"):
        try:
            number = float(value)
        except ValueError:
            return value
        return number if math.isfinite(number) else value
    return value


def parse_query_string(items: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the arguments in the query string of an address.

    Args:
        items: Names and values. Names that begin with two underscores are ignored, because a
            website that hosts the page may add them.

    Raises:
        QueryError: A name is given twice.
    """
    values: dict[str, Any] = {}
    for name, value in items:
        if name.startswith("__"):
            continue
        if name in values:
            raise QueryError(f"{name[:80]} is given twice; send it once.")
        values[name] = int(value) if _WHOLE_NUMBER.fullmatch(value) else value
    return values


def _parse_json(body: bytes) -> dict[str, Any]:
    try:
        values = parse_json(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _RequestError(400, f"the body is not JSON: {error}.") from None
    if not isinstance(values, dict):
        raise QueryError("the body is not a JSON object; expected arguments by name.")
    return values


def _refuse_constant(name: str) -> Any:
    raise ValueError(f'{name} is not JSON; send "inf" or "-inf" in quotes')


def _refusal(error: DWCError) -> JSONResponse:
    headers: Mapping[str, str] = {}
    status = 500
    if isinstance(error, _RequestError):
        status = error.status
    elif isinstance(error, NotFoundError):
        status = 404
    elif isinstance(error, (QueryError, ImageError)):
        status = 422
    elif isinstance(error, BusyError):
        status, headers = 503, {"Retry-After": str(RETRY_SECONDS)}
    return JSONResponse({"error": str(error)}, status, headers)


_SCHEMAS = "#/components/schemas/"
_DESCRIPTION = """\
Search a gallery of pictures with a picture, words of change, or both ("like this, but shorter"), \
and see how much the model listened to each.

Every request has one JSON answer. A picture is sent as a file in a form (`multipart/form-data`), \
or in Base64 in a JSON body. Refused requests are answered with `{"error": "..."}`, which says \
what was expected. If too many requests wait, the status is 503, and the header `Retry-After` \
tells when to ask again.

Gradio's clients call the same functions through Gradio's own endpoints; the page documents these \
under `/?view=api`.\
"""
_MCP = "\n\nThe same functions are MCP tools, at `/mcp` (streamable HTTP)."
_ERRORS = {
    "400": "The body cannot be read: it is not JSON, or not a form.",
    "404": "There is no such picture or model here.",
    "413": "The request is too large.",
    "415": "The content type is neither application/json nor multipart/form-data.",
    "422": "An argument is invalid, or the picture cannot be read.",
    "500": "A model or the gallery cannot be opened.",
    "503": "Too many requests wait; `Retry-After` has the seconds after which to ask again.",
}
_QUERY_ERRORS = ("400", "404", "413", "415", "422", "500", "503")


def describe_api(operations: Operations, server: str, has_mcp: bool = False) -> dict[str, Any]:
    """Return the OpenAPI document of the HTTP API.

    Args:
        operations: The operations; their models and gallery appear in the document.
        server: The address of the API, without a slash at the end.
        has_mcp: Whether the description of the API mentions MCP.
    """
    schemas = _component_schemas(operations.models.names)
    paths: dict[str, Any] = {
        f"/{operation.name}": _describe(operation, operations) for operation in OPERATIONS
    }
    paths["/picture"] = {"get": _describe_picture(operations)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "DWC: composed image retrieval",
            "summary": "Search pictures by a picture and words, and see what the model listens to.",
            "description": _DESCRIPTION + (_MCP if has_mcp else ""),
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server, "description": "This server"}],
        "tags": [
            {"name": "search", "description": "Search, and explain the results."},
            {"name": "overview", "description": "What can be searched, and by which model."},
        ],
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _component_schemas(model_names: tuple[str, ...]) -> dict[str, Any]:
    types: list[type[BaseModel]] = [ErrorAnswer]
    types += [operation.answer for operation in OPERATIONS]
    types += [operation.arguments for operation in OPERATIONS if operation.has_query]
    _, definitions = models_json_schema(
        [(type, "validation") for type in types], ref_template=_SCHEMAS + "{model}"
    )
    schemas: dict[str, Any] = definitions["$defs"]
    for operation in OPERATIONS:
        if operation.has_query:
            name = operation.arguments.__name__
            schemas[name]["properties"]["model"]["enum"] = ["", *model_names]
            schemas[_form_name(operation)] = _form_schema(schemas[name])
    return schemas


def _form_name(operation: Operation) -> str:
    return operation.arguments.__name__.replace("Arguments", "Form")


def _form_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a multipart form with the arguments of a JSON request.

    In the form, the reference picture is an uploaded file.

    Args:
        schema: The schema of the JSON request.
    """
    form = copy.deepcopy(schema)
    form["properties"]["reference"] = {
        "type": "string",
        "format": "binary",
        "description": "The picture to start from: a file (JPEG, PNG, WebP and others). Leave it "
        "out for words alone; an empty file counts as left out only if it has no name, as browsers "
        "send it.",
    }
    return form


def _describe(operation: Operation, operations: Operations) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.title,
        "description": operation.description,
        "tags": ["search" if operation.has_query else "overview"],
    }
    errors: tuple[str, ...] = _QUERY_ERRORS
    if operation.has_query:
        described["requestBody"] = _describe_body(operation, operations)
    else:
        described["parameters"] = _describe_parameters(operation)
        errors = ("422", "503")
    described["responses"] = {
        "200": {
            "description": operation.answer.__doc__,
            "content": {"application/json": {"schema": _ref(operation.answer.__name__)}},
        },
        **{status: _describe_error(status) for status in errors},
    }
    return {"post" if operation.has_query else "get": described}


def _describe_body(operation: Operation, operations: Operations) -> dict[str, Any]:
    id = operations.images.ids[0]
    more: dict[str, Any] = {"shift": "-inf"} if operation.name == "explain" else {"k": 5}
    examples = {
        "words": {"summary": "Words alone", "value": {"text": "blue, without sleeves", **more}},
        "gallery": {
            "summary": "A picture of the gallery, and words",
            "value": {"reference_id": id, "text": "shorter, with a belt"},
        },
        "picture": {
            "summary": "A picture in Base64, and words",
            "value": {"reference": _TINY_PNG, "text": "in red"},
        },
    }
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": _ref(operation.arguments.__name__),
                "examples": examples,
            },
            "multipart/form-data": {
                "schema": _ref(_form_name(operation)),
                "encoding": {"reference": {"contentType": "image/jpeg, image/png, image/webp"}},
            },
        },
    }


def _describe_parameters(operation: Operation) -> list[dict[str, Any]]:
    schema = operation.arguments.model_json_schema()
    described = []
    for name, value in schema.get("properties", {}).items():
        description = value.pop("description", "")
        described.append(
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": description,
                "schema": value,
                "example": value["default"],
            }
        )
    return described


def _describe_picture(operations: Operations) -> dict[str, Any]:
    return {
        "operationId": "picture",
        "summary": "Get a picture",
        "description": "The thumbnail of a picture of the gallery: WebP, at most 256 x 256 pixels.",
        "tags": ["overview"],
        "parameters": [
            {
                "name": "id",
                "in": "query",
                "required": True,
                "description": "The picture's id, as in the results of a search.",
                "schema": {"type": "string", "minLength": 1},
                "example": operations.images.ids[0],
            }
        ],
        "responses": {
            "200": {"description": "The picture.", "content": {"image/webp": {}}},
            **{status: _describe_error(status) for status in ("404", "503")},
        },
    }


def _describe_error(status: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": _ERRORS[status],
        "content": {"application/json": {"schema": _ref(ErrorAnswer.__name__)}},
    }
    if status == "503":
        described["headers"] = {
            "Retry-After": {
                "description": "Seconds after which to ask again.",
                "schema": {"type": "integer", "minimum": 1},
            }
        }
    return described


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _SCHEMAS + name}


_TINY_PNG = (  # 8 x 8 pixels, of one color
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mPcoqHBgA0wMeAAg1MCANCsARTeYvrcAAAAAElFTkSuQmCC"
)

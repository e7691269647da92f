"""The HTTP API for programs: one request, one JSON answer, with a status that tells what happened.

It offers the operations of `operations.py` under `/api`, beside the page and Gradio's endpoints.
`openapi.py` describes it; the description is served at `/api/openapi.json`.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dwc.errors import BusyError, DWCError, ImageError, QueryError
from dwc.ui.openapi import ADDRESS, OTHER_DOCUMENT_ADDRESSES, describe_api
from dwc.ui.operations import OPERATIONS, NotFoundError, Operation, Operations, parse_arguments
from dwc.ui.workers import RETRY_SECONDS, Workers

_MAX_FIELDS = 16
_MAX_FIELD_BYTES = 64 * 1024
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")


class _RequestError(DWCError):
    """A request whose form is wrong, whatever it contains."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RestApi:
    """The routes of the HTTP API; `request_limits.py` limits the sizes of its requests."""

    def __init__(
        self,
        operations: Operations,
        workers: Workers,
        root_url: Callable[[Request], str],
        has_mcp: bool = False,
    ) -> None:
        """Create the routes.

        Args:
            operations: The operations.
            workers: The threads that run them.
            root_url: Function that returns the address of the page, without a slash at the end, as
                the client of a request sees it.
            has_mcp: Whether MCP is served too; the description then mentions it.
        """
        self._operations, self._workers = operations, workers
        self._root_url, self._has_mcp = root_url, has_mcp

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes to add to the page's server, before its own.

        They are not in a `Mount`: below one, Starlette finds no route if there is a root path that
        a proxy has removed.
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
            find = partial(self._operations.thumbnail, request.query_params.get("id", ""))
            return FileResponse(await self._workers.run(find), media_type="image/webp")
        except DWCError as error:
            return _refusal(error)

    async def _send_description(self, request: Request) -> Response:
        server = self._root_url(request) + ADDRESS
        return JSONResponse(describe_api(self._operations, server, self._has_mcp))

    async def _read_body(self, request: Request) -> tuple[dict[str, Any], bytes | None]:
        """Return the arguments in a request's body, and the picture in a form."""
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
            max_files=1, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES
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
                picture = await value.read()
            else:
                fields[name] = _parse_field(name, value)
        if fields.get("reference"):
            raise ImageError("reference is text; in a form, send the picture's file.")
        # An empty file is what browsers send if no file was chosen.
        return fields, picture or None
    finally:
        await form.close()


def _parse_field(name: str, value: str) -> Any:
    """Convert a field of a form to what JSON would have; what is not a number stays a string."""
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
        items: Names and values. Names that begin with two underscores are left out: they are for
            the page's host.

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
        values = json.loads(body, parse_constant=_refuse_constant)
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

"""The OpenAPI 3.1 description of the HTTP API in `rest.py`."""

import copy
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from dwc import __version__
from dwc.ui.answers import ErrorAnswer
from dwc.ui.operations import OPERATIONS, Operation, Operations

ADDRESS = "/api"
"""The path of the HTTP API on the page's server; the description is `openapi.json` under it."""

OTHER_DOCUMENT_ADDRESSES = ("/openapi.json", "/gradio_api/openapi.json")
"""Further addresses of the description, where programs look for it."""

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
    """Return the OpenAPI document.

    Args:
        operations: The operations; their models and gallery appear in the document.
        server: The address of the API, without a slash at the end.
        has_mcp: Whether the text mentions MCP.
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

    The form has the reference picture as an uploaded file. `schema` is the JSON request's schema.
    """
    form = copy.deepcopy(schema)
    form["properties"]["reference"] = {
        "type": "string",
        "format": "binary",
        "description": "The picture to start from: a file (JPEG, PNG, WebP and others). Leave it "
        "out for words alone.",
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
            "content": {"application/json": {"schema": _reference(operation.answer.__name__)}},
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
                "schema": _reference(operation.arguments.__name__),
                "examples": examples,
            },
            "multipart/form-data": {
                "schema": _reference(_form_name(operation)),
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
        "content": {"application/json": {"schema": _reference(ErrorAnswer.__name__)}},
    }
    if status == "503":
        described["headers"] = {
            "Retry-After": {
                "description": "Seconds after which to ask again.",
                "schema": {"type": "integer", "minimum": 1},
            }
        }
    return described


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _SCHEMAS + name}


_TINY_PNG = (  # 8 x 8 pixels, of one color
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mPcoqHBgA0wMeAAg1MCANCsARTeYvrcAAAAAElFTkSuQmCC"
)

"""OpenAPI 3.1 documents, made of what URL tables declare. Pure."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from nova_lite.web.app import REQUEST_ID_HEADER
from nova_lite.web.endpoint import Endpoint, declared_endpoint
from nova_lite.web.json_schema import modern
from nova_lite.web.validation import JsonSchema
from nova_lite.web.versions import HEADER, Negotiation, Version

_JSON = "application/json"
_PART = re.compile(r"\{(\w+)\}")
_TEXT = {"type": "string"}


@dataclass(frozen=True)
class Description:
    """What a document says beside the URL table: of the API as a whole, of its errors and its headers."""

    title: str
    description: str
    negotiation: Negotiation
    #: Draft 2020-12 schema of the body of every error.
    fault: Mapping[str, Any]
    request_id_headers: tuple[str, ...]
    #: Path → request headers that its POST takes beside those of every request: name → schema.
    post_headers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def document(about: Description, table: Iterable[tuple[str, object]], version: Version, base: str) -> dict[str, Any]:
    """Return the document of ``version``: every URL of ``table`` that it knows, below the URL ``base``."""
    paths: dict[str, dict[str, Any]] = {}
    for path, handler in table:
        operations = {
            method: _operation(about, method, path, declared, version)
            for method, declared in declared_methods(handler)
            if declared.is_known(version)
        }
        if operations:
            paths[path] = {"parameters": [_path_part(name) for name in _PART.findall(path)], **operations}
    return {
        "openapi": "3.1.0",
        "info": {"title": about.title, "description": about.description, "version": str(version)},
        "servers": [{"url": base}],
        "security": [{"token": []}],
        "paths": paths,
        "components": _components(about, version),
    }


def declared_methods(handler: object) -> Iterator[tuple[str, Endpoint]]:
    """Yield the methods of a handler, in lower case, with what each declares."""
    for name, responder in inspect.getmembers(handler, callable):
        declared = declared_endpoint(responder)
        if name.startswith("on_") and declared is not None:
            yield name.removeprefix("on_"), declared


def _operation(about: Description, method: str, path: str, declared: Endpoint, version: Version) -> dict[str, Any]:
    query = declared.query.at(version)
    extra = about.post_headers.get(path, {}) if method == "post" else {}
    operation: dict[str, Any] = {
        "operationId": "-".join([method, *re.findall(r"[\w.]+", path)]),
        "tags": [path.split("/")[1] or "versions"],
        "parameters": [
            {"$ref": "#/components/parameters/version"},
            {"$ref": "#/components/parameters/request-id"},
            *({"name": name, "in": "header", "schema": schema} for name, schema in extra.items()),
            *_query_parameters(query),
        ],
        "responses": _responses(about, declared, version),
        "x-policy-rules": list(declared.policy),
        "x-other-query-parameters": "ignored" if query["additionalProperties"] else "refused",
    }
    if not declared.policy:
        operation["security"] = []
    if declared.body is not None:
        content = {_JSON: {"schema": modern(declared.body.at(version))}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _path_part(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {**_TEXT, "minLength": 1}}


def _query_parameters(query: JsonSchema) -> Iterator[dict[str, Any]]:
    """Yield the parameters that ``query_schema`` describes; those known by patterns are one free-form parameter."""
    required = query.get("required", ())
    for name, values in query["properties"].items():
        schema = modern(values["items"] if values.get("maxItems") == 1 else values)
        yield {"name": name, "in": "query", "required": name in required, "schema": schema}
    if query["patternProperties"]:
        patterns = modern({"type": "object", "patternProperties": query["patternProperties"]})
        schema = {**patterns, "additionalProperties": False}
        yield {"name": "others", "in": "query", "style": "form", "explode": True, "schema": schema}


def _responses(about: Description, declared: Endpoint, version: Version) -> dict[str, Any]:
    responses: dict[str, Any] = {"default": {"$ref": "#/components/responses/fault"}}
    for status in declared.answers.statuses(version):
        answer: dict[str, Any] = {"description": HTTPStatus(status).phrase, "headers": _headers(about)}
        if status not in declared.answers.empty:
            answer["content"] = {_JSON: {}}
        responses[str(status)] = answer
    return responses


def _headers(about: Description) -> dict[str, Any]:
    """Return the headers that every answer has."""
    names = (REQUEST_ID_HEADER, *about.request_id_headers)
    request_ids = {name: {"$ref": "#/components/headers/request-id"} for name in names}
    return {HEADER: {"$ref": "#/components/headers/version"}, **request_ids}


def _components(about: Description, version: Version) -> dict[str, Any]:
    negotiation = about.negotiation
    name = f"{negotiation.service} {version}"
    asked = {"type": "string", "const": name}
    request_id = {"schema": _TEXT, "description": "The id of this request, which logs and actions have."}
    return {
        "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
        "parameters": {
            "version": {
                "name": HEADER,
                "in": "header",
                "required": version != negotiation.minimum,
                "schema": asked,
                "description": f"The microversion. Without it {negotiation.minimum} is spoken.",
            },
            "request-id": {
                "name": REQUEST_ID_HEADER,
                "in": "header",
                "schema": {"type": "string", "pattern": "^req-[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
                "description": "The client's own id of what this request is part of; one of another form is ignored.",
            },
        },
        "headers": {
            "version": {"schema": asked, "description": "The microversion that answered."},
            "request-id": request_id,
        },
        "schemas": {"fault": dict(about.fault)},
        "responses": {
            "fault": {
                "description": "Any error.",
                "headers": _headers(about),
                "content": {_JSON: {"schema": {"$ref": "#/components/schemas/fault"}}},
            }
        },
    }

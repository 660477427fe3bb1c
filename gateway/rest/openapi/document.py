"""The OpenAPI 3.1 document, generated from the operations that are served.

Its texts are the comments of the proto files. Nothing in it is written by hand but what HTTP adds:
headers, conditions and problems.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from gateway.http.problems import HTTP_STATUS, MEDIA_TYPE
from gateway.rest import headers as h
from gateway.rest.openapi.comments import comment, first_sentence
from gateway.rest.openapi.schemas import Schema, Schemas
from gateway.rest.operations import Operation, field_at
from gateway.rest.query import query_paths
from gateway.rest.router import Router
from gateway.rest.streams import NDJSON, SSE
from gateway.rest.template import Variable

_PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "Why a request failed (RFC 9457), with the reason as google.rpc.ErrorInfo "
    "has it.",
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "Names the reason."},
        "title": {"type": "string", "description": "The reason in words."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "One sentence about this occurrence."},
        "instance": {"type": "string", "format": "uri", "description": "Names the occurrence."},
        "code": {
            "type": "string",
            "enum": [code.name for code in HTTP_STATUS if code.name != "OK"],
            "description": "The canonical gRPC code.",
        },
        "reason": {"type": "string", "description": "In UPPER_SNAKE; stable."},
        "domain": {"type": "string", "description": "Whose reason it is: `quorate`."},
        "metadata": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "The field, id or limit that it is about.",
        },
        "violations": {
            "type": "array",
            "description": "Fields that are wrong, by their proto path, with why.",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "description": {"type": "string"}},
                "required": ["field", "description"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "instance", "code", "reason"],
}
_ERRORS: Final = {
    "400": "The request is malformed, or its content is not allowed now.",
    "404": "What is named does not exist.",
    "405": "The path has no such method.",
    "409": "It exists already, or another change came first.",
    "412": "`If-Match` names another version.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "429": "A bound of the cluster is reached; nothing was done.",
    "503": "No leader answers; repeat with the same `Idempotency-Key`.",
    "504": "The deadline passed; the outcome is not known.",
}
_HEADERS: Final[dict[str, Schema]] = {
    h.TIMEOUT: {
        "description": "Seconds until the caller gives up, passed on as the gRPC deadline. "
        f"`{h.GRPC_TIMEOUT}` (`500m`, `10S`) is understood too.",
        "schema": {"type": "number", "exclusiveMinimum": 0},
    },
    h.IDEMPOTENCY_KEY: {
        "description": "Makes a repeat safe: the request's `requestId`.",
        "schema": {"type": "string", "pattern": f"^{h.KEY}$", "minLength": 1, "maxLength": 128},
    },
    h.IF_MATCH: {
        "description": "Entity tags of the resource as its GET without parameters answers it; "
        "412 when somebody changed it since. Figures that move by themselves do not count.",
        "schema": {"type": "string", "pattern": f"^({h.TAGS})$"},
    },
    h.IF_NONE_MATCH: {
        "description": "Entity tags known already; 304 when one is current.",
        "schema": {"type": "string", "pattern": f"^({h.TAGS})$"},
    },
    h.LAST_EVENT_ID: {
        "description": "Sent by a browser that reconnects: goes on behind it, whatever "
        "`resumeToken` says.",
        "schema": {"type": "string", "pattern": f"^{h.TOKEN}$"},
    },
}


def document(
    operations: Iterable[Operation], *, title: str, version: str, server: str
) -> dict[str, Any]:
    """The document. `server` is the path under which the gateway is reached."""
    schemas = Schemas()
    operations = tuple(operations)
    router = Router(operations)
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, str] = {}
    for operation in operations:
        service = operation.method.descriptor.containing_service
        tags.setdefault(operation.tag, comment(service.full_name))
        item = paths.setdefault(_path(operation), {})
        item[operation.verb.lower()] = _operation(operation, router, schemas)
    # Two schemas of one name would be one.
    assert "ProblemDetails" not in schemas.components
    responses = {
        _error_name(status): {
            "description": text,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status, text in {**_ERRORS, "default": "Any other failure."}.items()
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "servers": [{"url": server or "/"}],
        "tags": [
            {"name": name, **({"description": text} if text else {})} for name, text in tags.items()
        ],
        "paths": paths,
        "components": {
            "schemas": {**dict(sorted(schemas.components.items())), "ProblemDetails": _PROBLEM},
            "responses": responses,
        },
    }


def _error_name(status: str) -> str:
    return "Problem" if status == "default" else f"Problem{status}"


def _path(operation: Operation) -> str:
    parts = [
        f"{{{_path_name(operation, one.field)}}}" if isinstance(one, Variable) else one
        for one in operation.template.segments
    ]
    verb = operation.template.verb
    return "/" + "/".join(parts) + (f":{verb}" if verb else "")


def _path_name(operation: Operation, path: str) -> str:
    """A path parameter's name: that of the field alone.

    OpenAPI takes `/services/{name}` and `/services/{service.name}` for the same path, so both must
    be written alike for their methods to share one item.
    """
    field = field_at(operation.request, path)
    assert field is not None
    return field.json_name


def _operation(operation: Operation, router: Router, schemas: Schemas) -> dict[str, Any]:
    text = comment(operation.method.descriptor.full_name)
    found: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": first_sentence(text),
        "description": text,
        "parameters": [
            *_path_parameters(operation, schemas),
            *_query_parameters(operation, schemas),
            *_header_parameters(operation, router),
        ],
    }
    if operation.body:
        found["requestBody"] = {
            "content": {"application/json": {"schema": _body(operation, schemas)}}
        }
    found["responses"] = {**_success(operation, schemas), **_failures(operation, router)}
    return found


def _path_parameters(operation: Operation, schemas: Schemas) -> list[Schema]:
    found = []
    for path in operation.template.fields:
        field = field_at(operation.request, path)
        assert field is not None
        schema = schemas.parameter(field)
        if schema == {"type": "string"}:
            schema["minLength"] = 1
        found.append(
            _described(
                {"name": field.json_name, "in": "path", "required": True},
                schema,
                comment(field.full_name),
            )
        )
    return found


def _query_parameters(operation: Operation, schemas: Schemas) -> list[Schema]:
    found = []
    for name, field in query_paths(operation):
        parameter: Schema = {"name": name, "in": "query"}
        if field.is_repeated:
            parameter |= {"style": "form", "explode": True}
        found.append(_described(parameter, schemas.parameter(field), comment(field.full_name)))
    return found


def _described(parameter: Schema, schema: Schema, text: str) -> Schema:
    if text:
        parameter["description"] = text
    parameter["schema"] = schema
    return parameter


def _header_parameters(operation: Operation, router: Router) -> list[Schema]:
    names = [h.TIMEOUT]
    if operation.method.has_request_id:
        names.append(h.IDEMPOTENCY_KEY)
    if operation.method.resumes:
        names.append(h.LAST_EVENT_ID)
    if operation.reads and not operation.method.streams:
        names += [h.IF_MATCH, h.IF_NONE_MATCH]
    elif router.getter(operation) is not None:
        names.append(h.IF_MATCH)
    return [{"name": name, "in": "header", **_HEADERS[name]} for name in names]


def _body(operation: Operation, schemas: Schemas) -> Schema:
    if operation.body == "*" and operation.template.fields:
        bound = frozenset(operation.template.fields)
        return schemas.object(operation.request, without=bound)
    return schemas.message(operation.body_type)


def _success(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    answer = schemas.message(operation.method.descriptor.output_type)
    if operation.response_field:
        field = operation.method.descriptor.output_type.fields_by_name[operation.response_field]
        assert field.message_type is not None
        answer = schemas.message(field.message_type)
    if operation.method.streams:
        failure = {
            "type": "object",
            "properties": {"error": {"$ref": "#/components/schemas/ProblemDetails"}},
            "required": ["error"],
        }
        return {
            "200": {
                "description": "A stream: one JSON value a line, or one an event. A failure under "
                'way is a last line `{"error": ...}`, or the event `problem`.',
                "content": {
                    NDJSON: {"schema": {"anyOf": [answer, failure]}},
                    SSE: {"schema": {"type": "string"}},
                },
            }
        }
    found: dict[str, Any] = {"200": {"description": "The answer."}}
    if operation.reads:
        etag = {"ETag": {"description": "The entity tag.", "schema": {"type": "string"}}}
        found["200"]["headers"] = etag
        found["304"] = {"description": f"As one of {h.IF_NONE_MATCH} names it.", "headers": etag}
    found["200"]["content"] = {"application/json": {"schema": answer}}
    return found


def _failures(operation: Operation, router: Router) -> dict[str, Any]:
    statuses = ["400", "429", "503", "504"]
    if operation.template.fields or operation.query_fields:
        statuses.append("404")
    if not operation.reads:
        statuses.append("409")
    if operation.method.streams:
        return _references(statuses)
    if operation.reads or router.getter(operation) is not None:
        statuses.append("412")
    if operation.body:
        statuses += ["413", "415"]
    return _references(statuses)


def _references(statuses: Iterable[str]) -> dict[str, Any]:
    return {
        status: {"$ref": f"#/components/responses/{_error_name(status)}"}
        for status in (*sorted(statuses), "default")
    }

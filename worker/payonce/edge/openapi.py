"""The OpenAPI document, made of the table of operations and the types that they name."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Any

from msgspec import Meta

from payonce import __version__
from payonce.edge.operations import (
    OPERATIONS,
    Answer,
    AnyOf,
    Content,
    Operation,
    PageOf,
    Parameter,
    Who,
)
from payonce.edge.problems import PROBLEM
from payonce.edge.schemas import Schema, Schemas
from payonce.ports import fields, views

JSON = "application/json"

_ABOUT = (
    "An order is paid exactly once, and a paid order never looks unpaid. Money is an integer of "
    "minor units, times are RFC 3339 in UTC. Errors are problem documents (RFC 9457) whose `type` "
    "ends in the name given here. Leave alone fields that you do not know."
)
_BEARER = {"type": "http", "scheme": "bearer"}
_SCHEMES = {
    "api_token": {**_BEARER, "description": "The shop's services: `http.api_token`."},
    "order_token": {**_BEARER, "description": "One order's shopper: `order_token`."},
    "order_token_in_query": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "The same, where no header can be sent.",
    },
    "operator": {**_BEARER, "description": "A person: a token of `http.operators`."},
}
_ASKERS: dict[Who, tuple[str, ...]] = {
    Who.ANYBODY: (),
    Who.GATEWAY: (),
    Who.SHOP: ("api_token",),
    Who.ORDER: ("api_token", "order_token", "order_token_in_query"),
    Who.OPERATOR: ("operator",),
}
_REFUSALS: dict[Who, dict[int, tuple[str, ...]]] = {
    Who.ANYBODY: {},
    Who.GATEWAY: {},
    Who.SHOP: {401: ("unauthorized",), 403: ("no-api-token",)},
    Who.ORDER: {401: ("unauthorized",)},
    Who.OPERATOR: {
        401: ("unauthorized",),
        403: ("no-operators",),
        429: ("too-many-attempts",),
    },
}
_IN_PATH: dict[str, Any] = {
    "payment_id": fields.PaymentId,
    "order_id": fields.OrderId,
    "gateway": fields.Gateway,
    "name": fields.Gateway,
    "id": fields.Id,
    "inbox_id": Annotated[int, Meta(ge=1, le=2**63 - 1)],
}
_COME_AGAIN = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})
_NAMED = re.compile(r"{(\w+)}")


def openapi_document() -> dict[str, Any]:
    """Return the document, version 3.1."""
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _operation(path, operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "payonce",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in _TAGS],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": _SCHEMES},
    }


def _operation(path: str, operation: Operation, schemas: Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [_tag(path)],
        "parameters": [*_in_path(path, schemas), *_others(operation.parameters, schemas)],
        "responses": _responses(operation, schemas),
        "security": [{name: []} for name in _ASKERS[operation.who]],
    }
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.needs_body,
            "content": _content(operation.body, schemas),
        }
    return described


_TAGS = ("payments", "webhooks", "operators", "health", "documents")


def _tag(path: str) -> str:
    if path.startswith("/v1/ops/"):
        return "operators"
    if path.startswith("/v1/webhooks/"):
        return "webhooks"
    if path.startswith("/v1/"):
        return "payments"
    return "documents" if path.endswith(".json") else "health"


def _in_path(path: str, schemas: Schemas) -> Iterator[Schema]:
    for name in _NAMED.findall(path):
        schema = schemas.of(_IN_PATH[name])
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _others(parameters: tuple[Parameter, ...], schemas: Schemas) -> Iterator[Schema]:
    for one in parameters:
        yield {
            "name": one.name,
            "in": one.place,
            "description": one.about,
            "schema": schemas.of(one.type),
        }


def _responses(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, answer in operation.answers.items():
        responses[str(status)] = {
            "description": _phrase(status),
            "content": _content(answer, schemas),
        }
    for number, names in sorted(_problems(operation).items()):
        if number not in operation.answers:
            responses[str(number)] = _problem(number, names, schemas)
    return responses


def _phrase(status: int | str) -> str:
    return HTTPStatus(status).phrase if isinstance(status, int) else "What the gateway expects"


def _problems(operation: Operation) -> dict[int, tuple[str, ...]]:
    """Return the names of problems by status, with those that many operations have in common."""
    found = {**_REFUSALS[operation.who]}
    common: dict[int, tuple[str, ...]] = {405: ("method-not-allowed",)}
    if operation.who is not Who.ANYBODY:
        common[503] = ("unavailable",)
    if operation.body is not None:
        common[408] = ("timeout",)
        common[413] = ("too-large",)
    for some in (operation.problems, common):
        for status, names in some.items():
            found[status] = (*found.get(status, ()), *names)
    return found


def _problem(status: int, names: tuple[str, ...], schemas: Schemas) -> dict[str, Any]:
    types = [f"/problems/{name}" for name in dict.fromkeys(names)]
    schema = {
        "allOf": [
            schemas.of(views.Problem),
            {"properties": {"type": {"enum": types}, "status": {"const": status}}},
        ]
    }
    described = {
        "description": ", ".join(dict.fromkeys(names)),
        "content": {PROBLEM: {"schema": schema}},
    }
    if status in _COME_AGAIN:
        seconds = {"description": "When to come again.", "schema": {"type": "integer"}}
        described["headers"] = {"Retry-After": seconds}
    return described


def _content(answer: Answer, schemas: Schemas) -> dict[str, Any]:
    match answer:
        case Content():
            return {answer.content_type: {"schema": dict(answer.schema)}}
        case AnyOf():
            return {JSON: {"schema": {"anyOf": [schemas.of(one) for one in answer.types]}}}
        case PageOf():
            return {JSON: {"schema": _page(answer.item, schemas)}}
        case _:
            return {JSON: {"schema": schemas.of(answer)}}


def _page(item: type[Any], schemas: Schemas) -> Schema:
    return {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": schemas.of(item)},
            "cursor": schemas.of(fields.Cursor),
        },
        "required": ["items", "cursor"],
    }

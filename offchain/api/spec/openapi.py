"""The OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.0)."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec

from offchain.api.problems import CONTENT_TYPE, Problem
from offchain.api.spec.operation import SECURITY, Operation
from offchain.api.spec.operations import OPERATIONS
from offchain.api.spec.parameters import Parameter
from offchain.api.spec.schemas import components

JSON = "application/json"


@cache
def openapi() -> dict[str, Any]:
    bodies = [body for each in OPERATIONS for body in (each.body, *each.answers.values()) if not _is_plain(body)]
    types = list(dict.fromkeys([Problem, *bodies]))
    references, schemas = components(types)
    by_type = dict(zip(types, references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Crosspoint",
            "version": version("crosspoint"),
            "summary": "A hybrid order-book exchange for Ethereum.",
            "description": "Prices, quantities and amounts are decimal strings in whole units, times Unix milliseconds "
            "(`expiry` and `validUntil`: Unix seconds, as signed).",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {"Problem": _problem(by_type[Problem])},
            "securitySchemes": {name: dict(scheme) for name, scheme in SECURITY.items()},
        },
    }


def _is_plain(body: type[msgspec.Struct] | str | None) -> bool:
    return body is None or isinstance(body, str)


def _operation(operation: Operation, by_type: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": {str(status): _answer(operation, status, by_type) for status in operation.answers}
        | {"default": {"$ref": "#/components/responses/Problem"}},
    }
    if operation.description:
        described["description"] = operation.description
    if operation.parameters:
        described["parameters"] = [_parameter(each) for each in operation.parameters]
    if operation.scope is not None:
        # The scopes of a scheme that is not OAuth are informative, as OpenAPI 3.1 says.
        described["security"] = [{operation.scheme: [operation.scope] if operation.scope else []}]
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": by_type[operation.body]}}}
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    if parameter.schema.get("type") == "array":
        described |= {"style": "form", "explode": False}
    return described


def _answer(operation: Operation, status: int, by_type: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    body = operation.answers[status]
    described: dict[str, Any] = {"description": operation.notes.get(status, "as asked")}
    if isinstance(body, str):
        if body:
            described["content"] = {body: {"schema": {} if body == JSON else {"type": "string"}}}
    else:
        described["content"] = {JSON: {"schema": by_type[body]}}
    described["headers"] = {"X-Request-Id": {"schema": {"type": "string"}, "description": "to quote to the operator"}}
    return described


def _problem(reference: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": "The request was refused (RFC 9457); `code` is stable and says why.",
        "content": {CONTENT_TYPE: {"schema": reference}},
    }

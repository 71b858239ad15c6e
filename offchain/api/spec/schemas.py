"""JSON Schemas of the messages, with the descriptions that stand beside their fields in the code."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec

from offchain.api.spec.fields import FIELDS, TYPED

REFERENCE = "#/components/schemas/{name}"


def components(types: Iterable[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A reference to each type's schema, and all schemas by name."""
    wanted = list(types)
    references, schemas = msgspec.json.schema_components(wanted, ref_template=REFERENCE)
    described = _fields_of(wanted)
    for name, schema in schemas.items():
        _mend_tuples(schema)
        for field, value in schema.get("properties", {}).items():
            _refine(value, FIELDS.get(field, {}))
            _refine(value, TYPED.get((name, field), {}), is_exact=True)
            if text := described.get((name, field)):
                value["description"] = text
    return list(references), schemas


def _mend_tuples(schema: Any) -> None:
    """Say of a tuple whose parts are alike that it is a list of that length, which all tools understand."""
    if isinstance(schema, dict):
        parts = schema.get("prefixItems")
        if parts and all(each == parts[0] for each in parts):
            del schema["prefixItems"]
            schema["items"] = parts[0]
        for value in schema.values():
            _mend_tuples(value)
    elif isinstance(schema, list):
        for value in schema:
            _mend_tuples(value)


def _refine(schema: dict[str, Any], more: Mapping[str, Any], is_exact: bool = False) -> None:
    """Add what is known of a field to the part of its schema that is a string, or to the whole."""
    if not more:
        return
    parts = schema.get("anyOf", [schema])
    for part in parts:
        if part.get("type") == "string" or (is_exact and part.get("type") == "integer"):
            part.update(more)


def _fields_of(types: Iterable[Any]) -> dict[tuple[str, str], str]:
    """By schema and field as on the wire: the string literal below the field's declaration."""
    texts: dict[tuple[str, str], str] = {}
    for cls in _classes(types):
        for base in reversed([each for each in cls.__mro__ if each.__module__.startswith("offchain.")]):
            own = {field: text for (name, field), text in _texts(base.__module__).items() if name == base.__name__}
            texts |= {(cls.__name__, field): text for field, text in own.items()}
    return texts


def _classes(types: Iterable[Any]) -> set[type]:
    """The struct classes among types, with what their fields hold."""
    found: set[type] = set()
    pending = [msgspec.inspect.type_info(each) for each in types]
    while pending:
        info = pending.pop()
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in found:
                continue
            found.add(info.cls)
            pending += [field.type for field in info.fields]
        elif isinstance(info, msgspec.inspect.UnionType):
            pending += info.types
        elif isinstance(info, msgspec.inspect.ListType):
            pending.append(info.item_type)
    return found


@cache
def _texts(module: str) -> dict[tuple[str, str], str]:
    texts: dict[tuple[str, str], str] = {}
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for field, text in zip(node.body, node.body[1:], strict=False):
            is_field = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            if is_field and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                assert isinstance(field, ast.AnnAssign)
                assert isinstance(field.target, ast.Name)
                texts[node.name, _camel(field.target.id)] = " ".join(str(text.value.value).split())
    return texts


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)

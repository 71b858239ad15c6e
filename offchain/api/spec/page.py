"""The documents as one page to read, without a script."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from html import escape
from typing import Any

from offchain.api.spec.asyncapi import asyncapi
from offchain.api.spec.openapi import openapi
from offchain.api.spec.operation import ADMIN

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1d2433; }
code, pre { font: 14px/1.4 ui-monospace, monospace; background: #f3f5f9; border-radius: 4px; padding: 0 .25em; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; }
td, th { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #dfe4ee; }
h3 { margin-top: 2.5rem; }
.method { display: inline-block; min-width: 4.5rem; color: #0b5cad; }
nav a { margin-right: 1rem; }
@media (prefers-color-scheme: dark) {
  body { background: #12161f; color: #dfe4ee; } code, pre { background: #1e2430; } td, th { border-color: #2a3242; }
  a, .method { color: #7db7ff; }
}
"""


@cache
def page() -> str:
    return "\n".join(_page())


def _page() -> Iterator[str]:
    http, stream = openapi(), asyncapi()
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width"><title>Crosspoint API</title>'
    yield f"<style>{_STYLE}</style></head><body><h1>Crosspoint API {escape(http['info']['version'])}</h1>"
    yield f"<p>{_text(http['info']['description'])}</p>"
    yield '<p>For machines: <a href="/v1/openapi.json">OpenAPI</a>, <a href="/v1/asyncapi.json">AsyncAPI</a>.</p>'
    yield '<nav><a href="#http">HTTP</a><a href="#stream">Stream</a><a href="#schemas">Schemas</a></nav>'
    yield '<h2 id="http">HTTP</h2>'
    for path, methods in http["paths"].items():
        for method, operation in methods.items():
            yield from _operation(method, path, operation)
    yield f'<h2 id="stream">Stream</h2><p>{_text(stream["info"]["description"])}</p>'
    for name, channel in stream["channels"].items():
        yield from _channel(name, channel)
    yield '<h2 id="schemas">Schemas</h2>'
    for name, schema in sorted((http["components"]["schemas"] | stream["components"]["schemas"]).items()):
        yield from _schema(name, schema)
    yield "</body></html>"


def _text(text: str) -> str:
    """Escaped, with what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    anchor = escape(operation["operationId"])
    yield f'<h3 id="{anchor}"><code class="method">{method.upper()}</code> <code>{escape(path)}</code></h3>'
    yield f"<p>{_text(operation['summary'])}. {_text(operation.get('description', ''))}</p>"
    for requirement in operation.get("security", ()):
        for scheme, scopes in requirement.items():
            whose, kind = ("an administrator's", "role") if scheme == ADMIN else ("a", "scope")
            needed = "".join(f" with the {kind} <code>{escape(scope)}</code>" for scope in scopes)
            yield f"<p>Needs {whose} token{needed}.</p>"
    rows = [
        (parameter["name"], f"{parameter['in']}{', required' if parameter['required'] else ''}",
         _type(parameter["schema"]), _text(parameter["description"]))
        for parameter in operation.get("parameters", ())
    ]  # fmt: skip
    if "requestBody" in operation:
        rows.append(("body", "required", _content(operation["requestBody"]), ""))
    yield from _table(("parameter", "", "type", ""), rows)
    answers = operation["responses"].items()
    refused = ('<a href="#Problem">Problem</a>', "refused")
    yield from _table(
        ("answer", "type", ""),
        [(status, *(refused if "$ref" in answer else (_content(answer), _text(answer["description"]))))
         for status, answer in answers],
    )  # fmt: skip


def _channel(name: str, channel: Mapping[str, Any]) -> Iterator[str]:
    yield f'<h3 id="{escape(name)}"><code>{escape(channel["address"])}</code></h3>'
    yield f"<p>{_text(channel['description'])}</p>"
    links = ", ".join(f'<a href="#{escape(message)}">{escape(message)}</a>' for message in channel["messages"])
    yield f"<p>Messages: {links}</p>"


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{_text(schema.get("description", ""))}</p>'
    required = schema.get("required", ())
    yield from _table(
        ("field", "", "type", ""),
        [(field, "" if field in required else "optional", _type(value), _text(value.get("description", "")))
         for field, value in schema.get("properties", {}).items()],
    )  # fmt: skip


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """The first cell of a row is a name, the others are HTML."""
    if not rows:
        return
    yield "<table><tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>"
    for name, *cells in rows:
        yield f"<tr><td><code>{escape(name)}</code></td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    yield "</table>"


def _content(described: Mapping[str, Any]) -> str:
    for media, content in described.get("content", {}).items():
        return _type(content["schema"]) if content["schema"].get("$ref") else f"<code>{escape(media)}</code>"
    return ""


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const']))}</code>"
    if "prefixItems" in schema:
        return "(" + ", ".join(_type(each) for each in schema["prefixItems"]) + ")"
    if schema.get("type") == "array" and "items" in schema and schema["items"]:
        return f"list of {_type(schema['items'])}"
    return escape(str(schema.get("type", "any")))

"""What describes the interface. Made once, from the code."""

from __future__ import annotations

from functools import cache

import msgspec
from aiohttp import web

from offchain.api.spec.asyncapi import asyncapi
from offchain.api.spec.openapi import openapi
from offchain.api.spec.page import page

_MAX_AGE = {"Cache-Control": "public, max-age=300"}


@cache
def _openapi() -> bytes:
    return msgspec.json.encode(openapi())


@cache
def _asyncapi() -> bytes:
    return msgspec.json.encode(asyncapi())


async def get_openapi(request: web.Request) -> web.Response:
    """GET /v1/openapi.json"""
    return web.Response(body=_openapi(), content_type="application/json", headers=_MAX_AGE)


async def get_asyncapi(request: web.Request) -> web.Response:
    """GET /v1/asyncapi.json"""
    return web.Response(body=_asyncapi(), content_type="application/json", headers=_MAX_AGE)


async def get_page(request: web.Request) -> web.Response:
    """GET /docs"""
    return web.Response(text=page(), content_type="text/html", headers=_MAX_AGE)

"""How the core process serves the API."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web

from offchain.app import core as wiring
from offchain.process import Life
from tests.unit.api.exchange import Exchange


class Server:
    """The socket for the worker, which nobody uses here."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    async def start(self) -> None:
        self.steps.append("started")

    async def stop(self) -> None:
        self.steps.append("stopped")


def callers() -> list[str]:
    """The functions that wait for their callee's end at this moment."""
    frame, names = sys._getframe(1), []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names


async def test_the_core_serves_requests_in_the_turn_in_which_they_arrive(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server would do everything right, and every order would wait twice as long."""
    seen: list[list[str]] = []
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    url_of = wiring._url

    async def probe(request: web.Request) -> web.Response:
        seen.append(callers())
        return web.Response()

    def told(host: str, runner: web.AppRunner) -> str:
        listening.set_result(url := url_of(host, runner))
        return url

    exchange.app.router.add_get("/probe", probe)
    monkeypatch.setattr(wiring, "_url", told)
    server, life, config = Server(), Life(supervised=False), SimpleNamespace(host="127.0.0.1", port=0)
    serving = asyncio.create_task(wiring._serve(SimpleNamespace(web=exchange.app, config=config, server=server), life))
    async with asyncio.timeout(10), aiohttp.ClientSession(await listening) as session:
        async with session.get("/probe") as answer:
            assert answer.status == 200
        life.end()
        await serving
    assert "data_received" in seen[0]
    assert server.steps == ["started", "stopped"]

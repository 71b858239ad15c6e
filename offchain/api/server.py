"""The HTTP server: aiohttp's, with requests that are handled in the turn of the event loop in which they arrive."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar, cast

from aiohttp import web

from offchain.prompt import PromptFuture

T = TypeVar("T")


class PromptRunner(web.AppRunner):
    """Serves an application as `web.AppRunner` does, without letting its requests queue twice before they begin.

    aiohttp asks the loop to wake the connection's task when a request has arrived, and on Python 3.11 that task asks it
    to start another one for the handler. Either waits for everything else that the loop has to do, which under load is
    a whole turn: with the turn in which the order is matched, an order would wait for three instead of one.
    """

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _PromptServer(server.request_handler, request_factory=server.request_factory, **server._kwargs)


class _PromptServer(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _PromptRequestHandler(self, loop=self._loop, **self._kwargs)


class _PromptRequestHandler(web.RequestHandler):
    """One connection. `_waiter` is what its task waits for between two requests."""

    __slots__ = ("_prompt_waiter", "_taskless")

    _prompt_waiter: PromptFuture[None] | None

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self._taskless: _TasklessLoop | None = None
        super().__init__(*arguments, **settings)

    @property
    def _waiter(self) -> PromptFuture[None] | None:
        return self._prompt_waiter

    @_waiter.setter
    def _waiter(self, waiter: asyncio.Future[None] | None) -> None:
        self._prompt_waiter = None if waiter is None else PromptFuture(waiter.get_loop())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if sys.version_info < (3, 12):
            self._taskless = _TasklessLoop(self._loop)
            self._loop = cast(asyncio.AbstractEventLoop, self._taskless)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """aiohttp calls this for every body that is read, and has the parser look at nothing; only after a pause is
        there something to go on with."""
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    def data_received(self, data: bytes) -> None:
        waiter = self._prompt_waiter
        if waiter is None:
            super().data_received(data)
            return
        self._prompt_waiter = None  # hidden, or the task would be woken the other way
        super().data_received(data)
        self._prompt_waiter = waiter
        if self._messages and not waiter.done():
            if self._taskless is not None:
                self._taskless.at_once = True
            waiter.resolve(None)


class _TasklessLoop:
    """The loop as a connection sees it on Python 3.11: the handler of a request that has just arrived is no task of its
    own but a part of the connection's. From Python 3.12 on aiohttp starts that task at once.

    Requests that had to wait for one before them are tasks: whoever sends many at a time lets others in between.
    """

    __slots__ = ("_loop", "at_once")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.at_once = False

    def create_task(self, coroutine: Coroutine[Any, Any, T]) -> Awaitable[T]:
        at_once, self.at_once = self.at_once, False
        return coroutine if at_once else self._loop.create_task(coroutine)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

"""Signed orders and cancels of any number of accounts through one socket.

They enter the engine in the order of sending, which `OrderSocket` does not promise: it is one account's, and after a
lost connection each of its requests goes its own way.
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from offchain.api.schemas.http import BatchEntry, PlacedOrder
from offchain.client.errors import ApiError
from offchain.client.transport import Transport

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
HEARTBEAT_SECONDS = 20.0
MAX_MESSAGE_BYTES = 8 * 1024
ATTEMPTS = 20
"""to connect without an answer in between: about half a minute"""


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """What the exchange says to one operation."""

    op: str
    id: int | None = None
    order: PlacedOrder | None = None
    """of an order or a cancel"""
    results: list[BatchEntry] = []
    """of an array"""
    code: str = ""
    """why it was refused; "" if it was not"""
    param: str | None = None
    detail: str = ""


_ANSWER = msgspec.json.Decoder(Answer)


class _Sent:
    __slots__ = ("answer", "frame")

    def __init__(self, frame: str, answer: asyncio.Future[Answer]) -> None:
        self.frame = frame
        self.answer = answer


class SharedSocket:
    """Sends, and after a lost connection sends again what was not answered, in the same order.

    That is safe: a signed order is executed once, and a cancel of an order that has ended is refused.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._unanswered: dict[int, _Sent] = {}
        self._number = 0
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._sending = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def send(self, operation: str, **fields: Any) -> asyncio.Future[Answer]:
        """Send an operation of docs/API.md; the future has its answer, or ApiError if nobody answers."""
        async with self._sending:
            self._number += 1
            message = {"op": operation, "id": self._number, **_compact(msgspec.to_builtins(fields))}
            frame = msgspec.json.encode(message).decode()
            answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            if len(frame) > MAX_MESSAGE_BYTES:  # the exchange would close the socket, again and again
                detail = f"{operation} has {len(frame)} bytes, a message at most {MAX_MESSAGE_BYTES}"
                answer.set_result(Answer("error", self._number, code="messageTooLarge", detail=detail))
                return answer
            self._unanswered[self._number] = _Sent(frame, answer)
            if self._task is not None and self._task.done():
                self._fail()
            elif self._socket is not None:
                await _send(self._socket, frame)
        return answer

    async def _run(self) -> None:
        pause, failures = FIRST_PAUSE_SECONDS, 0
        while failures < ATTEMPTS:
            try:
                async with self._transport.session.ws_connect(
                    self._transport.address("/v1/ws"), heartbeat=HEARTBEAT_SECONDS
                ) as socket:
                    await self._repeat(socket)
                    async for message in socket:
                        if message.type is aiohttp.WSMsgType.TEXT:
                            self._receive(message.data)
                            pause, failures = FIRST_PAUSE_SECONDS, 0
            except (aiohttp.ClientError, TimeoutError, ConnectionError):
                pass  # whatever it was, a new connection is the answer
            finally:
                self._socket = None
            failures += 1
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        self._fail()

    async def _repeat(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async with self._sending:
            for sent in list(self._unanswered.values()):
                await _send(socket, sent.frame)
            self._socket = socket

    def _receive(self, text: str) -> None:
        answer = _ANSWER.decode(text)
        sent = self._unanswered.pop(answer.id, None) if answer.id is not None else None
        if sent is not None and not sent.answer.done():
            sent.answer.set_result(answer)

    def _fail(self) -> None:
        for sent in self._unanswered.values():
            if not sent.answer.done():
                sent.answer.set_exception(ApiError(0, "noAnswer", "the exchange cannot be reached", retryable=True))
        self._unanswered.clear()


def _compact(value: Any) -> Any:
    """Without what is absent, as messages are bounded."""
    if isinstance(value, dict):
        return {name: _compact(each) for name, each in value.items() if each is not None}
    return [_compact(each) for each in value] if isinstance(value, list) else value


async def _send(socket: aiohttp.ClientWebSocketResponse, frame: str) -> None:
    # What a broken connection does not take is sent again on the next one.
    with contextlib.suppress(aiohttp.ClientError, ConnectionError):
        await socket.send_str(frame)

"""Order entry over one WebSocket: no request waits for the answer to the one before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import msgspec

from offchain.api.schemas import control
from offchain.api.schemas.http import (
    ArrayBody,
    BatchEntry,
    CancelAfter,
    CancelBody,
    CanceledOrder,
    CanceledOrders,
    OrderBody,
    PlacedOrder,
)
from offchain.client.auth import Authenticator
from offchain.client.desk import OrderDesk
from offchain.client.errors import ApiError, MissingKey
from offchain.client.stream import FIRST_PAUSE_SECONDS, HEARTBEAT_SECONDS, LONGEST_PAUSE_SECONDS
from offchain.client.trading import Trading
from offchain.client.transport import Transport

MAX_UNDER_WAY = 256
"""requests that wait for their answers; the exchange takes no more of a socket"""

RETRYABLE = frozenset(
    {
        "rateLimited",
        "overloaded",
        "unavailable",
        "circuitOpen",
        "starting",
        "shuttingDown",
        "internalError",
        "notConfigured",
    }
)
"""codes of refusals after which the same request may be sent again; over HTTP the exchange says so itself"""

RENEWAL_SECONDS = 60.0
"""before a session ends it is replaced, so that the socket outlives it"""

T = TypeVar("T")


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    op: str = ""
    id: int | str | None = None
    code: str = ""
    param: str | None = None
    detail: str = ""
    order_id: str | None = None

    def error(self) -> ApiError:
        retryable = self.code in RETRYABLE
        return ApiError(0, self.code, self.detail, param=self.param, retryable=retryable, order_id=self.order_id)


_ENVELOPE = msgspec.json.Decoder(_Envelope)


class _Lost(Exception):
    """The connection broke before the answer."""


class OrderSocket(Trading):
    """The methods of `Client` that place and cancel, over a socket of its own; nonces are the client's.

    A lost connection is replaced. What was unanswered is sent again then, the same bytes, which is safe: an order is
    executed once. With `cancel_on_disconnect` it is not, because the exchange cancels all orders of the account when
    the connection is lost: it raises ApiError `noAnswer`, and `Client.order` with the error's `order_id` tells what
    became of it. The exchange may notice a loss later than this side does, up to half a minute, and cancels what was
    placed meanwhile as well.
    """

    def __init__(
        self,
        desk: OrderDesk,
        transport: Transport,
        auth: Authenticator,
        *,
        cancel_on_disconnect: bool,
        timeout: float,
        retries: int,
    ) -> None:
        """`timeout` in seconds, for an answer, and for a connection."""
        self._desk = desk
        self._carrier = self._line = SocketCarrier(transport, auth, timeout, retries, desk.nonces.ended_all)
        self._line.is_watched = cancel_on_disconnect

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect and sign in. Raises ApiError, MissingKey."""
        try:
            await self._line.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """What is unanswered raises ApiError `noAnswer`."""
        await self._line.close()

    async def cancel_on_disconnect(self, enabled: bool = True) -> None:
        """Have all orders of the account canceled when this socket is gone, for whatever reason. Raises ApiError."""
        await self._line.watch(enabled)


class SocketCarrier:
    """A connection with requests under way, and the next one when it breaks."""

    def __init__(
        self,
        transport: Transport,
        auth: Authenticator,
        timeout: float,
        retries: int,
        canceled: Callable[[], None],
    ) -> None:
        """`canceled` is called when the exchange has been left to cancel all orders."""
        self._transport = transport
        self._auth = auth
        self._timeout = timeout
        self._retries = retries
        self._canceled = canceled
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._room = asyncio.Semaphore(MAX_UNDER_WAY)
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._settled = asyncio.Event()
        """there is a socket to send on, or none will be"""
        self._failure: Exception | None = None
        self._refused: str | None = None
        """the token that the exchange knows no more"""
        self._token: str | None = None
        self._signed_in: control.SignedIn | None = None
        self._task: asyncio.Task[None] | None = None
        self.is_watched = False
        """whether the loss of the connection cancels orders"""

    # -----------------------------------------------------------------------------------------------------------------
    # Requests
    # -----------------------------------------------------------------------------------------------------------------

    async def place(self, order: OrderBody, order_id: str) -> PlacedOrder:
        return (await self._ask("place", control.Placed, order_id, order=order)).order

    async def replace(self, replaced: str, order: OrderBody, order_id: str) -> PlacedOrder:
        answer = await self._ask("replace", control.Placed, order_id, orderId=replaced, order=order)
        return answer.order

    async def place_array(self, array: ArrayBody) -> list[BatchEntry]:
        return (await self._ask("placeArray", control.PlacedArray, None, array=array)).results

    async def cancel(self, order_id: str, cancel: CancelBody) -> CanceledOrder:
        fields = {"orderId": order_id, "account": cancel.account, "signature": cancel.signature}
        return (await self._ask("cancel", control.Canceled, order_id, **fields)).order

    async def cancel_all(self, market: str | None, side: str | None) -> CanceledOrders:
        wanted = {name: value for name, value in (("market", market), ("side", side)) if value is not None}
        done = await self._ask("cancelAll", control.CanceledMany, None, **wanted)
        return CanceledOrders(account=done.account, order_ids=done.order_ids, remaining=done.remaining)

    async def cancel_after(self, seconds: int) -> CancelAfter:
        done = await self._ask("cancelAfter", control.CancelAfterSet, None, seconds=seconds)
        return CancelAfter(account=done.account, cancels_at=done.cancels_at)

    async def watch(self, enabled: bool) -> None:
        await self._ask("cancelOnDisconnect", control.CancelOnDisconnectSet, None, enabled=enabled)
        self.is_watched = enabled

    async def _ask(self, operation: str, answer: type[T], order_id: str | None, **fields: Any) -> T:
        """Send, and wait for the answer. Raises ApiError, MissingKey."""
        async with self._room:
            for attempt in range(self._retries + 1):
                try:
                    async with asyncio.timeout(self._timeout):
                        raw = await self._attempt(operation, fields)
                    return msgspec.json.decode(raw, type=answer)
                except (_Lost, TimeoutError) as error:
                    if attempt == self._retries or self.is_watched or self._task is None:
                        detail = f"{operation}: {'the connection broke' if isinstance(error, _Lost) else 'no answer'}"
                        raise ApiError(0, "noAnswer", detail, retryable=True, order_id=order_id) from error
                except msgspec.DecodeError as error:
                    raise ApiError(0, "unexpectedAnswer", f"{operation}: {error}") from error
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(self, operation: str, fields: dict[str, Any]) -> bytes:
        await self._settled.wait()
        if self._failure is not None:
            raise self._failure
        if self._socket is None:
            raise _Lost
        number = next(self._numbers)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await _send(self._socket, {"op": operation, "id": number} | fields)
            return await answer
        except ConnectionError as error:
            raise _Lost from error
        finally:
            del self._waiting[number]

    # -----------------------------------------------------------------------------------------------------------------
    # Connections
    # -----------------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        self._task = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(self._timeout * (self._retries + 1)):
                await self._settled.wait()
        except TimeoutError as error:
            raise ApiError(0, "noAnswer", "no socket could be opened", retryable=True) from error
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._failure = self._failure or ApiError(0, "noAnswer", "this socket is closed")
        self._settled.set()

    async def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with self._transport.session.ws_connect(
                    self._transport.address("/v1/ws"), heartbeat=HEARTBEAT_SECONDS
                ) as socket:
                    await self._greet(socket)
                    pause = FIRST_PAUSE_SECONDS
                    self._socket = socket
                    self._settled.set()
                    renewing = asyncio.create_task(self._renew())
                    try:
                        async for frame in socket:
                            if frame.type is aiohttp.WSMsgType.TEXT:
                                self._answer(frame.data)
                    finally:
                        renewing.cancel()
            except (aiohttp.ClientError, TimeoutError, ConnectionError, _Lost):
                pass  # whatever it was, a new connection is the answer
            except (ApiError, MissingKey, msgspec.DecodeError) as error:
                self._failure = error
                self._settled.set()
                return
            finally:
                self._leave()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _leave(self) -> None:
        if self._socket is None:
            return
        self._socket = None
        if self._failure is None and self._task is not None:
            self._settled.clear()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(_Lost())
        if self.is_watched:
            self._canceled()

    async def _greet(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Sign in, and say what the loss of the connection is to do, before anything else is sent."""
        self._token = token = await self._auth.token(self._refused)
        try:
            answer = await self._first(socket, {"op": "signIn", "token": token})
            self._signed_in = msgspec.json.decode(answer, type=control.SignedIn)
            if self.is_watched:
                await self._first(socket, {"op": "cancelOnDisconnect", "enabled": True})
        except ApiError as error:
            if error.code == "invalidToken" and token != self._refused:
                self._refused = token
                raise _Lost from error
            if error.retryable:
                raise _Lost from error
            raise

    async def _renew(self) -> None:
        """Sign in with a new token before the present one ends; without a new one the exchange closes the socket."""
        with suppress(ApiError, MissingKey):
            while self._signed_in is not None and self._signed_in.expires_at is not None:
                # By the exchange's clock, so that a wrong one here does no harm.
                left = (self._signed_in.expires_at - (await self._ask("ping", control.Pong, None)).time) / 1_000
                await asyncio.sleep(left - min(RENEWAL_SECONDS, left / 2))
                self._token = await self._auth.token(refused=self._token)
                self._signed_in = await self._ask("signIn", control.SignedIn, None, token=self._token)

    async def _first(self, socket: aiohttp.ClientWebSocketResponse, operation: dict[str, Any]) -> bytes:
        await _send(socket, operation)
        frame = await socket.receive(timeout=self._timeout)
        if frame.type is not aiohttp.WSMsgType.TEXT:
            raise _Lost
        envelope = _ENVELOPE.decode(frame.data)
        if envelope.op == "error":
            raise envelope.error()
        data: str = frame.data
        return data.encode()

    def _answer(self, data: str) -> None:
        envelope = _ENVELOPE.decode(data)
        answer = self._waiting.get(envelope.id) if isinstance(envelope.id, int) else None
        if answer is None or answer.done():
            return
        if envelope.op == "error":
            answer.set_exception(envelope.error())
        else:
            answer.set_result(data.encode())


async def _send(socket: aiohttp.ClientWebSocketResponse, operation: dict[str, Any]) -> None:
    await socket.send_str(msgspec.json.encode(operation).decode())

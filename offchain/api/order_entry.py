"""Orders and cancels over a socket: the core decides on one while the next are read."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog

from offchain.api.access import Identity, Scope
from offchain.api.desk import REFUSALS, Desk, seconds_of
from offchain.api.operations import only
from offchain.api.present import hex_of
from offchain.api.problems import ApiCode, ProblemError
from offchain.api.schemas import control
from offchain.domain.commands import CancelOrder, CancelOrders, PlaceArray, PlaceOrder
from offchain.domain.guards import CONNECTION_SIZE
from offchain.domain.order import Address, OrderHash
from offchain.intake import IntakeCode, IntakeError, parse_order_id

RequestId = str | int | None

Message = Mapping[str, Any]

TRADING = ("place", "placeArray", "replace", "cancel", "cancelAll", "cancelAfter", "cancelOnDisconnect")
"""Operations that change orders."""

log = structlog.get_logger(__name__)


class OrderEntry:
    """One socket's orders and cancels under way, at most so many. They go on if the socket closes."""

    def __init__(
        self,
        desk: Desk,
        require: Callable[[str], Identity],
        limit: int,
        send: Callable[[msgspec.Struct], None],
        refuse: Callable[[RequestId, Exception], None],
    ) -> None:
        """`require` tells who has signed in, if they may do what needs this scope; else it raises ProblemError."""
        self._desk = desk
        self._require = require
        self._limit = limit
        self._send = send
        self._refuse = refuse
        self._pending: set[asyncio.Task[None]] = set()
        self.watched: bytes | None = None
        """the name of this connection, if its loss cancels orders"""
        self._operations: Mapping[str, Callable[[RequestId, Message], Awaitable[msgspec.Struct]]] = {
            "place": self._begin_place,
            "placeArray": self._begin_array,
            "replace": self._begin_replace,
            "cancel": self._begin_cancel,
            "cancelAll": self._begin_cancel_all,
            "cancelAfter": self._begin_cancel_after,
            "cancelOnDisconnect": self._begin_watch,
        }

    def begin(self, request_id: RequestId, message: Message) -> None:
        """Verify what one of TRADING asks for and hand it on; the answer comes later, under the same id.

        Commands enter the core's queue in the order of their messages. Raises IntakeError for what nobody signed,
        ProblemError for what is too much.
        """
        if len(self._pending) >= self._limit:
            detail = f"{self._limit} orders and cancels of this socket wait for their answers"
            raise ProblemError(ApiCode.OVERLOADED, detail)
        answer = self._operations[message["op"]](request_id, message)
        task = asyncio.create_task(self._finish(request_id, answer))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    # -----------------------------------------------------------------------------------------------------------------
    # Signed: what begins here is decoded and verified at once
    # -----------------------------------------------------------------------------------------------------------------

    def _begin_place(self, request_id: RequestId, message: Message) -> Awaitable[msgspec.Struct]:
        only(message, "op", "id", "order")
        return self._place(request_id, self._order(message), None)

    def _begin_replace(self, request_id: RequestId, message: Message) -> Awaitable[msgspec.Struct]:
        only(message, "op", "id", "orderId", "order")
        return self._place(request_id, self._order(message), parse_order_id(_text_of(message, "orderId"), "orderId"))

    def _order(self, message: Message) -> PlaceOrder:
        command = self._desk.read_order(_object_of(message, "order", "as in POST /v1/orders"))
        self._desk.check(self._desk.charge("orders", command.order.account), "this account")
        return command

    async def _place(self, request_id: RequestId, command: PlaceOrder, replaced: OrderHash | None) -> msgspec.Struct:
        with self._desk.placing():
            if replaced is None:
                placed, _ = await self._desk.place(command)
            else:
                placed, _ = await self._desk.replace(command, replaced)
        return control.Placed(op="placed", id=request_id, order=placed)

    def _begin_array(self, request_id: RequestId, message: Message) -> Awaitable[msgspec.Struct]:
        only(message, "op", "id", "array")
        command = self._desk.read_array(_object_of(message, "array", "as in POST /v1/orders/array"))
        use = self._desk.charge("orders", command.orders[0].order.account, len(command.orders))
        self._desk.check(use, "this account")
        return self._place_array(request_id, command)

    async def _place_array(self, request_id: RequestId, command: PlaceArray) -> msgspec.Struct:
        with self._desk.placing(len(command.orders)):
            placed = await self._desk.place_array(command, "")
        return control.PlacedArray(op="placedArray", id=request_id, results=placed.results)

    def _begin_cancel(self, request_id: RequestId, message: Message) -> Awaitable[msgspec.Struct]:
        only(message, "op", "id", "orderId", "account", "signature")
        body = {name: message[name] for name in ("account", "signature") if name in message}
        command = self._desk.read_cancel(body, _text_of(message, "orderId"))
        self._desk.check(self._desk.charge("cancels", command.account), "this account")
        return self._cancel(request_id, command)

    async def _cancel(self, request_id: RequestId, command: CancelOrder) -> msgspec.Struct:
        with self._desk.canceling():
            return control.Canceled(op="canceled", id=request_id, order=await self._desk.cancel(command))

    # -----------------------------------------------------------------------------------------------------------------
    # Signed in: these only end orders
    # -----------------------------------------------------------------------------------------------------------------

    def _account(self) -> Address:
        """Who has signed in to cancel, charged for one cancel. Raises ProblemError."""
        account = self._require(Scope.CANCEL).account
        self._desk.check(self._desk.charge("cancels", account), "this account")
        return account

    def _begin_cancel_all(self, request_id: RequestId, message: Message) -> Awaitable[msgspec.Struct]:
        only(message, "op", "id", "market", "side")
        market = None if message.get("market") is None else _text_of(message, "market")
        side = None if message.get("side") is None else _text_of(message, "side")
        return self._cancel_all(request_id, self._desk.read_filter(self._account(), market, side))

    async def _cancel_all(self, request_id: RequestId, command: CancelOrders) -> msgspec.Struct:
        with self._desk.canceling():
            done = await self._desk.cancel_many(command)
        return control.CanceledMany(
            op="canceledAll", id=request_id, account=done.account, order_ids=done.order_ids, remaining=done.remaining
        )

    def _begin_cancel_after(self, request_id: RequestId, message: Message) -> Awaitable[msgspec.Struct]:
        only(message, "op", "id", "seconds")
        seconds = seconds_of(message.get("seconds"))
        return self._cancel_after(request_id, self._account(), seconds)

    async def _cancel_after(self, request_id: RequestId, account: Address, seconds: int) -> msgspec.Struct:
        with self._desk.canceling():
            done = await self._desk.set_deadline(account, seconds)
        return control.CancelAfterSet(
            op="cancelAfterSet", id=request_id, account=done.account, cancels_at=done.cancels_at
        )

    def _begin_watch(self, request_id: RequestId, message: Message) -> Awaitable[msgspec.Struct]:
        only(message, "op", "id", "enabled")
        enabled = message.get("enabled")
        if not isinstance(enabled, bool):
            raise IntakeError(IntakeCode.INVALID_TYPE, "enabled", "enabled must be true or false")
        account = self._account()
        if self.watched is None:
            # Named before the core is told, so that a socket that closes meanwhile is told of afterwards.
            self.watched = secrets.token_bytes(CONNECTION_SIZE)
        return self._watch(request_id, account, self.watched, enabled)

    async def _watch(self, request_id: RequestId, account: Address, name: bytes, enabled: bool) -> msgspec.Struct:
        with self._desk.canceling():
            await self._desk.watch(account, name, enabled)
        return control.CancelOnDisconnectSet(
            op="cancelOnDisconnectSet", id=request_id, account=hex_of(account), enabled=enabled
        )

    async def _finish(self, request_id: RequestId, answer: Awaitable[msgspec.Struct]) -> None:
        try:
            self._send(await answer)
        except REFUSALS as refusal:
            self._refuse(request_id, refusal)
        except Exception:
            log.exception("request failed", request=request_id)
            detail = "the service failed on this request and has logged why"
            self._refuse(request_id, ProblemError(ApiCode.INTERNAL_ERROR, detail))


def _object_of(message: Message, name: str, form: str) -> dict[str, Any]:
    value = message.get(name)
    if not isinstance(value, dict):
        raise IntakeError(IntakeCode.INVALID_TYPE, name, f"{name} must be an object, {form}")
    return value


def _text_of(message: Message, name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str):
        raise IntakeError(IntakeCode.INVALID_TYPE, name, f"{name} must be a string")
    return value

"""Orders and cancels over a socket: the core decides on one while the next are read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog

from offchain.api.desk import REFUSALS, Desk
from offchain.api.operations import only
from offchain.api.problems import ApiCode, ProblemError
from offchain.api.schemas import stream
from offchain.domain.commands import CancelOrder, PlaceArray, PlaceOrder
from offchain.intake import IntakeCode, IntakeError

RequestId = str | int | None

TRADING = ("place", "placeArray", "cancel")
"""Operations that change orders."""

log = structlog.get_logger(__name__)


class OrderEntry:
    """One socket's orders and cancels under way, at most so many. They go on if the socket closes."""

    def __init__(
        self,
        desk: Desk,
        limit: int,
        send: Callable[[msgspec.Struct], None],
        refuse: Callable[[RequestId, Exception], None],
    ) -> None:
        self._desk = desk
        self._limit = limit
        self._send = send
        self._refuse = refuse
        self._pending: set[asyncio.Task[None]] = set()

    def begin(self, request_id: RequestId, message: Mapping[str, Any]) -> None:
        """Verify what one of TRADING asks for and hand it on; the answer comes later, under the same id.

        Commands enter the core's queue in the order of their messages. Raises IntakeError for what nobody signed,
        ProblemError for what is too much.
        """
        if len(self._pending) >= self._limit:
            detail = f"{self._limit} orders and cancels of this socket wait for their answers"
            raise ProblemError(ApiCode.OVERLOADED, detail)
        answer: Awaitable[msgspec.Struct]
        if message["op"] == "place":
            answer = self._place(request_id, self._order(message))
        elif message["op"] == "placeArray":
            answer = self._place_array(request_id, self._array(message))
        else:
            answer = self._cancel(request_id, self._cancellation(message))
        task = asyncio.create_task(self._finish(request_id, answer))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    def _order(self, message: Mapping[str, Any]) -> PlaceOrder:
        only(message, "op", "id", "order")
        order = message.get("order")
        if not isinstance(order, dict):
            raise IntakeError(IntakeCode.INVALID_TYPE, "order", "order must be an object, as in POST /v1/orders")
        command = self._desk.read_order(order)
        self._desk.check(self._desk.charge("orders", command.order.account), "this account")
        return command

    def _array(self, message: Mapping[str, Any]) -> PlaceArray:
        only(message, "op", "id", "array")
        array = message.get("array")
        if not isinstance(array, dict):
            detail = "array must be an object, as in POST /v1/orders/array"
            raise IntakeError(IntakeCode.INVALID_TYPE, "array", detail)
        command = self._desk.read_array(array)
        use = self._desk.charge("orders", command.orders[0].order.account, len(command.orders))
        self._desk.check(use, "this account")
        return command

    def _cancellation(self, message: Mapping[str, Any]) -> CancelOrder:
        only(message, "op", "id", "orderId", "account", "signature")
        order_id = message.get("orderId")
        if not isinstance(order_id, str):
            raise IntakeError(IntakeCode.INVALID_TYPE, "orderId", "orderId must be a string: the order's id")
        body = {name: message[name] for name in ("account", "signature") if name in message}
        command = self._desk.read_cancel(body, order_id)
        self._desk.check(self._desk.charge("cancels", command.account), "this account")
        return command

    async def _place(self, request_id: RequestId, command: PlaceOrder) -> msgspec.Struct:
        with self._desk.placing():
            placed, _ = await self._desk.place(command)
        return stream.Placed(op="placed", id=request_id, order=placed)

    async def _place_array(self, request_id: RequestId, command: PlaceArray) -> msgspec.Struct:
        with self._desk.placing(len(command.orders)):
            placed = await self._desk.place_array(command, "")
        return stream.PlacedArray(op="placedArray", id=request_id, results=placed.results)

    async def _cancel(self, request_id: RequestId, command: CancelOrder) -> msgspec.Struct:
        with self._desk.canceling():
            return stream.Canceled(op="canceled", id=request_id, order=await self._desk.cancel(command))

    async def _finish(self, request_id: RequestId, answer: Awaitable[msgspec.Struct]) -> None:
        try:
            self._send(await answer)
        except REFUSALS as refusal:
            self._refuse(request_id, refusal)
        except Exception:
            log.exception("request failed", request=request_id)
            detail = "the service failed on this request and has logged why"
            self._refuse(request_id, ProblemError(ApiCode.INTERNAL_ERROR, detail))

"""Several orders in one request."""

from __future__ import annotations

import asyncio

import msgspec
import structlog
from aiohttp import web

from offchain.api.desk import REFUSALS, Desk
from offchain.api.handlers.common import answer, charge_account, read_body
from offchain.api.idempotency import key_of, once
from offchain.api.keys import DESK, REQUEST_ID, STATE
from offchain.api.patience import unhurried
from offchain.api.problems import ProblemError
from offchain.api.schemas import http
from offchain.domain.commands import PlaceArray, PlaceOrder
from offchain.intake import IntakeCode, IntakeError

log = structlog.get_logger(__name__)


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    orders: list[msgspec.Raw]


_BATCH = msgspec.json.Decoder(_Batch)

Read = PlaceOrder | IntakeError


async def place_orders(request: web.Request) -> web.Response:
    """POST /v1/orders/batch

    Each order is decided on by itself, in the order given and without another of this service between them where the
    queue has room; what is refused does not keep the others from being placed.
    """
    desk, settings = request.app[DESK], request.app[STATE].settings
    key_of(request)  # refused also where no order of the batch names an account that it could belong to
    raw = await read_body(request, settings.max_batch_bytes)
    bodies = _bodies(raw, settings.max_batch, settings.max_body_bytes)
    with desk.placing(len(bodies)):
        reads = [_read(desk, body) async for body in unhurried(bodies)]
        commands = [read for read in reads if isinstance(read, PlaceOrder)]
        accounts = {command.order.account for command in commands}
        if len(accounts) > 1:
            detail = "all orders of a batch must be of one account, whose budget they are charged to"
            raise ProblemError(IntakeCode.INVALID_VALUE, detail, "orders")
        if not commands:
            return answer(await _decide(request, desk, reads))
        (account,) = accounts
        log.debug("accepted", request_id=request[REQUEST_ID], orders=len(commands), account="0x" + account.hex())
        charge_account(request, "orders", account, len(commands))
        return await once(request, account, raw, lambda _: _answer(request, desk, reads))


async def place_array(request: web.Request) -> web.Response:
    """POST /v1/orders/array

    As a batch, but under one signature: one that cannot be read refuses all, and the core decides on all at once.
    """
    desk, settings = request.app[DESK], request.app[STATE].settings
    raw = await read_body(request, settings.max_batch_bytes)
    command = desk.read_array(raw)
    account, count = command.orders[0].order.account, len(command.orders)
    with desk.placing(count):
        log.debug("accepted", request_id=request[REQUEST_ID], orders=count, account="0x" + account.hex())
        charge_account(request, "orders", account, count)
        return await once(request, account, raw, lambda _: _answer_array(request, desk, command))


async def _answer_array(request: web.Request, desk: Desk, command: PlaceArray) -> web.Response:
    return answer(await desk.place_array(command, request[REQUEST_ID]))


def _bodies(raw: bytes, most: int, largest: int) -> list[bytes]:
    """The orders' own bytes. ProblemError for what is no batch."""
    try:
        bodies = [bytes(body) for body in _BATCH.decode(raw).orders]
    except msgspec.DecodeError as error:
        detail = f'a batch is {{"orders": […]}}: {error}'
        raise ProblemError(IntakeCode.MALFORMED_JSON, detail) from None
    if not 1 <= len(bodies) <= most:
        raise ProblemError(IntakeCode.INVALID_VALUE, f"a batch has 1 to {most} orders, not {len(bodies)}", "orders")
    if any(len(body) > largest for body in bodies):
        raise ProblemError(IntakeCode.INVALID_VALUE, f"an order has at most {largest} bytes", "orders")
    return bodies


def _read(desk: Desk, body: bytes) -> Read:
    try:
        return desk.read_order(body)
    except IntakeError as refusal:
        return refusal


async def _answer(request: web.Request, desk: Desk, reads: list[Read]) -> web.Response:
    return answer(await _decide(request, desk, reads))


async def _decide(request: web.Request, desk: Desk, reads: list[Read]) -> http.BatchResult:
    """Tasks start in the order in which they were made, and enter the core's queue before they first wait."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_decide_one(request, desk, read)) for read in reads]
    return http.BatchResult(results=[task.result() for task in tasks])


async def _decide_one(request: web.Request, desk: Desk, read: Read) -> http.BatchEntry:
    try:
        if isinstance(read, IntakeError):
            raise read
        placed, _ = await desk.place(read)
    except REFUSALS as refusal:
        return desk.refused(refusal, request[REQUEST_ID])
    return http.BatchEntry(order=placed, problem=None)

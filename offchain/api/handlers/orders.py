"""Placing, canceling and looking up orders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import structlog
from aiohttp import web

from offchain.api.handlers.common import (
    account_of,
    answer,
    charge_account,
    choices_of,
    client_order_id_of,
    cursor,
    limit_of,
    market_of,
    parameters,
    position_of,
    read_body,
    read_own_writes,
)
from offchain.api.idempotency import once
from offchain.api.keys import BREAKER, CATALOGUE, INTAKE, LIFE, METRICS, PRESENT, REQUEST_ID, STATE
from offchain.api.present import hex_of
from offchain.api.problems import ApiCode, ProblemError
from offchain.api.schemas import http
from offchain.domain.commands import CancelOrder, Command, PlaceOrder
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import CancelResult, PlaceResult, Result
from offchain.domain.order import OrderStatus
from offchain.intake import parse_order_id
from offchain.ports import OrderQuery, Unavailable

log = structlog.get_logger(__name__)

STATUSES = tuple(status.value for status in OrderStatus)


@contextmanager
def _placing(request: web.Request) -> Iterator[None]:
    """A bounded number of orders at a time, and none while the service starts, stops, or waits for the core in vain."""
    state, life = request.app[STATE], request.app[LIFE]
    if not state.is_open():
        raise ProblemError(ApiCode.STARTING, "the service is catching up with the chain; send it again in a moment")
    if life.draining:
        raise ProblemError(ApiCode.SHUTTING_DOWN, "the service is shutting down; send it again later")
    _refuse_while_open(request, request.app[BREAKER].wait())
    if life.orders >= state.settings.max_inflight:
        raise ProblemError(ApiCode.OVERLOADED, f"{life.orders} orders are under way; send it again later")
    life.orders += 1
    try:
        yield
    finally:
        life.orders -= 1


@contextmanager
def _canceling(request: web.Request) -> Iterator[None]:
    """As many cancels at a time as orders, counted apart: whatever happens to orders, one can get out."""
    life, limit = request.app[LIFE], request.app[STATE].settings.max_inflight
    if life.cancels >= limit:
        raise ProblemError(ApiCode.OVERLOADED, f"{limit} cancels are under way; send it again later")
    life.cancels += 1
    try:
        yield
    finally:
        life.cancels -= 1


def _refuse_while_open(request: web.Request, wait: int) -> None:
    if wait:
        failures = request.app[BREAKER].failures
        detail = f"the core has not answered {failures} times in a row; nothing was taken, send it again in {wait} s"
        raise ProblemError(ApiCode.CIRCUIT_OPEN, detail, retry_after=wait)


async def _submit(request: web.Request, command: Command) -> Result:
    """Let the core execute `command`, and the breaker know whether it answers. Raises Overloaded, Unavailable."""
    state, breaker = request.app[STATE], request.app[BREAKER]
    try:
        result = await state.ingress.submit(command, state.settings.submit_timeout_ms)
    except Unavailable:
        breaker.failed()
        raise
    breaker.succeeded()
    return result


async def place_order(request: web.Request) -> web.Response:
    """POST /v1/orders"""
    with _placing(request):
        raw = await read_body(request)
        started = perf_counter()
        command = request.app[INTAKE].place(raw, request.app[STATE].clock.now_ms())
        request.app[METRICS].order_intake.observe(perf_counter() - started)
        account, order_id = command.order.account, hex_of(command.order_hash)
        log.debug("accepted", request_id=request[REQUEST_ID], order=order_id, account=hex_of(account))
        charge_account(request, "orders", account)
        return await once(request, account, raw, lambda _: _place(request, command))


async def _place(request: web.Request, command: PlaceOrder) -> web.Response:
    """Let the core decide. The order's hash says that it is the same one, so that it needs no other key."""
    _refuse_while_open(request, request.app[BREAKER].enter())
    result = await _submit(request, command)
    if isinstance(result, Rejection):
        raise ProblemError(result.code, result.detail, result.param)
    if not isinstance(result, PlaceResult):
        raise TypeError(f"an order was answered with {type(result).__name__}")
    if result.rejection is not None:
        rejection = result.rejection
        order_id = hex_of(command.order_hash)
        raise ProblemError(rejection.code, rejection.detail, rejection.param, order_id=order_id)
    market = request.app[CATALOGUE].market(command.order.market)
    placed = request.app[PRESENT].placed(market, result, command.client_order_id)
    return answer(placed, 200 if result.repeated else 201)


async def cancel_order(request: web.Request) -> web.Response:
    """DELETE /v1/orders/{id}"""
    with _canceling(request):
        raw = await read_body(request)
        started = perf_counter()
        now_ms = request.app[STATE].clock.now_ms()
        command = request.app[INTAKE].cancel(raw, request.match_info["id"], now_ms)
        request.app[METRICS].cancel_intake.observe(perf_counter() - started)
        account, order_id = command.account, hex_of(command.order_hash)
        log.debug("accepted", request_id=request[REQUEST_ID], cancels=order_id, account=hex_of(account))
        charge_account(request, "cancels", account)
        return await once(request, account, raw, lambda _: _cancel(request, command))


async def _cancel(request: web.Request, command: CancelOrder) -> web.Response:
    result = await _submit(request, command)
    if isinstance(result, Rejection):
        raise ProblemError(result.code, result.detail, result.param, order_id=hex_of(command.order_hash))
    if not isinstance(result, CancelResult):
        raise TypeError(f"a cancel was answered with {type(result).__name__}")
    market = request.app[CATALOGUE].market(result.market)
    return answer(request.app[PRESENT].canceled(market, result))


async def get_order(request: web.Request) -> web.Response:
    """GET /v1/orders/{id}"""
    parameters(request)
    order_hash = parse_order_id(request.match_info["id"])
    await read_own_writes(request)
    row = await request.app[STATE].views.order(order_hash)
    if row is None:
        raise ProblemError(Code.UNKNOWN_ORDER, f"no order has the id {hex_of(order_hash)}", "id")
    return answer(request.app[PRESENT].order(row))


async def list_orders(request: web.Request) -> web.Response:
    """GET /v1/orders"""
    query = parameters(request, "account", "market", "status", "clientOrderId", "cursor", "limit")
    account = account_of(query)
    market = market_of(request, query["market"], "market").id if "market" in query else None
    wanted = OrderQuery(market, choices_of(query, "status", STATUSES), client_order_id_of(query))
    before, limit = position_of(query, "orders"), limit_of(request, query)
    await read_own_writes(request)
    page = await request.app[STATE].views.orders(account, wanted, before, limit)
    orders = [request.app[PRESENT].order(row) for row in page.rows]
    return answer(http.OrderPage(orders=orders, next=cursor("orders", page.next)))

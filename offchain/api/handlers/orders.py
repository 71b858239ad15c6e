"""Placing, canceling and looking up orders."""

from __future__ import annotations

import structlog
from aiohttp import web

from offchain.api.access import Scope, account_of, require
from offchain.api.desk import Desk, seconds_of
from offchain.api.handlers.common import (
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
from offchain.api.keys import DESK, PRESENT, REQUEST_ID, STATE
from offchain.api.patience import unhurried
from offchain.api.present import hex_of
from offchain.api.problems import ProblemError
from offchain.api.schemas import http
from offchain.domain.commands import CancelOrder, CancelOrders, PlaceOrder
from offchain.domain.errors import Code
from offchain.domain.order import OrderHash, OrderStatus
from offchain.intake import decode_body, parse_order_id
from offchain.ports import OrderQuery

log = structlog.get_logger(__name__)

STATUSES = tuple(status.value for status in OrderStatus)


async def place_order(request: web.Request) -> web.Response:
    """POST /v1/orders"""
    desk = request.app[DESK]
    with desk.placing():
        raw = await read_body(request)
        command = desk.read_order(raw)
        account, order_id = command.order.account, hex_of(command.order_hash)
        log.debug("accepted", request_id=request[REQUEST_ID], order=order_id, account=hex_of(account))
        charge_account(request, "orders", account)
        # The order's hash says that it is the same one, so that it needs no other key.
        return await once(request, account, raw, lambda _: _place(desk, command))


async def _place(desk: Desk, command: PlaceOrder) -> web.Response:
    placed, is_repeated = await desk.place(command)
    return answer(placed, 200 if is_repeated else 201)


async def replace_order(request: web.Request) -> web.Response:
    """PUT /v1/orders/{id}"""
    desk = request.app[DESK]
    replaced = parse_order_id(request.match_info["id"])
    with desk.placing():
        raw = await read_body(request)
        command = desk.read_order(raw)
        account, order_id = command.order.account, hex_of(command.order_hash)
        facts = {"order": order_id, "replaces": hex_of(replaced), "account": hex_of(account)}
        log.debug("accepted", request_id=request[REQUEST_ID], **facts)
        charge_account(request, "orders", account)
        return await once(request, account, raw, lambda _: _replace(desk, command, replaced))


async def _replace(desk: Desk, command: PlaceOrder, replaced: OrderHash) -> web.Response:
    placed, is_repeated = await desk.replace(command, replaced)
    return answer(placed, 200 if is_repeated else 201)


async def cancel_orders(request: web.Request) -> web.Response:
    """DELETE /v1/orders"""
    query = parameters(request, "market", "side")
    desk = request.app[DESK]
    account = require(request, Scope.CANCEL).account
    command = desk.read_filter(account, query.get("market"), query.get("side"))
    with desk.canceling():
        charge_account(request, "cancels", account)
        # What is canceled depends on the query, so that it is part of what the key belongs to.
        raw = request.query_string.encode()
        return await once(request, account, raw, lambda _: _cancel_orders(desk, command), is_required=True)


async def _cancel_orders(desk: Desk, command: CancelOrders) -> web.Response:
    return answer(await desk.cancel_many(command))


async def cancel_after(request: web.Request) -> web.Response:
    """PUT /v1/cancel-after"""
    account = require(request, Scope.CANCEL).account
    desk = request.app[DESK]
    with desk.canceling():
        body = decode_body(await read_body(request), http.CancelAfterBody)
        charge_account(request, "cancels", account)
        return answer(await desk.set_deadline(account, seconds_of(body.seconds)))


async def cancel_order(request: web.Request) -> web.Response:
    """DELETE /v1/orders/{id}"""
    desk = request.app[DESK]
    with desk.canceling():
        raw = await read_body(request)
        command = desk.read_cancel(raw, request.match_info["id"])
        account, order_id = command.account, hex_of(command.order_hash)
        log.debug("accepted", request_id=request[REQUEST_ID], cancels=order_id, account=hex_of(account))
        charge_account(request, "cancels", account)
        return await once(request, account, raw, lambda _: _cancel(desk, command))


async def _cancel(desk: Desk, command: CancelOrder) -> web.Response:
    return answer(await desk.cancel(command))


async def get_order(request: web.Request) -> web.Response:
    """GET /v1/orders/{id}"""
    parameters(request)
    account = require(request, Scope.READ).account
    order_hash = parse_order_id(request.match_info["id"])
    await read_own_writes(request)
    row = await request.app[STATE].views.order(order_hash)
    # Another account's order is answered like none, so that nobody learns whether it exists.
    if row is None or row.order.account != account:
        raise ProblemError(Code.UNKNOWN_ORDER, f"no order has the id {hex_of(order_hash)}", "id")
    return answer(request.app[PRESENT].order(row))


async def list_orders(request: web.Request) -> web.Response:
    """GET /v1/orders"""
    query = parameters(request, "account", "market", "status", "clientOrderId", "cursor", "limit")
    account = account_of(request, query)
    market = market_of(request, query["market"], "market").id if "market" in query else None
    wanted = OrderQuery(market, choices_of(query, "status", STATUSES), client_order_id_of(query))
    before, limit = position_of(query, "orders"), limit_of(request, query)
    await read_own_writes(request)
    page = await request.app[STATE].views.orders(account, wanted, before, limit)
    orders = [request.app[PRESENT].order(row) async for row in unhurried(page.rows)]
    return answer(http.OrderPage(orders=orders, next=cursor("orders", page.next)))

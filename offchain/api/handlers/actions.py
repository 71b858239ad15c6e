"""Transactions on chain that the service sends for traders, and how they go on."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from aiohttp import web

from offchain.actionintake import parse_action_id
from offchain.api.access import account_of
from offchain.api.actions import info_of
from offchain.api.handlers.common import (
    answer,
    charge_account,
    charge_all,
    cursor,
    limit_of,
    parameters,
    position_of,
    read_body,
    read_own_writes,
)
from offchain.api.idempotency import once
from offchain.api.keys import ACTION_DESK, DESK, PRESENT, REQUEST_ID, STATE
from offchain.api.limits import ALL_ACTIONS
from offchain.api.present import hex_of
from offchain.api.problems import ProblemError
from offchain.api.schemas import actions
from offchain.domain.actions import kind_of
from offchain.domain.commands import RequestAction
from offchain.domain.errors import Code
from offchain.intake import parse_order_id

log = structlog.get_logger(__name__)


async def withdraw(request: web.Request) -> web.Response:
    """POST /v1/vault/withdraw"""
    intake = request.app[ACTION_DESK].intake
    with request.app[DESK].placing():
        raw = await read_body(request)
        return await _ask(request, raw, lambda now_ms: intake.withdrawal(raw, now_ms))


async def set_delegate(request: web.Request) -> web.Response:
    """POST /v1/account/delegates"""
    intake = request.app[ACTION_DESK].intake
    with request.app[DESK].placing():
        raw = await read_body(request)
        return await _ask(request, raw, lambda now_ms: intake.delegate(raw, now_ms))


async def cancel_on_chain(request: web.Request) -> web.Response:
    """POST /v1/orders/{id}/cancel-on-chain"""
    intake = request.app[ACTION_DESK].intake
    with request.app[DESK].canceling():
        raw = await read_body(request)
        order_hash = parse_order_id(request.match_info["id"])
        await read_own_writes(request)
        row = await request.app[STATE].views.order(order_hash)
        if row is None:
            raise ProblemError(Code.UNKNOWN_ORDER, f"no order has the id {hex_of(order_hash)}", "id")
        return await _ask(request, raw, lambda now_ms: intake.cancel_on_chain(raw, row.order, now_ms))


async def cancel_all_on_chain(request: web.Request) -> web.Response:
    """POST /v1/account/cancel-all-on-chain"""
    intake = request.app[ACTION_DESK].intake
    with request.app[DESK].canceling():
        raw = await read_body(request)
        return await _ask(request, raw, lambda now_ms: intake.cancel_all(raw, now_ms))


async def _ask(request: web.Request, raw: bytes, decode: Callable[[int], RequestAction]) -> web.Response:
    """Verify what was signed, charge its account, and let the core take it."""
    command = request.app[ACTION_DESK].read(decode)
    kind, account = kind_of(command.action), command.account
    log.debug("accepted", request_id=request[REQUEST_ID], action=hex_of(command.id), kind=kind, account=hex_of(account))
    charge_account(request, "actions", account)
    if not await request.app[STATE].live.read(lambda core: core.has_funds(account)):
        # Before what all accounts share: strangers must not use it up.
        detail = f"{hex_of(account)} has neither a balance nor a position here"
        raise ProblemError(Code.ACCOUNT_NOT_FUNDED, detail, "account")
    charge_all(request, ALL_ACTIONS)
    return await once(request, account, raw, lambda _: _request(request, command))


async def _request(request: web.Request, command: RequestAction) -> web.Response:
    state = await request.app[ACTION_DESK].request(command)
    return answer(state, 200 if state.status == "settled" else 202)


async def get_action(request: web.Request) -> web.Response:
    """GET /v1/actions/{id}"""
    account = account_of(request, parameters(request))
    action_id = parse_action_id(request.match_info["id"])
    await read_own_writes(request)
    row = await request.app[STATE].views.action(action_id)
    # Another account's action is answered like none, so that nobody learns whether it exists.
    if row is None or row.account != account:
        raise ProblemError(Code.UNKNOWN_ACTION, f"no action has the id {hex_of(action_id)}", "id")
    return answer(info_of(request.app[PRESENT], row))


async def list_actions(request: web.Request) -> web.Response:
    """GET /v1/actions"""
    query = parameters(request, "account", "cursor", "limit")
    account = account_of(request, query)
    before, limit = position_of(query, "actions"), limit_of(request, query)
    await read_own_writes(request)
    page = await request.app[STATE].views.actions(account, before, limit)
    rows = [info_of(request.app[PRESENT], row) for row in page.rows]
    return answer(actions.ActionPage(actions=rows, next=cursor("actions", page.next)))

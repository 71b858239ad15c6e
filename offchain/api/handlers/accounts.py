"""An account: epoch and delegates, balances, fills, deposits and withdrawals."""

from __future__ import annotations

from aiohttp import web

from offchain.api.access import account_of
from offchain.api.handlers.common import answer, cursor, limit_of, parameters, position_of, read_own_writes
from offchain.api.keys import PRESENT, STATE
from offchain.api.patience import unhurried
from offchain.api.present import hex_of
from offchain.api.schemas import http, positions


async def get_account(request: web.Request) -> web.Response:
    """GET /v1/account: from the core itself"""
    account = account_of(request, parameters(request, "account"))
    state, delegates, deadline_ms, nonces = await request.app[STATE].live.read(
        lambda core: (
            core.account_update(account),
            core.delegates(account),
            core.deadline_ms(account),
            core.action_nonces(account),
        )
    )
    return answer(request.app[PRESENT].account(state, delegates, deadline_ms, nonces))


async def list_balances(request: web.Request) -> web.Response:
    """GET /v1/balances: the core's own figures"""
    account = account_of(request, parameters(request, "account"))
    balances = await request.app[STATE].live.read(lambda core: core.balances(account))
    present = request.app[PRESENT]
    return answer(http.Balances(account=hex_of(account), balances=[present.balance(balance) for balance in balances]))


async def list_positions(request: web.Request) -> web.Response:
    """GET /v1/positions: the core's own figures"""
    account = account_of(request, parameters(request, "account"))
    now_ms = request.app[STATE].clock.now_ms()
    views = await request.app[STATE].live.read(lambda core: core.positions(account, now_ms))
    present = request.app[PRESENT]
    return answer(positions.Positions(account=hex_of(account), positions=[present.position(view) for view in views]))


async def list_fills(request: web.Request) -> web.Response:
    """GET /v1/fills"""
    query = parameters(request, "account", "cursor", "limit")
    account = account_of(request, query)
    before, limit = position_of(query, "fills"), limit_of(request, query)
    await read_own_writes(request)
    page = await request.app[STATE].views.account_trades(account, before, limit)
    fills = [request.app[PRESENT].fill(account, row) async for row in unhurried(page.rows)]
    return answer(http.FillPage(fills=fills, next=cursor("fills", page.next)))


async def list_deposits(request: web.Request) -> web.Response:
    """GET /v1/deposits"""
    query = parameters(request, "account", "limit")
    account, limit = account_of(request, query), limit_of(request, query)
    await read_own_writes(request)
    rows = await request.app[STATE].views.deposits(account, limit)
    deposits = [request.app[PRESENT].deposit(row) for row in rows]
    return answer(http.Deposits(account=hex_of(account), deposits=deposits))


async def list_withdrawals(request: web.Request) -> web.Response:
    """GET /v1/withdrawals"""
    query = parameters(request, "account", "limit")
    account, limit = account_of(request, query), limit_of(request, query)
    await read_own_writes(request)
    rows = await request.app[STATE].views.withdrawals(account, limit)
    withdrawals = [request.app[PRESENT].withdrawal(row) for row in rows]
    return answer(http.Withdrawals(account=hex_of(account), withdrawals=withdrawals))

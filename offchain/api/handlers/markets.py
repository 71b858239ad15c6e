"""Markets, books and trades."""

from __future__ import annotations

from aiohttp import web

from offchain.api.handlers.common import (
    answer,
    count_of,
    cursor,
    limit_of,
    market_of,
    parameters,
    position_of,
    read_own_writes,
)
from offchain.api.keys import CATALOGUE, HUB, PRESENT, STATE
from offchain.api.patience import unhurried
from offchain.api.problems import ProblemError
from offchain.api.schemas import http
from offchain.domain.errors import Code

DEFAULT_DEPTH = 100


async def list_markets(request: web.Request) -> web.Response:
    """GET /v1/markets"""
    parameters(request)
    domain = request.app[CATALOGUE].domain
    if domain is None:
        raise ProblemError(Code.NOT_CONFIGURED, "the exchange is starting; it has no markets yet")
    configuration = await request.app[STATE].live.read(lambda core: core.configuration)
    return answer(request.app[PRESENT].markets(domain, configuration))


async def get_fees(request: web.Request) -> web.Response:
    """GET /v1/fees"""
    parameters(request)
    if request.app[CATALOGUE].domain is None:
        raise ProblemError(Code.NOT_CONFIGURED, "the exchange is starting; it has no fee yet")
    return answer(request.app[PRESENT].fees())


async def get_orderbook(request: web.Request) -> web.Response:
    """GET /v1/orderbook/{symbol}"""
    query = parameters(request, "depth")
    market = market_of(request, request.match_info["symbol"], "symbol")
    settings, hub = request.app[STATE].settings, request.app[HUB]
    depth = count_of(query, "depth", min(DEFAULT_DEPTH, settings.depth_levels), settings.deepest_book)
    is_published = depth <= settings.depth_levels
    return answer(hub.view(market.id).book(depth) if is_published else await hub.deep_book(market.id, depth))


async def list_trades(request: web.Request) -> web.Response:
    """GET /v1/trades/{symbol}"""
    query = parameters(request, "cursor", "limit")
    market = market_of(request, request.match_info["symbol"], "symbol")
    before, limit = position_of(query, "trades"), limit_of(request, query)
    await read_own_writes(request)
    page = await request.app[STATE].views.trades(market.id, before, limit)
    trades = [request.app[PRESENT].trade_row(row) async for row in unhurried(page.rows)]
    return answer(http.TradePage(trades=trades, next=cursor("trades", page.next)))


async def list_prices(request: web.Request) -> web.Response:
    """GET /v1/prices: the core's own"""
    parameters(request)
    state, present = request.app[STATE], request.app[PRESENT]
    known = await state.live.read(
        lambda core: [
            (market, core.prices[market.oracle]) for market in core.markets.values() if market.oracle in core.prices
        ]
    )
    now_ms = state.clock.now_ms()
    return answer(http.Prices(prices=[present.oracle_price(market, price, now_ms) for market, price in known]))


async def get_time(request: web.Request) -> web.Response:
    """GET /v1/time"""
    parameters(request)
    return answer(http.ServerTime(time=request.app[STATE].clock.now_ms()))

"""Candles, tickers and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from aiohttp import web

from offchain.api import figures as present
from offchain.api.handlers.common import answer, count_of, market_of, parameters, read_own_writes
from offchain.api.keys import CATALOGUE, HUB, PRESENT, STATE
from offchain.api.problems import ApiCode, ProblemError
from offchain.api.schemas import figures
from offchain.domain.market import Market
from offchain.ports import MarketFigures

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS

INTERVALS = MappingProxyType(
    {
        "1m": MINUTE_MS,
        "5m": 5 * MINUTE_MS,
        "15m": 15 * MINUTE_MS,
        "30m": 30 * MINUTE_MS,
        "1h": 60 * MINUTE_MS,
        "4h": 240 * MINUTE_MS,
        "12h": 720 * MINUTE_MS,
        "1d": DAY_MS,
    }
)
DEFAULT_CANDLES, MAX_CANDLES = 100, 1_000
LATEST_MS = 2**53


async def list_candles(request: web.Request) -> web.Response:
    """GET /v1/candles/{symbol}"""
    query = parameters(request, "interval", "since", "limit")
    market = market_of(request, request.match_info["symbol"], "symbol")
    interval = query.get("interval", "1m")
    if interval not in INTERVALS:
        detail = f"interval must be one of {', '.join(INTERVALS)}"
        raise ProblemError(ApiCode.INVALID_PARAMETER, detail, "interval")
    since = _since(query.get("since"))
    limit = count_of(query, "limit", DEFAULT_CANDLES, MAX_CANDLES)
    await read_own_writes(request)
    rows = await request.app[STATE].views.candles(market.id, INTERVALS[interval], since, limit)
    candles = [present.candle(request.app[PRESENT], market, row) for row in rows]
    return answer(figures.Candles(market=market.symbol, interval=interval, candles=candles))


def _since(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 16) or int(text) >= LATEST_MS:
        raise ProblemError(ApiCode.INVALID_PARAMETER, "since must be a time in Unix milliseconds", "since")
    return int(text)


async def list_tickers(request: web.Request) -> web.Response:
    """GET /v1/tickers"""
    parameters(request)
    markets = [listing.market for listing in request.app[CATALOGUE].markets]
    return answer(figures.Tickers(tickers=await _tickers(request, markets)))


async def get_ticker(request: web.Request) -> web.Response:
    """GET /v1/tickers/{symbol}"""
    parameters(request)
    market = market_of(request, request.match_info["symbol"], "symbol")
    (ticker,) = await _tickers(request, [market])
    return answer(ticker)


async def get_statistics(request: web.Request) -> web.Response:
    """GET /v1/statistics"""
    parameters(request)
    markets = [listing.market for listing in request.app[CATALOGUE].markets]
    found = await _figures(request, markets)
    described = [
        present.statistics(request.app[PRESENT], market, each) for market, each in zip(markets, found, strict=True)
    ]
    return answer(figures.Statistics(time=request.app[STATE].clock.now_ms(), markets=described))


async def _tickers(request: web.Request, markets: Sequence[Market]) -> list[figures.Ticker]:
    found = await _figures(request, markets)
    now_ms = request.app[STATE].clock.now_ms()
    return [
        present.ticker(request.app[PRESENT], market, each, request.app[HUB].view(market.id).book(1), now_ms)
        for market, each in zip(markets, found, strict=True)
    ]


async def _figures(request: web.Request, markets: Sequence[Market]) -> list[MarketFigures]:
    """Of the last 24 hours; the minute that is not over counts as the last one."""
    await read_own_writes(request)
    state = request.app[STATE]
    since = state.clock.now_ms() - DAY_MS + MINUTE_MS
    return await state.views.figures([market.id for market in markets], since)

"""Candles, tickers and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from aiohttp import web

from offchain.api import figures as present
from offchain.api.handlers.common import answer, count_of, market_of, parameters, read_own_writes, time_of
from offchain.api.keys import CATALOGUE, HUB, PRESENT, RATES, STATE
from offchain.api.patience import unhurried
from offchain.api.problems import ApiCode, ProblemError
from offchain.api.schemas import figures
from offchain.domain.mark import Quote
from offchain.domain.market import Kind, Market

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
PRICES = ("last", "mark", "index")


async def list_candles(request: web.Request) -> web.Response:
    """GET /v1/candles/{symbol}"""
    query = parameters(request, "price", "interval", "since", "limit")
    market = market_of(request, request.match_info["symbol"], "symbol")
    price, interval = query.get("price", "last"), query.get("interval", "1m")
    _check_price(market, price)
    if interval not in INTERVALS:
        detail = f"interval must be one of {', '.join(INTERVALS)}"
        raise ProblemError(ApiCode.INVALID_PARAMETER, detail, "interval")
    since = time_of(query, "since")
    limit = count_of(query, "limit", DEFAULT_CANDLES, MAX_CANDLES)
    await read_own_writes(request)
    rows = await request.app[STATE].views.candles(market.id, INTERVALS[interval], since, limit, price)
    candles = [present.candle(request.app[PRESENT], market, row) async for row in unhurried(rows)]
    return answer(figures.Candles(market=market.symbol, price_type=price, interval=interval, candles=candles))


def _check_price(market: Market, price: str) -> None:
    """Raises ProblemError for a price that there is not, or that the market does not have."""
    if price not in PRICES:
        raise ProblemError(ApiCode.INVALID_PARAMETER, f"price must be one of {', '.join(PRICES)}", "price")
    if price == "mark" and market.kind == Kind.SPOT:
        detail = f"{market.symbol} is a spot market; marks of derivatives are sampled"
        raise ProblemError(ApiCode.INVALID_PARAMETER, detail, "price")
    if price == "index" and market.kind not in (Kind.PERP, Kind.FUTURE):
        detail = f"{market.symbol} is no perpetual or future, whose indices are sampled"
        raise ProblemError(ApiCode.INVALID_PARAMETER, detail, "price")


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
    found = await _facts(request, markets)
    described = [
        present.statistics(request.app[PRESENT], market, each) for market, each in zip(markets, found, strict=True)
    ]
    return answer(figures.Statistics(time=request.app[STATE].clock.now_ms(), markets=described))


async def _tickers(request: web.Request, markets: Sequence[Market]) -> list[figures.Ticker]:
    found = await _facts(request, markets)
    now_ms = request.app[STATE].clock.now_ms()
    return [
        present.ticker(request.app[PRESENT], market, each, request.app[HUB].view(market.id).book(1), now_ms)
        for market, each in zip(markets, found, strict=True)
    ]


async def _facts(request: web.Request, markets: Sequence[Market]) -> list[present.Facts]:
    """Of the last 24 hours, of which the minute that is not over counts as the last one, and of now."""
    await read_own_writes(request)
    state, rates = request.app[STATE], request.app[RATES]
    since = state.clock.now_ms() - DAY_MS + MINUTE_MS
    traded = await state.views.figures([market.id for market in markets], since)
    quotes = await quotes_of(request, markets)
    now_ms = state.clock.now_ms()
    predictions = [await rates.recent(market, now_ms) if market.kind == Kind.PERP else None for market in markets]
    return [present.Facts(*each) for each in zip(traded, quotes, predictions, strict=True)]


async def quotes_of(request: web.Request, markets: Sequence[Market]) -> list[Quote]:
    """What the markets are worth now, from the core itself. Raises Unavailable."""
    state = request.app[STATE]
    return await state.live.read(lambda core: [core.quote(market.id, state.clock.now_ms()) for market in markets])

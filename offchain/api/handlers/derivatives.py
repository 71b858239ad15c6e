"""Funding, open interest and the option chain."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from offchain.api import derivatives as present
from offchain.api import optionchain
from offchain.api.handlers.common import answer, count_of, market_of, parameters, read_own_writes, time_of
from offchain.api.handlers.figures import DAY_MS, MINUTE_MS, quotes_of
from offchain.api.keys import CATALOGUE, HUB, PRESENT, RATES, STATE
from offchain.api.problems import ApiCode, ProblemError
from offchain.api.rates import HOUR_MS
from offchain.api.schemas import derivatives
from offchain.catalogue import Listing
from offchain.domain.errors import Code
from offchain.domain.market import Kind, Market
from offchain.intake import shown

DEFAULT_ACCRUALS, MAX_ACCRUALS = 100, 1_000
MAX_OPTIONS = 1_000
"""In one chain: the nearest expiries, each whole."""


async def get_funding(request: web.Request) -> web.Response:
    """GET /v1/funding/{symbol}"""
    query = parameters(request, "since", "limit")
    market = market_of(request, request.match_info["symbol"], "symbol")
    if market.kind != Kind.PERP:
        detail = f"{market.symbol} has no funding; perpetuals have"
        raise ProblemError(ApiCode.INVALID_PARAMETER, detail, "symbol")
    since, limit = time_of(query, "since"), count_of(query, "limit", DEFAULT_ACCRUALS, MAX_ACCRUALS)
    await read_own_writes(request)
    state = request.app[STATE]
    since_hour = None if since is None else -(-since // HOUR_MS)
    history = await state.views.funding(market.id, since_hour, limit)
    quotes = await quotes_of(request, [market])
    now_ms = state.clock.now_ms()
    prediction = await request.app[RATES].predict(market, now_ms)
    return answer(present.funding(request.app[PRESENT], market, quotes[0], prediction, history, now_ms))


async def get_open_interest(request: web.Request) -> web.Response:
    """GET /v1/open-interest"""
    query = parameters(request, "market")
    markets = [listing.market for listing in request.app[CATALOGUE].markets if listing.market.kind != Kind.SPOT]
    if "market" in query:
        markets = [_derivative(request, query["market"])]
    quotes = await quotes_of(request, markets)
    rows = [
        present.interest(request.app[PRESENT], market, quote) for market, quote in zip(markets, quotes, strict=True)
    ]
    return answer(derivatives.OpenInterest(time=request.app[STATE].clock.now_ms(), markets=rows))


def _derivative(request: web.Request, symbol: str) -> Market:
    market = market_of(request, symbol, "market")
    if market.kind == Kind.SPOT:
        detail = f"{market.symbol} is a spot market; derivatives have open interest"
        raise ProblemError(ApiCode.INVALID_PARAMETER, detail, "market")
    return market


async def get_options(request: web.Request) -> web.Response:
    """GET /v1/options"""
    query = parameters(request, "underlying", "expiry")
    state, now_ms = request.app[STATE], request.app[STATE].clock.now_ms()
    underlying, expiry = query.get("underlying"), time_of(query, "expiry")
    if underlying is None:
        raise ProblemError(ApiCode.INVALID_PARAMETER, "underlying is missing", "underlying")
    listings = _options_on(request, underlying, expiry, now_ms)
    chosen = _nearest(listings)
    markets = [listing.market for listing in chosen]
    await read_own_writes(request)
    volumes = await state.views.volumes([market.id for market in markets], now_ms - DAY_MS + MINUTE_MS)
    quotes = await quotes_of(request, markets)
    hub = request.app[HUB]
    rows = [
        optionchain.Row(listing, quote, hub.view(quote.market).book(1), volumes.get(quote.market, 0))
        for listing, quote in zip(chosen, quotes, strict=True)
    ]
    index = next((request.app[PRESENT].price_or_none(m, q.index) for m, q in zip(markets, quotes, strict=True)), None)
    chain = derivatives.OptionChain(
        underlying=underlying,
        time=now_ms,
        index_price=index,
        expiries=await optionchain.expiries(request.app[PRESENT], rows, now_ms),
        is_complete=len(chosen) == len(listings),
    )
    return answer(chain)


def _options_on(request: web.Request, underlying: str, expiry: int | None, now_ms: int) -> list[Listing]:
    """Those that have not expired, the nearest first. ProblemError if there never was one."""
    listings = request.app[CATALOGUE].options_on(underlying)
    if not listings:
        detail = f"there are no options on {shown(underlying)!r}; symbols begin with what options are on, such as BTC"
        raise ProblemError(Code.UNKNOWN_MARKET, detail, "underlying")
    alive = [each for each in listings if each.market.terms.expiry * 1000 > now_ms]
    if expiry is not None:
        alive = [each for each in alive if each.market.terms.expiry * 1000 == expiry]
    return sorted(alive, key=lambda each: each.market.terms.expiry)


def _nearest(listings: Sequence[Listing]) -> Sequence[Listing]:
    """As many whole expiries as MAX_OPTIONS allow; of one expiry at most so many."""
    if len(listings) <= MAX_OPTIONS:
        return listings
    cut = listings[MAX_OPTIONS].market.terms.expiry
    whole = [each for each in listings[:MAX_OPTIONS] if each.market.terms.expiry != cut]
    return whole or listings[:MAX_OPTIONS]

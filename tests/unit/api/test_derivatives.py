"""Funding, open interest, the option chain, and what tickers say of derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from offchain.api.handlers import derivatives as handlers
from offchain.api.optionmath import Terms, greeks, value
from offchain.domain.commands import Tick
from offchain.domain.oracle import SEEN_FOR_MS
from offchain.domain.order import Side
from tests.unit.api.conftest import Api
from tests.unit.api.derivatives import (
    CALL,
    DAY,
    EXPIRY,
    HOUR_MS,
    INDEX,
    LATER,
    NOW,
    PERP,
    PUT,
    accrue,
    open_derivatives,
    rest,
    tell_index,
    trade,
)
from tests.unit.api.exchange import NOW_MS, Exchange

MINUTE = 60_000


@pytest.fixture
async def derivatives(exchange: Exchange) -> Exchange:
    await open_derivatives(exchange)
    return exchange


async def get(api: Api, path: str, status: int = 200) -> dict[str, Any]:
    response = await api.get(path)
    body: dict[str, Any] = await response.json()
    assert response.status == status, body
    return body


async def settled(api: Api, path: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The published book follows the core by a moment."""
    found: list[dict[str, Any]] = []
    for _ in range(200):
        found.append(await get(api, path))
        if is_so(found[-1]):
            return found[-1]
    raise AssertionError(found[-1])


# ---------------------------------------------------------------------------------------------------------------------
# Tickers and markets
# ---------------------------------------------------------------------------------------------------------------------


async def test_ticker_of_a_perpetual(derivatives: Exchange, api: Api) -> None:
    await trade(derivatives, PERP, INDEX + 100)
    ticker = await get(api, "/v1/tickers/BTC-PERP")
    assert (ticker["last"], ticker["markPrice"], ticker["indexPrice"]) == ("95100", "95100", "95000")
    assert (ticker["openInterest"], ticker["openInterestValue"]) == ("0.1", "9510")
    assert ticker["nextFunding"] == NOW_MS // HOUR_MS * HOUR_MS + HOUR_MS
    assert ticker["fundingRate"] == "0"


async def test_ticker_of_an_option_has_its_interest_at_the_index(derivatives: Exchange, api: Api) -> None:
    await trade(derivatives, CALL, 2_000)
    ticker = await get(api, f"/v1/tickers/{CALL.symbol}")
    assert (ticker["markPrice"], ticker["indexPrice"], ticker["openInterestValue"]) == ("2000", "95000", "9500")
    assert (ticker["fundingRate"], ticker["nextFunding"]) == (None, None)
    statistics = (await get(api, "/v1/statistics"))["markets"]
    assert next(each["openInterest"] for each in statistics if each["market"] == CALL.symbol) == "0.1"


async def test_without_a_fresh_index_there_is_none(derivatives: Exchange, api: Api) -> None:
    await trade(derivatives, PERP, INDEX)
    derivatives.clock.ms += SEEN_FOR_MS + 1
    ticker = await get(api, "/v1/tickers/BTC-PERP")
    assert (ticker["markPrice"], ticker["indexPrice"]) == ("95000", None)


async def test_markets_list_their_rules(derivatives: Exchange, api: Api) -> None:
    markets = {each["symbol"]: each for each in (await get(api, "/v1/markets"))["markets"]}
    perp, call, spot = markets["BTC-PERP"], markets[CALL.symbol], markets["BTC-USDC"]
    assert (perp["minPrice"], perp["minQuantity"], perp["tradingEnds"]) == ("0.1", "0.00001", None)
    margined = perp["margined"]
    assert (margined["fundingInterval"], margined["fundingPeriod"], margined["fundingCap"]) == (3_600, 28_800, "0.0005")
    assert margined["liquidationBandBps"] == 250
    assert call["tradingEnds"] == (EXPIRY - 1_800) * 1000
    assert spot["tradingEnds"] is None


# ---------------------------------------------------------------------------------------------------------------------
# Candles of mark and index
# ---------------------------------------------------------------------------------------------------------------------


async def test_candles_of_mark_and_index(derivatives: Exchange, api: Api) -> None:
    for index in (95_100, 94_900):
        derivatives.clock.ms += 10_000
        await tell_index(derivatives, index)
    body = await get(api, "/v1/candles/BTC-PERP?price=index&interval=1h")
    (candle,) = body["candles"]
    assert body["priceType"] == "index"
    assert [candle[name] for name in ("open", "high", "low", "close")] == ["95000", "95100", "94900", "94900"]
    assert (candle["volume"], candle["trades"]) == ("0", 0)
    await trade(derivatives, PERP, 95_000)
    derivatives.clock.ms += 10_000
    await derivatives.submit(Tick())
    (candle,) = (await get(api, "/v1/candles/BTC-PERP?price=mark&interval=1h"))["candles"]
    assert candle["close"] == "95000"


@pytest.mark.parametrize(
    ("symbol", "price"), [("BTC-USDC", "mark"), ("BTC-USDC", "index"), (CALL.symbol, "index"), ("BTC-PERP", "mid")]
)
async def test_prices_that_a_market_does_not_have(derivatives: Exchange, api: Api, symbol: str, price: str) -> None:
    problem = await get(api, f"/v1/candles/{symbol}?price={price}", 400)
    assert (problem["code"], problem["param"]) == ("invalidParameter", "price")


# ---------------------------------------------------------------------------------------------------------------------
# Funding
# ---------------------------------------------------------------------------------------------------------------------


async def test_the_rate_is_the_mean_premium_of_the_hours_minutes(derivatives: Exchange, api: Api) -> None:
    start = NOW_MS // HOUR_MS * HOUR_MS + HOUR_MS
    derivatives.clock.ms = start - 10_000
    await tell_index(derivatives)
    await trade(derivatives, PERP, INDEX + 190)  # 0.2 % above, from after the sample on
    derivatives.clock.ms = start + 5_000
    await tell_index(derivatives)
    derivatives.clock.ms = start + MINUTE
    await tell_index(derivatives)
    body = await settled(api, "/v1/funding/BTC-PERP", lambda body: body["minutes"] == 2)
    # One minute without premium and one of 0.2 %; of a period of eight hours, an hour costs an eighth.
    assert body["rate"] == "0.000125"
    assert (body["cap"], body["interval"], body["period"]) == ("0.0005", 3_600, 28_800)
    assert (body["nextFunding"], body["lastFunding"], body["lastRate"]) == (start + HOUR_MS, None, None)
    assert (body["markPrice"], body["indexPrice"], body["history"]) == ("95190", "95000", [])


async def test_accruals_are_listed_oldest_first(derivatives: Exchange, api: Api) -> None:
    hour = NOW_MS // HOUR_MS
    for offset, (rate, funding) in enumerate([(10_000, 95 * 2**32), (-20_000, -95 * 2**32)]):
        await accrue(derivatives, hour + offset, rate, funding)
    body = await get(api, "/v1/funding/BTC-PERP")
    assert (body["lastFunding"], body["lastRate"]) == ((hour + 1) * HOUR_MS, "-0.0002")
    first = {"time": hour * HOUR_MS, "rate": "0.0001", "indexPrice": "95000", "fundingIndex": "9.5"}
    second = {"time": (hour + 1) * HOUR_MS, "rate": "-0.0002", "indexPrice": "95000", "fundingIndex": "-9.5"}
    assert body["history"] == [first, second]
    assert (await get(api, "/v1/funding/BTC-PERP?limit=1"))["history"] == [second]
    since = hour * HOUR_MS
    assert (await get(api, f"/v1/funding/BTC-PERP?since={since}&limit=1"))["history"] == [first]
    assert (await get(api, f"/v1/funding/BTC-PERP?since={since + 1}"))["history"] == [second]


async def test_only_perpetuals_have_funding(derivatives: Exchange, api: Api) -> None:
    problem = await get(api, "/v1/funding/BTC-USDC", 400)
    assert (problem["code"], problem["param"]) == ("invalidParameter", "symbol")


# ---------------------------------------------------------------------------------------------------------------------
# Open interest
# ---------------------------------------------------------------------------------------------------------------------


async def test_open_interest_of_all_and_of_one(derivatives: Exchange, api: Api) -> None:
    await trade(derivatives, PERP, INDEX)
    body = await get(api, "/v1/open-interest")
    assert [each["market"] for each in body["markets"]] == ["BTC-PERP", PUT.symbol, CALL.symbol, LATER.symbol]
    (one,) = (await get(api, "/v1/open-interest?market=BTC-PERP"))["markets"]
    assert one == body["markets"][0]
    assert (one["openInterest"], one["openInterestValue"], one["markPrice"]) == ("0.1", "9500", "95000")
    problem = await get(api, "/v1/open-interest?market=BTC-USDC", 400)
    assert (problem["code"], problem["param"]) == ("invalidParameter", "market")


# ---------------------------------------------------------------------------------------------------------------------
# Options
# ---------------------------------------------------------------------------------------------------------------------


async def test_the_chain_has_quotes_volatilities_and_greeks(derivatives: Exchange, api: Api) -> None:
    await trade(derivatives, CALL, 2_000)
    await rest(derivatives, CALL, Side.BUY, 1_900)
    await rest(derivatives, CALL, Side.SELL, 2_100)
    chain = await settled(
        api, "/v1/options?underlying=BTC", lambda body: body["expiries"][0]["strikes"][1]["calls"][0]["ask"] is not None
    )
    assert (chain["underlying"], chain["indexPrice"], chain["isComplete"]) == ("BTC", "95000", True)
    assert [each["expiry"] for each in chain["expiries"]] == [EXPIRY * 1000, (NOW + 60 * DAY) * 1000]
    low, high = chain["expiries"][0]["strikes"]
    assert (low["strike"], low["calls"], [each["market"] for each in low["puts"]]) == ("90000", [], [PUT.symbol])
    assert (high["strike"], high["puts"]) == ("100000", [])
    (call,) = high["calls"]
    assert (call["bid"], call["ask"], call["markPrice"], call["last"]) == ("1900", "2100", "2000", "2000")
    assert (call["volume"], call["openInterest"], call["cap"], call["status"]) == ("0.1", "0.1", "200000", "active")
    assert float(call["bidIv"]) < float(call["markIv"]) < float(call["askIv"])
    terms = Terms(95_000, 100_000, 200_000, False, 30 / 365)
    assert value(terms, float(call["markIv"])) == pytest.approx(2_000, abs=0.1)
    expected = greeks(terms, float(call["markIv"]))
    for name, digits in (("delta", 6), ("gamma", 10), ("vega", 6), ("theta", 6), ("rho", 6)):
        assert float(call[name]) == pytest.approx(getattr(expected, name), abs=2 * 10**-digits, rel=1e-4), name
    assert 0 < float(call["delta"]) < 1


async def test_a_chain_keeps_nobody_waiting(derivatives: Exchange, api: Api, turns: list[float]) -> None:
    chain = await get(api, "/v1/options?underlying=BTC")
    assert len(turns) == sum(len(expiry["strikes"]) for expiry in chain["expiries"]) > 1


async def test_what_nobody_quotes_has_no_volatility(derivatives: Exchange, api: Api) -> None:
    await rest(derivatives, PUT, Side.BUY, 1)
    path = "/v1/options?underlying=BTC"
    chain = await settled(api, path, lambda body: body["expiries"][0]["strikes"][0]["puts"][0]["bid"] is not None)
    (put,) = chain["expiries"][0]["strikes"][0]["puts"]
    assert (put["markPrice"], put["markIv"], put["askIv"], put["delta"], put["cap"]) == (None, None, None, None, None)
    assert float(put["bidIv"]) > 0


async def test_without_an_index_there_are_no_volatilities(derivatives: Exchange, api: Api) -> None:
    await trade(derivatives, CALL, 2_000)
    derivatives.clock.ms += SEEN_FOR_MS + 1
    chain = await get(api, "/v1/options?underlying=BTC")
    (call,) = chain["expiries"][0]["strikes"][1]["calls"]
    assert (chain["indexPrice"], call["markPrice"], call["markIv"]) == (None, "2000", None)


async def test_one_expiry_and_what_has_expired(derivatives: Exchange, api: Api) -> None:
    chain = await get(api, f"/v1/options?underlying=BTC&expiry={EXPIRY * 1000}")
    assert [each["expiry"] for each in chain["expiries"]] == [EXPIRY * 1000]
    derivatives.clock.ms = EXPIRY * 1000
    chain = await get(api, "/v1/options?underlying=BTC")
    assert [each["expiry"] for each in chain["expiries"]] == [(NOW + 60 * DAY) * 1000]


async def test_a_chain_ends_with_a_whole_expiry(
    derivatives: Exchange, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "MAX_OPTIONS", 2)
    chain = await get(api, "/v1/options?underlying=BTC")
    assert ([each["expiry"] for each in chain["expiries"]], chain["isComplete"]) == ([EXPIRY * 1000], False)


@pytest.mark.parametrize(
    ("query", "status", "code", "param"),
    [
        ("", 400, "invalidParameter", "underlying"),
        ("?underlying=DOGE", 404, "unknownMarket", "underlying"),
        ("?underlying=BTC&expiry=soon", 400, "invalidParameter", "expiry"),
    ],
)
async def test_chains_that_cannot_be(
    derivatives: Exchange, api: Api, query: str, status: int, code: str, param: str
) -> None:
    problem = await get(api, f"/v1/options{query}", status)
    assert (problem["code"], problem["param"]) == (code, param)

"""Candles, tickers and statistics over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from offchain.domain.order import Side
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import BTC_USDC, FEE_BPS, MAKER, NOW_MS, TAKER, Exchange, create_body, create_order

MINUTE = 60_000
HOUR = 60 * MINUTE
SPOT = dict.fromkeys(("indexPrice", "openInterest", "openInterestValue", "fundingRate", "nextFunding"))
"""What a market that is no derivative does not have."""


async def get(api: Api, path: str, status: int = 200) -> dict[str, Any]:
    response = await api.get(path)
    body: dict[str, Any] = await response.json()
    assert response.status == status, body
    return body


async def trade(api: Api, sequence: int, price: int = 950_001, quantity: int = 50_000) -> None:
    for trader, side in ((MAKER, Side.SELL), (TAKER, Side.BUY)):
        order = create_order(trader, side=side, price=price, quantity=quantity, nonce=1 << 32 | sequence)
        response = await api.post("/v1/orders", json=create_body(trader, order))
        assert response.status == 201, await response.text()


async def test_candles_of_what_was_traded(exchange: Exchange, api: Api) -> None:
    await trade(api, 1)
    await trade(api, 2, price=960_000, quantity=10_000)
    body = await get(api, "/v1/candles/BTC-USDC?interval=1h")
    start = NOW_MS // HOUR * HOUR
    assert body == {
        "market": "BTC-USDC",
        "priceType": "last",
        "interval": "1h",
        "candles": [
            {
                "time": start,
                "open": "95000.1",
                "high": "96000",
                "low": "95000.1",
                "close": "96000",
                "volume": "0.6",
                "quoteVolume": "57100.05",
                "trades": 2,
            }
        ],
    }
    assert (await get(api, f"/v1/candles/BTC-USDC?since={start + HOUR}"))["candles"] == []
    assert len((await get(api, f"/v1/candles/BTC-USDC?since={start}&limit=1"))["candles"]) == 1


@pytest.mark.parametrize(
    ("query", "param"),
    [("interval=2m", "interval"), ("since=-1", "since"), ("since=x", "since"), ("limit=1001", "limit")],
)
async def test_candles_that_cannot_be(api: Api, query: str, param: str) -> None:
    problem = await get(api, f"/v1/candles/BTC-USDC?{query}", 400)
    assert (problem["code"], problem["param"]) == ("invalidParameter", param)


async def test_ticker_of_a_market_without_trades(exchange: Exchange, api: Api) -> None:
    ticker = await get(api, "/v1/tickers/BTC-USDC")
    assert (ticker["market"], ticker["volume"], ticker["trades"]) == ("BTC-USDC", "0", 0)
    assert [ticker[name] for name in ("open", "high", "low", "last", "change", "bid", "ask")] == [None] * 7
    assert ticker["markPrice"] is None


async def test_ticker_has_prices_change_and_the_best_of_the_book(exchange: Exchange, api: Api) -> None:
    await trade(api, 1, price=1_000_000)
    await trade(api, 2, price=950_000)
    order = create_order(TAKER, side=Side.BUY, price=940_000, nonce=2 << 32)
    await api.post("/v1/orders", json=create_body(TAKER, order))
    ticker = await get(api, "/v1/tickers/BTC-USDC")
    assert (ticker["open"], ticker["last"], ticker["change"]) == ("100000", "95000", "-5000")
    assert (ticker["changePercent"], ticker["high"], ticker["low"]) == ("-5", "100000", "95000")
    assert (ticker["volume"], ticker["quoteVolume"]) == ("1", "97500")
    tickers = (await get(api, "/v1/tickers"))["tickers"]
    assert [each["market"] for each in tickers] == ["BTC-USDC", "ETH-USDC"]


async def test_last_price_outlives_the_day(exchange: Exchange, api: Api) -> None:
    await trade(api, 1)
    exchange.clock.ms += 25 * HOUR
    ticker = await get(api, "/v1/tickers/BTC-USDC")
    assert (ticker["last"], ticker["open"], ticker["trades"]) == ("95000.1", None, 0)


async def test_statistics_count_volume_and_fees(exchange: Exchange, api: Api) -> None:
    await trade(api, 1, price=1_000_000)
    exchange.clock.ms += 10 * MINUTE
    await trade(api, 2, price=1_000_000, quantity=10_000)
    fee = 6 * 2 * 10_000 * FEE_BPS // 10_000
    both = {"volume": "0.6", "quoteVolume": "60000", "fees": str(fee), "trades": 2}
    assert await statistics(api) == {"market": BTC_USDC.symbol, "day": both, "ever": both} | SPOT | {
        "markPrice": "100000"
    }
    exchange.clock.ms += 24 * HOUR - 5 * MINUTE
    day = (await statistics(api))["day"]
    assert (day["volume"], day["trades"]) == ("0.1", 1)
    exchange.clock.ms += 5 * MINUTE
    assert await statistics(api) == {
        "market": BTC_USDC.symbol,
        "day": {"volume": "0", "quoteVolume": "0", "fees": "0", "trades": 0},
        "ever": both,
    } | SPOT | {"markPrice": "100000"}


async def statistics(api: Api) -> dict[str, Any]:
    """Of BTC-USDC."""
    markets: list[dict[str, Any]] = (await get(api, "/v1/statistics"))["markets"]
    return next(each for each in markets if each["market"] == BTC_USDC.symbol)

"""The client in a market that is not quoted in USDC."""

from __future__ import annotations

import asyncio

import pytest

from offchain.client import client as client_module
from offchain.domain.commands import Price
from offchain.domain.results import Done
from tests.unit.api.exchange import BTC, ETH, MAKER, NOW_MS, TAKER, Exchange
from tests.unit.client.conftest import CreateClient
from tests.unit.intake.cases import CROSS

NOW = NOW_MS // 1000


@pytest.fixture(autouse=True)
def exchange_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients live at the exchange's time."""
    monkeypatch.setattr(client_module.time, "time", lambda: NOW_MS / 1000)


@pytest.fixture
async def cross(exchange: Exchange) -> Exchange:
    await exchange.list_markets([(ETH, CROSS)])
    for trader in (MAKER, TAKER):
        await exchange.deposit(trader, ETH.id, 100 * 10**18)
    told = await exchange.submit(Price(CROSS.oracle, 7, 64_000 * 10**18, NOW - 5, NOW + 3_600))
    assert told == Done()
    return exchange


async def test_orders_are_signed_with_their_limit(cross: Exchange, create_client: CreateClient) -> None:
    maker, taker = await create_client(MAKER), await create_client(TAKER)
    resting = await maker.place_limit("ETH-BTC", "sell", "0.05", "2", conversion_limit="63999.5")
    order = await maker.order(resting.order_id)
    assert (order.price, order.conversion_limit) == ("0.05", "63999.5")
    # The book is published a moment after the order is answered.
    for _ in range(1_000):
        book = await maker.orderbook("ETH-BTC")
        if book.asks:
            break
        await asyncio.sleep(0.01)
    assert book.asks == [("0.05", "2")]
    taken = await taker.place_market("ETH-BTC", "buy", "1.5", "0.06", conversion_limit=65_000)
    assert (taken.status, taken.fills[0].price) == ("filled", "0.05")
    (fill,) = (await taker.fills()).fills
    assert (fill.price, fill.conversion_rate, fill.fee) == ("0.05", "64000", "24")
    assert (await taker.balances())["USDC"].unsettled == "-4824"


async def test_prices_are_told(cross: Exchange, create_client: CreateClient) -> None:
    client = await create_client()
    price = (await client.prices())["ETH-BTC"]
    assert (price.asset, price.price, price.conversion_rate) == (BTC.symbol, "64000", "64000")
    assert (price.round, price.updated_at, price.seen_at, price.usable) == ("7", NOW_MS - 5_000, NOW_MS, True)
    cross.clock.ms += 40_001
    assert not (await client.prices())["ETH-BTC"].usable


@pytest.mark.parametrize(
    ("market", "limit", "message"),
    [("ETH-BTC", None, "needs a conversion limit"), ("BTC-USDC", "1", "quoted in USDC"), ("ETH-BTC", "x", "plain")],
)
async def test_a_limit_where_it_belongs(
    cross: Exchange, create_client: CreateClient, market: str, limit: str | None, message: str
) -> None:
    client = await create_client(MAKER)
    with pytest.raises(ValueError, match=message):
        await client.place_limit(market, "sell", "1", "1", conversion_limit=limit)

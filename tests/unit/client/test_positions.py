"""Positions over HTTP and WebSocket, as the client sees them."""

from __future__ import annotations

import asyncio
import time

import pytest

from offchain.api.schemas.stream import PositionMessage, TraderSnapshot
from offchain.client import ApiError
from offchain.client import client as client_module
from offchain.domain.commands import ClearingChanged, Price
from offchain.domain.derivatives import DerivativeRules
from offchain.domain.market import USDC, Market
from offchain.domain.results import Done
from tests.unit.api.exchange import BTC, MAKER, NOW_MS, TAKER, Exchange
from tests.unit.client.conftest import CreateClient

NOW = NOW_MS // 1000
ORACLE = b"\x0a" * 20
RULES = DerivativeRules(1_000, 500, 250, 100, 150, 50_000)
PERP = Market(7, "BTC-PERP", 1, 7, BTC.id, USDC, 8, 100_000, 1_000, 10**13, 10**9, ORACLE, RULES)
PUT_RULES = DerivativeRules(expiry=NOW + 10**6, strike_per_lot=900_000, is_put=True)
PUT = Market(8, "BTC-PUT", 3, 8, BTC.id, USDC, 8, 100_000, 1_000, 10**13, 10**9, ORACLE, PUT_RULES)


@pytest.fixture(autouse=True)
def exchange_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients live at the exchange's time."""
    monkeypatch.setattr(client_module.time, "time", lambda: NOW_MS / 1000)


@pytest.fixture
async def derivatives(exchange: Exchange) -> Exchange:
    await exchange.list_markets([(BTC, PERP), (BTC, PUT)])
    assert await exchange.submit(Price(ORACLE, 7, 95_000 * 10**18, NOW - 5, NOW + 3_600)) == Done()
    return exchange


async def test_markets_tell_their_terms(derivatives: Exchange, create_client: CreateClient) -> None:
    client = await create_client()
    markets = {market.symbol: market for market in (await client.markets()).markets}
    margined = markets["BTC-PERP"].margined
    assert margined is not None
    assert (margined.initial_margin_bps, margined.maintenance_margin_bps, margined.expiry) == (1_000, 500, None)
    assert margined.funding_cap == "0.0005"
    option = markets["BTC-PUT"].option
    assert option is not None
    assert (option.strike, option.cap, option.is_put, option.collateral) == ("90000", None, True, "90000")
    assert (await client.prices())["BTC-PERP"].index_price == "95000"


async def test_a_position_is_told_and_read(derivatives: Exchange, create_client: CreateClient) -> None:
    maker, taker = await create_client(MAKER), await create_client(TAKER)
    await maker.place_limit("BTC-PERP", "sell", "95000", "0.5")
    async with taker.subscribe(taker.trader_channel) as stream:
        messages = aiter(stream)
        first = await anext(messages)
        assert isinstance(first, TraderSnapshot)
        assert first.data.positions == []
        await taker.place_market("BTC-PERP", "buy", "0.2", "95000")
        started = time.monotonic()
        async with asyncio.timeout(10):
            while not isinstance(message := await anext(messages), PositionMessage):
                assert time.monotonic() - started < 10
        assert (message.data.size, message.data.entry_price, message.data.settled_size) == ("0.2", "95000", "0")
    position = (await taker.positions())["BTC-PERP"]
    assert (position.size, position.margin, position.equity, position.maintenance_margin) == (
        "0.2",
        "1900",
        "1900",
        "950",
    )
    assert (position.liquidation_price, position.unrealised_pnl, position.kind) == ("90000", "0", "perp")
    (short,) = (await maker.positions()).values()
    assert (short.size, short.entry_price) == ("-0.2", "95000")


async def test_reduce_only_needs_a_position(derivatives: Exchange, create_client: CreateClient) -> None:
    client = await create_client(MAKER)
    with pytest.raises(ApiError) as caught:
        await client.place_limit("BTC-PERP", "sell", "95000", "0.5", reduce_only=True)
    assert (caught.value.code, caught.value.param) == ("nothingToReduce", "reduceOnly")


async def test_an_option_shows_its_collateral(derivatives: Exchange, create_client: CreateClient) -> None:
    maker, taker = await create_client(MAKER), await create_client(TAKER)
    await maker.place_limit("BTC-PUT", "sell", "3000", "0.5")
    await taker.place_market("BTC-PUT", "buy", "0.5", "3000")
    position = (await maker.positions())["BTC-PUT"]
    assert (position.margin, position.mark_price, position.equity) == ("45000", "3000", None)
    await derivatives.block(ClearingChanged(b"\x01" * 32, expired=[(PUT.id, 5)]))
    market = next(one for one in (await maker.markets(refresh=True)).markets if one.symbol == "BTC-PUT")
    assert (market.status, market.reason) == ("halted", "the market has expired")

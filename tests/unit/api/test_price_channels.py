"""Marks and rates of funding over WebSocket."""

from __future__ import annotations

from typing import Any

import pytest

from offchain.api.keys import HUB
from offchain.api.state import ApiSettings
from tests.unit.api.conftest import Api
from tests.unit.api.derivatives import CALL, HOUR_MS, INDEX, PERP, accrue, open_derivatives, tell_index, trade
from tests.unit.api.exchange import NOW_MS, Exchange
from tests.unit.api.sockets import Connect, Socket

MARK, RATE = "market.BTC-PERP.markPrice", "market.BTC-PERP.fundingRate"


@pytest.fixture
async def exchange(create_exchange: Any) -> Exchange:
    exchange: Exchange = await create_exchange(ApiSettings(price_flush_ms=20))
    await open_derivatives(exchange)
    return exchange


async def test_a_mark_comes_at_once_and_when_it_moves(exchange: Exchange, api: Api, connect: Connect) -> None:
    socket = await connect()
    await socket.subscribe(MARK)
    first = await socket.next()
    assert (first["type"], first["channel"], first["time"]) == ("markPrice", MARK, NOW_MS)
    assert first["data"] == {"markPrice": "95000", "indexPrice": "95000"}
    exchange.clock.ms += 1_000
    await tell_index(exchange, 96_000)
    second = await socket.next()
    assert second["data"] == {"markPrice": "96000", "indexPrice": "96000"}
    assert second["prevSeq"] == first["seq"] < second["seq"]
    await trade(exchange, PERP, 96_100)
    assert (await socket.next())["data"] == {"markPrice": "96100", "indexPrice": "96000"}


async def test_what_does_not_move_is_not_sent(exchange: Exchange, api: Api, connect: Connect) -> None:
    socket = await connect()
    await socket.subscribe(MARK)
    await socket.next()
    await tell_index(exchange)
    assert await socket.is_silent()


async def test_others_begin_with_the_newest_message(exchange: Exchange, api: Api, connect: Connect) -> None:
    first, second = await connect(), await connect()
    await first.subscribe(MARK)
    await first.next()
    await tell_index(exchange, 96_000)
    newest = await first.next()
    await second.subscribe(MARK)
    assert await second.next() == newest
    assert api.server.app[HUB].subscriptions()["markPrice"] == 2  # type: ignore[attr-defined]


async def test_the_rate_of_the_present_hour_and_of_the_last(exchange: Exchange, api: Api, connect: Connect) -> None:
    socket = await connect()
    await socket.subscribe(RATE)
    first = await socket.next()
    next_funding = NOW_MS // HOUR_MS * HOUR_MS + HOUR_MS
    assert first["data"] == {
        "rate": "0",
        "minutes": first["data"]["minutes"],
        "nextFunding": next_funding,
        "lastFunding": None,
        "lastRate": None,
    }
    hour = NOW_MS // HOUR_MS
    await accrue(exchange, hour, 10_000, 95 * 2**32)
    exchange.clock.ms += 2_000
    second = await socket.next()
    assert (second["data"]["lastFunding"], second["data"]["lastRate"]) == (hour * HOUR_MS, "0.0001")


@pytest.mark.parametrize("channel", ["market.BTC-USDC.fundingRate", f"market.{CALL.symbol}.fundingRate"])
async def test_only_perpetuals_have_a_rate(exchange: Exchange, api: Api, connect: Connect, channel: str) -> None:
    socket = await connect()
    await socket.send(op="subscribe", channels=[channel])
    assert (await socket.next())["code"] == "unknownChannel"


async def test_a_spot_market_has_a_mark_without_an_index(exchange: Exchange, api: Api, connect: Connect) -> None:
    socket = await connect()
    await socket.subscribe("market.BTC-USDC.markPrice")
    assert (await socket.next())["data"] == {"markPrice": None, "indexPrice": None}


async def test_unsubscribing_ends_it(exchange: Exchange, api: Api, connect: Connect) -> None:
    socket = await connect()
    await socket.subscribe(MARK, RATE)
    for _ in range(2):
        await socket.next()
    await socket.send(op="unsubscribe", channels=[MARK, RATE])
    await socket.next()
    await tell_index(exchange, INDEX + 1_000)
    assert await socket.is_silent()
    left = api.server.app[HUB].subscriptions()  # type: ignore[attr-defined]
    assert (left["markPrice"], left["fundingRate"]) == (0, 0)


async def test_a_channel_outlives_a_failure(
    exchange: Exchange, api: Api, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket: Socket = await connect()
    await socket.subscribe(MARK)
    await socket.next()
    prices = api.server.app[HUB].prices  # type: ignore[attr-defined]
    working, failed = prices.publish, []

    async def publish() -> None:
        if not failed:
            failed.append(True)
            raise RuntimeError("for once")
        await working()

    monkeypatch.setattr(prices, "publish", publish)
    await tell_index(exchange, 96_000)
    assert (await socket.next())["data"]["markPrice"] == "96000"
    assert failed

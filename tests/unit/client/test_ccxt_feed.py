"""One subscription, read by several methods at their own pace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from offchain.api.schemas.stream import BalanceMessage, OrderMessage, TraderSnapshot
from offchain.client import ApiError, Client
from offchain.client import ccxt_feed as feed_module
from offchain.client import client as client_module
from offchain.client.ccxt_feed import Feed
from tests.unit.api.exchange import MAKER, NOW_MS, until
from tests.unit.client.conftest import CreateClient


@pytest.fixture(autouse=True)
def exchange_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module.time, "time", lambda: NOW_MS / 1000)


@pytest.fixture
async def maker(create_client: CreateClient) -> Client:
    return await create_client(MAKER)


@pytest.fixture
async def feed(maker: Client) -> AsyncIterator[Feed]:
    created = Feed(maker.subscribe(maker.trader_channel))
    yield created
    await created.close()


async def test_events_begin_with_the_first_question_and_states_with_what_is(maker: Client, feed: Feed) -> None:
    await feed.news("snapshot", TraderSnapshot)
    await maker.place_limit("BTC-USDC", "buy", 90_000, "0.1")
    await until(lambda: feed.latest(OrderMessage))
    asking = asyncio.create_task(feed.news("orders", OrderMessage))
    (state, *_) = await feed.news("balance", TraderSnapshot, BalanceMessage, is_state=True)
    assert isinstance(state, TraderSnapshot)
    assert feed.balances["USDC"].reserved == "9045"
    assert not asking.done()
    placed = await maker.place_limit("BTC-USDC", "buy", 80_000, "0.1")
    (message,) = await asking
    assert isinstance(message, OrderMessage)
    assert message.data.order_id == placed.order_id


async def test_readers_do_not_take_from_each_other(maker: Client, feed: Feed) -> None:
    await feed.news("snapshot", TraderSnapshot)
    asking = [asyncio.create_task(feed.news(name, OrderMessage)) for name in ("one", "other")]
    await asyncio.sleep(0)
    await maker.place_limit("BTC-USDC", "buy", 90_000, "0.1")
    first, second = await asyncio.gather(*asking)
    assert first == second


async def test_what_nobody_asks_for_is_bounded(maker: Client, feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "MAX_WAITING", 2)
    await feed.news("snapshot", TraderSnapshot)
    asking = asyncio.create_task(feed.news("orders", OrderMessage))
    await asyncio.sleep(0)
    await maker.place_limit("BTC-USDC", "buy", 80_000, "0.1")
    await asking
    placed = [await maker.place_limit("BTC-USDC", "buy", 90_000 + step, "0.1") for step in range(5)]

    def is_through() -> bool:
        message = feed.latest(OrderMessage)
        return isinstance(message, OrderMessage) and message.data.order_id == placed[-1].order_id

    await until(is_through)
    left = [message for message in await feed.news("orders", OrderMessage) if isinstance(message, OrderMessage)]
    assert [message.data.order_id for message in left] == [order.order_id for order in placed[-2:]]


async def test_what_ends_the_stream_is_told_to_all(create_client: CreateClient) -> None:
    client = await create_client(None)
    feed = Feed(client.subscribe("market.DOGE-USDC.depth"))
    for name in ("one", "other"):
        with pytest.raises(ApiError, match="unknownChannel"):
            await feed.news(name, OrderMessage)
    await feed.close()

"""Subscriptions of the client survive lost connections and mend gaps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from offchain.api.closing import CloseCode
from offchain.api.keys import LIFE
from offchain.api.schemas.stream import (
    DepthSnapshot,
    DepthUpdate,
    FundingRateMessage,
    MarkPriceMessage,
    OrderMessage,
    ResumedMessage,
    ResyncMessage,
    TradeMessage,
    TraderSnapshot,
)
from offchain.client import ApiError, Client, Stream
from offchain.client import client as client_module
from offchain.client import stream as stream_module
from tests.unit.api.derivatives import open_derivatives, tell_index
from tests.unit.api.exchange import MAKER, NOW_MS, TAKER, Exchange
from tests.unit.client.conftest import CreateClient

DEPTH, TRADE = "market.BTC-USDC.depth", "market.BTC-USDC.trade"


@pytest.fixture(autouse=True)
def exchange_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module.time, "time", lambda: NOW_MS / 1000)
    monkeypatch.setattr(stream_module, "FIRST_PAUSE_SECONDS", 0.02)


@pytest.fixture
async def listen() -> AsyncIterator[Any]:
    """Opens a stream and closes it at the end."""
    streams: list[Stream] = []

    def create(client: Client, *channels: str) -> Stream:
        streams.append(client.subscribe(*channels))
        return streams[-1]

    yield create
    for stream in streams:
        await stream.close()


async def next_of(stream: Stream, *kinds: type) -> Any:
    async with asyncio.timeout(5):
        async for message in stream:
            if isinstance(message, kinds):
                return message
    raise AssertionError("the stream ended")


def disconnect(exchange: Exchange) -> None:
    for connection in exchange.app[LIFE].connections:
        connection.close(CloseCode.SHUTTING_DOWN)


async def test_the_book_follows_the_exchange(create_client: CreateClient, listen: Any) -> None:
    client = await create_client(MAKER)
    stream = listen(client, DEPTH)
    await next_of(stream, DepthSnapshot)
    for step in range(5):
        await client.place_limit("BTC-USDC", "buy", 90_000 + step, "0.1")
    await client.place_limit("BTC-USDC", "sell", 95_000, "0.1")
    book = stream.books["BTC-USDC"]
    while book.best_ask is None:
        await next_of(stream, DepthUpdate)
    published = await client.orderbook("BTC-USDC")
    assert (book.seq, book.bids(), book.asks()) == (published.seq, published.bids, published.asks)
    assert (book.best_bid, book.best_ask) == (90_004, 95_000)


async def test_a_lost_connection_loses_no_event(exchange: Exchange, create_client: CreateClient, listen: Any) -> None:
    client = await create_client(MAKER)
    stream = listen(client, client.trader_channel, TRADE)
    await next_of(stream, TraderSnapshot)
    await client.place_limit("BTC-USDC", "sell", 95_000, "0.1")
    first = await next_of(stream, OrderMessage)
    disconnect(exchange)
    missed = await client.place_limit("BTC-USDC", "sell", 95_001, "0.1")
    seen: list[Any] = []
    while len({type(message) for message in seen} & {ResumedMessage, ResyncMessage}) < 2:
        seen.append(await next_of(stream, object))
    updates = [message for message in seen if isinstance(message, OrderMessage)]
    assert [message.data.order_id for message in updates] == [missed.order_id]
    assert updates[0].seq > first.seq
    taker = await create_client(TAKER)
    await taker.place_market("BTC-USDC", "buy", "0.1", 95_000)
    assert (await next_of(stream, TradeMessage)).data[0].price == "95000"


async def test_a_book_goes_on_over_a_lost_connection(
    exchange: Exchange, create_client: CreateClient, listen: Any
) -> None:
    """What was missed comes as updates, verified by their checksums, and no snapshot."""
    client = await create_client(MAKER)
    stream = listen(client, DEPTH)
    await next_of(stream, DepthSnapshot)
    await client.place_limit("BTC-USDC", "buy", 90_000, "0.1")
    await next_of(stream, DepthUpdate)
    disconnect(exchange)
    for step in range(1, 4):
        await client.place_limit("BTC-USDC", "buy", 90_000 + step, "0.1")
    seen: list[Any] = []
    while stream.books["BTC-USDC"].best_bid != 90_003:
        seen.append(await next_of(stream, object))
    assert {type(message) for message in seen} <= {DepthUpdate, ResumedMessage}
    published = await client.orderbook("BTC-USDC")
    assert stream.books["BTC-USDC"].bids() == published.bids
    await client.place_limit("BTC-USDC", "sell", 95_000, "0.1")
    while stream.books["BTC-USDC"].best_ask is None:
        await next_of(stream, DepthUpdate, ResumedMessage)


async def test_marks_are_taken_as_they_come(exchange: Exchange, create_client: CreateClient, listen: Any) -> None:
    await open_derivatives(exchange)
    client = await create_client(MAKER)
    stream = listen(client, "market.BTC-PERP.markPrice", "market.BTC-PERP.fundingRate")
    kinds = {type(await next_of(stream, MarkPriceMessage, FundingRateMessage)) for _ in range(2)}
    assert kinds == {MarkPriceMessage, FundingRateMessage}
    await tell_index(exchange, 96_000)
    assert (await next_of(stream, MarkPriceMessage)).data.index_price == "96000"
    disconnect(exchange)
    assert (await next_of(stream, MarkPriceMessage)).data.index_price == "96000"


async def test_a_book_that_diverged_starts_again(create_client: CreateClient, listen: Any) -> None:
    client = await create_client(MAKER)
    await client.place_limit("BTC-USDC", "buy", 90_000, "0.1")
    stream = listen(client, DEPTH)
    await next_of(stream, DepthSnapshot)
    book = stream.books["BTC-USDC"]
    while book.best_bid is None:
        await next_of(stream, DepthUpdate)
    book._bids.clear()
    await client.place_limit("BTC-USDC", "buy", 90_001, "0.1")
    await next_of(stream, DepthSnapshot)
    assert [price for price, _ in book.bids()] == ["90001", "90000"]


async def test_a_gap_is_mended_by_resuming(create_client: CreateClient, listen: Any) -> None:
    client = await create_client(MAKER)
    stream = listen(client, client.trader_channel)
    start = (await next_of(stream, TraderSnapshot)).seq
    placed = [await client.place_limit("BTC-USDC", "buy", 90_000 + step, "0.1") for step in range(3)]
    await next_of(stream, OrderMessage)
    stream._have[client.trader_channel] = start
    ids = []
    while not isinstance(message := await next_of(stream, OrderMessage, ResumedMessage), ResumedMessage):
        ids.append(message.data.order_id)
    assert ids == [order.order_id for order in placed]


async def test_refused_subscriptions_are_errors(create_client: CreateClient, listen: Any) -> None:
    client = await create_client(None)
    with pytest.raises(ApiError) as caught:
        await next_of(listen(client, "market.DOGE-USDC.depth"), object)
    assert (caught.value.code, caught.value.param) == ("unknownChannel", "channels")
    with pytest.raises(ValueError, match="at least one"):
        client.subscribe()


async def test_news_of_an_ended_order_frees_its_key(create_client: CreateClient, listen: Any) -> None:
    maker, taker = await create_client(MAKER), await create_client(TAKER)
    stream = listen(maker, maker.trader_channel)
    await next_of(stream, TraderSnapshot)
    filled = await maker.place_limit("BTC-USDC", "sell", 95_000, "0.1")
    await taker.place_market("BTC-USDC", "buy", "0.1", 95_000)
    while (await next_of(stream, OrderMessage)).data.status != "filled":
        pass
    after = await maker.place_limit("BTC-USDC", "sell", 95_000, "0.1")
    nonces = [int((await maker.order(order.order_id)).nonce) for order in (filled, after)]
    assert nonces[0] >> 32 == nonces[1] >> 32
    assert nonces[0] < nonces[1]

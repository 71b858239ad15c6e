"""Stops, amendments, many orders at a time, and cancels of many, over HTTP and over a socket alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from offchain.api.schemas.stream import CancelAfterMessage, OrderMessage, TraderSnapshot, TriggerMessage
from offchain.client import ApiError, Client, NewOrder, OrderSocket, QuoteSheet
from offchain.client import client as client_module
from offchain.domain.commands import EpochBumped, Tick
from tests.unit.api.exchange import MAKER, NOW_MS, TAKER, Exchange
from tests.unit.client.conftest import CreateClient

Trader = Client | OrderSocket
OPEN = ("open", "partiallyFilled")


@pytest.fixture(autouse=True)
def exchange_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients live at the exchange's time."""
    monkeypatch.setattr(client_module.time, "time", lambda: NOW_MS / 1000)


@pytest.fixture
async def maker(create_client: CreateClient) -> Client:
    return await create_client(MAKER)


@pytest.fixture(params=["http", "socket"])
async def trader(request: pytest.FixtureRequest, maker: Client) -> AsyncIterator[Trader]:
    """The maker, whichever way the orders go."""
    if request.param == "http":
        yield maker
        return
    async with maker.order_socket() as socket:
        yield socket


@pytest.fixture
async def trade_at(create_client: CreateClient) -> Callable[[int], Awaitable[None]]:
    """Has the taker trade with itself, so that the last price is this one."""
    taker = await create_client(TAKER)

    async def trade(price: int) -> None:
        await taker.place_limit("BTC-USDC", "buy", price, "0.001")
        await (await create_client(MAKER)).place_market("BTC-USDC", "sell", "0.001", price)

    return trade


def bid(price: int, quantity: str = "0.1", **more: Any) -> NewOrder:
    return NewOrder(market="BTC-USDC", side="buy", price=price, quantity=quantity, **more)


async def open_ids(client: Client) -> set[str]:
    return {order.order_id for order in (await client.orders(status=OPEN)).orders}


# ---------------------------------------------------------------------------------------------------------------------
# Stop and take-profit
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_stop_waits_is_told_of_and_works(maker: Client, trader: Trader, trade_at: Any) -> None:
    placed = await trader.place_limit("BTC-USDC", "buy", 97_000, "0.1", trigger="stop", trigger_price=96_000)
    assert (placed.status, placed.waiting) == ("open", True)
    trigger = (await maker.order(placed.order_id)).trigger
    assert trigger is not None
    assert (trigger.type, trigger.price, trigger.by, trigger.triggered_at) == ("stop", "96000", "last", None)
    async with maker.subscribe(maker.trader_channel) as stream:
        async for message in stream:
            if isinstance(message, TraderSnapshot):
                (waiting,) = message.data.orders
                assert waiting.trigger is not None
                await trade_at(96_000)
            if isinstance(message, TriggerMessage):
                assert message.data.order_id == placed.order_id
                break
    trigger = (await maker.order(placed.order_id)).trigger
    assert trigger is not None
    assert trigger.triggered_at == NOW_MS


async def test_a_market_order_waits_for_a_month(maker: Client, trader: Trader) -> None:
    placed = await trader.place_market(
        "BTC-USDC", "sell", "0.1", 80_000, trigger="stop", trigger_price=90_000, trigger_by="last"
    )
    order = await maker.order(placed.order_id)
    assert (order.type, order.time_in_force, order.expiry) == ("market", "IOC", NOW_MS // 1000 + 30 * 86_400)
    assert placed.waiting


# ---------------------------------------------------------------------------------------------------------------------
# Replacing
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_replacement_keeps_the_key(maker: Client, trader: Trader) -> None:
    old = await trader.place(bid(90_000))
    new = await trader.replace(old.order_id, bid(90_001, "0.2"))
    orders = [await maker.order(each.order_id) for each in (old, new)]
    assert [(order.status, order.code) for order in orders] == [("canceled", "replaced"), ("open", "")]
    nonces = [int(order.nonce) for order in orders]
    assert nonces[0] >> 32 == nonces[1] >> 32
    assert nonces[0] < nonces[1]
    assert (trader.is_open(old.order_id), trader.is_open(new.order_id)) == (False, True)


async def test_an_order_that_has_ended_is_not_replaced(maker: Client, trader: Trader, create_client: Any) -> None:
    old = await trader.place(bid(90_000))
    other = await create_client(MAKER)
    await other.cancel(old.order_id)
    with pytest.raises(ApiError) as caught:
        await trader.replace(old.order_id, bid(90_001))
    assert caught.value.code == "orderNotOpen"
    assert await open_ids(maker) == set()
    assert not trader.is_open(old.order_id)
    after = await trader.place(bid(90_000))
    assert int((await maker.order(after.order_id)).nonce) >> 32 == int((await maker.order(old.order_id)).nonce) >> 32


async def test_a_refused_replacement_leaves_the_old_order(maker: Client, trader: Trader) -> None:
    old = await trader.place(bid(90_000))
    with pytest.raises(ApiError, match="expectFilledMismatch"):
        await trader.replace(old.order_id, bid(90_001, expect_filled="0.05"))
    assert await open_ids(maker) == {old.order_id}
    new = await trader.replace(old.order_id, bid(90_001, expect_filled="0"))
    assert await open_ids(maker) == {new.order_id}


async def test_an_amendment_changes_what_it_names(maker: Client, trader: Trader) -> None:
    placed = await trader.place_limit(
        "BTC-USDC",
        "sell",
        90_000,
        "0.5",
        time_in_force="GTD",
        expiry=NOW_MS // 1000 + 500,
        client_order_id="mine",
        self_trade_prevention="expireTaker",
        trigger="takeProfit",
        trigger_price=99_000,
    )
    amended = await trader.amend(placed.order_id, trigger_price="98000", price=91_000)
    old, new = [await maker.order(each.order_id) for each in (placed, amended)]
    assert new.trigger is not None
    assert (new.price, new.quantity, new.trigger.price, new.trigger.type) == ("91000", "0.5", "98000", "takeProfit")
    kept = ("market", "side", "type", "time_in_force", "expiry", "max_fee_bps", "self_trade_prevention")
    assert [getattr(new, name) for name in (*kept, "client_order_id")] == [
        getattr(old, name) for name in (*kept, "client_order_id")
    ]


async def test_an_amendment_without_a_quantity_is_for_what_is_left(
    maker: Client, trader: Trader, create_client: Any
) -> None:
    placed = await trader.place(bid(90_000, "0.5"))
    taker = await create_client(TAKER)
    await taker.place_market("BTC-USDC", "sell", "0.2", 90_000)
    amended = await trader.amend(placed.order_id, price=90_100)
    assert amended.remaining == "0.3"
    order = await trader.amend(amended.order_id, quantity="0.4")
    assert (order.remaining, (await maker.order(order.order_id)).price) == ("0.4", "90100")


async def test_what_fills_meanwhile_is_not_bought_again(
    maker: Client, create_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = await maker.place(bid(90_000, "0.5"))
    read = maker.order
    taker = await create_client(TAKER)

    async def read_and_fill(order_id: str) -> Any:
        order = await read(order_id)
        await taker.place_market("BTC-USDC", "sell", "0.2", 90_000)
        return order

    monkeypatch.setattr(maker, "order", read_and_fill)
    with pytest.raises(ApiError, match="expectFilledMismatch"):
        await maker.amend(placed.order_id, price=90_100)


async def test_orders_of_other_clients_are_amended_under_their_key(maker: Client, create_client: Any) -> None:
    """Also under a key that no client of this kind would use."""
    signer = await maker._desk.ready()
    terms = {"max_fee_bps": 50, "expiry": None}
    _, body = signer.order("BTC-USDC", "buy", "limit", "GTC", "90000", "0.5", (7 << 32) + 5, **terms)
    placed = await maker._carrier.place(body, "")
    other = await create_client(MAKER)
    amended = await other.amend(placed.order_id, price=90_001)
    assert int((await other.order(amended.order_id)).nonce) >> 32 == 7
    await other.cancel(amended.order_id)
    after = await other.place(bid(90_000))
    assert int((await other.order(after.order_id)).nonce) >> 32 != 7


# ---------------------------------------------------------------------------------------------------------------------
# Many orders
# ---------------------------------------------------------------------------------------------------------------------


async def test_an_array_has_one_signature_and_a_result_each(maker: Client, trader: Trader) -> None:
    results = await trader.place_array([bid(90_000), bid(89_000, "5000"), bid(88_000)])
    assert [entry.problem and entry.problem.code for entry in results] == [None, "insufficientBalance", None]
    ids = {entry.order.order_id for entry in results if entry.order is not None}
    assert await open_ids(maker) == ids
    first = results[0].order
    assert first is not None
    moved = await trader.place_array([bid(90_500, replaces=first.order_id), bid(87_000)])
    assert (await maker.order(first.order_id)).code == "replaced"
    assert all(entry.order is not None and entry.order.status == "open" for entry in moved)
    assert len(await open_ids(maker)) == 3


async def test_what_cannot_be_signed_sends_nothing_and_takes_no_key(maker: Client, trader: Trader) -> None:
    with pytest.raises(ValueError, match="tick"):
        await trader.place_array([bid(90_000), NewOrder(market="BTC-USDC", side="buy", price="1.05", quantity=1)])
    with pytest.raises(ApiError) as caught:
        await trader.place_array([bid(90_000)])
    assert (caught.value.code, caught.value.param) == ("invalidValue", "orders")
    assert await open_ids(maker) == set()
    placed = await trader.place(bid(90_000))
    assert int((await maker.order(placed.order_id)).nonce) >> 32 == 2 << 16


async def test_an_array_learns_of_a_new_epoch(exchange: Exchange, trader: Trader) -> None:
    await trader.place_array([bid(90_000), bid(89_000)])
    await exchange.block(EpochBumped(MAKER.address, 1))
    refused = await trader.place_array([bid(90_000), bid(89_000)])
    assert {entry.problem and entry.problem.code for entry in refused} == {"staleEpoch"}
    assert {entry.order and entry.order.status for entry in await trader.place_array([bid(90_000), bid(89_000)])} == {
        "open"
    }


async def test_a_batch_decides_on_each_order(maker: Client) -> None:
    results = await maker.place_batch([bid(90_000), bid(89_000, "5000"), bid(88_000, trigger="stop", trigger_price=1)])
    assert [entry.problem and entry.problem.code for entry in results] == [None, "insufficientBalance", None]
    assert len(await open_ids(maker)) == 2


# ---------------------------------------------------------------------------------------------------------------------
# Getting out
# ---------------------------------------------------------------------------------------------------------------------


async def test_many_orders_are_canceled_at_once(maker: Client, trader: Trader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offchain.domain.ending.MAX_CANCELED", 2)
    buys = [await trader.place(bid(90_000 + step)) for step in range(5)]
    sell = await trader.place_limit("BTC-USDC", "sell", 99_000, "0.1")
    assert (await trader.cancel_all(market="ETH-USDC")).order_ids == []
    canceled = await trader.cancel_all(market="BTC-USDC", side="buy")
    assert (canceled.order_ids, canceled.remaining) == ([order.order_id for order in buys], 0)
    assert await open_ids(maker) == {sell.order_id}
    assert not any(trader.is_open(order.order_id) for order in buys)


async def test_silence_cancels(exchange: Exchange, maker: Client, trader: Trader) -> None:
    async with maker.subscribe(maker.trader_channel) as stream:
        heard = []
        async for message in stream:
            heard.append(message)
            if isinstance(message, TraderSnapshot):
                await trader.place(bid(90_000))
                assert (await trader.cancel_after(30)).cancels_at == NOW_MS + 30_000
                assert (await trader.cancel_after(0)).cancels_at is None
                await trader.cancel_after(10)
                exchange.clock.ms += 10_000
                await exchange.submit(Tick())
            if isinstance(message, OrderMessage) and message.data.code == "cancelAfter":
                break
    deadlines = [message.data.cancels_at for message in heard if isinstance(message, CancelAfterMessage)]
    assert deadlines == [NOW_MS + 30_000, None, NOW_MS + 10_000, None]
    with pytest.raises(ApiError) as caught:
        await trader.cancel_after(86_401)
    assert caught.value.param == "seconds"


async def test_an_api_key_gets_one_out(maker: Client, create_client: Any) -> None:
    made = await maker.create_key("guard", ["read", "cancel"])
    await maker.place(bid(90_000))
    guard = await create_client(None, api_key=made.secret)
    assert (await guard.cancel_after(60)).cancels_at == NOW_MS + 60_000
    assert len((await guard.cancel_all()).order_ids) == 1
    async with guard.order_socket() as socket:
        assert (await socket.cancel_all()).order_ids == []


# ---------------------------------------------------------------------------------------------------------------------
# Quotes
# ---------------------------------------------------------------------------------------------------------------------


async def test_quotes_move_together_and_keep_their_keys(maker: Client, trader: Trader) -> None:
    sheet = QuoteSheet(trader, "BTC-USDC")
    await sheet.quote([(90_000, "0.1"), (89_900, "0.1")], [(90_100, "0.1")])
    keys = {int((await maker.order(order_id)).nonce) >> 32 for order_id in sheet.orders.values()}
    await sheet.quote([(90_010, "0.1")], [(90_110, "0.1")])
    orders = [await maker.order(order_id) for order_id in sheet.orders.values()]
    assert sorted(order.price for order in orders) == ["90010", "90110"]
    assert await open_ids(maker) == {order.order_id for order in orders}
    assert {int(order.nonce) >> 32 for order in orders} < keys
    await sheet.cancel()
    assert (await open_ids(maker), sheet.orders) == (set(), {})
    with pytest.raises(ValueError, match="2 to 10"):
        await sheet.quote([(90_000, 1)], [])


async def test_a_level_whose_quote_would_take_keeps_the_old_one(maker: Client, create_client: Any) -> None:
    sheet = QuoteSheet(maker, "BTC-USDC")
    await sheet.quote([(90_000, "0.1")], [(91_000, "0.1")])
    before = dict(sheet.orders)
    await (await create_client(TAKER)).place_limit("BTC-USDC", "sell", 90_500, "0.1")
    buy, sell = await sheet.quote([(90_500, "0.1")], [(91_500, "0.1")])
    assert buy.problem is not None
    assert (buy.problem.code, sell.problem) == ("postOnlyWouldCross", None)
    assert sheet.orders["buy", 0] == before["buy", 0]
    assert await open_ids(maker) == set(sheet.orders.values())


async def test_after_a_lost_answer_the_market_is_cleared_first(maker: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    sheet = QuoteSheet(maker, "BTC-USDC")
    send = maker._carrier.place_array

    async def lose(array: Any) -> Any:
        await send(array)
        raise ApiError(0, "noAnswer", "lost", retryable=True)

    monkeypatch.setattr(maker._carrier, "place_array", lose)
    with pytest.raises(ApiError) as caught:
        await sheet.quote([(90_000, "0.1")], [(91_000, "0.1")])
    assert caught.value.order_id in await open_ids(maker)
    monkeypatch.undo()
    monkeypatch.setattr(client_module.time, "time", lambda: NOW_MS / 1000)
    await sheet.quote([(90_010, "0.1")], [(91_010, "0.1")])
    assert await open_ids(maker) == set(sheet.orders.values())


async def test_keys_are_not_given_away_while_a_replacement_is_under_way(maker: Client) -> None:
    """News of the old order's end may come before the answer about the new one."""
    old = await maker.place(bid(90_000))
    send = maker._carrier.place

    async def hear_first(order: Any, order_id: str) -> Any:
        answer = await send(order, order_id)
        maker._desk.nonces.ended(old.order_id)
        other = await maker._desk.draft(bid(80_000))
        assert other.nonce >> 32 != int(order.nonce) >> 32
        return answer

    maker._carrier.place = hear_first  # type: ignore[method-assign]
    new = await maker.place(bid(90_001, replaces=old.order_id))
    assert maker.is_open(new.order_id)


async def test_orders_over_a_socket_do_not_wait_for_each_other(maker: Client) -> None:
    async with maker.order_socket() as socket:
        placed = await asyncio.gather(*(socket.place(bid(90_000 - step, "0.01")) for step in range(40)))
    assert {order.status for order in placed} == {"open"}
    assert len(await open_ids(maker)) == 40

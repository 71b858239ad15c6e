"""The client against the service as it runs: what waits, many orders under one signature, sockets and restarts."""

from __future__ import annotations

import asyncio

import pytest

from offchain.api.schemas.stream import OrderMessage, TriggerMessage
from offchain.client import ApiError, NewOrder, QuoteSheet
from tests.e2e.exchange import PRICE, SYMBOL, eventually, listening

OPEN = ("open", "partiallyFilled")


@pytest.fixture
def exchange(local_upstream, tmp_path):
    with local_upstream.fork(tmp_path / "service") as exchange:
        yield exchange


def create_order(side, price, quantity="0.1", **more):
    return NewOrder(market=SYMBOL, side=side, price=price, quantity=quantity, **more)


async def is_open(trader, order):
    return trader.is_open(order.order_id)


async def test_a_stop_is_triggered_by_a_trade_and_settles(exchange):
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            await maker.place_limit(SYMBOL, "buy", PRICE - 200, "0.3")
            stop = await taker.place_market(
                SYMBOL, "sell", "0.2", PRICE - 1_000, trigger="stop", trigger_price=PRICE - 100
            )
            assert stop.waiting
            stop = await taker.amend(stop.order_id, trigger_price=PRICE - 150)
            assert (await taker.order(stop.order_id)).trigger.price == str(PRICE - 150)
            async with listening(taker, taker.trader_channel) as heard:
                await taker.place_market(SYMBOL, "sell", "0.1", PRICE - 200)
                reached = await heard.until(TriggerMessage, lambda message: True)
                assert (reached.data.order_id, reached.data.price) == (stop.order_id, str(PRICE - 200))
                ended = await heard.until(OrderMessage, lambda message: message.data.order_id == stop.order_id)
                assert (ended.data.status, ended.data.filled) == ("filled", "0.2")
            await exchange.until_settled(maker)
            assert await exchange.differences() == []


async def test_arrays_over_a_socket_settle(exchange):
    with exchange.running():
        async with exchange.clients() as (maker, taker), maker.order_socket() as socket:
            await exchange.until_indexed(maker)
            sheet = QuoteSheet(socket, SYMBOL)
            for step in range(3):
                middle = PRICE + step
                await sheet.quote(
                    [(middle - away, "0.1") for away in (10, 20)], [(middle + away, "0.1") for away in (10, 20)]
                )
                assert (await taker.place_market(SYMBOL, "buy", "0.15", PRICE + 100)).status == "filled"
            assert {order.order_id for order in (await maker.orders(status=OPEN)).orders} <= set(sheet.orders.values())
            await sheet.cancel()
            assert (await maker.orders(status=OPEN)).orders == []
            await exchange.until_settled(maker)
            assert await exchange.differences() == []


async def test_a_socket_outlives_a_restart(exchange):
    async with exchange.clients() as (maker, _):
        with exchange.running():
            await exchange.until_indexed(maker)
            socket = maker.order_socket()
            await socket.open()
            first = await socket.place(create_order("buy", PRICE - 1_000))
        placing = asyncio.create_task(socket.replace(first.order_id, create_order("buy", PRICE - 999)))
        with exchange.running():
            second = await placing
            assert {order.order_id for order in (await maker.orders(status=OPEN)).orders} == {second.order_id}
            assert (await socket.cancel_all()).order_ids == [second.order_id]
            await socket.close()


async def test_a_crash_of_the_service_cancels_what_it_was_told_to(exchange):
    async with exchange.clients() as (maker, _):
        with exchange.running() as service:
            await exchange.until_indexed(maker)
            socket = maker.order_socket(cancel_on_disconnect=True)
            await socket.open()
            resting = await socket.place(create_order("buy", PRICE - 1_000))
            service.kill_and_wait("core")
            order = await eventually(lambda: maker.order(resting.order_id), lambda found: found.status == "canceled")
            assert order.code == "disconnected"
            await eventually(lambda: is_open(socket, resting), lambda still: not still)
            with pytest.raises(ApiError, match="orderNotOpen"):
                await socket.cancel(resting.order_id)
            assert (await socket.place(create_order("buy", PRICE - 1_000))).status == "open"
            await socket.close()
            await eventually(lambda: maker.orders(status=OPEN), lambda page: not page.orders)

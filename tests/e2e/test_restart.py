"""Core and worker are killed while orders rest and fills wait for the chain: nothing is lost, nothing happens twice."""

from __future__ import annotations

import pytest

from tests.e2e.exchange import PRICE, SYMBOL, create_order, create_signer, eventually, post

OPEN = ("open", "partiallyFilled")


@pytest.mark.parametrize("role", ["core", "worker"])
async def test_kill_loses_nothing_and_repeats_nothing(create_exchange, role):
    exchange = create_exchange(BATCH_SECONDS="4")
    with exchange.running() as service:
        signer = await create_signer(exchange, exchange.roles.maker)
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            bodies = [create_order(signer, "sell", PRICE + step, "0.1", key=step) for step in range(1, 21)]
            answers = [await post(exchange, body) for body in bodies]
            assert {answer.body["status"] for answer in answers} == {"open"}
            bought = await taker.place_market(SYMBOL, "buy", "0.55", PRICE + 100)
            ids = [fill.trade_id for fill in bought.fills]
            assert len(ids) == 6
            resting = {order.order_id: order.filled for order in (await maker.orders(status=OPEN)).orders}
            assert sorted(resting.values()) == ["0"] * 14 + ["0.05"]
            assert (await taker.status()).queued_fills == 6

            service.kill_and_wait(role)

            again = [await post(exchange, body) for body in bodies]
            assert [answer.body for answer in again] == [answer.body for answer in answers]
            assert ({answer.status for answer in answers}, {answer.status for answer in again}) == ({201}, {200})
            assert {order.order_id: order.filled for order in (await maker.orders(status=OPEN)).orders} == resting
            later = await taker.place_market(SYMBOL, "buy", "0.1", PRICE + 100)
            ids += [fill.trade_id for fill in later.fills]
            await exchange.until_settled(taker)
            assert exchange.chain.fill_ids(first_batch=2) == ids
            assert await exchange.differences() == []


async def test_worker_killed_while_its_transaction_waits_settles_once(create_exchange):
    exchange = create_exchange()
    chain = exchange.chain
    with exchange.running() as service:
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            await maker.place_limit(SYMBOL, "sell", PRICE, 1)
            chain.hold_transactions()
            bought = await taker.place_market(SYMBOL, "buy", "0.3", PRICE)

            async def waiting() -> int:
                return chain.waiting_transactions()

            await eventually(waiting, lambda count: count == 1)
            service.kill_and_wait("worker")
            assert chain.last_batch() == 1
            chain.release_transactions()
            await exchange.until_settled(taker)
            await taker.place_market(SYMBOL, "buy", "0.1", PRICE)
            await exchange.until_settled(taker)
            assert chain.last_batch() == 3
            assert chain.fill_ids(first_batch=2)[0] == bought.fills[0].trade_id
            assert len(chain.fill_ids(first_batch=2)) == 2
            assert await exchange.differences() == []


async def test_both_killed_at_once_recover(create_exchange):
    exchange = create_exchange(BATCH_SECONDS="4")
    with exchange.running() as service:
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            resting = await maker.place_limit(SYMBOL, "sell", PRICE, 1)
            bought = await taker.place_market(SYMBOL, "buy", "0.3", PRICE)
            service.kill("worker")
            service.kill_and_wait("core")
            assert (await maker.order(resting.order_id)).filled == "0.3"
            assert (await maker.cancel(resting.order_id)).remaining == "0.7"
            await exchange.until_settled(taker)
            assert exchange.chain.fill_ids(first_batch=2) == [bought.fills[0].trade_id]
            assert await exchange.differences() == []

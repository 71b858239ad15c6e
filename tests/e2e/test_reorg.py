"""Blocks that stop being canonical: their deposits are taken back, their batches settle again."""

from __future__ import annotations

import pytest

from offchain.client import ApiError
from tests.e2e.chain import USDC
from tests.e2e.exchange import PRICE, SYMBOL, eventually


async def deposit_of(client, receipt):
    """The deposit that a transaction made, as the service tells of it; None if it does not."""
    deposits = await client.deposits()
    tx_hash = receipt["transactionHash"].to_0x_hex()
    return next((deposit.status for deposit in deposits if deposit.tx_hash == tx_hash), None)


async def test_credited_deposit_is_taken_back_with_the_orders_that_relied_on_it(create_exchange):
    exchange = create_exchange()
    chain = exchange.chain
    trader = chain.create_account("trader")
    chain.give(trader, usdc=30_000 * USDC)
    chain.deposit_usdc(trader, 10_000 * USDC)
    with exchange.running() as service:
        async with exchange.clients(trader) as (client,):
            await exchange.until_indexed(client)
            covered = await client.place_limit(SYMBOL, "buy", 60_000, "0.1")
            snapshot = chain.snapshot()
            receipt = chain.deposit_usdc(trader, 20_000 * USDC)
            await eventually(lambda: deposit_of(client, receipt), lambda status: status == "credited")
            relying = await client.place_limit(SYMBOL, "buy", 60_000, "0.3")
            assert relying.status == "open"

            chain.reorganise(snapshot)

            await eventually(lambda: deposit_of(client, receipt), lambda status: status == "reverted")
            order = await client.order(relying.order_id)
            assert (order.status, order.code) == ("canceled", "reorg")
            assert (await client.order(covered.order_id)).status == "open"
            balance = (await client.balances())["USDC"]
            assert (balance.settled, balance.reserved, balance.available) == ("10000", "6030", "3970")
            assert service.is_ready()
            assert await exchange.differences(trader) == []


async def test_unconfirmed_deposit_is_not_credited_and_reverts(create_exchange):
    exchange = create_exchange(is_new=True, CONFIRMATIONS="3")
    chain = exchange.chain
    trader = chain.create_account("trader")
    chain.give(trader, usdc=30_000 * USDC)
    with exchange.running():
        async with exchange.clients(trader) as (client,):
            await exchange.until_indexed(client)
            snapshot = chain.snapshot()
            receipt = chain.deposit_usdc(trader, 10_000 * USDC)
            chain.mine()
            await exchange.until_indexed(client)
            assert await deposit_of(client, receipt) == "pending"
            with pytest.raises(ApiError, match="insufficientBalance"):
                await client.place_limit(SYMBOL, "buy", 60_000, "0.1")

            chain.reorganise(snapshot)

            await eventually(lambda: deposit_of(client, receipt), lambda status: status == "reverted")
            again = chain.deposit_usdc(trader, 20_000 * USDC)
            chain.mine(2)
            await eventually(lambda: deposit_of(client, again), lambda status: status == "credited")
            assert (await client.balances())["USDC"].available == "20000"
            assert await exchange.differences(trader) == []


async def test_deposit_that_was_deep_enough_is_taken_back_by_a_deeper_reorganisation(create_exchange):
    exchange = create_exchange(is_new=True, CONFIRMATIONS="3")
    chain = exchange.chain
    trader = chain.create_account("trader")
    chain.give(trader, usdc=30_000 * USDC)
    with exchange.running():
        async with exchange.clients(trader) as (client,):
            snapshot = chain.snapshot()
            receipt = chain.deposit_usdc(trader, 10_000 * USDC)
            chain.mine(2)
            await eventually(lambda: deposit_of(client, receipt), lambda status: status == "credited")
            placed = await client.place_limit(SYMBOL, "buy", 60_000, "0.1")

            chain.reorganise(snapshot)

            await eventually(lambda: deposit_of(client, receipt), lambda status: status == "reverted")
            assert (await client.order(placed.order_id)).status == "canceled"
            assert (await client.balances())["USDC"].available == "0"
            assert await exchange.differences(trader) == []


async def test_fill_that_relied_on_a_lost_deposit_is_busted(create_exchange):
    exchange = create_exchange(BATCH_SECONDS="600")
    chain = exchange.chain
    trader = chain.create_account("trader")
    chain.give(trader, usdc=30_000 * USDC)
    with exchange.running():
        async with exchange.clients(exchange.roles.maker, trader) as (maker, taker):
            await exchange.until_indexed(maker)
            before = await maker.balances()
            snapshot = chain.snapshot()
            receipt = chain.deposit_usdc(trader, 30_000 * USDC)
            await eventually(lambda: deposit_of(taker, receipt), lambda status: status == "credited")
            await maker.place_limit(SYMBOL, "sell", PRICE, "0.2")
            assert (await taker.place_market(SYMBOL, "buy", "0.2", PRICE)).status == "filled"

            chain.reorganise(snapshot)

            await eventually(lambda: deposit_of(taker, receipt), lambda status: status == "reverted")
            assert [fill.settlement.state for fill in (await taker.fills()).fills] == ["busted"]
            assert (await maker.fills()).fills[0].settlement.state == "busted"
            assert (await taker.status()).queued_fills == 0
            assert await maker.balances() == before
            assert (await taker.balances())["USDC"].available == "0"


async def test_settled_batch_that_is_lost_settles_again_under_its_number(create_exchange):
    # Unlike other nodes, Anvil does not put a forgotten transaction back into its pool: the settler has to miss it.
    exchange = create_exchange(STUCK_SECONDS="1")
    chain = exchange.chain
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            await maker.place_limit(SYMBOL, "sell", PRICE, 1)
            snapshot = chain.snapshot()
            bought = await taker.place_market(SYMBOL, "buy", "0.3", PRICE)
            await exchange.until_settled(taker)
            assert chain.last_batch() == 2

            chain.reorganise(snapshot)
            assert chain.last_batch() == 1
            await exchange.until_indexed(taker)
            await exchange.until_settled(taker)

            assert chain.last_batch() == 2
            assert chain.fill_ids(first_batch=2) == [bought.fills[0].trade_id]
            (fill,) = [fill for fill in (await taker.fills()).fills if fill.trade_id == bought.fills[0].trade_id]
            assert fill.settlement.batch == 2
            assert fill.settlement.state in ("settled", "confirmed")
            assert chain.receipt(fill.settlement.tx_hash)["status"] == 1
            await taker.place_market(SYMBOL, "buy", "0.2", PRICE)
            await exchange.until_settled(taker)
            assert chain.last_batch() == 3
            assert await exchange.differences() == []

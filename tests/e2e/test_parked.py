"""A batch that the chain refuses: it is parked and its market halts, until the operator retries or busts.

The cause is real: the market is paused on chain, and trades go on for as long as the service has not heard of it.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from offchain.client import ApiError
from tests.e2e.exchange import PRICE, SYMBOL, eventually

ACTIVE, PAUSED = 1, 2
"""IMarketRegistry.Status"""


@pytest.fixture
def exchange(create_exchange):
    return create_exchange()


def set_status(exchange, sender, status):
    chain = exchange.chain
    chain.send(sender, chain.registry.functions.setStatus(chain.market, status))


async def trade_in_vain(exchange, service, maker, taker):
    """Trade after the market was paused on chain; the id of the fill, whose batch is parked on return."""
    chain = exchange.chain
    with service.paused("worker"):
        set_status(exchange, exchange.roles.guardian, PAUSED)
        # Match times are whole seconds on chain; the match has to be in a later one than the pause.
        await asyncio.sleep(max(0.0, chain.head_time() + 1 - time.time()))
        await maker.place_limit(SYMBOL, "sell", PRICE, 1)
        bought = await taker.place_market(SYMBOL, "buy", "0.3", PRICE)
        chain.mine()
    await eventually(taker.status, lambda status: status.parked_batch == 2 and status.views_seq >= status.seq)
    return bought.fills[0].trade_id


async def market_of(client):
    return next(market for market in (await client.markets(refresh=True)).markets if market.symbol == SYMBOL)


async def test_parked_batch_halts_its_market_and_settles_on_retry(exchange):
    with exchange.running() as service:
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            fill_id = await trade_in_vain(exchange, service, maker, taker)
            assert not service.is_ready()
            assert "batch 2 is parked: MarketNotActive" in service.reasons()
            shown = exchange.command("settlement", "status")
            assert shown.returncode == 0, shown.stderr
            assert "batch 2: parked: MarketNotActive" in shown.stdout
            assert f"market {SYMBOL} is halted" in shown.stdout
            assert "1 fills" in shown.stdout

            set_status(exchange, exchange.roles.owner, ACTIVE)
            await exchange.until_indexed(taker)
            assert "MarketNotActive" in (await market_of(taker)).reason
            with pytest.raises(ApiError, match="marketNotActive"):
                await taker.place_limit(SYMBOL, "buy", 60_000, "0.1")
            assert exchange.chain.last_batch() == 1, "nobody has asked for another attempt"

            retried = exchange.command("settlement", "retry")
            assert (retried.returncode, retried.stdout) == (0, "batch 2 is tried again\n"), retried.stderr
            await exchange.until_settled(taker)
            assert exchange.chain.fill_ids(first_batch=2) == [fill_id]
            service.wait_ready()
            assert (await market_of(taker)).status == "active"
            await taker.place_market(SYMBOL, "buy", "0.1", PRICE)
            await exchange.until_settled(taker)
            assert exchange.chain.last_batch() == 3
            assert await exchange.differences() == []


async def test_busted_fills_leave_balances_as_before_and_trading_goes_on(exchange):
    chain, roles = exchange.chain, exchange.roles
    with exchange.running() as service:
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            before = [await client.balances() for client in (maker, taker)]
            shares = [chain.shares_of(trader) for trader in (roles.maker, roles.taker)]
            fill_id = await trade_in_vain(exchange, service, maker, taker)

            busted = exchange.command("settlement", "bust", "--all-parked", "--reason", "marketPaused")
            assert busted.returncode == 0, busted.stderr
            assert f"busted {fill_id}" in busted.stdout
            fills = await eventually(taker.fills, lambda found: found.fills[0].settlement.state == "busted")
            assert fills.fills[0].trade_id == fill_id
            assert (await maker.fills()).fills[0].settlement.state == "busted"
            assert [await client.balances() for client in (maker, taker)] == before
            assert (await maker.orders(status=("open", "partiallyFilled"))).orders == []

            set_status(exchange, roles.owner, ACTIVE)
            await exchange.until_indexed(taker)
            service.wait_ready()
            await maker.place_limit(SYMBOL, "sell", PRICE, "0.1")
            bought = await taker.place_market(SYMBOL, "buy", "0.1", PRICE)
            await exchange.until_settled(taker)
            assert chain.fill_ids(first_batch=2) == [bought.fills[0].trade_id]
            notional, fee = 6_400_000_000, 32_000_000
            assert chain.shares_of(roles.maker) == shares[0] + notional - fee
            assert chain.shares_of(roles.taker) == shares[1] - notional - fee


async def test_forced_withdrawal_takes_its_fills_with_it(exchange):
    """The owner of a request waits out the window while the service does not listen, and trades on meanwhile."""
    chain = exchange.chain
    with exchange.running() as service:
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            before = await maker.balances()
            with service.paused("worker"):
                account = exchange.roles.taker
                chain.send(account, chain.vault.functions.withdraw(chain.shares_of(account), False))
                chain.pass_time(3600)
                chain.send(account, chain.queue.functions.settle(account.address, 0, 0))
                await maker.place_limit(SYMBOL, "sell", PRICE, 1)
                assert (await taker.place_market(SYMBOL, "buy", "0.3", PRICE)).status == "filled"
            fills = await eventually(taker.fills, lambda found: found.fills[0].settlement.state == "busted")
            assert fills.fills[0].quantity == "0.3"
            assert await maker.balances() == before
            assert (await taker.balances())["USDC"].available == "0"
            assert chain.last_batch() == 1
            assert (await taker.status()).parked_batch is None
            assert service.is_ready()

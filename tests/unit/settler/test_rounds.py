"""Batches of markets that are paid at an oracle's rate."""

from __future__ import annotations

import pytest

from offchain.domain.market import USDC
from offchain.domain.oracle import Round
from offchain.domain.order import Side
from tests.unit.settler.conftest import CreateSettler
from tests.unit.settler.play import assert_settled_once, parked_batches, settle, trade
from tests.utils.fakechain import FakeChain
from tests.utils.service import CROSS_PRICE, ETH, ETH_BTC, Service
from tests.utils.signing import Trader

RATE = 50_000 * 10**6
USD = 10**18


@pytest.fixture
async def cross(service: Service, chain: FakeChain, maker: Trader, taker: Trader) -> Service:
    """With ETH-BTC, where both traders have 100 ETH, and a price of 50,000 USD per BTC."""
    chain.push_price(50_000 * USD)
    chain.list_market(ETH_BTC)
    for trader in (maker, taker):
        chain.deposit(trader.address, ETH, 100 * 10**18)
    chain.mine()
    await service.sync()
    await service.tell_price()
    return service


async def cross_trade(service: Service, maker: Trader, taker: Trader, quantity: int = 10) -> None:
    terms = {"market": ETH_BTC}
    await service.place(maker, Side.SELL, quantity, CROSS_PRICE, conversion_limit=1, **terms)
    await service.place(taker, Side.BUY, quantity, CROSS_PRICE, conversion_limit=10 * RATE, **terms)


def assert_same_eth(service: Service, *traders: Trader) -> None:
    for trader in traders:
        assert service.settled(trader.address, ETH) == service.chain.ledger.base[trader.address, ETH]


async def test_fills_settle_at_the_round_that_they_were_matched_at(
    cross: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    await cross_trade(cross, maker, taker)
    await trade(cross, maker, taker)
    chain.mine(20)
    chain.push_price(51_000 * USD)
    await cross.sync()
    await cross.tell_price()
    await cross_trade(cross, maker, taker)
    settler = create_settler(batch_seconds=0)
    await settle(settler, cross)
    assert_settled_once(cross, maker, taker)
    assert_same_eth(cross, maker, taker)
    assert chain.ledger.number == 2
    rates = [one.conversion.rate for one in cross.trades if one.conversion is not None]
    assert rates == [RATE, RATE * 51 // 50]


async def test_a_round_that_came_after_the_batch_began_waits_for_the_next(
    cross: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    await trade(cross, maker, taker)
    chain.mine(20)
    chain.push_price(51_000 * USD)
    await cross.sync()
    await cross.tell_price()
    await cross_trade(cross, maker, taker)
    settler = create_settler(batch_seconds=0)
    await settle(settler, cross)
    assert_settled_once(cross, maker, taker)
    assert chain.ledger.number == 2


async def test_a_round_with_another_price_is_not_sent(
    cross: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    await trade(cross, maker, taker)
    await cross_trade(cross, maker, taker)
    chain.set_round(Round(1, 49_999 * USD, chain.rounds[0].updated_at))
    settler = create_settler(batch_seconds=0)
    await settle(settler, cross)
    (parked,) = parked_batches(cross)
    assert "another price" in parked.reason
    assert parked.item == 2
    assert chain.sent == []
    # Told of the new round, the core drops the fill, and the other one settles.
    await cross.tell_price()
    await settle(settler, cross)
    assert_settled_once(cross, maker, taker)
    assert chain.ledger.number == 1


async def test_past_its_deadline_a_batch_may_have_lost_its_round(
    cross: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    await cross_trade(cross, maker, taker)
    chain.mine(30)
    chain.push_price(51_000 * USD)
    chain.mine(2_000)
    await cross.sync()
    settler = create_settler(batch_seconds=0)
    await settle(settler, cross)
    (parked,) = parked_batches(cross)
    assert parked.reason.startswith("WrongRound(")
    assert cross.core.status().batch_status == "parked"
    assert cross.core.balances(taker.address)[0].asset == USDC

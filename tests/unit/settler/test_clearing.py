"""Batches of derivatives: positions on both sides, and the one match that may not settle."""

from __future__ import annotations

import pytest

from offchain.domain.commands import Bust
from offchain.domain.order import Side
from offchain.domain.results import Done
from tests.unit.settler.conftest import CreateSettler
from tests.unit.settler.play import assert_settled_once, parked_batches, settle, trade
from tests.utils.fakechain import FakeChain
from tests.utils.service import PERP, PRICE, Service
from tests.utils.signing import Trader

USD = 10**18


@pytest.fixture
async def perp(service: Service, chain: FakeChain) -> Service:
    """With BTC-PERP, at 50,000 USD per BTC."""
    chain.push_price(50_000 * USD)
    chain.list_market(PERP)
    chain.mine()
    await service.sync()
    await service.tell_price()
    return service


async def open_position(service: Service, maker: Trader, taker: Trader, quantity: int = 10) -> None:
    await service.place(maker, Side.SELL, quantity, PRICE, market=PERP)
    await service.place(taker, Side.BUY, quantity, PRICE, market=PERP)


async def test_positions_are_the_chains(
    perp: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    await open_position(perp, maker, taker)
    await trade(perp, maker, taker)
    settler = create_settler(batch_seconds=0)
    await settle(settler, perp)
    await perp.place(taker, Side.SELL, 4, PRICE, market=PERP, reduce_only=True)
    await perp.place(maker, Side.BUY, 4, PRICE, market=PERP)
    await settle(settler, perp)
    assert_settled_once(perp, maker, taker)
    for trader, size in ((maker, -6), (taker, 6)):
        (view,) = perp.core.positions(trader.address, perp.now_ms())
        assert (view.update.size, view.update.settled_size) == (size, size)
        assert chain.ledger.positions[trader.address, PERP.id].size == size
    assert chain.ledger.number == 2


async def test_a_violent_move_refuses_a_leveraged_fill(
    perp: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    await trade(perp, maker, taker)
    await open_position(perp, maker, taker)
    chain.push_price(47_000 * USD)
    chain.mine()
    await perp.sync()
    settler = create_settler(batch_seconds=0)
    await settle(settler, perp)
    (parked,) = parked_batches(perp)
    assert parked.reason.startswith("Undermargined(")
    fill = perp.trades[1]
    assert parked.item == fill.item
    assert await perp.execute(Bust([fill.id], "undermargined")) == Done()
    await settle(settler, perp)
    assert_settled_once(perp, maker, taker)
    assert perp.core.positions(taker.address, perp.now_ms()) == []

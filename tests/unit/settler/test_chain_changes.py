"""Settlement around what traders and the owner change on chain: fees, epochs, delegates."""

from __future__ import annotations

import msgspec

from offchain.domain.commands import BatchClosed, Bust
from offchain.domain.order import Side
from offchain.domain.results import PlaceResult
from tests.unit.settler.conftest import CreateSettler
from tests.unit.settler.play import assert_settled_once, parked_batches, settle, status_of, trade
from tests.utils.fakechain import FakeChain
from tests.utils.service import Service
from tests.utils.signing import Trader

HALF_WINDOW = 1_800


def closed(service: Service) -> list[tuple[int, int, int]]:
    return [(c.first, c.last, c.matched_at) for c in service.commands if isinstance(c, BatchClosed)]


async def test_fills_around_a_change_of_the_fee_settle_in_two_batches(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    change = chain.now + 10
    chain.schedule_fee(10, change)
    chain.mine()
    await service.sync()
    settler = create_settler(batch_seconds=0)
    await trade(service, maker, taker, count=2)
    while chain.now < change:
        chain.mine()
    await service.sync()
    await trade(service, maker, taker, count=2)
    await settle(settler, service)
    assert_settled_once(service, maker, taker)
    (_, last, before), (first, _, after) = closed(service)
    assert (last, first) == (2, 3)
    assert before < change <= after
    fees = [fill.maker_fee for fill in service.trades]
    assert fees[0] == 5 * fees[-1]


async def test_no_batch_is_dated_before_the_fee_of_its_fills(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    """The newest block may be older than the change when the first fills after it are settled."""
    change = chain.now + 10
    chain.schedule_fee(10, change)
    chain.mine()
    await service.sync()
    chain.now = change
    await trade(service, maker, taker)
    assert await chain.head_time() < change
    await settle(create_settler(batch_seconds=0), service)
    assert_settled_once(service, maker, taker)
    assert closed(service) == [(1, 1, change)]


async def test_a_late_batch_is_not_dated_beyond_the_change(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    await trade(service, maker, taker)
    change = chain.now + HALF_WINDOW
    chain.schedule_fee(10, change)
    chain.mine()
    await service.sync()
    chain.mine(2 * HALF_WINDOW)
    await settle(create_settler(batch_seconds=0), service)
    (batch,) = parked_batches(service)
    assert f"before the fee changed at {change}" in batch.reason
    await service.execute(Bust([service.trades[0].id], "late"))
    assert await status_of(service, 1) == "reopened"


async def test_a_late_batch_is_dated_anew_before_the_change(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    await trade(service, maker, taker)
    change = chain.now + HALF_WINDOW + 100
    chain.schedule_fee(10, change)
    chain.mine()
    await service.sync()
    # The lowest time is 50 s before the change; a third of the range would lie beyond it.
    chain.mine(HALF_WINDOW + HALF_WINDOW + 49)
    await settle(create_settler(batch_seconds=0), service)
    assert_settled_once(service, maker, taker)
    assert closed(service)[-1][2] == change - 1


async def test_orders_of_the_new_epoch_settle(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    chain.bump_epoch(maker.address)
    chain.mine()
    await service.sync()
    await service.place(maker, Side.SELL, 10, epoch=1)
    await service.place(taker, Side.BUY, 10)
    await settle(create_settler(batch_seconds=0), service)
    assert_settled_once(service, maker, taker)
    assert service.core.status().last_batch == 1


async def test_orders_that_a_delegate_signed_settle(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    delegate = Trader.named("delegate")
    chain.set_delegate(maker.address, delegate.address, chain.now + 60)
    chain.mine()
    await service.sync()
    order = service.order(maker, Side.SELL, 10)
    command = msgspec.structs.replace(service.placement(delegate, order), delegate=delegate.address)
    result = await service.execute(command)
    assert isinstance(result, PlaceResult)
    assert result.status == "open"
    await service.place(taker, Side.BUY, 10)
    await settle(create_settler(batch_seconds=0), service)
    assert_settled_once(service, maker, taker)
    assert service.core.status().last_batch == 1

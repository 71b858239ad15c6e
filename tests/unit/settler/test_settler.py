"""The settler against the real core and views, and a chain in memory that settles with the pure model."""

from __future__ import annotations

import asyncio

import pytest

from offchain.batching import BATCH_GAS, FILL_GAS, ORDER_GAS, TRANSACTION_GAS_CAP
from offchain.domain.commands import BatchClosed, BatchRetry
from offchain.domain.order import Side, TimeInForce
from tests.utils.fakechain import FakeChain
from tests.utils.service import Service
from tests.utils.signing import Trader

from .conftest import CreateSettler
from .play import assert_settled_once, settle, status_of, trade

# ---------------------------------------------------------------------------------------------------------------------
# Batches
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_batch_is_closed_when_its_oldest_fill_is_old_enough(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(batch_seconds=30)
    await trade(service, maker, taker)
    chain.mine(29)
    await service.sync()
    await settler.step()
    assert chain.sent == []
    chain.mine(1)
    await service.sync()
    await settle(settler, service)
    assert len(chain.sent) == 1
    assert await status_of(service, 1) == "confirmed"
    assert_settled_once(service, maker, taker)


async def test_a_full_batch_is_closed_at_once(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(fills=2)
    await trade(service, maker, taker, count=5)
    await settle(settler, service)
    assert [await status_of(service, number) for number in (1, 2, 3)] == ["confirmed", "confirmed", None]
    assert service.core.status().unsettled_fills == 1


async def test_a_change_of_a_markets_status_closes_the_batch(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler()
    await trade(service, maker, taker)
    await settler.step()
    chain.mine()
    chain.pause(2)
    chain.mine()
    await service.sync()
    await settle(settler, service)
    assert_settled_once(service, maker, taker)


async def test_nothing_is_sent_before_it_is_journaled(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(fills=1)
    await trade(service, maker, taker)
    await settler.step()
    assert chain.sent == []
    assert isinstance(service.commands[-1], BatchClosed)
    assert await status_of(service, 1) == "closed"


async def test_the_match_time_is_not_later_than_the_newest_block(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    head = chain.head.time
    chain.now += 5
    await trade(service, maker, taker)
    await create_settler(fills=1).step()
    closed = service.commands[-1]
    assert isinstance(closed, BatchClosed)
    assert closed.matched_at == head


# ---------------------------------------------------------------------------------------------------------------------
# Transactions that do not arrive, revert, or are undone
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_lost_transaction_is_sent_again_with_the_same_bytes(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(fills=1, resend_seconds=60)
    await trade(service, maker, taker)
    chain.is_losing = True
    await settle(settler, service, rounds=3)
    assert len(chain.sent) == 1
    chain.is_losing = False
    await settle(settler, service, rounds=8, seconds=30)
    assert len(chain.sent) == 2
    assert chain.sent[0].data == chain.sent[1].data
    assert_settled_once(service, maker, taker)


async def test_gas_is_limited_by_the_model_of_the_batch(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(fills=2)
    await trade(service, maker, taker, count=2)
    await settle(settler, service)
    (limit,) = [transaction.gas for transaction in chain.sent]
    assert limit is not None
    assert BATCH_GAS + 2 * FILL_GAS + 3 * ORDER_GAS < limit < TRANSACTION_GAS_CAP // 10


async def test_a_batch_that_needs_more_than_its_model_is_left_to_the_nodes_estimate(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    chain.gas_needed = TRANSACTION_GAS_CAP
    await trade(service, maker, taker)
    await settle(create_settler(fills=1), service)
    assert [transaction.gas for transaction in chain.sent] == [None]
    assert_settled_once(service, maker, taker)


async def test_a_batch_that_reverts_although_simulation_succeeds_is_parked(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(fills=1, max_reverts=3)
    await trade(service, maker, taker)
    chain.is_reverting = True
    await settle(settler, service, rounds=20)
    first, *others = [transaction.gas for transaction in chain.sent]
    assert first is not None
    assert others == [None, None], "after a revert the node estimates"
    assert await status_of(service, 1) == "parked"
    chain.is_reverting = False
    await service.execute(BatchRetry(1))
    await settle(settler, service)
    assert_settled_once(service, maker, taker)


async def test_what_simulation_did_not_see_is_given_time_to_pass(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(fills=1, retry_seconds=5)
    await trade(service, maker, taker)
    chain.is_reverting = True
    await settle(settler, service, rounds=8, seconds=0)
    assert len(chain.sent) == 1
    chain.is_reverting = False
    await settle(settler, service, rounds=4, seconds=5)
    assert_settled_once(service, maker, taker)


@pytest.mark.parametrize("keeps_transactions", [True, False])
async def test_a_reorganised_batch_is_settled_again_and_once(
    service: Service,
    chain: FakeChain,
    create_settler: CreateSettler,
    maker: Trader,
    taker: Trader,
    keeps_transactions: bool,
) -> None:
    settler = create_settler(fills=2, resend_seconds=5)
    await trade(service, maker, taker, count=2)
    while await status_of(service, 1) != "confirmed":
        await settle(settler, service, rounds=1)
    chain.reorganise(1, keeps_transactions=keeps_transactions)
    chain.mine()
    await service.sync()
    await settle(settler, service, rounds=20)
    assert_settled_once(service, maker, taker)
    assert chain.ledger.number == 1


async def test_the_settler_waits_while_views_and_chain_disagree(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(fills=1)
    await trade(service, maker, taker, count=2)
    for _ in range(10):  # the indexer sleeps
        await settler.step()
        chain.mine()
    assert len(chain.sent) == 1
    await settle(settler, service)
    assert_settled_once(service, maker, taker)


# ---------------------------------------------------------------------------------------------------------------------
# The end, and starting again
# ---------------------------------------------------------------------------------------------------------------------


async def test_drain_settles_what_is_pending_without_waiting(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(batch_seconds=10_000)
    await trade(service, maker, taker, count=3)
    running = asyncio.create_task(settler.run())
    draining = asyncio.create_task(settler.drain(10))
    while not draining.done():
        await asyncio.sleep(0.005)
        chain.mine()
        await service.sync()
    assert await draining is True
    settler.stop()
    await running
    assert_settled_once(service, maker, taker)


async def test_drain_waits_for_matches_that_the_views_do_not_show_yet(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(batch_seconds=10_000, drain_quiet_seconds=1)
    service.is_lagging = True
    await trade(service, maker, taker)
    running = asyncio.create_task(settler.run())
    draining = asyncio.create_task(settler.drain(10))
    await asyncio.sleep(0.05)
    assert not draining.done()
    service.is_lagging = False
    await service.catch_up()
    while not draining.done():
        await asyncio.sleep(0.005)
        chain.mine()
        await service.sync()
    settler.stop()
    await running
    assert_settled_once(service, maker, taker)


async def test_drain_does_not_wait_for_a_parked_batch(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler()
    await trade(service, maker, taker)
    chain.ledger.usdc[taker.address] = 0
    running = asyncio.create_task(settler.run())
    assert await asyncio.wait_for(settler.drain(60), 5) is False
    settler.stop()
    await running


async def test_a_restarted_settler_waits_for_the_transaction_that_was_sent(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    await trade(service, maker, taker)
    first = create_settler(fills=1)
    while not chain.sent:
        await first.step()
    second = create_settler(fills=1)
    await second.step()
    await second.step()
    assert len(chain.sent) == 1
    await settle(second, service)
    assert len(chain.sent) == 1
    assert_settled_once(service, maker, taker)


async def test_ioc_fills_stay_in_one_batch(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(fills=2)
    await trade(service, maker, taker)
    for _ in range(3):
        await service.place(maker, Side.SELL, 1)
    expiry = chain.now + 1000
    await service.place(taker, Side.BUY, 3, time_in_force=TimeInForce.IOC, expiry=expiry)
    await settle(settler, service, seconds=20)
    sizes = [len(log.fill_ids) for b in chain.chain for log in b.header.logs if hasattr(log, "fill_ids")]
    assert sizes == [1, 3]
    assert_settled_once(service, maker, taker)

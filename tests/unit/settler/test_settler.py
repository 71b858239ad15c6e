"""The settler against the real core and views, and a chain in memory that settles with the pure model."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from offchain.catalogue import Catalogue
from offchain.domain.batch import Halt, KeyState
from offchain.domain.commands import BatchClosed, BatchParked, BatchRetry, Bust, PlaceOrder
from offchain.domain.events import Done, TradeBusted
from offchain.domain.market import USDC
from offchain.domain.order import Side, TimeInForce
from offchain.ports import Overloaded, Unavailable
from offchain.settler import Settler
from tests.utils.fakechain import FakeChain
from tests.utils.service import BTC, Service
from tests.utils.signing import Trader

from .conftest import CreateSettler


async def trade(service: Service, maker: Trader, taker: Trader, count: int = 1, quantity: int = 10) -> None:
    """`count` fills: the maker sells, the taker buys."""
    for _ in range(count):
        await service.place(maker, Side.SELL, quantity)
        await service.place(taker, Side.BUY, quantity)


async def settle(settler: Settler, service: Service, rounds: int = 12, seconds: int = 1) -> None:
    """Let the settler, the chain and the indexer take turns."""
    for _ in range(rounds):
        await settler.step()
        service.chain.mine(seconds)
        await service.sync()


def assert_settled_once(service: Service, *traders: Trader) -> None:
    """Every fill is on chain exactly once, and both sides know the same balances."""
    settled = [
        fill for block in service.chain.chain for log in block.header.logs for fill in getattr(log, "fill_ids", [])
    ]
    busted = {event.id for event in service.events if isinstance(event, TradeBusted)}
    assert settled == [fill.id for fill in service.trades if fill.id not in busted]
    assert service.core.status().unsettled_fills == 0
    assert service.core.status().diverged == ""
    ledger = service.chain.ledger
    for account in [*(trader.address for trader in traders), ledger.engine]:
        assert service.settled(account, USDC) == ledger.usdc.get(account, 0)
        assert service.settled(account, BTC) == ledger.base.get((account, BTC), 0)


def parked_batches(service: Service) -> list[BatchParked]:
    return [command for command in service.commands if isinstance(command, BatchParked)]


async def status_of(service: Service, number: int) -> str | None:
    row = await service.views.batch(number)
    return None if row is None else row.status


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


async def test_a_batch_that_reverts_although_simulation_succeeds_is_parked(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(fills=1, max_reverts=3)
    await trade(service, maker, taker)
    chain.is_reverting = True
    await settle(settler, service, rounds=20)
    assert len(chain.sent) == 3
    assert await status_of(service, 1) == "parked"
    chain.is_reverting = False
    await service.execute(BatchRetry(1))
    await settle(settler, service)
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
# Failures
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_batch_past_its_deadline_is_dated_anew(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler()
    await trade(service, maker, taker)
    matched_at = chain.now
    chain.mine(4000)
    await service.sync()
    await settle(settler, service)
    row = await service.views.batch(1)
    assert row is not None
    assert row.matched_at > matched_at
    assert_settled_once(service, maker, taker)


async def test_a_halt_is_waited_out(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(fills=1)
    await trade(service, maker, taker)
    chain.ledger.halt = Halt(chain.now, chain.now + 100)
    await settle(settler, service, rounds=5)
    assert chain.sent == []
    assert await status_of(service, 1) == "closed"
    chain.mine(100)
    await settle(settler, service)
    assert_settled_once(service, maker, taker)


async def test_the_error_names_the_item_that_is_parked(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(fills=3)
    await trade(service, maker, taker, count=3)
    second = service.trades[1]
    placed = next(c for c in service.commands if isinstance(c, PlaceOrder) and c.order_hash == second.maker_hash)
    chain.ledger.keys[maker.address, BTC, placed.order.key] = KeyState(sequence=9)
    await settle(settler, service, rounds=4)
    (parked,) = parked_batches(service)
    assert (parked.number, parked.item) == (1, second.item)
    assert parked.reason.startswith("StaleNonce(")
    assert service.core.market_state(2).halted
    assert isinstance(await service.execute(Bust([second.id], "stale nonce")), Done)
    await settle(settler, service, seconds=20)
    assert len(service.trades) == 3
    assert chain.ledger.number == 1
    assert not service.core.market_state(2).halted
    assert service.core.status().unsettled_fills == 0


@pytest.mark.parametrize("affordable", range(9))
async def test_a_missing_balance_is_found_by_bisection(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader, affordable: int
) -> None:
    settler = create_settler(fills=9)
    await trade(service, maker, taker, count=9)
    cost = 10 * 500_000 + 10 * 500_000 * 50 // 10_000
    chain.ledger.usdc[taker.address] = affordable * cost + 1
    await settle(settler, service, rounds=4)
    (parked,) = parked_batches(service)
    assert parked.item == service.trades[affordable].item
    assert parked.reason.startswith("InsufficientBalance(")


async def test_a_batch_that_cannot_be_encoded_is_parked(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(fills=1)
    order = service.order(maker, Side.SELL, 10)
    await service.execute(msgspec.structs.replace(service.placement(maker, order), signature=b"short"))
    await service.place(taker, Side.BUY, 10)
    await settle(settler, service, rounds=4)
    (parked,) = parked_batches(service)
    assert "has no 64-byte signature" in parked.reason


async def test_a_catalogue_that_lags_is_waited_for(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    catalogue, service.catalogue = service.catalogue, Catalogue()
    settler = create_settler(fills=1)
    await trade(service, maker, taker)
    with pytest.raises(Unavailable, match=r"markets \[2\] are not in the catalogue"):
        await settle(settler, service, rounds=4)
    assert parked_batches(service) == []
    for listing in catalogue.markets:
        service.catalogue.list_market(listing)
    await settle(settler, service)
    assert_settled_once(service, maker, taker)


async def test_a_parked_batch_waits_for_the_operator(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(fills=1)
    await trade(service, maker, taker)
    usdc, chain.ledger.usdc[taker.address] = chain.ledger.usdc[taker.address], 0
    await settle(settler, service, rounds=6)
    assert await status_of(service, 1) == "parked"
    assert chain.sent == []
    chain.ledger.usdc[taker.address] = usdc
    await settle(settler, service, rounds=3)
    assert chain.sent == []
    await service.execute(BatchRetry(1))
    await settle(settler, service)
    assert_settled_once(service, maker, taker)


async def test_node_and_core_failures_are_retried(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(fills=1)
    await trade(service, maker, taker)
    chain.outages = 3
    service.outages = [Overloaded, Unavailable, Overloaded]
    running = asyncio.create_task(settler.run())
    for _ in range(200):
        await asyncio.sleep(0.005)
        chain.mine()
        await service.sync()
        if await status_of(service, 1) == "confirmed":
            break
    settler.stop()
    await running
    assert_settled_once(service, maker, taker)


# ---------------------------------------------------------------------------------------------------------------------
# Releases
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_withdrawal_is_released_in_the_order_of_settlement(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler()
    await trade(service, maker, taker)
    chain.request(maker.address, 0, USDC, 10**12)
    chain.mine()
    await service.sync()
    await trade(service, maker, taker)
    await settle(settler, service, rounds=30, seconds=3)
    assert [transaction.to for transaction in chain.sent] == ["Engine", "WithdrawalQueue", "Engine"]
    assert chain.world.requests == {}
    assert_settled_once(service, maker, taker)


async def test_a_release_that_fails_holds_up_nobody_else(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(fills=1)
    chain.refused.add(maker.address)
    chain.request(maker.address, 0, USDC, 5)
    chain.mine()
    await service.sync()
    await trade(service, maker, taker)
    await settle(settler, service)
    assert [transaction.to for transaction in chain.sent] == ["Engine"]
    assert_settled_once(service, maker, taker)
    chain.refused.clear()
    await settle(settler, service, seconds=61, rounds=4)
    assert chain.sent[-1].to == "WithdrawalQueue"
    assert chain.world.requests == {}


@pytest.mark.parametrize("is_canceled", [True, False])
async def test_a_request_that_changed_is_not_released(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, is_canceled: bool
) -> None:
    settler = create_settler()
    chain.request(maker.address, 0, USDC, 5)
    chain.mine()
    await service.sync()
    if is_canceled:
        chain.cancel_request(maker.address, 0, USDC)
    else:
        chain.request(maker.address, 0, USDC, 10**12)
    await settler.step()
    assert chain.sent == []
    await settle(settler, service, seconds=61)
    assert chain.world.requests == {}
    assert service.settled(maker.address, USDC) == chain.ledger.usdc[maker.address] == (10**12 if is_canceled else 0)


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

"""Batches that fail, nodes that do not answer, and what the operator does about them."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from offchain.catalogue import Catalogue
from offchain.domain.commands import BatchRetry, Bust, PlaceOrder
from offchain.domain.ledger import Halt, KeyState
from offchain.domain.order import Side
from offchain.domain.results import Done
from offchain.ports import Overloaded, Unavailable
from tests.utils.fakechain import FakeChain
from tests.utils.service import BTC, Service
from tests.utils.signing import Trader

from .conftest import CreateSettler
from .play import assert_settled_once, parked_batches, settle, status_of, trade


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

"""The indexer against the real core and a chain in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from offchain.domain.commands import ChainBlock, ChainRollback
from offchain.domain.market import USDC
from offchain.indexer import Diverged, Indexer, IndexerSettings
from offchain.ports import BlockRef, Overloaded, Unavailable
from tests.utils.fakechain import FakeChain
from tests.utils.service import DOMAIN, MARKET, Service
from tests.utils.signing import Trader

SETTINGS = IndexerSettings(retry_seconds=0.001, max_retry_seconds=0.002)


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain(DOMAIN)


@pytest_asyncio.fixture
async def service(tmp_path: Path, chain: FakeChain) -> AsyncIterator[Service]:
    service = Service(tmp_path, chain, confirmations=2)
    await service.configure()
    yield service
    await service.views.close()


@pytest.fixture
def maker() -> Trader:
    return Trader.named("maker")


async def follow(indexer: Indexer, service: Service) -> None:
    """Run the indexer until it knows that the core has the chain's head."""
    running = asyncio.create_task(indexer.run())
    async with asyncio.timeout(5):
        while indexer.last is None or indexer.last.block_hash != service.chain.head.block_hash:
            assert not running.done(), running.exception()
            await asyncio.sleep(0.001)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await service.catch_up()


def blocks(service: Service) -> list[int]:
    return [command.number for command in service.commands if isinstance(command, ChainBlock)]


async def test_every_block_arrives_in_order(service: Service, chain: FakeChain, maker: Trader) -> None:
    chain.list_market(MARKET)
    chain.mine()
    chain.deposit(maker.address, USDC, 7)
    for _ in range(4):
        chain.mine()
    await follow(Indexer(chain, service, [], SETTINGS), service)
    assert blocks(service) == [1, 2, 3, 4, 5]
    assert service.settled(maker.address, USDC) == 7


async def test_failures_of_node_and_core_leave_nothing_out(service: Service, chain: FakeChain) -> None:
    for _ in range(6):
        chain.mine()
    chain.outages = 3
    service.outages = [Overloaded, Unavailable, Overloaded, Unavailable]
    await follow(Indexer(chain, service, [], SETTINGS), service)
    assert sorted(set(blocks(service))) == [1, 2, 3, 4, 5, 6]
    assert service.core.status().head_number == 6


async def test_a_reorganisation_takes_a_deposit_back(service: Service, chain: FakeChain, maker: Trader) -> None:
    chain.mine()
    chain.deposit(maker.address, USDC, 7)
    chain.mine()
    chain.mine()
    indexer = Indexer(chain, service, [], SETTINGS)
    await follow(indexer, service)
    assert service.settled(maker.address, USDC) == 7
    chain.reorganise(2, keeps_transactions=False)
    for _ in range(3):
        chain.mine()
    await follow(indexer, service)
    assert service.settled(maker.address, USDC) == 0
    assert [c.number for c in service.commands if isinstance(c, ChainRollback)] == [1]
    assert blocks(service) == [1, 2, 3, 2, 3, 4]
    chain.mine()
    await follow(indexer, service)
    assert chain.followed[-1] == [1, 2, 3, 4]


async def test_a_restarted_indexer_finds_the_fork_among_the_blocks_that_the_core_knows(
    service: Service, chain: FakeChain, maker: Trader
) -> None:
    for _ in range(5):
        chain.mine()
    await follow(Indexer(chain, service, [], SETTINGS), service)
    chain.reorganise(3, keeps_transactions=False)
    for _ in range(4):
        chain.mine()
    await follow(Indexer(chain, service, await service.views.blocks(100), SETTINGS), service)
    assert [c.number for c in service.commands if isinstance(c, ChainRollback)] == [2]
    assert blocks(service) == [1, 2, 3, 4, 5, 3, 4, 5, 6]


async def test_a_restart_continues_after_the_last_block(service: Service, chain: FakeChain) -> None:
    chain.mine()
    await follow(Indexer(chain, service, [], SETTINGS), service)
    chain.mine()
    await follow(Indexer(chain, service, await service.views.blocks(100), SETTINGS), service)
    assert blocks(service) == [1, 2]


async def test_a_block_that_the_core_refuses_ends_the_indexer(service: Service, chain: FakeChain) -> None:
    chain.mine()
    chain.mine()
    await follow(Indexer(chain, service, [], SETTINGS), service)
    start = [BlockRef(0, chain.chain[0].header.block_hash)]
    chain.reorganise(2, keeps_transactions=False)
    chain.mine()
    with pytest.raises(Diverged, match="block 1 refused: outOfOrder"):
        await asyncio.wait_for(Indexer(chain, service, start, SETTINGS).run(), 5)


async def test_stop_ends_it_after_the_present_block(service: Service, chain: FakeChain) -> None:
    for _ in range(3):
        chain.mine()
    indexer = Indexer(chain, service, [], SETTINGS)
    running = asyncio.create_task(indexer.run())
    async with asyncio.timeout(5):
        while not blocks(service):
            assert not running.done()
            await asyncio.sleep(0)
    indexer.stop()
    await asyncio.wait_for(running, 5)
    assert indexer.last is not None
    assert indexer.last.number == blocks(service)[-1]


async def test_tells_when_the_core_has_a_block(service: Service, chain: FakeChain) -> None:
    chain.mine()
    head = chain.head
    indexer = Indexer(chain, service, [], SETTINGS)
    reached = asyncio.create_task(indexer.reached(head.number))
    await asyncio.sleep(0.01)
    assert not reached.done()
    await follow(indexer, service)
    async with asyncio.timeout(5):
        await reached

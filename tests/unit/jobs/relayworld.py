"""A relay at work: the worker, a chain, and what traders sign."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from offchain.chain import eip712
from offchain.domain.actions import (
    Action,
    SignedCancel,
    SignedCancelAll,
    SignedDelegate,
    SignedWithdrawal,
)
from offchain.domain.commands import RequestAction
from offchain.domain.market import USDC
from offchain.domain.order import Order
from offchain.domain.results import ActionResult
from offchain.jobs.relay import Relay, RelaySettings
from offchain.lane import Lane, LaneSettings
from offchain.ports import ActionRow
from offchain.settler import Settler, SettlerSettings
from tests.utils.fakechain import FakeChain
from tests.utils.service import BTC, DOMAIN, MARKET, Service
from tests.utils.signing import Trader

CONFIRMATIONS = 3
LANE = LaneSettings(claim_seconds=15)
"""Here the parties look once in a block of up to 12 seconds."""


class World:
    """The service, the chain, and a relay that may be replaced by a new one."""

    def __init__(self, service: Service, chain: FakeChain) -> None:
        self.service = service
        self.chain = chain
        self.lane = Lane(service, LANE)
        self.relay = self.create_relay()
        self.settler = self.create_settler()

    def create_relay(self, *, is_new: bool = False, **ports: Any) -> Relay:
        if is_new:
            self.lane = Lane(self.service, LANE)
        return Relay(
            ports.get("chain", self.chain),
            ports.get("ingress", self.service),
            lambda: self.service.core.due_actions(),
            self.lane,
            self.service,
            RelaySettings(CONFIRMATIONS, poll_seconds=0, retry_seconds=0),
        )

    def create_settler(self) -> Settler:
        settings = SettlerSettings(poll_seconds=0.001, retry_seconds=0.001, batch_seconds=0, view_timeout_seconds=2)
        return Settler(
            self.chain,
            self.service.views,
            self.service,
            self.service.catalogue,
            self.service,
            settings,
            None,
            self.lane,
        )

    async def request(self, trader: Trader, action: Action, name: bytes | None = None) -> bytes:
        action_id = name or eip712.keccak(repr(action).encode())
        result = await self.service.execute(RequestAction(action_id, trader.address, action, self.service.now_ms()))
        assert isinstance(result, ActionResult), result
        return action_id

    async def row(self, action_id: bytes) -> ActionRow:
        row = await self.service.views.action(action_id)
        assert row is not None
        return row

    async def status(self, action_id: bytes) -> str:
        return (await self.row(action_id)).status

    async def go(self, rounds: int = 8, seconds: int = 1, *, settles: bool = False) -> None:
        """Let relay, chain and indexer take turns."""
        for _ in range(rounds):
            if settles:
                await self.settler.step()
            await self.relay.step()
            self.chain.mine(seconds)
            await self.service.sync()
        await self.relay.step()

    @property
    def sent(self) -> list[str]:
        return [transaction.to for transaction in self.chain.sent]


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain(DOMAIN)


@pytest.fixture
def maker() -> Trader:
    return Trader.named("maker")


@pytest.fixture
def taker() -> Trader:
    return Trader.named("taker")


@pytest_asyncio.fixture
async def world(tmp_path: Path, chain: FakeChain, maker: Trader, taker: Trader) -> AsyncIterator[World]:
    service = Service(tmp_path, chain, CONFIRMATIONS)
    await service.configure()
    chain.list_market(MARKET)
    for trader in (maker, taker):
        chain.deposit(trader.address, USDC, 10**12)
        chain.deposit(trader.address, BTC, 100 * 10**8)
    for _ in range(CONFIRMATIONS):
        chain.mine()
    await service.sync()
    yield World(service, chain)
    await service.views.close()


def withdrawal(trader: Trader, world: World, nonce: int = 0, amount: int = 10**9, kind: int = 0) -> SignedWithdrawal:
    expiry = world.chain.now + 3_600
    digest = eip712.withdraw_digest(DOMAIN, trader.address, kind, USDC, amount, nonce, expiry)
    return SignedWithdrawal(kind, USDC, amount, nonce, expiry, eip712.sign(digest, trader.private_key))


def cancel(trader: Trader, order: Order) -> SignedCancel:
    order_hash = eip712.order_hash(order)
    digest = eip712.cancel_digest(DOMAIN, trader.address, order_hash)
    return SignedCancel(order, order_hash, eip712.sign(digest, trader.private_key))


def cancel_all(trader: Trader, epoch: int = 0) -> SignedCancelAll:
    digest = eip712.cancel_all_digest(DOMAIN, trader.address, epoch)
    return SignedCancelAll(epoch, eip712.sign(digest, trader.private_key))


def delegation(trader: Trader, delegate: Trader, world: World, nonce: int = 0) -> SignedDelegate:
    until = world.chain.now + 86_400
    digest = eip712.delegate_digest(DOMAIN, trader.address, delegate.address, until, nonce)
    return SignedDelegate(delegate.address, until, nonce, eip712.sign(digest, trader.private_key))

"""The relay on the chain in memory: settlement first, nobody held up, a kill at any point, reorganisations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from offchain.chain import eip712
from offchain.chain.calldata import action_calldata
from offchain.domain.actions import (
    OPERATOR,
    Action,
    CreateMarket,
    SetMarketStatus,
    SignedCancel,
    SignedCancelAll,
    SignedDelegate,
    SignedWithdrawal,
    kind_of,
)
from offchain.domain.commands import ActionEnded, ActionSent, RequestAction
from offchain.domain.market import USDC
from offchain.domain.order import Order, Side
from offchain.domain.results import ActionResult
from offchain.jobs.payouts import Payouts
from offchain.jobs.relay import Relay, RelaySettings
from offchain.lane import Lane, LaneSettings, Party
from offchain.ports import ActionRow, ChainUnavailable, Failure, Overloaded
from offchain.settler import Settler, SettlerSettings
from tests.unit.settler.play import assert_settled_once, trade
from tests.unit.settler.test_kill import Killed, Trap
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


# ---------------------------------------------------------------------------------------------------------------------
# Each kind
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_withdrawal_arrives_and_ends_when_it_is_final(world: World, maker: Trader) -> None:
    action_id = await world.request(maker, withdrawal(maker, world))
    await world.relay.step()
    assert await world.status(action_id) == "sent"
    world.chain.mine()
    assert world.chain.world.requests == {(maker.address, 0, USDC): 10**9}
    await world.relay.step()
    assert await world.status(action_id) == "sent"
    await world.go(CONFIRMATIONS - 1)
    row = await world.row(action_id)
    assert (row.status, row.tx_hash, row.account) == ("settled", world.chain.sent[0].hash, maker.address)
    assert len(world.sent) == 1


async def test_a_cancel_ends_the_key_on_chain(world: World, maker: Trader) -> None:
    await world.service.place(maker, Side.BUY, 10)
    order = world.service.core.open_orders(maker.address)[0].order
    action_id = await world.request(maker, cancel(maker, order))
    assert world.service.core.open_orders(maker.address) == []
    await world.go()
    assert world.chain.ledger.keys[maker.address, BTC, order.key].sequence == order.sequence + 1
    assert await world.status(action_id) == "settled"


async def test_a_cancel_of_all_ends_the_epoch(world: World, maker: Trader) -> None:
    action_id = await world.request(maker, cancel_all(maker))
    await world.go()
    assert world.chain.ledger.epochs == {maker.address: 1}
    assert await world.status(action_id) == "settled"
    update = world.service.core.account_update(maker.address)
    assert (update.epoch, update.is_bumping) == (1, False)


async def test_a_delegate_is_set(world: World, maker: Trader, taker: Trader) -> None:
    action_id = await world.request(maker, delegation(maker, taker, world))
    await world.go()
    assert await world.status(action_id) == "settled"
    assert [one.delegate for one in world.service.core.delegates(maker.address)] == [taker.address]


async def test_a_withdrawal_as_cxpt_is_settled_once_its_window_has_passed(world: World, maker: Trader) -> None:
    payouts = Payouts(world.chain, world.service.views, world.service, world.service)
    action_id = await world.request(maker, withdrawal(maker, world, kind=1))
    await world.go()
    assert await world.status(action_id) == "settled"
    for _ in range(3):
        await payouts.step()
    assert world.service.core.due_actions() == []
    world.chain.mine(3_600)
    await world.service.sync()
    for _ in range(3):
        await payouts.step()
    assert len(world.service.core.due_actions()) == 1
    await world.go()
    await payouts.step()
    assert world.service.core.due_actions() == []
    assert world.chain.world.requests == {}
    (row,) = await world.service.views.withdrawals(maker.address, 10)
    assert (row.status, row.amount) == ("settled", 10**9)
    rows = (await world.service.views.actions(maker.address, None, 10)).rows
    assert [(kind_of(one.action), one.status) for one in rows] == [
        ("settleWithdrawal", "settled"),
        ("withdrawal", "settled"),
    ]


async def test_what_is_the_owners_is_handed_to_the_owner(world: World) -> None:
    action = SetMarketStatus(MARKET.id, 2)
    operator = Trader.named("administrator")
    command = RequestAction(b"\x01" * 32, OPERATOR, action, world.service.now_ms())
    await world.service.execute(command)
    await world.relay.step()
    row = await world.row(b"\x01" * 32)
    contract, data = action_calldata(OPERATOR, action)
    assert (row.status, row.target, row.data) == ("needsOwner", world.chain.address(contract), data)
    assert row.reason.startswith("OwnableUnauthorizedAccount(")
    world.chain.is_owner = True
    await world.service.execute(command)
    await world.go()
    assert await world.status(b"\x01" * 32) == "settled"
    assert world.service.core.market_state(MARKET.id).status == 2
    assert operator.address not in set(world.service.core.accounts())


async def test_what_has_no_calldata_is_refused(world: World) -> None:
    action = CreateMarket("BTC-USDC", 0, 1, 0, 2**64, 1, 1, 1)
    await world.service.execute(RequestAction(b"\x01" * 32, OPERATOR, action, 0))
    await world.relay.step()
    row = await world.row(b"\x01" * 32)
    assert row.status == "refused"
    assert row.reason.startswith("cannot be encoded: createMarket:")


# ---------------------------------------------------------------------------------------------------------------------
# What goes wrong
# ---------------------------------------------------------------------------------------------------------------------


async def test_what_would_be_refused_holds_up_nobody(world: World, maker: Trader, taker: Trader) -> None:
    action = withdrawal(maker, world)
    forged = SignedWithdrawal(0, USDC, action.amount + 1, 0, action.expiry, action.signature)
    refused = await world.request(maker, forged)
    other = await world.request(taker, withdrawal(taker, world))
    await world.relay.step()
    row = await world.row(refused)
    assert (row.status, row.reason) == ("refused", "InvalidSignature()")
    assert await world.status(other) == "sent"


async def test_what_needs_another_role_waits_and_holds_up_nobody(world: World, maker: Trader, taker: Trader) -> None:
    first = await world.request(maker, cancel_all(maker))
    other = await world.request(taker, withdrawal(taker, world))
    world.chain.is_operator = False
    await world.go()
    assert [await world.status(one) for one in (first, other)] == ["requested", "settled"]
    world.chain.is_operator = True
    await world.go()
    assert await world.status(first) == "settled"


async def test_what_reverts_on_chain_has_failed(world: World, maker: Trader) -> None:
    world.chain.is_reverting = True
    action_id = await world.request(maker, withdrawal(maker, world))
    await world.go()
    row = await world.row(action_id)
    assert row.status == "failed"
    assert row.reason == f"the transaction was reverted in block {CONFIRMATIONS + 1}"
    assert len(world.sent) == 1


async def test_a_lost_transaction_is_sent_again(world: World, maker: Trader) -> None:
    world.chain.is_losing = True
    action_id = await world.request(maker, withdrawal(maker, world))
    await world.go(3)
    assert len(world.sent) == 1
    world.chain.is_losing = False
    await world.go(4, seconds=61)
    assert len(world.sent) == 2
    assert await world.status(action_id) == "settled"


async def test_a_reorganised_transaction_is_sent_again(world: World, maker: Trader) -> None:
    action_id = await world.request(maker, withdrawal(maker, world))
    await world.go(2)
    world.chain.reorganise(2, keeps_transactions=False)
    await world.service.sync()
    await world.go(4, seconds=61)
    assert len(world.sent) == 2
    assert await world.status(action_id) == "settled"
    assert world.chain.world.requests == {(maker.address, 0, USDC): 10**9}


async def test_a_node_that_is_away_is_waited_for(world: World, maker: Trader) -> None:
    action_id = await world.request(maker, withdrawal(maker, world))
    for outages in range(1, 5):
        world.chain.outages = outages
        for _ in range(outages):
            with pytest.raises(ChainUnavailable):
                await world.relay.step()
    await world.go()
    assert await world.status(action_id) == "settled"
    assert len(world.sent) == 1


async def test_nothing_is_sent_that_was_not_journaled(world: World, maker: Trader) -> None:
    await world.request(maker, withdrawal(maker, world))
    world.service.outages = [Overloaded]
    with pytest.raises(Overloaded):
        await world.relay.step()
    assert world.sent == []
    await world.go()
    assert len(world.sent) == 1


async def test_a_replica_that_lags_repeats_nothing(world: World, maker: Trader, taker: Trader) -> None:
    action = withdrawal(maker, world)
    forged = SignedWithdrawal(0, USDC, action.amount + 1, 0, action.expiry, action.signature)
    await world.request(maker, forged)
    other = await world.request(taker, withdrawal(taker, world))
    seen = world.service.core.due_actions()
    world.relay = Relay(
        world.chain,
        world.service,
        lambda: seen,
        world.lane,
        world.service,
        RelaySettings(CONFIRMATIONS, poll_seconds=0),
    )
    await world.go()
    assert await world.status(other) == "settled"
    kinds = [type(command) for command in world.service.commands]
    assert (kinds.count(ActionSent), kinds.count(ActionEnded)) == (1, 2)


async def test_what_is_mined_while_it_is_looked_at_is_not_refused(world: World, maker: Trader) -> None:
    """The nonce is used then: by the transaction that was thought to be lost."""
    action_id = await world.request(maker, withdrawal(maker, world))
    await world.relay.step()
    world.chain.now += 61
    simulate = world.chain.simulate

    async def mined_meanwhile(data: bytes, to: str = "Engine") -> Failure | None:
        world.chain.mine()
        return await simulate(data, to)

    world.chain.simulate = mined_meanwhile  # type: ignore[method-assign]
    await world.relay.step()
    world.chain.simulate = simulate  # type: ignore[method-assign]
    await world.go()
    assert await world.status(action_id) == "settled"
    assert len(world.sent) == 1


# ---------------------------------------------------------------------------------------------------------------------
# Kills
# ---------------------------------------------------------------------------------------------------------------------

CALLS = 20
"""Calls to ports until the scenario below has ended; a test keeps it true."""


async def run_scenario(world: World, maker: Trader, taker: Trader, rounds: int = 10) -> list[bytes]:
    ids = [
        await world.request(maker, withdrawal(maker, world)),
        await world.request(taker, cancel_all(taker)),
        await world.request(maker, withdrawal(maker, world, 1, 2 * 10**9)),
    ]
    await world.go(rounds)
    return ids


async def test_the_scenario_has_so_many_calls(world: World, maker: Trader, taker: Trader) -> None:
    trap = Trap(10**6, is_after=False)
    world.relay = world.create_relay(chain=_Sync(world.chain, trap), ingress=trap.around(world.service))
    ids = await run_scenario(world, maker, taker)
    assert [await world.status(one) for one in ids] == ["settled"] * 3
    assert trap.calls >= CALLS


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("at", range(1, CALLS + 1))
async def test_a_kill_at_any_call_loses_and_repeats_nothing(
    world: World, maker: Trader, taker: Trader, at: int, is_after: bool
) -> None:
    trap = Trap(at, is_after=is_after)
    world.relay = world.create_relay(chain=_Sync(world.chain, trap), ingress=trap.around(world.service))
    with pytest.raises(Killed):
        await run_scenario(world, maker, taker)
    world.relay = world.create_relay(is_new=True)
    for _ in range(20):
        await world.go(1, seconds=20)
    rows = (await world.service.views.actions(maker.address, None, 10)).rows
    rows += (await world.service.views.actions(taker.address, None, 10)).rows
    assert [row.status for row in rows] == ["settled"] * 3
    mined = [transaction for block in world.chain.chain for transaction in block.transactions]
    assert all(world.chain.world.receipts[transaction.hash].succeeded for transaction in mined)
    assert len(mined) == 3
    known = [command.tx_hash for command in world.service.commands if isinstance(command, ActionSent)]
    assert {transaction.hash for transaction in mined} <= set(known)


class _Sync:
    """A trapped chain whose synchronous calls pass."""

    def __init__(self, chain: FakeChain, trap: Trap) -> None:
        self._chain, self._trapped = chain, trap.around(chain)

    def address(self, contract: str) -> bytes:
        return self._chain.address(contract)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trapped, name)


# ---------------------------------------------------------------------------------------------------------------------
# Beside settlement
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_cancel_does_not_keep_fills_from_settling(world: World, maker: Trader, taker: Trader) -> None:
    await world.service.place(maker, Side.SELL, 10)
    order = world.service.core.open_orders(maker.address)[0].order
    await world.service.place(taker, Side.BUY, 4)
    action_id = await world.request(maker, cancel(maker, order))
    await world.relay.step()
    assert await world.status(action_id) == "requested"
    await world.go(20, settles=True)
    assert_settled_once(world.service, maker, taker)
    assert world.sent == ["Engine", "OrderControl"]
    assert await world.status(action_id) == "settled"


async def test_both_get_their_turn(world: World, maker: Trader, taker: Trader) -> None:
    """Under a load of batches without end an action goes once it has waited for a minute."""
    action_id = await world.request(taker, withdrawal(taker, world))
    for _ in range(12):
        await trade(world.service, maker, taker)
        await world.settler.step()
        await world.settler.step()
        await world.settler.step()
        await world.relay.step()
        world.chain.mine(12)
        await world.service.sync()
    assert await world.status(action_id) in ("sent", "settled")
    place = world.sent.index("WithdrawalQueue")
    assert 2 <= place <= 7
    assert "Engine" in world.sent[place + 1 :]
    await world.go(40, settles=True)
    assert_settled_once(world.service, maker, taker)


async def test_settlement_does_not_wait_for_long(world: World, maker: Trader, taker: Trader) -> None:
    """A transaction of the relay that is not mined is replaced by the next batch, and sent again afterwards."""
    action_id = await world.request(taker, withdrawal(taker, world))
    await world.relay.step()
    await trade(world.service, maker, taker)
    for _ in range(6):
        await world.settler.step()
        world.chain.now += 9
    assert world.sent == ["WithdrawalQueue", "Engine"]
    assert world.lane.holds(Party.SETTLEMENT)
    await world.go(20, settles=True)
    assert_settled_once(world.service, maker, taker)
    assert await world.status(action_id) == "settled"
    # The last one is the release.
    assert world.sent == ["WithdrawalQueue", "Engine", "WithdrawalQueue", "WithdrawalQueue"]

"""The relay on the chain in memory: settlement first, nobody held up, a kill at any point, reorganisations."""

from __future__ import annotations

import pytest

from offchain.chain.calldata import action_calldata
from offchain.domain.actions import (
    OPERATOR,
    CreateMarket,
    SetMarketStatus,
    SignedWithdrawal,
    kind_of,
)
from offchain.domain.commands import ActionEnded, ActionSent, RequestAction
from offchain.domain.market import USDC
from offchain.domain.order import Side
from offchain.jobs.payouts import Payouts
from offchain.jobs.relay import Relay, RelaySettings
from offchain.ports import ChainUnavailable, Failure, Overloaded
from tests.unit.jobs.relayworld import CONFIRMATIONS, World, cancel, cancel_all, delegation, withdrawal
from tests.utils.service import BTC, MARKET
from tests.utils.signing import Trader

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

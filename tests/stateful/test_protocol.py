"""The real contracts under random sequences of everything that anybody may do (protocol_machine.py)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ape.api import AccountAPI
from ape.managers import ChainManager
from ape.managers.project import ProjectManager
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.protocol import USDC_AS_CXPT, World, create_world
from tests.stateful.protocol_control import HOUR
from tests.stateful.protocol_machine import Count, Protocol
from tests.strategies import LONG, PROFILE
from tests.utils.batches import SELL
from tests.utils.deployed import deploy_exchange
from tests.utils.isolation import isolated

EXAMPLES, STEPS = (200, 60) if PROFILE is LONG else (20, 40)
PROFILE_OF_CHAIN = settings(PROFILE, max_examples=EXAMPLES, stateful_step_count=STEPS)


@pytest.fixture(scope="module")
def world(chain: ChainManager, project: ProjectManager, accounts: list[AccountAPI]) -> Iterator[World]:
    owner, operator, guardian = accounts[:3]
    with isolated(chain):
        exchange = deploy_exchange(chain, project, owner, operator, guardian, has_derivatives=True)
        with create_world(exchange, project, owner) as world:
            yield world


def test_no_sequence_breaks_the_protocol(world: World) -> None:
    Protocol.world, Protocol.count = world, Count()
    run_state_machine_as_test(Protocol, settings=PROFILE_OF_CHAIN)
    print(f"\nbatches: {Protocol.count}")
    assert Protocol.count.spot
    assert Protocol.count.derivative
    assert Protocol.count.refused
    if PROFILE is LONG:
        assert Protocol.count.crossed
        assert Protocol.count.arrays
        assert Protocol.count.delegated
        assert Protocol.count.forced


@pytest.fixture
def machine(world: World) -> Iterator[Protocol]:
    """The machine, driven by hand: what it does is not refused for a reason of the machine's."""
    Protocol.world, Protocol.count = world, Count()
    machine = Protocol()
    machine.begin()
    yield machine
    machine.everything_is_backed()
    machine.orders_are_not_overfilled()
    machine.teardown()


@pytest.mark.parametrize("market", range(7))
def test_honest_trades_settle(machine: Protocol, market: int) -> None:
    settled = len(machine.batches)
    machine.trade([0, 1, 2], market, 0, 100, 1, 0)
    assert len(machine.batches) == settled + 1


def test_a_position_is_liquidated_when_it_is_due_and_not_before(machine: Protocol) -> None:
    """Trader 0 sold perpetuals in the beginning."""
    machine.liquidate(0, 2, 0, 0, 1_000)
    assert not machine.count.forced
    machine.liquidate(0, 2, 0, 0, 1_000, 800)
    assert machine.count.forced == 1


def test_quotes_under_one_signature_are_taken_one_by_one(machine: Protocol) -> None:
    machine.quote(0, SELL, 0, [0, 10, 20], 100, None)
    machine.take(0, 1, 50)
    machine.take(3, 2, 50)  # after the quote's last order its first, which three orders follow by now
    assert machine.count.arrays == 2


@pytest.mark.parametrize("by_signature", [False, True])
def test_delegates_sign_while_they_may(machine: Protocol, by_signature: bool) -> None:
    def is_taken() -> bool:
        machine.quote(0, SELL, 0, [0, 10], 100, 1)
        settled = machine.count.delegated
        machine.take(0, 2, 50)
        return machine.count.delegated > settled

    assert not is_taken()
    machine.set_delegate(0, 1, 10 * HOUR, by_signature)
    assert is_taken()
    machine.set_delegate(0, 1, 0, by_signature)
    assert is_taken()  # a window is left
    machine.wait(2)
    assert not is_taken()


@pytest.mark.parametrize(
    ("way", "is_taken"),
    [
        ("nothing", True),
        ("cancel_by_signature", False),
        ("cancel_alone", False),
        ("cancel_all_by_signature", False),
        ("bump_epoch", False),
    ],
)
def test_canceled_orders_are_not_taken(machine: Protocol, way: str, is_taken: bool) -> None:
    order = machine._sign(0, SELL, machine._market(0), 0, 100, 1, 1)
    settled = len(machine.batches)
    machine.take(0, 1, 40)
    assert len(machine.batches) == settled + 1
    arguments = {
        "cancel_by_signature": (machine.orders.index(order),),
        "cancel_alone": (machine.orders.index(order), HOUR),
        "cancel_all_by_signature": (0, False),
        "bump_epoch": (0,),
    }
    if way in arguments:
        getattr(machine, way)(*arguments[way])
    machine.take(1, 2, 40)
    assert len(machine.batches) == settled + 1 + is_taken


def test_halts_and_pauses_end(machine: Protocol) -> None:
    machine.halt(0, 10, 1)
    machine.pause(0)
    settled = len(machine.batches)
    machine.trade([0, 1, 2], 0, 0, 100, 1, 0)
    assert len(machine.batches) == settled + 1


def test_rebates_are_claimed_and_fees_collected(machine: Protocol) -> None:
    machine.set_rebate_tiers(False)
    machine.request_withdrawal(0, 10**7, USDC_AS_CXPT)
    machine.settle_withdrawal(0, USDC_AS_CXPT, 10**7, True)
    machine.trade([0, 1, 2], 0, 0, 1_000, 1, 0)
    machine.collect_fees()
    machine.claim_rebate(0, False)
    assert machine.rebates


@pytest.mark.parametrize("edit", range(1, 9))
def test_an_edited_batch_is_refused(machine: Protocol, edit: int) -> None:
    settled = len(machine.batches)
    machine.trade([0, 1, 2], 0, 0, 100, 1, 64 * edit)
    assert len(machine.batches) == settled

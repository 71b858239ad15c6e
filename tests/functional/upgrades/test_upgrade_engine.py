"""The Engine becomes its second version: balances, roles and time stay, and a field is new."""

import pytest

from tests.utils.contracts import contract_at
from tests.utils.custody import INSTRUMENT, WINDOW


@pytest.fixture
def upgrade(project, system, owner):
    """Upgrade to the second version and return the Engine as it."""

    def run():
        packer = owner.deploy(project.BatchPacker)
        implementation = owner.deploy(project.EngineV2, system.vault, system.registry, packer)
        system.engine.upgradeToAndCall(implementation, b"", sender=owner)
        return contract_at(project.EngineV2, system.engine.address)

    return run


def state(engine, system, maker):
    return {
        "balances": [engine.balanceOf(maker, i) for i in (system.instrument, system.cxpt_instrument)],
        "roles": (engine.owner(), engine.operator(), engine.guardian()),
        "wiring": (engine.vault(), engine.registry(), engine.queue(), engine.orderControl(), engine.clearinghouse()),
        "batch": tuple(engine.lastBatch()),
        "halt": tuple(engine.lastHalt()),
        "fee": engine.feeBps(),
        "domain": engine.domainSeparator(),
    }


def test_everything_is_kept(system, upgrade, guardian, maker):
    system.engine.halt(sender=guardian)
    before = state(system.engine, system, maker)
    assert before["balances"] == [500, 0]
    engine = upgrade()
    assert state(engine, system, maker) == before


def test_the_new_field_is_behind_the_old_ones(system, upgrade, maker):
    before = state(system.engine, system, maker)
    engine = upgrade()
    engine.setMark(2**256 - 1, sender=maker)
    assert engine.mark() == 2**256 - 1
    assert state(engine, system, maker) == before


def test_the_exchange_goes_on(system, upgrade, chain, maker):
    system.queue.request(INSTRUMENT, system.instrument, 400, sender=maker)
    engine = upgrade()
    chain.mine(deltatime=WINDOW)
    assert system.queue.settle(maker, INSTRUMENT, system.instrument, sender=maker).return_value == 400
    system.deposit_synth(maker, 7)
    assert engine.balanceOf(maker, system.instrument) == 107

"""The Vault becomes its second version: every balance and setting stays, and a field is new."""

import pytest

from tests.utils.contracts import contract_at
from tests.utils.custody import USDC, WINDOW
from tests.utils.reverts import reverts


@pytest.fixture
def upgrade(project, system, owner):
    """Upgrade to the second version and return the Vault as it."""

    def run():
        implementation = owner.deploy(project.VaultV2, system.usdc)
        call = implementation.initializeV2.encode_input(10**12)
        system.vault.upgradeToAndCall(implementation, call, sender=owner)
        return contract_at(project.VaultV2, system.vault.address)

    return run


def state(vault, system, maker):
    accounts = (maker, system.engine, system.cxpt)
    return {
        "shares": [vault.sharesOf(account) for account in accounts],
        "epoch": (vault.epochOf(maker), vault.epochBumpAt(maker)),
        "fees": (vault.feesPaidOf(maker), vault.unclaimedFees(), vault.collectableFees()),
        "tiers": [tuple(tier) for tier in vault.rebateTiers()],
        "wiring": (vault.engine(), vault.queue(), vault.clearinghouse(), vault.orderControl(), vault.cxpt()),
        "total": (vault.totalAssets(), tuple(vault.solvency())),
        "owner": (vault.owner(), vault.asset()),
    }


def test_everything_is_kept(system, upgrade, maker):
    before = state(system.vault, system, maker)
    assert before["shares"] == [1_000, 20, 300]
    assert before["epoch"][0] == 1
    assert before["epoch"][1] > 0
    vault = upgrade()
    assert vault.version() == 2
    assert state(vault, system, maker) == before


def test_the_new_field_is_behind_the_old_ones(system, upgrade, maker):
    before = state(system.vault, system, maker)
    vault = upgrade()
    assert vault.depositCap() == 10**12
    assert state(vault, system, maker) == before


def test_the_second_version_initialises_once(upgrade, owner, maker):
    vault = upgrade()
    for caller in (owner, maker):
        with reverts("InvalidInitialization"):
            vault.initializeV2(1, sender=caller)
        with reverts("InvalidInitialization"):
            vault.initialize(caller, sender=caller)
    assert vault.depositCap() == 10**12


def test_the_exchange_goes_on(system, upgrade, chain, maker):
    """A request from before is paid after, and so is everything else."""
    system.queue.request(USDC, 0, 400, sender=maker)
    vault = upgrade()
    chain.mine(deltatime=WINDOW)
    assert system.queue.settle(maker, USDC, 0, sender=maker).return_value == 400
    vault.applyEpochBump(maker, sender=maker)
    assert vault.claimRebate(maker, sender=maker).return_value == 10
    system.deposit_usdc(maker, 5)
    assert (vault.sharesOf(maker), vault.epochOf(maker)) == (615, 2)
    assert vault.solvency() == (vault.totalAssets(), vault.totalAssets())

"""Delays of the timelock by what a call can do."""

import pytest

from tests.functional.governance.conftest import DAY
from tests.utils.custody import ZERO
from tests.utils.isolation import isolated
from tests.utils.reverts import assert_creation_reverts, reverts

NOTHING = b"\0" * 32


@pytest.fixture
def lock(project, owner, guardian):
    """A timelock whose proposer and executor is the owner."""
    timelock = owner.deploy(project.CrosspointTimelock, guardian, owner)
    for role in (timelock.PROPOSER_ROLE(), timelock.EXECUTOR_ROLE()):
        timelock.grantRole(role, owner, sender=owner)
    return timelock


def schedule(lock, call, delay, sender):
    target, data = call
    return lock.schedule(target, 0, data, NOTHING, NOTHING, delay, sender=sender)


def test_an_upgrade_scheduled_with_24_hours_is_refused(lock, upgrade, owner):
    for delay in (DAY, 3 * DAY - 1):
        with reverts("TimelockInsufficientDelay", delay=delay, minDelay=3 * DAY):
            schedule(lock, upgrade, delay, owner)


def test_an_upgrade_scheduled_with_72_hours_passes(project, lock, custody, chain, owner, accounts, governance):
    vault, timelock = custody.vault, governance.timelock
    hand = accounts.impersonate_account(timelock.address)
    hand.balance = 10**20
    vault.transferOwnership(lock, sender=hand)
    lock.acceptOwnershipOf(vault, sender=owner)
    implementation = owner.deploy(project.Vault, custody.usdc)
    data = vault.upgradeToAndCall.encode_input(implementation, b"")
    schedule(lock, (vault, data), 3 * DAY, owner)
    chain.mine(deltatime=3 * DAY)
    shares = vault.totalAssets()
    lock.execute(vault, 0, data, NOTHING, NOTHING, sender=owner)
    slot = 0x360894A13BA1A3210667C828492DB98DCA3E2076CC3735A920A3CA505D382BBC
    assert chain.provider.get_storage(vault.address, slot)[-20:].hex() == implementation.address[2:].lower()
    assert vault.totalAssets() == shares > 0


def test_a_change_of_owner_needs_72_hours(lock, custody, owner, stranger):
    vault = custody.vault
    for data in (vault.transferOwnership.encode_input(stranger), vault.renounceOwnership.encode_input()):
        with reverts("TimelockInsufficientDelay", delay=DAY, minDelay=3 * DAY):
            schedule(lock, (vault, data), DAY, owner)
        schedule(lock, (vault, data), 3 * DAY, owner)


def test_a_change_of_the_timelock_needs_72_hours(lock, owner, stranger):
    for data in (
        lock.updateDelay.encode_input(0),
        lock.grantRole.encode_input(lock.PROPOSER_ROLE(), stranger),
        lock.revokeRole.encode_input(lock.CANCELLER_ROLE(), stranger),
    ):
        with reverts("TimelockInsufficientDelay", delay=DAY, minDelay=3 * DAY):
            schedule(lock, (lock, data), DAY, owner)
        schedule(lock, (lock, data), 3 * DAY, owner)


def test_a_change_of_the_governor_needs_72_hours(governance, timelock, governor, parameter_change):
    """Also a call that the governor relays."""
    settings = governor.setProposalThreshold.encode_input(1)
    relay = governor.relay.encode_input(parameter_change[0], 0, parameter_change[1])
    for data in (settings, relay):
        assert timelock.delayOf(governor, data) == 3 * DAY


@pytest.mark.parametrize("name", ["setRebateTiers", "connect", "setCxpt"])
def test_parameters_need_24_hours(lock, custody, owner, name):
    vault = custody.vault
    arguments = {"setRebateTiers": ([],), "connect": (ZERO,) * 4, "setCxpt": (ZERO,)}[name]
    data = getattr(vault, name).encode_input(*arguments)
    with reverts("TimelockInsufficientDelay", delay=DAY - 1, minDelay=DAY):
        schedule(lock, (vault, data), DAY - 1, owner)
    schedule(lock, (vault, data), DAY, owner)


@pytest.mark.parametrize("data", [b"", b"\x4f", b"\x4f\x1e\xf2"])
def test_data_shorter_than_a_selector_is_a_parameter(lock, custody, data):
    """4f1ef286 is upgradeToAndCall."""
    assert lock.delayOf(custody.vault, data) == DAY


def test_a_batch_waits_for_its_slowest_call(lock, custody, upgrade, parameter_change, owner):
    for calls in ((upgrade, parameter_change), (parameter_change, upgrade)):
        arguments = [call[0] for call in calls], [0, 0], [call[1] for call in calls], NOTHING, NOTHING
        with reverts("TimelockInsufficientDelay", delay=DAY, minDelay=3 * DAY):
            lock.scheduleBatch(*arguments, DAY, sender=owner)
        lock.scheduleBatch(*arguments, 3 * DAY, sender=owner)


def test_a_batch_of_parameters_needs_24_hours(lock, parameter_change, owner):
    arguments = [parameter_change[0]], [0], [parameter_change[1]], NOTHING, NOTHING
    with reverts("TimelockInsufficientDelay", delay=DAY - 1, minDelay=DAY):
        lock.scheduleBatch(*arguments, DAY - 1, sender=owner)
    lock.scheduleBatch(*arguments, DAY, sender=owner)


def test_an_uneven_batch_is_refused(lock, parameter_change, owner):
    target, data = parameter_change
    with reverts("TimelockInvalidOperationLength", targets=2, payloads=1, values=2):
        lock.scheduleBatch([target, target], [0, 0], [data], NOTHING, NOTHING, 3 * DAY, sender=owner)


def test_the_least_delay_can_grow_and_not_shrink_below_24_hours(lock, custody, parameter_change, upgrade, chain, owner):
    for delay, parameter, change in ((0, DAY, 3 * DAY), (2 * DAY, 2 * DAY, 3 * DAY), (5 * DAY, 5 * DAY, 5 * DAY)):
        with isolated(chain):
            data = lock.updateDelay.encode_input(delay)
            schedule(lock, (lock, data), 3 * DAY, owner)
            chain.mine(deltatime=3 * DAY)
            lock.execute(lock, 0, data, NOTHING, NOTHING, sender=owner)
            assert lock.getMinDelay() == delay
            assert (lock.delayOf(*parameter_change), lock.delayOf(*upgrade)) == (parameter, change)


def test_scheduling_is_the_proposers(lock, parameter_change, guardian, stranger):
    role = lock.PROPOSER_ROLE()
    for caller in (guardian, stranger):
        with reverts("AccessControlUnauthorizedAccount", account=caller.address, neededRole=role):
            schedule(lock, parameter_change, DAY, caller)
        with reverts("AccessControlUnauthorizedAccount", account=caller.address, neededRole=role):
            lock.scheduleBatch([], [], [], NOTHING, NOTHING, DAY, sender=caller)


def test_roles_must_exist(project, owner, guardian):
    for arguments in ((ZERO, owner), (guardian, ZERO)):
        assert_creation_reverts(owner, project.CrosspointTimelock, arguments, "ZeroAddress()")

"""Ownership after the handover: the timelock's alone, which obeys the governor alone."""

import pytest

from tests.functional.governance.conftest import DAY
from tests.utils.reverts import reverts

NOTHING = b"\0" * 32


@pytest.mark.parametrize("name", ["vault", "engine", "registry"])
def test_the_timelock_owns_the_protocol(custody, timelock, owner, name):
    contract = getattr(custody, name)
    assert contract.owner() == timelock
    with reverts("OwnableUnauthorizedAccount", account=owner.address):
        contract.transferOwnership(owner, sender=owner)


def test_roles_of_the_timelock(timelock, governor, owner, operator, guardian):
    accounts = {
        "timelock": timelock.address,
        "governor": governor.address,
        "owner": owner.address,
        "operator": operator.address,
        "guardian": guardian.address,
        "anyone": "0x" + "00" * 20,
    }
    holders = {
        name: {who for who, account in accounts.items() if timelock.hasRole(getattr(timelock, name)(), account)}
        for name in ("DEFAULT_ADMIN_ROLE", "PROPOSER_ROLE", "EXECUTOR_ROLE", "CANCELLER_ROLE")
    }
    assert holders == {
        "DEFAULT_ADMIN_ROLE": {"timelock"},
        "PROPOSER_ROLE": {"governor"},
        "EXECUTOR_ROLE": {"governor"},
        "CANCELLER_ROLE": {"guardian"},
    }


def test_nobody_proposes_around_the_governor(timelock, parameter_change, owner, operator, guardian, holder):
    target, data = parameter_change
    for caller in (owner, operator, guardian, holder):
        refusal = {"account": caller.address, "neededRole": timelock.PROPOSER_ROLE()}
        with reverts("AccessControlUnauthorizedAccount", **refusal):
            timelock.schedule(target, 0, data, NOTHING, NOTHING, DAY, sender=caller)
        with reverts("AccessControlUnauthorizedAccount", **refusal):
            timelock.scheduleBatch([target], [0], [data], NOTHING, NOTHING, DAY, sender=caller)


def test_nobody_executes_around_the_governor(governance, timelock, parameter_change, owner, guardian, holder):
    target, data = parameter_change
    governance.accept(holder, parameter_change)
    governance.queue(parameter_change, sender=holder)
    governance.wait(DAY)
    for caller in (owner, guardian, holder):
        refusal = {"account": caller.address, "neededRole": timelock.EXECUTOR_ROLE()}
        with reverts("AccessControlUnauthorizedAccount", **refusal):
            timelock.execute(target, 0, data, NOTHING, NOTHING, sender=caller)
        with reverts("AccessControlUnauthorizedAccount", **refusal):
            timelock.executeBatch([target], [0], [data], NOTHING, NOTHING, sender=caller)


def test_nobody_administers_the_timelock(timelock, owner, guardian, holder):
    for caller in (owner, guardian, holder):
        refusal = {"account": caller.address, "neededRole": timelock.DEFAULT_ADMIN_ROLE()}
        with reverts("AccessControlUnauthorizedAccount", **refusal):
            timelock.grantRole(timelock.PROPOSER_ROLE(), caller, sender=caller)
        with reverts("TimelockUnauthorizedCaller", caller=caller.address):
            timelock.updateDelay(0, sender=caller)


def test_only_the_guardian_vetoes(governance, timelock, parameter_change, owner, operator, holder):
    governance.accept(holder, parameter_change)
    governance.queue(parameter_change, sender=holder)
    operation = governance.operation(parameter_change)
    for caller in (owner, operator, holder):
        refusal = {"account": caller.address, "neededRole": timelock.CANCELLER_ROLE()}
        with reverts("AccessControlUnauthorizedAccount", **refusal):
            timelock.cancel(operation, sender=caller)


def test_acceptance_takes_an_offer_only(custody, timelock, project, owner, guardian, stranger):
    """Anyone may have the timelock say yes; nothing happens without an offer to it."""
    registry = owner.deploy(project.MarketRegistry, owner, guardian)
    with reverts("OwnableUnauthorizedAccount", account=timelock.address):
        timelock.acceptOwnershipOf(registry, sender=stranger)
    registry.transferOwnership(stranger, sender=owner)
    with reverts("OwnableUnauthorizedAccount", account=timelock.address):
        timelock.acceptOwnershipOf(registry, sender=stranger)
    registry.transferOwnership(timelock, sender=owner)
    timelock.acceptOwnershipOf(registry, sender=stranger)
    assert registry.owner() == timelock


def test_an_operation_executed_at_the_timelock_counts_as_executed(
    project, governance, custody, guardian, owner, holder, chain, parameter_change
):
    """Should governance open the executor's role to others, the proposal's state follows."""
    timelock = owner.deploy(project.CrosspointTimelock, guardian, owner)
    governor = owner.deploy(project.CrosspointGovernor, custody.cxpt, timelock, 10_000, 50_000)
    timelock.grantRole(timelock.PROPOSER_ROLE(), governor, sender=owner)
    timelock.grantRole(timelock.EXECUTOR_ROLE(), owner, sender=owner)
    other = type(governance)(chain, custody, timelock, governor)
    call = (timelock, timelock.updateDelay.encode_input(2 * DAY))
    proposal = other.accept(holder, call)
    other.queue(call, sender=holder)
    other.wait(3 * DAY)
    *arguments, description = other.hashed([call], "proposal")
    salt = bytes(a ^ b for a, b in zip(bytes.fromhex(governor.address[2:]).ljust(32, b"\0"), description, strict=True))
    timelock.executeBatch(*arguments, NOTHING, salt, sender=owner)
    assert (timelock.getMinDelay(), governor.state(proposal)) == (2 * DAY, 7)

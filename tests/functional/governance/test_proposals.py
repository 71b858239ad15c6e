"""A proposal from its proposer to the changed parameter, or to the guardian's veto."""

import pytest

from tests.functional.governance.conftest import (
    ABSTAIN,
    ACTIVE,
    AGAINST,
    CANCELED,
    DAY,
    DEFEATED,
    EXECUTED,
    FOR,
    PENDING,
    QUEUED,
    READY,
    SUCCEEDED,
)
from tests.utils.reverts import reverts

IN_QUEUE = (1 << QUEUED).to_bytes(32, "big")


def test_a_proposal_changes_a_parameter(governance, governor, custody, parameter_change, holder, stranger):
    proposal = governance.propose(holder, parameter_change)
    assert governor.state(proposal) == PENDING
    governance.wait(DAY + 1)
    assert governor.state(proposal) == ACTIVE
    governor.castVote(proposal, FOR, sender=holder)
    governance.wait(3 * DAY)
    assert governor.state(proposal) == SUCCEEDED
    receipt = governance.queue(parameter_change, sender=stranger)
    assert governor.state(proposal) == QUEUED
    assert governor.proposalEta(proposal) == receipt.timestamp + DAY
    governance.wait(DAY)
    governance.execute(parameter_change, sender=stranger)
    assert governor.state(proposal) == EXECUTED
    assert [tuple(tier) for tier in custody.vault.rebateTiers()] == [(1_000, 1_000)]


def test_a_proposal_changes_the_fee(governance, governor, custody, chain, holder, stranger):
    """The new fee applies at a time that lies beyond vote, delay and settlement window."""
    engine = custody.engine
    applies_at = chain.blocks.head.timestamp + 6 * DAY
    call = (engine, engine.scheduleFee.encode_input(20, applies_at))
    proposal = governance.accept(holder, call)
    governance.queue(call, sender=stranger)
    governance.wait(DAY)
    assert engine.feeBps() == 50
    governance.execute(call, sender=stranger)
    assert governor.state(proposal) == EXECUTED
    assert engine.feeBps() == 50
    chain.mine(timestamp=applies_at)
    assert engine.feeBps() == 20


def test_the_guardian_vetoes_a_proposal(
    governance, governor, timelock, custody, parameter_change, holder, guardian, stranger
):
    proposal = governance.accept(holder, parameter_change)
    governance.queue(parameter_change, sender=stranger)
    timelock.cancel(governance.operation(parameter_change), sender=guardian)
    assert governor.state(proposal) == CANCELED
    governance.wait(10 * DAY)
    with reverts(
        "GovernorUnexpectedProposalState",
        proposalId=proposal,
        current=CANCELED,
        expectedStates=IN_QUEUE,
    ):
        governance.execute(parameter_change, sender=stranger)
    assert custody.vault.rebateTiers() == []


def test_a_proposal_waits_its_delay(governance, parameter_change, holder, stranger):
    governance.accept(holder, parameter_change)
    governance.queue(parameter_change, sender=stranger)
    governance.wait(DAY - 60)
    operation = governance.operation(parameter_change)
    with reverts("TimelockUnexpectedOperationState", operationId=operation, expectedStates=READY):
        governance.execute(parameter_change, sender=stranger)


def test_an_unqueued_proposal_is_not_executed(governance, parameter_change, holder, stranger):
    proposal = governance.accept(holder, parameter_change)
    governance.wait(10 * DAY)
    with reverts("GovernorUnexpectedProposalState", proposalId=proposal, current=SUCCEEDED, expectedStates=IN_QUEUE):
        governance.execute(parameter_change, sender=stranger)


def test_an_upgrade_is_queued_for_72_hours(governance, governor, upgrade, holder, stranger):
    proposal = governance.accept(holder, upgrade)
    receipt = governance.queue(upgrade, sender=stranger)
    assert governor.proposalEta(proposal) == receipt.timestamp + 3 * DAY
    governance.wait(3 * DAY)
    governance.execute(upgrade, sender=stranger)
    assert governor.state(proposal) == EXECUTED


def test_an_upgrade_among_parameters_delays_them_all(governance, governor, upgrade, parameter_change, holder, stranger):
    proposal = governance.accept(holder, parameter_change, upgrade)
    receipt = governance.queue(parameter_change, upgrade, sender=stranger)
    assert governor.proposalEta(proposal) == receipt.timestamp + 3 * DAY


def test_a_proposal_needs_the_threshold(governance, parameter_change, other, stranger):
    for proposer, votes in ((other, 9_999), (stranger, 0)):
        with reverts("GovernorInsufficientProposerVotes", proposer=proposer.address, votes=votes, threshold=10_000):
            governance.propose(proposer, parameter_change)


def test_votes_below_the_floor_are_no_quorum(governance, governor, custody, parameter_change, holder, other):
    """4 % of the supply would be 2,799; the floor is 50,000."""
    proposal = governance.propose(holder, parameter_change)
    governance.wait(DAY + 1)
    governor.castVote(proposal, FOR, sender=other)
    assert governor.quorum(governor.proposalSnapshot(proposal)) == 50_000
    governance.wait(3 * DAY)
    assert governor.state(proposal) == DEFEATED


def test_the_quorum_grows_with_the_supply(governance, governor, custody, stranger):
    custody.give_cxpt(stranger, 5_000_001)
    governance.wait(10)
    assert governor.quorum(governor.clock() - 1) == (60_000 + 9_999 + 5_000_001) * 4 // 100


@pytest.mark.parametrize(("support", "state"), [(AGAINST, DEFEATED), (ABSTAIN, DEFEATED), (FOR, SUCCEEDED)])
def test_the_majority_decides(governance, governor, parameter_change, holder, support, state):
    proposal = governance.propose(holder, parameter_change)
    governance.wait(DAY + 1)
    governor.castVote(proposal, support, sender=holder)
    governance.wait(3 * DAY)
    assert governor.state(proposal) == state


def test_settings(governance, governor, timelock, custody):
    assert (governor.votingDelay(), governor.votingPeriod(), governor.proposalThreshold()) == (DAY, 3 * DAY, 10_000)
    assert (governor.timelock(), governor.token(), governor.quorumFloor()) == (timelock, custody.cxpt, 50_000)
    assert governor.CLOCK_MODE() == "mode=timestamp"
    assert governor.proposalNeedsQueuing(1)


def test_votes_are_snapshot_before_redemption_ends(governor, custody):
    assert governor.votingDelay() < governor.REDEEM_DELAY() == custody.queue.REDEEM_DELAY()


@pytest.mark.parametrize("delay", [DAY - 1, 2 * DAY])
def test_governance_keeps_the_voting_delay_in_bounds(governance, governor, holder, stranger, delay):
    call = (governor, governor.setVotingDelay.encode_input(delay))
    governance.accept(holder, call)
    governance.queue(call, sender=stranger)
    governance.wait(3 * DAY)
    with reverts("InvalidVotingDelay", votingDelay=delay):
        governance.execute(call, sender=stranger)


def test_governance_changes_its_own_settings_after_72_hours(governance, governor, holder, stranger):
    calls = (
        (governor, governor.setVotingDelay.encode_input(2 * DAY - 1)),
        (governor, governor.setVotingPeriod.encode_input(DAY)),
    )
    proposal = governance.accept(holder, *calls)
    receipt = governance.queue(*calls, sender=stranger)
    assert governor.proposalEta(proposal) == receipt.timestamp + 3 * DAY
    governance.wait(3 * DAY)
    governance.execute(*calls, sender=stranger)
    assert (governor.votingDelay(), governor.votingPeriod()) == (2 * DAY - 1, DAY)


def test_governance_keeps_the_vote_a_day_long(governance, governor, holder, stranger):
    call = (governor, governor.setVotingPeriod.encode_input(DAY - 1))
    governance.accept(holder, call)
    governance.queue(call, sender=stranger)
    governance.wait(3 * DAY)
    with reverts("InvalidVotingPeriod", votingPeriod=DAY - 1):
        governance.execute(call, sender=stranger)

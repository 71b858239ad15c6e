"""Attempts to govern with votes that one does not have, or past the rules."""

import pytest
from ape.exceptions import ContractLogicError
from eth_utils import keccak

from tests.functional.governance.conftest import DAY, DEFEATED, EXECUTED, FOR
from tests.utils.custody import CXPT_REDEEM, USDC_AS_CXPT, WINDOW, delegate
from tests.utils.reverts import reverts


def test_votes_minted_after_the_snapshot(governance, governor, custody, parameter_change, holder, stranger):
    """Whoever buys a majority during the vote has no part in it."""
    proposal = governance.propose(holder, parameter_change)
    governance.wait(DAY + 1)
    custody.give_cxpt(stranger, 10**9)
    delegate(custody.cxpt, stranger, stranger)
    governor.castVote(proposal, FOR, sender=stranger)
    assert tuple(governor.proposalVotes(proposal)) == (0, 0, 0)
    governance.wait(3 * DAY)
    assert governor.state(proposal) == DEFEATED


def test_flash_mint_of_votes(governance, governor, custody, parameter_change, chain, stranger):
    """Mint, propose and redeem at once: the threshold asks for votes of the moment before."""
    custody.deposit_usdc(stranger, 10**9)
    custody.vault.withdraw(10**9, True, sender=stranger)
    delegate(custody.cxpt, stranger, stranger)
    chain.mine(deltatime=WINDOW)
    provider = chain.provider
    provider.auto_mine = False
    try:
        custody.queue.settle(stranger, USDC_AS_CXPT, 0, sender=stranger, required_confirmations=0)
        arguments = governance.arguments([parameter_change], "flash")
        attempt = governor.propose.as_transaction(*arguments, sender=stranger, gas=2_000_000)
        attempt.nonce = stranger.nonce + 1
        signed = stranger.sign_transaction(attempt)
        hashed = provider.web3.eth.send_raw_transaction(signed.serialize_transaction())
        chain.mine()
        assert provider.web3.eth.get_transaction_receipt(hashed)["status"] == 0
    finally:
        provider.auto_mine = True
    assert custody.cxpt.getVotes(stranger) == 10**9


def test_votes_cannot_be_returned_the_same_day(governance, custody, chain, stranger):
    """Borrowed USDC, turned into votes before the snapshot, comes back 48 hours after the request to redeem."""
    custody.give_cxpt(stranger, 10**9)
    custody.queue.request(CXPT_REDEEM, 0, 10**9, sender=stranger)
    with reverts("NotReleasable"):
        custody.queue.release(stranger, CXPT_REDEEM, 0, 10**9, sender=custody.operator)
    ready_at = custody.queue.requestOf(stranger, CXPT_REDEEM, 0).requestedAt + 2 * DAY
    chain.mine(deltatime=DAY)
    with reverts("WindowOpen", readyAt=ready_at):
        custody.queue.settle(stranger, CXPT_REDEEM, 0, sender=stranger)
    assert custody.usdc.balanceOf(stranger) == 0


def test_votes_locked_for_redemption_before_the_snapshot(governance, governor, custody, parameter_change, holder):
    """Asking for the money back before the snapshot takes the votes along."""
    proposal = governance.propose(holder, parameter_change)
    custody.queue.request(CXPT_REDEEM, 0, 60_000, sender=holder)
    governance.wait(DAY + 1)
    governor.castVote(proposal, FOR, sender=holder)
    assert tuple(governor.proposalVotes(proposal)) == (0, 0, 0)


def test_votes_cast_twice_by_passing_them_on(governance, governor, custody, parameter_change, holder, other):
    proposal = governance.propose(holder, parameter_change)
    governance.wait(DAY + 1)
    governor.castVote(proposal, FOR, sender=holder)
    delegate(custody.cxpt, holder, other)
    governor.castVote(proposal, FOR, sender=other)
    assert tuple(governor.proposalVotes(proposal)) == (0, 69_999, 0)
    with reverts("GovernorAlreadyCastVote", voter=holder.address):
        governor.castVote(proposal, FOR, sender=holder)


def test_holders_leave_before_an_upgrade_binds_them(governance, governor, custody, upgrade, chain, holder, other):
    """Redemption asked for when the upgrade is queued is paid a day before it is executed."""
    proposal = governance.accept(holder, upgrade)
    queued_at = governance.queue(upgrade, sender=holder).timestamp
    custody.queue.request(CXPT_REDEEM, 0, 9_999, sender=other)
    governance.wait(2 * DAY)
    custody.queue.settle(other, CXPT_REDEEM, 0, sender=other)
    assert custody.usdc.balanceOf(other) == 9_999
    assert chain.blocks.head.timestamp < queued_at + 3 * DAY
    governance.wait(DAY)
    governance.execute(upgrade, sender=holder)
    assert governor.state(proposal) == EXECUTED


def test_upgrade_disguised_in_a_relay(governance, timelock, governor, upgrade):
    """The governor relays for the timelock only, and what it relays is not the timelock's own call."""
    data = governor.relay.encode_input(upgrade[0], 0, upgrade[1])
    assert timelock.delayOf(governor, data) == 3 * DAY


def test_relayed_upgrade_is_refused_by_the_vault(governance, governor, upgrade, holder, stranger):
    call = (governor, governor.relay.encode_input(upgrade[0], 0, upgrade[1]))
    governance.accept(holder, call)
    governance.queue(call, sender=stranger)
    governance.wait(3 * DAY)
    # Ape does not decode what passed through so many contracts.
    refusal = keccak(text="OwnableUnauthorizedAccount(address)")[:4].hex() + governor.address[2:].lower().rjust(64, "0")
    with pytest.raises(ContractLogicError, match=refusal):
        governance.execute(call, sender=stranger)


def test_governor_settings_are_not_the_proposers(governor, holder):
    with reverts("GovernorOnlyExecutor", account=holder.address):
        governor.setProposalThreshold(0, sender=holder)
    with reverts("GovernorOnlyExecutor", account=holder.address):
        governor.updateQuorumNumerator(0, sender=holder)

"""Votes: delegated, counted in seconds, and gone while CXPT is in custody."""

import pytest

from tests.utils.custody import CXPT_REDEEM, ZERO, delegate


def test_votes_count_seconds(cxpt, chain):
    assert cxpt.CLOCK_MODE() == "mode=timestamp"
    assert cxpt.clock() == chain.blocks.head.timestamp


def test_votes_need_a_delegation(cxpt, funded, other):
    assert cxpt.getVotes(funded) == 0
    delegate(cxpt, funded, other)
    assert (cxpt.getVotes(funded), cxpt.getVotes(other)) == (0, 100)


def test_votes_follow_mint_and_redemption(system, cxpt, funded):
    delegate(cxpt, funded, funded)
    system.give_cxpt(funded, 50)
    assert cxpt.getVotes(funded) == 150
    system.queue.request(CXPT_REDEEM, 0, 120, sender=funded)
    assert (cxpt.getVotes(funded), cxpt.getVotes(system.queue)) == (30, 0)
    assert cxpt.delegates(system.queue) == ZERO
    system.queue.cancel(CXPT_REDEEM, 0, sender=funded)
    assert cxpt.getVotes(funded) == 150


def test_past_votes_do_not_change(system, cxpt, chain, funded):
    delegate(cxpt, funded, funded)
    chain.mine(deltatime=10)
    snapshot = cxpt.clock() - 1
    system.queue.request(CXPT_REDEEM, 0, 100, sender=funded)
    assert cxpt.getPastVotes(funded, snapshot) == 100
    assert cxpt.getPastTotalSupply(snapshot) == 100


@pytest.mark.parametrize("amount", [1, 100])
def test_redemption_of_any_part_takes_its_votes(system, cxpt, funded, amount):
    delegate(cxpt, funded, funded)
    system.queue.request(CXPT_REDEEM, 0, amount, sender=funded)
    assert cxpt.getVotes(funded) == 100 - amount

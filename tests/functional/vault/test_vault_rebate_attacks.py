"""Attempts to be paid rebates that are not due."""

import pytest

from tests.utils.custody import CXPT_REDEEM, USDC_AS_CXPT, entry
from tests.utils.reverts import reverts

TIERS = [(1_000, 1_000), (10_000, 5_000)]


@pytest.fixture
def vault(custody, owner):
    custody.vault.setRebateTiers(TIERS, sender=owner)
    return custody.vault


def test_rebate_claimed_twice(custody, vault, maker, taker):
    custody.give_cxpt(maker, 10_000)
    custody.charge_fees(maker, 100)
    custody.charge_fees(taker, 100)
    vault.claimRebate(maker, sender=maker)
    with reverts("NoRebate", account=maker.address):
        vault.claimRebate(maker, sender=maker)
    custody.charge_fees(maker, 30)
    assert vault.claimRebate(maker, sender=maker).return_value == 15


def test_rebate_claimed_for_another_pays_the_account(custody, vault, maker, stranger):
    custody.give_cxpt(maker, 10_000)
    custody.charge_fees(maker, 100)
    vault.claimRebate(maker, sender=stranger)
    assert (vault.sharesOf(maker), vault.sharesOf(stranger)) == (50, 0)


def test_rebate_claimed_for_another_below_the_highest_tier(custody, vault, maker, stranger):
    """Else anyone could use up the fees at a low share just before the account holds more."""
    custody.give_cxpt(maker, 9_999)
    custody.charge_fees(maker, 100)
    with reverts("NotHighestTier", account=maker.address):
        vault.claimRebate(maker, sender=stranger)
    custody.give_cxpt(maker, 1)
    assert vault.claimRebate(maker, sender=maker).return_value == 50


def test_rebate_on_the_fees_of_another(custody, vault, maker, taker):
    """CXPT without fees earns nothing, however much others paid."""
    custody.give_cxpt(maker, 10_000)
    custody.charge_fees(taker, 1_000)
    with reverts("NoRebate", account=maker.address):
        vault.claimRebate(maker, sender=maker)


def test_rebate_with_borrowed_cxpt(custody, vault, maker, taker):
    """CXPT cannot be lent: it leaves a wallet for custody only, and counts no more while it is redeemed."""
    custody.give_cxpt(taker, 10_000)
    custody.charge_fees(maker, 100)
    with reverts("NotCustody", caller=taker.address):
        custody.cxpt.transfer(maker, 10_000, sender=taker)
    custody.cxpt.approve(maker, 10_000, sender=taker)
    with reverts("NotCustody", caller=maker.address):
        custody.cxpt.transferFrom(taker, maker, 10_000, sender=maker)
    assert vault.rebateOf(maker).rebate == 0


def test_rebate_with_the_same_usdc_for_two_accounts(custody, vault, operator, maker, taker):
    """One deposit turned into CXPT, used for a claim and redeemed comes back after the lock, not in between."""
    for account in (maker, taker):
        custody.charge_fees(account, 100)
    custody.give_cxpt(maker, 10_000)
    vault.claimRebate(maker, sender=maker)
    custody.queue.request(CXPT_REDEEM, 0, 10_000, sender=maker)
    with reverts("NotReleasable"):
        custody.queue.release(maker, CXPT_REDEEM, 0, 10_000, sender=operator)
    assert custody.usdc.balanceOf(maker) == 0
    with reverts("NoRebate", account=taker.address):
        vault.claimRebate(taker, sender=taker)


def test_rebate_with_a_pending_withdrawal_as_cxpt(custody, vault, maker):
    custody.charge_fees(maker, 100)
    custody.deposit_usdc(maker, 10_000)
    custody.queue.request(USDC_AS_CXPT, 0, 10_000, sender=maker)
    with reverts("NoRebate", account=maker.address):
        vault.claimRebate(maker, sender=maker)


def test_rebate_of_more_than_the_fees_accrued(custody, vault, accounts):
    """All accounts at the highest tier together get half of the fees, rounded down for each."""
    payers = accounts[3:7]
    for payer, fees in zip(payers, (1, 3, 101, 9_999), strict=True):
        custody.give_cxpt(payer, 10_000)
        custody.charge_fees(payer, fees)
    vault.claimRebate(payers[1], sender=payers[1])
    vault.claimRebate(payers[2], sender=payers[2])
    vault.claimRebate(payers[3], sender=payers[3])
    with reverts("NoRebate", account=payers[0].address):
        vault.claimRebate(payers[0], sender=payers[0])
    assert vault.sharesOf(custody.engine) == 10_104 - (1 + 50 + 4_999)


def test_rebate_after_the_owner_collected(custody, vault, owner, maker, taker):
    """The owner takes what is collectable again and again; every claim is still paid."""
    for account, fees in ((maker, 333), (taker, 777)):
        custody.give_cxpt(account, 10_000)
        custody.charge_fees(account, fees)
    custody.engine.collectFees(owner, sender=owner)
    with reverts("ZeroAmount"):
        custody.engine.collectFees(owner, sender=owner)
    assert vault.claimRebate(maker, sender=maker).return_value == 166
    assert vault.claimRebate(taker, sender=taker).return_value == 388
    assert vault.sharesOf(custody.engine) == vault.collectableFees() == 1


def test_collected_fees_that_were_never_there(custody, vault, owner, maker):
    """Were the Engine to pay out too much, claims would fail rather than take from others."""
    custody.give_cxpt(maker, 10_000)
    custody.charge_fees(maker, 100)
    rows = [entry(custody.engine), entry(owner)]
    vault.settle(rows, [-60, 60], sender=custody.clearinghouse)
    with reverts("RebatesUncovered", required=50, held=40):
        vault.claimRebate(maker, sender=maker)
    assert (vault.feesPaidOf(maker), vault.sharesOf(custody.engine)) == (100, 40)


def test_wash_trading_costs_more_than_it_returns(custody, vault, maker):
    """The highest share is half of the own fees, so paying fees for the rebate always loses."""
    custody.give_cxpt(maker, 10_000)
    custody.charge_fees(maker, 10_000)
    vault.claimRebate(maker, sender=maker)
    assert vault.sharesOf(maker) == 5_000

"""Rebates: a share of the account's own fees, by the CXPT that it holds."""

import pytest

from tests.utils.custody import CXPT_REDEEM, USDC_AS_CXPT, deploy_custody, entry
from tests.utils.reverts import reverts

TIERS = [(1_000, 1_000), (10_000, 2_500), (100_000, 5_000)]  # CXPT, basis points


@pytest.fixture
def vault(custody, owner):
    custody.vault.setRebateTiers(TIERS, sender=owner)
    return custody.vault


@pytest.mark.parametrize(
    ("holding", "rebate"), [(1_000, 100), (9_999, 100), (10_000, 250), (99_999, 250), (100_000, 501), (10**9, 501)]
)
def test_pays_the_tiers_share_from_the_collected_fees(custody, vault, maker, holding, rebate):
    custody.give_cxpt(maker, holding)
    custody.charge_fees(maker, 1_003)
    assert tuple(vault.rebateOf(maker)) == (1_003, rebate, holding >= 100_000)
    receipt = vault.claimRebate(maker, sender=maker)
    assert receipt.return_value == rebate
    assert receipt.events == [vault.RebateClaimed(account=maker, fees=1_003, rebate=rebate)]
    assert (vault.sharesOf(maker), vault.sharesOf(custody.engine)) == (rebate, 1_003 - rebate)
    assert (vault.feesPaidOf(maker), vault.unclaimedFees()) == (0, 0)
    held, owed = vault.solvency()
    assert held == owed


@pytest.mark.parametrize("holding", [0, 999])
def test_below_the_lowest_tier_nothing_is_paid_and_nothing_used_up(custody, vault, maker, holding):
    if holding:
        custody.give_cxpt(maker, holding)
    custody.charge_fees(maker, 1_000)
    with reverts("NoRebate", account=maker.address):
        vault.claimRebate(maker, sender=maker)
    assert vault.feesPaidOf(maker) == 1_000


def test_fees_that_earn_less_than_a_unit_are_kept(custody, vault, maker):
    custody.give_cxpt(maker, 1_000)
    custody.charge_fees(maker, 9)
    with reverts("NoRebate", account=maker.address):
        vault.claimRebate(maker, sender=maker)
    custody.charge_fees(maker, 1)
    assert vault.claimRebate(maker, sender=maker).return_value == 1


def test_without_a_token_or_tiers_there_is_none(custody, maker):
    custody.give_cxpt(maker, 10**6)
    custody.charge_fees(maker, 1_000)
    assert tuple(custody.vault.rebateOf(maker)) == (1_000, 0, False)
    with reverts("NoRebate", account=maker.address):
        custody.vault.claimRebate(maker, sender=maker)


def test_without_a_token_no_tier_is_reached(create_vault, usdc, owner, clearinghouse, maker):
    vault = create_vault(usdc)
    vault.setRebateTiers([(1, 5_000)], sender=owner)
    vault.settle([entry(maker, fees=100)], [0], sender=clearinghouse)
    assert tuple(vault.rebateOf(maker)) == (100, 0, False)


def test_a_token_that_is_not_listed_counts_in_the_wallet(
    project, owner, operator, guardian, clearinghouse, order_control, maker
):
    custody = deploy_custody(project, owner, operator, guardian, [clearinghouse, order_control], lists_cxpt=False)
    custody.vault.setRebateTiers(TIERS, sender=owner)
    custody.give_cxpt(maker, 10_000)
    custody.charge_fees(maker, 1_000)
    assert tuple(custody.vault.rebateOf(maker)) == (1_000, 250, False)


def test_cxpt_in_the_wallet_and_in_custody_counts_together(custody, vault, maker):
    custody.give_cxpt(maker, 10_000)
    custody.charge_fees(maker, 1_000)
    custody.cxpt.approve(custody.engine, 9_000, sender=maker)
    custody.engine.deposit(custody.cxpt_instrument, 9_000, sender=maker)
    assert vault.rebateOf(maker).rebate == 250
    custody.queue.request(CXPT_REDEEM, 0, 1, sender=maker)
    assert vault.rebateOf(maker).rebate == 100


def test_cxpt_in_redemption_does_not_count(custody, vault, maker):
    custody.give_cxpt(maker, 100_000)
    custody.charge_fees(maker, 1_000)
    custody.queue.request(CXPT_REDEEM, 0, 1, sender=maker)
    assert vault.rebateOf(maker).rebate == 250


def test_usdc_does_not_count(custody, vault, maker):
    """Nor does a request to turn it into CXPT, before it is settled."""
    custody.deposit_usdc(maker, 10**6)
    custody.queue.request(USDC_AS_CXPT, 0, 10**6, sender=maker)
    custody.charge_fees(maker, 1_000)
    assert vault.rebateOf(maker).rebate == 0


def test_what_may_be_claimed_is_not_collectable(custody, vault, owner, maker, taker):
    """Every account could still reach the highest tier."""
    custody.charge_fees(maker, 1_001)
    custody.charge_fees(taker, 2_000)
    assert vault.collectableFees() == 3_001 - 1_501
    custody.engine.collectFees(owner, sender=owner)
    assert vault.collectableFees() == 0
    custody.give_cxpt(maker, 1_000)
    vault.claimRebate(maker, sender=maker)
    assert vault.collectableFees() == 1_501 - 100 - 1_000


def test_tiers_can_be_read_and_replaced(vault, owner):
    assert [tuple(tier) for tier in vault.rebateTiers()] == TIERS
    receipt = vault.setRebateTiers([(5, 10)], sender=owner)
    assert [event.event_name for event in receipt.events] == ["RebateTiersSet"]
    assert [tuple(tier) for tier in vault.rebateTiers()] == [(5, 10)]
    vault.setRebateTiers([], sender=owner)
    assert vault.rebateTiers() == []


def test_tiers_are_the_owners(vault, operator, guardian, maker):
    for caller in (operator, guardian, maker):
        with reverts("OwnableUnauthorizedAccount", account=caller.address):
            vault.setRebateTiers([], sender=caller)


def test_at_most_four_tiers(vault, owner):
    tiers = [(step, step) for step in range(1, 6)]
    vault.setRebateTiers(tiers[:4], sender=owner)
    with reverts("TooManyTiers", count=5):
        vault.setRebateTiers(tiers, sender=owner)
    assert (vault.MAX_TIERS(), vault.MAX_REBATE_BPS()) == (4, 5_000)


@pytest.mark.parametrize(
    ("tiers", "index"),
    [
        ([(0, 10)], 0),
        ([(10, 0)], 0),
        ([(10, 5_001)], 0),
        ([(10, 10), (10, 20)], 1),
        ([(10, 10), (20, 10)], 1),
        ([(10, 10), (20, 30), (15, 40)], 2),
    ],
)
def test_tiers_ascend_from_above_zero_to_half_of_the_fees(vault, owner, tiers, index):
    with reverts("InvalidTier", index=index):
        vault.setRebateTiers(tiers, sender=owner)


def test_tiers_need_cover_for_fees_of_the_past(custody, vault, owner, maker):
    """After a collection without tiers the owner puts the money back before promising rebates of old fees."""
    vault.setRebateTiers([], sender=owner)
    custody.charge_fees(maker, 1_001)
    custody.engine.collectFees(owner, sender=owner)
    with reverts("RebatesUncovered", required=501, held=0):
        vault.setRebateTiers(TIERS, sender=owner)
    custody.usdc.mint(owner, 501, sender=owner)
    custody.usdc.approve(vault, 501, sender=owner)
    vault.deposit(501, custody.engine, sender=owner)
    vault.setRebateTiers(TIERS, sender=owner)
    assert vault.collectableFees() == 0

"""Fees that a settlement reports: counted for the account that paid them, and in sum."""

import pytest

from tests.utils.custody import NOTHING_SIGNED, entry
from tests.utils.reverts import reverts

MAX_FEES = 2**56 - 1


def test_fees_are_counted_for_who_paid_them(vault, usdc, deposit, settle, engine, maker, taker):
    deposit(vault, usdc, maker, 1_000)
    settle((maker, 0, -107, 7), (taker, 0, 95, 5), (engine, NOTHING_SIGNED, 12))
    assert (vault.feesPaidOf(maker), vault.feesPaidOf(taker), vault.feesPaidOf(engine)) == (7, 5, 0)
    assert vault.unclaimedFees() == 12
    settle((maker, 0, -3, 3), (engine, NOTHING_SIGNED, 3))
    assert (vault.feesPaidOf(maker), vault.unclaimedFees()) == (10, 15)


def test_fees_count_without_a_change_of_balance(vault, settle, maker):
    """What a trader gains in a batch may just pay its fee."""
    settle((maker, NOTHING_SIGNED, 0, 4))
    assert (vault.sharesOf(maker), vault.feesPaidOf(maker), vault.unclaimedFees()) == (0, 4, 4)


def test_fees_leave_shares_and_epoch_alone(vault, usdc, deposit, settle, order_control, maker):
    deposit(vault, usdc, maker, 50)
    vault.bumpEpoch(maker, 0, sender=order_control)
    settle((maker, 1, 0, 2**64 - 1))
    assert (vault.sharesOf(maker), vault.epochOf(maker), vault.epochBumpAt(maker)) == (50, 1, 0)


def test_stale_epoch_stops_fees_too(vault, settle, maker):
    with reverts("StaleEpoch", index=0):
        settle((maker, 1, 0, 4))


@pytest.mark.parametrize("last", [MAX_FEES, 1, 2**64 - 1])
def test_fees_stay_at_56_bits_and_the_sum_agrees(vault, settle, maker, taker, last):
    settle((maker, 0, 0, MAX_FEES - 1), (taker, 0, 0, 9))
    settle((maker, 0, 0, 1))
    assert vault.feesPaidOf(maker) == MAX_FEES
    settle((maker, 0, 0, last))
    assert vault.feesPaidOf(maker) == MAX_FEES
    assert vault.unclaimedFees() == MAX_FEES + 9


def test_an_account_listed_twice_pays_both_fees(vault, settle, maker):
    settle((maker, 0, 0, 4), (maker, NOTHING_SIGNED, 0, 6))
    assert (vault.feesPaidOf(maker), vault.unclaimedFees()) == (10, 10)


def test_without_tiers_all_fees_are_collectable(vault, usdc, deposit, settle, engine, maker):
    deposit(vault, usdc, maker, 100)
    settle((maker, 0, -30, 30), (engine, NOTHING_SIGNED, 30))
    assert vault.collectableFees() == 30


def test_the_sum_of_fees_costs_one_write_per_batch(vault, usdc, deposit, engine, accounts):
    payers = [f"0x{n + 1:040x}" for n in range(20)]
    deposit(vault, usdc, accounts[5], 10**6)

    def gas(fees):
        rows = [entry(payer, 0, fees) for payer in payers]
        return vault.settle([*rows, entry(accounts[5])], [*[1] * 20, -20], sender=engine).gas_used

    gas(1)  # slots exist from now on
    assert gas(2) - gas(0) < 5_000 + 20 * 300

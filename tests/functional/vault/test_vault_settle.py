"""One batch's changes: epochs, balances, conservation."""

import pytest

from tests.utils.custody import NOTHING_SIGNED, entry
from tests.utils.reverts import reverts

MAX_SHARES = 2**128 - 1


def test_moves_exactly_the_deltas(vault, usdc, deposit, settle, engine, maker, taker):
    deposit(vault, usdc, maker, 1_000)
    settle((maker, 0, -1_000), (taker, 0, 993), (engine, NOTHING_SIGNED, 7))
    assert [vault.sharesOf(a) for a in (maker, taker, engine)] == [0, 993, 7]
    assert vault.solvency() == (1_000, 1_000)


def test_entries_apply_in_order(vault, usdc, deposit, settle, maker, taker):
    deposit(vault, usdc, maker, 10)
    settle((maker, 0, -10), (taker, 0, 10), (taker, 0, -4), (maker, 0, 4))
    assert (vault.sharesOf(maker), vault.sharesOf(taker)) == (4, 6)
    with reverts("InsufficientBalance", index=0):
        settle((maker, 0, -5), (taker, 0, 1), (maker, 0, 4))


def test_epoch_must_be_the_accounts_own(vault, usdc, deposit, settle, maker, taker):
    deposit(vault, usdc, maker, 10)
    with reverts("StaleEpoch", index=1):
        settle((maker, 0, -10), (taker, 1, 10))


def test_nothing_signed_skips_the_epoch(vault, usdc, deposit, settle, maker, taker):
    deposit(vault, usdc, maker, 10)
    settle((maker, NOTHING_SIGNED, -10), (taker, NOTHING_SIGNED, 10))
    assert vault.sharesOf(taker) == 10
    assert (vault.epochOf(maker), vault.epochOf(taker)) == (0, 0)


def test_stale_epoch_comes_before_insufficient_balance(settle, maker, taker):
    with reverts("StaleEpoch", index=0):
        settle((maker, 1, -1), (taker, 0, 1))


def test_epoch_is_checked_without_a_change_of_balance(settle, maker):
    with reverts("StaleEpoch", index=0):
        settle((maker, 1, 0))


@pytest.mark.parametrize("delta", [-11, -(2**128), -(2**255)])
def test_balance_cannot_go_below_zero(vault, usdc, deposit, settle, maker, taker, delta):
    deposit(vault, usdc, maker, 10)
    with reverts("InsufficientBalance", index=1):
        settle((taker, 0, 1), (maker, 0, delta))


@pytest.mark.parametrize("delta", [MAX_SHARES, 2**255 - 1])
def test_balance_cannot_exceed_128_bits(vault, usdc, deposit, settle, maker, taker, delta):
    deposit(vault, usdc, taker, 1)
    with reverts("SharesOverflow", account=taker.address):
        settle((taker, 0, delta), (maker, 0, 0))


def test_the_largest_balance_can_move(vault, usdc, deposit, settle, maker, taker):
    deposit(vault, usdc, maker, MAX_SHARES)
    settle((maker, 0, -MAX_SHARES), (taker, 0, MAX_SHARES))
    assert (vault.sharesOf(maker), vault.sharesOf(taker)) == (0, MAX_SHARES)


@pytest.mark.parametrize("error", [-1, 1])
def test_deltas_must_sum_to_zero(vault, usdc, deposit, settle, maker, taker, error):
    deposit(vault, usdc, maker, 10)
    with reverts("UnbalancedDeltas", sum=error):
        settle((maker, 0, -5), (taker, 0, 5 + error))
    assert vault.sharesOf(maker) == 10


@pytest.mark.parametrize("lengths", [(1, 2), (2, 1)])
def test_tables_must_have_one_length(vault, engine, maker, lengths):
    entries, deltas = lengths
    with reverts("LengthMismatch"):
        vault.settle([entry(maker, 0)] * entries, [0] * deltas, sender=engine)


def test_only_engine_and_clearinghouse_settle(vault, usdc, deposit, settle, queue, owner, clearinghouse, maker, taker):
    for caller in (queue, owner, maker):
        with reverts("NotSettler", caller=caller.address):
            settle((maker, 0, 0), sender=caller)
    deposit(vault, usdc, maker, 10)
    settle((maker, NOTHING_SIGNED, -10), (taker, NOTHING_SIGNED, 10), sender=clearinghouse)
    assert vault.sharesOf(taker) == 10


def test_an_entry_that_says_nothing_reads_nothing(vault, usdc, deposit, settle, engine, maker):
    """A fresh account costs its calldata and a few instructions, no storage access."""
    deposit(vault, usdc, maker, 10)
    silent = [(f"0x{n + 1:040x}", NOTHING_SIGNED, 0) for n in range(50)]
    per_entry = (settle((maker, 0, 0), *silent).gas_used - settle((maker, 0, 0)).gas_used) / 50
    assert per_entry < 64 * 16 + 300


def test_gas_per_warm_account_stays_near_one_slot_write(vault, usdc, deposit, engine, accounts, chain):
    """The price of a batch grows by an access, a cold read and a write per account, plus a few hundred gas of work."""
    payer = accounts[5]
    receivers = [f"0x{n + 1:040x}" for n in range(101)]
    deposit(vault, usdc, payer, 10**9)

    def gas(count):
        entries = [entry(account, 0) for account in (payer, *receivers[:count])]
        return vault.settle(entries, [-count, *[1] * count], sender=engine).gas_used

    gas(101)  # slots exist from now on
    per_account = (gas(101) - gas(1)) / 100
    assert per_account < 2_900 + 2_100 + 1_500 + 600  # write, cold read, calldata of two words, work

"""Flags and takeovers: who may move a position to the fund, and what the fund puts in."""

from __future__ import annotations

import pytest

from tests.functional.clearinghouse.conftest import RICHES
from tests.functional.clearinghouse.house import FUND, HOUR, INDEX, WINDOW, Fill
from tests.utils.reverts import reverts

DUE = INDEX * 94 // 100
BAD = INDEX * 92 // 100  # E = 0.02, MM / 2 = 0.023
GAP = INDEX * 80 // 100  # E = -0.1
LOTS = 10
QUOTE = -LOTS * INDEX * 9 // 10


@pytest.fixture
def long(house, maker, taker):
    house.trade(maker, taker, LOTS)
    return maker


def health(house, account):
    return house.clearing.equity(account, house.market)


def take_over(house, account, sender=None):
    return house.clearing.takeOver(account, house.market, sender=sender or house.operator)


# Flags ---------------------------------------------------------------------------------------------------------------


def test_anyone_flags_a_position_below_maintenance(house, long, stranger):
    house.set_index(DUE)
    receipt = house.clearing.flag(long, house.market, sender=stranger)
    (event,) = house.clearing.Flagged.from_receipt(receipt)
    assert event.at == house.clearing.flaggedAt(long, house.market) == receipt.timestamp
    with reverts("AlreadyFlagged", at=event.at):
        house.clearing.flag(long, house.market, sender=stranger)


def test_a_healthy_position_is_not_flagged(house, long, stranger):
    equity, maintenance = health(house, long)
    with reverts("Healthy", equity=equity, maintenance=maintenance):
        house.clearing.flag(long, house.market, sender=stranger)
    with reverts("NoPosition", account=stranger.address, market=house.market):
        house.clearing.flag(stranger, house.market, sender=stranger)


def test_a_flag_goes_when_the_position_has_recovered(house, long, stranger):
    house.set_index(DUE)
    house.clearing.flag(long, house.market, sender=stranger)
    equity, maintenance = health(house, long)
    with reverts("Unhealthy", equity=equity, maintenance=maintenance):
        house.clearing.unflag(long, house.market, sender=long)
    house.set_index(INDEX)
    receipt = house.clearing.unflag(long, house.market, sender=stranger)
    assert house.clearing.Unflagged.from_receipt(receipt)
    assert house.clearing.flaggedAt(long, house.market) == 0
    with reverts("NotFlagged"):
        house.clearing.unflag(long, house.market, sender=stranger)


def test_a_flag_ends_with_its_position(house, long, taker, rescuer, stranger):
    """Who is closed out and opens again starts without a flag, also within one batch."""
    house.set_index(DUE)
    house.clearing.flag(long, house.market, sender=stranger)
    result = house.settle([Fill(rescuer, long, LOTS, DUE), Fill(long, taker, 1, DUE)])
    assert house.clearing.flaggedAt(long, house.market) == 0
    assert house.clearing.Unflagged.from_receipt(result.receipt)


def test_an_old_flag_gives_nobody_a_right_without_a_window(house, long, stranger):
    """Who flagged a position once must not be able to take it the moment it is below maintenance again."""
    house.set_index(DUE)
    flagged_at = house.clearing.flag(long, house.market, sender=stranger).timestamp
    term = flagged_at + WINDOW + 24 * HOUR
    house.move_to(term - 60)
    assert house.clearing.flaggedAt(long, house.market) == flagged_at
    with reverts("AlreadyFlagged", at=flagged_at):
        house.clearing.flag(long, house.market, sender=stranger)
    house.move_to(term)
    assert house.clearing.flaggedAt(long, house.market) == 0
    with reverts("NotFlagged"):
        take_over(house, long, stranger)
    again = house.clearing.flag(long, house.market, sender=stranger).timestamp
    with reverts("WindowOpen", readyAt=again + WINDOW):
        take_over(house, long, stranger)
    house.move_to(again + WINDOW)
    take_over(house, long, stranger)


def test_an_old_flag_can_be_used_to_its_last_second(house, long, stranger):
    house.set_index(DUE)
    flagged_at = house.clearing.flag(long, house.market, sender=stranger).timestamp
    house.chain.pending_timestamp = flagged_at + WINDOW + 24 * HOUR - 1
    take_over(house, long, stranger)


def test_an_old_flag_need_not_be_removed(house, long, stranger):
    house.set_index(DUE)
    house.clearing.flag(long, house.market, sender=stranger)
    house.wait(26 * HOUR)
    house.set_index(INDEX)
    with reverts("NotFlagged"):
        house.clearing.unflag(long, house.market, sender=stranger)


def test_a_flag_outlives_a_partial_close(house, long, rescuer, stranger):
    house.set_index(DUE)
    house.clearing.flag(long, house.market, sender=stranger)
    house.trade(rescuer, long, 1, price=DUE)
    assert house.clearing.flaggedAt(long, house.market)


# Takeover ------------------------------------------------------------------------------------------------------------


def test_the_operator_hands_over_below_half_maintenance(house, long):
    house.set_index(BAD)
    pool = house.pool()
    receipt = take_over(house, long)
    (event,) = house.clearing.TakenOver.from_receipt(receipt)
    top_up = LOTS * BAD * 5 // 100 - (LOTS * BAD + QUOTE)
    assert (event.account, event.size, event.quote, event.topUp) == (long.address, LOTS, QUOTE, top_up)
    assert house.position(long) == (0, 0)
    assert house.position(FUND) == (LOTS, QUOTE + top_up)
    assert house.balance(FUND) == RICHES - top_up
    assert house.pool() == house.balance(house.clearing) == pool + top_up
    assert house.balance(long) == RICHES - LOTS * INDEX // 10
    equity, maintenance = health(house, FUND)
    assert equity == maintenance


def test_a_top_up_covers_a_deficit(house, long):
    house.set_index(GAP)
    take_over(house, long)
    assert house.balance(FUND) == RICHES - LOTS * GAP * 5 // 100 - LOTS * INDEX // 10


def test_half_of_maintenance_is_the_operators_limit(house, long):
    """E < MM / 2 at an index below 0.9 / 0.975 of the price."""
    limit = INDEX * 900 // 975
    house.set_index(limit + 1)
    with reverts("NotFlagged"):
        take_over(house, long)
    house.set_index(limit)
    take_over(house, long)


def test_anyone_hands_over_a_window_after_the_flag(house, long, stranger):
    house.set_index(DUE)
    with reverts("NotFlagged"):
        take_over(house, long, stranger)
    flagged_at = house.clearing.flag(long, house.market, sender=stranger).timestamp
    house.chain.pending_timestamp = flagged_at + WINDOW - 1
    with reverts("WindowOpen", readyAt=flagged_at + WINDOW):
        take_over(house, long, stranger)
    house.move_to(flagged_at + WINDOW)
    take_over(house, long, stranger)
    assert house.clearing.flaggedAt(long, house.market) == 0


def test_a_halt_stops_the_window(house, long, stranger):
    house.set_index(DUE)
    flagged_at = house.clearing.flag(long, house.market, sender=stranger).timestamp
    house.engine.stopClock(500, sender=house.owner)
    house.move_to(flagged_at + WINDOW + 400)
    with reverts("WindowOpen", readyAt=flagged_at + WINDOW):
        take_over(house, long, stranger)
    house.move_to(flagged_at + WINDOW + 500)
    take_over(house, long, stranger)


def test_a_position_that_has_recovered_stays(house, long, stranger):
    house.set_index(DUE)
    house.clearing.flag(long, house.market, sender=stranger)
    house.wait(WINDOW)
    house.set_index(INDEX)
    equity, maintenance = health(house, long)
    for caller in (stranger, house.operator):
        with reverts("Healthy", equity=equity, maintenance=maintenance):
            take_over(house, long, caller)


def test_the_fund_must_have_the_top_up(house, long, stranger):
    house.drain_fund()
    house.set_index(BAD)
    top_up = LOTS * BAD * 5 // 100 - (LOTS * BAD + QUOTE)
    house.deposit(FUND, top_up - 1)
    with reverts("FundShort", required=top_up, held=top_up - 1):
        take_over(house, long)
    house.deposit(FUND, 1)
    take_over(house, long)
    assert house.balance(FUND) == 0


def test_merging_with_an_opposite_position_of_the_fund(house, long, taker):
    """The fund first gets a larger short, then this long: the sign of the sum is the short's."""
    short_first(house, taker, 3 * LOTS)
    house.set_index(BAD)
    size, quote = house.position(FUND)
    assert size == -3 * LOTS
    take_over(house, long)
    assert house.position(FUND) == (-2 * LOTS, quote + QUOTE)
    equity, maintenance = health(house, FUND)
    assert equity >= maintenance


def test_a_takeover_whose_merged_position_flips_sign(house, long, taker):
    short_first(house, taker, LOTS // 2)
    house.set_index(GAP)
    take_over(house, long)
    assert house.position(FUND)[0] == LOTS - LOTS // 2
    equity, maintenance = health(house, FUND)
    assert equity >= maintenance


def test_a_merged_size_of_zero_pays_the_rest_to_the_fund(house, long, taker):
    short_first(house, taker, LOTS)
    house.set_index(BAD)
    balance, (_, quote) = house.balance(FUND), house.position(FUND)
    (event,) = house.clearing.TakenOver.from_receipt(take_over(house, long))
    assert event.topUp == -(quote + QUOTE) < 0
    assert house.position(FUND) == (0, 0)
    assert house.balance(FUND) == balance + quote + QUOTE
    assert house.clearing.solvency() == (house.pool(), house.pool())


def test_the_fund_cannot_take_itself_over(house, long):
    house.set_index(GAP)
    take_over(house, long)
    with reverts("FundAccount"):
        take_over(house, FUND)
    with reverts("NoPosition", account=long.address, market=house.market):
        take_over(house, long)


def short_first(house, taker, lots):
    """Give the fund a short: a trader opens it, the index jumps up and the operator hands it over."""
    trader, counterparty = house.chain.account_manager.test_accounts[6], house.chain.account_manager.test_accounts[7]
    for account in (trader, counterparty):
        house.deposit(account, RICHES)
    house.trade(counterparty, trader, lots)
    house.set_index(INDEX * 109 // 100)
    take_over(house, trader)

"""Deleveraging: the last resort when the fund cannot take a bankrupt position over."""

from __future__ import annotations

import pytest

from tests.functional.clearinghouse.house import FUND, INDEX, WINDOW
from tests.utils.reverts import reverts

GAP = INDEX * 80 // 100
LOTS = 10
LONG_QUOTE = -LOTS * INDEX * 9 // 10
SHORT_QUOTE = LOTS * INDEX * 11 // 10


@pytest.fixture
def bankrupt(house, maker, taker):
    """The maker is long with E = -0.1 per lot, the taker short, the fund empty."""
    house.trade(maker, taker, LOTS)
    house.set_index(GAP)
    house.drain_fund()
    return maker


@pytest.fixture
def deleverage(house, maker, taker):
    def run(quantity, loser=maker, winner=taker, sender=None):
        return house.clearing.deleverage(loser, winner, house.market, quantity, sender=sender or house.operator)

    return run


def test_the_winner_is_closed_at_the_losers_bankruptcy_price(house, bankrupt, deleverage, taker):
    before, pool = house.balance(taker), house.pool()
    receipt = deleverage(LOTS)
    credit = LONG_QUOTE + SHORT_QUOTE
    (event,) = house.clearing.Deleveraged.from_receipt(receipt)
    assert (event.loser, event.winner, event.quantity, event.credit) == (bankrupt.address, taker.address, LOTS, credit)
    assert house.balance(taker) == before + credit
    assert house.position(bankrupt) == house.position(taker) == (0, 0)
    assert (pool, house.pool()) == (credit, 0)


def test_a_part_leaves_the_rest_in_proportion(house, bankrupt, deleverage, taker):
    deleverage(3)
    share = LONG_QUOTE * 3 // LOTS, SHORT_QUOTE * 3 // LOTS
    assert house.position(bankrupt) == (LOTS - 3, LONG_QUOTE - share[0])
    assert house.position(taker) == (3 - LOTS, SHORT_QUOTE - share[1])
    assert house.pool() == house.position(bankrupt)[1] + house.position(taker)[1]


def test_the_last_lot_can_go_alone(house, bankrupt, deleverage, taker):
    deleverage(LOTS - 1)
    deleverage(1)
    assert house.position(bankrupt) == house.position(taker) == (0, 0)
    assert house.pool() == 0


def test_both_shares_round_down(house, maker, taker, deleverage):
    house.trade(maker, taker, 3, price=INDEX + 4)
    margin = 3 * (INDEX + 4) // 10
    house.set_index(GAP)
    house.drain_fund()
    before = house.balance(taker)
    deleverage(1)
    assert house.balance(taker) - before == (margin - 3 * (INDEX + 4)) // 3 + (margin + 3 * (INDEX + 4)) // 3
    assert (margin + 3 * (INDEX + 4)) % 3


def test_a_solvent_position_is_not_deleveraged(house, maker, taker, deleverage):
    house.trade(maker, taker, LOTS)
    house.drain_fund()
    house.set_index(INDEX * 90 // 100 + 1)
    with reverts("Solvent", equity=LOTS):
        deleverage(1)
    house.set_index(INDEX * 90 // 100)
    deleverage(1)


def test_the_fund_comes_first(house, bankrupt, deleverage):
    required = LOTS * GAP * 5 // 100 - (LOTS * GAP + LONG_QUOTE)
    house.deposit(FUND, required - 1)
    deleverage(1)
    required = (LOTS - 1) * (GAP * 5 // 100 - GAP) - LONG_QUOTE * (LOTS - 1) // LOTS
    house.deposit(FUND, 1)
    with reverts("FundSuffices", required=required, held=house.balance(FUND)):
        deleverage(1)


def test_anyone_deleverages_a_window_after_the_flag(house, bankrupt, deleverage, stranger):
    with reverts("NotFlagged"):
        deleverage(1, sender=stranger)
    flagged_at = house.clearing.flag(bankrupt, house.market, sender=stranger).timestamp
    house.chain.pending_timestamp = flagged_at + WINDOW - 1
    with reverts("WindowOpen", readyAt=flagged_at + WINDOW):
        deleverage(1, sender=stranger)
    house.move_to(flagged_at + WINDOW)
    deleverage(1, sender=stranger)
    assert house.clearing.flaggedAt(bankrupt, house.market)
    deleverage(LOTS - 1, sender=stranger)
    assert house.clearing.flaggedAt(bankrupt, house.market) == 0


def test_an_old_flag_lets_nobody_deleverage(house, bankrupt, deleverage, stranger):
    flagged_at = house.clearing.flag(bankrupt, house.market, sender=stranger).timestamp
    house.move_to(flagged_at + 25 * WINDOW)
    with reverts("NotFlagged"):
        deleverage(1, sender=stranger)
    deleverage(1)  # the operator needs none


def test_the_winner_is_on_the_other_side(house, bankrupt, deleverage, rescuer, taker):
    house.deposit(rescuer, 10**12)
    house.trade(rescuer, taker, 1, price=GAP)
    for winner in (rescuer, bankrupt, house.owner):
        with reverts("NotOpposite"):
            deleverage(1, winner=winner)


@pytest.mark.parametrize("quantity", [0, LOTS + 1, 2**256 - 1])
def test_not_more_than_both_have(house, bankrupt, deleverage, quantity):
    with reverts("InvalidQuantity", quantity=quantity, highest=LOTS):
        deleverage(quantity)


def test_not_more_than_a_small_winner_has(house, bankrupt, deleverage, rescuer, owner):
    house.deposit(owner, 10**12)
    house.trade(owner, rescuer, 2, price=GAP)
    with reverts("InvalidQuantity", quantity=3, highest=2):
        deleverage(3, winner=rescuer)


def test_a_winner_that_would_have_to_pay_is_spared(house, bankrupt, deleverage, rescuer, owner):
    """A short from the new index has won nothing: closed at the bankruptcy price it would owe."""
    house.deposit(owner, 10**12)
    house.trade(owner, rescuer, 2, price=GAP)
    credit = LONG_QUOTE * 2 // LOTS + 2 * GAP * 11 // 10
    assert credit < 0
    with reverts("CreditNegative", credit=credit):
        deleverage(2, winner=rescuer)


def test_the_fund_itself_can_be_the_loser(house, maker, taker, deleverage, stranger):
    house.trade(maker, taker, LOTS)
    house.set_index(INDEX * 92 // 100)
    house.clearing.takeOver(maker, house.market, sender=house.operator)
    house.set_index(GAP)
    equity, maintenance = house.clearing.equity(FUND, house.market)
    assert equity <= 0
    with reverts("FundSuffices", required=maintenance - equity, held=house.balance(FUND)):
        deleverage(LOTS, loser=FUND)
    house.drain_fund()
    deleverage(LOTS, loser=FUND)
    assert house.position(FUND) == (0, 0)
    assert house.pool() == 0


def test_the_fund_can_be_the_winner(house, maker, taker, rescuer, deleverage):
    """The fund has a short of two lots, too small to take the bankrupt long over."""
    house.trade(taker, maker, 2)
    house.trade(taker, rescuer, LOTS - 2)
    house.set_index(INDEX * 109 // 100)
    house.clearing.takeOver(maker, house.market, sender=house.operator)
    house.set_index(GAP)
    house.drain_fund()
    _, quote = house.position(FUND)
    deleverage(2, loser=taker, winner=FUND)
    assert house.position(FUND) == (0, 0)
    assert house.balance(FUND) == quote + LONG_QUOTE * 2 // LOTS
    assert house.clearing.solvency() == (house.pool(), house.pool())


def test_a_bankrupt_short_is_closed_too(house, maker, taker, deleverage):
    house.trade(maker, taker, LOTS)
    house.set_index(INDEX * 120 // 100)
    house.drain_fund()
    before = house.balance(maker)
    deleverage(3, loser=taker, winner=maker)
    assert house.balance(maker) == before + (LONG_QUOTE + SHORT_QUOTE) * 3 // LOTS
    assert house.position(taker) == (3 - LOTS, SHORT_QUOTE - SHORT_QUOTE * 3 // LOTS)
    assert house.position(maker) == (LOTS - 3, LONG_QUOTE - LONG_QUOTE * 3 // LOTS)


def test_the_winner_takes_no_more_than_the_pool_has(house, maker, taker, rescuer, owner, stranger, deleverage):
    """Another short has taken its profit out of the pool already, and the long that owes it has not paid yet."""
    half = INDEX // 2
    for account in (owner, stranger):
        house.deposit(account, 10**12)
    house.trade(maker, taker, LOTS)
    house.trade(rescuer, owner, 1)
    house.set_index(half)
    house.trade(owner, stranger, 1, price=half)
    house.drain_fund()
    credit, pool = LONG_QUOTE + SHORT_QUOTE, house.pool()
    assert pool < credit
    with reverts("PoolShort", required=credit, held=pool):
        deleverage(LOTS)
    deleverage(LOTS // 2)
    assert house.pool() == pool - credit // 2


def test_a_position_is_needed(house, deleverage, stranger):
    with reverts("NoPosition", account=stranger.address, market=house.market):
        deleverage(1, loser=stranger)

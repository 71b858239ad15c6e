"""Attacks on the Clearinghouse by an operator that may build any batch, and by traders who own several accounts."""

from __future__ import annotations

import pytest

from tests.functional.clearinghouse.conftest import RICHES
from tests.functional.clearinghouse.house import FUND, FUTURE, HOUR, INDEX, MARGINS, PERP, WINDOW, Fill
from tests.utils.reverts import reverts

LOTS = 10
BAND = MARGINS["bandBps"]
DUE = INDEX * 94 // 100


def wealth(house, *accounts):
    """What accounts have, with their positions at the latest index."""
    return sum(house.balance(account) + house.clearing.equity(account, house.market)[0] for account in accounts)


def is_solvent(house):
    held, owed = house.clearing.solvency()
    return held >= owed and sum(house.vault.solvency()[n] * (1, -1)[n] for n in (0, 1)) == 0


def test_off_market_trade_of_one_person_to_drain_the_fund(house, maker, taker):
    """The loser of the trade must keep maintenance margin, so all that moves between the two is their own."""
    with reverts("Undermargined", position=0):
        house.trade(maker, taker, LOTS, price=INDEX * 106 // 100)
    house.trade(maker, taker, LOTS, price=INDEX * 105 // 100)  # E = 10.5 % - 5 %
    assert wealth(house, maker, taker) == 2 * RICHES
    equity, maintenance = house.clearing.equity(maker, house.market)
    with reverts("Healthy", equity=equity, maintenance=maintenance):
        house.clearing.takeOver(maker, house.market, sender=house.operator)
    assert house.balance(FUND) == RICHES


def test_off_market_round_trip_within_a_batch_to_drain_the_pool(house, maker, taker, rescuer, stranger):
    """Closed positions are not checked at the end; what their owners take out, they have paid in."""
    house.deposit(stranger, RICHES)
    house.trade(rescuer, stranger, LOTS)
    pool = house.pool()
    fills = [Fill(maker, taker, LOTS, INDEX // 2), Fill(taker, maker, LOTS, INDEX * 2)]
    result = house.settle(fills)
    assert result.own_delta == 0
    assert result.deltas[maker.address] == -result.deltas[taker.address]
    assert house.pool() == pool
    assert house.balance(maker) + house.balance(taker) == 2 * RICHES


def test_off_market_round_trip_beyond_the_balance(house, maker, stranger):
    house.deposit(stranger, LOTS * INDEX)
    fills = [Fill(stranger, maker, LOTS, INDEX * 2), Fill(maker, stranger, LOTS, INDEX // 2)]
    with reverts("InsufficientBalance", index=0):
        house.settle(fills)


@pytest.mark.parametrize("wants_exit", [False, True])
def test_own_order_filled_below_maintenance_and_closed_by_force_in_one_batch(house, maker, taker, rescuer, wants_exit):
    """A trader who signs a loose limit is safe by the margin check after growth. An accomplice who sells at that limit
    must not go around it by closing the position at the band's edge, at the trader's cost, before the batch ends."""
    house.trade(maker, taker, 1)
    if wants_exit:
        house.clearing.requestExit(house.market, sender=maker)
    grow = Fill(maker, taker, LOTS, INDEX * 108 // 100)
    close = Fill(rescuer, maker, LOTS + 1, INDEX * 99 // 100, forced=(False, True))
    with reverts("Undermargined", position=0):
        house.settle([grow])
    with reverts("NotForceable", fill=1):
        house.settle([grow, close], rounds=house.round())


def test_forced_order_of_an_account_of_the_protocol(house, taker):
    """Engine, Clearinghouse and Vault sign nothing and have no positions: no batch opens one for them."""
    for account in (house.engine, house.clearing, house.vault):
        for forced in ((False, True), (True, False)):
            parties = (taker, account.address) if forced[1] else (account.address, taker)
            with reverts("ReduceOnlyExceeded", fill=0):
                house.trade(*parties, 1, forced=forced, rounds=house.round())


def test_winners_of_a_gap_take_no_more_than_the_pool(house, maker, taker, rescuer, stranger):
    """Two losers' margin is gone: the first winner gets what the pool has, not what it is owed."""
    house.deposit(stranger, RICHES)
    house.trade(maker, taker, LOTS)
    house.trade(rescuer, stranger, LOTS)
    gap = INDEX * 55 // 100
    house.set_index(gap)
    with reverts("PoolNegative", market=0):
        house.trade(taker, stranger, LOTS, price=gap)
    house.trade(taker, stranger, LOTS // 2, price=gap)
    assert house.pool() >= 0
    assert is_solvent(house)


def test_bad_debt_does_not_cross_markets(house, maker, taker, rescuer, stranger):
    house.deposit(stranger, RICHES)
    rich = house.create_market(PERP)
    house.trade(rescuer, stranger, 100 * LOTS, market=rich)
    house.trade(maker, taker, LOTS)
    house.set_index(INDEX // 2)
    with reverts("PoolNegative", market=0):
        house.trade(taker, rescuer, LOTS, price=INDEX // 2)
    assert house.balance(house.clearing) > house.pool()


def test_self_liquidation_for_profit(house, maker, taker, stranger):
    """Buying one's own liquidated position at the band moves money from one pocket to the other, less the penalty."""
    house.deposit(stranger, RICHES)
    house.trade(maker, taker, LOTS)
    house.set_index(DUE)
    before = wealth(house, maker, stranger)
    price = -(-DUE * (10_000 - BAND) // 10_000)
    result = house.trade(stranger, maker, LOTS, price, fee_bps=10, forced=(False, True), rounds=house.round())
    paid = sum(result.fees.values()) + result.penalties
    assert paid > 0
    assert wealth(house, maker, stranger) == before - paid
    assert house.balance(FUND) == RICHES + result.penalties


def test_self_takeover_for_profit(house, maker, taker, stranger):
    """Who lets the fund take a position over loses what was left of it."""
    house.trade(maker, taker, LOTS)
    house.set_index(DUE)
    before = wealth(house, maker)
    equity, _ = house.clearing.equity(maker, house.market)
    house.clearing.flag(maker, house.market, sender=maker)
    house.wait(WINDOW)
    house.clearing.takeOver(maker, house.market, sender=maker)
    assert wealth(house, maker) == before - equity
    assert wealth(house, FUND) == RICHES + equity


def test_liquidation_by_a_round_of_another_time(house, maker, taker, rescuer):
    """An operator looks for an old round at which a healthy position would have been due."""
    low = house.set_index(DUE)
    house.wait(100)
    house.set_index(INDEX)
    house.wait(100)
    house.trade(maker, taker, LOTS)
    with reverts("WrongRound", round=low, time=house.now()):
        house.trade(rescuer, maker, LOTS, DUE, forced=(False, True), rounds={house.market: low}, matched_at=house.now())


def test_a_forced_order_to_steal_from_a_healthy_position(house, maker, taker, rescuer):
    house.trade(maker, taker, LOTS)
    with reverts("NotForceable", fill=0):
        house.trade(rescuer, maker, LOTS, 1, forced=(False, True), rounds=house.round())


def test_a_forced_order_of_an_account_without_a_position(house, maker, rescuer):
    with reverts("ReduceOnlyExceeded", fill=0):
        house.trade(rescuer, maker, 1, INDEX, forced=(False, True), rounds=house.round())


def test_a_fund_position_sold_below_the_band(house, maker, taker, rescuer):
    """A colluding operator unwinds the fund into its own hands: not below the band."""
    house.trade(maker, taker, LOTS)
    house.set_index(INDEX * 92 // 100)
    house.clearing.takeOver(maker, house.market, sender=house.operator)
    with reverts("PriceOutOfBand", fill=0):
        house.trade(rescuer, FUND, LOTS, INDEX // 2, forced=(False, True), rounds=house.round())


def test_a_second_exit_by_an_old_request(house, maker, taker):
    """The option to leave at any later time must be asked for again by each position."""
    house.trade(maker, taker, LOTS)
    house.clearing.requestExit(house.market, sender=maker)
    house.wait(WINDOW)
    house.settle([Fill(taker, maker, LOTS, INDEX), Fill(maker, taker, LOTS, INDEX)])
    with reverts("NoExitRequest"):
        house.clearing.exit(maker, house.market, sender=maker)


def test_an_exit_to_escape_a_loss(house, maker, taker):
    """The price is that of the exit, not of the request, and the penalty comes on top."""
    house.trade(maker, taker, LOTS)
    house.clearing.requestExit(house.market, sender=maker)
    house.wait(WINDOW)
    house.set_index(DUE)
    before = wealth(house, maker)
    fund = wealth(house, FUND)
    house.clearing.exit(maker, house.market, sender=maker)
    penalty = LOTS * DUE * MARGINS["exitPenaltyBps"] // 10_000
    assert wealth(house, maker) == before - penalty
    assert wealth(house, FUND) == fund + penalty


def test_an_insolvent_loser_who_exits_is_paid_nothing(house, maker, taker):
    house.trade(maker, taker, LOTS)
    house.set_index(INDEX // 2)
    house.clearing.requestExit(house.market, sender=maker)
    house.wait(WINDOW)
    before = house.balance(maker)
    house.clearing.exit(maker, house.market, sender=maker)
    assert house.balance(maker) == before
    assert is_solvent(house)


def test_fund_drained_through_expiry_twice(house, maker, taker):
    """The fund pays a deficit once; closing again finds nothing."""
    expiry = house.now() + HOUR
    future = house.create_market(FUTURE, expiry=expiry)
    house.trade(maker, taker, LOTS, market=future)
    round = house.set_index(INDEX * 2, future, at=expiry)
    house.set_index(INDEX, future, at=expiry + 1)
    house.move_to(expiry + 1)
    house.clearing.expire(future, round, sender=house.owner)
    house.clearing.close(taker, future, sender=maker)
    held = house.balance(FUND)
    with reverts("NothingToClose"):
        house.clearing.close(taker, future, sender=maker)
    house.clearing.close(maker, future, sender=maker)
    with reverts("NothingToClose"):
        house.clearing.close(maker, future, sender=maker)
    assert house.balance(FUND) == held
    assert house.pool(future) == 0


def test_growth_hidden_behind_a_reduction(house, maker, taker, rescuer):
    """A position that grew and shrank in one batch is checked as it ends."""
    house.set_index(INDEX * 947 // 1_000)
    fills = [Fill(maker, taker, LOTS, INDEX), Fill(rescuer, maker, 1, INDEX * 947 // 1_000)]
    with reverts("Undermargined", position=0):
        house.settle(fills)


def test_fresh_margin_does_not_hide_behind_another_account(house, maker, taker, rescuer):
    """Each position that grew is checked, the last one too."""
    house.set_index(INDEX * 947 // 1_000)
    fair = INDEX * 947 // 1_000
    fills = [Fill(maker, taker, 1, fair), Fill(maker, taker, 1, fair), Fill(rescuer, taker, 1, INDEX)]
    with reverts("Undermargined", position=2):
        house.settle(fills)


@pytest.mark.parametrize("caller", ["stranger", "owner", "operator", "guardian"])
def test_nobody_but_the_engine_books_fills(house, caller, request):
    sender = request.getfixturevalue(caller)
    with reverts("NotEngine", caller=sender.address):
        house.clearing.settle(0, 0, [], [], [], [], [], sender=sender)


def test_a_donation_changes_nothing(house, maker, taker):
    house.trade(maker, taker, LOTS)
    pool = house.pool()
    house.deposit(house.clearing, 12_345)
    assert house.pool() == pool
    assert house.clearing.solvency() == (pool + 12_345, pool)
    house.trade(taker, maker, LOTS)
    assert house.balance(house.clearing) == 12_345

"""Funding: who may accrue it, when, how much, and what positions pay."""

from __future__ import annotations

import pytest

from tests.functional.clearinghouse.conftest import RICHES
from tests.functional.clearinghouse.house import FUTURE, HOUR, INDEX, PERP, WINDOW
from tests.utils.reverts import reverts

CAP = 50_000  # 1e-8 per hour
ONE = 2**32
UNIT = 10**8  # rate of 100 %


@pytest.fixture
def hour(house) -> int:
    """The hour that has just begun, with a round from before."""
    hour = house.now() // HOUR + 1
    house.move_to(hour * HOUR + 5)
    return hour


@pytest.fixture
def accrue(house):
    def run(hour, rate, round=1, market=None, sender=None):
        return house.clearing.accrueFunding(market or house.market, hour, rate, round, sender=sender or house.operator)

    return run


def funding(house) -> int:
    return house.clearing.marketState(house.market).funding


@pytest.mark.parametrize("rate", [CAP, -CAP, 1, -1, 0])
def test_the_index_moves_by_the_rate_of_the_hours_index(house, hour, accrue, rate):
    receipt = accrue(hour, rate)
    step = abs(rate) * INDEX * ONE // UNIT * (1 if rate >= 0 else -1)
    assert funding(house) == step
    (event,) = house.clearing.FundingAccrued.from_receipt(receipt)
    assert (event.market, event.hour, event.rate, event.index, event.funding) == (1, hour, rate, INDEX, step)
    assert house.clearing.marketState(house.market).lastHour == hour


@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_is_truncated_toward_zero(house, hour, accrue, sign):
    market = house.create_market(PERP, index=3)
    house.move_to((hour + 1) * HOUR)
    accrue(hour + 1, sign * 7, market=market)
    assert house.clearing.marketState(market).funding == sign * (7 * 3 * ONE // UNIT)
    assert 7 * 3 * ONE % UNIT


def test_longs_pay_shorts_at_a_positive_rate(house, hour, accrue, maker, taker):
    house.trade(maker, taker, 4)
    accrue(hour, CAP)
    payment = 4 * INDEX * CAP // UNIT
    result = house.trade(taker, maker, 4)
    assert result.deltas == {maker.address: 4 * INDEX // 10 - payment, taker.address: 4 * INDEX // 10 + payment}
    assert house.pool() == 0


def test_payments_round_in_favour_of_the_pool(house, accrue, maker, taker, rescuer):
    """Two longs against one short at an index move of less than a unit: dust stays, never lacks."""
    house.trade(maker, taker, 1)
    house.trade(rescuer, taker, 1)
    house.set_index(INDEX + 1)
    hour = house.now() // HOUR + 1
    house.move_to(hour * HOUR)
    accrue(hour, 1, round=2)
    assert (INDEX + 1) * ONE // UNIT % ONE
    quotes = []
    for account in (maker, rescuer, taker):
        equity, _ = house.clearing.equity(account, house.market)
        quotes.append(equity - house.position(account)[0] * (INDEX + 1))
    assert quotes[0] == -INDEX * 9 // 10 - 2  # ceil(1.00000001)
    assert sum(quotes) == house.pool() - 2


def test_funding_counts_once_for_a_position(house, hour, accrue, maker, taker):
    house.trade(maker, taker, 2)
    accrue(hour, CAP)
    house.trade(maker, taker, 1)
    once = house.position(maker)[1]
    house.trade(maker, taker, 1)
    assert house.position(maker)[1] == once - INDEX * 9 // 10
    assert house.clearing.positionOf(maker, house.market).fundingIndex == funding(house)


def test_who_opens_later_owes_nothing_from_before(house, hour, accrue, maker, taker):
    accrue(hour, CAP)
    house.trade(maker, taker, 2)
    assert house.position(maker) == (2, -2 * INDEX * 9 // 10)


def test_only_the_operator_accrues(house, hour, accrue, stranger, owner):
    for caller in (stranger, owner):
        with reverts("NotOperator", caller=caller.address):
            accrue(hour, 0, sender=caller)


def test_only_perpetuals_have_funding(house, accrue, hour):
    future = house.create_market(FUTURE, expiry=house.now() + 10 * HOUR)
    with reverts("WrongKind", market=future):
        accrue(hour, 0, market=future)


@pytest.mark.parametrize("rate", [CAP + 1, -CAP - 1, 2**63 - 1, -(2**63)])
def test_a_rate_out_of_bounds(house, hour, accrue, rate):
    with reverts("RateOutOfBounds", rate=rate, cap=CAP):
        accrue(hour, rate)


def test_funding_applied_twice(house, hour, accrue):
    accrue(hour, 1)
    for again in (hour, hour - 1, 0):
        with reverts("WrongHour", hour=again, lowest=hour + 1, highest=hour):
            accrue(again, 1)


def test_funding_of_an_hour_that_has_not_begun(house, hour, accrue):
    with reverts("WrongHour", hour=hour + 1, lowest=hour, highest=hour):
        accrue(hour + 1, 1)


def test_a_long_gap_has_no_backlog(house, hour, accrue):
    accrue(hour, 1)
    house.move_to((hour + 50) * HOUR + 5)
    for missed in (hour + 1, hour + 49):
        with reverts("WrongHour", hour=missed, lowest=hour + 50, highest=hour + 50):
            accrue(missed, 1)


def test_an_hour_is_open_for_a_window(house, hour, accrue):
    house.move_to(hour * HOUR + WINDOW - 1)
    accrue(hour, 1)


def test_at_the_full_hour_both_hours_are_open(house, hour, accrue):
    house.chain.pending_timestamp = (hour + 1) * HOUR
    accrue(hour, 1)


def test_the_index_is_that_of_the_full_hour(house, hour, accrue):
    late = house.set_index(2 * INDEX)
    with reverts("WrongRound", round=late, time=hour * HOUR):
        accrue(hour, 1, round=late)
    accrue(hour, CAP, round=late - 1)
    assert funding(house) == CAP * INDEX * ONE // UNIT


def test_an_expired_market_accrues_nothing(house, accrue):
    house.move_to(house.now() + 49 * HOUR)
    house.clearing.expireAbandoned(house.market, sender=house.owner)
    with reverts("NotOpen", market=house.market):
        accrue(house.now() // HOUR, 0)


def test_an_accrual_is_a_sign_of_life(house, hour, accrue):
    accrue(hour, 0)
    assert house.clearing.lastSignOfLife() == hour * HOUR


def test_funding_alone_can_make_a_position_liquidatable(house, accrue, maker, taker):
    house.trade(maker, taker, 1)
    hour = house.now() // HOUR
    for n in range(1, 102):
        house.move_to((hour + n) * HOUR)
        accrue(hour + n, CAP)
    assert house.clearing.isLiquidatable(maker, house.market)
    assert house.clearing.equity(maker, house.market)[0] == INDEX // 10 - 101 * INDEX * 5 // 10_000
    assert house.balance(maker) == RICHES - INDEX // 10


def test_two_markets_accrue_the_same_hour(house, hour, accrue):
    other = house.create_market(PERP)
    house.move_to((hour + 1) * HOUR)
    accrue(hour + 1, CAP)
    accrue(hour + 1, -CAP, market=other)
    assert house.clearing.marketState(house.market).funding == -house.clearing.marketState(other).funding != 0
    assert house.clearing.lastSignOfLife() == (hour + 1) * HOUR

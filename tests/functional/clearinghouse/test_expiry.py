"""Expiry of dated markets and of abandoned ones, and what positions are paid."""

from __future__ import annotations

import pytest

from tests.functional.clearinghouse.conftest import RICHES
from tests.functional.clearinghouse.house import EXPIRED, FUND, FUTURE, HOUR, INDEX, OPTION, SPOT
from tests.utils.reverts import reverts

LOTS = 10
STRIKE, CAP = INDEX, INDEX * 3 // 2
PREMIUM = 4_000_000


@pytest.fixture
def expiry(house) -> int:
    return house.now() + 10 * HOUR


@pytest.fixture
def future(house, expiry) -> int:
    return house.create_market(FUTURE, expiry=expiry)


def expire(house, market, index):
    """Let the market expire at an index."""
    expiry = house.registry.derivatives([market]).words[0] >> 120 & (2**40 - 1)
    round = house.set_index(index, market, at=expiry - 1)
    house.set_index(index * 3, market, at=expiry + 1)
    house.move_to(expiry + 2)
    return house.clearing.expire(market, round, sender=house.owner)


def close(house, account, market):
    return house.clearing.close(account, market, sender=house.owner)


def closed(house, account, market):
    (event,) = house.clearing.Closed.from_receipt(close(house, account, market))
    return event.equity, event.paid, event.covered


# Expiry --------------------------------------------------------------------------------------------------------------


def test_the_round_across_the_expiry_fixes_the_price(house, future):
    (event,) = house.clearing.MarketExpired.from_receipt(expire(house, future, INDEX + 7))
    assert (event.market, event.how, event.settlePerLot) == (future, 0, INDEX + 7)
    state = house.clearing.marketState(future)
    assert (state.state, state.settlePerLot) == (EXPIRED, INDEX + 7)


def test_expiry_settled_early(house, future, expiry):
    house.chain.pending_timestamp = expiry - 1
    with reverts("BeforeExpiry", expiry=expiry):
        house.clearing.expire(future, 1, sender=house.owner)


def test_expiry_settled_by_a_wrong_round(house, future, expiry):
    for at in (expiry - 100, expiry, expiry + 1):
        house.set_index(INDEX, future, at=at)  # rounds 2, 3, 4
    house.move_to(expiry + 2)
    for wrong in (0, 1, 2, 4, 5):
        with reverts("WrongRound", round=wrong, time=expiry):
            house.clearing.expire(future, wrong, sender=house.owner)
    house.clearing.expire(future, 3, sender=house.owner)


def test_expiry_settled_twice(house, future):
    expire(house, future, INDEX)
    with reverts("NotOpen", market=future):
        house.clearing.expire(future, 2, sender=house.owner)


def test_a_perpetual_has_no_expiry(house):
    with reverts("WrongKind", market=house.market):
        house.clearing.expire(house.market, 1, sender=house.owner)


def test_no_fill_at_or_after_the_expiry(house, future, expiry, maker, taker):
    house.chain.pending_timestamp = expiry - 1
    house.trade(maker, taker, 1, market=future)
    house.chain.pending_timestamp = expiry
    with reverts("ExpiredMarket", market=0):
        house.trade(maker, taker, 1, market=future, matched_at=expiry - 1)


# Settlement ----------------------------------------------------------------------------------------------------------


def test_positions_are_paid_their_equity(house, future, maker, taker):
    house.trade(maker, taker, LOTS, market=future)
    expire(house, future, INDEX + 7)
    margin = LOTS * INDEX // 10
    assert closed(house, maker, future) == (margin + 7 * LOTS, margin + 7 * LOTS, 0)
    assert closed(house, taker, future) == (margin - 7 * LOTS, margin - 7 * LOTS, 0)
    assert house.balance(maker) == RICHES + 7 * LOTS
    assert house.position(maker, future) == (0, 0)
    assert house.pool(future) == 0


def test_the_fund_covers_a_deficit(house, future, maker, taker):
    house.trade(maker, taker, LOTS, market=future)
    expire(house, future, INDEX * 2)
    deficit = LOTS * INDEX - LOTS * INDEX // 10
    assert closed(house, taker, future) == (-deficit, 0, deficit)
    assert house.balance(FUND) == RICHES - deficit
    assert house.balance(taker) == RICHES - LOTS * INDEX // 10
    assert closed(house, maker, future)[1] == LOTS * INDEX * 11 // 10
    assert house.pool(future) == 0


def test_a_claim_waits_for_the_pool(house, future, maker, taker):
    """The winner comes first, when the pool lacks what the loser owes."""
    house.trade(maker, taker, LOTS, market=future)
    expire(house, future, INDEX * 2)
    equity, pool = LOTS * INDEX * 11 // 10, LOTS * INDEX // 5
    assert closed(house, maker, future) == (equity, pool, 0)
    assert house.position(maker, future) == (0, equity - pool)
    assert closed(house, maker, future) == (equity - pool, 0, 0)
    close(house, taker, future)
    assert closed(house, maker, future) == (equity - pool, equity - pool, 0)
    with reverts("NothingToClose"):
        close(house, maker, future)


def test_what_the_fund_lacks_is_lost_to_the_market(house, future, maker, taker):
    house.trade(maker, taker, LOTS, market=future)
    house.drain_fund()
    house.deposit(FUND, 5)
    expire(house, future, INDEX * 2)
    deficit = LOTS * INDEX - LOTS * INDEX // 10
    assert closed(house, taker, future) == (-deficit, 0, 5)
    assert house.position(taker, future) == (0, 0)
    with reverts("NothingToClose"):
        close(house, taker, future)
    equity = LOTS * INDEX * 11 // 10
    assert closed(house, maker, future) == (equity, LOTS * INDEX // 5 + 5, 0)
    assert house.position(maker, future)[1] == equity - LOTS * INDEX // 5 - 5


def test_the_funds_own_position_is_closed_like_any_other(house, future, maker, taker):
    house.trade(maker, taker, LOTS, market=future)
    house.set_index(INDEX * 92 // 100, future)
    house.clearing.takeOver(maker, future, sender=house.operator)
    before = house.balance(FUND)
    expire(house, future, INDEX)
    equity, paid, _ = closed(house, FUND, future)
    assert equity == paid > 0
    assert house.balance(FUND) == before + paid


def test_a_deficit_of_the_fund_is_paid_by_the_fund(house, future, maker, taker):
    house.trade(maker, taker, LOTS, market=future)
    house.set_index(INDEX * 92 // 100, future)
    house.clearing.takeOver(maker, future, sender=house.operator)
    before = house.balance(FUND)
    expire(house, future, INDEX // 2)
    equity, paid, covered = closed(house, FUND, future)
    assert (-equity, 0) == (covered, paid)
    assert house.balance(FUND) == before - covered


def test_a_flag_and_a_request_end_with_the_settlement(house, future, maker, taker):
    house.trade(maker, taker, LOTS, market=future)
    house.clearing.requestExit(future, sender=maker)
    house.set_index(INDEX * 94 // 100, future)
    house.clearing.flag(maker, future, sender=house.owner)
    expire(house, future, INDEX)
    receipt = close(house, maker, future)
    assert house.clearing.ExitEnded.from_receipt(receipt)
    assert house.clearing.Unflagged.from_receipt(receipt)
    assert house.clearing.exitRequestedAt(maker, future) == house.clearing.flaggedAt(maker, future) == 0


def test_an_open_market_closes_nothing(house, future, maker, taker):
    house.trade(maker, taker, 1, market=future)
    with reverts("NotExpired", market=future):
        close(house, maker, future)


def test_who_has_no_position_has_nothing_to_close(house, future, stranger):
    expire(house, future, INDEX)
    with reverts("NothingToClose"):
        close(house, stranger, future)


# Options -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "index", "payment"),
    [
        ({"capPerLot": CAP}, INDEX - 1, 0),
        ({"capPerLot": CAP}, INDEX + 1, 1),
        ({"capPerLot": CAP}, CAP + 1, CAP - STRIKE),
        ({"isPut": True}, INDEX + 1, 0),
        ({"isPut": True}, INDEX - 1, 1),
        ({"isPut": True}, 1, STRIKE - 1),
    ],
)
def test_an_option_pays_its_intrinsic_value(house, expiry, maker, taker, terms, index, payment):
    option = house.create_market(OPTION, expiry=expiry, strikePerLot=STRIKE, **terms)
    collateral = STRIKE if "isPut" in terms else CAP - STRIKE
    house.trade(maker, taker, LOTS, price=PREMIUM, market=option)
    expire(house, option, index)
    assert house.clearing.marketState(option).settlePerLot == payment
    if payment:
        assert closed(house, maker, option) == (LOTS * payment, LOTS * payment, 0)
    if payment < collateral:
        assert closed(house, taker, option)[1] == LOTS * (collateral - payment)
    assert house.pool(option) == 0
    assert house.balance(maker) + house.balance(taker) == 2 * RICHES


def test_a_worthless_option_is_closed_too(house, expiry, maker, taker):
    option = house.create_market(OPTION, expiry=expiry, strikePerLot=STRIKE, isPut=True)
    house.trade(maker, taker, LOTS, price=PREMIUM, market=option)
    expire(house, option, INDEX * 2)
    assert closed(house, maker, option) == (0, 0, 0)
    assert house.position(maker, option) == (0, 0)
    with reverts("NothingToClose"):
        close(house, maker, option)


# Abandoned markets ---------------------------------------------------------------------------------------------------


def test_an_abandoned_market_expires_after_two_days(house, maker, taker):
    house.trade(maker, taker, LOTS)
    life = house.clearing.lastSignOfLife()
    house.set_index(INDEX + 9)
    house.chain.pending_timestamp = life + 48 * HOUR - 1
    with reverts("NotAbandoned", until=life + 48 * HOUR):
        house.clearing.expireAbandoned(house.market, sender=maker)
    house.chain.pending_timestamp = life + 48 * HOUR
    (event,) = house.clearing.MarketExpired.from_receipt(house.clearing.expireAbandoned(house.market, sender=maker))
    assert (event.how, event.settlePerLot) == (2, INDEX + 9)
    for account in (maker, taker):
        close(house, account, house.market)
    assert house.balance(maker) == RICHES + 9 * LOTS
    with reverts("NotOpen", market=house.market):
        house.clearing.expireAbandoned(house.market, sender=maker)


def test_funding_in_another_market_is_a_sign_of_life(house):
    other = house.create_market(1)
    hour = house.now() // HOUR + 40
    house.move_to(hour * HOUR)
    house.clearing.accrueFunding(other, hour, 0, 1, sender=house.operator)
    house.move_to((hour + 10) * HOUR)
    with reverts("NotAbandoned", until=(hour + 48) * HOUR):
        house.clearing.expireAbandoned(house.market, sender=house.owner)


def test_a_new_market_is_not_abandoned(house):
    house.wait(100 * HOUR)
    fresh = house.create_market(FUTURE, expiry=house.now() + 1000 * HOUR)
    created_at = house.registry.createdAt(fresh)
    with reverts("NotAbandoned", until=created_at + 48 * HOUR):
        house.clearing.expireAbandoned(fresh, sender=house.owner)


@pytest.mark.parametrize("status", [2, 3])
def test_a_pause_does_not_put_abandonment_off(house, status):
    """Only signs of life do: a guardian who pauses a market that nobody serves keeps nobody in it."""
    life = house.registry.createdAt(house.market)
    house.move_to(life + 47 * HOUR)
    house.registry.setStatus(house.market, status, sender=house.owner)
    house.chain.pending_timestamp = life + 48 * HOUR
    assert house.clearing.expireAbandoned(house.market, sender=house.owner)


def test_an_abandoned_option_pays_its_intrinsic_value(house, maker, taker):
    option = house.create_market(OPTION, expiry=house.now() + 500 * HOUR, strikePerLot=STRIKE, capPerLot=CAP)
    house.trade(maker, taker, LOTS, price=PREMIUM, market=option)
    house.set_index(STRIKE + 11, option)
    house.wait(49 * HOUR)
    house.clearing.expireAbandoned(option, sender=house.owner)
    assert closed(house, maker, option)[1] == 11 * LOTS


def test_a_dated_market_has_two_days_for_its_own_round(house, future, expiry, maker, taker):
    """Nobody chooses another price while the expiry's can be had; but a feed that never had one must not lock the
    market, whatever the operator does."""
    house.wait(49 * HOUR)
    with reverts("NotAbandoned", until=expiry + 48 * HOUR):
        house.clearing.expireAbandoned(future, sender=house.owner)
    house.trade(maker, taker, 1)  # in another market: a sign of life
    house.move_to(expiry + 48 * HOUR)
    house.clearing.expireAbandoned(future, sender=house.owner)


def test_a_spot_market_does_not_expire(house):
    spot = house.create_market(SPOT)
    house.wait(49 * HOUR)
    with reverts("WrongKind", market=spot):
        house.clearing.expireAbandoned(spot, sender=house.owner)

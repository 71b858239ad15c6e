"""Leaving without the operator: requests, exits to the fund, and a market that cannot serve them."""

from __future__ import annotations

import pytest

from tests.functional.clearinghouse.conftest import RICHES
from tests.functional.clearinghouse.house import EXPIRED, FUND, FUTURE, HOUR, INDEX, MARGINS, OPEN, WINDOW, Fill
from tests.utils.reverts import reverts

LOTS = 10
MARGIN = LOTS * INDEX // 10
QUOTE = MARGIN - LOTS * INDEX
PENALTY = LOTS * INDEX * MARGINS["exitPenaltyBps"] // 10_000
DAY = 24 * HOUR


@pytest.fixture
def long(house, maker, taker):
    house.trade(maker, taker, LOTS)
    return maker


@pytest.fixture
def requested_at(house, long):
    return house.clearing.requestExit(house.market, sender=long).timestamp


def leave(house, account, sender=None):
    return house.clearing.exit(account, house.market, sender=sender or house.owner)


# Requests ------------------------------------------------------------------------------------------------------------


def test_a_request_is_recorded(house, long, requested_at):
    assert house.clearing.exitRequestedAt(long, house.market) == requested_at
    house.wait(5)
    again = house.clearing.requestExit(house.market, sender=long)
    (event,) = house.clearing.ExitRequested.from_receipt(again)
    assert event.at == again.timestamp == house.clearing.exitRequestedAt(long, house.market) > requested_at


def test_a_request_needs_a_position(house, stranger):
    with reverts("NoPosition", account=stranger.address, market=house.market):
        house.clearing.requestExit(house.market, sender=stranger)


def cancel(house, account):
    """When the request ends."""
    receipt = house.clearing.cancelExit(house.market, sender=account)
    (event,) = house.clearing.ExitCanceled.from_receipt(receipt)
    assert event.endsAt == receipt.timestamp + WINDOW == house.clearing.exitEndsAt(account, house.market)
    return event.endsAt


def test_a_canceled_request_ends_a_window_later(house, long, requested_at):
    ends_at = cancel(house, long)
    house.wait(5)
    with reverts("NoExitRequest"):  # nor can its end be put off
        house.clearing.cancelExit(house.market, sender=long)
    house.move_to(ends_at - 1)
    assert house.clearing.exitRequestedAt(long, house.market) == requested_at
    house.move_to(ends_at)
    assert house.clearing.exitRequestedAt(long, house.market) == 0
    for action in (leave, unserved, lambda *_: house.clearing.cancelExit(house.market, sender=long)):
        with reverts("NoExitRequest"):
            action(house, long)


def test_a_canceled_request_can_be_used_until_its_end(house, long, requested_at):
    house.wait(5)
    ends_at = cancel(house, long)
    house.chain.pending_timestamp = ends_at - 1
    leave(house, long)
    assert house.clearing.exitEndsAt(long, house.market) == 0


def test_a_halt_puts_off_the_end_of_a_canceled_request(house, long, requested_at):
    ends_at = cancel(house, long)
    house.engine.stopClock(100, sender=house.owner)
    house.move_to(ends_at + 99)
    assert house.clearing.exitRequestedAt(long, house.market) == requested_at
    house.move_to(ends_at + 100)
    assert house.clearing.exitRequestedAt(long, house.market) == 0


@pytest.mark.parametrize("waited", [5, WINDOW])
def test_a_new_request_goes_on_after_a_cancel(house, long, requested_at, waited):
    cancel(house, long)
    house.wait(waited)
    again = house.clearing.requestExit(house.market, sender=long).timestamp
    assert house.clearing.exitEndsAt(long, house.market) == 0
    house.wait(2 * WINDOW)
    assert house.clearing.exitRequestedAt(long, house.market) == again
    leave(house, long)


def test_a_matched_exit_cannot_be_canceled_by_its_trader(house, long, rescuer, requested_at):
    """What the operator matched on a request settles within half a window, whatever the trader does meanwhile."""
    matched_at = house.now()
    ends_at = cancel(house, long)
    house.move_to(matched_at + WINDOW // 2)
    options = {"forced": (False, True), "rounds": house.round(), "matched_at": matched_at}
    house.trade(rescuer, long, 1, **options)
    house.move_to(ends_at)
    with reverts("NotForceable", fill=0):
        house.trade(rescuer, long, 1, **options)


def test_a_flag_and_a_request_do_not_touch_each_other(house, long, requested_at):
    house.set_index(INDEX * 94 // 100)
    flagged_at = house.clearing.flag(long, house.market, sender=house.owner).timestamp
    assert house.clearing.exitRequestedAt(long, house.market) == requested_at
    house.clearing.cancelExit(house.market, sender=long)
    assert house.clearing.flaggedAt(long, house.market) == flagged_at
    house.clearing.requestExit(house.market, sender=long)
    house.set_index(INDEX)
    house.clearing.unflag(long, house.market, sender=house.owner)
    assert house.clearing.exitRequestedAt(long, house.market)


def test_a_request_ends_with_its_position(house, long, taker, requested_at):
    """Who has closed and opens again must not be thrown out by an old request."""
    house.settle([Fill(taker, long, LOTS, INDEX), Fill(long, taker, LOTS, INDEX)])
    assert house.clearing.exitRequestedAt(long, house.market) == 0
    house.wait(WINDOW)
    with reverts("NoExitRequest"):
        leave(house, long)


def test_a_request_ends_with_a_flip(house, long, taker, requested_at):
    house.trade(taker, long, LOTS + 1)
    assert house.clearing.exitRequestedAt(long, house.market) == 0


def test_a_request_outlives_a_partial_close(house, long, taker, requested_at):
    house.trade(taker, long, 1)
    assert house.clearing.exitRequestedAt(long, house.market) == requested_at


# Exits ---------------------------------------------------------------------------------------------------------------


def test_an_exit_pays_equity_less_the_penalty(house, long, requested_at, stranger):
    house.wait(WINDOW)
    receipt = leave(house, long, stranger)
    paid = MARGIN - PENALTY
    top_up = LOTS * INDEX * 5 // 100 - PENALTY
    (event,) = house.clearing.Exited.from_receipt(receipt)
    assert (event.size, event.quote, event.paid, event.topUp) == (LOTS, QUOTE - paid, paid, top_up)
    assert house.balance(long) == RICHES - PENALTY
    assert house.position(long) == (0, 0)
    assert house.position(FUND) == (LOTS, QUOTE - paid + top_up)
    assert house.balance(FUND) == RICHES - top_up
    equity, maintenance = house.clearing.equity(FUND, house.market)
    assert equity == maintenance
    assert house.clearing.exitRequestedAt(long, house.market) == 0
    assert house.clearing.solvency() == (house.pool(), house.pool())


def test_an_exit_waits_for_the_window(house, long, requested_at):
    house.chain.pending_timestamp = requested_at + WINDOW - 1
    with reverts("WindowOpen", readyAt=requested_at + WINDOW):
        leave(house, long)
    house.chain.pending_timestamp = requested_at + WINDOW
    leave(house, long)


def test_a_halt_stops_the_window(house, long, requested_at):
    house.engine.stopClock(100, sender=house.owner)
    house.chain.pending_timestamp = requested_at + WINDOW + 99
    with reverts("WindowOpen", readyAt=requested_at + WINDOW):
        leave(house, long)


def test_the_payment_is_rounded_down(house, maker, taker):
    house.trade(maker, taker, 3, price=INDEX + 4)
    house.set_index(INDEX + 1)
    house.clearing.requestExit(house.market, sender=maker)
    house.wait(WINDOW)
    before = house.balance(maker)
    equity, _ = house.clearing.equity(maker, house.market)
    notional = 3 * (INDEX + 1)
    assert notional * 150 % 10_000
    leave(house, maker)
    assert house.balance(maker) - before == equity - (notional * 150 // 10_000 + 1)


def test_a_bankrupt_account_gets_nothing(house, long, requested_at):
    house.wait(WINDOW)
    house.set_index(INDEX * 80 // 100)
    (event,) = house.clearing.Exited.from_receipt(leave(house, long))
    assert event.paid == 0
    assert house.balance(long) == RICHES - MARGIN
    equity, maintenance = house.clearing.equity(FUND, house.market)
    assert equity == maintenance


def test_an_exit_needs_the_funds_top_up(house, long, requested_at):
    house.wait(WINDOW)
    house.drain_fund()
    required = LOTS * INDEX * 5 // 100 - PENALTY
    with reverts("FundShort", required=required, held=0):
        leave(house, long)


def test_an_exit_needs_what_the_pool_holds(house, maker, taker, rescuer):
    """The taker has won more than the margin of the bankrupt maker, and the fund has a surplus of its own."""
    house.trade(maker, taker, LOTS)
    house.set_index(INDEX * 50 // 100)
    house.clearing.requestExit(house.market, sender=taker)
    house.wait(WINDOW)
    paid = LOTS * INDEX * 11 // 10 - LOTS * INDEX // 2 - LOTS * INDEX // 2 * 150 // 10_000
    required = LOTS * INDEX // 2 * (500 - 150) // 10_000
    with reverts("PoolShort", required=paid, held=house.pool() + required):
        leave(house, taker)


def test_exits_on_both_sides_cancel_in_the_fund(house, long, taker, requested_at):
    house.clearing.requestExit(house.market, sender=taker)
    house.wait(WINDOW)
    leave(house, long)
    (event,) = house.clearing.Exited.from_receipt(leave(house, taker))
    assert event.topUp < 0
    assert house.position(FUND) == (0, 0)
    assert house.pool() == 0
    assert house.balance(FUND) == RICHES + 2 * PENALTY


def test_nobody_exits_twice(house, long, requested_at):
    house.wait(WINDOW)
    leave(house, long)
    with reverts("NoExitRequest"):
        leave(house, long)


# Unserved exits ------------------------------------------------------------------------------------------------------


def unserved(house, account):
    return house.clearing.expireUnserved(account, house.market, sender=house.owner)


def test_an_unserved_exit_expires_the_market_after_a_day(house, long, requested_at):
    house.drain_fund()
    index = house.set_index(INDEX + 5) and INDEX + 5
    house.chain.pending_timestamp = requested_at + DAY - 1
    with reverts("WindowOpen", readyAt=requested_at + DAY):
        unserved(house, long)
    house.chain.pending_timestamp = requested_at + DAY
    (event,) = house.clearing.MarketExpired.from_receipt(unserved(house, long))
    assert (event.how, event.settlePerLot) == (1, index)
    assert house.clearing.marketState(house.market).state == EXPIRED
    house.clearing.close(long, house.market, sender=house.owner)
    assert house.balance(long) == RICHES + 5 * LOTS


def test_an_exit_that_the_fund_can_serve_is_served(house, long, requested_at):
    house.wait(DAY)
    assert house.clearing.Exited.from_receipt(unserved(house, long))
    assert house.clearing.marketState(house.market).state == OPEN
    assert house.position(FUND)[0] == LOTS


def test_a_fund_with_exactly_the_top_up_serves_the_exit(house, long, requested_at):
    house.drain_fund()
    house.deposit(FUND, LOTS * INDEX * 5 // 100 - PENALTY)
    house.wait(DAY)
    assert house.clearing.Exited.from_receipt(unserved(house, long))
    assert house.clearing.marketState(house.market).state == OPEN
    assert house.balance(FUND) == 0


def test_a_short_pool_expires_the_market_too(house, maker, taker):
    house.trade(maker, taker, LOTS)
    house.set_index(INDEX * 50 // 100)
    house.clearing.requestExit(house.market, sender=taker)
    house.wait(DAY)
    assert house.clearing.MarketExpired.from_receipt(unserved(house, taker))


def test_only_a_request_expires_a_market(house, long):
    house.drain_fund()
    with reverts("NoExitRequest"):
        unserved(house, long)


# Dated markets -------------------------------------------------------------------------------------------------------


def test_an_exit_after_expiry_cannot_choose_the_price(house, maker, taker):
    """From the expiry on only the round across it counts."""
    expiry = house.now() + 2 * WINDOW
    future = house.create_market(FUTURE, expiry=expiry)
    house.trade(maker, taker, 1, market=future)
    house.clearing.requestExit(future, sender=maker)
    house.move_to(expiry)
    actions = (
        lambda: house.clearing.exit(maker, future, sender=maker),
        lambda: house.clearing.expireUnserved(maker, future, sender=maker),
        lambda: house.clearing.requestExit(future, sender=maker),
        lambda: house.clearing.flag(maker, future, sender=maker),
        lambda: house.clearing.unflag(maker, future, sender=maker),
        lambda: house.clearing.takeOver(maker, future, sender=house.operator),
        lambda: house.clearing.deleverage(maker, taker, future, 1, sender=house.operator),
    )
    for action in actions:
        with reverts("PastExpiry", market=future):
            action()
    with reverts("ExpiredMarket", market=0):
        house.trade(maker, taker, 1, market=future)


def test_an_expired_market_takes_no_actions(house, long, requested_at):
    house.wait(49 * HOUR)
    house.clearing.expireAbandoned(house.market, sender=house.owner)
    for action in (leave, unserved):
        with reverts("NotOpen", market=house.market):
            action(house, long)
    house.clearing.cancelExit(house.market, sender=long)
    with reverts("MarketNotOpen", market=0):
        house.trade(long, house.owner, 1)

"""Forced orders: liquidation, exit and the fund's own, when they are due and at which prices."""

from __future__ import annotations

import pytest

from tests.functional.clearinghouse.conftest import RICHES
from tests.functional.clearinghouse.house import BY_EXIT, BY_FUND, BY_LIQUIDATION, FUND, INDEX, MARGINS, Fill
from tests.utils.reverts import reverts

DUE = INDEX * 94 // 100  # a long from INDEX has 4 % of it left, which is less than 5 % of the new index
BAND = MARGINS["bandBps"]
EXIT_PENALTY = MARGINS["exitPenaltyBps"]
SELLER_FORCED = (False, True)
BUYER_FORCED = (True, False)
FLOOR = -(-DUE * (10_000 - BAND) // 10_000)


@pytest.fixture
def long(house, maker, taker):
    """The maker is long ten lots, on the way down."""
    house.trade(maker, taker, 10)
    house.set_index(DUE)
    return maker


def liquidate(house, account, counterparty, quantity, price, **options):
    options = {"rounds": house.round(), **options}
    return house.trade(counterparty, account, quantity, price=price, forced=SELLER_FORCED, **options)


def test_a_liquidation_closes_and_pays_fee_and_penalty(house, long, rescuer):
    result = liquidate(house, long, rescuer, 10, DUE, fee_bps=10)
    notional = 10 * DUE
    credit = 10 * DUE - 10 * INDEX * 9 // 10
    fee, penalty = notional * 10 // 10_000, notional // 100
    assert result.deltas[long.address] == credit - fee - penalty
    assert result.fees[long.address] == fee
    assert result.penalties == penalty
    assert house.balance(FUND) == RICHES + penalty
    assert house.position(long) == (0, 0)
    (event,) = house.clearing.ForcedFill.from_receipt(result.receipt)
    assert (event.account, event.market, event.cause) == (long.address, house.market, BY_LIQUIDATION)
    assert (event.fill, event.fee, event.penalty) == (0, fee, penalty)


def test_a_liquidation_may_be_partial(house, long, rescuer):
    liquidate(house, long, rescuer, 3, DUE)
    assert house.position(long) == (7, -7 * INDEX * 9 // 10)


def test_a_short_is_bought_back(house, maker, taker, rescuer):
    house.trade(taker, maker, 10)
    house.set_index(INDEX * 106 // 100)
    result = house.trade(maker, rescuer, 10, INDEX * 106 // 100, forced=BUYER_FORCED, rounds=house.round())
    assert result.penalties == 10 * INDEX * 106 // 100 // 100
    assert house.position(maker) == (0, 0)


@pytest.mark.parametrize("price", [FLOOR, DUE, INDEX * 2])
def test_prices_in_the_band(house, long, rescuer, price):
    """Better prices are always in. The counterparty's margin has to bear them."""
    house.deposit(house.owner, RICHES)
    house.trade(house.owner, rescuer, 10, price=DUE)  # the rescuer only closes a short
    liquidate(house, long, rescuer, 10, price)


def test_a_sale_below_the_band(house, long, rescuer):
    with reverts("PriceOutOfBand", fill=0):
        liquidate(house, long, rescuer, 10, FLOOR - 1)


def test_a_purchase_above_the_band(house, maker, taker, rescuer):
    house.trade(taker, maker, 10)
    index = INDEX * 105 // 100 + 1
    house.set_index(index)
    highest = index * (10_000 + BAND) // 10_000
    with reverts("PriceOutOfBand", fill=0):
        house.trade(maker, rescuer, 10, highest + 1, forced=BUYER_FORCED, rounds=house.round())
    house.trade(maker, rescuer, 10, highest, forced=BUYER_FORCED, rounds=house.round())


def test_liquidation_of_a_healthy_position(house, maker, taker, rescuer):
    house.trade(maker, taker, 10)
    with reverts("NotForceable", fill=0):
        liquidate(house, maker, rescuer, 10, INDEX)


@pytest.mark.parametrize(("index", "is_due"), [(90_000_000 * 100 // 95, True), (90_000_000 * 100 // 95 + 1, False)])
def test_due_is_strictly_below_maintenance(house, maker, taker, rescuer, index, is_due):
    """E(I) = I - 0.9 P, MM = ceil(I / 20): equal at I = 0.9 P / 0.95."""
    house.trade(maker, taker, 1)
    house.set_index(index)
    assert house.clearing.isLiquidatable(maker, house.market) == is_due
    if is_due:
        liquidate(house, maker, rescuer, 1, index)
    else:
        with reverts("NotForceable", fill=0):
            liquidate(house, maker, rescuer, 1, index)


def test_each_fill_of_a_liquidation_must_still_be_due(house, maker, taker, rescuer):
    """Lots that were bought with fresh margin before the forced fill have cured the position."""
    house.trade(maker, taker, 1)
    fills = [Fill(maker, taker, 9, DUE), Fill(rescuer, maker, 1, DUE, forced=SELLER_FORCED)]
    house.set_index(DUE)
    with reverts("NotForceable", fill=1):
        house.settle(fills, rounds=house.round())
    house.settle(fills[1:], rounds=house.round())


def test_a_liquidation_must_not_open(house, long, rescuer):
    with reverts("ReduceOnlyExceeded", fill=0):
        liquidate(house, long, rescuer, 11, DUE)


def test_a_liquidation_must_not_debit(house, maker, taker, rescuer):
    """Below 0.9 P the quote is lost: the fund's business."""
    house.trade(maker, taker, 10)
    house.set_index(INDEX * 9 // 10)
    with reverts("NegativeCredit", fill=0):
        liquidate(house, maker, rescuer, 10, INDEX * 9 // 10 - 1)
    result = liquidate(house, maker, rescuer, 10, INDEX * 9 // 10, fee_bps=50)
    assert (result.deltas[maker.address], result.fees[maker.address], result.penalties) == (0, 0, 0)


def test_fee_comes_before_penalty_out_of_a_small_credit(house, maker, taker, rescuer):
    house.trade(maker, taker, 1)
    index = INDEX * 9 // 10 + 1_000_000
    house.set_index(index)
    result = liquidate(house, maker, rescuer, 1, index, fee_bps=50)
    fee = index * 50 // 10_000
    assert result.fees[maker.address] == fee
    assert result.penalties == min(1_000_000 - fee, index // 100)


def test_the_round_is_the_one_that_held_when_matched(house, long, rescuer):
    house.wait(100)
    matched_at = house.now()
    recovered = house.set_index(INDEX, at=matched_at + 1)
    liquidate(house, long, rescuer, 1, DUE, rounds={house.market: recovered - 1}, matched_at=matched_at)
    with reverts("WrongRound", round=recovered, time=matched_at):
        liquidate(house, long, rescuer, 1, DUE, rounds={house.market: recovered}, matched_at=matched_at)


def test_a_forced_order_needs_a_round(house, long, rescuer):
    with reverts("RoundMissing", market=0):
        liquidate(house, long, rescuer, 1, DUE, rounds={})


def test_both_sides_may_be_forced(house, maker, taker, rescuer):
    house.trade(maker, rescuer, 1, price=INDEX)
    house.clearing.requestExit(house.market, sender=maker)
    house.clearing.requestExit(house.market, sender=rescuer)
    result = house.trade(rescuer, maker, 1, forced=(True, True), rounds=house.round())
    causes = [event.cause for event in house.clearing.ForcedFill.from_receipt(result.receipt)]
    assert causes == [BY_EXIT, BY_EXIT]
    assert house.pool() == 0


def test_a_requested_exit_is_due_within_the_penalty(house, maker, taker, rescuer):
    house.trade(maker, taker, 2)
    house.clearing.requestExit(house.market, sender=maker)
    lowest = INDEX * (10_000 - EXIT_PENALTY) // 10_000
    with reverts("PriceOutOfBand", fill=0):
        liquidate(house, maker, rescuer, 1, lowest - 1)
    result = liquidate(house, maker, rescuer, 1, lowest, fee_bps=10)
    assert result.penalties == 0
    assert result.fees[maker.address] == lowest * 10 // 10_000
    (event,) = house.clearing.ForcedFill.from_receipt(result.receipt)
    assert event.cause == BY_EXIT
    assert house.clearing.exitRequestedAt(maker, house.market)  # a lot is left


def test_liquidation_has_precedence_over_exit(house, long, rescuer):
    house.clearing.requestExit(house.market, sender=long)
    result = liquidate(house, long, rescuer, 10, FLOOR)
    assert result.penalties
    assert house.clearing.exitRequestedAt(long, house.market) == 0


def test_the_fund_unwinds_in_the_band_and_may_lose(house, long, rescuer):
    house.set_index(INDEX * 92 // 100)
    house.clearing.takeOver(long, house.market, sender=house.operator)
    index = INDEX * 95 // 100
    house.set_index(index)
    before = house.balance(FUND)
    lowest = -(-index * (10_000 - BAND) // 10_000)
    with reverts("PriceOutOfBand", fill=0):
        liquidate(house, FUND, rescuer, 10, lowest - 1)
    result = liquidate(house, FUND, rescuer, 10, lowest, fee_bps=10)
    (event,) = house.clearing.ForcedFill.from_receipt(result.receipt)
    assert event.cause == BY_FUND
    assert result.penalties == 0
    assert house.balance(FUND) == before + result.deltas[FUND]
    assert house.position(FUND) == (0, 0)


def test_a_loss_of_the_fund_is_debited_without_a_fee(house, long, rescuer):
    house.set_index(INDEX * 92 // 100)
    house.clearing.takeOver(long, house.market, sender=house.operator)
    index = INDEX * 80 // 100
    house.set_index(index)
    result = liquidate(house, FUND, rescuer, 10, index, fee_bps=50)
    assert result.deltas[FUND] < 0
    assert result.fees[FUND] == 0


def test_the_fund_must_not_open(house, taker):
    with reverts("ReduceOnlyExceeded", fill=0):
        liquidate(house, FUND, taker, 1, INDEX)


def test_a_signed_order_of_a_liquidatable_account_still_acts(house, long, rescuer):
    house.trade(rescuer, long, 10, price=DUE - 5_000_000)
    assert house.position(long) == (0, 0)

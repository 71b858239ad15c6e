"""Option fills: premium, collateral, and that a short can always pay."""

from __future__ import annotations

import pytest

from tests.functional.clearinghouse.house import INDEX, OPTION, Fill
from tests.utils.reverts import reverts

STRIKE = INDEX
CAP = INDEX * 3 // 2
PREMIUM = 4_000_001


@pytest.fixture
def call(house) -> int:
    return house.create_market(OPTION, expiry=house.now() + 10_000, strikePerLot=STRIKE, capPerLot=CAP)


@pytest.fixture
def put(house) -> int:
    return house.create_market(OPTION, expiry=house.now() + 10_000, strikePerLot=STRIKE, isPut=True)


def test_the_seller_of_a_call_locks_cap_less_strike(house, maker, taker, call):
    result = house.trade(maker, taker, 3, price=PREMIUM, market=call)
    assert result.deltas == {maker.address: -3 * PREMIUM, taker.address: 3 * PREMIUM - 3 * (CAP - STRIKE)}
    assert house.pool(call) == result.own_delta == 3 * (CAP - STRIKE)
    assert (house.position(maker, call), house.position(taker, call)) == ((3, 0), (-3, 0))


def test_the_seller_of_a_put_locks_the_strike(house, maker, taker, put):
    result = house.trade(maker, taker, 3, price=PREMIUM, market=put)
    assert result.deltas[taker.address] == 3 * PREMIUM - 3 * STRIKE
    assert house.pool(put) == 3 * STRIKE


def test_buying_back_frees_the_collateral(house, maker, taker, put):
    house.trade(maker, taker, 3, price=PREMIUM, market=put)
    result = house.trade(taker, maker, 2, price=PREMIUM - 5, market=put)
    assert result.deltas[taker.address] == 2 * STRIKE - 2 * (PREMIUM - 5)
    assert house.pool(put) == STRIKE


def test_a_flip_from_long_to_short_locks_the_short_part(house, maker, taker, put):
    house.trade(maker, taker, 2, price=PREMIUM, market=put)
    result = house.trade(taker, maker, 5, price=PREMIUM, market=put)
    assert result.deltas[maker.address] == 5 * PREMIUM - 3 * STRIKE
    assert result.deltas[taker.address] == -5 * PREMIUM + 2 * STRIKE
    assert house.pool(put) == 3 * STRIKE


def test_fees_are_of_the_premium(house, maker, taker, put):
    result = house.trade(maker, taker, 3, price=PREMIUM, market=put, fee_bps=50)
    fee = 3 * PREMIUM * 50 // 10_000
    assert result.fees == {maker.address: fee, taker.address: fee}
    assert result.deltas[maker.address] == -3 * PREMIUM - fee


def test_options_need_no_oracle(house, maker, taker, call):
    house.oracles[call].setStale(True, sender=house.owner)
    house.trade(maker, taker, 1, price=PREMIUM, market=call)


def test_a_seller_without_the_collateral_is_refused_by_the_vault(house, maker, stranger, put):
    with reverts("InsufficientBalance", index=1):
        house.trade(maker, stranger, 1, price=STRIKE - 1, market=put)
    house.trade(maker, stranger, 1, price=STRIKE, market=put)


@pytest.mark.parametrize("flags", [(True, False), (False, True)])
def test_reduce_only_must_not_grow(house, maker, taker, put, flags):
    with reverts("ReduceOnlyExceeded", fill=0):
        house.trade(maker, taker, 1, price=PREMIUM, market=put, reduce_only=flags)


def test_reduce_only_may_close(house, maker, taker, put):
    house.trade(maker, taker, 1, price=PREMIUM, market=put)
    house.trade(taker, maker, 1, price=PREMIUM, market=put, reduce_only=(True, True))
    assert house.pool(put) == 0


def test_no_option_order_can_be_forced(house, maker, taker, put):
    house.trade(maker, taker, 1, price=PREMIUM, market=put)
    with reverts("NotForceable", fill=0):
        house.trade(taker, maker, 1, price=PREMIUM, market=put, forced=(True, False), rounds=house.round(put))
    with reverts("ReduceOnlyExceeded", fill=0):
        house.trade(maker, taker, 1, price=PREMIUM, market=put, forced=(True, False), rounds=house.round(put))


def test_options_and_perpetuals_in_one_batch(house, maker, taker, put):
    fills = [Fill(maker, taker, 1, PREMIUM, market=put), Fill(taker, maker, 2, INDEX)]
    result = house.settle(fills)
    assert result.own_delta == STRIKE + 4 * INDEX // 10
    assert house.clearing.solvency() == (result.own_delta, result.own_delta)


def test_options_have_no_flag_takeover_or_exit(house, maker, taker, put):
    house.trade(maker, taker, 1, price=PREMIUM, market=put)
    actions = (
        lambda: house.clearing.flag(taker, put, sender=taker),
        lambda: house.clearing.unflag(taker, put, sender=taker),
        lambda: house.clearing.takeOver(taker, put, sender=house.operator),
        lambda: house.clearing.deleverage(taker, maker, put, 1, sender=house.operator),
        lambda: house.clearing.requestExit(put, sender=taker),
        lambda: house.clearing.exit(taker, put, sender=taker),
        lambda: house.clearing.expireUnserved(taker, put, sender=taker),
        lambda: house.clearing.accrueFunding(put, 1, 0, 1, sender=house.operator),
    )
    for action in actions:
        with reverts("WrongKind", market=put):
            action()


def test_a_market_that_does_not_exist_is_of_no_kind(house, maker):
    for action in (house.clearing.requestExit, house.clearing.expireAbandoned):
        with reverts("WrongKind", market=99):
            action(99, sender=maker)
    with reverts("WrongKind", market=99):
        house.clearing.expire(99, 1, sender=maker)

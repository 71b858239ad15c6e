"""Options: premium, collateral and payoff (the rules of `IClearinghouse`)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.domain.clearing import PositionState
from offchain.domain.options import (
    apply_option_fill,
    collateral_per_lot,
    intrinsic,
    payoff,
    settlement_value,
    short_lots,
)

per_lot = st.integers(1, 2**50)
sizes = st.integers(-(2**40), 2**40)
lots = st.integers(1, 2**40 - 1)


def test_the_writer_locks_the_collateral_and_gets_the_premium() -> None:
    sold = apply_option_fill(PositionState(), False, 3, 50, 1_000)
    bought = apply_option_fill(PositionState(), True, 3, 50, 1_000)
    assert (sold.account, sold.position.size) == (150 - 3_000, -3)
    assert (bought.account, bought.position.size) == (-150, 3)


def test_buying_back_frees_the_collateral() -> None:
    effect = apply_option_fill(PositionState(-3), True, 2, 70, 1_000)
    assert (effect.account, effect.position.size) == (-140 + 2_000, -1)
    assert (effect.closed, effect.grown) == (2, 0)


def test_a_flip_frees_and_locks() -> None:
    long = apply_option_fill(PositionState(-3), True, 5, 10, 1_000)
    assert (long.account, long.position.size, long.closed, long.grown) == (3_000 - 50, 2, 3, 2)
    short = apply_option_fill(PositionState(2), False, 5, 10, 1_000)
    assert (short.account, short.position.size) == (50 - 3_000, -3)


@pytest.mark.parametrize(
    ("price", "call", "put"),
    [(0, 0, 100), (60, 0, 40), (99, 0, 1), (100, 0, 0), (101, 1, 0), (129, 29, 0), (130, 30, 0), (500, 30, 0)],
)
def test_payoffs_are_capped_by_the_collateral(price: int, call: int, put: int) -> None:
    assert payoff(price, 100, 130, is_put=False) == call
    assert payoff(price, 100, 0, is_put=True) == put


@given(per_lot, per_lot, per_lot)
def test_a_call_is_a_call_spread_and_a_put_is_its_parity(price: int, strike: int, width: int) -> None:
    """Independent formulas: a capped call is the difference of two calls, and call less put is forward less strike."""
    cap = strike + width
    assert payoff(price, strike, cap, is_put=False) == min(max(price, strike), cap) - strike
    assert intrinsic(price, strike, False) - intrinsic(price, strike, True) == price - strike
    assert payoff(price, strike, 0, is_put=True) == strike - min(price, strike)
    assert 0 <= payoff(price, strike, cap, is_put=False) <= collateral_per_lot(strike, cap, is_put=False)


@given(st.integers(0, 2**50), per_lot, sizes)
def test_what_both_sides_receive_is_the_collateral(pay: int, collateral: int, size: int) -> None:
    pay = min(pay, collateral)
    long, short = settlement_value(abs(size), pay, collateral), settlement_value(-abs(size), pay, collateral)
    assert long + short == collateral * abs(size)
    assert long >= 0
    assert short >= 0


@given(sizes, sizes, lots, per_lot, per_lot)
def test_the_pool_is_the_collateral_of_all_short_lots(
    buyer: int, seller: int, quantity: int, premium: int, collateral: int
) -> None:
    bought = apply_option_fill(PositionState(buyer), True, quantity, premium, collateral)
    sold = apply_option_fill(PositionState(seller), False, quantity, premium, collateral)
    before = collateral * (short_lots(buyer) + short_lots(seller))
    after = collateral * (short_lots(bought.position.size) + short_lots(sold.position.size))
    assert bought.account + sold.account == before - after


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 1_000)), max_size=12), per_lot)
def test_many_fills_lock_what_one_would(fills: list[tuple[bool, int]], collateral: int) -> None:
    """The path does not matter: collateral follows the size that results."""
    position, account = PositionState(), 0
    for is_buy, quantity in fills:
        effect = apply_option_fill(position, is_buy, quantity, 0, collateral)
        position, account = effect.position, account + effect.account
    assert account == -collateral * short_lots(position.size)

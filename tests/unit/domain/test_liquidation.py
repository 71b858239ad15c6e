"""Liquidation, takeover by the insurance fund, deleveraging and exit."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from offchain.domain.clearing import PositionState, apply_fill, equity, maintenance_margin_up
from offchain.domain.exits import leave, payout_down
from offchain.domain.expiry import close
from offchain.domain.liquidation import (
    Reason,
    charges,
    deleverage,
    forcing_reason,
    is_bankrupt,
    is_due,
    is_for_fund,
    is_in_band,
    take_over,
)

indices = st.integers(1, 2**50)
margins = st.integers(10, 5_000)
positions = st.builds(PositionState, st.integers(-(2**40), 2**40), st.integers(-(2**80), 2**80))


@pytest.mark.parametrize(("quote", "due", "for_fund", "bankrupt"), [
    (-9_500, False, False, False),  # E = 500 = MM
    (-9_501, True, False, False),
    (-9_750, True, False, False),  # E = MM / 2
    (-9_751, True, True, False),
    (-10_000, True, True, True),
])  # fmt: skip
def test_the_thresholds(quote: int, due: bool, for_fund: bool, bankrupt: bool) -> None:
    position = PositionState(10, quote)
    assert is_due(position, 1_000, 500) == due
    assert is_for_fund(position, 1_000, 500) == for_fund
    assert is_bankrupt(position, 1_000) == bankrupt


@pytest.mark.parametrize(("price", "is_buy", "fits"), [
    (970, False, True), (969, False, False), (10**9, False, True),
    (1_030, True, True), (1_031, True, False), (1, True, True),
])  # fmt: skip
def test_the_band(price: int, is_buy: bool, fits: bool) -> None:
    assert is_in_band(price, 1_000, is_buy, 300) == fits


def test_the_reasons_come_in_order() -> None:
    healthy, due = PositionState(10, -9_000), PositionState(10, -9_900)
    assert forcing_reason(due, 1_000, 500, is_fund=True, has_exit=True) is Reason.FUND
    assert forcing_reason(due, 1_000, 500, is_fund=False, has_exit=True) is Reason.LIQUIDATION
    assert forcing_reason(healthy, 1_000, 500, is_fund=False, has_exit=True) is Reason.EXIT
    assert forcing_reason(healthy, 1_000, 500, is_fund=False, has_exit=False) is None


@pytest.mark.parametrize(("reason", "credit", "expected"), [
    (Reason.LIQUIDATION, 1_000, (50, 100)),
    (Reason.LIQUIDATION, 120, (50, 70)),
    (Reason.LIQUIDATION, 30, (30, 0)),
    (Reason.EXIT, 1_000, (50, 0)),
    (Reason.FUND, -5, (0, 0)),
])  # fmt: skip
def test_a_forced_fill_pays_no_more_than_it_releases(reason: Reason, credit: int, expected: tuple[int, int]) -> None:
    assert charges(reason, 10_000, credit, 50, 100) == expected


@given(positions, positions, indices, margins)
def test_a_takeover_leaves_the_fund_with_its_maintenance_margin(
    fund: PositionState, position: PositionState, index: int, margin_bps: int
) -> None:
    done = take_over(fund, position, index, margin_bps)
    after = equity(done.fund, index)
    assert done.fund.size == fund.size + position.size
    assert after >= maintenance_margin_up(done.fund.size, index, margin_bps)
    assert after == equity(fund, index) + equity(position, index) + done.top_up
    # Not a unit more than necessary.
    assert done.top_up == 0 or after == maintenance_margin_up(done.fund.size, index, margin_bps)


@given(positions, positions, st.integers(1, 2**40))
def test_deleveraging_moves_quotes_and_creates_nothing(
    loser: PositionState, winner: PositionState, quantity: int
) -> None:
    assume(loser.size * winner.size < 0)
    quantity = min(quantity, abs(loser.size), abs(winner.size))
    done = deleverage(loser, winner, quantity)
    assert done.loser.quote + done.winner.quote + done.credit == loser.quote + winner.quote
    assert done.loser.size + done.winner.size == loser.size + winner.size
    assert abs(done.loser.size) == abs(loser.size) - quantity
    assert abs(done.winner.size) == abs(winner.size) - quantity


@given(positions, st.integers(1, 2**40), indices)
def test_who_is_deleveraged_gets_its_equity_less_the_losers_deficit(
    winner: PositionState, quantity: int, index: int
) -> None:
    """With a loser of equity 0 the winner closes at the index, but for rounding."""
    assume(winner.size)
    size = -winner.size
    loser = PositionState(size, -size * index)
    quantity = min(quantity, abs(size))
    share = Fraction(equity(winner, index) * quantity, abs(winner.size))
    assert share - 2 < deleverage(loser, winner, quantity).credit <= share


@given(positions, positions, indices, st.integers(10, 5_000), st.data())
def test_an_exit_pays_equity_less_the_penalty(
    fund: PositionState, position: PositionState, index: int, margin_bps: int, data: st.DataObject
) -> None:
    penalty_bps = data.draw(st.integers(1, margin_bps - 1))
    exact = equity(position, index) - Fraction(abs(position.size) * index * penalty_bps, 10_000)
    paid = payout_down(position, index, penalty_bps)
    assert paid == max(0, exact.__floor__())
    done = leave(fund, position, index, penalty_bps, margin_bps)
    after = equity(done.takeover.fund, index)
    assert done.payout == paid
    assert after >= maintenance_margin_up(done.takeover.fund.size, index, margin_bps)
    assert paid + after == equity(position, index) + equity(fund, index) + done.takeover.top_up


@given(st.integers(1, 2**30), st.booleans(), indices, st.integers(20, 10_000), st.integers(0, 2**60))
def test_a_close_credit_pays_fee_and_penalty_first(
    quantity: int, is_long: bool, price: int, margin_bps: int, credit: int
) -> None:
    opened = apply_fill(PositionState(), is_long, quantity, price, margin_bps).position
    released = apply_fill(opened, not is_long, quantity, price, margin_bps).credit
    fee, penalty = charges(Reason.LIQUIDATION, quantity * price, released, 50, 5_000)
    assert fee >= 0
    assert penalty >= 0
    assert fee + penalty <= released


# ---------------------------------------------------------------------------------------------------------------------
# Closing after expiry
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("quote", "pool", "fund", "paid", "covered", "claim"), [
    (-9_000, 5_000, 0, 1_000, 0, 0),
    (-9_000, 300, 0, 300, 0, 700),
    (-10_000, 300, 50, 0, 0, 0),
    (-10_400, 300, 1_000, 0, 400, 0),
    (-10_400, 300, 150, 0, 150, 0),
])  # fmt: skip
def test_a_closing(quote: int, pool: int, fund: int, paid: int, covered: int, claim: int) -> None:
    done = close(PositionState(10, quote, 7), 1_000, pool, fund)
    assert (done.paid, done.covered) == (paid, covered)
    assert done.position == PositionState(0, claim, 7)


@given(positions, indices, st.lists(st.integers(0, 2**90), min_size=1, max_size=6))
def test_a_claim_is_paid_in_the_end_and_not_twice(position: PositionState, price: int, pools: list[int]) -> None:
    received = 0
    for pool in pools:
        done = close(position, price, pool, 0)
        assert done.paid <= pool
        received, position = received + done.paid, done.position
    value = received + position.quote
    assert value >= 0
    assert close(position, price, 2**200, 0).position.quote == 0


@given(st.lists(st.tuples(positions.map(lambda each: each.size), st.integers(-(2**60), 2**60)), max_size=6), st.data())
def test_after_expiry_the_pool_pays_all_claims_but_for_uncovered_losses(
    held: list[tuple[int, int]], data: st.DataObject
) -> None:
    """pool = sum of (Q + s * S) less the deficits that nobody covers, whatever the order of closing."""
    price, fund = data.draw(indices), data.draw(st.integers(0, 2**70))
    open_positions = [PositionState(size, quote) for size, quote in (*held, (-sum(size for size, _ in held), 0))]
    dust = data.draw(st.integers(0, 10))
    pool = sum(position.quote for position in open_positions) + dust
    assume(pool >= 0)
    uncovered = 0
    for _ in range(2):  # the second time claims are paid from what came in after the first
        for index in data.draw(st.permutations(range(len(open_positions)))):
            value = equity(open_positions[index], price)
            done = close(open_positions[index], price, pool, fund)
            pool, fund = pool - done.paid + done.covered, fund - done.covered
            uncovered += max(0, -value) - done.covered
            open_positions[index] = done.position
            assert pool >= 0
            assert fund >= 0
    claims = sum(position.quote for position in open_positions)
    assert claims == max(0, uncovered - dust)
    assert pool == max(0, dust - uncovered)

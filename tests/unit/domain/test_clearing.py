"""The arithmetic of one position: fills, funding and margin (the rules of `IClearinghouse`)."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.domain.batch import SettlementError
from offchain.domain.clearing import (
    FUNDING_SCALE,
    PositionState,
    accrue,
    apply_fill,
    check_quote,
    check_size,
    equity,
    initial_margin_down,
    maintenance_margin_up,
    quote_share_down,
)

lots = st.integers(1, 2**40 - 1)
prices = st.integers(1, 2**54)
margins = st.integers(20, 10_000)
sizes = st.integers(-(2**50), 2**50)
quotes = st.integers(-(2**90), 2**90)
positions = st.builds(PositionState, sizes, quotes, st.integers(-(2**90), 2**90))
sides = st.booleans()


def fill(position: PositionState, is_buy: bool, quantity: int, price: int, margin_bps: int = 1_000) -> PositionState:
    return apply_fill(position, is_buy, quantity, price, margin_bps).position


# ---------------------------------------------------------------------------------------------------------------------
# Hand-computed
# ---------------------------------------------------------------------------------------------------------------------


def test_opening_pays_the_initial_margin() -> None:
    effect = apply_fill(PositionState(), True, 7, 1_001, 1_000)
    assert effect.account == -700  # floor(7 * 1,001 * 10 %) = floor(700.7)
    assert effect.position == PositionState(7, 700 - 7_007)
    assert (effect.closed, effect.grown, effect.credit) == (0, 7, 0)


def test_closing_at_a_profit_credits_margin_and_profit() -> None:
    opened = fill(PositionState(), True, 10, 1_000)
    effect = apply_fill(opened, False, 10, 1_100, 1_000)
    assert effect.account == 1_000 + 10 * 100
    assert effect.position == PositionState(0, 0)


def test_a_part_takes_its_share_of_the_quote_rounded_down() -> None:
    effect = apply_fill(PositionState(3, -100), False, 1, 50, 1_000)
    assert effect.account == 50 - 34  # floor(-100 / 3) = -34
    assert effect.position == PositionState(2, -66)


def test_closing_beyond_the_margin_debits_the_account() -> None:
    opened = fill(PositionState(), False, 10, 1_000)
    effect = apply_fill(opened, True, 10, 1_200, 1_000)
    assert effect.account == effect.credit == 1_000 - 10 * 200


def test_a_flip_closes_and_opens() -> None:
    opened = fill(PositionState(), True, 4, 1_000)
    effect = apply_fill(opened, False, 10, 1_000, 1_000)
    assert (effect.closed, effect.grown) == (4, 6)
    assert effect.position.size == -6
    assert effect.account == 400 - 600


def test_funding_is_charged_rounded_up_and_paid_rounded_down() -> None:
    step = FUNDING_SCALE // 3
    assert accrue(PositionState(1, 0, 0), step).quote == -1
    assert accrue(PositionState(-1, 0, 0), step).quote == 0
    assert accrue(PositionState(-7, 5, 0), 2 * FUNDING_SCALE) == PositionState(-7, 19, 2 * FUNDING_SCALE)


@pytest.mark.parametrize(("size", "fits"), [(2**63 - 1, True), (2**63, False), (-(2**63), True), (-(2**63) - 1, False)])
def test_a_size_must_fit_its_field(size: int, fits: bool) -> None:
    if fits:
        check_size(size, 3)
    else:
        with pytest.raises(SettlementError, match=r"SizeOverflow\(3\)"):
            check_size(size, 3)


@pytest.mark.parametrize(
    ("quote", "fits"), [(2**95 - 1, True), (2**95, False), (-(2**95), True), (-(2**95) - 1, False)]
)
def test_a_quote_must_fit_its_field(quote: int, fits: bool) -> None:
    if fits:
        check_quote(quote, 4)
    else:
        with pytest.raises(SettlementError, match=r"QuoteOverflow\(4\)"):
            check_quote(quote, 4)


# ---------------------------------------------------------------------------------------------------------------------
# Properties
# ---------------------------------------------------------------------------------------------------------------------


@given(positions, sides, lots, prices, margins)
def test_a_fill_moves_value_and_creates_none(
    position: PositionState, is_buy: bool, quantity: int, price: int, margin_bps: int
) -> None:
    """Whatever the account pays is in the position, valued at the fill's price."""
    effect = apply_fill(position, is_buy, quantity, price, margin_bps)
    assert effect.account + equity(effect.position, price) == equity(position, price)
    assert effect.position.size - position.size == (quantity if is_buy else -quantity)


@given(positions, positions, lots, prices, margins)
def test_both_sides_together_move_nothing_but_into_the_pool(
    buyer: PositionState, seller: PositionState, quantity: int, price: int, margin_bps: int
) -> None:
    """The accounts' changes are what the sum of quotes loses."""
    bought = apply_fill(buyer, True, quantity, price, margin_bps)
    sold = apply_fill(seller, False, quantity, price, margin_bps)
    quotes_after = bought.position.quote + sold.position.quote
    assert bought.account + sold.account == buyer.quote + seller.quote - quotes_after
    assert bought.position.size + sold.position.size == buyer.size + seller.size


@given(sides, lots, prices, margins)
def test_opening_and_closing_at_one_price_returns_everything(
    is_buy: bool, quantity: int, price: int, margin_bps: int
) -> None:
    opened = apply_fill(PositionState(), is_buy, quantity, price, margin_bps)
    closed = apply_fill(opened.position, not is_buy, quantity, price, margin_bps)
    assert opened.account + closed.account == 0
    assert closed.position == PositionState()


@given(sides, st.lists(st.integers(1, 10**6), min_size=1, max_size=8), prices, prices, margins)
def test_closing_in_parts_gives_what_closing_at_once_gives(
    is_buy: bool, parts: list[int], price: int, exit_price: int, margin_bps: int
) -> None:
    """The last part gets what the earlier ones' rounding left: nothing is lost, and no part gains."""
    whole = fill(PositionState(), is_buy, sum(parts), price, margin_bps)
    at_once = apply_fill(whole, not is_buy, sum(parts), exit_price, margin_bps).account
    position, received = whole, 0
    for part in parts:
        share = Fraction(position.quote * part, abs(position.size))
        assert quote_share_down(position, part) <= share
        effect = apply_fill(position, not is_buy, part, exit_price, margin_bps)
        position, received = effect.position, received + effect.account
    assert position == PositionState()
    assert received == at_once


@given(positions, lots)
def test_a_share_of_the_quote_is_its_exact_floor(position: PositionState, quantity: int) -> None:
    if position.size and quantity <= abs(position.size):
        exact = Fraction(position.quote) * quantity / abs(position.size)
        assert quote_share_down(position, quantity) == floor(exact)


@given(st.lists(sizes, min_size=1, max_size=6), st.integers(-(2**80), 2**80), st.integers(-(2**80), 2**80))
def test_funding_leaves_its_dust_in_the_pool(held: list[int], before: int, after: int) -> None:
    """Over sizes that sum to 0, what is paid is never less than what is received."""
    positions = [PositionState(size, 0, before) for size in (*held, -sum(held))]
    left = -sum(accrue(position, after).quote for position in positions)
    assert 0 <= left < len(positions)


@given(positions, st.integers(-(2**90), 2**90))
def test_funding_is_charged_exactly_but_for_one_unit(position: PositionState, funding: int) -> None:
    charged = position.quote - accrue(position, funding).quote
    assert charged == ceil(Fraction(position.size * (funding - position.funding), FUNDING_SCALE))
    assert accrue(accrue(position, funding), funding) == accrue(position, funding)


@given(sizes, prices, st.integers(10, 5_000))
def test_margins_round_against_the_trader(size: int, index: int, margin_bps: int) -> None:
    exact = Fraction(abs(size) * index * margin_bps, 10_000)
    assert maintenance_margin_up(size, index, margin_bps) == ceil(exact)
    assert initial_margin_down(abs(size), index, margin_bps) == floor(exact)


@given(sides, lots, prices, st.integers(10, 5_000))
def test_what_is_opened_at_the_index_has_its_maintenance_margin(
    is_buy: bool, quantity: int, price: int, maintenance_bps: int
) -> None:
    """The initial margin is at least twice the maintenance margin, so rounding cannot decide for real notionals."""
    opened = fill(PositionState(), is_buy, quantity, price, 2 * maintenance_bps)
    missing = maintenance_margin_up(opened.size, price, maintenance_bps) - equity(opened, price)
    assert missing <= (1 if quantity * price * maintenance_bps < 10_000 else 0)

"""Perpetual and future fills: sizes, quotes, margin and pool."""

from __future__ import annotations

import pytest

from tests.functional.clearinghouse.conftest import RICHES
from tests.functional.clearinghouse.house import INDEX, Fill
from tests.utils.reverts import reverts

MARGIN = INDEX // 10  # per lot


def test_opening_posts_the_initial_margin_of_both_sides(house, maker, taker):
    result = house.trade(maker, taker, 5)
    assert result.deltas == {maker.address: -5 * MARGIN, taker.address: -5 * MARGIN}
    assert house.position(maker) == (5, 5 * MARGIN - 5 * INDEX)
    assert house.position(taker) == (-5, 5 * MARGIN + 5 * INDEX)
    assert house.pool() == result.own_delta == house.balance(house.clearing) == 10 * MARGIN


def test_closing_pays_the_gain_and_returns_the_margin(house, maker, taker):
    house.trade(maker, taker, 5)
    result = house.trade(taker, maker, 5, price=INDEX + 7)
    assert result.deltas == {maker.address: 5 * MARGIN + 35, taker.address: 5 * MARGIN - 35}
    assert house.position(maker) == house.position(taker) == (0, 0)
    assert house.pool() == 0
    assert (house.balance(maker), house.balance(taker)) == (RICHES + 35, RICHES - 35)


def test_partial_close_releases_its_share_of_the_quote(house, maker, taker):
    house.trade(maker, taker, 4)
    result = house.trade(taker, maker, 1)
    assert result.deltas[maker.address] == MARGIN
    assert house.position(maker) == (3, 3 * MARGIN - 3 * INDEX)
    assert house.pool() == 6 * MARGIN


def test_a_larger_opposite_fill_flips_the_position(house, maker, taker):
    house.trade(maker, taker, 2)
    result = house.trade(taker, maker, 5)
    assert result.deltas[maker.address] == 2 * MARGIN - 3 * MARGIN
    assert house.position(maker) == (-3, 3 * MARGIN + 3 * INDEX)
    assert house.position(taker) == (3, 3 * MARGIN - 3 * INDEX)


def test_shares_of_a_quote_round_against_the_account(house, maker, taker):
    """A long's quote is negative, a short's positive: both shares are rounded down."""
    house.trade(maker, taker, 3, price=INDEX + 4)
    margin = 3 * (INDEX + 4) // 10
    long_quote, short_quote = margin - 3 * (INDEX + 4), margin + 3 * (INDEX + 4)
    result = house.trade(taker, maker, 1, price=INDEX)
    assert long_quote % 3
    assert short_quote % 3
    assert result.deltas == {
        maker.address: INDEX + long_quote // 3,
        taker.address: -INDEX + short_quote // 3,
    }
    assert house.position(maker) == (2, long_quote - long_quote // 3)
    assert house.position(taker) == (-2, short_quote - short_quote // 3)
    assert house.pool() == house.position(maker)[1] + house.position(taker)[1]


def test_a_loss_beyond_the_margin_is_debited(house, maker, taker):
    """Closing at a bad price needs no check of margin: the account pays at once."""
    house.trade(maker, taker, 5)
    result = house.trade(taker, maker, 5, price=INDEX // 2)
    assert result.deltas[maker.address] == 5 * MARGIN - 5 * INDEX // 2
    assert house.pool() == 0


def test_fees_come_on_top_and_are_not_part_of_the_pool(house, maker, taker):
    result = house.trade(maker, taker, 3, price=INDEX + 3, fee_bps=7)
    notional = 3 * (INDEX + 3)
    fee = notional * 7 // 10_000
    assert result.fees == {maker.address: fee, taker.address: fee}
    assert result.deltas[maker.address] == -(notional // 10) - fee
    assert result.own_delta == 2 * (notional // 10)
    assert house.balance(house.engine) == 2 * fee


def test_fills_of_a_batch_net_by_position(house, maker, taker, rescuer):
    result = house.settle(
        [Fill(maker, taker, 4, INDEX), Fill(rescuer, maker, 4, INDEX + 1), Fill(taker, rescuer, 1, INDEX)]
    )
    assert result.deltas[maker.address] == 4
    assert house.position(maker) == (0, 0)
    assert house.position(taker)[0] + house.position(rescuer)[0] == 0
    changed = [event.account for event in house.clearing.PositionChanged.from_receipt(result.receipt)]
    assert changed == [maker.address, taker.address, rescuer.address]  # once each


def test_each_market_has_a_pool_of_its_own(house, maker, taker):
    second = house.create_market(1, index=INDEX * 2)
    house.settle([Fill(maker, taker, 1, INDEX), Fill(maker, taker, 1, INDEX * 2, market=second)])
    assert (house.pool(), house.pool(second)) == (2 * MARGIN, 4 * MARGIN)
    assert house.clearing.solvency() == (6 * MARGIN, 6 * MARGIN)


@pytest.mark.parametrize(("index_bps", "position"), [(9_470, 0), (10_480, 1)])
def test_growth_needs_maintenance_margin_at_the_latest_index(house, maker, taker, index_bps, position):
    """5.3 % below the price a long with 10 % margin has less than 5 % left; 4.8 % above it a short."""
    house.set_index(INDEX * index_bps // 10_000)
    with reverts("Undermargined", position=position):
        house.trade(maker, taker, 1)


def test_maintenance_margin_is_met_exactly(house, maker, taker):
    """E(I) = I - 0.9 P >= ceil(0.05 I)."""
    price = 95_000
    house.set_index(90_000)
    house.trade(maker, taker, 1, price=price)
    house.set_index(89_999)
    with reverts("Undermargined", position=0):
        house.trade(maker, taker, 1, price=price)


def test_shrinking_needs_no_index(house, maker, taker):
    house.trade(maker, taker, 3)
    oracle = house.oracles[house.market]
    _, _, updated_at = oracle.latest()
    oracle.setStale(True, sender=house.owner)
    house.trade(taker, maker, 1)
    house.trade(taker, maker, 2, reduce_only=(True, True))
    with reverts("StalePrice", round=1, updatedAt=updated_at):
        house.trade(maker, taker, 1)


@pytest.mark.parametrize(("quantity", "flags"), [(3, (True, False)), (3, (False, True)), (1, (True, False))])
def test_reduce_only_must_not_grow(house, maker, taker, quantity, flags):
    house.trade(taker, maker, 2)
    buyer, seller = (maker, taker) if quantity == 3 else (taker, maker)
    with reverts("ReduceOnlyExceeded", fill=0):
        house.trade(buyer, seller, quantity, reduce_only=flags)


def test_reduce_only_may_close_all(house, maker, taker):
    house.trade(taker, maker, 2)
    house.trade(maker, taker, 2, reduce_only=(True, True))
    assert house.position(maker) == (0, 0)


def test_a_pool_cannot_be_paid_out_below_zero(house, maker, taker, rescuer):
    """Two winners may not take what the losers who are left do not have."""
    house.trade(maker, taker, 10)
    house.set_index(INDEX * 2)
    house.deposit(rescuer, RICHES)
    with reverts("PoolNegative", market=0):
        house.trade(rescuer, maker, 10, price=INDEX * 2)


def test_only_the_engine_settles(house, stranger):
    with reverts("NotEngine", caller=stranger.address):
        house.clearing.settle(0, 0, [], [], [], [], [], sender=stranger)


@pytest.mark.parametrize("lengths", [(1, 0, 1), (1, 1, 0), (0, 1, 1)])
def test_market_tables_have_one_length(house, lengths):
    tables = [[1] * length for length in lengths]
    caller = house.as_engine()
    with reverts("LengthMismatch"):
        house.clearing.settle(0, 0, *tables, [], [], sender=caller)

"""Forced orders: liquidations, exits and the fund."""

from __future__ import annotations

from dataclasses import replace

import pytest

from offchain.domain.batch import NO_GROUP, NOTHING_SIGNED, RESERVED_KEY, Batch
from offchain.domain.ledger import FUND, ExitRequest, KeyState, LedgerState
from offchain.domain.order import TimeInForce
from tests.utils.products import BTC_CALL, BTC_PERP, BTC_USDC, DOMAIN, NOW
from tests.utils.settlement import settle_model

from .cases import (
    BUY,
    MAKER,
    SELL,
    TAKER,
    THIRD,
    assert_refused,
    batch_of,
    edit,
    forced,
    index_moves_to,
    long_and_short,
    order,
)


def liquidation(price: int, rounds: dict[int, int] | None = None, **changes: object) -> Batch:
    """The long is sold to a newcomer."""
    batch = batch_of(
        (order(THIRD, BUY, 50, price=price), forced(TAKER, SELL, 10, price=price, **changes), 10),
        rounds={BTC_PERP: 2} if rounds is None else rounds,
    )
    return replace(batch, number=8)


def test_a_liquidation_pays_fee_and_penalty_from_what_is_left(state: LedgerState) -> None:
    state = long_and_short(state)
    index_moves_to(state, 94)  # E = 200,000 of 500,000; MM = 235,000
    before = state.usdc[TAKER.address]
    result = settle_model(state, liquidation(470_000), NOW, DOMAIN)
    fee, penalty = 23_500, 47_000  # 50 and 100 bps of 4,700,000
    assert result.usdc[TAKER.address] == before + 200_000 - fee - penalty
    assert result.usdc[FUND] == 10**9 + penalty
    assert result.keys[TAKER.address, BTC_PERP, RESERVED_KEY].sequence == 1


def test_what_a_liquidation_leaves_bounds_fee_and_penalty(state: LedgerState) -> None:
    state = long_and_short(state)
    index_moves_to(state, 93)
    before = state.usdc[TAKER.address]
    result = settle_model(state, liquidation(453_000), NOW, DOMAIN)
    assert result.usdc[TAKER.address] == before  # 30,000 are left: 22,650 of fee, 7,350 of penalty
    assert result.usdc[FUND] == 10**9 + 7_350


@pytest.mark.parametrize(
    ("percent", "price", "error"),
    [
        (96, 480_000, "NotForceable"),
        (94, 455_000, "PriceOutOfBand"),
        (91, 449_000, "NegativeCredit"),
    ],
)
def test_when_a_forced_order_is_refused(state: LedgerState, percent: int, price: int, error: str) -> None:
    state = long_and_short(state)
    index_moves_to(state, percent)
    assert_refused(state, liquidation(price), error, 0)


def test_an_exit_has_a_band_of_its_own_and_no_penalty(state: LedgerState) -> None:
    state = long_and_short(state)
    index_moves_to(state, 100)
    state.exits[TAKER.address, BTC_PERP] = ExitRequest(NOW - 5)
    before = state.usdc[TAKER.address]
    result = settle_model(state, liquidation(490_000), NOW, DOMAIN)
    assert result.usdc[TAKER.address] == before + 500_000 - 100_000 - 24_500
    assert_refused(state, liquidation(489_999), "PriceOutOfBand", 0)


def test_what_was_matched_on_a_canceled_exit_settles_until_its_end(state: LedgerState) -> None:
    state = long_and_short(state)
    index_moves_to(state, 100)
    state.exits[TAKER.address, BTC_PERP] = ExitRequest(NOW - 5_000, NOW + 1)
    settle_model(state, liquidation(490_000), NOW, DOMAIN)
    state.exits[TAKER.address, BTC_PERP] = ExitRequest(NOW - 5_000, NOW)
    assert_refused(state, liquidation(490_000), "NotForceable", 0)


@pytest.mark.parametrize("sequence", [0, 2, 4, 2**32 - 2])
def test_a_forced_order_has_the_stored_sequence(state: LedgerState, sequence: int) -> None:
    """One fill must not use up the account's forced orders for ever."""
    state = long_and_short(state)
    index_moves_to(state, 94)
    state.keys[TAKER.address, BTC_PERP, RESERVED_KEY] = KeyState(3)
    batch = liquidation(470_000, sequence=sequence)
    assert_refused(state, batch, "StaleNonce", batch.fills[0].taker)
    settle_model(state, liquidation(470_000, sequence=3), NOW, DOMAIN)


def test_a_forced_order_needs_its_round_and_a_round_a_forced_order(state: LedgerState) -> None:
    state = long_and_short(state)
    index_moves_to(state, 94)
    assert_refused(state, liquidation(470_000, rounds={}), "RoundMissing", 0)
    assert_refused(state, liquidation(470_000, rounds={BTC_PERP: 1}), "WrongRound", 1, NOW)
    signed = batch_of((order(THIRD, BUY, 5), order(TAKER, SELL, 5, key=1), 5), rounds={BTC_PERP: 2})
    assert_refused(state, replace(signed, number=8), "UnexpectedRound", 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"key": 1},
        {"reduce_only": False},
        {"time_in_force": TimeInForce.FOK},
    ],
)
def test_a_forced_order_has_one_form(state: LedgerState, changes: dict[str, object]) -> None:
    batch = liquidation(470_000, **changes)
    assert_refused(long_and_short(state), batch, "InvalidForced", batch.fills[0].taker)


def test_a_forced_order_has_no_group_and_is_of_no_option(state: LedgerState) -> None:
    state = long_and_short(state)
    batch = liquidation(470_000)
    taker = batch.fills[0].taker
    assert_refused(state, edit(batch, "orders", taker, group=0), "InvalidForced", taker)
    assert batch.orders[taker].group == NO_GROUP
    option = (order(THIRD, BUY, 5, BTC_CALL, 900), forced(TAKER, SELL, 5, 900, BTC_CALL), 5)
    refused = replace(batch_of(option, rounds={BTC_CALL: 1}), number=8)
    assert_refused(state, refused, "InvalidForced", refused.fills[0].taker)


def test_the_key_of_forced_orders_is_reserved_in_derivative_markets(state: LedgerState) -> None:
    maker = order(MAKER, SELL, 5, key=RESERVED_KEY)
    batch = batch_of((maker, order(TAKER, BUY, 5), 5))
    assert_refused(state, batch, "ReservedKey", batch.fills[0].maker)
    spot = batch_of((order(MAKER, SELL, 5, BTC_USDC, key=RESERVED_KEY), order(TAKER, BUY, 5, BTC_USDC), 5))
    settle_model(state, spot, NOW, DOMAIN)


def test_an_account_that_signed_nothing_has_no_signed_order(state: LedgerState) -> None:
    batch = batch_of((order(MAKER, SELL, 5), order(TAKER, BUY, 5), 5))
    index = batch.fills[0].maker
    account = batch.positions[batch.orders[index].position].account
    assert_refused(state, edit(batch, "accounts", account, epoch=NOTHING_SIGNED), "EpochExhausted", index)

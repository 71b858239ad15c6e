"""Fills of perpetuals, futures and options, and the fees of all: hand-computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from offchain.chain import eip712
from offchain.domain.batch import Batch, SettlementError
from offchain.domain.clearing import PositionState
from offchain.domain.ledger import FUND, ClearingMarket, ClearingStatus, ExitRequest, LedgerState
from offchain.domain.oracle import PriceFeed, Round
from tests.utils.products import (
    BTC_CALL,
    BTC_FUTURE,
    BTC_PERP,
    BTC_PRICE,
    BTC_USDC,
    CLEARINGHOUSE,
    DOMAIN,
    ENGINE,
    MAX_AGE,
    NOW,
)
from tests.utils.settlement import settle_model

from .cases import (
    BUY,
    FUNDS,
    INDEX,
    MAKER,
    SELL,
    TAKER,
    THIRD,
    assert_refused,
    batch_of,
    index_moves_to,
    long_and_short,
    order,
    settled,
)


def test_both_sides_pay_margin_and_fee_into_pool_and_engine(state: LedgerState) -> None:
    state = long_and_short(state)
    margin, fee = 500_000, 25_000  # 10 % and 50 bps of 10 * 500,000
    for trader, size in ((MAKER, -10), (TAKER, 10)):
        assert state.usdc[trader.address] == FUNDS - margin - fee
        assert state.positions[trader.address, BTC_PERP] == PositionState(size, margin - size * INDEX)
    assert state.clearing[BTC_PERP].pool == state.usdc[CLEARINGHOUSE] == 2 * margin
    assert state.usdc[ENGINE] == 2 * fee


def test_closing_at_the_same_price_returns_all_but_the_fees(state: LedgerState) -> None:
    state = long_and_short(state)
    back = batch_of((order(TAKER, SELL, 10, key=1), order(MAKER, BUY, 10, key=1), 10))
    state = settled(state, back)
    assert state.usdc[MAKER.address] == state.usdc[TAKER.address] == FUNDS - 2 * 25_000
    assert state.clearing[BTC_PERP].pool == 0


def test_an_exit_request_ends_with_its_position(state: LedgerState) -> None:
    state = long_and_short(state)
    state.exits[MAKER.address, BTC_PERP] = ExitRequest(NOW - 5)
    state.flags[MAKER.address, BTC_PERP] = NOW - 5
    state = settled(state, batch_of((order(TAKER, SELL, 9, key=1), order(MAKER, BUY, 9, key=1), 9)))
    assert state.exits[MAKER.address, BTC_PERP] is not None
    state = settled(state, batch_of((order(TAKER, SELL, 9, key=2), order(MAKER, BUY, 9, key=2), 9)))
    assert state.positions[MAKER.address, BTC_PERP].size == 8
    assert state.exits[MAKER.address, BTC_PERP] is None
    assert state.flags[MAKER.address, BTC_PERP] is None


def test_reduce_only_does_not_grow(state: LedgerState) -> None:
    state = long_and_short(state)
    close = order(TAKER, SELL, 11, key=1, reduce_only=True)
    buyer = order(THIRD, BUY, 11)
    settle_model(state, replace(batch_of((buyer, close, 10)), number=8), NOW, DOMAIN)
    assert_refused(state, replace(batch_of((buyer, close, 11)), number=8), "ReduceOnlyExceeded", 0)


def test_growth_needs_margin_at_the_latest_index(state: LedgerState) -> None:
    batch = batch_of((order(MAKER, SELL, 10), order(TAKER, BUY, 10), 10))
    seller = next(
        i for i, entry in enumerate(batch.positions) if batch.accounts[entry.account].account == MAKER.address
    )
    index_moves_to(state, 104)
    settle_model(state, batch, NOW, DOMAIN)
    index_moves_to(state, 106)  # E = 0.1 - 0.06 of the opening notional, MM = 5 % of 1.06
    assert_refused(state, batch, "Undermargined", seller)


def test_a_pool_pays_no_more_than_it_holds(state: LedgerState) -> None:
    state = long_and_short(state)
    index_moves_to(state, 130)
    # The long closes at a profit of three initial margins against a newcomer, whose margin does not suffice.
    batch = batch_of((order(THIRD, BUY, 10, price=650_000), order(TAKER, SELL, 10, key=1, price=650_000), 10))
    assert_refused(state, replace(batch, number=8), "PoolNegative", 0)


@pytest.mark.parametrize(
    ("error", "change"),
    [
        ("ExpiredMarket", lambda state: _rules(state, expiry=NOW)),
        (
            "MarketNotOpen",
            lambda state: state.clearing.update({BTC_FUTURE: ClearingMarket(status=ClearingStatus.EXPIRED)}),
        ),
        ("StalePrice", lambda state: state.feeds.update({BTC_FUTURE: PriceFeed((Round(1, BTC_PRICE, 1),), MAX_AGE)})),
        ("IndexOutOfBounds", lambda state: state.feeds.update({BTC_FUTURE: PriceFeed((Round(1, 1, NOW),), MAX_AGE)})),
        ("SizeOverflow", lambda state: state.positions.update({(TAKER.address, BTC_FUTURE): PositionState(2**63 - 5)})),
        (
            "QuoteOverflow",
            lambda state: state.positions.update({(TAKER.address, BTC_FUTURE): PositionState(9, 5 - 2**95)}),
        ),
    ],
)
def test_what_the_clearinghouse_refuses(
    state: LedgerState, error: str, change: Callable[[LedgerState], object]
) -> None:
    batch = batch_of((order(MAKER, SELL, 10, BTC_FUTURE), order(TAKER, BUY, 10, BTC_FUTURE), 10))
    settle_model(state, batch, NOW, DOMAIN)
    change(state)
    with pytest.raises(SettlementError, match=error):
        settle_model(state, batch, NOW, DOMAIN)


def _rules(state: LedgerState, **changes: int) -> None:
    rules = state.markets[BTC_FUTURE]
    assert rules.derivative is not None
    state.markets[BTC_FUTURE] = replace(rules, derivative=replace(rules.derivative, **changes))


def test_a_dated_market_trades_until_its_expiry(state: LedgerState) -> None:
    _rules(state, expiry=NOW + 1)
    long_and_short(state, market=BTC_FUTURE)


def test_an_options_premium_goes_to_the_writer_and_its_collateral_to_the_pool(state: LedgerState) -> None:
    state = settled(state, batch_of((order(MAKER, SELL, 4, BTC_CALL, 9_000), order(TAKER, BUY, 4, BTC_CALL, 9_000), 4)))
    premium, fee, collateral = 36_000, 180, 4 * 120_000
    assert state.usdc[TAKER.address] == FUNDS - premium - fee
    assert state.usdc[MAKER.address] == FUNDS + premium - fee - collateral
    assert state.clearing[BTC_CALL].pool == collateral


def test_a_fee_change_counts_from_its_match_time(state: LedgerState) -> None:
    state.next_fee_bps, state.fee_change_at = 10, NOW + 1
    assert settle_model(state, _plain(), NOW, DOMAIN).usdc[ENGINE] == 2 * 12_500
    state.fee_change_at = NOW
    assert settle_model(state, _plain(), NOW, DOMAIN).usdc[ENGINE] == 2 * 2_500


def _plain() -> Batch:
    return batch_of((order(MAKER, SELL, 5, BTC_USDC), order(TAKER, BUY, 5, BTC_USDC), 5))


def test_fees_paid_saturate(state: LedgerState) -> None:
    state.fees_paid[TAKER.address] = 2**56 - 10
    assert settle_model(state, _plain(), NOW, DOMAIN).money.fees_paid[TAKER.address] == 2**56 - 1


def test_the_funds_account_is_nobodys() -> None:
    assert eip712.keccak(b"crosspoint.insurance-fund")[12:] == FUND

"""Cross-quoted markets: the rate, the notional and the limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from offchain.domain.batch import Batch, MarketEntry
from offchain.domain.ledger import LedgerState
from offchain.domain.oracle import PriceFeed, Round
from tests.utils.products import BTC_USDC, ETH, ETH_BTC, MAX_AGE, NOW

from .cases import BUY, FUNDS, MAKER, RATE, SELL, TAKER, assert_refused, batch_of, edit, order, settled

ROUND = {ETH_BTC: 1}
PRICE = 50_001_000
"""10^-12 BTC per lot of 0.001 ETH: 2.50005 USDC at the rate"""


def cross(buyer_limit: int = RATE, seller_limit: int = RATE, rounds: dict[int, int] | None = None) -> Batch:
    maker = order(MAKER, SELL, 10, ETH_BTC, PRICE, conversion_limit=seller_limit)
    taker = order(TAKER, BUY, 10, ETH_BTC, PRICE, conversion_limit=buyer_limit)
    return batch_of((maker, taker, 7), rounds=ROUND if rounds is None else rounds)


def test_a_cross_quoted_fill_is_paid_at_the_rate(state: LedgerState) -> None:
    state = settled(state, cross())
    notional = 17_500_350  # 7 * 50,001,000 * 5e10 / 1e12
    fee = 87_501  # floor of 87,501.75
    assert state.usdc[TAKER.address] == FUNDS - notional - fee
    assert state.usdc[MAKER.address] == FUNDS + notional - fee
    assert state.base[TAKER.address, ETH] == 10**27 + 7 * 10**15
    assert state.fees_paid == {MAKER.address: fee, TAKER.address: fee}


@pytest.mark.parametrize(
    ("batch", "error", "arguments"),
    [
        (lambda: cross(rounds={}), "RoundMissing", (0,)),
        (lambda: cross(rounds={ETH_BTC: 2}), "WrongRound", (2, NOW)),
        (lambda: cross(buyer_limit=0), "ConversionLimitMissing", None),
        (lambda: cross(buyer_limit=RATE - 1), "ConversionLimitExceeded", None),
        (lambda: cross(seller_limit=RATE + 1), "ConversionLimitExceeded", None),
        (lambda: replace(cross(), unused_limits=(1,)), "LimitNotUsed", (2,)),
        (lambda: edit(cross(), "orders", 1, conversion_limit=-1), "IndexOutOfRange", (2, 1)),
    ],
)
def test_what_a_cross_quoted_market_refuses(
    state: LedgerState, batch: Callable[[], Batch], error: str, arguments: tuple[int, ...] | None
) -> None:
    made = batch()
    if arguments is None:
        seller_at_fault = made.orders[made.fills[0].maker].conversion_limit == RATE + 1
        arguments = (made.fills[0].maker if seller_at_fault else made.fills[0].taker,)
    assert_refused(state, made, error, *arguments)


@pytest.mark.parametrize("price", [10**12 - 1, 2**64 * 10**12])
def test_a_rate_must_fit(state: LedgerState, price: int) -> None:
    state.feeds[ETH_BTC] = PriceFeed((Round(1, price, NOW - 5),), MAX_AGE)
    assert_refused(state, cross(), "RateOutOfRange", 0)


def test_plain_spot_takes_neither_round_nor_limit(state: LedgerState) -> None:
    batch = batch_of((order(MAKER, SELL, 5, BTC_USDC), order(TAKER, BUY, 5, BTC_USDC), 5))
    assert_refused(state, replace(batch, markets=(MarketEntry(BTC_USDC, 1),)), "UnexpectedRound", 0)
    assert_refused(state, edit(batch, "orders", 1, conversion_limit=5), "UnexpectedConversionLimit", 1)
    assert_refused(state, edit(batch, "orders", 1, reduce_only=True), "ReduceOnlySpot", 1)

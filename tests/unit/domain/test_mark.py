"""The mark: no book, however thin or wide, makes it silly."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.domain.commands import MarketCreated
from offchain.domain.mark import mark_of, mark_price
from offchain.domain.market import Kind
from offchain.domain.oracle import SEEN_FOR_MS
from tests.utils.exchange import BTC_USDC, BUY, CALL, INDEX, MAKER, PERP, SELL, TAKER, TICK, Exchange

FUTURE = msgspec.structs.replace(PERP, kind=Kind.FUTURE)


@pytest.mark.parametrize(
    ("bid", "ask", "last", "index", "mark"),
    [
        (990, 1_010, 900, 1_000, 1_000),  # the middle of a narrow book
        (975, 1_025, 900, 1_000, 1_000),  # 5 % apart
        (974, 1_025, 980, 1_000, 980),  # wider: the last price,
        (1, 9_999, 1_020, 1_000, 1_020),
        (985, 9_999, 980, 1_000, 985),  # but nobody sells for less than is bid
        (None, 1_001, 1_010, 1_000, 1_001),
        (None, 1_001, 1_000, None, 1_000),
        (990, None, 980, None, 990),
        (None, None, 990, 1_000, 990),
        (1, 9_999, 0, 1_000, 1_000),  # never traded: the index
        (None, None, 0, 1_000, 1_000),
        (None, 999, 0, 1_000, 999),
        (None, None, 0, None, None),
        (2_000, 2_001, 2_000, 1_000, 1_050),  # at most 5 % from the index
        (None, None, 500, 1_000, 950),
        (None, None, 500, None, 500),
    ],
)
def test_mark_of_a_perpetual_and_a_future(
    bid: int | None, ask: int | None, last: int, index: int | None, mark: int | None
) -> None:
    assert mark_of(PERP, bid, ask, last, index) == mark
    assert mark_of(FUTURE, bid, ask, last, index) == mark


@pytest.mark.parametrize(
    ("bid", "ask", "last", "mark"),
    [
        (6 * TICK, 8 * TICK, 5 * TICK, 7 * TICK),
        (5 * TICK, 15 * TICK, TICK, 10 * TICK),  # as far apart as their middle is high
        (5 * TICK - 1, 15 * TICK, TICK, 5 * TICK - 1),
        (None, 8 * TICK, 9 * TICK, 8 * TICK),
        (1, 29 * TICK, 0, None),  # a wide book that has never traded says nothing
        (None, None, 0, None),
        (28 * TICK, 40 * TICK, 0, 30 * TICK),  # it never pays more than its collateral
    ],
)
def test_mark_of_an_option(bid: int | None, ask: int | None, last: int, mark: int | None) -> None:
    assert mark_of(CALL, bid, ask, last, None) == mark


def test_mark_of_a_spot_market() -> None:
    assert mark_of(BTC_USDC, 990, 1_010, 900, None) == 1_000
    assert mark_of(BTC_USDC, 1, 1_010, 900, None) == 900
    assert mark_of(BTC_USDC, 1, 1_010, 0, None) is None


prices = st.integers(1, 10**12)


@given(bid=st.none() | prices, width=prices, last=st.integers(0, 10**12), index=st.integers(20, 10**12))
def test_the_mark_stays_near_the_index(bid: int | None, width: int, last: int, index: int) -> None:
    mark = mark_of(PERP, bid, None if bid is None else bid + width, last, index)
    assert mark is not None
    assert 95 * index <= 100 * mark <= 105 * index


def test_it_is_made_of_book_last_price_and_fresh_index(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange()
    exchange.mine(MarketCreated(PERP))
    state = exchange.core._state
    venue = state.markets[PERP.id]
    assert mark_price(state, venue, exchange.now_ms) is None
    exchange.tell_index()
    assert mark_price(state, venue, exchange.now_ms) == INDEX
    exchange.place(MAKER, SELL, 101, 10, market=PERP.id)
    exchange.place(TAKER, BUY, 101, 5, market=PERP.id)
    assert mark_price(state, venue, exchange.now_ms) == 101 * TICK
    exchange.place(TAKER, BUY, 99, 5, market=PERP.id)
    assert mark_price(state, venue, exchange.now_ms) == 100 * TICK
    exchange.tell_index(120 * TICK)
    assert mark_price(state, venue, exchange.now_ms) == 114 * TICK
    # Without a fresh index there is nothing to keep it near to.
    assert mark_price(state, venue, exchange.now_ms + SEEN_FOR_MS + 1) == 100 * TICK

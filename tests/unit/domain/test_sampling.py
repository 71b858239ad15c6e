"""Samples of mark and index: when they are taken, and what funding makes of them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.domain.commands import ClearingChanged, FundingAccrual, MarketCreated, Tick
from offchain.domain.core import Core
from offchain.domain.events import FundingUpdate, MarkSample
from offchain.domain.oracle import SEEN_FOR_MS
from offchain.domain.sampling import HOLD_MS, MINUTE_MS, REPEAT_MS, SAMPLE_MS, at_minutes
from tests.utils.exchange import BUY, CALL, INDEX, MAKER, PERP, SELL, TAKER, TICK, Exchange, digest


@pytest.fixture
def exchange(create_exchange: Callable[..., Exchange]) -> Exchange:
    """With a perpetual, whose index was just told for the first time."""
    exchange = create_exchange()
    exchange.mine(MarketCreated(PERP))
    exchange.tell_index()
    return exchange


def samples(exchange: Exchange) -> list[tuple[int, int]]:
    """(mark, index) of the last command's."""
    return [(sample.mark, sample.index) for sample in exchange.of(MarkSample)]


def test_the_first_price_is_a_sample(exchange: Exchange) -> None:
    assert exchange.of(MarkSample) == [MarkSample(PERP.id, exchange.now_ms, INDEX, INDEX)]


def test_a_change_is_a_sample_five_seconds_later(exchange: Exchange) -> None:
    exchange.now_ms += SAMPLE_MS - 1
    exchange.tell_index(101 * TICK)
    assert samples(exchange) == []
    exchange.now_ms += 1
    exchange.run(Tick())
    assert samples(exchange) == [(101 * TICK, 101 * TICK)]


def test_what_does_not_move_is_taken_down_once_a_minute(exchange: Exchange) -> None:
    taken = 0
    for _ in range(12):
        exchange.now_ms += 10_000
        exchange.tell_index()
        taken += len(samples(exchange))
    assert taken == 2


def test_without_a_fresh_index_nothing_is_taken(exchange: Exchange) -> None:
    exchange.now_ms += SEEN_FOR_MS + 1
    exchange.place(MAKER, SELL, 101, 1, market=PERP.id)
    exchange.run(Tick())
    assert samples(exchange) == []


def test_an_option_is_taken_down_when_its_mark_moves(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange()
    exchange.mine(MarketCreated(CALL))
    exchange.run(Tick())
    assert samples(exchange) == []
    exchange.place(MAKER, SELL, 5, 10, market=CALL.id)
    exchange.place(TAKER, BUY, 5, 10, market=CALL.id)
    exchange.run(Tick())
    assert samples(exchange) == [(5 * TICK, 0)]
    exchange.now_ms += 10 * REPEAT_MS
    exchange.run(Tick())
    assert samples(exchange) == []
    exchange.place(MAKER, BUY, 6, 10, market=CALL.id)
    exchange.run(Tick())
    assert samples(exchange) == [(6 * TICK, 0)]
    exchange.place(MAKER, BUY, 7, 10, market=CALL.id)
    exchange.now_ms = CALL.terms.expiry * 1000
    exchange.run(Tick())
    assert samples(exchange) == []


def test_a_restored_core_goes_on_sampling(exchange: Exchange) -> None:
    exchange.now_ms += SAMPLE_MS - 1
    exchange.core = Core.restore(exchange.core.snapshot())
    exchange.tell_index(101 * TICK)
    assert samples(exchange) == []


# ---------------------------------------------------------------------------------------------------------------------
# What funding makes of them
# ---------------------------------------------------------------------------------------------------------------------


def test_a_sample_holds_until_the_next_and_not_for_ever() -> None:
    hour = 3_600_000
    taken = [(hour - 10_000, 1, 1), (hour + 30_000, 2, 2), (hour + MINUTE_MS, 3, 3)]
    assert at_minutes(taken, hour, hour + MINUTE_MS) == [(1, 1)]
    assert at_minutes(taken, hour, hour + 5 * MINUTE_MS) == [(1, 1), (3, 3), (3, 3)]
    assert at_minutes([], hour, 2 * hour) == []
    assert at_minutes([(hour - HOLD_MS - 1, 1, 1)], hour, 2 * hour) == []


@given(st.lists(st.integers(0, 120 * 60_000), max_size=40).map(sorted))
def test_a_minute_has_the_latest_sample_before_it(times: list[int]) -> None:
    taken = [(time, place, 1) for place, time in enumerate(times)]
    expected = []
    for minute in range(0, 120 * MINUTE_MS, MINUTE_MS):
        known = [sample for sample in taken if minute - HOLD_MS <= sample[0] <= minute]
        expected += [known[-1][1:]] if known else []
    assert at_minutes(taken, 0, 120 * MINUTE_MS) == expected


# ---------------------------------------------------------------------------------------------------------------------
# Accruals and open interest
# ---------------------------------------------------------------------------------------------------------------------


def test_accruals_are_told_and_undone(exchange: Exchange) -> None:
    number, _ = exchange.head
    exchange.mine(ClearingChanged(digest("a"), funding=[FundingAccrual(PERP.id, 8, 70, 100, INDEX)]))
    assert exchange.of(FundingUpdate) == [FundingUpdate(PERP.id, 8, 100, INDEX, 70)]
    exchange.mine(ClearingChanged(digest("b"), funding=[FundingAccrual(PERP.id, 9, 80, 100, INDEX)]))
    exchange.roll_back(number + 1)
    assert exchange.of(FundingUpdate) == [FundingUpdate(PERP.id, 8, 0, 0, 70, reverted=True)]
    assert exchange.core.quote(PERP.id, exchange.now_ms).last_hour == 8


def test_open_interest_is_what_is_held_long(exchange: Exchange) -> None:
    def interest() -> int:
        return exchange.core.quote(PERP.id, exchange.now_ms).open_interest

    exchange.place(MAKER, SELL, 100, 10, market=PERP.id)
    assert interest() == 0
    exchange.place(TAKER, BUY, 100, 10, market=PERP.id)
    assert interest() == 10
    exchange.place(MAKER, BUY, 100, 4, market=PERP.id)
    exchange.place(TAKER, SELL, 100, 4, market=PERP.id)
    assert interest() == 6
    assert Core.restore(exchange.core.snapshot()).quote(PERP.id, exchange.now_ms).open_interest == 6
    exchange.mine(exchange.batch_settled(1, exchange.trades()[:1]))
    assert interest() == 6


def test_a_quote_of_an_option_has_the_index_of_what_it_is_on(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange()
    exchange.mine(MarketCreated(CALL), MarketCreated(msgspec.structs.replace(PERP, oracle=CALL.oracle)))
    exchange.tell_index()
    quote = exchange.core.quote(CALL.id, exchange.now_ms)
    assert (quote.mark, quote.index, quote.last) == (None, INDEX, None)

"""Candles equal what the trades of their time say, however they came in and whatever was busted."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offchain.domain.events import Event, Trade, TradeBusted
from offchain.ports import CandleRow, MarketFigures, Record
from offchain.views.sqlite import SqliteViews
from tests.strategies import PROFILE

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
FIRST, SECOND = 1, 2
"""Markets."""

START = 1_700_006_400_000  # a whole day
MAKER, TAKER = b"\x0a" * 20, b"\x0b" * 20


def create_trade(item: int, time_ms: int, price: int = 100, quantity: int = 5, market: int = FIRST) -> Trade:
    orders = (bytes([1]) * 32, bytes([2]) * 32)
    return Trade(item, bytes(32), market, *orders, MAKER, TAKER, 0, price, quantity, 0, 0, 3, 4, time_ms)


def create_bust(trade: Trade) -> TradeBusted:
    return TradeBusted(trade.item, trade.id, trade.market, MAKER, TAKER, "")


def create_record(first: int, events: list[Event]) -> Record:
    """All events in one record; what commands they come from does not matter here."""
    return Record(1, first, first + len(events) - 1, START, 1, b"", [None], [events])  # type: ignore[list-item]


def expected(trades: list[Trade], market: int, start: int, end: int) -> CandleRow | None:
    inside = [each for each in trades if each.market == market and start <= each.time_ms < end]
    if not inside:
        return None
    prices = [each.price for each in inside]
    return CandleRow(
        market,
        start,
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum(each.quantity for each in inside),
        sum(each.price * each.quantity for each in inside),
        7 * len(inside),
        len(inside),
    )


async def project(views, *records: list[Event]) -> None:
    for events in records:
        applied = await views.applied()
        await views.apply(applied, [create_record(applied + 1, events)])


async def test_trades_of_a_minute_become_a_candle(views):
    prices = (100, 130, 90, 110)
    trades = [create_trade(i + 1, START + i * 1_000, price, i + 1) for i, price in enumerate(prices)]
    await project(views, trades[:2], trades[2:])
    assert await views.candles(FIRST, MINUTE, None, 10) == [
        CandleRow(FIRST, START, 100, 130, 90, 110, 10, 100 + 260 + 270 + 440, 28, 4)
    ]
    assert await views.candles(SECOND, MINUTE, None, 10) == []


async def test_newest_or_from_a_time_on(views):
    trades = [create_trade(i + 1, START + i * MINUTE, 100 + i) for i in (0, 1, 2, 5, 6)]
    await project(views, trades)

    async def starts(*arguments: object) -> list[int]:
        return [(row.start_ms - START) // MINUTE for row in await views.candles(FIRST, MINUTE, *arguments)]

    assert await starts(None, 2) == [5, 6]
    assert await starts(None, 10) == [0, 1, 2, 5, 6]
    assert await starts(START + 1, 2) == [1, 2]
    assert await starts(START + 3 * MINUTE, 10) == [5, 6]


@pytest.mark.parametrize("interval", [0, -MINUTE, 30_000, 7 * MINUTE, 2 * DAY])
async def test_interval_must_divide_a_day_in_whole_minutes(views, interval):
    with pytest.raises(ValueError, match="no part of a day"):
        await views.candles(FIRST, interval, None, 10)


async def test_busted_trades_are_taken_out(views):
    trades = [create_trade(1, START, 100), create_trade(2, START + 1, 500), create_trade(3, START + HOUR, 200)]
    await project(views, list(trades), [create_bust(trades[1])])
    assert (await views.candles(FIRST, DAY, None, 10)) == [expected([trades[0], trades[2]], FIRST, START, START + DAY)]
    await project(views, [create_bust(trades[0])])
    assert (await views.candles(FIRST, HOUR, None, 10)) == [expected([trades[2]], FIRST, START + HOUR, START + DAY)]
    await project(views, [create_bust(trades[2])])
    assert await views.candles(FIRST, MINUTE, None, 10) == []
    assert await views.figures([FIRST], START) == [MarketFigures(None, None)]


async def test_figures_of_a_window_and_of_all_time(views):
    times = (0, HOUR, 12 * HOUR, DAY, DAY + MINUTE)
    trades = [create_trade(i + 1, START + time, 100 + i) for i, time in enumerate(times)]
    await project(views, trades, [create_trade(9, START, market=SECOND)])
    now = START + DAY + 30 * MINUTE
    first, second = await views.figures([FIRST, SECOND], now - DAY)
    assert first.window == expected(trades, FIRST, START + 30 * MINUTE, now)
    assert (first.ever.trades, first.ever.close) == (5, 104)
    assert second.window is None
    assert second.ever.trades == 1


async def test_sums_may_exceed_64_bits(views):
    trade = create_trade(1, START, 2**55, 2**39)
    await project(views, [trade, create_trade(2, START, 2**55, 2**39)])
    (row,) = await views.candles(FIRST, DAY, None, 1)
    assert row.notional == 2 * 2**94


drawn_trades = st.lists(
    st.tuples(
        st.integers(0, 3 * DAY // 1_000).map(lambda second: START + second * 1_000),
        st.integers(1, 1_000),
        st.integers(1, 50),
        st.sampled_from((FIRST, SECOND)),
    ),
    max_size=25,
)


@settings(PROFILE, max_examples=PROFILE.max_examples // 4, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=drawn_trades, busted=st.sets(st.integers(0, 24)), cuts=st.sets(st.integers(0, 40)))
def test_any_history_gives_the_same_as_its_trades(drawn, busted, cuts) -> None:
    """Trades in order of time, with busts between them, over any number of transactions."""

    async def check() -> None:
        with TemporaryDirectory() as folder:
            views = SqliteViews(Path(folder) / "views.db")
            await project(views, *_records(trades, busted, cuts))
            left = [trade for i, trade in enumerate(trades) if i not in busted]
            for interval in (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, DAY):
                starts = sorted({each.time_ms // interval * interval for each in left if each.market == FIRST})
                rows = [expected(left, FIRST, start, start + interval) for start in starts]
                assert await views.candles(FIRST, interval, 0, 1_000) == rows
                assert await views.candles(FIRST, interval, None, 2) == rows[-2:]
            since = START + DAY + 17 * MINUTE
            (found,) = await views.figures([FIRST], since)
            assert found.window == expected(left, FIRST, since, START + 10 * DAY)
            assert found.ever == expected(left, FIRST, 0, START + 10 * DAY)
            volumes = await views.volumes([FIRST, SECOND, 3], since)
            traded = {
                market: sum(each.quantity for each in left if each.market == market and each.time_ms >= since)
                for market in (FIRST, SECOND)
            }
            assert volumes == {market: lots for market, lots in traded.items() if lots}
            await views.close()

    trades = [create_trade(i + 1, *each) for i, each in enumerate(sorted(drawn, key=lambda each: each[0]))]
    asyncio.run(check())


def _records(trades: list[Trade], busted: set[int], cuts: set[int]) -> list[list[Event]]:
    events: list[Event] = []
    for i, trade in enumerate(trades):
        events.append(trade)
        if i in busted:
            events.append(create_bust(trade))
    places = [0, *sorted(cut for cut in cuts if 0 < cut < len(events)), len(events)]
    return [events[a:b] for a, b in pairwise(places) if a < b]

"""Candles of mark and index equal what their samples say; samples and accruals are kept as long as they are needed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offchain.domain.events import Event, FundingUpdate, MarkSample
from offchain.ports import CandleRow, FundingRow, Record, SampleRow
from offchain.views.marks import KEPT_MS
from offchain.views.sqlite import SqliteViews
from tests.strategies import PROFILE

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
PERP, OPTION = 1, 2
"""Markets."""

START = 1_700_006_400_000  # a whole day


def create_record(first: int, events: list[Event]) -> Record:
    return Record(1, first, first + len(events) - 1, START, 1, b"", [None], [events])  # type: ignore[list-item]


def sample(time_ms: int, mark: int = 100, index: int = 100, market: int = PERP) -> MarkSample:
    return MarkSample(market, START + time_ms, mark, index)


def accrual(hour: int, rate: int = 5, *, reverted: bool = False) -> FundingUpdate:
    return FundingUpdate(PERP, hour, rate, 100, 2**80 + hour, reverted)


async def project(views, *events: Event) -> None:
    applied = await views.applied()
    await views.apply(applied, [create_record(applied + 1, list(events))])


def expected(prices: list[tuple[int, int]], start: int, interval: int) -> CandleRow:
    inside = [price for time, price in prices if start <= time < start + interval]
    return CandleRow(PERP, start, inside[0], max(inside), min(inside), inside[-1], 0, 0, 0, 0)


samples = st.lists(st.tuples(st.integers(0, 2 * DAY), st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=40)


@settings(PROFILE, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples, st.sampled_from([MINUTE, 30 * MINUTE, HOUR, 4 * HOUR, DAY]), st.sampled_from(["mark", "index"]))
def test_candles_equal_the_samples(drawn: list[tuple[int, int, int]], interval: int, price: str) -> None:
    drawn = sorted({time: (time, mark, index) for time, mark, index in drawn}.values())
    prices = [(START + time, mark if price == "mark" else index) for time, mark, index in drawn]

    async def check() -> None:
        with TemporaryDirectory() as folder:
            views = SqliteViews(Path(folder) / "views.db")
            await project(views, *(sample(*each) for each in drawn))
            starts = sorted({time - time % interval for time, _ in prices})
            rows = [expected(prices, start, interval) for start in starts]
            assert await views.candles(PERP, interval, 0, 1_000, price) == rows
            assert await views.candles(PERP, interval, None, 2, price) == rows[-2:]
            assert (
                await views.candles(PERP, interval, START + DAY, 3, price)
                == [row for row in rows if row.start_ms >= START + DAY][:3]
            )
            await views.close()

    asyncio.run(check())


async def test_an_option_has_candles_of_its_mark_only(views) -> None:
    await project(views, sample(0, 7, 0, OPTION))
    assert [row.close for row in await views.candles(OPTION, MINUTE, None, 9, "mark")] == [7]
    assert await views.candles(OPTION, MINUTE, None, 9, "index") == []
    assert await views.candles(OPTION, MINUTE, None, 9) == []
    assert await views.samples(OPTION, 0) == []


async def test_a_price_that_there_is_not(views) -> None:
    with pytest.raises(ValueError, match="price: 'mid'"):
        await views.candles(PERP, MINUTE, None, 9, "mid")


async def test_samples_are_kept_for_two_days(views) -> None:
    await project(views, sample(0), sample(MINUTE, 101), sample(KEPT_MS))
    assert await views.samples(PERP, START + 1) == [
        SampleRow(START + MINUTE, 101, 100),
        SampleRow(START + KEPT_MS, 100, 100),
    ]
    await project(views, sample(KEPT_MS + HOUR))
    assert [row.time_ms - START for row in await views.samples(PERP, 0)] == [KEPT_MS, KEPT_MS + HOUR]


async def test_accruals_oldest_first(views) -> None:
    await project(views, accrual(7), accrual(8, -6), accrual(9))
    rows = [FundingRow(PERP, hour, rate, 100, 2**80 + hour) for hour, rate in ((7, 5), (8, -6), (9, 5))]
    assert await views.funding(PERP, None, 10) == rows
    assert await views.funding(PERP, None, 2) == rows[1:]
    assert await views.funding(PERP, 7, 2) == rows[:2]
    with pytest.raises(ValueError, match="limit"):
        await views.funding(PERP, None, 0)


async def test_accruals_that_were_undone_are_gone(views) -> None:
    await project(views, accrual(7), accrual(8), accrual(9), accrual(7, 0, reverted=True))
    assert [row.hour for row in await views.funding(PERP, None, 10)] == [7]
    await project(views, accrual(9, 4))
    assert [(row.hour, row.rate) for row in await views.funding(PERP, None, 10)] == [(7, 5), (9, 4)]

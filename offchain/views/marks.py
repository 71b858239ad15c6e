"""Mark and index over time: candles of both, the samples of which an hour's funding is made, and what was accrued."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from offchain.domain.events import FundingUpdate, MarkSample
from offchain.ports import CandleRow, FundingRow, SampleRow
from offchain.views.candles import DAY, HOUR, MINUTE, grouped, join, start_of

SPANS = (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, DAY)

KINDS = {"mark": 1, "index": 2}
"""As stored."""

KEPT_MS = 48 * HOUR
"""Samples are kept for so long; candles for ever."""

MAX_SAMPLES = 2_000
"""That one call returns; an hour has at most 720."""

CANDLES_TABLE = """(
    market INTEGER NOT NULL, kind INTEGER NOT NULL, span INTEGER NOT NULL, start INTEGER NOT NULL,
    open INTEGER NOT NULL, high INTEGER NOT NULL, low INTEGER NOT NULL, close INTEGER NOT NULL,
    PRIMARY KEY (market, kind, span, start)
) WITHOUT ROWID"""

SAMPLES_TABLE = """(
    market INTEGER NOT NULL, time_ms INTEGER NOT NULL, mark INTEGER NOT NULL, index_price INTEGER NOT NULL,
    PRIMARY KEY (market, time_ms)
) WITHOUT ROWID"""
"""Of perpetuals and futures."""

FUNDING_TABLE = """(
    market INTEGER NOT NULL, hour INTEGER NOT NULL, rate INTEGER NOT NULL, index_price INTEGER NOT NULL,
    funding TEXT NOT NULL, PRIMARY KEY (market, hour)
) WITHOUT ROWID"""
"""As accrued on chain."""


class MarkWriter:
    """Writes samples and accruals. Runs inside the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute
        self._pruned: dict[int, int] = {}
        """by market: the hour in which old samples were removed last"""

    def add(self, sample: MarkSample) -> None:
        self._count(sample, KINDS["mark"], sample.mark)
        if not sample.index:
            return
        self._count(sample, KINDS["index"], sample.index)
        row = (sample.market, sample.time_ms, sample.mark, sample.index)
        self._run("INSERT OR REPLACE INTO funding_samples VALUES (?, ?, ?, ?)", row)
        hour = start_of(HOUR, sample.time_ms)
        if self._pruned.get(sample.market) != hour:
            self._pruned[sample.market] = hour
            sql = "DELETE FROM funding_samples WHERE market = ? AND time_ms < ?"
            self._run(sql, (sample.market, sample.time_ms - KEPT_MS))

    def _count(self, sample: MarkSample, kind: int, price: int) -> None:
        for span in SPANS:
            self._run(
                "INSERT INTO mark_candles VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?5, ?5) ON CONFLICT DO UPDATE SET "
                "high = max(high, ?5), low = min(low, ?5), close = ?5",
                (sample.market, kind, span, start_of(span, sample.time_ms), price),
            )

    def accrue(self, update: FundingUpdate) -> None:
        """Take an accrual in, or those after an hour out again."""
        if update.reverted:
            self._run("DELETE FROM funding WHERE market = ? AND hour > ?", (update.market, update.hour))
            return
        row = (update.market, update.hour, update.rate, update.index, str(update.funding))
        self._run("INSERT OR REPLACE INTO funding VALUES (?, ?, ?, ?, ?)", row)


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------


def candles(
    connection: sqlite3.Connection, market: int, kind: str, interval: int, since_ms: int | None, limit: int
) -> list[CandleRow]:
    """As `candles.candles`, of the mark or the index; what is of trades alone is 0."""
    span = max(each for each in SPANS if interval % each == 0)
    order, bound = ("ASC", since_ms) if since_ms is not None else ("DESC", 0)
    sql = (
        "SELECT start, open, high, low, close FROM mark_candles "
        f"WHERE market = ? AND kind = ? AND span = ? AND start >= ? ORDER BY start {order}"
    )
    rows: Iterator[CandleRow] = (
        CandleRow(market, start, first, high, low, last, 0, 0, 0, 0)
        for start, first, high, low, last in connection.execute(sql, (market, KINDS[kind], span, bound))
    )
    found = grouped(rows, interval, limit)
    return [each for start, parts in (found if order == "ASC" else reversed(found)) if (each := join(start, parts))]


def samples(connection: sqlite3.Connection, market: int, since_ms: int) -> list[SampleRow]:
    """Oldest first."""
    sql = "SELECT time_ms, mark, index_price FROM funding_samples WHERE market = ? AND time_ms >= ? ORDER BY time_ms"
    rows = connection.execute(f"{sql} LIMIT {MAX_SAMPLES}", (market, since_ms))
    return [SampleRow(*columns) for columns in rows]


def funding(connection: sqlite3.Connection, market: int, since_hour: int | None, limit: int) -> list[FundingRow]:
    """Oldest first: the first `limit` from `since_hour` on, else the newest ones."""
    order, bound = ("ASC", since_hour) if since_hour is not None else ("DESC", 0)
    sql = (
        "SELECT hour, rate, index_price, funding FROM funding "
        f"WHERE market = ? AND hour >= ? ORDER BY hour {order} LIMIT ?"
    )
    found = connection.execute(sql, (market, bound, limit))
    rows = [FundingRow(market, hour, rate, index, int(total)) for hour, rate, index, total in found]
    return rows if order == "ASC" else rows[::-1]

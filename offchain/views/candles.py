"""Candles: what was traded in a market per minute, five and fifteen minutes, hour, day and in all.

Longer intervals are put together when they are read. Busted trades are taken out again: their minute is counted anew
from the trades, and what contains it from its parts.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from offchain.domain.events import Trade
from offchain.ports import CandleRow

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EVER = 0
"""The span of everything, which starts at 0."""

SPANS = (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, DAY, EVER)

TABLE = """(
    market INTEGER NOT NULL, span INTEGER NOT NULL, start INTEGER NOT NULL, open INTEGER NOT NULL,
    high INTEGER NOT NULL, low INTEGER NOT NULL, close INTEGER NOT NULL, quantity INTEGER NOT NULL,
    notional TEXT NOT NULL, fees TEXT NOT NULL, trades INTEGER NOT NULL, PRIMARY KEY (market, span, start)
) WITHOUT ROWID"""
"""Times and spans in milliseconds; the last row's `close` is the last price."""

COLUMNS = "market, start, open, high, low, close, quantity, notional, fees, trades"

_Key = tuple[int, int, int]
"""market, span, start"""


def start_of(span: int, time_ms: int) -> int:
    """The start of the candle that a time is in."""
    return time_ms - time_ms % span if span else 0


def candle_row(columns: Sequence[Any]) -> CandleRow:
    """From COLUMNS."""
    values = [*columns[:7], int(columns[7]), int(columns[8]), columns[9]]
    return CandleRow(*values)


def join(start: int, parts: Iterable[CandleRow]) -> CandleRow | None:
    """The candle that begins at `start` and consists of `parts`, in order of time; None if there are none."""
    whole: CandleRow | None = None
    for part in parts:
        if whole is None:
            whole = msgspec.structs.replace(part, start_ms=start)
        else:
            whole = CandleRow(
                whole.market,
                start,
                whole.open,
                max(whole.high, part.high),
                min(whole.low, part.low),
                part.close,
                whole.quantity + part.quantity,
                whole.notional + part.notional,
                whole.fees + part.fees,
                whole.trades + part.trades,
            )
    return whole


def of_trade(market: int, start: int, price: int, quantity: int, fees: int) -> CandleRow:
    return CandleRow(market, start, price, price, price, price, quantity, price * quantity, fees, 1)


class CandleWriter:
    """Counts trades into the table, each candle once per flush. Runs inside the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute
        self._pending: dict[_Key, CandleRow] = {}

    def add(self, trade: Trade) -> None:
        fees = trade.maker_fee + trade.taker_fee
        for span in SPANS:
            start = start_of(span, trade.time_ms)
            key = (trade.market, span, start)
            added = of_trade(trade.market, start, trade.price, trade.quantity, fees)
            before = self._pending.get(key)
            self._pending[key] = added if before is None else join(start, (before, added)) or added

    def flush(self) -> None:
        for (market, span, start), added in self._pending.items():
            before = self._read(market, span, start, start + 1)
            self._write(span, join(start, (*before, added)) or added)
        self._pending.clear()

    def discard(self) -> None:
        """Forget what was not flushed, as its transaction was undone."""
        self._pending.clear()

    def bust(self, market: int, time_ms: int) -> None:
        """A trade of this time is marked as busted: count what it was part of anew."""
        self.flush()
        self._replace(market, MINUTE, start_of(MINUTE, time_ms), self._trades(market, start_of(MINUTE, time_ms)))
        for part, whole in pairwise(SPANS):
            start = start_of(whole, time_ms)
            end = start + whole if whole else 2**63 - 1
            self._replace(market, whole, start, self._read(market, part, start, end))

    def _trades(self, market: int, start: int) -> Iterator[CandleRow]:
        rows = self._run(
            "SELECT price, quantity, maker_fee, taker_fee FROM trades WHERE market = ? AND time_ms >= ? "
            "AND time_ms < ? AND settlement != 'busted' ORDER BY item",
            (market, start, start + MINUTE),
        )
        for price, quantity, maker_fee, taker_fee in rows:
            yield of_trade(market, start, price, quantity, int(maker_fee) + int(taker_fee))

    def _replace(self, market: int, span: int, start: int, parts: Iterable[CandleRow]) -> None:
        whole = join(start, parts)
        if whole is None:
            self._run("DELETE FROM candles WHERE market = ? AND span = ? AND start = ?", (market, span, start))
        else:
            self._write(span, whole)

    def _read(self, market: int, span: int, start: int, end: int) -> list[CandleRow]:
        sql = f"SELECT {COLUMNS} FROM candles WHERE market = ? AND span = ? AND start >= ? AND start < ? ORDER BY start"
        return [candle_row(columns) for columns in self._run(sql, (market, span, start, end))]

    def _write(self, span: int, row: CandleRow) -> None:
        prices = (row.open, row.high, row.low, row.close, row.quantity)
        values = (row.market, span, row.start_ms, *prices, str(row.notional), str(row.fees), row.trades)
        self._run(f"INSERT OR REPLACE INTO candles VALUES ({', '.join('?' * len(values))})", values)


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------


def candles(
    connection: sqlite3.Connection, market: int, interval: int, since_ms: int | None, limit: int
) -> list[CandleRow]:
    """Oldest first: the first `limit` that start at `since_ms` or later, else the newest ones. Those without a trade
    are left out."""
    span = max(each for each in SPANS if each and interval % each == 0)
    order, bound = ("ASC", since_ms) if since_ms is not None else ("DESC", 0)
    sql = f"SELECT {COLUMNS} FROM candles WHERE market = ? AND span = ? AND start >= ? ORDER BY start {order}"
    rows = map(candle_row, connection.execute(sql, (market, span, bound)))
    found = grouped(rows, interval, limit)
    return [each for start, parts in (found if order == "ASC" else reversed(found)) if (each := join(start, parts))]


def grouped(rows: Iterator[CandleRow], interval: int, limit: int) -> list[tuple[int, list[CandleRow]]]:
    """The first `limit` candles of an interval, each with its parts in order of time."""
    groups: list[tuple[int, list[CandleRow]]] = []
    for row in rows:
        start = start_of(interval, row.start_ms)
        if not groups or groups[-1][0] != start:
            if len(groups) == limit:
                break
            groups.append((start, []))
        groups[-1][1].append(row)
    for _, parts in groups:
        parts.sort(key=lambda part: part.start_ms)
    return groups


def window(connection: sqlite3.Connection, market: int, since_ms: int) -> CandleRow | None:
    """Everything since the minute that `since_ms` is in: minutes up to the first whole hour, hours from there on."""
    since = start_of(MINUTE, since_ms)
    hour = start_of(HOUR, since + HOUR - 1)
    sql = (
        f"SELECT {COLUMNS} FROM candles WHERE market = ?1 AND span = {MINUTE} AND start >= ?2 AND start < ?3 "
        f"UNION ALL SELECT {COLUMNS} FROM candles WHERE market = ?1 AND span = {HOUR} AND start >= ?3 ORDER BY start"
    )
    return join(since, map(candle_row, connection.execute(sql, (market, since, hour))))


def volumes(connection: sqlite3.Connection, markets: Sequence[int], since_ms: int) -> dict[int, int]:
    """Lots that were traded in each market since the minute that `since_ms` is in; without those where nothing was."""
    since = start_of(MINUTE, since_ms)
    hour = start_of(HOUR, since + HOUR - 1)
    join_to = "FROM json_each(?1) AS wanted JOIN candles ON market = wanted.value"
    sql = (
        f"SELECT market, sum(quantity) {join_to} AND span = {MINUTE} AND start >= ?2 AND start < ?3 GROUP BY market "
        f"UNION ALL SELECT market, sum(quantity) {join_to} AND span = {HOUR} AND start >= ?3 GROUP BY market"
    )
    found: dict[int, int] = {}
    for market, lots in connection.execute(sql, (json.dumps(list(markets)), since, hour)):
        found[market] = found.get(market, 0) + lots
    return found


def ever(connection: sqlite3.Connection, market: int) -> CandleRow | None:
    """Everything that was traded in a market."""
    sql = f"SELECT {COLUMNS} FROM candles WHERE market = ? AND span = {EVER} AND start = 0"
    row = connection.execute(sql, (market,)).fetchone()
    return candle_row(row) if row else None

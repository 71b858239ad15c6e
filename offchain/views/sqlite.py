"""The views in SQLite. `views.db` has one writing process, the worker; losing it loses nothing.

Readers have threads and connections of their own, so that neither the writer nor the event loop waits for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from offchain.domain.events import BalanceUpdate, Event
from offchain.domain.order import Address, OrderHash, OrderStatus
from offchain.ports import (
    ActionRow,
    ApiKeyRow,
    AuditQuery,
    AuditRow,
    BatchRow,
    BlockRef,
    CandleRow,
    DeadLetterRow,
    DepositRow,
    FundingRow,
    ItemRow,
    MarketFigures,
    OrderQuery,
    OrderRow,
    Page,
    Record,
    SampleRow,
    TradeRow,
    WithdrawalRow,
)
from offchain.views import admin, candles, marks, schema
from offchain.views.projection import Projection
from offchain.views.schema import (
    ACTION_COLUMNS,
    API_KEY_COLUMNS,
    BATCH_COLUMNS,
    DEPOSIT_COLUMNS,
    EVENTS,
    LIVE,
    LIVE_SQL,
    ORDER_COLUMNS,
    TRADE_COLUMNS,
    UNSETTLED_SQL,
    WITHDRAWAL_COLUMNS,
)

T = TypeVar("T")

MAX_PAGE = 1_000
"""rows that one call returns"""

MAX_ITEMS = 4_000
"""settlement items that one call returns; two full batches"""

BUSY_TIMEOUT_MS = 10_000

NEWEST = 2**63 - 1
"""Above every sequence."""


class SqliteViews:
    """Implements `Views` over one file, which it creates if it is not there."""

    def __init__(self, path: Path, *, read_only: bool = False, readers: int = 2) -> None:
        """Raises sqlite3.Error if the file cannot be opened."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._read_only = read_only
        self._writing = self._open()
        with _transaction(self._writing, "IMMEDIATE"):
            schema.create(self._writing)
        path.chmod(0o600)
        self._projection = Projection(self._writing)
        self._writer = ThreadPoolExecutor(1, "views-writer")
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._readers = ThreadPoolExecutor(readers, "views-reader", initializer=self._open_reader)

    def _open(self) -> sqlite3.Connection:
        # Each connection is used by one thread, but closed by another.
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        # A power cut may lose the last transactions, which are then projected again.
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _open_reader(self) -> None:
        self._own.connection = self._open()
        self._own.connection.execute("PRAGMA query_only = ON")
        self._connections.append(self._own.connection)

    # Writing ----------------------------------------------------------------------------------------------------------

    async def apply(self, after: int, records: Sequence[Record]) -> None:
        """Project `records`, which follow sequence `after`, in one transaction.

        Raises ValueError if they do not follow what the tables include, or the views were opened for reading only.
        """
        if self._read_only:
            raise ValueError(f"{self._path} was opened for reading only")
        await asyncio.get_running_loop().run_in_executor(self._writer, self._apply, after, records)

    def _apply(self, after: int, records: Sequence[Record]) -> None:
        with _transaction(self._writing, "IMMEDIATE"):
            applied = _applied(self._writing)
            if applied != after:
                raise ValueError(f"the views include event {applied}, not {after}")
            for record in records:
                if record.first != applied + 1:
                    raise ValueError(f"record {record.first}..{record.last} does not follow event {applied}")
                applied = record.last
            self._projection.apply(records)
            self._writing.execute("UPDATE meta SET value = ? WHERE key = 'appliedSeq'", (applied,))

    # Reading ----------------------------------------------------------------------------------------------------------

    async def applied(self) -> int:
        """Last event sequence that the tables include."""
        return await self._read(_applied)

    async def order(self, order_hash: OrderHash) -> OrderRow | None:
        """The order with this id, if the core has ever decided on it."""
        return await self._read(lambda connection: _order(connection, order_hash))

    async def orders(self, account: Address, query: OrderQuery, before: int | None, limit: int) -> Page[OrderRow]:
        """Newest first. Raises ValueError for a limit outside 1..MAX_PAGE or an unknown status."""
        where = ["account = ?", "seq < ?"]
        values: list[Any] = [account, _before(before)]
        if query.market is not None:
            where.append("market = ?")
            values.append(query.market)
        if query.client_order_id is not None:
            where.append("client_order_id = ?")
            values.append(query.client_order_id)
        if query.statuses:
            where.append(_status_filter(query.statuses))
        sql = f"SELECT {ORDER_COLUMNS} FROM orders WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"
        return await self._page(schema.order_row, sql, values, limit)

    async def trades(self, market: int, before: int | None, limit: int) -> Page[TradeRow]:
        """Newest first. Raises ValueError for a limit outside 1..MAX_PAGE."""
        sql = f"SELECT {TRADE_COLUMNS} FROM trades WHERE market = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        return await self._page(schema.trade_row, sql, [market, _before(before)], limit)

    async def candles(
        self, market: int, interval_ms: int, since_ms: int | None, limit: int, price: str = "last"
    ) -> list[CandleRow]:
        """Raises ValueError for a limit outside 1..MAX_PAGE, an unknown price, and unless the interval is a multiple of
        a minute and divides a day."""
        _check_limit(limit, MAX_PAGE)
        if interval_ms <= 0 or interval_ms % candles.MINUTE or candles.DAY % interval_ms:
            raise ValueError(f"interval_ms: {interval_ms} is no part of a day in whole minutes")
        if price == "last":
            return await self._read(
                lambda connection: candles.candles(connection, market, interval_ms, since_ms, limit)
            )
        if price not in marks.KINDS:
            raise ValueError(f"price: {price!r} is none of last, {', '.join(marks.KINDS)}")
        return await self._read(
            lambda connection: marks.candles(connection, market, price, interval_ms, since_ms, limit)
        )

    async def samples(self, market: int, since_ms: int) -> list[SampleRow]:
        return await self._read(lambda connection: marks.samples(connection, market, since_ms))

    async def funding(self, market: int, since_hour: int | None, limit: int) -> list[FundingRow]:
        """Raises ValueError for a limit outside 1..MAX_PAGE."""
        _check_limit(limit, MAX_PAGE)
        return await self._read(lambda connection: marks.funding(connection, market, since_hour, limit))

    async def figures(self, markets: Sequence[int], since_ms: int) -> list[MarketFigures]:
        def look(connection: sqlite3.Connection) -> list[MarketFigures]:
            return [
                MarketFigures(candles.window(connection, market, since_ms), candles.ever(connection, market))
                for market in markets
            ]

        return await self._read(look)

    async def volumes(self, markets: Sequence[int], since_ms: int) -> dict[int, int]:
        return await self._read(lambda connection: candles.volumes(connection, markets, since_ms))

    async def account_trades(self, account: Address, before: int | None, limit: int) -> Page[TradeRow]:
        """Fills of `account` on either side, newest first. Raises ValueError for a limit outside 1..MAX_PAGE."""
        sides = (
            f"SELECT * FROM (SELECT {TRADE_COLUMNS} FROM trades WHERE {side} = ? AND seq < ? ORDER BY seq DESC LIMIT ?)"
            for side in ("maker", "taker")
        )
        sql = f"{' UNION ALL '.join(sides)} ORDER BY seq DESC LIMIT ?"
        one_side = (account, _before(before), limit + 1)
        return await self._page(schema.trade_row, sql, [*one_side, *one_side], limit)

    async def items(self, first: int, limit: int) -> list[ItemRow]:
        """Settlement items from number `first` on that are neither settled nor busted, in order.

        Raises ValueError for a limit outside 1..MAX_ITEMS.
        """
        _check_limit(limit, MAX_ITEMS)
        return await self._read(lambda connection: _items(connection, first, limit))

    async def batches(self, limit: int) -> list[BatchRow]:
        """Newest first. Raises ValueError for a limit outside 1..MAX_PAGE."""
        _check_limit(limit, MAX_PAGE)
        sql = f"SELECT {BATCH_COLUMNS} FROM settlement_batches ORDER BY number DESC LIMIT ?"
        return await self._rows(schema.batch_row, sql, limit)

    async def batch(self, number: int) -> BatchRow | None:
        """The batch with this number, if it was ever closed."""
        sql = f"SELECT {BATCH_COLUMNS} FROM settlement_batches WHERE number = ?"
        rows = await self._rows(schema.batch_row, sql, number)
        return rows[0] if rows else None

    async def dead_letters(self, before: int | None, limit: int) -> Page[DeadLetterRow]:
        """Newest first. Raises ValueError for a limit outside 1..MAX_PAGE."""
        sql = f"SELECT {admin.LETTER_COLUMNS} FROM dead_letters WHERE id < ? ORDER BY id DESC LIMIT ?"
        return await self._page(admin.letter_row, sql, [_before(before)], limit)

    async def dead_letter(self, number: int) -> DeadLetterRow | None:
        """The letter with this number, if there ever was one."""
        sql = f"SELECT {admin.LETTER_COLUMNS} FROM dead_letters WHERE id = ?"
        rows = await self._rows(admin.letter_row, sql, number)
        return rows[0] if rows else None

    async def admin_audit(self, query: AuditQuery, before: int | None, limit: int) -> Page[AuditRow]:
        """Newest first. Raises ValueError for a limit outside 1..MAX_PAGE."""
        sql, values = admin.audit_query(query, _before(before))
        return await self._page(admin.audit_row, sql, values, limit)

    async def withdrawals(self, account: Address, limit: int) -> list[WithdrawalRow]:
        """Newest request first. Raises ValueError for a limit outside 1..MAX_PAGE."""
        _check_limit(limit, MAX_PAGE)
        sql = f"SELECT {WITHDRAWAL_COLUMNS} FROM withdrawals WHERE account = ? ORDER BY id DESC LIMIT ?"
        return await self._rows(schema.withdrawal_row, sql, account, limit)

    async def open_withdrawals(self, kind: int, limit: int) -> list[WithdrawalRow]:
        """Oldest request first. Raises ValueError for a limit outside 1..MAX_PAGE."""
        _check_limit(limit, MAX_PAGE)
        where = "kind = ? AND status = 'requested'"
        sql = f"SELECT {WITHDRAWAL_COLUMNS} FROM withdrawals WHERE {where} ORDER BY id LIMIT ?"
        return await self._rows(schema.withdrawal_row, sql, kind, limit)

    async def deposits(self, account: Address, limit: int) -> list[DepositRow]:
        """Newest first. Raises ValueError for a limit outside 1..MAX_PAGE."""
        _check_limit(limit, MAX_PAGE)
        sql = f"SELECT {DEPOSIT_COLUMNS} FROM deposits WHERE account = ? ORDER BY seq DESC LIMIT ?"
        return await self._rows(schema.deposit_row, sql, account, limit)

    async def action(self, action_id: bytes) -> ActionRow | None:
        """The transaction with this id that was ever asked for."""
        sql = f"SELECT {ACTION_COLUMNS} FROM chain_actions WHERE id = ?"
        rows = await self._rows(schema.action_row, sql, action_id)
        return rows[0] if rows else None

    async def actions(self, account: Address, before: int | None, limit: int) -> Page[ActionRow]:
        """Newest request first. Raises ValueError for a limit outside 1..MAX_PAGE."""
        sql = f"SELECT {ACTION_COLUMNS} FROM chain_actions WHERE account = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        return await self._page(schema.action_row, sql, [account, _before(before)], limit)

    async def api_keys(self, account: Address, limit: int) -> list[ApiKeyRow]:
        """Newest first, also those that have ended. Raises ValueError for a limit outside 1..MAX_PAGE."""
        _check_limit(limit, MAX_PAGE)
        sql = f"SELECT {API_KEY_COLUMNS} FROM api_keys WHERE account = ? ORDER BY seq DESC LIMIT ?"
        return await self._rows(schema.api_key_row, sql, account, limit)

    async def account_events(self, account: Address, after: int, limit: int) -> list[tuple[int, Event]]:
        """Events that concern `account` after sequence `after`, oldest first; ValueError for a limit out of bounds."""
        _check_limit(limit, MAX_PAGE)
        sql = "SELECT seq, event FROM account_events WHERE account = ? AND seq > ? ORDER BY seq LIMIT ?"
        return await self._rows(lambda row: (row[0], EVENTS.decode(row[1])), sql, account, after, limit)

    async def blocks(self, limit: int) -> list[BlockRef]:
        """The newest blocks that were taken in, oldest first. Raises ValueError for a limit outside 1..MAX_PAGE."""
        _check_limit(limit, MAX_PAGE)
        sql = "SELECT number, hash FROM chain_blocks ORDER BY number DESC LIMIT ?"
        return (await self._rows(lambda row: BlockRef(*row), sql, limit))[::-1]

    async def balances(self) -> list[BalanceUpdate]:
        """Every account's balances, ordered by account and asset."""
        sql = "SELECT account, asset, settled, unsettled, reserved, held FROM balances ORDER BY account, asset"
        return await self._rows(lambda row: BalanceUpdate(row[0], row[1], *map(int, row[2:])), sql)

    async def close(self) -> None:
        """Finish what was asked for, then let go of the file."""
        for pool in (self._writer, self._readers):
            await asyncio.get_running_loop().run_in_executor(None, pool.shutdown)
        for connection in (self._writing, *self._connections):
            connection.close()

    async def _read(self, look: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._look, look)

    def _look(self, look: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection = self._own.connection
        with _transaction(connection, "DEFERRED"):
            return look(connection)

    async def _rows(self, row: Callable[[Sequence[Any]], T], sql: str, *values: Any) -> list[T]:
        return await self._read(lambda connection: [row(columns) for columns in connection.execute(sql, values)])

    async def _page(self, row: Callable[[Sequence[Any]], T], sql: str, values: Sequence[Any], limit: int) -> Page[T]:
        """Read one row more than asked for, to know whether there is a next page. Rows have a `seq`."""
        _check_limit(limit, MAX_PAGE)
        rows = await self._rows(row, sql, *values, limit + 1)
        more = len(rows) > limit
        return Page(rows[:limit], rows[limit - 1].seq if more else None)  # type: ignore[attr-defined]


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection, mode: str) -> Iterator[None]:
    connection.execute(f"BEGIN {mode}")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _applied(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT value FROM meta WHERE key = 'appliedSeq'").fetchone()
    return int(row[0])


def _order(connection: sqlite3.Connection, order_hash: OrderHash) -> OrderRow | None:
    sql = f"SELECT {ORDER_COLUMNS} FROM orders WHERE hash = ?"
    row = connection.execute(sql, (order_hash,)).fetchone()
    return schema.order_row(row) if row else None


def _items(connection: sqlite3.Connection, first: int, limit: int) -> list[ItemRow]:
    trades = connection.execute(
        f"SELECT {TRADE_COLUMNS} FROM trades WHERE item >= ? AND {UNSETTLED_SQL} ORDER BY item LIMIT ?", (first, limit)
    )
    withdrawals = connection.execute(
        f"SELECT {WITHDRAWAL_COLUMNS} FROM withdrawals WHERE item >= ? AND status = 'releasing' ORDER BY item LIMIT ?",
        (first, limit),
    )
    orders: dict[OrderHash, OrderRow | None] = {}

    def order(order_hash: OrderHash) -> OrderRow | None:
        if order_hash not in orders:
            orders[order_hash] = _order(connection, order_hash)
        return orders[order_hash]

    rows = [ItemRow(row.item, row, None, None, None) for row in map(schema.trade_row, trades)]
    rows += [ItemRow(row.item, None, None, None, row) for row in map(schema.withdrawal_row, withdrawals)]
    rows.sort(key=lambda row: row.item)
    return [
        ItemRow(row.item, row.trade, order(row.trade.maker_hash), order(row.trade.taker_hash), None)
        if row.trade
        else row
        for row in rows[:limit]
    ]


def _before(before: int | None) -> int:
    return NEWEST if before is None else before


def _check_limit(limit: int, most: int) -> None:
    if not 1 <= limit <= most:
        raise ValueError(f"limit: {limit} is not in 1..{most}")


def _status_filter(statuses: Sequence[str]) -> str:
    wanted = {OrderStatus(status) for status in statuses}
    if wanted <= set(LIVE):
        # Written out, so that SQLite sees that the index of live orders serves.
        return LIVE_SQL if len(wanted) == len(LIVE) else f"{LIVE_SQL} AND status = '{wanted.pop().value}'"
    return f"status IN ({', '.join(sorted(repr(status.value) for status in wanted))})"

"""Records into tables: what each event changes. Runs inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from offchain.domain import events as e
from offchain.domain.actions import OPERATOR
from offchain.domain.commands import Command, PlaceArray, PlaceOrder, Tick
from offchain.domain.order import Address, OrderHash
from offchain.ports import Record
from offchain.views.admin import AdminWriter
from offchain.views.candles import CandleWriter
from offchain.views.marks import MarkWriter
from offchain.views.schema import ACTIONS, ASSETS, CONVERSIONS, EVENTS, MARKETS, ORDERS, TRIGGERS

SETTLEMENT_OF_BATCH = {
    "closed": "pending",
    "sent": "submitted",
    "settled": "settled",
    "confirmed": "confirmed",
    "parked": "pending",
    "retried": "pending",
    "reopened": "pending",
}
"""What a batch's status says about its fills."""

# A repeated order whose refusal was not remembered must not hide what became of it; a refused one may come again.
_PLACE = """
    INSERT INTO orders (signed, hash, signature, order_type, post_only, self_trade, client_order_id, status, filled,
        code, created_ms, updated_ms, seq, account, market, quantity, array, condition, triggered_ms)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (hash) DO UPDATE SET status = excluded.status, filled = excluded.filled, code = excluded.code,
        signature = excluded.signature, array = excluded.array, order_type = excluded.order_type,
        post_only = excluded.post_only, self_trade = excluded.self_trade, client_order_id = excluded.client_order_id,
        quantity = excluded.quantity, created_ms = excluded.created_ms, updated_ms = excluded.updated_ms,
        seq = excluded.seq, condition = excluded.condition, triggered_ms = excluded.triggered_ms
    WHERE status = 'rejected'
"""


class Projection:
    """Applies records over one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute
        self._run_many = connection.executemany
        self._candles = CandleWriter(connection)
        self._admin = AdminWriter(connection)
        self._command: Command = Tick()
        self._marks = MarkWriter(connection)
        self._time_ms = 0
        self._placed: dict[OrderHash, PlaceOrder] = {}
        """orders of the command at hand that were not told of yet"""
        self._array: bytes | None = None
        """hashes of the orders that it signs together"""
        self._woken: set[OrderHash] = set()
        """those of them whose trigger was reached before they came"""
        self._told: list[tuple[Address, int, bytes]] = []
        self._handlers: dict[type, Callable[[int, Any], None]] = {
            e.OrderUpdate: self._order,
            e.OrderTriggered: self._triggered,
            e.Trade: self._trade,
            e.TradeBusted: self._trade_busted,
            e.BalanceUpdate: self._balance,
            e.PositionUpdate: self._position,
            e.DepositUpdate: self._deposit,
            e.WithdrawalUpdate: self._withdrawal,
            e.AccountUpdate: self._account,
            e.DelegateUpdate: self._account,
            e.DeadlineUpdate: self._account,
            e.ActionUpdate: self._action,
            e.ApiKeyUpdate: self._api_key,
            e.BatchUpdate: self._batch,
            e.AssetListed: self._asset,
            e.MarketUpdate: self._market,
            e.AdminActed: self._acted,
            e.MarkSample: self._mark_sample,
            e.FundingUpdate: self._funding,
            e.BlockApplied: self._block,
            e.BlockReverted: self._block_reverted,
        }

    def apply(self, records: Sequence[Record]) -> None:
        """Project records."""
        self._told = []
        self._candles.discard()
        for record in records:
            self._apply(record)
        self._candles.flush()
        self._run_many("INSERT INTO account_events VALUES (?, ?, ?)", self._told)

    def _apply(self, record: Record) -> None:
        self._time_ms = record.time_ms
        seq = record.first
        for command, happened in zip(record.commands, record.events, strict=True):
            self._command = command
            self._take(command)
            for event in happened:
                handler = self._handlers.get(type(event))
                if handler is not None:
                    handler(seq, event)
                seq += 1

    def _take(self, command: Command) -> None:
        if self._woken:
            self._woken = set()
        if isinstance(command, PlaceOrder):
            self._placed, self._array = {command.order_hash: command}, None
        elif isinstance(command, PlaceArray):
            self._placed = {one.order_hash: one for one in command.orders}
            self._array = b"".join(one.order_hash for one in command.orders)
        elif self._placed:
            self._placed = {}

    def _tell(self, seq: int, event: e.Event, *accounts: Address) -> None:
        data = EVENTS.encode(event)
        self._told += [(account, seq, data) for account in accounts]

    # Orders and trades ------------------------------------------------------------------------------------------------

    def _order(self, seq: int, event: e.OrderUpdate) -> None:
        placed = self._placed.pop(event.order_hash, None)
        if placed is not None:
            self._place(seq, placed, event)
        else:
            self._run(
                "UPDATE orders SET status = ?, filled = ?, code = ?, quantity = ?, updated_ms = ? WHERE hash = ?",
                (event.status.value, event.filled, event.code, event.quantity, self._time_ms, event.order_hash),
            )
        self._tell(seq, event, event.account)

    def _place(self, seq: int, placed: PlaceOrder, event: e.OrderUpdate) -> None:
        order = placed.order
        row = (
            ORDERS.encode(order),
            placed.order_hash,
            placed.signature,
            placed.order_type,
            placed.post_only,
            placed.self_trade.value,
            placed.client_order_id,
            event.status.value,
            event.filled,
            event.code,
            self._time_ms,
            self._time_ms,
            seq,
            order.account,
            order.market,
            event.quantity,
            self._array,
            None if placed.trigger is None else TRIGGERS.encode(placed.trigger),
            self._time_ms if event.order_hash in self._woken else None,
        )
        self._run(_PLACE, row)

    def _triggered(self, seq: int, event: e.OrderTriggered) -> None:
        if event.order_hash in self._placed:
            self._woken.add(event.order_hash)  # due on entry: its row comes next
        else:
            self._run("UPDATE orders SET triggered_ms = ? WHERE hash = ?", (self._time_ms, event.order_hash))
        self._tell(seq, event, event.account)

    def _trade(self, seq: int, event: e.Trade) -> None:
        row = (
            event.item,
            event.id,
            event.market,
            event.maker_hash,
            event.taker_hash,
            event.maker,
            event.taker,
            event.taker_side,
            event.price,
            event.quantity,
            str(event.maker_fee),
            str(event.taker_fee),
            event.time_ms,
            seq,
        )
        conversion = None if event.conversion is None else CONVERSIONS.encode(event.conversion)
        self._run(f"INSERT INTO trades VALUES ({'?, ' * len(row)} 'pending', 0, x'', ?)", (*row, conversion))
        self._candles.add(event)
        self._tell(seq, event, event.maker, event.taker)

    def _trade_busted(self, seq: int, event: e.TradeBusted) -> None:
        self._run("UPDATE trades SET settlement = 'busted' WHERE item = ?", (event.item,))
        row = self._run("SELECT time_ms FROM trades WHERE item = ?", (event.item,)).fetchone()
        self._candles.bust(event.market, row[0])
        self._tell(seq, event, event.maker, event.taker)

    # Prices -----------------------------------------------------------------------------------------------------------

    def _mark_sample(self, seq: int, event: e.MarkSample) -> None:
        self._marks.add(event)

    def _funding(self, seq: int, event: e.FundingUpdate) -> None:
        self._marks.accrue(event)

    # Money ------------------------------------------------------------------------------------------------------------

    def _balance(self, seq: int, event: e.BalanceUpdate) -> None:
        amounts = (str(event.settled), str(event.unsettled), str(event.reserved), str(event.held))
        sql = "INSERT OR REPLACE INTO balances VALUES (?, ?, ?, ?, ?, ?, ?)"
        self._run(sql, (event.account, event.asset, *amounts, seq))
        self._tell(seq, event, event.account)

    def _position(self, seq: int, event: e.PositionUpdate) -> None:
        self._tell(seq, event, event.account)

    def _deposit(self, seq: int, event: e.DepositUpdate) -> None:
        place = (event.tx_hash, event.log_index, event.block)
        row = (*place, event.account, event.asset, str(event.amount), event.status, self._time_ms, seq)
        self._run(
            "INSERT INTO deposits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "status = excluded.status, updated_ms = excluded.updated_ms, seq = excluded.seq",
            row,
        )
        self._tell(seq, event, event.account)

    def _withdrawal(self, seq: int, event: e.WithdrawalUpdate) -> None:
        request = (event.account, event.kind, event.asset)
        news = (str(event.amount), event.status, event.item, event.tx_hash, self._time_ms, seq)
        row = self._request_row(event)
        if row is None:
            sql = "INSERT INTO withdrawals VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            self._run(sql, (*request, *news, event.tx_hash))
        else:
            columns = "amount = ?, status = ?, item = ?, tx_hash = ?, updated_ms = ?, seq = ?"
            self._run(f"UPDATE withdrawals SET {columns} WHERE id = ?", (*news, row))
        self._tell(seq, event, event.account)

    def _request_row(self, event: e.WithdrawalUpdate) -> int | None:
        """The request of this transaction, else, as another transaction may end it, the open one."""
        request = (event.account, event.kind, event.asset)
        sql = "SELECT max(id) FROM withdrawals WHERE account = ? AND kind = ? AND asset = ? AND "
        row: int | None = self._run(f"{sql} request_tx = ?", (*request, event.tx_hash)).fetchone()[0]
        if row is None and event.status != "requested":
            row = self._run(f"{sql} status IN ('requested', 'releasing')", request).fetchone()[0]
        return row

    def _account(self, seq: int, event: e.AccountUpdate | e.DelegateUpdate | e.DeadlineUpdate) -> None:
        self._tell(seq, event, event.account)

    def _action(self, seq: int, event: e.ActionUpdate) -> None:
        news = (event.status.value, event.reason, event.tx_hash, event.target, event.data)
        if event.action is not None:
            row = (event.id, event.account, ACTIONS.encode(event.action), *news, self._time_ms, self._time_ms, seq)
            self._run("INSERT OR REPLACE INTO chain_actions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        else:
            columns = "status = ?, reason = ?, tx_hash = ?, target = ?, data = ?, updated_ms = ?"
            self._run(f"UPDATE chain_actions SET {columns} WHERE id = ?", (*news, self._time_ms, event.id))
        if event.account != OPERATOR:
            self._tell(seq, event, event.account)

    def _api_key(self, seq: int, event: e.ApiKeyUpdate) -> None:
        if event.is_active:
            scopes = " ".join(event.scopes)
            row = (event.account, event.id, event.secret_hash, event.label, scopes, event.expiry, event.created_ms)
            self._run("INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, event.status, seq))
        else:
            # An id may be used again when its key has ended.
            sql = "UPDATE api_keys SET status = ? WHERE account = ? AND id = ? AND status = 'active'"
            self._run(sql, (event.status, event.account, event.id))
        self._tell(seq, event, event.account)

    # Settlement -------------------------------------------------------------------------------------------------------

    def _batch(self, seq: int, event: e.BatchUpdate) -> None:
        self._release_items(event.number)
        batch = 0 if event.status == "reopened" else event.number
        tx_hash = event.tx_hash if event.status in ("sent", "settled", "confirmed") else b""
        self._run(
            "UPDATE trades SET settlement = ?, batch = ?, tx_hash = ? "
            "WHERE item BETWEEN ? AND ? AND settlement != 'busted'",
            (SETTLEMENT_OF_BATCH[event.status], batch, tx_hash, event.first, event.last),
        )
        row = (event.number, event.status, event.first, event.last, event.matched_at, event.tx_hash, event.gas_used)
        sql = "INSERT OR REPLACE INTO settlement_batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        self._run(sql, (*row, event.reason, self._time_ms))
        self._admin.batch(event, self._command, self._time_ms)
        accounts = "SELECT maker FROM trades WHERE item BETWEEN ? AND ?"
        accounts = f"{accounts} UNION SELECT taker FROM trades WHERE item BETWEEN ? AND ?"
        items = (event.first, event.last)
        self._tell(seq, event, *(account for (account,) in self._run(accounts, (*items, *items))))

    def _acted(self, seq: int, event: e.AdminActed) -> None:
        self._admin.acted(seq, event, self._time_ms)

    def _release_items(self, number: int) -> None:
        """Items that the batch held before; a batch that is closed again may hold fewer."""
        sql = "SELECT first, last FROM settlement_batches WHERE number = ?"
        row = self._run(sql, (number,)).fetchone()
        if row is not None:
            self._run(
                "UPDATE trades SET settlement = 'pending', batch = 0, tx_hash = x'' "
                "WHERE item BETWEEN ? AND ? AND batch = ? AND settlement != 'busted'",
                (*row, number),
            )

    # Chain ------------------------------------------------------------------------------------------------------------

    def _asset(self, seq: int, event: e.AssetListed) -> None:
        self._run("INSERT OR REPLACE INTO assets VALUES (?, ?)", (event.asset.id, ASSETS.encode(event.asset)))

    def _market(self, seq: int, event: e.MarketUpdate) -> None:
        row = (event.market.id, MARKETS.encode(event.market), event.status, event.halted, event.reason)
        self._run("INSERT OR REPLACE INTO markets VALUES (?, ?, ?, ?, ?)", row)

    def _block(self, seq: int, event: e.BlockApplied) -> None:
        row = (event.number, event.block_hash, event.parent_hash, event.time)
        self._run("INSERT OR REPLACE INTO chain_blocks VALUES (?, ?, ?, ?)", row)

    def _block_reverted(self, seq: int, event: e.BlockReverted) -> None:
        self._run("DELETE FROM chain_blocks WHERE number >= ?", (event.number,))

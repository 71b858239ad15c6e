"""The tables of `views.db`, and how their rows become the rows of `ports.py`.

Integers that may exceed SQLite's 64 signed bits (amounts of assets with 18 decimals, fees) are decimal text. Sequences,
item numbers, times, prices and quantities of accepted orders fit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from offchain.domain.actions import Action
from offchain.domain.codec import Codec
from offchain.domain.events import Event
from offchain.domain.market import Asset, Market
from offchain.domain.oracle import Conversion
from offchain.domain.order import Order, OrderStatus, Trigger
from offchain.ports import ActionRow, ApiKeyRow, BatchRow, DepositRow, OrderRow, TradeRow, WithdrawalRow
from offchain.views import admin, candles, marks

SCHEMA_VERSION = 11
"""Raise it with every change below: older files are emptied and filled again from the journal."""

ORDERS = Codec[Order](Order)
TRIGGERS = Codec[Trigger](Trigger)
EVENTS = Codec[Event](Event)
MARKETS = Codec[Market](Market)
ASSETS = Codec[Asset](Asset)
ACTIONS = Codec[Action](Action)
CONVERSIONS = Codec[Conversion](Conversion)

LIVE = (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)
LIVE_SQL = f"status IN ({', '.join(repr(status.value) for status in LIVE)})"
UNSETTLED_SQL = "settlement IN ('pending', 'submitted')"

TABLES = {
    "meta": "(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "orders": """(
        hash BLOB PRIMARY KEY, seq INTEGER NOT NULL, account BLOB NOT NULL, market INTEGER NOT NULL,
        status TEXT NOT NULL, filled INTEGER NOT NULL, code TEXT NOT NULL, client_order_id TEXT, signed BLOB NOT NULL,
        signature BLOB NOT NULL, order_type TEXT NOT NULL, post_only INTEGER NOT NULL, self_trade TEXT NOT NULL,
        created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, quantity INTEGER NOT NULL, array BLOB,
        condition BLOB, triggered_ms INTEGER
    )""",
    "trades": """(
        item INTEGER PRIMARY KEY, id BLOB NOT NULL, market INTEGER NOT NULL, maker_hash BLOB NOT NULL,
        taker_hash BLOB NOT NULL, maker BLOB NOT NULL, taker BLOB NOT NULL, taker_side INTEGER NOT NULL,
        price INTEGER NOT NULL, quantity INTEGER NOT NULL, maker_fee TEXT NOT NULL, taker_fee TEXT NOT NULL,
        time_ms INTEGER NOT NULL, seq INTEGER NOT NULL, settlement TEXT NOT NULL, batch INTEGER NOT NULL,
        tx_hash BLOB NOT NULL, conversion BLOB
    )""",
    "balances": """(
        account BLOB NOT NULL, asset INTEGER NOT NULL, settled TEXT NOT NULL, unsettled TEXT NOT NULL,
        reserved TEXT NOT NULL, held TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (account, asset)
    ) WITHOUT ROWID""",
    "deposits": """(
        tx_hash BLOB NOT NULL, log_index INTEGER NOT NULL, block INTEGER NOT NULL, account BLOB NOT NULL,
        asset INTEGER NOT NULL, amount TEXT NOT NULL, status TEXT NOT NULL, updated_ms INTEGER NOT NULL,
        seq INTEGER NOT NULL, PRIMARY KEY (tx_hash, log_index, block)
    )""",
    "withdrawals": """(
        id INTEGER PRIMARY KEY, account BLOB NOT NULL, kind INTEGER NOT NULL, asset INTEGER NOT NULL,
        amount TEXT NOT NULL, status TEXT NOT NULL, item INTEGER NOT NULL, tx_hash BLOB NOT NULL,
        updated_ms INTEGER NOT NULL, seq INTEGER NOT NULL, request_tx BLOB NOT NULL
    )""",
    "markets": """(
        id INTEGER PRIMARY KEY, market BLOB NOT NULL, status INTEGER NOT NULL, halted INTEGER NOT NULL,
        reason TEXT NOT NULL
    )""",
    "assets": "(id INTEGER PRIMARY KEY, asset BLOB NOT NULL)",
    "settlement_batches": """(
        number INTEGER PRIMARY KEY, status TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
        matched_at INTEGER NOT NULL, tx_hash BLOB NOT NULL, gas_used INTEGER NOT NULL, reason TEXT NOT NULL,
        updated_ms INTEGER NOT NULL
    )""",
    "chain_blocks": """(
        number INTEGER PRIMARY KEY, hash BLOB NOT NULL, parent_hash BLOB NOT NULL, time INTEGER NOT NULL
    )""",
    "chain_actions": """(
        id BLOB PRIMARY KEY, account BLOB NOT NULL, action BLOB NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL,
        tx_hash BLOB NOT NULL, target BLOB NOT NULL, data BLOB NOT NULL, created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL, seq INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "api_keys": """(
        account BLOB NOT NULL, id TEXT NOT NULL, secret_hash BLOB NOT NULL, label TEXT NOT NULL, scopes TEXT NOT NULL,
        expiry INTEGER NOT NULL, created_ms INTEGER NOT NULL, status TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (account, seq)
    ) WITHOUT ROWID""",
    "candles": candles.TABLE,
    "mark_candles": marks.CANDLES_TABLE,
    "funding_samples": marks.SAMPLES_TABLE,
    "funding": marks.FUNDING_TABLE,
    "account_events": """(
        account BLOB NOT NULL, seq INTEGER NOT NULL, event BLOB NOT NULL, PRIMARY KEY (account, seq)
    ) WITHOUT ROWID""",
    **admin.TABLES,
}

INDEXES = {
    "orders_account": "orders (account, seq)",
    "orders_live": f"orders (account, seq) WHERE {LIVE_SQL}",
    "orders_client_id": "orders (account, client_order_id) WHERE client_order_id IS NOT NULL",
    "trades_market": "trades (market, seq)",
    "trades_time": "trades (market, time_ms)",
    "trades_maker": "trades (maker, seq)",
    "trades_taker": "trades (taker, seq)",
    "trades_unsettled": f"trades (item) WHERE {UNSETTLED_SQL}",
    "deposits_account": "deposits (account, seq)",
    "chain_actions_account": "chain_actions (account, seq)",
    "withdrawals_account": "withdrawals (account, id)",
    "withdrawals_open": "withdrawals (kind, id) WHERE status = 'requested'",
    "withdrawals_item": "withdrawals (item) WHERE status = 'releasing'",
    **admin.INDEXES,
}

ORDER_COLUMNS = (
    "signed, hash, signature, order_type, post_only, self_trade, client_order_id, status, filled, code, created_ms, "
    "updated_ms, seq, quantity, array, condition, triggered_ms"
)
TRADE_COLUMNS = (
    "item, id, market, maker_hash, taker_hash, maker, taker, taker_side, price, quantity, maker_fee, taker_fee, "
    "time_ms, seq, settlement, batch, tx_hash, conversion"
)
WITHDRAWAL_COLUMNS = "account, kind, asset, amount, status, item, tx_hash, updated_ms"
DEPOSIT_COLUMNS = "account, asset, amount, status, tx_hash, log_index, block, updated_ms, seq"
ACTION_COLUMNS = "id, account, action, status, reason, tx_hash, target, data, created_ms, updated_ms, seq"
API_KEY_COLUMNS = "id, label, scopes, expiry, created_ms, status"
BATCH_COLUMNS = "number, status, first, last, matched_at, tx_hash, gas_used, reason, updated_ms"


def create(connection: sqlite3.Connection) -> None:
    """Make the tables, inside the caller's transaction. A file of another layout is emptied first."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, SCHEMA_VERSION):
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in names:
            connection.execute(f"DROP TABLE {name}")
    for table, columns in TABLES.items():
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} {columns}")
    for index, target in INDEXES.items():
        connection.execute(f"CREATE INDEX IF NOT EXISTS {index} ON {target}")
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('appliedSeq', 0)")
    if version != SCHEMA_VERSION:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def order_row(columns: Sequence[Any]) -> OrderRow:
    """From ORDER_COLUMNS."""
    signed, order_hash, signature, order_type, post_only, *rest, quantity, array, condition, triggered_ms = columns
    order = ORDERS.decode(signed)
    hashes = () if array is None else tuple(array[at : at + 32] for at in range(0, len(array), 32))
    lots = None if quantity == order.quantity else quantity
    waited = None if condition is None else TRIGGERS.decode(condition)
    values: list[Any] = [order, order_hash, signature, order_type, bool(post_only), *rest, hashes, False, lots]
    values += [waited, triggered_ms]
    return OrderRow(*values)


def trade_row(columns: Sequence[Any]) -> TradeRow:
    """From TRADE_COLUMNS."""
    conversion = None if columns[17] is None else CONVERSIONS.decode(columns[17])
    values: list[Any] = [*columns[:10], int(columns[10]), int(columns[11]), *columns[12:17], conversion]
    return TradeRow(*values)


def withdrawal_row(columns: Sequence[Any]) -> WithdrawalRow:
    """From WITHDRAWAL_COLUMNS."""
    values = [*columns[:3], int(columns[3]), *columns[4:]]
    return WithdrawalRow(*values)


def deposit_row(columns: Sequence[Any]) -> DepositRow:
    """From DEPOSIT_COLUMNS."""
    values = [*columns[:2], int(columns[2]), *columns[3:]]
    return DepositRow(*values)


def action_row(columns: Sequence[Any]) -> ActionRow:
    """From ACTION_COLUMNS."""
    values: list[Any] = [*columns[:2], ACTIONS.decode(columns[2]), *columns[3:]]
    return ActionRow(*values)


def api_key_row(columns: Sequence[Any]) -> ApiKeyRow:
    """From API_KEY_COLUMNS."""
    key_id, label, scopes, *rest = columns
    return ApiKeyRow(key_id, label, tuple(scopes.split()), *rest)


def batch_row(columns: Sequence[Any]) -> BatchRow:
    """From BATCH_COLUMNS."""
    return BatchRow(*columns)

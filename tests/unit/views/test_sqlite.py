"""What is particular to the views in SQLite."""

from __future__ import annotations

import sqlite3
import stat

from offchain.views.schema import SCHEMA_VERSION
from offchain.views.sqlite import SqliteViews
from tests.utils.records import Exchange
from tests.utils.scenario import create_opening, create_trading


async def test_older_layout_is_emptied_to_be_filled_again(tmp_path):
    exchange = Exchange()
    exchange.run(*create_opening())
    views = SqliteViews(tmp_path / "views.db")
    await views.apply(0, exchange.records)
    await views.close()
    with sqlite3.connect(tmp_path / "views.db") as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        connection.execute("ALTER TABLE orders DROP COLUMN code")
    views = SqliteViews(tmp_path / "views.db")
    assert await views.applied() == 0
    await views.apply(0, exchange.records)
    assert await views.balances() == exchange.balances()
    await views.close()


async def test_file_is_private(tmp_path):
    views = SqliteViews(tmp_path / "views.db")
    await views.close()
    assert stat.S_IMODE((tmp_path / "views.db").stat().st_mode) == 0o600


async def test_live_orders_are_read_by_their_index(tmp_path):
    exchange = Exchange()
    exchange.run(*create_opening(), *create_trading(100))
    views = SqliteViews(tmp_path / "views.db")
    await views.apply(0, exchange.records)
    await views.close()
    with sqlite3.connect(tmp_path / "views.db") as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT * FROM orders WHERE account = ? AND seq < ? "
            "AND status IN ('open', 'partiallyFilled') ORDER BY seq DESC LIMIT 10",
            (bytes(20), 10),
        ).fetchall()
        unsettled = connection.execute(
            "EXPLAIN QUERY PLAN SELECT * FROM trades WHERE item >= ? "
            "AND settlement IN ('pending', 'submitted') ORDER BY item LIMIT 10",
            (1,),
        ).fetchall()
    assert "orders_live" in str(plan)
    assert "trades_unsettled" in str(unsettled)

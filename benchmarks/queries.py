"""Dashboards' queries with a million trades stored: candles, tickers, statistics.

The trades are a random walk over 30 days in two markets, projected into the views as the worker does. Each query goes
through HTTP to the service's own application, one after the other, from this process; the journal is in memory. Beside
it stands the query that a developer would write first: SQL over the trades themselves.
Usage: python benchmarks/queries.py [--trades N] [--rounds N] [--json]
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click
from aiohttp.test_utils import TestClient, TestServer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # also without PYTHONPATH

from offchain.api.state import ApiSettings
from offchain.domain.events import Trade
from offchain.ports import Record
from offchain.views.projection import Projection
from tests.unit.api.exchange import BTC_USDC, ETH_USDC, MAKER, NOW_MS, TAKER, Exchange

DAY_MS = 86_400_000
DAYS = 30
PER_RECORD = 5_000
BEYOND = 10**9
"""Sequences of the stored trades, above those of the exchange that serves them."""

PATHS = {
    "candles, 1m": "/v1/candles/BTC-USDC?interval=1m&limit=500",
    "candles, 1m, a week ago": f"/v1/candles/BTC-USDC?interval=1m&limit=500&since={NOW_MS - 7 * DAY_MS}",
    "candles, 30m": "/v1/candles/BTC-USDC?interval=30m&limit=500",
    "candles, 4h": "/v1/candles/BTC-USDC?interval=4h&limit=500",
    "candles, 1d": "/v1/candles/BTC-USDC?interval=1d&limit=500",
    "ticker": "/v1/tickers/BTC-USDC",
    "tickers": "/v1/tickers",
    "statistics": "/v1/statistics",
}
PLAIN = {
    "candles, 4h": """
        SELECT time_ms / 14400000, min(price), max(price), sum(quantity) FROM trades WHERE market = ?
        GROUP BY 1 ORDER BY 1 DESC LIMIT 500""",
    "ticker": f"""
        SELECT min(price), max(price), sum(quantity), sum(price * quantity), count(*) FROM trades
        WHERE market = ? AND time_ms >= {NOW_MS - DAY_MS}""",
    "statistics": "SELECT sum(quantity), sum(price * quantity), count(*) FROM trades WHERE market = ?",
}
"""Of one market."""


@dataclass(frozen=True)
class Result:
    query: str
    p50_ms: float
    p99_ms: float
    plain_p50_ms: float | None


def create_records(trades: int) -> Iterator[Record]:
    chance = random.Random(1)
    price, step = 950_000, DAYS * DAY_MS // trades
    for first in range(1, trades + 1, PER_RECORD):
        events = []
        for item in range(first, min(first + PER_RECORD, trades + 1)):
            price = max(1_000, price + chance.randint(-50, 50))
            market = chance.choice((BTC_USDC, ETH_USDC)).id
            orders = (item.to_bytes(32, "big"), (item + 2**32).to_bytes(32, "big"))
            time_ms = NOW_MS - DAYS * DAY_MS + item * step
            quantity = chance.randint(1, 10_000)
            fees = (price * quantity // 200,) * 2
            events.append(
                Trade(
                    item,
                    orders[0],
                    market,
                    *orders,
                    MAKER.address,
                    TAKER.address,
                    0,
                    price,
                    quantity,
                    0,
                    0,
                    *fees,
                    time_ms,
                )
            )
        seq = BEYOND + first
        yield Record(1, seq, seq + len(events) - 1, NOW_MS, 1, b"", [None], [events])  # type: ignore[list-item]


def fill(path: Path, trades: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    projection = Projection(connection)
    for record in create_records(trades):
        connection.execute("BEGIN")
        projection.apply([record])
        connection.execute("COMMIT")
    connection.close()


async def times(rounds: int, run: Callable[[], Awaitable[object]]) -> list[float]:
    """Milliseconds, sorted."""
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        await run()
        found.append(1e3 * (time.perf_counter() - started))
    return sorted(found)


async def measure(folder: Path, trades: int, rounds: int) -> list[Result]:
    exchange = Exchange(folder, ApiSettings())
    await exchange.start()
    try:
        await exchange.open()
        fill(folder / "views.db", trades)
        return await _measure(exchange, folder / "views.db", rounds)
    finally:
        await exchange.stop()


async def _measure(exchange: Exchange, path: Path, rounds: int) -> list[Result]:
    plain = sqlite3.connect(path)
    results = []
    async with TestClient(TestServer(exchange.app)) as client:

        async def get(path: str) -> None:
            async with client.get(path) as response:
                assert response.status == 200, await response.text()
                await response.read()

        async def select(sql: str) -> None:
            plain.execute(sql, (BTC_USDC.id,)).fetchall()

        for name, path in PATHS.items():
            await get(path)
            found = await times(rounds, lambda path=path: get(path))
            baseline = median(await times(3, lambda sql=PLAIN[name]: select(sql))) if name in PLAIN else None
            p99 = found[len(found) * 99 // 100]
            results.append(Result(name, round(median(found), 2), round(p99, 2), baseline and round(baseline, 1)))
    plain.close()
    return results


@click.command(help=__doc__)
@click.option("--trades", default=1_000_000, show_default=True, type=click.IntRange(PER_RECORD))
@click.option("--rounds", default=200, show_default=True, type=click.IntRange(10))
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def main(trades: int, rounds: int, as_json: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = asyncio.run(measure(Path(folder), trades, rounds))
    if as_json:
        click.echo(json.dumps({"trades": trades, "queries": [asdict(result) for result in results]}))
        return
    click.echo(f"{trades} trades in {DAYS} days, {rounds} rounds\n")
    click.echo(f"{'query':26}{'p50 ms':>8}{'p99 ms':>8}{'plain SQL p50 ms':>19}")
    for each in results:
        baseline = "" if each.plain_p50_ms is None else f"{each.plain_p50_ms:.1f}"
        click.echo(f"{each.query:26}{each.p50_ms:8.2f}{each.p99_ms:8.2f}{baseline:>19}")


if __name__ == "__main__":
    main()

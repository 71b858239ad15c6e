"""Dashboards' queries with a million trades stored: candles, tickers, statistics, funding, the option chain.

The trades are a random walk over 30 days in two markets and a perpetual, projected into the views as the worker does,
with a sample of mark and index each minute and 720 accruals of funding; beside them are 200 options with a book and a
few trades each. Each query goes
through HTTP to the service's own application, one after the other, from this process; the journal is in memory. Beside
it stands the query that a developer would write first: SQL over the trades themselves.
Usage: python benchmarks/queries.py [--trades N] [--rounds N] [--json]
"""

from __future__ import annotations

import asyncio
import json
import logging
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
import msgspec
import structlog
from aiohttp.test_utils import TestClient, TestServer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # also without PYTHONPATH

from offchain.api.keys import READBACK
from offchain.api.state import ApiSettings
from offchain.domain.commands import Price
from offchain.domain.derivatives import DerivativeRules
from offchain.domain.events import Event, FundingUpdate, MarkSample, Trade
from offchain.domain.market import Kind, Market
from offchain.domain.order import Side
from offchain.domain.results import PlaceResult
from offchain.ports import Record
from offchain.views.projection import Projection
from tests.unit.api.derivatives import ORACLE, PERP
from tests.unit.api.exchange import BTC, BTC_USDC, ETH_USDC, MAKER, NOW_MS, TAKER, Exchange, create_order

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
DAYS = 30
PER_RECORD = 5_000
OPTIONS = 200
BEYOND = 10**9
"""Sequences and items of the stored trades, above those of the exchange that serves them."""

PATHS = {
    "candles, 1m": "/v1/candles/BTC-USDC?interval=1m&limit=500",
    "candles, 1m, a week ago": f"/v1/candles/BTC-USDC?interval=1m&limit=500&since={NOW_MS - 7 * DAY_MS}",
    "candles, 30m": "/v1/candles/BTC-USDC?interval=30m&limit=500",
    "candles, 4h": "/v1/candles/BTC-USDC?interval=4h&limit=500",
    "candles, 1d": "/v1/candles/BTC-USDC?interval=1d&limit=500",
    "ticker": "/v1/tickers/BTC-USDC",
    "candles of the mark, 1m": "/v1/candles/BTC-PERP?price=mark&interval=1m&limit=500",
    "candles of the mark, 4h": "/v1/candles/BTC-PERP?price=mark&interval=4h&limit=500",
    "ticker of a perpetual": "/v1/tickers/BTC-PERP",
    "funding": "/v1/funding/BTC-PERP?limit=500",
    "open interest": "/v1/open-interest",
    "option chain": "/v1/options?underlying=BTC",
    "option chain, one expiry": f"/v1/options?underlying=BTC&expiry={NOW_MS + 7 * DAY_MS}",
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
            market = chance.choice((BTC_USDC, ETH_USDC, PERP)).id
            orders = (item.to_bytes(32, "big"), (item + 2**32).to_bytes(32, "big"))
            time_ms = NOW_MS - DAYS * DAY_MS + item * step
            quantity = chance.randint(1, 10_000)
            fees = (price * quantity // 200,) * 2
            events.append(
                Trade(
                    BEYOND + item,
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


def create_marks() -> Iterator[Record]:
    """A sample of the perpetual each minute and an accrual each hour."""
    chance, mark = random.Random(2), 950_000
    events: list[Event] = []
    for minute in range(DAYS * DAY_MS // MINUTE_MS):
        time_ms = NOW_MS - DAYS * DAY_MS + minute * MINUTE_MS
        mark = max(1_000, mark + chance.randint(-50, 50))
        events.append(MarkSample(PERP.id, time_ms, mark, mark - 10))
        if minute % 60 == 0:
            events.append(FundingUpdate(PERP.id, time_ms // HOUR_MS, 100, mark, minute << 32))
    seq = 2 * BEYOND
    yield Record(1, seq, seq + len(events) - 1, NOW_MS, 1, b"", [None], [events])  # type: ignore[list-item]


def create_options() -> list[Market]:
    """20 strikes of each of ten expiries, a call and a put of each at every second one."""
    options = []
    for number in range(OPTIONS):
        week, rest = divmod(number, OPTIONS // 10)
        strike, is_put = 600_000 + rest // 2 * 80_000, bool(rest % 2)
        terms = DerivativeRules(
            expiry=(NOW_MS + (week + 1) * 7 * DAY_MS) // 1000,
            strike_per_lot=strike,
            cap_per_lot=0 if is_put else 3 * strike,
            is_put=is_put,
        )
        name = f"BTC-{7 * (week + 1)}D-{strike // 10}-{'P' if is_put else 'C'}"
        market = msgspec.structs.replace(
            PERP, id=100 + number, symbol=name, kind=Kind.OPTION, instrument=100 + number, derivative=terms
        )
        options.append(market)
    return options


async def quote(exchange: Exchange, options: list[Market]) -> None:
    """The index is known, and each option has a bid, an offer, and what was traded between them."""
    await exchange.list_markets([(BTC, market) for market in (PERP, *options)])
    now = NOW_MS // 1000
    await exchange.submit(Price(ORACLE, 1, 95_000 * 10**18, now, now + 3_600))
    for market in options:
        terms = market.terms
        put = max(0, terms.strike_per_lot - 950_000)
        worth = (put if terms.is_put else max(0, 950_000 - terms.strike_per_lot)) + 20_000
        for key, (trader, side, price) in enumerate(
            (
                (MAKER, Side.SELL, worth),
                (TAKER, Side.BUY, worth),
                (MAKER, Side.BUY, worth - 1_000),
                (MAKER, Side.SELL, worth + 1_000),
            )
        ):
            order = create_order(
                trader, market=market.id, side=side, price=price, quantity=1, nonce=(market.id * 10 + key) << 32
            )
            result = await exchange.submit(exchange.place(trader, order))
            assert isinstance(result, PlaceResult), result
            assert result.rejection is None, result
    assert await exchange.app[READBACK].reach(exchange.sequencer.tail(), 60_000)


def fill(path: Path, trades: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    projection = Projection(connection)
    for record in (*create_marks(), *create_records(trades)):
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
        await quote(exchange, create_options())
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
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
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

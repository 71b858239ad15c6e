"""Views follow the journal through restarts, and snapshots come from a replica that agrees with the core."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from offchain.domain.commands import Tick
from offchain.domain.events import MarketUpdate, Ticked
from offchain.journal.sqlite import SqliteJournal
from offchain.ports import Record
from offchain.projector import Projector
from offchain.replica import ReplayMismatch, recover
from offchain.views.sqlite import SqliteViews
from tests.utils.records import Exchange
from tests.utils.scenario import create_opening, create_trading

TABLES = ("orders", "trades", "balances", "deposits", "markets", "assets", "chain_blocks", "account_events")


@pytest.fixture
async def journal(tmp_path):
    journal = SqliteJournal(tmp_path)
    await journal.acquire("core")
    yield journal
    await journal.close()


@pytest.fixture
async def create_views(tmp_path):
    opened = []

    def create(name: str = "views.db") -> SqliteViews:
        opened.append(SqliteViews(tmp_path / name))
        return opened[-1]

    yield create
    for views in opened:
        await views.close()


@pytest.fixture
async def exchange(journal) -> Exchange:
    """A journal of 101 records."""
    exchange = Exchange()
    exchange.run(*create_opening())
    for command in create_trading(100):
        exchange.run(command)
    for record in exchange.records:
        await journal.append(record)
    return exchange


def contents(folder, name: str = "views.db") -> dict[str, list[tuple]]:
    with sqlite3.connect(folder / name) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}


async def test_views_reach_the_tail(journal, create_views, exchange):
    views = create_views()
    projector = await Projector.open(journal, views)
    assert await projector.backlog() == exchange.maker.last
    await projector.catch_up()
    assert await projector.backlog() == 0
    assert await views.applied() == exchange.maker.last
    assert await views.balances() == exchange.balances()
    assert projector.core.snapshot() == exchange.core.snapshot()


class FailingViews:
    """Views whose process dies at the n-th transaction, before or after it is committed."""

    def __init__(self, views: SqliteViews, calls: int, *, committed: bool) -> None:
        self._views = views
        self._calls = calls
        self._committed = committed

    async def apply(self, after: int, records: list[Record]) -> None:
        self._calls -= 1
        if self._calls == 0 and not self._committed:
            raise ConnectionAbortedError
        await self._views.apply(after, records)
        if self._calls == 0:
            raise ConnectionAbortedError

    def __getattr__(self, name):
        return getattr(self._views, name)


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("committed", [False, True])
async def test_restart_in_the_middle_gives_the_same_tables(journal, create_views, exchange, tmp_path, calls, committed):
    views = create_views()
    projector = await Projector.open(journal, FailingViews(views, calls, committed=committed))
    with pytest.raises(ConnectionAbortedError):
        await projector.catch_up()
    assert 0 <= await views.applied() < exchange.maker.last or committed
    await (await Projector.open(journal, views)).catch_up()
    straight = create_views("straight.db")
    await (await Projector.open(journal, straight)).catch_up()
    assert contents(tmp_path) == contents(tmp_path, "straight.db")


async def test_deleted_views_are_rebuilt_equal(journal, create_views, exchange, tmp_path):
    first = create_views()
    await (await Projector.open(journal, first, snapshot_events=50)).catch_up()
    before = contents(tmp_path)
    assert before["trades"]
    await first.close()
    (tmp_path / "views.db").unlink()
    rebuilt = create_views()
    await (await Projector.open(journal, rebuilt, snapshot_events=50)).catch_up()
    assert contents(tmp_path) == before


async def test_snapshots_come_from_the_replica(journal, create_views, exchange):
    projector = await Projector.open(journal, create_views(), snapshot_events=100)
    await projector.catch_up()
    await projector.saved()
    seq, state = await journal.latest_snapshot()
    assert 100 <= seq <= exchange.maker.last
    recovered = await recover(journal)
    assert recovered.core.snapshot() == exchange.core.snapshot()
    assert seq > 100
    assert len(state) > 100


async def test_views_go_on_while_a_snapshot_is_saved(journal, create_views, exchange, monkeypatch):
    gate, save = asyncio.Event(), journal.save_snapshot

    async def slow(seq: int, state: bytes) -> None:
        await gate.wait()
        await save(seq, state)

    monkeypatch.setattr(journal, "save_snapshot", slow)
    projector = await Projector.open(journal, create_views(), snapshot_events=100)
    await projector.catch_up()
    assert projector.applied == exchange.maker.last
    assert await journal.latest_snapshot() is None
    gate.set()
    await projector.saved()
    first, _ = await journal.latest_snapshot()
    assert 100 <= first < exchange.maker.last - 100, "one at a time"
    # What became due meanwhile comes with the next record.
    await journal.append(exchange.run(Tick()))
    await projector.catch_up()
    projector.stop()
    await projector.run(lambda timeout_ms: asyncio.sleep(0))
    newest, _ = await journal.latest_snapshot()
    assert newest == exchange.maker.last, "it ends when the snapshot is saved"


async def test_snapshot_that_cannot_be_saved_ends_it(journal, create_views, exchange, monkeypatch):
    async def fail(seq: int, state: bytes) -> None:
        raise sqlite3.OperationalError("disk full")

    monkeypatch.setattr(journal, "save_snapshot", fail)
    projector = await Projector.open(journal, create_views(), snapshot_events=100)
    with pytest.raises(sqlite3.OperationalError, match="disk full"):
        await projector.run(lambda timeout_ms: asyncio.sleep(0))


async def test_snapshot_ahead_of_the_views_is_no_obstacle(journal, create_views, exchange):
    await journal.save_snapshot(exchange.maker.last, exchange.core.snapshot())
    views = create_views()
    projector = await Projector.open(journal, views)
    await projector.catch_up()
    assert await views.balances() == exchange.balances()


async def test_observer_hears_what_the_core_adds_to_its_state(journal, create_views, exchange):
    projector = await Projector.open(journal, create_views())
    heard = []
    projector.observe = heard.extend
    await projector.catch_up()
    assert len(heard) == exchange.maker.last
    assert any(isinstance(event, MarketUpdate) for event in heard)
    restarted = await Projector.open(journal, create_views())
    heard_again = []
    restarted.observe = heard_again.extend
    await restarted.catch_up()
    assert heard_again == heard, "without a snapshot the core starts empty"


async def test_what_cannot_be_reproduced_does_not_reach_the_views(journal, create_views, exchange):
    await journal.append(exchange.maker.make((Tick(), [Ticked(7)])))
    views = create_views()
    projector = await Projector.open(journal, views)
    with pytest.raises(ReplayMismatch, match=f"event {exchange.maker.last}"):
        await projector.catch_up()
    assert await views.applied() < exchange.maker.last


async def test_views_of_another_journal_are_refused(journal, create_views, exchange, tmp_path):
    views = create_views()
    await (await Projector.open(journal, views)).catch_up()
    other = SqliteJournal(tmp_path / "other")
    with pytest.raises(ValueError, match=r"the journal ends at 0: delete views\.db"):
        await Projector.open(other, views)
    await other.close()


async def test_follows_until_stopped(journal, create_views, exchange):
    views = create_views()
    projector = await Projector.open(journal, views)
    news = asyncio.Event()

    async def wait(timeout_ms: int) -> None:
        await news.wait()
        news.clear()

    running = asyncio.create_task(projector.run(wait))
    await projector.reached(exchange.maker.last)
    await journal.append(exchange.run(Tick()))
    news.set()
    await asyncio.wait_for(projector.reached(exchange.maker.last), 2)
    projector.stop()
    news.set()
    await asyncio.wait_for(running, 2)

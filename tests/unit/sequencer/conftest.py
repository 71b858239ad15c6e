"""A sequencer over the real core and a real journal, with the clock in the test's hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from offchain.journal.sqlite import SqliteJournal
from offchain.ports import Journal
from offchain.replica import recover
from offchain.sequencer import Sequencer
from offchain.transport.local import LocalFeed

CreateSequencer = Callable[..., Awaitable[Sequencer]]


class ManualClock:
    """Stands still until the test moves it."""

    def __init__(self) -> None:
        self.time_ms = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.time_ms


class Killed(BaseException):
    """The process died at this point."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def feed() -> LocalFeed:
    return LocalFeed()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    journal = SqliteJournal(tmp_path)
    yield journal
    await journal.close()


@pytest.fixture
async def create_sequencer(
    journal: SqliteJournal, clock: ManualClock, feed: LocalFeed
) -> AsyncIterator[CreateSequencer]:
    """Recovers from the journal and runs, as the core process does at each start."""
    running: list[asyncio.Task[None]] = []

    async def create(journal: Journal = journal, **settings: object) -> Sequencer:
        fatal: list[BaseException] = []
        epoch = await journal.acquire("core")
        state = await recover(journal)
        _, prev_hash = await journal.tail()
        sequencer = Sequencer(state, journal, epoch, prev_hash, feed, clock, fatal.append, **settings)
        sequencer.fatal = fatal  # type: ignore[attr-defined]
        running.append(asyncio.create_task(sequencer.run()))
        return sequencer

    yield create
    for task in running:
        task.cancel()
        with contextlib.suppress(BaseException):
            await task

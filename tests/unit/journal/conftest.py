"""Every implementation of `Journal` passes the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from offchain.journal.sqlite import SqliteJournal
from offchain.ports import Journal

CreateJournal = Callable[[], Journal]


@pytest.fixture(params=["sqlite"])
async def create_journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CreateJournal]:
    """Opens the same stored journal, each time as another process would."""
    opened: list[Journal] = []

    def create() -> Journal:
        journal: Journal = SqliteJournal(tmp_path)
        opened.append(journal)
        return journal

    yield create
    for journal in opened:
        await journal.close()


@pytest.fixture
async def create_writer(create_journal: CreateJournal) -> Callable[[], Awaitable[tuple[Journal, int]]]:
    """Opens the journal and acquires it."""

    async def create() -> tuple[Journal, int]:
        journal = create_journal()
        return journal, await journal.acquire("core")

    return create

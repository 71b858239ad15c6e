"""Where a commit is made: in place on a fast disk, in a thread on one that would hold up everything else."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from offchain.journal.sqlite import PROBE_EVERY, RECENT_COMMITS, SqliteJournal
from offchain.ports import Record
from tests.utils.records import RecordMaker


class Disk(SqliteJournal):
    """A journal whose commits take `seconds` more."""

    seconds = 0.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.in_place: list[bool] = []

    def _append(self, record: Record) -> bytes:
        self.in_place.append(threading.current_thread() is threading.main_thread())
        time.sleep(self.seconds)
        return super()._append(record)


@pytest.fixture
async def disk(tmp_path: Path):
    journal = Disk(tmp_path)
    yield journal
    await journal.close()


async def test_a_fast_disk_is_waited_for_in_place(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offchain.journal.sqlite.IN_PLACE_SECONDS", 60.0)
    maker = RecordMaker(await disk.acquire("core"))
    for _ in range(3):
        await disk.append(maker.make())
    assert disk.in_place == [True, True, True]


async def test_a_stall_makes_no_disk_slow(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is: a thread would make the commits after it slower."""
    monkeypatch.setattr("offchain.journal.sqlite.IN_PLACE_SECONDS", 0.02)
    maker = RecordMaker(await disk.acquire("core"))
    for disk.seconds in (0.0, 0.5, 0.0, 0.0, 0.5, 0.0, 0.0):
        await disk.append(maker.make())
    assert all(disk.in_place)


async def test_a_slow_disk_is_waited_for_in_a_thread(disk: Disk) -> None:
    """But for a look now and then whether it still is slow."""
    maker = RecordMaker(await disk.acquire("core"))
    disk.seconds = 0.02
    for _ in range(2 * PROBE_EVERY + RECENT_COMMITS):
        await disk.append(maker.make())
    learned = disk.in_place.index(False)
    assert learned == RECENT_COMMITS // 2
    assert disk.in_place[learned : learned + PROBE_EVERY + 1] == PROBE_EVERY * [False] + [True]
    assert disk.in_place.count(True) <= learned + 2
    assert (await disk.tail())[0] == maker.last


async def test_a_disk_that_is_fast_again_is_noticed(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offchain.journal.sqlite.IN_PLACE_SECONDS", 0.05)
    maker = RecordMaker(await disk.acquire("core"))
    disk.seconds = 0.2
    while all(disk.in_place):
        await disk.append(maker.make())
    disk.seconds = 0.0
    for _ in range(20 * PROBE_EVERY):
        await disk.append(maker.make())
    assert all(disk.in_place[-5:])


async def test_what_the_thread_has_is_made_before_what_comes_later(disk: Disk) -> None:
    """Also if a look at the disk is due meanwhile."""
    maker = RecordMaker(await disk.acquire("core"))
    disk.seconds = 0.02
    while all(disk.in_place):
        await disk.append(maker.make())
    disk.seconds = 0.0
    records = [maker.make() for _ in range(PROBE_EVERY + 5)]
    await asyncio.gather(*(disk.append(record) for record in records))
    assert (await disk.tail())[0] == maker.last

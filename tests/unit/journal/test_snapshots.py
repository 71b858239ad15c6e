"""Snapshots are saved in pieces, and count once they are whole."""

from __future__ import annotations

import asyncio
import hashlib
import random
import sqlite3
from pathlib import Path

import pytest

from offchain.journal.snapshots import PIECE_BYTES, Snapshots
from offchain.journal.sqlite import SqliteJournal
from tests.utils.records import RecordMaker

LARGE = random.Random(1).randbytes(3 * PIECE_BYTES + PIECE_BYTES // 2)


@pytest.fixture
async def journal(tmp_path: Path):
    journal = SqliteJournal(tmp_path)
    yield journal
    await journal.close()


@pytest.fixture
def connection(tmp_path: Path, journal: SqliteJournal):
    connection = sqlite3.connect(tmp_path / "snapshots.db", isolation_level=None)
    yield connection
    connection.close()


def pieces(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    return connection.execute("SELECT seq, count(*) FROM pieces GROUP BY seq ORDER BY seq").fetchall()


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, len(LARGE)])
async def test_states_of_every_size_come_back(journal, size):
    await journal.save_snapshot(5, LARGE[:size])
    assert await journal.latest_snapshot() == (5, LARGE[:size])


async def test_no_transaction_has_more_than_a_piece(journal, connection):
    steps = Snapshots(connection).saving(5, LARGE)
    sizes = []
    for _ in steps:
        newest = connection.execute("SELECT coalesce(sum(length(data)), 0) FROM pieces").fetchone()[0]
        sizes.append(newest - sum(sizes))
    assert sizes == [PIECE_BYTES, PIECE_BYTES, PIECE_BYTES, 0]
    assert connection.execute("SELECT length(state) FROM snapshots").fetchall() == [(PIECE_BYTES // 2,)]


async def test_others_go_on_while_a_snapshot_is_saved(journal):
    maker = RecordMaker(await journal.acquire("core"))
    saving = asyncio.create_task(journal.save_snapshot(1, LARGE))
    appended = 0
    while not saving.done():
        await journal.append(maker.make())
        appended += 1
        await asyncio.sleep(0)
    assert appended > 4
    assert await journal.latest_snapshot() == (1, LARGE)


async def test_what_is_not_whole_is_no_snapshot(journal, connection):
    await journal.save_snapshot(5, b"older")
    steps = Snapshots(connection).saving(6, LARGE)
    for _ in range(3):
        next(steps)
        assert await journal.latest_snapshot() == (5, b"older")
    next(steps)
    assert await journal.latest_snapshot() == (6, LARGE)


async def test_an_attempt_that_was_cut_off_can_be_made_again(journal, connection):
    steps = Snapshots(connection).saving(6, LARGE)
    for _ in range(3):
        next(steps)
    await journal.save_snapshot(6, LARGE[PIECE_BYTES:])
    assert await journal.latest_snapshot() == (6, LARGE[PIECE_BYTES:])


async def test_one_that_is_there_is_left_alone(journal, connection):
    """Cut off anywhere, saving it again takes nothing away."""
    await journal.save_snapshot(6, LARGE)
    assert list(Snapshots(connection).saving(6, LARGE)) == []
    assert await journal.latest_snapshot() == (6, LARGE)


async def test_one_that_is_damaged_is_saved_again(journal, connection):
    await journal.save_snapshot(6, LARGE)
    connection.execute("DELETE FROM pieces WHERE number = 1")
    await journal.save_snapshot(6, LARGE)
    assert await journal.latest_snapshot() == (6, LARGE)


async def test_nothing_is_left_of_older_ones_and_of_cut_off_attempts(journal, connection):
    next(Snapshots(connection).saving(4, LARGE))
    for seq in (5, 6, 7):
        await journal.save_snapshot(seq, LARGE)
    assert pieces(connection) == [(6, 3), (7, 3)]
    assert connection.execute("SELECT seq FROM snapshots ORDER BY seq").fetchall() == [(6,), (7,)]


@pytest.mark.parametrize(
    "damage", ["DELETE FROM pieces WHERE seq = 6 AND number = 1", "UPDATE pieces SET data = x'00'"]
)
async def test_damaged_piece_falls_back_to_the_older_snapshot(journal, connection, damage):
    await journal.save_snapshot(5, b"older")
    await journal.save_snapshot(6, LARGE)
    connection.execute(damage)
    assert await journal.latest_snapshot() == (5, b"older")


async def test_one_of_an_earlier_release_is_in_its_row(journal, connection):
    row = (5, hashlib.sha256(LARGE).digest(), LARGE)
    connection.execute("INSERT INTO snapshots VALUES (?, ?, ?)", row)
    assert await journal.latest_snapshot() == (5, LARGE)

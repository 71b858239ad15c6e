"""What is particular to the journal in SQLite: damage is found, a killed writer loses nothing it acknowledged."""

from __future__ import annotations

import hashlib
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import msgspec
import pytest

from offchain.journal.sqlite import RECORDS, SqliteJournal
from offchain.ports import JournalCorrupt
from tests.utils.records import RecordMaker

ROOT = Path(__file__).parents[3]

WRITER = """
    import asyncio, sys
    from pathlib import Path
    from offchain.journal.sqlite import SqliteJournal
    from tests.utils.records import RecordMaker

    async def main():
        journal = SqliteJournal(Path(sys.argv[1]))
        maker = RecordMaker(await journal.acquire("core"))
        maker.last, maker.prev_hash = await journal.tail()
        while True:
            await journal.append(maker.make())
            print(maker.last, flush=True)

    asyncio.run(main())
"""


async def create_filled(folder: Path, count: int = 5) -> SqliteJournal:
    journal = SqliteJournal(folder)
    maker = RecordMaker(await journal.acquire("core"))
    for _ in range(count):
        await journal.append(maker.make())
    return journal


async def read_all(folder: Path, after: int = 0) -> list[int]:
    journal = SqliteJournal(folder, read_only=True)
    try:
        return [record.last async for record in journal.read(after)]
    finally:
        await journal.close()


def damage(folder: Path, sql: str, *values: object) -> None:
    with sqlite3.connect(folder / "journal.db") as connection:
        connection.execute(sql, values)


def write_until_killed(folder: Path, seconds: float) -> int:
    """Last sequence that a writer process acknowledged before it was killed."""
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        first = int(writer.stdout.readline())
        time.sleep(seconds)
        writer.send_signal(signal.SIGKILL)
        complete_lines = writer.stdout.read().split("\n")[:-1]
    return max([first, *map(int, complete_lines)])


async def test_kill_9_loses_nothing_acknowledged(tmp_path):
    for attempt in range(3):
        acknowledged = write_until_killed(tmp_path, 0.02 + 0.037 * attempt)
        stored = await read_all(tmp_path)
        assert stored == list(range(1, len(stored) + 1))
        assert acknowledged <= len(stored) <= acknowledged + 1


async def test_flipped_bit_is_found(tmp_path):
    await (await create_filled(tmp_path)).close()
    damage(tmp_path, "UPDATE records SET data = CAST(substr(data, 1, 40) || x'07' AS BLOB) WHERE last = 3")
    with pytest.raises(JournalCorrupt, match="record ending at 3: its hash"):
        await read_all(tmp_path)
    assert await read_all(tmp_path, 3) == [4, 5]


async def test_missing_record_is_found(tmp_path):
    await (await create_filled(tmp_path)).close()
    damage(tmp_path, "DELETE FROM records WHERE last = 3")
    with pytest.raises(JournalCorrupt, match=r"record 4\.\.4: gap: expected first 3"):
        await read_all(tmp_path)


async def test_missing_beginning_is_found(tmp_path):
    await (await create_filled(tmp_path)).close()
    damage(tmp_path, "DELETE FROM records WHERE last <= 2")
    with pytest.raises(JournalCorrupt, match="gap: expected first 1"):
        await read_all(tmp_path)


async def test_replaced_record_breaks_the_chain(tmp_path):
    journal = await create_filled(tmp_path)
    records = [record async for record in journal.read(2)]
    await journal.close()
    data = RECORDS.encode(msgspec.structs.replace(records[0], time_ms=records[0].time_ms + 1))
    damage(tmp_path, "UPDATE records SET data = ?, hash = ? WHERE last = 3", data, hashlib.sha256(data).digest())
    with pytest.raises(JournalCorrupt, match=r"record 4\.\.4: prevHash"):
        await read_all(tmp_path)


async def test_undecodable_record_is_named(tmp_path):
    await (await create_filled(tmp_path)).close()
    data = b"\x93\x01\x02"
    damage(tmp_path, "UPDATE records SET data = ?, hash = ? WHERE last = 4", data, hashlib.sha256(data).digest())
    with pytest.raises(JournalCorrupt, match="record ending at 4 does not decode"):
        await read_all(tmp_path)


async def test_other_layout_is_refused(tmp_path):
    await (await create_filled(tmp_path)).close()
    damage(tmp_path, "PRAGMA user_version = 99")
    with pytest.raises(JournalCorrupt, match="layout 99"):
        SqliteJournal(tmp_path)


async def test_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "journal.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(JournalCorrupt, match=r"journal\.db"):
        SqliteJournal(tmp_path)


async def test_damaged_snapshot_falls_back_to_the_older(tmp_path):
    journal = await create_filled(tmp_path)
    await journal.save_snapshot(2, b"older")
    await journal.save_snapshot(4, b"newer")
    with sqlite3.connect(tmp_path / "snapshots.db") as connection:
        connection.execute("UPDATE snapshots SET state = x'00' WHERE seq = 4")
    assert await journal.latest_snapshot() == (2, b"older")
    await journal.close()


async def test_failed_append_changes_nothing(tmp_path):
    journal = await create_filled(tmp_path)
    maker = RecordMaker(1)
    maker.last, maker.prev_hash = await journal.tail()
    record = maker.make()
    blocker = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    journal._writing.execute("PRAGMA busy_timeout = 50")
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        await journal.append(record)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert (await journal.tail())[0] == 5
    await journal.append(record)
    await journal.close()


async def test_read_only_refuses_to_write(tmp_path):
    await (await create_filled(tmp_path)).close()
    journal = SqliteJournal(tmp_path, read_only=True)
    with pytest.raises(ValueError, match="reading only"):
        await journal.acquire("worker")
    with pytest.raises(ValueError, match="reading only"):
        await journal.append(RecordMaker().make())
    await journal.close()


async def test_files_are_private(tmp_path):
    folder = tmp_path / "data"
    await SqliteJournal(folder).close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "journal.db").stat().st_mode) == 0o600

"""The journal in SQLite: one row per record, chained by hash.

`journal.db` has one writing process, the core. Snapshots come from the worker, so they live in a file of their own,
`snapshots.db`: SQLite has one writer per file, and writing a large snapshot must not delay a commit of the core.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter, thread_time
from typing import TypeVar

import msgspec

from offchain.domain.codec import Codec
from offchain.journal import snapshots
from offchain.journal.snapshots import Snapshots
from offchain.ports import Fenced, JournalCorrupt, Record

T = TypeVar("T")

RECORDS = Codec[Record](Record)

NO_HASH = bytes(32)
"""`prev_hash` of the first record."""

SCHEMA_VERSION = 1

READ_CHUNK = 64
"""records per read, about 3 MB at most in practice"""

BUSY_TIMEOUT_MS = 10_000

IN_PLACE_SECONDS = 0.001
"""Where most commits wait less for the disk, they are made on the event loop: a turn of a thread costs more."""

RECENT_COMMITS = 16
"""Of so many made in place, half must be slow before the thread makes them. A single stall, however long, says nothing
about the next commit."""

PROBE_EVERY = 32
"""Of the commits made by the thread, one in so many is made in place, to learn whether the disk is fast again."""

_RECORDS_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS records (last INTEGER PRIMARY KEY, hash BLOB NOT NULL, data BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS writer (id INTEGER PRIMARY KEY CHECK (id = 0), "
    "epoch INTEGER NOT NULL, owner TEXT NOT NULL)",
    "INSERT OR IGNORE INTO writer VALUES (0, 0, '')",
)

# One statement is one transaction: the fence, the place in the chain and the row are checked and written together, and
# the thread hands over the interpreter lock once.
_APPEND = """
    INSERT INTO records (last, hash, data) SELECT ?, ?, ?
    WHERE (SELECT epoch FROM writer) = ? AND coalesce((SELECT max(last) FROM records), 0) = ?
"""

_END = object()


class SqliteJournal:
    """Implements `Journal` over the files in `folder`, which it creates.

    With `read_only` the records can only be read (the worker, `verify`); snapshots can be saved either way.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Raises JournalCorrupt if a file was written by another release or is no database."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._read_only = read_only
        self._path = folder / "journal.db"
        self._writing = _open(self._path, _RECORDS_SCHEMA)
        self._reading = _open(self._path, ())
        self._reading.execute("PRAGMA query_only = ON")
        self._snapshots = Snapshots(_open(folder / "snapshots.db", snapshots.SCHEMA))
        # For what takes long: the fsync of a slow disk, snapshots. One thread keeps the order.
        self._writer = ThreadPoolExecutor(1, "journal-writer")
        self._reader = ThreadPoolExecutor(1, "journal-reader")
        self._tail: tuple[int, bytes] | None = None
        self._was_slow: deque[bool] = deque(RECENT_COMMITS * [False], RECENT_COMMITS)
        """which of the latest commits made in place waited long for the disk"""
        self._until_probe = PROBE_EVERY
        self._handed_over = 0
        """appends that the thread has not made yet"""

    async def acquire(self, owner: str) -> int:
        """Become the writer and return the new epoch; older writers get `Fenced` from now on."""
        self._require_writable()
        return await self._in(self._writer, lambda: self._acquire(owner))

    def _acquire(self, owner: str) -> int:
        sql = "UPDATE writer SET epoch = epoch + 1, owner = ? RETURNING epoch"
        row = self._writing.execute(sql, (owner,)).fetchone()
        self._tail = _stored_tail(self._writing)
        return int(row[0])

    async def tail(self) -> tuple[int, bytes]:
        """Last event sequence and the hash of the last record; (0, 32 zero bytes) when empty."""
        if self._tail is not None:
            return self._tail
        return await self._in(self._reader, lambda: _stored_tail(self._reading))

    async def append(self, record: Record) -> bytes:
        """Durable on return; the hash of the record.

        Raises Fenced if another writer has acquired the journal, ValueError if `record` is malformed or does not follow
        the tail, sqlite3.Error if the disk refuses.
        """
        digest = self.append_at_once(record)
        if digest is not None:
            return digest
        self._until_probe -= 1
        self._handed_over += 1
        try:
            return await self._in(self._writer, lambda: self._append(record))
        finally:
            self._handed_over -= 1

    def append_at_once(self, record: Record) -> bytes | None:
        """As `append`, if the disk is so fast that waiting for it costs less than a thread; None: nothing was done."""
        self._require_writable()
        is_turn = self._was_slow.count(True) < RECENT_COMMITS // 2 or self._until_probe <= 0
        if not is_turn or self._handed_over:
            return None
        self._until_probe = PROBE_EVERY
        started, worked = perf_counter(), thread_time()
        digest = self._append(record)
        waited = perf_counter() - started - (thread_time() - worked)
        self._was_slow.append(waited > IN_PLACE_SECONDS)
        return digest

    def _append(self, record: Record) -> bytes:
        if self._tail is None:
            raise Fenced("this journal has not been acquired for writing")
        last, tail_hash = self._tail
        if problem := _problem(record, last, tail_hash):
            raise ValueError(f"record {record.first}..{record.last} does not follow {last}: {problem}")
        data = RECORDS.encode(record)
        digest = hashlib.sha256(data).digest()
        inserted = self._writing.execute(_APPEND, (record.last, digest, data, record.epoch, last)).rowcount
        if inserted != 1:
            raise Fenced(self._fence_reason(record.epoch, last))
        self._tail = (record.last, digest)
        return digest

    def _fence_reason(self, epoch: int, last: int) -> str:
        now, owner = self._writing.execute("SELECT epoch, owner FROM writer").fetchone()
        if now != epoch:
            return f"epoch {epoch} ended: {owner!r} writes since epoch {now}"
        return f"the journal ends at {_stored_tail(self._writing)[0]}, this writer knew {last}"

    async def read(self, after: int) -> AsyncIterator[Record]:
        """Stored records whose events come after sequence `after`, to the present tail.

        Raises JournalCorrupt, naming the record, where one does not decode or contradicts the one before it.
        """
        last, previous_hash = await self._in(self._reader, lambda: self._record_before(after))
        while True:
            rows = await self._in(self._reader, functools.partial(self._rows_after, last))
            for stored_last, stored_hash, data in rows:
                record = _checked(stored_last, stored_hash, data, last, previous_hash)
                last, previous_hash = stored_last, stored_hash
                yield record
            if len(rows) < READ_CHUNK:
                return

    def _record_before(self, after: int) -> tuple[int, bytes]:
        sql = "SELECT last, hash FROM records WHERE last <= ? ORDER BY last DESC LIMIT 1"
        row = self._reading.execute(sql, (after,)).fetchone()
        return (row[0], row[1]) if row else (0, NO_HASH)

    def _rows_after(self, last: int) -> list[tuple[int, bytes, bytes]]:
        sql = "SELECT last, hash, data FROM records WHERE last > ? ORDER BY last LIMIT ?"
        return self._reading.execute(sql, (last, READ_CHUNK)).fetchall()

    async def save_snapshot(self, seq: int, state: bytes) -> None:
        """Keep `state` as the state after event `seq`; the newest two are kept.

        It takes its time: after each piece the disk is left to others for as long as that has taken.
        """
        steps = self._snapshots.saving(seq, state)
        while True:
            started = perf_counter()
            if await self._in(self._writer, lambda: next(steps, _END)) is _END:
                return
            await asyncio.sleep(perf_counter() - started)

    async def latest_snapshot(self) -> tuple[int, bytes] | None:
        """The newest intact snapshot. A damaged one is passed over, for an older one and the records give the same."""
        return await self._in(self._writer, self._snapshots.latest)

    async def close(self) -> None:
        """Finish what was asked for, then let go of the files."""
        for pool in (self._writer, self._reader):
            await asyncio.get_running_loop().run_in_executor(None, pool.shutdown)
        for connection in (self._writing, self._reading, self._snapshots):
            connection.close()

    def _require_writable(self) -> None:
        if self._read_only:
            raise ValueError(f"{self._path} was opened for reading only")

    async def _in(self, pool: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, call)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction; rolled back if the body raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _open(path: Path, schema: tuple[str, ...]) -> sqlite3.Connection:
    try:
        # Each connection is used by one thread, but opened and closed by another.
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if schema:
            with transaction(connection):
                _create(connection, path, schema)
    except sqlite3.DatabaseError as error:
        raise JournalCorrupt(f"{path}: {error}") from error
    path.chmod(0o600)
    return connection


def _create(connection: sqlite3.Connection, path: Path, schema: tuple[str, ...]) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, SCHEMA_VERSION):
        raise JournalCorrupt(f"{path} has layout {version}; this release reads layout {SCHEMA_VERSION}")
    for statement in schema:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _stored_tail(connection: sqlite3.Connection) -> tuple[int, bytes]:
    row = connection.execute("SELECT last, hash FROM records ORDER BY last DESC LIMIT 1").fetchone()
    return (row[0], row[1]) if row else (0, NO_HASH)


def _checked(stored_last: int, stored_hash: bytes, data: bytes, last: int, previous_hash: bytes) -> Record:
    """Decode a row that follows event `last`. Raises JournalCorrupt."""
    if hashlib.sha256(data).digest() != stored_hash:
        raise JournalCorrupt(f"record ending at {stored_last}: its hash is not that of its contents")
    try:
        record = RECORDS.decode(data)
    except msgspec.DecodeError as error:
        raise JournalCorrupt(f"record ending at {stored_last} does not decode: {error}") from error
    if record.last != stored_last:
        raise JournalCorrupt(f"record ending at {stored_last} says that it ends at {record.last}")
    if problem := _problem(record, last, previous_hash):
        raise JournalCorrupt(f"record {record.first}..{stored_last}: {problem}")
    return record


def _problem(record: Record, last: int, previous_hash: bytes) -> str | None:
    """Why `record` cannot follow event `last` and the record with `previous_hash`; None if it can."""
    if record.first != last + 1:
        return f"gap: expected first {last + 1}"
    if record.prev_hash != previous_hash:
        return "prevHash is not the hash of the record before it"
    if len(record.commands) != len(record.events) or not record.commands:
        return f"{len(record.commands)} commands with {len(record.events)} lists of events"
    if not all(record.events):
        return "a command without an event"
    count = sum(map(len, record.events))
    if record.last != last + count:
        return f"{count} events numbered {record.first}..{record.last}"
    return None

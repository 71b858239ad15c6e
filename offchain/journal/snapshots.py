"""Snapshots in SQLite: each in pieces, so that no write keeps the disk from the journal for long.

A state of a hundred megabytes in one transaction is one flush of a hundred megabytes, and a commit of the core that
comes meanwhile waits for it. Pieces are transactions of their own; the row in `snapshots` comes last, with the last
piece, and before it there is no snapshot.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator

import structlog

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS snapshots (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, state BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS pieces "
    "(seq INTEGER NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (seq, number))",
)

SNAPSHOTS_KEPT = 2

PIECE_BYTES = 1 << 20

_KEPT = "SELECT seq FROM snapshots ORDER BY seq DESC LIMIT ?"
_ORPHAN = "SELECT rowid FROM pieces WHERE seq NOT IN (SELECT seq FROM snapshots) LIMIT 1"

log = structlog.get_logger(__name__)


class Snapshots:
    """States over a connection in autocommit mode, which belongs to one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def saving(self, seq: int, state: bytes) -> Iterator[None]:
        """Keep `state` as the state after event `seq`, and the newest two in all; no step writes more than a piece."""
        execute = self._connection.execute
        if execute("SELECT seq FROM snapshots WHERE seq = ?", (seq,)).fetchone() and self.latest() == (seq, state):
            return
        # What is left of an attempt that did not come to its end, or was damaged since.
        execute("DELETE FROM snapshots WHERE seq = ?", (seq,))
        execute("DELETE FROM pieces WHERE seq = ?", (seq,))
        starts = range(0, max(1, len(state)), PIECE_BYTES)
        for number, start in enumerate(starts[:-1]):
            execute("INSERT INTO pieces VALUES (?, ?, ?)", (seq, number, state[start : start + PIECE_BYTES]))
            yield
        row = (seq, hashlib.sha256(state).digest(), state[starts[-1] :])
        execute("INSERT INTO snapshots VALUES (?, ?, ?)", row)
        yield
        execute(f"DELETE FROM snapshots WHERE seq NOT IN ({_KEPT})", (SNAPSHOTS_KEPT,))
        while execute(f"DELETE FROM pieces WHERE rowid IN ({_ORPHAN})").rowcount:
            yield

    def latest(self) -> tuple[int, bytes] | None:
        """The newest intact one. A damaged one is passed over, for an older one and the records give the same."""
        rows = self._connection.execute("SELECT seq, hash, state FROM snapshots ORDER BY seq DESC").fetchall()
        for seq, digest, rest in rows:
            pieces = self._connection.execute("SELECT data FROM pieces WHERE seq = ? ORDER BY number", (seq,))
            state = b"".join([*(data for (data,) in pieces), rest])
            if hashlib.sha256(state).digest() == digest:
                return seq, state
            log.warning("snapshot damaged, an older one is used", seq=seq)
        return None

    def close(self) -> None:
        self._connection.close()

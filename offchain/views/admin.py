"""What administrators did, and the batches that settlement was stopped for: tables, projection, queries."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from offchain.domain.administration import name_of
from offchain.domain.codec import Codec
from offchain.domain.commands import BatchParked, Command
from offchain.domain.events import AdminActed, BatchUpdate
from offchain.ports import AuditQuery, AuditRow, DeadLetterRow

ACTED = Codec[AdminActed](AdminActed)

TABLES = {
    "admin_audit": """(
        entry INTEGER PRIMARY KEY, seq INTEGER NOT NULL, time_ms INTEGER NOT NULL, subject TEXT NOT NULL,
        action TEXT NOT NULL, event BLOB NOT NULL
    )""",
    "dead_letters": """(
        id INTEGER PRIMARY KEY, batch INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, item INTEGER,
        reason TEXT NOT NULL, status TEXT NOT NULL, parked_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL
    )""",
}

INDEXES = {
    "admin_audit_subject": "admin_audit (subject, entry)",
    "admin_audit_action": "admin_audit (action, entry)",
    "dead_letters_open": "dead_letters (batch) WHERE status IN ('parked', 'retried')",
}

LETTER_COLUMNS = "id, batch, first, last, item, reason, status, parked_ms, updated_ms"

_OPEN = "status IN ('parked', 'retried')"

_BECOMES = {"retried": "retried", "reopened": "reopened", "settled": "settled"}
"""what a batch's status makes of its open letter"""


class AdminWriter:
    """Projects over one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute

    def acted(self, seq: int, event: AdminActed, time_ms: int) -> None:
        row = (event.number, seq, time_ms, event.actor.subject, name_of(event.action), ACTED.encode(event))
        self._run("INSERT INTO admin_audit VALUES (?, ?, ?, ?, ?, ?)", row)

    def batch(self, event: BatchUpdate, command: Command, time_ms: int) -> None:
        """A letter begins when a batch is parked, and ends when its items are settled or no longer that batch."""
        if event.status == "parked":
            item = command.item if isinstance(command, BatchParked) else None
            self._park(event, item, time_ms)
        elif event.status in _BECOMES:
            sql = f"UPDATE dead_letters SET status = ?, updated_ms = ? WHERE batch = ? AND {_OPEN}"
            self._run(sql, (_BECOMES[event.status], time_ms, event.number))

    def _park(self, event: BatchUpdate, item: int | None, time_ms: int) -> None:
        """A batch that fails again is the same letter as long as it holds the same items."""
        sql = f"UPDATE dead_letters SET status = 'reopened' WHERE batch = ? AND (first != ? OR last != ?) AND {_OPEN}"
        self._run(sql, (event.number, event.first, event.last))
        columns = "status = 'parked', item = ?, reason = ?, updated_ms = ?"
        sql = f"UPDATE dead_letters SET {columns} WHERE batch = ? AND {_OPEN}"
        if not self._run(sql, (item, event.reason, time_ms, event.number)).rowcount:
            row = (event.number, event.first, event.last, item, event.reason, time_ms, time_ms)
            self._run("INSERT INTO dead_letters VALUES (NULL, ?, ?, ?, ?, ?, 'parked', ?, ?)", row)


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------


def audit_query(query: AuditQuery, before: int) -> tuple[str, list[Any]]:
    """SQL, which still needs its limit, and its values: entries below `before`, newest first."""
    where = ["entry < ?"]
    values: list[Any] = [before]
    for column, wanted in (("subject", query.subject), ("action", query.action)):
        if wanted is not None:
            where.append(f"{column} = ?")
            values.append(wanted)
    sql = f"SELECT entry, time_ms, event FROM admin_audit WHERE {' AND '.join(where)} ORDER BY entry DESC LIMIT ?"
    return sql, values


def audit_row(columns: Sequence[Any]) -> AuditRow:
    """From the columns of `audit_query`."""
    entry, time_ms, event = columns
    return AuditRow(entry, time_ms, ACTED.decode(event))


def letter_row(columns: Sequence[Any]) -> DeadLetterRow:
    """From LETTER_COLUMNS."""
    return DeadLetterRow(*columns)

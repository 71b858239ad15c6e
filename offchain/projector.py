"""Brings records into the views, and keeps the replica from which snapshots come."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable

import structlog

from offchain.domain.core import Core
from offchain.domain.events import Event
from offchain.metrics import WorkerMetrics
from offchain.ports import Journal, Record, Views
from offchain.replica import Replica

SNAPSHOT_EVENTS = 50_000
"""events between snapshots: what a start has to execute again at most, about"""

CHUNK_RECORDS = 64
CHUNK_EVENTS = 2_000
"""A transaction ends with the record that reaches either."""

POLL_MS = 200
"""Longest time between two looks at the journal, should a wake-up be lost."""

log = structlog.get_logger(__name__)


class Projector:
    """Follows the journal. Its replica executes every command again and so notices if the core is not deterministic."""

    def __init__(
        self,
        journal: Journal,
        views: Views,
        replica: Replica,
        applied: int,
        *,
        snapshot_events: int = SNAPSHOT_EVENTS,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        """`replica` stands at the newest snapshot; `applied` is what the views include.

        `observe` (set it before `run`) is told the events that the replica's core has added to that state.
        """
        self.observe: Callable[[Iterable[Event]], None] = lambda events: None
        self._journal = journal
        self._views = views
        self._replica = replica
        self._snapshot_seq = replica.seq
        self._snapshot_events = snapshot_events
        self._metrics = metrics or WorkerMetrics()
        self._applied = applied
        self._stopping = False
        self._saving: asyncio.Task[None] | None = None
        """what brings the newest snapshot to the disk, which may take seconds"""
        self._progress = asyncio.Condition()

    @classmethod
    async def open(
        cls,
        journal: Journal,
        views: Views,
        *,
        snapshot_events: int = SNAPSHOT_EVENTS,
        metrics: WorkerMetrics | None = None,
    ) -> Projector:
        """Start where the views and the newest snapshot stand.

        Raises ValueError if the views include more than the journal, which therefore is not theirs.
        """
        applied = await views.applied()
        tail, _ = await journal.tail()
        if applied > tail:
            raise ValueError(f"the views include event {applied}, the journal ends at {tail}: delete views.db")
        replica = await Replica.at_snapshot(journal)
        return cls(journal, views, replica, applied, snapshot_events=snapshot_events, metrics=metrics)

    @property
    def core(self) -> Core:
        """The replica's state: at the start that of the newest snapshot."""
        return self._replica.core

    @property
    def applied(self) -> int:
        """Last event that the views include."""
        return self._applied

    async def backlog(self) -> int:
        """Events that are durable and not in the views yet."""
        tail, _ = await self._journal.tail()
        return tail - self._applied

    async def reached(self, seq: int) -> None:
        """Wait until the views include event `seq`."""
        async with self._progress:
            await self._progress.wait_for(lambda: self._applied >= seq)

    async def run(self, wait: Callable[[int], Awaitable[object]]) -> None:
        """Catch up, then `wait(POLL_MS)` for news, until `stop`.

        Raises ReplayMismatch and JournalCorrupt, after which the views must not be extended, and sqlite3.Error if a
        snapshot cannot be saved.
        """
        try:
            while not self._stopping:
                await self.catch_up()
                await wait(POLL_MS)
            await self.saved()
        except BaseException:
            if self._saving is not None:
                self._saving.cancel()
            raise

    async def saved(self) -> None:
        """Wait until the newest snapshot is on the disk. Raises what has prevented it."""
        if self._saving is not None:
            saving, self._saving = self._saving, None
            await saving

    def stop(self) -> None:
        """Let `run` return after its present round."""
        self._stopping = True

    async def catch_up(self) -> None:
        """Project what the journal has beyond the views, and what the replica lacks."""
        chunk: list[Record] = []
        events = 0
        async for record in self._journal.read(min(self._applied, self._replica.seq)):
            # Before the views: they must not show what cannot be reproduced.
            if record.last > self._replica.seq:
                self._replica.apply(record)
                self.observe(itertools.chain.from_iterable(record.events))
            if record.last > self._applied:
                chunk.append(record)
                events += record.last - record.first + 1
            if len(chunk) >= CHUNK_RECORDS or events >= CHUNK_EVENTS:
                await self._apply(chunk)
                chunk, events = [], 0
            await self._snapshot_if_due()
        await self._apply(chunk)

    async def _apply(self, chunk: list[Record]) -> None:
        if chunk:
            with self._metrics.projection_seconds.time():
                await self._views.apply(self._applied, chunk)
            first, self._applied = chunk[0].first, chunk[-1].last
            self._metrics.projected.inc(self._applied - first + 1)
            log.debug("projected", first=first, last=self._applied, records=len(chunk))
            async with self._progress:
                self._progress.notify_all()

    async def _snapshot_if_due(self) -> None:
        if self._saving is not None and self._saving.done():
            await self.saved()
        if self._saving is None and self._replica.seq - self._snapshot_seq >= self._snapshot_events:
            self._snapshot_seq = self._replica.seq
            self._saving = asyncio.create_task(self._save(self._replica.seq, self._replica.core.snapshot()))
        # Let the settler and the indexer of this process go on while a long journal is read.
        await asyncio.sleep(0)

    async def _save(self, seq: int, state: bytes) -> None:
        await self._journal.save_snapshot(seq, state)
        self._metrics.snapshots.inc()
        self._metrics.snapshot_bytes.set(len(state))
        log.info("snapshot saved", seq=seq, bytes=len(state))

"""A core that follows the journal: how the service recovers, how snapshots are made, how the journal is verified."""

from __future__ import annotations

from typing import Self

from offchain.domain.commands import Command
from offchain.domain.core import Core
from offchain.domain.events import Event
from offchain.ports import RULES_VERSION, Journal, JournalCorrupt, Record


class ReplayMismatch(Exception):
    """Executing the journal again gave other events than those that were answered and published."""


class Replica:
    """A core, and the place in the journal up to which it has executed."""

    def __init__(self, core: Core, seq: int = 0, time_ms: int = 0) -> None:
        self.core = core
        self.seq = seq
        """last event included"""
        self.time_ms = time_ms
        """time of the last record included, Unix milliseconds"""

    @classmethod
    async def at_snapshot(cls, journal: Journal) -> Self:
        """The state of the newest snapshot, or the empty state.

        Raises JournalCorrupt if the snapshot does not stand at the end of a record.
        """
        snapshot = await journal.latest_snapshot()
        if snapshot is None:
            return cls(Core())
        seq, state = snapshot
        async for record in journal.read(seq - 1):
            if record.last != seq:
                break
            return cls(Core.restore(state), seq, record.time_ms)
        raise JournalCorrupt(f"a snapshot stands at event {seq}, where no record of the journal ends")

    def apply(self, record: Record) -> None:
        """Execute `record` again; one that is already included is passed over.

        Raises ReplayMismatch, naming the event sequence, if the events differ from the stored ones or the record was
        written under other rules. The state is of no use afterwards.
        """
        if record.last <= self.seq:
            return
        if record.first != self.seq + 1:
            raise ReplayMismatch(f"record {record.first}..{record.last} does not follow event {self.seq}")
        if record.rules_version != RULES_VERSION:
            raise ReplayMismatch(
                f"record {record.first}..{record.last} was written under rules version {record.rules_version}, this "
                f"release has {RULES_VERSION}: save a snapshot with the release that wrote it (`offchain snapshot`)"
            )
        seq = self.seq
        for command, stored in zip(record.commands, record.events, strict=True):
            _, events = self.core.execute(command, record.time_ms)
            if events != stored:
                raise ReplayMismatch(_difference(seq + 1, command, stored, events))
            seq += len(stored)
        self.seq = record.last
        self.time_ms = record.time_ms


async def recover(journal: Journal) -> Replica:
    """The state at the journal's tail: newest snapshot, then the records after it executed and compared.

    Raises JournalCorrupt, ReplayMismatch.
    """
    replica = await Replica.at_snapshot(journal)
    async for record in journal.read(replica.seq):
        replica.apply(record)
    return replica


def _difference(first: int, command: Command, stored: list[Event], events: list[Event]) -> str:
    for offset, (was, now) in enumerate(zip(stored, events, strict=False)):
        if was != now:
            return f"event {first + offset}, from {type(command).__name__}: the journal has {was}, replay gives {now}"
    return (
        f"event {first + min(len(stored), len(events))}, from {type(command).__name__}: the journal has {len(stored)} "
        f"events from it, replay gives {len(events)}"
    )

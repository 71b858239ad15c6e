"""Records for tests of the journal and the views, chained as the sequencer chains them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from offchain.domain.commands import Command, Tick
from offchain.domain.core import Core
from offchain.domain.events import BalanceUpdate, Event, Ticked
from offchain.journal.sqlite import NO_HASH, RECORDS
from offchain.ports import RULES_VERSION, Record


class RecordMaker:
    """Makes records that follow each other."""

    def __init__(self, epoch: int = 1) -> None:
        self.epoch = epoch
        self.last = 0
        self.prev_hash = NO_HASH
        self.time_ms = 1_000

    def make(self, *steps: tuple[Command, Sequence[Event]]) -> Record:
        """A record of these commands and their events; of one tick if there are none."""
        commands = [command for command, _ in steps] or [Tick()]
        events: list[list[Event]] = [list(happened) for _, happened in steps] or [[Ticked(0)]]
        count = sum(map(len, events))
        self.time_ms += 10
        record = Record(
            self.epoch,
            self.last + 1,
            self.last + count,
            self.time_ms,
            RULES_VERSION,
            self.prev_hash,
            commands,
            events,
        )
        self.last = record.last
        self.prev_hash = hashlib.sha256(RECORDS.encode(record)).digest()
        return record


class Exchange:
    """A core whose commands become records, as the sequencer makes them."""

    def __init__(self) -> None:
        self.core = Core()
        self.maker = RecordMaker()
        self.records: list[Record] = []

    def run(self, *commands: Command) -> Record:
        """Execute commands together."""
        now_ms = self.maker.time_ms + 10
        record = self.maker.make(*((command, self.core.execute(command, now_ms)[1]) for command in commands))
        self.records.append(record)
        return record

    def balances(self) -> list[BalanceUpdate]:
        """All balances that are not and were never zero, ordered by account and asset."""
        return [balance for account in sorted(self.core.accounts()) for balance in self.core.balances(account)]

"""Recovery refuses what it cannot reproduce, and says where."""

from __future__ import annotations

import msgspec
import pytest

from offchain.domain.commands import Tick
from offchain.domain.core import Core
from offchain.domain.events import Ticked
from offchain.domain.order import Side
from offchain.ports import RULES_VERSION, JournalCorrupt
from offchain.replica import ReplayMismatch, Replica, recover
from tests.utils.records import RecordMaker
from tests.utils.scenario import MAKER, create_opening, create_order


def create_record(maker: RecordMaker, core: Core, *commands):
    return maker.make(*((command, core.execute(command, maker.time_ms + 10)[1]) for command in commands))


@pytest.fixture
async def filled(journal):
    """A journal with the opening and one order; its maker and core go on where it ends."""
    maker, core = RecordMaker(await journal.acquire("core")), Core()
    await journal.append(create_record(maker, core, *create_opening()))
    await journal.append(create_record(maker, core, create_order(MAKER, Side.BUY, 5)))
    return maker, core


async def test_recovers_the_state(journal, filled):
    maker, core = filled
    replica = await recover(journal)
    assert (replica.seq, replica.time_ms) == (maker.last, maker.time_ms)
    assert replica.core.snapshot() == core.snapshot()


async def test_other_events_stop_the_start_and_are_named(journal, filled):
    maker, _ = filled
    await journal.append(maker.make((Tick(), [Ticked(7)])))
    with pytest.raises(ReplayMismatch, match=rf"event {maker.last}, from Tick: .*Ticked\(expired=7\).*expired=0"):
        await recover(journal)


async def test_missing_events_stop_the_start(journal, filled):
    maker, core = filled
    order = create_order(MAKER, Side.BUY, 5, key=9)
    events = core.execute(order, maker.time_ms + 10)[1]
    await journal.append(maker.make((order, events[:-1])))
    with pytest.raises(ReplayMismatch, match=f"event {maker.last + 1}, from PlaceOrder: the journal has 1 events"):
        await recover(journal)


async def test_other_rules_stop_the_start(journal, filled):
    maker, core = filled
    record = msgspec.structs.replace(create_record(maker, core, Tick()), rules_version=RULES_VERSION + 1)
    await journal.append(record)
    with pytest.raises(ReplayMismatch, match=f"rules version {RULES_VERSION + 1}"):
        await recover(journal)


async def test_other_rules_before_a_snapshot_do_not_matter(journal, filled):
    maker, core = filled
    await journal.append(msgspec.structs.replace(create_record(maker, core, Tick()), rules_version=2))
    maker.prev_hash = (await journal.tail())[1]
    await journal.save_snapshot(maker.last, core.snapshot())
    await journal.append(create_record(maker, core, Tick()))
    assert (await recover(journal)).core.snapshot() == core.snapshot()


async def test_snapshot_between_records_is_refused(journal, filled):
    maker, core = filled
    await journal.save_snapshot(maker.last - 1, core.snapshot())
    with pytest.raises(JournalCorrupt, match=f"snapshot stands at event {maker.last - 1}"):
        await recover(journal)


async def test_snapshot_beyond_the_journal_is_refused(journal, filled):
    maker, core = filled
    await journal.save_snapshot(maker.last + 1, core.snapshot())
    with pytest.raises(JournalCorrupt, match="where no record of the journal ends"):
        await recover(journal)


def test_replica_passes_over_what_it_includes_and_refuses_gaps():
    maker, core = RecordMaker(), Core()
    records = [create_record(maker, core, *create_opening()), create_record(maker, core, Tick())]
    replica = Replica(Core())
    replica.apply(records[0])
    replica.apply(records[0])
    with pytest.raises(ReplayMismatch, match="does not follow"):
        replica.apply(msgspec.structs.replace(records[1], first=records[1].first + 1, last=records[1].last + 1))
    replica.apply(records[1])
    assert replica.core.snapshot() == core.snapshot()

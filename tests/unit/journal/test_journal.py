"""Durability, order, fencing and snapshots of a journal."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from offchain.domain.commands import ChainBlock, Deposited
from offchain.domain.events import BalanceUpdate
from offchain.ports import Fenced, Journal, Record
from tests.utils.records import RecordMaker


async def stored(journal: Journal, after: int = 0) -> list[Record]:
    return [record async for record in journal.read(after)]


async def test_empty_journal_has_tail_zero(create_writer):
    journal, epoch = await create_writer()
    assert epoch == 1
    assert await journal.tail() == (0, bytes(32))
    assert await stored(journal) == []


async def test_appended_records_are_read_back_in_order(create_writer, create_journal):
    journal, epoch = await create_writer()
    maker = RecordMaker(epoch)
    records = [maker.make() for _ in range(150)]
    for record in records:
        await journal.append(record)
    other = create_journal()
    assert await stored(other) == records
    assert await other.tail() == await journal.tail() == (150, maker.prev_hash)


async def test_reads_only_what_comes_after(create_writer):
    journal, epoch = await create_writer()
    maker = RecordMaker(epoch)
    block = ChainBlock(1, bytes(32), bytes(32), 1, [])
    balance = BalanceUpdate(bytes(20), 0, 1, 0, 0, 0)
    records = [maker.make((block, [balance, balance, balance])) for _ in range(3)]
    for record in records:
        await journal.append(record)
    assert await stored(journal, 3) == records[1:]
    assert await stored(journal, 4) == records[1:], "a record that is partly new comes whole"
    assert await stored(journal, 9) == []


async def test_amounts_beyond_64_bits_survive(create_writer):
    journal, epoch = await create_writer()
    amount = 2**120 + 1
    deposit = Deposited(b"\x01" * 20, 3, amount, bytes(32), 0)
    block = ChainBlock(1, bytes(32), bytes(32), 1, [deposit])
    record = RecordMaker(epoch).make((block, [BalanceUpdate(b"\x01" * 20, 3, amount, -amount, 0, 0)]))
    await journal.append(record)
    assert await stored(journal) == [record]


async def test_concurrent_appends_keep_their_order(create_writer):
    journal, epoch = await create_writer()
    maker = RecordMaker(epoch)
    records = [maker.make() for _ in range(50)]
    await asyncio.gather(*(journal.append(record) for record in records))
    assert await stored(journal) == records


async def test_at_once_or_not_at_all(create_writer, create_journal):
    """A record is durable with its hash, or nothing has happened and it can be appended the other way."""
    journal, epoch = await create_writer()
    maker = RecordMaker(epoch)
    records = [maker.make() for _ in range(50)]
    for record in records:
        before = await journal.tail()
        digest = journal.append_at_once(record)
        if digest is None:
            assert await journal.tail() == before
            digest = await journal.append(record)
        assert await journal.tail() == (record.last, digest)
        assert await create_journal().tail() == (record.last, digest), "another process sees it"
    assert await stored(journal) == records


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"first": 1}, "gap: expected first 2"),
        ({"first": 3, "last": 3}, "gap: expected first 2"),
        ({"last": 5}, "1 events numbered 2..5"),
        ({"prev_hash": b"\x01" * 32}, "prevHash"),
        ({"events": [[]]}, "a command without an event"),
        ({"events": []}, "1 commands with 0 lists of events"),
        ({"commands": [], "events": []}, "0 commands"),
    ],
)
async def test_refuses_a_record_that_does_not_follow(create_writer, change, reason):
    journal, epoch = await create_writer()
    maker = RecordMaker(epoch)
    await journal.append(maker.make())
    good = maker.make()
    with pytest.raises(ValueError, match=reason):
        await journal.append(msgspec.structs.replace(good, **change))
    await journal.append(good)
    assert (await journal.tail())[0] == 2


async def test_older_writer_is_fenced(create_writer):
    old, old_epoch = await create_writer()
    maker = RecordMaker(old_epoch)
    await old.append(maker.make())
    new, new_epoch = await create_writer()
    assert new_epoch == old_epoch + 1
    late = maker.make()
    with pytest.raises(Fenced, match=f"epoch {old_epoch} ended"):
        await old.append(late)
    await new.append(msgspec.structs.replace(late, epoch=new_epoch))
    assert len(await stored(new)) == 2


async def test_needs_to_be_acquired(create_journal):
    with pytest.raises(Fenced, match="not been acquired"):
        await create_journal().append(RecordMaker().make())


async def test_keeps_the_last_two_snapshots(create_writer, create_journal):
    journal, _ = await create_writer()
    assert await journal.latest_snapshot() is None
    for seq in (10, 20, 30):
        await journal.save_snapshot(seq, b"state %d" % seq)
    assert await create_journal().latest_snapshot() == (30, b"state 30")

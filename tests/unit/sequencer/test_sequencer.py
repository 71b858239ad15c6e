"""The loop: order, durability, bounds, time, and what happens when something fails."""

from __future__ import annotations

import asyncio
import sqlite3

import msgspec
import pytest

from offchain.domain.commands import CreateApiKey, SetStatus, Tick
from offchain.domain.core import Core
from offchain.domain.events import BalanceUpdate, Configured
from offchain.domain.order import Side
from offchain.domain.results import Done, PlaceResult
from offchain.ports import Fenced, Overloaded, Unavailable
from offchain.replica import recover
from offchain.tracing import REQUEST_ID
from tests.unit.sequencer.conftest import Killed
from tests.utils.scenario import CONFIGURE, MAKER, MARKET, TAKER, create_opening, create_order, create_trading

TIMEOUT = 5_000


async def submit_all(sequencer, commands):
    return await asyncio.gather(*(sequencer.submit(command, TIMEOUT) for command in commands))


async def records(journal):
    return [record async for record in journal.read(0)]


async def test_answer_means_durable(create_sequencer, journal):
    sequencer = await create_sequencer()
    assert await sequencer.submit(CONFIGURE, TIMEOUT) == Done()
    (record,) = await records(journal)
    assert record.commands == [CONFIGURE]
    assert record.events == [[Configured(CONFIGURE.chain_id, CONFIGURE.engine, CONFIGURE.fee_bps)]]


async def test_arrival_is_the_order_and_64_share_a_record(create_sequencer, journal):
    sequencer = await create_sequencer()
    await submit_all(sequencer, create_opening())
    before = len(await records(journal))
    orders = [create_order(MAKER, Side.BUY, 1, key=key) for key in range(100)]
    results = await submit_all(sequencer, orders)
    assert [result.order_hash for result in results] == [order.order_hash for order in orders]
    written = (await records(journal))[before:]
    assert [command for record in written for command in record.commands] == orders
    assert max(len(record.commands) for record in written) == 64


async def test_time_never_goes_back(create_sequencer, clock, journal):
    sequencer = await create_sequencer()
    for change in (10, -5_000, 20):
        clock.time_ms += change
        await sequencer.submit(Tick(), TIMEOUT)
    times = [record.time_ms for record in await records(journal)]
    assert times == sorted(times)
    assert times[1] == times[0]
    restarted = await create_sequencer()
    clock.time_ms -= 10**6
    await restarted.submit(Tick(), TIMEOUT)
    assert (await records(journal))[-1].time_ms == times[-1], "also not across a restart"


class SlowJournal:
    """A journal whose appends wait for the test, or fail."""

    def __init__(self, journal):
        self._journal = journal
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None

    async def append(self, record):
        await self.gate.wait()
        if self.failure:
            raise self.failure
        return await self._journal.append(record)

    def append_at_once(self, record):
        return None

    def __getattr__(self, name):
        return getattr(self._journal, name)


async def test_full_queue_takes_nothing(create_sequencer, journal):
    slow = SlowJournal(journal)
    sequencer = await create_sequencer(slow, queue_limit=8, reserve=2, batch_limit=1)
    slow.gate.clear()
    waiting = [asyncio.create_task(sequencer.submit(Tick(), TIMEOUT)) for _ in range(11)]
    await asyncio.sleep(0.01)
    waiting += [asyncio.create_task(sequencer.submit(Tick(), TIMEOUT)) for _ in range(1)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="10 commands"):
        await sequencer.submit(Tick(), TIMEOUT)
    # An order finds no place even where others still do: cancels and the chain's news are not kept out by orders.
    key = CreateApiKey(MAKER, "k1", bytes(32), "bot", ["read"], 0)
    for command in (create_order(MAKER, Side.BUY, 5), key):
        with pytest.raises(Overloaded, match="8 commands"):
            await sequencer.submit(command, TIMEOUT)
    slow.gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    taken = sum(not isinstance(result, Exception) for result in results)
    assert len(await records(journal)) == taken >= 10


async def test_client_that_leaves_cancels_nothing(create_sequencer, journal):
    slow = SlowJournal(journal)
    sequencer = await create_sequencer(slow)
    await submit_all(sequencer, create_opening())
    slow.gate.clear()
    order = create_order(MAKER, Side.BUY, 5)
    leaving = asyncio.create_task(sequencer.submit(order, TIMEOUT))
    await asyncio.sleep(0.01)
    leaving.cancel()
    slow.gate.set()
    again = await sequencer.submit(order, TIMEOUT)
    assert isinstance(again, PlaceResult)
    assert again.repeated
    assert [live.order_hash for live in await sequencer.read(lambda core: core.open_orders(MAKER))] == [
        order.order_hash
    ]


async def test_time_over_leaves_the_outcome_unknown(create_sequencer, journal):
    slow = SlowJournal(journal)
    sequencer = await create_sequencer(slow)
    slow.gate.clear()
    with pytest.raises(Unavailable, match="may have been executed"):
        await sequencer.submit(CONFIGURE, 20)
    slow.gate.set()
    await sequencer.submit(Tick(), TIMEOUT)
    assert (await records(journal))[0].commands == [CONFIGURE]


async def test_time_is_over_for_each_by_itself(create_sequencer, journal):
    """Also for those who still stand in the queue, and nobody waits much longer than they said."""
    slow = SlowJournal(journal)
    sequencer = await create_sequencer(slow, batch_limit=1)
    slow.gate.clear()
    timeouts = [20, TIMEOUT, 60, TIMEOUT]
    waiting = [asyncio.create_task(sequencer.submit(Tick(), timeout)) for timeout in timeouts]
    for number in (0, 2):
        with pytest.raises(Unavailable, match=f"no answer within {timeouts[number]} ms"):
            await asyncio.wait_for(asyncio.shield(waiting[number]), 2)
    assert not waiting[1].done()
    assert not waiting[3].done()
    slow.gate.set()
    await asyncio.gather(waiting[1], waiting[3])
    assert len(await records(journal)) == 4, "what was taken or queued is executed all the same"


async def test_the_answer_comes_before_what_came_meanwhile(create_sequencer):
    """Within the turn that made it durable: it does not wait for what the loop has to do besides."""
    sequencer = await create_sequencer()
    seen = []

    async def trade():
        await sequencer.submit(CONFIGURE, TIMEOUT)
        seen.append("answered")

    trading = asyncio.create_task(trade())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(seen.append, "what came meanwhile")
    await trading
    await asyncio.sleep(0)
    assert seen == ["answered", "what came meanwhile"]


async def test_the_record_is_published_in_the_turn_of_its_answers(create_sequencer, feed):
    """After them, so that nobody waits for what others are told; before what came meanwhile."""
    sequencer = await create_sequencer()
    seen = []

    async def follow(records):
        async for _ in records:
            seen.append("published")

    async def trade():
        await sequencer.submit(CONFIGURE, TIMEOUT)
        seen.append("answered")

    following = asyncio.create_task(follow(feed.subscribe()))
    trading = asyncio.create_task(trade())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(seen.append, "what came meanwhile")
    await trading
    await asyncio.sleep(0)
    following.cancel()
    assert seen == ["answered", "published", "what came meanwhile"]


async def test_who_got_an_answer_may_submit_at_once(create_sequencer, journal):
    sequencer = await create_sequencer(batch_limit=4)
    done = []

    async def trade(number):
        for _ in range(5):
            await sequencer.submit(Tick(), TIMEOUT)
        done.append(number)

    await asyncio.gather(*(trade(number) for number in range(10)))
    assert done == list(range(10)), "round after round in their order"
    assert sum(len(record.commands) for record in await records(journal)) == 50


async def test_a_slow_commit_is_answered_when_it_is_made(create_sequencer, journal):
    """Nothing is executed meanwhile: the next record follows a durable one."""
    slow = SlowJournal(journal)
    sequencer = await create_sequencer(slow)
    slow.gate.clear()
    first = asyncio.create_task(sequencer.submit(CONFIGURE, TIMEOUT))
    await asyncio.sleep(0.01)
    executed = sequencer.tail()
    second = asyncio.create_task(sequencer.submit(Tick(), TIMEOUT))
    await asyncio.sleep(0.01)
    assert (sequencer.tail(), sequencer.queued) == (executed, 1)
    slow.gate.set()
    await asyncio.gather(first, second)
    assert [record.commands for record in await records(journal)] == [[CONFIGURE], [Tick()]]


async def test_reads_wait_until_what_they_saw_is_durable(create_sequencer, journal):
    slow = SlowJournal(journal)
    sequencer = await create_sequencer(slow)
    slow.gate.clear()
    submitting = asyncio.create_task(sequencer.submit(CONFIGURE, TIMEOUT))
    await asyncio.sleep(0.01)
    reading = asyncio.create_task(sequencer.read(lambda core: core.configuration))
    await asyncio.sleep(0.02)
    assert not reading.done(), "the core has executed it, the journal does not have it"
    slow.gate.set()
    assert await reading == CONFIGURE
    await submitting
    assert await sequencer.read(lambda core: core.fee_bps) == CONFIGURE.fee_bps


async def test_failed_append_ends_everything(create_sequencer, journal):
    slow = SlowJournal(journal)
    sequencer = await create_sequencer(slow)
    await sequencer.submit(CONFIGURE, TIMEOUT)
    slow.failure = sqlite3.OperationalError("disk full")
    with pytest.raises(Unavailable, match="disk full"):
        await sequencer.submit(Tick(), TIMEOUT)
    assert isinstance(sequencer.fatal[0], sqlite3.OperationalError)
    slow.failure = None
    with pytest.raises(Unavailable, match="sequencer stopped"):
        await sequencer.submit(Tick(), TIMEOUT)
    with pytest.raises(Unavailable, match="sequencer stopped"):
        await sequencer.read(lambda core: core.configuration)
    assert len(await records(journal)) == 1


async def test_fenced_core_ends(create_sequencer, journal, tmp_path):
    old = await create_sequencer()
    await old.submit(CONFIGURE, TIMEOUT)
    await journal.acquire("another core")
    with pytest.raises(Unavailable, match="epoch"):
        await old.submit(Tick(), TIMEOUT)
    assert isinstance(old.fatal[0], Fenced)


async def test_stop_answers_what_is_queued(create_sequencer, journal):
    slow = SlowJournal(journal)
    sequencer = await create_sequencer(slow)
    slow.gate.clear()
    queued = [asyncio.create_task(sequencer.submit(command, TIMEOUT)) for command in [CONFIGURE, *[Tick()] * 100]]
    await asyncio.sleep(0.01)
    sequencer.stop()
    with pytest.raises(Unavailable, match="shutting down"):
        await sequencer.submit(Tick(), TIMEOUT)
    slow.gate.set()
    assert await asyncio.gather(*queued) == [Done()] * 101
    assert await sequencer.read(lambda core: core.configuration) == CONFIGURE, "reads go on"


async def test_records_reach_the_feed_after_they_are_durable(create_sequencer, feed, journal):
    sequencer = await create_sequencer()
    following = feed.subscribe()
    await submit_all(sequencer, create_opening())
    record = await anext(following)
    assert record in await records(journal)


async def test_a_turn_belongs_to_no_request(create_sequencer):
    """What it logs is not said of whoever submitted first; each request goes on as what it is."""
    seen = []
    sequencer = await create_sequencer(fault=lambda step: seen.append(REQUEST_ID.get()))

    async def trade(name):
        REQUEST_ID.set(name)
        await sequencer.submit(Tick(), TIMEOUT)
        return REQUEST_ID.get()

    assert await asyncio.gather(trade("first"), trade("second")) == ["first", "second"]
    assert set(seen) == {""}


STEPS = ("taking", "executed", "appended", "answered", "published")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("occurrence", [1, 2, 4])
async def test_killed_anywhere_nothing_acknowledged_is_lost(create_sequencer, journal, step, occurrence):
    """Kill the loop at each of its steps; then recover and send everything that was not answered again."""
    seen = 0

    def fault(at: str) -> None:
        nonlocal seen
        seen += at == step
        if at == step and seen == occurrence:
            raise Killed(step)

    commands = [*create_opening(), *create_trading(60, keys=30)]
    first = await create_sequencer(batch_limit=8, fault=fault)
    answers = await asyncio.gather(*(first.submit(command, TIMEOUT) for command in commands), return_exceptions=True)
    assert isinstance(first.fatal[0], Killed)
    answered = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert answers[: len(answered)] == answered
    assert all(isinstance(answer, Unavailable) for answer in answers[len(answered) :])

    second = await create_sequencer()
    stored = [command for record in await records(journal) for command in record.commands]
    assert stored == commands[: len(stored)]
    assert len(stored) >= len(answered)
    again = [await second.submit(command, TIMEOUT) for command in commands[len(answered) :]]

    core = Core()
    undisturbed = [core.execute(command, 1_700_000_000_000)[0] for command in commands]
    for result, expected in zip([*answered, *again], undisturbed, strict=True):
        if isinstance(result, PlaceResult) and result.repeated:
            assert msgspec.structs.replace(result, repeated=False) == expected
        elif isinstance(result, PlaceResult):
            assert result == expected
    assert await second.read(balances) == balances(core)
    assert await second.read(depth) == depth(core)


def balances(core) -> list[BalanceUpdate]:
    return [balance for account in (MAKER, TAKER) for balance in core.balances(account)]


def depth(core):
    return [core.depth(MARKET.id, side, 100) for side in (0, 1)]


async def test_recovery_from_snapshot_equals_recovery_from_the_start(create_sequencer, journal):
    sequencer = await create_sequencer()
    await submit_all(sequencer, [*create_opening(), *create_trading(100)])
    halfway = await recover(journal)
    await submit_all(sequencer, create_trading(80, seed=2))
    full = await recover(journal)
    await journal.save_snapshot(halfway.seq, halfway.core.snapshot())
    from_snapshot = await recover(journal)
    assert (from_snapshot.seq, from_snapshot.time_ms) == (full.seq, full.time_ms)
    assert from_snapshot.core.snapshot() == full.core.snapshot()
    restarted = await create_sequencer()
    assert await restarted.submit(SetStatus(MARKET.id, True, "test"), TIMEOUT) == Done()

"""Sockets write once for everything that a piece of work has for them."""

from __future__ import annotations

import asyncio

from offchain.api.keys import HUB, OUTBOX
from offchain.api.outbox import Outbox
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import MAKER, Exchange, create_order


def test_writes_in_the_next_turn_by_itself(run):
    async def scenario():
        outbox, seen = Outbox(), []
        outbox.add(lambda: seen.append("first"))
        outbox.add(lambda: seen.append("second"))
        assert seen == []
        await asyncio.sleep(0)
        assert seen == ["first", "second"]
        outbox.add(lambda: seen.append("third"))
        await asyncio.sleep(0)
        assert seen == ["first", "second", "third"]

    run(scenario())


def test_writes_at_once_when_told_to_and_not_again(run):
    async def scenario():
        outbox, seen = Outbox(), []
        outbox.add(lambda: seen.append("early"))
        outbox.flush()
        assert seen == ["early"]
        outbox.add(lambda: seen.append("late"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert seen == ["early", "late"]

    run(scenario())


def test_one_that_fails_keeps_no_other_waiting(run):
    async def scenario():
        outbox, seen = Outbox(), []

        def fail():
            raise ConnectionError("gone")

        outbox.add(fail)
        outbox.add(lambda: seen.append("written"))
        outbox.flush()
        assert seen == ["written"]

    run(scenario())


def test_who_writes_may_have_more_to_write(run):
    async def scenario():
        outbox, seen = Outbox(), []
        outbox.add(lambda: outbox.add(lambda: seen.append("more")))
        outbox.flush()
        assert seen == []
        await asyncio.sleep(0)
        assert seen == ["more"]

    run(scenario())


class Recipient:
    """A sink that keeps what it would have written."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.written: list[bytes] = []

    def offer(self, frame: bytes) -> None:
        self._outbox.add(lambda: self.written.append(frame))

    async def room(self) -> None:
        pass

    def overflow(self) -> None:
        raise AssertionError("nothing is held back for long")


async def test_events_are_written_in_the_turn_of_their_record(api: Api, exchange: Exchange) -> None:
    recipient = Recipient(exchange.app[OUTBOX])
    await exchange.app[HUB].subscribe_trader(recipient, MAKER.address, None)
    await asyncio.sleep(0)
    recipient.written.clear()
    await exchange.submit(exchange.place(MAKER, create_order(MAKER)))
    # The answer comes first, within the turn; then the turn goes on.
    assert recipient.written == []
    await asyncio.sleep(0)
    assert [b"orderUpdate" in frame for frame in recipient.written] == [True, False]

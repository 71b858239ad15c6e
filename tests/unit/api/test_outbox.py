"""Sockets write once for everything that a piece of work has for them."""

from __future__ import annotations

import asyncio

from offchain.api.outbox import Outbox


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

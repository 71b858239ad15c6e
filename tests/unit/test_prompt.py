"""Who waits for a `PromptFuture` goes on within `resolve`; in everything else it is a future like any other."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from offchain.prompt import PromptFuture

NAME: ContextVar[str] = ContextVar("name", default="")


async def in_callback(call):
    """Let the loop call it outside of every task; what it returns or raises."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def work():
        try:
            done.set_result(call())
        except Exception as error:
            done.set_exception(error)

    loop.call_soon(work)
    return await done


async def create_waiting(name="waiter", future=None):
    """A future, a task that waits for it, and what the task has done."""
    future = PromptFuture(asyncio.get_running_loop()) if future is None else future
    seen = []

    async def wait():
        NAME.set(name)
        seen.append(await future)
        seen.append(NAME.get())
        await asyncio.sleep(0)
        seen.append("later")

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    return future, task, seen


def test_who_waits_goes_on_before_resolve_returns(run):
    async def scenario():
        future, task, seen = await create_waiting()

        def resolve():
            future.resolve(7)
            return list(seen)

        assert await in_callback(resolve) == [7, "waiter"], "up to its next wait, in its own context"
        await task
        assert seen == [7, "waiter", "later"]
        assert future.result() == 7
        assert await future == 7, "and so does who comes later"

    run(scenario())


def test_all_who_wait_go_on_in_their_order(run):
    async def scenario():
        future, first, seen = await create_waiting("first")
        _, second, also_seen = await create_waiting("second", future)
        await in_callback(lambda: future.resolve(1))
        await asyncio.gather(first, second)
        assert (seen[:2], also_seen[:2]) == ([1, "first"], [1, "second"])

    run(scenario())


def test_inside_a_task_they_go_on_in_the_next_turn(run):
    async def scenario():
        future, task, seen = await create_waiting()
        future.resolve(7)
        assert not seen, "this task has the loop"
        await task
        assert seen == [7, "waiter", "later"]

    run(scenario())


def test_who_has_left_is_not_called(run):
    async def scenario():
        future, task, seen = await create_waiting()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert future.cancelled()
        with pytest.raises(asyncio.InvalidStateError):
            await in_callback(lambda: future.resolve(7))
        assert not seen

    run(scenario())


def test_a_wait_with_a_limit(run):
    async def scenario():
        loop = asyncio.get_running_loop()
        in_time = PromptFuture(loop)
        loop.call_soon(in_time.resolve, 7)
        async with asyncio.timeout(5):
            assert await in_time == 7
        never = PromptFuture(loop)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(never, 0.01)
        assert never.cancelled()

    run(scenario())


def test_an_exception_comes_as_with_any_future(run):
    async def scenario():
        future, task, seen = await create_waiting()
        future.set_exception(ValueError("no"))
        with pytest.raises(ValueError, match="no"):
            await task
        assert not seen

    run(scenario())


def test_a_callback_that_fails_disturbs_nobody(run):
    async def scenario():
        failures = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, facts: failures.append(facts["exception"]))
        future = PromptFuture(asyncio.get_running_loop())
        taken_back = []
        future.add_done_callback(lambda done: 1 // 0)
        future.add_done_callback(taken_back.append)
        assert future.remove_done_callback(taken_back.append) == 1
        _, task, seen = await create_waiting("waiter", future)
        await in_callback(lambda: future.resolve(7))
        await task
        assert seen[0] == 7
        assert [type(failure) for failure in failures] == [ZeroDivisionError]
        assert not taken_back

    run(scenario())

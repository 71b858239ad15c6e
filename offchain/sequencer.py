"""The one loop that changes the exchange's state: take, execute, append, publish, answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from offchain.domain.commands import Command
from offchain.domain.core import Core
from offchain.domain.events import Event, Result
from offchain.ports import RULES_VERSION, Clock, Feed, Journal, Overloaded, Record, Unavailable
from offchain.replica import Replica

T = TypeVar("T")

QUEUE_LIMIT = 4096
"""commands that may wait; the place in the queue is the time priority"""

BATCH_LIMIT = 64
"""commands per record"""

Fault = Callable[[str], None]
"""Called with the name of each step of the loop; tests kill the process there."""


def no_fault(step: str) -> None:
    """In production no step fails on purpose."""


class Sequencer:
    """Implements `Ingress` over one `Core`. Everything runs on one event loop.

    An answer means that the command is durable. If a record cannot be appended, memory is ahead of the journal and
    must not be used any more: `fatal` is called, which ends the process, and recovery starts from the journal.
    """

    def __init__(
        self,
        state: Replica,
        journal: Journal,
        epoch: int,
        prev_hash: bytes,
        feed: Feed,
        clock: Clock,
        fatal: Callable[[BaseException], None],
        *,
        queue_limit: int = QUEUE_LIMIT,
        batch_limit: int = BATCH_LIMIT,
        fault: Fault = no_fault,
    ) -> None:
        """`state` stands at the journal's tail, whose record has the hash `prev_hash`; `epoch` is that of our lock."""
        self._core = state.core
        self._executed = state.seq
        self._durable = state.seq
        self._time_ms = state.time_ms
        self._journal = journal
        self._epoch = epoch
        self._prev_hash = prev_hash
        self._feed = feed
        self._clock = clock
        self._fatal = fatal
        self._queue_limit = queue_limit
        self._batch_limit = batch_limit
        self._fault = fault
        self._queue: deque[tuple[Command, asyncio.Future[Result]]] = deque()
        self._unanswered: list[tuple[Command, asyncio.Future[Result]]] = []
        self._readers: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._refusal: str | None = None
        self._failed = False

    def tail(self) -> int:
        """Last event executed; inside `read` it belongs to the state that is looked at."""
        return self._executed

    @property
    def queued(self) -> int:
        """Commands that wait to be taken."""
        return len(self._queue)

    async def submit(self, command: Command, timeout_ms: int) -> Result:
        """Execute `command` and return its result once it is durable.

        Raises Overloaded if the queue is full, Unavailable if the service stops or the time is over; in the second case
        the command may have been taken. A caller that goes away cancels nothing.
        """
        if self._refusal is not None:
            raise Unavailable(self._refusal)
        if len(self._queue) >= self._queue_limit:
            raise Overloaded(f"{self._queue_limit} commands are waiting")
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.append((command, answer))
        self._wake.set()
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await answer
        except TimeoutError:
            raise Unavailable(f"no answer within {timeout_ms} ms; the command may have been executed") from None

    async def read(self, fn: Callable[[Core], T]) -> T:
        """Return `fn(core)` once everything that it could see is durable.

        `fn` must not change the core, and must return values that do not change with it. Raises Unavailable.
        """
        if self._failed:
            raise Unavailable(str(self._refusal))
        seen = fn(self._core)
        if self._executed > self._durable:
            durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._readers.append(durable)
            await durable
        return seen

    def stop(self) -> None:
        """Take nothing more; `run` answers what is queued and returns."""
        self._refusal = self._refusal or "the service is shutting down"
        self._wake.set()

    async def run(self) -> None:
        """Work until `stop`. Any failure, which includes a bug in the core, ends in `fatal`."""
        try:
            while self._queue or self._refusal is None:
                if self._queue:
                    await self._step()
                else:
                    self._wake.clear()
                    await self._wake.wait()
        except BaseException as error:
            self._fail(error)
            self._fatal(error)
            raise

    async def _step(self) -> None:
        self._fault("taking")
        take = min(len(self._queue), self._batch_limit)
        self._unanswered = [self._queue.popleft() for _ in range(take)]
        record, results = self._execute([command for command, _ in self._unanswered])
        self._fault("executed")
        await self._journal.append(record)
        self._fault("appended")
        _, self._prev_hash = await self._journal.tail()
        self._durable = record.last
        await self._feed.publish(record)
        self._fault("published")
        self._answer(results)
        self._fault("answered")

    def _execute(self, commands: list[Command]) -> tuple[Record, list[Result]]:
        self._time_ms = max(self._time_ms, self._clock.now_ms())
        results: list[Result] = []
        events: list[list[Event]] = []
        first = self._executed + 1
        for command in commands:
            result, happened = self._core.execute(command, self._time_ms)
            results.append(result)
            events.append(happened)
            self._executed += len(happened)
        record = Record(
            self._epoch, first, self._executed, self._time_ms, RULES_VERSION, self._prev_hash, commands, events
        )
        return record, results

    def _answer(self, results: list[Result]) -> None:
        for (_, answer), result in zip(self._unanswered, results, strict=True):
            if not answer.done():
                answer.set_result(result)
        self._unanswered = []
        for reader in self._readers:
            if not reader.done():
                reader.set_result(None)
        self._readers.clear()

    def _fail(self, error: BaseException) -> None:
        self._failed = True
        self._refusal = f"the sequencer stopped: {error!r}"
        unavailable = Unavailable(self._refusal)
        for _, answer in (*self._unanswered, *self._queue):
            if not answer.done():
                answer.set_exception(unavailable)
        for reader in self._readers:
            if not reader.done():
                reader.set_exception(unavailable)
        self._queue.clear()

"""The one loop that changes the exchange's state: take, execute, append, answer, publish."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from logging import DEBUG
from time import perf_counter
from typing import NamedTuple, TypeVar

import structlog

from offchain.domain.commands import CancelOrder, Command, CreateApiKey, PlaceOrder
from offchain.domain.core import Core
from offchain.domain.events import Event, Trade
from offchain.domain.results import Result
from offchain.metrics import CoreMetrics
from offchain.ports import RULES_VERSION, Clock, Feed, Journal, Overloaded, Record, Unavailable
from offchain.prompt import PromptFuture
from offchain.replica import Replica
from offchain.tracing import REQUEST_ID

log = structlog.get_logger(__name__)

T = TypeVar("T")

QUEUE_LIMIT = 4096
"""commands that may wait; the place in the queue is the time priority"""

RESERVED_FOR_OTHERS = 1024
"""places beyond the limit that only cancels, blocks and batches may take: whoever floods the exchange with orders, or
with API keys, keeps nobody from getting out, and the chain from nothing"""

BATCH_LIMIT = 64
"""commands per record"""

EXPIRY_SECONDS = 0.05
"""pause between two looks whose time is over"""

Fault = Callable[[str], None]
"""Called with the name of each step of the loop; tests kill the process there."""


def no_fault(step: str) -> None:
    """In production no step fails on purpose."""


class _Waiting(NamedTuple):
    """A command in the queue."""

    command: Command
    answer: PromptFuture[Result]
    request_id: str
    """of the HTTP request that brought it, "" for others"""
    timeout_ms: int
    deadline: float
    """on the loop's clock"""


class _Turn(NamedTuple):
    """What was executed and must be durable before it is answered."""

    record: Record
    results: list[Result]
    taken: list[_Waiting]
    started: float
    executed: float


class Sequencer:
    """Implements `Ingress` over one `Core`. Everything runs on one event loop.

    A turn is a callback of the loop, not a task: where the journal commits at once, whoever waits for an answer gets it
    within that turn (`PromptFuture`), instead of after everything that came meanwhile.

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
        reserve: int = RESERVED_FOR_OTHERS,
        batch_limit: int = BATCH_LIMIT,
        fault: Fault = no_fault,
        metrics: CoreMetrics | None = None,
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
        self._reserve = reserve
        self._batch_limit = batch_limit
        self._fault = fault
        self._metrics = metrics or CoreMetrics()
        self._metrics.queue_limit.set(queue_limit)
        self._queue: deque[_Waiting] = deque()
        self._unanswered: list[_Waiting] = []
        self._readers: list[asyncio.Future[None]] = []
        self._refusal: str | None = None
        self._failed = False
        self._ended: asyncio.Future[None] | None = None
        """how `run` ends; None before it has begun"""
        self._context = copy_context()
        self._is_due = False
        """the loop will call the next turn"""
        self._is_committing = False
        """a turn waits for the journal"""
        self._is_watched = False
        """the loop will look for commands whose time is over"""

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
        limit = self._queue_limit
        if not isinstance(command, PlaceOrder | CreateApiKey):
            limit += self._reserve
        if len(self._queue) >= limit:
            raise Overloaded(f"{limit} commands are waiting")
        loop = asyncio.get_running_loop()
        answer: PromptFuture[Result] = PromptFuture(loop)
        deadline = loop.time() + timeout_ms / 1000
        self._queue.append(_Waiting(command, answer, REQUEST_ID.get(), timeout_ms, deadline))
        self._call_turn()
        if not self._is_watched:
            self._is_watched = True
            loop.call_later(EXPIRY_SECONDS, self._expire)
        return await answer

    def _expire(self) -> None:
        """Answer those whose time is over. One timer for all: one per command costs as much as matching it."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for waiting in (*self._unanswered, *self._queue):
            if waiting.deadline <= now and not waiting.answer.done():
                detail = f"no answer within {waiting.timeout_ms} ms; the command may have been executed"
                waiting.answer.set_exception(Unavailable(detail))
        self._is_watched = bool(self._unanswered or self._queue)
        if self._is_watched:
            loop.call_later(EXPIRY_SECONDS, self._expire)

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
        self._call_turn()

    async def run(self) -> None:
        """Work until `stop`. Any failure, which includes a bug in the core, ends in `fatal`."""
        # Not the context of whoever happens to submit: log lines of a turn belong to no request.
        self._context = copy_context()
        self._ended = asyncio.get_running_loop().create_future()
        self._call_turn()
        try:
            await self._ended
        except BaseException as error:
            self._end(error)
            raise

    # -----------------------------------------------------------------------------------------------------------------
    # Turns
    # -----------------------------------------------------------------------------------------------------------------

    def _call_turn(self) -> None:
        """Let the loop call the next turn if there is anything to do; before that, requests come and answers leave."""
        has_work = self._queue or self._refusal is not None
        if has_work and self._ended is not None and not (self._is_due or self._is_committing):
            self._is_due = True
            self._ended.get_loop().call_soon(self._turn, context=self._context)

    def _turn(self) -> None:
        self._is_due = False
        if self._ended is None or self._ended.done():
            return
        if not self._queue:
            self._ended.set_result(None)
            return
        try:
            turn = self._take()
            digest = self._journal.append_at_once(turn.record)
            if digest is not None:
                self._committed(turn, digest)
                return
        except BaseException as error:
            self._end(error)
            return
        self._is_committing = True
        appending = self._ended.get_loop().create_task(self._journal.append(turn.record))
        appending.add_done_callback(partial(self._appended, turn), context=self._context)

    def _appended(self, turn: _Turn, appending: asyncio.Task[bytes]) -> None:
        self._is_committing = False
        try:
            digest = appending.result()
            if not self._failed:
                self._committed(turn, digest)
        except BaseException as error:
            self._end(error)

    def _take(self) -> _Turn:
        self._fault("taking")
        take = min(len(self._queue), self._batch_limit)
        self._unanswered = taken = [self._queue.popleft() for _ in range(take)]
        started = perf_counter()
        record, results = self._execute([waiting.command for waiting in taken])
        executed = perf_counter()
        self._fault("executed")
        return _Turn(record, results, taken, started, executed)

    def _committed(self, turn: _Turn, digest: bytes) -> None:
        record = turn.record
        committed = perf_counter()
        self._fault("appended")
        self._prev_hash = digest
        self._durable = record.last
        self._answer(turn.results)
        self._fault("answered")
        # After the answers, so that nobody waits for it; once per record.
        self._feed.publish(record)
        self._fault("published")
        published = perf_counter()
        commit = committed - turn.executed
        self._count(record, turn.executed - turn.started, commit, published - committed)
        self._log(record, turn.taken, commit)
        self._call_turn()

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

    def _count(self, record: Record, match: float, commit: float, publish: float) -> None:
        """Count one record; its stages in seconds."""
        metrics = self._metrics
        metrics.match_seconds.observe(match)
        metrics.commit_seconds.observe(commit)
        metrics.publish_seconds.observe(publish)
        metrics.record_commands.observe(len(record.commands))
        metrics.events.inc(record.last - record.first + 1)
        fills = sum(type(event) is Trade for events in record.events for event in events)
        if fills:
            metrics.fills.inc(fills)
        for command in record.commands:
            metrics.commands.labels(type(command).__name__).inc()

    def _log(self, record: Record, taken: list[_Waiting], commit: float) -> None:
        """Say which requests and orders a record holds and under which event numbers; ticks and blocks are no news."""
        if not log.is_enabled_for(DEBUG):
            return
        orders = [
            "0x" + waiting.command.order_hash.hex()
            for waiting in taken
            if isinstance(waiting.command, PlaceOrder | CancelOrder)
        ]
        if orders:
            requests = [waiting.request_id for waiting in taken if waiting.request_id]
            facts = {"first": record.first, "last": record.last, "commit_ms": round(1000 * commit, 2)}
            log.debug("committed", requests=requests, orders=orders, **facts)

    def _answer(self, results: list[Result]) -> None:
        # Whoever gets an answer goes on at once and may submit: what is ours is put in order before.
        taken, self._unanswered = self._unanswered, []
        readers, self._readers = self._readers, []
        for waiting, result in zip(taken, results, strict=True):
            if not waiting.answer.done():
                waiting.answer.resolve(result)
        for reader in readers:
            if not reader.done():
                reader.set_result(None)

    def _end(self, error: BaseException) -> None:
        """Nothing is executed any more."""
        if self._failed:
            return
        self._fail(error)
        self._fatal(error)
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    def _fail(self, error: BaseException) -> None:
        self._failed = True
        self._refusal = f"the sequencer stopped: {error!r}"
        unavailable = Unavailable(self._refusal)
        for waiting in (*self._unanswered, *self._queue):
            if not waiting.answer.done():
                waiting.answer.set_exception(unavailable)
        for reader in self._readers:
            if not reader.done():
                reader.set_exception(unavailable)
        self._queue.clear()

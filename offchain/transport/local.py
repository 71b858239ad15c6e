"""One machine: a feed inside a process, and a Unix socket between the core and the other processes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from offchain.domain.commands import Command, is_bare
from offchain.domain.errors import Code, Rejection
from offchain.domain.results import Result
from offchain.ports import CoreStatus, Ingress, Overloaded, Record, Unavailable
from offchain.prompt import PromptFuture
from offchain.transport.frames import (
    REPLIES,
    REQUESTS,
    Advanced,
    Answer,
    AskStatus,
    CaughtUp,
    FrameError,
    Refused,
    Reply,
    StatusAnswer,
    Submit,
    Subscribe,
    frame,
    read_frame,
)

FEED_LIMIT = 1024
"""records that may wait for one subscriber inside the process"""

INFLIGHT_LIMIT = 1024
"""requests of one connection under way at a time"""

CONNECTION_LIMIT = 64

WRITE_LIMIT = 8 * 1024 * 1024
"""bytes that may wait for one connection; one that is slower is closed"""

MAX_SOCKET_PATH = 103
"""bytes of a Unix socket's path that every system takes"""

_UNAUDITED = Rejection(Code.NOT_AUDITED, "", "this command comes only with its entry in the audit log: Administer")

log = structlog.get_logger(__name__)


# ---------------------------------------------------------------------------------------------------------------------
# Inside one process
# ---------------------------------------------------------------------------------------------------------------------


class LocalFeed:
    """Implements `Feed`. A slow subscriber loses its oldest records and sees the gap in the numbers of the next."""

    def __init__(self, limit: int = FEED_LIMIT) -> None:
        self._limit = limit
        self._subscribers: dict[int, _Subscriber] = {}
        self._ids = itertools.count()

    def publish(self, record: Record) -> None:
        """Hand `record` to every subscriber; never waits. Outside of a task, whoever waits for it takes it at once."""
        for subscriber in tuple(self._subscribers.values()):
            subscriber.waiting.append(record)
            if subscriber.wake is not None and not subscriber.wake.done():
                subscriber.wake.resolve(None)

    def subscribe(self) -> AsyncIterator[Record]:
        """Records published from this call on."""
        number = next(self._ids)
        self._subscribers[number] = _Subscriber(deque(maxlen=self._limit))
        return self._follow(number)

    async def _follow(self, number: int) -> AsyncIterator[Record]:
        subscriber = self._subscribers[number]
        try:
            while True:
                while subscriber.waiting:
                    yield subscriber.waiting.popleft()
                subscriber.wake = PromptFuture(asyncio.get_running_loop())
                await subscriber.wake
        finally:
            del self._subscribers[number]


@dataclass(slots=True)
class _Subscriber:
    waiting: deque[Record]
    wake: PromptFuture[None] | None = None


# ---------------------------------------------------------------------------------------------------------------------
# Server: the core's side
# ---------------------------------------------------------------------------------------------------------------------


class LocalServer:
    """Takes commands from the processes of this machine and user, and tells them how far the journal is."""

    def __init__(self, path: Path, ingress: Ingress, status: Callable[[], Awaitable[CoreStatus]]) -> None:
        self._path = path
        self._ingress = ingress
        self._status = status
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self.was_caught_up = False
        """whether a follower of the chain has ever said that it caught up"""

    @property
    def is_caught_up(self) -> bool:
        """Whether a connected process follows the chain and has caught up with it."""
        return any(connection.caught_up for connection in self._connections)

    @property
    def subscribers(self) -> int:
        """Connections that follow the journal."""
        return sum(connection.subscribed for connection in self._connections)

    async def start(self) -> None:
        """Listen. Replaces a socket that a killed process left; the caller holds the folder's lock.

        Raises ValueError if the path is too long for a socket, OSError if the system refuses.
        """
        address = socket_address(self._path)
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        listener.bind(address)
        os.chmod(self._path, 0o600)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener)

    async def advanced(self, seq: int) -> None:
        """Tell the subscribers that the journal ends at `seq`; never waits for them."""
        data = frame(REPLIES.encode(Advanced(seq)))
        for connection in tuple(self._connections):
            if connection.subscribed:
                connection.write(data)

    async def stop(self) -> None:
        """Close the socket and every connection."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= CONNECTION_LIMIT:
            log.warning("connection refused", connections=len(self._connections))
            writer.transport.abort()
            return
        connection = _Connection(reader, writer, self._ingress, self._status, self._on_caught_up)
        self._connections.add(connection)
        try:
            await connection.run()
        except (FrameError, msgspec.DecodeError) as error:
            log.warning("connection closed: not understood", reason=str(error))
        except ConnectionError as error:
            log.info("connection lost", reason=str(error))
        finally:
            self._connections.discard(connection)
            connection.close()

    def _on_caught_up(self) -> None:
        self.was_caught_up = True


class _Connection:
    """One client. Its requests run side by side; the order of submission is that of arrival."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ingress: Ingress,
        status: Callable[[], Awaitable[CoreStatus]],
        on_caught_up: Callable[[], None],
    ) -> None:
        self.subscribed = False
        self.caught_up = False
        self._on_caught_up = on_caught_up
        self._reader = reader
        self._writer = writer
        self._ingress = ingress
        self._status = status
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the client closes. Raises FrameError, DecodeError, ConnectionError."""
        while (body := await read_frame(self._reader)) is not None:
            request = REQUESTS.decode(body)
            if isinstance(request, Submit | AskStatus):
                self._start(request)
            elif isinstance(request, CaughtUp):
                self.caught_up = True
                self._on_caught_up()
            else:
                self.subscribed = True

    def write(self, data: bytes) -> None:
        """Send without waiting; a client that does not read is cut off."""
        if self._writer.transport.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > WRITE_LIMIT:
            log.warning("connection closed: it does not read")
            self._writer.transport.abort()
            return
        self._writer.write(data)

    def close(self) -> None:
        self.subscribed = self.caught_up = False
        self._writer.close()

    def _start(self, request: Submit | AskStatus) -> None:
        if len(self._tasks) >= INFLIGHT_LIMIT:
            self._reply(Refused(request.id, True, f"{INFLIGHT_LIMIT} requests of this connection are under way"))
            return
        task = asyncio.create_task(self._answer(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: Submit | AskStatus) -> None:
        try:
            if isinstance(request, Submit) and is_bare(request.command):
                self._reply(Answer(request.id, _UNAUDITED))
            elif isinstance(request, Submit):
                self._reply(Answer(request.id, await self._ingress.submit(request.command, request.timeout_ms)))
            else:
                self._reply(StatusAnswer(request.id, await self._status()))
        except Overloaded as error:
            self._reply(Refused(request.id, True, str(error)))
        except Unavailable as error:
            self._reply(Refused(request.id, False, str(error)))

    def _reply(self, reply: Reply) -> None:
        self.write(frame(REPLIES.encode(reply)))


# ---------------------------------------------------------------------------------------------------------------------
# Client: every other process
# ---------------------------------------------------------------------------------------------------------------------


class LocalIngress:
    """Implements `Ingress` over the core's socket; connects again, with growing pauses, when the core restarts."""

    FIRST_PAUSE = 0.05
    LONGEST_PAUSE = 0.25  # a look at a socket of this machine costs nothing, and trading waits for it

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()
        self._advanced = asyncio.Event()
        self._caught_up = False
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    async def start(self) -> None:
        """Begin to connect; returns at once. Raises ValueError if the path is too long for a socket."""
        socket_address(self._path)
        self._task = asyncio.create_task(self._keep_connected())

    async def submit(self, command: Command, timeout_ms: int) -> Result:
        """As `Ingress.submit`. Waits for a connection within `timeout_ms`. Raises Overloaded, Unavailable."""
        reply = await self._ask(Submit(next(self._ids), command, timeout_ms), timeout_ms)
        if isinstance(reply, Answer):
            return reply.result
        raise Unavailable(f"the core gave {reply} to a command")

    async def status(self, timeout_ms: int) -> CoreStatus:
        """How the core is. Raises Overloaded, Unavailable."""
        reply = await self._ask(AskStatus(next(self._ids)), timeout_ms)
        if isinstance(reply, StatusAnswer):
            return reply.status
        raise Unavailable(f"the core gave {reply} to a question for its status")

    def caught_up(self) -> None:
        """Tell the core, now and after each reconnection, that the chain is followed and was caught up with."""
        self._caught_up = True
        if self._writer is not None and self.connected:
            self._writer.write(frame(REQUESTS.encode(CaughtUp())))

    async def wait_advanced(self, timeout_ms: int) -> bool:
        """Wait until the journal has grown since the last call, or the time is over; says which."""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self._advanced.wait()
        except TimeoutError:
            return False
        self._advanced.clear()
        return True

    async def close(self) -> None:
        """Close the connection; what was not answered raises Unavailable."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _ask(self, request: Submit | AskStatus, timeout_ms: int) -> Reply:
        data = frame(REQUESTS.encode(request))
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self._connected.wait()
                if self._writer is None or len(self._waiting) >= INFLIGHT_LIMIT:
                    raise Overloaded(f"{len(self._waiting)} requests to the core are under way")
                self._waiting[request.id] = answer
                self._writer.write(data)
                reply = await answer
        except TimeoutError:
            raise Unavailable(f"the core did not answer within {timeout_ms} ms") from None
        finally:
            self._waiting.pop(request.id, None)
        if isinstance(reply, Refused):
            raise (Overloaded if reply.overloaded else Unavailable)(reply.detail)
        return reply

    async def _keep_connected(self) -> None:
        pause = self.FIRST_PAUSE
        while True:
            try:
                reader, self._writer = await asyncio.open_unix_connection(socket_address(self._path))
                pause = self.FIRST_PAUSE
                await self._converse(reader, self._writer)
                reason = "the core closed the connection"
            except (OSError, FrameError, msgspec.DecodeError) as error:
                reason = str(error)
            finally:
                self._disconnect()
            log.debug("not connected to the core", reason=reason, again_in=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, self.LONGEST_PAUSE)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(REQUESTS.encode(Subscribe())))
        if self._caught_up:
            writer.write(frame(REQUESTS.encode(CaughtUp())))
        self._connected.set()
        # Records may have been appended while there was no connection.
        self._advanced.set()
        while (body := await read_frame(reader)) is not None:
            reply = REPLIES.decode(body)
            if isinstance(reply, Advanced):
                self._advanced.set()
            elif (answer := self._waiting.get(reply.id)) is not None and not answer.done():
                answer.set_result(reply)

    def _disconnect(self) -> None:
        self._connected.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Unavailable("the connection to the core broke; the command may be executed"))


def socket_address(path: Path) -> str:
    """`path` as a socket address: relative to the working directory where that is shorter.

    Raises ValueError if it is too long either way.
    """
    absolute = str(path.absolute())
    address = min(absolute, os.path.relpath(path), key=len)
    if len(os.fsencode(address)) > MAX_SOCKET_PATH:
        raise ValueError(f"data_dir: {absolute} is too long for a Unix socket ({MAX_SOCKET_PATH} bytes)")
    return address

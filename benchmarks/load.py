"""The load generator: a process of its own that sends prepared bytes and reads no more of the answers than it must.

Nothing here knows what an order is. Latencies are in milliseconds; in a closed loop from sending a request to its
answer, in an open loop from the moment at which the request was due, whether or not it could be sent then.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import resource
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

import msgspec
import uvloop

from offchain.cpus import cpus_of

T = TypeVar("T")

HOST = "127.0.0.1"
DRAIN_SECONDS = 10.0
"""for answers and events that are still under way at the end"""


class Load(NamedTuple):
    seconds: float
    latencies_ms: list[float]
    """one per request"""


class Failed(Exception):
    """The service answered something else than success."""


@contextmanager
def on_cpus_of(role: str) -> Iterator[None]:
    """What is started meanwhile runs on the CPUs of one of the service's processes."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus_of(role, allowed))
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def apart(call: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
    """Run a coroutine function of this module in a process of its own, away from the core's CPU."""
    with on_cpus_of("load"), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_run, call, arguments).result()


def _run(call: Callable[..., Coroutine[Any, Any, T]], arguments: tuple[Any, ...]) -> T:
    # Whoever sends is on another machine; here it must not wait for a CPU, or its waiting would be measured.
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(call(*arguments))


def http_post(path: str, body: bytes) -> bytes:
    """A whole request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def ws_text(text: bytes) -> bytes:
    """A whole frame of a client, whose mask is zero."""
    size = len(text)
    head = bytes((0x81, 0x80 | size)) if size < 126 else bytes((0x81, 0xFE)) + size.to_bytes(2, "big")
    return head + bytes(4) + text


# ---------------------------------------------------------------------------------------------------------------------
# Connections
# ---------------------------------------------------------------------------------------------------------------------


class _Connection(asyncio.Protocol, ABC):
    """Tells `received` each whole answer."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.received: Callable[[bytes], None] = lambda answer: None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (size := self._whole(self._buffer)) and len(self._buffer) >= size:
            answer, self._buffer = self._buffer[:size], self._buffer[size:]
            self._deliver(answer)

    def _deliver(self, answer: bytes) -> None:
        self.received(answer)

    @abstractmethod
    def _whole(self, data: bytes) -> int:
        """Bytes of the first answer; 0 if that is not known yet."""


class Http(_Connection):
    def _whole(self, data: bytes) -> int:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return 0
        found = _LENGTH.search(data, 0, end)
        return end + 4 + (int(found[1]) if found else 0)


_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Socket(_Connection):
    """A WebSocket's frames after the answer to the upgrade."""

    def _whole(self, data: bytes) -> int:
        if data[:4] == b"HTTP":
            end = data.find(b"\r\n\r\n")
            return end + 4 if end > 0 else 0
        if len(data) < 10:
            return len(data) if len(data) > 1 and len(data) == 2 + (data[1] & 127) else 0
        size = data[1]
        if size < 126:
            return 2 + size
        return 4 + int.from_bytes(data[2:4], "big") if size == 126 else 10 + int.from_bytes(data[2:10], "big")

    def _deliver(self, answer: bytes) -> None:
        if answer[0] == 0x89:  # a ping
            self.transport.write(bytes((0x8A, 0x80 | answer[1])) + bytes(4) + answer[2:])
        else:
            self.received(answer)


def payload(frame: bytes) -> bytes:
    return frame[2 if frame[1] < 126 else 4 if frame[1] == 126 else 10 :]


async def connect_http(port: int) -> Http:
    _, connection = await asyncio.get_running_loop().create_connection(Http, HOST, port)
    return connection


async def connect_socket(port: int) -> Socket:
    _, connection = await asyncio.get_running_loop().create_connection(Socket, HOST, port)
    opened = asyncio.get_running_loop().create_future()
    connection.received = opened.set_result
    upgrade = (
        f"GET /v1/ws HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    connection.transport.write(upgrade.encode())
    answer = await opened
    if b" 101 " not in answer:
        raise Failed(answer.decode())
    return connection


# ---------------------------------------------------------------------------------------------------------------------
# Closed loops
# ---------------------------------------------------------------------------------------------------------------------


class _Loop:
    """Sends one request after the other as fast as they are answered, `depth` at a time on each connection.

    Answers come in the order of the requests over HTTP; over a socket nearly so, and latencies are taken as if.
    """

    def __init__(self, requests: Sequence[bytes], is_good: Callable[[bytes], bool]) -> None:
        self._requests = iter(requests)
        self._missing = len(requests)
        self._is_good = is_good
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.latencies_ms: list[float] = []

    async def run(self, connections: Sequence[_Connection], depth: int) -> float:
        started = perf_counter()
        for connection in connections:
            self._use(connection, depth)
        await self._done
        return perf_counter() - started

    def _use(self, connection: _Connection, depth: int) -> None:
        sent: deque[float] = deque()

        def send() -> None:
            request = next(self._requests, None)
            if request is not None:
                sent.append(perf_counter())
                connection.transport.write(request)

        def received(answer: bytes) -> None:
            if not self._is_good(answer):
                if not self._done.done():
                    self._done.set_exception(Failed(answer.decode(errors="replace")))
                return
            self.latencies_ms.append(1e3 * (perf_counter() - sent.popleft()))
            self._missing -= 1
            send()
            if not self._missing:
                self._done.set_result(None)

        connection.received = received
        for _ in range(depth):
            send()


def _is_success(answer: bytes) -> bool:
    return answer[9:12] in (b"200", b"201")


async def post_all(port: int, requests: Sequence[bytes], connections: int) -> Load:
    """Each request once. Raises Failed for any answer but 200 and 201."""
    opened = [await connect_http(port) for _ in range(connections)]
    loop = _Loop(requests, _is_success)
    seconds = await loop.run(opened, 1)
    return Load(seconds, loop.latencies_ms)


async def send_all(port: int, frames: Sequence[bytes], connections: int, depth: int) -> Load:
    """The same over sockets, on each `depth` messages at a time. Raises Failed for an error."""
    opened = [await connect_socket(port) for _ in range(connections)]
    loop = _Loop(frames, lambda answer: b'"op":"error"' not in answer)
    seconds = await loop.run(opened, depth)
    return Load(seconds, loop.latencies_ms)


# ---------------------------------------------------------------------------------------------------------------------
# Open loop
# ---------------------------------------------------------------------------------------------------------------------


MIN_WAIT = 0.0005
"""seconds; shorter waits are not worth their timer"""

SNAPSHOT_PREFIX = 40
"""bytes of a message in which its type is"""


class OpenLoad(NamedTuple):
    seconds: float
    answers_ms: list[float]
    events_ms: list[float]
    """of requests that filled at once: until the taker's first fill arrived on its channel"""


class _Fill(msgspec.Struct, rename="camel"):
    order_id: str = ""
    role: str = ""


class _Event(msgspec.Struct):
    type: str = ""
    data: _Fill | None = None


_EVENT = msgspec.json.Decoder(_Event)


async def post_at_rate(
    port: int,
    requests: Sequence[bytes],
    ids: Sequence[str],
    per_s: float,
    connections: int,
    greetings: Sequence[Sequence[bytes]],
) -> OpenLoad:
    """Each request once, at random times (a Poisson process of `per_s`), on whichever connection is free.

    `ids` names the orders; for each of `greetings` a socket says it to see what happens to orders of its account. The
    time begins when all of them have their snapshots, which are long.
    """
    opened = [await connect_http(port) for _ in range(connections)]
    due: dict[str, float] = {}
    answers: list[float] = []
    events: list[float] = []
    free = deque(opened)
    waiting: deque[tuple[float, bytes]] = deque()
    watched = 0

    def watch(frame: bytes) -> None:
        nonlocal watched
        text = payload(frame)
        if b'"snapshot"' in text[:SNAPSHOT_PREFIX]:
            watched += 1
        if b'"fillUpdate"' in text:
            fill = _EVENT.decode(text).data
            if fill is not None and fill.role == "taker" and fill.order_id in due:
                events.append(1e3 * (perf_counter() - due.pop(fill.order_id)))

    def send(connection: Http, at: float, request: bytes) -> None:
        def received(answer: bytes) -> None:
            if not _is_success(answer):
                raise Failed(answer.decode(errors="replace"))
            answers.append(1e3 * (perf_counter() - at))
            if waiting:
                send(connection, *waiting.popleft())
            else:
                free.append(connection)

        connection.received = received
        connection.transport.write(request)

    for greeting in greetings:
        watching = await connect_socket(port)
        watching.received = watch
        watching.transport.write(b"".join(greeting))
    for _ in range(int(20 * DRAIN_SECONDS)):
        if watched == len(greetings):
            break
        await asyncio.sleep(0.05)
    else:
        raise Failed(f"{len(greetings) - watched} sockets had no snapshot")
    await asyncio.sleep(0.5)
    chance, started = random.Random(1), perf_counter()
    at = started
    for request, order_id in zip(requests, ids, strict=True):
        at += chance.expovariate(per_s)
        # The loop's timer is coarse, which costs a millisecond; waiting exactly would take a core from the service.
        while (left := at - perf_counter()) > MIN_WAIT:  # noqa: ASYNC110 (time, not an event)
            await asyncio.sleep(left)
        due[order_id] = at
        if free:
            send(free.popleft(), at, request)
        else:
            waiting.append((at, request))
    seconds = perf_counter() - started
    for _ in range(int(10 * DRAIN_SECONDS)):
        if len(answers) == len(requests):
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.2)
    if len(answers) < len(requests):
        raise Failed(f"{len(requests) - len(answers)} requests were not answered")
    return OpenLoad(seconds, answers, events)


# ---------------------------------------------------------------------------------------------------------------------
# Subscribers
# ---------------------------------------------------------------------------------------------------------------------


class Watched(NamedTuple):
    cpu_s: float
    """of the observed process while the requests were sent"""
    frames: int
    """that arrived, of all sockets together"""
    after: int
    last: int
    """the events that one socket's messages of depth covered: from behind `after` to `last`"""
    trades: int
    """that one socket was told of"""


class _Message(msgspec.Struct, rename="camel"):
    type: str = ""
    seq: int = 0
    prev_seq: int = 0
    data: msgspec.Raw = msgspec.Raw(b"null")


_MESSAGE = msgspec.json.Decoder(_Message)


def cpu_seconds(process: int) -> float:
    """User and system time that a process has used so far, all threads together."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def watch_market(
    port: int, process: int, greeting: bytes, sockets: int, requests: Sequence[bytes], connections: int, per_s: float
) -> Watched:
    """`sockets` subscribers that say `greeting` and then only read, while every request is sent at a steady rate."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    frames = 0
    kept: list[bytes] = []

    def count(frame: bytes) -> None:
        nonlocal frames
        frames += 1

    def keep(frame: bytes) -> None:
        count(frame)
        kept.append(payload(frame))

    watching = [await connect_socket(port) for _ in range(sockets)]
    for number, socket in enumerate(watching):
        socket.received = count if number else keep
        socket.transport.write(greeting)
    for _ in range(int(20 * DRAIN_SECONDS)):
        if frames >= 2 * sockets:  # the answer and a snapshot each
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    frames = 0
    kept.clear()
    cpu = cpu_seconds(process)
    await _paced(port, requests, connections, per_s)
    await asyncio.sleep(0.5)
    cpu = cpu_seconds(process) - cpu
    messages = [_MESSAGE.decode(text) for text in kept]
    depth = [message for message in messages if message.type == "update"]
    trades = [msgspec.json.decode(message.data) for message in messages if message.type == "trade"]
    covered = (depth[0].prev_seq, depth[-1].seq) if depth else (0, 0)
    return Watched(cpu, frames, *covered, sum(map(len, trades)))


async def _paced(port: int, requests: Sequence[bytes], connections: int, per_s: float) -> None:
    """Every request at its time, on each connection after the answer to the one before."""
    opened = [await connect_http(port) for _ in range(connections)]
    started = perf_counter()

    async def use(number: int, connection: Http) -> None:
        answers: asyncio.Queue[bytes] = asyncio.Queue()
        connection.received = answers.put_nowait
        for index in range(number, len(requests), connections):
            await asyncio.sleep(max(0.0, started + index / per_s - perf_counter()))
            connection.transport.write(requests[index])
            answer = await answers.get()
            if not _is_success(answer):
                raise Failed(answer.decode(errors="replace"))

    await asyncio.gather(*(use(number, connection) for number, connection in enumerate(opened)))

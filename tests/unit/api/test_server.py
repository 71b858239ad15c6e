"""The server that the service runs on: its requests begin at once, and in everything else it is aiohttp's."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from aiohttp import web

from offchain.api.server import PromptRunner

GET = b"GET /%s HTTP/1.1\r\nHost: test\r\n\r\n"
UPGRADE = (
    b"GET /socket HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
HELLO = b"\x81\x85\0\0\0\0hello"
"""a whole frame of a client whose mask is zero"""


class Handlers:
    """An application that says what it does."""

    def __init__(self):
        self.begun = []
        self.has_begun = asyncio.Event()
        self.ended = []
        self.release = asyncio.Event()
        self.has_been_paused = False
        self.app = web.Application()
        self.app.router.add_get("/socket", self.socket)
        self.app.router.add_route("*", "/{name}", self.answer)

    async def answer(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.begun.append(name)
        self.has_begun.set()
        if name == "slow":
            return web.Response(text=f"slow:{await self._read_slowly(request)}")
        body = await request.read()
        if name.startswith("wait"):
            await self.release.wait()
        if name == "late":
            with suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await self.release.wait()
        if name == "broken":
            raise LookupError(name)
        self.ended.append(name)
        return web.Response(text=f"{name}:{body.decode()}")

    async def _read_slowly(self, request: web.Request) -> str:
        body = b""
        async for piece in request.content.iter_chunked(10_000):
            body += piece
            self.has_been_paused |= request.protocol._reading_paused
            await asyncio.sleep(0.001)
        return f"{len(body)} {hash(body)}"

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        self.begun.append("socket")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"echo {message.data}")
        return socket


@asynccontextmanager
async def serving(runner_type=PromptRunner, **settings):
    """An application of Handlers, its runner, and the port that it listens on."""
    handlers = Handlers()
    runner = runner_type(handlers.app, access_log=None, **settings)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield handlers, runner, runner.addresses[0][1]
    finally:
        handlers.release.set()
        await runner.cleanup()


class Pipe(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self):
        super().__init__()
        self.written = b""

    def write(self, data):
        self.written += data

    def writelines(self, pieces):
        self.written += b"".join(pieces)

    def is_closing(self):
        return False

    def close(self):
        pass


async def begun_in_turn(runner_type) -> tuple[list[str], bytes]:
    """What had begun, and what had been written, when a connection's data had just been taken."""
    async with serving(runner_type) as (handlers, runner, _):
        connection, pipe = runner.server(), Pipe()
        connection.connection_made(pipe)
        await asyncio.sleep(0)
        seen = asyncio.get_running_loop().create_future()

        def take():
            connection.data_received(GET % b"first")
            seen.set_result((list(handlers.begun), pipe.written))

        asyncio.get_running_loop().call_soon(take)
        result = await seen
        connection.connection_lost(None)
        return result


def test_request_is_handled_in_the_turn_in_which_it_arrives(run):
    begun, written = run(begun_in_turn(PromptRunner))
    assert begun == ["first"]
    assert written.endswith(b"first:")


def test_aiohttp_alone_would_wait_for_the_next_turn(run):
    """If this fails, PromptRunner is not needed any more."""
    assert run(begun_in_turn(web.AppRunner)) == ([], b"")


async def answers(reader, count: int) -> list[str]:
    """Status and body of that many answers."""
    found = []
    for _ in range(count):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.partition("content-length: ")[2].partition("\r")[0])
        found.append(head.split()[1] + " " + (await reader.readexactly(size)).decode())
    return found


def test_requests_of_a_connection_are_answered_in_their_order(run):
    async def scenario():
        async with serving() as (handlers, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for names in ([b"a"], [b"b", b"c", b"d"], [b"e"]):
                writer.write(b"".join(GET % name for name in names))
                assert await answers(reader, len(names)) == [f"200 {name.decode()}:" for name in names]
            # While one is under way the others wait, and one connection keeps no other waiting.
            writer.write(GET % b"wait" + GET % b"f" + GET % b"g")
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)
            other_writer.write(GET % b"other")
            assert await answers(other_reader, 1) == ["200 other:"]
            assert handlers.begun[-2:] == ["wait", "other"]
            handlers.release.set()
            assert await answers(reader, 3) == ["200 wait:", "200 f:", "200 g:"]
            writer.close()
            other_writer.close()

    run(scenario())


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="from 3.12 on aiohttp itself handles them in one go")
def test_who_sends_many_at_a_time_lets_others_in_between(run):
    async def scenario():
        async with serving() as (handlers, _, port):
            many_reader, many_writer = await asyncio.open_connection("127.0.0.1", port)
            one_reader, one_writer = await asyncio.open_connection("127.0.0.1", port)
            many_writer.write(20 * (GET % b"many"))
            one_writer.write(GET % b"one")
            assert await answers(one_reader, 1) == ["200 one:"]
            assert len(await answers(many_reader, 20)) == 20
            many_writer.close()
            one_writer.close()
            assert handlers.begun.index("one") < 15

    run(scenario())


def test_request_may_come_in_pieces(run):
    async def scenario():
        async with serving() as (handlers, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            request = b"POST /piece HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\n\r\nhello there"
            for start in range(0, len(request), 7):
                writer.write(request[start : start + 7])
                await asyncio.sleep(0.002)
            assert await answers(reader, 1) == ["200 piece:hello there"]
            writer.close()
            assert handlers.ended == ["piece"]

    run(scenario())


async def pieces_for_parser(runner_type, monkeypatch) -> list[int]:
    """Sizes of what the parser was given while one request with a body was handled."""
    sizes = []
    received = web.RequestHandler.data_received

    def counted(self, data):
        sizes.append(len(data))
        received(self, data)

    monkeypatch.setattr(web.RequestHandler, "data_received", counted)
    async with (
        serving(runner_type) as (_, _, port),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
        session.post("/body", data=b"hello") as answer,
    ):
        assert await answer.text() == "body:hello"
    return sizes


def test_parser_is_given_what_has_arrived_and_nothing_else(run, monkeypatch):
    assert 0 not in run(pieces_for_parser(PromptRunner, monkeypatch))


def test_aiohttp_alone_would_give_it_nothing_once_more(run, monkeypatch):
    """If this fails, `resume_reading` need not be overridden any more."""
    assert 0 in run(pieces_for_parser(web.AppRunner, monkeypatch))


def test_body_that_is_read_more_slowly_than_it_arrives_is_paused_and_arrives_whole(run):
    body = bytes(range(256)) * 4_096

    async def scenario():
        async with serving() as (handlers, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = b"POST /slow HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n"
            for _ in range(2):
                writer.write(head % len(body) + body)
                assert await answers(reader, 1) == [f"200 slow:{len(body)} {hash(body)}"]
            writer.write(GET % b"next")
            assert await answers(reader, 1) == ["200 next:"]
            writer.close()
            assert handlers.has_been_paused

    run(scenario())


def test_failure_of_a_handler_ends_neither_the_server_nor_the_next_request(run):
    async def scenario():
        async with serving() as (_, _, port), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            for name, status in (("broken", 500), ("late", 200), ("fine", 200)):
                async with session.get(f"/{name}") as response:
                    assert response.status == status

    run(scenario())


def test_nonsense_is_refused(run):
    async def scenario():
        async with serving() as (handlers, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"nonsense\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.0 400")
            writer.close()
            assert handlers.begun == []

    run(scenario())


def test_who_goes_away_leaves_the_request_to_its_end(run):
    async def scenario():
        async with serving() as (handlers, _, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET % b"wait")
            await handlers.has_begun.wait()
            writer.transport.abort()
            await asyncio.sleep(0.01)
            handlers.release.set()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET % b"next")
            assert await answers(reader, 1) == ["200 next:"]
            writer.close()
            assert handlers.ended == ["wait", "next"]

    run(scenario())


def test_requests_under_way_are_answered_before_the_server_ends(run):
    async def scenario():
        async with serving(shutdown_timeout=5) as (handlers, runner, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET % b"wait")
            await handlers.has_begun.wait()
            asyncio.get_running_loop().call_later(0.05, handlers.release.set)
            await runner.cleanup()
            assert await answers(reader, 1) == ["200 wait:"]
            assert await reader.read() == await idle_reader.read() == b""
            writer.close()
            idle_writer.close()

    run(scenario())


@pytest.mark.parametrize("pieces", [[UPGRADE, HELLO], [UPGRADE + HELLO], [UPGRADE + HELLO[:4], HELLO[4:]]])
def test_frame_may_come_with_the_upgrade(run, pieces):
    async def scenario():
        async with serving() as (_, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.02)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
            assert await reader.readexactly(12) == b"\x81\x0aecho hello"
            writer.write(HELLO)
            assert await reader.readexactly(12) == b"\x81\x0aecho hello"
            writer.transport.abort()

    run(scenario())


def test_upgrade_may_follow_a_request(run):
    async def scenario():
        async with serving() as (_, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET % b"first" + UPGRADE + HELLO)
            assert await answers(reader, 1) == ["200 first:"]
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
            assert await reader.readexactly(12) == b"\x81\x0aecho hello"
            writer.transport.abort()

    run(scenario())

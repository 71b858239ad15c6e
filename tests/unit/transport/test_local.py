"""The socket between the core and the other processes, and the feed inside the core."""

from __future__ import annotations

import asyncio
import stat
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from offchain.domain.actions import OPERATOR, SetMarketStatus
from offchain.domain.admin import Actor
from offchain.domain.commands import AdminAction, Administer, BatchRetry, Bust, Command, RequestAction, SetStatus, Tick
from offchain.domain.core import Core
from offchain.domain.errors import Code, Rejection
from offchain.domain.results import Done, Result
from offchain.ports import CoreStatus, Overloaded, Unavailable
from offchain.transport.frames import MAX_FRAME, FrameError
from offchain.transport.local import LocalFeed, LocalIngress, LocalServer, socket_address
from tests.utils.records import RecordMaker

STATUS = CoreStatus(7, None, False, Core().status(), [("BTC-USDC", "parked")])


class ScriptedIngress:
    """Answers each command as the test says."""

    def __init__(self) -> None:
        self.taken: list[Command] = []
        self.answer: Result | Exception = Done()
        self.gate = asyncio.Event()
        self.gate.set()

    async def submit(self, command: Command, timeout_ms: int) -> Result:
        self.taken.append(command)
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def status() -> CoreStatus:
    return STATUS


@pytest.fixture
def ingress() -> ScriptedIngress:
    return ScriptedIngress()


@pytest.fixture
async def server(tmp_path: Path, ingress: ScriptedIngress) -> AsyncIterator[LocalServer]:
    server = LocalServer(tmp_path / "core.sock", ingress, status)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[LocalIngress]:
    client = LocalIngress(tmp_path / "core.sock")
    await client.start()
    yield client
    await client.close()


def administer(action: AdminAction) -> Administer:
    return Administer(Actor("console", "tester", [], "", ""), action)


async def until(condition) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0.005)
    pytest.fail("what was waited for did not happen")


async def test_commands_reach_the_core_and_results_return(server, client, ingress):
    assert await client.submit(Tick(), 1_000) == Done()
    ingress.answer = Rejection("unknownFill", "", "no such fill")
    command = administer(Bust([b"\x01" * 32], "test"))
    assert await client.submit(command, 1_000) == ingress.answer
    assert ingress.taken == [Tick(), command]


async def test_status_is_told(server, client):
    assert await client.status(1_000) == STATUS


async def test_order_of_submission_is_kept(server, client, ingress):
    commands = [administer(Bust([], str(number))) for number in range(200)]
    await asyncio.gather(*(client.submit(command, 2_000) for command in commands))
    assert ingress.taken == commands


@pytest.mark.parametrize(
    "action",
    [
        SetStatus(1, True, "test"),
        BatchRetry(1),
        Bust([bytes(32)], "test"),
        RequestAction(bytes(32), OPERATOR, SetMarketStatus(1, 2), 0),
    ],
)
async def test_what_only_administrators_do_needs_its_entry(server, client, ingress, action):
    refusal = await client.submit(action, 1_000)
    assert isinstance(refusal, Rejection)
    assert refusal.code == Code.NOT_AUDITED
    assert ingress.taken == []
    assert await client.submit(administer(action), 1_000) == Done()
    assert ingress.taken == [administer(action)]


async def test_refusals_keep_their_kind(server, client, ingress):
    ingress.answer = Overloaded("the queue is full")
    with pytest.raises(Overloaded, match="the queue is full"):
        await client.submit(Tick(), 1_000)
    ingress.answer = Unavailable("stopping")
    with pytest.raises(Unavailable, match="stopping"):
        await client.submit(Tick(), 1_000)


async def test_core_that_is_not_there_is_unavailable(client):
    with pytest.raises(Unavailable, match="within 50 ms"):
        await client.submit(Tick(), 50)


async def test_connects_again_after_a_restart(tmp_path, client, ingress):
    for _ in range(2):
        server = LocalServer(tmp_path / "core.sock", ingress, status)
        await server.start()
        assert await client.submit(Tick(), 3_000) == Done()
        await server.stop()
        await until(lambda: not client.connected)


async def test_answer_lost_with_the_connection_is_unavailable(server, client, ingress):
    ingress.gate.clear()
    asking = asyncio.create_task(client.submit(Tick(), 5_000))
    await until(lambda: ingress.taken)
    await server.stop()
    with pytest.raises(Unavailable, match="connection to the core broke"):
        await asking
    ingress.gate.set()


async def test_socket_left_by_a_killed_core_is_replaced(tmp_path, ingress, client):
    (tmp_path / "core.sock").write_bytes(b"")
    server = LocalServer(tmp_path / "core.sock", ingress, status)
    await server.start()
    assert await client.submit(Tick(), 2_000) == Done()
    await server.stop()


async def test_socket_is_private(server, tmp_path):
    assert stat.S_IMODE((tmp_path / "core.sock").stat().st_mode) == 0o600


async def test_followers_hear_of_each_record(server, client):
    await until(lambda: server.subscribers == 1)
    assert await client.wait_advanced(10), "a new connection counts as news"
    assert not await client.wait_advanced(10)
    await server.advanced(8)
    assert await client.wait_advanced(1_000)


async def test_follower_that_does_not_read_is_dropped(server, tmp_path, monkeypatch):
    monkeypatch.setattr("offchain.transport.local.WRITE_LIMIT", 1_000)
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "core.sock"), limit=1)
    writer.write(struct.pack(">I", 11) + b"\x91\xa9subscribe")
    await until(lambda: server.subscribers == 1)
    reader._transport.pause_reading()
    for seq in range(200_000):
        await server.advanced(seq)
        if server.subscribers == 0:
            break
        if seq % 1_000 == 0:
            await asyncio.sleep(0)
    assert server.subscribers == 0
    writer.close()


@pytest.mark.parametrize("sent", [struct.pack(">I", MAX_FRAME + 1), struct.pack(">I", 3) + b"abc", b"\0\0"])
async def test_nonsense_closes_the_connection_and_nothing_else(server, client, tmp_path, sent):
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "core.sock"))
    writer.write(sent)
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 2) == b""
    writer.close()
    assert await client.submit(Tick(), 1_000) == Done()


async def test_command_too_large_is_not_sent(server, client):
    with pytest.raises(FrameError, match="exceeds"):
        await client.submit(Bust([bytes(32)] * 600_000, "test"), 1_000)


def test_path_too_long_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"data_dir: .* too long"):
        socket_address(tmp_path / ("long" * 60) / "core.sock")


def test_short_way_to_the_socket_is_taken(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.chdir(deep)
    assert socket_address(deep / "core.sock") == "core.sock"


async def test_feed_reaches_every_subscriber():
    feed, maker = LocalFeed(), RecordMaker()
    first, second = feed.subscribe(), feed.subscribe()
    records = [maker.make() for _ in range(3)]
    for record in records:
        feed.publish(record)
    assert [await anext(first) for _ in records] == records
    assert [await anext(second) for _ in records] == records


def test_who_waits_for_a_record_takes_it_at_once(run):
    """Before `publish` returns, if that is called by the loop itself as the sequencer's turns are."""

    async def scenario():
        feed, seen = LocalFeed(), []

        async def follow(records):
            async for record in records:
                seen.append(record.last)

        following = [asyncio.create_task(follow(feed.subscribe())) for _ in range(2)]
        await asyncio.sleep(0)
        maker, published = RecordMaker(), asyncio.get_running_loop().create_future()

        def publish():
            for _ in range(2):
                feed.publish(maker.make())
            published.set_result(list(seen))

        asyncio.get_running_loop().call_soon(publish)
        assert await published == [1, 1, 2, 2]
        feed.publish(maker.make())  # within a task they go on in the next turn
        assert len(seen) == 4
        await asyncio.sleep(0)
        assert seen[4:] == [3, 3]
        for task in following:
            task.cancel()

    run(scenario())


async def test_slow_subscriber_loses_the_oldest_and_sees_the_gap():
    feed, maker = LocalFeed(limit=4), RecordMaker()
    subscriber = feed.subscribe()
    for _ in range(10):
        feed.publish(maker.make())
    assert [(await anext(subscriber)).first for _ in range(4)] == [7, 8, 9, 10]


async def test_catching_up_is_told_at_once_and_after_each_reconnection(tmp_path: Path, client: LocalIngress) -> None:
    first = LocalServer(tmp_path / "core.sock", ScriptedIngress(), status)
    await first.start()
    await client.status(1_000)
    assert not first.is_caught_up
    client.caught_up()
    await until(lambda: first.is_caught_up)
    await first.stop()
    await until(lambda: not first.is_caught_up)
    assert first.was_caught_up

    second = LocalServer(tmp_path / "core.sock", ScriptedIngress(), status)
    await second.start()
    await until(lambda: second.is_caught_up)
    await second.stop()

"""Replaying: everything of a file arrives in its order, and what is recorded of that is the file again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from structlog.testing import capture_logs

from offchain.api.state import ApiSettings
from offchain.client import ApiError
from offchain.client import replay as replay_module
from offchain.client import sharedsocket as sharedsocket_module
from offchain.client.replay import Progress, Replay
from offchain.client.sharedsocket import SharedSocket
from offchain.client.transport import Transport
from offchain.domain.commands import CancelOrder, CancelOrders, PlaceOrder, SetDeadline
from offchain.domain.commands import PlaceArray as PlaceArrayCommand
from offchain.flow import Cancel, CancelAfter, CancelAll, FlowFile, Place, PlaceArray, Reference, Replace
from offchain.recorder import Choice, record
from tests.strategies import DEFAULT
from tests.unit.api.exchange import MAKER, OPERATOR, TAKER, Exchange, until
from tests.unit.flow.flows import Recording, flows, terms, timeless, write

KEYS = {"trader-1": MAKER.key.hex(), "trader-2": TAKER.key.hex(), "trader-3": OPERATOR.key.hex()}
KEYS |= {"maker": MAKER.key.hex(), "taker": TAKER.key.hex()}

Play = Callable[..., Awaitable[Progress]]


@pytest.fixture
def play(api, tmp_path) -> Play:
    """Replay operations on the exchange of the test."""

    async def run(*operations: Any, **more: Any) -> Progress:
        path = tmp_path / "flow.jsonl"
        path.unlink(missing_ok=True)
        return await replay(str(api.make_url("")), write(path, operations), **more)

    return run


async def replay(url: str, path: Path, **more: Any) -> Progress:
    async with aiohttp.ClientSession() as session:
        return await Replay(url, FlowFile(path), KEYS, **{"speed": None} | more, session=session).run()


@asynccontextmanager
async def serving(folder: Path, settings: ApiSettings) -> AsyncIterator[tuple[Exchange, str]]:
    """An exchange of its own, and its URL."""
    exchange = Exchange(folder, settings)
    await exchange.start()
    await exchange.open()
    server = TestServer(exchange.app)
    await server.start_server()
    try:
        yield exchange, str(server.make_url(""))
    finally:
        await server.close()
        await exchange.stop()


def commands(exchange: Exchange) -> list[Any]:
    """What traders did, as the core heard of it."""
    kinds = (PlaceOrder, PlaceArrayCommand, CancelOrder, CancelOrders, SetDeadline)
    return [each for record in exchange.journal.records for each in record.commands if isinstance(each, kinds)]


# ---------------------------------------------------------------------------------------------------------------------
# Round trip
# ---------------------------------------------------------------------------------------------------------------------


@given(flow=flows())
@settings(DEFAULT, max_examples=40)
def test_what_is_recorded_of_a_replay_is_the_file_again(tmp_path_factory, flow) -> None:
    folder = tmp_path_factory.mktemp("flow")
    header, operations = flow
    written = write(folder / "written.jsonl", operations, header)

    async def recorded(path: Path, name: str) -> Path:
        async with serving(tmp_path_factory.mktemp(name), ApiSettings()) as (exchange, url):
            progress = await replay(url, path)
            assert progress.operations == len(operations)
            assert progress.resent == 0
            found = folder / f"{name}.jsonl"
            result = await record(Recording(exchange.journal.records), Choice(), found)  # type: ignore[arg-type]
            assert (result.operations, result.left_out, result.detached) == (len(operations), 0, 0)
            return found

    with capture_logs():
        once = asyncio.run(recorded(written, "once"))
        again = asyncio.run(recorded(once, "again"))
    assert timeless(once) == timeless(written)
    assert timeless(again) == timeless(written)


# ---------------------------------------------------------------------------------------------------------------------
# What is sent
# ---------------------------------------------------------------------------------------------------------------------


async def test_lines_refer_to_what_earlier_ones_placed(exchange, play) -> None:
    await play(
        PlaceArray(t=0, trader="maker", orders=[terms(), terms(price="95000", client_order_id="second")]),
        Replace(t=1, trader="maker", order=terms(price="94000", replaces=Reference(2, 1))),
        Cancel(t=2, trader="maker", cancels=Reference(2)),
        Cancel(t=3, trader="maker", cancels=Reference(3)),
    )
    array, replacing, first, second = commands(exchange)
    one, other = array.orders
    assert replacing.order.key == other.order.key != one.order.key
    assert replacing.replaces is None
    assert (first.order_hash, second.order_hash) == (one.order_hash, replacing.order_hash)


async def test_only_if_open_names_the_order(exchange, play) -> None:
    progress = await play(
        Place(t=0, trader="maker", order=terms()),
        Cancel(t=0, trader="maker", cancels=Reference(2)),
        Replace(t=0, trader="maker", order=terms(replaces=Reference(2), only_if_open=True)),
        Replace(t=0, trader="maker", order=terms(replaces=Reference(2))),
    )
    placed, _, refused, again = commands(exchange)
    assert refused.replaces == placed.order_hash
    assert again.replaces is None
    assert dict(progress.refused) == {"orderNotOpen": 1}


async def test_a_refused_replacement_leaves_the_key_to_the_older_order(exchange, play) -> None:
    """Another order would replace it else."""
    progress = await play(
        Place(t=0, trader="maker", order=terms()),
        Replace(t=0, trader="maker", order=terms(quantity="1000", replaces=Reference(2))),
        CancelAfter(t=0, trader="maker", seconds=0),
        Place(t=0, trader="maker", order=terms(price="94000")),
    )
    assert progress.refused["insufficientBalance"] == 1
    first, _, _, last = commands(exchange)
    assert last.order.key != first.order.key
    assert len(exchange.core.open_orders(MAKER.address)) == 2


async def test_terms_arrive_as_they_are_in_the_file(exchange, play) -> None:
    await play(
        Place(
            t=0,
            trader="maker",
            order=terms(
                time_in_force="GTD",
                expires_in=600,
                max_fee_bps=77,
                post_only=True,
                self_trade_prevention="expireBoth",
                client_order_id="a",
                trigger="stop",
                trigger_price="96000",
                trigger_by="mark",
            ),
        )
    )
    (command,) = commands(exchange)
    assert 600 <= command.order.expiry - exchange.clock.ms // 1000 <= 660
    assert (command.order.max_fee_bps, command.post_only, command.self_trade) == (77, True, "expireBoth")
    assert (command.client_order_id, command.trigger.kind, command.trigger.source) == ("a", "stop", "mark")
    assert command.trigger.price == 960_000


async def test_guards_come_after_what_was_sent_before(exchange, play) -> None:
    progress = await play(
        *(Place(t=0, trader="maker", order=terms(client_order_id=f"o{n}")) for n in range(20)),
        CancelAll(t=0, trader="maker", market="BTC-USDC", side="buy"),
        CancelAfter(t=0, trader="maker", seconds=9),
        Place(t=0, trader="maker", order=terms()),
    )
    *_, many, deadline, last = commands(exchange)
    assert (many.market, many.side, deadline.at_ms) == (2, 0, exchange.clock.ms + 9_000)
    assert isinstance(last, PlaceOrder)
    assert len(exchange.core.open_orders(MAKER.address)) == 1
    assert (progress.orders, progress.cancels, progress.accepted) == (21, 2, 23)


async def test_summary_counts_what_became_of_everything(play) -> None:
    progress = await play(
        Place(t=0, trader="maker", order=terms(side="sell")),
        Place(t=0, trader="taker", order=terms(type="market", time_in_force="IOC", expires_in=60)),
        Place(t=0, trader="taker", order=terms(quantity="9000")),
        Cancel(t=0, trader="maker", cancels=Reference(2)),
    )
    summary = progress.summary()
    assert (summary["operations"], summary["sent"], summary["orders"], summary["cancels"]) == (4, 4, 3, 1)
    assert (summary["accepted"], summary["fills"], summary["resent"]) == (2, 1, 0)
    assert summary["refused"] == {"insufficientBalance": 1, "orderNotOpen": 1}
    latency = summary["latencyMs"]
    assert isinstance(latency, dict)
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"]


async def test_nothing_sent_has_a_summary() -> None:
    assert Progress().summary()["latencyMs"] == {"p50": None, "p95": None, "p99": None, "max": None}


async def test_every_trader_needs_a_key(tmp_path) -> None:
    flow = FlowFile(write(tmp_path / "flow.jsonl", [Place(t=0, trader="nobody", order=terms())]))
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ValueError, match="no key for nobody"):
            Replay("http://127.0.0.1:1", flow, KEYS, session=session)


# ---------------------------------------------------------------------------------------------------------------------
# When
# ---------------------------------------------------------------------------------------------------------------------


async def test_lines_wait_for_their_time_and_stop_ends_that(exchange, api, tmp_path) -> None:
    path = write(
        tmp_path / "flow.jsonl",
        [Place(t=0, trader="maker", order=terms()), Place(t=3_600_000, trader="maker", order=terms())],
    )
    async with aiohttp.ClientSession() as session:
        running = Replay(str(api.make_url("")), FlowFile(path), KEYS, speed=1, session=session)
        task = asyncio.create_task(running.run())
        await until(lambda: commands(exchange))
        assert not task.done()
        running.stop()
        assert (await task).operations == 1


async def test_speed_scales_the_times(exchange, play) -> None:
    hour = 3_600_000
    lines = [Place(t=n * hour, trader="maker", order=terms()) for n in range(2)]
    assert (await play(*lines, speed=36_000)).operations == 2


# ---------------------------------------------------------------------------------------------------------------------
# What goes wrong
# ---------------------------------------------------------------------------------------------------------------------


async def test_what_is_beyond_a_budget_is_sent_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(replay_module, "PAUSES", (0.02,) * 50)
    limits = ApiSettings(account_orders_per_second=1, limit_window_seconds=2)
    lines = [Place(t=0, trader="maker", order=terms(client_order_id=f"o{n}")) for n in range(6)]
    lines.append(Cancel(t=0, trader="maker", cancels=Reference(6)))
    path = write(tmp_path / "flow.jsonl", lines)
    async with serving(tmp_path, limits) as (exchange, url):

        async def pass_time() -> None:
            while True:
                await asyncio.sleep(0.02)
                exchange.clock.ms += 500

        time = asyncio.create_task(pass_time())
        progress = await replay(url, path)
        time.cancel()
        assert progress.resent > 0
        assert (progress.orders, progress.cancels, progress.accepted) == (6, 1, 7)
        names = [command.client_order_id for command in commands(exchange) if isinstance(command, PlaceOrder)]
        assert sorted(names) == [f"o{n}" for n in range(6)]
        assert len(exchange.core.open_orders(MAKER.address)) == 5


@asynccontextmanager
async def deaf(answers: int) -> AsyncIterator[tuple[SharedSocket, list[str]]]:
    """A socket to a server that hangs up after so many answers on its first connection; what it has read."""
    heard: list[str] = []
    connections = 0

    async def serve(request: web.Request) -> web.WebSocketResponse:
        nonlocal connections
        connections += 1
        is_first = connections == 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        count = 0
        async for message in socket:
            heard.append(message.json().get("name", ""))
            count += 1
            if not is_first or count <= answers:
                await socket.send_json({"op": "placed", "id": message.json()["id"]})
            elif count > answers + 1:
                break
        return socket

    app = web.Application()
    app.router.add_get("/v1/ws", serve)
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession() as session,
        SharedSocket(Transport(str(server.make_url("")), session, 5.0, 0)) as socket,
    ):
        yield socket, heard


async def test_what_was_not_answered_is_sent_again_in_its_order() -> None:
    async with deaf(answers=1) as (socket, heard):
        answers = [await socket.send("place", name=name) for name in "abcd"]
        assert [(await answer).id for answer in answers] == [1, 2, 3, 4]
        assert heard[0] == "a"
        assert heard[-3:] == ["b", "c", "d"]
        assert heard.count("a") == 1


async def test_nobody_there_is_told_after_some_attempts(monkeypatch, unused_tcp_port) -> None:
    monkeypatch.setattr(sharedsocket_module, "ATTEMPTS", 2)
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with aiohttp.ClientSession() as session, SharedSocket(Transport(url, session, 5.0, 0)) as socket:
        for _ in range(2):  # while it tries, and afterwards
            with pytest.raises(ApiError, match="noAnswer"):
                await (await socket.send("place"))


async def test_a_message_that_the_exchange_would_not_read_is_not_sent() -> None:
    async with deaf(answers=9) as (socket, heard):
        answer = await (await socket.send("place", name="x" * 8_192))
        assert (answer.code, heard) == ("messageTooLarge", [])


async def test_the_largest_array_is_sent(play, exchange) -> None:
    """With names, triggers and references as long as they get, and zeros that mean nothing."""
    long = {"client_order_id": "c" * 64, "price": "95000." + "0" * 20, "quantity": "0.1" + "0" * 20}
    everything = long | {"time_in_force": "GTD", "expires_in": 60, "self_trade_prevention": "expireTaker"}
    array = [
        terms(**everything, trigger="takeProfit", trigger_price="1", trigger_by="index", replaces=Reference(2, n))
        for n in range(10)
    ]
    progress = await play(
        PlaceArray(t=0, trader="maker", orders=[terms(client_order_id=f"o{n}") for n in range(10)]),
        PlaceArray(t=0, trader="maker", orders=[msgspec.structs.replace(order, only_if_open=True) for order in array]),
    )
    assert progress.orders == 20
    assert "messageTooLarge" not in progress.refused


async def test_an_exchange_that_goes_away_ends_the_replay(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sharedsocket_module, "ATTEMPTS", 2)
    lines = [Place(t=1_000 * n, trader="maker", order=terms()) for n in range(100)]
    path = write(tmp_path / "flow.jsonl", lines)
    exchange = Exchange(tmp_path, ApiSettings())
    await exchange.start()
    await exchange.open()
    server = TestServer(exchange.app)
    await server.start_server()
    task = asyncio.create_task(replay(str(server.make_url("")), path, speed=1))
    await until(lambda: commands(exchange))
    await server.close()
    await exchange.stop()
    with pytest.raises(ApiError, match="noAnswer"):
        await asyncio.wait_for(task, 30)


async def test_used_up_nonce_keys_are_freed_by_asking(exchange, play, monkeypatch) -> None:
    """What makers' orders that were filled have used: no answer tells of that."""
    monkeypatch.setattr("offchain.client.nonces.KEYS_PER_MARKET", 2)
    lines = [
        line
        for n in range(3)
        for line in (
            Place(t=0, trader="maker", order=terms(side="sell")),
            Place(t=0, trader="taker", order=terms()),
        )
    ]
    progress = await play(*lines)
    assert (progress.accepted, progress.fills) == (6, 3)
    assert len({command.order.key for command in commands(exchange) if command.order.side == 1}) == 2

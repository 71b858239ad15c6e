"""WebSocket: operations, limits, closing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import WSMsgType

from offchain.api import connection as connection_module
from offchain.api import websocket as websocket_module
from offchain.api.state import ApiSettings
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import MAKER, NOW_MS, Exchange, bearer, until
from tests.unit.api.sockets import DEPTH, MAKERS, TRADE, Connect, Socket, trade


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", ("malformedJson", None)),
        ("[]", ("malformedJson", None)),
        ('{"op": "subscribe", "op": "ping"}', ("duplicateField", "op")),
        ('{"op": "dance"}', ("unknownOperation", "op")),
        ("{}", ("unknownOperation", "op")),
        ('{"op": "ping", "channels": []}', ("unknownField", "channels")),
        ('{"op": "subscribe"}', ("invalidValue", "channels")),
        ('{"op": "subscribe", "channels": [1]}', ("invalidValue", "channels")),
        ('{"op": "subscribe", "channels": []}', ("invalidValue", "channels")),
        ('{"op": "subscribe", "channels": ["market.DOGE-USDC.depth"]}', ("unknownChannel", "channels")),
        ('{"op": "subscribe", "channels": ["market.BTC-USDC.candles"]}', ("unknownChannel", "channels")),
        ('{"op": "subscribe", "channels": ["trader.0x12"]}', ("invalidAddress", "channels")),
        ('{"op": "unsubscribe", "channels": ["market.BTC-USDC.depth"]}', ("unknownChannel", "channels")),
        ('{"op": "subscribe", "channels": ["market.BTC-USDC.trade"], "after": 1}', ("invalidValue", "after")),
        ('{"op": "subscribe", "channels": ["market.BTC-USDC.depth"], "after": -1}', ("invalidNumber", "after")),
        ('{"op": "ping", "id": 1.5}', ("invalidValue", "id")),
        ('{"op": "ping", "id": "' + "x" * 65 + '"}', ("invalidValue", "id")),
    ],
)
async def test_bad_operations_are_explained(connect: Connect, text: str, expected: tuple[str, str | None]) -> None:
    socket = await connect(MAKER)
    await socket.raw.send_str(text)
    answer = await socket.next()
    assert (answer["op"], answer["code"], answer["param"]) == ("error", *expected)
    await socket.send(op="ping", id="still here")
    assert await socket.next() == {"op": "pong", "id": "still here", "time": NOW_MS}


async def test_subscriptions_of_a_socket_are_bounded(create_exchange: Any, create_api: Any) -> None:
    api = await create_api(await create_exchange(ApiSettings(max_subscriptions=2)))
    socket = Socket(await api.ws_connect("/v1/ws", headers=bearer(api, MAKER)))
    await socket.subscribe(DEPTH, TRADE)
    await socket.send(op="subscribe", channels=[MAKERS], id=7)
    while (answer := await socket.next()).get("op") != "error":
        pass
    assert (answer["id"], answer["code"]) == (7, "tooManySubscriptions")
    await socket.subscribe(DEPTH)


async def test_sockets_are_bounded(create_exchange: Any, create_api: Any) -> None:
    api = await create_api(await create_exchange(ApiSettings(max_sockets=1)))
    await api.ws_connect("/v1/ws")
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    response = await api.get("/v1/ws", headers=headers | {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
    assert (response.status, (await response.json())["code"]) == (503, "overloaded")


async def test_plain_http_is_told_to_upgrade(api: Api) -> None:
    response = await api.get("/v1/ws")
    assert (response.status, (await response.json())["code"]) == (426, "upgradeRequired")


async def test_messages_from_clients_are_bounded(create_exchange: Any, create_api: Any) -> None:
    api = await create_api(await create_exchange(ApiSettings(max_message_bytes=1_000)))
    socket = Socket(await api.ws_connect("/v1/ws"))
    await socket.raw.send_str("x" * 2_000)
    message = await socket.raw.receive()
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)


async def test_binary_messages_are_refused(connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.raw.send_bytes(b"{}")
    message = await socket.raw.receive()
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1003)


async def test_messages_of_all_lengths_arrive_in_order(exchange: Exchange, connect: Connect) -> None:
    socket = await connect()
    await socket.send(op="ping")
    await socket.next()
    (connection,) = exchange.app[websocket_module.LIFE].connections
    messages = ["x" * size for size in (0, 1, 125, 126, 65_535, 65_536, 200_000)]
    for message in messages:
        connection.offer(message.encode())
    assert [await socket.raw.receive_str(timeout=5) for _ in messages] == messages


async def test_what_waits_for_a_lagging_peer_is_sent_later(
    exchange: Exchange, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = await connect()
    await socket.send(op="ping")
    await socket.next()
    (connection,) = exchange.app[websocket_module.LIFE].connections
    with monkeypatch.context() as lagging:
        lagging.setattr(connection_module, "WRITE_BUFFER", -1)  # whatever waits is too much
        connection.offer(b"first")
        connection.offer(b"second")
        assert await socket.is_silent()
    assert connection._queue == [b"first", b"second"]
    await until(lambda: not connection._queue)


class Clogged:
    """A transport whose peer reads nothing until it is told that the connection closes."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def get_write_buffer_size(self) -> int:
        return 1 << 20 if self._connection._closer is None else 0

    def is_closing(self) -> bool:
        return False


async def test_a_slow_consumer_is_closed(create_exchange: Any, create_api: Any) -> None:
    exchange = await create_exchange(ApiSettings(send_queue=3))
    api = await create_api(exchange)
    socket = Socket(await api.ws_connect("/v1/ws"))
    await socket.subscribe(TRADE)
    other = Socket(await api.ws_connect("/v1/ws"))
    await other.subscribe(TRADE)
    (slow, *_) = [c for c in exchange.app[websocket_module.LIFE].connections if c is not None]
    slow._transport = Clogged(slow)
    for key in range(1, 8):
        await trade(api, key)
    closed = [message for message in (await drained(socket), await drained(other)) if message.type is WSMsgType.CLOSE]
    assert [(message.data, message.extra) for message in closed] == [(4008, "slow consumer")]
    assert len(exchange.app[websocket_module.LIFE].connections) == 1


async def drained(socket: Socket) -> Any:
    """The close of a socket, or its seventh message."""
    for _ in range(7):
        async with asyncio.timeout(5):
            message = await socket.raw.receive()
        if message.type is not WSMsgType.TEXT:
            return message
    return message


async def test_a_stopping_service_says_goodbye(exchange: Exchange, api: Api, connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.subscribe(DEPTH)
    await socket.next()
    closing = asyncio.create_task(api.server.close())
    message = await socket.raw.receive()
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
    await closing


async def test_nothing_is_left_of_a_closed_socket(exchange: Exchange, connect: Connect) -> None:
    hub = exchange.app[websocket_module.HUB]
    socket = await connect(MAKER)
    await socket.subscribe(DEPTH, TRADE, MAKERS)
    await socket.raw.close()
    for _ in range(100):
        if not exchange.app[websocket_module.LIFE].connections:
            break
        await asyncio.sleep(0.01)
    assert not hub._depth
    assert not hub._trades
    assert not hub._traders.is_watched

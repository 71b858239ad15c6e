"""Orders and cancels over a socket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import WSMsgType

from offchain.api.state import ApiSettings
from offchain.domain.order import Side
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import MAKER, TAKER, Exchange, bearer, create_body, create_order
from tests.unit.api.sockets import MAKERS, Connect, Socket


def order_of(key: int, trader=MAKER, **changes: Any) -> dict[str, Any]:
    return create_body(trader, create_order(trader, **{"nonce": key << 32} | changes))


async def place(socket: Socket, key: int, request_id: Any = 1, trader=MAKER, **changes: Any) -> dict[str, Any]:
    await socket.send(op="place", id=request_id, order=order_of(key, trader, **changes))
    return await socket.next()


async def test_order_is_placed_replaced_and_canceled(exchange: Exchange, connect: Connect) -> None:
    socket = await connect()
    first = await place(socket, 1, "a")
    assert (first["op"], first["id"], first["order"]["status"]) == ("placed", "a", "open")
    second = await place(socket, 1, "b", nonce=1 << 32 | 1, price=940_000)
    assert second["order"]["status"] == "open"
    order_id = second["order"]["orderId"]
    await socket.send(
        op="cancel", id="c", orderId=order_id, account=MAKER.account, signature=MAKER.sign_cancel(order_id)
    )
    canceled = await socket.next()
    assert (canceled["op"], canceled["id"], canceled["order"]["status"]) == ("canceled", "c", "canceled")


async def test_one_socket_trades_and_hears_of_it(exchange: Exchange, connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS)
    await socket.next_of("snapshot")
    await socket.send(op="place", id=7, order=order_of(1, side=Side.SELL))
    messages = [await socket.next() for _ in range(3)]
    assert {message.get("op") or message["type"] for message in messages} == {"placed", "orderUpdate", "balanceUpdate"}
    taker = await connect()
    assert (await place(taker, 1, trader=TAKER))["order"]["status"] == "filled"
    assert (await socket.next_of("fillUpdate"))["data"]["role"] == "maker"


async def test_orders_wait_for_the_core_together_and_in_order(exchange: Exchange, connect: Connect) -> None:
    """Each replaces the one before: any other order of entry would refuse one."""
    socket = await connect()
    exchange.journal.gate.clear()
    for sequence in range(10):
        await socket.send(op="place", id=sequence, order=order_of(1, nonce=1 << 32 | sequence))
    await asyncio.sleep(0.05)
    exchange.journal.gate.set()
    answers = [await socket.next() for _ in range(10)]
    assert [(answer["op"], answer["id"]) for answer in answers] == [("placed", i) for i in range(10)]


@pytest.mark.parametrize(
    ("operation", "code", "param"),
    [
        ({"op": "place"}, "invalidType", "order"),
        ({"op": "place", "order": []}, "invalidType", "order"),
        ({"op": "place", "order": {}, "more": 1}, "unknownField", "more"),
        ({"op": "place", "order": {"account": "0x12"}}, "missingField", "market"),
        ({"op": "place", "order": {"account": "\ud800"}}, "missingField", "market"),
        ({"op": "place", "order": {"\ud800": 1}}, "unknownField", "\\ud800"),
        (
            {"op": "cancel", "orderId": "0x" + "12" * 32, "account": "\ud800", "signature": "0x"},
            "invalidAddress",
            "account",
        ),
        ({"op": "cancel"}, "invalidType", "orderId"),
        ({"op": "cancel", "orderId": "0x12"}, "invalidOrderId", "id"),
        ({"op": "cancel", "orderId": "0x" + "12" * 32}, "missingField", "account"),
    ],
)
async def test_refusals_name_the_field(connect: Connect, operation: dict[str, Any], code: str, param: str) -> None:
    socket = await connect()
    await socket.send(id=3, **operation)
    answer = await socket.next()
    assert (answer["op"], answer["id"], answer["code"], answer["param"]) == ("error", 3, code, param)


async def test_refusals_of_the_core_name_the_order(exchange: Exchange, connect: Connect) -> None:
    answer = await place(await connect(), 1, quantity=10**9)
    assert (answer["code"], answer["orderId"][:2]) == ("insufficientBalance", "0x")


async def test_so_many_may_wait_for_their_answers(create_exchange, create_api) -> None:
    exchange = await create_exchange(ApiSettings(max_pending=2))
    api = await create_api(exchange)
    exchange.journal.gate.clear()
    socket = Socket(await api.ws_connect("/v1/ws"))
    for key in range(3):
        await socket.send(op="place", id=key, order=order_of(key))
    refused = await socket.next()
    assert (refused["id"], refused["code"]) == (2, "overloaded")
    exchange.journal.gate.set()
    assert [(await socket.next())["id"] for _ in range(2)] == [0, 1]
    await socket.raw.close()


async def test_orders_are_charged_to_their_account_and_cancels_apart(create_exchange, create_api) -> None:
    settings = ApiSettings(account_orders_per_second=1, limit_window_seconds=2, account_cancels_per_second=1)
    exchange = await create_exchange(settings)
    socket = Socket(await (await create_api(exchange)).ws_connect("/v1/ws"))
    first = (await place(socket, 1))["order"]["orderId"]
    await place(socket, 2)
    assert (await place(socket, 3))["code"] == "rateLimited"
    await socket.send(op="cancel", orderId=first, account=MAKER.account, signature=MAKER.sign_cancel(first))
    assert (await socket.next())["op"] == "canceled"
    assert (await place(socket, 1, trader=TAKER))["op"] == "placed"
    await socket.raw.close()


async def test_what_nobody_signed_is_charged_to_the_socket(create_exchange, create_api) -> None:
    exchange = await create_exchange(ApiSettings(socket_messages_per_second=1, limit_window_seconds=3))
    socket = Socket(await (await create_api(exchange)).ws_connect("/v1/ws"))
    for key in range(5):
        assert (await place(socket, key))["op"] == "placed", "signed orders are not the socket's"
    codes = []
    for _ in range(20):
        await socket.send(op="place", order={})
        frame = await socket.raw.receive()
        if frame.type is not WSMsgType.TEXT:
            break
        codes.append(frame.json()["code"])
    assert codes[:4] == ["missingField"] * 3 + ["rateLimited"]
    assert socket.raw.close_code == 4029


async def test_orders_go_on_when_the_socket_closes(exchange: Exchange, connect: Connect, api: Api) -> None:
    socket = await connect()
    exchange.journal.gate.clear()
    await socket.send(op="place", order=order_of(1))
    await asyncio.sleep(0.05)
    await socket.raw.close()
    exchange.journal.gate.set()
    async with asyncio.timeout(5):
        orders: list[Any] = []
        for _ in range(100):
            orders = (await (await api.get("/v1/orders", headers=bearer(api, MAKER))).json())["orders"]
            if orders:
                break
            await asyncio.sleep(0.02)
    assert [order["status"] for order in orders] == ["open"]


async def test_nothing_is_taken_while_the_service_starts(exchange: Exchange, connect: Connect) -> None:
    exchange.is_open = False
    assert (await place(await connect(), 1))["code"] == "starting"

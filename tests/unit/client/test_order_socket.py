"""Order entry over a socket survives what happens to sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from offchain.api.closing import CloseCode
from offchain.api.keys import CREDENTIALS, LIFE
from offchain.api.problems import PROBLEMS
from offchain.api.state import ApiSettings
from offchain.client import ApiError, Client, MissingKey, NewOrder
from offchain.client import client as client_module
from offchain.client import ordersocket as socket_module
from tests.unit.api.exchange import MAKER, NOW_MS, Exchange, until
from tests.unit.client.conftest import CreateClient


@pytest.fixture(autouse=True)
def exchange_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients live at the exchange's time and do not wait long."""
    monkeypatch.setattr(client_module.time, "time", lambda: NOW_MS / 1000)
    monkeypatch.setattr(socket_module, "FIRST_PAUSE_SECONDS", 0.02)


@pytest.fixture
async def maker(create_client: CreateClient) -> Client:
    return await create_client(MAKER)


def bid(price: int, quantity: str = "0.1") -> NewOrder:
    return NewOrder(market="BTC-USDC", side="buy", price=price, quantity=quantity)


def disconnect(exchange: Exchange) -> None:
    for connection in exchange.app[LIFE].connections:
        connection.close(CloseCode.SHUTTING_DOWN)


async def statuses(client: Client) -> list[tuple[str, str]]:
    return [(order.status, order.code) for order in (await client.orders()).orders]


def test_retryable_refusals_are_the_services_own() -> None:
    """As far as they concern what is sent over a socket."""
    others = {"timeout", "idempotencyKeyInFlight", "identityUnavailable", "actionBacklog"}
    assert {str(code) for code, kind in PROBLEMS.items() if kind.retryable} - others == socket_module.RETRYABLE


async def test_refusals_carry_code_field_and_order(maker: Client) -> None:
    async with maker.order_socket() as socket:
        with pytest.raises(ApiError) as caught:
            await socket.place(bid(95_000, "5000"))
        assert (caught.value.code, caught.value.param) == ("insufficientBalance", "quantity")
        assert caught.value.order_id is not None
        with pytest.raises(ApiError) as caught:
            await socket.cancel("0x" + "00" * 32)
        assert (caught.value.code, caught.value.retryable) == ("unknownOrder", False)


async def test_a_lost_connection_is_replaced(exchange: Exchange, maker: Client) -> None:
    async with maker.order_socket() as socket:
        first = await socket.place(bid(90_000))
        disconnect(exchange)
        second = await socket.place(bid(90_001))
        assert (await socket.cancel_all()).order_ids == [first.order_id, second.order_id]


async def test_what_is_unanswered_is_sent_again_and_done_once(exchange: Exchange, maker: Client) -> None:
    async with maker.order_socket() as socket:
        await socket.place(bid(90_000))
        exchange.journal.gate.clear()  # what follows is not durable, so not answered
        placing = asyncio.create_task(socket.place(bid(91_000)))
        await until(lambda: exchange.core.depth(2, 0, 1) == [(910_000, 10_000)])
        disconnect(exchange)
        await until(lambda: not exchange.app[LIFE].connections)
        await asyncio.sleep(0.1)
        exchange.journal.gate.set()
        placed = await placing
        assert placed.status == "open"
    assert len((await maker.orders()).orders) == 2


async def test_whoever_cancels_on_disconnect_is_told_what_is_unknown(exchange: Exchange, maker: Client) -> None:
    async with maker.order_socket(cancel_on_disconnect=True) as socket:
        resting = await socket.place(bid(90_000))
        exchange.journal.gate.clear()
        placing = asyncio.create_task(socket.place(bid(91_000)))
        await until(lambda: exchange.core.depth(2, 0, 1) == [(910_000, 10_000)])
        disconnect(exchange)
        await until(lambda: socket._line._socket is None)
        exchange.journal.gate.set()
        with pytest.raises(ApiError) as caught:
            await placing
        assert (caught.value.code, caught.value.retryable) == ("noAnswer", True)
        assert caught.value.order_id is not None
        await until(lambda: not exchange.core.depth(2, 0, 1))
        for order_id in (caught.value.order_id, resting.order_id):
            order = await maker.order(order_id)
            assert (order.status, order.code) == ("canceled", "disconnected")
        assert not socket.is_open(resting.order_id)
        assert (await socket.place(bid(90_000))).status == "open"


async def test_leaving_cancels_what_it_was_told_to(exchange: Exchange, maker: Client) -> None:
    async with maker.order_socket() as socket:
        await socket.place(bid(90_000))
    assert await statuses(maker) == [("open", "")]
    async with maker.order_socket(cancel_on_disconnect=True):
        pass
    await until(lambda: not exchange.core.depth(2, 0, 1))
    assert await statuses(maker) == [("canceled", "disconnected")]


async def test_it_is_watched_again_after_each_loss_until_that_is_taken_back(exchange: Exchange, maker: Client) -> None:
    async with maker.order_socket() as socket:
        await socket.cancel_on_disconnect()
        for _ in range(2):
            await socket.place(bid(90_000))
            disconnect(exchange)
            await until(lambda: not exchange.core.depth(2, 0, 1))
        await socket.cancel_on_disconnect(False)
        await socket.place(bid(90_000))
        disconnect(exchange)
        await socket.cancel_after(0)
    assert (await statuses(maker))[0] == ("open", "")


async def test_a_token_that_has_ended_is_replaced(exchange: Exchange, maker: Client) -> None:
    async with maker.order_socket() as socket:
        await socket.place(bid(90_000))
        token = await maker._auth.token()
        identity = exchange.app[CREDENTIALS].find(token, NOW_MS)
        assert identity is not None
        exchange.app[CREDENTIALS].end_session(identity)
        await until(lambda: not exchange.app[LIFE].connections)
        assert len((await socket.cancel_all()).order_ids) == 1
        assert await maker._auth.token() != token


class TestRenewal:
    """A socket outlives the session with which it has signed in."""

    @pytest.fixture
    async def exchange(self, create_exchange: Any) -> Exchange:
        created: Exchange = await create_exchange(ApiSettings(session_seconds=1))
        return created

    async def test_it_signs_in_again_in_time(self, exchange: Exchange, maker: Client) -> None:
        async with maker.order_socket(cancel_on_disconnect=True) as socket:
            await socket.place(bid(90_000))
            first = exchange.app[CREDENTIALS].find(await maker._auth.token(), NOW_MS)
            signed_in = socket._line._signed_in
            await until(lambda: socket._line._signed_in is not signed_in)
            assert first is not None
            exchange.app[CREDENTIALS].end_session(first)
            await socket.cancel_after(0)
            assert len((await socket.cancel_all()).order_ids) == 1


async def test_who_may_not_sign_in_is_told_so(create_client: CreateClient) -> None:
    nobody = await create_client(None)
    with pytest.raises(MissingKey):
        async with nobody.order_socket():
            pass
    stranger = await create_client(None, api_key="cx_" + "0" * 43)
    with pytest.raises(ApiError, match="invalidToken"):
        async with stranger.order_socket():
            pass


async def test_no_service_is_an_api_error() -> None:
    async with Client("http://127.0.0.1:1", MAKER.key, timeout=0.1, retries=0) as client:
        with pytest.raises(ApiError) as caught:
            async with client.order_socket():
                pass
    assert (caught.value.code, caught.value.retryable) == ("noAnswer", True)


async def test_a_closed_socket_says_so(maker: Client) -> None:
    async with maker.order_socket() as socket:
        await socket.place(bid(90_000))
    with pytest.raises(ApiError, match="closed"):
        await socket.place(bid(90_001))


async def test_the_longest_array_fits_into_a_message(maker: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    send = socket_module._send

    async def look(socket: Any, operation: dict[str, Any]) -> None:
        sent.append(msgspec.json.encode(operation).decode())
        await send(socket, operation)

    monkeypatch.setattr(socket_module, "_send", look)
    orders = [
        NewOrder(
            market="BTC-USDC",
            side="sell",
            price="1234567.1",
            quantity="0.00001",
            time_in_force="GTD",
            expiry=NOW_MS // 1000 + 60,
            client_order_id=f"{number:064}",
            self_trade_prevention="expireTaker",
            trigger="takeProfit",
            trigger_price="1234567.1",
            trigger_by="last",
        )
        for number in range(10)
    ]
    async with maker.order_socket() as socket:
        results = await socket.place_array(orders)
    assert all(entry.order is not None for entry in results)
    assert 4_000 < len(sent[-1]) <= 8_192

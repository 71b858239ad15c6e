"""Getting out at once: bulk cancels, deadlines, cancels when a socket is lost."""

from __future__ import annotations

from typing import Any

import pytest

from offchain.api.keys import LIFE
from offchain.domain.commands import Tick
from offchain.domain.order import Side
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import ETH_USDC, MAKER, TAKER, Exchange, Trader, bearer, create_body, create_order, until
from tests.unit.api.sockets import MAKERS, Connect


@pytest.fixture
async def busy(exchange: Exchange, api: Api) -> Exchange:
    """Three bids of the maker, one of them in ETH-USDC, and one of the taker."""
    for key, trader, changes in (
        (1, MAKER, {}),
        (2, MAKER, {"price": 940_000}),
        (3, MAKER, {"market": ETH_USDC.id, "price": 300_000}),
        (1, TAKER, {"price": 930_000}),
    ):
        order = create_order(trader, **{"nonce": key << 32, "quantity": 100} | changes)
        response = await api.post("/v1/orders", json=create_body(trader, order))
        assert response.status == 201, await response.text()
    return exchange


async def open_orders(api: Api, trader: Trader) -> list[dict[str, Any]]:
    response = await api.get("/v1/orders?status=open", headers=bearer(api, trader))
    return (await response.json())["orders"]  # type: ignore[no-any-return]


def headers(api: Api, key: str = "k1", trader: Trader = MAKER) -> dict[str, str]:
    return bearer(api, trader) | {"Idempotency-Key": key}


# ---------------------------------------------------------------------------------------------------------------------
# Bulk cancels
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "count"),
    [("", 3), ("?market=BTC-USDC", 2), ("?market=ETH-USDC&side=buy", 1), ("?side=sell", 0)],
)
async def test_what_fits_is_canceled(busy: Exchange, api: Api, query: str, count: int) -> None:
    response = await api.delete(f"/v1/orders{query}", headers=headers(api))
    answer = await response.json()
    assert (response.status, len(answer["orderIds"]), answer["remaining"]) == (200, count, 0)
    assert len(await open_orders(api, MAKER)) == 3 - count
    assert len(await open_orders(api, TAKER)) == 1


async def test_the_same_request_is_done_once(busy: Exchange, api: Api) -> None:
    first = await (await api.delete("/v1/orders", headers=headers(api))).json()
    order = create_order(MAKER, nonce=9 << 32)
    await api.post("/v1/orders", json=create_body(MAKER, order))
    again = await (await api.delete("/v1/orders", headers=headers(api))).json()
    assert again == first
    assert len(await open_orders(api, MAKER)) == 1
    other = await api.delete("/v1/orders?side=buy", headers=headers(api))
    assert (await other.json())["code"] == "idempotencyKeyReused"


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ("?market=DOGE-USDC", "unknownMarket", "market"),
        ("?side=both", "invalidSide", "side"),
        ("?account=0x12", "unknownParameter", "account"),
    ],
)
async def test_a_filter_that_is_none(busy: Exchange, api: Api, query: str, code: str, param: str) -> None:
    problem = await (await api.delete(f"/v1/orders{query}", headers=headers(api))).json()
    assert (problem["code"], problem["param"]) == (code, param)


async def test_who_asks_has_signed_in_and_names_the_request(busy: Exchange, api: Api) -> None:
    anonymous = await api.delete("/v1/orders", headers={"Idempotency-Key": "k"})
    assert (anonymous.status, (await anonymous.json())["code"]) == (401, "authenticationRequired")
    nameless = await api.delete("/v1/orders", headers=bearer(api, MAKER))
    assert (await nameless.json())["code"] == "missingIdempotencyKey"
    assert len(await open_orders(api, MAKER)) == 3


# ---------------------------------------------------------------------------------------------------------------------
# Deadlines
# ---------------------------------------------------------------------------------------------------------------------


async def put(api: Api, seconds: object) -> tuple[int, dict[str, Any]]:
    response = await api.put("/v1/cancel-after", json={"seconds": seconds}, headers=bearer(api, MAKER))
    return response.status, await response.json()


async def test_orders_end_at_the_deadline_unless_it_is_put_off(busy: Exchange, api: Api, connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS)
    await socket.next_of("snapshot")
    at = busy.clock.ms + 30_000
    assert await put(api, 30) == (200, {"account": MAKER.account, "cancelsAt": at})
    assert (await socket.next_of("cancelAfterUpdate"))["data"] == {"cancelsAt": at}
    account = await (await api.get("/v1/account", headers=bearer(api, MAKER))).json()
    assert account["cancelsAt"] == at
    busy.clock.ms += 20_000
    await put(api, 30)
    busy.clock.ms += 20_000
    await busy.submit(Tick())
    assert len(await open_orders(api, MAKER)) == 3
    busy.clock.ms += 10_000
    await busy.submit(Tick())
    assert await open_orders(api, MAKER) == []
    assert len(await open_orders(api, TAKER)) == 1
    canceled = await (await api.get("/v1/orders", headers=bearer(api, MAKER))).json()
    assert {order["code"] for order in canceled["orders"]} == {"cancelAfter"}


async def test_a_deadline_is_taken_back(busy: Exchange, api: Api) -> None:
    await put(api, 30)
    assert (await put(api, 0))[1]["cancelsAt"] is None
    busy.clock.ms += 31_000
    await busy.submit(Tick())
    assert len(await open_orders(api, MAKER)) == 3


@pytest.mark.parametrize("seconds", [-1, 86_401, "30", 1.5, None, True])
async def test_seconds_are_a_number_up_to_a_day(busy: Exchange, api: Api, seconds: object) -> None:
    status, problem = await put(api, seconds)
    assert (status in (400, 422), problem["param"]) == (True, "seconds")


async def test_a_deadline_takes_a_session(busy: Exchange, api: Api) -> None:
    response = await api.put("/v1/cancel-after", json={"seconds": 5})
    assert response.status == 401


# ---------------------------------------------------------------------------------------------------------------------
# Over a socket
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_lost_socket_cancels_everything(busy: Exchange, api: Api, connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.send(op="cancelOnDisconnect", id=1, enabled=True)
    answer = await socket.next()
    assert answer == {"op": "cancelOnDisconnectSet", "id": 1, "account": MAKER.account, "enabled": True}
    await socket.raw.close()
    await until(lambda: not busy.core.open_orders(MAKER.address))
    assert busy.core.watched_connections == []
    canceled = await (await api.get("/v1/orders", headers=bearer(api, MAKER))).json()
    assert {order["code"] for order in canceled["orders"]} == {"disconnected"}
    assert len(await open_orders(api, TAKER)) == 1


async def test_a_socket_may_think_again(busy: Exchange, api: Api, connect: Connect) -> None:
    socket = await connect(MAKER)
    for request_id, enabled in enumerate((True, True, False, False)):
        await socket.send(op="cancelOnDisconnect", id=request_id, enabled=enabled)
        assert (await socket.next())["enabled"] is enabled
    await socket.raw.close()
    await until(lambda: not busy.app[LIFE].connections)
    assert len(await open_orders(api, MAKER)) == 3


async def test_orders_are_canceled_and_put_under_a_deadline(busy: Exchange, api: Api, connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.send(op="cancelAfter", id=1, seconds=60)
    at = busy.clock.ms + 60_000
    assert await socket.next() == {"op": "cancelAfterSet", "id": 1, "account": MAKER.account, "cancelsAt": at}
    await socket.send(op="cancelAll", id=2, market="BTC-USDC", side="buy")
    answer = await socket.next()
    assert (answer["op"], len(answer["orderIds"]), answer["remaining"]) == ("canceledAll", 2, 0)
    assert [order["market"] for order in await open_orders(api, MAKER)] == ["ETH-USDC"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"op": "cancelAll", "market": 1}, "invalidType"),
        ({"op": "cancelAll", "market": "DOGE-USDC"}, "unknownMarket"),
        ({"op": "cancelAll", "side": "both"}, "invalidSide"),
        ({"op": "cancelAll", "more": 1}, "unknownField"),
        ({"op": "cancelAfter", "seconds": -1}, "invalidDeadline"),
        ({"op": "cancelOnDisconnect", "enabled": 1}, "invalidType"),
    ],
)
async def test_what_cannot_be_done(busy: Exchange, connect: Connect, message: dict[str, Any], code: str) -> None:
    socket = await connect(MAKER)
    await socket.send(**message)
    assert (await socket.next())["code"] == code


@pytest.mark.parametrize(
    "message",
    [{"op": "cancelAll"}, {"op": "cancelAfter", "seconds": 1}, {"op": "cancelOnDisconnect", "enabled": True}],
)
async def test_a_socket_has_to_sign_in(busy: Exchange, connect: Connect, message: dict[str, Any]) -> None:
    socket = await connect()
    await socket.send(**message)
    assert (await socket.next())["code"] == "authenticationRequired"


async def test_selling_side(busy: Exchange, api: Api) -> None:
    order = create_order(MAKER, nonce=8 << 32, side=Side.SELL, price=990_000)
    await api.post("/v1/orders", json=create_body(MAKER, order))
    answer = await (await api.delete("/v1/orders?side=sell", headers=headers(api))).json()
    assert len(answer["orderIds"]) == 1

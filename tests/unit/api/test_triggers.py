"""Stop and take-profit orders, and replacing an order, through the interface."""

from __future__ import annotations

from typing import Any

import pytest

from offchain.domain.order import Side
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import BTC_USDC, MAKER, TAKER, Exchange, Trader, bearer, create_body, create_order
from tests.unit.api.sockets import MAKERS, Connect


def body_of(key: int, trader: Trader = MAKER, unsigned: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return create_body(trader, create_order(trader, **{"nonce": key << 32} | changes), **(unsigned or {}))


STOP = {"trigger": "stop", "triggerPrice": "96000"}


async def post(api: Api, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    response = await api.post("/v1/orders", json=body)
    return response.status, await response.json()


async def shown(api: Api, order_id: str, trader: Trader = MAKER) -> dict[str, Any]:
    answer: dict[str, Any] = await (await api.get(f"/v1/orders/{order_id}", headers=bearer(api, trader))).json()
    return answer


async def trade_at(api: Api, price: int, key: int) -> None:
    """`price` in micro-USDC per lot; the taker sells to the maker."""
    await post(api, body_of(key, side=Side.BUY, price=price, quantity=1))
    status, answer = await post(api, body_of(key, TAKER, side=Side.SELL, price=price, quantity=1))
    assert (status, answer["status"]) == (201, "filled")


async def test_a_stop_waits_and_then_works(exchange: Exchange, api: Api, connect: Connect) -> None:
    await trade_at(api, 950_000, 1)
    status, placed = await post(api, body_of(7, unsigned=STOP, price=970_000))
    assert (status, placed["status"], placed["waiting"]) == (201, "open", True)
    order = await shown(api, placed["orderId"])
    assert (order["status"], order["trigger"]) == (
        "open",
        {"type": "stop", "price": "96000", "by": "last", "triggeredAt": None},
    )
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS)
    snapshot = await socket.next_of("snapshot")
    (waiting,) = snapshot["data"]["orders"]
    assert waiting["trigger"]["price"] == "96000"
    await trade_at(api, 960_000, 2)
    triggered = await socket.next_of("orderTriggered")
    assert triggered["data"] == {"orderId": placed["orderId"], "market": "BTC-USDC", "price": "96000"}
    order = await shown(api, placed["orderId"])
    assert (order["status"], order["trigger"]["triggeredAt"]) == ("open", exchange.clock.ms)
    assert exchange.core.depth(BTC_USDC.id, Side.BUY, 1) == [(970_000, 50_000)]


async def test_updates_say_whether_an_order_waits(api: Api, connect: Connect) -> None:
    await trade_at(api, 950_000, 1)
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS)
    await socket.next_of("snapshot")

    async def next_update() -> tuple[str, bool]:
        data = (await socket.next_of("orderUpdate"))["data"]
        return data["status"], data["waiting"]

    await post(api, body_of(7, unsigned=STOP, price=970_000))
    assert await next_update() == ("open", True)
    await api.delete("/v1/orders", headers=bearer(api, MAKER) | {"Idempotency-Key": "all"})
    assert await next_update() == ("canceled", False)
    await post(api, body_of(8, unsigned=STOP, price=970_000))
    assert await next_update() == ("open", True)
    await trade_at(api, 960_000, 2)
    await socket.next_of("orderTriggered")
    assert await next_update() == ("open", False)


async def test_what_is_due_on_entry_says_when(exchange: Exchange, api: Api) -> None:
    await trade_at(api, 960_000, 1)
    _, placed = await post(api, body_of(7, unsigned=STOP, price=970_000))
    assert "waiting" not in placed
    order = await shown(api, placed["orderId"])
    assert order["trigger"]["triggeredAt"] == exchange.clock.ms


async def test_a_plain_order_has_no_trigger(exchange: Exchange, api: Api) -> None:
    _, placed = await post(api, body_of(7))
    assert (await shown(api, placed["orderId"]))["trigger"] is None


@pytest.mark.parametrize(
    ("unsigned", "status", "code", "param"),
    [
        ({"trigger": "stop"}, 400, "missingField", "triggerPrice"),
        ({"triggerPrice": "96000"}, 400, "missingField", "trigger"),
        ({"triggerBy": "mark"}, 400, "missingField", "trigger"),
        (STOP | {"trigger": "trail"}, 400, "invalidValue", "trigger"),
        (STOP | {"triggerBy": "bid"}, 400, "invalidValue", "triggerBy"),
        (STOP | {"triggerPrice": "x"}, 400, "invalidNumber", "triggerPrice"),
        (STOP | {"triggerPrice": "96000.01"}, 422, "invalidTrigger", "triggerPrice"),
        (STOP | {"triggerPrice": "0"}, 422, "invalidTrigger", "triggerPrice"),
        (STOP | {"triggerPrice": "100000000"}, 422, "invalidTrigger", "triggerPrice"),
        (STOP | {"triggerBy": "index"}, 422, "invalidTrigger", "triggerBy"),
        ({"replaces": "0x12"}, 400, "invalidOrderId", "replaces"),
    ],
)
async def test_what_is_no_trigger(
    exchange: Exchange, api: Api, unsigned: dict[str, Any], status: int, code: str, param: str
) -> None:
    answered, problem = await post(api, body_of(7, unsigned=unsigned))
    assert (answered, problem["code"], problem["param"]) == (status, code, param)


# ---------------------------------------------------------------------------------------------------------------------
# Replacing
# ---------------------------------------------------------------------------------------------------------------------


async def put(api: Api, order_id: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    response = await api.put(f"/v1/orders/{order_id}", json=body)
    return response.status, await response.json()


async def test_an_open_order_is_replaced(exchange: Exchange, api: Api) -> None:
    _, placed = await post(api, body_of(1))
    newer = body_of(1, nonce=1 << 32 | 1, price=940_000)
    status, replaced = await put(api, placed["orderId"], newer)
    assert (status, replaced["status"]) == (201, "open")
    assert (await shown(api, placed["orderId"]))["code"] == "replaced"
    again, same = await put(api, placed["orderId"], newer)
    assert (again, same) == (200, replaced)


async def test_an_order_that_has_ended_is_not_replaced(exchange: Exchange, api: Api) -> None:
    """Unlike with POST, nothing is placed in its stead."""
    _, placed = await post(api, body_of(1))
    await post(api, body_of(1, TAKER, side=Side.SELL))
    status, problem = await put(api, placed["orderId"], body_of(1, nonce=1 << 32 | 1))
    assert (status, problem["code"], problem["param"]) == (409, "orderNotOpen", "replaces")
    assert exchange.core.depth(BTC_USDC.id, Side.BUY, 1) == []


async def test_only_the_order_of_the_same_key_is_replaced(exchange: Exchange, api: Api) -> None:
    _, placed = await post(api, body_of(1))
    status, problem = await put(api, placed["orderId"], body_of(2))
    assert (status, problem["code"]) == (409, "orderNotOpen")
    assert (await shown(api, placed["orderId"]))["status"] == "open"


async def test_address_and_body_name_the_same_order(exchange: Exchange, api: Api) -> None:
    _, placed = await post(api, body_of(1))
    other = {"replaces": "0x" + "ab" * 32}
    status, problem = await put(api, placed["orderId"], body_of(1, nonce=1 << 32 | 1, unsigned=other))
    assert (status, problem["code"], problem["param"]) == (400, "invalidValue", "replaces")


async def test_over_a_socket(exchange: Exchange, connect: Connect) -> None:
    socket = await connect()
    await socket.send(op="place", id=1, order=body_of(1))
    placed = await socket.next()
    newer = body_of(1, nonce=1 << 32 | 1)
    await socket.send(op="replace", id=2, orderId=placed["order"]["orderId"], order=newer)
    replaced = await socket.next()
    assert (replaced["op"], replaced["id"], replaced["order"]["status"]) == ("placed", 2, "open")
    await socket.send(op="replace", id=3, orderId=placed["order"]["orderId"], order=body_of(1, nonce=1 << 32 | 2))
    assert (await socket.next())["code"] == "orderNotOpen"

"""Orders that are signed together, over HTTP and over a socket."""

from __future__ import annotations

from typing import Any

import pytest

from offchain.chain import eip712
from offchain.domain.order import Order, Side
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import DOMAIN, MAKER, TAKER, Exchange, Trader, bearer, create_body, create_order
from tests.unit.api.sockets import Connect


def create_array(*orders: Order, trader: Trader = MAKER, signer: Trader | None = None) -> dict[str, Any]:
    """As posted."""
    hashes = [eip712.order_hash(order) for order in orders]
    signature = eip712.sign(DOMAIN.digest(eip712.array_hash(hashes)), (signer or trader).key)
    bodies = [create_body(trader, order, signature=None) for order in orders]
    return {"orders": bodies, "signature": "0x" + signature.hex()}


def quotes(*changes: dict[str, Any], trader: Trader = MAKER) -> list[Order]:
    return [create_order(trader, **{"nonce": key << 32} | change) for key, change in enumerate(changes, 1)]


async def post(api: Api, body: object, **headers: str) -> tuple[int, dict[str, Any]]:
    response = await api.post("/v1/orders/array", json=body, headers=headers)
    return response.status, await response.json()


async def test_one_signature_places_many(exchange: Exchange, api: Api) -> None:
    orders = quotes({"price": 940_000}, {"price": 930_000}, {"side": Side.SELL, "price": 960_000})
    status, answer = await post(api, create_array(*orders))
    assert status == 200
    assert [each["order"]["status"] for each in answer["results"]] == ["open"] * 3
    assert [each["order"]["orderId"] for each in answer["results"]] == [
        "0x" + eip712.order_hash(o).hex() for o in orders
    ]


async def test_each_is_decided_on_by_itself(exchange: Exchange, api: Api) -> None:
    orders = quotes({}, {"quantity": 10**8}, {"price": 930_000})
    _, answer = await post(api, create_array(*orders))
    codes = [each["problem"] and each["problem"]["code"] for each in answer["results"]]
    assert codes == [None, "insufficientBalance", None]
    assert answer["results"][1]["problem"]["orderId"] == "0x" + eip712.order_hash(orders[1]).hex()


async def test_the_same_array_again_gets_the_same_answer(exchange: Exchange, api: Api) -> None:
    body = create_array(*quotes({}, {"price": 930_000}))
    assert await post(api, body) == await post(api, body)


async def test_an_order_of_an_array_is_canceled_and_replaced_like_any_other(exchange: Exchange, api: Api) -> None:
    first, second = quotes({}, {"price": 930_000})
    await post(api, create_array(first, second))
    order_id = "0x" + eip712.order_hash(first).hex()
    body = {"account": MAKER.account, "signature": MAKER.sign_cancel(order_id)}
    response = await api.delete(f"/v1/orders/{order_id}", json=body)
    assert (await response.json())["status"] == "canceled"
    response = await api.post("/v1/orders", json=create_body(MAKER, create_order(MAKER, nonce=2 << 32 | 1)))
    assert (await response.json())["status"] == "open"
    shown = await api.get(f"/v1/orders/0x{eip712.order_hash(second).hex()}", headers=bearer(api, MAKER))
    assert (await shown.json())["code"] == "replaced"


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"orders": None}, "invalidType", "orders"),
        ({"orders": []}, "invalidValue", "orders"),
        ({"orders": [{}]}, "invalidValue", "orders"),
        ({"orders": [{}, 1]}, "invalidType", "orders[1]"),
        ({"orders": [{}, {}]}, "missingField", "orders[0].account"),
        ({"signature": 1}, "invalidType", "signature"),
        ({"signature": "0x12"}, "invalidSignature", "signature"),
        ({"more": 1}, "unknownField", "more"),
    ],
)
async def test_what_is_no_array(exchange: Exchange, api: Api, change: Any, code: str, param: str) -> None:
    status, problem = await post(api, create_array(*quotes({}, {"price": 930_000})) | change)
    assert (status, problem["code"], problem["param"]) == (400, code, param)


async def test_more_than_ten_are_refused(exchange: Exchange, api: Api) -> None:
    orders = quotes(*({"price": 900_000 + 100 * step} for step in range(11)))
    _, problem = await post(api, create_array(*orders))
    assert (problem["code"], problem["param"]) == ("invalidValue", "orders")


async def test_a_field_at_fault_is_named_with_its_place(exchange: Exchange, api: Api) -> None:
    body = create_array(*quotes({}, {"price": 930_000}))
    body["orders"][1]["price"] = "0.00001"
    status, problem = await post(api, body)
    assert (status, problem["code"], problem["param"]) == (422, "invalidPrice", "orders[1].price")


async def test_an_order_is_not_twice_in_an_array(exchange: Exchange, api: Api) -> None:
    (order,) = quotes({})
    _, problem = await post(api, create_array(order, order))
    assert (problem["code"], problem["param"]) == ("invalidValue", "orders[1]")


async def test_an_array_is_of_one_account(exchange: Exchange, api: Api) -> None:
    body = create_array(*quotes({}, {"price": 930_000}))
    body["orders"][1]["account"] = TAKER.account
    _, problem = await post(api, body)
    assert (problem["code"], problem["param"]) == ("invalidValue", "orders[1].account")


async def test_a_changed_order_breaks_the_signature(exchange: Exchange, api: Api) -> None:
    body = create_array(*quotes({}, {"price": 930_000}))
    body["orders"][1]["quantity"] = "0.6"
    _, problem = await post(api, body)
    assert (problem["code"], problem["param"]) == ("signerMismatch", "signature")


async def test_a_stranger_cannot_sign(exchange: Exchange, api: Api) -> None:
    _, problem = await post(api, create_array(*quotes({}, {"price": 930_000}), signer=TAKER))
    assert problem["code"] == "signerMismatch"


async def test_over_a_socket(exchange: Exchange, connect: Connect) -> None:
    socket = await connect()
    await socket.send(op="placeArray", id="q", array=create_array(*quotes({}, {"quantity": 10**8})))
    answer = await socket.next()
    assert (answer["op"], answer["id"]) == ("placedArray", "q")
    assert answer["results"][0]["order"]["status"] == "open"
    assert answer["results"][1]["problem"]["code"] == "insufficientBalance"
    await socket.send(op="placeArray", id="r", array=[])
    refusal = await socket.next()
    assert (refusal["code"], refusal["param"]) == ("invalidType", "array")

"""Several orders in one request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offchain.api.state import ApiSettings
from offchain.domain.order import Side
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import MAKER, TAKER, Exchange, bearer, create_body, create_order


def body_of(key: int, trader=MAKER, **changes: Any) -> dict[str, Any]:
    return create_body(trader, create_order(trader, **{"nonce": key << 32} | changes))


async def post(api: Api, orders: list[dict[str, Any]], **headers: str) -> tuple[int, dict[str, Any]]:
    response = await api.post("/v1/orders/batch", json={"orders": orders}, headers=headers)
    return response.status, await response.json()


async def test_orders_are_decided_on_in_the_order_given(exchange: Exchange, api: Api) -> None:
    """The second replaces the first, and the third cannot go back behind it."""
    orders = [body_of(1), body_of(1, nonce=1 << 32 | 2), body_of(1, nonce=1 << 32 | 1), body_of(2)]
    status, answer = await post(api, orders)
    assert status == 200
    results = answer["results"]
    assert [each["order"] and each["order"]["status"] for each in results] == ["open", "open", None, "open"]
    assert (results[2]["problem"]["code"], results[2]["problem"]["status"]) == ("staleNonce", 409)
    first = await api.get(f"/v1/orders/{results[0]['order']['orderId']}", headers=bearer(api, MAKER))
    assert (await first.json())["status"] == "canceled"


async def test_what_is_refused_does_not_keep_the_others_out(exchange: Exchange, api: Api) -> None:
    orders = [body_of(1, price=0), body_of(2), {"account": MAKER.account}, body_of(3, quantity=10**9)]
    _, answer = await post(api, orders)
    codes = [each["problem"] and each["problem"]["code"] for each in answer["results"]]
    assert codes == ["invalidPrice", None, "missingField", "insufficientBalance"]
    assert answer["results"][3]["problem"]["orderId"]


async def test_a_batch_can_trade(exchange: Exchange, api: Api) -> None:
    await post(api, [body_of(1, TAKER, side=Side.SELL)])
    _, answer = await post(api, [body_of(1)])
    assert answer["results"][0]["order"]["status"] == "filled"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "malformedJson", None),
        (b"[]", "malformedJson", None),
        (b'{"orders": 1}', "malformedJson", None),
        (b'{"orders": [], "more": 1}', "malformedJson", None),
        (b'{"orders": []}', "invalidValue", "orders"),
        (b'{"orders": [' + b"{}," * 50 + b"{}]}", "invalidValue", "orders"),
        (b'{"orders": ["' + b"x" * 20_000 + b'"]}', "invalidValue", "orders"),
    ],
)
async def test_what_is_no_batch_is_refused_whole(api: Api, body: bytes, code: str, param: str | None) -> None:
    response = await api.post("/v1/orders/batch", data=body, headers={"Content-Type": "application/json"})
    problem = await response.json()
    assert (response.status, problem["code"], problem["param"]) == (400, code, param)


async def test_orders_of_two_accounts_are_refused_whole(exchange: Exchange, api: Api) -> None:
    status, problem = await post(api, [body_of(1), body_of(1, TAKER)])
    assert (status, problem["code"], problem["param"]) == (400, "invalidValue", "orders")
    assert (await (await api.get("/v1/orders", headers=bearer(api, MAKER))).json())["orders"] == []


async def test_every_order_is_charged_to_the_account(create_exchange, create_api) -> None:
    api = await create_api(await create_exchange(ApiSettings(account_orders_per_second=1, limit_window_seconds=3)))
    status, _ = await post(api, [body_of(1), body_of(2)])
    assert status == 200
    status, problem = await post(api, [body_of(3), body_of(4)])
    assert (status, problem["code"]) == (429, "rateLimited")


async def test_a_batch_under_a_key_is_done_once(exchange: Exchange, api: Api) -> None:
    key = {"Idempotency-Key": "one"}
    first = await post(api, [body_of(1)], **key)
    assert await post(api, [body_of(1)], **key) == first
    status, problem = await post(api, [body_of(2)], **key)
    assert (status, problem["code"]) == (422, "idempotencyKeyReused")


async def test_nothing_is_taken_while_the_service_starts(exchange: Exchange, api: Api) -> None:
    exchange.is_open = False
    status, problem = await post(api, [body_of(1)])
    assert (status, problem["code"]) == (503, "starting")


async def test_batches_at_once_keep_within_what_may_be_under_way(create_exchange, create_api) -> None:
    exchange = await create_exchange(ApiSettings(max_inflight=3))
    api = await create_api(exchange)
    exchange.journal.gate.clear()
    waiting = asyncio.create_task(post(api, [body_of(1), body_of(2)]))
    await asyncio.sleep(0.1)
    status, problem = await post(api, [body_of(3), body_of(4)])
    assert (status, problem["code"]) == (503, "overloaded")
    exchange.journal.gate.set()
    assert (await waiting)[0] == 200

"""Finding orders over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offchain.api.state import ApiSettings
from offchain.domain.order import TimeInForce
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import MAKER, NOW_MS, TAKER, Exchange, bearer, create_body, create_order
from tests.unit.api.test_orders import LATER, cancel, order_id, post


async def test_an_order_is_found_at_once(api: Api) -> None:
    body = create_body(MAKER, create_order(MAKER, time_in_force=TimeInForce.GTD, expiry=LATER), clientOrderId="a.b")
    _, placed = await post(api, body)
    found = await (await api.get(f"/v1/orders/{placed['orderId']}", headers=bearer(api, MAKER))).json()
    assert found == {
        "orderId": placed["orderId"],
        "account": MAKER.account,
        "market": "BTC-USDC",
        "side": "buy",
        "type": "limit",
        "timeInForce": "GTD",
        "price": "95000.1",
        "quantity": "0.5",
        "filled": "0",
        "remaining": "0.5",
        "status": "open",
        "code": "",
        "nonce": str(1 << 32),
        "epoch": 0,
        "expiry": LATER,
        "maxFeeBps": 50,
        "conversionLimit": None,
        "reduceOnly": False,
        "postOnly": False,
        "selfTradePrevention": "expireMaker",
        "clientOrderId": "a.b",
        "trigger": None,
        "createdAt": NOW_MS,
        "updatedAt": NOW_MS,
    }


async def test_orders_are_filtered_and_paged(api: Api) -> None:
    for key in range(1, 6):
        order = create_order(MAKER, nonce=key << 32, price=900_000 + key)
        await post(api, create_body(MAKER, order, clientOrderId=f"o{key}"))
    await cancel(api, order_id(create_order(MAKER, nonce=2 << 32, price=900_002)), MAKER)

    async def names(**query: str) -> tuple[list[str], str | None]:
        response = await api.get("/v1/orders", params={"account": MAKER.account} | query, headers=bearer(api, MAKER))
        page = await response.json()
        return [order["clientOrderId"] for order in page["orders"]], page["next"]

    assert await names() == (["o5", "o4", "o3", "o2", "o1"], None)
    assert (await names(status="canceled"))[0] == ["o2"]
    assert (await names(status="open,canceled"))[0] == ["o5", "o4", "o3", "o2", "o1"]
    assert (await names(clientOrderId="o3"))[0] == ["o3"]
    assert (await names(market="ETH-USDC"))[0] == []
    first, cursor = await names(limit="2")
    assert first == ["o5", "o4"]
    assert cursor is not None
    second, cursor = await names(limit="2", cursor=cursor)
    assert second == ["o3", "o2"]
    assert cursor is not None
    assert await names(limit="2", cursor=cursor) == (["o1"], None)


async def test_queries_wait_for_the_views(exchange: Exchange, api: Api) -> None:
    await asyncio.sleep(0.02)
    exchange.projecting.clear()
    await asyncio.sleep(0.02)
    _, placed = await post(api, create_body(MAKER))
    query = asyncio.create_task(api.get(f"/v1/orders/{placed['orderId']}", headers=bearer(api, MAKER)))
    await asyncio.sleep(0.1)
    assert not query.done()
    exchange.projecting.set()
    assert (await query).status == 200


async def test_queries_answer_even_if_the_views_stand_still(create_exchange: Any, create_api: Any) -> None:
    exchange = await create_exchange(ApiSettings(read_own_writes_ms=30))
    api = await create_api(exchange)
    await api.get("/v1/orders", headers=bearer(api, MAKER))
    exchange.projecting.clear()
    await asyncio.sleep(0.02)
    _, placed = await post(api, create_body(MAKER))
    response = await api.get(f"/v1/orders/{placed['orderId']}", headers=bearer(api, MAKER))
    assert response.status == 404
    exchange.projecting.set()
    assert (await api.get(f"/v1/orders/{placed['orderId']}", headers=bearer(api, MAKER))).status == 200


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"account": "0x12"}, ("invalidAddress", "account")),
        ({"account": MAKER.account, "limit": "0"}, ("invalidParameter", "limit")),
        ({"account": MAKER.account, "limit": "501"}, ("invalidParameter", "limit")),
        ({"account": MAKER.account, "limit": "1e1"}, ("invalidParameter", "limit")),
        ({"account": MAKER.account, "status": "living"}, ("invalidParameter", "status")),
        ({"account": MAKER.account, "market": "DOGE-USDC"}, ("unknownMarket", "market")),
        ({"account": MAKER.account, "cursor": "xyz"}, ("invalidCursor", "cursor")),
        ({"account": MAKER.account, "cursor": "ZmlsbHM6MQ"}, ("invalidCursor", "cursor")),
        ({"account": MAKER.account, "clientOrderId": "a b"}, ("invalidParameter", "clientOrderId")),
        ({"account": MAKER.account, "page": "1"}, ("unknownParameter", "page")),
    ],
)
async def test_bad_queries_name_the_parameter(api: Api, query: dict[str, str], expected: tuple[str, str]) -> None:
    response = await api.get("/v1/orders", params=query, headers=bearer(api, MAKER))
    problem = await response.json()
    assert (problem["code"], problem["param"]) == expected
    assert response.status == problem["status"]


async def test_a_parameter_given_twice_is_refused(api: Api) -> None:
    response = await api.get(f"/v1/orders?account={MAKER.account}&account={TAKER.account}", headers=bearer(api, MAKER))
    assert (await response.json())["code"] == "invalidParameter"

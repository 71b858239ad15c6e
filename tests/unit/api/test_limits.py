"""Budgets: of an address, of an account, of a socket; cancels have their own."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiohttp import ClientResponse, WSMsgType

from offchain.api.limits import Buckets, Policy
from offchain.api.state import ApiSettings
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import MAKER, TAKER, Exchange, Trader, bearer, create_body, create_order
from tests.unit.api.sockets import DEPTH, TRADE, Socket
from tests.unit.api.test_metrics import scrape

# ---------------------------------------------------------------------------------------------------------------------
# Buckets
# ---------------------------------------------------------------------------------------------------------------------


def test_a_bucket_allows_its_quota_and_then_its_rate() -> None:
    buckets = Buckets(Policy("orders", 2, 5), 10)
    uses = [buckets.take("a", 100.0) for _ in range(11)]
    assert [use.is_allowed for use in uses] == [True] * 10 + [False]
    assert [use.remaining for use in uses] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]
    assert (uses[0].reset, uses[9].reset, uses[10].retry_after) == (1, 5, 1)
    assert not buckets.take("a", 100.49).is_allowed
    assert buckets.take("a", 100.5).is_allowed
    assert not buckets.take("a", 100.5).is_allowed
    assert buckets.take("a", 1_000.0).remaining == 9


def test_what_is_refused_costs_nothing() -> None:
    buckets = Buckets(Policy("orders", 1, 1), 10)
    assert buckets.take("a", 0.0).is_allowed
    for _ in range(1_000):
        assert not buckets.take("a", 0.5).is_allowed
    assert buckets.take("a", 1.0).is_allowed


def test_costs_add_up_and_the_largest_is_the_whole_quota() -> None:
    buckets = Buckets(Policy("messages", 1, 10), 10)
    assert buckets.take("a", 0.0, 7).remaining == 3
    refused = buckets.take("a", 0.0, 4)
    assert (refused.is_allowed, refused.remaining, refused.retry_after) == (False, 3, 1)
    assert buckets.take("b", 0.0, 1_000).is_allowed
    assert buckets.take("b", 0.0, 1_000).retry_after == 10


def test_the_longest_unused_key_is_forgotten() -> None:
    buckets = Buckets(Policy("address", 1, 1), 2)
    for key in ("a", "b", "a", "c"):
        buckets.take(key, 0.0)
    assert len(buckets) == 2
    assert not buckets.take("a", 0.0).is_allowed, "used after b"
    assert buckets.take("b", 0.0).is_allowed, "forgotten, so it begins anew"


# ---------------------------------------------------------------------------------------------------------------------
# HTTP
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def create_limited(create_exchange: Any, create_api: Any) -> Any:
    """An exchange and its API with small budgets."""

    async def create(**settings: Any) -> tuple[Exchange, Api]:
        exchange = await create_exchange(ApiSettings(limit_window_seconds=2, **settings))
        return exchange, await create_api(exchange)

    return create


async def place(api: Api, trader: Trader, key: int, **headers: str) -> ClientResponse:
    order = create_order(trader, nonce=key << 32, quantity=100)
    return await api.post("/v1/orders", json=create_body(trader, order), headers=headers)


async def cancel(api: Api, trader: Trader, order_id: str, **headers: str) -> ClientResponse:
    body = {"account": trader.account, "signature": trader.sign_cancel(order_id)}
    return await api.delete(f"/v1/orders/{order_id}", json=body, headers=headers)


async def test_an_address_is_told_what_it_has_left(create_limited: Any) -> None:
    exchange, api = await create_limited(address_requests_per_second=2)
    response = await api.get("/v1/time")
    assert response.headers["RateLimit-Policy"] == '"address";q=4;w=2'
    assert response.headers["RateLimit"] == '"address";r=3;t=1'
    for _ in range(3):
        assert (await api.get("/v1/time")).status == 200
    exchange.clock.ms += 100
    response = await api.get("/v1/nothing")
    problem = await response.json()
    assert (response.status, problem["code"], problem["retryable"]) == (429, "rateLimited", True)
    assert response.headers["RateLimit"] == '"address";r=0;t=2'
    assert response.headers["Retry-After"] == "1"
    assert "4 in 2 seconds (address)" in problem["detail"]
    exchange.clock.ms += 400
    assert (await api.get("/v1/time")).status == 200


async def test_without_a_limit_nothing_is_said(api: Api) -> None:
    assert not {"RateLimit", "RateLimit-Policy"} & set((await api.get("/v1/time")).headers)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_the_operators_tools_have_no_budget(create_limited: Any, path: str) -> None:
    _, api = await create_limited(address_requests_per_second=0.5)
    for _ in range(5):
        response = await api.get(path)
        assert response.status == 200
    assert "RateLimit" not in response.headers


async def test_an_account_has_a_budget_at_any_address(create_limited: Any) -> None:
    _, api = await create_limited(account_orders_per_second=1, proxy_hops=1)
    for key in (1, 2):
        assert (await place(api, MAKER, key, **{"X-Forwarded-For": f"10.0.0.{key}"})).status == 201
    response = await place(api, MAKER, 3, **{"X-Forwarded-For": "10.0.0.3"})
    assert (response.status, (await response.json())["code"]) == (429, "rateLimited")
    assert response.headers["RateLimit"] == '"orders";r=0;t=2'
    assert (await place(api, TAKER, 1)).status == 201


async def test_a_refused_order_was_not_taken(create_limited: Any) -> None:
    exchange, api = await create_limited(account_orders_per_second=0.5)
    assert (await place(api, MAKER, 1)).status == 201
    tail = exchange.sequencer.tail()
    assert (await place(api, MAKER, 2)).status == 429
    assert exchange.sequencer.tail() == tail
    exchange.clock.ms += 2_000
    assert (await place(api, MAKER, 2)).status == 201


async def test_whoever_has_no_orders_left_can_still_cancel(create_limited: Any) -> None:
    _, api = await create_limited(
        address_requests_per_second=1,
        account_orders_per_second=1,
        address_cancels_per_second=1,
        account_cancels_per_second=1,
    )
    ids = [(await (await place(api, MAKER, key)).json())["orderId"] for key in (1, 2)]
    assert (await place(api, MAKER, 3)).status == 429
    for order_id in ids:
        response = await cancel(api, MAKER, order_id)
        assert response.status == 200
    assert response.headers["RateLimit"] == '"address-cancels";r=0;t=2, "cancels";r=0;t=2'
    assert response.headers["RateLimit-Policy"] == '"address-cancels";q=2;w=2, "cancels";q=2;w=2'
    response = await cancel(api, MAKER, ids[0])
    assert (response.status, (await response.json())["code"]) == (429, "rateLimited")


async def test_nobody_uses_up_the_budget_of_another_account(create_limited: Any) -> None:
    _, api = await create_limited(account_orders_per_second=0.5)
    forged = create_body(MAKER) | {"signature": TAKER.sign(create_order(MAKER))}
    for _ in range(3):
        assert (await (await api.post("/v1/orders", json=forged)).json())["code"] == "signerMismatch"
    assert (await place(api, MAKER, 1)).status == 201


@pytest.mark.parametrize(
    ("hops", "forwarded", "is_one_client"),
    [
        (0, ("1.1.1.1", "2.2.2.2"), True),  # nobody's word is taken: the peer counts
        (1, ("1.1.1.1", "2.2.2.2"), False),
        (1, ("6.6.6.6, 1.1.1.1", "7.7.7.7, 1.1.1.1"), True),  # what the client itself has written does not count
        (2, ("1.1.1.1, 9.9.9.9", "1.1.1.1, 9.9.9.8"), True),
        (2, ("1.1.1.1", "2.2.2.2"), True),  # fewer proxies than there must be: the peer counts
        (1, ("2001:db8::1", "2001:db8::2:3"), True),  # one /64
        (1, ("2001:db8::1", "2001:db8:0:1::1"), False),
        (1, ("::ffff:1.1.1.1", "1.1.1.1"), True),
        (1, ("::ffff:1.1.1.1", "::ffff:1.1.1.2"), False),
        (1, ("", ""), True),
    ],
)
async def test_who_a_client_is(create_limited: Any, hops: int, forwarded: tuple[str, str], is_one_client: bool) -> None:
    _, api = await create_limited(address_requests_per_second=0.5, proxy_hops=hops)
    first, second = [await api.get("/v1/time", headers={"X-Forwarded-For": entry}) for entry in forwarded]
    assert first.status == 200
    assert second.status == (429 if is_one_client else 200)


async def test_budgets_and_their_memory_are_counted(create_limited: Any) -> None:
    _, api = await create_limited(address_requests_per_second=0.5, proxy_hops=1, limit_keys=3)
    for host in range(10):
        await api.get("/v1/time", headers={"X-Forwarded-For": f"10.0.0.{host}"})
    await api.get("/v1/time", headers={"X-Forwarded-For": "10.0.0.9"})
    samples = await scrape(api)
    assert samples.value("rate_limited_total", policy="address") == 1
    assert samples.value("rate_limit_keys", policy="address") == 3


# ---------------------------------------------------------------------------------------------------------------------
# WebSocket
# ---------------------------------------------------------------------------------------------------------------------


async def test_messages_beyond_the_budget_are_refused(create_limited: Any) -> None:
    exchange, api = await create_limited(socket_messages_per_second=2)
    socket = Socket(await api.ws_connect("/v1/ws", headers=bearer(api, MAKER)))
    await socket.send(op="subscribe", channels=[DEPTH, TRADE, f"trader.{MAKER.account}"])
    await socket.next_of("snapshot")
    await socket.next_of("snapshot")
    await socket.send(op="ping", id=4)
    assert (await socket.next())["op"] == "pong"
    await socket.send(op="ping", id=5)
    error = await socket.next()
    assert (error["op"], error["id"], error["code"]) == ("error", 5, "rateLimited")
    assert re.search(r"4 in 2 seconds \(messages\); nothing was taken, try again in 1 s", error["detail"])
    exchange.clock.ms += 500
    await socket.send(op="ping", id=6)
    assert (await socket.next())["op"] == "pong"


async def test_a_socket_that_goes_on_regardless_is_closed(create_limited: Any) -> None:
    _, api = await create_limited(socket_messages_per_second=1)
    socket = Socket(await api.ws_connect("/v1/ws"))
    for _ in range(5):
        await socket.send(op="ping")
    # What still waits for the socket when it is closed is dropped.
    while (message := await socket.raw.receive()).type is WSMsgType.TEXT:
        pass
    assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4029, "rate limited")


async def test_sockets_of_one_address_are_bounded(create_limited: Any) -> None:
    _, api = await create_limited(max_sockets_per_address=1, proxy_hops=1)
    handshake = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    handshake |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "X-Forwarded-For": "1.1.1.1"}
    socket = await api.ws_connect("/v1/ws", headers={"X-Forwarded-For": "1.1.1.1"})
    response = await api.get("/v1/ws", headers=handshake)
    assert (response.status, (await response.json())["code"]) == (429, "tooManySockets")
    other = await api.ws_connect("/v1/ws", headers={"X-Forwarded-For": "2.2.2.2"})
    await socket.close()
    await other.close()
    again = await api.ws_connect("/v1/ws", headers={"X-Forwarded-For": "1.1.1.1"})
    await again.close()


async def test_connecting_uses_the_addresss_budget(create_limited: Any) -> None:
    _, api = await create_limited(address_requests_per_second=0.5)
    await (await api.ws_connect("/v1/ws")).close()
    assert (await api.get("/v1/time")).status == 429

"""Order entry over HTTP and a socket: what each kind of order does, names and keys, and what a channel tells."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from scripts._lib.service import Service
from tests.e2e.exchange import PRICE, SYMBOL, Exchange
from tests.e2e.trader import Both, Trader, settled, signed_in, unused_key

BIG = "1000"
"""BTC that nobody can pay for"""


async def hear(socket: aiohttp.ClientWebSocketResponse, count: int) -> dict[int, dict[str, Any]]:
    """So many answers, by the ids of what was asked."""
    answers = [await asyncio.wait_for(socket.receive_json(), 30) for _ in range(count)]
    return {answer["id"]: answer for answer in answers}


async def test_orders_over_a_socket_settle(shared_exchange: Exchange, traders: Both) -> None:
    """Several are under way at a time; each answer has the id of its request."""
    maker, taker = traders
    key = unused_key()
    async with maker.http.ws_connect(f"{shared_exchange.url}/v1/ws") as socket:
        first = maker.order("sell", PRICE + 5, "0.1", key=key)
        await socket.send_json({"op": "place", "id": 1, "order": first})
        await socket.send_json({"op": "place", "id": 2, "order": maker.order("buy", PRICE, BIG)})
        array = maker.array([maker.order("sell", PRICE + 20 + step, "0.1") for step in range(3)])
        await socket.send_json({"op": "placeArray", "id": 3, "array": array})
        answers = await hear(socket, 3)
        assert answers[1]["order"]["status"] == "open"
        assert answers[2]["code"] == "insufficientBalance"
        assert [each["order"]["status"] for each in answers[3]["results"]] == ["open"] * 3
        old = answers[1]["order"]["orderId"]
        second = maker.order("sell", PRICE + 4, "0.2", key=key, sequence=2)
        await socket.send_json({"op": "replace", "id": 4, "orderId": old, "order": second})
        leaf = answers[3]["results"][2]["order"]["orderId"]
        await socket.send_json({"op": "cancel", "id": 5, "orderId": leaf, **maker.signed_cancel(leaf)})
        await socket.send_json({"op": "cancel", "id": 6, "orderId": leaf, **maker.signed_cancel(leaf)})
        answers = await hear(socket, 3)
        assert (answers[4]["order"]["status"], answers[5]["order"]["status"]) == ("open", "canceled")
        assert answers[6]["code"] == "orderNotOpen"
    # The socket is gone, and what was placed goes on.
    taken = await taker.place("buy", PRICE + 20, "0.25", time_in_force="IOC")
    assert [fill["price"] for fill in taken["fills"]] == [str(PRICE + 4), str(PRICE + 20)]
    await settled(shared_exchange, taker, taken["fills"])


async def test_what_each_kind_of_order_does(shared_exchange: Exchange, traders: Both) -> None:
    maker, taker = traders
    await maker.place("sell", PRICE + 5, "0.2")
    crossing = taker.order("buy", PRICE + 5, "0.1", postOnly=True)
    status, problem = await taker.ask("POST", "/v1/orders", crossing)
    assert (status, problem["code"], problem["param"]) == (422, "postOnlyWouldCross", "postOnly")
    resting = await taker.place("buy", PRICE - 5, "0.1", postOnly=True)
    assert resting["status"] == "open"
    killed = await taker.place("buy", PRICE + 5, "0.3", time_in_force="FOK")
    assert (killed["status"], killed["code"], killed["filled"]) == ("canceled", "fokUnfilled", "0")
    whole = await taker.place("buy", PRICE + 5, "0.05", time_in_force="FOK")
    assert (whole["status"], whole["filled"]) == ("filled", "0.05")
    part = await taker.place("buy", PRICE + 5, "0.5", time_in_force="IOC", type="market")
    assert (part["status"], part["code"], part["filled"]) == ("canceled", "iocRemainder", "0.15")
    status, problem = await taker.ask("POST", "/v1/orders", taker.order("buy", PRICE, "0.1", type="market"))
    assert (status, problem["code"]) == (422, "invalidTimeInForce")
    await settled(shared_exchange, taker, whole["fills"] + part["fills"])


async def test_a_name_is_one_open_orders(traders: Both) -> None:
    maker, taker = traders
    placed = await maker.place("sell", PRICE + 50, "0.1", clientOrderId="quote-1")
    assert placed["clientOrderId"] == "quote-1"
    again = maker.order("sell", PRICE + 51, "0.1", clientOrderId="quote-1")
    status, problem = await maker.ask("POST", "/v1/orders", again)
    assert (status, problem["code"], problem["param"]) == (409, "duplicateClientOrderId", "clientOrderId")
    theirs = await taker.place("buy", PRICE - 50, "0.1", clientOrderId="quote-1")
    _, found = await taker.ask("GET", "/v1/orders?clientOrderId=quote-1")
    assert [order["orderId"] for order in found["orders"]] == [theirs["orderId"]]
    await maker.cancel(placed["orderId"])
    await maker.place("sell", PRICE + 51, "0.1", clientOrderId="quote-1")
    _, found = await maker.ask("GET", "/v1/orders?clientOrderId=quote-1")
    assert [order["status"] for order in found["orders"]][-1] == "canceled"


async def test_a_write_is_done_once_under_its_key(traders: Both) -> None:
    maker, _ = traders
    name = {"Idempotency-Key": f"once-{unused_key()}"}
    order = maker.order("sell", PRICE + 50, "0.1")
    first = await maker.ask("POST", "/v1/orders", order, **name)
    assert (first[0], await maker.ask("POST", "/v1/orders", order, **name)) == (201, first)
    status, problem = await maker.ask("POST", "/v1/orders", maker.order("sell", PRICE + 51, "0.1"), **name)
    assert (status, problem["code"], problem["param"]) == (422, "idempotencyKeyReused", "Idempotency-Key")
    canceled = await maker.ask("DELETE", "/v1/orders", **name)
    later = await maker.place("sell", PRICE + 52, "0.1")
    assert await maker.ask("DELETE", "/v1/orders", **name) == canceled, (
        "a route's keys are its own, and it is done once"
    )
    assert canceled[1]["orderIds"] == [first[1]["orderId"]]
    assert [order["orderId"] for order in await maker.open_orders()] == [later["orderId"]]
    assert (await maker.ask("DELETE", "/v1/orders"))[1]["code"] == "missingIdempotencyKey"
    key = {"label": "bot", "scopes": ["read"]}
    status, created = await maker.ask("POST", "/v1/keys", key, **name)
    assert (await maker.ask("POST", "/v1/keys", key, **name))[1]["secret"] == created["secret"]
    status, revoked = await maker.ask("DELETE", f"/v1/keys/{created['key']['id']}", **name)
    assert (status, revoked["status"]) == (200, "revoked")


async def listen(trader: Trader, after: int | None) -> list[dict[str, Any]]:
    """What the channel sends before it is up to date, its last message included."""
    channel = f"trader.{trader.account.address.lower()}"
    request: dict[str, Any] = {"op": "subscribe", "channels": [channel], "id": 1}
    heard = []
    async with trader.http.ws_connect(f"{trader.exchange.url}/v1/ws", headers=trader.headers) as socket:
        await socket.send_json(request if after is None else request | {"after": after})
        assert (await socket.receive_json())["op"] == "subscribed"
        while True:
            heard.append(await asyncio.wait_for(socket.receive_json(), 30))
            if heard[-1]["type"] in ("snapshot", "resumed"):
                return heard


async def test_a_channel_goes_on_after_any_gap(
    shared_exchange: Exchange, shared_service: Service, traders: Both
) -> None:
    """Also over a killed core: what was missed is replayed, without a gap, up to what HTTP says."""
    maker, taker = traders
    (start,) = await listen(maker, None)
    assert start["type"] == "snapshot"
    offers = [await maker.place("sell", PRICE + 5 + step, "0.1") for step in range(3)]
    shared_service.kill_and_wait("core")
    for trader in traders:
        await trader.sign_in()
    taken = await taker.place("buy", PRICE + 6, "0.15", time_in_force="IOC")
    await maker.cancel(offers[2]["orderId"])
    await settled(shared_exchange, maker, taken["fills"])

    *missed, resumed = await listen(maker, start["seq"])
    have = start["seq"]
    for message in missed:
        assert message["prevSeq"] <= have < message["seq"]
        have = message["seq"]
    assert resumed["type"] == "resumed"
    assert resumed["seq"] >= have
    orders = {message["data"]["orderId"]: message["data"] for message in missed if message["type"] == "orderUpdate"}
    for offer in offers:
        shown = await maker.shown(offer["orderId"])
        told = orders[offer["orderId"]]
        assert told.pop("waiting") is False
        assert {name: shown[name] for name in told} == told
    fills = [message["data"]["tradeId"] for message in missed if message["type"] == "fillUpdate"]
    assert fills == [fill["tradeId"] for fill in taken["fills"]]
    balances = {message["data"]["asset"]: message["data"] for message in missed if message["type"] == "balanceUpdate"}
    assert balances["USDC"] == await maker.balance()
    middle = missed[len(missed) // 2]["seq"]
    *later, _ = await listen(maker, middle)
    assert [message["seq"] for message in later] == [message["seq"] for message in missed if message["seq"] > middle]


async def codes_of(trader: Trader, *terms: Any) -> set[str]:
    """Why an order is refused over HTTP, and why over a socket."""
    status, problem = await trader.ask("POST", "/v1/orders", trader.order(*terms))
    assert status >= 400, problem
    async with trader.http.ws_connect(f"{trader.exchange.url}/v1/ws") as socket:
        await socket.send_json({"op": "place", "id": 1, "order": trader.order(*terms)})
        return {problem["code"], (await socket.receive_json())["code"]}


async def test_bounds_are_those_of_the_configuration(create_exchange: Any) -> None:
    exchange = create_exchange(is_new=True, PRICE_BAND_PERCENT="5", MAX_OPEN_ORDERS="2")
    with exchange.running():
        async with signed_in(exchange) as (maker, taker):
            _, markets = await maker.ask("GET", "/v1/markets")
            assert (markets["priceBandBps"], markets["maxOpenOrders"]) == (500, 2)
            largest = next(market for market in markets["markets"] if market["symbol"] == SYMBOL)["maxQuantity"]
            await maker.place("sell", PRICE, "0.1")
            await maker.place("sell", 2 * PRICE, "0.1")  # far from the market, on its own side
            assert await codes_of(maker, "sell", PRICE + 1, "0.1") == {"tooManyOrders"}
            assert await codes_of(taker, "buy", int(PRICE * 1.05) + 1, "0.1") == {"priceOutsideBand"}
            assert await codes_of(taker, "buy", PRICE, f"{largest}1") == {"invalidQuantity"}
            assert (await taker.place("buy", int(PRICE * 1.05), "0.1"))["status"] == "filled"

"""Every way to place, change and end orders, over HTTP and WebSocket, as it settles on chain.

One service on one chain for all of them: each test leaves no open order, and uses nonce keys of its own.
"""

from __future__ import annotations

import time

import pytest

from scripts._lib.service import Service
from tests.e2e.exchange import PRICE, SYMBOL, Exchange, eventually
from tests.e2e.trader import Both, settled, unused_key

PERP = "BTC-PERP"


# ---------------------------------------------------------------------------------------------------------------------
# Many orders, one signature
# ---------------------------------------------------------------------------------------------------------------------


async def test_arrays_of_both_sides_settle(shared_exchange: Exchange, traders: Both) -> None:
    """The array's signature proves each order on chain: filled whole, in part, in two batches, or not at all."""
    maker, taker = traders
    offers = await maker.place_array([maker.order("sell", PRICE + step, "0.1") for step in (10, 20, 30)])
    assert [each["status"] for each in offers] == ["open"] * 3
    bids = [taker.order("buy", PRICE + 10, "0.1"), taker.order("buy", PRICE + 20, "0.04")]
    first, second = await taker.place_array(bids)
    assert (first["status"], second["status"]) == ("filled", "filled")
    status, answer = await maker.cancel(offers[2]["orderId"])
    assert (status, answer["status"], answer["filled"]) == (200, "canceled", "0")
    await settled(shared_exchange, taker, first["fills"] + second["fills"])
    # The rest of the second leaf is proved once more, in a batch of its own, against an order that is signed alone.
    batches = shared_exchange.chain.last_batch()
    third = await taker.place("buy", PRICE + 20, "0.06", time_in_force="IOC")
    assert (third["status"], third["filled"]) == ("filled", "0.06")
    await settled(shared_exchange, taker, third["fills"])
    assert shared_exchange.chain.last_batch() > batches
    assert (await maker.shown(offers[1]["orderId"]))["status"] == "filled"


async def test_what_is_changed_in_an_array_breaks_its_signature(traders: Both) -> None:
    maker, _ = traders
    array = maker.array([maker.order("sell", PRICE + step, "0.1") for step in (10, 20)])
    array["orders"][1]["quantity"] = "0.2"
    status, problem = await maker.ask("POST", "/v1/orders/array", array)
    assert (status, problem["code"], problem["param"]) == (403, "signerMismatch", "signature")
    assert await maker.open_orders() == []


async def test_a_batch_settles_what_fits(shared_exchange: Exchange, traders: Both) -> None:
    maker, taker = traders
    wrong = maker.order("sell", PRICE + 10, "0.1") | {"price": "0.05"}
    orders = [maker.order("sell", PRICE + 10, "0.1"), wrong, maker.order("buy", PRICE, "1000")]
    status, answer = await maker.ask("POST", "/v1/orders/batch", {"orders": orders})
    codes = [each["problem"] and each["problem"]["code"] for each in answer["results"]]
    assert (status, codes) == (200, [None, "invalidPrice", "insufficientBalance"])
    taken = await taker.place("buy", PRICE + 10, "0.1", time_in_force="FOK")
    await settled(shared_exchange, taker, taken["fills"])


# ---------------------------------------------------------------------------------------------------------------------
# Waiting for a price
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_stop_that_a_trade_reaches_settles(shared_exchange: Exchange, traders: Both) -> None:
    maker, taker = traders
    reserved = (await maker.balance())["reserved"]
    stop = {"trigger": "stop", "triggerPrice": str(PRICE + 500)}
    waiting = await maker.place("buy", PRICE + 600, "0.05", **stop)
    assert (waiting["status"], waiting["waiting"]) == ("open", True)
    assert (await maker.balance())["reserved"] == reserved
    await taker.place("sell", PRICE + 500, "0.1")
    # The maker's own trade is the print that wakes it up, and what the taker still offers is what it meets.
    print_ = await maker.place("buy", PRICE + 500, "0.02", time_in_force="IOC")
    assert print_["filled"] == "0.02"
    order = await eventually(lambda: maker.shown(waiting["orderId"]), lambda order: order["status"] == "filled")
    assert order["trigger"]["triggeredAt"] is not None
    _, found = await maker.ask("GET", "/v1/fills?limit=5")
    woken = [fill for fill in found["fills"] if fill["orderId"] == waiting["orderId"]]
    assert [(fill["price"], fill["role"]) for fill in woken] == [(str(PRICE + 500), "taker")]
    await settled(shared_exchange, maker, woken + print_["fills"])


async def test_a_stop_that_the_oracle_reaches_settles(shared_exchange: Exchange, traders: Both) -> None:
    """The index moves on chain; the position that comes of it is there too."""
    maker, taker = traders

    async def index() -> str | None:
        _, answer = await maker.ask("GET", "/v1/prices")
        return next(price["indexPrice"] for price in answer["prices"] if price["market"] == PERP and price["usable"])

    shared_exchange.chain.push_price(PRICE)
    await eventually(index, lambda price: price == str(PRICE))
    stop = {"trigger": "stop", "triggerPrice": str(PRICE + 100), "triggerBy": "index"}
    waiting = await maker.place("buy", PRICE + 200, "0.1", market=PERP, **stop)
    assert waiting["waiting"] is True
    await taker.place("sell", PRICE + 150, "0.1", market=PERP)
    assert (await maker.shown(waiting["orderId"]))["filled"] == "0"
    before = shared_exchange.chain.position_of(maker.account, PERP)
    shared_exchange.chain.push_price(PRICE + 100)
    order = await eventually(lambda: maker.shown(waiting["orderId"]), lambda order: order["status"] == "filled")
    assert order["trigger"]["by"] == "index"
    _, found = await maker.ask("GET", "/v1/fills?limit=5")
    await settled(shared_exchange, maker, [fill for fill in found["fills"] if fill["orderId"] == waiting["orderId"]])
    assert shared_exchange.chain.position_of(maker.account, PERP) - before == 1_000
    shared_exchange.chain.push_price(PRICE)


# ---------------------------------------------------------------------------------------------------------------------
# Changing and ending
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_replacement_goes_by_what_has_filled(shared_exchange: Exchange, traders: Both) -> None:
    maker, taker = traders
    key = unused_key()
    old = await maker.place("sell", PRICE + 5, "1", key=key)
    first = await taker.place("buy", PRICE + 5, "0.3", time_in_force="IOC")
    path = f"/v1/orders/{old['orderId']}"
    blind = maker.order("sell", PRICE + 6, "0.5", key=key, sequence=2, expectFilled="0")
    status, problem = await maker.ask("PUT", path, blind)
    assert (status, problem["code"], problem["param"]) == (409, "expectFilledMismatch", "expectFilled")
    assert (await maker.shown(old["orderId"]))["remaining"] == "0.7"
    aware = maker.order("sell", PRICE + 6, "0.5", key=key, sequence=3, expectFilled="0.3")
    status, new = await maker.ask("PUT", path, aware)
    assert (status, new["status"], new["remaining"]) == (201, "open", "0.5")
    assert (await maker.shown(old["orderId"]))["code"] == "replaced"
    second = await taker.place("buy", PRICE + 6, "0.1", time_in_force="IOC")
    assert second["fills"][0]["price"] == str(PRICE + 6)
    # On chain a higher sequence of the key ends the lower one: both must settle in this order.
    await settled(shared_exchange, taker, first["fills"] + second["fills"])
    status, problem = await maker.ask("PUT", path, maker.order("sell", PRICE + 7, "0.5", key=key, sequence=4))
    assert (status, problem["code"]) == (409, "orderNotOpen")


async def test_many_are_canceled_at_once(traders: Both) -> None:
    maker, taker = traders
    sells = [(await maker.place("sell", PRICE + 50 + step, "0.1"))["orderId"] for step in range(3)]
    buy = (await maker.place("buy", PRICE - 50, "0.1"))["orderId"]
    perp = (await maker.place("sell", PRICE + 50, "0.1", market=PERP))["orderId"]
    theirs = (await taker.place("buy", PRICE - 60, "0.1"))["orderId"]
    answer = await maker.cancel_all(f"?market={SYMBOL}&side=sell")
    assert (answer["orderIds"], answer["remaining"]) == (sells, 0)
    assert {order["orderId"] for order in await maker.open_orders()} == {buy, perp}
    assert (await maker.cancel_all())["orderIds"] == [buy, perp]
    assert [order["orderId"] for order in await taker.open_orders()] == [theirs]


@pytest.mark.parametrize(
    ("mode", "resting", "taking"),
    [
        ("expireMaker", ("canceled", "selfTrade"), ("partiallyFilled", "")),
        ("expireTaker", ("open", ""), ("canceled", "selfTrade")),
        ("expireBoth", ("canceled", "selfTrade"), ("canceled", "selfTrade")),
    ],
)
async def test_nobody_trades_with_oneself(
    shared_exchange: Exchange,
    traders: Both,
    mode: str,
    resting: tuple[str, str],
    taking: tuple[str, str],
) -> None:
    """What was filled before one's own order was met stays, and settles."""
    maker, taker = traders
    await taker.place("sell", PRICE + 1, "0.1")
    own = await maker.place("sell", PRICE + 2, "0.1")
    order = await maker.place("buy", PRICE + 2, "0.3", selfTradePrevention=mode)
    assert (order["status"], order.get("code", ""), order["filled"]) == (*taking, "0.1")
    shown = await maker.shown(own["orderId"])
    assert (shown["status"], shown["code"], shown["filled"]) == (*resting, "0")
    await settled(shared_exchange, maker, order["fills"])


async def test_an_order_ends_when_it_expires(shared_exchange: Exchange, traders: Both) -> None:
    """Until then it fills, and what it filled settles afterwards."""
    maker, taker = traders
    expiry = int(time.time()) + 3
    order = await maker.place("sell", PRICE + 5, "0.5", time_in_force="GTD", expiry=expiry)
    taken = await taker.place("buy", PRICE + 5, "0.2", time_in_force="IOC")
    assert taken["filled"] == "0.2"
    ended = await eventually(lambda: maker.shown(order["orderId"]), lambda order: order["status"] == "expired")
    assert (ended["code"], ended["filled"], ended["remaining"]) == ("expired", "0.2", "0.3")
    assert ended["updatedAt"] >= expiry * 1000
    late = await taker.place("buy", PRICE + 5, "0.1", time_in_force="IOC")
    assert (late["status"], late["filled"]) == ("canceled", "0")
    await settled(shared_exchange, taker, taken["fills"])


# ---------------------------------------------------------------------------------------------------------------------
# Falling silent, while the core is killed
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_deadline_outlives_the_core(shared_service: Service, traders: Both) -> None:
    maker, taker = traders
    order = await maker.place("sell", PRICE + 50, "0.1")
    theirs = await taker.place("buy", PRICE - 50, "0.1")
    _, answer = await maker.ask("PUT", "/v1/cancel-after", {"seconds": 3})
    shared_service.kill_and_wait("core")
    for trader in traders:
        await trader.sign_in()
    ended = await eventually(lambda: maker.shown(order["orderId"]), lambda order: order["status"] == "canceled")
    assert (ended["code"], ended["updatedAt"] >= answer["cancelsAt"]) == ("cancelAfter", True)
    assert (await maker.ask("GET", "/v1/account"))[1]["cancelsAt"] is None
    assert (await taker.shown(theirs["orderId"]))["status"] == "open"


async def test_a_socket_that_the_core_takes_with_it_is_lost(shared_service: Service, traders: Both) -> None:
    maker, taker = traders
    theirs = await taker.place("buy", PRICE - 50, "0.1")
    async with maker.http.ws_connect(f"{maker.exchange.url}/v1/ws", headers=maker.headers) as socket:
        await socket.send_json({"op": "cancelOnDisconnect", "id": 1, "enabled": True})
        assert (await socket.receive_json())["enabled"] is True
        await socket.send_json({"op": "place", "id": 2, "order": maker.order("sell", PRICE + 50, "0.1")})
        placed = (await socket.receive_json())["order"]
        assert placed["status"] == "open"
        shared_service.kill_and_wait("core")
    for trader in traders:
        await trader.sign_in()
    ended = await eventually(lambda: maker.shown(placed["orderId"]), lambda order: order["status"] == "canceled")
    assert ended["code"] == "disconnected"
    assert (await taker.shown(theirs["orderId"]))["status"] == "open"

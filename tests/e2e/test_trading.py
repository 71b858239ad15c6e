"""Every way to place, change and end orders, over HTTP and WebSocket, as it settles on chain.

One service on one chain for all of them: each test leaves no open order, and uses nonce keys of its own.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount

from offchain.chain import eip712
from offchain.client.signing import Signer
from scripts._lib.service import Service
from tests.e2e.exchange import PRICE, SYMBOL, Exchange, Upstream, create_signer, eventually

PERP = "BTC-PERP"
CROSS = "ETH-BTC"
OPEN = "open,partiallyFilled"

_keys = itertools.count(1_000)


@pytest.fixture(scope="module")
def running(local_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Exchange, Service]]:
    settings = {"BATCH_SECONDS": "0.2", "LIMIT_ADDRESS_SIGN_INS": "0"}
    folder = tmp_path_factory.mktemp("trading") / "service"
    with local_upstream.fork(folder, **settings) as exchange, exchange.running() as service:
        yield exchange, service


@pytest.fixture
def exchange(running: tuple[Exchange, Service]) -> Exchange:
    return running[0]


@pytest.fixture
def service(running: tuple[Exchange, Service]) -> Service:
    return running[1]


@dataclass
class Trader:
    """An account as a program without our client has it."""

    exchange: Exchange
    http: aiohttp.ClientSession
    account: LocalAccount
    signer: Signer
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        data = None if body is None else msgspec.json.encode(body)
        sent = self.headers | {"Content-Type": "application/json"} | headers
        async with self.http.request(method, self.exchange.url + path, data=data, headers=sent) as response:
            return response.status, await response.json(content_type=None)

    async def sign_in(self) -> None:
        _, challenge = await self.ask("POST", "/v1/auth/challenge", {"account": self.account.address})
        message = challenge["message"]
        signature = "0x" + bytes(self.account.sign_message(encode_defunct(text=message)).signature).hex()
        status, answer = await self.ask("POST", "/v1/auth/sessions", {"message": message, "signature": signature})
        assert status == 201, answer
        self.token = answer["token"]

    def order(
        self,
        side: str,
        price: int | str,
        quantity: str,
        *,
        market: str = SYMBOL,
        time_in_force: str = "GTC",
        expiry: int | None = None,
        key: int | None = None,
        sequence: int = 1,
        **unsigned: Any,
    ) -> dict[str, Any]:
        """A signed body; IOC and FOK are good for a minute."""
        if expiry is None and time_in_force in ("IOC", "FOK"):
            expiry = int(time.time()) + 60
        nonce = (next(_keys) if key is None else key) << 32 | sequence
        _, body = self.signer.order(
            market, side, "limit", time_in_force, price, quantity, nonce, max_fee_bps=50, expiry=expiry
        )
        fields: dict[str, Any] = msgspec.to_builtins(body)
        return {name: value for name, value in fields.items() if value is not None} | unsigned

    async def place(self, *terms: Any, **more: Any) -> dict[str, Any]:
        """The answer to an order that must be taken."""
        status, answer = await self.ask("POST", "/v1/orders", self.order(*terms, **more))
        assert status == 201, answer
        return answer  # type: ignore[no-any-return]

    async def place_array(self, orders: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answers to orders under one signature, which all must be taken."""
        status, answer = await self.ask("POST", "/v1/orders/array", self.array(orders))
        assert status == 200, answer
        assert all(each["problem"] is None for each in answer["results"]), answer
        return [each["order"] for each in answer["results"]]

    def array(self, orders: Sequence[dict[str, Any]]) -> dict[str, Any]:
        hashes = []
        for body in orders:
            again, _ = self.signer.order(
                body["market"],
                body["side"],
                body["type"],
                body["timeInForce"],
                body["price"],
                body["quantity"],
                int(body["nonce"]),
                max_fee_bps=body["maxFeeBps"],
                expiry=body.get("expiry"),
            )
            hashes.append(again)
        signature = eip712.sign(self.signer.domain.digest(eip712.array_hash(hashes)), bytes(self.account.key))
        terms = [{name: value for name, value in body.items() if name != "signature"} for body in orders]
        return {"orders": terms, "signature": "0x" + signature.hex()}

    async def cancel(self, order_id: str) -> tuple[int, Any]:
        body = self.signer.cancel(bytes.fromhex(order_id[2:]))
        return await self.ask("DELETE", f"/v1/orders/{order_id}", body)

    async def cancel_all(self, query: str = "") -> Any:
        key = f"all-{next(_keys)}"
        status, answer = await self.ask("DELETE", f"/v1/orders{query}", **{"Idempotency-Key": key})
        assert status == 200, answer
        return answer

    async def shown(self, order_id: str) -> dict[str, Any]:
        status, answer = await self.ask("GET", f"/v1/orders/{order_id}")
        assert status == 200, answer
        return answer  # type: ignore[no-any-return]

    async def open_orders(self) -> list[dict[str, Any]]:
        _, answer = await self.ask("GET", f"/v1/orders?status={OPEN}")
        return answer["orders"]  # type: ignore[no-any-return]

    async def balance(self) -> dict[str, Any]:
        """Of USDC."""
        _, answer = await self.ask("GET", "/v1/balances")
        return next(row for row in answer["balances"] if row["asset"] == "USDC")


@pytest.fixture
async def traders(exchange: Exchange) -> AsyncIterator[tuple[Trader, Trader]]:
    """The maker and the taker; what they leave open is canceled, and everything has settled and agrees in the end."""
    connector = aiohttp.TCPConnector(force_close=True)  # the service may be killed meanwhile
    async with aiohttp.ClientSession(connector=connector) as http, exchange.clients() as (client, _):
        await exchange.until_indexed(client)
        both = [
            Trader(exchange, http, account, await create_signer(exchange, account))
            for account in (exchange.roles.maker, exchange.roles.taker)
        ]
        for trader in both:
            await trader.sign_in()
        maker, taker = both
        yield maker, taker
        for trader in both:
            await trader.sign_in()
            await trader.ask("PUT", "/v1/cancel-after", {"seconds": 0})
            await trader.cancel_all()
        await exchange.until_settled(client)
        assert await exchange.differences() == []


async def settled(exchange: Exchange, trader: Trader, fills: Sequence[dict[str, Any]]) -> None:
    """Wait until these fills are on chain, as the chain's own events say."""
    ids = {fill["tradeId"] for fill in fills}

    async def missing() -> set[str]:
        return ids - set(exchange.chain.fill_ids())

    await eventually(missing, lambda found: not found)

    async def states() -> set[str]:
        _, answer = await trader.ask("GET", "/v1/fills?limit=100")
        return {fill["settlement"]["state"] for fill in answer["fills"] if fill["tradeId"] in ids}

    await eventually(states, lambda found: found <= {"settled", "confirmed"})


# ---------------------------------------------------------------------------------------------------------------------
# Many orders, one signature
# ---------------------------------------------------------------------------------------------------------------------


async def test_arrays_of_both_sides_settle(exchange: Exchange, traders: tuple[Trader, Trader]) -> None:
    """The array's signature proves each order on chain: filled whole, in part, in two batches, or not at all."""
    maker, taker = traders
    offers = await maker.place_array([maker.order("sell", PRICE + step, "0.1") for step in (10, 20, 30)])
    assert [each["status"] for each in offers] == ["open"] * 3
    bids = [taker.order("buy", PRICE + 10, "0.1"), taker.order("buy", PRICE + 20, "0.04")]
    first, second = await taker.place_array(bids)
    assert (first["status"], second["status"]) == ("filled", "filled")
    status, answer = await maker.cancel(offers[2]["orderId"])
    assert (status, answer["status"], answer["filled"]) == (200, "canceled", "0")
    await settled(exchange, taker, first["fills"] + second["fills"])
    # The rest of the second leaf is proved once more, in a batch of its own, against an order that is signed alone.
    batches = exchange.chain.last_batch()
    third = await taker.place("buy", PRICE + 20, "0.06", time_in_force="IOC")
    assert (third["status"], third["filled"]) == ("filled", "0.06")
    await settled(exchange, taker, third["fills"])
    assert exchange.chain.last_batch() > batches
    assert (await maker.shown(offers[1]["orderId"]))["status"] == "filled"


async def test_what_is_changed_in_an_array_breaks_its_signature(traders: tuple[Trader, Trader]) -> None:
    maker, _ = traders
    array = maker.array([maker.order("sell", PRICE + step, "0.1") for step in (10, 20)])
    array["orders"][1]["quantity"] = "0.2"
    status, problem = await maker.ask("POST", "/v1/orders/array", array)
    assert (status, problem["code"], problem["param"]) == (403, "signerMismatch", "signature")
    assert await maker.open_orders() == []


async def test_a_batch_settles_what_fits(exchange: Exchange, traders: tuple[Trader, Trader]) -> None:
    maker, taker = traders
    wrong = maker.order("sell", PRICE + 10, "0.1") | {"price": "0.05"}
    orders = [maker.order("sell", PRICE + 10, "0.1"), wrong, maker.order("buy", PRICE, "1000")]
    status, answer = await maker.ask("POST", "/v1/orders/batch", {"orders": orders})
    codes = [each["problem"] and each["problem"]["code"] for each in answer["results"]]
    assert (status, codes) == (200, [None, "invalidPrice", "insufficientBalance"])
    taken = await taker.place("buy", PRICE + 10, "0.1", time_in_force="FOK")
    await settled(exchange, taker, taken["fills"])


# ---------------------------------------------------------------------------------------------------------------------
# Waiting for a price
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_stop_that_a_trade_reaches_settles(exchange: Exchange, traders: tuple[Trader, Trader]) -> None:
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
    await settled(exchange, maker, woken + print_["fills"])


async def test_a_stop_that_the_oracle_reaches_settles(exchange: Exchange, traders: tuple[Trader, Trader]) -> None:
    """The index moves on chain; the position that comes of it is there too."""
    maker, taker = traders

    async def index() -> str | None:
        _, answer = await maker.ask("GET", "/v1/prices")
        return next(price["indexPrice"] for price in answer["prices"] if price["market"] == PERP and price["usable"])

    exchange.chain.push_price(PRICE)
    await eventually(index, lambda price: price == str(PRICE))
    stop = {"trigger": "stop", "triggerPrice": str(PRICE + 100), "triggerBy": "index"}
    waiting = await maker.place("buy", PRICE + 200, "0.1", market=PERP, **stop)
    assert waiting["waiting"] is True
    await taker.place("sell", PRICE + 150, "0.1", market=PERP)
    assert (await maker.shown(waiting["orderId"]))["filled"] == "0"
    before = exchange.chain.position_of(maker.account, PERP)
    exchange.chain.push_price(PRICE + 100)
    order = await eventually(lambda: maker.shown(waiting["orderId"]), lambda order: order["status"] == "filled")
    assert order["trigger"]["by"] == "index"
    _, found = await maker.ask("GET", "/v1/fills?limit=5")
    await settled(exchange, maker, [fill for fill in found["fills"] if fill["orderId"] == waiting["orderId"]])
    assert exchange.chain.position_of(maker.account, PERP) - before == 1_000
    exchange.chain.push_price(PRICE)


# ---------------------------------------------------------------------------------------------------------------------
# Changing and ending
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_replacement_goes_by_what_has_filled(exchange: Exchange, traders: tuple[Trader, Trader]) -> None:
    maker, taker = traders
    key = next(_keys)
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
    await settled(exchange, taker, first["fills"] + second["fills"])
    status, problem = await maker.ask("PUT", path, maker.order("sell", PRICE + 7, "0.5", key=key, sequence=4))
    assert (status, problem["code"]) == (409, "orderNotOpen")


async def test_many_are_canceled_at_once(traders: tuple[Trader, Trader]) -> None:
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
    exchange: Exchange,
    traders: tuple[Trader, Trader],
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
    await settled(exchange, maker, order["fills"])


async def test_an_order_ends_when_it_expires(exchange: Exchange, traders: tuple[Trader, Trader]) -> None:
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
    await settled(exchange, taker, taken["fills"])


# ---------------------------------------------------------------------------------------------------------------------
# Falling silent, while the core is killed
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_deadline_outlives_the_core(service: Service, traders: tuple[Trader, Trader]) -> None:
    maker, taker = traders
    order = await maker.place("sell", PRICE + 50, "0.1")
    theirs = await taker.place("buy", PRICE - 50, "0.1")
    _, answer = await maker.ask("PUT", "/v1/cancel-after", {"seconds": 3})
    service.kill_and_wait("core")
    for trader in traders:
        await trader.sign_in()
    ended = await eventually(lambda: maker.shown(order["orderId"]), lambda order: order["status"] == "canceled")
    assert (ended["code"], ended["updatedAt"] >= answer["cancelsAt"]) == ("cancelAfter", True)
    assert (await maker.ask("GET", "/v1/account"))[1]["cancelsAt"] is None
    assert (await taker.shown(theirs["orderId"]))["status"] == "open"


async def test_a_socket_that_the_core_takes_with_it_is_lost(service: Service, traders: tuple[Trader, Trader]) -> None:
    maker, taker = traders
    theirs = await taker.place("buy", PRICE - 50, "0.1")
    async with maker.http.ws_connect(f"{maker.exchange.url}/v1/ws", headers=maker.headers) as socket:
        await socket.send_json({"op": "cancelOnDisconnect", "id": 1, "enabled": True})
        assert (await socket.receive_json())["enabled"] is True
        await socket.send_json({"op": "place", "id": 2, "order": maker.order("sell", PRICE + 50, "0.1")})
        placed = (await socket.receive_json())["order"]
        assert placed["status"] == "open"
        service.kill_and_wait("core")
    for trader in traders:
        await trader.sign_in()
    ended = await eventually(lambda: maker.shown(placed["orderId"]), lambda order: order["status"] == "canceled")
    assert ended["code"] == "disconnected"
    assert (await taker.shown(theirs["orderId"]))["status"] == "open"

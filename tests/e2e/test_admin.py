"""Administrators of a running service: their identity provider publishes its keys over HTTP, and signs their tokens."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientWebSocketResponse

from offchain.client import ApiError
from tests.e2e.exchange import BASE, PRICE, SYMBOL, Exchange, eventually
from tests.e2e.test_parked import ACTIVE, set_status, trade_in_vain
from tests.utils.identity import AUDIENCE, ISSUER, MANAGERS, OPERATORS, VIEWERS, Provider

NEW = "BTC2-USDC"
LISTING = {
    "symbol": NEW,
    "kind": "spot",
    "base": BASE,
    "tickSize": "0.1",
    "lotSize": "0.00001",
    "maxPrice": "10000000",
    "maxQuantity": "1000",
}


class PublishedProvider(Provider):
    """A provider whose keys are at `url`, while it is up."""

    is_up = True
    url = ""


@pytest.fixture
def provider() -> Iterator[PublishedProvider]:
    provider = PublishedProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if provider.is_up else 500)
            self.end_headers()
            self.wfile.write(provider.jwks() if provider.is_up else b"down")

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_address[1]}/jwks.json"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield provider
    server.shutdown()
    server.server_close()


@pytest.fixture
def exchange(create_exchange, provider: PublishedProvider) -> Exchange:
    return create_exchange(ADMIN_JWKS_URL=provider.url, ADMIN_ISSUER=ISSUER, ADMIN_AUDIENCE=AUDIENCE)


class Administrator:
    """Somebody with a token; `kid` chooses the provider's key."""

    _keys = itertools.count()

    def __init__(self, exchange: Exchange, provider: Provider, *groups: str, kid: str | None = None) -> None:
        self.token = provider.token(int(time.time()), *groups, kid=kid)
        self._url = f"{exchange.url}/v1/admin"

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": f"e2e-{next(self._keys)}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, self._url + path, json=body) as response,
        ):
            return response.status, await response.json(content_type=None)

    async def done(self, path: str, expected: int = 200, **body: Any) -> dict[str, Any]:
        status, answer = await self.ask("POST", path, body)
        assert status == expected, answer
        return answer

    async def get(self, path: str) -> dict[str, Any]:
        status, answer = await self.ask("GET", path)
        assert status == 200, answer
        return answer

    async def ended(self, action_id: str) -> dict[str, Any]:
        """The action, when it has ended."""
        pending = ("requested", "sent")
        return await eventually(
            lambda: self.get(f"/actions/{action_id}"), lambda action: action["status"] not in pending
        )


async def heard(socket: ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    while True:
        message = await socket.receive_json(timeout=30)
        if message.get("type") == kind:
            return message


async def market_of(client, symbol: str = SYMBOL):
    return next((each for each in (await client.markets(refresh=True)).markets if each.symbol == symbol), None)


async def test_halts_and_limits_hold_over_a_restart(exchange: Exchange, provider: PublishedProvider) -> None:
    operator = Administrator(exchange, provider, OPERATORS, kid="rsa-1")
    manager = Administrator(exchange, provider, MANAGERS, kid="ec-1")
    with exchange.running():
        async with exchange.clients() as (maker, _):
            await exchange.until_indexed(maker)
            resting = await maker.place_limit(SYMBOL, "sell", PRICE, 1)
            await operator.done(f"/markets/{SYMBOL}/halt", reason="maintenance")
            assert ((await market_of(maker)).status, (await market_of(maker)).reason) == ("halted", "maintenance")
            with pytest.raises(ApiError, match="marketNotActive"):
                await maker.place_limit(SYMBOL, "sell", PRICE, 1)
            assert (await maker.cancel(resting.order_id)).status == "canceled"
            await operator.done(f"/markets/{SYMBOL}/resume")
            await maker.place_limit(SYMBOL, "sell", PRICE, 1)
            await operator.done("/halt", reason="incident 7")
            await manager.done("/settings", maxOpenOrders=3)
            assert (await operator.ask("POST", "/settings", {"maxOpenOrders": 9}))[0] == 403
    with exchange.running(MAX_OPEN_ORDERS="77") as service:
        async with exchange.clients() as (maker, taker):
            assert service.is_ready(), "cancels and reads must get through"
            assert "incident 7" in service.reasons()
            with pytest.raises(ApiError, match="incident 7"):
                await taker.place_market(SYMBOL, "buy", "0.1", PRICE)
            await operator.done("/resume")
            assert (await taker.place_market(SYMBOL, "buy", "0.1", PRICE)).status == "filled"
            assert (await maker.markets(refresh=True)).max_open_orders == 3, "the start has not undone it"
            await exchange.until_settled(taker)
            viewer = Administrator(exchange, provider, VIEWERS)
            entries = (await viewer.get("/audit"))["entries"]
            assert [(entry["action"], entry["outcome"]) for entry in reversed(entries)] == [
                ("haltMarket", "done"),
                ("resumeMarket", "done"),
                ("haltExchange", "done"),
                ("changeSettings", "done"),
                ("changeSettings", "notInGroup"),
                ("resumeExchange", "done"),
            ]
    assert "setting of the start is not used" in service.log.read_text()
    assert exchange.command("verify").returncode == 0


async def test_the_state_is_heard_over_a_socket(exchange: Exchange, provider: PublishedProvider) -> None:
    operator = Administrator(exchange, provider, OPERATORS)
    with exchange.running():
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{exchange.url}/v1/ws") as socket:
            await socket.send_json({"op": "signIn", "token": operator.token})
            assert (await socket.receive_json(timeout=30))["roles"] == ["operator", "viewer"]
            await socket.send_json({"op": "subscribe", "channels": ["admin.*", f"admin.{SYMBOL}"]})
            snapshot = await heard(socket, "snapshot")
            assert SYMBOL in {market["market"] for market in snapshot["data"]["markets"]}
            await operator.done(f"/markets/{SYMBOL}/halt", reason="maintenance")
            states = [(await heard(socket, "stateChange"))["market"] for _ in range(2)]
            assert {(state["market"], state["reason"]) for state in states} == {(SYMBOL, "maintenance")}


async def test_keys_rotate_and_the_provider_may_be_down(exchange: Exchange, provider: PublishedProvider) -> None:
    old = Administrator(exchange, provider, VIEWERS)
    with exchange.running():
        await old.get("/settings")
        provider.is_up = False
        await old.get("/settings")
        provider.rotate()
        provider.is_up = True
        new = Administrator(exchange, provider, VIEWERS)
        await eventually(lambda: new.ask("GET", "/settings"), lambda answer: answer[0] == 200)
        assert (await old.ask("GET", "/settings"))[0] == 401


async def test_a_parked_batch_settles_after_a_retry(exchange: Exchange, provider: PublishedProvider) -> None:
    operator = Administrator(exchange, provider, OPERATORS)
    with exchange.running() as service:
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            fill_id = await trade_in_vain(exchange, service, maker, taker)
            (letter,) = (await operator.get("/dead-letters"))["deadLetters"]
            assert (letter["batch"], letter["status"]) == (2, "parked")
            assert letter["reason"].startswith("MarketNotActive")
            (fill,) = (await operator.get(f"/dead-letters/{letter['id']}"))["fills"]
            assert (fill["tradeId"], fill["maker"]["account"]) == (fill_id, exchange.roles.maker.address.lower())
            set_status(exchange, exchange.roles.owner, ACTIVE)
            await exchange.until_indexed(taker)
            await operator.done(f"/dead-letters/{letter['id']}/retry")
            await exchange.until_settled(taker)
            assert exchange.chain.fill_ids(first_batch=2) == [fill_id]
            service.wait_ready()
            status, answer = await operator.ask("POST", f"/dead-letters/{letter['id']}/retry", {})
            assert (status, answer["code"]) == (409, "invalidBatch")
            assert await exchange.differences() == []


async def trade_in(exchange: Exchange, maker, taker, symbol: str) -> None:
    """A fill that settles."""
    batches = exchange.chain.last_batch()
    await maker.place_limit(symbol, "sell", PRICE, "0.2")
    assert (await taker.place_market(symbol, "buy", "0.2", PRICE)).status == "filled"
    await exchange.until_settled(taker)
    assert exchange.chain.last_batch() == batches + 1
    assert await exchange.differences() == []


async def test_a_market_is_created_and_traded(exchange: Exchange, provider: PublishedProvider) -> None:
    """Where the operator's account owns the contracts, as on a chain of one's own."""
    chain, owner = exchange.chain, exchange.roles.owner
    manager = Administrator(exchange, provider, MANAGERS)
    chain.send(owner, chain.engine.functions.setOperator(owner.address))
    with exchange.running(OPERATOR_KEY=owner.key.hex()):
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            asked = await manager.done("/markets", 202, **LISTING)
            action = await manager.ended(asked["actionId"])
            assert (action["status"], action["reason"]) == ("settled", "")
            assert chain.receipt(action["txHash"])["status"] == 1
            await eventually(lambda: market_of(maker, NEW), bool)
            await trade_in(exchange, maker, taker, NEW)

            asked = await manager.done(f"/markets/{NEW}/status", 202, status="paused")
            with pytest.raises(ApiError, match="marketNotActive"):
                await maker.place_limit(NEW, "sell", PRICE, "0.1")
            assert (await manager.ended(asked["actionId"]))["status"] == "settled"
            status, answer = await manager.ask("POST", "/markets", LISTING)
            assert (status, answer["code"], answer["param"]) == (422, "invalidMarket", "symbol")


async def test_what_is_the_owners_is_left_to_the_owner(exchange: Exchange, provider: PublishedProvider) -> None:
    manager = Administrator(exchange, provider, MANAGERS)
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            asked = await manager.done("/markets", 202, **LISTING)
            action = await manager.ended(asked["actionId"])
            assert action["status"] == "needsOwner"
            assert action["target"] == exchange.chain.registry.address.lower()
            exchange.chain.send_raw(exchange.roles.owner, action["target"], action["data"])
            await eventually(lambda: market_of(maker, NEW), bool)
            await trade_in(exchange, maker, taker, NEW)


async def test_the_console_is_on_record(exchange: Exchange, provider: PublishedProvider) -> None:
    with exchange.running() as service:
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            await trade_in_vain(exchange, service, maker, taker)
            assert exchange.command("settlement", "bust", "--all-parked").returncode == 0
            halted = exchange.command("exchange", "halt", "--reason", "incident 7")
            assert (halted.returncode, halted.stdout) == (0, "all markets are halted: incident 7\n"), halted.stderr
            assert "all markets are halted: incident 7" in exchange.command("settlement", "status").stdout
            assert exchange.command("exchange", "halt", "--reason", "incident 7").returncode == 1
            assert exchange.command("exchange", "resume").returncode == 0
            viewer = Administrator(exchange, provider, VIEWERS)

            async def entries() -> list[dict[str, Any]]:
                found: list[dict[str, Any]] = (await viewer.get("/audit"))["entries"]
                return found

            found = await eventually(entries, lambda found: len(found) == 4)
            assert [(entry["action"], entry["outcome"]) for entry in reversed(found)] == [
                ("bustFills", "done"),
                ("haltExchange", "done"),
                ("haltExchange", "repeated"),
                ("resumeExchange", "done"),
            ]
            assert {entry["who"]["issuer"] for entry in found} == {"console"}
            assert all(entry["who"]["subject"] for entry in found)
            letter = (await viewer.get("/dead-letters"))["deadLetters"][0]
            assert letter["status"] == "reopened"

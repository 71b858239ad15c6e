"""Administrators over a socket: signing in, the state and its changes, the end of a token."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offchain.api.keys import HUB
from offchain.domain.admin import Actor, ChangeSettings, HaltAll, LimitQuantity
from offchain.domain.commands import AdminAction, Administer, SetStatus
from tests.unit.api.conftest import Api, CreateExchange
from tests.unit.api.exchange import NOW_MS, Exchange, until
from tests.unit.api.sockets import Connect, Socket
from tests.unit.api.test_metrics import scrape
from tests.utils.identity import OPERATORS, VIEWERS, Provider

ALL, ONE = "admin.*", "admin.BTC-USDC"


@pytest.fixture
def token(provider: Provider) -> str:
    return provider.token(NOW_MS // 1000, VIEWERS)


@pytest.fixture
async def socket(connect: Connect, token: str) -> Socket:
    socket = await connect()
    await socket.send(op="signIn", token=token, id=7)
    assert await socket.next() == {
        "op": "signedIn",
        "id": 7,
        "subject": "alice",
        "roles": ["viewer"],
        "expiresAt": NOW_MS + 605_000,
    }
    return socket


async def act(exchange: Exchange, *actions: AdminAction) -> None:
    for action in actions:
        await exchange.submit(Administer(Actor("console", "tester", [], "", ""), action))


def state_of(market: str, reason: str = "", **limits: Any) -> dict[str, Any]:
    status = "halted" if reason else "active"
    none = {"quantityLimit": None, "openingMarginBps": None}
    return {"market": market, "status": status, "reason": reason, **none, **limits}


async def test_a_snapshot_comes_first(exchange: Exchange, socket: Socket) -> None:
    await act(exchange, SetStatus(2, True, "maintenance"), LimitQuantity(2, 50_000))
    seq = (await socket.subscribe(ALL, ONE))["seq"]
    settings = {"halted": False, "reason": "", "maxOpenOrders": 10_000, "priceBandBps": 0}
    btc = {
        "market": "BTC-USDC",
        "status": "halted",
        "reason": "maintenance",
        "quantityLimit": "0.5",
        "openingMarginBps": None,
    }
    eth = {"market": "ETH-USDC", "status": "active", "reason": "", "quantityLimit": None, "openingMarginBps": None}
    everything = await socket.next()
    assert everything["data"] == {"settings": settings, "markets": [btc, eth]}
    assert (everything["type"], everything["channel"], everything["seq"] >= seq) == ("snapshot", ALL, True)
    assert (await socket.next())["data"] == {"settings": settings, "markets": [btc]}


async def test_changes_follow(exchange: Exchange, socket: Socket) -> None:
    await socket.subscribe(ALL)
    snapshot = await socket.next()
    await act(exchange, SetStatus(4, True, "maintenance"))
    change = await socket.next()
    assert (change["type"], change["channel"], change["prevSeq"]) == ("stateChange", ALL, snapshot["seq"])
    halted = {
        "market": "ETH-USDC",
        "status": "halted",
        "reason": "maintenance",
        "quantityLimit": None,
        "openingMarginBps": None,
    }
    assert change["market"] == halted
    assert "settings" not in change
    await act(exchange, ChangeSettings(max_open_orders=5))
    change, before = await socket.next(), change
    assert (change["prevSeq"], change["settings"]["maxOpenOrders"]) == (before["seq"], 5)
    await act(exchange, HaltAll(True, "incident"))
    messages = [await socket.next() for _ in range(3)]
    assert [message["prevSeq"] for message in messages[1:]] == [message["seq"] for message in messages[:-1]]
    assert messages[0]["settings"]["halted"] is True
    assert {message["market"]["reason"] for message in messages[1:]} == {"incident"}


async def test_a_markets_channel_tells_of_it_and_of_all(exchange: Exchange, socket: Socket) -> None:
    await socket.subscribe(ONE)
    await socket.next()
    await act(exchange, SetStatus(4, True, "other"), LimitQuantity(2, 100_000), ChangeSettings(price_band_bps=7))
    assert (await socket.next())["market"]["quantityLimit"] == "1"
    assert (await socket.next())["settings"]["priceBandBps"] == 7
    await socket.send(op="unsubscribe", channels=[ONE])
    assert (await socket.next())["op"] == "unsubscribed"
    await act(exchange, SetStatus(2, True, "maintenance"))
    assert await socket.is_silent()


async def test_missed_records_bring_a_new_snapshot(exchange: Exchange, socket: Socket) -> None:
    await socket.subscribe(ONE)
    await socket.next()
    exchange.feed.is_losing = True
    await act(exchange, SetStatus(2, True, "unseen"))
    await asyncio.sleep(0)  # it is answered before it is published
    exchange.feed.is_losing = False
    await act(exchange, SetStatus(4, True, "seen"))
    snapshot = await socket.next()
    assert (snapshot["type"], snapshot["resync"]) == ("snapshot", True)
    assert [(each["market"], each["reason"]) for each in snapshot["data"]["markets"]] == [("BTC-USDC", "unseen")]


# ---------------------------------------------------------------------------------------------------------------------
# Who may
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", [ALL, ONE])
async def test_channels_are_for_who_has_signed_in(connect: Connect, channel: str) -> None:
    socket = await connect()
    await socket.send(op="subscribe", channels=[channel], id=1)
    refusal = await socket.next()
    assert (refusal["code"], refusal["param"]) == ("authenticationRequired", "channels")


async def test_unknown_markets_have_no_channel(socket: Socket) -> None:
    for channel in ("admin.DOGE-USDC", "admin.", "admin"):
        await socket.send(op="subscribe", channels=[channel])
        assert (await socket.next())["code"] == "unknownChannel"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"token": "abc"}, ("invalidToken", "token")),
        ({"token": ""}, ("invalidToken", "token")),
        ({"token": "a.b.c"}, ("invalidToken", "token")),
        ({"token": 7}, ("invalidValue", "token")),
        ({}, ("invalidValue", "token")),
        ({"token": "abc", "secret": 1}, ("unknownField", "secret")),
    ],
)
async def test_bad_tokens_are_refused(connect: Connect, message: dict[str, Any], expected: tuple[str, str]) -> None:
    socket = await connect()
    await socket.send(op="signIn", **message)
    refusal = await socket.next()
    assert (refusal["op"], refusal["code"], refusal["param"]) == ("error", *expected)


async def test_a_token_without_a_role_signs_nobody_in(connect: Connect, provider: Provider) -> None:
    socket = await connect()
    await socket.send(op="signIn", token=provider.token(NOW_MS // 1000, "others"))
    assert (await socket.next())["code"] == "notInGroup"
    await socket.send(op="subscribe", channels=[ALL])
    assert (await socket.next())["code"] == "authenticationRequired"


async def test_channels_end_with_the_token(exchange: Exchange, api: Api, connect: Connect, provider: Provider) -> None:
    socket = await connect()
    now = NOW_MS // 1000
    await socket.send(op="signIn", token=provider.token(now, OPERATORS, exp=now - 4))
    assert (await socket.next())["expiresAt"] == NOW_MS + 1_000
    await socket.subscribe(ALL, "market.BTC-USDC.depth")
    assert {(await socket.next())["channel"], (await socket.next())["channel"]} == {ALL, "market.BTC-USDC.depth"}
    ended = await socket.next()
    assert (ended["op"], ended["code"], ended["param"]) == ("error", "invalidToken", "token")
    await act(exchange, HaltAll(True, "unseen"))
    await socket.send(op="subscribe", channels=[ONE])
    assert (await socket.next())["code"] == "authenticationRequired"
    await socket.send(op="unsubscribe", channels=["market.BTC-USDC.depth"])
    assert (await socket.next())["op"] == "unsubscribed", "what is open to all goes on"


async def test_signing_in_again_goes_on(connect: Connect, provider: Provider, exchange: Exchange) -> None:
    socket = await connect()
    now = NOW_MS // 1000
    for exp in (now - 4, now + 600):
        await socket.send(op="signIn", token=provider.token(now, OPERATORS, exp=exp))
        await socket.next()
    await socket.subscribe(ALL)
    await socket.next()
    await asyncio.sleep(1.1)
    await act(exchange, HaltAll(True, "seen"))
    assert (await socket.next())["type"] == "stateChange"


async def test_without_a_provider_nobody_signs_in(create_exchange: CreateExchange, create_api: Any, token: str) -> None:
    api = await create_api(await create_exchange(administered=False))
    async with api.ws_connect("/v1/ws") as raw:
        socket = Socket(raw)
        await socket.send(op="signIn", token=token)
        assert (await socket.next())["code"] == "adminDisabled"


async def test_a_socket_that_closes_leaves_nothing(exchange: Exchange, api: Api, socket: Socket) -> None:
    await socket.subscribe(ALL, ONE)
    assert (await scrape(api)).value("websocket_subscriptions", kind="admin") == 2
    await socket.raw.close()
    hub = exchange.app[HUB]
    await until(lambda: hub.subscriptions()["admin"] == 0)

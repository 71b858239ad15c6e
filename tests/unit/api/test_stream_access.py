"""Private channels: only for whoever has signed in on the socket, and only as long as the token is good."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from offchain.api.access import Scope
from offchain.api.credentials import Identity
from offchain.api.keys import CREDENTIALS, LIFE
from offchain.api.problems import ProblemError
from offchain.api.websocket import Connection
from offchain.domain.commands import DelegateSet, Tick
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import MAKER, NOW_MS, TAKER, Exchange, bearer, create_body, until
from tests.unit.api.sockets import DEPTH, MAKERS, Connect, Socket, place
from tests.unit.api.test_api_keys import created, revoke
from tests.unit.api.test_auth import sign_in

TAKERS = f"trader.{TAKER.account}"
UNTIL = NOW_MS // 1000 + 3_600


async def code_of(socket: Socket, **operation: object) -> tuple[str, str | None]:
    await socket.send(**operation)
    answer = await socket.next()
    assert answer["op"] == "error", answer
    return answer["code"], answer["param"]


async def closed_with(socket: Socket) -> tuple[int | None, str]:
    while (message := await socket.raw.receive(timeout=5)).type is WSMsgType.TEXT:
        pass
    assert message.type is WSMsgType.CLOSE
    return message.data, message.extra or ""


async def test_a_socket_signs_in_and_subscribes(api: Api, connect: Connect) -> None:
    session = await sign_in(api, MAKER)
    socket = await connect()
    assert await code_of(socket, op="subscribe", channels=[MAKERS]) == ("authenticationRequired", "op")
    await socket.send(op="signIn", token=session["token"], id=4)
    assert await socket.next() == {
        "op": "signedIn",
        "id": 4,
        "account": MAKER.account,
        "scopes": ["cancel", "keys", "read"],
        "expiresAt": session["expiresAt"],
    }
    await socket.subscribe(MAKERS)
    assert (await socket.next_of("snapshot"))["channel"] == MAKERS


async def test_the_header_signs_in(api: Api, connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS)
    with pytest.raises(WSServerHandshakeError) as refused:
        await api.ws_connect("/v1/ws", headers={"Authorization": "Bearer cps_unknown"})
    assert refused.value.status == 401


async def test_channels_are_ones_own(connect: Connect) -> None:
    socket = await connect(MAKER)
    assert await code_of(socket, op="subscribe", channels=[TAKERS]) == ("notYourAccount", "channels")
    assert await code_of(socket, op="subscribe", channels=[DEPTH, TAKERS]) == ("notYourAccount", "channels")
    assert await socket.is_silent(), "all or nothing"


async def test_bad_tokens_are_refused_and_close_nothing(connect: Connect) -> None:
    socket = await connect()
    assert await code_of(socket, op="signIn", token="cps_unknown") == ("invalidToken", "token")
    assert await code_of(socket, op="signIn") == ("invalidValue", "token")
    assert await code_of(socket, op="signIn", token=7) == ("invalidValue", "token")
    await socket.subscribe(DEPTH)


async def test_a_socket_speaks_for_one_account(api: Api, connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS)
    theirs = bearer(api, TAKER)["Authorization"].removeprefix("Bearer ")
    await socket.next_of("snapshot")
    assert await code_of(socket, op="signIn", token=theirs) == ("notYourAccount", "token")
    await place(api, MAKER)
    await socket.next_of("orderUpdate")


Ending = Callable[[Exchange, Api, str], Awaitable[None]]


async def sign_out(exchange: Exchange, api: Api, token: str) -> None:
    await api.delete("/v1/auth/sessions/current", headers={"Authorization": f"Bearer {token}"})


async def expire(exchange: Exchange, api: Api, token: str) -> None:
    exchange.clock.ms += 86_400_000


@pytest.mark.parametrize("end", [sign_out, expire])
async def test_the_end_of_the_session_closes_its_sockets(
    exchange: Exchange, api: Api, connect: Connect, end: Ending
) -> None:
    token = (await sign_in(api, MAKER))["token"]
    private, public, other = await connect(), await connect(), await connect(TAKER)
    await private.send(op="signIn", token=token)
    await private.next()
    await private.subscribe(MAKERS)
    await end(exchange, api, token)
    assert await closed_with(private) == (4001, "signed out")
    await place(api, MAKER)
    await public.subscribe(DEPTH)
    await other.subscribe(TAKERS)


async def test_a_renewed_socket_outlives_its_first_session(api: Api, exchange: Exchange, connect: Connect) -> None:
    first, second = await sign_in(api, MAKER), await sign_in(api, MAKER)
    socket = await connect()
    for session in (first, second):
        await socket.send(op="signIn", token=session["token"])
        await socket.next()
    await socket.subscribe(MAKERS)
    await sign_out(exchange, api, first["token"])
    await place(api, MAKER)
    await socket.next_of("orderUpdate")
    await sign_out(exchange, api, second["token"])
    assert await closed_with(socket) == (4001, "signed out")


async def test_a_revoked_key_closes_its_sockets(api: Api, connect: Connect) -> None:
    made = await created(api)
    socket = await connect()
    await socket.send(op="signIn", token=made["secret"])
    assert (await socket.next())["scopes"] == ["read"]
    await socket.subscribe(MAKERS)
    await revoke(api, made["key"]["id"])
    assert await closed_with(socket) == (4001, "signed out")


async def test_an_expired_key_closes_its_sockets(exchange: Exchange, api: Api, connect: Connect) -> None:
    made = await created(api, expiry=UNTIL)
    socket = await connect()
    await socket.send(op="signIn", token=made["secret"])
    await socket.next()
    await socket.subscribe(MAKERS)
    exchange.clock.ms = UNTIL * 1000
    assert await closed_with(socket) == (4001, "signed out")
    await exchange.submit(Tick())


async def test_the_end_of_a_delegation_closes_the_delegates_sockets(
    exchange: Exchange, api: Api, connect: Connect
) -> None:
    await exchange.block(DelegateSet(MAKER.address, TAKER.address, UNTIL))
    token = (await sign_in(api, MAKER, TAKER))["token"]
    own, theirs = await connect(MAKER), await connect()
    await theirs.send(op="signIn", token=token)
    await theirs.next()
    await theirs.subscribe(MAKERS)
    await own.subscribe(MAKERS)
    await exchange.block(DelegateSet(MAKER.address, TAKER.address, 0))
    assert await closed_with(theirs) == (4001, "signed out")
    await own.next_of("delegateUpdate")


async def test_keys_that_are_made_and_end_are_told(api: Api, connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS)
    made = await created(api, expiry=UNTIL)
    data = (await socket.next_of("apiKeyUpdate"))["data"]
    assert data == {name: made["key"][name] for name in ("id", "label", "scopes", "expiry", "status")}
    await revoke(api, made["key"]["id"])
    assert (await socket.next_of("apiKeyUpdate"))["data"] == data | {"status": "revoked"}


async def test_orders_over_a_socket_need_no_sign_in(connect: Connect) -> None:
    socket = await connect()
    await socket.send(op="place", id=1, order=create_body(MAKER))
    assert (await socket.next())["op"] == "placed"


async def test_nothing_of_a_closed_socket_is_watched(exchange: Exchange, api: Api, connect: Connect) -> None:
    session = await sign_in(api, MAKER)
    socket = await connect()
    await socket.send(op="signIn", token=session["token"])
    await socket.next()
    await socket.raw.close()
    await until(lambda: not exchange.app[LIFE].connections)
    assert not exchange.app[CREDENTIALS]._watchers


async def test_handlers_ask_the_connection_who_it_is(exchange: Exchange, api: Api, connect: Connect) -> None:
    socket = await connect()
    (connection,) = exchange.app[LIFE].connections
    assert isinstance(connection, Connection)
    assert connection.identity is None
    with pytest.raises(ProblemError, match="authenticationRequired"):
        connection.require(Scope.CANCEL)
    made = await created(api)
    await socket.send(op="signIn", token=made["secret"])
    await socket.next()
    assert isinstance(connection.identity, Identity)
    assert connection.require(Scope.READ).account == MAKER.address
    with pytest.raises(ProblemError, match="insufficientScope"):
        connection.require(Scope.CANCEL)

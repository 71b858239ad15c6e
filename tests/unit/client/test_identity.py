"""The client signs in by itself, again when its session is gone, and signs nothing that signs in elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from offchain.api.keys import CREDENTIALS
from offchain.api.schemas import auth
from offchain.api.schemas.stream import OrderMessage, TraderSnapshot
from offchain.api.state import ApiSettings
from offchain.client import ApiError, Client
from offchain.client import client as client_module
from offchain.client import stream as stream_module
from offchain.domain.commands import DelegateSet
from tests.unit.api.exchange import MAKER, NOW_MS, OPERATOR, TAKER, Exchange, until
from tests.unit.client.conftest import CreateClient
from tests.unit.client.test_stream import next_of

UNTIL = NOW_MS // 1000 + 3_600


@pytest.fixture(autouse=True)
def exchange_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module.time, "time", lambda: NOW_MS / 1000)
    monkeypatch.setattr(stream_module, "FIRST_PAUSE_SECONDS", 0.02)


def forget_sessions(exchange: Exchange) -> None:
    """As a restart does."""
    credentials = exchange.app[CREDENTIALS]
    for token_hash in list(credentials._sessions):
        credentials.end_session(credentials._sessions[token_hash])


async def test_many_reads_sign_in_once(exchange: Exchange, create_client: CreateClient) -> None:
    client = await create_client(MAKER)
    await asyncio.gather(client.balances(), client.orders(), client.fills(), client.positions())
    assert exchange.app[CREDENTIALS].sessions == 1


async def test_a_lost_session_is_opened_again(exchange: Exchange, create_client: CreateClient) -> None:
    client = await create_client(MAKER)
    await client.balances()
    forget_sessions(exchange)
    balances = await asyncio.gather(*(client.balances() for _ in range(5)))
    assert all(each["BTC"].available == "100" for each in balances)
    assert exchange.app[CREDENTIALS].sessions == 1


async def test_signing_out_ends_the_session_until_the_next_read(
    exchange: Exchange, create_client: CreateClient
) -> None:
    client = await create_client(MAKER)
    await client.sign_out()
    await client.balances()
    await client.sign_out()
    assert exchange.app[CREDENTIALS].sessions == 0
    await client.balances()
    assert exchange.app[CREDENTIALS].sessions == 1


async def test_a_lost_answer_to_a_sign_in_is_asked_for_anew(
    create_client: CreateClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await create_client(MAKER)
    transport, lost = client._http, []
    attempt = transport._attempt

    async def lose_the_first_session(method: str, path: str, *rest: Any) -> Any:
        answer = await attempt(method, path, *rest)
        if path == "/v1/auth/sessions" and not lost:
            lost.append(answer)
            raise ApiError(0, "noAnswer", "the connection broke", retryable=True)
        return answer

    monkeypatch.setattr(transport, "_attempt", lose_the_first_session)
    assert (await client.balances())["BTC"].available == "100"


async def test_an_api_key_reads_without_a_private_key(exchange: Exchange, create_client: CreateClient) -> None:
    owner = await create_client(MAKER)
    made = await owner.create_key("bot", ["read"], UNTIL)
    reader = await create_client(api_key=made.secret)
    assert (await reader.balances())["BTC"].available == "100"
    with pytest.raises(ValueError, match=r"call session\(\) first"):
        _ = reader.account
    info = await reader.session()
    assert (info.key_id, info.scopes) == (made.key.id, ["read"])
    assert (reader.account, reader.trader_channel) == (MAKER.account, owner.trader_channel)
    async with reader.subscribe(reader.trader_channel) as stream:
        assert (await next_of(stream, TraderSnapshot)).channel == owner.trader_channel
    with pytest.raises(ValueError, match="no private key"):
        await reader.place_limit("BTC-USDC", "buy", "1", "1")
    assert [key.id for key in await owner.keys()] == [made.key.id]


async def test_a_revoked_key_is_an_error(create_client: CreateClient) -> None:
    owner = await create_client(MAKER)
    made = await owner.create_key("bot")
    reader = await create_client(api_key=made.secret)
    await reader.session()
    async with reader.subscribe(reader.trader_channel) as stream:
        await next_of(stream, TraderSnapshot)
        assert (await owner.revoke_key(made.key.id)).status == "revoked"
        with pytest.raises(ApiError, match="invalidToken"):
            await next_of(stream, OrderMessage)
    with pytest.raises(ApiError, match="invalidToken"):
        await reader.balances()


async def test_a_stream_signs_in_again_and_misses_nothing(exchange: Exchange, create_client: CreateClient) -> None:
    client = await create_client(MAKER)
    async with client.subscribe(client.trader_channel) as stream:
        await next_of(stream, TraderSnapshot)
        forget_sessions(exchange)
        placed = await client.place_limit("BTC-USDC", "buy", "90000", "0.5")
        assert (await next_of(stream, OrderMessage)).data.order_id == placed.order_id


async def test_a_delegate_trades_and_reads_for_the_account(exchange: Exchange, create_client: CreateClient) -> None:
    await exchange.block(DelegateSet(MAKER.address, OPERATOR.address, UNTIL))
    client = await create_client(OPERATOR, account=MAKER.account)
    await until(lambda: exchange.app[CREDENTIALS] is not None)
    placed = await client.place_limit("BTC-USDC", "buy", "90000", "0.5")
    assert [order.order_id for order in (await client.orders()).orders] == [placed.order_id]
    assert (await client.session()).signer == OPERATOR.account
    assert (await client.cancel(placed.order_id)).status == "canceled"


async def test_a_stranger_is_no_delegate(create_client: CreateClient) -> None:
    client = await create_client(TAKER, account=MAKER.account)
    with pytest.raises(ApiError, match="notDelegate"):
        await client.balances()


# ---------------------------------------------------------------------------------------------------------------------
# What it signs
# ---------------------------------------------------------------------------------------------------------------------


def rewrite(client: Client, monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> list[str]:
    """The exchange's messages come changed; what is signed is collected."""
    transport, signed = client._http, []
    attempt = transport._attempt

    async def attempt_changed(method: str, path: str, *rest: Any) -> Any:
        if path == "/v1/auth/sessions":
            signed.append(path)
        answer = await attempt(method, path, *rest)
        if isinstance(answer, auth.Challenge):
            assert old in answer.message
            return msgspec.structs.replace(answer, message=answer.message.replace(old, new))
        return answer

    monkeypatch.setattr(transport, "_attempt", attempt_changed)
    return signed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("127.0.0.1:", "exchange.example:"),
        ("127.0.0.1:", "127.0.0.1:1"),
        (" wants you to sign in with your", " wants you to pay with your"),
        ("0x", "0xX"),
    ],
)
async def test_attack_a_message_for_another_site_is_not_signed(
    create_client: CreateClient, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    client = await create_client(MAKER)
    signed = rewrite(client, monkeypatch, old, new)
    with pytest.raises(ApiError, match="foreignChallenge"):
        await client.balances()
    assert signed == []


async def test_attack_a_delegate_does_not_sign_in_for_another_account(
    exchange: Exchange, create_client: CreateClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await exchange.block(DelegateSet(MAKER.address, OPERATOR.address, UNTIL))
    client = await create_client(OPERATOR, account=MAKER.account)
    signed = rewrite(client, monkeypatch, "eip155:31337:", "eip155:1:")
    with pytest.raises(ApiError, match="foreignChallenge"):
        await client.balances()
    assert signed == []


async def test_another_name_of_the_exchange_must_be_given(create_exchange: Any, create_api: Any) -> None:
    api = await create_api(await create_exchange(ApiSettings(public_url="https://exchange.example")))
    url = str(api.make_url(""))
    async with Client(url, MAKER.key) as client:
        with pytest.raises(ApiError, match=r"foreignChallenge.*exchange\.example.*sign_in_domain"):
            await client.balances()
    async with Client(url, MAKER.key, sign_in_domain="exchange.example") as client:
        assert (await client.balances())["BTC"].available == "100"


async def test_localhost_is_this_machine(create_client: CreateClient) -> None:
    there = await create_client(MAKER)
    async with Client(there._http.address("").replace("127.0.0.1", "localhost"), MAKER.key) as client:
        assert (await client.balances())["BTC"].available == "100"

"""Signing in over HTTP and WebSocket: an account is its owner's to read, keys outlive a restart, sessions do not."""

from __future__ import annotations

import aiohttp
import pytest
from eth_account.messages import encode_defunct

from offchain.api.schemas.stream import OrderMessage
from offchain.client import ApiError, Client
from tests.e2e.exchange import PRICE, SYMBOL, eventually, listening

READS = ("orders", "account", "balances", "positions", "fills", "deposits", "withdrawals")


async def sign_in(session, url, account, signer=None):
    """As a wallet does it, without the client of ours."""
    body = {"account": account.address} | ({"signer": signer.address} if signer else {})
    async with session.post(f"{url}/v1/auth/challenge", json=body) as response:
        assert response.status == 201, await response.text()
        message = (await response.json())["message"]
    signature = "0x" + bytes((signer or account).sign_message(encode_defunct(text=message)).signature).hex()
    async with session.post(f"{url}/v1/auth/sessions", json={"message": message, "signature": signature}) as response:
        assert response.status == 201, await response.text()
        return (await response.json())["token"]


async def code_of(session, url, path, token=None, **query):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with session.get(f"{url}/v1/{path}", params=query, headers=headers) as response:
        return response.status, (await response.json()).get("code") or None


async def test_an_account_is_its_owners_to_read(create_exchange):
    exchange = create_exchange()
    maker_account, taker_account = exchange.roles.maker, exchange.roles.taker
    with exchange.running():
        async with exchange.clients() as (maker, _), aiohttp.ClientSession() as session:
            await exchange.until_indexed(maker)
            placed = await maker.place_limit(SYMBOL, "sell", PRICE, "0.1")
            own, theirs = [await sign_in(session, exchange.url, each) for each in (maker_account, taker_account)]
            for read in READS:
                assert await code_of(session, exchange.url, read, own) == (200, None)
                assert await code_of(session, exchange.url, read) == (401, "authenticationRequired")
                assert await code_of(session, exchange.url, read, theirs, account=maker_account.address) == (
                    403,
                    "notYourAccount",
                )
            order = f"orders/{placed.order_id}"
            assert await code_of(session, exchange.url, order, own) == (200, None)
            assert await code_of(session, exchange.url, order, theirs) == (404, "unknownOrder")

            channel = f"trader.{maker_account.address.lower()}"
            async with session.ws_connect(f"{exchange.url}/v1/ws") as socket:
                for expected in ("authenticationRequired", "notYourAccount"):
                    await socket.send_json({"op": "subscribe", "channels": [channel]})
                    assert (await socket.receive_json())["code"] == expected
                    await socket.send_json({"op": "signIn", "token": theirs})
                    assert (await socket.receive_json())["op"] == "signedIn"
            async with session.ws_connect(f"{exchange.url}/v1/ws") as socket:
                await socket.send_json({"op": "signIn", "token": own})
                await socket.send_json({"op": "subscribe", "channels": [channel]})
                answers = [await socket.receive_json() for _ in range(3)]
                assert [answers[0]["op"], answers[1]["op"], answers[2]["type"]] == [
                    "signedIn",
                    "subscribed",
                    "snapshot",
                ]
                headers = {"Authorization": f"Bearer {own}"}
                async with session.delete(f"{exchange.url}/v1/auth/sessions/current", headers=headers) as response:
                    assert response.status == 204
                closing = await socket.receive()
                assert (closing.data, closing.extra) == (4001, "signed out")
            assert await code_of(session, exchange.url, "balances", own) == (401, "invalidToken")


async def test_a_restart_keeps_keys_and_ends_sessions_and_clients_recover(create_exchange):
    exchange = create_exchange()
    with exchange.running() as service:
        async with exchange.clients() as (maker, taker), aiohttp.ClientSession() as session:
            await exchange.until_indexed(maker)
            token = await sign_in(session, exchange.url, exchange.roles.maker)
            kept, revoked = await maker.create_key("kept"), await maker.create_key("revoked")
            await maker.revoke_key(revoked.key.id)
            async with (
                Client(exchange.url, api_key=kept.secret, retries=8) as reader,
                listening(maker, maker.trader_channel) as heard,
            ):
                before = await reader.balances()
                service.kill_and_wait("core")

                assert await reader.balances() == before
                assert (await reader.session()).key_id == kept.key.id
                assert await code_of(session, exchange.url, "balances", token) == (401, "invalidToken")
                assert await code_of(session, exchange.url, "balances", revoked.secret) == (401, "invalidToken")
                assert [key.status for key in await maker.keys()] == ["revoked", "active"]
                placed = await maker.place_limit(SYMBOL, "sell", PRICE, "0.1")
                await heard.until(OrderMessage, lambda message: message.data.order_id == placed.order_id)
                await maker.revoke_key(kept.key.id)
                with pytest.raises(ApiError, match="invalidToken"):
                    await reader.balances()
                await maker.cancel(placed.order_id)
                assert await taker.balances()


async def test_a_delegate_signs_in_until_it_is_revoked_on_chain(create_exchange):
    exchange = create_exchange()
    chain, maker_account, bot = exchange.chain, exchange.roles.maker, exchange.roles.guardian
    forever = 2**40 - 1
    chain.send(maker_account, chain.control.functions.setDelegate(bot.address, forever))
    with exchange.running():
        async with exchange.clients() as (maker, _), aiohttp.ClientSession() as session:
            await exchange.until_indexed(maker)
            await eventually(maker.account_state, lambda state: state.delegates)
            async with Client(exchange.url, bytes(bot.key), account=maker_account.address) as client:
                placed = await client.place_limit(SYMBOL, "sell", PRICE, "0.1")
                assert (await client.session()).scopes == ["cancel", "read"]
                assert (await maker.order(placed.order_id)).status == "open"
                token = await sign_in(session, exchange.url, maker_account, bot)
                assert await code_of(session, exchange.url, "balances", token) == (200, None)
                assert await code_of(session, exchange.url, "keys", token) == (403, "insufficientScope")

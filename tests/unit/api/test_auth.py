"""Signing in and out, and who may read what."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientResponse
from eth_account import Account
from eth_account.messages import encode_defunct

from offchain.api.app import SWEEP_SECONDS
from offchain.api.keys import CHALLENGES, CREDENTIALS
from offchain.api.state import ApiSettings
from offchain.chain import eip712
from offchain.chain.eip4361 import checksummed, personal_digest
from offchain.domain.commands import DelegateSet
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import (
    CHAIN_ID,
    MAKER,
    NOW_MS,
    OPERATOR,
    TAKER,
    Exchange,
    Trader,
    bearer,
    create_body,
    create_order,
    until,
)
from tests.unit.api.sockets import place
from tests.unit.api.test_metrics import scrape

UNTIL = NOW_MS // 1000 + 3_600
HALF_ORDER = 0x7FFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_5D576E73_57A4501D_DFE92F46_681B20A0
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141

READS = ("orders", "account", "balances", "positions", "fills", "deposits", "withdrawals")


async def challenge(api: Api, trader: Trader, signer: Trader | None = None) -> str:
    body = {"account": trader.account} | ({"signer": signer.account} if signer is not None else {})
    response = await api.post("/v1/auth/challenge", json=body)
    assert response.status == 201, await response.text()
    return str((await response.json())["message"])


async def answer(api: Api, message: str, signature: str) -> ClientResponse:
    return await api.post("/v1/auth/sessions", json={"message": message, "signature": signature})


async def sign_in(api: Api, trader: Trader, signer: Trader | None = None) -> dict[str, Any]:
    message = await challenge(api, trader, signer)
    response = await answer(api, message, (signer or trader).sign_text(message))
    assert response.status == 201, await response.text()
    body: dict[str, Any] = await response.json()
    return body


def header(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def refusal(response: ClientResponse) -> tuple[int, str]:
    return response.status, (await response.json())["code"]


# ---------------------------------------------------------------------------------------------------------------------
# The message
# ---------------------------------------------------------------------------------------------------------------------


async def test_the_message_is_that_of_eip_4361(api: Api) -> None:
    lines = (await challenge(api, MAKER)).split("\n")
    authority = api.make_url("").authority
    assert lines[0] == f"{authority} wants you to sign in with your Ethereum account:"
    assert lines[1] == Account.from_key(MAKER.key).address
    assert (lines[2], lines[4]) == ("", "")
    assert lines[5:8] == [f"URI: http://{authority}", "Version: 1", f"Chain ID: {CHAIN_ID}"]
    assert lines[8].removeprefix("Nonce: ").isalnum()
    assert lines[9:] == ["Issued At: 2027-01-15T08:00:00.000Z", "Expiration Time: 2027-01-15T08:05:00.000Z"]


async def test_a_delegates_message_names_both(exchange: Exchange, api: Api) -> None:
    await exchange.block(DelegateSet(MAKER.address, TAKER.address, UNTIL))
    lines = (await challenge(api, MAKER, TAKER)).split("\n")
    assert lines[1] == checksummed(TAKER.address)
    assert lines[-2:] == ["Resources:", f"- eip155:{CHAIN_ID}:{checksummed(MAKER.address)}"]


async def test_the_domain_is_the_configured_one_whatever_the_client_calls_us(
    create_exchange: Any, create_api: Any
) -> None:
    """Else another site could pass the message on under its own name."""
    api = await create_api(await create_exchange(ApiSettings(public_url="https://exchange.example")))
    response = await api.post("/v1/auth/challenge", json={"account": MAKER.account}, headers={"Host": "evil.example"})
    lines = (await response.json())["message"].split("\n")
    assert lines[0].startswith("exchange.example wants you")
    assert lines[5] == "URI: https://exchange.example"


async def test_attack_the_host_header_does_not_choose_the_domain(api: Api) -> None:
    response = await api.post("/v1/auth/challenge", json={"account": MAKER.account}, headers={"Host": "evil.example"})
    assert "evil" not in (await response.json())["message"]


async def test_every_message_is_another(api: Api) -> None:
    assert await challenge(api, MAKER) != await challenge(api, MAKER)


def test_checksummed_addresses_are_those_of_eip_55() -> None:
    for seed in range(1, 20):
        trader = Trader(seed)
        assert checksummed(trader.address) == Account.from_key(trader.key).address


# ---------------------------------------------------------------------------------------------------------------------
# Signing in
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_wallet_signs_in(api: Api) -> None:
    message = await challenge(api, MAKER)
    signed = Account.sign_message(encode_defunct(text=message), MAKER.key)
    response = await answer(api, message, "0x" + bytes(signed.signature).hex())
    body = await response.json()
    assert (response.status, response.headers["Cache-Control"]) == (201, "no-store")
    assert {name: body[name] for name in ("account", "signer", "scopes", "expiresAt")} == {
        "account": MAKER.account,
        "signer": MAKER.account,
        "scopes": ["cancel", "keys", "read"],
        "expiresAt": NOW_MS + 86_400_000,
    }
    response = await api.get("/v1/balances", headers=header(body["token"]))
    assert (await response.json())["account"] == MAKER.account
    shown = await (await api.get("/v1/auth/session", headers=header(body["token"]))).json()
    assert shown == {name: body[name] for name in ("account", "signer", "scopes", "expiresAt")} | {"keyId": None}


async def test_a_message_is_good_once(api: Api) -> None:
    message = await challenge(api, MAKER)
    signature = MAKER.sign_text(message)
    assert (await answer(api, message, signature)).status == 201
    assert await refusal(await answer(api, message, signature)) == (401, "unknownChallenge")


async def test_a_failed_attempt_uses_the_message_up(api: Api) -> None:
    message = await challenge(api, MAKER)
    assert await refusal(await answer(api, message, TAKER.sign_text(message))) == (403, "signerMismatch")
    assert await refusal(await answer(api, message, MAKER.sign_text(message))) == (401, "unknownChallenge")


async def test_a_message_of_somebody_else_is_refused(api: Api) -> None:
    """Only what this service has issued is taken, however well it is signed."""
    message = (await challenge(api, MAKER)).replace("Version: 1", "Version: 1 ")
    assert await refusal(await answer(api, message, MAKER.sign_text(message))) == (401, "unknownChallenge")


async def test_a_message_has_its_time(exchange: Exchange, api: Api) -> None:
    first, second = await challenge(api, MAKER), await challenge(api, MAKER)
    exchange.clock.ms += 299_999
    assert (await answer(api, first, MAKER.sign_text(first))).status == 201
    exchange.clock.ms += 1
    assert await refusal(await answer(api, second, MAKER.sign_text(second))) == (401, "unknownChallenge")


async def test_attack_the_other_form_of_a_signature_is_refused(api: Api) -> None:
    message = await challenge(api, MAKER)
    compact = bytes.fromhex(MAKER.sign_text(message)[2:])
    s = int.from_bytes(compact[32:], "big")
    parity, low = s >> 255, s & ~(1 << 255)
    assert low <= HALF_ORDER
    high = compact[:32] + (ORDER - low).to_bytes(32, "big") + bytes([28 - parity])
    assert await refusal(await answer(api, message, "0x" + high.hex())) == (400, "invalidSignature")


async def test_attack_an_order_signature_signs_nobody_in(api: Api) -> None:
    message = await challenge(api, MAKER)
    signature = MAKER.sign(create_order(MAKER))
    assert await refusal(await answer(api, message, signature)) == (403, "signerMismatch")
    assert eip712.recover(personal_digest(message), bytes.fromhex(signature[2:])) != MAKER.address


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("challenge", {}, ("missingField", "account")),
        ("challenge", {"account": "0x12"}, ("invalidAddress", "account")),
        ("challenge", {"account": MAKER.account, "signer": "0x"}, ("invalidAddress", "signer")),
        ("challenge", {"account": MAKER.account, "signer": TAKER.account}, ("notDelegate", "signer")),
        ("challenge", {"account": MAKER.account, "chain": 1}, ("unknownField", "chain")),
        ("sessions", {"message": "hello"}, ("missingField", "signature")),
        ("sessions", {"message": "hello", "signature": "0x12"}, ("invalidSignature", "signature")),
        ("sessions", {"message": 7, "signature": "0x12"}, ("invalidType", "message")),
    ],
)
async def test_bad_bodies_name_the_field(api: Api, path: str, body: dict[str, Any], expected: tuple[str, str]) -> None:
    problem = await (await api.post(f"/v1/auth/{path}", json=body)).json()
    assert (problem["code"], problem["param"]) == expected


async def test_nobody_signs_in_before_the_chain_is_known(create_exchange: Any, create_api: Any) -> None:
    api = await create_api(await create_exchange(opened=False))
    response = await api.post("/v1/auth/challenge", json={"account": MAKER.account})
    assert await refusal(response) == (503, "notConfigured")


# ---------------------------------------------------------------------------------------------------------------------
# Delegates
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_delegate_reads_and_manages_no_keys(exchange: Exchange, api: Api) -> None:
    await exchange.block(DelegateSet(MAKER.address, TAKER.address, UNTIL))
    session = await sign_in(api, MAKER, TAKER)
    assert (session["account"], session["signer"]) == (MAKER.account, TAKER.account)
    assert session["scopes"] == ["cancel", "read"]
    assert (await api.get("/v1/fills", headers=header(session["token"]))).status == 200
    response = await api.get("/v1/keys", headers=header(session["token"]))
    assert await refusal(response) == (403, "insufficientScope")


async def test_a_delegates_session_ends_with_the_delegation(exchange: Exchange, api: Api) -> None:
    await exchange.block(DelegateSet(MAKER.address, TAKER.address, UNTIL))
    theirs, own = await sign_in(api, MAKER, TAKER), await sign_in(api, MAKER)
    of_taker = await sign_in(api, TAKER)
    await exchange.block(DelegateSet(MAKER.address, TAKER.address, 0))
    await until(lambda: exchange.app[CREDENTIALS].sessions == 2)
    response = await api.get("/v1/fills", headers=header(theirs["token"]))
    assert await refusal(response) == (401, "invalidToken")
    for session in (own, of_taker):
        assert (await api.get("/v1/fills", headers=header(session["token"]))).status == 200


async def test_a_delegate_that_ends_between_message_and_signature_is_refused(exchange: Exchange, api: Api) -> None:
    await exchange.block(DelegateSet(MAKER.address, TAKER.address, UNTIL))
    message = await challenge(api, MAKER, TAKER)
    await exchange.block(DelegateSet(MAKER.address, TAKER.address, 0))
    response = await answer(api, message, TAKER.sign_text(message))
    assert await refusal(response) == (403, "notDelegate")


async def test_an_end_that_the_stream_has_missed_ends_the_session(exchange: Exchange, api: Api) -> None:
    await exchange.block(DelegateSet(MAKER.address, TAKER.address, UNTIL))
    session = await sign_in(api, MAKER, TAKER)
    exchange.feed.is_losing = True
    await exchange.block(DelegateSet(MAKER.address, TAKER.address, 0))
    exchange.feed.is_losing = False
    await exchange.block()
    await until(lambda: exchange.app[CREDENTIALS].sessions == 0)
    response = await api.get("/v1/fills", headers=header(session["token"]))
    assert await refusal(response) == (401, "invalidToken")
    response = await api.post("/v1/auth/challenge", json={"account": MAKER.account, "signer": TAKER.account})
    assert await refusal(response) == (403, "notDelegate")


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", READS)
async def test_reads_are_ones_own(api: Api, what: str) -> None:
    own, others = bearer(api, MAKER), {"account": TAKER.account}
    response = await api.get(f"/v1/{what}", params={"account": MAKER.account.upper().replace("0X", "0x")}, headers=own)
    assert response.status == 200
    assert (await response.json()).get("account", MAKER.account) == MAKER.account
    assert await (await api.get(f"/v1/{what}", headers=own)).json() == await response.json()
    response = await api.get(f"/v1/{what}", params=others, headers=own)
    assert await refusal(response) == (403, "notYourAccount")
    response = await api.get(f"/v1/{what}", params=others)
    assert await refusal(response) == (401, "authenticationRequired")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="crosspoint"'


async def test_another_accounts_order_looks_like_none(api: Api) -> None:
    placed = await place(api, MAKER)
    nothing = "0x" + "11" * 32
    answers = [
        await (await api.get(f"/v1/orders/{order_id}", headers=bearer(api, TAKER))).json()
        for order_id in (placed["orderId"], nothing)
    ]
    assert [each["code"] for each in answers] == ["unknownOrder", "unknownOrder"]
    assert answers[0]["detail"].replace(placed["orderId"], nothing) == answers[1]["detail"]
    assert (await api.get(f"/v1/orders/{placed['orderId']}", headers=bearer(api, MAKER))).status == 200
    assert (await api.get(f"/v1/orders/{placed['orderId']}")).status == 401


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Basic dXNlcjpwYXNz", "authenticationRequired"),
        ("Bearer", "authenticationRequired"),
        ("Bearer ", "authenticationRequired"),
        ("Bearer cps_unknown", "invalidToken"),
        ("bearer \xe9", "invalidToken"),
    ],
)
async def test_what_is_no_token_is_refused(api: Api, value: str, expected: str) -> None:
    response = await api.get("/v1/balances", headers={"Authorization": value})
    assert await refusal(response) == (401, expected)
    problem = 'error="invalid_token"'
    assert (problem in response.headers["WWW-Authenticate"]) == (expected == "invalidToken")


async def test_two_tokens_are_none(api: Api) -> None:
    headers = [*bearer(api, MAKER).items(), *bearer(api, TAKER).items()]
    response = await api.get("/v1/balances", headers=headers)
    assert await refusal(response) == (401, "authenticationRequired")


async def test_a_session_ends_by_time(exchange: Exchange, api: Api) -> None:
    session = await sign_in(api, MAKER)
    exchange.clock.ms = session["expiresAt"] - 1
    assert (await api.get("/v1/balances", headers=header(session["token"]))).status == 200
    exchange.clock.ms += 1
    response = await api.get("/v1/balances", headers=header(session["token"]))
    assert await refusal(response) == (401, "invalidToken")
    await until(lambda: exchange.app[CREDENTIALS].sessions == 0, 5 + SWEEP_SECONDS)


async def test_signing_out_ends_this_session_only(api: Api) -> None:
    first, second = await sign_in(api, MAKER), await sign_in(api, MAKER)
    response = await api.delete("/v1/auth/sessions/current", headers=header(first["token"]))
    assert (response.status, await response.text()) == (204, "")
    for path in ("balances", "auth/session"):
        response = await api.get(f"/v1/{path}", headers=header(first["token"]))
        assert await refusal(response) == (401, "invalidToken")
    assert (await api.get("/v1/balances", headers=header(second["token"]))).status == 200


async def test_signed_orders_and_cancels_need_no_session(api: Api) -> None:
    placed = await place(api, MAKER)
    body = {"account": MAKER.account, "signature": MAKER.sign_cancel(placed["orderId"])}
    assert (await api.delete(f"/v1/orders/{placed['orderId']}", json=body)).status == 200
    batch = {"orders": [create_body(MAKER, create_order(MAKER, nonce=9 << 32))]}
    assert (await api.post("/v1/orders/batch", json=batch)).status == 200


@pytest.mark.parametrize("path", ["/v1/markets", "/v1/orderbook/BTC-USDC", "/v1/time", "/v1/status"])
async def test_what_is_public_ignores_tokens(api: Api, path: str) -> None:
    for headers in ({}, header("cps_unknown")):
        assert (await api.get(path, headers=headers)).status == 200


# ---------------------------------------------------------------------------------------------------------------------
# Bounds
# ---------------------------------------------------------------------------------------------------------------------


async def test_the_accounts_oldest_session_makes_room(create_exchange: Any, create_api: Any) -> None:
    api = await create_api(await create_exchange(ApiSettings(max_sessions_per_account=2)))
    other = await sign_in(api, TAKER)
    first, *later = [await sign_in(api, MAKER) for _ in range(3)]
    statuses = [
        (await api.get("/v1/balances", headers=header(session["token"]))).status for session in (other, first, *later)
    ]
    assert statuses == [200, 401, 200, 200]


async def test_the_oldest_session_of_all_makes_room(create_exchange: Any, create_api: Any) -> None:
    api = await create_api(await create_exchange(ApiSettings(max_sessions=2)))
    sessions = [await sign_in(api, trader) for trader in (MAKER, TAKER, OPERATOR)]
    statuses = [(await api.get("/v1/balances", headers=header(session["token"]))).status for session in sessions]
    assert statuses == [401, 200, 200]


async def test_an_address_has_so_many_messages_to_sign(create_exchange: Any, create_api: Any) -> None:
    exchange = await create_exchange(ApiSettings(max_challenges_per_address=2))
    api = await create_api(exchange)
    first, *later = [await challenge(api, MAKER) for _ in range(3)]
    assert len(exchange.app[CHALLENGES]) == 2
    assert await refusal(await answer(api, first, MAKER.sign_text(first))) == (401, "unknownChallenge")
    for message in later:
        assert (await answer(api, message, MAKER.sign_text(message))).status == 201
    assert len(exchange.app[CHALLENGES]) == 0


async def test_messages_that_nobody_signs_are_forgotten(exchange: Exchange, api: Api) -> None:
    for _ in range(3):
        await challenge(api, MAKER)
    exchange.clock.ms += 300_000
    await challenge(api, MAKER)
    assert len(exchange.app[CHALLENGES]) == 1


async def test_sign_ins_are_charged_to_the_address_whether_they_succeed_or_not(
    create_exchange: Any, create_api: Any
) -> None:
    settings = ApiSettings(limit_window_seconds=2, address_sign_ins_per_second=2)
    api = await create_api(await create_exchange(settings))
    await sign_in(api, MAKER)
    assert await refusal(await answer(api, "hello", MAKER.sign_text("hello"))) == (401, "unknownChallenge")
    assert (await api.post("/v1/auth/sessions", json={})).status == 400
    response = await api.post("/v1/auth/challenge", json={"account": MAKER.account})
    assert await refusal(response) == (429, "rateLimited")
    assert '"sign-ins"' in response.headers["RateLimit"]
    assert (await api.get("/v1/time")).status == 200


async def test_sign_ins_are_counted(api: Api) -> None:
    await sign_in(api, MAKER)
    await answer(api, "hello", MAKER.sign_text("hello"))
    await challenge(api, MAKER)
    samples = await scrape(api)
    assert samples.value("sign_ins_total", outcome="ok") == 1
    assert samples.value("sign_ins_total", outcome="unknownChallenge") == 1
    assert (samples.value("sessions"), samples.value("challenges")) == (1, 1)

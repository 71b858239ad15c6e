"""API keys: made and revoked by a session, good for reading and canceling, done once, and never shown again."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from aiohttp import ClientResponse

from offchain.api.keys import CREDENTIALS, IDEMPOTENCY
from offchain.api.state import ApiSettings
from offchain.domain.apikeys import MAX_KEYS
from offchain.domain.commands import CreateApiKey, RevokeApiKey
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import MAKER, NOW_MS, TAKER, Exchange, Trader, bearer, until
from tests.unit.api.sockets import MAKERS, Connect

NOW = NOW_MS // 1000


async def create(api: Api, trader: Trader = MAKER, name: str = "request-1", **changes: Any) -> ClientResponse:
    body = {"label": "my bot", "scopes": ["read"]} | changes
    headers = bearer(api, trader) | {"Idempotency-Key": name}
    return await api.post("/v1/keys", json=body, headers=headers)


async def created(api: Api, trader: Trader = MAKER, name: str = "request-1", **changes: Any) -> dict[str, Any]:
    response = await create(api, trader, name, **changes)
    assert response.status == 201, await response.text()
    body: dict[str, Any] = await response.json()
    return body


async def revoke(api: Api, key_id: str, trader: Trader = MAKER, name: str = "request-2") -> ClientResponse:
    return await api.delete(f"/v1/keys/{key_id}", headers=bearer(api, trader) | {"Idempotency-Key": name})


async def listed(api: Api, trader: Trader = MAKER) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = (await (await api.get("/v1/keys", headers=bearer(api, trader))).json())["keys"]
    return keys


async def refusal(response: ClientResponse) -> tuple[int, str, str | None]:
    problem = await response.json()
    return response.status, problem["code"], problem.get("param")


def header(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def test_a_key_reads_until_it_is_revoked(api: Api) -> None:
    made = await created(api)
    key = made["key"]
    assert key == {
        "id": key["id"],
        "label": "my bot",
        "scopes": ["read"],
        "expiry": None,
        "createdAt": NOW_MS,
        "status": "active",
    }
    use = header(made["secret"])
    assert (await (await api.get("/v1/balances", headers=use)).json())["account"] == MAKER.account
    shown = await (await api.get("/v1/auth/session", headers=use)).json()
    assert (shown["keyId"], shown["scopes"], shown["expiresAt"]) == (key["id"], ["read"], None)
    assert await listed(api) == [key]
    response = await revoke(api, key["id"])
    assert (response.status, await response.json()) == (200, {"id": key["id"], "status": "revoked"})
    assert (await refusal(await api.get("/v1/balances", headers=use)))[:2] == (401, "invalidToken")
    assert await listed(api) == [key | {"status": "revoked"}]


async def test_the_secret_is_nowhere(exchange: Exchange, api: Api) -> None:
    secret = (await created(api))["secret"]
    (command,) = [
        command
        for record in exchange.journal.records
        for command in record.commands
        if isinstance(command, CreateApiKey)
    ]
    assert command.secret_hash == hashlib.sha256(secret.encode()).digest()
    assert secret.encode() not in exchange.core.snapshot()
    assert len(secret) > 43
    assert "secret" not in str(await listed(api))


async def test_keys_are_ones_own(api: Api) -> None:
    made = await created(api)
    assert await listed(api, TAKER) == []
    assert (await refusal(await revoke(api, made["key"]["id"], TAKER)))[:2] == (404, "unknownApiKey")
    response = await api.get("/v1/balances", params={"account": TAKER.account}, headers=header(made["secret"]))
    assert (await refusal(response))[:2] == (403, "notYourAccount")


async def test_a_key_makes_and_ends_no_keys_and_no_sessions(api: Api) -> None:
    made = await created(api, scopes=["read", "cancel"])
    use = header(made["secret"]) | {"Idempotency-Key": "request-9"}
    answers = [
        await api.post("/v1/keys", json={"label": "more", "scopes": ["read"]}, headers=use),
        await api.get("/v1/keys", headers=use),
        await api.delete(f"/v1/keys/{made['key']['id']}", headers=use),
        await api.delete("/v1/auth/sessions/current", headers=use),
    ]
    assert [(await refusal(each))[:2] for each in answers] == [(403, "insufficientScope")] * 4


async def test_a_key_without_the_scope_reads_nothing(api: Api, connect: Connect) -> None:
    use = header((await created(api, scopes=["cancel"]))["secret"])
    assert (await refusal(await api.get("/v1/orders", headers=use)))[:2] == (403, "insufficientScope")
    socket = await connect()
    await socket.send(op="signIn", token=use["Authorization"].removeprefix("Bearer "))
    assert (await socket.next())["scopes"] == ["cancel"]
    await socket.send(op="subscribe", channels=[MAKERS])
    assert (await socket.next())["code"] == "insufficientScope"


async def test_a_key_ends_by_time(exchange: Exchange, api: Api) -> None:
    made = await created(api, expiry=NOW + 60)
    exchange.clock.ms = (NOW + 60) * 1000 - 1
    assert (await api.get("/v1/balances", headers=header(made["secret"]))).status == 200
    exchange.clock.ms += 1
    response = await api.get("/v1/balances", headers=header(made["secret"]))
    assert (await refusal(response))[:2] == (401, "invalidToken")
    await exchange.block()
    assert [key["status"] for key in await listed(api)] == ["expired"]


async def test_an_end_that_the_stream_has_missed_ends_the_key(exchange: Exchange, api: Api) -> None:
    made = await created(api)
    exchange.feed.is_losing = True
    await exchange.submit(RevokeApiKey(MAKER.address, made["key"]["id"]))
    exchange.feed.is_losing = False
    await exchange.block()
    await until(lambda: not exchange.app[CREDENTIALS].keys)
    response = await api.get("/v1/balances", headers=header(made["secret"]))
    assert (await refusal(response))[:2] == (401, "invalidToken")


async def test_an_answer_means_that_it_is_in_force(create_exchange: Any, create_api: Any) -> None:
    """Where the interface has not learned of it in time, it does not say that a key has ended."""
    exchange = await create_exchange(ApiSettings(submit_timeout_ms=100))
    api = await create_api(exchange)
    made = await created(api)
    exchange.feed.is_losing = True
    assert (await refusal(await revoke(api, made["key"]["id"])))[:2] == (503, "unavailable")
    exchange.feed.is_losing = False
    await exchange.block()


# ---------------------------------------------------------------------------------------------------------------------
# Once
# ---------------------------------------------------------------------------------------------------------------------


async def test_the_same_request_makes_one_key(api: Api) -> None:
    first, second = await created(api), await created(api)
    assert first == second
    assert len(await listed(api)) == 1
    assert (await refusal(await create(api, label="other")))[:2] == (422, "idempotencyKeyReused")
    assert (await created(api, name="request-3"))["key"]["id"] != first["key"]["id"]


async def test_a_restart_in_between_makes_no_second_key(exchange: Exchange, api: Api) -> None:
    await created(api)
    exchange.app[IDEMPOTENCY].__init__(10, 10)  # type: ignore[misc]
    assert (await refusal(await create(api)))[:2] == (409, "duplicateApiKey")
    assert len(await listed(api)) == 1


async def test_two_accounts_may_use_the_same_name(api: Api) -> None:
    assert (await created(api))["key"]["id"] != (await created(api, TAKER))["key"]["id"]


async def test_writes_without_a_signature_need_an_idempotency_key(api: Api) -> None:
    key_id = (await created(api))["key"]["id"]
    body = {"label": "my bot", "scopes": ["read"]}
    for response in (
        await api.post("/v1/keys", json=body, headers=bearer(api, MAKER)),
        await api.delete(f"/v1/keys/{key_id}", headers=bearer(api, MAKER)),
    ):
        assert await refusal(response) == (400, "missingIdempotencyKey", "Idempotency-Key")
    assert [key["status"] for key in await listed(api)] == ["active"]


async def test_revoking_again_gets_the_first_answer_under_the_same_name(api: Api) -> None:
    key_id = (await created(api))["key"]["id"]
    answers = [await revoke(api, key_id), await revoke(api, key_id), await revoke(api, key_id, name="request-3")]
    assert [each.status for each in answers] == [200, 200, 404]


# ---------------------------------------------------------------------------------------------------------------------
# Bounds and form
# ---------------------------------------------------------------------------------------------------------------------


async def test_an_account_has_so_many_keys(api: Api) -> None:
    made = [await created(api, name=f"name-{index}") for index in range(MAX_KEYS)]
    assert (await refusal(await create(api, name="one-more")))[:2] == (409, "tooManyApiKeys")
    await revoke(api, made[0]["key"]["id"])
    assert (await create(api, name="another")).status == 201
    assert (await create(api, TAKER, name="one-more")).status == 201


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"label": ""}, (400, "invalidValue", "label")),
        ({"label": "a" * 65}, (400, "invalidValue", "label")),
        ({"label": "ä"}, (400, "invalidValue", "label")),
        ({"label": 5}, (400, "invalidType", "label")),
        ({"scopes": []}, (400, "invalidValue", "scopes")),
        ({"scopes": ["keys"]}, (400, "invalidValue", "scopes")),
        ({"scopes": ["read", "read"]}, (400, "invalidValue", "scopes")),
        ({"scopes": "read"}, (400, "invalidType", "scopes")),
        ({"scopes": [1]}, (400, "invalidType", "scopes")),
        ({"expiry": NOW}, (422, "invalidExpiry", "expiry")),
        ({"expiry": 2**40}, (422, "invalidExpiry", "expiry")),
        ({"expiry": "1"}, (400, "invalidType", "expiry")),
        ({"secret": "x"}, (400, "unknownField", "secret")),
    ],
)
async def test_bad_keys_name_the_field(
    api: Api, changes: dict[str, Any], expected: tuple[int, str, str | None]
) -> None:
    assert await refusal(await create(api, **changes)) == expected
    assert await listed(api) == []


async def test_no_keys_while_the_service_starts_but_revoking_works(exchange: Exchange, api: Api) -> None:
    key_id = (await created(api))["key"]["id"]
    exchange.is_open = False
    assert (await refusal(await create(api, name="late")))[:2] == (503, "starting")
    assert (await revoke(api, key_id)).status == 200


@pytest.mark.parametrize("key_id", ["1", "0" * 17, "A" * 16])
async def test_what_is_no_keys_id_is_unknown(api: Api, key_id: str) -> None:
    assert (await refusal(await revoke(api, key_id)))[:2] == (404, "unknownApiKey")


async def test_without_a_token_there_is_nothing(api: Api) -> None:
    answers = [
        await api.post("/v1/keys", json={}, headers={"Idempotency-Key": "a"}),
        await api.get("/v1/keys"),
        await api.delete(f"/v1/keys/{'0' * 16}", headers={"Idempotency-Key": "a"}),
        await api.get("/v1/auth/session"),
        await api.delete("/v1/auth/sessions/current"),
    ]
    assert [(await refusal(each))[:2] for each in answers] == [(401, "authenticationRequired")] * 5

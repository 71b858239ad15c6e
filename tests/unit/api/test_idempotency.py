"""Idempotency-Key: done once, answered alike; per account and route, for a day, in bounded memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import ClientResponse, web

from offchain.api.answers import Answer, AnswerStore, Scope
from offchain.api.idempotency import once
from offchain.api.keys import IDEMPOTENCY
from offchain.api.problems import ApiCode, ProblemError
from offchain.api.state import ApiSettings
from offchain.domain.commands import PlaceOrder
from offchain.domain.errors import Code
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import MAKER, TAKER, Exchange, Trader, create_body, create_order, until
from tests.unit.api.test_metrics import scrape

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
DAY_MS = 86_400_000


async def place(
    api: Api, trader: Trader = MAKER, key: str | None = KEY, order: int = 1, **fields: Any
) -> ClientResponse:
    headers = {"Idempotency-Key": key} if key is not None else {}
    body = create_body(trader, create_order(trader, nonce=order << 32, **fields))
    return await api.post("/v1/orders", json=body, headers=headers)


async def code_of(response: ClientResponse) -> tuple[int, str]:
    return response.status, (await response.json())["code"]


def count_orders(exchange: Exchange) -> int:
    return sum(isinstance(command, PlaceOrder) for record in exchange.journal.records for command in record.commands)


# ---------------------------------------------------------------------------------------------------------------------
# Orders and cancels, which may carry a key
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [KEY, f'"{KEY}"'])
async def test_the_same_request_is_done_once_and_answered_alike(exchange: Exchange, api: Api, again: str) -> None:
    first = await place(api)
    second = await place(api, key=again)
    assert (first.status, second.status) == (201, 201)
    assert await first.read() == await second.read()
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert count_orders(exchange) == 1
    samples = await scrape(api)
    assert samples.value("idempotent_replays_total") == samples.value("idempotency_answers") == 1


async def test_refusals_of_the_engine_are_answered_alike(exchange: Exchange, api: Api) -> None:
    answers = [await place(api, quantity=900_000_000) for _ in range(2)]
    problems = [await answer.json() for answer in answers]
    assert [answer.status for answer in answers] == [422, 422]
    for problem in problems:
        del problem["requestId"]
    assert problems[0] == problems[1]
    assert problems[0]["code"] == "insufficientBalance"
    assert problems[0]["orderId"]
    assert count_orders(exchange) == 1


async def test_a_key_belongs_to_one_request(exchange: Exchange, api: Api) -> None:
    order_id = (await (await place(api)).json())["orderId"]
    assert await code_of(await place(api, order=2)) == (422, "idempotencyKeyReused")
    assert count_orders(exchange) == 1
    # Another account and another route are other scopes.
    assert (await place(api, TAKER)).status == 201
    body = {"account": MAKER.account, "signature": MAKER.sign_cancel(order_id)}
    cancels = [
        await api.delete(f"/v1/orders/{order_id}", json=body, headers={"Idempotency-Key": KEY}) for _ in range(2)
    ]
    assert [cancel.status for cancel in cancels] == [200, 200]
    assert await cancels[0].read() == await cancels[1].read()


async def test_a_cancel_of_another_order_needs_another_key(api: Api) -> None:
    ids = [(await (await place(api, key=None, order=order)).json())["orderId"] for order in (1, 2)]
    answers = []
    for order_id in ids:
        body = {"account": MAKER.account, "signature": MAKER.sign_cancel(order_id)}
        answers.append(await api.delete(f"/v1/orders/{order_id}", json=body, headers={"Idempotency-Key": KEY}))
    assert answers[0].status == 200
    assert await code_of(answers[1]) == (422, "idempotencyKeyReused")


async def test_a_request_under_way_is_not_done_twice(exchange: Exchange, api: Api) -> None:
    exchange.journal.gate.clear()
    first = asyncio.create_task(place(api))
    await until(lambda: exchange.app[IDEMPOTENCY].inflight)
    second = await place(api)
    assert await code_of(second) == (409, "idempotencyKeyInFlight")
    assert second.headers["Retry-After"] == "1"
    assert await code_of(await place(api, order=2)) == (422, "idempotencyKeyReused")
    exchange.journal.gate.set()
    assert (await first).status == 201
    assert await (await place(api)).read() == await (await first).read()
    assert count_orders(exchange) == 1


async def test_what_may_be_sent_again_is_not_kept(create_exchange: Any, create_api: Any) -> None:
    exchange = await create_exchange(ApiSettings(submit_timeout_ms=300))
    api = await create_api(exchange)
    exchange.journal.gate.clear()
    assert await code_of(await place(api)) == (503, "unavailable")
    exchange.journal.gate.set()
    await asyncio.sleep(0.02)
    response = await place(api)
    assert response.status == 200, "executed before; its hash says so"
    assert (await response.json())["status"] == "open"


async def test_a_key_that_nobody_signed_for_is_not_kept(api: Api) -> None:
    forged = create_body(MAKER) | {"signature": TAKER.sign(create_order(MAKER))}
    response = await api.post("/v1/orders", json=forged, headers={"Idempotency-Key": KEY})
    assert await code_of(response) == (403, "signerMismatch")
    assert (await place(api)).status == 201


async def test_a_key_lives_for_a_day(exchange: Exchange, api: Api) -> None:
    await place(api)
    exchange.clock.ms += DAY_MS - 1
    assert await code_of(await place(api, order=2)) == (422, "idempotencyKeyReused")
    exchange.clock.ms += 1
    assert (await place(api, order=2)).status == 201


@pytest.mark.parametrize("key", ["", "x" * 65, "a b", '"', '""', 'a"b', "a\\b", "schlüssel"])
async def test_malformed_keys_are_refused(exchange: Exchange, api: Api, key: str) -> None:
    response = await place(api, key=key)
    problem = await response.json()
    assert (response.status, problem["code"], problem["param"]) == (400, "invalidIdempotencyKey", "Idempotency-Key")
    assert count_orders(exchange) == 0


async def test_a_key_is_given_once(api: Api) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    response = await api.post("/v1/orders", json=create_body(MAKER), headers=headers)
    assert await code_of(response) == (400, "invalidIdempotencyKey")


# ---------------------------------------------------------------------------------------------------------------------
# Writes whose body is not signed
# ---------------------------------------------------------------------------------------------------------------------


async def test_where_nothing_is_signed_a_key_is_required(exchange: Exchange, create_api: Any) -> None:
    done: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        async def do(key: str | None) -> web.Response:
            done.append(key)
            return web.json_response({"number": len(done)}, status=201)

        return await once(request, MAKER.address, await request.read(), do, is_required=True)

    exchange.app.router.add_post("/v1/unsigned", handler)
    exchange.app.router.add_post("/v1/unsigned/{id}", handler)
    api = await create_api(exchange)
    response = await api.post("/v1/unsigned", json={})
    problem = await response.json()
    assert (response.status, problem["code"], problem["param"]) == (400, "missingIdempotencyKey", "Idempotency-Key")
    assert "1 to 64 characters" in problem["detail"]
    for _ in range(2):
        response = await api.post("/v1/unsigned", json={}, headers={"Idempotency-Key": KEY})
        assert (response.status, await response.json()) == (201, {"number": 1})
    for number, expected in (("1", 201), ("2", 422)):
        response = await api.post(f"/v1/unsigned/{number}", json={}, headers={"Idempotency-Key": KEY})
        assert response.status == expected, "the address is part of the request"
    assert done == [KEY, KEY], "what is done knows the key, for its command"


async def test_a_refusal_that_may_pass_is_not_kept(exchange: Exchange, create_api: Any) -> None:
    attempts: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        async def do(key: str | None) -> web.Response:
            attempts.append(key)
            if len(attempts) == 1:
                raise ProblemError(ApiCode.OVERLOADED, "too much at a time")
            raise ProblemError(Code.INVALID_PRICE, "no such price", "price")

        return await once(request, MAKER.address, await request.read(), do)

    exchange.app.router.add_post("/v1/unsigned", handler)
    api = await create_api(exchange)
    codes = [await code_of(await api.post("/v1/unsigned", json={}, headers={"Idempotency-Key": KEY})) for _ in range(3)]
    assert codes == [(503, "overloaded"), (422, "invalidPrice"), (422, "invalidPrice")]
    assert len(attempts) == 2


# ---------------------------------------------------------------------------------------------------------------------
# Memory
# ---------------------------------------------------------------------------------------------------------------------


def test_memory_is_bounded_per_account_and_altogether() -> None:
    store = AnswerStore(max_answers=5, max_per_account=3)

    def keep(account: bytes, key: str) -> None:
        store.keep(Scope(account, "POST /", key), Answer(b"", 100.0))

    def has(account: bytes, key: str) -> bool:
        return store.find(Scope(account, "POST /", key), 0.0) is not None

    for key in "abcd":
        keep(b"1", key)
    assert [has(b"1", key) for key in "abcd"] == [False, True, True, True]
    for key in "ab":
        keep(b"2", key)
    assert len(store) == 5
    assert has(b"1", "b")  # the first account is the one used last now
    keep(b"3", "a")
    assert len(store) == 5
    assert [has(b"2", key) for key in "ab"] == [False, True]


def test_what_is_too_old_leaves() -> None:
    store = AnswerStore(max_answers=5, max_per_account=3)
    store.keep(Scope(b"1", "POST /", "a"), Answer(b"", 10.0))
    store.keep(Scope(b"1", "POST /", "b"), Answer(b"", 20.0))
    assert store.find(Scope(b"1", "POST /", "b"), 10.0) is not None
    assert len(store) == 1
    assert store.find(Scope(b"1", "POST /", "b"), 20.0) is None
    assert len(store) == 0
    assert store.find(Scope(b"1", "POST /", "b"), 20.0) is None

"""When the core does not answer, when there is too much, at the end: orders are refused, cancels go through."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import ClientResponse

from offchain.api.app import begin_drain, takes_no_orders
from offchain.api.breaker import LONGEST_SECONDS, Breaker
from offchain.api.keys import LIFE
from offchain.api.state import ApiSettings
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import MAKER, TAKER, Exchange, Trader, create_body, create_order, until
from tests.unit.api.test_metrics import scrape

# ---------------------------------------------------------------------------------------------------------------------
# The breaker
# ---------------------------------------------------------------------------------------------------------------------


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def breaker(time: Time) -> Breaker:
    return Breaker(3, 2.0, time)


def test_it_opens_after_failures_in_a_row(breaker: Breaker) -> None:
    for _ in range(2):
        breaker.failed()
    breaker.succeeded()
    for _ in range(2):
        breaker.failed()
    assert (breaker.wait(), breaker.is_open) == (0, False)
    breaker.failed()
    assert (breaker.enter(), breaker.is_open) == (2, True)


def test_one_at_a_time_tries_and_closes_it(breaker: Breaker, time: Time) -> None:
    for _ in range(3):
        breaker.failed()
    time.now = 1.5
    assert breaker.enter() == 1
    time.now = 2.0
    assert [breaker.enter() for _ in range(3)] == [0, 2, 2]
    breaker.succeeded()
    assert (breaker.enter(), breaker.is_open, breaker.failures) == (0, False, 0)


def test_who_fails_when_trying_opens_it_for_longer(breaker: Breaker, time: Time) -> None:
    for _ in range(3):
        breaker.failed()
    for seconds in (4, 8, 16, LONGEST_SECONDS, LONGEST_SECONDS):
        time.now += breaker.wait()
        assert breaker.enter() == 0
        breaker.failed()
        assert breaker.enter() == seconds
    time.now += LONGEST_SECONDS
    breaker.enter()
    breaker.succeeded()
    for _ in range(3):
        breaker.failed()
    assert breaker.wait() == 2


def test_those_that_were_under_way_do_not_prolong_it(breaker: Breaker, time: Time) -> None:
    for _ in range(500):
        breaker.failed()
    time.now = 1.0
    breaker.failed()
    assert breaker.wait() == 1


def test_who_tries_and_never_says_how_it_went_does_not_keep_it_open(breaker: Breaker, time: Time) -> None:
    for _ in range(3):
        breaker.failed()
    time.now = 2.0
    assert breaker.enter() == 0
    time.now = 4.0
    assert breaker.enter() == 0


def test_without_a_limit_it_never_opens(time: Time) -> None:
    breaker = Breaker(0, 2.0, time)
    for _ in range(100):
        breaker.failed()
    assert breaker.enter() == 0


# ---------------------------------------------------------------------------------------------------------------------
# A core that does not answer
# ---------------------------------------------------------------------------------------------------------------------


async def place(api: Api, trader: Trader = MAKER, key: int = 1, **changes: Any) -> ClientResponse:
    return await api.post("/v1/orders", json=create_body(trader, create_order(trader, nonce=key << 32, **changes)))


async def cancel(api: Api, trader: Trader, order_id: str) -> ClientResponse:
    body = {"account": trader.account, "signature": trader.sign_cancel(order_id)}
    return await api.delete(f"/v1/orders/{order_id}", json=body)


async def code_of(response: ClientResponse) -> tuple[int, str]:
    return response.status, (await response.json())["code"]


async def test_a_core_that_does_not_answer_is_not_asked_for_a_while(create_exchange: Any, create_api: Any) -> None:
    settings = ApiSettings(submit_timeout_ms=250, breaker_failures=2, breaker_seconds=3)
    exchange = await create_exchange(settings)
    api = await create_api(exchange)
    resting = (await (await place(api)).json())["orderId"]
    exchange.journal.gate.clear()
    for key in (2, 3):
        assert await code_of(await place(api, key=key)) == (503, "unavailable")
    tail, queued = exchange.sequencer.tail(), exchange.sequencer.queued
    response = await place(api, key=4)
    problem = await response.json()
    assert (response.status, problem["code"], problem["retryable"]) == (503, "circuitOpen", True)
    assert response.headers["Retry-After"] == "3"
    assert (exchange.sequencer.tail(), exchange.sequencer.queued) == (tail, queued), "nothing was taken"
    # So fast that not even the body is looked at.
    assert await code_of(await api.post("/v1/orders", json={})) == (503, "circuitOpen")
    assert (await scrape(api)).value("circuit_open") == 1
    reasons = (await (await api.get("/readyz")).json())["reasons"]
    assert "the core has not answered 2 times in a row" in reasons

    # A cancel is always let through, and when it is answered, so may orders be.
    exchange.journal.gate.set()
    assert (await cancel(api, MAKER, resting)).status == 200
    assert (await place(api, key=4)).status == 201
    samples = await scrape(api)
    assert (samples.value("circuit_open"), samples.value("circuit_opened_total")) == (0, 1)


async def test_after_a_while_one_order_tries(create_exchange: Any, create_api: Any) -> None:
    settings = ApiSettings(submit_timeout_ms=250, breaker_failures=1, breaker_seconds=3)
    exchange = await create_exchange(settings)
    api = await create_api(exchange)
    exchange.journal.gate.clear()
    assert await code_of(await place(api)) == (503, "unavailable")
    exchange.clock.ms += 3_000
    # One that never comes as far as the core does not count as a try.
    assert await code_of(await api.post("/v1/orders", json={})) == (400, "missingField")
    assert await code_of(await place(api)) == (503, "unavailable")
    response = await place(api)
    assert (await code_of(response), response.headers["Retry-After"]) == ((503, "circuitOpen"), "6")
    exchange.journal.gate.set()
    exchange.clock.ms += 6_000
    assert (await place(api)).status == 200
    assert (await place(api, key=2)).status == 201


# ---------------------------------------------------------------------------------------------------------------------
# Too much at a time, and the end
# ---------------------------------------------------------------------------------------------------------------------


async def test_orders_under_way_do_not_keep_cancels_out(create_exchange: Any, create_api: Any) -> None:
    exchange = await create_exchange(ApiSettings(max_inflight=1))
    api = await create_api(exchange)
    resting = (await (await place(api)).json())["orderId"]
    exchange.journal.gate.clear()
    life = exchange.app[LIFE]
    placing = asyncio.create_task(place(api, TAKER))
    await until(lambda: life.orders == 1)
    assert await code_of(await place(api, TAKER, 2)) == (503, "overloaded")
    canceling = asyncio.create_task(cancel(api, MAKER, resting))
    await until(lambda: life.cancels == 1)
    assert await code_of(await cancel(api, MAKER, resting)) == (503, "overloaded")
    samples = await scrape(api)
    assert [samples.value("inflight_requests", kind=kind) for kind in ("order", "cancel")] == [1, 1]
    exchange.journal.gate.set()
    assert ((await placing).status, (await canceling).status) == (201, 200)


async def test_a_stopping_service_still_cancels(exchange: Exchange, api: Api) -> None:
    resting = (await (await place(api)).json())["orderId"]
    begin_drain(exchange.app)
    assert await code_of(await place(api, key=2)) == (503, "shuttingDown")
    assert (await cancel(api, MAKER, resting)).status == 200


async def test_it_drains_once_the_last_order_is_answered(exchange: Exchange, api: Api) -> None:
    """The worker settles what is matched once nothing more can be."""
    assert not takes_no_orders(exchange.app)
    exchange.journal.gate.clear()
    placing = asyncio.create_task(place(api))
    await until(lambda: exchange.app[LIFE].orders == 1)
    begin_drain(exchange.app)
    assert not takes_no_orders(exchange.app), "one is under way"
    exchange.journal.gate.set()
    assert (await placing).status == 201
    assert takes_no_orders(exchange.app)

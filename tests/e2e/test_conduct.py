"""Budgets of the running service, and how it treats traders while it stops."""

from __future__ import annotations

import signal

import aiohttp
import pytest

from offchain.client import ApiError
from tests.e2e.exchange import PRICE, SYMBOL, TIMEOUT, eventually


async def test_budgets_are_those_that_are_configured(create_exchange):
    exchange = create_exchange(LIMIT_ADDRESS_REQUESTS="2", LIMIT_WINDOW_SECONDS="30")
    with exchange.running():
        async with aiohttp.ClientSession() as session:
            answers = []
            for _ in range(61):
                async with session.get(f"{exchange.url}/v1/time") as response:
                    answers.append((response.status, response.headers["RateLimit"].split(";")[1]))
                    policy = response.headers["RateLimit-Policy"]
            # The test takes a moment, in which some of the budget comes back.
            assert answers[0] == (200, "r=59")
            assert policy == '"address";q=60;w=30'
            while response.status == 200:
                async with session.get(f"{exchange.url}/v1/time") as response:
                    pass
            assert (response.status, response.headers["Retry-After"]) == (429, "1")
            async with session.get(f"{exchange.url}/readyz") as response:
                assert response.status == 200


async def test_a_service_that_stops_lets_traders_cancel_and_says_goodbye(create_exchange):
    exchange = create_exchange(BATCH_SECONDS="600")
    with exchange.running() as service:
        async with exchange.clients(retries=0) as (maker, taker), aiohttp.ClientSession() as session:
            await exchange.until_indexed(maker)
            socket = await session.ws_connect(f"{exchange.url}/v1/ws")

            async def reasons() -> str:
                return service.reasons()

            with service.paused("worker"):
                resting = await maker.place_limit(SYMBOL, "sell", PRICE, 1)
                await taker.place_market(SYMBOL, "buy", "0.3", PRICE)
                service.process.send_signal(signal.SIGTERM)
                await eventually(reasons, lambda text: "shutting down" in text)
                with pytest.raises(ApiError) as refused:
                    await taker.place_limit(SYMBOL, "buy", PRICE - 100, 1)
                assert refused.value.code == "shuttingDown"
                canceled = await maker.cancel(resting.order_id)
                assert (canceled.status, canceled.filled) == ("canceled", "0.3")
            message = await socket.receive(TIMEOUT)
            assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 1001, "shutting down")
        assert service.process.wait(TIMEOUT) == 0
    assert exchange.command("verify").returncode == 0

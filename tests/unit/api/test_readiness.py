"""GET /readyz when what it asks does not answer, or goes wrong."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest

from offchain.api.keys import LIFE
from offchain.api.state import ApiSettings
from tests.unit.api.conftest import Api
from tests.unit.api.derivatives import open_derivatives, tell_index
from tests.unit.api.exchange import MAKER, Exchange, create_body, until
from tests.unit.api.test_metrics import scrape


@pytest.fixture
async def exchange(create_exchange: Any) -> Exchange:
    created: Exchange = await create_exchange(ApiSettings(ready_timeout_ms=300))
    return created


async def reasons(api: Api) -> tuple[int, list[str]]:
    response = await api.get("/readyz")
    return response.status, (await response.json())["reasons"]


async def test_a_disk_that_hangs_is_a_reason_and_does_not_hang_the_probe(exchange: Exchange, api: Api) -> None:
    exchange.journal.gate.clear()
    placing = asyncio.create_task(api.post("/v1/orders", json=create_body(MAKER)))
    await until(lambda: exchange.app[LIFE].orders and exchange.sequencer._unanswered)
    assert await reasons(api) == (503, ["the journal does not become durable in time"])
    assert (await scrape(api)).value("ready") == 0
    exchange.journal.gate.set()
    assert (await placing).status == 201
    assert await reasons(api) == (200, [])


async def test_views_that_cannot_be_read_are_a_reason(
    exchange: Exchange, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> int:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(exchange.views, "applied", broken)
    assert await reasons(api) == (503, ["the views cannot be read: disk I/O error"])


async def test_views_that_hang_are_a_reason(exchange: Exchange, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hanging() -> int:
        await asyncio.sleep(60)
        return 0

    monkeypatch.setattr(exchange.views, "applied", hanging)
    assert await reasons(api) == (503, ["the views do not answer in time"])


async def test_a_core_that_has_stopped_is_a_reason(exchange: Exchange, api: Api) -> None:
    exchange.sequencer._fail(RuntimeError("disk full"))
    status, (reason,) = await reasons(api)
    assert status == 503
    assert reason.startswith("the core does not answer: the sequencer stopped: RuntimeError('disk full')")


async def test_markets_without_a_fresh_price_are_a_note(exchange: Exchange, api: Api) -> None:
    """Whatever needs no price goes on. That nobody looks at oracles any more is a reason."""
    await open_derivatives(exchange)
    assert (await (await api.get("/readyz")).json())["notes"] == []
    exchange.clock.ms += 60_000
    answer = await (await api.get("/readyz")).json()
    (note,) = answer["notes"]
    assert (answer["ready"], note.startswith("no fresh price: ")) == (True, True)
    assert "BTC-PERP" in note
    exchange.clock.ms += 61_000
    assert await reasons(api) == (503, ["no oracle has been looked at for 121 s"])
    await tell_index(exchange)
    assert await reasons(api) == (200, [])

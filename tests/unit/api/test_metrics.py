"""What the core process counts, seen through GET /metrics."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from prometheus_client.parser import text_string_to_metric_families

from offchain.api.state import ApiSettings
from offchain.domain.order import Side
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import MAKER, Exchange, bearer, create_body, create_order
from tests.unit.api.sockets import DEPTH, MAKERS, TRADE, Connect, place, trade

Sample = tuple[str, frozenset[tuple[str, str]]]


class Scrape(dict[Sample, float]):
    """Samples by name and labels."""

    def value(self, name: str, **labels: str) -> float:
        return self.get((f"crosspoint_{name}", frozenset(labels.items())), 0.0)


async def scrape(api: Api) -> Scrape:
    response = await api.get("/metrics")
    assert response.status == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(await response.text())
    return Scrape({(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples})


async def test_an_order_is_counted_at_every_stage(api: Api) -> None:
    before = await scrape(api)
    await trade(api)
    after = await scrape(api)

    def grown(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    assert grown("http_requests_total", method="POST", route="/v1/orders", status="201") == 2
    assert grown("http_request_seconds_count", method="POST", route="/v1/orders") == 2
    assert grown("intake_seconds_count", kind="order") == 2
    assert grown("commands_total", command="PlaceOrder") == 2
    assert grown("fills_total") == 1
    for stage in ("match_seconds_count", "commit_seconds_count", "publish_seconds_count", "record_commands_count"):
        assert grown(stage) == 2, stage
    assert grown("events_total") == grown("journal_seq") > 2
    assert after.value("unsettled_fills") == 1
    assert after.value("ready") == 1


async def test_gauges_follow_the_state(exchange: Exchange, api: Api) -> None:
    await trade(api)
    exchange.clock.ms += 90_000
    exchange.projecting.clear()
    await place(api, MAKER, 2)
    samples = await scrape(api)
    assert samples.value("settler_lag_seconds") == 90
    assert samples.value("chain_head_age_seconds") == 90
    assert samples.value("chain_head_block") == 5
    assert samples.value("views_lag_events") > 0
    assert samples.value("queue_limit") == 4_096


async def test_a_reason_not_to_be_ready_shows(exchange: Exchange, api: Api) -> None:
    exchange.clock.ms += 1_000_000
    assert (await scrape(api)).value("ready") == 0


async def test_refusals_are_counted_by_code(api: Api) -> None:
    await api.post("/v1/orders", data=b"{", headers={"Content-Type": "application/json"})
    await api.post("/v1/orders", json=create_body(MAKER, price="0"))
    await api.get("/v1/orders")
    samples = await scrape(api)
    for code in ("malformedJson", "invalidPrice", "authenticationRequired"):
        assert samples.value("refusals_total", code=code) == 1, code


async def test_clients_cannot_invent_labels(api: Api) -> None:
    for path in ("/a", "/b", "/v1/orders/0x12"):
        await api.get(path, headers=bearer(api, MAKER))
    await api.request("PATCH", "/v1/orders")
    samples = await scrape(api)
    assert samples.value("http_requests_total", method="other", route="unknown", status="404") == 2
    assert samples.value("http_requests_total", method="other", route="unknown", status="405") == 1
    assert samples.value("http_requests_total", method="GET", route="/v1/orders/{id}", status="400") == 1


async def test_sockets_are_counted(api: Api, connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.subscribe(DEPTH, TRADE, MAKERS)
    await trade(api)
    await place(api, MAKER, 2)
    await socket.next_of("update")
    samples = await scrape(api)
    assert samples.value("websocket_connections") == 1
    for kind in ("depth", "trade", "trader"):
        assert samples.value("websocket_subscriptions", kind=kind) == 1
        assert samples.value("websocket_messages_total", kind=kind) >= 1
    await socket.raw.close()
    for _ in range(100):
        if not (await scrape(api)).value("websocket_connections"):
            break
        await asyncio.sleep(0.01)
    samples = await scrape(api)
    assert samples.value("websocket_subscriptions", kind="depth") == 0
    assert samples.value("http_requests_total", method="GET", route="/v1/ws", status="101") == 1


async def test_closed_sockets_and_what_they_lose_are_counted(create_exchange: Any, create_api: Any) -> None:
    api = await create_api(await create_exchange(ApiSettings(send_queue=2)))
    socket = await api.ws_connect("/v1/ws", headers=bearer(api, MAKER))
    await socket.send_json({"op": "subscribe", "channels": [DEPTH, TRADE, MAKERS]})
    await asyncio.sleep(0.05)
    samples = await scrape(api)
    assert samples.value("websocket_closed_total", code="4008") == 1
    assert samples.value("websocket_dropped_messages_total") == 2


async def test_a_gap_in_the_stream_is_counted(exchange: Exchange, api: Api) -> None:
    await place(api, MAKER)
    assert (await scrape(api)).value("stream_resyncs_total") == 0
    exchange.feed.is_losing = True
    await place(api, MAKER, 2)
    exchange.feed.is_losing = False
    await place(api, MAKER, 3)
    await asyncio.sleep(0.05)
    assert (await scrape(api)).value("stream_resyncs_total") == 1


async def test_request_and_order_ids_are_logged_at_every_stage(api: Api) -> None:
    with structlog.testing.capture_logs() as lines:
        response = await api.post("/v1/orders", json=create_body(MAKER, create_order(MAKER, side=Side.SELL)))
        request_id, order_id = response.headers["X-Request-Id"], (await response.json())["orderId"]
        refused = await api.delete(f"/v1/orders/{order_id}", json={"account": MAKER.account})
        await asyncio.sleep(0.01)

    def line(event: str) -> dict[str, Any]:
        (found,) = (dict(entry) for entry in lines if entry["event"] == event)
        return found

    assert (line("accepted")["request_id"], line("accepted")["order"]) == (request_id, order_id)
    committed = line("committed")
    assert (committed["requests"], committed["orders"]) == ([request_id], [order_id])
    assert (line("published")["first"], line("published")["last"]) == (committed["first"], committed["last"])
    expected = (refused.headers["X-Request-Id"], order_id, "missingField")
    assert (line("refused")["request_id"], line("refused")["order"], line("refused")["code"]) == expected

"""What administrators do over HTTP: who may, what happens, and that it is on record."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from offchain.api.admin.writes import SHOWN_BODY
from offchain.api.routes import ROUTES
from offchain.api.state import ApiSettings
from offchain.domain.commands import Administer, BatchClosed, BatchParked
from offchain.domain.events import AdminActed
from tests.unit.api.administrator import Administrator, problem_of
from tests.unit.api.conftest import Api, CreateExchange
from tests.unit.api.exchange import BTC_USDC, MAKER, NOW_MS, Exchange, bearer, create_body, create_order
from tests.unit.api.sockets import place, trade
from tests.unit.api.test_metrics import scrape
from tests.utils.identity import ISSUER, MANAGERS, OPERATORS, VIEWERS, Provider

EVERY = [(route.method, route.path) for route in ROUTES if route.path.startswith("/v1/admin/")]
HALT = {"reason": "maintenance"}


def path_of(route: str) -> str:
    return route.removeprefix("/v1/admin").replace("{symbol}", BTC_USDC.symbol).replace("{id}", "1")


Create = Callable[..., Administrator]


@pytest.fixture
def create(api: Api, provider: Provider) -> Create:
    def create(*groups: str, subject: str = "alice") -> Administrator:
        return Administrator(api, provider, *groups, subject=subject)

    return create


@pytest.fixture
def operator(create: Create) -> Administrator:
    return create(OPERATORS)


@pytest.fixture
def manager(create: Create) -> Administrator:
    return create(MANAGERS, subject="mallory")


@pytest.fixture
def viewer(create: Create) -> Administrator:
    return create(VIEWERS, subject="victor")


def acted(exchange: Exchange) -> list[AdminActed]:
    events = [event for record in exchange.journal.records for events in record.events for event in events]
    return [event for event in events if isinstance(event, AdminActed)]


async def park(exchange: Exchange, api: Api) -> str:
    """One fill whose batch is parked; its id."""
    made = await trade(api)
    await exchange.submit(BatchClosed(1, 1, 1, exchange.clock.ms // 1000))
    await exchange.submit(BatchParked(1, "MarketNotActive(2)", 1))
    fill_id: str = made["fills"][0]["tradeId"]
    return fill_id


# ---------------------------------------------------------------------------------------------------------------------
# Who may
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "route"), EVERY)
async def test_nothing_without_a_good_token(api: Api, exchange: Exchange, method: str, route: str) -> None:
    url = f"/v1/admin{path_of(route)}"
    for headers, code in (
        ({}, "authenticationRequired"),
        ({"Authorization": "Basic abc"}, "authenticationRequired"),
        ({"Authorization": "Bearer "}, "authenticationRequired"),
        ({"Authorization": "Bearer abc"}, "invalidToken"),
    ):
        response = await api.request(method, url, headers=headers, json={} if method == "POST" else None)
        assert await problem_of(response) == (401, code, "Authorization")
        challenge = 'Bearer realm="crosspoint"' + (', error="invalid_token"' if code == "invalidToken" else "")
        assert response.headers["WWW-Authenticate"] == challenge
    assert acted(exchange) == []


@pytest.mark.parametrize(("method", "route"), EVERY)
async def test_nothing_without_the_role(create: Create, exchange: Exchange, api: Api, method: str, route: str) -> None:
    nobody, viewer = create("others"), create(VIEWERS)
    if method == "GET":
        responses = [await api.get(f"/v1/admin{path_of(route)}", headers=nobody.headers)]
    else:
        responses = [await each.post(path_of(route)) for each in (viewer, nobody)]
    for response in responses:
        problem = await response.json()
        assert (response.status, problem["code"]) == (403, "notInGroup")
        assert re.match(r"this takes the role (viewer|operator|manager); ", problem["detail"])
    assert len(acted(exchange)) == (0 if method == "GET" else 2)


async def test_operators_and_managers_have_different_rights(
    operator: Administrator, manager: Administrator, exchange: Exchange
) -> None:
    response = await operator.post("/settings", maxOpenOrders=5)
    assert (
        "takes the role manager; the roles of the token's groups: operator, viewer" in (await response.json())["detail"]
    )
    assert (await manager.post("/halt", **HALT)).status == 403
    assert (await operator.post("/halt", **HALT)).status == 200
    assert (await manager.post("/settings", maxOpenOrders=5)).status == 200
    for administrator in (operator, manager):
        assert (await administrator.get("/settings"))["maxOpenOrders"] == 5


async def test_without_a_provider_there_is_no_administration(
    create_exchange: CreateExchange, create_api: Any, provider: Provider
) -> None:
    api = await create_api(await create_exchange(administered=False))
    for headers in ({}, {"Authorization": f"Bearer {provider.token(NOW_MS // 1000, OPERATORS)}"}):
        response = await api.post("/v1/admin/halt", json=HALT, headers=headers)
        assert await problem_of(response) == (404, "adminDisabled", None)


async def test_a_provider_that_never_answered_is_no_fault_of_the_token(
    exchange: Exchange, api: Api, operator: Administrator, tmp_path: Any
) -> None:
    (tmp_path / "jwks.json").unlink()
    assert (await problem_of(await operator.post("/halt", **HALT)))[:2] == (503, "identityUnavailable")


# ---------------------------------------------------------------------------------------------------------------------
# Halts
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_market_halts_and_resumes(api: Api, operator: Administrator) -> None:
    resting = await place(api, MAKER)
    done = await operator.done("/markets/BTC-USDC/halt", **HALT)
    assert done == {
        "entry": 1,
        "action": "haltMarket",
        "before": {"halted": False, "reason": ""},
        "after": {"halted": True, "reason": "maintenance"},
    }
    refused = await api.post("/v1/orders", json=create_body(MAKER, create_order(MAKER, nonce=2 << 32)))
    assert (await problem_of(refused))[1] == "marketNotActive"
    body = {"account": MAKER.account, "signature": MAKER.sign_cancel(resting["orderId"])}
    assert (await api.delete(f"/v1/orders/{resting['orderId']}", json=body)).status == 200
    await operator.done("/markets/BTC-USDC/resume")
    await place(api, MAKER, 3)


async def test_all_markets_halt_and_everybody_sees_it(api: Api, operator: Administrator) -> None:
    await operator.done("/halt", reason="incident 7")
    markets = (await (await api.get("/v1/markets")).json())["markets"]
    assert {(market["status"], market["reason"]) for market in markets} == {("halted", "incident 7")}
    status = await (await api.get("/v1/status")).json()
    assert (status["halted"], status["haltReason"]) == (True, "incident 7")
    ready = await api.get("/readyz")
    assert (ready.status, (await ready.json())["notes"]) == (200, ["all markets are halted: incident 7"])
    assert (await scrape(api)).value("exchange_halted") == 1
    await operator.done("/resume")
    assert (await (await api.get("/v1/status")).json())["halted"] is False
    assert (await (await api.get("/readyz")).json())["notes"] == []


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/halt", {}, (400, "missingField", "reason")),
        ("/halt", {"reason": ""}, (400, "invalidValue", "reason")),
        ("/halt", {"reason": "x" * 201}, (400, "invalidValue", "reason")),
        ("/halt", {"reason": "a\nb"}, (400, "invalidValue", "reason")),
        ("/halt", {"reason": 7}, (400, "invalidType", "reason")),
        ("/halt", {"reason": "a", "cause": "b"}, (400, "unknownField", "cause")),
        ("/markets/DOGE-USDC/halt", HALT, (404, "unknownMarket", "symbol")),
        ("/markets/BTC-USDC/resume", {}, (409, "repeated", "halted")),
        ("/resume", {}, (409, "repeated", "halted")),
        ("/dead-letters/9/retry", {}, (404, "unknownDeadLetter", "id")),
        ("/dead-letters/x/bust", HALT, (404, "unknownDeadLetter", "id")),
        ("/dead-letters/9/bust", {"reason": "a", "fillIds": "0x"}, (400, "invalidType", "fillIds")),
    ],
)
async def test_bad_input_names_the_field_and_is_on_record(
    exchange: Exchange, operator: Administrator, path: str, body: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    assert await problem_of(await operator.post(path, **body)) == expected
    (entry,) = acted(exchange)
    assert entry.rejection is not None
    assert entry.rejection.code == expected[1]


# ---------------------------------------------------------------------------------------------------------------------
# Limits
# ---------------------------------------------------------------------------------------------------------------------


async def test_settings_change_and_are_seen(api: Api, manager: Administrator) -> None:
    done = await manager.done("/settings", maxOpenOrders=2, priceBandBps=100)
    assert done["before"] == {"maxOpenOrders": 10_000, "priceBandBps": 0}
    assert done["after"] == {"maxOpenOrders": 2, "priceBandBps": 100}
    markets = await (await api.get("/v1/markets")).json()
    assert (markets["maxOpenOrders"], markets["priceBandBps"]) == (2, 100)
    settings = await manager.get("/settings")
    assert settings == {"halted": False, "reason": "", "maxOpenOrders": 2, "priceBandBps": 100}


async def test_the_quantity_of_orders_is_bounded(api: Api, manager: Administrator) -> None:
    done = await manager.done("/markets/BTC-USDC/limit", quantityLimit="0.1")
    assert (done["before"], done["after"]) == ({"quantityLimit": None}, {"quantityLimit": "0.1"})
    shown = (await (await api.get("/v1/markets")).json())["markets"][0]
    assert (shown["quantityLimit"], shown["maxQuantity"]) == ("0.1", "10000")
    refused = await api.post("/v1/orders", json=create_body(MAKER, create_order(MAKER)))
    assert await problem_of(refused) == (422, "invalidQuantity", "quantity")
    await manager.done("/markets/BTC-USDC/limit", quantityLimit=None)
    await place(api, MAKER, 2)


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/settings", {}, (422, "invalidSetting", None)),
        ("/settings", {"maxOpenOrders": 0}, (422, "invalidSetting", "maxOpenOrders")),
        ("/settings", {"priceBandBps": "5"}, (400, "invalidType", "priceBandBps")),
        ("/settings", {"maxOpenOrders": 2**70}, (422, "invalidSetting", "maxOpenOrders")),
        ("/markets/BTC-USDC/limit", {}, (400, "missingField", "quantityLimit")),
        ("/markets/BTC-USDC/limit", {"quantityLimit": "0"}, (422, "invalidQuantity", "quantityLimit")),
        ("/markets/BTC-USDC/limit", {"quantityLimit": "0.000001"}, (422, "invalidQuantity", "quantityLimit")),
        ("/markets/BTC-USDC/limit", {"quantityLimit": "10001"}, (422, "invalidQuantity", "quantityLimit")),
        ("/markets/BTC-USDC/limit", {"quantityLimit": 1}, (400, "invalidType", "quantityLimit")),
    ],
)
async def test_bad_limits_name_the_field(
    manager: Administrator, path: str, body: dict[str, Any], expected: tuple[int, str, str | None]
) -> None:
    assert await problem_of(await manager.post(path, **body)) == expected


# ---------------------------------------------------------------------------------------------------------------------
# Dead letters
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_parked_batch_is_listed_shown_and_tried_again(
    exchange: Exchange, api: Api, operator: Administrator, viewer: Administrator
) -> None:
    fill_id = await park(exchange, api)
    page = await viewer.get("/dead-letters")
    (letter,) = page["deadLetters"]
    assert page["next"] is None
    assert (letter["id"], letter["batch"], letter["status"], letter["item"]) == (1, 1, "parked", 1)
    assert letter["reason"] == "MarketNotActive(2)"
    shown = await viewer.get("/dead-letters/1")
    assert shown["deadLetter"] == letter
    (fill,) = shown["fills"]
    assert (fill["tradeId"], fill["market"], fill["quantity"]) == (fill_id, "BTC-USDC", "0.1")
    assert (fill["maker"]["side"], fill["taker"]["side"]) == ("sell", "buy")
    done = await operator.done("/dead-letters/1/retry")
    assert (done["before"]["status"], done["after"]["status"]) == ("parked", "retried")
    assert (await viewer.get("/dead-letters/1"))["deadLetter"]["status"] == "retried"
    await exchange.submit(BatchParked(1, "MarketNotActive(2)", 1))
    assert [each["status"] for each in (await viewer.get("/dead-letters"))["deadLetters"]] == ["parked"]


async def test_a_parked_batch_is_busted(exchange: Exchange, api: Api, operator: Administrator) -> None:
    fill_id = await park(exchange, api)
    done = await operator.done("/dead-letters/1/bust", reason="paused on chain")
    assert (done["before"]["fills"], done["after"]["fills"]) == (1, 0)
    shown = await operator.get("/dead-letters/1")
    assert (shown["deadLetter"]["status"], shown["fills"]) == ("reopened", [])
    fills = await (await api.get("/v1/fills", headers=bearer(api, MAKER))).json()
    assert [(fill["tradeId"], fill["settlement"]["state"]) for fill in fills["fills"]] == [(fill_id, "busted")]
    assert await problem_of(await operator.post("/dead-letters/1/retry")) == (409, "invalidBatch", "id")
    (entry,) = (await operator.get("/audit", action="bustFills"))["entries"]
    assert entry["parameters"] == {"fillIds": [fill_id], "reason": "paused on chain"}


async def test_named_fills_are_busted(exchange: Exchange, api: Api, operator: Administrator) -> None:
    await park(exchange, api)
    unknown = "0x" + "11" * 32
    refused = await operator.post("/dead-letters/1/bust", reason="a", fillIds=[unknown])
    assert await problem_of(refused) == (404, "unknownFill", "fillIds")
    assert (await problem_of(await operator.post("/dead-letters/1/bust", reason="a", fillIds=["0x1"])))[0] == 400
    assert (await problem_of(await operator.post("/dead-letters/1/bust", reason="a", fillIds=[7])))[0] == 400
    assert exchange.core.status().unsettled_fills == 1


# ---------------------------------------------------------------------------------------------------------------------
# On record
# ---------------------------------------------------------------------------------------------------------------------


async def test_the_log_says_who_what_before_and_after(
    api: Api, operator: Administrator, manager: Administrator, viewer: Administrator
) -> None:
    halted = await operator.post("/markets/BTC-USDC/halt", **HALT)
    await manager.post("/halt", **HALT)
    await manager.post("/settings", maxOpenOrders=0)
    await manager.done("/markets/BTC-USDC/limit", quantityLimit="0.5")
    newest, *others = (await viewer.get("/audit"))["entries"]
    assert newest["parameters"] == {"market": "BTC-USDC", "quantityLimit": "0.5"}
    refused, denied, first = others
    assert (refused["action"], refused["outcome"]) == ("changeSettings", "invalidSetting")
    assert refused["before"] == refused["after"] == {"maxOpenOrders": 10_000}
    assert (denied["action"], denied["outcome"]) == ("haltExchange", "notInGroup")
    assert denied["parameters"] == {"request": 'POST /v1/admin/halt {"reason": "maintenance"}'}
    assert first == {
        "entry": 1,
        "time": NOW_MS,
        "who": {
            "issuer": ISSUER,
            "subject": "alice",
            "groups": [OPERATORS],
            "requestId": halted.headers["X-Request-Id"],
            "address": "127.0.0.1",
        },
        "action": "haltMarket",
        "parameters": {"market": "BTC-USDC", "reason": "maintenance"},
        "before": {"halted": False, "reason": ""},
        "after": {"halted": True, "reason": "maintenance"},
        "outcome": "done",
        "detail": "",
    }
    assert newest["entry"] == 4


async def test_the_log_is_read_by_pages_and_filters(
    operator: Administrator, manager: Administrator, viewer: Administrator
) -> None:
    for number in range(3):
        await operator.done("/markets/BTC-USDC/halt", reason=f"r{number}")
        await manager.post("/settings", maxOpenOrders=10 + number)
    page = await viewer.get("/audit", limit="4")
    assert [entry["entry"] for entry in page["entries"]] == [6, 5, 4, 3]
    page = await viewer.get("/audit", limit="4", cursor=page["next"])
    assert ([entry["entry"] for entry in page["entries"]], page["next"]) == ([2, 1], None)
    page = await viewer.get("/audit", who="mallory", action="changeSettings", limit="2")
    assert [entry["entry"] for entry in page["entries"]] == [6, 4]
    page = await viewer.get("/audit", who="mallory", limit="2", cursor=page["next"])
    assert [entry["entry"] for entry in page["entries"]] == [2]
    assert (await viewer.get("/audit", who="nobody"))["entries"] == []


@pytest.mark.parametrize("query", [{"action": "sing"}, {"who": ""}, {"limit": "501"}, {"cursor": "x"}])
async def test_bad_queries_are_refused(api: Api, viewer: Administrator, query: dict[str, str]) -> None:
    response = await api.get("/v1/admin/audit", params=query, headers=viewer.headers)
    assert response.status == 400


async def test_a_refused_body_is_on_record_up_to_a_bound(exchange: Exchange, operator: Administrator) -> None:
    await operator.post("/halt", reason="é" * 2_000)
    (entry,) = acted(exchange)
    assert len(entry.action.request) < 2 * SHOWN_BODY  # type: ignore[union-attr]


async def test_what_administrators_do_is_counted(api: Api, operator: Administrator) -> None:
    await operator.done("/halt", **HALT)
    await operator.post("/halt", **HALT)
    await operator.post("/settings", maxOpenOrders=5)
    samples = await scrape(api)
    for action, outcome in (
        ("haltExchange", "done"),
        ("haltExchange", "repeated"),
        ("changeSettings", "notInGroup"),
    ):
        assert samples.value("admin_actions_total", action=action, outcome=outcome) == 1


# ---------------------------------------------------------------------------------------------------------------------
# Once
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_key_is_required(exchange: Exchange, api: Api, operator: Administrator) -> None:
    response = await api.post("/v1/admin/halt", json=HALT, headers=operator.headers)
    assert await problem_of(response) == (400, "missingIdempotencyKey", "Idempotency-Key")
    assert len(acted(exchange)) == 1
    assert exchange.core.status().halt is None


async def test_the_same_request_is_done_once(exchange: Exchange, operator: Administrator, create: Create) -> None:
    first = await operator.post("/halt", key="k1", **HALT)
    again = await operator.post("/halt", key="k1", **HALT)
    assert (first.status, await first.read()) == (again.status, await again.read())
    other = await operator.post("/halt", key="k1", reason="another")
    assert (await problem_of(other))[:2] == (422, "idempotencyKeyReused")
    assert (await create(OPERATORS, subject="bob").post("/halt", key="k1", **HALT)).status == 409, "a key is one's own"
    assert [entry.rejection is None for entry in acted(exchange)] == [True, False, False]


async def test_what_the_api_has_forgotten_the_core_still_knows(
    create_exchange: CreateExchange, create_api: Any, provider: Provider
) -> None:
    """The API keeps its answers in memory, where a restart loses them."""
    exchange = await create_exchange(ApiSettings(idempotency_seconds=1))
    operator = Administrator(await create_api(exchange), provider, OPERATORS)
    first = await operator.post("/halt", key="k1", **HALT)
    for _ in range(2):
        exchange.clock.ms += 2_000
        again = await operator.post("/halt", key="k1", **HALT)
        assert (again.status, await again.json()) == (200, await first.json())
        exchange.clock.ms += 2_000
        other = await operator.post("/halt", key="k1", reason="another")
        assert (await problem_of(other))[:2] == (422, "idempotencyKeyReused")
    assert [entry.rejection.code if entry.rejection else "" for entry in acted(exchange)] == [
        "",
        *["idempotencyKeyReused"] * 2,
    ]


async def test_an_answer_that_never_came_is_asked_for_again(
    create_exchange: CreateExchange, create_api: Any, provider: Provider
) -> None:
    exchange = await create_exchange(ApiSettings(submit_timeout_ms=200))
    operator = Administrator(await create_api(exchange), provider, OPERATORS)
    exchange.journal.gate.clear()
    assert (await operator.post("/halt", key="k1", **HALT)).status == 503
    exchange.journal.gate.set()
    await asyncio.sleep(0.02)
    assert (await operator.post("/halt", key="k1", **HALT)).status == 200
    commands = [each for record in exchange.journal.records for each in record.commands if isinstance(each, Administer)]
    assert (len(commands), len(acted(exchange))) == (2, 1)

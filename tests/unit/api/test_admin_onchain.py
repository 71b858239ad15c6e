"""What administrators ask of the chain: markets, their status, the fee; in the units of the API."""

from __future__ import annotations

from typing import Any

import pytest

from offchain.domain.actions import ActionStatus, CreateMarket, DerivativeTerms, ScheduleFee, SetMarketStatus
from offchain.domain.commands import ActionEnded, ActionSent, Administer, RequestAction
from tests.unit.api.administrator import Administrator, problem_of
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import MAKER, NOW_MS, Exchange, create_body, create_order
from tests.utils.identity import MANAGERS, VIEWERS, Provider

ORACLE = "0x" + "0A" * 20
SPOT = {
    "symbol": "BTC-ETH",
    "kind": "spot",
    "base": "BTC",
    "quote": "ETH",
    "tickSize": "0.0001",
    "lotSize": "0.001",
    "maxPrice": "1000",
    "maxQuantity": "100",
    "oracle": ORACLE,
}
PERP = {
    "symbol": "BTC-PERP",
    "kind": "perp",
    "base": "BTC",
    "tickSize": "0.1",
    "lotSize": "0.00001",
    "maxPrice": "10000000",
    "maxQuantity": "1000",
    "oracle": ORACLE,
    "initialMarginBps": 1_000,
    "maintenanceMarginBps": 500,
    "bandBps": 250,
    "liquidationFeeBps": 100,
    "exitPenaltyBps": 150,
    "fundingCap": "0.0005",
    "fundingPeriod": 28_800,
}
CALL = {
    "symbol": "BTC-CALL",
    "kind": "option",
    "base": "BTC",
    "tickSize": "0.1",
    "lotSize": "0.00001",
    "maxPrice": "100000",
    "maxQuantity": "1000",
    "oracle": ORACLE,
    "expiry": NOW_MS + 86_400_000,
    "strike": "70000",
    "cap": "100000",
}


@pytest.fixture
def manager(api: Api, provider: Provider) -> Administrator:
    return Administrator(api, provider, MANAGERS)


async def ask(administrator: Administrator, path: str, **body: Any) -> dict[str, Any]:
    response = await administrator.post(path, **body)
    assert response.status == 202, await response.text()
    answer: dict[str, Any] = await response.json()
    return answer


def asked(exchange: Exchange) -> Any:
    """The last action that an administrator asked for."""
    commands = [command for record in exchange.journal.records for command in record.commands]
    actions = [command.action for command in commands if isinstance(command, Administer)]
    assert isinstance(actions[-1], RequestAction)
    return actions[-1].action


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (SPOT, CreateMarket("BTC-ETH", 0, 1, 3, 10**8, 10**5, 10**15, 10**5, b"\x0a" * 20)),
        (
            PERP,
            CreateMarket(
                "BTC-PERP", 1, 1, 0, 10**5, 10**3, 10**13, 10**8, b"\x0a" * 20,
                DerivativeTerms(0, 0, 0, False, 1_000, 500, 250, 100, 150, 50_000, 28_800),
            ),
        ),
        (
            CALL,
            CreateMarket(
                "BTC-CALL", 3, 1, 0, 10**5, 10**3, 10**11, 10**8, b"\x0a" * 20,
                DerivativeTerms(NOW_MS // 1000 + 86_400, 7 * 10**10, 10**11),
            ),
        ),
    ],
)  # fmt: skip
async def test_a_market_is_asked_for_in_the_registrys_units(
    exchange: Exchange, manager: Administrator, body: dict[str, Any], expected: CreateMarket
) -> None:
    answer = await ask(manager, "/markets", **body)
    assert asked(exchange) == expected
    assert (answer["action"], answer["after"]) == ("createMarket", {"actionStatus": "requested"})
    shown = await manager.get(f"/actions/{answer['actionId']}")
    assert (shown["action"], shown["status"], shown["txHash"]) == ("createMarket", "requested", None)
    assert shown["parameters"]["symbol"] == body["symbol"]
    (entry,) = (await manager.get("/audit"))["entries"]
    assert entry["parameters"]["actionId"] == answer["actionId"]
    assert entry["parameters"]["terms"]["expiry"] == expected.terms.expiry


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kind": "swap"}, (400, "invalidValue", "kind")),
        ({"base": "DOGE"}, (404, "unknownAsset", "base")),
        ({"quote": "DOGE"}, (404, "unknownAsset", "quote")),
        ({"quote": "ETH"}, (422, "invalidMarket", "quote")),
        ({"symbol": "BTC-USDC"}, (422, "invalidMarket", "symbol")),
        ({"symbol": "btc"}, (422, "invalidMarket", "symbol")),
        ({"tickSize": "0.0000001"}, (400, "invalidNumber", "tickSize")),
        ({"tickSize": "0"}, (422, "invalidMarket", "tickSize")),
        ({"tickSize": 1}, (400, "invalidType", "tickSize")),
        ({"lotSize": "0"}, (400, "invalidNumber", "maxQuantity")),
        ({"maxQuantity": "0.000011"}, (400, "invalidNumber", "maxQuantity")),
        ({"maxPrice": "0.15"}, (422, "invalidMarket", "maxPrice")),
        ({"oracle": "0x1"}, (400, "invalidAddress", "oracle")),
        ({"oracle": None}, (422, "invalidMarket", "oracle")),
        ({"initialMarginBps": 999}, (422, "invalidMarket", "initialMarginBps")),
        ({"initialMarginBps": 70_000}, (400, "invalidNumber", "initialMarginBps")),
        ({"bandBps": 500}, (422, "invalidMarket", "bandBps")),
        ({"fundingCap": "0.00050001"}, (422, "invalidMarket", "fundingCap")),
        ({"fundingPeriod": 1}, (422, "invalidMarket", "fundingPeriod")),
        ({"expiry": NOW_MS + 1_000_000}, (422, "invalidMarket", "expiry")),
        ({"expiry": NOW_MS + 1}, (400, "invalidNumber", "expiry")),
        ({"isPut": True}, (422, "invalidMarket", "isPut")),
        ({"colour": "red"}, (400, "unknownField", "colour")),
    ],
)
async def test_a_market_that_cannot_be_names_the_field(
    manager: Administrator, changes: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    assert await problem_of(await manager.post("/markets", **(PERP | changes))) == expected
    (entry,) = (await manager.get("/audit"))["entries"]
    assert (entry["action"], entry["outcome"]) == ("createMarket", expected[1])


async def test_a_market_stops_here_before_it_does_on_chain(
    api: Api, exchange: Exchange, manager: Administrator
) -> None:
    answer = await ask(manager, "/markets/BTC-USDC/status", status="paused")
    assert asked(exchange) == SetMarketStatus(2, 2)
    assert answer["before"] == {"actionStatus": "", "statusOnChain": "active", "halted": False, "reason": ""}
    assert answer["after"]["halted"] is True
    refused = await api.post("/v1/orders", json=create_body(MAKER, create_order(MAKER)))
    assert (await problem_of(refused))[1] == "marketNotActive"
    response = await manager.post("/markets/BTC-USDC/status", status="sleeping")
    assert await problem_of(response) == (400, "invalidValue", "status")
    response = await manager.post("/markets/BTC-USDC/status", status="active")
    assert await problem_of(response) == (409, "repeated", "status")


async def test_a_fee_is_asked_for(exchange: Exchange, manager: Administrator) -> None:
    at = NOW_MS + 3_600_000
    answer = await ask(manager, "/fee", feeBps=10, at=at)
    assert asked(exchange) == ScheduleFee(10, at // 1000)
    assert answer["before"] == {"actionStatus": "", "feeBps": 50, "nextFeeBps": 50, "nextFeeAt": 0}
    (entry,) = (await manager.get("/audit", action="scheduleFee"))["entries"]
    assert (entry["parameters"]["feeBps"], entry["parameters"]["at"]) == (10, at)
    for body, expected in (
        ({"feeBps": 51, "at": at}, (422, "invalidSetting", "feeBps")),
        ({"feeBps": -1, "at": at}, (400, "invalidNumber", "feeBps")),
        ({"feeBps": 10, "at": at - 1_000}, (422, "invalidSetting", "at")),
        ({"feeBps": 10, "at": at + 1}, (400, "invalidNumber", "at")),
    ):
        assert await problem_of(await manager.post("/fee", **body)) == expected


async def test_progress_is_told_until_the_end(exchange: Exchange, manager: Administrator, api: Api) -> None:
    answers = [await ask(manager, "/markets", **body) for body in (PERP, CALL)]
    first, second = (bytes.fromhex(answer["actionId"][2:]) for answer in answers)
    await exchange.submit(ActionSent(first, b"\x11" * 32))
    shown = await manager.get(f"/actions/{answers[0]['actionId']}")
    assert (shown["status"], shown["txHash"]) == ("sent", "0x" + "11" * 32)
    needs = ActionEnded(
        second, ActionStatus.NEEDS_OWNER, "OwnableUnauthorizedAccount()", b"", b"\x0c" * 20, b"\xab\xcd"
    )
    await exchange.submit(needs)
    page = await manager.get("/actions", limit="1")
    (shown,) = page["actions"]
    assert (shown["status"], shown["target"], shown["data"]) == ("needsOwner", "0x" + "0c" * 20, "0xabcd")
    page = await manager.get("/actions", limit="1", cursor=page["next"])
    assert ([each["actionId"] for each in page["actions"]], page["next"]) == ([answers[0]["actionId"]], None)


async def test_unknown_actions_are_told(api: Api, provider: Provider) -> None:
    viewer = Administrator(api, provider, VIEWERS)
    for text, status in (("0x" + "22" * 32, 404), ("0x22", 400)):
        response = await api.get(f"/v1/admin/actions/{text}", headers=viewer.headers)
        assert response.status == status


async def test_the_same_request_is_one_action(exchange: Exchange, manager: Administrator) -> None:
    first = await manager.post("/markets", key="k1", **PERP)
    exchange.clock.ms += 5_000
    again = await manager.post("/markets", key="k1", **PERP)
    assert await first.read() == await again.read()
    assert len((await manager.get("/actions"))["actions"]) == 1
    response = await manager.post("/markets", key="k2", **PERP)
    assert response.status == 202, "another request for the same is another action, which the registry refuses"


async def test_leverage_is_of_margined_markets(manager: Administrator) -> None:
    response = await manager.post("/markets/BTC-USDC/leverage", openingMarginBps=2_000)
    assert await problem_of(response) == (422, "invalidSetting", "market")
    response = await manager.post("/markets/BTC-USDC/leverage")
    assert await problem_of(response) == (400, "missingField", "openingMarginBps")

"""Everything but orders and the stream: markets, accounts, service, and how requests are refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from offchain.api.schemas.http import checksum
from offchain.api.state import ApiSettings, Health
from offchain.domain.commands import (
    BatchClosed,
    BatchParked,
    BatchSent,
    BatchSettled,
    MarketStatusChanged,
    SetStatus,
    WithdrawalRequested,
)
from offchain.domain.market import USDC, MarketStatus
from offchain.domain.order import Side
from tests.unit.api.conftest import Api, CreateExchange
from tests.unit.api.exchange import (
    BTC_USDC,
    CHAIN_ID,
    ENGINE,
    MAKER,
    NOW_MS,
    OPERATOR,
    TAKER,
    Exchange,
    Trader,
    bearer,
    create_body,
    create_order,
)


async def get(api: Api, path: str, trader: Trader | None = None, **query: str) -> dict[str, Any]:
    """As the trader, if one is given."""
    response = await api.get(path, params=query, headers=bearer(api, trader) if trader is not None else None)
    assert response.status == 200, await response.text()
    body: dict[str, Any] = await response.json()
    return body


async def trade(api: Api, quantity: int = 10_000, key: int = 1) -> dict[str, Any]:
    sell = create_order(MAKER, side=Side.SELL, quantity=quantity, nonce=key << 32)
    await api.post("/v1/orders", json=create_body(MAKER, sell))
    buy = create_order(TAKER, quantity=quantity, nonce=key << 32)
    response = await api.post("/v1/orders", json=create_body(TAKER, buy))
    answer: dict[str, Any] = await response.json()
    return answer


# ---------------------------------------------------------------------------------------------------------------------
# Markets
# ---------------------------------------------------------------------------------------------------------------------


async def test_markets_say_what_is_signed_and_how(api: Api) -> None:
    markets = await get(api, "/v1/markets")
    assert markets["domain"] == {
        "name": "OrderBookDEX",
        "version": "1",
        "chainId": CHAIN_ID,
        "verifyingContract": "0x" + ENGINE.hex(),
    }
    assert markets["feeBps"] == 50
    assert (markets["maxOpenOrders"], markets["priceBandBps"]) == (10_000, 0)
    assert [asset["symbol"] for asset in markets["assets"]] == ["USDC", "BTC", "ETH"]
    assert markets["markets"][0] == {
        "id": BTC_USDC.id,
        "symbol": "BTC-USDC",
        "kind": "spot",
        "base": "BTC",
        "quote": "USDC",
        "instrument": 1,
        "decimals": 8,
        "tickSize": "0.1",
        "lotSize": "0.00001",
        "tickPerLot": "1",
        "minPrice": "0.1",
        "maxPrice": "10000000",
        "minQuantity": "0.00001",
        "maxQuantity": "10000",
        "status": "active",
        "reason": "",
        "tradingEnds": None,
        "option": None,
        "margined": None,
        "quantityLimit": None,
        "openingMarginBps": None,
    }


async def test_markets_show_their_status(exchange: Exchange, api: Api) -> None:
    await exchange.submit(SetStatus(BTC_USDC.id, True, "maintenance"))
    await asyncio.sleep(0.02)
    market = (await get(api, "/v1/markets"))["markets"][0]
    assert (market["status"], market["reason"]) == ("halted", "maintenance")
    await exchange.submit(SetStatus(BTC_USDC.id, False, ""))
    await exchange.block(MarketStatusChanged(BTC_USDC.id, MarketStatus.PAUSED, NOW_MS // 1000))
    await asyncio.sleep(0.02)
    assert (await get(api, "/v1/markets"))["markets"][0]["status"] == "paused"


async def test_the_book_shows_as_many_levels_as_asked(api: Api) -> None:
    for key in range(1, 4):
        order = create_order(MAKER, nonce=key << 32, price=900_000 + key)
        await api.post("/v1/orders", json=create_body(MAKER, order))
    await asyncio.sleep(0.06)
    book = await get(api, "/v1/orderbook/BTC-USDC", depth="2")
    assert book["bids"] == [["90000.3", "0.5"], ["90000.2", "0.5"]]
    assert len((await get(api, "/v1/orderbook/BTC-USDC"))["bids"]) == 3


async def test_a_book_deeper_than_what_is_published(
    create_exchange: CreateExchange, create_api: Callable[[Exchange], Awaitable[Api]]
) -> None:
    """All of it, as it is now, with the checksum that clients compare."""
    api = await create_api(await create_exchange(ApiSettings(depth_levels=2)))
    for key in range(1, 6):
        order = create_order(MAKER, nonce=key << 32, price=900_000 + key)
        assert (await api.post("/v1/orders", json=create_body(MAKER, order))).status == 201
    await asyncio.sleep(0.06)
    published = await get(api, "/v1/orderbook/BTC-USDC", depth="2")
    deep = await get(api, "/v1/orderbook/BTC-USDC", depth="4")
    assert published["bids"] == [["90000.5", "0.5"], ["90000.4", "0.5"]]
    assert deep["bids"] == [*published["bids"], ["90000.3", "0.5"], ["90000.2", "0.5"]]
    assert deep["seq"] >= published["seq"]
    assert deep["checksum"] == checksum([tuple(level) for level in deep["bids"]], deep["asks"])
    assert len((await get(api, "/v1/orderbook/BTC-USDC", depth="10000"))["bids"]) == 5


@pytest.mark.parametrize("path", ["/v1/orderbook/DOGE-USDC", "/v1/trades/DOGE-USDC", "/v1/trades/%ff%fe"])
async def test_unknown_markets_are_named(api: Api, path: str) -> None:
    response = await api.get(path)
    problem = await response.json()
    assert (response.status, problem["code"], problem["param"]) == (404, "unknownMarket", "symbol")


@pytest.mark.parametrize("depth", ["0", "10001", "-1", "x"])
async def test_depth_has_bounds(api: Api, depth: str) -> None:
    problem = await (await api.get("/v1/orderbook/BTC-USDC", params={"depth": depth})).json()
    assert (problem["code"], problem["param"]) == ("invalidParameter", "depth")


async def test_trades_are_paged_newest_first(api: Api) -> None:
    ids = [(await trade(api, key=key))["fills"][0]["tradeId"] for key in (1, 2, 3)]
    first = await get(api, "/v1/trades/BTC-USDC", limit="2")
    assert [row["tradeId"] for row in first["trades"]] == ids[:0:-1]
    row = first["trades"][0]
    assert (row["price"], row["quantity"], row["side"], row["settlement"]) == ("95000.1", "0.1", "buy", "pending")
    second = await get(api, "/v1/trades/BTC-USDC", limit="2", cursor=first["next"])
    assert [row["tradeId"] for row in second["trades"]] == ids[:1]
    assert second["next"] is None


async def test_time_is_the_exchanges(api: Api) -> None:
    assert await get(api, "/v1/time") == {"time": NOW_MS}


# ---------------------------------------------------------------------------------------------------------------------
# Accounts
# ---------------------------------------------------------------------------------------------------------------------


async def test_balances_are_live(api: Api) -> None:
    await trade(api)
    balances = (await get(api, "/v1/balances", TAKER))["balances"]
    assert balances == [
        {
            "asset": "USDC",
            "settled": "1000000",
            "unsettled": "-9547.51005",
            "reserved": "0",
            "held": "0",
            "available": "990452.48995",
        },
        {
            "asset": "BTC",
            "settled": "100",
            "unsettled": "0.1",
            "reserved": "0",
            "held": "0",
            "available": "100.1",
        },
    ]
    assert (await get(api, "/v1/balances", OPERATOR))["balances"] == []


async def test_fills_show_both_sides_their_own(api: Api) -> None:
    answer = await trade(api)
    maker = (await get(api, "/v1/fills", MAKER))["fills"]
    taker = (await get(api, "/v1/fills", TAKER))["fills"]
    assert [(fill["role"], fill["side"]) for fill in maker + taker] == [("maker", "sell"), ("taker", "buy")]
    assert taker[0]["orderId"] == answer["orderId"] != maker[0]["orderId"]
    assert taker[0]["fee"] == "47.50005"
    assert taker[0]["settlement"] == {"state": "pending", "batch": None, "txHash": None}


async def test_deposits_and_withdrawals_are_listed(exchange: Exchange, api: Api) -> None:
    await exchange.block(WithdrawalRequested(MAKER.address, 0, USDC, 2_000_000, NOW_MS // 1000, b"\x01" * 32, 1))
    (withdrawal,) = (await get(api, "/v1/withdrawals", MAKER))["withdrawals"]
    assert (withdrawal["asset"], withdrawal["amount"], withdrawal["status"]) == ("USDC", "2", "releasing")
    deposits = (await get(api, "/v1/deposits", MAKER))["deposits"]
    assert [(deposit["asset"], deposit["amount"], deposit["status"]) for deposit in deposits] == [
        ("BTC", "100", "credited"),
        ("USDC", "1000000", "credited"),
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Service
# ---------------------------------------------------------------------------------------------------------------------


async def test_status_shows_how_settlement_stands(exchange: Exchange, api: Api) -> None:
    answer = await trade(api)
    status = await get(api, "/v1/status")
    assert (status["queuedFills"], status["oldestFillAt"], status["batches"]) == (1, NOW_MS, [])
    now, trade_id = NOW_MS // 1000, bytes.fromhex(answer["fills"][0]["tradeId"][2:])
    await exchange.submit(BatchClosed(1, 1, 1, now))
    await exchange.submit(BatchSent(1, b"\x07" * 32))
    await exchange.block(BatchSettled(1, now, [trade_id], b"\x07" * 32, 123_456))
    await asyncio.sleep(0.03)
    status = await get(api, "/v1/status")
    assert (status["queuedFills"], status["oldestFillAt"], status["seq"]) == (0, None, status["viewsSeq"])
    (batch,) = status["batches"]
    assert (batch["number"], batch["status"], batch["gasUsed"], batch["matchedAt"]) == (1, "confirmed", 123_456, now)


async def test_a_live_process_says_so(api: Api) -> None:
    assert (await api.get("/livez")).status == 200


async def test_readiness_gives_reasons(create_exchange: Any, create_api: Any) -> None:
    settings = ApiSettings(ready_backlog_events=0, ready_item_age_ms=1_000, ready_head_age_ms=1_000)
    exchange: Exchange = await create_exchange(settings)
    api = await create_api(exchange)

    async def reasons() -> tuple[int, list[str]]:
        response = await api.get("/readyz")
        return response.status, (await response.json())["reasons"]

    await asyncio.sleep(0.03)
    assert await reasons() == (200, [])
    await trade(api)
    await exchange.submit(BatchClosed(1, 1, 1, NOW_MS // 1000))
    await exchange.submit(BatchParked(1, "StaleNonce(0)", 1))
    exchange.projecting.clear()
    await asyncio.sleep(0.02)
    await exchange.block()
    exchange.clock.ms += 5_000
    exchange.health = Health(("the worker is not connected",))
    status, why = await reasons()
    assert status == 503
    assert re.fullmatch(r"the views are \d+ events behind", why.pop(3))
    assert why == [
        "batch 1 is parked: StaleNonce(0)",
        "the oldest unsettled fill is 5 s old",
        "the newest block was seen 5 s ago",
        "the worker is not connected",
    ]


async def test_without_blocks_the_service_is_not_ready(create_exchange: Any, create_api: Any) -> None:
    api = await create_api(await create_exchange(opened=False))
    assert (await (await api.get("/readyz")).json())["reasons"] == ["no block has been seen yet"]


# ---------------------------------------------------------------------------------------------------------------------
# Refusals of the interface itself
# ---------------------------------------------------------------------------------------------------------------------


async def problem_of(response: Any) -> tuple[int, str, str | None]:
    assert response.content_type == "application/problem+json"
    problem = await response.json()
    assert problem["status"] == response.status
    assert problem["type"] == f"urn:crosspoint:problem:{problem['code']}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["requestId"] == response.headers["X-Request-Id"]
    return response.status, problem["code"], problem["param"]


async def test_unknown_addresses_and_methods(api: Api) -> None:
    assert await problem_of(await api.get("/v2/orders")) == (404, "unknownRoute", None)
    response = await api.put("/v1/orders", json={})
    assert await problem_of(response) == (405, "methodNotAllowed", None)
    assert response.headers["Allow"] == "DELETE, GET, POST"


async def test_other_types_of_body(api: Api) -> None:
    response = await api.post("/v1/orders", data=b"{}", headers={"Content-Type": "text/plain"})
    assert await problem_of(response) == (415, "unsupportedMediaType", "Content-Type")
    latin = {"Content-Type": "application/json; charset=latin-1"}
    assert (await problem_of(await api.post("/v1/orders", data=b"{}", headers=latin)))[1] == "unsupportedMediaType"
    utf8 = {"Content-Type": "application/json; charset=utf-8"}
    assert (await problem_of(await api.post("/v1/orders", data=b"{}", headers=utf8)))[1] == "missingField"


async def test_large_bodies(api: Api) -> None:
    headers = {"Content-Type": "application/json"}
    body = b'{"account": "' + b"0" * 20_000 + b'"}'
    assert await problem_of(await api.post("/v1/orders", data=body, headers=headers)) == (413, "bodyTooLarge", None)


async def test_compressed_bodies(api: Api) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = await api.post("/v1/orders", data=b"not gzip", headers=headers)
    assert await problem_of(response) == (415, "unsupportedMediaType", "Content-Encoding")


async def test_slow_bodies(create_exchange: Any, create_api: Any) -> None:
    api = await create_api(await create_exchange(ApiSettings(body_timeout_ms=50)))

    async def drip() -> Any:
        yield b"{"
        await asyncio.sleep(0.5)
        yield b"}"

    response = await api.post("/v1/orders", data=drip(), headers={"Content-Type": "application/json"})
    assert await problem_of(response) == (408, "timeout", None)


@pytest.mark.parametrize(
    ("raw", "code"),
    [(b"", "malformedJson"), (b"{", "malformedJson"), (b"\xff", "malformedJson"), (b'{"price": NaN}', "malformedJson")],
)
async def test_malformed_bodies(api: Api, raw: bytes, code: str) -> None:
    response = await api.post("/v1/orders", data=raw, headers={"Content-Type": "application/json"})
    assert await problem_of(response) == (400, code, None)


async def test_a_failure_is_logged_and_not_told(api: Api, exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(exchange.views, "batches", fail)
    response = await api.get("/v1/status")
    assert "secret" not in await response.text()
    assert (await problem_of(response))[:2] == (500, "internalError")

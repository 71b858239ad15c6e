"""Placing and canceling orders over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offchain.api.app import begin_drain
from offchain.api.state import ApiSettings
from offchain.chain import eip712
from offchain.domain.commands import MarketStatusChanged, SetStatus
from offchain.domain.market import MarketStatus
from offchain.domain.order import Order, Side, TimeInForce
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import (
    BTC_USDC,
    ETH_USDC,
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

LATER = NOW_MS // 1000 + 60


async def post(api: Api, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    response = await api.post("/v1/orders", json=body)
    return response.status, await response.json()


def order_id(order: Order) -> str:
    return "0x" + eip712.order_hash(order).hex()


def sell(trader: Trader, **changes: Any) -> Order:
    return create_order(trader, **{"side": Side.SELL} | changes)


# ---------------------------------------------------------------------------------------------------------------------
# Accepted
# ---------------------------------------------------------------------------------------------------------------------


async def test_an_order_rests(api: Api) -> None:
    status, placed = await post(api, create_body(MAKER, clientOrderId="first"))
    assert status == 201
    assert placed == {
        "orderId": order_id(create_order(MAKER)),
        "status": "open",
        "filled": "0",
        "remaining": "0.5",
        "clientOrderId": "first",
    }


async def test_a_taker_is_told_its_fills(api: Api) -> None:
    await post(api, create_body(MAKER, sell(MAKER, quantity=20_000)))
    status, placed = await post(api, create_body(TAKER))
    assert status == 201
    assert (placed["status"], placed["filled"], placed["remaining"]) == ("partiallyFilled", "0.2", "0.3")
    (fill,) = placed["fills"]
    assert (fill["price"], fill["quantity"]) == ("95000.1", "0.2")
    assert len(fill["tradeId"]) == 66


async def test_a_market_order_that_meets_nobody_ends(api: Api) -> None:
    order = create_order(TAKER, time_in_force=TimeInForce.IOC, expiry=LATER)
    status, placed = await post(api, create_body(TAKER, order, type="market"))
    assert status == 201
    assert (placed["status"], placed["code"], placed["filled"]) == ("canceled", "iocRemainder", "0")


async def test_the_same_order_again_gets_the_original_answer(api: Api) -> None:
    body = create_body(MAKER)
    first, again = await post(api, body), await post(api, body)
    assert first[0] == 201
    assert again == (200, first[1])


async def test_a_rejection_is_repeated_as_well(api: Api) -> None:
    body = create_body(MAKER, create_order(MAKER, quantity=500_000_000))
    (status, first), (status_again, again) = await post(api, body), await post(api, body)
    assert (status, first["code"], first["param"]) == (422, "insufficientBalance", "quantity")
    assert status_again == 422
    assert first.pop("requestId") != again.pop("requestId")
    assert first == again
    assert first["orderId"] == order_id(create_order(MAKER, quantity=500_000_000))


@pytest.mark.parametrize("form", ["compact", "rsv"])
async def test_both_forms_of_a_signature_are_taken(api: Api, form: str) -> None:
    body = create_body(MAKER)
    if form == "rsv":
        compact = bytes.fromhex(body["signature"][2:])
        s = int.from_bytes(compact[32:], "big")
        parity = s >> 255
        body["signature"] = "0x" + (compact[:32] + (s & ~(1 << 255)).to_bytes(32, "big") + bytes([27 + parity])).hex()
    assert (await post(api, body))[0] == 201


async def test_a_replacement_may_state_what_has_filled(api: Api) -> None:
    await post(api, create_body(MAKER))
    wrong = create_order(MAKER, nonce=(1 << 32) + 1, quantity=40_000)
    status, problem = await post(api, create_body(MAKER, wrong, expectFilled="0.1"))
    assert (status, problem["code"], problem["param"]) == (409, "expectFilledMismatch", "expectFilled")
    right = create_order(MAKER, nonce=(1 << 32) + 2, quantity=40_000)
    assert (await post(api, create_body(MAKER, right, expectFilled="0")))[0] == 201
    answer = await (await api.get(f"/v1/orders/{order_id(create_order(MAKER))}", headers=bearer(api, MAKER))).json()
    assert (answer["status"], answer["code"]) == ("canceled", "replaced")


# ---------------------------------------------------------------------------------------------------------------------
# Refused by the core
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "changes", "expected"),
    [
        ({"max_fee_bps": 49}, {}, (422, "feeAboveCap", "maxFeeBps")),
        ({"epoch": 1}, {}, (409, "staleEpoch", "epoch")),
        ({"nonce": (1 << 32) + 2**32 - 1}, {}, (422, "invalidNonce", "nonce")),
        ({"reduce_only": True}, {"reduceOnly": True}, (422, "reduceOnlySpot", "reduceOnly")),
        ({"quantity": 500_000_000}, {}, (422, "insufficientBalance", "quantity")),
        (
            {"time_in_force": TimeInForce.IOC, "expiry": LATER},
            {"postOnly": True},
            (422, "invalidPostOnly", "postOnly"),
        ),
    ],
)
async def test_the_cores_refusals_name_field_and_reason(
    api: Api, order: dict[str, Any], changes: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    status, problem = await post(api, create_body(MAKER, create_order(MAKER, **order), **changes))
    assert (status, problem["code"], problem["param"]) == expected
    assert problem["detail"]


async def test_a_post_only_order_does_not_take(api: Api) -> None:
    await post(api, create_body(MAKER, sell(MAKER)))
    status, problem = await post(api, create_body(TAKER, postOnly=True))
    assert (status, problem["code"], problem["param"]) == (422, "postOnlyWouldCross", "postOnly")


async def test_same_nonce_with_other_contents(api: Api) -> None:
    await post(api, create_body(MAKER))
    status, problem = await post(api, create_body(MAKER, create_order(MAKER, quantity=1)))
    assert (status, problem["code"], problem["param"]) == (409, "nonceReused", "nonce")


async def test_a_lower_sequence_is_stale(api: Api) -> None:
    await post(api, create_body(MAKER, create_order(MAKER, nonce=(1 << 32) + 5)))
    status, problem = await post(api, create_body(MAKER, create_order(MAKER, nonce=(1 << 32) + 4)))
    assert (status, problem["code"], problem["param"]) == (409, "staleNonce", "nonce")


async def test_a_nonce_key_belongs_to_one_market(api: Api) -> None:
    await post(api, create_body(MAKER))
    other = create_order(MAKER, market=ETH_USDC.id, price=1, quantity=1, nonce=(1 << 32) + 1)
    status, problem = await post(api, create_body(MAKER, other))
    assert (status, problem["code"], problem["param"]) == (409, "nonceKeyMarket", "nonce")


async def test_a_client_order_id_names_one_live_order(api: Api) -> None:
    await post(api, create_body(MAKER, clientOrderId="mine"))
    second = create_body(MAKER, create_order(MAKER, nonce=2 << 32), clientOrderId="mine")
    status, problem = await post(api, second)
    assert (status, problem["code"], problem["param"]) == (409, "duplicateClientOrderId", "clientOrderId")


async def test_a_paused_market_takes_no_orders(exchange: Exchange, api: Api) -> None:
    await exchange.block(MarketStatusChanged(BTC_USDC.id, MarketStatus.PAUSED, NOW_MS // 1000))
    status, problem = await post(api, create_body(MAKER))
    assert (status, problem["code"], problem["param"]) == (409, "marketNotActive", "market")


async def test_a_halted_market_says_why(exchange: Exchange, api: Api) -> None:
    await exchange.submit(SetStatus(BTC_USDC.id, True, "maintenance"))
    status, problem = await post(api, create_body(MAKER))
    assert (status, problem["code"]) == (409, "marketNotActive")
    assert "maintenance" in problem["detail"]


# ---------------------------------------------------------------------------------------------------------------------
# Canceling
# ---------------------------------------------------------------------------------------------------------------------


async def cancel(api: Api, name: str, trader: Trader, **changes: Any) -> tuple[int, dict[str, Any]]:
    body = {"account": trader.account, "signature": trader.sign_cancel(name)} | changes
    response = await api.delete(f"/v1/orders/{name}", json=body)
    return response.status, await response.json()


async def test_a_cancel_ends_the_order(api: Api) -> None:
    await post(api, create_body(TAKER, sell(TAKER, quantity=20_000)))
    _, placed = await post(api, create_body(MAKER))
    assert await cancel(api, placed["orderId"], MAKER) == (
        200,
        {"orderId": placed["orderId"], "status": "canceled", "filled": "0.2", "remaining": "0.3"},
    )
    status, problem = await cancel(api, placed["orderId"], MAKER)
    assert (status, problem["code"]) == (409, "orderNotOpen")


async def test_only_the_owner_cancels(api: Api) -> None:
    _, placed = await post(api, create_body(MAKER))
    status, problem = await cancel(api, placed["orderId"], TAKER)
    nothing = "0x" + "11" * 32
    _, unknown = await cancel(api, nothing, TAKER)
    assert (status, problem["code"], problem["param"]) == (404, "unknownOrder", "orderId")
    assert problem["detail"].replace(placed["orderId"], nothing) == unknown["detail"], "it looks like none"
    status, problem = await cancel(api, placed["orderId"], TAKER, account=MAKER.account)
    assert (status, problem["code"], problem["param"]) == (403, "signerMismatch", "signature")


async def test_an_unknown_order_cannot_be_canceled(api: Api) -> None:
    status, problem = await cancel(api, "0x" + "00" * 32, MAKER)
    assert (status, problem["code"]) == (404, "unknownOrder")


@pytest.mark.parametrize("name", ["7", "0x12", "0x" + "g" * 64, "0x" + "0" * 65])
async def test_a_malformed_order_id_is_named(api: Api, name: str) -> None:
    address = f"/v1/orders/{name}"
    for response in (await api.get(address, headers=bearer(api, MAKER)), await api.delete(address, json={})):
        problem = await response.json()
        assert (response.status, problem["code"], problem["param"]) == (400, "invalidOrderId", "id")


# ---------------------------------------------------------------------------------------------------------------------
# Under load and at the end
# ---------------------------------------------------------------------------------------------------------------------


async def test_an_answer_means_durable(exchange: Exchange, api: Api) -> None:
    exchange.journal.gate.clear()
    answer = asyncio.create_task(post(api, create_body(MAKER)))
    await asyncio.sleep(0.1)
    assert not answer.done()
    exchange.journal.gate.set()
    assert (await answer)[0] == 201


async def test_no_answer_in_time_is_safe_to_retry(create_exchange: Any, create_api: Any) -> None:
    exchange = await create_exchange(ApiSettings(submit_timeout_ms=50))
    api = await create_api(exchange)
    exchange.journal.gate.clear()
    body = create_body(MAKER)
    status, problem = await post(api, body)
    assert (status, problem["code"], problem["retryable"]) == (503, "unavailable", True)
    exchange.journal.gate.set()
    await asyncio.sleep(0.05)
    status, placed = await post(api, body)
    assert (status, placed["status"]) == (200, "open")


async def test_too_many_orders_at_a_time_are_refused(create_exchange: Any, create_api: Any) -> None:
    exchange = await create_exchange(ApiSettings(max_inflight=1))
    api = await create_api(exchange)
    exchange.journal.gate.clear()
    first = asyncio.create_task(post(api, create_body(MAKER)))
    await asyncio.sleep(0.05)
    response = await api.post("/v1/orders", json=create_body(TAKER))
    problem = await response.json()
    assert (response.status, problem["code"], problem["retryable"]) == (503, "overloaded", True)
    assert response.headers["Retry-After"] == "1"
    exchange.journal.gate.set()
    assert (await first)[0] == 201


async def test_a_stopping_service_takes_no_orders_and_answers_those_it_has(exchange: Exchange, api: Api) -> None:
    exchange.journal.gate.clear()
    first = asyncio.create_task(post(api, create_body(MAKER)))
    await asyncio.sleep(0.05)
    begin_drain(exchange.app)
    status, problem = await post(api, create_body(TAKER))
    assert (status, problem["code"], problem["retryable"]) == (503, "shuttingDown", True)
    exchange.journal.gate.set()
    assert (await first)[0] == 201


async def test_before_configuration_nothing_is_taken(create_exchange: Any, create_api: Any) -> None:
    exchange = await create_exchange(opened=False)
    api = await create_api(exchange)
    status, problem = await post(api, create_body(OPERATOR))
    assert (status, problem["code"], problem["retryable"]) == (503, "notConfigured", True)
    assert (await api.get("/v1/markets")).status == 503
    await exchange.open()
    await asyncio.sleep(0.05)
    assert (await post(api, create_body(MAKER)))[0] == 201


async def test_before_the_chain_is_known_no_order_is_taken(exchange: Exchange, api: Api) -> None:
    placed = (await post(api, create_body(MAKER)))[1]
    exchange.is_open = False
    status, problem = await post(api, create_body(TAKER))
    assert (status, problem["code"], problem["retryable"]) == (503, "starting", True)
    assert (await cancel(api, placed["orderId"], MAKER))[0] == 200
    exchange.is_open = True
    assert (await post(api, create_body(TAKER)))[0] == 201

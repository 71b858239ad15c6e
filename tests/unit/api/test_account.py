"""What an account can do and what is about to change, as the interface shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from offchain.domain.commands import DelegateSet, EpochBumped, EpochBumpRequested, FeeScheduled, WithdrawalRequested
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import MAKER, NOW_MS, TAKER, Exchange, bearer, create_body, create_order

UNTIL = NOW_MS // 1000 + 3_600


async def account(api: Api) -> dict[str, object]:
    body: dict[str, object] = await (await api.get("/v1/account", headers=bearer(api, MAKER))).json()
    return body


async def becomes(read: Callable[[], Awaitable[object]], expected: object) -> None:
    """What the interface knows of assets, markets, fees and delegates follows the core a moment later."""
    seen: object = None
    for _ in range(400):
        seen = await read()
        if seen == expected:
            return
        await asyncio.sleep(0.005)
    assert seen == expected


async def test_account_shows_epoch_and_delegates(exchange: Exchange, api: Api) -> None:
    nothing = {"account": MAKER.account, "epoch": 0, "epochBumpPending": False, "delegates": []}
    nothing |= {"cancelsAt": None, "withdrawalNonce": "0", "delegateNonce": "0"}
    assert await account(api) == nothing
    await exchange.block(EpochBumpRequested(MAKER.address), DelegateSet(MAKER.address, TAKER.address, UNTIL))
    delegates = [{"delegate": TAKER.account, "validUntil": UNTIL}]
    nothing["delegateNonce"] = "1"
    assert await account(api) == nothing | {"epochBumpPending": True, "delegates": delegates}
    await exchange.block(EpochBumped(MAKER.address, 1))
    assert await account(api) == nothing | {"epoch": 1, "delegates": delegates}


async def test_orders_wait_for_the_bump(exchange: Exchange, api: Api) -> None:
    await exchange.block(EpochBumpRequested(MAKER.address))
    for order, code in (
        (create_order(MAKER), "epochBumpPending"),
        (create_order(MAKER, epoch=1, nonce=2 << 32), "epochBumpPending"),
    ):
        response = await api.post("/v1/orders", json=create_body(MAKER, order))
        assert (response.status, (await response.json())["code"]) == (409, code)
    await exchange.block(EpochBumped(MAKER.address, 1))
    order = create_order(MAKER, epoch=1, nonce=3 << 32)
    assert (await api.post("/v1/orders", json=create_body(MAKER, order))).status == 201


async def test_a_delegate_places_and_cancels(exchange: Exchange, api: Api) -> None:
    body = create_body(MAKER, signature=TAKER.sign(create_order(MAKER)))
    response = await api.post("/v1/orders", json=body)
    assert (response.status, (await response.json())["code"]) == (403, "signerMismatch")
    await exchange.block(DelegateSet(MAKER.address, TAKER.address, UNTIL))

    async def status() -> int:
        return (await api.post("/v1/orders", json=body)).status

    await becomes(status, 201)
    response = await api.post("/v1/orders", json=body)
    order_id = (await response.json())["orderId"]
    signature = TAKER.sign_cancel(order_id, account=MAKER.address)
    cancel = {"account": MAKER.account, "signature": signature}
    assert (await api.delete(f"/v1/orders/{order_id}", json=cancel)).status == 200


async def test_a_delegate_whose_time_is_over_is_refused(exchange: Exchange, api: Api) -> None:
    await exchange.block(DelegateSet(MAKER.address, TAKER.address, UNTIL))
    exchange.clock.ms = (UNTIL + 1) * 1000
    body = create_body(MAKER, signature=TAKER.sign(create_order(MAKER)))

    async def code() -> str:
        response = await api.post("/v1/orders", json=body)
        assert response.status == 403
        return str((await response.json())["code"])

    # Until the core's next command it knows of the end, afterwards the interface does.
    await becomes(code, "notDelegate")
    await becomes(code, "signerMismatch")


async def test_the_next_fee_is_announced(exchange: Exchange, api: Api) -> None:
    async def fees() -> tuple[object, object]:
        markets = await (await api.get("/v1/markets")).json()
        return markets["feeBps"], markets["feeChange"]

    assert await fees() == (50, None)
    await exchange.block(FeeScheduled(10, UNTIL))
    await becomes(fees, (50, {"feeBps": 10, "at": UNTIL * 1000}))
    exchange.clock.ms = UNTIL * 1000
    await exchange.block()
    await becomes(fees, (10, None))


async def test_a_withdrawal_as_cxpt_holds_usdc(exchange: Exchange, api: Api) -> None:
    await exchange.block(WithdrawalRequested(MAKER.address, 1, 0, 5_000_000, 0, b"\x01" * 32, 0))
    (withdrawal,) = (await (await api.get("/v1/withdrawals", headers=bearer(api, MAKER))).json())["withdrawals"]
    assert (withdrawal["asset"], withdrawal["asCxpt"], withdrawal["status"]) == ("USDC", True, "requested")
    balances = (await (await api.get("/v1/balances", headers=bearer(api, MAKER))).json())["balances"]
    assert next(balance["held"] for balance in balances if balance["asset"] == "USDC") == "5"

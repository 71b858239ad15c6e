"""Transactions on chain by signature: what is taken, how it is answered and shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from offchain.api.state import ApiSettings
from offchain.chain import eip712
from offchain.domain.actions import OPERATOR, ActionStatus, ScheduleFee
from offchain.domain.commands import (
    ActionEnded,
    ActionSent,
    DelegateSet,
    EpochBumped,
    FeeScheduled,
    RequestAction,
    WithdrawalNonceUsed,
)
from offchain.domain.market import USDC
from tests.unit.api.conftest import Api, CreateExchange
from tests.unit.api.exchange import (
    BTC,
    DOMAIN,
    MAKER,
    NOW_MS,
    TAKER,
    USDC_UNIT,
    Exchange,
    Trader,
    bearer,
    create_body,
    create_order,
)
from tests.unit.api.sockets import Connect

NOW = NOW_MS // 1000
LATER = NOW + 3_600
STRANGER = Trader(0xD4)

Body = dict[str, Any]


def signed(trader: Trader, digest: bytes) -> str:
    return "0x" + eip712.sign(digest, trader.key).hex()


def withdrawal(trader: Trader = MAKER, signer: Trader | None = None, **changes: Any) -> Body:
    """100 USDC, signed by the trader; `changes` are signed, but those whose names the signature does not have."""
    terms = {"kind": 0, "instrument": USDC, "quanta": 100 * USDC_UNIT, "nonce": 0, "expiry": LATER}
    terms |= {name: changes.pop(name) for name in list(changes) if name in terms}
    digest = eip712.withdraw_digest(
        DOMAIN, trader.address, terms["kind"], terms["instrument"], terms["quanta"], terms["nonce"], terms["expiry"]
    )
    body = {
        "account": trader.account,
        "asset": "USDC",
        "amount": "100",
        "nonce": str(terms["nonce"]),
        "expiry": terms["expiry"],
        "signature": signed(signer or trader, digest),
    }
    return body | changes


def delegation(trader: Trader = MAKER, signer: Trader | None = None, nonce: int = 0, **changes: Any) -> Body:
    digest = eip712.delegate_digest(DOMAIN, trader.address, TAKER.address, LATER, nonce)
    body = {"account": trader.account, "delegate": TAKER.account, "validUntil": LATER, "nonce": str(nonce)}
    return body | {"signature": signed(signer or trader, digest)} | changes


def cancel_all(trader: Trader = MAKER, signer: Trader | None = None, epoch: int = 0, **changes: Any) -> Body:
    digest = eip712.cancel_all_digest(DOMAIN, trader.address, epoch)
    return {"account": trader.account, "epoch": epoch, "signature": signed(signer or trader, digest)} | changes


async def post(api: Api, path: str, body: Body) -> tuple[int, Body]:
    response = await api.post(path, json=body)
    return response.status, await response.json()


async def code_of(api: Api, path: str, body: Body) -> tuple[int, str, str]:
    status, problem = await post(api, path, body)
    return status, problem["code"], problem["param"]


async def until_taken(api: Api, path: str, body: Body) -> None:
    """What intake knows of delegates follows the core a moment later."""
    for _ in range(400):
        if (await post(api, path, body))[0] == 202:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(await post(api, path, body))


WITHDRAW, DELEGATES, CANCEL_ALL = "/v1/vault/withdraw", "/v1/account/delegates", "/v1/account/cancel-all-on-chain"


# ---------------------------------------------------------------------------------------------------------------------
# What is taken
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_withdrawal_is_taken_and_shown(exchange: Exchange, api: Api) -> None:
    status, state = await post(api, WITHDRAW, withdrawal())
    digest = eip712.withdraw_digest(DOMAIN, MAKER.address, 0, USDC, 100 * USDC_UNIT, 0, LATER)
    action_id = "0x" + digest.hex()
    assert (status, state) == (202, {"actionId": action_id, "status": "requested", "reason": "", "txHash": None})
    shown = await (await api.get(f"/v1/actions/{action_id}", headers=bearer(api, MAKER))).json()
    assert shown == state | {
        "account": MAKER.account,
        "kind": "withdrawal",
        "asset": "USDC",
        "asCxpt": False,
        "amount": "100",
        "orderId": None,
        "epoch": None,
        "delegate": None,
        "validUntil": None,
        "nonce": "0",
        "createdAt": NOW_MS,
        "updatedAt": NOW_MS,
    }
    listed = await (await api.get("/v1/actions", headers=bearer(api, MAKER))).json()
    assert listed == {"actions": [shown], "next": None}
    assert (await (await api.get("/v1/actions", headers=bearer(api, TAKER))).json())["actions"] == []
    response = await api.get(f"/v1/actions/{action_id}", headers=bearer(api, TAKER))
    assert (response.status, (await response.json())["code"]) == (404, "unknownAction")


async def test_other_assets_are_withdrawn_in_their_units(exchange: Exchange, api: Api) -> None:
    body = withdrawal(kind=2, instrument=BTC.id, quanta=12_345_678, asset="BTC", amount="0.12345678")
    assert (await post(api, WITHDRAW, body))[0] == 202
    body = withdrawal(kind=1, nonce=1, asCxpt=True)
    status, state = await post(api, WITHDRAW, body)
    assert status == 202
    shown = await (await api.get(f"/v1/actions/{state['actionId']}", headers=bearer(api, MAKER))).json()
    assert (shown["asset"], shown["asCxpt"], shown["amount"]) == ("USDC", True, "100")


async def test_progress_is_told(exchange: Exchange, api: Api, connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.subscribe(f"trader.{MAKER.account}")
    _, state = await post(api, WITHDRAW, withdrawal())
    action_id, tx_hash = bytes.fromhex(state["actionId"][2:]), b"\x07" * 32
    await exchange.submit(ActionSent(action_id, tx_hash))
    assert await post(api, WITHDRAW, withdrawal()) == (202, state | {"status": "sent", "txHash": "0x" + "07" * 32})
    await exchange.submit(ActionEnded(action_id, ActionStatus.SETTLED, tx_hash=tx_hash))
    settled = state | {"status": "settled", "txHash": "0x" + "07" * 32}
    assert await post(api, WITHDRAW, withdrawal()) == (200, settled)
    told = []
    while not told or told[-1]["status"] != "settled":
        message = await socket.next()
        if message["type"] == "actionUpdate":
            told.append(message["data"])
    assert [one["status"] for one in told] == ["requested", "sent", "sent", "settled"]
    assert told[-1] == settled | {"kind": "withdrawal"}


async def test_what_settled_is_known_for_good(exchange: Exchange, api: Api) -> None:
    """Also when the core has forgotten it, so that the operator does not pay twice."""
    _, state = await post(api, CANCEL_ALL, cancel_all())
    action_id = bytes.fromhex(state["actionId"][2:])
    await exchange.submit(ActionEnded(action_id, ActionStatus.SETTLED, tx_hash=b"\x07" * 32))
    await (await api.get("/v1/actions/" + state["actionId"], headers=bearer(api, MAKER))).json()
    exchange.core._state.actions.ended.clear()
    assert (await post(api, CANCEL_ALL, cancel_all()))[0] == 200
    assert exchange.core.due_actions() == []


async def test_what_was_refused_may_be_asked_for_again(exchange: Exchange, api: Api) -> None:
    _, state = await post(api, WITHDRAW, withdrawal())
    action_id = bytes.fromhex(state["actionId"][2:])
    await exchange.submit(ActionEnded(action_id, ActionStatus.REFUSED, "WrongNonce(1, 0)"))
    shown = await (await api.get("/v1/actions/" + state["actionId"], headers=bearer(api, MAKER))).json()
    assert (shown["status"], shown["reason"]) == ("refused", "WrongNonce(1, 0)")
    assert await post(api, WITHDRAW, withdrawal()) == (202, state)


async def test_a_delegate_is_asked_for(exchange: Exchange, api: Api) -> None:
    status, state = await post(api, DELEGATES, delegation())
    assert (status, state["status"]) == (202, "requested")
    shown = await (await api.get("/v1/actions/" + state["actionId"], headers=bearer(api, MAKER))).json()
    assert (shown["kind"], shown["delegate"], shown["validUntil"]) == ("delegate", TAKER.account, LATER)


async def test_nonces_are_shown(exchange: Exchange, api: Api) -> None:
    await exchange.block(WithdrawalNonceUsed(MAKER.address, 6), DelegateSet(MAKER.address, TAKER.address, LATER))
    await post(api, WITHDRAW, withdrawal(nonce=7))
    account = await (await api.get("/v1/account", headers=bearer(api, MAKER))).json()
    assert (account["withdrawalNonce"], account["delegateNonce"]) == ("8", "1")


# ---------------------------------------------------------------------------------------------------------------------
# Cancels
# ---------------------------------------------------------------------------------------------------------------------


async def place(api: Api) -> str:
    status, placed = await post(api, "/v1/orders", create_body(MAKER))
    assert status == 201
    return str(placed["orderId"])


async def test_a_cancel_on_chain_cancels_here_at_once(exchange: Exchange, api: Api) -> None:
    order_id = await place(api)
    body = {"account": MAKER.account, "signature": MAKER.sign_cancel(order_id)}
    status, state = await post(api, f"/v1/orders/{order_id}/cancel-on-chain", body)
    assert (status, state["status"]) == (202, "requested")
    order = await (await api.get(f"/v1/orders/{order_id}", headers=bearer(api, MAKER))).json()
    assert (order["status"], order["code"]) == ("canceled", "user")
    shown = await (await api.get("/v1/actions/" + state["actionId"], headers=bearer(api, MAKER))).json()
    assert (shown["kind"], shown["orderId"]) == ("cancel", order_id)


async def test_a_delegate_cancels_on_chain(exchange: Exchange, api: Api) -> None:
    await exchange.block(DelegateSet(MAKER.address, TAKER.address, LATER))
    order_id = await place(api)
    body = {"account": MAKER.account, "signature": TAKER.sign_cancel(order_id, account=MAKER.address)}
    await until_taken(api, f"/v1/orders/{order_id}/cancel-on-chain", body)
    assert (await post(api, CANCEL_ALL, cancel_all(signer=TAKER)))[0] == 202


async def test_a_cancel_on_chain_needs_a_known_order(api: Api) -> None:
    order_id = "0x" + "11" * 32
    body = {"account": MAKER.account, "signature": MAKER.sign_cancel(order_id)}
    assert await code_of(api, f"/v1/orders/{order_id}/cancel-on-chain", body) == (404, "unknownOrder", "id")
    assert await code_of(api, "/v1/orders/0x11/cancel-on-chain", body) == (400, "invalidOrderId", "id")


async def test_a_cancel_on_chain_is_the_owners(api: Api) -> None:
    order_id = await place(api)
    body = {"account": TAKER.account, "signature": TAKER.sign_cancel(order_id)}
    assert await code_of(api, f"/v1/orders/{order_id}/cancel-on-chain", body) == (403, "notOwner", "account")


async def test_a_cancel_of_all_ends_everything_here_at_once(exchange: Exchange, api: Api) -> None:
    order_id = await place(api)
    assert (await post(api, CANCEL_ALL, cancel_all()))[0] == 202
    assert (await (await api.get(f"/v1/orders/{order_id}", headers=bearer(api, MAKER))).json())["status"] == "canceled"
    late = create_body(MAKER, create_order(MAKER, nonce=2 << 32))
    assert (await code_of(api, "/v1/orders", late))[:2] == (409, "epochBumpPending")
    await exchange.block(EpochBumped(MAKER.address, 1))
    order = create_order(MAKER, nonce=3 << 32, epoch=1)
    assert (await post(api, "/v1/orders", create_body(MAKER, order)))[0] == 201


async def test_cancels_are_taken_while_the_service_starts(exchange: Exchange, api: Api) -> None:
    exchange.is_open = False
    assert await code_of(api, WITHDRAW, withdrawal()) == (503, "starting", None)
    assert (await post(api, CANCEL_ALL, cancel_all()))[0] == 202


# ---------------------------------------------------------------------------------------------------------------------
# What is refused
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (WITHDRAW, withdrawal(amount="100.0000001"), (400, "invalidNumber", "amount")),
        (WITHDRAW, withdrawal(amount="0"), (400, "invalidNumber", "amount")),
        (WITHDRAW, withdrawal(amount=100), (400, "invalidType", "amount")),
        (WITHDRAW, withdrawal(amount="101"), (403, "signerMismatch", "signature")),
        (WITHDRAW, withdrawal(signer=TAKER), (403, "signerMismatch", "signature")),
        (WITHDRAW, withdrawal(signature="0x12"), (400, "invalidSignature", "signature")),
        (WITHDRAW, withdrawal(signature="0x" + "00" * 64), (400, "invalidSignature", "signature")),
        (WITHDRAW, withdrawal(expiry=NOW), (422, "actionExpired", "expiry")),
        (WITHDRAW, withdrawal(expiry=2**64 - 1), None),
        (WITHDRAW, withdrawal(asset="DOGE"), (404, "unknownAsset", "asset")),
        (WITHDRAW, withdrawal(asset="BTC", asCxpt=True), (400, "invalidValue", "asCxpt")),
        (WITHDRAW, withdrawal(quanta=2 * 10**12, amount="2000000"), (422, "insufficientBalance", "amount")),
        (WITHDRAW, withdrawal(nonce=1), (422, "invalidNonce", "nonce")),
        (WITHDRAW, withdrawal(nonce=-1 % 2**64), (422, "invalidNonce", "nonce")),
        (WITHDRAW, withdrawal(STRANGER), (403, "accountNotFunded", "account")),
        (WITHDRAW, withdrawal(more=1), (400, "unknownField", "more")),
        (DELEGATES, delegation(signer=TAKER), (403, "signerMismatch", "signature")),
        (DELEGATES, delegation(nonce=1), (422, "invalidNonce", "nonce")),
        (DELEGATES, delegation(delegate="0x" + "00" * 20), (400, "invalidAddress", "delegate")),
        (DELEGATES, delegation(delegate="0x12"), (400, "invalidAddress", "delegate")),
        (DELEGATES, delegation(validUntil=-1), (400, "invalidNumber", "validUntil")),
        (DELEGATES, delegation(STRANGER), (403, "accountNotFunded", "account")),
        (CANCEL_ALL, cancel_all(epoch=1), (409, "staleEpoch", "epoch")),
        (CANCEL_ALL, cancel_all(signer=TAKER), (403, "signerMismatch", "signature")),
        (CANCEL_ALL, cancel_all(epoch=0, signature="0x"), (400, "invalidSignature", "signature")),
    ],
)
async def test_refusals_name_what_is_wrong(
    api: Api, path: str, body: Body, expected: tuple[int, str, str] | None
) -> None:
    if expected is None:
        assert (await post(api, path, body))[0] == 202
    else:
        assert await code_of(api, path, body) == expected


async def test_a_delegate_neither_withdraws_nor_names_another(exchange: Exchange, api: Api) -> None:
    await exchange.block(DelegateSet(MAKER.address, TAKER.address, LATER))
    await until_taken(api, CANCEL_ALL, cancel_all(signer=TAKER))
    for path, body in ((WITHDRAW, withdrawal(signer=TAKER)), (DELEGATES, delegation(signer=TAKER, nonce=1))):
        status, problem = await post(api, path, body)
        assert (status, problem["code"]) == (403, "signerMismatch")
        assert "only the account itself" in problem["detail"]


async def test_a_used_nonce_is_stale(exchange: Exchange, api: Api) -> None:
    await exchange.block(WithdrawalNonceUsed(MAKER.address, 0))
    assert await code_of(api, WITHDRAW, withdrawal()) == (409, "staleNonce", "nonce")


@pytest.mark.parametrize("action_id", ["0x12", "12" * 33, "0x" + "zz" * 32, "0x" + "11" * 31 + " 1"])
async def test_ids_have_a_form(api: Api, action_id: str) -> None:
    response = await api.get(f"/v1/actions/{action_id}", headers=bearer(api, MAKER))
    assert (response.status, (await response.json())["code"]) == (400, "invalidActionId")


async def test_what_is_not_a_traders_is_not_shown(exchange: Exchange, api: Api) -> None:
    await exchange.submit(RequestAction(b"\x01" * 32, OPERATOR, ScheduleFee(10, LATER), NOW_MS))
    response = await api.get("/v1/actions/0x" + "01" * 32, headers=bearer(api, MAKER))
    assert (response.status, (await response.json())["code"]) == (404, "unknownAction")


async def test_an_account_has_a_budget(
    create_exchange: CreateExchange, create_api: Callable[[Exchange], Awaitable[Api]]
) -> None:
    exchange = await create_exchange(ApiSettings(account_actions_per_hour=2))
    api = await create_api(exchange)
    for nonce in range(2):
        assert (await post(api, WITHDRAW, withdrawal(nonce=nonce)))[0] == 202
    response = await api.post(WITHDRAW, json=withdrawal(nonce=2))
    assert (response.status, (await response.json())["code"]) == (429, "rateLimited")
    assert response.headers["RateLimit-Policy"].endswith('"actions";q=2;w=3600')
    assert (await post(api, WITHDRAW, withdrawal(TAKER)))[0] == 202


async def test_all_accounts_share_a_budget_that_strangers_cannot_use_up(
    create_exchange: CreateExchange, create_api: Callable[[Exchange], Awaitable[Api]]
) -> None:
    exchange = await create_exchange(ApiSettings(all_actions_per_hour=2))
    api = await create_api(exchange)
    for number in range(3):
        stranger = Trader(0xE000 + number)
        assert (await code_of(api, WITHDRAW, withdrawal(stranger)))[:2] == (403, "accountNotFunded")
    for trader in (MAKER, TAKER):
        assert (await post(api, WITHDRAW, withdrawal(trader)))[0] == 202
    response = await api.post(WITHDRAW, json=withdrawal(nonce=1))
    problem = await response.json()
    assert (response.status, problem["code"]) == (429, "rateLimited")
    assert "all accounts together" in problem["detail"]
    assert response.headers["RateLimit-Policy"].endswith('"actions-all";q=2;w=3600')


# ---------------------------------------------------------------------------------------------------------------------
# Fees
# ---------------------------------------------------------------------------------------------------------------------


async def test_fees_and_their_change(exchange: Exchange, api: Api) -> None:
    assert await (await api.get("/v1/fees")).json() == {"feeBps": 50, "maxFeeBps": 50, "feeChange": None}
    await exchange.block(FeeScheduled(30, LATER))
    for _ in range(400):
        fees = await (await api.get("/v1/fees")).json()
        if fees["feeChange"] is not None:
            break
        await asyncio.sleep(0.005)
    assert fees == {"feeBps": 50, "maxFeeBps": 50, "feeChange": {"feeBps": 30, "at": LATER * 1000}}


async def test_an_exchange_that_starts_has_no_fee_yet(
    create_exchange: CreateExchange, create_api: Callable[[Exchange], Awaitable[Api]]
) -> None:
    api = await create_api(await create_exchange(opened=False))
    assert (await (await api.get("/v1/fees")).json())["code"] == "notConfigured"

"""What a client signs for the service to bring to the chain."""

from __future__ import annotations

from decimal import Decimal

import pytest

from offchain.client import ApiError
from offchain.client import onchain as onchain_module
from offchain.domain.actions import ActionStatus, SignedCancel, SignedCancelAll, SignedDelegate, SignedWithdrawal
from offchain.domain.commands import ActionEnded, EpochBumped
from tests.unit.api.exchange import BTC, MAKER, NOW_MS, TAKER, Exchange
from tests.unit.client.conftest import CreateClient

LATER = NOW_MS // 1000 + 3_600


@pytest.fixture(autouse=True)
def exchange_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients live at the exchange's time."""
    monkeypatch.setattr(onchain_module.time, "time", lambda: NOW_MS / 1000)


async def test_withdrawals_take_nonces_in_order(exchange: Exchange, create_client: CreateClient) -> None:
    client = await create_client(MAKER)
    states = [
        await client.withdraw("USDC", 100),
        await client.withdraw("BTC", Decimal("0.5"), expiry=LATER + 1),
        await client.withdraw("USDC", "1.5", as_cxpt=True),
    ]
    assert [state.status for state in states] == ["requested"] * 3
    due = [one.action for one in exchange.core.due_actions()]
    assert [isinstance(one, SignedWithdrawal) for one in due] == [True] * 3
    terms = [(one.kind, one.asset, one.amount, one.nonce, one.expiry) for one in due]  # type: ignore[union-attr]
    assert terms == [
        (0, 0, 100_000_000, 0, LATER),
        (2, BTC.id, 50_000_000, 1, LATER + 1),
        (1, 0, 1_500_000, 2, LATER),
    ]
    page = await client.actions()
    assert [one.action_id for one in reversed(page.actions)] == [state.action_id for state in states]
    assert (await client.action(states[1].action_id)).amount == "0.5"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("DOGE", 1, False), "there is no asset 'DOGE'"),
        (("BTC", 1, True), "only USDC can be withdrawn as CXPT"),
        (("USDC", "0.0000001", False), "amount 0.0000001"),
    ],
)
async def test_what_cannot_be_signed_says_why(
    create_client: CreateClient, arguments: tuple[str, str | int, bool], reason: str
) -> None:
    client = await create_client(MAKER)
    asset, amount, as_cxpt = arguments
    with pytest.raises(ValueError, match=reason):
        await client.withdraw(asset, amount, as_cxpt=as_cxpt)


async def test_a_float_is_no_amount(create_client: CreateClient) -> None:
    client = await create_client(MAKER)
    with pytest.raises(TypeError):
        await client.withdraw("USDC", 0.1)  # type: ignore[arg-type]


async def test_refusals_carry_code_and_field(create_client: CreateClient) -> None:
    client = await create_client(MAKER)
    with pytest.raises(ApiError) as caught:
        await client.withdraw("USDC", 1_000_001)
    assert (caught.value.code, caught.value.param) == ("insufficientBalance", "amount")


async def test_delegates_are_named(exchange: Exchange, create_client: CreateClient) -> None:
    client = await create_client(MAKER)
    for valid_until in (LATER, LATER + 1):
        assert (await client.set_delegate(TAKER.account, valid_until)).status == "requested"
    due = [one.action for one in exchange.core.due_actions()]
    assert [(one.delegate, one.valid_until, one.nonce) for one in due if isinstance(one, SignedDelegate)] == [
        (TAKER.address, LATER, 0),
        (TAKER.address, LATER + 1, 1),
    ]
    with pytest.raises(ValueError, match="20 bytes"):
        await client.set_delegate("0x12", LATER)


async def test_cancels_on_chain_free_their_keys(exchange: Exchange, create_client: CreateClient) -> None:
    client = await create_client(MAKER)
    first = await client.place_limit("BTC-USDC", "buy", 90_000, "0.1")
    await client.cancel_on_chain(first.order_id)
    (due,) = exchange.core.due_actions()
    assert isinstance(due.action, SignedCancel)
    second = await client.place_limit("BTC-USDC", "buy", 90_000, "0.1")
    nonces = [int((await client.order(one.order_id)).nonce) for one in (first, second)]
    assert nonces[0] >> 32 == nonces[1] >> 32
    assert nonces[1] > nonces[0]


async def test_after_a_cancel_of_all_orders_sign_the_next_epoch(
    exchange: Exchange, create_client: CreateClient
) -> None:
    client = await create_client(MAKER)
    orders = [await client.place_limit("BTC-USDC", "buy", 90_000, "0.1") for _ in range(2)]
    state = await client.cancel_all_on_chain()
    assert [(await client.order(one.order_id)).status for one in orders] == ["canceled"] * 2
    (due,) = exchange.core.due_actions()
    assert isinstance(due.action, SignedCancelAll)
    with pytest.raises(ApiError, match="epochBumpPending"):
        await client.place_limit("BTC-USDC", "buy", 90_000, "0.1")
    await exchange.block(EpochBumped(MAKER.address, 1))
    await exchange.submit(ActionEnded(bytes.fromhex(state.action_id[2:]), ActionStatus.SETTLED))
    assert (await client.place_limit("BTC-USDC", "buy", 90_000, "0.1")).status == "open"


async def test_the_fee_can_be_read_without_a_key(create_client: CreateClient) -> None:
    client = await create_client(None)
    assert ((await client.fees()).fee_bps, (await client.fees()).max_fee_bps) == (50, 50)

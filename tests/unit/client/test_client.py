"""The client against the real interface and core."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from offchain.api.state import ApiSettings
from offchain.client import ApiError, Client
from offchain.client import client as client_module
from offchain.client import transport as transport_module
from offchain.domain.commands import EpochBumped
from tests.unit.api.exchange import BTC_USDC, MAKER, NOW_MS, TAKER, Exchange, create_body, create_order
from tests.unit.client.conftest import CreateClient


@pytest.fixture(autouse=True)
def exchange_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients live at the exchange's time and do not wait long."""
    monkeypatch.setattr(client_module.time, "time", lambda: NOW_MS / 1000)
    monkeypatch.setattr(transport_module, "FIRST_PAUSE_SECONDS", 0.01)


async def test_makers_and_takers_trade(create_client: CreateClient) -> None:
    maker, taker = await create_client(MAKER), await create_client(TAKER)
    resting = await maker.place_limit("BTC-USDC", "sell", Decimal("95000.1"), "0.5", post_only=True)
    assert (resting.status, resting.remaining) == ("open", "0.5")
    taken = await taker.place_market("BTC-USDC", "buy", Decimal("0.2"), "95001")
    assert (taken.status, taken.filled) == ("filled", "0.2")
    assert [(fill.price, fill.quantity) for fill in taken.fills] == [("95000.1", "0.2")]
    balances = await taker.balances()
    assert balances["BTC"].available == "100.2"
    assert balances["USDC"].unsettled == "-19095.0201"
    (fill,) = (await maker.fills()).fills
    assert (fill.role, fill.side, fill.fee, fill.settlement.state) == ("maker", "sell", "95.0001", "pending")
    assert (await maker.order(resting.order_id)).status == "partiallyFilled"
    canceled = await maker.cancel(resting.order_id)
    assert (canceled.status, canceled.filled, canceled.remaining) == ("canceled", "0.2", "0.3")
    (trade,) = (await taker.trades("BTC-USDC")).trades
    assert trade.trade_id == fill.trade_id == taken.fills[0].trade_id


async def test_refusals_carry_code_and_field(create_client: CreateClient) -> None:
    client = await create_client(MAKER)
    with pytest.raises(ApiError) as caught:
        await client.place_limit("BTC-USDC", "buy", 95_000, 5_000)
    assert (caught.value.status, caught.value.code, caught.value.param) == (422, "insufficientBalance", "quantity")
    with pytest.raises(ApiError) as caught:
        await client.cancel("0x" + "00" * 32)
    assert caught.value.code == "unknownOrder"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"price": "95000.15"}, "tick"),
        ({"quantity": "0.000001"}, "lot"),
        ({"price": "1e5"}, "plain"),
        ({"market": "DOGE-USDC"}, "no market"),
        ({"side": "long"}, "side is one of"),
        ({"replaces": "0x" + "00" * 32}, "no order"),
        ({"price": Decimal("NaN")}, "NaN"),
    ],
)
async def test_what_does_not_fit_is_refused_before_signing(
    create_client: CreateClient, changes: dict[str, Any], message: str
) -> None:
    client = await create_client(MAKER)
    order: dict[str, Any] = {"market": "BTC-USDC", "side": "buy", "price": "95000", "quantity": "1"} | changes
    with pytest.raises(ValueError, match=message):
        await client.place_limit(**order)


async def test_floats_are_refused(create_client: CreateClient) -> None:
    client = await create_client(MAKER)
    with pytest.raises(TypeError, match="float"):
        await client.place_limit("BTC-USDC", "buy", 95000.1, "1")  # type: ignore[arg-type]


async def test_keys_of_ended_orders_are_used_again(create_client: CreateClient) -> None:
    client = await create_client(MAKER)
    first = await client.place_limit("BTC-USDC", "buy", "90000", "0.1")
    second = await client.place_limit("BTC-USDC", "buy", "90000.1", "0.1")
    await client.cancel(first.order_id)
    third = await client.place_limit("BTC-USDC", "buy", "90000.2", "0.1")
    keys = {}
    for placed in (first, second, third):
        nonce = int((await client.order(placed.order_id)).nonce)
        keys[placed.order_id] = (nonce >> 32, nonce & 0xFFFF_FFFF)
    assert keys[first.order_id][0] == keys[third.order_id][0] != keys[second.order_id][0]
    assert keys[third.order_id][1] > keys[first.order_id][1]


async def test_a_new_client_of_an_account_continues_its_nonces(create_client: CreateClient) -> None:
    first = await create_client(MAKER)
    resting = await first.place_limit("BTC-USDC", "buy", "90000", "0.1")
    ended = await first.place_limit("BTC-USDC", "buy", "90000", "0.1")
    await first.cancel(ended.order_id)
    second = await create_client(MAKER)
    placed = await second.place_limit("BTC-USDC", "buy", "91000", "0.1")
    assert (await second.order(resting.order_id)).status == "open"
    nonces = [int((await second.order(order.order_id)).nonce) for order in (ended, placed)]
    assert nonces[0] >> 32 == nonces[1] >> 32
    assert nonces[0] < nonces[1]


async def test_two_clients_of_an_account_evade_each_other(create_client: CreateClient) -> None:
    clients = [await create_client(MAKER) for _ in range(2)]
    for client in clients:
        assert (await client.orders()).orders == []
        await client._desk.ready()
    placed = [await client.place_limit("BTC-USDC", "buy", 90_000 + step, "0.1") for step, client in enumerate(clients)]
    assert placed[0].order_id != placed[1].order_id
    for order in placed:
        assert (await clients[0].order(order.order_id)).status == "open"


async def test_an_order_is_replaced(create_client: CreateClient) -> None:
    client = await create_client(MAKER)
    old = await client.place_limit("BTC-USDC", "buy", "90000", "0.5")
    new = await client.place_limit("BTC-USDC", "buy", "90000", "0.4", replaces=old.order_id, expect_filled="0")
    assert (await client.order(old.order_id)).code == "replaced"
    newer = await client.place_limit("BTC-USDC", "buy", "90000", "0.3", replaces=new.order_id)
    assert [order.order_id for order in (await client.orders(status=["open"])).orders] == [newer.order_id]


async def test_an_order_whose_answer_is_lost_is_sent_again(
    exchange: Exchange, create_client: CreateClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await create_client(MAKER)
    await client._desk.ready()
    transport = client._http
    attempt, lost = transport._attempt, []

    async def lose_the_first_answer(method: str, *rest: Any) -> Any:
        answer = await attempt(method, *rest)
        if method == "POST" and not lost:
            lost.append(answer)
            raise ApiError(0, "noAnswer", "the connection broke", retryable=True)
        return answer

    monkeypatch.setattr(transport, "_attempt", lose_the_first_answer)
    placed = await client.place_limit("BTC-USDC", "buy", "90000", "0.5")
    assert [placed] == lost
    assert len((await client.orders()).orders) == 1


async def test_no_server_is_an_api_error() -> None:
    async with Client("http://127.0.0.1:1", MAKER.key, retries=1) as client:
        with pytest.raises(ApiError) as caught:
            await client.server_time()
    assert (caught.value.status, caught.value.code, caught.value.retryable) == (0, "noAnswer", True)


async def test_without_a_key_one_reads_what_is_public(create_client: CreateClient) -> None:
    client = await create_client(None)
    assert (await client.orderbook("BTC-USDC")).bids == []
    assert await client.server_time() == NOW_MS
    with pytest.raises(ValueError, match="no private key and no API key"):
        await client.balances()
    with pytest.raises(ValueError, match="no private key"):
        await client.place_limit("BTC-USDC", "buy", "1", "1")


async def test_what_the_client_signs_equals_what_everybody_signs(create_client: CreateClient) -> None:
    client = await create_client(MAKER)
    signer = await client._desk.ready()
    order = create_order(MAKER)
    _, body = signer.order(
        "BTC-USDC", "buy", "limit", "GTC", "95000.1", "0.5", order.nonce, max_fee_bps=50, expiry=None
    )
    assert body.signature == create_body(MAKER, order)["signature"]
    assert signer.market("BTC-USDC") == BTC_USDC


async def test_many_orders_at_once_have_keys_of_their_own(create_client: CreateClient) -> None:
    client = await create_client(MAKER)
    placed = await asyncio.gather(*(client.place_limit("BTC-USDC", "buy", 90_000 - step, "0.01") for step in range(50)))
    assert {order.status for order in placed} == {"open"}
    assert len({order.order_id for order in placed}) == 50


async def test_orders_sign_the_accounts_epoch(exchange: Exchange, create_client: CreateClient) -> None:
    await exchange.block(EpochBumped(MAKER.address, 1))
    client = await create_client(MAKER)
    placed = await client.place_limit("BTC-USDC", "buy", 90_000, "0.1")
    assert (await client.order(placed.order_id)).epoch == 1
    await exchange.block(EpochBumped(MAKER.address, 2))
    placed = await client.place_limit("BTC-USDC", "buy", 90_000, "0.1")
    assert (await client.order(placed.order_id)).epoch == 2


async def test_a_replacement_does_not_outlive_the_epoch(exchange: Exchange, create_client: CreateClient) -> None:
    client = await create_client(MAKER)
    placed = await client.place_limit("BTC-USDC", "buy", 90_000, "0.1")
    await exchange.block(EpochBumped(MAKER.address, 1))
    with pytest.raises(ApiError) as caught:
        await client.place_limit("BTC-USDC", "buy", 90_000, "0.1", replaces=placed.order_id)
    assert caught.value.code == "staleEpoch"
    assert (await client.place_limit("BTC-USDC", "buy", 90_000, "0.1")).status == "open"


class TestBudget:
    """What the client does when its budget is used up."""

    @pytest.fixture
    async def exchange(self, create_exchange: Any) -> Exchange:
        created: Exchange = await create_exchange(ApiSettings(address_requests_per_second=1, limit_window_seconds=1))
        return created

    async def test_it_waits_as_long_as_it_is_told(
        self, exchange: Exchange, create_client: CreateClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = await create_client(None)
        waits = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            exchange.clock.ms += round(1000 * seconds)

        monkeypatch.setattr(transport_module, "sleep", sleep)
        for _ in range(3):
            await client.markets(refresh=True)
        assert waits == [1, 1]

    async def test_who_would_wait_too_long_is_told(
        self, create_client: CreateClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transport_module, "LONGEST_WAIT_SECONDS", 0)
        client = await create_client(None)
        await client.markets(refresh=True)
        with pytest.raises(ApiError) as caught:
            await client.markets(refresh=True)
        assert (caught.value.status, caught.value.code, caught.value.retry_after) == (429, "rateLimited", 1)

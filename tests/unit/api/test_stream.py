"""WebSocket: snapshots, updates, private channels, resumption, limits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offchain.api.present import SETTLEMENT_OF_BATCH
from offchain.api.state import ApiSettings
from offchain.domain.commands import (
    BatchClosed,
    BatchSent,
    BatchSettled,
    Bust,
    DelegateSet,
    EpochBumped,
    WithdrawalRequested,
)
from offchain.domain.market import USDC
from offchain.domain.order import Side
from offchain.views.projection import SETTLEMENT_OF_BATCH as SETTLEMENT_IN_VIEWS
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import MAKER, NOW_MS, TAKER, Exchange, bearer, create_body, create_order
from tests.unit.api.sockets import DEPTH, MAKERS, TRADE, Connect, Socket, place, trade

# ---------------------------------------------------------------------------------------------------------------------
# Depth and trades
# ---------------------------------------------------------------------------------------------------------------------


async def test_depth_is_a_snapshot_and_its_updates(api: Api, connect: Connect) -> None:
    await place(api, MAKER)
    await asyncio.sleep(0.06)
    socket = await connect(MAKER)
    await socket.subscribe(DEPTH)
    snapshot = await socket.next()
    assert (snapshot["type"], snapshot["channel"]) == ("snapshot", DEPTH)
    assert snapshot["data"]["bids"] == [["95000.1", "0.5"]]
    assert "resync" not in snapshot
    book = await (await api.get("/v1/orderbook/BTC-USDC")).json()
    assert (book["seq"], book["bids"], book["checksum"]) == (
        snapshot["seq"],
        snapshot["data"]["bids"],
        snapshot["data"]["checksum"],
    )
    await place(api, TAKER, side=Side.SELL, quantity=20_000)
    update = await socket.next()
    assert (update["type"], update["prevSeq"]) == ("update", snapshot["seq"])
    assert update["data"]["bids"] == [["95000.1", "0.3"]]
    assert update["data"]["asks"] == []


async def test_many_changes_are_one_message(create_exchange: Any, create_api: Any) -> None:
    exchange = await create_exchange(ApiSettings(depth_flush_ms=300))
    api = await create_api(exchange)
    socket = Socket(await api.ws_connect("/v1/ws"))
    await socket.subscribe(DEPTH)
    await socket.next()
    for key in range(1, 6):
        await place(api, MAKER, key, price=900_000 + key)
    update = await socket.next()
    assert len(update["data"]["bids"]) == 5


async def test_trades_are_told_with_the_takers_side(api: Api, connect: Connect) -> None:
    socket = await connect(MAKER)
    position = await socket.subscribe(TRADE)
    answer = await trade(api)
    message = await socket.next()
    assert message["type"] == "trade"
    assert message["prevSeq"] <= position["seq"] < message["seq"]
    (told,) = message["data"]
    assert told["tradeId"] == answer["fills"][0]["tradeId"]
    assert (told["price"], told["quantity"], told["side"], told["time"]) == ("95000.1", "0.1", "buy", NOW_MS)
    await trade(api, key=2)
    assert (await socket.next())["prevSeq"] == message["seq"]


async def test_a_dropped_trade_is_told(api: Api, exchange: Exchange, connect: Connect) -> None:
    public, private = await connect(MAKER), await connect(MAKER)
    await public.subscribe(TRADE)
    await private.subscribe(MAKERS)
    answer = await trade(api)
    trade_id = answer["fills"][0]["tradeId"]
    await exchange.submit(Bust([bytes.fromhex(trade_id[2:])], "StaleNonce(0)"))
    bust = await public.next_of("bust")
    assert bust["data"] == {"tradeId": trade_id, "reason": "StaleNonce(0)"}
    assert (await private.next_of("fillBusted"))["data"] == bust["data"]


async def test_what_is_not_subscribed_is_not_sent(api: Api, connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.subscribe(TRADE)
    await socket.send(op="unsubscribe", channels=[TRADE], id="u")
    assert (await socket.next())["op"] == "unsubscribed"
    await trade(api)
    assert await socket.is_silent()


# ---------------------------------------------------------------------------------------------------------------------
# A trader's own channel
# ---------------------------------------------------------------------------------------------------------------------


async def test_a_trader_starts_from_orders_and_balances(api: Api, connect: Connect) -> None:
    placed = await place(api, MAKER)
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS)
    snapshot = await socket.next()
    assert snapshot["type"] == "snapshot"
    (order,) = snapshot["data"]["orders"]
    assert (order["orderId"], order["status"], order["remaining"]) == (placed["orderId"], "open", "0.5")
    usdc, btc = snapshot["data"]["balances"]
    assert (usdc["asset"], usdc["settled"], usdc["reserved"]) == ("USDC", "1000000", "47737.55025")
    assert (btc["asset"], btc["available"]) == ("BTC", "100")


async def test_a_trader_sees_every_event_in_order(api: Api, connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS)
    have = (await socket.next())["seq"]
    await trade(api)
    kinds = []
    for _ in range(6):
        message = await socket.next()
        assert message["prevSeq"] <= have < message["seq"]
        have = message["seq"]
        kinds.append(message["type"])
    assert kinds == ["orderUpdate", "balanceUpdate", "fillUpdate", "orderUpdate", "balanceUpdate", "balanceUpdate"]


async def test_updates_have_the_name_that_the_order_was_given(api: Api, connect: Connect) -> None:
    """Those of a rejected order too; and they say the same when they are sent again."""
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS)
    start = (await socket.next())["seq"]
    for key, name in enumerate(("first", None, "too.dear"), 1):
        quantity = 10**9 if name == "too.dear" else 50_000
        order = create_order(MAKER, nonce=key << 32, quantity=quantity)
        await api.post("/v1/orders", json=create_body(MAKER, order, clientOrderId=name))
    live = [(await socket.next_of("orderUpdate"))["data"] for _ in range(3)]
    assert [(each["status"], each["clientOrderId"]) for each in live] == [
        ("open", "first"),
        ("open", None),
        ("rejected", "too.dear"),
    ]
    again = await connect(MAKER)
    await again.subscribe(MAKERS, after=start)
    assert [(await again.next_of("orderUpdate"))["data"] for _ in range(3)] == live


async def test_fills_are_followed_to_the_chain(api: Api, exchange: Exchange, connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS)
    answer = await trade(api)
    fill = (await socket.next_of("fillUpdate"))["data"]
    assert (fill["role"], fill["side"], fill["settlement"]["state"]) == ("maker", "sell", "pending")
    item, now = fill["item"], NOW_MS // 1000
    await exchange.submit(BatchClosed(1, item, item, now))
    await exchange.submit(BatchSent(1, b"\x07" * 32))
    trade_id = bytes.fromhex(answer["fills"][0]["tradeId"][2:])
    await exchange.block(BatchSettled(1, now, [trade_id], b"\x07" * 32, 123_456))
    states = []
    while states[-1:] != ["confirmed"]:
        message = await socket.next_of("settlementUpdate")
        assert (message["data"]["firstItem"], message["data"]["lastItem"]) == (item, item)
        states.append(message["data"]["state"])
    assert states == ["pending", "submitted", "settled", "confirmed"]
    (row,) = (await (await api.get("/v1/fills", headers=bearer(api, MAKER))).json())["fills"]
    assert row["settlement"] == {"state": "confirmed", "batch": 1, "txHash": "0x" + "07" * 32}


async def test_money_that_comes_and_goes_is_told(exchange: Exchange, api: Api, connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS)
    await exchange.deposit(MAKER, USDC, 5_500_000)
    deposit = (await socket.next_of("depositUpdate"))["data"]
    assert (deposit["asset"], deposit["amount"]) == ("USDC", "5.5")
    await exchange.block(WithdrawalRequested(MAKER.address, 0, USDC, 2_000_000, NOW_MS // 1000, b"\x01" * 32, 1))
    withdrawal = (await socket.next_of("withdrawalUpdate"))["data"]
    assert (withdrawal["asset"], withdrawal["amount"], withdrawal["asCxpt"]) == ("USDC", "2", False)


def test_views_and_stream_agree_on_what_a_batch_says() -> None:
    assert SETTLEMENT_OF_BATCH == SETTLEMENT_IN_VIEWS


async def test_a_trader_resumes_without_loss_or_repetition(api: Api, connect: Connect) -> None:
    first = await connect(MAKER)
    await first.subscribe(MAKERS)
    await first.next()
    await trade(api)
    seen = [await first.next() for _ in range(6)]
    await first.raw.close()
    await trade(api, key=2)

    second = await connect(MAKER)
    await second.subscribe(MAKERS, after=seen[2]["seq"])
    replayed = []
    while (message := await second.next())["type"] != "resumed":
        replayed.append(message)
    resumed = message["seq"]
    assert [message["seq"] for message in replayed[:3]] == [message["seq"] for message in seen[3:]]
    assert [message["data"] for message in replayed[:3]] == [message["data"] for message in seen[3:]]
    assert len(replayed) == 9
    have = seen[2]["seq"]
    for message in replayed:
        assert message["prevSeq"] <= have < message["seq"]
        have = message["seq"]
    await trade(api, key=3)
    live = await second.next()
    assert live["prevSeq"] <= resumed < live["seq"]


async def test_what_happens_during_a_replay_is_sent_once(
    exchange: Exchange, api: Api, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place(api, MAKER)
    socket, stored = await connect(MAKER), exchange.views.account_events
    asked: list[Any] = []

    async def meanwhile(*query: Any) -> Any:
        asked.append(query)
        if len(asked) == 2:  # the first looks whether there is more than a page
            await place(api, MAKER, 2, price=900_000)
            await asyncio.sleep(0.1)
        return await stored(*query)

    monkeypatch.setattr(exchange.views, "account_events", meanwhile)
    await socket.subscribe(MAKERS, after=1)
    messages = []
    while len([message for message in messages if message["type"] == "orderUpdate"]) < 2:
        messages.append(await socket.next())
    messages.append(await socket.next())
    seqs = [message["seq"] for message in messages if message["type"] != "resumed"]
    assert seqs == sorted(set(seqs))
    assert [message["type"] for message in messages[-3:]] == ["resumed", "orderUpdate", "balanceUpdate"]
    assert await socket.is_silent()


async def test_a_gap_of_any_length_is_replayed(
    exchange: Exchange, api: Api, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many pages, and more than may wait to be sent to a socket: what is live is not held back meanwhile."""
    monkeypatch.setattr("offchain.api.traderfeed.REPLAY_PAGE", 4)
    monkeypatch.setattr("offchain.api.traderfeed.REPLAY_PAGES", 3)
    for key in range(1, 21):
        await place(api, MAKER, key, quantity=100)
    socket, stored = await connect(MAKER), exchange.views.account_events
    asked: list[Any] = []

    async def meanwhile(*query: Any) -> Any:
        asked.append(query)
        if len(asked) in (3, 6):
            await place(api, MAKER, 100 + len(asked), quantity=100)
        return await stored(*query)

    monkeypatch.setattr(exchange.views, "account_events", meanwhile)
    await socket.subscribe(MAKERS, after=1)
    messages = []
    while sum(message["type"] == "orderUpdate" for message in messages) < 22:
        messages.append(await socket.next())
    assert "snapshot" not in {message["type"] for message in messages}
    have = 1
    for message in messages:
        if message["type"] == "resumed":
            assert have <= message["seq"]
            continue
        assert message["prevSeq"] <= have < message["seq"]
        have = message["seq"]


async def test_a_long_gap_is_replayed_although_the_views_lag(
    exchange: Exchange, api: Api, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offchain.api.traderfeed.REPLAY_PAGE", 4)
    monkeypatch.setattr("offchain.api.traderfeed.REPLAY_PAGES", 1)
    exchange.projecting.clear()
    await asyncio.sleep(0.02)
    for key in range(1, 21):
        await place(api, MAKER, key, quantity=100)
    socket = await connect(MAKER)
    asking = asyncio.create_task(socket.subscribe(MAKERS, after=1))
    await asyncio.sleep(0.05)
    exchange.projecting.set()
    await asking
    kinds = [(await socket.next())["type"]]
    while kinds[-1] not in ("resumed", "snapshot"):
        kinds.append((await socket.next())["type"])
    assert (kinds.count("orderUpdate"), kinds[-1]) == (20, "resumed")


async def test_a_position_of_another_journal_starts_from_a_snapshot(connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS, after=10**9)
    snapshot = await socket.next()
    assert (snapshot["type"], snapshot["resync"]) == ("snapshot", True)


async def test_resuming_waits_for_the_views(
    exchange: Exchange, api: Api, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offchain.api.traderfeed.REPLAY_WAIT_MS", 50)
    exchange.projecting.clear()
    await asyncio.sleep(0.02)
    await place(api, MAKER)
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS, after=1)
    error = await socket.next()
    assert (error["op"], error["code"]) == ("error", "unavailable")
    exchange.projecting.set()
    await asyncio.sleep(0.05)
    await socket.subscribe(MAKERS, after=1)
    assert (await socket.next())["type"] == "depositUpdate"


# ---------------------------------------------------------------------------------------------------------------------
# Gaps in the feed
# ---------------------------------------------------------------------------------------------------------------------


async def test_after_lost_records_everybody_is_brought_up_to_date(
    exchange: Exchange, api: Api, connect: Connect
) -> None:
    socket = await connect(MAKER)
    await socket.subscribe(DEPTH, TRADE, MAKERS)
    snapshots = [await socket.next() for _ in range(2)]
    exchange.feed.is_losing = True
    lost = await place(api, MAKER)
    exchange.feed.is_losing = False
    await place(api, MAKER, 2, price=900_000)
    messages = [await socket.next() for _ in range(7)]
    kinds = [message["type"] for message in messages]
    assert kinds[:2] == ["snapshot", "resync"]
    assert messages[0]["resync"] is True
    assert messages[0]["data"]["bids"] == [["95000.1", "0.5"], ["90000", "0.5"]]
    own = [message for message in messages if message["channel"] == MAKERS]
    assert [message["type"] for message in own] == [
        "orderUpdate",
        "balanceUpdate",
        "orderUpdate",
        "balanceUpdate",
        "resumed",
    ]
    assert own[0]["data"]["orderId"] == lost["orderId"]
    assert own[0]["prevSeq"] <= snapshots[1]["seq"] < own[0]["seq"]
    await trade(api, key=3)
    assert (await socket.next_of("fillUpdate"))["prevSeq"] > own[-1]["seq"]


async def test_a_trader_learns_of_epoch_and_delegates(exchange: Exchange, connect: Connect) -> None:
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS)
    await exchange.block(EpochBumped(MAKER.address, 1), DelegateSet(MAKER.address, TAKER.address, 2**40))
    messages = [await socket.next_of("accountUpdate") for _ in range(2)]
    assert [message["data"] for message in messages] == [
        {"epoch": 1, "epochBumpPending": True},
        {"epoch": 1, "epochBumpPending": False},
    ]
    told = await socket.next_of("delegateUpdate")
    assert told["data"] == {"delegate": TAKER.account, "validUntil": 2**40}
    late = await connect(MAKER)
    await late.subscribe(MAKERS, after=messages[0]["seq"])
    assert (await late.next_of("accountUpdate"))["data"]["epochBumpPending"] is False
    assert (await late.next_of("delegateUpdate"))["seq"] == told["seq"]

"""Long lists are put into words a slice at a time: whoever waits for an order does not wait for them."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from offchain.api.closing import CloseCode
from offchain.api.keys import PRESENT
from offchain.api.livestate import read_trader
from offchain.api.patience import unhurried
from offchain.domain.commands import CancelOrder
from offchain.domain.order import Side
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import MAKER, NOW_MS, TAKER, Exchange, bearer, create_body, create_order
from tests.unit.api.sockets import MAKERS, Connect, place, trade


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offchain.api.patience.SLICE_SECONDS", 0)


async def test_others_have_a_turn_after_every_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes on by 0.4 ms whenever somebody looks."""
    times = itertools.count(0, 0.0004)
    monkeypatch.setattr("offchain.api.patience.perf_counter", lambda: next(times))
    loop, turns = asyncio.get_running_loop(), 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(turn)

    turn()
    seen = [(item, turns) async for item in unhurried(range(8))]
    assert [item for item, _ in seen] == list(range(8))
    at = [turn for _, turn in seen]
    assert at[0] == at[2] < at[3] == at[5] < at[6] == at[7]


async def test_a_snapshot_is_of_one_moment(exchange: Exchange, api: Api, one_at_a_time: None) -> None:
    """However long it takes to put it into words, and although orders are filled and canceled meanwhile."""
    placed = [await place(api, MAKER, key, quantity=100) for key in range(1, 31)]
    before = exchange.sequencer.tail()
    reading = asyncio.create_task(read_trader(exchange.state.live, api.server.app[PRESENT], MAKER.address, NOW_MS))
    await asyncio.sleep(0)
    canceled = bytes.fromhex(placed[-1]["orderId"][2:])
    await exchange.submit(CancelOrder(MAKER.address, canceled, bytes(64), NOW_MS))
    assert not reading.done()
    seq, state = await reading
    assert seq == before < exchange.sequencer.tail()
    assert [order.order_id for order in state.orders] == [each["orderId"] for each in placed]
    assert {(order.status, order.filled, order.remaining) for order in state.orders} == {("open", "0", "0.001")}
    _, state = await read_trader(exchange.state.live, api.server.app[PRESENT], MAKER.address, NOW_MS)
    assert len(state.orders) == 29


async def test_what_happens_while_a_snapshot_is_made_follows_it(
    api: Api, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await place(api, MAKER)

    async def slowly(*what: Any) -> Any:
        found = await read_trader(*what)
        await place(api, TAKER, side=Side.SELL, quantity=20_000)
        return found

    monkeypatch.setattr("offchain.api.traderfeed.read_trader", slowly)
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS)
    snapshot = await socket.next()
    (order,) = snapshot["data"]["orders"]
    assert (order["orderId"], order["filled"]) == (first["orderId"], "0")
    kinds, have = [], snapshot["seq"]
    for _ in range(4):
        message = await socket.next()
        assert message["prevSeq"] <= have < message["seq"]
        have = message["seq"]
        kinds.append(message["type"])
    assert kinds == ["fillUpdate", "orderUpdate", "balanceUpdate", "balanceUpdate"]
    assert await socket.is_silent()


async def test_records_lost_while_a_snapshot_is_made_end_the_socket(
    exchange: Exchange, api: Api, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot is older than what was lost, and what is held back begins after it."""

    async def slowly(*what: Any) -> Any:
        found = await read_trader(*what)
        exchange.feed.is_losing = True
        await place(api, MAKER, 2)
        exchange.feed.is_losing = False
        await place(api, MAKER, 3)
        return found

    monkeypatch.setattr("offchain.api.traderfeed.read_trader", slowly)
    socket = await connect(MAKER)
    await socket.send(op="subscribe", channels=[MAKERS], id=1)
    async with asyncio.timeout(5):
        while not isinstance((message := await socket.raw.receive()).data, int):
            pass
    assert message.data == CloseCode.SLOW_CONSUMER


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/fills", "/v1/trades/BTC-USDC", "/v1/candles/BTC-USDC"])
async def test_pages_keep_nobody_waiting(api: Api, path: str, turns: list[float]) -> None:
    await trade(api)
    answer = await api.get(path, headers=bearer(api, MAKER))
    assert answer.status == 200
    assert turns == [0]


async def test_a_batch_keeps_nobody_waiting(api: Api, turns: list[float]) -> None:
    orders = [create_body(MAKER, create_order(MAKER, nonce=key << 32, quantity=100)) for key in range(1, 6)]
    answer = await api.post("/v1/orders/batch", json={"orders": orders})
    results = (await answer.json())["results"]
    assert [each["order"]["status"] for each in results] == 5 * ["open"]
    assert turns == 5 * [0]


async def test_a_replay_keeps_nobody_waiting(api: Api, connect: Connect, turns: list[float]) -> None:
    await place(api, MAKER)
    socket = await connect(MAKER)
    await socket.subscribe(MAKERS, after=1)
    kinds = [(await socket.next())["type"]]
    while kinds[-1] != "resumed":
        kinds.append((await socket.next())["type"])
    assert len(turns) >= len(kinds) - 1 >= 2


async def test_a_deep_book_keeps_nobody_waiting(api: Api, turns: list[float]) -> None:
    for key in (1, 2, 3):
        await place(api, MAKER, key, price=900_000 + key)
    answer = await api.get("/v1/orderbook/BTC-USDC?depth=5000")
    assert len((await answer.json())["bids"]) == len(turns) == 3

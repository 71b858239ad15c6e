"""How far fills and batches are, as the views show it."""

from __future__ import annotations

import pytest

from offchain.domain.commands import (
    BatchParked,
    BatchRetry,
    BatchSent,
    Bust,
    ChainRollback,
    WithdrawalRequested,
)
from offchain.domain.events import BatchUpdate
from offchain.domain.market import USDC
from tests.unit.views.projecting import close, project, settled, settlement_of, trade
from tests.utils.scenario import (
    MAKER,
    TAKER,
    block_hash,
    create_block,
)


async def test_fill_goes_from_pending_to_confirmed(views, exchange):
    fill = trade(exchange)
    await project(views, exchange)
    assert await settlement_of(views, fill) == ("pending", 0, b"")
    close(exchange, 1, fill)
    await project(views, exchange)
    assert await settlement_of(views, fill) == ("pending", 1, b"")
    exchange.run(BatchSent(1, b"\x66" * 32))
    await project(views, exchange)
    assert await settlement_of(views, fill) == ("submitted", 1, b"\x66" * 32)
    record = exchange.run(create_block(2, settled(1, fill)))
    statuses = [event.status for event in record.events[0] if isinstance(event, BatchUpdate)]
    assert statuses == ["settled", "confirmed"]
    await project(views, exchange)
    assert await settlement_of(views, fill) == ("confirmed", 1, b"\x77" * 32)
    batch = await views.batch(1)
    assert (batch.status, batch.first, batch.last, batch.gas_used) == ("confirmed", fill.item, fill.item, 90_000)
    assert await views.items(1, 10) == []


async def test_items_come_in_order_with_both_orders(views, exchange):
    fills = [trade(exchange, sequence=sequence) for sequence in (1, 2, 3)]
    exchange.run(create_block(2, WithdrawalRequested(MAKER, 0, USDC, 1_000, 0, b"\x01" * 32, 0)))
    fills.append(trade(exchange, sequence=4))
    await project(views, exchange)
    items = await views.items(1, 10)
    assert [item.item for item in items] == [1, 2, 3, 4, 5]
    assert items[3].withdrawal is not None
    for item, fill in zip([*items[:3], items[4]], fills, strict=True):
        assert (item.maker.order_hash, item.taker.order_hash) == (fill.maker_hash, fill.taker_hash)
        assert (item.maker.order.account, item.taker.order.account) == (MAKER, TAKER)
    assert [item.item for item in await views.items(2, 2)] == [2, 3]
    with pytest.raises(ValueError, match="limit"):
        await views.items(1, 4_001)


async def test_batch_closed_again_lets_go_of_what_it_no_longer_holds(views, exchange):
    first, second = trade(exchange), trade(exchange, sequence=2)
    close(exchange, 1, first, second)
    close(exchange, 1, first)
    await project(views, exchange)
    assert await settlement_of(views, first) == ("pending", 1, b"")
    assert await settlement_of(views, second) == ("pending", 0, b"")


async def test_parked_retried_and_busted(views, exchange):
    bad, good = trade(exchange), trade(exchange, sequence=2)
    close(exchange, 1, bad, good)
    exchange.run(BatchSent(1, b"\x66" * 32), BatchParked(1, "StaleNonce(0)", bad.item))
    await project(views, exchange)
    batch = await views.batch(1)
    assert (batch.status, batch.reason) == ("parked", "StaleNonce(0)")
    assert await settlement_of(views, bad) == ("pending", 1, b"")
    exchange.run(BatchRetry(1))
    exchange.run(BatchParked(1, "StaleNonce(0)", bad.item))
    exchange.run(Bust([bad.id], "stale"))
    await project(views, exchange)
    assert (await settlement_of(views, bad))[0] == "busted"
    assert await settlement_of(views, good) == ("pending", 0, b"")
    assert [item.item for item in await views.items(1, 10)] == [good.item]
    row = await views.order(bad.maker_hash)
    assert (row.filled, row.status, row.code) == (0, "canceled", "busted")
    assert await views.balances() == exchange.balances()


async def test_settled_batch_is_put_back_by_a_rollback(views, exchange):
    fill = trade(exchange)
    close(exchange, 1, fill)
    exchange.run(create_block(2, settled(1, fill)))
    exchange.run(ChainRollback(1, block_hash(1)))
    await project(views, exchange)
    assert await settlement_of(views, fill) == ("pending", 0, b"")
    assert (await views.batch(1)).status == "reopened"
    assert [item.item for item in await views.items(1, 10)] == [fill.item]
    assert await views.balances() == exchange.balances()


async def test_batches_newest_first(views, exchange):
    for number in (1, 2, 3):
        fill = trade(exchange, sequence=number)
        close(exchange, number, fill)
        exchange.run(create_block(number + 1, settled(number, fill)))
    await project(views, exchange)
    assert [batch.number for batch in await views.batches(2)] == [3, 2]
    assert await views.batch(9) is None

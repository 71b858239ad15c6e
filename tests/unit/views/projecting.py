"""Records of an exchange, projected."""

from __future__ import annotations

from offchain.domain.commands import (
    BatchClosed,
    BatchSettled,
)
from offchain.domain.events import Trade
from offchain.domain.order import Side
from offchain.ports import OrderQuery
from tests.utils.records import Exchange
from tests.utils.scenario import (
    MAKER,
    MARKET,
    TAKER,
    create_order,
)

ALL = OrderQuery()

BYSTANDER = b"\x99" * 20


async def project(views, exchange: Exchange) -> None:
    applied = await views.applied()
    await views.apply(applied, [record for record in exchange.records if record.first > applied])


def trade(exchange: Exchange, quantity: int = 5, sequence: int = 1) -> Trade:
    """One fill: the maker sells, the taker buys."""
    sell = create_order(MAKER, Side.SELL, quantity, sequence=sequence)
    buy = create_order(TAKER, Side.BUY, quantity, sequence=sequence)
    record = exchange.run(sell, buy)
    return next(event for event in record.events[1] if isinstance(event, Trade))


def settled(number: int, *fills: Trade) -> BatchSettled:
    return BatchSettled(number, fills[0].time_ms // 1000, [fill.id for fill in fills], b"\x77" * 32, 90_000)


def close(exchange: Exchange, number: int, *fills: Trade) -> None:
    exchange.run(BatchClosed(number, fills[0].item, fills[-1].item, fills[0].time_ms // 1000))


async def settlement_of(views, fill: Trade) -> tuple[str, int, bytes]:
    page = await views.trades(MARKET.id, None, 100)
    row = next(row for row in page.rows if row.item == fill.item)
    return row.settlement, row.batch, row.tx_hash

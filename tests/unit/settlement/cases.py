"""Batches of hand-made orders in the ledger of tests/utils/products.py."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from offchain.chain.batch import build_batch
from offchain.domain.batch import NOTHING_SIGNED, RESERVED_KEY, Batch, SettlementError
from offchain.domain.ledger import LedgerState
from offchain.domain.oracle import PriceFeed, Round
from offchain.domain.order import Order, Side, TimeInForce
from offchain.ports import ItemRow, OrderRow
from tests.utils.products import BTC_FUTURE, BTC_PERP, BTC_PRICE, DOMAIN, MARKETS, MAX_AGE, NOW
from tests.utils.settlement import settle_model
from tests.utils.signing import Trader, create_item, create_order, create_order_row

MAKER, TAKER, THIRD, DELEGATE = (Trader.named(role) for role in ("maker", "taker", "third", "delegate"))
OWNERS = {trader.address: trader for trader in (MAKER, TAKER, THIRD)}
BUY, SELL = Side.BUY, Side.SELL
INDEX = 500_000
"""micro-USDC per lot at BTC_PRICE"""
RATE = 50_000 * 10**6
FUNDS = 10**15


def order(
    trader: Trader, side: int, quantity: int, market: int = BTC_PERP, price: int = INDEX, **changes: object
) -> Order:
    return create_order(trader, market, side, price, quantity, **changes)


def row(each: Order, signer: Trader | None = None) -> OrderRow:
    return create_order_row(signer or OWNERS[each.account], each, DOMAIN)


def forced(
    trader: Trader, side: int, quantity: int, price: int = INDEX, market: int = BTC_PERP, **changes: object
) -> OrderRow:
    """The protocol's own order for an account, the first in its market."""
    terms: dict[str, object] = {
        "time_in_force": TimeInForce.IOC,
        "expiry": NOW + 60,
        "reduce_only": True,
        "epoch": NOTHING_SIGNED,
        "key": RESERVED_KEY,
        "sequence": 0,
        "max_fee_bps": 0,
    }
    signed = create_order_row(trader, order(trader, side, quantity, market, price, **(terms | changes)), DOMAIN)
    return msgspec.structs.replace(signed, signature=b"", forced=True)


def batch_of(*fills: tuple[Order | OrderRow, Order | OrderRow, int], rounds: dict[int, int] | None = None) -> Batch:
    """Of (maker, taker, lots) in match order."""
    items: list[ItemRow] = []
    for maker, taker, quantity in fills:
        rows = [each if isinstance(each, OrderRow) else row(each) for each in (maker, taker)]
        items.append(create_item(len(items) + 1, rows[0], rows[1], quantity))
    return build_batch(7, NOW, items, MARKETS, rounds)


def settled(state: LedgerState, batch: Batch) -> LedgerState:
    state.apply(settle_model(state, replace(batch, number=state.number + 1), NOW, DOMAIN))
    return state


def assert_refused(state: LedgerState, batch: Batch, name: str, *arguments: int) -> None:
    with pytest.raises(SettlementError) as caught:
        settle_model(state, batch, NOW, DOMAIN)
    assert (caught.value.name, caught.value.arguments) == (name, arguments)


def edit(batch: Batch, table: str, index: int, **changes: object) -> Batch:
    entries = list(getattr(batch, table))
    entries[index] = replace(entries[index], **changes)
    return replace(batch, **{table: tuple(entries)})


def long_and_short(state: LedgerState, quantity: int = 10, market: int = BTC_PERP) -> LedgerState:
    """MAKER is short, TAKER long, opened at the index, and both pay the initial margin."""
    maker, taker = order(MAKER, SELL, quantity, market), order(TAKER, BUY, quantity, market)
    return settled(state, batch_of((maker, taker, quantity)))


def index_moves_to(state: LedgerState, percent: int) -> None:
    price = BTC_PRICE * percent // 100
    feed = PriceFeed((*state.feeds[BTC_PERP].rounds, Round(2, price, NOW - 100)), MAX_AGE)
    state.feeds |= {BTC_PERP: feed, BTC_FUTURE: feed}

"""The book by itself: levels, queues and what stays behind."""

from __future__ import annotations

import gc
import random
import weakref

from offchain.domain.account import Account, Balance, LiveOrder
from offchain.domain.book import Book, BookSide
from tests.utils.exchange import BUY, MAKER, SELL, Exchange, digest


class TrackedAccount(Account):
    """Goes when the last order that refers to it does."""

    __slots__ = ("__weakref__",)


def create_live_order(side: int, price: int, quantity: int) -> LiveOrder:
    order = Exchange().order(MAKER, side, price, quantity)
    return LiveOrder(order, digest(order, random.random()), TrackedAccount(MAKER), Balance(MAKER, 0), 1, order.quantity)


def test_levels_are_sorted_best_first() -> None:
    book = Book()
    for ticket, price in enumerate((101, 99, 105, 99)):
        for side in (BUY, SELL):
            book.side(side).add(create_live_order(side, price, 2), ticket)
    tick = 10_000
    assert book.bids.depth(2) == [(105 * tick, 2), (101 * tick, 2)]
    assert book.asks.depth(9) == [(99 * tick, 4), (101 * tick, 2), (105 * tick, 2)]
    assert [price for price, _ in book.asks.crossing(101 * tick)] == [99 * tick, 101 * tick]
    assert [price for price, _ in book.bids.crossing(101 * tick)] == [105 * tick, 101 * tick]
    assert (len(book.bids), len(book.asks)) == (3, 3)


def test_removed_orders_leave_nothing_behind() -> None:
    side = BookSide(SELL)
    live = create_live_order(SELL, 100, 5)
    kept = create_live_order(SELL, 101, 5)
    side.add(live, 1)
    side.add(kept, 2)
    side.remove(live)
    assert side.depth(9) == [(101 * 10_000, 5)]
    gone = weakref.ref(live.account)
    gc.disable()
    try:
        del live
        assert gone() is None, "freed at once, without the cyclic collector"
    finally:
        gc.enable()


def test_swap_keeps_the_place_and_counts_the_difference() -> None:
    side = BookSide(SELL)
    first, second = create_live_order(SELL, 100, 5), create_live_order(SELL, 100, 7)
    side.add(first, 1)
    side.add(second, 2)
    smaller = create_live_order(SELL, 100, 3)
    side.swap(first, smaller)
    ((_, level),) = side.levels()
    assert list(level.orders.values()) == [smaller, second]
    assert (level.quantity, first.ticket, smaller.ticket) == (10, 0, 1)

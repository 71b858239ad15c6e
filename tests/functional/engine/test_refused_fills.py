"""Everything a fill in a batch can be refused for, in both forms; test_groups and test_nonces have the rest."""

import pytest

from tests.functional.engine.exchange import READABLE
from tests.utils.batches import BUY, SELL, nonce

FILLS = 3  # IEngine.Table


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("index", [5, 2**16 - 1])
def test_fill_of_an_order_that_is_not_there(exchange, batch, side, index):
    fill = list(batch.fills[1])
    fill[side] = index
    batch.fills[1] = tuple(fill)
    exchange.refuse(batch, "IndexOutOfRange", FILLS, 1)


def test_fill_of_nothing(exchange, batch):
    batch.fills[1] = (*batch.fills[1][:2], 0)
    exchange.refuse(batch, "ZeroQuantity", 1)


def test_fill_across_markets(exchange, batch):
    batch.fills[1] = (batch.fills[0][0], batch.fills[1][0], 1)
    exchange.refuse(batch, "MarketMismatch", 1)


def test_fill_of_two_orders_on_one_side(exchange, batch):
    batch.fills[1] = (batch.fills[0][1], batch.fills[2][1], 1)
    exchange.refuse(batch, "SameSide", 1)


def test_fill_of_an_order_with_itself(exchange, batch):
    batch.fills[1] = (0, 0, 1)
    exchange.refuse(batch, "SameSide", 1)


def test_trade_with_oneself(exchange, maker, taker):
    sell = exchange.order(maker, SELL, nonce=nonce(0, 1))
    buy = exchange.order(maker, BUY, nonce=nonce(1, 1))
    fills = [(sell, exchange.order(taker, BUY), 1), (sell, buy, 1)]
    exchange.refuse(exchange.batch(fills), "SelfTrade", 1)


@pytest.mark.parametrize("maker_side", [BUY, SELL])
def test_prices_that_do_not_cross(exchange, maker, taker, maker_side):
    low, high = 600_000, 600_001
    prices = {BUY: low, SELL: high}
    resting = exchange.order(maker, maker_side, price=prices[maker_side])
    incoming = exchange.order(taker, 1 - maker_side, price=prices[1 - maker_side])
    exchange.refuse(exchange.batch([(resting, incoming, 1)]), "NotCrossing", 0)
    touching = exchange.order(taker, 1 - maker_side, price=prices[maker_side])
    exchange.accept(exchange.batch([(resting, touching, 1)]))


@pytest.mark.parametrize("side", [0, 1])
def test_more_than_the_order_is_for(exchange, maker, taker, side):
    quantities = [100, 100]
    quantities[side] = 50
    orders = exchange.order(maker, SELL, quantity=quantities[0]), exchange.order(taker, BUY, quantity=quantities[1])
    batch = exchange.batch([(*orders, 50), (*orders, 1)])
    exchange.refuse(batch, "Overfill", 1, batch.fills[1][side])


@pytest.mark.parametrize("quantity", [2**40, 2**40 + 1, 2**64 - 1])
def test_fill_that_the_packed_form_cannot_hold(exchange, batch, quantity):
    batch.fills[1] = (*batch.fills[1][:2], quantity)
    exchange.refuse(batch, "Overfill", 1, batch.fills[1][0], forms=[READABLE])

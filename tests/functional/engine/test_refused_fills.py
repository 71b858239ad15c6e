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


def test_the_first_of_several_faults_is_named(exchange, maker, taker):
    """A fill of nothing, then one that neither crosses nor fits, then both sides too much."""
    sell, buy = exchange.order(maker, SELL, price=600_001, quantity=5), exchange.order(taker, BUY, quantity=5)
    exchange.refuse(exchange.batch([(sell, buy, 0)]), "ZeroQuantity", 0)
    exchange.refuse(exchange.batch([(sell, buy, 6)]), "NotCrossing", 0)
    batch = exchange.batch([(exchange.order(maker, SELL, quantity=5), buy, 6)])
    exchange.refuse(batch, "Overfill", 0, batch.fills[0][0])


def test_superseded_order_comes_before_price_and_quantity_but_after_the_pair(exchange, maker, taker):
    old = exchange.order(maker, SELL, nonce=nonce(0, 1), price=600_001, quantity=5)
    new = exchange.order(maker, SELL, nonce=nonce(0, 2))
    buy = exchange.order(taker, BUY)
    exchange.refuse(exchange.batch([(new, buy, 1), (old, buy, 6)]), "Superseded", 1)
    own = exchange.order(maker, BUY, nonce=nonce(1, 1))
    exchange.refuse(exchange.batch([(new, buy, 1), (old, own, 6)]), "SelfTrade", 1)
    exchange.refuse(exchange.batch([(new, buy, 1), (old, own, 0)]), "ZeroQuantity", 1)


def test_each_of_three_orders_of_a_key_supersedes_those_before(exchange, maker, taker):
    sells = [exchange.order(maker, SELL, nonce=nonce(0, sequence)) for sequence in (1, 2, 3)]
    buys = [exchange.order(taker, BUY, nonce=nonce(0, sequence)) for sequence in (1, 2, 3)]
    exchange.accept(exchange.batch([(sell, buy, 1) for sell, buy in zip(sells, buys, strict=True)]))
    for late in (0, 1):
        fills = [(sells[2], buys[0], 1), (sells[late], buys[0], 1)]
        exchange.refuse(exchange.batch(fills), "Superseded", 1)
        fills = [(sells[0], buys[2], 1), (sells[0], buys[late], 1)]
        exchange.refuse(exchange.batch(fills), "Superseded", 1)

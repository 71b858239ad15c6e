"""Nonce keys and sequences, and the storage words in which they live."""

import pytest
from eth_utils import keccak

from tests.functional.engine.conftest import BTC_BALANCE
from tests.functional.engine.exchange import BTC_LOT
from tests.utils.batches import BUY, SELL, nonce

STORAGE = int.from_bytes(keccak(text="crosspoint.storage.Engine"), "big") - 1
STORAGE = int.from_bytes(keccak(STORAGE.to_bytes(32, "big")), "big") & ~0xFF
POSITIONS = STORAGE + 4


@pytest.fixture
def word_of(exchange):
    """Read a storage word of a position by its index."""

    def read(account, index):
        key = int(account.address, 16) << 96 | exchange.btc << 64 | index
        location = int.from_bytes(keccak(key.to_bytes(32, "big") + POSITIONS.to_bytes(32, "big")), "big")
        return int.from_bytes(exchange.provider.get_storage(exchange.engine.address, location), "big")

    return read


def test_lower_sequence_is_stale_and_higher_one_starts_anew(exchange, maker, taker):
    def orders(sequence):
        return exchange.order(maker, SELL, nonce=nonce(0, sequence)), exchange.order(
            taker, BUY, nonce=nonce(1, sequence)
        )

    exchange.settle_fills((*orders(5), 30))
    batch = exchange.batch([(*orders(4), 1)])
    exchange.refuse(batch, "StaleNonce", 0)
    exchange.settle_fills((*orders(7), 100))
    assert [exchange.state_of(order) for order in orders(7)] == [(7, 100), (7, 100)]
    exchange.refuse(exchange.batch([(*orders(5), 1)]), "StaleNonce", 0)


def test_orders_under_one_nonce_share_what_is_filled(exchange, maker, taker):
    first = exchange.order(maker, SELL, price=600_000, quantity=100)
    second = exchange.order(maker, SELL, price=500_000, quantity=80)
    buys = [exchange.order(taker, BUY, nonce=nonce(0, sequence)) for sequence in (1, 2)]
    exchange.settle_fills((first, buys[0], 60))
    batch = exchange.batch([(second, buys[1], 21)])
    exchange.refuse(batch, "Overfill", 0, batch.fills[0][0])
    receipt = exchange.settle_fills((second, buys[1], 20))
    assert exchange.fill_ids(receipt) == [exchange.fill_id(second, buys[1], 60, 0)]
    assert exchange.state_of(first) == (1, 80)


def test_order_smaller_than_what_its_nonce_has_filled_cannot_fill(exchange, maker, taker):
    exchange.settle_fills((exchange.order(maker, SELL), exchange.order(taker, BUY), 60))
    smaller = exchange.order(maker, SELL, quantity=50)
    batch = exchange.batch([(smaller, exchange.order(taker, BUY, nonce=nonce(0, 2)), 1)])
    exchange.refuse(batch, "Overfill", 0, batch.fills[0][0])


@pytest.mark.parametrize("key", [0, 1, 2, 2**32 - 1])
def test_several_sequences_of_a_key_in_one_batch(exchange, maker, taker, key):
    sells = [exchange.order(maker, SELL, nonce=nonce(key, sequence)) for sequence in (3, 4, 9)]
    buys = [exchange.order(taker, BUY, nonce=nonce(9, sequence)) for sequence in (1, 2, 3)]
    receipt = exchange.settle_fills((sells[0], buys[0], 10), (sells[0], buys[1], 15), (sells[1], buys[2], 20))
    assert exchange.fill_ids(receipt) == [
        exchange.fill_id(sells[0], buys[0], 0, 0),
        exchange.fill_id(sells[0], buys[1], 10, 0),
        exchange.fill_id(sells[1], buys[2], 0, 0),
    ]
    assert exchange.state_of(sells[0]) == (4, 20)


@pytest.mark.parametrize("key", [0, 1, 2])
def test_lower_sequence_after_a_higher_one_is_superseded(exchange, maker, taker, key):
    low, high = (exchange.order(maker, SELL, nonce=nonce(key, sequence)) for sequence in (3, 4))
    buy = exchange.order(taker, BUY)
    exchange.refuse(exchange.batch([(low, buy, 1), (high, buy, 1), (low, buy, 1)]), "Superseded", 2)
    exchange.refuse(exchange.batch([(high, buy, 1), (low, buy, 1)]), "Superseded", 1)
    # the same on the taker's side
    bid = exchange.order(taker, BUY)
    exchange.refuse(exchange.batch([(bid, high, 1), (bid, low, 1)]), "Superseded", 1)
    exchange.accept(exchange.batch([(low, buy, 1), (high, buy, 1), (high, buy, 1)]))


@pytest.mark.parametrize("keys", [(2, 3), (0, 1), (1, 2), (2**32 - 2, 2**32 - 1)])
def test_neighbouring_keys_do_not_disturb_each_other(exchange, maker, taker, keys):
    orders = [exchange.order(maker, SELL, nonce=nonce(key, 10 + i)) for i, key in enumerate(keys)]
    buys = [exchange.order(taker, BUY, nonce=nonce(0, sequence), quantity=1_000) for sequence in (1, 2)]
    exchange.settle_fills((orders[0], buys[0], 11), (orders[1], buys[0], 22))
    assert [exchange.state_of(order) for order in orders] == [(10, 11), (11, 22)]
    exchange.settle_fills((orders[1], buys[1], 3))
    assert [exchange.state_of(order) for order in orders] == [(10, 11), (11, 25)]
    exchange.settle_fills((orders[0], buys[1], 4))
    assert [exchange.state_of(order) for order in orders] == [(10, 15), (11, 25)]
    assert exchange.base_of(maker) == BTC_BALANCE - 40 * BTC_LOT


def test_words_have_the_documented_layout(exchange, maker, taker, word_of):
    keys = {0: 7, 1: 8, 2: 9, 3: 10}
    sells = [exchange.order(maker, SELL, nonce=nonce(key, sequence)) for key, sequence in keys.items()]
    buy = exchange.order(taker, BUY, quantity=1_000)
    exchange.settle_fills(*[(sell, buy, 20 + i) for i, sell in enumerate(sells)])

    def half(sequence, filled):
        return sequence << 96 | filled << 32

    balance = BTC_BALANCE - (20 + 21 + 22 + 23) * BTC_LOT
    assert word_of(maker, 0) == balance << 128 | half(7, 20)
    assert word_of(maker, 1) == half(8, 21) << 128
    assert word_of(maker, 2) == half(10, 23) << 128 | half(9, 22)
    assert word_of(maker, 3) == 0


def test_highest_sequence_is_refused_and_the_one_below_works(exchange, maker, taker):
    sell = exchange.order(maker, SELL)
    last = exchange.order(taker, BUY, nonce=nonce(4, 2**32 - 1))
    batch = exchange.batch([(sell, last, 1)])
    exchange.refuse(batch, "SequenceExhausted", batch.fills[0][1])
    exchange.settle_fills((sell, exchange.order(taker, BUY, nonce=nonce(4, 2**32 - 2)), 1))
    assert exchange.state_of(last) == (2**32 - 2, 1)


def test_sequence_zero_acts(exchange, maker, taker):
    exchange.settle_fills(
        (exchange.order(maker, SELL, nonce=nonce(0, 0)), exchange.order(taker, BUY, nonce=nonce(1, 0)), 5)
    )
    assert exchange.engine.orderState(maker.address, exchange.btc, 0) == (0, 5)
    assert exchange.engine.orderState(taker.address, exchange.btc, 1) == (0, 5)

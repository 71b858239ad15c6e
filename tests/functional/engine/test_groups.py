"""IOC and FOK orders: their fills are one indivisible group, after which the order is gone."""

import pytest

from tests.functional.engine.exchange import FORMS
from tests.utils.batches import BUY, FOK, IOC, SELL, nonce

LATER = 2**40 - 1


@pytest.fixture
def immediate(exchange):
    """An IOC order unless told otherwise."""

    def create(signer, side=BUY, **changes):
        return exchange.order(signer, side, **({"time_in_force": IOC, "expiry": LATER} | changes))

    return create


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", [0, 1, 2])
def test_ioc_takes_what_there_is_and_is_gone(exchange, maker, taker, third, immediate, form, key):
    asks = [exchange.order(maker, SELL, quantity=30), exchange.order(third, SELL, quantity=30)]
    ioc = immediate(taker, quantity=100, nonce=nonce(key, 5))
    receipt = exchange.settle_fills((asks[0], ioc, 30), (asks[1], ioc, 10), form=form)
    assert exchange.fill_ids(receipt) == [exchange.fill_id(asks[0], ioc, 0, 0), exchange.fill_id(asks[1], ioc, 0, 30)]
    assert exchange.state_of(ioc) == (6, 0)
    batch = exchange.batch([(asks[1], ioc, 1)])
    exchange.refuse(batch, "StaleNonce", batch.fills[0][1])


def test_successor_of_an_ioc_order_starts_at_zero(exchange, maker, taker, immediate):
    ask = exchange.order(maker, SELL)
    exchange.settle_fills((ask, immediate(taker, nonce=nonce(0, 5)), 10))
    successor = exchange.order(taker, BUY, nonce=nonce(0, 6))
    receipt = exchange.settle_fills((ask, successor, 10))
    assert exchange.fill_ids(receipt) == [exchange.fill_id(ask, successor, 10, 0)]
    assert exchange.state_of(successor) == (6, 10)


def test_closing_never_overwrites_fills_of_the_next_sequence(exchange, maker, taker, immediate):
    ask = exchange.order(maker, SELL)
    ioc = immediate(taker, nonce=nonce(0, 5))
    successor = exchange.order(taker, BUY, nonce=nonce(0, 6))
    exchange.settle_fills((ask, ioc, 10), (ask, successor, 20))
    assert exchange.state_of(successor) == (6, 20)


def test_idle_successor_does_not_keep_an_ioc_order_open(exchange, maker, taker, immediate):
    ask, ioc = exchange.order(maker, SELL), immediate(taker, nonce=nonce(0, 5))
    successor = exchange.order(taker, BUY, nonce=nonce(0, 6))
    exchange.settle(exchange.batch([(ask, ioc, 10)], idle=[successor]))
    assert exchange.state_of(ioc) == (6, 0)


def test_idle_ioc_order_stays_usable(exchange, maker, taker, third, immediate):
    ask, ioc = exchange.order(maker, SELL), immediate(taker, nonce=nonce(0, 5))
    exchange.settle(exchange.batch([(ask, exchange.order(third, BUY), 10)], idle=[ioc]))
    assert exchange.state_of(ioc) == (0, 0)
    exchange.settle_fills((ask, ioc, 10))


def test_partially_filled_nonce_goes_on_as_ioc(exchange, maker, taker, immediate):
    ask = exchange.order(maker, SELL, quantity=200)
    exchange.settle_fills((ask, exchange.order(taker, BUY, nonce=nonce(0, 5)), 60))
    ioc = immediate(taker, nonce=nonce(0, 5), quantity=100)
    batch = exchange.batch([(ask, ioc, 41)])
    exchange.refuse(batch, "Overfill", 0, batch.fills[0][1])
    receipt = exchange.settle_fills((ask, ioc, 40))
    assert exchange.fill_ids(receipt) == [exchange.fill_id(ask, ioc, 60, 60)]
    assert exchange.state_of(ioc) == (6, 0)


@pytest.mark.parametrize("time_in_force", [IOC, FOK])
def test_immediate_order_is_never_a_maker(exchange, maker, taker, immediate, time_in_force):
    resting = immediate(maker, SELL, time_in_force=time_in_force)
    exchange.refuse(exchange.batch([(resting, exchange.order(taker, BUY), 1)]), "MakerNotResting", 0)
    exchange.refuse(exchange.batch([(resting, immediate(taker), 1)]), "MakerNotResting", 0)


def test_fills_of_a_group_are_consecutive(exchange, maker, taker, third, immediate):
    ask, ioc, other = exchange.order(maker, SELL), immediate(taker), exchange.order(third, BUY)
    exchange.refuse(exchange.batch([(ask, ioc, 1), (ask, other, 1), (ask, ioc, 1)]), "GroupClosed", 2)
    other_ioc = immediate(third, nonce=nonce(0, 2))
    exchange.refuse(exchange.batch([(ask, ioc, 1), (ask, other_ioc, 1), (ask, ioc, 1)]), "GroupClosed", 2)
    exchange.accept(exchange.batch([(ask, other, 1), (ask, ioc, 1), (ask, ioc, 1), (ask, other_ioc, 1)]))


def test_group_has_at_most_256_fills(exchange, maker, taker, third, immediate):
    ask, ioc = exchange.order(maker, SELL, quantity=1_000), immediate(taker, quantity=1_000)
    exchange.refuse(exchange.batch([(ask, ioc, 1)] * 257), "GroupTooLarge", 256)
    exchange.accept(exchange.batch([(ask, ioc, 1)] * 256 + [(ask, immediate(third), 1)] * 2))


def test_resting_taker_has_no_group_limit(exchange, maker, taker):
    ask, bid = exchange.order(maker, SELL, quantity=1_000), exchange.order(taker, BUY, quantity=1_000)
    exchange.accept(exchange.batch([(ask, bid, 1)] * 257))


def test_fok_is_filled_completely_or_refused(exchange, maker, taker, third, immediate):
    asks = [exchange.order(maker, SELL, quantity=60), exchange.order(third, SELL, quantity=60)]
    fok = immediate(taker, quantity=100, time_in_force=FOK)
    batch = exchange.batch([(asks[0], fok, 60), (asks[1], fok, 39)])
    exchange.refuse(batch, "FokIncomplete", batch.fills[0][1])
    exchange.settle_fills((asks[0], fok, 60), (asks[1], fok, 40))
    assert exchange.state_of(fok) == (2, 0)


def test_incomplete_fok_is_found_before_the_next_taker_is_checked(exchange, maker, taker, third, immediate):
    ask, fok = exchange.order(maker, SELL), immediate(taker, time_in_force=FOK)
    batch = exchange.batch([(ask, fok, 99), (ask, exchange.order(third, BUY), 1)])
    taker_index = batch.fills[0][1]
    batch.fills[1] = (0, 9, 0)  # wrong in more than one way
    exchange.refuse(batch, "FokIncomplete", taker_index)


def test_resting_order_may_take_and_make_in_one_batch(exchange, maker, taker, third):
    order = exchange.order(maker, SELL, quantity=50)
    fills = [(exchange.order(taker, BUY), order, 20), (order, exchange.order(third, BUY), 30)]
    receipt = exchange.settle_fills(*fills)
    assert exchange.fill_ids(receipt) == [
        exchange.fill_id(fills[0][0], order, 0, 0),
        exchange.fill_id(order, fills[1][1], 20, 0),
    ]
    assert exchange.state_of(order) == (1, 50)

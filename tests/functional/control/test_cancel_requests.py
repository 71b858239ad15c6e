"""Cancels by the account alone: requested, and applied by anyone one window later."""

import pytest

from tests.functional.engine.exchange import create_perpetual
from tests.utils.batches import BUY, RESERVED_KEY, SELL, nonce

WINDOW = 3_600


@pytest.fixture
def request_cancel(exchange, accounts):
    """Request it for the taker."""
    return lambda key, sequence: exchange.control.requestCancel(exchange.btc, key, sequence, sender=accounts[4])


@pytest.fixture
def apply_cancel(exchange, taker, stranger):
    return lambda key: exchange.control.applyCancel(taker.address, exchange.btc, key, sender=stranger)


def test_request_is_recorded_by_the_window_clock(exchange, taker, request_cancel):
    receipt = request_cancel(3, 7)
    now = exchange.engine.clock()
    assert exchange.control.cancelRequestOf(taker.address, exchange.btc, 3) == (7, now, True)
    logs = receipt.decode_logs(exchange.control.CancelRequested)
    assert [(e.account, e.instrument, e.key, e.sequence, e.requestedAt) for e in logs] == [
        (taker.address, exchange.btc, 3, 7, now)
    ]


def test_anyone_applies_it_after_the_window(
    exchange, maker, taker, stranger, request_cancel, apply_cancel, refuse, pass_time
):
    request_cancel(0, 1)
    ready = exchange.engine.clock() + WINDOW
    buy = exchange.order(taker, BUY)
    exchange.settle_fills((exchange.order(maker, SELL), buy, 5))  # it still trades
    pass_time(WINDOW - 60)
    refuse(stranger, "applyCancel", (taker.address, exchange.btc, 0), "WindowOpen", ready)
    pass_time(60)
    receipt = apply_cancel(0)
    assert exchange.state_of(buy) == (2, 0)
    logs = receipt.decode_logs(exchange.control.CancelApplied)
    assert [(e.account, e.instrument, e.key, e.sequence) for e in logs] == [(taker.address, exchange.btc, 0, 1)]


@pytest.mark.parametrize("key", [0, 1, 2, 7, 2**32 - 1])
def test_fill_after_cancel_is_refused(exchange, maker, taker, request_cancel, apply_cancel, pass_time, key):
    request_cancel(key, 5)
    pass_time(WINDOW)
    apply_cancel(key)
    for sequence, ended in ((1, True), (5, True), (6, False)):
        order = exchange.order(taker, BUY, nonce=nonce(key, sequence))
        batch = exchange.batch([(exchange.order(maker, SELL), order, 5)])
        if ended:
            exchange.refuse(batch, "StaleNonce", batch.fills[0][1])
        else:
            exchange.accept(batch)


def test_cancel_leaves_other_keys_and_balances(exchange, maker, taker, request_cancel, apply_cancel, pass_time):
    orders = [exchange.order(taker, BUY, nonce=nonce(key, 1)) for key in (0, 2, 3)]
    exchange.settle_fills(*((exchange.order(maker, SELL), order, 5) for order in orders))
    balance = exchange.base_of(taker)
    for key in (2, 0):
        request_cancel(key, 9)
    pass_time(WINDOW)
    for key in (2, 0):
        apply_cancel(key)
    assert [exchange.state_of(order) for order in orders] == [(10, 0), (10, 0), (1, 5)]
    assert exchange.base_of(taker) == balance


def test_cancel_of_what_has_ended_changes_nothing(exchange, maker, taker, request_cancel, apply_cancel, pass_time):
    """The stored sequence is never lowered, and what is filled under it stays filled."""
    order = exchange.order(taker, BUY, nonce=nonce(0, 8))
    exchange.settle_fills((exchange.order(maker, SELL), order, 5))
    for sequence in (3, 7):
        request_cancel(0, sequence)
        pass_time(WINDOW)
        apply_cancel(0)
        assert exchange.state_of(order) == (8, 5)


def test_cancel_replay_is_refused(exchange, taker, stranger, request_cancel, apply_cancel, refuse, pass_time):
    arguments = (taker.address, exchange.btc, 0)
    refuse(stranger, "applyCancel", arguments, "NoRequest", *arguments)
    request_cancel(0, 1)
    pass_time(WINDOW)
    apply_cancel(0)
    refuse(stranger, "applyCancel", arguments, "NoRequest", *arguments)


def test_new_request_replaces_the_one_before(exchange, taker, stranger, request_cancel, refuse, pass_time):
    request_cancel(0, 1)
    pass_time(WINDOW - 10)
    request_cancel(0, 4)
    ready = exchange.engine.clock() + WINDOW
    pass_time(20)
    refuse(stranger, "applyCancel", (taker.address, exchange.btc, 0), "WindowOpen", ready)


def test_halt_stops_the_window(exchange, guardian, taker, stranger, request_cancel, apply_cancel, refuse, pass_time):
    request_cancel(0, 1)
    ready = exchange.engine.clock() + WINDOW
    exchange.engine.halt(sender=guardian)
    pass_time(WINDOW)
    refuse(stranger, "applyCancel", (taker.address, exchange.btc, 0), "WindowOpen", ready)
    exchange.engine.endHalt(sender=guardian)
    pass_time(WINDOW)
    apply_cancel(0)


def test_highest_sequence_cannot_be_cancelled(exchange, accounts, refuse):
    refuse(accounts[4], "requestCancel", (exchange.btc, 0, 2**32 - 1), "SequenceExhausted")
    exchange.control.requestCancel(exchange.btc, 0, 2**32 - 2, sender=accounts[4])


def test_trader_cannot_end_the_key_of_its_liquidations(exchange, project, owner, accounts, refuse):
    """Forced orders use one nonce key of a derivative market: whoever could end it could not be liquidated."""
    market = create_perpetual(exchange, project, owner)
    refuse(accounts[4], "requestCancel", (market, RESERVED_KEY, 2**32 - 2), "ReservedKey")
    exchange.control.requestCancel(market, RESERVED_KEY - 1, 0, sender=accounts[4])

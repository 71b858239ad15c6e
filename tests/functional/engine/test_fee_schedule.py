"""Scheduled fee changes: a window ahead, and what counts is when a batch was matched."""

import pytest

from tests.utils.batches import BUY, SELL, nonce

WINDOW = 3_600
NOTIONAL = 600_000


@pytest.fixture
def schedule(exchange, owner):
    """Schedule a fee for `delay` seconds after the next block, and return its time."""

    def run(fee, delay=WINDOW + 10):
        at = exchange.now + delay
        exchange.engine.scheduleFee(fee, at, sender=owner)
        return at

    return run


@pytest.fixture
def fee_at(exchange, maker, taker):
    """Settle one fill of 1 lot matched at a time; return what the Engine's account received."""
    sequence = 0

    def settle(matched_at):
        nonlocal sequence
        sequence += 1
        orders = (
            exchange.order(maker, SELL, nonce=nonce(0, sequence)),
            exchange.order(taker, BUY, nonce=nonce(0, sequence)),
        )
        before = exchange.usdc_of(exchange.engine)
        exchange.settle(exchange.batch([(*orders, 1)], matched_at=matched_at))
        return exchange.usdc_of(exchange.engine) - before

    return settle


def test_change_is_announced(exchange, owner):
    at = exchange.now + WINDOW + 100
    receipt = exchange.engine.scheduleFee(20, at, sender=owner)
    assert [(e.feeBps, e.at) for e in receipt.decode_logs(exchange.engine.FeeScheduled)] == [(20, at)]
    assert exchange.engine.feeSchedule() == (50, 20, at)
    assert exchange.engine.feeBps() == 50


def test_fee_change_straddling_two_batches_is_taken_when_matched(exchange, schedule, fee_at, pass_time):
    """Both settle after the change; the first was matched before it."""
    at = schedule(20)
    pass_time(WINDOW + 600)
    assert exchange.engine.feeBps() == 20
    assert fee_at(at - 1) == 2 * NOTIONAL * 50 // 10_000
    assert fee_at(at) == 2 * NOTIONAL * 20 // 10_000
    assert fee_at(at + 5) == 2 * NOTIONAL * 20 // 10_000


def test_operator_cannot_keep_the_higher_fee_by_waiting(exchange, schedule, fee_at, pass_time):
    """What is matched after the change pays the lower fee, however the batch is dated within its half window."""
    at = schedule(0)
    pass_time(WINDOW + WINDOW // 2 + 100)
    assert exchange.now - WINDOW // 2 > at
    assert fee_at(exchange.now - WINDOW // 2 + 5) == 0


def test_order_that_signed_the_old_fee_is_refused_after_a_rise(exchange, owner, maker, taker, pass_time):
    exchange.engine.scheduleFee(10, exchange.now + WINDOW + 10, sender=owner)
    pass_time(2 * WINDOW)
    at = exchange.now + WINDOW + 10
    exchange.engine.scheduleFee(30, at, sender=owner)
    pass_time(WINDOW + 100)
    order = exchange.order(taker, BUY, max_fee_bps=10)
    batch = exchange.batch([(exchange.order(maker, SELL), order, 1)], matched_at=at - 1)
    exchange.accept(batch)
    batch = exchange.batch([(exchange.order(maker, SELL), order, 1)], matched_at=at)
    exchange.refuse(batch, "FeeAboveCap", batch.fills[0][1])


def test_change_needs_a_window(exchange, owner):
    now = exchange.now
    data = bytes(exchange.engine.scheduleFee.encode_input(20, now + WINDOW - 1))
    exchange.expect(data, "FeeChangeTooSoon", now + WINDOW, sender=owner)
    exchange.expect(
        bytes(exchange.engine.scheduleFee.encode_input(20, 0)), "FeeChangeTooSoon", now + WINDOW, sender=owner
    )


def test_fee_is_never_above_the_cap(exchange, owner):
    data = bytes(exchange.engine.scheduleFee.encode_input(51, exchange.now + 10 * WINDOW))
    exchange.expect(data, "FeeTooHigh", 51, 50, sender=owner)


def test_only_the_owner_changes_the_fee(exchange, operator, guardian, stranger):
    data = bytes(exchange.engine.scheduleFee.encode_input(20, exchange.now + 10 * WINDOW))
    for caller in (operator, guardian, stranger):
        exchange.expect(data, "OwnableUnauthorizedAccount", caller.address, sender=caller)


def test_change_that_has_not_begun_is_replaced(exchange, schedule, fee_at, pass_time):
    schedule(0, 2 * WINDOW)
    at = schedule(30, 2 * WINDOW)
    assert exchange.engine.feeSchedule() == (50, 30, at)
    pass_time(WINDOW + 1_000)
    assert fee_at(exchange.now) == 2 * NOTIONAL * 50 // 10_000


def test_change_that_begins_within_a_window_stays(chain, exchange, owner, schedule):
    """It was announced, and matches and orders may count on it."""
    at = schedule(0, 2 * WINDOW)
    later = at + 10 * WINDOW
    for time in (at - WINDOW + 1, at - 1):
        chain.mine(timestamp=time)
        data = bytes(exchange.engine.scheduleFee.encode_input(50, later))
        exchange.expect(data, "FeeChangePending", at, sender=owner)


def test_change_that_begins_a_window_from_now_is_replaced(chain, exchange, owner, schedule):
    at = schedule(0, 2 * WINDOW)
    chain.pending_timestamp = at - WINDOW
    exchange.engine.scheduleFee(40, at + WINDOW, sender=owner)
    assert exchange.engine.feeSchedule() == (50, 40, at + WINDOW)


def test_change_that_has_begun_stands_until_no_older_match_can_come(exchange, owner, schedule, fee_at, pass_time):
    """Else a new change would let a batch that was matched before the last one pay its fee."""
    at = schedule(20)
    pass_time(WINDOW + 600)
    later = exchange.now + 2 * WINDOW
    data = bytes(exchange.engine.scheduleFee.encode_input(10, later))
    exchange.expect(data, "FeeChangePending", at, sender=owner)
    fee_at(at)  # nothing older than this batch can come any more
    exchange.engine.scheduleFee(10, later, sender=owner)
    assert exchange.engine.feeSchedule() == (20, 10, later)
    assert exchange.engine.feeBps() == 20


def test_change_that_began_half_a_window_ago_is_done(exchange, owner, schedule, pass_time):
    schedule(20)
    pass_time(2 * WINDOW)
    exchange.engine.scheduleFee(10, exchange.now + 2 * WINDOW, sender=owner)
    assert exchange.engine.feeSchedule()[:2] == (20, 10)


def test_halt_keeps_the_last_change_pending(exchange, owner, guardian, schedule, pass_time):
    """What was matched before a halt may settle after it, at the fee of its time."""
    at = schedule(20)
    pass_time(WINDOW)
    exchange.engine.halt(sender=guardian)
    pass_time(10 * WINDOW)
    exchange.engine.endHalt(sender=guardian)
    data = bytes(exchange.engine.scheduleFee.encode_input(10, exchange.now + 2 * WINDOW))
    exchange.expect(data, "FeeChangePending", at, sender=owner)

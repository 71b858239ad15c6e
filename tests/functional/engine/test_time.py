"""matchedAt and its window, market status, expiry, halts and the window clock."""

import pytest

from tests.utils.batches import BUY, FOK, GTD, IOC, SELL

WINDOW = 3600
HALF = WINDOW // 2
DAY = 86_400
ACTIVE, PAUSED, CLOSED = 1, 2, 3


@pytest.fixture
def create_batch(exchange, maker, taker):
    """A batch with one fill; `terms` go into both orders."""

    def create(matched_at=None, **terms):
        orders = exchange.order(maker, SELL, **terms), exchange.order(taker, BUY, **terms)
        return exchange.batch([(*orders, 1)], matched_at=matched_at)

    return create


@pytest.fixture
def halt(exchange, guardian):
    """Start a halt and return its first second."""

    def run():
        exchange.engine.halt(sender=guardian)
        return exchange.now

    return run


# ---- matchedAt


def test_matched_at_may_be_half_a_window_old(exchange, create_batch, pass_time):
    now = pass_time(10)
    exchange.accept(create_batch(now - HALF))
    exchange.refuse(create_batch(now - HALF - 1), "MatchedAtOutOfRange", now - HALF - 1, now - HALF, now)


def test_matched_at_may_be_now_but_not_later(exchange, create_batch, pass_time):
    now = pass_time(10)
    exchange.accept(create_batch(now))
    exchange.refuse(create_batch(now + 1), "MatchedAtOutOfRange", now + 1, now - HALF, now)


def test_matched_at_never_goes_back(exchange, create_batch, pass_time):
    stored = pass_time(10)
    exchange.settle(create_batch(stored))
    now = pass_time(60)
    exchange.accept(create_batch(stored))
    exchange.refuse(create_batch(stored - 1), "MatchedAtOutOfRange", stored - 1, stored, now)


# ---- market status


@pytest.mark.parametrize("status", [PAUSED, CLOSED])
def test_market_settles_what_was_matched_before_it_stopped(exchange, owner, create_batch, pass_time, status):
    pass_time(100)
    exchange.registry.setStatus(exchange.btc_market, status, sender=owner)
    stopped = exchange.now
    pass_time(60)
    exchange.accept(create_batch(stopped))
    exchange.refuse(create_batch(stopped + 1), "MarketNotActive", 0)


def test_resumed_market_settles_again(exchange, owner, create_batch, pass_time):
    exchange.registry.setStatus(exchange.btc_market, PAUSED, sender=owner)
    exchange.registry.setStatus(exchange.btc_market, ACTIVE, sender=owner)
    exchange.accept(create_batch(pass_time(60)))


def test_another_market_that_stopped_is_no_obstacle(exchange, owner, create_batch, pass_time):
    exchange.registry.setStatus(exchange.eth_market, PAUSED, sender=owner)
    exchange.accept(create_batch(pass_time(60)))


# ---- expiry


@pytest.mark.parametrize("time_in_force", [GTD, IOC, FOK])
def test_order_fills_until_it_expires(exchange, maker, taker, pass_time, time_in_force):
    now = pass_time(100)
    terms = {"time_in_force": time_in_force, "expiry": now - 50, "quantity": 1}
    sell, buy = exchange.order(maker, SELL), exchange.order(taker, BUY, **terms)
    exchange.accept(exchange.batch([(sell, buy, 1)], matched_at=now - 50))
    batch = exchange.batch([(sell, buy, 1)], matched_at=now - 49)
    exchange.refuse(batch, "OrderExpired", batch.fills[0][1])


# ---- halt


def test_halt_blocks_settlement_for_a_day_and_ends_by_itself(exchange, create_batch, pass_time, halt):
    start = halt()
    exchange.refuse(create_batch(), "EngineHalted", start + DAY)
    pass_time(DAY - 1)
    exchange.refuse(create_batch(), "EngineHalted", start + DAY)
    pass_time(1)
    exchange.accept(create_batch())


def test_guardian_may_end_a_halt_early(exchange, guardian, create_batch, pass_time, halt):
    start = halt()
    pass_time(100)
    receipt = exchange.engine.endHalt(sender=guardian)
    end = exchange.now
    assert [e.until for e in receipt.decode_logs(exchange.engine.HaltEnded)] == [end]
    assert exchange.engine.lastHalt() == (start, end)
    exchange.accept(create_batch())
    exchange.expect(bytes(exchange.engine.endHalt.encode_input()), "NotHalted", sender=guardian)


def test_only_the_guardian_halts(exchange, operator, owner):
    for method in (exchange.engine.halt, exchange.engine.endHalt):
        for caller in (operator, owner):
            exchange.expect(bytes(method.encode_input()), "NotGuardian", caller.address, sender=caller)


def test_end_of_no_halt_is_refused(exchange, guardian):
    exchange.expect(bytes(exchange.engine.endHalt.encode_input()), "NotHalted", sender=guardian)


def test_halt_cannot_be_renewed_for_three_days(exchange, guardian, pass_time, halt):
    again = bytes(exchange.engine.halt.encode_input())
    end = halt() + DAY
    exchange.expect(again, "HaltTooSoon", end + 3 * DAY, sender=guardian)
    pass_time(DAY + 3 * DAY - 1)
    exchange.expect(again, "HaltTooSoon", end + 3 * DAY, sender=guardian)
    pass_time(1)
    assert exchange.call(again, guardian) is None


def test_pause_after_a_halt_counts_from_its_early_end(exchange, guardian, pass_time, halt):
    halt()
    exchange.engine.endHalt(sender=guardian)
    end = exchange.now
    again = bytes(exchange.engine.halt.encode_input())
    pass_time(3 * DAY - 1)
    exchange.expect(again, "HaltTooSoon", end + 3 * DAY, sender=guardian)
    pass_time(1)
    assert exchange.call(again, guardian) is None


def test_what_was_matched_before_a_halt_settles_after_it(exchange, create_batch, pass_time, halt):
    """The window does not run during the halt."""
    matched_at = pass_time(10)
    pass_time(600)
    end = halt() + DAY
    now = pass_time(DAY + 300)
    exchange.accept(create_batch(matched_at))
    lowest = now - HALF - DAY
    exchange.accept(create_batch(lowest))
    exchange.refuse(create_batch(lowest - 1), "MatchedAtOutOfRange", lowest - 1, lowest, now)
    # half a window after its end the halt no longer matters
    now = pass_time(end + HALF - now)
    exchange.accept(create_batch(now - HALF - DAY))
    now = pass_time(1)
    exchange.refuse(create_batch(now - HALF - 1), "MatchedAtOutOfRange", now - HALF - 1, now - HALF, now)


def test_settlement_after_a_halt_forgets_it_when_it_is_over(exchange, create_batch, pass_time, halt):
    halt()
    pass_time(DAY + 60)
    exchange.settle(create_batch())
    slot = 0x9F1B5E2CA104415BFDC6E210BB3398404BF08BCD8AFB5FB88A80699712E07B00
    assert exchange.provider.get_storage(exchange.engine.address, slot)[0] == 1
    pass_time(HALF)
    exchange.settle(create_batch(quantity=101))
    assert exchange.provider.get_storage(exchange.engine.address, slot)[0] == 0


# ---- window clock


def test_clock_is_time_without_halts(exchange, pass_time):
    now = pass_time(10)
    assert exchange.engine.clock() == now


def test_clock_stands_still_during_a_halt_and_goes_on_after_it(exchange, pass_time, halt):
    start = halt()
    assert exchange.engine.clock() == start
    pass_time(DAY - 1)
    assert exchange.engine.clock() == start
    pass_time(1)
    assert exchange.engine.clock() == start
    pass_time(100)
    assert exchange.engine.clock() == start + 100


def test_clock_leaves_out_every_halt(exchange, guardian, pass_time, halt):
    halt()
    pass_time(100)
    exchange.engine.endHalt(sender=guardian)
    first = exchange.engine.lastHalt()
    pass_time(4 * DAY)
    second = halt()
    stopped = (first[1] - first[0]) + (exchange.now - second)
    assert exchange.engine.clock() == exchange.now - stopped
    now = pass_time(2 * DAY)
    assert exchange.engine.clock() == now - (first[1] - first[0]) - DAY


def test_halt_is_announced(exchange, guardian):
    receipt = exchange.engine.halt(sender=guardian)
    assert [e.until for e in receipt.decode_logs(exchange.engine.HaltStarted)] == [exchange.now + DAY]
    assert exchange.engine.lastHalt() == (exchange.now, exchange.now + DAY)

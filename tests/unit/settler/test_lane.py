"""Whose transaction may be under way: settlement first, and nobody waits without end."""

from __future__ import annotations

import pytest

from offchain.lane import Lane, LaneSettings, Party

SETTLEMENT, RELAY = Party.SETTLEMENT, Party.RELAY


class Clock:
    def __init__(self) -> None:
        self.ms = 1_000_000

    def now_ms(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lane(clock: Clock) -> Lane:
    return Lane(clock, LaneSettings(hold_seconds=30, patience_seconds=60, claim_seconds=2))


@pytest.mark.parametrize("party", Party)
def test_a_free_lane_is_anybodys_until_it_leaves(lane: Lane, party: Party) -> None:
    other = next(each for each in Party if each != party)
    assert lane.enter(party)
    assert lane.enter(party)
    assert not lane.enter(other)
    lane.leave(other)
    assert lane.holds(party)
    lane.leave(party)
    assert not lane.holds(party)


def test_settlement_goes_next(lane: Lane, clock: Clock) -> None:
    lane.enter(RELAY)
    assert not lane.enter(SETTLEMENT)
    lane.leave(RELAY)
    assert not lane.enter(RELAY)
    assert lane.enter(SETTLEMENT)


def test_settlement_that_does_not_come_back_is_not_waited_for(lane: Lane, clock: Clock) -> None:
    lane.enter(RELAY)
    assert not lane.enter(SETTLEMENT)
    lane.leave(RELAY)
    clock.ms += 2_000
    assert lane.enter(RELAY)


def test_settlement_waits_only_so_long(lane: Lane, clock: Clock) -> None:
    lane.enter(RELAY)
    clock.ms += 29_999
    assert not lane.enter(SETTLEMENT)
    clock.ms += 1
    assert lane.enter(SETTLEMENT)
    assert not lane.holds(RELAY)


def test_a_batch_under_way_is_never_replaced(lane: Lane, clock: Clock) -> None:
    lane.enter(SETTLEMENT)
    clock.ms += 10**9
    assert not lane.enter(RELAY, 10**9)


def test_who_has_waited_for_long_goes_before_the_next_batch(lane: Lane, clock: Clock) -> None:
    lane.enter(SETTLEMENT)
    assert not lane.enter(RELAY, 59_999)
    lane.leave(SETTLEMENT)
    assert lane.enter(SETTLEMENT)
    assert not lane.enter(RELAY, 60_000)
    lane.leave(SETTLEMENT)
    assert not lane.enter(SETTLEMENT)
    assert lane.enter(RELAY, 60_000)


def test_where_both_wait_the_one_that_has_waited_for_long_goes(lane: Lane, clock: Clock) -> None:
    lane.enter(SETTLEMENT)
    assert not lane.enter(RELAY, 60_000)
    lane.leave(SETTLEMENT)
    assert not lane.enter(SETTLEMENT)
    assert lane.enter(RELAY, 60_000)
    lane.leave(RELAY)
    assert lane.enter(SETTLEMENT)

"""Which round is right for a time: the one held then, or just before, across phases and missing rounds."""

import pytest

from tests.functional.oracle.conftest import MAX_AGE, ONE, round_id
from tests.utils.reverts import reverts

DAY = 86_400


@pytest.fixture
def start(feed, owner, now):
    """A time in the past from which the tests' rounds count; the feed's own first round is removed."""
    feed.removeRound(round_id(1), sender=owner)
    return now() - 10 * DAY


@pytest.fixture
def rounds(set_round, start):
    """Three rounds, 1,000 seconds apart, at 65,000, 66,000 and 67,000 USD."""
    return [set_round(i, start + 1_000 * (i - 1), 64_000 + 1_000 * i) for i in (1, 2, 3)]


@pytest.fixture
def assert_wrong(oracle):
    def check(id_, time, *methods):
        for method in methods or ("priceAt", "priceAcross"):
            with reverts("WrongRound", round=id_, time=time):
                getattr(oracle, method)(id_, time)

    return check


def test_round_is_right_while_it_is_held(oracle, rounds, start):
    for offset in (0, 1, 500, 999):
        assert oracle.priceAt(rounds[0], start + offset) == 65_000 * ONE
        assert oracle.priceAcross(rounds[0], start + offset) == 65_000 * ONE
        assert oracle.priceAt(rounds[1], start + 1_000 + offset) == 66_000 * ONE
        assert oracle.priceAcross(rounds[1], start + 1_000 + offset) == 66_000 * ONE


def test_round_is_wrong_before_it_came(assert_wrong, rounds, start):
    assert_wrong(rounds[0], start - 1)
    assert_wrong(rounds[1], start + 999)


def test_round_may_be_used_less_than_60_seconds_after_its_successor(oracle, assert_wrong, rounds, start):
    assert oracle.priceAt(rounds[0], start + 1_000) == 65_000 * ONE
    assert oracle.priceAt(rounds[0], start + 1_059) == 65_000 * ONE
    assert_wrong(rounds[0], start + 1_060, "priceAt")


def test_straddling_has_no_tolerance(oracle, assert_wrong, rounds, start):
    assert_wrong(rounds[0], start + 1_000, "priceAcross")
    assert oracle.priceAcross(rounds[1], start + 1_000) == 66_000 * ONE


def test_straddling_by_the_round_before_or_after_is_wrong(assert_wrong, rounds, start):
    assert_wrong(rounds[0], start + 1_500, "priceAcross")
    assert_wrong(rounds[2], start + 1_500, "priceAcross")


def test_latest_round_is_held_but_straddles_nothing(oracle, assert_wrong, rounds, start):
    assert oracle.priceAt(rounds[2], start + 2_500) == 67_000 * ONE
    assert_wrong(rounds[2], start + 2_500, "priceAcross")


def test_round_that_was_too_old_at_the_time_is_wrong(oracle, assert_wrong, set_round, start):
    lonely = set_round(1, start)
    assert oracle.priceAt(lonely, start + MAX_AGE) == 65_000 * ONE
    assert_wrong(lonely, start + MAX_AGE + 1, "priceAt")


def test_silence_across_an_expiry_settles_at_the_last_price(oracle, set_round, start):
    before, _ = set_round(1, start), set_round(2, start + DAY)
    assert oracle.priceAcross(before, start + DAY - 1) == 65_000 * ONE


def test_unknown_rounds_are_wrong(assert_wrong, feed, rounds, start, owner):
    for strict in (False, True):
        feed.setStrict(strict, sender=owner)
        for unknown in (0, 1, round_id(0), round_id(4), round_id(1, 2), round_id(1, 0), round_id(2**64 - 1), 2**80 - 1):
            assert_wrong(unknown, start + 500)


def test_incomplete_round_is_wrong(assert_wrong, feed, owner, rounds, start):
    feed.setRound(rounds[1], 66_000 * 10**8, start + 1_000, 0, rounds[1], sender=owner)
    assert_wrong(rounds[1], start + 1_500)
    feed.setRound(rounds[1], 66_000 * 10**8, start + 1_000, start + 1_000, rounds[0], sender=owner)
    assert_wrong(rounds[1], start + 1_500)


def test_feed_that_answers_for_another_round_is_not_believed(project, owner, create_oracle, now):
    feed = owner.deploy(project.MockTruncatingFeed)
    oracle, at = create_oracle(feed), now()
    for method in (oracle.priceAt, oracle.priceAcross):
        method(7, at)
        with reverts("WrongRound", round=2**32 + 7, time=at):
            method(2**32 + 7, at)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("missing", range(5))
def test_missing_rounds_are_skipped(oracle, feed, owner, assert_wrong, set_round, start, strict, missing):
    feed.setStrict(strict, sender=owner)
    before, after = set_round(1, start), set_round(2 + missing, start + 1_000, 66_000)
    set_round(3 + missing, start + 2_000)
    assert oracle.priceAcross(before, start + 999) == 65_000 * ONE
    assert oracle.priceAt(before, start + 1_059) == 65_000 * ONE
    assert_wrong(before, start + 1_060)
    assert oracle.priceAcross(after, start + 1_000) == 66_000 * ONE


def test_carried_over_round_is_no_successor(oracle, feed, owner, set_round, start):
    before = set_round(1, start)
    feed.setRound(round_id(2), 65_000 * 10**8, start + 100, start + 100, before, sender=owner)
    set_round(3, start + 1_000)
    assert oracle.priceAcross(before, start + 900) == 65_000 * ONE


def test_stale_round_before_a_long_hole_does_not_pass_for_the_latest(assert_wrong, set_round, start):
    """Five missing rounds hide the successor; without a known one the round is refused at any time."""
    before = set_round(1, start)
    set_round(7, start + 1_000)
    for time in (start, start + 999, start + 1_500):
        assert_wrong(before, time)


def test_successor_with_an_invalid_answer_still_ends_the_round(assert_wrong, feed, owner, set_round, start):
    before, broken = set_round(1, start), round_id(2)
    feed.setRound(broken, -1, start + 1_000, start + 1_000, broken, sender=owner)
    set_round(3, start + 2_000)
    assert_wrong(before, start + 1_500)


@pytest.mark.parametrize("strict", [False, True])
def test_last_round_of_a_phase_is_followed_by_the_first_of_the_next(
    oracle, feed, owner, assert_wrong, set_round, start, strict
):
    feed.setStrict(strict, sender=owner)
    set_round(1, start)
    last, first = set_round(2, start + 1_000), set_round(1, start + 2_000, 66_000, phase=2)
    assert oracle.priceAt(last, start + 1_999) == 65_000 * ONE
    assert oracle.priceAcross(last, start + 1_999) == 65_000 * ONE
    assert_wrong(last, start + 2_000, "priceAcross")
    assert_wrong(last, start + 2_060)
    assert oracle.priceAt(first, start + 2_060) == 66_000 * ONE
    assert_wrong(first, start + 2_060, "priceAcross")
    set_round(2, start + 3_000, phase=2)
    assert oracle.priceAcross(first, start + 2_060) == 66_000 * ONE


def test_phase_without_rounds_is_skipped(oracle, set_round, assert_wrong, start):
    last, first = set_round(1, start), set_round(1, start + 1_000, 66_000, phase=4)
    assert oracle.priceAcross(last, start + 999) == 65_000 * ONE
    assert_wrong(last, start + 1_060)
    assert oracle.priceAt(first, start + 1_060) == 66_000 * ONE


def test_stale_last_round_of_an_old_phase_does_not_pass_for_the_latest(assert_wrong, set_round, start):
    last = set_round(1, start)
    set_round(1, start + 1_000, phase=2)
    assert_wrong(last, start + 1_500)


def test_round_inside_an_old_phase_is_followed_by_the_next_of_that_phase(oracle, assert_wrong, set_round, start):
    inside = set_round(1, start)
    set_round(2, start + 1_000)
    set_round(1, start + 5_000, phase=2)
    assert oracle.priceAcross(inside, start + 999) == 65_000 * ONE
    assert_wrong(inside, start + 1_500)


def test_last_round_is_over_where_the_next_phase_began_earlier(oracle, assert_wrong, set_round, start):
    """A new aggregator runs before the proxy turns to it: its rounds speak for the time after the old one's last."""
    last = set_round(1, start + 1_000)
    early = set_round(1, start, 66_000, phase=2)
    set_round(2, start + 2_000, 67_000, phase=2)
    assert_wrong(last, start + 1_500)
    assert oracle.priceAcross(early, start + 1_500) == 66_000 * ONE


def test_feed_without_phases_works(project, owner, create_oracle, start):
    plain = owner.deploy(project.MockPlainFeed, [start, start + 1_000])
    oracle = create_oracle(plain)
    assert oracle.priceAcross(1, start + 999) == 65_000 * ONE
    assert oracle.priceAt(2, start + 1_500) == 65_000 * ONE
    with reverts("WrongRound", round=1, time=start + 1_500):
        oracle.priceAt(1, start + 1_500)


def test_starved_lookup_of_the_successor_reverts_as_a_whole(chain, oracle, rounds, start):
    """With less and less gas the call either sees the successor or fails; it never takes it for missing."""
    data = oracle.priceAt.encode_input(rounds[0], start + 1_500)
    web3 = chain.provider.web3
    for gas in range(22_000, 60_000, 500):
        with pytest.raises(Exception, match=r"revert|gas|Gas|WrongRound|0x"):
            web3.eth.call({"to": oracle.address, "data": data, "gas": gas})

"""The newest price of a Chainlink feed: fresh, complete, positive, within bounds, with 18 decimals."""

import pytest

from tests.functional.oracle.conftest import MAX_AGE, ONE, ZERO, round_id
from tests.utils.reverts import assert_creation_reverts, reverts


@pytest.mark.parametrize("decimals", [0, 6, 8, 18])
def test_price_has_18_decimals(create_feed, create_oracle, now, decimals):
    feed = create_feed(65_000 * 10**decimals, decimals)
    at = now()
    assert tuple(create_oracle(feed).latest()) == (round_id(1), 65_000 * ONE, at)


def test_digits_are_exact(create_feed, create_oracle):
    assert create_oracle(create_feed(6_500_012_345_678)).latest()[1] == 65_000_12345678 * 10**10


def test_newest_round_counts(feed, oracle, owner, chain, now):
    chain.mine(deltatime=60)
    feed.push(66_000 * 10**8, sender=owner)
    assert tuple(oracle.latest()) == (round_id(2), 66_000 * ONE, now())


def test_price_that_is_too_old_is_stale(oracle, feed, chain):
    at = feed.latestRoundData()[3]
    chain.mine(timestamp=at + MAX_AGE)
    assert oracle.latest()[2] == at
    chain.mine(timestamp=at + MAX_AGE + 1)
    with reverts("StalePrice", round=round_id(1), updatedAt=at):
        oracle.latest()


def test_price_of_the_future_is_refused(oracle, set_round, chain, now):
    at = now() + 1_000
    set_round(2, at)
    with reverts("StalePrice", round=round_id(2), updatedAt=at):
        oracle.latest()
    chain.mine(timestamp=at)
    assert oracle.latest()[0] == round_id(2)


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        (1_000 * 10**8, True),
        (1_000 * 10**8 - 1, False),
        (1_000_000 * 10**8, True),
        (1_000_000 * 10**8 + 1, False),
    ],
)
def test_bounds_are_inclusive(feed, oracle, owner, now, answer, accepted):
    feed.push(answer, sender=owner)
    at = now()
    if accepted:
        assert oracle.latest()[1] == answer * 10**10
        assert oracle.priceAt(round_id(2), at) == answer * 10**10
        return
    for call in (oracle.latest, lambda: oracle.priceAt(round_id(2), at)):
        with reverts("PriceOutOfBounds", round=round_id(2), price=answer * 10**10):
            call()


@pytest.mark.parametrize("answer", [0, -1, -65_000 * 10**8, -(2**255), 2**127, 2**255 - 1])
def test_answer_that_is_no_price_is_refused(feed, oracle, owner, now, chain, answer):
    feed.push(answer, sender=owner)
    at = now()
    chain.mine(deltatime=10)
    feed.push(65_000 * 10**8, sender=owner)
    for call in (lambda: oracle.priceAt(round_id(2), at), lambda: oracle.priceAcross(round_id(2), at)):
        with reverts("InvalidAnswer", round=round_id(2), answer=answer):
            call()
    feed.push(answer, sender=owner)
    with reverts("InvalidAnswer", round=round_id(4), answer=answer):
        oracle.latest()


def test_round_without_a_time_is_incomplete(feed, oracle, owner, now):
    feed.setRound(round_id(2), 65_000 * 10**8, now(), 0, round_id(2), sender=owner)
    with reverts("IncompleteRound", round=round_id(2)):
        oracle.latest()


def test_round_that_carries_an_earlier_answer_over_is_incomplete(feed, oracle, owner, now):
    feed.setRound(round_id(2), 65_000 * 10**8, now(), now(), round_id(1), sender=owner)
    with reverts("IncompleteRound", round=round_id(2)):
        oracle.latest()


@pytest.mark.parametrize("updated_at", [2**40, 2**255])
def test_time_beyond_its_field_is_incomplete(feed, oracle, owner, now, updated_at):
    feed.setRound(round_id(2), 65_000 * 10**8, now(), updated_at, round_id(2), sender=owner)
    with reverts("IncompleteRound", round=round_id(2)):
        oracle.latest()


def test_feed_that_has_no_data_has_no_price(feed, oracle, owner, chain):
    feed.removeRound(round_id(1), sender=owner)
    with reverts("IncompleteRound", round=round_id(1)):
        oracle.latest()
    feed.setStrict(True, sender=owner)
    with pytest.raises(AssertionError, match="does not declare"):  # the feed's own error
        oracle.latest()


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("maxAge", {"age": 0}),
        ("maxAge", {"age": 7 * 86_400 + 1}),
        ("minPrice", {"minimum": 0}),
        ("maxPrice", {"minimum": 2, "maximum": 1}),
        ("maxPrice", {"maximum": 2**128}),
        ("decimals", {"decimals": 19}),
        ("gracePeriod", {"grace": 1}),
        ("gracePeriod", {"grace": 86_401, "sequencer": "feed"}),
        ("sequencerFeed", {"sequencer": "account"}),
    ],
)
def test_parameters_are_checked(project, create_feed, owner, stranger, field, changes):
    feed = create_feed(decimals=changes.get("decimals", 8))
    sequencer = {"feed": feed.address, "account": stranger.address}.get(changes.get("sequencer"), ZERO)
    numbers = (changes.get("age", 60), changes.get("minimum", 1), changes.get("maximum", 2**128 - 1))
    arguments = [feed.address, *numbers, sequencer, changes.get("grace", 0)]
    assert_creation_reverts(owner, project.ChainlinkOracle, arguments, "InvalidParameter(string)", field)


def test_parameters_can_be_read(create_oracle, create_feed, feed):
    sequencer = create_feed(0, 0)
    oracle = create_oracle(feed, sequencer=sequencer, grace=86_400, max_age=7 * 86_400, minimum=1, maximum=1)
    assert (oracle.aggregator(), oracle.sequencerFeed(), oracle.gracePeriod()) == (feed, sequencer, 86_400)
    assert (oracle.maxAge(), oracle.minPrice(), oracle.maxPrice()) == (7 * 86_400, 1, 1)

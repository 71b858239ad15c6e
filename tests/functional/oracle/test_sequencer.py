"""On a rollup: no price of the present while the sequencer is down, nor until everybody could react again."""

import pytest

from tests.functional.oracle.conftest import ONE, round_id
from tests.utils.reverts import reverts

UP, DOWN = 0, 1
GRACE = 600


@pytest.fixture
def sequencer(create_feed):
    """The uptime feed; its answer is the status, `startedAt` since when."""
    return create_feed(UP, 0)


@pytest.fixture
def oracle(create_oracle, feed, sequencer):
    return create_oracle(feed, sequencer=sequencer, grace=GRACE)


@pytest.fixture
def set_status(sequencer, owner):
    def run(status, since, updated_at=None):
        id_ = sequencer.latestRound() + 1
        sequencer.setRound(id_, status, since, updated_at or since, id_, sender=owner)

    return run


def test_prices_are_used_while_the_sequencer_is_up(oracle, set_status, now):
    at = now()
    set_status(UP, at - GRACE)
    assert oracle.latest()[1] == oracle.priceAt(round_id(1), at) == 65_000 * ONE


def test_no_price_while_the_sequencer_is_down(oracle, set_status, now):
    at = now()
    set_status(DOWN, at - 10_000)
    for call in (oracle.latest, lambda: oracle.priceAt(round_id(1), at)):
        with reverts("SequencerDown"):
            call()


def test_no_price_in_the_grace_period(oracle, set_status, chain, now):
    since = now()
    set_status(UP, since)
    chain.mine(timestamp=since + GRACE - 1)
    for call in (oracle.latest, lambda: oracle.priceAt(round_id(1), since)):
        with reverts("SequencerGracePeriod", since=since):
            call()
    chain.mine(timestamp=since + GRACE)
    assert oracle.latest()[1] == oracle.priceAt(round_id(1), since) == 65_000 * ONE


def test_feed_that_was_never_set_means_down(oracle, set_status, now):
    set_status(UP, 0, updated_at=now())
    with reverts("SequencerDown"):
        oracle.latest()


def test_expiry_does_not_depend_on_the_sequencer_of_today(oracle, feed, set_status, owner, chain, now):
    at = now()
    chain.mine(deltatime=100)
    feed.push(66_000 * 10**8, sender=owner)
    set_status(DOWN, now())
    assert oracle.priceAcross(round_id(1), at + 50) == 65_000 * ONE

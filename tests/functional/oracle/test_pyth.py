"""Pyth prices become rounds: signed by Pyth, later than all before, fresh, narrow, and paid for."""

import pytest
from ape.exceptions import ContractLogicError
from eth_utils import keccak

from tests.functional.oracle.conftest import MAX_AGE, ONE, PRICE_ID
from tests.utils.reverts import assert_creation_reverts, reverts

TOLERANCE = 60
"""seconds that a round is good for after its successor came"""


@pytest.fixture
def pin(chain):
    """Let the next transaction have this time."""

    def run(timestamp):
        chain.pending_timestamp = timestamp

    return run


def test_update_stores_the_next_round(setting, now):
    at = now()
    receipt = setting.update(at)
    assert receipt.return_value == setting.oracle.lastRound() == 1
    assert receipt.events == [setting.oracle.RoundStored(round=1, price=65_000 * ONE, updatedAt=at)]
    assert tuple(setting.oracle.latest()) == (1, 65_000 * ONE, at)


def test_rounds_count_upwards(setting, chain, now):
    first = now()
    setting.update(first)
    chain.mine(deltatime=100)
    second = now()
    setting.oracle.update(
        [setting.encode(second, value=66_000 * 10**8)], sender=setting.updater, value=setting.pyth.feePerUpdate()
    )
    assert tuple(setting.oracle.latest()) == (2, 66_000 * ONE, second)
    assert setting.oracle.priceAt(1, first + 50) == setting.oracle.priceAcross(1, first + 50) == 65_000 * ONE
    assert setting.oracle.priceAt(2, second) == 66_000 * ONE


def test_rounds_obey_the_same_rules_as_chainlinks(setting, chain, now):
    first = now()
    setting.update(first)
    chain.mine(deltatime=1_000)
    second = now()
    setting.update(second)
    oracle = setting.oracle
    assert oracle.priceAt(1, second + 59) == 65_000 * ONE
    wrong = [(oracle.priceAt, 1, second + 60), (oracle.priceAt, 2, second - 1), (oracle.priceAt, 0, second)]
    wrong += [
        (oracle.priceAt, 3, second),
        (oracle.priceAt, 2, second + MAX_AGE + 1),
        (oracle.priceAt, 2**80 - 2, second),
    ]
    wrong += [(oracle.priceAcross, 1, second), (oracle.priceAcross, 2, second), (oracle.priceAcross, 1, first - 1)]
    for method, id_, time in wrong:
        with reverts("WrongRound", round=id_, time=time):
            method(id_, time)


def test_no_price_before_the_first_round(setting, now):
    with reverts("IncompleteRound", round=0):
        setting.oracle.latest()
    for method in (setting.oracle.priceAt, setting.oracle.priceAcross):
        with reverts("WrongRound", round=0, time=now()):
            method(0, now())


def test_price_that_is_too_old_is_stale(setting, chain, now):
    at = now()
    setting.update(at)
    chain.mine(timestamp=at + MAX_AGE)
    setting.oracle.latest()
    chain.mine(timestamp=at + MAX_AGE + 1)
    with reverts("StalePrice", round=1, updatedAt=at):
        setting.oracle.latest()


def test_replayed_update_is_refused(setting, now):
    at = now()
    setting.update(at)
    with reverts("NotLater", publishTime=at, updatedAt=at):
        setting.update(at)


def test_older_update_cannot_rewrite_the_past(setting, now):
    at = now()
    setting.update(at)
    with reverts("NotLater", publishTime=at - 1, updatedAt=at):
        setting.update(at - 1)
    assert setting.oracle.lastRound() == 1


def test_late_update_cannot_unseat_the_round_of_a_match(setting, pin, now):
    """An update of the time before a match, brought after it, would make the round that the match used a wrong one."""
    first = now()
    setting.update(first)
    matched = first + 100
    pin(first + 30 + TOLERANCE)
    with reverts("PriceFeedNotFoundWithinRange"):
        setting.update(first + 30)
    pin(matched)
    setting.update(matched - TOLERANCE + 1)
    assert setting.oracle.priceAt(1, matched) == setting.oracle.priceAt(2, matched)


def test_update_from_the_future_is_refused(setting, pin, now):
    at = now() + 100
    pin(at)
    with reverts("PriceFeedNotFoundWithinRange"):
        setting.update(at + 1)


def test_update_of_another_price_is_refused(setting, now):
    with reverts("PriceFeedNotFoundWithinRange"):
        setting.update(now(), id=b"\x43" * 32)


@pytest.mark.parametrize(
    ("value", "expo", "price"),
    [
        (65_000, 0, 65_000 * ONE),
        (65, 3, 65_000 * ONE),
        (6_500_000, -2, 65_000 * ONE),
        (6_500_012_345_678, -8, 65_000_12345678 * 10**10),
        (65_000 * 10**14 + 1, -14, (65_000 * 10**14 + 1) * 10**4),
        (9 * 10**18, -15, 9_000 * ONE),
    ],
)
def test_exponent_scales_the_price(setting, now, value, expo, price):
    data = [setting.encode(now(), value=value, expo=expo, conf=0)]
    setting.oracle.update(data, sender=setting.updater, value=7)
    assert setting.oracle.latest()[1] == price


def test_digits_beyond_18_decimals_are_cut_off(create_pyth, now):
    setting = create_pyth(minimum=1)
    data = [setting.encode(now(), value=12_345, expo=-20, conf=0)]
    setting.oracle.update(data, sender=setting.updater, value=7)
    assert setting.oracle.latest()[1] == 123


@pytest.mark.parametrize("expo", [19, -55, 2**31 - 1, -(2**31)])
def test_exponent_that_cannot_be_expressed_is_refused(setting, now, expo):
    with reverts("InvalidAnswer", round=1, answer=65_000):
        setting.oracle.update([setting.encode(now(), value=65_000, expo=expo, conf=0)], sender=setting.updater, value=7)


@pytest.mark.parametrize("value", [0, -1, -(2**63)])
def test_price_of_zero_or_less_is_refused(setting, now, value):
    with reverts("InvalidAnswer", round=1, answer=value):
        setting.oracle.update([setting.encode(now(), value=value)], sender=setting.updater, value=7)


@pytest.mark.parametrize(
    ("value", "accepted"),
    [(1_000 * 10**8, True), (1_000 * 10**8 - 1, False), (1_000_000 * 10**8, True), (1_000_000 * 10**8 + 1, False)],
)
def test_bounds_are_inclusive(setting, now, value, accepted):
    data = [setting.encode(now(), value=value)]
    if accepted:
        setting.oracle.update(data, sender=setting.updater, value=7)
    else:
        with reverts("PriceOutOfBounds", round=1, price=value * 10**10):
            setting.oracle.update(data, sender=setting.updater, value=7)


@pytest.mark.parametrize("confidence", [65_000 * 10**6 + 1, 2**64 - 1])
def test_wide_confidence_is_refused(setting, now, confidence):
    """One per cent is the widest."""
    setting.oracle.update([setting.encode(now() - 1, conf=65_000 * 10**6)], sender=setting.updater, value=7)
    with reverts("WideConfidence", price=65_000 * 10**8, confidence=confidence):
        setting.update(now(), conf=confidence)


def test_what_is_paid_beyond_the_fee_comes_back(setting, updater, now):
    before = updater.balance
    receipt = setting.update(now(), value=10**18)
    assert before - updater.balance == 7 + receipt.total_fees_paid
    assert (setting.pyth.balance, setting.oracle.balance) == (7, 0)


def test_fee_must_be_paid(setting, now):
    with reverts("InsufficientFee", required=7, paid=6):
        setting.update(now(), value=6)


def test_payer_that_cannot_be_paid_back_must_pay_exactly(project, setting, owner, now):
    """The payer is a contract that takes no ether, whose value comes with the call."""
    payer = owner.deploy(project.MockForwarder)
    data = bytes(setting.oracle.update.encode_input([setting.encode(now())]))
    with pytest.raises(ContractLogicError, match="0x" + keccak(text="RefundFailed()")[:4].hex()):
        payer.forward(setting.oracle.address, data, sender=owner, value=8)
    payer.forward(setting.oracle.address, data, sender=owner, value=7)
    assert setting.oracle.lastRound() == 1


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("pyth", {"pyth": "account"}),
        ("priceId", {"priceId": b"\0" * 32}),
        ("maxAge", {"age": 0}),
        ("maxAge", {"age": 7 * 86_400 + 1}),
        ("minPrice", {"minimum": 0}),
        ("maxPrice", {"maximum": 2**128}),
        ("maxConfidenceBps", {"confidence": 0}),
        ("maxConfidenceBps", {"confidence": 1_001}),
    ],
)
def test_parameters_are_checked(project, setting, owner, stranger, field, changes):
    pyth = stranger.address if "pyth" in changes else setting.pyth.address
    numbers = (changes.get("age", 60), changes.get("minimum", 1), changes.get("maximum", 2**128 - 1))
    arguments = [pyth, changes.get("priceId", PRICE_ID), *numbers, changes.get("confidence", 100)]
    assert_creation_reverts(owner, project.PythOracle, arguments, "InvalidParameter(string)", field)


def test_parameters_can_be_read(setting):
    oracle = setting.oracle
    assert (oracle.pyth(), oracle.priceId(), oracle.maxConfidenceBps()) == (setting.pyth, PRICE_ID, 100)

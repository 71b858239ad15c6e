"""The circuit breaker: who may change a market's status, to what, and since when it counts."""

import pytest

from tests.utils.reverts import assert_creation_reverts, reverts

NONE, ACTIVE, PAUSED, CLOSED = range(4)
ZERO = "0x" + "00" * 20


@pytest.fixture
def market(create_market):
    return create_market()


@pytest.fixture
def status_of(registry, market):
    return lambda: tuple(registry.market(market))[1:]


def test_owner_pauses_resumes_and_closes(registry, chain, market, status_of, owner):
    before = registry.marketWords([market])[0]
    for status in (PAUSED, ACTIVE, CLOSED):
        chain.mine(deltatime=100)
        receipt = registry.setStatus(market, status, sender=owner)
        assert receipt.events == [registry.StatusChanged(id=market, status=status, statusAt=receipt.timestamp)]
        assert status_of() == (status, receipt.timestamp)
        changed = registry.marketWords([market])[0] ^ before
        assert changed & ~(0xFF << 208 | (2**40 - 1) << 168) == 0


def test_closing_a_paused_market_keeps_the_time_of_the_pause(registry, chain, market, status_of, owner):
    paused_at = registry.setStatus(market, PAUSED, sender=owner).timestamp
    chain.mine(deltatime=1000)
    registry.setStatus(market, CLOSED, sender=owner)
    assert status_of() == (CLOSED, paused_at)


def test_guardian_may_only_pause(registry, market, status_of, owner, guardian):
    registry.setStatus(market, PAUSED, sender=guardian)
    assert status_of()[0] == PAUSED
    for status in (ACTIVE, CLOSED):
        with reverts("OwnableUnauthorizedAccount", account=guardian.address):
            registry.setStatus(market, status, sender=guardian)


def test_others_may_nothing(registry, market, maker):
    with reverts("NotGuardian", caller=maker.address):
        registry.setStatus(market, PAUSED, sender=maker)
    for status in (ACTIVE, CLOSED):
        with reverts("OwnableUnauthorizedAccount", account=maker.address):
            registry.setStatus(market, status, sender=maker)


def test_closed_is_final(registry, market, owner):
    registry.setStatus(market, CLOSED, sender=owner)
    for status in (NONE, ACTIVE, PAUSED, CLOSED):
        with reverts("InvalidTransition", **{"from": CLOSED, "to": status}):
            registry.setStatus(market, status, sender=owner)


def test_refuses_a_status_that_changes_nothing(registry, market, owner, guardian):
    for status in (NONE, ACTIVE):
        with reverts("InvalidTransition", **{"from": ACTIVE, "to": status}):
            registry.setStatus(market, status, sender=owner)
    registry.setStatus(market, PAUSED, sender=guardian)
    with reverts("InvalidTransition", **{"from": PAUSED, "to": PAUSED}):
        registry.setStatus(market, PAUSED, sender=guardian)


def test_market_must_exist(registry, market, owner):
    for unknown in (0, 1, market + 1):
        with reverts("UnknownMarket", id=unknown):
            registry.setStatus(unknown, PAUSED, sender=owner)


def test_owner_names_the_guardian(registry, market, owner, guardian, maker):
    assert registry.guardian() == guardian
    with reverts("OwnableUnauthorizedAccount", account=maker.address):
        registry.setGuardian(maker, sender=maker)
    with reverts("ZeroAddress"):
        registry.setGuardian(ZERO, sender=owner)
    receipt = registry.setGuardian(maker, sender=owner)
    assert receipt.events == [registry.GuardianChanged(guardian=maker)]
    with reverts("NotGuardian", caller=guardian.address):
        registry.setStatus(market, PAUSED, sender=guardian)
    registry.setStatus(market, PAUSED, sender=maker)


def test_owner_and_guardian_must_exist(project, owner):
    assert_creation_reverts(owner, project.MarketRegistry, [owner, ZERO], "ZeroAddress()")
    assert_creation_reverts(owner, project.MarketRegistry, [ZERO, owner], "OwnableInvalidOwner(address)", ZERO)


def test_ownership_moves_in_two_steps(registry, owner, maker):
    registry.transferOwnership(maker, sender=owner)
    assert registry.owner() == owner
    registry.acceptOwnership(sender=maker)
    assert registry.owner() == maker

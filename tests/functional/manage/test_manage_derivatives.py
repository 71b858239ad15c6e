"""Funding, expiry and closing: rounds and positions are found, unless they are named."""

import pytest

from scripts._lib import actions
from scripts._lib.fields import DeploymentError
from scripts._lib.rounds import ACROSS, HELD, find_round

HOUR, DAY = 3_600, 86_400
OPTION, PERP = "BTC-30D-70000-C", "BTC-PERP"
NOTHING_SIGNED = 2**32 - 1
CALL_COLLATERAL = 70_000_000  # micro-USDC per lot of 0.001 BTC: 140,000 less 70,000 USDC


@pytest.fixture
def desk(owned, sit):
    return lambda account, **options: sit(owned, account, **options)


@pytest.fixture
def clearinghouse(owned, at):
    return at("Clearinghouse", owned.clearinghouse)


@pytest.fixture
def feed(owned, at, desk, stranger):
    """The local feed, which is at 64,000 USD."""
    return at("MockAggregator", desk(stranger).address("FeedBTC"))


@pytest.fixture
def option(owned):
    return owned.markets[OPTION]["id"]


@pytest.fixture
def position(owned, at, clearinghouse, option, maker, taker, chain, accounts):
    """The taker is long ten options of the maker, as if a batch had settled it."""
    usdc, vault = at("MockUSDC", owned.usdc), at("Vault", owned.vault)
    usdc.mint(maker, 10 * CALL_COLLATERAL, sender=maker)
    usdc.approve(vault, 10 * CALL_COLLATERAL, sender=maker)
    vault.deposit(10 * CALL_COLLATERAL, owned.clearinghouse, sender=maker)
    parties = sorted((maker, taker), key=lambda account: int(account.address, 16))
    words = [int(a.address, 16) << 96 | option << 64 | NOTHING_SIGNED << 32 | i for i, a in enumerate(parties)]
    fill = parties.index(taker) << 240 | parties.index(maker) << 224 | 10**6 << 128 | 10 << 88
    market_words = at("MarketRegistry", owned.registry).marketWords([option])
    chain.provider.make_request("anvil_impersonateAccount", [owned.engine])
    chain.provider.make_request("anvil_setBalance", [owned.engine, hex(10**18)])
    engine = accounts.impersonate_account(owned.engine)
    matched_at = chain.blocks.head.timestamp
    clearinghouse.settle(matched_at, 0, [option], market_words, [0], words, [fill], sender=engine)
    assert (clearinghouse.positionOf(taker, option)[0], clearinghouse.positionOf(maker, option)[0]) == (10, -10)


@pytest.fixture
def let_expire(feed, owned, chain, stranger):
    """Pass half a day after the expiry, across which the feed stands at 75,000 USD. Returns the expiry."""

    def run():
        expiry = owned.markets[OPTION]["expiry"]
        prices = ((-900, 74_000), (-60, 75_000), (600, 90_000), (HOUR, 91_000))
        for offset, usd in prices:
            chain.pending_timestamp = expiry + offset
            feed.push(usd * 10**8, sender=stranger)
        chain.mine(timestamp=expiry + DAY // 2)
        return expiry

    return run


# -- funding ---------------------------------------------------------------------------------------------------------


def test_operator_accrues_the_funding_of_the_hour(owned, desk, clearinghouse, operator, chain):
    chain.mine(timestamp=(chain.blocks.head.timestamp // HOUR + 1) * HOUR + 60)
    actions.accrue_funding(desk(operator), PERP, -10_000, None, None)
    state = clearinghouse.marketState(owned.markets[PERP]["id"])
    assert state.lastHour == chain.blocks.head.timestamp // HOUR
    assert state.funding == -(10_000 * 6_400_000 * 2**32 // 10**8)


def test_only_the_operator_accrues(desk, stranger, chain):
    chain.mine(timestamp=(chain.blocks.head.timestamp // HOUR + 1) * HOUR + 60)
    with pytest.raises(DeploymentError, match=rf"would revert: NotOperator\(caller={stranger.address}\)"):
        actions.accrue_funding(desk(stranger), PERP, 10_000, None, None)


def test_rate_beyond_the_cap_is_refused(desk, operator, chain):
    chain.mine(timestamp=(chain.blocks.head.timestamp // HOUR + 1) * HOUR + 60)
    with pytest.raises(DeploymentError, match=r"would revert: RateOutOfBounds\(rate=50001, cap=50000\)"):
        actions.accrue_funding(desk(operator), PERP, 50_001, None, None)


def test_hour_and_round_can_be_named(owned, desk, clearinghouse, operator, feed, chain):
    chain.mine(timestamp=(chain.blocks.head.timestamp // HOUR + 1) * HOUR + 60)
    hour = chain.blocks.head.timestamp // HOUR
    actions.accrue_funding(desk(operator), PERP, 10_000, hour, feed.latestRound())
    assert clearinghouse.marketState(owned.markets[PERP]["id"]).lastHour == hour
    with pytest.raises(DeploymentError, match=rf"would revert: WrongHour\(hour={hour}"):
        actions.accrue_funding(desk(operator), PERP, 10_000, hour, feed.latestRound())


# -- rounds ----------------------------------------------------------------------------------------------------------


def test_round_across_a_time_is_found(desk, let_expire, feed, option, stranger):
    expired = let_expire()
    newest = feed.latestRound()
    assert find_round(desk(stranger), option, expired, ACROSS) == newest - 2
    assert find_round(desk(stranger), option, expired + HOUR, HELD) in (newest, newest - 1)


def test_round_that_is_yet_to_come_is_named(owned, desk, option, chain, stranger):
    expiry = owned.markets[OPTION]["expiry"]
    chain.mine(timestamp=expiry + 1)
    with pytest.raises(DeploymentError, match=f"no round of 0x.* was found for {expiry}; it may be yet to come"):
        find_round(desk(stranger), option, expiry, ACROSS)


# -- expiry ----------------------------------------------------------------------------------------------------------


def test_anybody_expires_and_closes_all(owned, at, desk, clearinghouse, position, let_expire, maker, taker, stranger):
    option = owned.markets[OPTION]["id"]
    let_expire()
    actions.expire(desk(stranger), OPTION, None, False)
    assert clearinghouse.marketState(option).settlePerLot == 5_000_000  # 75,000 less 70,000 USDC, per 0.001 BTC
    actions.close_positions(desk(stranger), OPTION, [])
    vault = at("Vault", owned.vault)
    assert vault.sharesOf(taker) == 10 * 5_000_000
    assert vault.sharesOf(maker) == 10 * (CALL_COLLATERAL - 5_000_000)


def test_closed_positions_are_not_closed_again(desk, position, let_expire, maker, stranger, lines):
    let_expire()
    actions.expire(desk(stranger), OPTION, None, False)
    actions.close_positions(desk(stranger), OPTION, [maker.address])
    lines.clear()
    actions.close_positions(desk(stranger), OPTION, [])
    assert len(lines) == 1
    actions.close_positions(desk(stranger), OPTION, [])
    assert lines[-1] == f"{OPTION}: no position is open"


def test_wrong_round_is_refused_by_the_oracle(desk, let_expire, feed, stranger):
    expiry, newest = let_expire(), feed.latestRound()
    with pytest.raises(DeploymentError, match=rf"would revert: WrongRound\(round={newest}, time={expiry}\)"):
        actions.expire(desk(stranger), OPTION, newest, False)


def test_expiry_has_its_time(owned, desk, stranger):
    expiry = owned.markets[OPTION]["expiry"]
    with pytest.raises(DeploymentError, match=f"{OPTION}: expires at {expiry}, it is "):
        actions.expire(desk(stranger), OPTION, None, False)
    for symbol in (PERP, "BTC-USDC"):
        with pytest.raises(DeploymentError, match=f"{symbol}: is no dated market; it ends only by --abandoned"):
            actions.expire(desk(stranger), symbol, None, False)


def test_market_of_an_operator_that_is_gone_is_expired(owned, desk, clearinghouse, feed, chain, stranger):
    with pytest.raises(DeploymentError, match=r"would revert: NotAbandoned\(until="):
        actions.expire(desk(stranger), PERP, None, True)
    chain.mine(deltatime=48 * HOUR + 1)
    feed.push(64_000 * 10**8, sender=stranger)
    actions.expire(desk(stranger), PERP, None, True)
    assert clearinghouse.marketState(owned.markets[PERP]["id"]).settlePerLot == 6_400_000

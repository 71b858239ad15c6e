"""Random sequences of everything that can happen to positions, and what must hold after each of them.

- sizes of a market sum to 0;
- the pool of an open perpetual or future is the sum of the quotes, after funding, and dust of one unit per payment;
- the pool of an option is its collateral times the short lots;
- the Clearinghouse's Vault account is the sum of the pools;
- no USDC appears or disappears.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from ape.exceptions import CustomError
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.functional.clearinghouse.house import (
    EXPIRED,
    FUND,
    FUTURE,
    HOUR,
    INDEX,
    OPTION,
    WINDOW,
    Fill,
    House,
    address_of,
)
from tests.utils.isolation import isolated

TRADERS = 4
MARKETS = 3  # a perpetual, a future, a put
FUND_DEPOSIT = 5 * INDEX
TRADER_DEPOSIT = 40 * INDEX
STRIKE = INDEX

traders = st.integers(0, TRADERS - 1)
markets = st.integers(0, MARKETS - 1)
margined = st.integers(0, MARKETS - 2)
holders = st.integers(0, TRADERS)  # the last is the fund
basis_points = st.integers(8_000, 12_500)
lots = st.integers(1, 20)

steps = st.one_of(
    st.tuples(st.just("trade"), markets, traders, traders, lots, st.integers(9_300, 10_700), st.booleans()),
    st.tuples(st.just("trade"), markets, traders, traders, lots, st.integers(9_900, 10_100), st.booleans()),
    st.tuples(st.just("force"), margined, holders, traders, lots, st.integers(9_750, 10_250)),
    st.tuples(st.just("move"), margined, basis_points),
    st.tuples(st.just("move"), margined, st.sampled_from([9_450, 9_250, 10_500, 10_800])),
    st.tuples(st.just("accrue"), st.integers(-50_000, 50_000)),
    st.tuples(st.just("take_over"), margined, traders),
    st.tuples(st.just("leave"), margined, traders),
    st.tuples(st.just("deleverage"), margined, holders, holders, lots),
    st.tuples(st.just("close"), markets, holders),
)


@dataclass
class Actors:
    """Performs steps. Each may be refused by an error of the protocol; a panic is a failure."""

    house: House
    ids: list[int]
    accounts: list[str]
    index: list[int]

    def perform(self, step: tuple) -> None:
        name, *arguments = step
        actions: dict[str, Callable[..., None]] = {
            "trade": self.trade,
            "force": self.force,
            "move": self.move,
            "accrue": self.accrue,
            "take_over": self.take_over,
            "leave": self.leave,
            "deleverage": self.deleverage,
            "close": self.close,
        }
        try:
            actions[name](*arguments)
        except CustomError as refusal:
            event(f"{name}: {refusal.abi.name}")
        else:
            event(f"{name}: done")

    def trade(self, market: int, buyer: int, seller: int, quantity: int, bps: int, is_first_reducing: bool) -> None:
        if buyer == seller:
            return
        price = INDEX // 20 if market == MARKETS - 1 else self.index[market] * bps // 10_000
        fill = Fill(self.accounts[buyer], self.accounts[seller], quantity, price, market=self.ids[market])
        fills = [fill, fill] if is_first_reducing else [fill]
        self.house.settle(fills, fee_bps=7)

    def force(self, market: int, account: int, other: int, quantity: int, bps: int) -> None:
        if account == other:
            return
        size = self.house.position(self.accounts[account], self.ids[market])[0]
        pair = (other, account) if size > 0 else (account, other)
        fill = Fill(
            *(self.accounts[n] for n in pair),
            min(quantity, abs(size)) or quantity,
            self.index[market] * bps // 10_000,
            market=self.ids[market],
            forced=(size <= 0, size > 0),
        )
        self.house.settle([fill], fee_bps=7, rounds=self.house.round(self.ids[market]))

    def move(self, market: int, bps: int) -> None:
        self.index[market] = max(1, self.index[market] * bps // 10_000)
        self.house.set_index(self.index[market], self.ids[market])

    def accrue(self, rate: int) -> None:
        hour = self.house.now() // HOUR + 1
        self.house.move_to(hour * HOUR)
        last = self.house.oracles[self.ids[0]].lastRound()
        self.house.clearing.accrueFunding(self.ids[0], hour, rate, last, sender=self.house.operator)

    def take_over(self, market: int, account: int) -> None:
        self.house.clearing.takeOver(self.accounts[account], self.ids[market], sender=self.house.operator)

    def leave(self, market: int, account: int) -> None:
        trader = self.house.chain.account_manager.test_accounts[3 + account]
        self.house.clearing.requestExit(self.ids[market], sender=trader)
        self.house.wait(WINDOW)
        self.house.clearing.exit(trader, self.ids[market], sender=trader)

    def deleverage(self, market: int, loser: int, winner: int, quantity: int) -> None:
        pair = self.accounts[loser], self.accounts[winner]
        self.house.clearing.deleverage(*pair, self.ids[market], quantity, sender=self.house.operator)

    def close(self, market: int, account: int) -> None:
        if self.house.clearing.marketState(self.ids[market]).state != EXPIRED:
            return
        self.house.clearing.close(self.accounts[account], self.ids[market], sender=self.house.owner)

    def expire(self, market: int) -> None:
        self.house.wait(49 * HOUR)
        self.house.clearing.expireAbandoned(self.ids[market], sender=self.house.owner)


@pytest.fixture
def actors(house) -> Actors:
    """Four traders, each with positions, and a fund that can take over one or two of them."""
    far = house.now() + 10_000 * HOUR
    ids = [
        house.market,
        house.create_market(FUTURE, expiry=far, exitPenaltyBps=33),
        house.create_market(OPTION, expiry=far, strikePerLot=STRIKE, isPut=True),
    ]
    house.drain_fund()
    accounts = [house.chain.account_manager.test_accounts[3 + n] for n in range(TRADERS)]
    for account in accounts:
        house.deposit(account, TRADER_DEPOSIT)
    house.deposit(FUND, FUND_DEPOSIT)
    a, b, c, d = accounts
    fills = [Fill(a, b, 10, INDEX), Fill(c, d, 6, INDEX * 101 // 100), Fill(b, c, 8, INDEX, market=ids[1])]
    house.settle([*fills, Fill(a, d, 3, INDEX // 20, market=ids[2])])
    return Actors(house, ids, [*map(address_of, accounts), FUND], [INDEX, INDEX, INDEX])


def usdc_of_all(actors: Actors) -> int:
    house = actors.house
    return sum(map(house.balance, [*actors.accounts, house.engine, house.clearing, house.owner]))


def check(actors: Actors, total: int, payments: int) -> None:
    house = actors.house
    pools = []
    for market in range(MARKETS):
        market_id = actors.ids[market]
        state = house.clearing.marketState(market_id)
        stored = [house.clearing.positionOf(account, market_id) for account in actors.accounts]
        if state.state != EXPIRED:
            assert sum(position.size for position in stored) == 0
        pools.append(state.pool)
        if market == MARKETS - 1:
            assert state.pool == STRIKE * sum(max(0, -position.size) for position in stored)
        elif state.state != EXPIRED:
            due = sum(p.quote - -(-p.size * (state.funding - p.fundingIndex) // 2**32) for p in stored)
            assert 0 <= state.pool - due <= payments * len(stored)
        else:
            assert state.pool >= 0
    held = house.balance(house.clearing)
    assert held == sum(pools) == house.clearing.solvency().owed
    assert usdc_of_all(actors) == total


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(script=st.lists(steps, min_size=4, max_size=25), expires=st.lists(margined, max_size=1))
def test_what_must_hold_after_anything(actors, script, expires):
    total = usdc_of_all(actors)
    with isolated(actors.house.chain):
        actors.index[:] = [INDEX] * MARKETS
        for step in script:
            actors.perform(step)
        check(actors, total, payments=len(script) + 1)
        for market in expires:
            actors.expire(market)
            for account in range(TRADERS + 1):
                actors.perform(("close", market, account))
            check(actors, total, payments=len(script) + 1)


def test_the_steps_reach_everything(actors):
    """A script of which every step acts, so that the random ones are known to be able to."""
    script = [
        ("trade", 0, 2, 3, 1, 10_000, True),
        ("trade", 2, 3, 0, 2, 10_000, False),
        ("accrue", 50_000),
        ("move", 0, 9_450),
        ("force", 0, 2, 3, 2, 9_900),
        ("move", 0, 9_750),
        ("take_over", 0, 0),
        ("force", 0, TRADERS, 1, 3, 10_000),
        ("leave", 1, 1),
        ("move", 0, 8_000),
        ("deleverage", 0, TRADERS, 1, 1),
    ]
    house = actors.house
    total = usdc_of_all(actors)
    for name, *arguments in script:
        if name == "deleverage":
            house.drain_fund()
        getattr(actors, name)(*arguments)
        check(actors, total, payments=len(script))
    actors.expire(0)
    for account in range(TRADERS + 1):
        if any(house.position(actors.accounts[account])):
            actors.close(0, account)
        check(actors, total, payments=len(script))

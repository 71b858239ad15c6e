"""Whatever the core matches, the model of the contracts settles, and both end with the same integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from offchain.batching import BatchLimits
from offchain.domain.clearing import accrue
from offchain.domain.market import USDC, Kind
from offchain.domain.order import NO_EXPIRY, TimeInForce
from tests import strategies
from tests.strategies import Intent
from tests.utils.exchange import BTC, BTC_USDC, CALL, ETH, ETH_BTC, INDEX, PERP, RATE
from tests.utils.mirror import ACCOUNTS, Mirror

MARKETS = (BTC_USDC, ETH_BTC, CALL, PERP)


@dataclass(frozen=True)
class Step:
    """An order, and what happens before it."""

    intent: Intent
    market: int
    rate: int
    seconds: int
    fills: int
    """settle so many fills at most; 0: none"""
    reduces_only: bool
    trouble: str
    """bust, reorg, funding, restore, cancel, cancelAll, send or "" """


steps = st.builds(
    Step,
    intent=strategies.intents,
    market=st.sampled_from([0, 1, 2, 2, 3, 3, 3, 3]),
    rate=st.integers(-3, 3),
    seconds=st.integers(0, 20),
    fills=st.sampled_from([0] * 6 + [1, 3, 500]),
    reduces_only=st.sampled_from([False, False, True]),
    trouble=st.sampled_from(
        [""] * 12 + ["bust", "reorg", "funding", "restore", "cancel", "cancel", "cancelAll", "send", "send", "send"]
    ),
)


def play(mirror: Mirror, number: int, step: Step) -> None:
    mirror.exchange.now_ms += step.seconds * 1000
    mirror.tell_price(RATE + step.rate * 1_000_000)
    mirror.tell_index(INDEX + step.rate * INDEX // 400)
    if step.fills and mirror.exchange.core.status().unsettled_fills:
        mirror.settle(BatchLimits(fills=step.fills))
    if step.trouble == "bust":
        mirror.bust(step.rate)
    elif step.trouble == "restore":
        mirror.restore()
    elif step.trouble == "funding":
        mirror.accrue(PERP.id, step.rate * 50 << 32)
    elif step.trouble == "cancel":
        mirror.ask_to_cancel(ACCOUNTS[step.intent.account], step.rate)
    elif step.trouble == "cancelAll":
        mirror.ask_to_cancel_all(ACCOUNTS[step.intent.account])
    elif step.trouble == "send":
        mirror.send_actions()
    elif step.trouble == "reorg" and not mirror.reorganise():
        mirror.exchange.mine()
    check_positions(mirror)
    intent, market = step.intent, MARKETS[step.market]
    terms: dict[str, Any] = {}
    if market.kind != Kind.SPOT:
        terms["reduce_only"] = step.reduces_only
    side = intent.side
    if terms.get("reduce_only"):
        side = int(mirror.exchange.holding(ACCOUNTS[intent.account], market.id).size > 0)
    if market.is_cross_quoted:
        terms["conversion_limit"] = RATE + (2_000_000 if intent.side == 0 else -2_000_000)
    mirror.place(
        ACCOUNTS[intent.account],
        side,
        intent.price - 85 if market.kind == Kind.OPTION else intent.price,
        intent.quantity,
        market=market.id,
        key=number,
        tif=intent.time_in_force,
        expiry=NO_EXPIRY if intent.time_in_force == TimeInForce.GTC else mirror.now + intent.life,
        self_trade=intent.self_trade,
        epoch=mirror.exchange.core.account_update(ACCOUNTS[intent.account]).epoch,
        **terms,
    )
    check_positions(mirror)


def check_positions(mirror: Mirror) -> None:
    """What holds of positions after every command."""
    for venue in mirror.exchange.core._state.markets.values():
        positions = venue.positions.values()
        assert sum(one.current.size for one in positions) == 0
        assert venue.open_interest == sum(max(0, one.current.size) for one in positions)
        assert venue.pool >= 0
        if venue.market.kind == Kind.OPTION:
            assert venue.pool == venue.market.terms.collateral * sum(max(0, -one.current.size) for one in positions)
        elif venue.market.kind == Kind.PERP:
            quotes = sum(accrue(one.current.state, venue.clearing.funding).quote for one in positions)
            assert 0 <= venue.pool - quotes < 10_000  # dust of funding
        for one in positions:
            reducing = one.reducing.values()
            assert sum(live.remaining for live in reducing) <= abs(one.current.size)
            assert all((live.order.side == 0) == (one.current.size < 0) for live in reducing)


def flow(steps: list[Step]) -> None:
    mirror = Mirror(*MARKETS)
    for account in ACCOUNTS:
        for asset, amount in ((USDC, 10**9), (BTC, 10**7), (ETH, 10**7)):
            mirror.deposit(account, asset, amount)
    for number, step in enumerate(steps):
        play(mirror, number, step)
    mirror.settle_all()
    mirror.send_actions()
    assert mirror.exchange.core.due_actions() == []
    mirror.restore()


@settings(strategies.PROFILE, max_examples=strategies.PROFILE.max_examples // 3)
@given(st.lists(steps, min_size=30, max_size=90))
def test_what_is_matched_settles(steps: list[Step]) -> None:
    flow(steps)

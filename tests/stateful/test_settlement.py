"""Whatever the core matches, the model of the contracts settles, and both end with the same integers."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from offchain.batching import BatchLimits
from offchain.domain.market import USDC
from offchain.domain.order import NO_EXPIRY, TimeInForce
from tests import strategies
from tests.strategies import Intent
from tests.utils.exchange import BTC, BTC_USDC, ETH, ETH_BTC, RATE
from tests.utils.mirror import ACCOUNTS, Mirror

MARKETS = (BTC_USDC, ETH_BTC)


@dataclass(frozen=True)
class Step:
    """An order, and what happens before it."""

    intent: Intent
    market: int
    rate: int
    seconds: int
    fills: int
    """settle so many fills at most; 0: none"""


steps = st.builds(
    Step,
    intent=strategies.intents,
    market=st.integers(0, len(MARKETS) - 1),
    rate=st.integers(-3, 3),
    seconds=st.integers(0, 20),
    fills=st.sampled_from([0] * 6 + [1, 3, 500]),
)


def play(mirror: Mirror, number: int, step: Step) -> None:
    mirror.exchange.now_ms += step.seconds * 1000
    mirror.tell_price(RATE + step.rate * 1_000_000)
    if step.fills and mirror.exchange.core.status().unsettled_fills:
        mirror.settle(BatchLimits(fills=step.fills))
    intent, market = step.intent, MARKETS[step.market]
    terms = {}
    if market.is_cross_quoted:
        terms["conversion_limit"] = RATE + (2_000_000 if intent.side == 0 else -2_000_000)
    mirror.place(
        ACCOUNTS[intent.account],
        intent.side,
        intent.price,
        intent.quantity,
        market=market.id,
        key=number,
        tif=intent.time_in_force,
        expiry=NO_EXPIRY if intent.time_in_force == TimeInForce.GTC else mirror.now + intent.life,
        self_trade=intent.self_trade,
        **terms,
    )


@settings(strategies.PROFILE, max_examples=strategies.PROFILE.max_examples // 3)
@given(st.lists(steps, min_size=30, max_size=90))
def test_what_is_matched_settles(flow: list[Step]) -> None:
    mirror = Mirror(*MARKETS)
    for account in ACCOUNTS:
        for asset, amount in ((USDC, 10**9), (BTC, 10**7), (ETH, 10**7)):
            mirror.deposit(account, asset, amount)
    for number, step in enumerate(flow):
        play(mirror, number, step)
    mirror.settle_all()

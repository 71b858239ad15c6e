"""The leverage that administrators allow."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from offchain.domain.admin import SetLeverage
from offchain.domain.commands import (
    MarketCreated,
)
from offchain.domain.core import Core
from offchain.domain.errors import Code
from offchain.domain.events import MarketUpdate, OrderUpdate
from tests.utils.administration import administer, code_of
from tests.utils.exchange import BTC_USDC, BUY, IOC, MAKER, PERP, SELL, TAKER, USDC, Exchange

MARGIN = {"market": PERP.id}


@pytest.fixture
def margined(create_exchange: Callable[..., Exchange]) -> Exchange:
    """With a perpetual of 10 % initial margin, whose index is 100 ticks: a lot is worth 1 USDC."""
    exchange = create_exchange()
    exchange.mine(MarketCreated(PERP))
    exchange.tell_index()
    return exchange


@pytest.mark.parametrize(("lots", "status"), [(19_000, "filled"), (21_000, "rejected")])
def test_a_taker_grows_within_the_leverage(margined: Exchange, lots: int, status: str) -> None:
    """At 50 %, 10,000 USDC carry positions up to about 20,000, less the fee."""
    margined.mine(margined.deposited(MAKER, USDC, 10**12))
    administer(margined, SetLeverage(PERP.id, 5_000))
    margined.place(MAKER, SELL, 100, lots, **MARGIN)
    result = margined.place(TAKER, BUY, 100, lots, tif=IOC, **MARGIN)
    assert result.status == status
    if result.rejection is not None:
        assert result.rejection.code == Code.INSUFFICIENT_MARGIN


def test_pieces_add_up(margined: Exchange) -> None:
    margined.mine(margined.deposited(MAKER, USDC, 10**12))
    administer(margined, SetLeverage(PERP.id, 5_000))
    margined.place(MAKER, SELL, 100, 100_000, **MARGIN)
    statuses = [margined.place(TAKER, BUY, 100, 5_000, tif=IOC, **MARGIN).status for _ in range(5)]
    assert statuses == ["filled"] * 3 + ["rejected"] * 2, "the fourth lacks what the fees have cost"


def test_a_maker_beyond_the_leverage_is_canceled_when_it_is_met(margined: Exchange) -> None:
    margined.mine(margined.deposited(TAKER, USDC, 10**12))
    resting = margined.place(MAKER, SELL, 100, 30_000, **MARGIN)
    administer(margined, SetLeverage(PERP.id, 5_000))
    margined.place(TAKER, BUY, 100, 30_000, tif=IOC, **MARGIN)
    ended = [event for event in margined.of(OrderUpdate) if event.order_hash == resting.order_hash]
    assert [(event.status, event.code) for event in ended] == [("canceled", "insufficientMargin")]


def test_closing_needs_no_leverage(margined: Exchange) -> None:
    margined.mine(margined.deposited(MAKER, USDC, 10**12))
    margined.place(MAKER, SELL, 100, 30_000, **MARGIN)
    assert margined.place(TAKER, BUY, 100, 30_000, tif=IOC, **MARGIN).status == "filled"
    administer(margined, SetLeverage(PERP.id, 10_000))
    margined.place(MAKER, BUY, 100, 30_000, **MARGIN)
    assert margined.place(TAKER, SELL, 100, 30_000, tif=IOC, reduce_only=True, **MARGIN).status == "filled"


@pytest.mark.parametrize(
    ("action", "code"),
    [
        (SetLeverage(99, 5_000), Code.UNKNOWN_MARKET),
        (SetLeverage(BTC_USDC.id, 5_000), Code.INVALID_SETTING),
        (SetLeverage(PERP.id, 999), Code.INVALID_SETTING),
        (SetLeverage(PERP.id, 10_001), Code.INVALID_SETTING),
        (SetLeverage(PERP.id, None), Code.REPEATED),
    ],
)
def test_leverage_has_bounds(margined: Exchange, action: SetLeverage, code: Code) -> None:
    assert code_of(administer(margined, action)) == code


def test_the_leverage_is_seen_and_kept(margined: Exchange) -> None:
    administer(margined, SetLeverage(PERP.id, 2_000))
    (update,) = margined.of(MarketUpdate)
    assert update.opening_margin_bps == margined.core.market_state(PERP.id).opening_margin_bps == 2_000
    assert Core.restore(margined.core.snapshot()).market_state(PERP.id).opening_margin_bps == 2_000
    administer(margined, SetLeverage(PERP.id, None))
    assert margined.core.market_state(PERP.id).opening_margin_bps is None

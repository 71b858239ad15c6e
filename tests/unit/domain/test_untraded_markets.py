"""Markets that the chain knows and this exchange does not trade."""

from __future__ import annotations

import msgspec
import pytest

from offchain.domain.commands import MarketCreated, MarketStatusChanged
from offchain.domain.errors import Code
from offchain.domain.events import MarketUpdate
from offchain.domain.market import Kind, Market
from tests.utils.exchange import BTC_USDC, BUY, MAKER, Exchange

PERP = msgspec.structs.replace(BTC_USDC, id=9, symbol="BTC-PERP", kind=Kind.PERP, instrument=9)


@pytest.mark.parametrize(("market", "reason"), [(PERP, "perp markets")])
def test_listed_and_halted(exchange: Exchange, market: Market, reason: str) -> None:
    exchange.mine(MarketCreated(market))
    (update,) = exchange.of(MarketUpdate)
    assert (update.status, update.halted) == (1, True)
    assert reason in update.reason
    rejection = exchange.place(MAKER, BUY, 100, 5, market=9).rejection
    assert rejection is not None
    assert rejection.code == Code.MARKET_NOT_ACTIVE
    assert reason in rejection.detail


def test_their_status_is_followed(exchange: Exchange) -> None:
    exchange.mine(MarketCreated(PERP))
    exchange.mine(MarketStatusChanged(9, 3, 7))
    assert exchange.core.market_state(9).status == 3
    assert exchange.core.status().diverged == ""

"""A perpetual and options beside the markets of `exchange`, on an oracle that tests move."""

from __future__ import annotations

import msgspec

from offchain.domain.commands import ClearingChanged, FundingAccrual, Price
from offchain.domain.derivatives import DerivativeRules
from offchain.domain.market import USDC, Market
from offchain.domain.order import Side
from offchain.domain.results import Done
from tests.unit.api.exchange import BTC, MAKER, NOW_MS, TAKER, Exchange, create_order

NOW = NOW_MS // 1000
HOUR_MS = 3_600_000
DAY = 86_400
ORACLE = b"\x0a" * 20
INDEX = 95_000
"""USDC per BTC"""

RULES = DerivativeRules(1_000, 500, 250, 100, 150, 50_000, funding_period=28_800)
PERP = Market(7, "BTC-PERP", 1, 7, BTC.id, USDC, 8, 100_000, 1_000, 10**13, 10**9, ORACLE, RULES)
EXPIRY = NOW + 30 * DAY
PUT_RULES = DerivativeRules(expiry=EXPIRY, strike_per_lot=900_000, is_put=True)
PUT = Market(8, "BTC-30D-90000-P", 3, 8, BTC.id, USDC, 8, 100_000, 1_000, 10**13, 10**9, ORACLE, PUT_RULES)
CALL_RULES = DerivativeRules(expiry=EXPIRY, strike_per_lot=1_000_000, cap_per_lot=2_000_000)
CALL = Market(9, "BTC-30D-100000-C", 3, 9, BTC.id, USDC, 8, 100_000, 1_000, 10**13, 10**9, ORACLE, CALL_RULES)
LATER = msgspec.structs.replace(
    CALL,
    id=10,
    symbol="BTC-60D-100000-C",
    instrument=10,
    derivative=DerivativeRules(expiry=NOW + 60 * DAY, strike_per_lot=1_000_000, cap_per_lot=2_000_000),
)
MARKETS = (PERP, PUT, CALL, LATER)

_nonces = iter(range(1_000, 10**6))


async def tell_index(exchange: Exchange, index: int = INDEX) -> None:
    """The oracle's newest round is of now."""
    now = exchange.clock.ms // 1000
    known = exchange.core.prices.get(ORACLE)
    round_id = known.round + 1 if known is not None else 1
    assert await exchange.submit(Price(ORACLE, round_id, index * 10**18, now, now + 3_600)) == Done()


async def open_derivatives(exchange: Exchange) -> None:
    """They are listed, and the index is known."""
    await exchange.list_markets([(BTC, market) for market in MARKETS])
    await tell_index(exchange)


async def rest(exchange: Exchange, market: Market, side: Side, price: int, lots: int = 10_000) -> None:
    """The maker's order; `price` in USDC per BTC, lots of 0.00001 BTC."""
    order = create_order(MAKER, market=market.id, side=side, price=price * 10, quantity=lots, nonce=next(_nonces) << 32)
    await exchange.submit(exchange.place(MAKER, order))


async def trade(exchange: Exchange, market: Market, price: int, lots: int = 10_000) -> None:
    """The taker buys of the maker."""
    await rest(exchange, market, Side.SELL, price, lots)
    order = create_order(
        TAKER, market=market.id, side=Side.BUY, price=price * 10, quantity=lots, nonce=next(_nonces) << 32
    )
    await exchange.submit(exchange.place(TAKER, order))


async def accrue(exchange: Exchange, hour: int, rate: int, funding: int) -> None:
    """The chain has accrued an hour of the perpetual's funding."""
    accrual = FundingAccrual(PERP.id, hour, funding, rate, INDEX * 10)
    await exchange.block(ClearingChanged(hour.to_bytes(32, "big"), funding=[accrual]))

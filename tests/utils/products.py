"""A ledger with every kind of market, funded traders and oracle rounds, without a chain."""

from __future__ import annotations

from collections.abc import Sequence

from offchain.chain import eip712
from offchain.domain.derivatives import DerivativeRules
from offchain.domain.ledger import FUND, LedgerState, MarketRules
from offchain.domain.market import USDC, Kind, Market
from offchain.domain.oracle import PriceFeed, Round
from offchain.domain.order import Address
from tests.utils.signing import Trader

ENGINE, CLEARINGHOUSE = b"\xee" * 20, b"\xcc" * 20
DOMAIN = eip712.Domain(31337, ENGINE)
NOW = 1_700_002_000
EXPIRY = NOW + 100_000
MAX_AGE = 7_200
BTC, ETH = 1, 2
BTC_USDC, ETH_BTC, BTC_PERP, BTC_FUTURE, BTC_CALL, ETH_PUT = range(3, 9)
BTC_PRICE, ETH_PRICE = 50_000 * 10**18, 2_500 * 10**18

PERP_RULES = DerivativeRules(
    initial_margin_bps=1_000,
    maintenance_margin_bps=500,
    band_bps=300,
    liquidation_fee_bps=100,
    exit_penalty_bps=200,
    funding_cap=50_000,
)
FUTURE_RULES = DerivativeRules(2_000, 600, 500, 600, 100, expiry=EXPIRY)
CALL_RULES = DerivativeRules(expiry=EXPIRY, strike_per_lot=480_000, cap_per_lot=600_000)
PUT_RULES = DerivativeRules(expiry=EXPIRY, strike_per_lot=2_400_000, is_put=True)


def _bitcoin(market: int, symbol: str, kind: Kind) -> Market:
    instrument = BTC if kind == Kind.SPOT else market
    return Market(market, symbol, kind, instrument, BTC, USDC, 8, 100_000, 1_000, 10**13, 10**9)


MARKETS = {
    market.id: market
    for market in (
        _bitcoin(BTC_USDC, "BTC-USDC", Kind.SPOT),
        Market(ETH_BTC, "ETH-BTC", Kind.SPOT, ETH, ETH, BTC, 18, 10**6, 10**15, 10**12, 10**9),
        _bitcoin(BTC_PERP, "BTC-PERP", Kind.PERP),
        _bitcoin(BTC_FUTURE, "BTC-20261225", Kind.FUTURE),
        _bitcoin(BTC_CALL, "BTC-20261225-48000-C", Kind.OPTION),
        Market(ETH_PUT, "ETH-20261225-2400-P", Kind.OPTION, ETH_PUT, ETH, USDC, 18, 10_000, 10**15, 10**12, 10**9),
    )
}
RULES = {BTC_PERP: PERP_RULES, BTC_FUTURE: FUTURE_RULES, BTC_CALL: CALL_RULES, ETH_PUT: PUT_RULES}


def rules_of(
    market: Market, status: int = 1, status_at: int = 0, derivative: DerivativeRules | None = None
) -> MarketRules:
    return MarketRules(
        market.instrument,
        market.kind,
        status,
        status_at,
        market.max_price_per_lot,
        market.max_quantity,
        market.tick_per_lot,
        market.lot_size,
        market.decimals,
        market.kind == Kind.SPOT and market.quote != 0,
        derivative,
    )


def create_ledger(traders: Sequence[Trader], fee_bps: int = 50, fund: int = 10**9) -> LedgerState:
    """Every trader has a billion USDC and plenty of each asset; `fund` is the insurance fund's USDC."""
    state = LedgerState(ENGINE, fee_bps, number=6, matched_at=NOW - 100, clearinghouse=CLEARINGHOUSE)
    state.markets = {market.id: rules_of(market, derivative=RULES.get(market.id)) for market in MARKETS.values()}
    bitcoin = PriceFeed((Round(1, BTC_PRICE, NOW - 500),), MAX_AGE)
    ether = PriceFeed((Round(1, ETH_PRICE, NOW - 500),), MAX_AGE)
    state.feeds = dict.fromkeys((ETH_BTC, BTC_PERP, BTC_FUTURE, BTC_CALL), bitcoin) | {ETH_PUT: ether}
    for trader in traders:
        state.usdc[trader.address] = 10**15
        state.base[trader.address, BTC] = state.base[trader.address, ETH] = 10**27
    state.usdc[FUND] = fund
    return state


def push_price(state: LedgerState, market: int, price: int, time: int) -> None:
    """The oracle of a market, which others may share, has a new round. `price` in USD with 18 decimals."""
    feed = state.feeds[market]
    added = PriceFeed((*feed.rounds, Round(feed.rounds[-1].id + 1, price, time)), feed.max_age)
    state.feeds = {each: added if known == feed else known for each, known in state.feeds.items()}


def total_usdc(state: LedgerState) -> int:
    return sum(state.usdc.values())


def sizes(state: LedgerState, market: int) -> list[int]:
    return [position.size for (_, held), position in state.positions.items() if held == market]


def position_owners(state: LedgerState, market: int) -> list[Address]:
    return [account for (account, held), position in sorted(state.positions.items()) if held == market]

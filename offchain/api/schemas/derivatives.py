"""What is public of derivatives: funding, open interest, the option chain. Units as in `http`."""

from __future__ import annotations

from offchain.api.schemas.base import Base


class FundingAccrued(Base, frozen=True):
    """An hour's funding as it was accrued on chain."""

    time: int
    """the full hour at which it was due"""
    rate: str
    """of the notional at the index, for this hour; longs pay a positive one"""
    index_price: str
    """at the full hour"""
    funding_index: str
    """USDC that one base unit held long has paid since the market began"""


class FundingState(Base, frozen=True):
    """How the present hour of a perpetual stands."""

    rate: str
    """what the samples of this hour make so far: mean of (mark - index) / index at its full minutes, times an hour and
    divided by `period`, at most `cap` either way"""
    minutes: int
    """full minutes of the hour with a fresh index, of which `rate` is the mean"""
    next_funding: int
    """the next full hour, at which it is due"""
    last_funding: int | None
    """the full hour up to which funding was accrued; null if it never was"""
    last_rate: str | None
    """of the last accrual"""


class Funding(FundingState, frozen=True):
    """Funding of a perpetual: the present hour, and past ones, oldest first."""

    market: str
    time: int
    interval: int
    """seconds from one accrual to the next"""
    period: int
    """seconds in which a premium of 1 % costs 1 %"""
    cap: str
    """highest rate per hour"""
    mark_price: str | None
    index_price: str | None
    history: list[FundingAccrued]


class MarketInterest(Base, frozen=True):
    """How much of a derivative is open."""

    market: str
    open_interest: str
    """base units that are held long, and so short, once everything matched has settled"""
    open_interest_value: str | None
    """USDC, at the mark; of an option at the index of its base asset; null if that is not known"""
    mark_price: str | None
    index_price: str | None


class OpenInterest(Base, frozen=True):
    time: int
    markets: list[MarketInterest]


class OptionQuote(Base, frozen=True):
    """An option. Prices are premiums in USDC per whole base unit; null where there is none."""

    market: str
    status: str
    cap: str | None
    """of a call: the index beyond which it pays no more"""
    bid: str | None
    bid_size: str | None
    ask: str | None
    ask_size: str | None
    mark_price: str | None
    last: str | None
    volume: str
    """base units, in the last 24 hours"""
    open_interest: str
    bid_iv: str | None
    """implied volatility, part of one per year: 0.5 is 50 %; null where none explains the price"""
    ask_iv: str | None
    mark_iv: str | None
    delta: str | None
    """at the mark's implied volatility, of one base unit held long: USDC per USDC of the index"""
    gamma: str | None
    """delta per USDC of the index"""
    vega: str | None
    """USDC per percentage point of volatility"""
    theta: str | None
    """USDC per day that passes"""
    rho: str | None
    """USDC per percentage point of interest"""


class Strike(Base, frozen=True):
    """Several calls of a strike differ by their cap."""

    strike: str
    calls: list[OptionQuote]
    puts: list[OptionQuote]


class Expiry(Base, frozen=True):
    expiry: int
    """Unix milliseconds"""
    strikes: list[Strike]
    """lowest first"""


class OptionChain(Base, frozen=True):
    """Options on an asset, the nearest expiry first.

    Implied volatilities and greeks are of Black's model with the index as forward, calls as spreads up to their cap;
    they are there to look at, no money depends on them.
    """

    underlying: str
    time: int
    index_price: str | None
    """USDC per whole base unit; without it there are no implied volatilities"""
    expiries: list[Expiry]
    is_complete: bool
    """false if there are more than a thousand options: ask for one expiry"""

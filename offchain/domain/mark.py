"""The mark: what a lot of a market is worth now, as far as anybody knows. Prices are micro-USDC per lot.

Positions, tickers, candles, channels, samples for funding and stop orders all go by `mark_price`.

1. The middle of the best bid and offer, if they are near each other: at most 5 % of their middle apart, of an option,
   whose spreads are wider by nature, at most as much as the middle itself.
2. Else, where one side is missing or they are far apart, the last trade's price, brought between what is bid and
   offered: nobody sells for less than is bid.
3. Else, of a perpetual or a future, its index, brought there likewise.

The mark of a perpetual or a future is then at most 5 % from a fresh index, so that nobody can move it far with a book
that they have to themselves; an option's is at most its collateral, the most that it can pay.
"""

from __future__ import annotations

import msgspec

from offchain.domain.clearing import BPS
from offchain.domain.market import Kind, Market
from offchain.domain.state import MarketState, State

MARK_BAND_BPS = 500
"""How far from the index the mark of a perpetual or a future may be, basis points of the index."""

MAX_SPREAD_BPS = 500
"""Width of a book, basis points of its middle, beyond which the middle says nothing."""

MAX_OPTION_SPREAD_BPS = 10_000


def mark_price(state: State, venue: MarketState, now_ms: int) -> int | None:
    """Now (Unix milliseconds); None if nobody knows."""
    market, book = venue.market, venue.book
    index = state.index(market, now_ms) if market.kind in (Kind.PERP, Kind.FUTURE) else None
    return mark_of(market, book.bids.best, book.asks.best, venue.last_price, index)


class Quote(msgspec.Struct, frozen=True):
    """What a market is worth, and how much of it is open."""

    market: int
    mark: int | None
    index: int | None
    """of a derivative, an option's too: of its base asset; None where no fresh price is known"""
    last: int | None
    """the last trade's price"""
    open_interest: int
    """lots that are held long, and so short"""
    funding: int
    """of a perpetual: its funding index, micro-USDC per lot x 2^32"""
    last_hour: int
    """hour (Unix time / 3600) up to which funding was accrued; 0: never"""


def quote(state: State, venue: MarketState, now_ms: int) -> Quote:
    """A market at a time (Unix milliseconds)."""
    market, clearing = venue.market, venue.clearing
    return Quote(
        market=market.id,
        mark=mark_price(state, venue, now_ms),
        index=None if market.kind == Kind.SPOT else state.index(market, now_ms),
        last=venue.last_price or None,
        open_interest=venue.open_interest,
        funding=clearing.funding,
        last_hour=clearing.last_hour,
    )


def mark_of(market: Market, bid: int | None, ask: int | None, last: int, index: int | None) -> int | None:
    """From the best bid and offer, the last price (0 before the first trade) and, of a perpetual or a future, a fresh
    index."""
    mark = _middle(market, bid, ask)
    if mark is None:
        known = last or index
        mark = None if known is None else _between(known, bid, ask)
    if mark is None:
        return None
    if market.kind == Kind.OPTION:
        return min(mark, market.terms.collateral)
    if index is not None:
        return _between(mark, -(-index * (BPS - MARK_BAND_BPS) // BPS), index * (BPS + MARK_BAND_BPS) // BPS)
    return mark


def _middle(market: Market, bid: int | None, ask: int | None) -> int | None:
    """Of the best bid and offer; None if they are far apart."""
    if bid is None or ask is None:
        return None
    widest = MAX_OPTION_SPREAD_BPS if market.kind == Kind.OPTION else MAX_SPREAD_BPS
    # (ask - bid) / ((bid + ask) / 2) <= widest / BPS
    return (bid + ask) // 2 if 2 * BPS * (ask - bid) <= widest * (bid + ask) else None


def _between(price: int, low: int | None, high: int | None) -> int:
    if high is not None and price > high:
        price = high
    return low if low is not None and price < low else price

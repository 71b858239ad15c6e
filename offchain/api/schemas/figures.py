"""What was traded: candles, tickers and statistics. Units as in `http`."""

from __future__ import annotations

from offchain.api.schemas.base import Base


class Candle(Base, frozen=True):
    """What was traded from `time` on, for one interval."""

    time: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    """base units"""
    quote_volume: str
    """units of the quote asset"""
    trades: int


class Candles(Base, frozen=True):
    """Oldest first; intervals without a trade, or a sample of mark and index, are left out."""

    market: str
    price_type: str
    """what they are of: last | mark | index; of mark and index volume and trades are 0"""
    interval: str
    candles: list[Candle]


class Ticker(Base, frozen=True):
    """A market in the last 24 hours, to the minute. Prices are null as long as nothing was traded in that time."""

    market: str
    time: int
    open: str | None
    high: str | None
    low: str | None
    last: str | None
    """price of the last trade, however long ago"""
    change: str | None
    """last - open"""
    change_percent: str | None
    """of open, two digits, rounded towards zero"""
    volume: str
    """base units"""
    quote_volume: str
    """units of the quote asset"""
    trades: int
    bid: str | None
    bid_size: str | None
    ask: str | None
    ask_size: str | None
    mark_price: str | None
    """null if nobody knows"""
    index_price: str | None
    """of a derivative, an option's too: of its base asset; null of a spot market, and where no fresh price is known"""
    open_interest: str | None
    """base units; null of a spot market"""
    open_interest_value: str | None
    """USDC, at the mark; of an option at the index"""
    funding_rate: str | None
    """of a perpetual: what the present hour makes so far, per hour; null of other kinds"""
    next_funding: int | None
    """of a perpetual: the full hour at which it is due"""


class Tickers(Base, frozen=True):
    tickers: list[Ticker]


class Volume(Base, frozen=True):
    """What was traded, and the fees of both sides in USDC."""

    volume: str
    quote_volume: str
    fees: str
    trades: int


class MarketStatistics(Base, frozen=True):
    market: str
    day: Volume
    """the last 24 hours, to the minute"""
    ever: Volume
    mark_price: str | None
    """as in a ticker; likewise the following"""
    index_price: str | None
    open_interest: str | None
    open_interest_value: str | None
    funding_rate: str | None
    next_funding: int | None


class Statistics(Base, frozen=True):
    time: int
    markets: list[MarketStatistics]

"""Candles, tickers and statistics in the words and units of the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from offchain.api.derivatives import interest_value, rate
from offchain.api.present import Presenter
from offchain.api.rates import Prediction
from offchain.api.schemas import figures, http
from offchain.domain.mark import Quote
from offchain.domain.market import USDC, Kind, Market
from offchain.domain.units import format_units
from offchain.ports import CandleRow, MarketFigures

PERCENT_DECIMALS = 2


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a market."""

    traded: MarketFigures
    quote: Quote
    prediction: Prediction | None
    """of a perpetual"""


def candle(present: Presenter, market: Market, row: CandleRow) -> figures.Candle:
    return figures.Candle(
        time=row.start_ms,
        open=present.price(market, row.open),
        high=present.price(market, row.high),
        low=present.price(market, row.low),
        close=present.price(market, row.close),
        volume=present.quantity(market, row.quantity),
        quote_volume=_notional(market, row.notional),
        trades=row.trades,
    )


def ticker(present: Presenter, market: Market, found: Facts, book: http.Book, now_ms: int) -> figures.Ticker:
    day, ever = found.traded.window, found.traded.ever
    bid, bid_size = book.bids[0] if book.bids else (None, None)
    ask, ask_size = book.asks[0] if book.asks else (None, None)
    return figures.Ticker(
        market=market.symbol,
        time=now_ms,
        open=present.price(market, day.open) if day else None,
        high=present.price(market, day.high) if day else None,
        low=present.price(market, day.low) if day else None,
        last=present.price(market, ever.close) if ever else None,
        change=present.price(market, day.close - day.open) if day else None,
        change_percent=_percent(day.close - day.open, day.open) if day else None,
        volume=present.quantity(market, day.quantity if day else 0),
        quote_volume=_notional(market, day.notional if day else 0),
        trades=day.trades if day else 0,
        bid=bid,
        bid_size=bid_size,
        ask=ask,
        ask_size=ask_size,
        **_present(present, market, found),
    )


def statistics(present: Presenter, market: Market, found: Facts) -> figures.MarketStatistics:
    return figures.MarketStatistics(
        market=market.symbol,
        day=_volume(present, market, found.traded.window),
        ever=_volume(present, market, found.traded.ever),
        **_present(present, market, found),
    )


def _present(present: Presenter, market: Market, found: Facts) -> dict[str, Any]:
    """Of now; what a kind of market does not have is None."""
    quote, prediction, is_spot = found.quote, found.prediction, market.kind == Kind.SPOT
    return {
        "mark_price": present.price_or_none(market, quote.mark),
        "index_price": present.price_or_none(market, quote.index),
        "open_interest": None if is_spot else present.quantity(market, quote.open_interest),
        "open_interest_value": None if is_spot else interest_value(market, quote),
        "funding_rate": rate(prediction.rate) if prediction else None,
        "next_funding": prediction.next_ms if prediction else None,
    }


def _volume(present: Presenter, market: Market, row: CandleRow | None) -> figures.Volume:
    return figures.Volume(
        volume=present.quantity(market, row.quantity if row else 0),
        quote_volume=_notional(market, row.notional if row else 0),
        fees=present.amount(USDC, row.fees if row else 0),
        trades=row.trades if row else 0,
    )


def _notional(market: Market, notional: int) -> str:
    """Units of the quote asset."""
    return format_units(notional, market.price_decimals)


def _percent(part: int, whole: int) -> str:
    digits = abs(part) * 100 * 10**PERCENT_DECIMALS // whole
    return format_units(-digits if part < 0 else digits, PERCENT_DECIMALS)

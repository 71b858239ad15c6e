"""The options on an asset, by expiry and strike, with implied volatilities and greeks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offchain.api.optionmath import YEAR_SECONDS, Greeks, Terms, greeks, implied_volatility
from offchain.api.patience import unhurried
from offchain.api.present import Presenter, market_status
from offchain.api.schemas import derivatives, http
from offchain.catalogue import Listing
from offchain.domain.mark import Quote
from offchain.domain.market import USDC_DECIMALS, Market

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of an option."""

    listing: Listing
    quote: Quote
    book: http.Book
    """its best levels"""
    volume: int
    """lots in 24 hours"""


async def expiries(present: Presenter, rows: Sequence[Row], now_ms: int) -> list[derivatives.Expiry]:
    """The nearest first, the lowest strike first. Others have their turn meanwhile."""
    by_expiry: dict[int, dict[int, list[Row]]] = {}
    for row in rows:
        terms = row.listing.market.terms
        strike = row.listing.market.price_per_unit(terms.strike_per_lot)
        by_expiry.setdefault(terms.expiry, {}).setdefault(strike, []).append(row)
    return [
        derivatives.Expiry(
            expiry=expiry * 1000,
            strikes=[_strike(present, strikes[strike], now_ms) async for strike in unhurried(sorted(strikes))],
        )
        for expiry, strikes in sorted(by_expiry.items())
    ]


def _strike(present: Presenter, rows: Sequence[Row], now_ms: int) -> derivatives.Strike:
    market = rows[0].listing.market
    quotes = [(row.listing.market.terms.is_put, _option(present, row, now_ms)) for row in rows]
    return derivatives.Strike(
        strike=present.price(market, market.terms.strike_per_lot),
        calls=[quote for is_put, quote in quotes if not is_put],
        puts=[quote for is_put, quote in quotes if is_put],
    )


def _option(present: Presenter, row: Row, now_ms: int) -> derivatives.OptionQuote:
    market, quote = row.listing.market, row.quote
    bid, bid_size = row.book.bids[0] if row.book.bids else (None, None)
    ask, ask_size = row.book.asks[0] if row.book.asks else (None, None)
    mark = present.price_or_none(market, quote.mark)
    terms = _terms(market, quote, now_ms)
    mark_iv = _implied(terms, mark)
    figures = greeks(terms, mark_iv) if terms is not None and mark_iv is not None else None
    return derivatives.OptionQuote(
        market=market.symbol,
        status=market_status(row.listing),
        cap=None if market.terms.is_put else present.price(market, market.terms.cap_per_lot),
        bid=bid,
        bid_size=bid_size,
        ask=ask,
        ask_size=ask_size,
        mark_price=mark,
        last=present.price_or_none(market, quote.last),
        volume=present.quantity(market, row.volume),
        open_interest=present.quantity(market, quote.open_interest),
        bid_iv=_decimal(_implied(terms, bid), 6),
        ask_iv=_decimal(_implied(terms, ask), 6),
        mark_iv=_decimal(mark_iv, 6),
        **_described(figures),
    )


def _terms(market: Market, quote: Quote, now_ms: int) -> Terms | None:
    """In USDC per whole base unit; time counts in whole minutes, so that what was computed serves for one."""
    minutes = (market.terms.expiry * 1000 - now_ms) // MINUTE_MS
    if quote.index is None or minutes <= 0:
        return None

    def whole(price: int) -> float:
        return float(market.price_per_unit(price) / 10**USDC_DECIMALS)

    terms = market.terms
    cap = None if terms.is_put else whole(terms.cap_per_lot)
    return Terms(whole(quote.index), whole(terms.strike_per_lot), cap, terms.is_put, minutes * 60 / YEAR_SECONDS)


def _implied(terms: Terms | None, price: str | None) -> float | None:
    return None if terms is None or price is None else implied_volatility(terms, float(price))


def _described(figures: Greeks | None) -> Mapping[str, str | None]:
    decimals = {"delta": 6, "gamma": 10, "vega": 6, "theta": 6, "rho": 6}
    return {name: _decimal(getattr(figures, name, None), digits) for name, digits in decimals.items()}


def _decimal(number: float | None, digits: int) -> str | None:
    """Without exponent and trailing zeros."""
    if number is None:
        return None
    text = f"{number:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text

"""Funding and open interest in the words and units of the wire."""

from __future__ import annotations

from collections.abc import Sequence

from offchain.api.present import RATE_DECIMALS, Presenter
from offchain.api.rates import HOUR_MS, Prediction
from offchain.api.schemas import derivatives, stream
from offchain.domain.clearing import FUNDING_SCALE
from offchain.domain.funding import HOUR, truncated_div
from offchain.domain.mark import Quote
from offchain.domain.market import USDC_DECIMALS, Kind, Market
from offchain.domain.units import format_units
from offchain.ports import FundingRow


def rate(rate: int) -> str:
    """From 1e-8 per hour."""
    return format_units(rate, RATE_DECIMALS)


def funding_rate(prediction: Prediction) -> stream.FundingRate:
    last = prediction.last
    return stream.FundingRate(
        rate=rate(prediction.rate),
        minutes=prediction.minutes,
        next_funding=prediction.next_ms,
        last_funding=last.hour * HOUR_MS if last else None,
        last_rate=rate(last.rate) if last else None,
    )


def funding(
    present: Presenter,
    market: Market,
    quote: Quote,
    prediction: Prediction,
    history: Sequence[FundingRow],
    now_ms: int,
) -> derivatives.Funding:
    state = funding_rate(prediction)
    return derivatives.Funding(
        market=market.symbol,
        time=now_ms,
        interval=HOUR,
        period=market.terms.funding_period or HOUR,
        cap=rate(market.terms.funding_cap),
        mark_price=present.price_or_none(market, quote.mark),
        index_price=present.price_or_none(market, quote.index),
        rate=state.rate,
        minutes=state.minutes,
        next_funding=state.next_funding,
        last_funding=state.last_funding,
        last_rate=state.last_rate,
        history=[_accrued(present, market, row) for row in history],
    )


def _accrued(present: Presenter, market: Market, row: FundingRow) -> derivatives.FundingAccrued:
    paid = truncated_div(row.funding * market.scale, market.lot_size * FUNDING_SCALE)
    return derivatives.FundingAccrued(
        time=row.hour * HOUR_MS,
        rate=rate(row.rate),
        index_price=present.price(market, row.index),
        funding_index=format_units(paid, USDC_DECIMALS),
    )


def interest(present: Presenter, market: Market, quote: Quote) -> derivatives.MarketInterest:
    return derivatives.MarketInterest(
        market=market.symbol,
        open_interest=present.quantity(market, quote.open_interest),
        open_interest_value=interest_value(market, quote),
        mark_price=present.price_or_none(market, quote.mark),
        index_price=present.price_or_none(market, quote.index),
    )


def interest_value(market: Market, quote: Quote) -> str | None:
    """USDC: at the mark, of an option, whose mark is a premium, at the index; 0 if nothing is open."""
    price = quote.index if market.kind == Kind.OPTION else quote.mark
    if quote.open_interest and price is None:
        return None
    return format_units(quote.open_interest * (price or 0), USDC_DECIMALS)

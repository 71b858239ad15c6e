"""The rate of funding that the present hour makes so far."""

from __future__ import annotations

from dataclasses import dataclass

from offchain.domain.funding import HOUR, hourly_rate
from offchain.domain.market import Market
from offchain.domain.sampling import HOLD_MS, at_minutes
from offchain.ports import FundingRow, Views

HOUR_MS = HOUR * 1000
KEPT_MS = 2_000
"""For so long `recent` does not count a rate again. It changes with the full minutes only."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Of one perpetual."""

    rate: int
    """1e-8 per hour"""
    minutes: int
    """full minutes of which it is the mean"""
    next_ms: int
    """the full hour at which it is due"""
    last: FundingRow | None
    """the newest accrual"""


class Rates:
    """Counts rates from the samples in the views; one for each perpetual is kept."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._known: dict[int, tuple[int, Prediction]] = {}

    async def recent(self, market: Market, now_ms: int) -> Prediction:
        """Of a perpetual, at a time (Unix milliseconds) or up to KEPT_MS before."""
        slot = now_ms // KEPT_MS
        known = self._known.get(market.id)
        if known is not None and known[0] == slot:
            return known[1]
        prediction = await self.predict(market, now_ms)
        self._known[market.id] = (slot, prediction)
        return prediction

    async def predict(self, market: Market, now_ms: int) -> Prediction:
        """Of a perpetual, at a time (Unix milliseconds)."""
        start_ms = now_ms - now_ms % HOUR_MS
        rows = await self._views.samples(market.id, start_ms - HOLD_MS)
        pairs = at_minutes([(row.time_ms, row.mark, row.index) for row in rows], start_ms, now_ms + 1)
        rate = hourly_rate(pairs, market.terms.funding_period or HOUR, market.terms.funding_cap)
        accrued = await self._views.funding(market.id, None, 1)
        return Prediction(rate, len(pairs), start_ms + HOUR_MS, accrued[-1] if accrued else None)

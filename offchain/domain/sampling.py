"""Samples of mark and index, from which candles and the rate of funding are made.

They are taken within commands that come anyway, `Price` and `Tick`: an idle exchange writes nothing for their sake. One
has about 35 bytes in the journal. A perpetual or a future, whose price is told at least every ten seconds, has 1,440 of
them a day (50 kB) while nothing moves and at most 17,280 (600 kB); an option at most 1,440, and none while its mark
stands still.
"""

from __future__ import annotations

from collections.abc import Sequence

from offchain.domain.events import MarkSample
from offchain.domain.ledger import ClearingStatus
from offchain.domain.mark import mark_price
from offchain.domain.market import Kind
from offchain.domain.order import Address
from offchain.domain.state import MarketState, State, Turn

SAMPLE_MS = 5_000
"""Least time between two samples of a perpetual or a future."""

REPEAT_MS = 60_000
"""After so long an unchanged sample of a perpetual or a future is taken again, which says that the index is still
fresh; least time between two samples of an option."""

HOLD_MS = REPEAT_MS + 30_000
"""So long a sample holds: while the index is fresh the next one has come by then."""

MINUTE_MS = 60_000


def sample(state: State, turn: Turn, oracle: Address | None = None) -> None:
    """Take down mark and index of the derivatives (of those that go by `oracle`) where that is due."""
    for venue in state.markets.values():
        market = venue.market
        if market.derivative is not None and oracle in (None, market.oracle):
            _sample(state, turn, venue)


def _sample(state: State, turn: Turn, venue: MarketState) -> None:
    market, last, now_ms = venue.market, venue.sample, turn.now_ms
    is_option = market.kind == Kind.OPTION
    age_ms = now_ms - last.time_ms if last is not None else REPEAT_MS
    if age_ms < (REPEAT_MS if is_option else SAMPLE_MS) or _is_over(venue, now_ms):
        return
    mark = mark_price(state, venue, now_ms)
    index = 0 if is_option else state.index(market, now_ms)
    if mark is None or index is None:
        return
    is_known = last is not None and (last.mark, last.index) == (mark, index)
    if is_known and (is_option or age_ms < REPEAT_MS):
        return
    venue.sample = MarkSample(market.id, now_ms, mark, index)
    turn.events.append(venue.sample)


def _is_over(venue: MarketState, now_ms: int) -> bool:
    expiry = venue.market.terms.expiry
    return venue.clearing.status == ClearingStatus.EXPIRED or 0 < expiry * 1000 <= now_ms


def at_minutes(samples: Sequence[tuple[int, int, int]], start_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """The (mark, index) that held at each full minute of `start_ms` (a full minute) <= time < `end_ms`.

    `samples` are (Unix milliseconds, mark, index) in order of time, from HOLD_MS before `start_ms` on. A sample holds
    until the next one, and no longer than HOLD_MS: minutes without a fresh index have none.
    """
    found: list[tuple[int, int]] = []
    place = -1
    for minute in range(start_ms, end_ms, MINUTE_MS):
        while place + 1 < len(samples) and samples[place + 1][0] <= minute:
            place += 1
        if place >= 0 and minute - samples[place][0] <= HOLD_MS:
            found.append(samples[place][1:])
    return found

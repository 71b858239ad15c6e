"""Stop and take-profit orders: they wait outside the book, and reserve nothing, until a price wakes them up.

The last price is compared print by print, mark and index after each command that may have changed them. Of several that
are due on one print the one that was entered first goes first; what they trade may wake up others. One that is due is
never put back to sleep, even if the price is another by the time it is executed: while its market stands still or takes
no such orders, it stays due.
"""

from __future__ import annotations

from offchain.domain.admission import standstill
from offchain.domain.mark import mark_price
from offchain.domain.order import Trigger, TriggerSource
from offchain.domain.state import MarketState, State, Turn

MAX_TRIGGERED = 64
"""Orders that one command wakes up; the next one goes on."""


def price_of(state: State, venue: MarketState, source: TriggerSource, now_ms: int) -> int | None:
    """What triggers of this source are compared with now; None if nobody knows."""
    if source is TriggerSource.LAST:
        return venue.last_price or None
    if source is TriggerSource.MARK:
        return mark_price(state, venue, now_ms)
    return state.index(venue.market, now_ms)


def reaching(state: State, venue: MarketState, trigger: Trigger, side: int, now_ms: int) -> int | None:
    """The price by which an order need not wait at all; None if it must."""
    price = price_of(state, venue, trigger.source, now_ms)
    if price is None or (price < trigger.price if trigger.rises(side) else price > trigger.price):
        return None
    return price


def collect(state: State, turn: Turn) -> None:
    """Make ready what the prices of this turn have reached."""
    if turn.prints is None:
        return
    for venue, (low, high) in turn.prints.items():
        assert venue.waiting is not None, "prints are noted where orders wait"
        prints = [(TriggerSource.LAST, low, high)] if high else []
        for source in (TriggerSource.MARK, TriggerSource.INDEX):
            price = price_of(state, venue, source, turn.now_ms) if venue.waiting.waits_for(source) else None
            if price is not None:
                prints.append((source, price, price))
        venue.waiting.reach(prints)
        if venue.waiting.ready:
            state.ready[venue.market.id] = None
    turn.prints = None


def next_ready(state: State, now_ms: int) -> MarketState | None:
    """The first market whose oldest ready order can be executed now."""
    for market in sorted(state.ready):
        venue = state.markets[market]
        if venue.waiting is None or not venue.waiting.ready:
            del state.ready[market]
            continue
        live, _ = next(iter(venue.waiting.ready.values()))
        if live.waiting is not None and standstill(state, venue, live.waiting, now_ms) is None:
            return venue
    return None

"""The index of a market, as the Clearinghouse takes it from the market's oracle: micro-USDC per lot, rounded down."""

from __future__ import annotations

from offchain.domain.batch import SettlementError
from offchain.domain.ledger import LedgerState
from offchain.domain.oracle import MAX_INDEX


def index_at(state: LedgerState, market: int, round_id: int, time: int) -> int:
    """At a round that held at `time`."""
    return _index(state, market, state.feeds[market].price_at(round_id, time))


def index_across(state: LedgerState, market: int, round_id: int, time: int) -> int:
    """At the round that is the last before `time` and whose successor has come."""
    return _index(state, market, state.feeds[market].price_across(round_id, time))


def latest_index(state: LedgerState, market: int, now: int) -> int:
    """At the newest round, which must be fresh."""
    return _index(state, market, state.feeds[market].latest(now).price)


def _index(state: LedgerState, market: int, price: int) -> int:
    index = state.markets[market].index_of(price)
    if not 0 < index <= MAX_INDEX:
        raise SettlementError("IndexOutOfBounds", (market, price))
    return index

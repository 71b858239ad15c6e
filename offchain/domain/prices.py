"""What oracles say: the newest round of each, as the worker sees it on chain."""

from __future__ import annotations

from offchain.domain.bust import walk
from offchain.domain.commands import Price
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import PriceUpdate
from offchain.domain.oracle import OraclePrice
from offchain.domain.results import Done
from offchain.domain.sampling import sample
from offchain.domain.state import State, Turn


def set_price(state: State, turn: Turn, command: Price) -> Done | Rejection:
    """Take the newest round of an oracle. An older round is refused: the node that told it lags behind."""
    if all(venue.market.oracle != command.oracle for venue in state.markets.values()):
        return Rejection(Code.UNKNOWN_ORACLE, "oracle", f"no market goes by the oracle 0x{command.oracle.hex()}")
    if command.price <= 0:
        return Rejection(Code.INVALID_PRICE, "price", "a price is positive")
    if command.updated_at * 1000 > turn.now_ms:
        # Matched before its time, a fill could not settle at it.
        detail = f"the round is of {command.updated_at}, now is {turn.now_ms} ms"
        return Rejection(Code.OUT_OF_ORDER, "updatedAt", detail)
    known = state.prices.get(command.oracle)
    if known is not None and command.round < known.round:
        return Rejection(Code.OUT_OF_ORDER, "round", f"the newest round is {known.round}")
    price = OraclePrice(command.round, command.price, command.updated_at, command.valid_until, turn.now_ms)
    state.prices[command.oracle] = price
    turn.events.append(PriceUpdate(command.oracle, price))
    for venue in state.markets.values():
        if venue.waiting is not None and venue.market.oracle == command.oracle:
            turn.note(venue)
    if known is not None and known.round == price.round:
        _drop_replaced(state, turn, command, known)
    sample(state, turn, command.oracle)
    return Done()


def _drop_replaced(state: State, turn: Turn, command: Price, known: OraclePrice) -> None:
    """Drop fills that were matched at the round as a reorganisation undid it: they would settle for other money."""
    if (known.price, known.updated_at) == (command.price, command.updated_at):
        return
    named = frozenset(
        fill.trade.id
        for fill in state.outbox.fills.values()
        if fill.trade.conversion is not None
        and fill.trade.conversion.round == command.round
        and state.markets[fill.trade.market].market.oracle == command.oracle
    )
    if named:
        walk(state, turn, named, "reorg")

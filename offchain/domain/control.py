"""What the operator decides: the configuration, halts off chain, and limits of orders."""

from __future__ import annotations

import msgspec

from offchain.domain.admin import ChangeSettings, HaltAll, LimitQuantity, SetLeverage
from offchain.domain.commands import Configure, SetStatus
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import Configured
from offchain.domain.fees import FeeSchedule
from offchain.domain.market import Kind
from offchain.domain.results import Done
from offchain.domain.state import State, Turn

MAX_FEE_BPS = 50
"""The Engine's hard cap, basis points per side."""

MAX_OPENING_MARGIN_BPS = 10_000
"""Positions without leverage."""

_LOWEST = {
    "chain_id": 1,
    "fee_bps": 0,
    "confirmations": 1,
    "window": 1,
    "max_head_age_ms": 0,
    "max_open_orders": 1,
    "price_band_bps": 0,
}

CHANGEABLE = {"max_open_orders": (1, 1_000_000), "price_band_bps": (0, 1_000_000)}
"""Settings that may change while the exchange runs, with their bounds; `Configure` says how they begin."""

_WIRE = {"max_open_orders": "maxOpenOrders", "price_band_bps": "priceBandBps"}


def configure(state: State, turn: Turn, command: Configure) -> Done | Rejection:
    """Set, once, what execution depends on."""
    if state.configuration is not None:
        return Rejection(Code.ALREADY_CONFIGURED, "", "the exchange is configured")
    for name, lowest in _LOWEST.items():
        if getattr(command, name) < lowest:
            return Rejection(Code.INVALID_CONFIGURATION, name, f"{name} is at least {lowest}")
    if command.fee_bps > MAX_FEE_BPS:
        return Rejection(Code.INVALID_CONFIGURATION, "fee_bps", f"fee_bps is at most {MAX_FEE_BPS}")
    if len(command.engine) != 20:
        return Rejection(Code.INVALID_CONFIGURATION, "engine", "engine is an address of 20 bytes")
    state.configuration = command
    state.fee_bps = command.fee_bps
    state.fees = FeeSchedule(command.fee_bps, command.fee_bps)
    turn.events.append(Configured(command.chain_id, command.engine, command.fee_bps))
    return Done()


def set_status(state: State, turn: Turn, command: SetStatus) -> Done | Rejection:
    """Halt or resume a market off chain."""
    venue = state.markets.get(command.market)
    if venue is None:
        return Rejection(Code.UNKNOWN_MARKET, "market", f"there is no market {command.market}")
    halt = command.reason if command.halted else None
    if halt == venue.operator_halt:
        return Rejection(Code.REPEATED, "halted", "the market has this status")
    venue.operator_halt = halt
    turn.events.append(state.market_update(command.market))
    return Done()


def halt_all(state: State, turn: Turn, command: HaltAll) -> Done | Rejection:
    """Halt or resume all markets; what halts a market by itself stays."""
    halt = command.reason if command.halted else None
    if halt == state.exchange_halt:
        return Rejection(Code.REPEATED, "halted", "the exchange has this status")
    state.exchange_halt = halt
    turn.events.append(state.exchange_update())
    turn.events.extend(state.market_update(market) for market in state.markets)
    return Done()


def change_settings(state: State, turn: Turn, command: ChangeSettings) -> Done | Rejection:
    """Change limits of orders from now on; what rests stays, whatever it is."""
    assert state.configuration is not None, "commands before Configure are refused"
    changes = {name: getattr(command, name) for name in CHANGEABLE if getattr(command, name) is not None}
    if not changes:
        return Rejection(Code.INVALID_SETTING, "", "no setting is named")
    for name, value in changes.items():
        lowest, highest = CHANGEABLE[name]
        if not lowest <= value <= highest:
            return Rejection(Code.INVALID_SETTING, _WIRE[name], f"{_WIRE[name]} is from {lowest} to {highest}")
    changed = msgspec.structs.replace(state.configuration, **changes)
    if changed == state.configuration:
        return Rejection(Code.REPEATED, "", "the settings are like this")
    state.configuration = changed
    turn.events.append(state.exchange_update())
    return Done()


def set_leverage(state: State, turn: Turn, command: SetLeverage) -> Done | Rejection:
    """Bound the leverage at which positions of a margined market may grow from now on; those that are stay."""
    venue = state.markets.get(command.market)
    if venue is None:
        return Rejection(Code.UNKNOWN_MARKET, "market", f"there is no market {command.market}")
    market, margin = venue.market, command.opening_margin_bps
    if market.kind not in (Kind.PERP, Kind.FUTURE):
        return Rejection(Code.INVALID_SETTING, "market", f"market {market.symbol} has no margin")
    lowest = market.terms.initial_margin_bps
    if margin is not None and not lowest <= margin <= MAX_OPENING_MARGIN_BPS:
        detail = f"openingMarginBps is from {lowest}, the registry's initial margin, to {MAX_OPENING_MARGIN_BPS}"
        return Rejection(Code.INVALID_SETTING, "openingMarginBps", detail)
    if margin == venue.opening_margin_bps:
        return Rejection(Code.REPEATED, "openingMarginBps", "the market has this margin")
    venue.opening_margin_bps = margin
    turn.events.append(state.market_update(command.market))
    return Done()


def limit_quantity(state: State, turn: Turn, command: LimitQuantity) -> Done | Rejection:
    """Bound the quantity of a market's orders from now on."""
    venue = state.markets.get(command.market)
    if venue is None:
        return Rejection(Code.UNKNOWN_MARKET, "market", f"there is no market {command.market}")
    limit = command.quantity
    if limit is not None and not 1 <= limit <= venue.market.max_quantity:
        detail = f"{limit} lots are not between 1 and {venue.market.max_quantity}"
        return Rejection(Code.INVALID_SETTING, "quantityLimit", detail)
    if limit == venue.quantity_limit:
        return Rejection(Code.REPEATED, "quantityLimit", "the market has this limit")
    venue.quantity_limit = limit
    turn.events.append(state.market_update(command.market))
    return Done()

"""What the operator decides: the configuration, and off-chain halts of markets."""

from __future__ import annotations

from offchain.domain.commands import Configure, SetStatus
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import Configured, Done
from offchain.domain.fees import FeeSchedule
from offchain.domain.state import State, Turn

MAX_FEE_BPS = 50
"""The Engine's hard cap, basis points per side."""

_LOWEST = {
    "chain_id": 1,
    "fee_bps": 0,
    "confirmations": 1,
    "window": 1,
    "max_head_age_ms": 0,
    "max_open_orders": 1,
    "price_band_bps": 0,
}


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

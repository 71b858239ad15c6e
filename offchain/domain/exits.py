"""Leaving a position when nobody trades with it: what an exit pays (the rules of `IClearinghouse`).

Amounts are micro-USDC, the index micro-USDC per lot, the penalty basis points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from offchain.domain.clearing import BPS, PositionState, ceil_div, equity
from offchain.domain.liquidation import Takeover, take_over


@dataclass(frozen=True, slots=True)
class Exit:
    payout: int
    """what the account receives"""
    takeover: Takeover
    """of what remains of the position, by the insurance fund"""


def payout_down(position: PositionState, index: int, exit_penalty_bps: int) -> int:
    """max(0, floor(E(I) - penalty * |s| * I / 1e4)) in micro-USDC."""
    penalty_up = ceil_div(abs(position.size) * index * exit_penalty_bps, BPS)
    return max(0, equity(position, index) - penalty_up)


def leave(
    fund: PositionState, position: PositionState, index: int, exit_penalty_bps: int, maintenance_margin_bps: int
) -> Exit:
    """Pay an account out and let the fund take the rest over. Both positions must have been accrued."""
    payout = payout_down(position, index, exit_penalty_bps)
    rest = replace(position, quote=position.quote - payout)
    return Exit(payout, take_over(fund, rest, index, maintenance_margin_bps))

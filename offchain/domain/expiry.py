"""What positions are worth after their market has expired (the rules of `IClearinghouse`).

Amounts are micro-USDC, settlement prices micro-USDC per lot.
"""

from __future__ import annotations

from dataclasses import dataclass

from offchain.domain.clearing import PositionState, equity


@dataclass(frozen=True, slots=True)
class Closing:
    """What closing a position moves."""

    position: PositionState
    """afterwards: flat, with what the pool could not pay as its quote"""
    paid: int
    """from the pool to the account"""
    covered: int
    """from the insurance fund into the pool, for a loss"""


def close(position: PositionState, settlement_price: int, pool: int, fund: int) -> Closing:
    """Close a perpetual's or a future's position at S; funding must have been accrued.

    e = E(S). A profit is paid as far as the pool reaches and stays a claim beyond; of a loss the fund pays what it has.
    """
    value = equity(position, settlement_price)
    paid = min(value, pool) if value >= 0 else 0
    covered = min(-value, fund) if value < 0 else 0
    return Closing(PositionState(0, max(0, value) - paid, position.funding), paid, covered)

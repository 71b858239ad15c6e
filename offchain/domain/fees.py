"""The fee in basis points per side, and its scheduled change."""

from __future__ import annotations

import msgspec


class FeeSchedule(msgspec.Struct, frozen=True, array_like=True):
    """As in the Engine: one change at a time."""

    current: int = 0
    """before the change"""
    next: int = 0
    """from it on"""
    at: int = 0
    """match time of the change in Unix seconds; 0 if none was ever scheduled"""

    def fee_at(self, second: int) -> int:
        """The fee of what is matched at `second` (Unix seconds)."""
        return self.next if 0 < self.at <= second else self.current

    def change(self, fee_bps: int, at: int, now: int) -> FeeSchedule:
        """With a new change, scheduled in a block of the time `now`, in place of one that has not begun by then."""
        return FeeSchedule(self.fee_at(now), fee_bps, at)

"""Terms of markets, and the fields of the words that the registry packs."""

from __future__ import annotations

from typing import Any

ZERO = "0x" + "00" * 20
SPOT, PERP, FUTURE, OPTION = range(4)

NO_DERIVATIVE: dict[str, Any] = {
    "expiry": 0,
    "strike": 0,
    "cap": 0,
    "isPut": False,
    "initialMarginBps": 0,
    "maintenanceMarginBps": 0,
    "bandBps": 0,
    "liquidationFeeBps": 0,
    "exitPenaltyBps": 0,
    "fundingCap": 0,
    "fundingPeriod": 0,
}
MARGINS = {
    "initialMarginBps": 1_000,
    "maintenanceMarginBps": 500,
    "bandBps": 250,
    "liquidationFeeBps": 100,
    "exitPenaltyBps": 150,
}
FUNDING = {"fundingCap": 50_000, "fundingPeriod": 28_800}

MARKET_WORD = (
    ("instrument", 224, 32),
    ("kind", 216, 8),
    ("status", 208, 8),
    ("statusAt", 168, 40),
    ("maxPricePerLot", 112, 56),
    ("maxQuantity", 72, 40),
    ("tickPerLot", 40, 32),
    ("lotMantissa", 16, 24),
    ("lotExponent", 8, 8),
    ("isCrossQuoted", 7, 1),
    ("zero", 5, 2),
    ("baseDecimals", 0, 5),
)
DERIVATIVE_WORD = (
    ("initialMarginBps", 240, 16),
    ("maintenanceMarginBps", 224, 16),
    ("bandBps", 208, 16),
    ("liquidationFeeBps", 192, 16),
    ("exitPenaltyBps", 176, 16),
    ("fundingCap", 160, 16),
    ("expiry", 120, 40),
    ("strikePerLot", 64, 56),
    ("capPerLot", 8, 56),
    ("isPut", 0, 8),
)


def unpack(word: int, fields: tuple[tuple[str, int, int], ...] = MARKET_WORD) -> dict[str, int]:
    """Return the fields of a packed word."""
    return {name: word >> shift & (1 << width) - 1 for name, shift, width in fields}

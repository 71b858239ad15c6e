"""Derivatives over HTTP and WebSocket: positions, and the terms of their markets."""

from __future__ import annotations

from offchain.api.schemas.base import Base


class PositionChange(Base, frozen=True):
    """A position in a derivative market, once everything matched has settled."""

    market: str
    size: str
    """base units; negative: short"""
    settled_size: str
    """on chain"""
    entry_price: str | None
    """mean price of what is open, rounded down to a micro-USDC; null if nothing is"""
    realised_pnl: str
    """USDC that closing and funding have brought, before fees"""


class Position(PositionChange, frozen=True):
    kind: str
    mark_price: str | None
    """what it is worth per whole base unit, see Mark in the manual; null if nobody knows"""
    unrealised_pnl: str | None
    """USDC, at the mark"""
    margin: str
    """USDC that is locked: of an option the collateral of its short lots"""
    index_price: str | None = None
    """null of an option, and where no fresh price is known; likewise the following"""
    equity: str | None = None
    """USDC: what would be left if it were closed at the index"""
    maintenance_margin: str | None = None
    """USDC: with less equity it is liquidated"""
    liquidation_price: str | None = None
    """index below (short: above) which it is liquidated; null if there is none"""


class Positions(Base, frozen=True):
    account: str
    positions: list[Position]


class Option(Base, frozen=True):
    """The terms of an option."""

    expiry: int
    """Unix milliseconds"""
    strike: str
    cap: str | None
    """of a call: what it pays for at most; null of a put"""
    is_put: bool
    collateral: str
    """what one whole base unit of a short position locks, USDC"""


class Margined(Base, frozen=True):
    """The terms of a perpetual or a future. Margins, fee and penalty are basis points of the notional."""

    expiry: int | None
    """Unix milliseconds; null of a perpetual"""
    initial_margin_bps: int
    maintenance_margin_bps: int
    liquidation_fee_bps: int
    exit_penalty_bps: int
    liquidation_band_bps: int
    """how far from the index a liquidation may trade"""
    funding_cap: str
    """highest rate of funding per hour"""
    funding_interval: int | None
    """of a perpetual: seconds from one accrual to the next; null of a future, as `fundingPeriod`"""
    funding_period: int | None
    """seconds in which a premium of 1 % costs 1 %"""

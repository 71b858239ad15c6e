"""Liquidation, the insurance fund and deleveraging (the rules of `IClearinghouse`).

Sizes are lots, prices and indices micro-USDC per lot, amounts micro-USDC, margins, bands, fees and penalties basis
points. Funding must have been accrued to every position that is given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from offchain.domain.clearing import (
    BPS,
    PositionState,
    equity,
    fee_down,
    maintenance_margin_up,
    merge,
    quote_share_down,
)


class Reason(Enum):
    """Why the protocol may trade for an account without its signature."""

    FUND = auto()
    """the insurance fund unwinds what it took over"""
    LIQUIDATION = auto()
    EXIT = auto()
    """the account asked for it"""


@dataclass(frozen=True, slots=True)
class Takeover:
    """A position that the insurance fund takes over."""

    fund: PositionState
    """its position afterwards, topped up"""
    top_up: int
    """what the fund pays into the pool so that its position has E(I) >= MM"""


@dataclass(frozen=True, slots=True)
class Deleveraging:
    loser: PositionState
    winner: PositionState
    credit: int
    """what the winner's account receives: the closed lots' quotes of both; not paid out if negative"""


# ---------------------------------------------------------------------------------------------------------------------
# When
# ---------------------------------------------------------------------------------------------------------------------


def is_due(position: PositionState, index: int, maintenance_margin_bps: int) -> bool:
    """Whether a position may be liquidated: E(I) < MM."""
    return equity(position, index) < maintenance_margin_up(position.size, index, maintenance_margin_bps)


def is_for_fund(position: PositionState, index: int, maintenance_margin_bps: int) -> bool:
    """Whether the operator may hand a position to the fund at once: E(I) < MM / 2."""
    return 2 * equity(position, index) < maintenance_margin_up(position.size, index, maintenance_margin_bps)


def is_bankrupt(position: PositionState, index: int) -> bool:
    """Whether a position may be deleveraged if the fund cannot take it: E(I) <= 0."""
    return equity(position, index) <= 0


# ---------------------------------------------------------------------------------------------------------------------
# Forced fills
# ---------------------------------------------------------------------------------------------------------------------


def forcing_reason(
    position: PositionState, index: int, maintenance_margin_bps: int, is_fund: bool, has_exit: bool
) -> Reason | None:
    """Why a position may be filled without a signature; None: it may not."""
    if is_fund:
        return Reason.FUND
    if is_due(position, index, maintenance_margin_bps):
        return Reason.LIQUIDATION
    return Reason.EXIT if has_exit else None


def is_in_band(price: int, index: int, is_buy: bool, band_bps: int) -> bool:
    """Whether a price is not worse than I * (1 -+ band): a sale not below, a purchase not above."""
    if is_buy:
        return price * BPS <= index * (BPS + band_bps)
    return price * BPS >= index * (BPS - band_bps)


def charges(reason: Reason, notional: int, credit: int, fee_bps: int, liquidation_fee_bps: int) -> tuple[int, int]:
    """(fee, penalty) of a forced fill: neither exceeds what closing released, and the fee comes first."""
    fee = min(fee_down(notional, fee_bps), max(0, credit))
    if reason is not Reason.LIQUIDATION:
        return fee, 0
    return fee, min(fee_down(notional, liquidation_fee_bps), credit - fee)


# ---------------------------------------------------------------------------------------------------------------------
# The insurance fund, deleveraging
# ---------------------------------------------------------------------------------------------------------------------


def take_over(fund: PositionState, position: PositionState, index: int, maintenance_margin_bps: int) -> Takeover:
    """Add a position to the fund's, topped up to E(I) >= MM."""
    merged = merge(fund, position)
    missing = maintenance_margin_up(merged.size, index, maintenance_margin_bps) - equity(merged, index)
    top_up = max(0, missing)
    return Takeover(replace(merged, quote=merged.quote + top_up), top_up)


def deleverage(loser: PositionState, winner: PositionState, quantity: int) -> Deleveraging:
    """Close `quantity` lots of two opposite positions against each other; each is at least that large.

    credit = floor(Q_l * q / |s_l|) + floor(Q_w * q / |s_w|): the winner's lots are closed at the loser's bankruptcy
    price.
    """
    lost, won = quote_share_down(loser, quantity), quote_share_down(winner, quantity)
    return Deleveraging(_shrink(loser, quantity, lost), _shrink(winner, quantity, won), lost + won)


def _shrink(position: PositionState, quantity: int, share: int) -> PositionState:
    size = position.size - quantity if position.size > 0 else position.size + quantity
    return replace(position, size=size, quote=position.quote - share)

"""What fills, funding and margin do to one position (the rules of `IClearinghouse`).

Sizes are lots (negative: short), prices and indices micro-USDC per lot, quotes and margins micro-USDC, funding indices
micro-USDC per lot x 2^32, rates basis points. Amounts that a trader receives round down, amounts that it owes round up,
so what rounding leaves stays in the market's pool.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from offchain.domain.batch import SettlementError

FUNDING_SCALE = 2**32
BPS = 10_000


@dataclass(frozen=True, slots=True)
class PositionState:
    """A position as it is stored. An option's has a size only."""

    size: int = 0
    quote: int = 0
    funding: int = 0
    """the market's funding index up to which funding is in `quote`"""


@dataclass(frozen=True, slots=True)
class FillEffect:
    """What one side of a fill does, before fees."""

    position: PositionState
    account: int
    """change of the account's micro-USDC"""
    credit: int
    """the part of it that closing released; it may be negative"""
    closed: int
    """lots by which the position shrank"""
    grown: int
    """lots by which it grew"""


def ceil_div(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def equity(position: PositionState, price: int) -> int:
    """E(x) = s * x + Q in micro-USDC, exactly; funding must have been accrued."""
    return position.size * price + position.quote


def maintenance_margin_up(size: int, index: int, margin_bps: int) -> int:
    """MM = ceil(|s| * I * mm / 1e4) in micro-USDC."""
    return ceil_div(abs(size) * index * margin_bps, BPS)


def has_matching_margin(position: PositionState, index: int, initial_margin_bps: int, margin_bps: int) -> bool:
    """Whether a position that has grown may be matched: E(I) >= |s| * I * (im + mm) / 2.

    Half way between what opening puts in and what the chain asks for (mm, `margin_bps`): so far may the index move
    until the match settles.
    """
    return 2 * BPS * equity(position, index) >= abs(position.size) * index * (initial_margin_bps + margin_bps)


def has_opening_margin(position: PositionState, index: int, opening_margin_bps: int, free: int) -> bool:
    """Whether a position that has grown is within the operator's leverage: E(I) + free >= |s| * I * om / 1e4.

    `free` is the account's micro-USDC beside the position; what is below 0 counts for nothing.
    """
    return BPS * (equity(position, index) + max(0, free)) >= abs(position.size) * index * opening_margin_bps


def initial_margin_down(quantity: int, price: int, margin_bps: int) -> int:
    """m = floor(g * P * im / 1e4) in micro-USDC."""
    return quantity * price * margin_bps // BPS


def fee_down(notional: int, fee_bps: int) -> int:
    """Micro-USDC."""
    return notional * fee_bps // BPS


def accrue(position: PositionState, funding: int) -> PositionState:
    """Step 0: Q -= ceil(s * (F - f) / 2^32); f = F."""
    if position.funding == funding:
        return position
    owed_up = ceil_div(position.size * (funding - position.funding), FUNDING_SCALE)
    return replace(position, quote=position.quote - owed_up, funding=funding)


def quote_share_down(position: PositionState, quantity: int) -> int:
    """Qc = floor(Q * c / |s|): the part of the quote that belongs to `quantity` of the position's lots."""
    return position.quote * quantity // abs(position.size)


def closing_quantity(size: int, is_buy: bool, quantity: int) -> int:
    """Lots of a fill that shrink the position: c = min(q, |s|) if s opposes the side, else 0."""
    return min(quantity, abs(size)) if (size < 0 if is_buy else size > 0) else 0


def apply_fill(position: PositionState, is_buy: bool, quantity: int, price: int, initial_margin_bps: int) -> FillEffect:
    """Steps 1 to 3 for one side of a fill of `quantity` lots at `price`; funding must have been accrued."""
    sign = 1 if is_buy else -1
    closed = closing_quantity(position.size, is_buy, quantity)
    grown = quantity - closed
    credit = 0
    if closed:
        share_down = quote_share_down(position, closed)
        credit = -sign * closed * price + share_down
        position = replace(position, size=position.size + sign * closed, quote=position.quote - share_down)
    margin_down = initial_margin_down(grown, price, initial_margin_bps)
    if grown:
        quote = position.quote + margin_down - sign * grown * price
        position = replace(position, size=position.size + sign * grown, quote=quote)
    return FillEffect(position, credit - margin_down, credit, closed, grown)


def merge(position: PositionState, other: PositionState) -> PositionState:
    """Both positions as one; both must have been accrued to the same funding index."""
    return replace(position, size=position.size + other.size, quote=position.quote + other.quote)


def check_size(size: int, index: int) -> None:
    """Refuse a size that storage cannot hold (i64); `index` is the error's argument."""
    if not -(2**63) <= size < 2**63:
        raise SettlementError("SizeOverflow", (index,))


def check_quote(quote: int, index: int) -> None:
    """Refuse a quote that storage cannot hold (i96); `index` is the error's argument."""
    if not -(2**95) <= quote < 2**95:
        raise SettlementError("QuoteOverflow", (index,))

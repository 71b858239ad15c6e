"""European options, settled in cash and always solvent (the rules of `IClearinghouse`).

Every short lot is backed by the most that it can ever owe, so there is no margin call. Sizes are lots (negative:
short), prices, strikes and caps micro-USDC per lot, amounts micro-USDC.
"""

from __future__ import annotations

from offchain.domain.clearing import FillEffect, PositionState, closing_quantity


def collateral_per_lot(strike: int, cap: int, is_put: bool) -> int:
    """C = strike (put) or cap - strike (call): the most that a lot pays."""
    return strike if is_put else cap - strike


def intrinsic(price: int, strike: int, is_put: bool) -> int:
    """What a lot is worth at expiry at `price`, before the cap."""
    return max(0, strike - price if is_put else price - strike)


def payoff(price: int, strike: int, cap: int, is_put: bool) -> int:
    """What a long lot is paid at expiry: min(intrinsic, C); the short's collateral keeps the rest."""
    return min(intrinsic(price, strike, is_put), collateral_per_lot(strike, cap, is_put))


def short_lots(size: int) -> int:
    return max(0, -size)


def apply_option_fill(position: PositionState, is_buy: bool, quantity: int, price: int, collateral: int) -> FillEffect:
    """One side of a fill at the premium `price`: the buyer pays it to the seller; collateral follows the short lots.

    account = -+ q * P - C * (short' - short). Opening, closing early and flipping are one rule.
    """
    sign = 1 if is_buy else -1
    size = position.size + sign * quantity
    account = -sign * quantity * price - collateral * (short_lots(size) - short_lots(position.size))
    closed = closing_quantity(position.size, is_buy, quantity)
    return FillEffect(
        PositionState(size, position.quote, position.funding), account, account, closed, quantity - closed
    )


def settlement_value(size: int, pay: int, collateral: int) -> int:
    """What a position receives after expiry: pay * size (long) or (C - pay) * |size| (short)."""
    return pay * size if size >= 0 else (collateral - pay) * -size

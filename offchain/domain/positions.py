"""Positions of derivative markets: as they are on chain, and as they will be once everything matched has settled.

Sizes are lots (negative: short), prices micro-USDC per lot, amounts micro-USDC. What a fill does to a position is the
contracts' rule (clearing.py, options.py); beside it the core keeps what the open lots cost and what closing realised.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from offchain.domain.account import LiveOrder
from offchain.domain.clearing import FillEffect, PositionState, accrue, apply_fill
from offchain.domain.events import PositionUpdate
from offchain.domain.market import Kind, Market
from offchain.domain.options import apply_option_fill, short_lots
from offchain.domain.order import Address, OrderHash


class Holding(msgspec.Struct, frozen=True, array_like=True):
    """A position at one time."""

    size: int = 0
    quote: int = 0
    funding: int = 0
    """the market's funding index up to which funding is in `quote`"""
    cost: int = 0
    """what the open lots were bought for; negative: sold for"""
    realised: int = 0
    """profit that closing and funding have brought, before fees"""

    @property
    def state(self) -> PositionState:
        """As the Clearinghouse stores it."""
        return PositionState(self.size, self.quote, self.funding)


_NOTHING = Holding()


class Leg(NamedTuple):
    """One side of a fill."""

    holding: Holding
    """afterwards"""
    effect: FillEffect


class Position:
    """An account's position in a market."""

    __slots__ = ("address", "counted", "current", "market", "reducing", "settled")

    def __init__(self, address: Address, market: int) -> None:
        self.address = address
        self.market = market
        self.settled = Holding()
        """on chain"""
        self.current = Holding()
        """once everything matched has settled"""
        self.counted = 0
        """lots of it that are in the market's open interest"""
        self.reducing: dict[OrderHash, LiveOrder] = {}
        """open reduce-only orders, in order of entry: together never more than what they reduce"""

    @property
    def is_known(self) -> bool:
        """Whether there is, or was, anything in it."""
        return self.settled != _NOTHING or self.current != _NOTHING

    def update(self) -> PositionUpdate:
        now = self.current
        return PositionUpdate(
            self.address, self.market, now.size, now.quote, now.funding, now.cost, now.realised, self.settled.size
        )


def apply_leg(market: Market, funding: int, before: Holding, is_buy: bool, quantity: int, price: int) -> Leg:
    """One side of a fill of `quantity` lots at `price`; `funding` is the market's funding index."""
    if market.kind == Kind.OPTION:
        effect = apply_option_fill(before.state, is_buy, quantity, price, market.terms.collateral)
    else:
        effect = apply_fill(accrue(before.state, funding), is_buy, quantity, price, market.terms.initial_margin_bps)
    cost = before.cost
    if effect.closed:
        cost -= cost * effect.closed // abs(before.size)
    if effect.grown:
        cost += effect.grown * price if is_buy else -effect.grown * price
    return Leg(move(market, before, effect.position, cost, effect.account), effect)


def move(market: Market, before: Holding, after: PositionState, cost: int, account: int) -> Holding:
    """A position after a change which paid `account` to its owner.

    What the owner received and what it has locked and spent more than before is profit: margin that comes back, and
    the price of lots that are opened, are none.
    """
    bound = _locked(market, before.size, before.quote) + before.cost
    realised = before.realised + account + _locked(market, after.size, after.quote) + cost - bound
    return Holding(after.size, after.quote, after.funding, cost, realised)


def move_to(market: Market, before: Holding, after: PositionState) -> Holding:
    """A position that the chain changed without a fill; what it paid for that is told by itself."""
    shrunk = before.size * after.size > 0 and abs(after.size) < abs(before.size)
    cost = before.cost if after.size == before.size else 0
    if shrunk:
        cost = before.cost * after.size // before.size
    return move(market, before, after, cost, 0)


def _locked(market: Market, size: int, quote: int) -> int:
    """The quote, in which margin less cost lies, or an option's collateral."""
    return market.terms.collateral * short_lots(size) if market.kind == Kind.OPTION else quote

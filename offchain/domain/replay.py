"""The walk over the unsettled items in order, from what is on chain: which fills still apply, and what each does.

A fill of a derivative does something else when the positions before it have changed, by a fill that was dropped or on
chain by others; it still applies if its balances, its pool and what it may reduce allow it.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from offchain.domain.account import Balance
from offchain.domain.booking import Booking, book
from offchain.domain.market import Kind
from offchain.domain.order import OrderHash, TimeInForce
from offchain.domain.outbox import Fill, Outbox, Release
from offchain.domain.positions import Holding, Position
from offchain.domain.state import State

Changes = tuple[tuple[Balance, int], ...]


class Replay:
    """Runs once. Nothing is changed."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._balances: dict[Balance, int] = {}
        self.dropped: list[Fill] = []
        self.rebooked: list[tuple[Fill, Changes]] = []
        """fills of derivatives that stay, with what they do"""
        self.holdings: dict[Position, Holding] = {}
        """positions after all that stays; those in which nothing stays are as on chain"""
        self.involved: dict[Position, None] = {}
        """positions of all fills"""
        self.pools: dict[int, int] = {}
        """by market, after all that stays"""

    def run(self, named: Set[bytes]) -> None:
        """Drop what is named, shares an order with a dropped fill, or no longer applies."""
        tainted: set[OrderHash] = set()
        for step in _steps(self._state.outbox):
            if isinstance(step, Release):
                balance = self._state.balance(step.account, step.asset)
                value = self._balances.get(balance, balance.settled)
                self._balances[balance] = value - min(step.amount, value)
                continue
            self._note(step)
            if any(_is_hit(fill, named, tainted) for fill in step) or not self._applies(step):
                self.dropped += step
                for fill in step:
                    tainted |= {fill.maker.order_hash, fill.taker.order_hash}

    def _note(self, fills: list[Fill]) -> None:
        for fill in fills:
            venue = self._state.markets[fill.trade.market]
            if venue.market.kind != Kind.SPOT:
                self.pools.setdefault(venue.market.id, venue.clearing.pool)
                for account in (fill.trade.maker, fill.trade.taker):
                    self.involved[venue.position(account)] = None

    def _applies(self, fills: list[Fill]) -> bool:
        """Apply fills together, unless a balance or a pool would become negative or a reduce-only order would open."""
        balances: dict[Balance, int] = {}
        holdings: dict[Position, Holding] = {}
        pools: dict[int, int] = {}
        booked: list[tuple[Fill, Changes]] = []
        for fill in fills:
            if fill.changes is None:
                changes = self._state.effects(fill.trade)
            else:
                booking = book(
                    self._state,
                    fill.trade,
                    lambda position: holdings.get(position) or self.holdings.get(position, position.settled),
                )
                market = fill.trade.market
                pool = pools[market] = pools.get(market, self.pools[market]) + booking.pool
                if pool < 0 or _opens_what_may_only_reduce(fill, booking):
                    return False
                for position, leg in booking.legs:
                    holdings[position] = leg.holding
                changes = booking.changes
                booked.append((fill, changes))
            for balance, change in changes:
                before = balances.get(balance)
                if before is None:
                    before = self._balances.get(balance, balance.settled)
                if change < 0 and before + change < 0:
                    return False
                balances[balance] = before + change
        self._balances |= balances
        self.holdings |= holdings
        self.pools |= pools
        self.rebooked += booked
        return True


def _opens_what_may_only_reduce(fill: Fill, booking: Booking) -> bool:
    grown = {position.address: leg.effect.grown for position, leg in booking.legs}
    return any(live.order.reduce_only and grown[live.order.account] for live in (fill.maker, fill.taker))


def _is_hit(fill: Fill, named: Set[bytes], tainted: Set[OrderHash]) -> bool:
    return fill.trade.id in named or fill.maker.order_hash in tainted or fill.taker.order_hash in tainted


def _steps(outbox: Outbox) -> Iterator[list[Fill] | Release]:
    """Unsettled items in order; the fills of a FOK order, which stand or fall together, as one step."""
    group: list[Fill] = []
    for item in outbox.items():
        if group and (isinstance(item, Release) or item.taker is not group[-1].taker):
            yield group
            group = []
        if isinstance(item, Release):
            yield item
        elif item.taker.order.time_in_force == TimeInForce.FOK:
            group.append(item)
        else:
            yield [item]
    if group:
        yield group

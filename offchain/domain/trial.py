"""What fills of a derivative would do, one after the other, while an order is matched: nothing is changed by it.

Amounts are micro-USDC, prices micro-USDC per lot, quantities lots.
"""

from __future__ import annotations

from offchain.domain.account import LiveOrder, cleared_reservation_up
from offchain.domain.clearing import closing_quantity, fee_down, has_matching_margin, has_opening_margin
from offchain.domain.errors import Code, Rejection
from offchain.domain.market import USDC
from offchain.domain.order import Address, Order, Side
from offchain.domain.positions import Holding, Leg, apply_leg
from offchain.domain.state import MarketState, State


class Trial:
    """Positions and free balances of the taker and of the makers that it meets, as the plan goes on."""

    __slots__ = ("_free", "_holdings", "_index", "_lowest", "_order", "_pool", "_refusal", "_state", "_total", "_venue")

    def __init__(
        self, state: State, venue: MarketState, order: Order, replaced: LiveOrder | None, index: int | None
    ) -> None:
        """`replaced` is on its way out: what it reserves is free. `index`: None of an option."""
        self._index = index
        self._pool = venue.pool
        self._refusal: Rejection | None = None
        self._state = state
        self._venue = venue
        self._order = order
        self._holdings: dict[Address, Holding] = {}
        self._free: dict[Address, int] = {}
        self._total = 0
        """what the taker's fills do to its balance"""
        self._lowest = 0
        """the least that it was on the way"""
        if replaced is not None and replaced.balance.asset == USDC:
            self._free[order.account] = self._free_of(order.account) + replaced.reserved

    def offer(self, maker: LiveOrder, price: int, wanted: int) -> tuple[int, str]:
        """Fill `wanted` lots of a maker, or as many as it may fill now; 0 and why it ends if that is none."""
        lots = wanted
        account = maker.order.account
        is_buy = maker.order.side == Side.BUY
        before = self._holding_of(account)
        if maker.order.reduce_only:
            lots = closing_quantity(before.size, is_buy, wanted)
            if not lots:
                return 0, "reduceOnly"
        leg = self._leg(before, is_buy, lots, price)
        fee = fee_down(lots * price, self._state.fee_bps)
        free = self._free_of(account)
        after = free + leg.effect.account - fee + self._released(maker, lots)
        if after < 0 and after < free:
            return 0, "insufficientBalance"
        if not self._is_fit(leg, after):
            return 0, "insufficientMargin"
        taken = self._leg(self._holding_of(self._order.account), not is_buy, lots, price)
        self._holdings[account], self._free[account] = leg.holding, after
        self._pool -= leg.effect.account + taken.effect.account
        self._take(taken, fee)
        return lots, ""

    def _is_fit(self, leg: Leg, free: int) -> bool:
        """Whether a position that grows has margin enough, as far as one can say now; `free` is what is left beside
        it."""
        if self._index is None or not leg.effect.grown:
            return True
        terms = self._venue.market.terms
        margins = (terms.initial_margin_bps, terms.maintenance_margin_bps)
        if not has_matching_margin(leg.effect.position, self._index, *margins):
            return False
        opening = self._venue.opening_margin_bps
        return opening is None or has_opening_margin(leg.effect.position, self._index, opening, free)

    def refusal(self, will_rest: int) -> Rejection | None:
        """Why the taker cannot have these fills and let `will_rest` lots rest; None if it can."""
        if self._refusal is not None:
            return self._refusal
        reserved = cleared_reservation_up(self._venue.market, self._order, will_rest, self._state.fee_bps)
        free = self._free_of(self._order.account)
        need = max(-self._lowest, reserved - self._total if reserved else 0)
        if need <= 0 or need <= free:
            return None
        detail = f"{need} micro-USDC are needed, {max(0, free)} are available"
        return Rejection(Code.INSUFFICIENT_BALANCE, "quantity", detail)

    def _take(self, leg: Leg, fee: int) -> None:
        self._holdings[self._order.account] = leg.holding
        self._total += leg.effect.account - fee
        self._lowest = min(self._lowest, self._total)
        if self._refusal is not None:
            return
        if not self._is_fit(leg, self._free_of(self._order.account) + self._total):
            detail = f"at these prices and the index {self._index} the position has less margin than a match needs"
            self._refusal = Rejection(Code.INSUFFICIENT_MARGIN, "quantity", detail)
        elif self._pool < 0:
            detail = f"the pool of market {self._venue.market.symbol} would be {-self._pool} micro-USDC short"
            self._refusal = Rejection(Code.POOL_SHORT, "quantity", detail)

    def _leg(self, before: Holding, is_buy: bool, lots: int, price: int) -> Leg:
        return apply_leg(self._venue.market, self._venue.clearing.funding, before, is_buy, lots, price)

    def _released(self, maker: LiveOrder, lots: int) -> int:
        """What the maker's order no longer reserves."""
        rest = cleared_reservation_up(self._venue.market, maker.order, maker.remaining - lots, self._state.fee_bps)
        return maker.reserved - rest

    def _holding_of(self, account: Address) -> Holding:
        holding = self._holdings.get(account)
        if holding is None:
            position = self._venue.positions.get(account)
            holding = position.current if position is not None else Holding()
        return holding

    def _free_of(self, account: Address) -> int:
        free = self._free.get(account)
        if free is None:
            known = self._state.accounts.get(account)
            balance = known.balances.get(USDC) if known is not None else None
            free = balance.free if balance is not None else 0
        return free

"""What `Clearinghouse.settle` does with a batch's derivative fills; see settlement.py and `IClearinghouse`, "Fills"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from offchain.domain.batch import SettlementError
from offchain.domain.clearing import (
    FillEffect,
    PositionState,
    accrue,
    apply_fill,
    check_quote,
    check_size,
    closing_quantity,
    equity,
    fee_down,
    maintenance_margin_up,
)
from offchain.domain.derivatives import DerivativeRules
from offchain.domain.indices import index_at, latest_index
from offchain.domain.ledger import FUND, ClearingStatus, LedgerState, MarketRules, Position
from offchain.domain.liquidation import Reason, charges, forcing_reason, is_in_band
from offchain.domain.market import Kind
from offchain.domain.options import apply_option_fill
from offchain.domain.settlement_orders import BatchMarket
from offchain.domain.vault import Draft


@dataclass(frozen=True, slots=True)
class BatchPosition:
    """A row of the position table."""

    position: Position
    account_index: int


@dataclass(frozen=True, slots=True)
class DerivativeFill:
    """A checked fill of a derivative market; positions and market are indices of the batch's tables."""

    buyer: int
    seller: int
    market: int
    buyer_reduces_only: bool
    seller_reduces_only: bool
    buyer_forced: bool
    seller_forced: bool
    fill: int
    price: int
    quantity: int


@dataclass(slots=True)
class Cleared:
    """What the Clearinghouse answers, in micro-USDC. deltas + fees + own + penalties = 0."""

    deltas: list[int]
    """by position, after fees"""
    fees: list[int]
    """by position"""
    own: int = 0
    """of the Clearinghouse's Vault account"""
    penalties: int = 0
    """for the insurance fund's"""
    grown: set[int] = field(default_factory=set)
    """positions that grew in a fill"""


@dataclass(frozen=True, slots=True)
class _Leg:
    """One side of a fill."""

    fill: DerivativeFill
    is_buy: bool

    @property
    def index(self) -> int:
        return self.fill.buyer if self.is_buy else self.fill.seller

    @property
    def is_forced(self) -> bool:
        return self.fill.buyer_forced if self.is_buy else self.fill.seller_forced

    @property
    def reduces_only(self) -> bool:
        return self.is_forced or (self.fill.buyer_reduces_only if self.is_buy else self.fill.seller_reduces_only)


class _Clearing:
    def __init__(
        self,
        state: LedgerState,
        draft: Draft,
        matched_at: int,
        now: int,
        fee_bps: int,
        markets: Sequence[BatchMarket],
        positions: Sequence[BatchPosition],
    ) -> None:
        self._state = state
        self._draft = draft
        self._matched_at = matched_at
        self._now = now
        self._fee_bps = fee_bps
        self._markets = markets
        self._positions = positions
        self._pools = {index: draft.market(market.id).pool for index, market in enumerate(markets)}
        self.cleared = Cleared([0] * len(positions), [0] * len(positions))

    def check_markets(self) -> None:
        for index, market in enumerate(self._markets):
            if market.rules.derivative is None:
                continue
            if self._draft.market(market.id).status != ClearingStatus.OPEN:
                raise SettlementError("MarketNotOpen", (index,))
            if 0 < market.rules.derivative.expiry <= self._now:
                raise SettlementError("ExpiredMarket", (index,))

    def apply(self, fill: DerivativeFill) -> None:
        rules = self._markets[fill.market].rules
        for leg in (_Leg(fill, True), _Leg(fill, False)):
            if rules.is_option:
                self._apply_option(leg, rules)
            else:
                self._apply_margined(leg, rules)

    # A side of a fill ------------------------------------------------------------------------------------------------

    def _apply_margined(self, leg: _Leg, rules: MarketRules) -> None:
        fill, derivative = leg.fill, _derivative(rules)
        key = self._positions[leg.index].position
        market = self._draft.market(self._markets[fill.market].id)
        before = accrue(self._draft.position(key), market.funding)
        check_quote(before.quote, fill.fill)
        self._check_growth(leg, before)
        reason = self._reason(leg, before, derivative) if leg.is_forced else None
        effect = apply_fill(before, leg.is_buy, fill.quantity, fill.price, derivative.initial_margin_bps)
        if leg.is_forced and reason is not Reason.FUND and effect.credit < 0:
            raise SettlementError("NegativeCredit", (fill.fill,))
        check_size(effect.position.size, fill.fill)
        check_quote(effect.position.quote, fill.fill)
        notional = fill.quantity * fill.price
        fee, penalty = fee_down(notional, self._fee_bps), 0
        if reason is not None:
            fee, penalty = charges(reason, notional, effect.credit, self._fee_bps, derivative.liquidation_fee_bps)
        if effect.grown:
            self.cleared.grown.add(leg.index)
        self._book(leg, before, effect, fee, penalty)

    def _apply_option(self, leg: _Leg, rules: MarketRules) -> None:
        fill = leg.fill
        before = self._draft.position(self._positions[leg.index].position)
        self._check_growth(leg, before)
        if leg.is_forced:
            raise SettlementError("NotForceable", (fill.fill,))
        collateral = _derivative(rules).collateral
        effect = apply_option_fill(before, leg.is_buy, fill.quantity, fill.price, collateral)
        check_size(effect.position.size, fill.fill)
        self._book(leg, before, effect, fee_down(fill.quantity * fill.price, self._fee_bps), 0)

    def _book(self, leg: _Leg, before: PositionState, effect: FillEffect, fee: int, penalty: int) -> None:
        key = self._positions[leg.index].position
        self._draft.set_position(key, effect.position)
        self.cleared.deltas[leg.index] += effect.account - fee - penalty
        self.cleared.fees[leg.index] += fee
        self.cleared.penalties += penalty
        self.cleared.own -= effect.account
        self._pools[leg.fill.market] -= effect.account
        if before.size and effect.closed == abs(before.size):
            self._draft.end_requests(key)

    def _check_growth(self, leg: _Leg, before: PositionState) -> None:
        quantity = leg.fill.quantity
        if leg.reduces_only and closing_quantity(before.size, leg.is_buy, quantity) != quantity:
            raise SettlementError("ReduceOnlyExceeded", (leg.fill.fill,))

    def _reason(self, leg: _Leg, before: PositionState, derivative: DerivativeRules) -> Reason:
        """Why a forced order is due, after the check of its price."""
        fill = leg.fill
        market = self._markets[fill.market]
        if market.round == 0:
            raise SettlementError("RoundMissing", (fill.market,))
        index = index_at(self._state, market.id, market.round, self._matched_at)
        if leg.index in self.cleared.grown:
            raise SettlementError("NotForceable", (fill.fill,))
        key = self._positions[leg.index].position
        wants_exit = self._draft.exit_of(key, self._state.clock(self._now)) is not None
        reason = forcing_reason(before, index, derivative.maintenance_margin_bps, key[0] == FUND, wants_exit)
        if reason is None:
            raise SettlementError("NotForceable", (fill.fill,))
        band = derivative.exit_penalty_bps if reason is Reason.EXIT else derivative.band_bps
        if not is_in_band(fill.price, index, leg.is_buy, band):
            raise SettlementError("PriceOutOfBand", (fill.fill,))
        return reason

    # After the fills -------------------------------------------------------------------------------------------------

    def check_margins(self) -> None:
        for index, row in enumerate(self._positions):
            position = self._draft.position(row.position)
            if index not in self.cleared.grown or not position.size:
                continue
            market = row.position[1]
            margin_bps = _derivative(self._state.markets[market]).maintenance_margin_bps
            spot = latest_index(self._state, market, self._now)
            if equity(position, spot) < maintenance_margin_up(position.size, spot, margin_bps):
                raise SettlementError("Undermargined", (index,))

    def store_pools(self) -> None:
        for index, pool in self._pools.items():
            market = self._markets[index].id
            if self._markets[index].rules.kind == Kind.SPOT:
                continue
            if pool < 0:
                raise SettlementError("PoolNegative", (index,))
            self._draft.set_market(market, replace(self._draft.market(market), pool=pool))


def clear_fills(
    state: LedgerState,
    draft: Draft,
    matched_at: int,
    now: int,
    fee_bps: int,
    markets: Sequence[BatchMarket],
    positions: Sequence[BatchPosition],
    fills: Sequence[DerivativeFill],
) -> Cleared:
    """Book the fills in `draft`, apart from the Vault's accounts. Raises SettlementError."""
    clearing = _Clearing(state, draft, matched_at, now, fee_bps, markets, positions)
    clearing.check_markets()
    for fill in fills:
        clearing.apply(fill)
    clearing.check_margins()
    clearing.store_pools()
    return clearing.cleared


def _derivative(rules: MarketRules) -> DerivativeRules:
    assert rules.derivative is not None  # the market's kind is not spot
    return rules.derivative

"""What the contracts hold, as far as settlement and clearing read or write it.

Prices are micro-USDC per lot, quantities lots, USDC micro-USDC, base balances quanta, times Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import sha3

from offchain.domain.clearing import PositionState
from offchain.domain.derivatives import DerivativeRules, bits
from offchain.domain.market import Kind
from offchain.domain.oracle import PriceFeed, index_down
from offchain.domain.order import Address

WINDOW = 3600
"""Settlement window in seconds; a match settles within half of it, and what a user does alone takes effect after it."""

FUND: Address = sha3.keccak_256(b"crosspoint.insurance-fund").digest()[12:]
"""Vault account of the insurance fund; nobody has its key."""


# ---------------------------------------------------------------------------------------------------------------------
# Markets
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MarketRules:
    """What settlement needs to know of a market: the registry's words."""

    instrument: int
    kind: int
    status: int
    status_at: int
    max_price_per_lot: int
    max_quantity: int
    tick_per_lot: int
    lot_size: int
    base_decimals: int = 0
    is_cross_quoted: bool = False
    derivative: DerivativeRules | None = None
    """None of spot markets"""
    created_at: int = 0

    @classmethod
    def from_word(cls, word: int, derivative_word: int = 0, created_at: int = 0) -> MarketRules:
        """Unpack `MarketWord` (see the drawing in contracts/libraries/MarketWord.sol) and `DerivativeWord`."""
        kind = bits(word, 216, 8)
        return cls(
            instrument=bits(word, 224, 32),
            kind=kind,
            status=bits(word, 208, 8),
            status_at=bits(word, 168, 40),
            max_price_per_lot=bits(word, 112, 56),
            max_quantity=bits(word, 72, 40),
            tick_per_lot=bits(word, 40, 32),
            lot_size=bits(word, 16, 24) * int(10 ** bits(word, 8, 8)),
            base_decimals=bits(word, 0, 5),
            is_cross_quoted=bool(bits(word, 7, 1)),
            derivative=None if kind == Kind.SPOT else DerivativeRules.from_word(derivative_word),
            created_at=created_at,
        )

    @property
    def is_option(self) -> bool:
        return self.kind == Kind.OPTION

    def index_of(self, price: int) -> int:
        """I in micro-USDC per lot from USD per whole base unit with 18 decimals."""
        return index_down(price, self.lot_size, self.base_decimals)


class ClearingStatus(IntEnum):
    """As in `IClearinghouse`."""

    OPEN = 0
    EXPIRED = 1


@dataclass(frozen=True, slots=True)
class ClearingMarket:
    """What the Clearinghouse stores of a derivative market."""

    funding: int = 0
    """cumulative index, micro-USDC per lot x 2^32"""
    last_hour: int = 0
    """hour (Unix time / 3600) of the last accrual"""
    settle_per_lot: int = 0
    """after expiry: what a lot is settled at (of an option: what it pays)"""
    status: int = ClearingStatus.OPEN
    pool: int = 0
    """micro-USDC"""


# ---------------------------------------------------------------------------------------------------------------------
# State
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Halt:
    """The guardian's latest halt, from `start` until `end` (Unix seconds)."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class KeyState:
    """Stored state of a nonce key."""

    sequence: int = 0
    """the latest that acted"""
    filled: int = 0
    """lots of it that are filled"""


FLAG_TERM = WINDOW + 24 * 3600
"""Seconds of the window clock for which a flag counts."""


@dataclass(frozen=True, slots=True)
class ExitRequest:
    """Times of the window clock."""

    requested_at: int
    ends_at: int | None = None
    """None unless it was canceled"""

    def has_ended(self, clock: int) -> bool:
        return self.ends_at is not None and clock >= self.ends_at


Position = tuple[Address, int]
"""(account, instrument)"""

NonceKey = tuple[Address, int, int]
"""(account, instrument, key)"""


@dataclass(slots=True)
class LedgerState:
    """What the contracts hold. Missing entries are zero."""

    engine: Address
    fee_bps: int
    number: int = 0
    """last settled batch"""
    matched_at: int = 0
    """its match time"""
    halt: Halt | None = None
    markets: dict[int, MarketRules] = field(default_factory=dict)
    usdc: dict[Address, int] = field(default_factory=dict)
    epochs: dict[Address, int] = field(default_factory=dict)
    base: dict[Position, int] = field(default_factory=dict)
    keys: dict[NonceKey, KeyState] = field(default_factory=dict)
    next_fee_bps: int = 0
    fee_change_at: int = 0
    """from this match time on `next_fee_bps` is taken; 0: no change is scheduled"""
    halted_seconds: int = 0
    """of all halts before the latest"""
    delegates: dict[tuple[Address, Address], int] = field(default_factory=dict)
    """(account, delegate) -> valid until"""
    fees_paid: dict[Address, int] = field(default_factory=dict)
    """micro-USDC of fees that no rebate has used"""
    clearinghouse: Address = bytes(20)
    feeds: dict[int, PriceFeed] = field(default_factory=dict)
    """by market: the base asset's, of a cross-quoted market the quote asset's"""
    clearing: dict[int, ClearingMarket] = field(default_factory=dict)
    positions: dict[Position, PositionState] = field(default_factory=dict)
    exits: dict[Position, ExitRequest | None] = field(default_factory=dict)
    """None: the position was closed"""
    flags: dict[Position, int | None] = field(default_factory=dict)
    """window clock at which a position was flagged for the fund; None: it was removed, or the position closed"""
    last_hour: int = 0
    """hour (Unix time / 3600) of the last accrual of funding in any market"""

    def fee_at(self, matched_at: int) -> int:
        """Basis points per side of what was matched at this time."""
        has_changed = self.fee_change_at and matched_at >= self.fee_change_at
        return self.next_fee_bps if has_changed else self.fee_bps

    def clock(self, now: int) -> int:
        """Seconds of the window clock: time less all halts."""
        halted = self.halted_seconds
        if self.halt is not None:
            halted += min(self.halt.end, now) - self.halt.start
        return now - halted

    def wants_exit(self, position: Position, now: int) -> bool:
        """Whether the account has asked to leave, and that has not ended."""
        request = self.exits.get(position)
        return request is not None and not request.has_ended(self.clock(now))

    def apply(self, result: SettlementResult) -> None:
        """Take over what a batch changed."""
        self.number = result.number
        self.matched_at = result.matched_at
        self.base.update(result.base)
        self.keys.update(result.keys)
        self.apply_changes(result.money)

    def apply_changes(self, changes: Changes) -> None:
        """Take over what clearing changed."""
        self.usdc.update(changes.usdc)
        self.fees_paid.update(changes.fees_paid)
        self.clearing.update(changes.clearing)
        self.positions.update(changes.positions)
        self.exits.update(changes.exits)
        self.flags.update(changes.flags)
        self.last_hour = changes.last_hour


@dataclass(frozen=True, slots=True)
class Changes:
    """New values of Vault accounts and of what the Clearinghouse stores."""

    usdc: Mapping[Address, int]
    fees_paid: Mapping[Address, int]
    clearing: Mapping[int, ClearingMarket]
    positions: Mapping[Position, PositionState]
    exits: Mapping[Position, ExitRequest | None]
    flags: Mapping[Position, int | None]
    last_hour: int


@dataclass(frozen=True, slots=True)
class SettlementResult:
    """What a batch changes: new values by account, position and nonce key, and the ids of its fills in match order."""

    number: int
    matched_at: int
    money: Changes
    base: Mapping[Position, int]
    keys: Mapping[NonceKey, KeyState]
    fill_ids: tuple[bytes, ...]

    @property
    def usdc(self) -> Mapping[Address, int]:
        return self.money.usdc

"""A batch as the Engine takes it, and the ledger that it changes.

Prices are micro-USDC per lot, quantities lots, USDC micro-USDC, base balances quanta, times Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from offchain.domain.order import LAST_SEQUENCE, Address, Order, TimeInForce


class SettlementError(Exception):
    """The batch is refused: the contract's error by name, with its arguments."""

    def __init__(self, name: str, args: tuple[int | str, ...]) -> None:
        super().__init__(f"{name}({', '.join(map(str, args))})")
        self.name = name
        self.arguments = args


# ---------------------------------------------------------------------------------------------------------------------
# A batch
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccountEntry:
    account: Address
    epoch: int
    """what the account's orders in this batch sign"""


@dataclass(frozen=True, slots=True)
class PositionEntry:
    account: int
    """index of the account"""
    instrument: int


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """A signature and how many orders it covers."""

    signature: bytes
    """64 bytes, EIP-2098"""
    leaf_count: int


@dataclass(frozen=True, slots=True)
class OrderEntry:
    """An order, by reference to the other tables; the other fields are as signed."""

    position: int
    market: int
    side: int
    time_in_force: int
    reduce_only: bool
    nonce: int
    price: int
    quantity: int
    expiry: int
    max_fee_bps: int
    conversion_limit: int | None
    """None where the record has none and 0 is signed"""
    group: int
    leaf: int

    @property
    def key(self) -> int:
        return self.nonce >> 32

    @property
    def sequence(self) -> int:
        return self.nonce & LAST_SEQUENCE

    @property
    def is_immediate(self) -> bool:
        return self.time_in_force >= TimeInForce.IOC


@dataclass(frozen=True, slots=True)
class FillEntry:
    maker: int
    """index of the order"""
    taker: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The tables of `IEngine.Batch`."""

    number: int
    matched_at: int
    accounts: tuple[AccountEntry, ...]
    markets: tuple[int, ...]
    positions: tuple[PositionEntry, ...]
    groups: tuple[GroupEntry, ...]
    orders: tuple[OrderEntry, ...]
    fills: tuple[FillEntry, ...]

    def signed_order(self, entry: OrderEntry) -> Order:
        """What the trader of an entry signed. Raises IndexError if it refers outside the tables."""
        account = self.accounts[self.positions[entry.position].account]
        return Order(
            account=account.account,
            market=self.markets[entry.market],
            side=entry.side,
            time_in_force=entry.time_in_force,
            reduce_only=entry.reduce_only,
            price=entry.price,
            quantity=entry.quantity,
            nonce=entry.nonce,
            epoch=account.epoch,
            expiry=entry.expiry,
            max_fee_bps=entry.max_fee_bps,
            conversion_limit=entry.conversion_limit or 0,
        )


# ---------------------------------------------------------------------------------------------------------------------
# The ledger
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MarketRules:
    """What settlement needs to know of a market: the registry's word."""

    instrument: int
    kind: int
    status: int
    status_at: int
    max_price_per_lot: int
    max_quantity: int
    tick_per_lot: int
    lot_size: int

    @classmethod
    def from_word(cls, word: int) -> MarketRules:
        """Unpack `MarketWord` (see the drawing in contracts/libraries/MarketWord.sol)."""

        def bits(shift: int, width: int) -> int:
            return word >> shift & ((1 << width) - 1)

        return cls(
            instrument=bits(224, 32),
            kind=bits(216, 8),
            status=bits(208, 8),
            status_at=bits(168, 40),
            max_price_per_lot=bits(112, 56),
            max_quantity=bits(72, 40),
            tick_per_lot=bits(40, 32),
            lot_size=bits(16, 24) * int(10 ** bits(8, 8)),
        )


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


Position = tuple[Address, int]
"""(account, instrument)"""

NonceKey = tuple[Address, int, int]
"""(account, instrument, key)"""


@dataclass(slots=True)
class LedgerState:
    """What the contracts hold, as far as settlement reads or writes it. Missing entries are zero."""

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

    def apply(self, result: SettlementResult) -> None:
        """Take over what a batch changed."""
        self.number = result.number
        self.matched_at = result.matched_at
        self.usdc.update(result.usdc)
        self.base.update(result.base)
        self.keys.update(result.keys)


@dataclass(frozen=True, slots=True)
class SettlementResult:
    """What a batch changes: new values by account, position and nonce key, and the ids of its fills in match order."""

    number: int
    matched_at: int
    usdc: Mapping[Address, int]
    base: Mapping[Position, int]
    keys: Mapping[NonceKey, KeyState]
    fill_ids: tuple[bytes, ...]

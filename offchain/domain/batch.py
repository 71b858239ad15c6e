"""A batch as the Engine takes it: the tables of `IEngine.Batch`.

Prices are micro-USDC per lot (in cross-quoted markets 10^-12 whole quote units per lot), quantities lots, times Unix
seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from offchain.domain.order import LAST_SEQUENCE, Address, Order, OrderHash, TimeInForce

NO_GROUP = 2**16 - 1
"""Group of a forced order, which nobody has signed."""

NOTHING_SIGNED = 2**32 - 1
"""Epoch of an account entry for which the Vault checks no epoch."""

RESERVED_KEY = 2**32 - 1
"""Nonce key of forced orders in derivative markets."""

LIMIT_MISSING = -1
"""Conversion limit of a record that takes one where the table has no more: only damaged bytes say so."""

MAX_LEAVES = 10
"""Orders of one signed array."""


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
class MarketEntry:
    id: int
    round: int = 0
    """the oracle's round by which the market's fills are valued; 0: none is needed"""


@dataclass(frozen=True, slots=True)
class PositionEntry:
    account: int
    """index of the account"""
    instrument: int


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """A signature and the orders that it covers: one, or an array of two to ten."""

    signature: bytes
    """64 bytes, EIP-2098"""
    leaf_count: int
    absent_mask: int = 0
    """bit i: leaf i of the array is not in the batch; the table `absent` has its hash"""


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
    """None where the record takes none and 0 is signed; LIMIT_MISSING"""
    group: int
    leaf: int
    forced: bool = False
    """the protocol's own order (liquidation, exit, unwinding of the insurance fund), which nobody has signed"""

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
    """The tables of the packed form."""

    number: int
    matched_at: int
    accounts: tuple[AccountEntry, ...]
    markets: tuple[MarketEntry, ...]
    positions: tuple[PositionEntry, ...]
    groups: tuple[GroupEntry, ...]
    absent: tuple[OrderHash, ...]
    """struct hashes of orders that were signed in an array and are not in the batch: by group, lowest leaf first"""
    orders: tuple[OrderEntry, ...]
    fills: tuple[FillEntry, ...]
    unused_limits: tuple[int, ...] = ()
    """the end of the table of conversion limits, which no order takes: only damaged bytes have it"""

    def signed_order(self, entry: OrderEntry) -> Order:
        """What the trader of an entry signed. Raises IndexError if it refers outside the tables."""
        account = self.accounts[self.positions[entry.position].account]
        return Order(
            account=account.account,
            market=self.markets[entry.market].id,
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

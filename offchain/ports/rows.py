"""What the views hold, as readers get it. Prices are micro-USDC per lot, quantities lots, `_ms` Unix milliseconds."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from offchain.domain.actions import Action
from offchain.domain.events import AdminActed
from offchain.domain.oracle import Conversion
from offchain.domain.order import Address, Order, OrderHash, Trigger


class OrderRow(msgspec.Struct, frozen=True):
    """An order as readers see it. Prices are micro-USDC per lot, quantities lots."""

    order: Order
    order_hash: OrderHash
    signature: bytes
    order_type: str
    post_only: bool
    self_trade: str
    client_order_id: str | None
    status: str
    filled: int
    code: str
    created_ms: int
    updated_ms: int
    seq: int
    """event sequence at which the order was placed; orders of an account page by it"""
    array: tuple[OrderHash, ...] = ()
    """hashes of all orders that the signature covers, in the order of the signed array; empty: of this one alone"""
    forced: bool = False
    """the protocol's own order (liquidation, exit, unwinding of the insurance fund), which nobody has signed"""
    quantity: int | None = None
    """lots that it works for, where those are not what is signed: a reduce-only order is trimmed to the position"""
    trigger: Trigger | None = None
    """what it waits or has waited for"""
    triggered_ms: int | None = None
    """when that came; None: it has not"""

    @property
    def lots(self) -> int:
        """Lots that it works for."""
        return self.order.quantity if self.quantity is None else self.quantity


class TradeRow(msgspec.Struct, frozen=True):
    """A fill as readers see it."""

    item: int
    id: bytes
    market: int
    maker_hash: OrderHash
    taker_hash: OrderHash
    maker: Address
    taker: Address
    taker_side: int
    price: int
    quantity: int
    maker_fee: int
    taker_fee: int
    time_ms: int
    seq: int
    settlement: str
    """pending | submitted | settled | confirmed | busted"""
    batch: int
    """0 until a batch holds it"""
    tx_hash: bytes
    conversion: Conversion | None = None
    """None unless the market is cross-quoted"""


class CandleRow(msgspec.Struct, frozen=True):
    """What was traded in a market over a time. Prices as in trades, fees of both sides in micro-USDC."""

    market: int
    start_ms: int
    open: int
    high: int
    low: int
    close: int
    quantity: int
    """lots"""
    notional: int
    """sum of price * quantity"""
    fees: int
    trades: int


class SampleRow(msgspec.Struct, frozen=True, array_like=True):
    """Mark and index of a perpetual or a future at a time, micro-USDC per lot."""

    time_ms: int
    mark: int
    index: int


class FundingRow(msgspec.Struct, frozen=True):
    """An hour's funding of a perpetual as it was accrued on chain."""

    market: int
    hour: int
    """Unix time / 3600"""
    rate: int
    """1e-8 per hour; longs pay a positive one"""
    index: int
    """at the full hour, micro-USDC per lot"""
    funding: int
    """the funding index from then on, micro-USDC per lot x 2^32"""


class MarketFigures(msgspec.Struct, frozen=True):
    """What was traded in a market since a time and in all; None where nothing was."""

    window: CandleRow | None
    ever: CandleRow | None


class WithdrawalRow(msgspec.Struct, frozen=True):
    account: Address
    kind: int
    asset: int
    amount: int
    status: str
    item: int
    tx_hash: bytes
    updated_ms: int


class DepositRow(msgspec.Struct, frozen=True):
    account: Address
    asset: int
    amount: int
    status: str
    tx_hash: bytes
    log_index: int
    block: int
    updated_ms: int
    seq: int


class ActionRow(msgspec.Struct, frozen=True):
    """A transaction that the service sends for an account, as readers see it."""

    id: bytes
    account: Address
    action: Action
    status: str
    reason: str
    tx_hash: bytes
    target: Address
    """where only the owner may send it: the contract that is to be called"""
    data: bytes
    """where only the owner may send it: with what"""
    created_ms: int
    updated_ms: int
    seq: int
    """event sequence of the request; actions page by it"""


class ApiKeyRow(msgspec.Struct, frozen=True):
    id: str
    label: str
    scopes: tuple[str, ...]
    expiry: int
    """Unix seconds, 0: none"""
    created_ms: int
    status: str
    """active | revoked | expired"""


class BatchRow(msgspec.Struct, frozen=True):
    number: int
    status: str
    first: int
    last: int
    matched_at: int
    tx_hash: bytes
    gas_used: int
    reason: str
    updated_ms: int


class ItemRow(msgspec.Struct, frozen=True):
    """A settlement item: a fill with its two signed orders, or the release of a withdrawal."""

    item: int
    trade: TradeRow | None
    maker: OrderRow | None
    taker: OrderRow | None
    withdrawal: WithdrawalRow | None


class AuditRow(msgspec.Struct, frozen=True):
    """An entry of the administrators' audit log."""

    seq: int
    """number of the entry"""
    time_ms: int
    event: AdminActed


class AuditQuery(msgspec.Struct, frozen=True):
    subject: str | None = None
    action: str | None = None
    """its name in the log"""


class DeadLetterRow(msgspec.Struct, frozen=True):
    """A batch that settlement was stopped for."""

    seq: int
    """number of the letter"""
    batch: int
    first: int
    last: int
    item: int | None
    """the one at fault, where it is known"""
    reason: str
    """the contract's error"""
    status: str
    """parked | retried | settled | reopened: its items were busted, or go into another batch"""
    parked_ms: int
    updated_ms: int


class OrderQuery(msgspec.Struct, frozen=True):
    market: int | None = None
    statuses: tuple[str, ...] = ()
    client_order_id: str | None = None


T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    rows: list[T]
    next: int | None
    """pass as `before` to get the next page; None on the last"""

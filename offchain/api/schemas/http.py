"""Requests and answers over HTTP.

Names are camelCase on the wire. Prices are USDC per whole base unit, quantities and amounts whole units, all as decimal
strings; times are Unix milliseconds, except `expiry`, which is Unix seconds as signed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from itertools import chain, islice

from offchain.api.schemas.base import Base
from offchain.api.schemas.orders import (
    BatchBody,
    BatchEntry,
    BatchResult,
    CancelAfter,
    CancelAfterBody,
    CanceledOrder,
    CanceledOrders,
    Execution,
    OrderInfo,
    OrderPage,
    PlacedOrder,
    TriggerInfo,
)
from offchain.api.schemas.positions import Margined, Option
from offchain.intake import ArrayBody, CancelBody, OrderBody, OrderTerms

__all__ = [
    "CHECKSUM_LEVELS",
    "Account",
    "ArrayBody",
    "AssetInfo",
    "Balance",
    "Balances",
    "BatchBody",
    "BatchEntry",
    "BatchInfo",
    "BatchResult",
    "Book",
    "CancelAfter",
    "CancelAfterBody",
    "CancelBody",
    "CanceledOrder",
    "CanceledOrders",
    "Delegate",
    "Deposit",
    "Deposits",
    "Execution",
    "FeeChange",
    "Fees",
    "Fill",
    "FillPage",
    "Level",
    "MarketInfo",
    "Markets",
    "OraclePrice",
    "OrderBody",
    "OrderInfo",
    "OrderPage",
    "OrderTerms",
    "PlacedOrder",
    "Prices",
    "PublicTrade",
    "PublicTradeRow",
    "Readiness",
    "ServerTime",
    "Settlement",
    "SigningDomain",
    "Status",
    "TradePage",
    "TriggerInfo",
    "Withdrawal",
    "Withdrawals",
    "checksum",
]

CHECKSUM_LEVELS = 10

Level = tuple[str, str]
"""(price, size)"""


def checksum(bids: Iterable[Level], asks: Iterable[Level]) -> int:
    """CRC32 of the best ten bids, then the best ten asks, each `price:size`, joined by `|`, in ASCII.

    Both sides come best price first, with the strings exactly as sent.
    """
    levels = chain(islice(bids, CHECKSUM_LEVELS), islice(asks, CHECKSUM_LEVELS))
    return zlib.crc32("|".join(f"{price}:{size}" for price, size in levels).encode("ascii"))


# ---------------------------------------------------------------------------------------------------------------------
# Accounts
# ---------------------------------------------------------------------------------------------------------------------


class Settlement(Base, frozen=True):
    """Where a fill is on its way to the chain."""

    state: str
    """pending | submitted | settled | confirmed | busted"""
    batch: int | None
    tx_hash: str | None


class Fill(Base, frozen=True):
    """An account's side of a trade."""

    trade_id: str
    order_id: str
    market: str
    side: str
    role: str
    """maker | taker"""
    price: str
    quantity: str
    fee: str
    """USDC"""
    conversion_rate: str | None
    """USDC per whole quote unit; null where the market is quoted in USDC"""
    time: int
    item: int
    """place in the order of settlement; batches are ranges of it"""
    settlement: Settlement


class FillPage(Base, frozen=True):
    fills: list[Fill]
    next: str | None


class Balance(Base, frozen=True):
    """available = settled + unsettled - reserved - held, at least 0."""

    asset: str
    settled: str
    unsettled: str
    reserved: str
    held: str
    available: str


class Balances(Base, frozen=True):
    account: str
    balances: list[Balance]


class Delegate(Base, frozen=True):
    delegate: str
    valid_until: int
    """last second (Unix) at which it signs; 0: no more"""


class Account(Base, frozen=True):
    account: str
    epoch: int
    """what its orders sign"""
    epoch_bump_pending: bool
    """the epoch is about to end; no order is taken until it has"""
    cancels_at: int | None
    """when all its orders are canceled, as `PUT /v1/cancel-after` has set it; null: not"""
    delegates: list[Delegate]
    withdrawal_nonce: str
    """what the next signed `Withdraw` carries"""
    delegate_nonce: str
    """what the next signed `Delegate` carries"""


class Withdrawal(Base, frozen=True):
    asset: str
    as_cxpt: bool
    amount: str
    status: str
    """requested | releasing | settled | canceled | reverted"""
    tx_hash: str | None
    updated_at: int | None = None
    """null in stream messages"""


class Withdrawals(Base, frozen=True):
    """Newest first."""

    account: str
    withdrawals: list[Withdrawal]


class Deposit(Base, frozen=True):
    asset: str
    amount: str
    status: str
    """pending | credited | reverted"""
    tx_hash: str
    block: int


class Deposits(Base, frozen=True):
    """Newest first."""

    account: str
    deposits: list[Deposit]


# ---------------------------------------------------------------------------------------------------------------------
# Markets
# ---------------------------------------------------------------------------------------------------------------------


class AssetInfo(Base, frozen=True):
    id: int
    symbol: str
    decimals: int
    synth: str | None
    """the ERC-20 that the Engine holds; null for USDC"""
    underlying: str | None


class MarketInfo(Base, frozen=True):
    id: int
    symbol: str
    kind: str
    base: str
    quote: str
    instrument: int
    decimals: int
    """of quantities"""
    tick_size: str
    """smallest step of the price, quote units per whole base unit"""
    lot_size: str
    """smallest step of the quantity, base units"""
    tick_per_lot: str
    """one tick as signed, in micro-USDC (cross-quoted: 10^-12 quote units) per lot"""
    min_price: str
    max_price: str
    min_quantity: str
    """per order"""
    max_quantity: str
    status: str
    """active | paused | closed | halted"""
    reason: str
    """why it is halted"""
    trading_ends: int | None
    """when its book closes for good, Unix milliseconds; null if it has no expiry"""
    option: Option | None = None
    """null of other kinds"""
    margined: Margined | None = None
    """of a perpetual or a future; null of other kinds"""
    quantity_limit: str | None = None
    """base units that an order may have now, where the operator has set less than `maxQuantity`"""
    opening_margin_bps: int | None = None
    """what a position that grows needs, with what the account has free, where the operator has set a leverage"""


class SigningDomain(Base, frozen=True):
    """The EIP-712 domain."""

    name: str
    version: str
    chain_id: int
    verifying_contract: str


class FeeChange(Base, frozen=True):
    fee_bps: int
    at: int


class Fees(Base, frozen=True):
    """Per side of a fill, in basis points of its notional value."""

    fee_bps: int
    """of what is matched now"""
    max_fee_bps: int
    """the most that the contracts allow"""
    fee_change: FeeChange | None
    """the next one that is scheduled, from a match time on (`at`, Unix ms)"""


class Markets(Base, frozen=True):
    domain: SigningDomain
    fee_bps: int
    fee_change: FeeChange | None
    """the next one that is scheduled"""
    max_open_orders: int
    """per account"""
    price_band_bps: int
    """how far beyond the best opposite price an order may reach; 0: at any price"""
    assets: list[AssetInfo]
    markets: list[MarketInfo]


class Book(Base, frozen=True):
    """The published book, best prices first, or the present one if more was asked for than is published; `seq` is the
    last event that it includes."""

    market: str
    seq: int
    time: int
    bids: list[Level]
    asks: list[Level]
    checksum: int
    """over the best ten levels, however many are listed"""


class OraclePrice(Base, frozen=True):
    """The newest round of a market's oracle, as the exchange has seen it."""

    market: str
    asset: str
    """what the oracle prices: the quote of a cross-quoted market, the base of a derivative"""
    price: str
    """USD per whole unit of the asset"""
    conversion_rate: str | None
    """what one whole quote unit is paid at now, USDC; null unless the market is cross-quoted"""
    index_price: str | None
    """of a derivative, USDC per whole base unit, as margins go by it; null of a spot market"""
    round: str
    updated_at: int
    seen_at: int
    usable: bool
    """whether orders that need it are taken"""


class Prices(Base, frozen=True):
    prices: list[OraclePrice]


class PublicTrade(Base, frozen=True):
    trade_id: str
    price: str
    quantity: str
    side: str
    """the taker's"""
    time: int
    seq: int


class PublicTradeRow(PublicTrade, frozen=True):
    settlement: str
    """pending | submitted | settled | confirmed | busted"""


class TradePage(Base, frozen=True):
    trades: list[PublicTradeRow]
    next: str | None


# ---------------------------------------------------------------------------------------------------------------------
# Service
# ---------------------------------------------------------------------------------------------------------------------


class ServerTime(Base, frozen=True):
    time: int


class BatchInfo(Base, frozen=True):
    number: int
    status: str
    first_item: int
    last_item: int
    matched_at: int
    """Unix seconds, as on chain"""
    tx_hash: str | None
    gas_used: int | None
    reason: str
    updated_at: int


class Status(Base, frozen=True):
    """How settlement and the views keep up."""

    seq: int
    views_seq: int
    queued_fills: int
    """matched and not on chain yet"""
    queued_releases: int
    """withdrawals granted and not paid yet"""
    oldest_fill_at: int | None
    parked_batch: int | None
    parked_reason: str
    diverged: str
    """how the chain contradicts what was matched; "" while it does not"""
    halted: bool
    """all markets are halted by the operator"""
    halt_reason: str
    block: int | None
    block_seen_at: int | None
    batches: list[BatchInfo]
    """newest first"""


class Readiness(Base, frozen=True):
    ready: bool
    reasons: list[str]
    notes: list[str]
    """what keeps no traffic away, such as a halt: cancels and reads work"""

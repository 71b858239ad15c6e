"""The form of a snapshot: what is saved of each part of the state."""

from __future__ import annotations

import msgspec

from offchain.domain.account import Delegation, Hold
from offchain.domain.actions import EndedAction, PendingAction
from offchain.domain.blocks import BlockRecord
from offchain.domain.commands import Configure, PlaceOrder
from offchain.domain.events import ApiKeyUpdate, MarkSample, Trade
from offchain.domain.fees import FeeSchedule
from offchain.domain.ledger import ClearingMarket
from offchain.domain.market import Asset, Market
from offchain.domain.oracle import OraclePrice
from offchain.domain.order import Address, Order, OrderHash, OrderStatus
from offchain.domain.outbox import Batch, ParkedHalt, Release
from offchain.domain.positions import Holding
from offchain.domain.requests import Request
from offchain.domain.results import PlaceResult


class SavedOrder(msgspec.Struct, array_like=True):
    order: Order
    quantity: int
    order_hash: OrderHash
    client_order_id: str | None
    filled: int
    reserved: int
    ticket: int
    status: OrderStatus
    delegate: Address | None
    waiting: PlaceOrder | None


class SavedNonceKey(msgspec.Struct, array_like=True):
    key: int
    market: int | None
    sequence: int
    order_hash: OrderHash
    result: PlaceResult | None
    ended: OrderStatus | None
    working: OrderHash | None


class SavedAccount(msgspec.Struct, array_like=True):
    address: Address
    epoch: int
    balances: list[tuple[int, int, int, int, int]]
    """(asset, settled, unsettled, reserved, held)"""
    nonce_keys: list[SavedNonceKey]
    holds: list[tuple[int, int, Hold]]
    """(kind, asset, hold)"""
    is_bump_requested: bool
    is_bumping: bool
    ended_keys: list[tuple[int, int, int]]
    """(instrument, nonce key, sequence)"""
    delegations: list[tuple[Address, Delegation]]
    ending_epoch: int | None
    nonces: tuple[int, int]
    """of signed withdrawal requests, of signed delegates"""
    deadline_ms: int
    api_keys: list[ApiKeyUpdate]


class SavedMarket(msgspec.Struct, array_like=True):
    market: Market
    status: int
    status_at: int
    operator_halt: str | None
    bids: list[OrderHash]
    asks: list[OrderHash]
    """by price, then place in the queue"""
    clearing: ClearingMarket
    pool: int
    last_price: int
    sample: MarkSample | None
    positions: list[tuple[Address, Holding, Holding]]
    """(account, settled, current)"""
    quantity_limit: int | None
    opening_margin_bps: int | None
    ready: list[tuple[OrderHash, int]]
    """orders that have waited, with the price that has reached them"""


class SavedFill(msgspec.Struct, array_like=True):
    trade: Trade
    changes: list[tuple[Address, int, int]] | None
    """(account, asset, amount) of a derivative"""


class SavedSettledBatch(msgspec.Struct, array_like=True):
    number: int
    matched_at: int
    tx_hash: bytes
    gas_used: int
    fills: list[SavedFill]


class SavedOutbox(msgspec.Struct, array_like=True):
    next_item: int
    fills: list[SavedFill]
    releases: list[Release]
    batch: Batch | None
    last_batch: int
    last_matched_at: int
    settled: list[SavedSettledBatch]
    halts: list[tuple[int, ParkedHalt]]


class SavedChain(msgspec.Struct, array_like=True):
    head_number: int
    head_hash: bytes
    head_seen_ms: int
    confirmed: int
    pruned: int
    records: list[BlockRecord]


class SavedState(msgspec.Struct, array_like=True):
    version: int
    configuration: Configure | None
    fee_bps: int
    fees: FeeSchedule
    assets: list[Asset]
    markets: list[SavedMarket]
    accounts: list[SavedAccount]
    orders: list[SavedOrder]
    ended_orders: list[SavedOrder]
    """those that unsettled or unconfirmed fills refer to"""
    known_orders: list[tuple[OrderHash, Address, int]]
    """(hash, account, nonce key)"""
    next_ticket: int
    outbox: SavedOutbox
    chain: SavedChain
    diverged: str
    prices: list[tuple[Address, OraclePrice]]
    exchange_halt: str | None
    admin_entries: int
    admin_requests: list[Request]
    actions: list[PendingAction]
    next_action: int
    ended_actions: list[EndedAction]
    watched: list[tuple[bytes, Address]]
    """(connection, account)"""

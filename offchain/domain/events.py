"""What happened, as the journal and every subscriber learn it.

Every command emits at least one event; the journal numbers them. Statuses are the API's spellings. Amounts are quanta
of their asset, prices micro-USDC per lot, quantities lots, `_ms` Unix milliseconds.
"""

from __future__ import annotations

import msgspec

from offchain.domain.actions import Action, ActionStatus
from offchain.domain.admin import Actor, Facts
from offchain.domain.commands import AdminAction
from offchain.domain.errors import Rejection
from offchain.domain.fees import FeeSchedule
from offchain.domain.market import Asset, Market
from offchain.domain.oracle import Conversion, OraclePrice, notional_down
from offchain.domain.order import Address, OrderHash, OrderStatus


class Base(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Common settings of events and results: frozen data has no cycles to collect."""


class OrderUpdate(Base, frozen=True, array_like=True, tag="orderUpdate"):
    """An order changed: placed, filled, ended. The last one of an order tells its state."""

    order_hash: OrderHash
    account: Address
    market: int
    side: int
    price: int
    quantity: int
    """lots ordered"""
    filled: int
    """lots filled so far"""
    status: OrderStatus
    depth_change: int
    """change of the resting lots at (side, price) in the book; 0 if the order does not rest"""
    code: str = ""
    """why it ended, where it did not fill"""
    client_order_id: str | None = None
    """the name that its owner gave it"""
    is_waiting: bool = False
    """it waits for its trigger, in no book"""


class OrderTriggered(Base, frozen=True, array_like=True, tag="orderTriggered"):
    """A waiting order works from now on; what becomes of it follows."""

    order_hash: OrderHash
    account: Address
    market: int
    price: int
    """the price that woke it up, micro-USDC per lot"""


class DeadlineUpdate(Base, frozen=True, array_like=True, tag="deadlineUpdate"):
    """When all orders of the account end; 0: not at all. It is 0 again once they have."""

    account: Address
    at_ms: int


class ConnectionUpdate(Base, frozen=True, array_like=True, tag="connectionUpdate"):
    """Whether all orders of the account end when this connection is lost; not any more once they have."""

    account: Address
    connection: bytes
    watched: bool


class Trade(Base, frozen=True, array_like=True, tag="trade"):
    """A fill, which is also a settlement item."""

    item: int
    """number in the order of settlement, from 1"""
    id: bytes
    """keccak256(abi.encode(makerHash, takerHash, makerFilledBefore, takerFilledBefore))"""
    market: int
    maker_hash: OrderHash
    taker_hash: OrderHash
    maker: Address
    taker: Address
    taker_side: int
    price: int
    quantity: int
    maker_filled_before: int
    taker_filled_before: int
    maker_fee: int
    taker_fee: int
    time_ms: int
    conversion: Conversion | None = None
    """None unless the market is cross-quoted"""

    @property
    def notional(self) -> int:
        """Micro-USDC."""
        return notional_down(self.quantity, self.price, self.conversion.rate if self.conversion is not None else None)


class TradeBusted(Base, frozen=True, array_like=True, tag="tradeBusted"):
    """A fill was dropped for good; balances and orders are as if it had not happened."""

    item: int
    id: bytes
    market: int
    maker: Address
    taker: Address
    reason: str


class BalanceUpdate(Base, frozen=True, array_like=True, tag="balanceUpdate"):
    """An account's balance of one asset after the command."""

    account: Address
    asset: int
    settled: int
    """on chain, as far as it counts"""
    unsettled: int
    """from fills that are not on chain yet; may be negative"""
    reserved: int
    """for open orders"""
    held: int
    """for withdrawal requests"""

    @property
    def available(self) -> int:
        return max(0, self.settled + self.unsettled - self.reserved - self.held)


class PositionUpdate(Base, frozen=True, array_like=True, tag="positionUpdate"):
    """An account's position in a derivative market after the command, once everything matched has settled."""

    account: Address
    market: int
    size: int
    """lots; negative: short"""
    quote: int
    """Q, micro-USDC; 0 of an option"""
    funding: int
    """the market's funding index up to which funding is in the quote"""
    cost: int
    """what the open lots were bought for, micro-USDC; negative: sold for"""
    realised: int
    """profit that closing and funding have brought, micro-USDC, before fees"""
    settled_size: int
    """lots on chain"""


class DepositUpdate(Base, frozen=True, array_like=True, tag="depositUpdate"):
    account: Address
    asset: int
    amount: int
    status: str
    """pending | credited | reverted"""
    tx_hash: bytes
    log_index: int
    block: int


class WithdrawalUpdate(Base, frozen=True, array_like=True, tag="withdrawalUpdate"):
    account: Address
    kind: int
    asset: int
    amount: int
    status: str
    """requested | releasing | settled | canceled | reverted"""
    tx_hash: bytes
    item: int
    """settlement item of the release, 0 before there is one"""


class BatchUpdate(Base, frozen=True, array_like=True, tag="batchUpdate"):
    number: int
    status: str
    """closed | sent | settled | confirmed | parked | retried | reopened"""
    first: int
    last: int
    matched_at: int
    tx_hash: bytes = b""
    gas_used: int = 0
    reason: str = ""


class AssetListed(Base, frozen=True, array_like=True, tag="assetListed"):
    asset: Asset


class MarketUpdate(Base, frozen=True, array_like=True, tag="marketUpdate"):
    market: Market
    status: int
    halted: bool
    reason: str
    quantity_limit: int | None = None
    """lots per order that the operator allows; None: what the registry does"""
    opening_margin_bps: int | None = None
    """what the operator asks of a position that grows; None: what the registry does"""


class ExchangeUpdate(Base, frozen=True, array_like=True, tag="exchangeUpdate"):
    """What holds for all markets: whether they are halted together, and the limits of orders."""

    halted: bool
    reason: str
    max_open_orders: int
    price_band_bps: int


class AdminActed(Base, frozen=True, array_like=True, tag="adminActed"):
    """An administrator acted, or was refused: an entry of the audit log."""

    number: int
    """of the entry, from 1"""
    actor: Actor
    action: AdminAction
    before: Facts
    after: Facts
    rejection: Rejection | None
    """why nothing was done; None if it was"""


class PriceUpdate(Base, frozen=True, array_like=True, tag="priceUpdate"):
    """An oracle's newest round, for the first time or still."""

    oracle: Address
    price: OraclePrice


class MarkSample(Base, frozen=True, array_like=True, tag="markSample"):
    """A derivative's mark and index as they were taken down: of a perpetual or a future while its index is fresh."""

    market: int
    time_ms: int
    mark: int
    index: int
    """0 of an option, whose mark is a premium"""


class FundingUpdate(Base, frozen=True, array_like=True, tag="fundingUpdate"):
    """An hour's funding of a perpetual was accrued on chain, or a reorganisation undid that."""

    market: int
    hour: int
    """Unix time / 3600, of the full hour at which it is due"""
    rate: int
    """1e-8 per hour; longs pay a positive one"""
    index: int
    """at the full hour"""
    funding: int
    """the market's funding index from now on, micro-USDC per lot x 2^32"""
    reverted: bool = False
    """hours after `hour` have not been accrued; rate and index are 0, as they are not kept"""


class BlockApplied(Base, frozen=True, array_like=True, tag="blockApplied"):
    number: int
    block_hash: bytes
    parent_hash: bytes
    time: int


class BlockReverted(Base, frozen=True, array_like=True, tag="blockReverted"):
    number: int
    block_hash: bytes


class Configured(Base, frozen=True, array_like=True, tag="configured"):
    chain_id: int
    engine: Address
    fee_bps: int


class FeeUpdate(Base, frozen=True, array_like=True, tag="feeUpdate"):
    """The fee changed, or its next change was scheduled, replaced or undone."""

    fee_bps: int
    """of what is matched now"""
    schedule: FeeSchedule


class AccountUpdate(Base, frozen=True, array_like=True, tag="accountUpdate"):
    """Which epoch an account's orders sign, and whether they are taken at all."""

    account: Address
    epoch: int
    is_bumping: bool
    """the epoch is about to end: no order is taken until it has"""


class DelegateUpdate(Base, frozen=True, array_like=True, tag="delegateUpdate"):
    """`delegate` signs for the account until `valid_until` (Unix seconds, inclusive); 0: no more."""

    account: Address
    delegate: Address
    valid_until: int


class ActionUpdate(Base, frozen=True, array_like=True, tag="actionUpdate"):
    """A transaction that the service sends for the account was requested, or went on."""

    id: bytes
    account: Address
    """`actions.OPERATOR` for what administrators asked for"""
    kind: str
    """the action's tag"""
    status: ActionStatus
    reason: str = ""
    """why it ended, where it did not settle"""
    tx_hash: bytes = b""
    """the newest transaction, then the one that was mined"""
    action: Action | None = None
    """with the request only"""
    target: Address = b""
    """needsOwner: the contract that is to be called"""
    data: bytes = b""
    """needsOwner: with what"""


class ApiKeyUpdate(Base, frozen=True, array_like=True, tag="apiKeyUpdate"):
    """An API key was made, or has ended."""

    account: Address
    id: str
    secret_hash: bytes
    """SHA-256"""
    label: str
    scopes: list[str]
    expiry: int
    """Unix seconds; the key is dead from then on. 0: it has no end"""
    created_ms: int
    status: str
    """active | revoked | expired"""

    @property
    def is_active(self) -> bool:
        return self.status == "active"


class Diverged(Base, frozen=True, array_like=True, tag="diverged"):
    """The chain settled something else than what was matched. All markets halt; an operator must look."""

    batch: int
    detail: str


class CommandRefused(Base, frozen=True, array_like=True, tag="commandRefused"):
    """A command changed nothing."""

    rejection: Rejection


class Ticked(Base, frozen=True, array_like=True, tag="ticked"):
    expired: int
    """orders that ended"""


Event = (
    OrderUpdate
    | OrderTriggered
    | DeadlineUpdate
    | ConnectionUpdate
    | Trade
    | TradeBusted
    | BalanceUpdate
    | PositionUpdate
    | DepositUpdate
    | WithdrawalUpdate
    | BatchUpdate
    | AssetListed
    | MarketUpdate
    | ExchangeUpdate
    | AdminActed
    | PriceUpdate
    | MarkSample
    | FundingUpdate
    | BlockApplied
    | BlockReverted
    | Configured
    | FeeUpdate
    | AccountUpdate
    | DelegateUpdate
    | ActionUpdate
    | Diverged
    | CommandRefused
    | Ticked
    | ApiKeyUpdate
)

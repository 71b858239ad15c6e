"""An account: balances, what its open orders reserve, what its withdrawal requests hold, and its nonce keys.

Amounts are quanta of their asset (micro-USDC for asset 0), prices micro-USDC per lot, quantities lots.
"""

from __future__ import annotations

import msgspec

from offchain.domain.clearing import BPS
from offchain.domain.commands import PlaceOrder
from offchain.domain.events import ApiKeyUpdate, BalanceUpdate
from offchain.domain.market import USDC, Kind, Market
from offchain.domain.oracle import notional_up
from offchain.domain.order import Address, Order, OrderHash, OrderStatus, Side
from offchain.domain.results import PlaceResult


def reservation_up(side: int, price: int, quantity: int, lot_size: int, fee_bps: int, conversion_limit: int = 0) -> int:
    """What `quantity` open lots at limit `price` reserve: micro-USDC with fee for a buy, quanta of the base for a sell.

    However the lots are split into fills at this price or better, notional and fees never exceed it. `conversion_limit`
    is 0 unless the market is cross-quoted.
    """
    if side:
        return quantity * lot_size
    notional = notional_up(quantity, price, conversion_limit) if conversion_limit else price * quantity
    return notional - (-notional * fee_bps // BPS)


def cleared_reservation_up(market: Market, order: Order, quantity: int, fee_bps: int) -> int:
    """What `quantity` open lots of an order in a derivative's market reserve, in micro-USDC."""
    if order.reduce_only:
        # It closes what is there: the fee comes out of what is released, which is checked when it is met.
        return 0
    if market.kind == Kind.OPTION:
        return option_reservation_up(order.side, order.price, quantity, market.terms.collateral, fee_bps)
    return margin_reservation_up(order.price, quantity, market.terms.initial_margin_bps, fee_bps)


def option_reservation_up(side: int, price: int, quantity: int, collateral: int, fee_bps: int) -> int:
    """Micro-USDC with fee: the premium of a buy, the collateral less the premium of a sell.

    Resting orders fill at their own price, and as if they opened: one that closes instead needs less.
    """
    notional = price * quantity
    fee_up = -(-notional * fee_bps // BPS)
    return max(0, notional + fee_up if side == Side.BUY else quantity * collateral - notional + fee_up)


def margin_reservation_up(price: int, quantity: int, initial_margin_bps: int, fee_bps: int) -> int:
    """Micro-USDC of initial margin and fee, as if all of it opened; resting orders fill at their own price.

    Closing at a loss that the position does not hold may cost more: that is checked when the order is met.
    """
    notional = price * quantity
    return -(-notional * initial_margin_bps // BPS) - (-notional * fee_bps // BPS)


def drawn_asset(market: Market, side: int) -> int:
    """Of which asset an order pays."""
    return market.base if side and market.derivative is None else USDC


class Balance:
    """An account's balance of one asset, in quanta."""

    __slots__ = ("address", "asset", "held", "reserved", "settled", "unsettled")

    def __init__(self, address: Address, asset: int) -> None:
        self.address = address
        self.asset = asset
        self.settled = 0
        self.unsettled = 0
        self.reserved = 0
        self.held = 0

    @property
    def total(self) -> int:
        """What the account owns once everything matched is settled; never negative after a command."""
        return self.settled + self.unsettled

    @property
    def free(self) -> int:
        """What new orders may use; negative while a withdrawal request exceeds the balance."""
        return self.settled + self.unsettled - self.reserved - self.held

    def update(self) -> BalanceUpdate:
        return BalanceUpdate(self.address, self.asset, self.settled, self.unsettled, self.reserved, self.held)


class Hold(msgspec.Struct, frozen=True, array_like=True):
    """An open withdrawal request. `item` is the settlement item of its release, 0 before there is one."""

    amount: int
    block: int
    tx_hash: bytes
    log_index: int
    item: int = 0

    def is_same_request(self, other: Hold) -> bool:
        return self.tx_hash == other.tx_hash and self.log_index == other.log_index


class Delegation(msgspec.Struct, array_like=True):
    """Until when a delegate signs, in Unix seconds, inclusive."""

    valid_until: int
    """on chain"""
    counted: int
    """as far as it counts: later ends are confirmed before they do, earlier ones count at once"""


class LiveOrder(msgspec.Struct, eq=False, gc=False):
    """An accepted order: open, or ended while a fill of it is still unsettled.

    The cyclic collector does not look at orders, of which there may be a million: whatever refers to an order lets go
    of it when it ends, so that they are freed without it. A core that is dropped with open orders is not freed.
    """

    order: Order
    order_hash: OrderHash
    account: Account
    balance: Balance
    """the balance that the order draws on"""
    market: Market
    quantity: int
    """lots that it works for: a reduce-only order may have been trimmed to the position"""
    client_order_id: str | None = None
    delegate: Address | None = None
    """who signed for the account; None if it did itself"""
    filled: int = 0
    reserved: int = 0
    ticket: int = 0
    """place in the queue of its price level; 0 while the order does not rest"""
    status: OrderStatus = OrderStatus.OPEN
    waiting: PlaceOrder | None = None
    """what to execute once its trigger is reached; None: it does not wait"""

    @property
    def remaining(self) -> int:
        """Open lots."""
        return self.quantity - self.filled

    @property
    def is_open(self) -> bool:
        return self.status is OrderStatus.OPEN or self.status is OrderStatus.PARTIALLY_FILLED

    def reserve_up(self, fee_bps: int) -> None:
        """Reserve for what is open, in place of what was reserved before. What waits reserves nothing."""
        if self.waiting is not None:
            return
        market, order, remaining = self.market, self.order, self.quantity - self.filled
        if market.derivative is None:
            limit = order.conversion_limit
            reserved = reservation_up(order.side, order.price, remaining, market.lot_size, fee_bps, limit)
        else:
            reserved = cleared_reservation_up(market, order, remaining, fee_bps)
        self.balance.reserved += reserved - self.reserved
        self.reserved = reserved

    def release_reservation(self) -> None:
        self.balance.reserved -= self.reserved
        self.reserved = 0


class NonceKey(msgspec.Struct, eq=False, gc=False):
    """What is remembered of a nonce key: the latest order that used it, its answer, and the order that works now."""

    address: Address
    key: int
    market: int | None = None
    """pinned by the first order that was accepted"""
    sequence: int = -1
    order_hash: OrderHash = b""
    result: PlaceResult | None = None
    ended: OrderStatus | None = None
    """how the latest order ended; None while it is open"""
    working: LiveOrder | None = None
    """the open order of the key; an older one than the latest if that was rejected"""


class Account:
    """Everything of one account. Orders are in order of entry."""

    __slots__ = (
        "address",
        "api_keys",
        "balances",
        "client_order_ids",
        "deadline_ms",
        "delegate_nonce",
        "delegations",
        "ended_keys",
        "ending_epoch",
        "epoch",
        "holds",
        "is_bump_requested",
        "is_bumping",
        "nonce_keys",
        "orders",
        "withdrawal_nonce",
    )

    def __init__(self, address: Address) -> None:
        self.address = address
        self.epoch = 0
        """on chain; what orders sign"""
        self.is_bump_requested = False
        """the chain lets anyone end the epoch one window after the request"""
        self.is_bumping = False
        """no order is taken: a bump is requested, or not confirmed"""
        self.ending_epoch: int | None = None
        """the account has signed that this epoch and those before end, which the service brings to the chain"""
        self.withdrawal_nonce = 0
        """on chain: what the next signed withdrawal request carries"""
        self.delegate_nonce = 0
        """on chain: what the next signed delegate carries"""
        self.ended_keys: dict[tuple[int, int], int] = {}
        """by (instrument, nonce key): the highest sequence that was canceled on chain, and with it all below"""
        self.deadline_ms = 0
        """when all its orders end, Unix milliseconds; 0: never"""
        self.delegations: dict[Address, Delegation] = {}
        self.balances: dict[int, Balance] = {}
        self.orders: dict[OrderHash, LiveOrder] = {}
        self.client_order_ids: dict[str, OrderHash] = {}
        self.nonce_keys: dict[int, NonceKey] = {}
        self.holds: dict[tuple[int, int], Hold] = {}
        """by (withdrawal kind, asset)"""
        self.api_keys: dict[str, ApiKeyUpdate] = {}
        """the active ones"""

    def balance(self, asset: int) -> Balance:
        balance = self.balances.get(asset)
        if balance is None:
            balance = self.balances[asset] = Balance(self.address, asset)
        return balance

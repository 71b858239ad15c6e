"""What `Engine.settleBatch` does, as a pure function: the model that the contract is tested against, bit for bit.

The checks come in the contract's order (`IEngine`, "Order of checks") and fail with the same error and arguments, so a
batch is refused by both or by neither. Prices are micro-USDC per lot, quantities lots, USDC micro-USDC, base balances
quanta, times Unix seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from offchain.domain.batch import (
    AccountEntry,
    Batch,
    FillEntry,
    Halt,
    KeyState,
    LedgerState,
    MarketRules,
    NonceKey,
    OrderEntry,
    Position,
    PositionEntry,
    SettlementError,
    SettlementResult,
)
from offchain.domain.ids import fill_id
from offchain.domain.market import Kind, MarketStatus
from offchain.domain.order import (
    LAST_SEQUENCE,
    MAX_TIMED_EXPIRY,
    NO_EXPIRY,
    Address,
    Order,
    OrderHash,
    Side,
    TimeInForce,
)

WINDOW = 3600
"""Settlement window in seconds; a match settles within half of it."""

BPS = 10_000
MAX_GROUP_FILLS = 256
"""Fills of one IOC or FOK order."""

NOTHING_SIGNED = 2**32 - 1
"""Epoch of an account entry for which the Vault checks no epoch."""

_MAX_BALANCE = 2**128 - 1
_MAX_PRICE = 2**56 - 1
_MAX_QUANTITY = 2**40 - 1

# Values of IEngine.Table
_POSITIONS, _ORDERS, _FILLS = range(3)


HashOrder = Callable[[Order], OrderHash]
SignerOf = Callable[[OrderHash, bytes], Address | None]
"""Who signed the order with this hash, given the signature; None if nobody can have."""


@dataclass(slots=True)
class _Working:
    """An order while its batch is settled."""

    entry: OrderEntry
    account: Address
    position: Position
    hash: OrderHash
    filled: int
    """lots, with what earlier batches filled"""
    is_used: bool = False
    is_closed: bool = False
    """an IOC or FOK order whose group of fills has ended"""

    @property
    def nonce_key(self) -> NonceKey:
        return (*self.position, self.entry.key)


# ---------------------------------------------------------------------------------------------------------------------
# Settlement
# ---------------------------------------------------------------------------------------------------------------------


def settle(state: LedgerState, batch: Batch, now: int, hash_order: HashOrder, signer_of: SignerOf) -> SettlementResult:
    """Settle `batch` on `state` in a block of time `now`, sent by the operator; `state` is not changed.

    Raises SettlementError where the contract reverts.
    """
    _check_header(state, batch, now)
    _check_accounts(batch)
    markets = _check_markets(state, batch)
    _check_positions(batch)
    _check_groups(batch)
    orders = _check_orders(state, batch, markets, hash_order, signer_of)
    fills = _Fills(state, batch, markets, orders)
    for index in range(len(batch.fills)):
        fills.apply(index)
    fills.close_group()
    base = _settle_base(state, batch, fills.base)
    usdc = _settle_usdc(state, batch, fills.usdc)
    return SettlementResult(batch.number, batch.matched_at, usdc, base, _key_states(orders), tuple(fills.ids))


def earliest_match(now: int, halt: Halt | None) -> int:
    """The earliest match time that can be settled at `now`: half a window ago, not counting the time of a halt."""
    earliest = now - WINDOW // 2
    if halt is not None and halt.end >= earliest:
        earliest -= halt.end - halt.start
    return earliest


def _check_header(state: LedgerState, batch: Batch, now: int) -> None:
    if state.halt is not None and now < state.halt.end:
        raise SettlementError("EngineHalted", (state.halt.end,))
    if not batch.fills:
        raise SettlementError("EmptyBatch", ())
    if batch.number != state.number + 1:
        raise SettlementError("WrongBatchNumber", (state.number + 1, batch.number))
    lowest = max(state.matched_at, earliest_match(now, state.halt))
    if not lowest <= batch.matched_at <= now:
        raise SettlementError("MatchedAtOutOfRange", (batch.matched_at, lowest, now))


# ---------------------------------------------------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------------------------------------------------


def _check_accounts(batch: Batch) -> None:
    previous = bytes(20)
    for index, entry in enumerate(batch.accounts):
        if entry.account <= previous:
            raise SettlementError("UnsortedAccounts", (index,))
        previous = entry.account


def _check_markets(state: LedgerState, batch: Batch) -> list[MarketRules]:
    markets: list[MarketRules] = []
    for index, market_id in enumerate(batch.markets):
        if index and market_id <= batch.markets[index - 1]:
            raise SettlementError("UnsortedMarkets", (index,))
        market = state.markets.get(market_id)
        if market is None or market.status == MarketStatus.NONE:
            raise SettlementError("UnknownMarket", (index,))
        # A paused or closed market still settles what was matched before.
        if market.status != MarketStatus.ACTIVE and batch.matched_at > market.status_at:
            raise SettlementError("MarketNotActive", (index,))
        if market.kind != Kind.SPOT:
            raise SettlementError("UnsupportedKind", (index,))
        markets.append(market)
    return markets


def _check_positions(batch: Batch) -> None:
    previous: PositionEntry | None = None
    for index, entry in enumerate(batch.positions):
        if entry.account >= len(batch.accounts):
            raise SettlementError("IndexOutOfRange", (_POSITIONS, index))
        if previous and (entry.account, entry.instrument) <= (previous.account, previous.instrument):
            raise SettlementError("UnsortedPositions", (index,))
        previous = entry


def _check_groups(batch: Batch) -> None:
    for index, entry in enumerate(batch.groups):
        if entry.leaf_count != 1:  # signatures over arrays of orders do not exist yet
            raise SettlementError("InvalidLeafCount", (index,))


def _check_orders(
    state: LedgerState, batch: Batch, markets: list[MarketRules], hash_order: HashOrder, signer_of: SignerOf
) -> list[_Working]:
    orders: list[_Working] = []
    used_leaves: set[tuple[int, int]] = set()
    for index, entry in enumerate(batch.orders):
        _check_links(batch, index)
        _check_terms(state, batch, markets[entry.market], index)
        account_entry = batch.accounts[batch.positions[entry.position].account]
        position = (account_entry.account, batch.positions[entry.position].instrument)
        stored = state.keys.get((*position, entry.key), KeyState())
        if stored.sequence > entry.sequence:
            raise SettlementError("StaleNonce", (index,))
        if (entry.group, entry.leaf) in used_leaves:
            raise SettlementError("LeafSetTwice", (index,))
        used_leaves.add((entry.group, entry.leaf))
        order_hash = hash_order(batch.signed_order(entry))
        if signer_of(order_hash, batch.groups[entry.group].signature) != account_entry.account:
            raise SettlementError("InvalidSignature", (index,))
        filled = stored.filled if stored.sequence == entry.sequence else 0
        orders.append(_Working(entry, account_entry.account, position, order_hash, filled))
    for index, group in enumerate(batch.groups):
        if any((index, leaf) not in used_leaves for leaf in range(group.leaf_count)):
            raise SettlementError("LeafNotSet", (index,))
    return orders


def _check_links(batch: Batch, index: int) -> None:
    entry = batch.orders[index]
    if (
        entry.position >= len(batch.positions)
        or entry.market >= len(batch.markets)
        or entry.group >= len(batch.groups)
        or entry.leaf >= batch.groups[entry.group].leaf_count
    ):
        raise SettlementError("IndexOutOfRange", (_ORDERS, index))
    if index:
        previous = batch.orders[index - 1]
        if (entry.position, entry.nonce) <= (previous.position, previous.nonce):
            raise SettlementError("UnsortedOrders", (index,))


def _check_terms(state: LedgerState, batch: Batch, market: MarketRules, index: int) -> None:
    """What can be said of an order without its account, in the order in which the contract says it."""
    entry = batch.orders[index]
    price, quantity = entry.price, entry.quantity
    is_gtc = entry.time_in_force == TimeInForce.GTC
    has_valid_expiry = entry.expiry == NO_EXPIRY if is_gtc else 0 < entry.expiry <= MAX_TIMED_EXPIRY
    refusals = (
        ("InvalidFlags", not 0 <= entry.side <= 1 or not 0 <= entry.time_in_force <= 3),
        ("InstrumentMismatch", batch.positions[entry.position].instrument != market.instrument),
        ("ReduceOnlySpot", entry.reduce_only),
        ("UnexpectedConversionLimit", entry.conversion_limit is not None),
        ("InvalidPrice", not 0 < price <= min(market.max_price_per_lot, _MAX_PRICE) or price % market.tick_per_lot),
        ("InvalidQuantity", not 0 < quantity <= min(market.max_quantity, _MAX_QUANTITY)),
        ("InvalidExpiry", not has_valid_expiry),
        ("OrderExpired", entry.expiry < batch.matched_at),
        ("SequenceExhausted", entry.sequence == LAST_SEQUENCE),
        ("FeeAboveCap", entry.max_fee_bps < state.fee_bps),
    )
    for name, is_refused in refusals:
        if is_refused:
            raise SettlementError(name, (index,))


# ---------------------------------------------------------------------------------------------------------------------
# Fills
# ---------------------------------------------------------------------------------------------------------------------


class _Fills:
    """Applies the fills in match order. A group is the run of fills of one IOC or FOK taker."""

    def __init__(self, state: LedgerState, batch: Batch, markets: list[MarketRules], orders: list[_Working]) -> None:
        self._fee_bps = state.fee_bps
        self._engine = state.engine
        self._batch = batch
        self._markets = markets
        self._orders = orders
        self._latest: dict[NonceKey, int] = {}
        self._group: int | None = None
        self._group_fills = 0
        self.usdc: defaultdict[Address, int] = defaultdict(int)
        self.base: defaultdict[Position, int] = defaultdict(int)
        self.ids: list[bytes] = []

    def apply(self, index: int) -> None:
        fill = self._batch.fills[index]
        if self._group is not None and fill.taker != self._group:
            self.close_group()
        if fill.maker >= len(self._orders) or fill.taker >= len(self._orders):
            raise SettlementError("IndexOutOfRange", (_FILLS, index))
        maker, taker = self._orders[fill.maker], self._orders[fill.taker]
        _check_pair(maker, taker, fill, index)
        self._count_group(taker, fill, index)
        self._use(maker, index)
        self._use(taker, index)
        if not _is_crossing(maker.entry, taker.entry):
            raise SettlementError("NotCrossing", (index,))
        for order, order_index in ((maker, fill.maker), (taker, fill.taker)):
            if order.filled + fill.quantity > order.entry.quantity:
                raise SettlementError("Overfill", (index, order_index))
        self.ids.append(fill_id(maker.hash, taker.hash, maker.filled, taker.filled))
        maker.filled += fill.quantity
        taker.filled += fill.quantity
        self._move(maker, taker, fill.quantity)

    def close_group(self) -> None:
        """The group of an IOC or FOK order, if one is open, has ended."""
        if self._group is None:
            return
        order = self._orders[self._group]
        if order.entry.time_in_force == TimeInForce.FOK and order.filled != order.entry.quantity:
            raise SettlementError("FokIncomplete", (self._group,))
        order.is_closed = True
        self._group, self._group_fills = None, 0

    def _count_group(self, taker: _Working, fill: FillEntry, index: int) -> None:
        if not taker.entry.is_immediate:
            return
        self._group = fill.taker
        self._group_fills += 1
        if self._group_fills > MAX_GROUP_FILLS:
            raise SettlementError("GroupTooLarge", (index,))

    def _use(self, order: _Working, index: int) -> None:
        """Note that an order acts; no lower sequence of its nonce key may act afterwards."""
        if self._latest.get(order.nonce_key, 0) > order.entry.sequence:
            raise SettlementError("Superseded", (index,))
        self._latest[order.nonce_key] = order.entry.sequence
        order.is_used = True

    def _move(self, maker: _Working, taker: _Working, quantity: int) -> None:
        buyer, seller = (maker, taker) if taker.entry.side == Side.SELL else (taker, maker)
        notional = quantity * maker.entry.price
        fee_down = notional * self._fee_bps // BPS
        lots = quantity * self._markets[maker.entry.market].lot_size
        self.usdc[buyer.account] -= notional + fee_down
        self.usdc[seller.account] += notional - fee_down
        self.usdc[self._engine] += 2 * fee_down
        self.base[buyer.position] += lots
        self.base[seller.position] -= lots


def _check_pair(maker: _Working, taker: _Working, fill: FillEntry, index: int) -> None:
    refusals = (
        ("ZeroQuantity", fill.quantity == 0),
        ("MarketMismatch", maker.entry.market != taker.entry.market),
        ("SameSide", maker.entry.side == taker.entry.side),
        ("SelfTrade", maker.account == taker.account),
        ("MakerNotResting", maker.entry.is_immediate),
        ("GroupClosed", taker.is_closed),
    )
    for name, is_refused in refusals:
        if is_refused:
            raise SettlementError(name, (index,))


def _is_crossing(maker: OrderEntry, taker: OrderEntry) -> bool:
    return taker.price <= maker.price if taker.side == Side.SELL else taker.price >= maker.price


# ---------------------------------------------------------------------------------------------------------------------
# Results
# ---------------------------------------------------------------------------------------------------------------------


def _settle_base(state: LedgerState, batch: Batch, deltas: Mapping[Position, int]) -> dict[Position, int]:
    balances: dict[Position, int] = {}
    for index, entry in enumerate(batch.positions):
        position = (batch.accounts[entry.account].account, entry.instrument)
        balance = state.base.get(position, 0) + deltas.get(position, 0)
        if balance < 0:
            raise SettlementError("BalanceTooLow", (index,))
        if balance > _MAX_BALANCE:
            raise SettlementError("BalanceOverflow", (index,))
        balances[position] = balance
    return balances


def _settle_usdc(state: LedgerState, batch: Batch, deltas: Mapping[Address, int]) -> dict[Address, int]:
    """What `Vault.settle` does; the last entry is the Engine, which collects the fees."""
    shares: dict[Address, int] = {}
    entries = (*batch.accounts, AccountEntry(state.engine, NOTHING_SIGNED))
    for index, entry in enumerate(entries):
        if entry.epoch not in (NOTHING_SIGNED, state.epochs.get(entry.account, 0)):
            raise SettlementError("StaleEpoch", (index,))
        balance = state.usdc.get(entry.account, 0) + deltas.get(entry.account, 0)
        if balance < 0:
            raise SettlementError("InsufficientBalance", (index,))
        if balance > _MAX_BALANCE:
            raise SettlementError("SharesOverflow", ("0x" + entry.account.hex(),))
        shares[entry.account] = balance
    return shares


def _key_states(orders: list[_Working]) -> dict[NonceKey, KeyState]:
    """New states of the nonce keys that acted; orders come by sequence, so a key's last one stays."""
    keys: dict[NonceKey, KeyState] = {}
    for order in orders:
        if order.is_closed:
            keys[order.nonce_key] = KeyState(order.entry.sequence + 1, 0)
        elif order.is_used:
            keys[order.nonce_key] = KeyState(order.entry.sequence, order.filled)
    return keys

"""A batch's orders and their signatures, as the Engine checks them; see settlement.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from offchain.domain.batch import (
    LIMIT_MISSING,
    NO_GROUP,
    NOTHING_SIGNED,
    RESERVED_KEY,
    Batch,
    OrderEntry,
    SettlementError,
)
from offchain.domain.ledger import KeyState, LedgerState, MarketRules, NonceKey, Position
from offchain.domain.market import Kind
from offchain.domain.oracle import is_beyond
from offchain.domain.order import LAST_SEQUENCE, MAX_TIMED_EXPIRY, NO_EXPIRY, Address, Order, OrderHash, TimeInForce

HashOrder = Callable[[Order], OrderHash]
HashArray = Callable[[Sequence[OrderHash]], bytes]
"""EIP-712 struct hash of an array of orders, given theirs."""

SignerOf = Callable[[bytes, bytes], Address | None]
"""Who signed the struct with this hash, given the signature; None if nobody can have."""

_MAX_PRICE = 2**56 - 1
_MAX_QUANTITY = 2**40 - 1

_ORDERS = 2
"""Value of IEngine.Table."""

Absent = Sequence[dict[int, OrderHash]]
"""By group: the leaves that are not in the batch, with their hashes."""


@dataclass(frozen=True, slots=True)
class BatchMarket:
    """A market with what its batch says of it."""

    id: int
    round: int
    rules: MarketRules
    rate: int | None
    """micro-USDC per whole quote unit; None unless cross-quoted"""

    @property
    def is_derivative(self) -> bool:
        return self.rules.kind != Kind.SPOT


@dataclass(slots=True)
class WorkingOrder:
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
# Orders
# ---------------------------------------------------------------------------------------------------------------------


def check_orders(
    state: LedgerState,
    batch: Batch,
    markets: Sequence[BatchMarket],
    absent: Absent,
    fee_bps: int,
    hash_order: HashOrder,
) -> list[WorkingOrder]:
    """Every order with what is stored of it; the signatures are checked afterwards."""
    orders: list[WorkingOrder] = []
    taken = {(group, leaf) for group, leaves in enumerate(absent) for leaf in leaves}
    signers: dict[int, Address] = {}
    for index, entry in enumerate(batch.orders):
        _check_links(batch, index)
        _check_terms(batch, markets, fee_bps, index)
        account = batch.accounts[batch.positions[entry.position].account].account
        position = (account, batch.positions[entry.position].instrument)
        stored = state.keys.get((*position, entry.key), KeyState())
        if stored.sequence > entry.sequence or (entry.forced and stored.sequence != entry.sequence):
            raise SettlementError("StaleNonce", (index,))
        if not entry.forced:
            if (entry.group, entry.leaf) in taken:
                raise SettlementError("LeafSetTwice", (index,))
            taken.add((entry.group, entry.leaf))
            if signers.setdefault(entry.group, account) != account:
                raise SettlementError("GroupAccountMismatch", (index,))
        filled = stored.filled if stored.sequence == entry.sequence else 0
        orders.append(WorkingOrder(entry, account, position, hash_order(batch.signed_order(entry)), filled))
    if batch.unused_limits:
        raise SettlementError("LimitNotUsed", (sum(entry.conversion_limit is not None for entry in batch.orders),))
    _check_rounds(batch, markets)
    return orders


def _check_links(batch: Batch, index: int) -> None:
    entry = batch.orders[index]
    if (
        entry.position >= len(batch.positions)
        or entry.market >= len(batch.markets)
        or not (entry.forced or _has_leaf(batch, entry))
        or entry.conversion_limit == LIMIT_MISSING
    ):
        raise SettlementError("IndexOutOfRange", (_ORDERS, index))
    if index:
        previous = batch.orders[index - 1]
        if (entry.position, entry.nonce) <= (previous.position, previous.nonce):
            raise SettlementError("UnsortedOrders", (index,))


def _has_leaf(batch: Batch, entry: OrderEntry) -> bool:
    return entry.group < len(batch.groups) and entry.leaf < batch.groups[entry.group].leaf_count


def _check_terms(batch: Batch, markets: Sequence[BatchMarket], fee_bps: int, index: int) -> None:
    """What can be said of an order without its account's state, in the order in which the contract says it."""
    entry = batch.orders[index]
    market = markets[entry.market]
    position = batch.positions[entry.position]
    if not 0 <= entry.side <= 1 or not 0 <= entry.time_in_force <= 3:
        raise SettlementError("InvalidFlags", (index,))
    if position.instrument != market.rules.instrument:
        raise SettlementError("InstrumentMismatch", (index,))
    if entry.forced:
        if not _is_valid_forced(entry, market.rules):
            raise SettlementError("InvalidForced", (index,))
        if market.round == 0:
            raise SettlementError("RoundMissing", (entry.market,))
    for name, is_refused in (*_limit_refusals(entry, market), *_term_refusals(batch, entry, market.rules)):
        if is_refused:
            raise SettlementError(name, (index,))
    if not entry.forced:
        for name, is_refused in (
            ("ReservedKey", market.is_derivative and entry.key == RESERVED_KEY),
            ("EpochExhausted", batch.accounts[position.account].epoch == NOTHING_SIGNED),
            ("FeeAboveCap", entry.max_fee_bps < fee_bps),
        ):
            if is_refused:
                raise SettlementError(name, (index,))


def _is_valid_forced(entry: OrderEntry, rules: MarketRules) -> bool:
    return (
        (entry.group, entry.leaf, entry.key) == (NO_GROUP, 0, RESERVED_KEY)
        and entry.time_in_force == TimeInForce.IOC
        and entry.reduce_only
        and rules.kind in (Kind.PERP, Kind.FUTURE)
    )


def _limit_refusals(entry: OrderEntry, market: BatchMarket) -> tuple[tuple[str, bool], ...]:
    limit, rate = entry.conversion_limit, market.rate
    is_exceeded = rate is not None and limit is not None and is_beyond(entry.side, limit, rate)
    return (
        ("ReduceOnlySpot", entry.reduce_only and not market.is_derivative),
        ("UnexpectedConversionLimit", limit is not None and rate is None),
        ("ConversionLimitMissing", rate is not None and not limit),
        ("ConversionLimitExceeded", is_exceeded),
    )


def _term_refusals(batch: Batch, entry: OrderEntry, rules: MarketRules) -> tuple[tuple[str, bool], ...]:
    price, quantity = entry.price, entry.quantity
    is_gtc = entry.time_in_force == TimeInForce.GTC
    has_valid_expiry = entry.expiry == NO_EXPIRY if is_gtc else 0 < entry.expiry <= MAX_TIMED_EXPIRY
    has_valid_price = 0 < price <= min(rules.max_price_per_lot, _MAX_PRICE) and price % rules.tick_per_lot == 0
    return (
        ("InvalidPrice", not has_valid_price),
        ("InvalidQuantity", not 0 < quantity <= min(rules.max_quantity, _MAX_QUANTITY)),
        ("InvalidExpiry", not has_valid_expiry),
        ("OrderExpired", entry.expiry < batch.matched_at),
        ("SequenceExhausted", entry.sequence == LAST_SEQUENCE),
    )


def _check_rounds(batch: Batch, markets: Sequence[BatchMarket]) -> None:
    """A derivative market has a round only for its forced orders."""
    forced = {entry.market for entry in batch.orders if entry.forced}
    for index, market in enumerate(markets):
        if market.is_derivative and market.round and index not in forced:
            raise SettlementError("UnexpectedRound", (index,))


# ---------------------------------------------------------------------------------------------------------------------
# Signatures
# ---------------------------------------------------------------------------------------------------------------------


def check_signatures(
    state: LedgerState,
    batch: Batch,
    orders: Sequence[WorkingOrder],
    absent: Absent,
    hash_array: HashArray,
    signer_of: SignerOf,
) -> None:
    """Every group is signed by its orders' account or by a delegate of it."""
    leaves = [dict(hashes) for hashes in absent]
    accounts: dict[int, Address] = {}
    for order in orders:
        if not order.entry.forced:
            leaves[order.entry.group][order.entry.leaf] = order.hash
            accounts[order.entry.group] = order.account
    for index, group in enumerate(batch.groups):
        if len(leaves[index]) < group.leaf_count:
            raise SettlementError("LeafNotSet", (index,))
        hashes = [leaves[index][leaf] for leaf in range(group.leaf_count)]
        signed = hashes[0] if len(hashes) == 1 else hash_array(hashes)
        account, signer = accounts[index], signer_of(signed, group.signature)
        if signer is None or not (signer == account or _is_delegate(state, account, signer, batch.matched_at)):
            raise SettlementError("InvalidSignature", (index,))


def _is_delegate(state: LedgerState, account: Address, signer: Address, matched_at: int) -> bool:
    return state.delegates.get((account, signer), 0) >= matched_at

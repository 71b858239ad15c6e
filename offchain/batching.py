"""Which fills the next settlement batch holds, and which one is at fault if it fails: pure functions over items.

A batch is a run of consecutive fills. It ends before a release, at a number of fills, at a share of the gas that one
transaction may use, where the fee, a conversion rate or an account's epoch changes, and never inside the fills of one
IOC or FOK order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass

from offchain.domain.batch import Batch
from offchain.domain.matching import MAX_CLEARED_GROUP
from offchain.domain.order import Address, Order, OrderHash
from offchain.ports import Failure, ItemRow
from offchain.rounds import Rounds

TRANSACTION_GAS_CAP = 16_777_216
"""EIP-7825: gas that one transaction may use."""

GAS_MARGIN_PERCENT = 10
"""Added to the model's estimate, for state that changes until the transaction is mined."""

# The cost model of the Engine, from `tests/functional/engine/gas.json`: what one more fill, order or account adds.
# A slot counts as one that was zero before: the model is never below what a batch needs, and a batch that could have
# been larger costs little.
BATCH_GAS = 21_000
FILL_GAS = 3_300
ORDER_GAS = 9_500
ACCOUNT_GAS = 5_000
SLOT_GAS = 22_100
CLEARING_GAS = 140_000
"""Of each derivative market: the call of the Clearinghouse, its pool and accounts, the oracle."""
CLEARED_FILL_GAS = 5_000
"""Beside what a spot fill costs."""

MAX_GROUP_FILLS = 256
"""Fills of one IOC or FOK order."""

MAX_GROUP_GAS = BATCH_GAS + MAX_GROUP_FILLS * (FILL_GAS + ORDER_GAS + ACCOUNT_GAS + 2 * SLOT_GAS)
"""What the largest group needs at most, every maker another account with another order: it fits a transaction."""

MAX_CLEARED_GROUP_GAS = (
    BATCH_GAS
    + CLEARING_GAS
    + MAX_CLEARED_GROUP * (FILL_GAS + CLEARED_FILL_GAS + ORDER_GAS + ACCOUNT_GAS + 2 * SLOT_GAS)
)
"""The same of a derivative, whose groups are smaller."""

MAX_BATCH_FILLS = 2_000


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is full. One group alone may exceed both. Raises ValueError for impossible limits."""

    fills: int = 500
    gas: int = TRANSACTION_GAS_CAP * 80 // 100

    def __post_init__(self) -> None:
        if not 1 <= self.fills <= MAX_BATCH_FILLS:
            raise ValueError(f"fills: {self.fills} is not in 1..{MAX_BATCH_FILLS}")
        if not BATCH_GAS <= self.gas <= TRANSACTION_GAS_CAP:
            raise ValueError(f"gas: {self.gas} is not in {BATCH_GAS}..{TRANSACTION_GAS_CAP}")


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """The fills of the next batch. `is_full`: nothing that comes later can join them."""

    items: tuple[ItemRow, ...]
    is_full: bool


class GasEstimate:
    """Upper estimate of the gas of a batch that grows."""

    def __init__(self, derivatives: Set[int] = frozenset()) -> None:
        """`derivatives`: markets whose fills are cleared."""
        self._derivatives = derivatives
        self._cleared: dict[int, int] = {}
        self._fills = 0
        self._orders: set[OrderHash] = set()
        self._accounts: set[Address] = set()
        self._slots: set[tuple[Address, int, int]] = set()

    @property
    def total(self) -> int:
        return (
            BATCH_GAS
            + FILL_GAS * self._fills
            + ORDER_GAS * len(self._orders)
            + ACCOUNT_GAS * len(self._accounts)
            + SLOT_GAS * len(self._slots)
            + CLEARING_GAS * len(self._cleared)
            + CLEARED_FILL_GAS * sum(self._cleared.values())
        )

    def add(self, item: ItemRow) -> None:
        """Count a fill with both of its orders. Raises ValueError for another item."""
        if item.maker is None or item.taker is None:
            raise ValueError(f"item {item.item}: not a fill with both of its orders")
        self._fills += 1
        market = item.maker.order.market
        if market in self._derivatives:
            self._cleared[market] = self._cleared.get(market, 0) + 1
        for row in (item.maker, item.taker):
            if row.order_hash in self._orders:
                continue
            self._orders.add(row.order_hash)
            self._accounts.add(row.order.account)
            self._slots.update(_slots_of(row.order, market in self._derivatives))


def gas_limit(items: Sequence[ItemRow], derivatives: Set[int]) -> int:
    """What the transaction of a batch of these fills may use. Raises ValueError if one is no fill with its orders."""
    estimate = GasEstimate(derivatives)
    for item in items:
        estimate.add(item)
    return min(estimate.total + estimate.total * GAS_MARGIN_PERCENT // 100, TRANSACTION_GAS_CAP)


def _slots_of(order: Order, is_cleared: bool) -> tuple[tuple[Address, int, int], ...]:
    """The words that hold the balance or the position, and the nonce key.

    Two keys above 0 share a word; key 0 lies beside the balance, which is empty where a position is held instead.
    """
    balance = (order.account, order.market, 0)
    key = balance if order.key == 0 else (order.account, order.market, 1 + (order.key >> 1))
    return (key, (order.account, order.market, -1)) if is_cleared else (balance, key)


@dataclass(frozen=True, slots=True)
class Flight:
    """A transaction under way."""

    tx_hash: bytes
    sent_ms: int
    batch: int
    """its batch number; 0 for a release"""
    fills: int = 0
    matched_ms: int = 0
    """when its first fill was matched; 0 where this settler did not send it"""


def plan_batch(
    items: Sequence[ItemRow], limits: BatchLimits, fee_change_at: int = 0, derivatives: Set[int] = frozenset()
) -> BatchPlan:
    """Plan over unsettled items in order: releases before the first fill are passed over, one behind it ends it.

    `fee_change_at`: Unix second from which on another fee was matched, 0 if there is none. `derivatives`: markets that
    are no spot markets.
    """
    start = next((index for index, item in enumerate(items) if item.trade is not None), len(items))
    planned: list[ItemRow] = []
    gas = GasEstimate(derivatives)
    epochs: dict[Address, int] = {}
    rounds = Rounds()
    for group in _groups(items[start:]):
        if group[0].trade is None:
            return BatchPlan(tuple(planned), is_full=True)
        if planned and is_before(planned[0], fee_change_at) != is_before(group[0], fee_change_at):
            return BatchPlan(tuple(planned), is_full=True)
        if not rounds.take(group):
            return BatchPlan(tuple(planned), is_full=True)
        signed = [row.order for item in group for row in (item.maker, item.taker) if row is not None]
        if any(epochs.setdefault(order.account, order.epoch) != order.epoch for order in signed):
            return BatchPlan(tuple(planned), is_full=True)
        for item in group:
            gas.add(item)
        if planned and (len(planned) + len(group) > limits.fills or gas.total > limits.gas):
            return BatchPlan(tuple(planned), is_full=True)
        planned.extend(group)
        if len(planned) >= limits.fills:
            return BatchPlan(tuple(planned), is_full=True)
    return BatchPlan(tuple(planned), is_full=False)


def is_before(item: ItemRow, second: int) -> bool:
    """Whether a fill was matched before `second`."""
    return item.trade is not None and item.trade.time_ms // 1000 < second


def _groups(items: Sequence[ItemRow]) -> Iterator[list[ItemRow]]:
    """Runs of fills that belong together, other items one by one."""
    group: list[ItemRow] = []
    for item in items:
        if group and not _is_same_group(group[-1], item):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _is_same_group(one: ItemRow, other: ItemRow) -> bool:
    return (
        one.taker is not None
        and other.taker is not None
        and one.taker.order_hash == other.taker.order_hash
        and one.taker.order.is_immediate
    )


def group_ends(items: Sequence[ItemRow]) -> list[int]:
    """The lengths of the prefixes of a batch that split no group, ascending; the last is the whole."""
    ends: list[int] = []
    for group in _groups(items):
        ends.append((ends[-1] if ends else 0) + len(group))
    return ends


# ---------------------------------------------------------------------------------------------------------------------
# What is at fault
# ---------------------------------------------------------------------------------------------------------------------

FILL_ERRORS = frozenset(
    {
        "ZeroQuantity",
        "MarketMismatch",
        "SameSide",
        "SelfTrade",
        "MakerNotResting",
        "GroupClosed",
        "GroupTooLarge",
        "Superseded",
        "NotCrossing",
        "Overfill",
        # of the Clearinghouse
        "ReduceOnlyExceeded",
        "NotForceable",
        "PriceOutOfBand",
        "NegativeCredit",
        "SizeOverflow",
        "QuoteOverflow",
    }
)
ORDER_ERRORS = frozenset(
    {
        "InvalidFlags",
        "InstrumentMismatch",
        "InvalidForced",
        "ReduceOnlySpot",
        "UnexpectedConversionLimit",
        "ConversionLimitMissing",
        "ConversionLimitExceeded",
        "InvalidPrice",
        "InvalidQuantity",
        "InvalidExpiry",
        "OrderExpired",
        "SequenceExhausted",
        "ReservedKey",
        "EpochExhausted",
        "FeeAboveCap",
        "StaleNonce",
        "GroupAccountMismatch",
        "FokIncomplete",
    }
)
GROUP_ERRORS = frozenset({"InvalidSignature"})
MARKET_ERRORS = frozenset(
    {"UnknownMarket", "MarketNotActive", "RoundMissing", "RateOutOfRange", "MarketNotOpen", "ExpiredMarket"}
)
ACCOUNT_ERRORS = frozenset({"StaleEpoch"})
"""Errors whose first argument is an index into the table of their name."""


def item_at_fault(batch: Batch, items: Sequence[ItemRow], failure: Failure) -> int | None:
    """Number of the first item that the Engine's error is about; None if the error names no entry of its own.

    `batch` was built from `items`. A balance, margin or pool that is too low is nobody's alone: it is found by trying.
    """
    if not failure.args or not isinstance(failure.args[0], int):
        return None
    index = failure.args[0]
    orders = batch.orders
    if failure.error in FILL_ERRORS:
        concerned = {index}
    elif failure.error in ORDER_ERRORS:
        concerned = _fills_of(batch, lambda order: order == index)
    elif failure.error in GROUP_ERRORS:
        concerned = _fills_of(batch, lambda order: orders[order].group == index)
    elif failure.error in MARKET_ERRORS:
        concerned = _fills_of(batch, lambda order: orders[order].market == index)
    elif failure.error in ACCOUNT_ERRORS:
        concerned = _fills_of(batch, lambda order: batch.positions[orders[order].position].account == index)
    else:
        return None
    first = min(concerned, default=len(items))
    return items[first].item if first < len(items) else None


def _fills_of(batch: Batch, is_concerned: Callable[[int], bool]) -> set[int]:
    return {index for index, fill in enumerate(batch.fills) if is_concerned(fill.maker) or is_concerned(fill.taker)}


def order_ids(items: Sequence[ItemRow]) -> list[str]:
    """Ids of all orders whose fills `items` are, for the log."""
    trades = [item.trade for item in items if item.trade is not None]
    hashes = {order_hash for trade in trades for order_hash in (trade.maker_hash, trade.taker_hash)}
    return sorted("0x" + order_hash.hex() for order_hash in hashes)

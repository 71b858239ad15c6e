"""What `Engine.settleBatch` does, as a pure function: the model that the contract is tested against, bit for bit.

The checks come in the contracts' order (`IEngine`, "Order of checks") and fail with the same error and arguments, so a
batch is refused by both or by neither. Prices are micro-USDC per lot (in cross-quoted markets 10^-12 whole quote units
per lot), quantities lots, USDC micro-USDC, base balances quanta, times Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping

from offchain.domain.batch import MAX_LEAVES, NOTHING_SIGNED, Batch, PositionEntry, SettlementError
from offchain.domain.ledger import FUND, WINDOW, Halt, KeyState, LedgerState, NonceKey, Position, SettlementResult
from offchain.domain.market import Kind, MarketStatus
from offchain.domain.oracle import conversion_rate_down
from offchain.domain.settlement_clearing import BatchPosition, clear_fills
from offchain.domain.settlement_fills import Fills
from offchain.domain.settlement_orders import (
    BatchMarket,
    HashArray,
    HashOrder,
    SignerOf,
    WorkingOrder,
    check_orders,
    check_signatures,
)
from offchain.domain.vault import Draft, VaultEntry

_MAX_BALANCE = 2**128 - 1
_MAX_RATE = 2**64 - 1
_MAX_ENTRY_FEES = 2**64 - 1

# Values of IEngine.Table
_POSITIONS, _GROUPS = range(2)


def settle(
    state: LedgerState, batch: Batch, now: int, hash_order: HashOrder, hash_array: HashArray, signer_of: SignerOf
) -> SettlementResult:
    """Settle `batch` on `state` in a block of time `now`, sent by the operator; `state` is not changed.

    Raises SettlementError where the contract reverts.
    """
    _check_header(state, batch, now)
    _check_accounts(batch)
    markets = _check_markets(state, batch)
    _check_positions(batch)
    absent = _check_groups(batch)
    fee_bps = state.fee_at(batch.matched_at)
    orders = check_orders(state, batch, markets, absent, fee_bps, hash_order)
    check_signatures(state, batch, orders, absent, hash_array, signer_of)
    fills = Fills(batch, markets, orders, fee_bps)
    fills.apply_all()
    draft = Draft(state)
    entries = _vault_entries(state, batch, now, fee_bps, markets, fills, draft)
    base = _settle_base(state, batch, fills.base)
    draft.settle(entries)
    return SettlementResult(
        batch.number, batch.matched_at, draft.changes(), base, _key_states(orders), tuple(fills.ids)
    )


# ---------------------------------------------------------------------------------------------------------------------
# Header
# ---------------------------------------------------------------------------------------------------------------------


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


def _check_markets(state: LedgerState, batch: Batch) -> list[BatchMarket]:
    markets: list[BatchMarket] = []
    for index, entry in enumerate(batch.markets):
        if index and entry.id <= batch.markets[index - 1].id:
            raise SettlementError("UnsortedMarkets", (index,))
        rules = state.markets.get(entry.id)
        if rules is None or rules.status == MarketStatus.NONE:
            raise SettlementError("UnknownMarket", (index,))
        # A paused or closed market still settles what was matched before.
        if rules.status != MarketStatus.ACTIVE and batch.matched_at > rules.status_at:
            raise SettlementError("MarketNotActive", (index,))
        if rules.kind == Kind.SPOT and not rules.is_cross_quoted and entry.round:
            raise SettlementError("UnexpectedRound", (index,))
        rate = _conversion_rate(state, batch, index) if rules.is_cross_quoted else None
        markets.append(BatchMarket(entry.id, entry.round, rules, rate))
    return markets


def _conversion_rate(state: LedgerState, batch: Batch, index: int) -> int:
    """Micro-USDC per whole quote unit at the round that the batch names for a cross-quoted market."""
    entry = batch.markets[index]
    if entry.round == 0:
        raise SettlementError("RoundMissing", (index,))
    rate = conversion_rate_down(state.feeds[entry.id].price_at(entry.round, batch.matched_at))
    if not 0 < rate <= _MAX_RATE:
        raise SettlementError("RateOutOfRange", (index,))
    return rate


def _check_positions(batch: Batch) -> None:
    previous: PositionEntry | None = None
    for index, entry in enumerate(batch.positions):
        if entry.account >= len(batch.accounts):
            raise SettlementError("IndexOutOfRange", (_POSITIONS, index))
        if previous and (entry.account, entry.instrument) <= (previous.account, previous.instrument):
            raise SettlementError("UnsortedPositions", (index,))
        previous = entry


def _check_groups(batch: Batch) -> list[dict[int, bytes]]:
    """Each group's absent leaves with their hashes, which follow one another in their table."""
    absent: list[dict[int, bytes]] = []
    used = 0
    for index, entry in enumerate(batch.groups):
        if not 1 <= entry.leaf_count <= MAX_LEAVES:
            raise SettlementError("InvalidLeafCount", (index,))
        if entry.absent_mask >= (1 << entry.leaf_count) - 1:  # a leaf that does not exist, or all that do
            raise SettlementError("InvalidAbsentMask", (index,))
        leaves = [leaf for leaf in range(entry.leaf_count) if entry.absent_mask >> leaf & 1]
        hashes = batch.absent[used : used + len(leaves)]
        if len(hashes) < len(leaves):
            raise SettlementError("IndexOutOfRange", (_GROUPS, index))
        used += len(leaves)
        absent.append(dict(zip(leaves, hashes, strict=True)))
    if used < len(batch.absent):
        raise SettlementError("AbsentNotUsed", (used,))
    return absent


# ---------------------------------------------------------------------------------------------------------------------
# Results
# ---------------------------------------------------------------------------------------------------------------------


def _vault_entries(
    state: LedgerState,
    batch: Batch,
    now: int,
    fee_bps: int,
    markets: list[BatchMarket],
    fills: Fills,
    draft: Draft,
) -> list[VaultEntry]:
    """What the Vault is asked to book: the accounts, the Engine's fees and, if derivatives traded, the Clearinghouse
    and the insurance fund."""
    deltas = [fills.usdc[entry.account] for entry in batch.accounts]
    fees = [fills.fees[entry.account] for entry in batch.accounts]
    engine = sum(fees)
    others: list[VaultEntry] = []
    if fills.derivatives:
        positions = [
            BatchPosition((batch.accounts[entry.account].account, entry.instrument), entry.account)
            for entry in batch.positions
        ]
        cleared = clear_fills(state, draft, batch.matched_at, now, fee_bps, markets, positions, fills.derivatives)
        for position, delta, fee in zip(positions, cleared.deltas, cleared.fees, strict=True):
            deltas[position.account_index] += delta
            fees[position.account_index] += fee
        engine += sum(cleared.fees)
        others = [
            VaultEntry(state.clearinghouse, NOTHING_SIGNED, 0, cleared.own),
            VaultEntry(FUND, NOTHING_SIGNED, 0, cleared.penalties),
        ]
    accounts = [
        VaultEntry(entry.account, entry.epoch, min(fee, _MAX_ENTRY_FEES), delta)
        for entry, fee, delta in zip(batch.accounts, fees, deltas, strict=True)
    ]
    return [*accounts, VaultEntry(state.engine, NOTHING_SIGNED, 0, engine), *others]


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


def _key_states(orders: list[WorkingOrder]) -> dict[NonceKey, KeyState]:
    """New states of the nonce keys that acted; orders come by sequence, so a key's last one stays."""
    keys: dict[NonceKey, KeyState] = {}
    for order in orders:
        if order.is_closed:
            keys[order.nonce_key] = KeyState(order.entry.sequence + 1, 0)
        elif order.is_used:
            keys[order.nonce_key] = KeyState(order.entry.sequence, order.filled)
    return keys

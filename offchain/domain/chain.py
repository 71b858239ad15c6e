"""Blocks of the chain: what their logs change at the head, and what changes once they are confirmed."""

from __future__ import annotations

import msgspec

from offchain.domain import batches, clearinglog, ordercontrol
from offchain.domain.account import Hold
from offchain.domain.blocks import (
    CONFIRMED_KEPT,
    BatchEntry,
    BlockRecord,
    ClearingEntry,
    DelegateEntry,
    DepositEntry,
    Entry,
    EpochEntry,
    FeeScheduleEntry,
    FeesEntry,
    HoldEntry,
    KeyEntry,
    NonceEntry,
    RebateEntry,
    StatusEntry,
)
from offchain.domain.bust import walk
from offchain.domain.chainstate import await_credit, cover, credit, diverge
from offchain.domain.commands import (
    AssetRegistered,
    BatchSettled,
    CancelApplied,
    CancelRequested,
    ChainBlock,
    ChainLog,
    ClearingChanged,
    DelegateSet,
    Deposited,
    EpochBumped,
    EpochBumpRequested,
    FeeScheduled,
    FeesCollected,
    MarketCreated,
    MarketStatusChanged,
    RebateClaimed,
    WithdrawalCanceled,
    WithdrawalNonceUsed,
    WithdrawalRequested,
    WithdrawalSettled,
)
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import AssetListed, BlockApplied, FeeUpdate, WithdrawalUpdate
from offchain.domain.market import USDC, MarketStatus
from offchain.domain.order import Address
from offchain.domain.outbox import Release
from offchain.domain.results import Done
from offchain.domain.state import MarketState, State, Turn

USDC_AS_CXPT = 1
"""The kind of withdrawal that the operator never releases."""


def apply_block(state: State, turn: Turn, command: ChainBlock) -> Done | Rejection:
    """Apply the next block's logs, then everything that it confirms."""
    rejection = _misplaced(state, command)
    if rejection is not None:
        return rejection
    view = state.chain
    turn.events.append(BlockApplied(command.number, command.block_hash, command.parent_hash, command.time))
    record = BlockRecord(command.number, command.block_hash, [])
    view.records.append(record)
    view.head_number, view.head_hash, view.head_seen_ms = command.number, command.block_hash, turn.now_ms
    for log in command.logs:
        if isinstance(log, ClearingChanged):
            record.entries += clearinglog.apply(state, turn, command, log)
            continue
        entry = _apply_log(state, turn, command, log)
        if entry is not None:
            record.entries.append(entry)
    _confirm(state, turn)
    early = [entry for entry in record.entries if isinstance(entry, HoldEntry) and _is_early(state, entry)]
    if early:
        walk(state, turn, frozenset(), "withdrawn")
        for entry in early:
            state.cancel_unfit(turn, state.balance(entry.account, entry.asset), "withdrawal")
    return Done()


def _is_early(state: State, entry: HoldEntry) -> bool:
    """Whether a payment came before fills that were matched before its release: it may have taken what they rely on.

    Fills after the release were matched while the hold stood, so they rely on nothing of it.
    """
    oldest = state.outbox.oldest_fill()
    if not entry.paid or oldest is None:
        return False
    return entry.before is None or not 0 < entry.before.item < oldest.item


def _misplaced(state: State, command: ChainBlock) -> Rejection | None:
    view = state.chain
    if command.number <= view.head_number:
        known = view.record(command.number)
        if known is not None and known.block_hash == command.block_hash:
            return Rejection(Code.REPEATED, "number", f"block {command.number} is known")
        return Rejection(Code.OUT_OF_ORDER, "number", f"the newest block is {view.head_number}")
    if command.number == view.head_number + 1 and view.head_number >= 0 and command.parent_hash != view.head_hash:
        return Rejection(Code.OUT_OF_ORDER, "parentHash", f"block {view.head_number} is 0x{view.head_hash.hex()}")
    return None


def _apply_log(state: State, turn: Turn, block: ChainBlock, log: ChainLog) -> Entry | None:
    """Apply one log; what undoes it, None if nothing needs to."""
    match log:
        case AssetRegistered():
            state.assets[log.asset.id] = log.asset
            turn.events.append(AssetListed(log.asset))
            return None
        case MarketCreated():
            return _create_market(state, turn, block, log)
        case MarketStatusChanged():
            return _change_status(state, turn, log)
        case Deposited():
            return await_credit(
                turn, block.number, DepositEntry(log.account, log.asset, log.amount, log.tx_hash, log.log_index)
            )
        case RebateClaimed():
            _pay_fees(state, turn, log.amount)
            return await_credit(
                turn, block.number, RebateEntry(log.account, USDC, log.amount, log.tx_hash, log.log_index)
            )
        case WithdrawalRequested():
            return _request(state, turn, block, log)
        case WithdrawalCanceled():
            return _end_request(state, turn, log, 0)
        case WithdrawalSettled():
            return _end_request(state, turn, log, log.paid)
        case WithdrawalNonceUsed():
            account = state.account(log.account)
            nonce_before, account.withdrawal_nonce = account.withdrawal_nonce, log.nonce + 1
            return NonceEntry(log.account, nonce_before)
        case FeesCollected():
            return _collect_fees(state, turn, log)
        case FeeScheduled():
            return _schedule_fee(state, turn, block, log)
        case CancelRequested() | CancelApplied():
            return ordercontrol.end_key(state, turn, log)
        case EpochBumpRequested() | EpochBumped():
            return ordercontrol.change_epoch(state, turn, log)
        case DelegateSet():
            return ordercontrol.set_delegate(state, turn, log)
        case BatchSettled():
            return batches.settle(state, turn, log)
        case ClearingChanged():
            raise AssertionError("apply_block passes these on")


def _create_market(state: State, turn: Turn, block: ChainBlock, log: MarketCreated) -> StatusEntry | None:
    """List a market, which is active from its creation on."""
    market = log.market
    known = state.markets.get(market.id)
    if known is not None and known.market != market and _is_used(state, market.id):
        diverge(state, turn, 0, f"market {market.id} was created with other terms while orders or fills depend on it")
        return None
    if known is None or known.market != market:
        venue = state.markets[market.id] = MarketState(market)
    else:
        venue = known
    entry = StatusEntry(market.id, venue.status, venue.status_at)
    venue.status, venue.status_at = int(MarketStatus.ACTIVE), block.time
    turn.events.append(state.market_update(market.id))
    return entry


def _is_used(state: State, market: int) -> bool:
    book = state.markets[market].book
    fills = [fill for batch in state.outbox.settled.values() for fill in batch.fills]
    return bool(book.bids or book.asks) or any(
        fill.trade.market == market for fill in [*fills, *state.outbox.fills.values()]
    )


def _change_status(state: State, turn: Turn, log: MarketStatusChanged) -> StatusEntry | None:
    venue = state.markets.get(log.market)
    if venue is None:
        diverge(state, turn, 0, f"market {log.market} changed its status without having been created")
        return None
    entry = StatusEntry(log.market, venue.status, venue.status_at)
    venue.status, venue.status_at = log.status, log.at
    turn.events.append(state.market_update(log.market))
    return entry


# ---------------------------------------------------------------------------------------------------------------------
# Withdrawals and fees
# ---------------------------------------------------------------------------------------------------------------------


def set_hold(state: State, turn: Turn, account: Address, kind: int, asset: int, hold: Hold | None) -> Hold | None:
    """Put `hold` in the place of the request that (account, kind, asset) has, whose release is dropped; that one."""
    owner = state.account(account)
    before = owner.holds.pop((kind, asset), None)
    balance = owner.balance(asset)
    if before is not None:
        balance.held -= before.amount
        state.outbox.releases.pop(before.item, None)
    if hold is not None:
        owner.holds[kind, asset] = hold
        balance.held += hold.amount
    turn.touched[balance] = None
    return before


def _request(state: State, turn: Turn, block: ChainBlock, log: WithdrawalRequested) -> HoldEntry:
    hold = Hold(log.amount, block.number, log.tx_hash, log.log_index)
    before = set_hold(state, turn, log.account, log.kind, log.asset, hold)
    if before is not None:
        turn.events.append(withdrawal_update(log.account, log.kind, log.asset, before, "canceled"))
    turn.events.append(withdrawal_update(log.account, log.kind, log.asset, hold, "requested"))
    state.cancel_unfit(turn, state.balance(log.account, log.asset), "withdrawal")
    return HoldEntry(log.account, log.kind, log.asset, before, hold, 0)


def _end_request(state: State, turn: Turn, log: WithdrawalCanceled | WithdrawalSettled, paid: int) -> HoldEntry:
    before = set_hold(state, turn, log.account, log.kind, log.asset, None)
    balance = state.balance(log.account, log.asset)
    balance.settled -= paid
    status, amount = ("settled", paid) if isinstance(log, WithdrawalSettled) else ("canceled", 0)
    if before is not None and status == "canceled":
        amount = before.amount
    item = before.item if before is not None else 0
    turn.events.append(WithdrawalUpdate(log.account, log.kind, log.asset, amount, status, log.tx_hash, item))
    cover(state, turn, balance)
    return HoldEntry(log.account, log.kind, log.asset, before, None, paid)


def withdrawal_update(account: Address, kind: int, asset: int, hold: Hold, status: str) -> WithdrawalUpdate:
    return WithdrawalUpdate(account, kind, asset, hold.amount, status, hold.tx_hash, hold.item)


def release(state: State, turn: Turn, account: Address, kind: int, asset: int, hold: Hold) -> None:
    """Let a confirmed request be paid: a settlement item of its own."""
    if kind == USDC_AS_CXPT or hold.item:
        return
    item = state.outbox.take_number()
    state.outbox.releases[item] = Release(item, account, kind, asset, hold.amount, hold.tx_hash, turn.now_ms)
    released = msgspec.structs.replace(hold, item=item)
    state.account(account).holds[kind, asset] = released
    turn.events.append(withdrawal_update(account, kind, asset, released, "releasing"))


def _collect_fees(state: State, turn: Turn, log: FeesCollected) -> FeesEntry:
    recipient = state.balance(log.recipient, USDC)
    recipient.settled += log.amount
    turn.touched[recipient] = None
    _pay_fees(state, turn, log.amount)
    return FeesEntry(log.recipient, log.amount)


def _pay_fees(state: State, turn: Turn, amount: int) -> None:
    engine = state.balance(state.engine, USDC)
    engine.settled -= amount
    turn.touched[engine] = None
    cover(state, turn, engine)


def _schedule_fee(state: State, turn: Turn, block: ChainBlock, log: FeeScheduled) -> FeeScheduleEntry:
    entry = FeeScheduleEntry(state.fees)
    state.fees = state.fees.change(log.fee_bps, log.at, block.time)
    turn.events.append(FeeUpdate(state.fee_bps, state.fees))
    return entry


# ---------------------------------------------------------------------------------------------------------------------
# Confirmations
# ---------------------------------------------------------------------------------------------------------------------


def _confirm(state: State, turn: Turn) -> None:
    """Let count what has become deep enough, and forget how to undo what is final."""
    assert state.configuration is not None, "commands before Configure are refused"
    view = state.chain
    bound = view.head_number - state.configuration.confirmations + 1
    if bound <= view.confirmed:
        return
    before, view.confirmed = view.confirmed, bound
    for record in view.records:
        if before < record.number <= bound:
            for entry in record.entries:
                _confirm_entry(state, turn, record.number, entry)
    while view.records and view.records[0].number <= bound - CONFIRMED_KEPT:
        record = view.records.popleft()
        view.pruned = record.number
        for entry in record.entries:
            if isinstance(entry, BatchEntry):
                del state.outbox.settled[entry.number]


def _confirm_entry(state: State, turn: Turn, block: int, entry: Entry) -> None:
    match entry:
        case DepositEntry():
            if not entry.credited:
                credit(state, turn, entry, block)
        case HoldEntry():
            hold = state.account(entry.account).holds.get((entry.kind, entry.asset))
            if hold is not None and entry.after is not None and hold.is_same_request(entry.after):
                release(state, turn, entry.account, entry.kind, entry.asset, hold)
        case BatchEntry():
            turn.events.append(state.outbox.settled[entry.number].update("confirmed"))
        case EpochEntry():
            if entry.is_bump:
                ordercontrol.recount_epoch(state, turn, state.account(entry.account))
        case DelegateEntry():
            ordercontrol.recount_delegate(state, turn, state.account(entry.account), entry.delegate)
        case StatusEntry() | FeesEntry() | FeeScheduleEntry() | KeyEntry() | NonceEntry() | ClearingEntry():
            pass

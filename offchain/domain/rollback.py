"""Undoing blocks that are no longer canonical, newest first."""

from __future__ import annotations

import msgspec

from offchain.domain import batches, clearinglog, ordercontrol
from offchain.domain.account import Balance
from offchain.domain.blocks import (
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
from offchain.domain.chain import release, set_hold, withdrawal_update
from offchain.domain.chainstate import cover, diverge
from offchain.domain.commands import ChainRollback
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import BlockReverted, DepositUpdate, FeeUpdate
from offchain.domain.market import USDC
from offchain.domain.order import Address
from offchain.domain.outbox import Fill
from offchain.domain.positions import Position
from offchain.domain.results import Done
from offchain.domain.state import State, Turn


class _Undone:
    """What the undone blocks leave to be looked at once all are undone."""

    __slots__ = ("bumps", "delegates", "epochs", "has_clearing", "has_fee", "lost", "moved", "restored")

    def __init__(self) -> None:
        self.delegates: dict[tuple[Address, Address], None] = {}
        """(account, delegate) whose time is another one"""
        self.epochs: dict[Address, None] = {}
        """accounts whose epochs, or requests to end them, are others"""
        self.bumps: dict[Address, None] = {}
        """accounts whose epochs are others"""
        self.has_clearing = False
        """whether the Clearinghouse did something besides settling fills"""
        self.has_fee = False
        """whether the fee's schedule is another one"""
        self.lost: dict[Balance, None] = {}
        """balances whose credits were taken back"""
        self.moved: dict[Position, None] = {}
        """positions that others had changed"""
        self.restored: dict[tuple[Address, int, int], None] = {}
        """(account, kind, asset) of requests that are open again"""


def roll_back(state: State, turn: Turn, command: ChainRollback) -> Done | Rejection:
    """Undo every block after `command.number`."""
    view = state.chain
    if command.number >= view.head_number:
        code = Code.REPEATED if command.number == view.head_number else Code.OUT_OF_ORDER
        return Rejection(code, "number", f"the newest block is {view.head_number}")
    known = view.record(command.number)
    if known is not None and known.block_hash != command.block_hash:
        return Rejection(Code.OUT_OF_ORDER, "blockHash", f"block {known.number} is 0x{known.block_hash.hex()}")
    if command.number < view.pruned:
        if state.diverged:
            return Rejection(Code.REPEATED, "number", "the exchange has stopped already")
        diverge(
            state, turn, 0, f"the chain was rolled back to block {command.number}, behind final block {view.pruned}"
        )
        return Done()
    undone = _Undone()
    while view.records and view.records[-1].number > command.number:
        record = view.records.pop()
        turn.events.append(BlockReverted(record.number, record.block_hash))
        for entry in reversed(record.entries):
            _undo(state, turn, record, entry, undone)
    view.head_number, view.head_hash = command.number, command.block_hash
    view.confirmed = min(view.confirmed, command.number)
    _settle_down(state, turn, undone)
    return Done()


def _undo(state: State, turn: Turn, record: BlockRecord, entry: Entry, undone: _Undone) -> None:
    match entry:
        case DepositEntry():
            _undo_deposit(state, turn, record, entry, undone)
            if isinstance(entry, RebateEntry):
                engine = state.balance(state.engine, USDC)
                engine.settled += entry.amount
                turn.touched[engine] = None
        case HoldEntry():
            _undo_request(state, turn, entry, undone)
        case StatusEntry():
            venue = state.markets[entry.market]
            venue.status, venue.status_at = entry.status, entry.status_at
            turn.events.append(state.market_update(entry.market))
        case FeesEntry():
            engine, recipient = state.balance(state.engine, USDC), state.balance(entry.recipient, USDC)
            engine.settled += entry.amount
            recipient.settled -= entry.amount
            turn.touched[engine] = turn.touched[recipient] = undone.lost[recipient] = None
        case FeeScheduleEntry():
            state.fees = entry.before
            turn.events.append(FeeUpdate(state.fee_bps, state.fees))
            undone.has_fee = True
        case KeyEntry():
            ordercontrol.undo_key(state, entry)
        case EpochEntry():
            ordercontrol.undo_epoch(state, entry)
            undone.epochs[entry.account] = None
            if entry.is_bump:
                undone.bumps[entry.account] = None
        case NonceEntry():
            state.account(entry.account).withdrawal_nonce = entry.before
        case DelegateEntry():
            ordercontrol.undo_delegate(state, entry)
            undone.delegates[entry.account, entry.delegate] = None
        case BatchEntry():
            batches.put_back(state, turn, entry)
        case ClearingEntry():
            undone.has_clearing = True
            undone.moved |= dict.fromkeys(clearinglog.undo(state, turn, entry))


def _undo_deposit(state: State, turn: Turn, record: BlockRecord, entry: DepositEntry, undone: _Undone) -> None:
    if entry.credited:
        balance = state.balance(entry.account, entry.asset)
        balance.settled -= entry.amount
        turn.touched[balance] = undone.lost[balance] = None
    turn.events.append(
        DepositUpdate(
            entry.account, entry.asset, entry.amount, "reverted", entry.tx_hash, entry.log_index, record.number
        )
    )


def _undo_request(state: State, turn: Turn, entry: HoldEntry, undone: _Undone) -> None:
    """Reopen the request that was open before the log; its release, if it had one, was dropped with it."""
    before = msgspec.structs.replace(entry.before, item=0) if entry.before is not None else None
    gone = set_hold(state, turn, entry.account, entry.kind, entry.asset, before)
    state.balance(entry.account, entry.asset).settled += entry.paid
    if gone is not None:
        turn.events.append(withdrawal_update(entry.account, entry.kind, entry.asset, gone, "reverted"))
    if before is not None:
        undone.restored[entry.account, entry.kind, entry.asset] = None
        turn.events.append(withdrawal_update(entry.account, entry.kind, entry.asset, before, "requested"))


def _settle_down(state: State, turn: Turn, undone: _Undone) -> None:
    """Drop fills that relied on what is lost, let reservations fit again, and release again what was confirmed."""
    for balance in undone.lost:
        cover(state, turn, balance)
    named = frozenset(fill.trade.id for fill in state.outbox.fills.values() if _is_unsettleable(state, fill, undone))
    for account, delegate in undone.delegates:
        ordercontrol.recount_delegate(state, turn, state.account(account), delegate)
    for account in undone.epochs:
        ordercontrol.recount_epoch(state, turn, state.account(account))
    if undone.lost or undone.has_clearing or named:
        walk(state, turn, named, "reorg", undone.moved)
        for balance in undone.lost:
            state.cancel_unfit(turn, balance, "reorg")
    for account, kind, asset in undone.restored:
        hold = state.account(account).holds.get((kind, asset))
        if hold is not None:
            state.cancel_unfit(turn, state.balance(account, asset), "withdrawal")
            if hold.block <= state.chain.confirmed:
                release(state, turn, account, kind, asset, hold)


def _is_unsettleable(state: State, fill: Fill, undone: _Undone) -> bool:
    """Whether a fill relied on an epoch, a delegate or a fee that is not on chain any more."""
    second = fill.trade.time_ms // 1000
    for live in (fill.maker, fill.taker):
        account = live.account
        if account.address in undone.bumps and live.order.epoch != account.epoch:
            return True
        name = (account.address, live.delegate)
        if name in undone.delegates and account.delegations[name[1]].valid_until < second:
            return True
    return undone.has_fee and not batches.has_fee_of(state, fill.trade, second)

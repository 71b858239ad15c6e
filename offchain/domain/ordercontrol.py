"""What traders do to their orders on chain: cancels, bumps of the epoch, delegates.

What ends orders counts at the head, a window before it can bite; what lets orders in counts once it is confirmed.
"""

from __future__ import annotations

from offchain.domain.account import Account, Delegation, LiveOrder
from offchain.domain.blocks import DelegateEntry, EpochEntry, KeyEntry
from offchain.domain.commands import CancelApplied, CancelRequested, DelegateSet, EpochBumped, EpochBumpRequested
from offchain.domain.events import AccountUpdate, DelegateUpdate
from offchain.domain.order import Address, OrderStatus
from offchain.domain.state import State, Turn

CANCELED_ON_CHAIN = "canceledOnChain"
"""Why an order ended."""


# ---------------------------------------------------------------------------------------------------------------------
# Cancels
# ---------------------------------------------------------------------------------------------------------------------


def end_key(state: State, turn: Turn, log: CancelRequested | CancelApplied) -> KeyEntry | None:
    """Cancel the key's open order if its sequence ends, and refuse such sequences from now on.

    A request that is replaced by a lower one goes on to count: what it named was canceled.
    """
    account = state.account(log.account)
    before = account.ended_keys.get((log.instrument, log.key))
    if not end_sequences(state, turn, account, log.instrument, log.key, log.sequence, CANCELED_ON_CHAIN):
        return None
    return KeyEntry(log.account, log.instrument, log.key, before, log.sequence)


def end_sequences(
    state: State, turn: Turn, account: Account, instrument: int, key: int, sequence: int, code: str
) -> bool:
    """End the key's sequences up to `sequence`; whether any of them had not ended before."""
    before = account.ended_keys.get((instrument, key))
    if before is not None and before >= sequence:
        return False
    account.ended_keys[instrument, key] = sequence
    nonce_key = account.nonce_keys.get(key)
    live = nonce_key.working if nonce_key is not None else None
    if live is not None and live.order.sequence <= sequence and _instrument(state, live) == instrument:
        state.end_order(turn, live, OrderStatus.CANCELED, code)
    return True


def _instrument(state: State, live: LiveOrder) -> int:
    return state.markets[live.order.market].market.instrument


def undo_key(state: State, entry: KeyEntry) -> None:
    """Unless more has ended since, which a signed cancel does without a block."""
    account = state.account(entry.account)
    if account.ended_keys.get((entry.instrument, entry.key)) != entry.after:
        return
    if entry.before is None:
        del account.ended_keys[entry.instrument, entry.key]
    else:
        account.ended_keys[entry.instrument, entry.key] = entry.before


# ---------------------------------------------------------------------------------------------------------------------
# Epochs
# ---------------------------------------------------------------------------------------------------------------------


def change_epoch(state: State, turn: Turn, log: EpochBumpRequested | EpochBumped) -> EpochEntry:
    """Cancel all open orders; none is taken before the new epoch is confirmed on chain."""
    account = state.account(log.account)
    is_bump = isinstance(log, EpochBumped)
    entry = EpochEntry(log.account, account.epoch, account.is_bump_requested, is_bump)
    if isinstance(log, EpochBumped):
        account.epoch = log.epoch
    account.is_bump_requested = not is_bump
    account.is_bumping = True
    state.cancel_all(turn, account, CANCELED_ON_CHAIN)
    turn.events.append(AccountUpdate(account.address, account.epoch, True))
    return entry


def undo_epoch(state: State, entry: EpochEntry) -> None:
    account = state.account(entry.account)
    account.epoch, account.is_bump_requested = entry.epoch, entry.was_requested


def recount_epoch(state: State, turn: Turn, account: Account) -> None:
    """After confirmations or a rollback: whether orders are taken, and none but those of the epoch stays open."""
    is_ending = account.ending_epoch is not None and account.ending_epoch >= account.epoch
    account.is_bumping = (
        account.is_bump_requested
        or is_ending
        or any(
            isinstance(entry, EpochEntry) and entry.is_bump and entry.account == account.address
            for entry in state.chain.unconfirmed()
        )
    )
    turn.events.append(AccountUpdate(account.address, account.epoch, account.is_bumping))
    if account.is_bumping or any(live.order.epoch != account.epoch for live in account.orders.values()):
        state.cancel_all(turn, account, CANCELED_ON_CHAIN)


# ---------------------------------------------------------------------------------------------------------------------
# Delegates
# ---------------------------------------------------------------------------------------------------------------------


def set_delegate(state: State, turn: Turn, log: DelegateSet) -> DelegateEntry:
    account = state.account(log.account)
    delegation = account.delegations.setdefault(log.delegate, Delegation(0, 0))
    entry = DelegateEntry(log.account, log.delegate, delegation.valid_until)
    account.delegate_nonce += 1
    delegation.valid_until = log.valid_until
    _count(state, turn, account, log.delegate, min(delegation.counted, log.valid_until))
    return entry


def undo_delegate(state: State, entry: DelegateEntry) -> None:
    account = state.account(entry.account)
    account.delegate_nonce -= 1
    account.delegations.setdefault(entry.delegate, Delegation(0, 0)).valid_until = entry.before


def recount_delegate(state: State, turn: Turn, account: Account, delegate: Address) -> None:
    """After confirmations or a rollback: the delegate signs as long as every view of the chain says so."""
    delegation = account.delegations.get(delegate)
    if delegation is None:
        return
    earlier = (
        entry.before
        for entry in state.chain.unconfirmed()
        if isinstance(entry, DelegateEntry) and (entry.account, entry.delegate) == (account.address, delegate)
    )
    _count(state, turn, account, delegate, min((delegation.valid_until, *earlier)))


def _count(state: State, turn: Turn, account: Account, delegate: Address, valid_until: int) -> None:
    delegation = account.delegations[delegate]
    if valid_until != delegation.counted:
        if delegation.counted:
            state.delegations.remove((delegation.counted, account.address, delegate))
        if valid_until:
            state.delegations.add((valid_until, account.address, delegate))
        delegation.counted = valid_until
        turn.events.append(DelegateUpdate(account.address, delegate, valid_until))
    if not delegation.counted:
        for live in [live for live in account.orders.values() if live.delegate == delegate]:
            state.end_order(turn, live, OrderStatus.CANCELED, "delegateEnded")
        if not delegation.valid_until:
            del account.delegations[delegate]

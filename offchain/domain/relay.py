"""Transactions that the service sends for traders: what is taken, what it does at once, and how it goes on.

A cancel by signature takes effect on chain at once, without the window that every cancel of a trader alone has. So it
ends orders here as soon as it is requested, and is sent only when every fill that it could keep from settling is on
chain for good.
"""

from __future__ import annotations

from offchain.domain import ordercontrol
from offchain.domain.account import Account
from offchain.domain.actions import (
    ENDED,
    MAX_HASHES,
    MAX_PENDING,
    MAX_PENDING_OF_ACCOUNT,
    OPERATOR,
    Action,
    ActionStatus,
    DueAction,
    EndedAction,
    PendingAction,
    SettleWithdrawal,
    SignedCancel,
    SignedCancelAll,
    SignedDelegate,
    SignedWithdrawal,
    TraderAction,
    kind_of,
)
from offchain.domain.admission import not_delegate
from offchain.domain.batch import RESERVED_KEY
from offchain.domain.blocks import BatchEntry
from offchain.domain.commands import ActionEnded, ActionSent, RequestAction
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import AccountUpdate, ActionUpdate
from offchain.domain.market import USDC, Kind
from offchain.domain.order import LAST_SEQUENCE, Address
from offchain.domain.outbox import Fill
from offchain.domain.results import ActionResult, Done
from offchain.domain.state import State, Turn

INSTRUMENT = 2
"""The kind of withdrawal that pays a synth, as in `IWithdrawalQueue.Kind`."""

MAX_AMOUNT = 2**128 - 1
"""Of a withdrawal request, as the queue stores it."""

CANCELED_BY_USER = "user"

OVERTAKEN = "the one before it, whose nonce comes first, was not done"


# ---------------------------------------------------------------------------------------------------------------------
# Requests
# ---------------------------------------------------------------------------------------------------------------------


def request(state: State, turn: Turn, command: RequestAction) -> ActionResult | Rejection:
    """Take an action, or tell how it stands if it is known.

    What was refused, or has failed, may be asked for again: nothing of it is on chain.
    """
    known = _known(state, command.id)
    if known is not None:
        turn.events.append(_known_update(state, command, known))
        return known
    rejection = _unwelcome(state, command) or _invalid(state, turn, command)
    if rejection is not None:
        return rejection
    pending = state.actions.add(command.id, command.account, command.action, command.requested_ms)
    turn.events.append(_update(pending, ActionStatus.REQUESTED, action=command.action))
    match command.action:
        case SignedCancel(order=order):
            account, instrument = state.account(command.account), state.markets[order.market].market.instrument
            ordercontrol.end_sequences(state, turn, account, instrument, order.key, order.sequence, CANCELED_BY_USER)
        case SignedCancelAll(epoch=epoch):
            _end_epoch(state, turn, state.account(command.account), epoch)
    return ActionResult(command.id, ActionStatus.REQUESTED)


def _known(state: State, action_id: bytes) -> ActionResult | None:
    pending = state.actions.pending.get(action_id)
    if pending is not None:
        return ActionResult(action_id, pending.status, "", pending.tx_hash, repeated=True)
    ended = state.actions.ended.get(action_id)
    if ended is None or ended.status != ActionStatus.SETTLED:
        return None
    return ActionResult(action_id, ended.status, ended.reason, ended.tx_hash, repeated=True)


def _known_update(state: State, command: RequestAction, known: ActionResult) -> ActionUpdate:
    return ActionUpdate(command.id, command.account, kind_of(command.action), known.status, known.reason, known.tx_hash)


def _unwelcome(state: State, command: RequestAction) -> Rejection | None:
    """Why the operator does not pay for anything more: of this account, or at all."""
    if len(state.actions.pending) >= MAX_PENDING:
        return Rejection(Code.ACTION_BACKLOG, "", f"{MAX_PENDING} transactions wait to be sent")
    if len(state.actions.of(command.account)) >= MAX_PENDING_OF_ACCOUNT:
        detail = f"{MAX_PENDING_OF_ACCOUNT} transactions of the account wait to be sent, or to be confirmed"
        return Rejection(Code.TOO_MANY_ACTIONS, "account", detail)
    if command.account != OPERATOR and not has_funds(state, command.account):
        detail = f"0x{command.account.hex()} has neither a balance nor a position here"
        return Rejection(Code.ACCOUNT_NOT_FUNDED, "account", detail)
    return None


def has_funds(state: State, address: Address) -> bool:
    """Whether the account has a balance or a position, however small."""
    account = state.accounts.get(address)
    if account is None:
        return False
    if any(balance.total > 0 for balance in account.balances.values()):
        return True
    positions = (venue.positions.get(address) for venue in state.markets.values())
    return any(position is not None and position.current.size != 0 for position in positions)


def _invalid(state: State, turn: Turn, command: RequestAction) -> Rejection | None:
    """Why the contracts would refuse a trader's action, as far as it can be told."""
    action = command.action
    if isinstance(action, TraderAction) == (command.account == OPERATOR):
        return Rejection(Code.NOT_OWNER, "account", f"{kind_of(action)} is not what this account may ask for")
    match action:
        case SignedWithdrawal():
            return _invalid_withdrawal(state, turn, state.account(command.account), action)
        case SignedCancel():
            return _invalid_cancel(state, turn, state.account(command.account), action)
        case SignedCancelAll():
            account = state.account(command.account)
            if action.epoch != account.epoch:
                return Rejection(Code.STALE_EPOCH, "epoch", f"the account's epoch is {account.epoch}")
            return not_delegate(account, action.delegate, turn.now_ms)
        case SignedDelegate():
            account = state.account(command.account)
            if action.valid_until * 1000 <= turn.now_ms and action.delegate not in account.delegations:
                return Rejection(Code.ACTION_EXPIRED, "validUntil", f"validUntil {action.valid_until} has passed")
            return _wrong_nonce(action.nonce, next_nonces(state, account)[1])
        case SettleWithdrawal():
            if (action.kind, action.asset) not in state.account(command.account).holds:
                return Rejection(Code.OUT_OF_ORDER, "kind", "the account has no such request")
    return None


def _invalid_withdrawal(state: State, turn: Turn, account: Account, action: SignedWithdrawal) -> Rejection | None:
    if action.expiry * 1000 <= turn.now_ms:
        return Rejection(Code.ACTION_EXPIRED, "expiry", f"the signature expired at {action.expiry}")
    is_known = action.asset in state.assets if action.kind == INSTRUMENT else action.asset == USDC
    if not is_known or not 0 <= action.kind <= INSTRUMENT:
        return Rejection(Code.UNKNOWN_ASSET, "asset", f"there is nothing to withdraw of kind {action.kind}")
    held = sum(
        hold.amount for (kind, asset), hold in account.holds.items() if asset == action.asset and kind != action.kind
    )
    # The open request of the same kind is replaced. Open orders make room, as for a request on chain.
    most = account.balance(action.asset).total - held
    if not 0 < action.amount <= min(most, MAX_AMOUNT):
        detail = f"amount must be positive and at most {max(0, most)} quanta: what there is, less other requests"
        return Rejection(Code.INSUFFICIENT_BALANCE, "amount", detail)
    return _wrong_nonce(action.nonce, next_nonces(state, account)[0])


def _invalid_cancel(state: State, turn: Turn, account: Account, action: SignedCancel) -> Rejection | None:
    order = action.order
    if order.account != account.address:
        return Rejection(Code.NOT_OWNER, "account", f"the order is not of account 0x{account.address.hex()}")
    venue = state.markets.get(order.market)
    if venue is None:
        return Rejection(Code.UNKNOWN_MARKET, "market", f"there is no market {order.market}")
    is_reserved = order.key == RESERVED_KEY and venue.market.kind != Kind.SPOT
    if is_reserved or order.sequence == LAST_SEQUENCE:
        return Rejection(Code.INVALID_NONCE, "nonce", "the nonce cannot be an order's, so there is nothing to end")
    return not_delegate(account, action.delegate, turn.now_ms)


# ---------------------------------------------------------------------------------------------------------------------
# Nonces
# ---------------------------------------------------------------------------------------------------------------------


def next_nonces(state: State, account: Account) -> tuple[int, int]:
    """What the account's next signed withdrawal request and delegate carry: pending ones take theirs in order."""
    withdrawal, delegate = account.withdrawal_nonce, account.delegate_nonce
    for pending in state.actions.of(account.address):
        if isinstance(pending.action, SignedWithdrawal):
            withdrawal = max(withdrawal, pending.action.nonce + 1)
        elif isinstance(pending.action, SignedDelegate):
            delegate = max(delegate, pending.action.nonce + 1)
    return withdrawal, delegate


def _wrong_nonce(nonce: int, expected: int) -> Rejection | None:
    if nonce == expected:
        return None
    code = Code.STALE_NONCE if nonce < expected else Code.INVALID_NONCE
    return Rejection(code, "nonce", f"the account's next nonce of this kind is {expected}, not {nonce}")


def _has_turn(account: Account, action: Action) -> bool:
    """Whether the nonces before the action's have been used."""
    if isinstance(action, SignedWithdrawal):
        return action.nonce <= account.withdrawal_nonce
    return not isinstance(action, SignedDelegate) or action.nonce <= account.delegate_nonce


# ---------------------------------------------------------------------------------------------------------------------
# Epochs
# ---------------------------------------------------------------------------------------------------------------------


def _end_epoch(state: State, turn: Turn, account: Account, epoch: int) -> None:
    """Cancel all open orders; none is taken until the chain has ended the epoch."""
    account.ending_epoch = epoch
    account.is_bumping = True
    state.cancel_all(turn, account, CANCELED_BY_USER)
    turn.events.append(AccountUpdate(account.address, account.epoch, True))


def _keep_epoch(state: State, turn: Turn, account: Account) -> None:
    """The epoch does not end after all, unless another signature says so."""
    left = [one.action.epoch for one in state.actions.of(account.address) if isinstance(one.action, SignedCancelAll)]
    account.ending_epoch = max(left, default=None)
    ordercontrol.recount_epoch(state, turn, account)


# ---------------------------------------------------------------------------------------------------------------------
# What the worker tells
# ---------------------------------------------------------------------------------------------------------------------


def sent(state: State, turn: Turn, command: ActionSent) -> Done | Rejection:
    """Note a transaction that may be mined from now on."""
    pending = state.actions.pending.get(command.id)
    if pending is None:
        return _unknown(command.id)
    if command.tx_hash in pending.hashes:
        return Rejection(Code.REPEATED, "txHash", "the transaction is known")
    pending.hashes = [*pending.hashes, command.tx_hash][-MAX_HASHES:]
    pending.sent_ms = turn.now_ms
    turn.events.append(_update(pending, ActionStatus.SENT))
    return Done()


def end(state: State, turn: Turn, command: ActionEnded) -> Done | Rejection:
    """End an action, and with it those whose nonces come after one that will not be used."""
    if command.status not in ENDED:
        return Rejection(Code.INVALID_CONFIGURATION, "status", f"{command.status} is no end")
    pending = state.actions.pending.get(command.id)
    if pending is None:
        known = state.actions.ended.get(command.id)
        if known is not None and known.status == command.status:
            return Rejection(Code.REPEATED, "id", "the action has ended so")
        return _unknown(command.id)
    _finish(state, turn, pending, command)
    if command.status == ActionStatus.SETTLED or pending.account == OPERATOR:
        return Done()
    account = state.account(pending.account)
    if isinstance(pending.action, SignedCancelAll):
        _keep_epoch(state, turn, account)
    for later in [one for one in state.actions.of(pending.account) if _waits_for(account, one.action, pending.action)]:
        _finish(state, turn, later, ActionEnded(later.id, ActionStatus.REFUSED, OVERTAKEN))
    return Done()


def _finish(state: State, turn: Turn, pending: PendingAction, command: ActionEnded) -> None:
    tx_hash = command.tx_hash or pending.tx_hash
    state.actions.end(EndedAction(pending.id, pending.account, command.status, command.reason, tx_hash))
    turn.events.append(
        ActionUpdate(
            pending.id,
            pending.account,
            kind_of(pending.action),
            command.status,
            command.reason,
            tx_hash,
            target=command.target,
            data=command.data,
        )
    )


def _waits_for(account: Account, later: Action, gone: Action) -> bool:
    """Whether `later` can only be done once the nonce of `gone` was used."""
    if isinstance(later, SignedWithdrawal) and isinstance(gone, SignedWithdrawal):
        return account.withdrawal_nonce <= gone.nonce < later.nonce
    if isinstance(later, SignedDelegate) and isinstance(gone, SignedDelegate):
        return account.delegate_nonce <= gone.nonce < later.nonce
    return False


def _unknown(action_id: bytes) -> Rejection:
    return Rejection(Code.UNKNOWN_ACTION, "id", f"no pending action has the id 0x{action_id.hex()}")


def _update(pending: PendingAction, status: ActionStatus, action: Action | None = None) -> ActionUpdate:
    kind = kind_of(pending.action)
    return ActionUpdate(pending.id, pending.account, kind, status, "", pending.tx_hash, action)


# ---------------------------------------------------------------------------------------------------------------------
# What the worker is to do
# ---------------------------------------------------------------------------------------------------------------------


def due(state: State) -> list[DueAction]:
    """All pending actions, in order of their requests."""
    pending = list(state.actions.pending.values())
    cancels = any(isinstance(one.action, SignedCancel | SignedCancelAll) for one in pending)
    fills = _unconfirmed_fills(state) if cancels else []
    return [
        DueAction(
            one.number,
            one.id,
            one.account,
            one.action,
            one.requested_ms,
            tuple(one.hashes),
            one.sent_ms,
            _is_ready(state, one, fills),
        )
        for one in pending
    ]


def _is_ready(state: State, pending: PendingAction, fills: list[Fill]) -> bool:
    action = pending.action
    if pending.account == OPERATOR:
        return True
    if not _has_turn(state.account(pending.account), action):
        return False
    if isinstance(action, SignedCancel | SignedCancelAll):
        return not any(_relies(state, fill, pending.account, action) for fill in fills)
    return True


def _unconfirmed_fills(state: State) -> list[Fill]:
    """Fills that are not on chain for good: a reorganisation may bring the others back."""
    numbers = [entry.number for entry in state.chain.unconfirmed() if isinstance(entry, BatchEntry)]
    settled = [fill for number in numbers for fill in state.outbox.settled[number].fills]
    return [*state.outbox.fills.values(), *settled]


def _relies(state: State, fill: Fill, account: Address, action: SignedCancel | SignedCancelAll) -> bool:
    """Whether a fill could not settle after the action."""
    for live in (fill.maker, fill.taker):
        if live.order.account != account:
            continue
        if isinstance(action, SignedCancelAll):
            return True
        order = action.order
        instrument = state.markets[order.market].market.instrument
        if (
            live.market.instrument == instrument
            and live.order.key == order.key
            and live.order.sequence <= order.sequence
        ):
            return True
    return False

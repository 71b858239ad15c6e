"""What ends orders when their owner falls silent: a deadline that is put off while all is well, a lost connection."""

from __future__ import annotations

from offchain.domain.account import Account
from offchain.domain.commands import ConnectionLost, SetDeadline, WatchConnection
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import ConnectionUpdate, DeadlineUpdate
from offchain.domain.results import Done
from offchain.domain.state import State, Turn

MAX_DEADLINE_MS = 86_400_000
"""How far ahead a deadline may be: a day."""

MAX_WATCHED = 65_536
"""Connections that are watched at a time."""

CONNECTION_SIZE = 16
"""bytes of a connection's name"""


def set_deadline(state: State, turn: Turn, command: SetDeadline) -> Done | Rejection:
    """Set, put off or take back when all orders of an account end."""
    account = state.accounts.get(command.account)
    if account is None:
        return _unknown_account()
    if command.at_ms and not turn.now_ms < command.at_ms <= turn.now_ms + MAX_DEADLINE_MS:
        detail = f"{command.at_ms} is not within {MAX_DEADLINE_MS} ms after {turn.now_ms}"
        return Rejection(Code.INVALID_DEADLINE, "seconds", detail)
    _move_deadline(state, turn, account, command.at_ms)
    return Done()


def meet_deadlines(state: State, turn: Turn) -> None:
    """Cancel the orders of accounts whose deadline has passed."""
    while state.deadlines and state.deadlines[0][0] <= turn.now_ms:
        account = state.accounts[state.deadlines[0][1]]
        _move_deadline(state, turn, account, 0)
        state.cancel_all(turn, account, "cancelAfter")


def _move_deadline(state: State, turn: Turn, account: Account, at_ms: int) -> None:
    if account.deadline_ms:
        state.deadlines.remove((account.deadline_ms, account.address))
    account.deadline_ms = at_ms
    if at_ms:
        state.deadlines.add((at_ms, account.address))
    turn.events.append(DeadlineUpdate(account.address, at_ms))


def watch(state: State, turn: Turn, command: WatchConnection) -> Done | Rejection:
    """Begin or cease to cancel all orders of an account when a connection is lost."""
    if command.account not in state.accounts:
        return _unknown_account()
    owner = state.watched.get(command.connection)
    if command.watched == (owner == command.account):
        return Rejection(Code.REPEATED, "watched", "the connection is watched for the account, or is not, as it was")
    if command.watched:
        if len(command.connection) != CONNECTION_SIZE or owner is not None:
            detail = f"a connection has {CONNECTION_SIZE} bytes and one account"
            return Rejection(Code.INVALID_CONNECTION, "connection", detail)
        if len(state.watched) >= MAX_WATCHED:
            return Rejection(Code.INVALID_CONNECTION, "connection", f"{MAX_WATCHED} connections are watched")
        state.watched[command.connection] = command.account
    else:
        del state.watched[command.connection]
    turn.events.append(ConnectionUpdate(command.account, command.connection, command.watched))
    return Done()


def lose_connection(state: State, turn: Turn, command: ConnectionLost) -> Done | Rejection:
    """Cancel what a lost connection was watched for."""
    address = state.watched.pop(command.connection, None)
    if address is None:
        return Rejection(Code.REPEATED, "connection", "the connection is not watched")
    turn.events.append(ConnectionUpdate(address, command.connection, False))
    state.cancel_all(turn, state.accounts[address], "disconnected")
    return Done()


def _unknown_account() -> Rejection:
    return Rejection(Code.UNKNOWN_ACCOUNT, "account", "the account has never deposited anything")

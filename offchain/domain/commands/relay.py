"""Transactions that the service sends for others."""

from __future__ import annotations

from offchain.domain.actions import Action, ActionStatus
from offchain.domain.commands.base import Base
from offchain.domain.order import Address


class RequestAction(Base, frozen=True, array_like=True, tag="requestAction"):
    """Send a transaction for `account`. Intake has verified the signature of what a trader has signed."""

    id: bytes
    """32 bytes; of what a trader has signed: its EIP-712 digest"""
    account: Address
    """`actions.OPERATOR` for what administrators ask for"""
    action: Action
    requested_ms: int


class ActionSent(Base, frozen=True, array_like=True, tag="actionSent"):
    """The worker has made this transaction of the action, and is about to give it to the node.

    Journaled before, so that a worker that starts again knows of every transaction that may be mined.
    """

    id: bytes
    tx_hash: bytes


class ActionEnded(Base, frozen=True, array_like=True, tag="actionEnded"):
    """What became of an action."""

    id: bytes
    status: ActionStatus
    """settled, failed, refused or needsOwner"""
    reason: str = ""
    tx_hash: bytes = b""
    """the transaction that was mined"""
    target: Address = b""
    """needsOwner: the contract that is to be called"""
    data: bytes = b""
    """needsOwner: with what"""

"""Transactions that the service sends for traders, over HTTP and in the stream."""

from __future__ import annotations

from offchain.actionintake import CancelAllBody, DelegateBody, WithdrawalBody
from offchain.api.schemas.base import Base

__all__ = ["CancelAllBody", "DelegateBody", "WithdrawalBody"]  # the request bodies; intake decodes them


class ActionState(Base, frozen=True):
    """How a transaction for an account stands."""

    action_id: str
    """the EIP-712 digest of what was signed"""
    status: str
    """requested | sent | settled | failed | refused | needsOwner"""
    reason: str
    """why it was not done; "" otherwise"""
    tx_hash: str | None
    """the newest transaction, then the one that was mined"""


class ActionChange(ActionState, frozen=True):
    kind: str
    """withdrawal | cancel | cancelAll | delegate | settleWithdrawal"""


class ActionInfo(ActionChange, frozen=True):
    """What is null does not belong to the kind."""

    account: str
    asset: str | None
    as_cxpt: bool | None
    amount: str | None
    order_id: str | None
    epoch: int | None
    """of cancelAll: the epoch that ends"""
    delegate: str | None
    valid_until: int | None
    nonce: str | None
    """as signed; of withdrawal and delegate"""
    created_at: int
    updated_at: int


class ActionPage(Base, frozen=True):
    """Newest first."""

    actions: list[ActionInfo]
    next: str | None

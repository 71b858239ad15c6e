"""Transactions that the service sends for traders and administrators: what each is made of, and how each stands.

An action is data, never calldata: the worker, which has the key, builds the transaction from it. Amounts are quanta of
their asset, times Unix seconds unless their name ends in `_ms`.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from offchain.domain.order import Address, Order, OrderHash

OPERATOR: Address = b""
"""Whose actions those are that administrators ask for."""

MAX_PENDING = 1_000
"""Actions that may be pending in all."""

MAX_PENDING_OF_ACCOUNT = 16
"""Actions of one account that may be pending."""

MAX_ENDED = 4_096
"""Ended actions that are remembered, the oldest forgotten first; the views remember all."""

MAX_HASHES = 16
"""Transactions of one action that are remembered: it is sent again, with higher fees, while it is not mined."""


class Base(msgspec.Struct, frozen=True, array_like=True):
    """Common settings of actions."""


# ---------------------------------------------------------------------------------------------------------------------
# Traders'. Signatures are 64 bytes, EIP-2098.
# ---------------------------------------------------------------------------------------------------------------------


class SignedWithdrawal(Base, frozen=True, array_like=True, tag="withdrawal"):
    """`WithdrawalQueue.requestBySig`: EIP-712 `Withdraw`, signed by the account itself."""

    kind: int
    """as in `IWithdrawalQueue.Kind`: 0 USDC, 1 USDC as CXPT, 2 instrument"""
    asset: int
    amount: int
    nonce: int
    expiry: int
    """last second of a block that takes it"""
    signature: bytes


class SignedCancel(Base, frozen=True, array_like=True, tag="cancel"):
    """`OrderControl.cancelBySig`: EIP-712 `Cancel`."""

    order: Order
    order_hash: OrderHash
    signature: bytes
    delegate: Address | None = None
    """who signed for the account; None if it did itself"""


class SignedCancelAll(Base, frozen=True, array_like=True, tag="cancelAll"):
    """`OrderControl.cancelAllBySig`: EIP-712 `CancelAll`, which ends the epoch."""

    epoch: int
    signature: bytes
    delegate: Address | None = None
    """who signed for the account; None if it did itself"""


class SignedDelegate(Base, frozen=True, array_like=True, tag="delegate"):
    """`OrderControl.setDelegateBySig`: EIP-712 `Delegate`, signed by the account itself."""

    delegate: Address
    valid_until: int
    """inclusive"""
    nonce: int
    signature: bytes


class SettleWithdrawal(Base, frozen=True, array_like=True, tag="settleWithdrawal"):
    """`WithdrawalQueue.settle` of the account's open request, which anyone may call once its window has passed."""

    kind: int
    """as in `IWithdrawalQueue.Kind`"""
    asset: int


# ---------------------------------------------------------------------------------------------------------------------
# Administrators'
# ---------------------------------------------------------------------------------------------------------------------


class DerivativeTerms(Base, frozen=True, array_like=True):
    """Field by field as in `IMarketRegistry.DerivativeParams`, which has their bounds."""

    expiry: int = 0
    strike: int = 0
    """micro-USDC per whole base unit, like the cap"""
    cap: int = 0
    is_put: bool = False
    initial_margin_bps: int = 0
    maintenance_margin_bps: int = 0
    band_bps: int = 0
    liquidation_fee_bps: int = 0
    exit_penalty_bps: int = 0
    funding_cap: int = 0
    """1e-8 per hour"""
    funding_period: int = 0
    """seconds"""


class CreateMarket(Base, frozen=True, array_like=True, tag="createMarket"):
    """`MarketRegistry.createMarket`: field by field as in `IMarketRegistry.MarketParams`."""

    symbol: str
    kind: int
    base: int
    quote: int
    tick_size: int
    """micro-USDC per whole base unit, or 10^-12 quote units where the market is cross-quoted, like the highest price"""
    lot_size: int
    """quanta per lot"""
    max_price: int
    max_quantity: int
    """lots per order"""
    oracle: Address = b""
    """20 bytes; empty: none"""
    terms: DerivativeTerms = DerivativeTerms()


class SetMarketStatus(Base, frozen=True, array_like=True, tag="setMarketStatus"):
    """`MarketRegistry.setStatus`; `status` as in `MarketStatus`."""

    market: int
    status: int


class ScheduleFee(Base, frozen=True, array_like=True, tag="scheduleFee"):
    """`Engine.scheduleFee`: what is matched at `at` or later pays `fee_bps` per side."""

    fee_bps: int
    at: int


TraderAction = SignedWithdrawal | SignedCancel | SignedCancelAll | SignedDelegate | SettleWithdrawal
Action = TraderAction | CreateMarket | SetMarketStatus | ScheduleFee


def kind_of(action: Action) -> str:
    """The name of an action's kind, as readers see it."""
    return str(action.__struct_config__.tag)


# ---------------------------------------------------------------------------------------------------------------------
# How they stand
# ---------------------------------------------------------------------------------------------------------------------


class ActionStatus(StrEnum):
    REQUESTED = "requested"
    SENT = "sent"
    """a transaction with it was made, and may be mined; it is final once it is settled"""
    SETTLED = "settled"
    """mined, and confirmed"""
    FAILED = "failed"
    """mined, and reverted"""
    REFUSED = "refused"
    """the contract would refuse it, so it was not sent (any more)"""
    NEEDS_OWNER = "needsOwner"
    """only the owner or the guardian of the contracts may do it"""


ENDED = (ActionStatus.SETTLED, ActionStatus.FAILED, ActionStatus.REFUSED, ActionStatus.NEEDS_OWNER)


class PendingAction(msgspec.Struct, array_like=True):
    """An action that has not ended."""

    number: int
    """of its request; one that is asked for again after it has ended has another"""
    id: bytes
    account: Address
    action: Action
    requested_ms: int
    hashes: list[bytes]
    """of the transactions that were made of it, the newest last"""
    sent_ms: int = 0
    """when the newest was made"""

    @property
    def status(self) -> ActionStatus:
        return ActionStatus.SENT if self.hashes else ActionStatus.REQUESTED

    @property
    def tx_hash(self) -> bytes:
        return self.hashes[-1] if self.hashes else b""


class EndedAction(msgspec.Struct, frozen=True, array_like=True):
    id: bytes
    account: Address
    status: ActionStatus
    reason: str
    tx_hash: bytes


class DueAction(msgspec.Struct, frozen=True):
    """A pending action as the worker is to see it."""

    number: int
    id: bytes
    account: Address
    action: Action
    requested_ms: int
    hashes: tuple[bytes, ...]
    sent_ms: int
    is_ready: bool
    """nothing forbids to send it: a cancel waits until what it ends has been settled for good"""


class Actions:
    """All actions that are known: pending ones by id, in order of their requests, and the latest that ended."""

    __slots__ = ("ended", "next_number", "pending")

    def __init__(self) -> None:
        self.next_number = 1
        self.pending: dict[bytes, PendingAction] = {}
        self.ended: dict[bytes, EndedAction] = {}

    def of(self, account: Address) -> list[PendingAction]:
        """Pending ones of `account`, in order of their requests."""
        return [one for one in self.pending.values() if one.account == account]

    def add(self, action_id: bytes, account: Address, action: Action, requested_ms: int) -> PendingAction:
        """Let an action that is not pending be so."""
        pending = PendingAction(self.next_number, action_id, account, action, requested_ms, [])
        self.next_number += 1
        self.pending[action_id] = pending
        return pending

    def end(self, ended: EndedAction) -> None:
        """Move an action from the pending to the ended ones."""
        del self.pending[ended.id]
        self.ended.pop(ended.id, None)
        self.ended[ended.id] = ended
        if len(self.ended) > MAX_ENDED:
            del self.ended[next(iter(self.ended))]

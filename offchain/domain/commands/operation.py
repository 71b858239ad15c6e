"""What the operator decides, and that time passes."""

from __future__ import annotations

from offchain.domain.admin import Actor, ChangeSettings, Denied, HaltAll, LimitQuantity, SetLeverage
from offchain.domain.commands.base import Base
from offchain.domain.commands.relay import RequestAction
from offchain.domain.commands.settlement import BatchRetry, Bust
from offchain.domain.order import Address


class Configure(Base, frozen=True, array_like=True, tag="configure"):
    """The first command of a journal: what execution depends on and the chain does not say."""

    chain_id: int
    engine: Address
    fee_bps: int
    confirmations: int
    """blocks, counting its own, after which a block's credits count; at least 1"""
    window: int = 3600
    """settlement window in seconds"""
    max_head_age_ms: int = 0
    """age of the newest seen block beyond which only cancels and post-only orders are taken; 0: not checked"""
    max_open_orders: int = 10_000
    """open orders per account"""
    price_band_bps: int = 0
    """how far beyond the best price that others offer an order may reach, basis points; 0: not checked"""


class SetStatus(Base, frozen=True, array_like=True, tag="setStatus"):
    """Halt or resume a market off chain."""

    market: int
    halted: bool
    reason: str


AdminAction = (
    SetStatus | HaltAll | ChangeSettings | LimitQuantity | SetLeverage | BatchRetry | Bust | RequestAction | Denied
)


class Administer(Base, frozen=True, array_like=True, tag="administer"):
    """An administrator acts. The action and its entry in the audit log are one command: there is no one without the
    other."""

    actor: Actor
    action: AdminAction
    key: str = ""
    """Idempotency-Key, by which the same request of the actor is done once; "": it has none"""


class Tick(Base, frozen=True, array_like=True, tag="tick"):
    """Time passes: orders past their expiry end."""

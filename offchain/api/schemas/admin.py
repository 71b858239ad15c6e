"""What administrators send and get."""

from __future__ import annotations

from typing import Any

import msgspec

from offchain.api.schemas.base import Base, Sparse
from offchain.api.schemas.http import OrderInfo


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Common settings of bodies."""


class HaltBody(Body, frozen=True):
    reason: str
    """told to everybody; 1 to 200 characters"""


class ResumeBody(Body, frozen=True):
    reason: str = ""
    """for the audit log"""


class SettingsBody(Body, frozen=True):
    """At least one of them; what is absent stays."""

    max_open_orders: int | None = None
    """per account, 1 to 1,000,000"""
    price_band_bps: int | None = None
    """how far beyond the best opposite price an order may reach; 0: any price"""


class LimitBody(Body, frozen=True):
    quantity_limit: str | None
    """base units per order, at most the market's `maxQuantity`; null: as many as that"""


class LeverageBody(Body, frozen=True):
    opening_margin_bps: int | None
    """what an account must have, in the position and free, for it to grow: from the market's `initialMarginBps` to
    10,000; 2,000 is a leverage of 5; null: the market's alone"""


class RetryBody(Body, frozen=True):
    """An empty object."""


class BustBody(Body, frozen=True):
    reason: str
    """told to the traders concerned; 1 to 200 characters"""
    fill_ids: list[str] | None = None
    """trades to drop; absent: the one at fault, or all of the batch if that is not known"""


# ---------------------------------------------------------------------------------------------------------------------
# Answers
# ---------------------------------------------------------------------------------------------------------------------


class Acted(Base, frozen=True):
    """What was done, and how things stood before and after."""

    entry: int
    """number in the audit log"""
    action: str
    before: dict[str, Any]
    after: dict[str, Any]


class Settings(Base, frozen=True):
    """Limits of orders as they are now, and whether all markets are halted."""

    halted: bool
    reason: str
    max_open_orders: int
    price_band_bps: int


class Who(Base, frozen=True):
    issuer: str
    """of the token; `console`: a command on the service's own machine"""
    subject: str
    groups: list[str]
    """those that gave the right"""
    request_id: str
    address: str
    """of the client"""


class AuditEntry(Base, frozen=True):
    entry: int
    time: int
    who: Who
    action: str
    parameters: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]
    outcome: str
    """`done`, or the code of the problem that it was refused with"""
    detail: str


class AuditPage(Base, frozen=True):
    entries: list[AuditEntry]
    next: str | None


class DeadLetter(Base, frozen=True):
    """A batch that the contracts refuse, so that settlement stopped before it."""

    id: int
    batch: int
    status: str
    """parked | retried | settled | reopened: its items were busted, or went into another batch"""
    reason: str
    """the error of the simulation, as the contract gives it"""
    item: int | None
    """the one at fault, where it is known"""
    first_item: int
    last_item: int
    parked_at: int
    updated_at: int


class DeadLetterPage(Base, frozen=True):
    dead_letters: list[DeadLetter]
    next: str | None


class DeadFill(Base, frozen=True):
    """A fill of the batch, with the two orders that it settles."""

    trade_id: str
    item: int
    market: str
    price: str
    quantity: str
    settlement: str
    maker: OrderInfo
    taker: OrderInfo


class DeadLetterInfo(Base, frozen=True):
    dead_letter: DeadLetter
    fills: list[DeadFill]
    """those that are neither settled nor busted, at most 500"""


# ---------------------------------------------------------------------------------------------------------------------
# Stream
# ---------------------------------------------------------------------------------------------------------------------


class MarketState(Base, frozen=True):
    """Whether a market trades, and its limit."""

    market: str
    status: str
    """active | paused | closed | halted"""
    reason: str
    quantity_limit: str | None
    opening_margin_bps: int | None


class AdminState(Base, frozen=True):
    settings: Settings | None
    """null before the exchange is configured"""
    markets: list[MarketState]


class AdminSnapshot(Sparse, frozen=True, tag="snapshot", tag_field="type"):
    channel: str
    seq: int
    data: AdminState
    resync: bool = False
    """messages were lost; forget what came before"""


class StateChange(Sparse, frozen=True, tag="stateChange", tag_field="type"):
    """A market changed, or what holds for all of them."""

    channel: str
    seq: int
    prev_seq: int
    market: MarketState | None = None
    settings: Settings | None = None


AdminMessage = AdminSnapshot | StateChange

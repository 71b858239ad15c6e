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


class StatusBody(Body, frozen=True):
    status: str
    """active | paused | closed, which is for good"""


class FeeBody(Body, frozen=True):
    fee_bps: int
    """per side, 0 to 50"""
    at: int
    """when it begins: a settlement window ahead at least"""


class CreateMarketBody(Body, frozen=True):
    """A market as `GET /v1/markets` shows it, within the bounds of the registry; what a kind has not is left out."""

    symbol: str
    """1 to 31 of A-Z, 0-9 and -"""
    kind: str
    """spot | perp | future | option"""
    base: str
    """symbol of a registered asset"""
    tick_size: str
    lot_size: str
    max_price: str
    max_quantity: str
    quote: str = "USDC"
    """symbol of a registered asset, of spot markets"""
    oracle: str | None = None
    """of the quote where that is not USDC, of the base of a derivative"""
    expiry: int | None = None
    """of futures and options"""
    strike: str | None = None
    """of options"""
    cap: str | None = None
    """of calls: above the strike"""
    is_put: bool = False
    initial_margin_bps: int = 0
    """of perpetuals and futures, as the four below: twice the maintenance margin to 10,000"""
    maintenance_margin_bps: int = 0
    """10 to 5,000"""
    band_bps: int = 0
    """below the maintenance margin"""
    liquidation_fee_bps: int = 0
    """at most the maintenance margin"""
    exit_penalty_bps: int = 0
    """below the maintenance margin"""
    funding_cap: str | None = None
    """of perpetuals: the highest rate per hour, at most 0.0005"""
    funding_period: int = 0
    """of perpetuals: seconds over which a premium is paid, 3,600 to 86,400"""


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


class Requested(Acted, frozen=True):
    """What was asked for; `GET /v1/admin/actions/{id}` says how it goes on."""

    action_id: str


class AdminActionInfo(Base, frozen=True):
    """A transaction that an administrator has asked for."""

    action_id: str
    action: str
    """createMarket | setMarketStatus | scheduleFee"""
    parameters: dict[str, Any]
    """numbers as the contract takes them"""
    status: str
    """requested | sent | settled | failed | refused | needsOwner"""
    reason: str
    """why it was not done; "" otherwise"""
    tx_hash: str | None
    target: str | None
    """needsOwner: the contract that the owner is to call"""
    data: str | None
    """needsOwner: with what"""
    created_at: int
    updated_at: int


class AdminActionPage(Base, frozen=True):
    """Newest first."""

    actions: list[AdminActionInfo]
    next: str | None


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

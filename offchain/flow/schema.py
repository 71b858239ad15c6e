"""The lines of a flow file.

Names are camelCase in the file. Prices, quantities and rates are decimal strings in whole units, as in the API.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from offchain.domain.batch import MAX_LEAVES

FORMAT: Literal["crosspoint-flow"] = "crosspoint-flow"
VERSION = 1

MAX_MARKETS = 500

LONGEST_DEADLINE_SECONDS = 86_400
"""of `cancelAfter`, as in the API"""

MAX_TIME_MS = 2**53 - 1

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._\-]{1,64}\Z")]
Symbol = Annotated[str, Meta(min_length=1, max_length=32)]
Side = Literal["buy", "sell"]
Seconds = Annotated[int, Meta(ge=0, le=2**39)]


class Base(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel", gc=False):
    """Common settings: what has its default is left out of the file, and nothing unknown is taken."""


class ListedMarket(Base, frozen=True):
    """The steps of a market where the flow was recorded."""

    symbol: Symbol
    tick_size: str
    lot_size: str


class Header(Base, frozen=True):
    """The first line."""

    format: Literal["crosspoint-flow"]
    version: int
    started_at: Annotated[int, Meta(ge=0, le=MAX_TIME_MS)]
    """Unix milliseconds: what `t` counts from"""
    markets: Annotated[list[ListedMarket], Meta(max_length=MAX_MARKETS)]
    """all that the operations name"""


class Reference(Base, frozen=True):
    """An order of an earlier line."""

    line: Annotated[int, Meta(ge=2)]
    """number of the line in the file; the header is line 1"""
    index: Annotated[int, Meta(ge=0, lt=MAX_LEAVES)] = 0
    """which order of an array, from 0"""


class Terms(Base, frozen=True, kw_only=True):
    """An order as in `POST /v1/orders`, without what belongs to its trader, and with times that are relative."""

    market: Symbol
    side: Side
    type: Literal["limit", "market"]
    time_in_force: Literal["GTC", "GTD", "IOC", "FOK"]
    price: str
    quantity: str
    expires_in: Seconds | None = None
    """seconds from the line's time to the expiry; absent for GTC, required otherwise"""
    max_fee_bps: Annotated[int, Meta(ge=0, le=2**16 - 1)] | None = None
    """absent: the fee of the exchange"""
    conversion_limit: str | None = None
    reduce_only: bool = False
    post_only: bool = False
    self_trade_prevention: Literal["expireMaker", "expireTaker", "expireBoth"] = "expireMaker"
    client_order_id: Name | None = None
    trigger: Literal["stop", "takeProfit"] | None = None
    trigger_price: str | None = None
    trigger_by: Literal["last", "mark", "index"] = "last"
    replaces: Reference | None = None
    """the order whose nonce key, and so whose place, it takes"""
    only_if_open: bool = False
    """place nothing if that order has ended meanwhile"""
    expect_filled: str | None = None
    """place nothing unless that order has filled exactly this quantity"""


class Line(Base, frozen=True, kw_only=True):
    """What all operations have."""

    t: Annotated[int, Meta(ge=0, le=MAX_TIME_MS)]
    """milliseconds since the flow began"""
    trader: Name


class Place(Line, frozen=True, kw_only=True, tag_field="op", tag="place"):
    order: Terms


class Replace(Line, frozen=True, kw_only=True, tag_field="op", tag="replace"):
    order: Terms
    """`replaces` is required"""


class PlaceArray(Line, frozen=True, kw_only=True, tag_field="op", tag="array"):
    orders: Annotated[list[Terms], Meta(min_length=2, max_length=MAX_LEAVES)]


class Cancel(Line, frozen=True, kw_only=True, tag_field="op", tag="cancel"):
    cancels: Reference


class CancelAll(Line, frozen=True, kw_only=True, tag_field="op", tag="cancelAll"):
    market: Symbol | None = None
    side: Side | None = None


class CancelAfter(Line, frozen=True, kw_only=True, tag_field="op", tag="cancelAfter"):
    seconds: Annotated[int, Meta(ge=0, le=LONGEST_DEADLINE_SECONDS)]
    """0: take it back"""


Operation = Place | Replace | PlaceArray | Cancel | CancelAll | CancelAfter


def orders_of(operation: Operation) -> Sequence[Terms]:
    """The orders that a line places."""
    match operation:
        case Place() | Replace():
            return (operation.order,)
        case PlaceArray():
            return operation.orders
    return ()


def place_of(operation: Operation, index: int) -> str:
    """Where in the line an order stands, for messages."""
    return f"orders[{index}]" if isinstance(operation, PlaceArray) else "order"

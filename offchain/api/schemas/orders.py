"""Orders over HTTP: what is sent besides the signed bodies, and the answers. Decimal strings are in whole units."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from offchain.api.schemas.base import Base, Sparse
from offchain.api.schemas.problem import Problem


class Execution(Base, frozen=True):
    """A fill made on entry."""

    trade_id: str
    price: str
    quantity: str


class PlacedOrder(Sparse, frozen=True):
    """The answer to an order; the same signed order again gets the same answer."""

    order_id: str
    status: str
    filled: str
    remaining: str
    """quantity - filled"""
    fills: list[Execution] = msgspec.field(default_factory=list)
    code: str = ""
    """why it ended, where it neither filled nor rests"""
    client_order_id: str | None = None
    waiting: bool = False
    """it is in no book until its trigger is reached"""


class BatchBody(Base, frozen=True):
    """Orders of one account."""

    orders: Annotated[list[Any], msgspec.Meta(min_length=1, max_length=50)]
    """each as in `POST /v1/orders`; one that is not is refused by itself"""


class BatchEntry(Base, frozen=True):
    """What became of one order of a batch: `order` or `problem`."""

    order: PlacedOrder | None
    problem: Problem | None


class BatchResult(Base, frozen=True):
    """In the order of the batch."""

    results: list[BatchEntry]


class CanceledOrder(Base, frozen=True):
    order_id: str
    status: str
    filled: str
    remaining: str


class CanceledOrders(Base, frozen=True):
    account: str
    order_ids: list[str]
    """oldest first"""
    remaining: int
    """open orders that fit as well: ask again"""


class CancelAfterBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    seconds: int
    """until all orders of the account are canceled; 0: not any more"""


class CancelAfter(Base, frozen=True):
    account: str
    cancels_at: int | None
    """when all orders of the account are canceled; null: not"""


class TriggerInfo(Base, frozen=True):
    """What an order waits for, or has waited for."""

    type: str
    """stop | takeProfit"""
    price: str
    by: str
    """last | mark | index"""
    triggered_at: int | None
    """null while it waits, or if it ended before"""


class OrderInfo(Base, frozen=True):
    order_id: str
    account: str
    market: str
    side: str
    type: str
    time_in_force: str
    price: str
    quantity: str
    filled: str
    remaining: str
    status: str
    code: str
    """why it ended, where it did not fill; "" otherwise"""
    nonce: str
    epoch: int
    expiry: int | None
    max_fee_bps: int
    conversion_limit: str | None
    """USDC per whole quote unit; null where the market is quoted in USDC"""
    reduce_only: bool
    post_only: bool
    self_trade_prevention: str
    client_order_id: str | None
    trigger: TriggerInfo | None
    """null: it works, or worked, from the start"""
    created_at: int
    updated_at: int


class OrderPage(Base, frozen=True):
    """Newest first. `next` is the cursor of the next page, null on the last."""

    orders: list[OrderInfo]
    next: str | None

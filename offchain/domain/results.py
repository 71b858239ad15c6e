"""What the submitter of a command is told. Prices are micro-USDC per lot, quantities lots."""

from __future__ import annotations

from offchain.domain.actions import ActionStatus
from offchain.domain.admin import Facts
from offchain.domain.errors import Rejection
from offchain.domain.events import Base
from offchain.domain.order import OrderHash, OrderStatus


class PlaceResult(Base, frozen=True, array_like=True, tag="placed"):
    """The answer to an order, kept as the answer to the same order again."""

    order_hash: OrderHash
    status: OrderStatus
    quantity: int
    filled: int
    fills: tuple[tuple[bytes, int, int], ...]
    """(trade id, price, quantity) of the fills made on entry"""
    rejection: Rejection | None = None
    code: str = ""
    """why it ended, where it neither filled nor rests"""
    repeated: bool = False
    """the order had been executed before; this is what was answered then"""
    waiting: bool = False
    """it sleeps until its trigger is reached"""


class ArrayResult(Base, frozen=True, array_like=True, tag="placedArray"):
    """The answer to each order of an array, in its order."""

    results: list[PlaceResult]


class CancelResult(Base, frozen=True, array_like=True, tag="canceled"):
    order_hash: OrderHash
    status: OrderStatus
    market: int
    quantity: int
    filled: int


class ActionResult(Base, frozen=True, array_like=True, tag="action"):
    """How an action stands."""

    id: bytes
    status: ActionStatus
    reason: str = ""
    tx_hash: bytes = b""
    repeated: bool = False
    """it had been requested before"""


class OrdersCanceled(Base, frozen=True, array_like=True, tag="canceledOrders"):
    order_hashes: list[OrderHash]
    remaining: int
    """open orders that fit as well, for another command"""


class Done(Base, frozen=True, array_like=True, tag="done"):
    """The command was applied."""


class Administered(Base, frozen=True, array_like=True, tag="administered"):
    """The answer to an administrator, kept as the answer to the same request again."""

    entry: int
    """number in the audit log"""
    before: Facts
    after: Facts
    rejection: Rejection | None = None
    repeated: bool = False
    """the request had been executed before; this is what was answered then"""


Result = PlaceResult | ArrayResult | CancelResult | OrdersCanceled | ActionResult | Administered | Done | Rejection

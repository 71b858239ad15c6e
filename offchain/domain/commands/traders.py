"""What traders ask for."""

from __future__ import annotations

from offchain.domain.commands.base import Base
from offchain.domain.order import Address, Order, OrderHash, SelfTrade, Trigger


class PlaceOrder(Base, frozen=True, array_like=True, tag="placeOrder"):
    """A signed order whose signature and form intake has verified."""

    order: Order
    order_hash: OrderHash
    signature: bytes
    """64 bytes, EIP-2098"""
    received_ms: int
    order_type: str = "limit"
    """"limit" or "market"; a market order is an IOC with its worst price signed"""
    post_only: bool = False
    self_trade: SelfTrade = SelfTrade.EXPIRE_MAKER
    client_order_id: str | None = None
    expect_filled: int | None = None
    """lots that the order replaced by this one may have filled"""
    delegate: Address | None = None
    """who signed for the account; None if it did itself"""
    replaces: OrderHash | None = None
    """the open order that this one must replace; None: whichever its nonce key has, or none"""
    trigger: Trigger | None = None
    """what it waits for; None: nothing"""


class PlaceArray(Base, frozen=True, array_like=True, tag="placeArray"):
    """Two to ten orders of one account under one signature (EIP-712 `OrderArray`), as intake has verified them.

    Each is decided on by itself, in the order of the array.
    """

    orders: list[PlaceOrder]
    """all carry the signature of the array"""


class CancelOrder(Base, frozen=True, array_like=True, tag="cancelOrder"):
    """A signed cancel: EIP-712 `Cancel(address account,bytes32 orderHash)`."""

    account: Address
    order_hash: OrderHash
    signature: bytes
    received_ms: int
    delegate: Address | None = None
    """who signed for the account; None if it did itself"""


class CancelOrders(Base, frozen=True, array_like=True, tag="cancelOrders"):
    """Cancel the oldest open orders of an account that fit, at most `ending.MAX_CANCELED` at a time."""

    account: Address
    received_ms: int
    market: int | None = None
    """None: of all markets"""
    side: int | None = None
    """None: of both"""


class SetDeadline(Base, frozen=True, array_like=True, tag="setDeadline"):
    """A dead man's switch: unless it is set again before, all orders of the account are canceled at `at_ms`."""

    account: Address
    at_ms: int
    """0: take it back"""


class WatchConnection(Base, frozen=True, array_like=True, tag="watchConnection"):
    """Cancel all orders of the account when this connection is lost, or do so no more."""

    account: Address
    connection: bytes
    """16 random bytes that name it"""
    watched: bool


class ConnectionLost(Base, frozen=True, array_like=True, tag="connectionLost"):
    """A watched connection is gone."""

    connection: bytes


class CreateApiKey(Base, frozen=True, array_like=True, tag="createApiKey"):
    """A key by which programs read, and cancel, without a signature; the account has signed in to ask for it."""

    account: Address
    id: str
    """unique among the account's keys, made of the request's Idempotency-Key"""
    secret_hash: bytes
    """SHA-256 of the secret, which has 256 random bits"""
    label: str
    scopes: list[str]
    expiry: int
    """Unix seconds; the key is dead from then on. 0: it has no end"""


class RevokeApiKey(Base, frozen=True, array_like=True, tag="revokeApiKey"):
    account: Address
    id: str

"""What a client asks for over a socket, and the answers; what it has subscribed to is in `stream`."""

from __future__ import annotations

from offchain.api.schemas.base import Base, Sparse
from offchain.api.schemas.http import ArrayBody, BatchEntry, CanceledOrder, OrderBody, PlacedOrder


class Subscribed(Base, frozen=True):
    """Acknowledges `subscribe` and `unsubscribe`."""

    op: str
    id: str | int | None
    channels: list[str]
    seq: int
    """last event that the stream had seen"""


class AdminSignedIn(Base, frozen=True):
    """Acknowledges `signIn` with an administrator's token."""

    op: str
    id: str | int | None
    subject: str
    roles: list[str]
    expires_at: int
    """when the token ends, and with it the channels `admin.…`"""


class SignedIn(Base, frozen=True):
    """Acknowledges `signIn`: the socket speaks for the account until it is closed, with 4001 when the token ends."""

    op: str
    id: str | int | None
    account: str
    scopes: list[str]
    expires_at: int | None
    """null: an API key without an end"""


class Pong(Base, frozen=True):
    op: str
    id: str | int | None
    time: int


class StreamError(Base, frozen=True):
    op: str
    id: str | int | None
    code: str
    param: str | None
    detail: str
    order_id: str | None = None
    """the order, where its sequence was consumed: the same bytes get the same answer again"""


class Placed(Base, frozen=True):
    """Answers `place`."""

    op: str
    id: str | int | None
    order: PlacedOrder


class PlacedArray(Base, frozen=True):
    """Answers `placeArray`: one result for each order, in their order."""

    op: str
    id: str | int | None
    results: list[BatchEntry]


class CanceledMany(Base, frozen=True):
    """Answers `cancelAll`."""

    op: str
    id: str | int | None
    account: str
    order_ids: list[str]
    remaining: int
    """open orders that fit as well: ask again"""


class CancelAfterSet(Base, frozen=True):
    """Answers `cancelAfter`."""

    op: str
    id: str | int | None
    account: str
    cancels_at: int | None


class CancelOnDisconnectSet(Base, frozen=True):
    """Answers `cancelOnDisconnect`."""

    op: str
    id: str | int | None
    account: str
    enabled: bool


class Canceled(Base, frozen=True):
    """Answers `cancel`."""

    op: str
    id: str | int | None
    order: CanceledOrder


# ---------------------------------------------------------------------------------------------------------------------
# From the client; a session decodes these itself, to name what is wrong
# ---------------------------------------------------------------------------------------------------------------------


class SignIn(Sparse, frozen=True, tag="signIn", tag_field="op"):
    """Needed before `subscribe` to a trader channel, unless the header `Authorization` was sent on connecting."""

    token: str
    """of a session, or the secret of an API key"""
    id: str | int | None = None


class Subscribe(Sparse, frozen=True, tag="subscribe", tag_field="op"):
    channels: list[str]
    id: str | int | None = None
    """repeated in the answer"""
    after: int | None = None
    """depth and trader channels only: the `seq` of the last message received, to have sent again what followed"""


class Unsubscribe(Sparse, frozen=True, tag="unsubscribe", tag_field="op"):
    channels: list[str]
    id: str | int | None = None


class Ping(Sparse, frozen=True, tag="ping", tag_field="op"):
    id: str | int | None = None


class Place(Sparse, frozen=True, tag="place", tag_field="op"):
    """Place an order, or replace one by a higher sequence under its nonce key."""

    order: OrderBody
    """as in `POST /v1/orders`"""
    id: str | int | None = None


class PlaceArray(Sparse, frozen=True, tag="placeArray", tag_field="op"):
    """Place orders that are signed together."""

    array: ArrayBody
    """as in `POST /v1/orders/array`"""
    id: str | int | None = None


class Replace(Sparse, frozen=True, tag="replace", tag_field="op"):
    """Replace an open order by one under the same nonce key; if it has ended, nothing is placed. Answered `placed`."""

    order_id: str
    order: OrderBody
    id: str | int | None = None


class CancelAll(Sparse, frozen=True, tag="cancelAll", tag_field="op"):
    """Cancel open orders without a signature; the socket has signed in with the scope `cancel`."""

    market: str | None = None
    side: str | None = None
    id: str | int | None = None


class CancelAfterOperation(Sparse, frozen=True, tag="cancelAfter", tag_field="op"):
    """As `PUT /v1/cancel-after`."""

    seconds: int
    id: str | int | None = None


class CancelOnDisconnect(Sparse, frozen=True, tag="cancelOnDisconnect", tag_field="op"):
    """Cancel all orders of the account when this socket is gone, for whatever reason."""

    enabled: bool
    id: str | int | None = None


class Cancel(Sparse, frozen=True, tag="cancel", tag_field="op"):
    order_id: str
    account: str
    signature: str
    """of the same typed data as for `DELETE /v1/orders/{id}`"""
    id: str | int | None = None

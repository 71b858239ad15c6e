"""Messages over WebSocket.

`seq` is the exchange's event sequence, `prevSeq` that of the message before on the channel. A message applies if
`prevSeq <= have < seq`, where `have` is the `seq` of the last message applied; `seq <= have` is a repetition, and
`prevSeq > have` means that messages are missing.
"""

from __future__ import annotations

from offchain.api.schemas.actions import ActionChange
from offchain.api.schemas.base import Base, Sparse
from offchain.api.schemas.derivatives import FundingState
from offchain.api.schemas.http import (
    ArrayBody,
    Balance,
    BatchEntry,
    CanceledOrder,
    Delegate,
    Deposit,
    Fill,
    Level,
    OrderBody,
    PlacedOrder,
    PublicTrade,
    TriggerInfo,
    Withdrawal,
)
from offchain.api.schemas.positions import Position, PositionChange


class Depth(Base, frozen=True):
    """Levels of a book: all of them in a snapshot, the changed ones in an update (size "0": gone)."""

    bids: list[Level]
    asks: list[Level]
    checksum: int
    """of the book after applying the message"""


class DepthSnapshot(Sparse, frozen=True, tag="snapshot", tag_field="type"):
    channel: str
    seq: int
    time: int
    data: Depth
    resync: bool = False
    """messages were lost; forget what came before"""


class DepthUpdate(Base, frozen=True, tag="update", tag_field="type"):
    channel: str
    seq: int
    prev_seq: int
    time: int
    data: Depth


class TradeMessage(Base, frozen=True, tag="trade", tag_field="type"):
    channel: str
    seq: int
    prev_seq: int
    data: list[PublicTrade]


class BustedTrade(Base, frozen=True):
    trade_id: str
    reason: str


class BustMessage(Base, frozen=True, tag="bust", tag_field="type"):
    """A trade was dropped: it will not settle and is as if it had not happened."""

    channel: str
    seq: int
    prev_seq: int
    data: BustedTrade


class ResyncMessage(Base, frozen=True, tag="resync", tag_field="type"):
    """Messages of a trade channel were lost; GET /v1/trades has them."""

    channel: str
    seq: int


class MarkPrice(Base, frozen=True):
    """What a market is worth, see Mark in the manual. Null where nobody knows."""

    mark_price: str | None
    index_price: str | None
    """of a derivative, an option's too: of its base asset"""


class MarkPriceMessage(Base, frozen=True, tag="markPrice", tag_field="type"):
    """Whole: the newest one is all that one needs."""

    channel: str
    seq: int
    prev_seq: int
    time: int
    data: MarkPrice


class FundingRate(FundingState, frozen=True):
    """How the present hour of a perpetual stands."""


class FundingRateMessage(Base, frozen=True, tag="fundingRate", tag_field="type"):
    """Whole: the newest one is all that one needs."""

    channel: str
    seq: int
    prev_seq: int
    time: int
    data: FundingRate


class TraderState(Base, frozen=True):
    orders: list[OpenOrder]
    balances: list[Balance]
    positions: list[Position]


class OpenOrder(Base, frozen=True):
    order_id: str
    market: str
    side: str
    price: str
    quantity: str
    filled: str
    remaining: str
    status: str
    nonce: str
    client_order_id: str | None
    trigger: TriggerInfo | None
    """what it waits for, in no book; null: it works"""


class TraderSnapshot(Sparse, frozen=True, tag="snapshot", tag_field="type"):
    channel: str
    seq: int
    data: TraderState
    resync: bool = False


class OrderChange(Base, frozen=True):
    order_id: str
    market: str
    side: str
    price: str
    quantity: str
    filled: str
    remaining: str
    status: str
    code: str


class BatchChange(Base, frozen=True):
    """The fills whose item lies in the range are in this state now."""

    batch: int
    state: str
    first_item: int
    last_item: int
    tx_hash: str | None


class OrderMessage(Base, frozen=True, tag="orderUpdate", tag_field="type"):
    channel: str
    seq: int
    prev_seq: int
    data: OrderChange


class TriggeredOrder(Base, frozen=True):
    order_id: str
    market: str
    price: str
    """that has reached its trigger"""


class TriggerMessage(Base, frozen=True, tag="orderTriggered", tag_field="type"):
    """An order that has waited works from now on; what becomes of it follows."""

    channel: str
    seq: int
    prev_seq: int
    data: TriggeredOrder


class CancelAfterChange(Base, frozen=True):
    cancels_at: int | None
    """when all orders of the account are canceled; null: not, or they have been"""


class CancelAfterMessage(Base, frozen=True, tag="cancelAfterUpdate", tag_field="type"):
    channel: str
    seq: int
    prev_seq: int
    data: CancelAfterChange


class FillMessage(Base, frozen=True, tag="fillUpdate", tag_field="type"):
    channel: str
    seq: int
    prev_seq: int
    data: Fill


class FillBustMessage(Base, frozen=True, tag="fillBusted", tag_field="type"):
    channel: str
    seq: int
    prev_seq: int
    data: BustedTrade


class BalanceMessage(Base, frozen=True, tag="balanceUpdate", tag_field="type"):
    channel: str
    seq: int
    prev_seq: int
    data: Balance


class PositionMessage(Base, frozen=True, tag="positionUpdate", tag_field="type"):
    channel: str
    seq: int
    prev_seq: int
    data: PositionChange


class DepositMessage(Base, frozen=True, tag="depositUpdate", tag_field="type"):
    channel: str
    seq: int
    prev_seq: int
    data: Deposit


class WithdrawalMessage(Base, frozen=True, tag="withdrawalUpdate", tag_field="type"):
    channel: str
    seq: int
    prev_seq: int
    data: Withdrawal


class AccountChange(Base, frozen=True):
    epoch: int
    epoch_bump_pending: bool


class AccountMessage(Base, frozen=True, tag="accountUpdate", tag_field="type"):
    channel: str
    seq: int
    prev_seq: int
    data: AccountChange


class DelegateMessage(Base, frozen=True, tag="delegateUpdate", tag_field="type"):
    channel: str
    seq: int
    prev_seq: int
    data: Delegate


class ActionMessage(Base, frozen=True, tag="actionUpdate", tag_field="type"):
    channel: str
    seq: int
    prev_seq: int
    data: ActionChange


class ApiKeyChange(Base, frozen=True):
    id: str
    label: str
    scopes: list[str]
    expiry: int | None
    """Unix seconds"""
    status: str


class ApiKeyMessage(Base, frozen=True, tag="apiKeyUpdate", tag_field="type"):
    channel: str
    seq: int
    prev_seq: int
    data: ApiKeyChange


class SettlementMessage(Base, frozen=True, tag="settlementUpdate", tag_field="type"):
    channel: str
    seq: int
    prev_seq: int
    data: BatchChange


class ResumedMessage(Base, frozen=True, tag="resumed", tag_field="type"):
    """Everything up to `seq` has been sent again; live messages follow."""

    channel: str
    seq: int


DepthMessage = DepthSnapshot | DepthUpdate | ResumedMessage
TradesMessage = TradeMessage | BustMessage | ResyncMessage
PriceMessage = MarkPriceMessage | FundingRateMessage
TraderUpdate = (
    OrderMessage
    | FillMessage
    | FillBustMessage
    | TriggerMessage
    | CancelAfterMessage
    | BalanceMessage
    | PositionMessage
    | DepositMessage
    | WithdrawalMessage
    | AccountMessage
    | DelegateMessage
    | ActionMessage
    | ApiKeyMessage
    | SettlementMessage
)
TraderMessage = TraderSnapshot | ResumedMessage | TraderUpdate


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

"""Messages over WebSocket.

`seq` is the exchange's event sequence, `prevSeq` that of the message before on the channel. A message applies if
`prevSeq <= have < seq`, where `have` is the `seq` of the last message applied; `seq <= have` is a repetition, and
`prevSeq > have` means that messages are missing.
"""

from __future__ import annotations

from offchain.api.schemas.actions import ActionChange
from offchain.api.schemas.base import Base, Sparse
from offchain.api.schemas.derivatives import FundingState
from offchain.api.schemas.http import Balance, Delegate, Deposit, Fill, Level, PublicTrade, TriggerInfo, Withdrawal
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
    client_order_id: str | None
    waiting: bool
    """for its trigger, in no book; `orderTriggered` ends that"""


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

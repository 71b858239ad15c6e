"""Events as messages of a trader's private channel."""

from __future__ import annotations

import msgspec

from offchain.api.actions import change_of
from offchain.api.present import SETTLEMENT_OF_BATCH, Presenter, hex_of, hex_or_none, side_name
from offchain.api.schemas import stream
from offchain.catalogue import Catalogue
from offchain.domain.actions import OPERATOR
from offchain.domain.events import (
    AccountUpdate,
    ActionUpdate,
    ApiKeyUpdate,
    BalanceUpdate,
    BatchUpdate,
    DeadlineUpdate,
    DelegateUpdate,
    DepositUpdate,
    Event,
    OrderTriggered,
    OrderUpdate,
    PositionUpdate,
    Trade,
    TradeBusted,
    WithdrawalUpdate,
)
from offchain.domain.order import Address

_ENCODER = msgspec.json.Encoder()


def channel_of(account: Address) -> str:
    return f"trader.{hex_of(account)}"


def accounts_of(event: Event) -> tuple[Address, ...]:
    """Whom an event concerns by itself. A `BatchUpdate` names nobody: it goes to every trader's channel."""
    match event:
        case OrderUpdate() | BalanceUpdate() | PositionUpdate() | DepositUpdate() | WithdrawalUpdate():
            return (event.account,)
        case AccountUpdate() | DelegateUpdate() | ApiKeyUpdate() | OrderTriggered() | DeadlineUpdate():
            return (event.account,)
        case ActionUpdate():
            return (event.account,) if event.account != OPERATOR else ()
        case Trade() | TradeBusted():
            return (event.maker, event.taker)
    return ()


class TraderMessages:
    """Encodes events for one account at a time."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._present = Presenter(catalogue)

    def encode(self, account: Address, channel: str, event: Event, seq: int, prev_seq: int) -> bytes | None:
        """The message for `account`, whose channel that is; None for an event that a trader does not see."""
        message = self._message(account, channel, event, seq, prev_seq)
        return None if message is None else _ENCODER.encode(message)

    def _message(
        self, account: Address, channel: str, event: Event, seq: int, prev_seq: int
    ) -> stream.TraderUpdate | None:
        match event:
            case OrderUpdate():
                return stream.OrderMessage(channel=channel, seq=seq, prev_seq=prev_seq, data=self._order(event))
            case Trade():
                fill = self._present.fill(account, event)
                return stream.FillMessage(channel=channel, seq=seq, prev_seq=prev_seq, data=fill)
            case TradeBusted():
                busted = stream.BustedTrade(trade_id=hex_of(event.id), reason=event.reason)
                return stream.FillBustMessage(channel=channel, seq=seq, prev_seq=prev_seq, data=busted)
            case BalanceUpdate():
                balance = self._present.balance(event)
                return stream.BalanceMessage(channel=channel, seq=seq, prev_seq=prev_seq, data=balance)
            case PositionUpdate():
                position = self._present.position_change(event)
                return stream.PositionMessage(channel=channel, seq=seq, prev_seq=prev_seq, data=position)
            case DepositUpdate():
                deposit = self._present.deposit(event)
                return stream.DepositMessage(channel=channel, seq=seq, prev_seq=prev_seq, data=deposit)
            case WithdrawalUpdate():
                withdrawal = self._present.withdrawal(event)
                return stream.WithdrawalMessage(channel=channel, seq=seq, prev_seq=prev_seq, data=withdrawal)
            case AccountUpdate():
                change = stream.AccountChange(epoch=event.epoch, epoch_bump_pending=event.is_bumping)
                return stream.AccountMessage(channel=channel, seq=seq, prev_seq=prev_seq, data=change)
            case DelegateUpdate():
                delegate = self._present.delegate(event)
                return stream.DelegateMessage(channel=channel, seq=seq, prev_seq=prev_seq, data=delegate)
            case ActionUpdate():
                return stream.ActionMessage(channel=channel, seq=seq, prev_seq=prev_seq, data=change_of(event))
            case ApiKeyUpdate():
                key = stream.ApiKeyChange(
                    id=event.id,
                    label=event.label,
                    scopes=event.scopes,
                    expiry=event.expiry or None,
                    status=event.status,
                )
                return stream.ApiKeyMessage(channel=channel, seq=seq, prev_seq=prev_seq, data=key)
            case OrderTriggered():
                return stream.TriggerMessage(channel=channel, seq=seq, prev_seq=prev_seq, data=self._triggered(event))
            case DeadlineUpdate():
                deadline = stream.CancelAfterChange(cancels_at=event.at_ms or None)
                return stream.CancelAfterMessage(channel=channel, seq=seq, prev_seq=prev_seq, data=deadline)
            case BatchUpdate():
                return stream.SettlementMessage(channel=channel, seq=seq, prev_seq=prev_seq, data=_batch(event))
        return None

    def _triggered(self, event: OrderTriggered) -> stream.TriggeredOrder:
        market = self._catalogue.market(event.market)
        price = self._present.price(market, event.price)
        return stream.TriggeredOrder(order_id=hex_of(event.order_hash), market=market.symbol, price=price)

    def _order(self, event: OrderUpdate) -> stream.OrderChange:
        market = self._catalogue.market(event.market)
        return stream.OrderChange(
            order_id=hex_of(event.order_hash),
            market=market.symbol,
            side=side_name(event.side),
            price=self._present.price(market, event.price),
            quantity=self._present.quantity(market, event.quantity),
            filled=self._present.quantity(market, event.filled),
            remaining=self._present.quantity(market, event.quantity - event.filled),
            status=event.status.value,
            code=event.code,
            client_order_id=event.client_order_id,
            waiting=event.is_waiting,
        )


def _batch(event: BatchUpdate) -> stream.BatchChange:
    return stream.BatchChange(
        batch=event.number,
        state=SETTLEMENT_OF_BATCH[event.status],
        first_item=event.first,
        last_item=event.last,
        tx_hash=hex_or_none(event.tx_hash),
    )

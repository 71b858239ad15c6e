"""The core: the only code that changes state, one command at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from offchain.domain import (
    administration,
    apikeys,
    batches,
    bust,
    chain,
    control,
    duties,
    ending,
    guards,
    prices,
    relay,
    rollback,
    snapshot,
    trading,
)
from offchain.domain.account import LiveOrder
from offchain.domain.actions import DueAction
from offchain.domain.commands import (
    ActionEnded,
    ActionSent,
    Administer,
    BatchClosed,
    BatchParked,
    BatchRetry,
    BatchSent,
    Bust,
    CancelOrder,
    CancelOrders,
    ChainBlock,
    ChainRollback,
    Command,
    Configure,
    ConnectionLost,
    CreateApiKey,
    PlaceArray,
    PlaceOrder,
    Price,
    RequestAction,
    RevokeApiKey,
    SetDeadline,
    SetStatus,
    Tick,
    WatchConnection,
)
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import (
    AccountUpdate,
    ApiKeyUpdate,
    BalanceUpdate,
    CommandRefused,
    DelegateUpdate,
    Event,
    ExchangeUpdate,
)
from offchain.domain.fees import FeeSchedule
from offchain.domain.mark import Quote, quote
from offchain.domain.market import Asset, Market
from offchain.domain.oracle import OraclePrice
from offchain.domain.order import Address, OrderStatus
from offchain.domain.positionview import PositionView, view_position
from offchain.domain.results import ArrayResult, PlaceResult, Result
from offchain.domain.state import MarketState, State, Turn
from offchain.domain.triggers import next_ready

_HANDLERS: dict[type, Callable[[State, Turn, Any], Result]] = {
    PlaceOrder: trading.place,
    PlaceArray: trading.place_array,
    CancelOrder: ending.cancel,
    RequestAction: relay.request,
    ActionSent: relay.sent,
    ActionEnded: relay.end,
    CancelOrders: ending.cancel_many,
    SetDeadline: guards.set_deadline,
    WatchConnection: guards.watch,
    ConnectionLost: guards.lose_connection,
    ChainBlock: chain.apply_block,
    ChainRollback: rollback.roll_back,
    Price: prices.set_price,
    BatchClosed: batches.close,
    BatchSent: batches.sent,
    BatchParked: batches.park,
    BatchRetry: batches.retry,
    Bust: bust.bust,
    Configure: control.configure,
    SetStatus: control.set_status,
    Administer: administration.administer,
    Tick: ending.tick,
    CreateApiKey: apikeys.create,
    RevokeApiKey: apikeys.revoke,
}

_NOT_CONFIGURED = Rejection(Code.NOT_CONFIGURED, "", "the exchange is not configured yet")


def _unconfigured(command: PlaceOrder) -> PlaceResult:
    status, quantity = OrderStatus.REJECTED, command.order.quantity
    return PlaceResult(command.order_hash, status, quantity, 0, (), _NOT_CONFIGURED)


class MarketView(msgspec.Struct, frozen=True):
    """Whether a market trades."""

    status: int
    """on chain, as in `MarketStatus`"""
    status_at: int
    halted: bool
    reason: str
    quantity_limit: int | None = None
    """lots per order that the operator allows; None: what the registry does"""
    opening_margin_bps: int | None = None
    """what the operator asks of a position that grows; None: what the registry does"""


class Status(msgspec.Struct, frozen=True):
    """How settlement and the view of the chain stand. Numbers are 0, times None, where there is nothing."""

    unsettled_fills: int
    pending_releases: int
    oldest_fill_ms: int | None
    """when the oldest unsettled fill was matched"""
    oldest_item: int
    """number of the oldest unsettled fill"""
    batch: int
    """number of the batch that is closed and not on chain"""
    batch_status: str
    batch_reason: str
    last_batch: int
    last_matched_at: int
    head_number: int
    """-1 before the first block"""
    head_hash: bytes
    head_seen_ms: int
    confirmed: int
    diverged: str
    parked_item: int | None
    """the item for which the batch was parked, where it is known"""
    halt: str | None = None
    """why the operator has halted all markets, None if it has not"""

    @property
    def parked_batch(self) -> int:
        return self.batch if self.batch_status == "parked" else 0


class _Metadata(Mapping[int, Market]):
    """The markets' metadata, seen through their states."""

    __slots__ = ("_venues",)

    def __init__(self, venues: Mapping[int, MarketState]) -> None:
        self._venues = venues

    def __getitem__(self, market: int) -> Market:
        return self._venues[market].market

    def __iter__(self) -> Iterator[int]:
        return iter(self._venues)

    def __len__(self) -> int:
        return len(self._venues)


class Core:
    """The exchange. Not safe to share between threads."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = State()

    def execute(self, command: Command, now_ms: int) -> tuple[Result, list[Event]]:
        """Execute `command` at `now_ms` (Unix milliseconds, never earlier than before) and tell what happened.

        Bad input is answered with a `Rejection`, or a `PlaceResult` that carries one, and changes nothing but what the
        rules of nonces say.
        """
        turn = Turn(now_ms)
        if self._state.configuration is None and type(command) is not Configure:
            return self._refuse_unconfigured(command, turn)
        duties.advance(self._state, turn)
        result = _HANDLERS[type(command)](self._state, turn, command)
        if turn.positions:
            ending.trim(self._state, turn)
        if turn.prints is not None or self._state.ready:
            trading.run_triggers(self._state, turn)
        for position in turn.positions:
            self._state.markets[position.market].count(position)
        if type(result) is Rejection:
            turn.events.append(CommandRefused(result))
        return result, turn.finish()

    def _refuse_unconfigured(self, command: Command, turn: Turn) -> tuple[Result, list[Event]]:
        turn.events.append(CommandRefused(_NOT_CONFIGURED))
        if isinstance(command, PlaceOrder):
            return _unconfigured(command), turn.events
        if isinstance(command, PlaceArray):
            return ArrayResult([_unconfigured(one) for one in command.orders]), turn.events
        return _NOT_CONFIGURED, turn.events

    # -----------------------------------------------------------------------------------------------------------------
    # Snapshots
    # -----------------------------------------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """The whole state. Equal states give equal bytes."""
        return snapshot.encode(self._state)

    @classmethod
    def restore(cls, data: bytes) -> Core:
        """A core that continues exactly like the one that took the snapshot. Raises `SnapshotError`."""
        core = cls()
        core._state = snapshot.decode(data)
        return core

    # -----------------------------------------------------------------------------------------------------------------
    # Reading. Nothing returned may be changed.
    # -----------------------------------------------------------------------------------------------------------------

    @property
    def configuration(self) -> Configure | None:
        return self._state.configuration

    @property
    def fee_bps(self) -> int:
        """Of what is matched now."""
        return self._state.fee_bps

    @property
    def fees(self) -> FeeSchedule:
        return self._state.fees

    @property
    def assets(self) -> dict[int, Asset]:
        return self._state.assets

    @property
    def markets(self) -> Mapping[int, Market]:
        """Metadata by market id."""
        return _Metadata(self._state.markets)

    @property
    def prices(self) -> Mapping[Address, OraclePrice]:
        """The newest round of each oracle, usable or not."""
        return self._state.prices

    @property
    def next_due_ms(self) -> int | None:
        """When time alone changes something, so that a Tick is due; None if nothing is known.

        An order expires, a delegate's or an API key's time ends, the fee changes, an account's deadline passes.
        """
        times = [self._state.timed[0][0] * 1000] if self._state.timed else []
        due = duties.next_due(self._state)
        if due is not None:
            times.append(due)
        return min(times, default=None)

    def is_due(self, now_ms: int) -> bool:
        """Whether a Tick would change something: time has come, or orders that prices have woken up are left over."""
        due = self.next_due_ms
        return (due is not None and due <= now_ms) or next_ready(self._state, now_ms) is not None

    @property
    def watched_connections(self) -> list[bytes]:
        """Connections whose loss ends orders."""
        return list(self._state.watched)

    def market_state(self, market: int) -> MarketView:
        """Raises KeyError for an unknown market."""
        venue = self._state.markets[market]
        reason = self._state.halt_reason(market)
        limits = (venue.quantity_limit, venue.opening_margin_bps)
        return MarketView(venue.status, venue.status_at, reason is not None, reason or "", *limits)

    def exchange_update(self) -> ExchangeUpdate | None:
        """What holds for all markets; None before Configure."""
        return self._state.exchange_update() if self._state.configuration is not None else None

    def quote(self, market: int, now_ms: int) -> Quote:
        """What a market is worth at a time. Raises KeyError for an unknown market."""
        return quote(self._state, self._state.markets[market], now_ms)

    def depth(self, market: int, side: int, limit: int) -> list[tuple[int, int]]:
        """The best `limit` levels as (micro-USDC per lot, lots). Raises KeyError for an unknown market."""
        return self._state.markets[market].book.side(side).depth(limit)

    def balances(self, account: Address) -> list[BalanceUpdate]:
        """By asset; empty for an unknown account."""
        known = self._state.accounts.get(account)
        return [known.balances[asset].update() for asset in sorted(known.balances)] if known is not None else []

    def positions(self, account: Address, now_ms: int) -> list[PositionView]:
        """By market: those that are open, here or on chain, or were and have brought something."""
        known = [(venue, venue.positions.get(account)) for venue in self._state.markets.values()]
        return [
            view_position(self._state, venue, position, now_ms)
            for venue, position in known
            if position is not None and position.is_known
        ]

    def accounts(self) -> Iterable[Address]:
        """Every account that ever had a balance or an order."""
        return self._state.accounts.keys()

    def account_update(self, account: Address) -> AccountUpdate:
        """The epoch that the account's orders sign, and whether they are taken."""
        known = self._state.accounts.get(account)
        return AccountUpdate(account, known.epoch, known.is_bumping) if known else AccountUpdate(account, 0, False)

    def has_funds(self, account: Address) -> bool:
        """Whether the account has a balance or a position."""
        return relay.has_funds(self._state, account)

    def action_nonces(self, account: Address) -> tuple[int, int]:
        """What the account's next signed withdrawal request, and its next signed delegate, carry."""
        known = self._state.accounts.get(account)
        return relay.next_nonces(self._state, known) if known is not None else (0, 0)

    def due_actions(self) -> list[DueAction]:
        """Transactions that are to be sent for others and have not ended, the oldest request first."""
        return relay.due(self._state)

    def delegates(self, account: Address) -> list[DelegateUpdate]:
        """Who signs for the account."""
        known = self._state.accounts.get(account)
        delegations = known.delegations.items() if known is not None else ()
        return [DelegateUpdate(account, delegate, one.counted) for delegate, one in delegations if one.counted]

    def deadline_ms(self, account: Address) -> int:
        """When all orders of the account are canceled, Unix milliseconds; 0: not at all."""
        known = self._state.accounts.get(account)
        return known.deadline_ms if known is not None else 0

    def all_delegates(self) -> list[DelegateUpdate]:
        """Who signs for anybody."""
        return [DelegateUpdate(account, delegate, until) for until, account, delegate in self._state.delegations]

    def api_keys(self, account: Address) -> list[ApiKeyUpdate]:
        """The account's that are active, in order of their making."""
        known = self._state.accounts.get(account)
        return list(known.api_keys.values()) if known is not None else []

    def all_api_keys(self) -> list[ApiKeyUpdate]:
        """Everybody's that are active."""
        return [key for account in self._state.accounts.values() for key in account.api_keys.values()]

    def open_orders(self, account: Address, market: int | None = None) -> list[LiveOrder]:
        """In order of entry."""
        known = self._state.accounts.get(account)
        if known is None:
            return []
        return [live for live in known.orders.values() if market is None or live.order.market == market]

    def status(self) -> Status:
        outbox, view = self._state.outbox, self._state.chain
        oldest, batch = outbox.oldest_fill(), outbox.batch
        return Status(
            unsettled_fills=len(outbox.fills),
            pending_releases=len(outbox.releases),
            oldest_fill_ms=oldest.trade.time_ms if oldest is not None else None,
            oldest_item=oldest.item if oldest is not None else 0,
            batch=batch.number if batch is not None else 0,
            batch_status=batch.status if batch is not None else "",
            batch_reason=batch.reason if batch is not None else "",
            last_batch=outbox.last_batch,
            last_matched_at=outbox.last_matched_at,
            head_number=view.head_number,
            head_hash=view.head_hash,
            head_seen_ms=view.head_seen_ms,
            confirmed=view.confirmed,
            diverged=self._state.diverged,
            parked_item=next((halt.item for halt in outbox.halts.values()), None),
            halt=self._state.exchange_halt,
        )

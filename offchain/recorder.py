"""The order flow of an exchange, read from its journal: who placed and canceled what, when, in the order of execution.

Also what was refused is part of it, unless intake refused it: that never reaches the journal. Accounts become names, in
the order in which they appear; nonces, epochs and signatures are left out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from offchain.domain.commands import CancelOrder, CancelOrders, Command, PlaceArray, PlaceOrder, SetDeadline
from offchain.domain.events import Configured, Event, FeeUpdate, MarketUpdate, OrderUpdate
from offchain.domain.market import USDC_DECIMALS, Market
from offchain.domain.order import NO_EXPIRY, Address, OrderHash, OrderStatus, Side, TimeInForce
from offchain.domain.units import format_units
from offchain.flow.file import FlowFull, FlowWriter
from offchain.flow.schema import (
    FORMAT,
    LONGEST_DEADLINE_SECONDS,
    VERSION,
    Cancel,
    CancelAfter,
    CancelAll,
    Header,
    ListedMarket,
    Operation,
    Place,
    Reference,
    Replace,
    Terms,
)
from offchain.flow.schema import PlaceArray as ArrayLine
from offchain.ports import Journal, Record

MAX_REMEMBERED = 1_000_000
"""Orders to which later lines can refer; the oldest are forgotten first."""

_LIVE = (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)


class NothingToRecord(ValueError):
    """The journal has no operation of the kind that was asked for."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which part of the journal to record."""

    after: int = 0
    """the event sequence after which it begins"""
    market: str | None = None
    """only this symbol; None: all"""


@dataclass(slots=True)
class Recorded:
    """What became a file."""

    operations: int = 0
    traders: int = 0
    markets: list[str] = field(default_factory=list)
    last: int = 0
    """event sequence up to which the journal was read"""
    left_out: int = 0
    """cancels of orders that are not in the file"""
    detached: int = 0
    """orders that replaced one that is not in the file; they are placed as new ones"""
    is_full: bool = False
    """the file has reached its bounds; later operations are not in it"""


async def record(journal: Journal, choice: Choice, path: Path) -> Recorded:
    """Write the flow to a new file. Raises NothingToRecord, OSError, JournalCorrupt.

    The journal is read twice, as the first line names all markets; what is appended meanwhile is not part of it.
    """
    survey = Recorder(choice)
    async for each in journal.read(0):
        for _ in survey.operations(each):
            survey.count()
    if survey.started_ms is None:
        raise NothingToRecord("the journal has no such order, cancel or deadline")
    recorder = Recorder(choice)
    writer = FlowWriter(path, survey.header())
    try:
        async for each in journal.read(0):
            if each.first > survey.found.last:
                break
            for operation in recorder.operations(each):
                writer.append(operation)
                recorder.count()
    except FlowFull:
        recorder.found.is_full = True
    except BaseException:
        writer.discard()
        raise
    writer.close()
    recorder.found.markets = survey.found.markets
    return recorder.found


class Recorder:
    """Makes operations of records, given in order from the journal's first."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._markets: dict[int, Market] = {}
        self._fee_bps = 0
        self._names: dict[Address, str] = {}
        self._used: dict[int, None] = {}
        self._places: OrderedDict[OrderHash, Reference] = OrderedDict()
        """where in the file an order is"""
        self._executed: OrderedDict[OrderHash, None] = OrderedDict()
        """orders that the core has decided on: the same bytes again are not another order"""
        self._working: dict[tuple[Address, int], OrderHash] = {}
        """the open order of each nonce key"""
        self._keys: dict[OrderHash, tuple[Address, int]] = {}
        """the same the other way round"""
        self.started_ms: int | None = None
        self._time_ms = 0
        self.found = Recorded()

    def header(self) -> Header:
        """Of all that was recorded; there is something."""
        assert self.started_ms is not None, "nothing was recorded"
        markets = [self._markets[market] for market in sorted(self._used)]
        self.found.markets = [market.symbol for market in markets]
        listed = [ListedMarket(market.symbol, *_steps(market)) for market in markets]
        return Header(FORMAT, VERSION, self.started_ms, listed)

    def operations(self, each: Record) -> Iterator[Operation]:
        """What traders did in a record. `count` each one before the next is asked for, once it is in the file."""
        for command, events in zip(each.commands, each.events, strict=True):
            # What opens and ends is noted afterwards: an order replaces what was open before it.
            operation = self._operation(command, each) if each.last > self._choice.after else None
            self._observe(command, events)
            if operation is not None:
                yield operation
        self.found.last = each.last

    def count(self) -> None:
        """The operation that was given last is in the file."""
        self.found.operations += 1

    @property
    def _line(self) -> int:
        """of the next operation"""
        return self.found.operations + 2

    # -----------------------------------------------------------------------------------------------------------------
    # Commands
    # -----------------------------------------------------------------------------------------------------------------

    def _operation(self, command: Command, each: Record) -> Operation | None:
        match command:
            case PlaceOrder() | PlaceArray():
                return self._placed(_orders(command))
            case CancelOrder():
                place = self._places.get(command.order_hash)
                if place is None:
                    self.found.left_out += 1
                    return None
                return Cancel(**self._of(command.account, command.received_ms), cancels=place)
            case CancelOrders():
                market = None if command.market is None else self._markets[command.market].symbol
                if not self._is_chosen(market):
                    return None
                if command.market is not None:
                    self._used[command.market] = None
                side = None if command.side is None else _side(command.side)
                return CancelAll(**self._of(command.account, command.received_ms), market=market, side=side)
            case SetDeadline():
                # What is asked for is a number of seconds; the core hears of it a moment later.
                seconds = -(-(command.at_ms - each.time_ms) // 1000) if command.at_ms else 0
                seconds = max(1 if command.at_ms else 0, min(seconds, LONGEST_DEADLINE_SECONDS))
                return CancelAfter(**self._of(command.account, each.time_ms), seconds=seconds)
        return None

    def _placed(self, commands: Sequence[PlaceOrder]) -> Operation | None:
        """An order or an array, without what was sent again and what is of other markets."""
        fresh = [
            one
            for one in commands
            if one.order_hash not in self._executed
            and one.order.market in self._markets
            and self._is_chosen(self._markets[one.order.market].symbol)
        ]
        line = self._line
        if not fresh:
            return None
        terms = [self._terms(one) for one in fresh]
        for index, one in enumerate(fresh):
            self._used[one.order.market] = None
            self._remember(one.order_hash, Reference(line, index))
        head = self._of(fresh[0].order.account, fresh[0].received_ms)
        if len(terms) > 1:
            return ArrayLine(**head, orders=terms)
        return Replace(**head, order=terms[0]) if terms[0].replaces else Place(**head, order=terms[0])

    def _terms(self, command: PlaceOrder) -> Terms:
        order, market, trigger = command.order, self._markets[command.order.market], command.trigger
        replaced = command.replaces or self._working.get((order.account, order.key))
        place = self._places.get(replaced) if replaced is not None else None
        if replaced is not None and place is None:
            self.found.detached += 1
        is_timed = order.expiry != NO_EXPIRY
        return Terms(
            market=market.symbol,
            side=_side(order.side),
            type="market" if command.order_type == "market" else "limit",
            time_in_force=TimeInForce(order.time_in_force).name,  # type: ignore[arg-type]
            price=_price(order.price, market),
            quantity=_quantity(order.quantity, market),
            expires_in=max(0, order.expiry - command.received_ms // 1000) if is_timed else None,
            max_fee_bps=None if order.max_fee_bps == self._fee_bps else order.max_fee_bps,
            conversion_limit=format_units(order.conversion_limit, USDC_DECIMALS) if market.is_cross_quoted else None,
            reduce_only=order.reduce_only,
            post_only=command.post_only,
            self_trade_prevention=command.self_trade.value,
            client_order_id=command.client_order_id,
            trigger=None if trigger is None else trigger.kind.value,
            trigger_price=None if trigger is None else _price(trigger.price, market),
            trigger_by="last" if trigger is None else trigger.source.value,
            replaces=place,
            only_if_open=command.replaces is not None and place is not None,
            expect_filled=(
                None if command.expect_filled is None or place is None else _quantity(command.expect_filled, market)
            ),
        )

    def _is_chosen(self, symbol: str | None) -> bool:
        return self._choice.market is None or symbol is None or symbol == self._choice.market

    def _of(self, account: Address, time_ms: int) -> dict[str, Any]:
        """Time and trader of the next line."""
        if self.started_ms is None:
            self.started_ms = self._time_ms = time_ms
        self._time_ms = max(self._time_ms, time_ms)
        name = self._names.setdefault(account, f"trader-{len(self._names) + 1}")
        self.found.traders = len(self._names)
        return {"t": self._time_ms - self.started_ms, "trader": name}

    # -----------------------------------------------------------------------------------------------------------------
    # State
    # -----------------------------------------------------------------------------------------------------------------

    def _remember(self, order_hash: OrderHash, place: Reference) -> None:
        self._places[order_hash] = place
        if len(self._places) > MAX_REMEMBERED:
            self._places.popitem(last=False)

    def _observe(self, command: Command, events: Sequence[Event]) -> None:
        """Note markets, the fee, and which orders are open."""
        keys = {one.order_hash: (one.order.account, one.order.key) for one in _orders(command)}
        for event in events:
            match event:
                case MarketUpdate():
                    self._markets[event.market.id] = event.market
                case Configured() | FeeUpdate():
                    self._fee_bps = event.fee_bps
                case OrderUpdate():
                    self._follow(event, keys)

    def _follow(self, event: OrderUpdate, keys: Mapping[OrderHash, tuple[Address, int]]) -> None:
        if event.order_hash in keys:
            self._executed[event.order_hash] = None
            if len(self._executed) > MAX_REMEMBERED:
                self._executed.popitem(last=False)
        if event.status not in _LIVE:
            key = self._keys.pop(event.order_hash, None)
            if key is not None and self._working.get(key) == event.order_hash:
                del self._working[key]
        elif event.order_hash in keys:
            key = self._keys[event.order_hash] = keys[event.order_hash]
            self._working[key] = event.order_hash


def _orders(command: Command) -> Sequence[PlaceOrder]:
    if isinstance(command, PlaceOrder):
        return (command,)
    return command.orders if isinstance(command, PlaceArray) else ()


def _side(side: int) -> Literal["buy", "sell"]:
    return "buy" if side == Side.BUY else "sell"


def _price(price: int, market: Market) -> str:
    return format_units(market.price_per_unit(price), market.price_decimals)


def _quantity(lots: int, market: Market) -> str:
    return format_units(lots * market.lot_size, market.decimals)


def _steps(market: Market) -> tuple[str, str]:
    return format_units(market.tick_size, market.price_decimals), format_units(market.lot_size, market.decimals)

"""What makes a flow file a good one, line by line. Nothing is rounded: what is off its step is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from offchain.domain.market import USDC_DECIMALS
from offchain.domain.units import format_units, parse_units
from offchain.flow.schema import (
    VERSION,
    Cancel,
    CancelAll,
    Header,
    Operation,
    Reference,
    Replace,
    Terms,
    orders_of,
    place_of,
)

MAX_TRADERS = 1_000
MAX_LINES = 1_000_000

DECIMALS = 30
"""digits after the point that a decimal string may have; all are compared as units of 10^-30"""

MICRO = 10 ** (DECIMALS - USDC_DECIMALS)
"""a micro-USDC"""

HEADER = msgspec.json.Decoder(Header)
OPERATION: msgspec.json.Decoder[Operation] = msgspec.json.Decoder(Operation)

_PLACE = re.compile(r"(?P<reason>.*) - at `\$\.?(?P<place>.*)`", re.DOTALL)
_NAMED = re.compile(r"Object (?:missing required|contains unknown) field `(?P<name>[^`]*)`")


@dataclass(frozen=True)
class FlowError:
    """What is wrong with a line."""

    line: int
    field: str
    """"" where it is the line as a whole"""
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}{f', {self.field}' if self.field else ''}: {self.reason}"


@dataclass(frozen=True)
class Steps:
    """What prices and quantities of a market must fit, all in units of 10^-30."""

    tick: int
    lot: int
    max_price: int | None = None
    max_quantity: int | None = None
    needs_conversion_limit: bool | None = None
    """None: not known"""
    is_derivative: bool | None = None
    """None: not known"""


def units(text: str) -> int:
    """Raises ValueError, saying why, for what is no plain decimal number."""
    return parse_units(text, DECIMALS)


def plain(text: str) -> str:
    """The same number without trailing zeros. Raises ValueError."""
    return format_units(units(text), DECIMALS)


def explain(line: int, error: msgspec.DecodeError) -> FlowError:
    """A decoder's error with the field in front."""
    found = _PLACE.fullmatch(str(error))
    reason, place = (found["reason"], found["place"]) if found else (str(error), "")
    named = _NAMED.match(reason)
    if named:
        place = f"{place}.{named['name']}".lstrip(".")
        reason = "is missing" if "missing" in reason else "is not a field of this line"
    return FlowError(line, place, reason)


class Checker:
    """Takes the lines of a file in their order, and remembers what later ones may refer to."""

    def __init__(self, target: Mapping[str, Steps] | None = None) -> None:
        """`target`: the markets of the exchange on which the flow is to be replayed, by symbol; None: not compared."""
        self._target = target
        self._own: dict[str, Steps] = {}
        self._time = 0
        self._traders: dict[str, int] = {}
        self._placed: list[tuple[int | str, ...]] = []
        """by line from line 2: the trader's number and the market of each order; () where nothing is placed"""
        self._shared: dict[tuple[int | str, ...], tuple[int | str, ...]] = {}

    @property
    def traders(self) -> list[str]:
        """In the order in which they appear."""
        return list(self._traders)

    @property
    def operations(self) -> int:
        return len(self._placed)

    def header(self, header: Header) -> Iterator[FlowError]:
        """Check line 1."""
        if header.version != VERSION:
            yield FlowError(1, "version", f"is {header.version}; this program reads version {VERSION}")
        for index, market in enumerate(header.markets):
            place = f"markets[{index}]"
            if market.symbol in self._own:
                yield FlowError(1, f"{place}.symbol", f"{market.symbol} is listed twice")
            steps = {}
            for name, text in (("tickSize", market.tick_size), ("lotSize", market.lot_size)):
                steps[name] = 1
                try:
                    steps[name] = units(text)
                except ValueError as error:
                    yield FlowError(1, f"{place}.{name}", str(error))
                if not steps[name]:
                    yield FlowError(1, f"{place}.{name}", "must be above zero")
            self._own[market.symbol] = Steps(steps["tickSize"] or 1, steps["lotSize"] or 1)
            if self._target is not None and market.symbol not in self._target:
                yield FlowError(1, f"{place}.symbol", f"the exchange has no market {market.symbol}")

    def operation(self, operation: Operation) -> Iterator[FlowError]:
        """Check the next line. What it places can be referred to afterwards, also if something is wrong with it."""
        line = len(self._placed) + 2
        if operation.t < self._time:
            yield FlowError(line, "t", f"is {operation.t}, before the {self._time} of an earlier line")
        self._time = max(self._time, operation.t)
        trader = self._traders.setdefault(operation.trader, len(self._traders))
        if trader >= MAX_TRADERS:
            yield FlowError(line, "trader", f"a file has at most {MAX_TRADERS} traders")
        orders = orders_of(operation)
        for index, order in enumerate(orders):
            place = place_of(operation, index)
            for field, reason in self._order(order, trader):
                yield FlowError(line, f"{place}.{field}", reason)
        if isinstance(operation, Replace) and operation.order.replaces is None:
            yield FlowError(line, "order.replaces", "is missing")
        if isinstance(operation, Cancel):
            reason, _ = self._referred(operation.cancels, trader)
            if reason:
                yield FlowError(line, "cancels", reason)
        if isinstance(operation, CancelAll) and operation.market is not None and operation.market not in self._own:
            yield FlowError(line, "market", f"{operation.market} is not among the header's markets")
        self._remember((trader, *(order.market for order in orders)) if orders else ())

    def skip(self) -> int:
        """The next line cannot be read; its number."""
        self._remember(())
        return len(self._placed) + 1

    def _remember(self, placed: tuple[int | str, ...]) -> None:
        self._placed.append(self._shared.setdefault(placed, placed))

    def _referred(self, reference: Reference, trader: int) -> tuple[str, str]:
        """(what is wrong with it, the order's market)"""
        if reference.line >= len(self._placed) + 2:
            return f"line {reference.line} is not before this one", ""
        placed = self._placed[reference.line - 2]
        if len(placed) < 2:
            return f"line {reference.line} places no order", ""
        if reference.index >= len(placed) - 1:
            return f"line {reference.line} has no order {reference.index}", ""
        if placed[0] != trader:
            return f"line {reference.line} is another trader's", ""
        return "", str(placed[1 + reference.index])

    def _order(self, order: Terms, trader: int) -> Iterator[tuple[str, str]]:
        """(field, reason) of everything that is wrong."""
        yield from _contradictions(order)
        if order.replaces is not None:
            reason, market = self._referred(order.replaces, trader)
            if reason or market != order.market:
                yield "replaces", reason or f"that order is of {market}: a nonce key belongs to one market"
        own = self._own.get(order.market)
        if own is None:
            yield "market", f"{order.market} is not among the header's markets"
            return
        yield from _misfits(order, own, "")
        if self._target is not None and order.market in self._target:
            yield from _misfits(order, self._target[order.market], " of the exchange")


def _contradictions(order: Terms) -> Iterator[tuple[str, str]]:
    if order.type == "market" and order.time_in_force != "IOC":
        yield "timeInForce", "a market order is IOC"
    if order.time_in_force == "GTC" and order.expires_in is not None:
        yield "expiresIn", "a GTC order does not expire"
    if order.time_in_force != "GTC" and order.expires_in is None:
        yield "expiresIn", f"is missing; {order.time_in_force} needs it"
    if (order.trigger is None) != (order.trigger_price is None):
        yield ("triggerPrice", "is missing; a trigger needs it") if order.trigger else ("trigger", "is missing")
    if order.trigger is None and order.trigger_by != "last":
        yield "triggerBy", "needs a trigger"
    if order.replaces is None and order.only_if_open:
        yield "onlyIfOpen", "is for orders that replace one"
    if order.replaces is None and order.expect_filled is not None:
        yield "expectFilled", "is for orders that replace one"


def _misfits(order: Terms, steps: Steps, whose: str) -> Iterator[tuple[str, str]]:
    """What does not fit the market; numbers that cannot be read are told once, with the file's own steps."""
    for field, text, step, name, most, least in (
        ("price", order.price, steps.tick, "tick", steps.max_price, 1),
        ("triggerPrice", order.trigger_price, steps.tick, "tick", None, 1),
        ("quantity", order.quantity, steps.lot, "lot", steps.max_quantity, 1),
        ("expectFilled", order.expect_filled, steps.lot, "lot", None, 0),
    ):
        if text is None:
            continue
        try:
            value = units(text)
        except ValueError as error:
            if not whose:
                yield field, f"{text[:40]!r} {error}"
            continue
        if value < least:
            if not whose:
                yield field, "must be above zero"
        elif value % step:
            yield field, f"{text} is not a multiple of the {name}{whose} in {order.market}"
        elif most is not None and value > most:
            yield field, f"{text} is more than the most{whose} in {order.market}"
    yield from _limits(order, steps, whose)


def _limits(order: Terms, steps: Steps, whose: str) -> Iterator[tuple[str, str]]:
    if order.conversion_limit is not None and not whose:
        try:
            limit, rest = divmod(units(order.conversion_limit), MICRO)
        except ValueError as error:
            yield "conversionLimit", f"{order.conversion_limit[:40]!r} {error}"
        else:
            if rest or not 0 < limit < 2**64:
                highest = format_units(2**64 - 1, USDC_DECIMALS)
                yield "conversionLimit", f"must be above zero, at most {highest}, with at most {USDC_DECIMALS} decimals"
    if steps.needs_conversion_limit and order.conversion_limit is None:
        yield "conversionLimit", f"is missing; {order.market} is not quoted in USDC"
    if steps.needs_conversion_limit is False and order.conversion_limit is not None:
        yield "conversionLimit", f"{order.market} is quoted in USDC and has none"
    if steps.is_derivative is False and order.reduce_only:
        yield "reduceOnly", f"{order.market} is a spot market"

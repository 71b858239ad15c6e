"""Order flow for tests: files that are good, and what a file says apart from times."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st

from offchain.flow import (
    Cancel,
    CancelAfter,
    CancelAll,
    FlowFile,
    FlowWriter,
    Header,
    ListedMarket,
    Operation,
    Place,
    PlaceArray,
    Reference,
    Replace,
    Terms,
)
from offchain.flow.schema import orders_of
from offchain.ports import Record

STARTED_MS = 1_800_000_000_000
LISTED = {
    "BTC-USDC": ListedMarket("BTC-USDC", "0.1", "0.00001"),
    "ETH-USDC": ListedMarket("ETH-USDC", "0.01", "0.0001"),
}
HEADER = Header("crosspoint-flow", 1, STARTED_MS, list(LISTED.values()))


class Recording:
    """As much of a journal as a recorder reads."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    async def read(self, after: int) -> AsyncIterator[Record]:
        for record in self._records:
            if record.last > after:
                yield record


def terms(**changes: Any) -> Terms:
    """A buy of 0.5 BTC at 95,000.1 USDC, GTC."""
    fields: dict[str, Any] = {
        "market": "BTC-USDC",
        "side": "buy",
        "type": "limit",
        "time_in_force": "GTC",
        "price": "95000.1",
        "quantity": "0.5",
    }
    return Terms(**fields | changes)


def write(path: Path, operations: Sequence[Operation], header: Header = HEADER) -> Path:
    """A new file with these operations."""
    with FlowWriter(path, header) as writer:
        for operation in operations:
            writer.append(operation)
    return path


def timeless(path: Path) -> list[Any]:
    """What a file says, line by line, without times."""
    flow = FlowFile(path)
    lines: list[Any] = [flow.header.markets]
    for _, operation in flow:
        plain = msgspec.to_builtins(operation)
        for order in (plain.get("order"), *plain.get("orders", ())):
            if order is not None:
                order.pop("expiresIn", None)
        lines.append({name: value for name, value in plain.items() if name != "t"})
    return lines


# ---------------------------------------------------------------------------------------------------------------------
# Any good file
# ---------------------------------------------------------------------------------------------------------------------

_WAYS = ("place", "place", "place", "replace", "array", "cancel", "cancelAll", "cancelAfter")


@st.composite
def _terms(draw: st.DrawFn, replaces: Reference | None = None, market: str | None = None) -> Terms:
    market = market or draw(st.sampled_from(["BTC-USDC"] * 4 + ["ETH-USDC"]))
    tif = draw(st.sampled_from(["GTC"] * 5 + ["GTD", "IOC", "FOK"]))
    is_btc = market == "BTC-USDC"
    trigger = draw(st.sampled_from([None] * 8 + ["stop", "takeProfit"]))
    price = draw(st.integers(949_990, 950_010))
    return Terms(
        market=market,
        side=draw(st.sampled_from(["buy", "sell"])),
        type=draw(st.sampled_from(["limit", "market"])) if tif == "IOC" else "limit",
        time_in_force=tif,
        price=_number(price if is_btc else price * 10 // 32, 1 if is_btc else 2),
        quantity=_number(draw(st.integers(1, 90_000)), 5 if is_btc else 4),
        expires_in=None if tif == "GTC" else draw(st.integers(60, 3_600)),
        max_fee_bps=draw(st.sampled_from([None] * 5 + [60])),
        post_only=draw(st.sampled_from([False] * 5 + [True])),
        self_trade_prevention=draw(st.sampled_from(["expireMaker", "expireTaker", "expireBoth"])),
        client_order_id=draw(st.sampled_from([None] * 5 + ["one", "a.b-c_9"])),
        trigger=trigger,
        trigger_price=None if trigger is None else _number(price if is_btc else price * 10 // 32, 1 if is_btc else 2),
        replaces=replaces,
        # Whether an order replaces another without asking for that is decided when it comes: a recording tells then.
        only_if_open=replaces is not None,
        expect_filled=None if replaces is None else draw(st.sampled_from([None, None, "0"])),
    )


def _number(steps: int, decimals: int) -> str:
    text = str(steps).rjust(decimals + 1, "0")
    fraction = text[-decimals:].rstrip("0")
    return f"{text[:-decimals]}.{fraction}" if fraction else text[:-decimals]


@st.composite
def flows(draw: st.DrawFn) -> tuple[Header, list[Operation]]:
    """A file as a recorder writes it: traders are numbered as they come, the header has the markets that are named."""
    names: dict[int, str] = {}
    operations: list[Operation] = []
    placed: list[tuple[Reference, str, str]] = []
    """(where, trader, market)"""
    for way in draw(st.lists(st.sampled_from(_WAYS), min_size=1, max_size=25)):
        number = draw(st.integers(0, 2))
        trader = names.setdefault(number, f"trader-{len(names) + 1}")
        own = [(where, market) for where, whose, market in placed if whose == trader]
        head: dict[str, Any] = {"t": 0, "trader": trader}
        if way in ("replace", "cancel") and not own:
            way = "place"
        if way == "place":
            operations.append(Place(**head, order=draw(_terms())))
        elif way == "replace":
            where, market = draw(st.sampled_from(own))
            operations.append(Replace(**head, order=draw(_terms(where, market))))
        elif way == "array":
            operations.append(PlaceArray(**head, orders=draw(st.lists(_terms(), min_size=2, max_size=4))))
        elif way == "cancel":
            operations.append(Cancel(**head, cancels=draw(st.sampled_from(own))[0]))
        elif way == "cancelAll":
            market = draw(st.sampled_from([None, "BTC-USDC", "ETH-USDC"]))
            operations.append(CancelAll(**head, market=market, side=draw(st.sampled_from([None, "buy", "sell"]))))
        else:
            operations.append(CancelAfter(**head, seconds=draw(st.sampled_from([0, 1, 600]))))
        line = len(operations) + 1
        orders = orders_of(operations[-1])
        placed += [(Reference(line, index), trader, order.market) for index, order in enumerate(orders)]
    used = {order.market for operation in operations for order in orders_of(operation)}
    used |= {operation.market for operation in operations if isinstance(operation, CancelAll) and operation.market}
    markets = [market for symbol, market in LISTED.items() if symbol in used]
    return Header("crosspoint-flow", 1, STARTED_MS, markets), operations

"""What always holds, seen from outside: over HTTP, over WebSocket, and recomputed from what was signed."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from tests.stateful.api_listener import Knowledge
from tests.stateful.api_orders import FEE, LOTS_PER_BTC, PUT_COLLATERAL, USDC_UNIT, Desk, reservation, units
from tests.stateful.api_world import BOOKS, SECONDS, TRADERS, World
from tests.unit.api.derivatives import PERP, PUT
from tests.unit.api.exchange import BTC_UNIT

SCALE = {"USDC": USDC_UNIT, "BTC": BTC_UNIT}
ORDER_FIELDS = (
    "orderId",
    "clientOrderId",
    "market",
    "side",
    "price",
    "quantity",
    "filled",
    "remaining",
    "status",
    "code",
)
POSITION_FIELDS = ("market", "size", "settledSize", "entryPrice", "realisedPnl")
NEVER = {"size": "0", "settledSize": "0", "entryPrice": None, "realisedPnl": "0"}

Row = dict[str, Any]


def pick(row: Row, names: Iterable[str]) -> Row:
    return {name: row[name] for name in names}


def fingerprint(world: World) -> Any:
    """What a refusal must leave as it was, of all traders."""
    seen = []
    for name in TRADERS:
        knowledge = world.listeners[name].knowledge
        seen.append(
            (
                knowledge.open_orders(),
                dict(knowledge.balances),
                dict(knowledge.positions),
                len(knowledge.fills),
                knowledge.cancels_at,
                dict(knowledge.keys),
            )
        )
    return seen


# ---------------------------------------------------------------------------------------------------------------------
# After every step
# ---------------------------------------------------------------------------------------------------------------------


def check_accounts(world: World, desk: Desk, waiting: set[str]) -> dict[str, list[Row]]:
    """REST and the channel agree, and balances reserve what the open orders need; the open orders."""
    all_open = {}
    for name in TRADERS:
        knowledge = world.listeners[name].knowledge
        orders = world.look("/v1/orders?status=open,partiallyFilled&limit=500", name)["orders"]
        shown = {order["orderId"]: pick(order, ORDER_FIELDS) for order in orders}
        assert shown == knowledge.open_orders(), name
        balances = world.look("/v1/balances", name)["balances"]
        assert {row["asset"]: row for row in balances} == knowledge.balances, name
        positions = world.look("/v1/positions", name)["positions"]
        # One whose fills have all been busted never was, and is not listed.
        held = {market: row for market, row in knowledge.positions.items() if row != NEVER | {"market": market}}
        assert {row["market"]: pick(row, POSITION_FIELDS) for row in positions} == held, name
        assert world.look("/v1/account", name)["cancelsAt"] == knowledge.cancels_at
        _check_waiting(orders, waiting - knowledge.triggered)
        assert {order["orderId"] for order in orders if is_waiting(order)} == knowledge.waiting, name
        _check_balances(desk, orders, balances)
        _check_reducing(orders, positions)
        all_open[name] = orders
    return all_open


def _check_waiting(orders: list[Row], waiting: set[str]) -> None:
    for order in orders:
        trigger = order["trigger"]
        waits = trigger is not None and trigger["triggeredAt"] is None
        assert waits == (order["orderId"] in waiting), order
        assert not waits or order["filled"] == "0"


def is_waiting(order: Row) -> bool:
    return order["trigger"] is not None and order["trigger"]["triggeredAt"] is None


def _check_reducing(orders: list[Row], positions: list[Row]) -> None:
    """Reduce-only orders together never close more than there is."""
    sizes = {row["market"]: units(row["size"], LOTS_PER_BTC) for row in positions}
    reducing: Counter[str] = Counter()
    for order in orders:
        if order["reduceOnly"] and not is_waiting(order):
            size = sizes.get(order["market"], 0)
            assert order["side"] == ("buy" if size < 0 else "sell"), order
            reducing[order["market"]] += units(order["remaining"], LOTS_PER_BTC)
    assert all(lots <= abs(sizes[market]) for market, lots in reducing.items()), (reducing, sizes)


def _check_balances(desk: Desk, orders: list[Row], balances: list[Row]) -> None:
    needed: Counter[str] = Counter()
    for order in orders:
        if not is_waiting(order):
            asset, amount = reservation(desk.placements[order["orderId"]], units(order["remaining"], LOTS_PER_BTC))
            needed[asset] += amount
    for row in balances:
        scale = SCALE[row["asset"]]
        settled, unsettled, reserved, held, available = (
            units(row[name], scale) for name in ("settled", "unsettled", "reserved", "held", "available")
        )
        assert reserved == needed.pop(row["asset"], 0), row
        assert settled + unsettled >= 0, row
        assert settled >= 0, row
        assert available == max(0, settled + unsettled - reserved - held) >= 0, row
        assert reserved == 0 or settled + unsettled - reserved - held >= 0, row
    assert not any(needed.values()), needed


def check_books(world: World, all_open: dict[str, list[Row]]) -> None:
    """The book over HTTP, the one that a client keeps, and the open orders are the same; it is not crossed."""
    for market in BOOKS:
        sums: dict[tuple[str, Fraction], int] = defaultdict(int)
        for order in (order for orders in all_open.values() for order in orders):
            if order["market"] == market.symbol and not is_waiting(order):
                sums[order["side"], Fraction(order["price"])] += units(order["remaining"], LOTS_PER_BTC)
        book = world.run(_published(world, market.symbol, dict(sums)))
        kept = world.listeners["public"].books[market.symbol]
        assert [list(level) for level in kept.bids()] == book["bids"]
        assert [list(level) for level in kept.asks()] == book["asks"]
        if book["bids"] and book["asks"]:
            assert Fraction(book["bids"][0][0]) < Fraction(book["asks"][0][0]), "the book is crossed"


async def _published(world: World, symbol: str, sums: dict[tuple[str, Fraction], int]) -> Row:
    """The published book once it has what was executed: changes are collected for a moment."""
    for _ in range(int(SECONDS / 0.02)):
        answer = await world._ask("GET", f"/v1/orderbook/{symbol}?depth=1000", None, {})
        book: Row = answer.body
        if _levels(book) == sums:
            await world.listeners["public"].catch_up()
            return book
        await asyncio.sleep(0.002)
    raise AssertionError(f"the book of {symbol} is {_levels(book)}, the open orders {sums}")


def _levels(book: Row) -> dict[tuple[str, Fraction], int]:
    sides = (("buy", book["bids"]), ("sell", book["asks"]))
    levels = {(side, Fraction(price)): units(size, LOTS_PER_BTC) for side, rows in sides for price, size in rows}
    assert all(levels.values())
    for _, rows in sides:
        prices = [Fraction(price) for price, _ in rows]
        assert prices in (sorted(prices), sorted(prices, reverse=True))
    return levels


def check_money(world: World, credited: Counter[str], paid: Counter[str]) -> None:
    """What came in less what went out is what all have, with the fees and what positions hold."""
    totals: Counter[str] = Counter()
    for name in (*TRADERS, "fees"):
        for row in world.look("/v1/balances", name)["balances"]:
            totals[row["asset"]] += units(row["settled"], SCALE[row["asset"]]) + units(
                row["unsettled"], SCALE[row["asset"]]
            )
    sizes: Counter[str] = Counter()
    equity = short = 0
    fills = sum(len(world.listeners[name].knowledge.fills) for name in TRADERS)
    for name in TRADERS:
        for row in world.look("/v1/positions", name)["positions"]:
            lots = units(row["size"], LOTS_PER_BTC)
            sizes[row["market"]] += lots
            if row["market"] == PUT.symbol:
                short += max(0, -lots)
                assert units(row["margin"], USDC_UNIT) == max(0, -lots) * PUT_COLLATERAL
            elif row["market"] == PERP.symbol and lots:
                if row["equity"] is None:
                    return  # the index is too old to say
                equity += units(row["equity"], USDC_UNIT)
    assert not any(sizes.values()), sizes
    assert totals["BTC"] == credited["BTC"] - paid["BTC"]
    dust = credited["USDC"] - paid["USDC"] - totals["USDC"] - short * PUT_COLLATERAL - equity
    # Margins are rounded down, for both sides of a fill, and so is the part that closing takes out.
    assert 0 <= dust <= 2 * fills, dust


def check_time(world: World) -> None:
    """What was to end by now has ended, as the exchange has just looked."""
    now_ms = world.exchange.clock.ms
    for name in TRADERS:
        cancels_at = world.look("/v1/account", name)["cancelsAt"]
        assert cancels_at is None or cancels_at > now_ms
        for order in world.look("/v1/orders?status=open,partiallyFilled&limit=500", name)["orders"]:
            assert order["expiry"] is None or order["expiry"] * 1000 > now_ms, order


# ---------------------------------------------------------------------------------------------------------------------
# Now and then
# ---------------------------------------------------------------------------------------------------------------------


def check_history(world: World) -> None:
    """Fills, orders that have ended, deposits and withdrawals: REST and the channels agree, and both sides match."""
    sides: dict[str, list[tuple[str, Row]]] = defaultdict(list)
    for name in TRADERS:
        knowledge = world.listeners[name].knowledge
        fills = _all(world, "/v1/fills", "fills", name)
        assert {fill["tradeId"]: fill for fill in fills} == knowledge.fills
        orders = _all(world, "/v1/orders", "orders", name)
        assert {order["orderId"]: pick(order, ORDER_FIELDS) for order in orders} == knowledge.orders
        filled: Counter[str] = Counter()
        for fill in fills:
            sides[fill["tradeId"]].append((name, fill))
            if fill["settlement"]["state"] != "busted":  # else it is as if it had not happened
                filled[fill["orderId"]] += units(fill["quantity"], LOTS_PER_BTC)
            notional = Fraction(fill["price"]) * Fraction(fill["quantity"]) * USDC_UNIT
            assert units(fill["fee"], USDC_UNIT) == int(notional * FEE)
        for order in orders:
            assert units(order["filled"], LOTS_PER_BTC) == filled.pop(order["orderId"], 0), order
            assert Fraction(order["filled"]) + Fraction(order["remaining"]) == Fraction(order["quantity"])
        assert not filled
        deposits = world.look("/v1/deposits?limit=500", name)["deposits"]
        assert {(row["txHash"], row["asset"]): row for row in deposits} == knowledge.deposits
        _check_withdrawals(world, name, knowledge.withdrawals)
    trades = {
        trade["tradeId"]: trade
        for market in BOOKS
        for trade in _all(world, f"/v1/trades/{market.symbol}", "trades", None)
    }
    assert trades.keys() == sides.keys()
    for trade_id, both in sides.items():
        _check_sides(both, trades[trade_id])


def _check_withdrawals(world: World, name: str, told: dict[tuple[str, bool], Row]) -> None:
    newest: dict[tuple[str, bool], Row] = {}
    for row in world.look("/v1/withdrawals?limit=500", name)["withdrawals"]:
        newest.setdefault((row["asset"], row["asCxpt"]), row | {"updatedAt": None})
    assert newest == told


def _check_sides(both: list[tuple[str, Row]], trade: Row) -> None:
    (one, first), (other, second) = both
    assert one != other, "nobody trades with oneself"
    assert {first["side"], second["side"]} == {"buy", "sell"}
    assert {first["role"], second["role"]} == {"maker", "taker"}
    for name in ("price", "quantity", "market", "item", "time"):
        assert first[name] == second[name]
    taker = first if first["role"] == "taker" else second
    assert (trade["price"], trade["quantity"], trade["side"]) == (taker["price"], taker["quantity"], taker["side"])
    assert trade["settlement"] == first["settlement"]["state"] == second["settlement"]["state"]
    assert first["settlement"] == second["settlement"]


def _all(world: World, path: str, name: str, by: str | None) -> list[Row]:
    """All pages of a list."""
    rows: list[Row] = []
    cursor = ""
    while True:
        page = world.look(f"{path}?limit=40{cursor}", by)
        rows += page[name]
        if page["next"] is None:
            return rows
        cursor = f"&cursor={page['next']}"


def check_replay(world: World, name: str, after: int) -> None:
    """A reader who heard everything up to `after` and nothing since comes to know what one knows who never left."""
    listener = world.listeners[name]
    known = Knowledge()
    for message in listener.messages:
        if message["seq"] <= after:
            known.apply(message)
    replayed = world.read_on(name, after, known)
    live = [message for message in listener.messages if message["seq"] > after]
    assert list(map(_essence, _own(replayed, listener.knowledge.fills))) == list(
        map(_essence, _own(live, listener.knowledge.fills))
    )
    assert known.state() == listener.knowledge.state()


def check_snapshot(world: World, name: str) -> None:
    """What a new subscriber is told first is what HTTP says."""
    told = world.snapshot(name)
    orders = world.look("/v1/orders?status=open,partiallyFilled&limit=500", name)["orders"]
    # A snapshot tells of a trigger only while the order waits.
    by_id = {order["orderId"]: order | ({} if is_waiting(order) else {"trigger": None}) for order in orders}
    assert told["orders"] == [pick(by_id[order["orderId"]], order) for order in told["orders"]]
    assert len(told["orders"]) == len(orders)
    assert told["balances"] == world.look("/v1/balances", name)["balances"]
    assert told["positions"] == world.look("/v1/positions", name)["positions"]


def _own(messages: list[Row], fills: dict[str, Row]) -> list[Row]:
    """Without what settlement does to fills of others, of which only a listener hears."""
    items = [fill["item"] for fill in fills.values()]
    return [
        message
        for message in messages
        if message["type"] != "settlementUpdate"
        or any(message["data"]["firstItem"] <= item <= message["data"]["lastItem"] for item in items)
    ]


def _essence(message: Row) -> Row:
    """What does not depend on what was heard before."""
    return {name: value for name, value in message.items() if name != "prevSeq"}


def visible(world: World) -> Any:
    """Everything that anybody can see."""
    private = ("/v1/orders?limit=500", "/v1/balances", "/v1/positions", "/v1/fills?limit=500", "/v1/account")
    more = ("/v1/deposits", "/v1/withdrawals", "/v1/keys")
    public = ("/v1/markets", "/v1/prices", "/v1/fees", "/v1/open-interest")
    books = [world.look(f"/v1/orderbook/{market.symbol}") for market in BOOKS]
    return (
        [world.look(path, name) for name in TRADERS for path in (*private, *more)],
        [world.look(path) for path in public],
        [world.look(f"/v1/trades/{market.symbol}") for market in BOOKS],
        [pick(book, ("bids", "asks", "checksum")) for book in books],
    )

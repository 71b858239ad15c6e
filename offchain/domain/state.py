"""The state of the exchange and the few operations that every command shares.

A command changes the state within a `Turn`, which collects its events and the balances that it touched.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from sortedcontainers import SortedList  # type: ignore[import-untyped,unused-ignore]

from offchain.domain.account import Account, Balance, LiveOrder, NonceKey
from offchain.domain.actions import Actions
from offchain.domain.blocks import ChainView
from offchain.domain.book import Book
from offchain.domain.commands import Configure
from offchain.domain.events import Event, ExchangeUpdate, MarketUpdate, MarkSample, OrderUpdate, Trade
from offchain.domain.fees import FeeSchedule
from offchain.domain.ledger import ClearingMarket, ClearingStatus
from offchain.domain.market import USDC, Asset, Market, MarketStatus
from offchain.domain.oracle import MAX_INDEX, Conversion, OraclePrice, index_down
from offchain.domain.order import NO_EXPIRY, Address, OrderHash, OrderStatus
from offchain.domain.outbox import Fill, Outbox
from offchain.domain.positions import Position
from offchain.domain.requests import Administration
from offchain.domain.waiting import WaitingOrders

_by_owner = attrgetter("address", "asset")
_by_holder = attrgetter("address", "market")


class Turn:
    """What one command did so far."""

    __slots__ = ("events", "now_ms", "positions", "prints", "touched")

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.events: list[Event] = []
        self.touched: dict[Balance, None] = {}
        self.positions: dict[Position, None] = {}
        self.prints: dict[MarketState, tuple[int, int]] | None = None
        """markets where orders wait and prices may have changed, with the lowest and highest trade; None: nowhere"""

    def note(self, venue: MarketState, price: int = 0) -> None:
        """A price of a market where orders wait may have changed; `price`: of a trade."""
        if self.prints is None:
            self.prints = {}
        low, high = self.prints.get(venue, (0, 0))
        if price:
            low, high = min(low or price, price), max(high, price)
        self.prints[venue] = (low, high)

    def finish(self) -> list[Event]:
        """All events: those of the command, then each touched position and balance once, by account."""
        if self.positions:
            self.events += [position.update() for position in sorted(self.positions, key=_by_holder)]
        if len(self.touched) > 1:
            self.events += [balance.update() for balance in sorted(self.touched, key=_by_owner)]
        else:
            self.events += [balance.update() for balance in self.touched]
        return self.events


class MarketState:
    """A market, its book and whether it trades; of a derivative its positions and its pool too."""

    __slots__ = (
        "book",
        "clearing",
        "is_plain",
        "last_price",
        "market",
        "max_price_per_lot",
        "open_interest",
        "opening_margin_bps",
        "operator_halt",
        "pool",
        "positions",
        "quantity_limit",
        "sample",
        "status",
        "status_at",
        "tick_per_lot",
        "waiting",
    )

    def __init__(self, market: Market) -> None:
        self.market = market
        # Every order asks for these, and they take powers of ten.
        self.tick_per_lot, self.max_price_per_lot = market.tick_per_lot, market.max_price_per_lot
        self.is_plain = market.is_plain
        """spot, quoted in USDC: the way of most orders, which asks for it often"""
        self.book = Book()
        self.status = int(MarketStatus.NONE)
        """on chain"""
        self.status_at = 0
        self.operator_halt: str | None = None
        """the operator's reason, None while the operator lets the market trade"""
        self.quantity_limit: int | None = None
        """lots per order that the operator allows; None: what the registry does"""
        self.opening_margin_bps: int | None = None
        """what the operator asks of a position that grows; None: what the registry does"""
        self.clearing = ClearingMarket()
        """what the Clearinghouse has of it"""
        self.pool = 0
        """micro-USDC, once everything matched has settled"""
        self.positions: dict[Address, Position] = {}
        self.last_price = 0
        """of the last trade, 0 before the first"""
        self.open_interest = 0
        """lots that are held long, and so short, once everything matched has settled"""
        self.sample: MarkSample | None = None
        """the last that was taken"""
        self.waiting: WaitingOrders | None = None
        """None before the first"""

    def put_to_sleep(self, live: LiveOrder, ticket: int) -> None:
        """Let an order wait for its trigger."""
        if self.waiting is None:
            self.waiting = WaitingOrders()
        self.waiting.add(live, ticket)

    def position(self, address: Address) -> Position:
        position = self.positions.get(address)
        if position is None:
            position = self.positions[address] = Position(address, self.market.id)
        return position

    def count(self, position: Position) -> None:
        """Let open interest include a position as it is now."""
        lots = max(0, position.current.size)
        self.open_interest += lots - position.counted
        position.counted = lots


class State:
    """Everything that commands change. No copies are ever made of it: commands plan first, then apply."""

    __slots__ = (
        "accounts",
        "actions",
        "administration",
        "api_key_ends",
        "assets",
        "chain",
        "configuration",
        "deadlines",
        "delegations",
        "diverged",
        "exchange_halt",
        "fee_bps",
        "fees",
        "known_orders",
        "markets",
        "next_ticket",
        "orders",
        "outbox",
        "prices",
        "ready",
        "timed",
        "watched",
    )

    def __init__(self) -> None:
        self.configuration: Configure | None = None
        self.fee_bps = 0
        """of what is matched now"""
        self.fees = FeeSchedule()
        self.assets: dict[int, Asset] = {}
        self.markets: dict[int, MarketState] = {}
        self.accounts: dict[Address, Account] = {}
        self.orders: dict[OrderHash, LiveOrder] = {}
        """open orders, in order of entry"""
        self.known_orders: dict[OrderHash, NonceKey] = {}
        """the latest order of each nonce key"""
        self.timed: Any = SortedList()
        """(expiry in seconds, hash) of open orders that expire"""
        self.deadlines: Any = SortedList()
        """(Unix milliseconds, account): when all orders of an account end"""
        self.watched: dict[bytes, Address] = {}
        """by connection: whose orders end when it is lost"""
        self.ready: dict[int, None] = {}
        """markets where a waiting order has been reached by a price"""
        self.delegations: Any = SortedList()
        """(last second, account, delegate) of delegates that sign"""
        self.api_key_ends: Any = SortedList()
        """(expiry in seconds, account, id) of API keys that expire"""
        self.next_ticket = 1
        self.actions = Actions()
        self.chain = ChainView()
        self.outbox = Outbox()
        self.prices: dict[Address, OraclePrice] = {}
        """by oracle"""
        self.diverged = ""
        """why the chain contradicts what was matched; "" while it does not"""
        self.exchange_halt: str | None = None
        """why the operator has halted all markets, None while it has not"""
        self.administration = Administration()

    # -----------------------------------------------------------------------------------------------------------------
    # Accounts
    # -----------------------------------------------------------------------------------------------------------------

    def account(self, address: Address) -> Account:
        account = self.accounts.get(address)
        if account is None:
            account = self.accounts[address] = Account(address)
        return account

    def balance(self, address: Address, asset: int) -> Balance:
        return self.account(address).balance(asset)

    @property
    def engine(self) -> Address:
        """The account that collects fees."""
        assert self.configuration is not None, "commands before Configure are refused"
        return self.configuration.engine

    def changes(self, fill: Fill) -> tuple[tuple[Balance, int], ...]:
        """What a fill does to whose balance."""
        return self.effects(fill.trade) if fill.changes is None else fill.changes

    def effects(self, trade: Trade) -> tuple[tuple[Balance, int], ...]:
        """What a spot trade does to whose balance: five amounts that sum to zero per asset."""
        market = self.markets[trade.market].market
        notional = trade.price * trade.quantity if trade.conversion is None else trade.notional
        quanta = trade.quantity * market.lot_size
        maker, taker = self.account(trade.maker), self.account(trade.taker)
        if trade.taker_side:
            buyer, seller, buyer_fee, seller_fee = maker, taker, trade.maker_fee, trade.taker_fee
        else:
            buyer, seller, buyer_fee, seller_fee = taker, maker, trade.taker_fee, trade.maker_fee
        return (
            (buyer.balance(USDC), -notional - buyer_fee),
            (seller.balance(market.base), -quanta),
            (buyer.balance(market.base), quanta),
            (seller.balance(USDC), notional - seller_fee),
            (self.balance(self.engine, USDC), buyer_fee + seller_fee),
        )

    def conversion(self, market: Market, now_ms: int) -> Conversion | None:
        """At what fills of a cross-quoted market are paid now; None if there is no price to go by."""
        price = self.prices.get(market.oracle)
        return price.conversion() if price is not None and price.is_usable(now_ms) else None

    def index(self, market: Market, now_ms: int) -> int | None:
        """I of a derivative's market in micro-USDC per lot; None if there is no price to go by."""
        price = self.prices.get(market.oracle)
        if price is None or not price.is_usable(now_ms):
            return None
        index = index_down(price.price, market.lot_size, market.decimals)
        return index if 0 < index <= MAX_INDEX else None

    # -----------------------------------------------------------------------------------------------------------------
    # Orders
    # -----------------------------------------------------------------------------------------------------------------

    def open_order(self, turn: Turn, live: LiveOrder, place: LiveOrder | None) -> None:
        """Let an order rest, in the place of `place`, which it replaces, or at the end of the queue; or let it wait."""
        order, order_hash, account = live.order, live.order_hash, live.account
        venue = self.markets[order.market]
        if live.waiting is not None:
            venue.put_to_sleep(live, self.next_ticket)
            self.next_ticket += 1
        elif place is None:
            venue.book.sides[order.side].add(live, self.next_ticket)
            self.next_ticket += 1
        else:
            venue.book.sides[order.side].swap(place, live)
        if venue.waiting is not None:
            turn.note(venue)
        live.reserve_up(self.fee_bps)
        turn.touched[live.balance] = None
        if order.reduce_only and live.waiting is None:
            venue.position(order.account).reducing[order_hash] = live
        self.orders[order_hash] = live
        account.orders[order_hash] = live
        account.nonce_keys[order.nonce >> 32].working = live
        if live.client_order_id is not None:
            account.client_order_ids[live.client_order_id] = order_hash
        if order.expiry != NO_EXPIRY:
            self.timed.add((order.expiry, order_hash))

    def end_order(self, turn: Turn, live: LiveOrder, status: OrderStatus, code: str) -> None:
        """End an open order and take it out of its book, or from among those that wait."""
        venue = self.markets[live.order.market]
        resting = 0
        if live.waiting is None:
            resting = live.remaining
            venue.book.sides[live.order.side].remove(live)
        elif venue.waiting is not None:
            venue.waiting.remove(live)
        if venue.waiting is not None:
            turn.note(venue)
        self.forget_order(turn, live, status)
        turn.events.append(self.order_update(live, -resting, code))

    def forget_order(self, turn: Turn, live: LiveOrder, status: OrderStatus) -> None:
        """Take an order that has left its book out of everything else that knows open orders."""
        order, order_hash, account = live.order, live.order_hash, live.account
        live.status = status
        live.release_reservation()
        turn.touched[live.balance] = None
        if order.reduce_only and live.waiting is None:
            del self.markets[order.market].position(order.account).reducing[order_hash]
        del self.orders[order_hash]
        del account.orders[order_hash]
        if live.client_order_id is not None:
            del account.client_order_ids[live.client_order_id]
        if order.expiry != NO_EXPIRY:
            self.timed.remove((order.expiry, order_hash))
        nonce_key = account.nonce_keys[order.nonce >> 32]
        nonce_key.working = None
        if nonce_key.order_hash == order_hash:
            nonce_key.ended = status

    def order_update(self, live: LiveOrder, depth_change: int, code: str = "") -> OrderUpdate:
        order = live.order
        return OrderUpdate(
            live.order_hash,
            order.account,
            order.market,
            order.side,
            order.price,
            live.quantity,
            live.filled,
            live.status,
            depth_change,
            code,
            live.client_order_id,
            live.waiting is not None and live.status is OrderStatus.OPEN,
        )

    def cancel_all(self, turn: Turn, account: Account, code: str) -> None:
        """Cancel every open order of the account, in order of entry."""
        for live in list(account.orders.values()):
            self.end_order(turn, live, OrderStatus.CANCELED, code)

    def cancel_unfit(self, turn: Turn, balance: Balance, code: str) -> None:
        """Cancel the account's newest orders that draw on `balance` until reservations and holds fit into it."""
        if balance.free >= 0 or not balance.reserved:
            return
        account = self.accounts[balance.address]
        # What reserves nothing, such as a reduce-only order, makes no room.
        for live in [live for live in reversed(account.orders.values()) if live.balance is balance and live.reserved]:
            if balance.free >= 0:
                return
            self.end_order(turn, live, OrderStatus.CANCELED, code)

    # -----------------------------------------------------------------------------------------------------------------
    # Markets
    # -----------------------------------------------------------------------------------------------------------------

    def halt_reason(self, market: int) -> str | None:
        """Why a market does not trade although the chain would let it; None if it does."""
        if self.diverged:
            return self.diverged
        if self.exchange_halt is not None:
            return self.exchange_halt
        parked = self.outbox.halts.get(market)
        if parked is not None:
            return parked.reason
        venue = self.markets[market]
        if venue.clearing.status == ClearingStatus.EXPIRED:
            return "the market has expired"
        return venue.operator_halt

    def market_update(self, market: int) -> MarketUpdate:
        state = self.markets[market]
        reason = self.halt_reason(market)
        limits = (state.quantity_limit, state.opening_margin_bps)
        return MarketUpdate(state.market, state.status, reason is not None, reason or "", *limits)

    def exchange_update(self) -> ExchangeUpdate:
        configuration, halt = self.configuration, self.exchange_halt
        assert configuration is not None, "commands before Configure are refused"
        limits = (configuration.max_open_orders, configuration.price_band_bps)
        return ExchangeUpdate(halt is not None, halt or "", *limits)

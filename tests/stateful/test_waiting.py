"""Orders that wait for a price, against what the stream of events alone says about when they are due."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from offchain.domain.commands import CancelOrders, Command, MarketCreated, SetStatus, Tick
from offchain.domain.core import Core
from offchain.domain.events import Event, OrderTriggered, OrderUpdate, Trade
from offchain.domain.order import OrderStatus, Trigger, TriggerKind, TriggerSource
from offchain.domain.results import PlaceResult, Result
from offchain.domain.triggers import price_of
from tests.utils.exchange import BTC, BTC_USDC, BUY, MAKER, OTHER, PERP, SELL, TAKER, TICK, USDC, Exchange

ACCOUNTS = (MAKER, TAKER, OTHER)
MARKETS = (BTC_USDC.id, PERP.id)
OPEN = (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)

prices = st.integers(94, 106)
triggers = st.builds(
    Trigger,
    st.sampled_from(TriggerKind),
    st.sampled_from((TriggerSource.LAST, TriggerSource.LAST, TriggerSource.MARK, TriggerSource.INDEX)),
    prices.map(lambda price: price * TICK),
)


@dataclass
class Sleeper:
    """An order that waits for the last price, as an onlooker remembers it."""

    trigger: Trigger
    side: int
    market: int
    reached: bool = False

    def is_reached(self, price: int) -> bool:
        rises = (self.trigger.kind is TriggerKind.STOP) == (self.side == BUY)
        return price >= self.trigger.price if rises else price <= self.trigger.price


class WaitingMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.exchange = Exchange(window=10**9)
        self.sleepers: dict[bytes, Sleeper] = {}
        self.halted: set[int] = set()

    @initialize()
    def open(self) -> None:
        self.exchange.list_markets(BTC_USDC)
        deposits = [
            self.exchange.deposited(account, asset, amount)
            for account in ACCOUNTS
            for asset, amount in ((USDC, 10**10), (BTC, 10**8))
        ]
        self.exchange.mine(MarketCreated(PERP), *deposits)
        self.exchange.tell_index()
        self.exchange.observe = self.observe

    def observe(self, command: Command, result: Result) -> None:
        for event in self.exchange.events:
            self.follow(event)

    def follow(self, event: Event) -> None:
        if isinstance(event, Trade):
            for sleeper in self.sleepers.values():
                if sleeper.market == event.market and sleeper.trigger.source is TriggerSource.LAST:
                    sleeper.reached |= sleeper.is_reached(event.price)
        elif isinstance(event, OrderTriggered):
            sleeper = self.sleepers.pop(event.order_hash, None)
            if sleeper is not None and sleeper.trigger.source is TriggerSource.LAST:
                assert sleeper.reached, "it was woken up by no print"
        elif isinstance(event, OrderUpdate) and event.status not in OPEN:
            self.sleepers.pop(event.order_hash, None)

    # -----------------------------------------------------------------------------------------------------------------
    # Rules
    # -----------------------------------------------------------------------------------------------------------------

    @rule(
        account=st.sampled_from(ACCOUNTS),
        market=st.sampled_from(MARKETS),
        side=st.sampled_from((BUY, SELL)),
        price=prices,
        quantity=st.integers(1, 20),
        trigger=st.none() | triggers,
        is_immediate=st.booleans(),
        reduce_only=st.booleans(),
        key=st.integers(0, 6),
    )
    def place(
        self,
        account: bytes,
        market: int,
        side: int,
        price: int,
        quantity: int,
        trigger: Trigger | None,
        is_immediate: bool,
        reduce_only: bool,
        key: int,
    ) -> None:
        exchange = self.exchange
        known = exchange.core._state.accounts[account].nonce_keys.get(key * 10 + market)
        sequence = known.sequence + 1 if known is not None else 1
        reduce_only = reduce_only and market == PERP.id
        order = exchange.order(
            account,
            side,
            price,
            quantity,
            market=market,
            key=key * 10 + market,
            sequence=sequence,
            tif=2 if is_immediate else 0,
            reduce_only=reduce_only,
        )
        result = exchange.run(exchange.command(order, trigger=trigger))
        assert isinstance(result, PlaceResult)
        if result.waiting:
            assert trigger is not None
            self.sleepers[result.order_hash] = Sleeper(trigger, side, market)

    @rule(index=st.integers(97, 103))
    def tell_index(self, index: int) -> None:
        self.exchange.tell_index(index * TICK)

    @rule(data=st.data())
    @precondition(lambda self: self.exchange.core._state.orders)
    def cancel(self, data: st.DataObject) -> None:
        live = data.draw(st.sampled_from(list(self.exchange.core._state.orders.values())))
        self.exchange.cancel(live.order.account, live.order_hash)

    @rule(account=st.sampled_from(ACCOUNTS), market=st.sampled_from(MARKETS))
    def cancel_many(self, account: bytes, market: int) -> None:
        self.exchange.run(CancelOrders(account, 0, market))

    @rule(market=st.sampled_from(MARKETS))
    def halt_or_resume(self, market: int) -> None:
        self.halted ^= {market}
        self.exchange.run(SetStatus(market, market in self.halted, "maintenance"))

    @rule(seconds=st.integers(1, 8))
    def wait(self, seconds: int) -> None:
        self.exchange.now_ms += 1_000 * seconds
        self.exchange.run(Tick())

    @rule()
    def restart(self) -> None:
        data = self.exchange.core.snapshot()
        self.exchange.core = Core.restore(data)
        assert self.exchange.core.snapshot() == data

    # -----------------------------------------------------------------------------------------------------------------
    # Invariants
    # -----------------------------------------------------------------------------------------------------------------

    @invariant()
    def nobody_sleeps_past_a_price(self) -> None:
        """Where orders are taken, what was reached has been woken up."""
        state, now_ms = self.exchange.core._state, self.exchange.now_ms
        for order_hash, sleeper in self.sleepers.items():
            venue = state.markets[sleeper.market]
            if sleeper.market in self.halted or (sleeper.market == PERP.id and state.index(PERP, now_ms) is None):
                continue
            price = price_of(state, venue, sleeper.trigger.source, now_ms)
            assert not sleeper.reached, order_hash
            assert price is None or not sleeper.is_reached(price), order_hash

    @invariant()
    def reservations_are_those_of_the_book(self) -> None:
        state = self.exchange.core._state
        for account in state.accounts.values():
            for asset, balance in account.balances.items():
                drawing = [live for live in account.orders.values() if live.balance is balance]
                assert balance.reserved == sum(live.reserved for live in drawing), (account.address, asset)
                assert all(live.reserved == 0 for live in drawing if live.waiting is not None)
                assert balance.total >= 0

    @invariant()
    def books_hold_what_works_and_are_not_crossed(self) -> None:
        state = self.exchange.core._state
        for venue in state.markets.values():
            book = venue.book
            if book.bids.best is not None and book.asks.best is not None:
                assert book.bids.best < book.asks.best
            levels = [level for side in (book.bids, book.asks) for _, level in side.levels()]
            resting = {live.order_hash for level in levels for live in level.orders.values()}
            here = [live for live in state.orders.values() if live.order.market == venue.market.id]
            working = {live.order_hash for live in here if live.waiting is None}
            assert resting == working


TestWaiting = WaitingMachine.TestCase

"""The machine that acts at random: traders, an operator, honest and not, guardian, owner and anybody.

The adversary builds any batch from any orders it has ever seen: it repeats, reorders, overfills, mixes and edits them,
and forces positions that are not due. Whatever it gets through, every invariant holds, and nobody loses more than they
signed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from offchain.domain.market import Kind
from scripts._lib.anvil import rpc
from tests.stateful.protocol import CXPT_REDEEM, INSTRUMENT, USDC, USDC_AS_CXPT, Ledger, World
from tests.stateful.protocol_checks import (
    Fill,
    check_backing,
    check_batch,
    check_bystander,
    check_due,
    check_others,
    most_fee,
)
from tests.stateful.protocol_control import HOUR, SIGNERS, Controls, choices, signers
from tests.stateful.protocol_orders import edit_batch
from tests.utils.batches import BUY, FUND, SELL, Batch, build_batch

FIRST_KEY_OF_QUOTES = 3

sides = st.sampled_from((BUY, SELL))
amounts = st.one_of(st.integers(1, 10**4), st.integers(10**6, 10**10))


@dataclass
class Count:
    """What happened in all examples, so that a run in which nothing does fails."""

    spot: int = 0
    derivative: int = 0
    crossed: int = 0
    arrays: int = 0
    delegated: int = 0
    forced: int = 0
    refused: int = 0


class Protocol(Controls, RuleBasedStateMachine):
    world: World
    count = Count()

    @initialize()
    def begin(self) -> None:
        self.snapshot = rpc(self.world.url, "evm_snapshot")
        self.batches: list[Batch] = []
        self.seen: dict[tuple[str, int, int], int] = {}
        self.first = self.world.ledger()
        for market in range(len(self.world.spot), len(self.world.spot) + 3):
            self.trade([market % 2, 1 - market % 2, 2], market, 0, 1_500, 0, 0)

    def teardown(self) -> None:
        if hasattr(self, "snapshot"):
            rpc(self.world.url, "evm_revert", self.snapshot)

    # -----------------------------------------------------------------------------------------------------------------
    # Traders
    # -----------------------------------------------------------------------------------------------------------------

    @rule(signer=signers, amount=amounts)
    def deposit(self, signer: int, amount: int) -> None:
        account, exchange = self.world.traders[signer], self.world.exchange
        assert self.world.send(account, exchange.usdc.mint, account, amount)
        assert self.world.send(account, exchange.usdc.approve, exchange.vault.address, amount)
        assert self.world.send(account, exchange.vault.deposit, amount, account)

    @rule(signer=signers, amount=amounts, kind=st.sampled_from((USDC, USDC_AS_CXPT, INSTRUMENT, CXPT_REDEEM)))
    def request_withdrawal(self, signer: int, amount: int, kind: int) -> None:
        account, world = self.world.traders[signer], self.world
        if kind in (USDC, USDC_AS_CXPT):
            world.send(account, world.exchange.vault.withdraw, amount, kind == USDC_AS_CXPT)
        else:
            world.send(account, world.exchange.queue.request, kind, self._instrument(kind), amount)

    @rule(signer=signers, kind=st.integers(0, 3), amount=amounts, by_operator=st.booleans())
    def settle_withdrawal(self, signer: int, kind: int, amount: int, by_operator: bool) -> None:
        account, queue = self.world.traders[signer], self.world.exchange.queue
        place = (account, kind, self._instrument(kind))
        if by_operator:
            self.world.send(self.world.exchange.operator, queue.release, *place, amount)
        else:
            self.world.send(self.world.traders[-1], queue.settle, *place)

    @rule(
        signer=signers,
        side=sides,
        market=choices,
        offset=st.integers(-300, 300),
        lots=st.integers(1, 2_000),
        key=st.integers(0, 2),
        step=st.sampled_from((0, 1, 1, 1)),
        is_ioc=st.booleans(),
        reduces=st.booleans(),
        delegate=st.one_of(st.none(), signers),
    )
    def sign(
        self, signer: int, side: int, market: int, offset: int, lots: int, key: int, step: int, **terms: Any
    ) -> None:
        self._sign(signer, side, self._market(market), offset, lots, key, step, **terms)

    @rule(signer=signers, market=choices, is_cancel=st.booleans())
    def ask_to_leave(self, signer: int, market: int, is_cancel: bool) -> None:
        house = self.world.exchange.clearinghouse
        method = house.cancelExit if is_cancel else house.requestExit
        self.world.send(self.world.traders[signer], method, self._derivative(market).id)

    @rule(
        signer=signers,
        side=sides,
        market=choices,
        offsets=st.lists(st.integers(-300, 300), min_size=2, max_size=10),
        lots=st.integers(1, 2_000),
        delegate=st.one_of(st.none(), signers),
    )
    def quote(self, signer: int, side: int, market: int, offsets: list[int], lots: int, delegate: int | None) -> None:
        """Several orders under one signature."""
        chosen = self._market(market)
        self.arrays.append(
            [
                self._sign(signer, side, chosen, offset, lots, FIRST_KEY_OF_QUOTES + leaf, 1, delegate=delegate)
                for leaf, offset in enumerate(offsets)
            ]
        )

    # -----------------------------------------------------------------------------------------------------------------
    # Operator, honest and not
    # -----------------------------------------------------------------------------------------------------------------

    @rule(
        pair=st.permutations(range(SIGNERS)),
        market=choices,
        offset=st.integers(-50, 50),
        lots=st.integers(1, 2_000),
        key=st.integers(0, 2),
        edit=st.one_of(st.just(0), choices),
    )
    def trade(self, pair: list[int], market: int, offset: int, lots: int, key: int, edit: int) -> None:
        """Two orders that cross, signed and settled at once."""
        orders = [
            self._sign(signer, side, self._market(market), offset, lots, key, 1)
            for signer, side in zip(pair[:2], (SELL, BUY), strict=True)
        ]
        self._settle([(orders[0], orders[1], lots)], edit)

    @rule(pair=st.permutations(range(SIGNERS)), market=choices, lots=st.integers(1, 500))
    def deal(self, pair: list[int], market: int, lots: int) -> None:
        """An honest trade, more often than the rest."""
        self.trade(pair, market, 0, lots, 0, 0)

    @precondition(lambda self: len(self.orders) > 1)
    @rule(choice=choices, lots=st.integers(1, 2_000))
    def match(self, choice: int, lots: int) -> None:
        """Settle the fill of two orders that cross, if there are such."""
        pairs = [
            (maker, taker)
            for maker in self.orders
            for taker in self.orders
            if maker.market == taker.market
            and maker.side != taker.side
            and maker.account != taker.account
            and not maker.time_in_force
            and (maker.price - taker.price) * (1 if taker.side == BUY else -1) <= 0
        ]
        if pairs:
            maker, taker = pairs[choice % len(pairs)]
            self._settle([(maker, taker, min(lots, maker.quantity, taker.quantity))])

    @precondition(lambda self: self.orders)
    @rule(choice=choices, other=signers, lots=st.integers(1, 2_000))
    def take(self, choice: int, other: int, lots: int) -> None:
        """Somebody takes one of the latest orders at its price."""
        latest = self.orders[:-21:-1]
        maker = latest[choice % len(latest)]
        if self.world.traders[other] != maker.account and not maker.time_in_force:
            taker = self._sign(other, 1 - maker.side, self.world.exchange.markets[maker.market], 0, lots, 0, 1)
            taker = self.orders[-1] = replace(taker, price=maker.price)
            self._settle([(maker, taker, min(lots, maker.quantity))])

    @precondition(lambda self: self.orders)
    @rule(picks=st.lists(st.tuples(choices, choices, st.integers(1, 3_000)), min_size=1, max_size=4), edit=choices)
    def attack(self, picks: list[tuple[int, int, int]], edit: int) -> None:
        """Any fills of any orders, also of one with itself and beyond its quantity."""
        orders = self.orders
        self._settle([(orders[a % len(orders)], orders[b % len(orders)], lots) for a, b, lots in picks], edit)

    @precondition(lambda self: self.batches)
    @rule(choice=choices, is_renumbered=st.booleans())
    def replay(self, choice: int, is_renumbered: bool) -> None:
        batch = self.batches[choice % len(self.batches)]
        if is_renumbered:
            batch = replace(batch, number=self.world.last_batch()[0] + 1, matched_at=self.world.now())
        self._send(batch)

    @rule(
        signer=signers,
        other=signers,
        market=choices,
        offset=st.integers(-500, 500),
        lots=st.integers(1, 2_000),
        against=st.sampled_from((0, 500, 800, 1_200)),
    )
    def liquidate(self, signer: int, other: int, market: int, offset: int, lots: int, against: int = 0) -> None:
        """Somebody offers to take what may be due, after a price move of `against` basis points."""
        chosen = self._derivative(market)
        position = self.world.ledger().positions[self.world.traders[signer], chosen.id]
        if position.size and signer != other and chosen.kind != Kind.OPTION:
            if against:
                self.move_price(market, 10_000 - against if position.size > 0 else 10_000 + against)
            side = SELL if position.size > 0 else BUY
            maker = self._sign(other, 1 - side, chosen, offset, lots, 2, 1)
            forced = self._force_order(self.world.traders[signer], chosen, side, offset, lots)
            self._settle([(maker, forced, min(lots, abs(position.size)))])

    @rule(
        victim=st.integers(0, SIGNERS + 1),
        market=choices,
        other=choices,
        offset=st.integers(-500, 500),
        lots=st.integers(1, 2_000),
    )
    def force(self, victim: int, market: int, other: int, offset: int, lots: int) -> None:
        """Liquidate, exit or unwind a position, due or not, against an order that was signed before."""
        chosen, account = self._derivative(market), ([*self.world.traders, FUND])[victim]
        position = self.world.ledger().positions[account, chosen.id]
        side = SELL if position.size > 0 else BUY
        makers = [order for order in self.orders if order.market == chosen.id and order.side != side]
        if makers:
            forced = self._force_order(account, chosen, side, offset, lots)
            self._settle([(makers[other % len(makers)], forced, min(lots, max(1, abs(position.size))))])

    @rule(market=choices, rate=st.integers(-50_001, 50_001))
    def accrue_funding(self, market: int, rate: int) -> None:
        world, chosen = self.world, self._derivative(market)
        hour = world.now() // HOUR
        house = world.exchange.clearinghouse
        world.send(world.exchange.operator, house.accrueFunding, chosen.id, hour, rate, self._round(chosen))

    # -----------------------------------------------------------------------------------------------------------------
    # The world, and what anyone may do
    # -----------------------------------------------------------------------------------------------------------------

    @rule(market=choices, bps=st.one_of(st.integers(9_800, 10_200), st.integers(7_000, 14_000)))
    def move_price(self, market: int, bps: int) -> None:
        feed = self.world.exchange.aggregators[self._derivative(market).id]
        _, answer, *_ = self.world.read([(feed.latestRoundData, ())])[0]
        assert self.world.send(self.world.exchange.owner, feed.push, max(1, answer * bps // 10_000))

    @rule(hours=st.sampled_from((1, 1, 2, 25, 56)))
    def wait(self, hours: int) -> None:
        """Time passes, and the feeds go on."""
        self.world.wait(hours * HOUR)
        for feed in {feed.address: feed for feed in self.world.exchange.aggregators.values()}.values():
            _, answer, *_ = self.world.read([(feed.latestRoundData, ())])[0]
            assert self.world.send(self.world.exchange.owner, feed.push, answer)

    @rule(
        name=st.sampled_from(("flag", "unflag", "takeOver", "exit", "expireUnserved", "close")),
        account=choices,
        market=choices,
        by_operator=st.booleans(),
    )
    def act_on_position(self, name: str, account: int, market: int, by_operator: bool) -> None:
        world = self.world
        holders = [*world.traders, FUND]
        sender = world.exchange.operator.address if by_operator else world.traders[-1]
        method = getattr(world.exchange.clearinghouse, name)
        before = world.ledger()
        chosen = self._derivative(market)
        if world.send(sender, method, holders[account % len(holders)], chosen.id) and name != "close":
            check_others(world, before, world.ledger(), {holders[account % len(holders)], FUND})

    @rule(loser=choices, winner=choices, market=choices, lots=st.integers(1, 2_000))
    def deleverage(self, loser: int, winner: int, market: int, lots: int) -> None:
        world, holders = self.world, [*self.world.traders, FUND]
        pair = (holders[loser % len(holders)], holders[winner % len(holders)])
        world.send(world.exchange.operator, world.exchange.clearinghouse.deleverage, *pair,
                   self._derivative(market).id, lots)  # fmt: skip

    @rule(market=choices, is_abandoned=st.booleans())
    def expire(self, market: int, is_abandoned: bool) -> None:
        world, chosen = self.world, self._derivative(market)
        house = world.exchange.clearinghouse
        if is_abandoned:
            world.send(world.traders[-1], house.expireAbandoned, chosen.id)
        else:
            world.send(world.traders[-1], house.expire, chosen.id, self._round(chosen))

    # -----------------------------------------------------------------------------------------------------------------
    # Invariants
    # -----------------------------------------------------------------------------------------------------------------

    @invariant()
    def everything_is_backed(self) -> None:
        if hasattr(self, "snapshot"):
            ledger = self.world.ledger()
            check_backing(self.world, ledger)
            check_bystander(self.world, self.first, ledger)

    @invariant()
    def orders_are_not_overfilled(self) -> None:
        if not getattr(self, "orders", None):
            return
        engine = self.world.exchange.engine
        calls = [(engine.orderState, (o.account, o.instrument, o.nonce >> 32)) for o in self.orders]
        for order, (sequence, filled) in zip(self.orders, self.world.read(calls), strict=True):
            place = (order.account, order.instrument, order.nonce >> 32)
            assert sequence >= self.seen.get(place, 0), "a nonce went back"
            self.seen[place] = sequence
            if sequence == order.nonce & 0xFFFFFFFF:
                twins = [each.quantity for each in self.orders if each.id == order.id]
                assert filled <= max(twins)

    # -----------------------------------------------------------------------------------------------------------------
    # Settlement and what it may cost
    # -----------------------------------------------------------------------------------------------------------------

    def _settle(self, fills: list[Fill], edit: int = 0) -> None:
        world = self.world
        forced = {order.market for fill in fills for order in fill[:2] if order.forced}
        crossed = {order.market for fill in fills for order in fill[:2] if order.conversion_limit}
        rounds = {market: self._round(world.exchange.markets[market]) for market in forced | crossed}
        number, now = world.last_batch()[0] + 1, world.now()
        batch = build_batch(world.domain, number, now, fills, arrays=self._arrays_of(fills), rounds=rounds)
        edit_batch(batch, edit)
        before = world.ledger()
        due = {market: world.index(world.exchange.markets[market]) for market in forced}
        if not self._send(batch, before):
            self.count.refused += 1
            return
        self.batches.append(batch)
        done = self._fills_of(batch)
        for order in {fill[side].id: fill[side] for fill in done for side in (0, 1) if fill[side].forced}.values():
            check_due(world, before, order, due[order.market])
        self._count(batch, done)

    def _send(self, batch: Batch, before: Ledger | None = None) -> bool:
        """Settle a batch. If it is accepted, it took nothing that was not signed."""
        world = self.world
        before = before or world.ledger()
        if not world.settle(batch):
            return False
        done = self._fills_of(batch)
        crossed = {market.id for market in world.crossed} & set(batch.markets)
        rates = {market: world.rate(market, batch.rounds[market]) for market in crossed}
        check_batch(world, before, world.ledger(), done, rates)
        for maker, taker, lots in done:
            for order in (maker, taker):
                self._check_permitted(order, batch.matched_at)
                self._count_fees(order, most_fee(world, maker, lots, rates))
        return True

    def _count(self, batch: Batch, done: list[Fill]) -> None:
        kinds = {self.world.exchange.markets[fill[0].market].kind for fill in done}
        orders = [order for fill in done for order in fill[:2]]
        self.count.spot += Kind.SPOT in kinds
        self.count.derivative += bool(kinds - {Kind.SPOT})
        self.count.crossed += any(order.conversion_limit for order in orders)
        self.count.arrays += any(group.leaf_count > 1 for group in batch.groups)
        self.count.delegated += any(order.delegate is not None for order in orders)
        self.count.forced += any(order.forced for order in orders)

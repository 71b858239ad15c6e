"""The core against a naive model, under random commands of every kind."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from offchain.domain.account import LiveOrder
from offchain.domain.commands import (
    BatchClosed,
    Bust,
    CancelOrder,
    CancelRequested,
    ChainLog,
    Command,
    EpochBumped,
    EpochBumpRequested,
    PlaceOrder,
    Tick,
    WithdrawalCanceled,
    WithdrawalSettled,
)
from offchain.domain.core import Core
from offchain.domain.events import OrderUpdate, TradeBusted
from offchain.domain.market import USDC
from offchain.domain.order import NO_EXPIRY, TimeInForce
from offchain.domain.results import CancelResult, Done, PlaceResult, Result
from tests import strategies
from tests.stateful.model import Model
from tests.stateful.naive import NaiveFill, Pocket
from tests.strategies import Intent
from tests.utils.exchange import BTC, BTC_USDC, ETH, ETH_BTC, ETH_USDC, MAKER, OTHER, RATE, TAKER, Exchange, digest

CONFIRMATIONS = 3
ACCOUNTS = (MAKER, TAKER, OTHER)
ASSETS = (USDC, BTC, ETH)

accounts = st.sampled_from(ACCOUNTS)
pockets = st.tuples(accounts, st.sampled_from(ASSETS))
amounts = st.one_of(st.integers(1, 10**9), st.integers(10**6, 10**7))


class CoreMachine(RuleBasedStateMachine):
    """Drives a core, a model, and now and then a second core restored from the first one's snapshot."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange = Exchange(confirmations=CONFIRMATIONS, window=10**9)
        self.model = Model(ACCOUNTS, [BTC_USDC, ETH_USDC, ETH_BTC], fee_bps=50, confirmations=CONFIRMATIONS)
        self.twin: Core | None = None
        self.placed: list[PlaceOrder] = []
        self.depth: dict[tuple[int, int, int], int] = defaultdict(int)
        self.batch = 0
        self.exchange.list_markets(BTC_USDC, ETH_USDC, ETH_BTC)
        self.floor, _ = self.exchange.head
        self.model.rate = RATE
        self.batch_at: dict[int, int] = {}

        self.exchange.observe = self.observe

    def observe(self, command: Command, result: Result) -> None:
        """After every command: the restored core does the same, and the book's changes are summed."""
        if self.twin is not None:
            assert self.twin.execute(command, self.exchange.now_ms) == (result, self.exchange.events)
        for event in self.exchange.events:
            if isinstance(event, OrderUpdate):
                self.depth[event.market, event.side, event.price] += event.depth_change

    def mine(self, log: ChainLog | None) -> None:
        number, _ = self.exchange.head
        assert self.exchange.mine(*([log] if log is not None else [])) == Done()
        self.model.mine(number + 1, log)

    # Orders

    @initialize()
    def fund(self) -> None:
        for account in ACCOUNTS:
            for asset in ASSETS:
                self.mine(self.exchange.deposited(account, asset, 2 * 10**9 if asset == USDC else 2 * 10**7))
        for _ in range(CONFIRMATIONS):
            self.mine(None)

    @rule(intents=st.lists(strategies.intents, min_size=4, max_size=12))
    def place(self, intents: list[Intent]) -> None:
        for intent in intents:
            self._place(self._sign(intent))

    def _sign(self, intent: Intent) -> PlaceOrder:
        account = ACCOUNTS[intent.account]
        tif = intent.time_in_force
        sequence = max(0, self.model.latest.get((account, intent.key), (0,))[0] + intent.step)
        market = 1 + ((intent.key % 4 == intent.account) != (intent.life == 13))
        terms = {}
        if intent.key >= 12:
            market = ETH_BTC.id
            terms["conversion_limit"] = RATE + (intent.life % 8 - 1) * (1_000_000 if intent.side == 0 else -1_000_000)
        order = self.exchange.order(
            account,
            intent.side,
            intent.price,
            intent.quantity,
            market=market,
            extra=intent.life if market == ETH_USDC.id else 0,
            tif=tif,
            key=intent.key,
            sequence=sequence,
            epoch=max(0, self.model.epoch(account) - (intent.life == 7)),
            expiry=NO_EXPIRY if tif == TimeInForce.GTC else self.exchange.now_ms // 1_000 + intent.life,
            **terms,
        )
        return self.exchange.command(
            order,
            self_trade=intent.self_trade,
            post_only=intent.is_post_only and tif < TimeInForce.IOC,
            expect_filled=intent.expect_filled,
        )

    def _place(self, command: PlaceOrder) -> None:
        self.placed.append(command)
        if command.order.market == ETH_BTC.id:
            self.exchange.tell_price(self.model.rate)
        trades_before = len(self.exchange.trades())
        expected = self.model.place(command, self.exchange.now_ms)
        result = self.exchange.run(command)
        assert isinstance(result, PlaceResult)
        actual = (
            result.status,
            result.filled,
            [(price, quantity) for _, price, quantity in result.fills],
            result.code,
            result.rejection.code if result.rejection is not None else "",
        )
        assert actual == (expected.status, expected.filled, expected.fills, expected.code, expected.rejection)
        trades = self.exchange.trades()[trades_before:]
        for trade, fill in zip(trades, self.model.fills[trades_before:], strict=True):
            fill.id = trade.id
            assert (trade.maker_hash, trade.taker_hash) == (fill.maker.hash, fill.taker.hash)

    @precondition(lambda self: self.placed)
    @rule(data=st.data())
    def place_again(self, data: st.DataObject) -> None:
        self._place(data.draw(st.sampled_from(self.placed)))

    @precondition(lambda self: self.placed)
    @rule(data=st.data(), account=st.one_of(st.none(), st.none(), accounts))
    def cancel(self, data: st.DataObject, account: bytes | None) -> None:
        command = data.draw(st.sampled_from(self.placed))
        owner = account if account is not None else command.order.account
        expected = self.model.cancel(owner, command.order_hash)
        result = self.exchange.run(CancelOrder(owner, command.order_hash, b"", self.exchange.now_ms))
        assert (result.code if not isinstance(result, CancelResult) else "") == expected  # type: ignore[union-attr]

    @rule(steps=st.integers(-3, 3))
    def change_rate(self, steps: int) -> None:
        self.model.rate = RATE + steps * 1_000_000

    @rule(milliseconds=st.integers(0, 20_000))
    def pass_time(self, milliseconds: int) -> None:
        self.exchange.now_ms += milliseconds

    @rule()
    def tick(self) -> None:
        self.exchange.run(Tick())
        self.model.tick(self.exchange.now_ms)

    # Chain

    @precondition(lambda self: self.placed)
    @rule(data=st.data(), lower=st.sampled_from([0, 0, 1]))
    def cancel_on_chain(self, data: st.DataObject, lower: int) -> None:
        order = data.draw(st.sampled_from(self.placed)).order
        instrument = BTC if order.market == BTC_USDC.id else ETH
        self.mine(CancelRequested(order.account, instrument, order.key, max(0, order.sequence - lower)))

    @rule(account=accounts, wait=st.sampled_from([None, CONFIRMATIONS, CONFIRMATIONS, 0, 1]))
    def bump_epoch(self, account: bytes, wait: int | None) -> None:
        """Ask for a bump; `wait`: blocks after which it has come, None: another time."""
        self.mine(EpochBumpRequested(account))
        if wait is not None:
            self.mine(EpochBumped(account, self.model.epoch(account) + 1))
            for _ in range(wait):
                self.mine(None)

    @rule()
    def mine_nothing(self) -> None:
        self.mine(None)

    @rule(pocket=pockets, amount=amounts)
    def deposit(self, pocket: Pocket, amount: int) -> None:
        self.mine(self.exchange.deposited(*pocket, amount))

    @rule(
        pocket=pockets, share=st.integers(1, 130), as_cxpt=st.booleans(), wait=st.none() | st.integers(0, CONFIRMATIONS)
    )
    def request_withdrawal(self, pocket: Pocket, share: int, as_cxpt: bool, wait: int | None) -> None:
        """Ask for a share (per cent) of what is on chain; `wait` blocks later it is paid, None: another time."""
        account, asset = pocket
        amount = max(1, self.model.on_chain(pocket) * share // 100)
        kind = 2 if asset != USDC else int(as_cxpt)
        self.mine(self.exchange.requested(account, asset, amount, kind))
        if wait is not None:
            for _ in range(wait):
                self.mine(None)
            self._pay(account, kind, asset)

    @precondition(lambda self: self.model.requests())
    @rule(data=st.data())
    def cancel_withdrawal(self, data: st.DataObject) -> None:
        requests = self.model.requests()
        account, kind, asset = data.draw(st.sampled_from(sorted(requests)))
        self.mine(WithdrawalCanceled(account, kind, asset, digest("cancel", len(self.exchange.history)), 0))

    @precondition(lambda self: self.model.requests())
    @rule(data=st.data())
    def pay_withdrawal(self, data: st.DataObject) -> None:
        requests = self.model.requests()
        self._pay(*data.draw(st.sampled_from(sorted(requests))))

    def _pay(self, account: bytes, kind: int, asset: int) -> None:
        requested = self.model.requests()[account, kind, asset].amount
        paid = min(requested, self.model.on_chain((account, asset)))
        tx_hash = digest("pay", len(self.exchange.history))
        self.mine(WithdrawalSettled(account, kind, asset, requested, paid, True, tx_hash, 0))
        self._compare_busts()

    @precondition(lambda self: self.model.unsettled_fills())
    @rule(count=st.integers(1, 8), is_closed=st.booleans())
    def settle(self, count: int, is_closed: bool) -> None:
        fills = self.model.unsettled_fills()
        count = min(count, len(fills))
        while count < len(fills) and fills[count].taker is fills[count - 1].taker:
            count += 1
        if is_closed and self._is_unbroken(fills[:count]) and len({fill.rate for fill in fills[:count]} - {None}) < 2:
            matched_at = self.exchange.now_ms // 1_000
            first, last = self._item(fills[0]), self._item(fills[count - 1])
            assert self.exchange.run(BatchClosed(self.batch + 1, first, last, matched_at)) == Done()
        self.batch += 1
        self.batch_at[self.batch] = self.exchange.head[0] + 1
        trades = [trade for fill in fills[:count] for trade in self.exchange.trades() if trade.id == fill.id]
        self.mine(self.exchange.batch_settled(self.batch, trades))

    def _is_unbroken(self, fills: list[NaiveFill]) -> bool:
        first, last = (self.model.items.index(fill) for fill in (fills[0], fills[-1]))
        return all(isinstance(item, NaiveFill) for item in self.model.items[first : last + 1])

    def _item(self, fill: NaiveFill) -> int:
        return next(trade.item for trade in self.exchange.trades() if trade.id == fill.id)

    @precondition(lambda self: self.exchange.head[0] > self.floor)
    @rule(depth=st.integers(1, 8))
    def reorganise(self, depth: int) -> None:
        number, _ = self.exchange.head
        target = max(self.floor, number - depth)
        assert self.exchange.roll_back(target) == Done()
        self.model.roll_back(target)
        self.batch = max(
            [batch for batch, block in self.batch_at.items() if block <= target and batch <= self.batch], default=0
        )
        self._compare_busts()

    @precondition(lambda self: self.model.unsettled_fills())
    @rule(data=st.data())
    def bust(self, data: st.DataObject) -> None:
        fills = self.model.unsettled_fills()
        chosen = data.draw(st.lists(st.sampled_from(range(len(fills))), min_size=1, max_size=3, unique=True))
        named = [fills[index] for index in chosen]
        assert self.exchange.run(Bust([fill.id for fill in named], "drill")) == Done()
        self.model.walk(named)
        self._compare_busts()

    def _compare_busts(self) -> None:
        busted = {event.id for event in self.exchange.history if isinstance(event, TradeBusted)}
        assert busted == {fill.id for fill in self.model.fills if fill.is_busted}

    @rule()
    def restore(self) -> None:
        data = self.exchange.core.snapshot()
        if self.twin is not None:
            assert self.twin.snapshot() == data
        self.twin = Core.restore(data)
        assert self.twin.snapshot() == data

    # What always holds

    @invariant()
    def books_are_equal_and_never_crossed(self) -> None:
        for market in (1, 2, 3):
            bids, asks = (self.exchange.core.depth(market, side, 100) for side in (0, 1))
            assert bids == self.model.depth(market, 0)
            assert asks == self.model.depth(market, 1)
            if bids and asks:
                assert bids[0][0] < asks[0][0]
            for side, levels in ((0, bids), (1, asks)):
                summed = {
                    price: lots for (m, s, price), lots in self.depth.items() if (m, s) == (market, side) and lots
                }
                assert summed == dict(levels)

    @invariant()
    def orders_are_equal(self) -> None:
        for account in ACCOUNTS:
            update = self.exchange.core.account_update(account)
            assert (update.epoch, update.is_bumping) == (self.model.epoch(account), self.model.is_bumping(account))
            actual = {live.order_hash: _facts(live) for live in self.exchange.core.open_orders(account)}
            expected = {
                one.hash: (one.filled, one.status) for one in self.model.open_orders() if one.order.account == account
            }
            assert actual == expected

    @invariant()
    def money_is_equal_and_conserved(self) -> None:
        totals: dict[int, int] = defaultdict(int)
        for pocket in self.model.pockets():
            balance = self.exchange.balance(*pocket)
            assert balance.settled == self.model.settled(pocket)
            assert balance.unsettled == self.model.unsettled(pocket)
            assert balance.reserved == self.model.reserved(pocket)
            assert balance.held == self.model.held(pocket)
            assert balance.settled >= 0
            assert balance.settled + balance.unsettled >= 0
            free = balance.settled + balance.unsettled - balance.reserved - balance.held
            assert free >= 0 or balance.reserved == 0
            totals[balance.asset] += balance.settled + balance.unsettled
        paid = [log for log in self.model.logs() if isinstance(log, WithdrawalSettled)]
        for asset, total in totals.items():
            credited = sum(log.amount for log in self.model.credited if log.asset == asset)
            assert total == credited - sum(log.paid for log in paid if log.asset == asset)

    @invariant()
    def settlement_agrees(self) -> None:
        status = self.exchange.core.status()
        assert status.diverged == ""
        assert status.unsettled_fills == len(self.model.unsettled_fills())
        assert status.pending_releases == len(self.model.items) - len(self.model.unsettled_fills())
        assert status.last_batch == self.batch


def _facts(live: LiveOrder) -> tuple[int, str]:
    return live.filled, live.status


CoreMachine.TestCase.settings = strategies.PROFILE
TestCore = CoreMachine.TestCase

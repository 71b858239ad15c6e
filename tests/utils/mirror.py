"""A core and the pure model of the contracts side by side: what the one matches, the other settles."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from offchain.batching import BatchLimits, plan_batch
from offchain.chain.batch import build_batch
from offchain.domain.actions import Action, ActionStatus, SignedCancel, SignedCancelAll
from offchain.domain.clearing import PositionState
from offchain.domain.commands import (
    ActionEnded,
    BatchClosed,
    BatchSettled,
    Bust,
    CancelApplied,
    ClearedPosition,
    ClearingChanged,
    Command,
    EpochBumped,
    FundingAccrual,
    PlaceOrder,
    RequestAction,
)
from offchain.domain.core import Core
from offchain.domain.events import Trade
from offchain.domain.ledger import ClearingMarket, KeyState, LedgerState
from offchain.domain.market import USDC, Kind, Market
from offchain.domain.oracle import PriceFeed, Round
from offchain.domain.order import Address
from offchain.domain.results import Done, PlaceResult, Result
from offchain.domain.settlement import settle
from offchain.ports import ItemRow, OrderRow, TradeRow
from offchain.rounds import rounds_of
from tests.utils.exchange import ENGINE, MAKER, OTHER, TAKER, Exchange, digest
from tests.utils.products import MAX_AGE, rules_of

ACCOUNTS = (MAKER, TAKER, OTHER)


class Mirror:
    """Orders are signed by their accounts' addresses: only the model looks at signatures here."""

    def __init__(self, *markets: Market, fee_bps: int = 50) -> None:
        self.exchange = Exchange(fee_bps=fee_bps)
        self.ledger = LedgerState(ENGINE, fee_bps, matched_at=self.now, clearinghouse=b"\xcc" * 20)
        self.markets = {market.id: market for market in markets}
        self.rows: dict[bytes, OrderRow] = {}
        self._before: tuple[int, LedgerState] | None = None
        self._twin: Core | None = None
        self.exchange.list_markets(*markets)
        for market in markets:
            self.list(market)

    @property
    def now(self) -> int:
        """Unix seconds."""
        return self.exchange.now_ms // 1000

    def list(self, market: Market) -> None:
        self.ledger.markets[market.id] = rules_of(market, derivative=market.derivative)

    # What happens to both ---------------------------------------------------------------------------------------------

    def deposit(self, account: Address, asset: int, amount: int) -> None:
        self.exchange.deposit(account, asset, amount)
        if asset == USDC:
            self.ledger.usdc[account] = self.ledger.usdc.get(account, 0) + amount
        else:
            self.ledger.base[account, asset] = self.ledger.base.get((account, asset), 0) + amount

    def tell_price(self, rate: int) -> None:
        """The oracle of cross-quoted markets answers `rate`, in micro-USDC per whole unit."""
        self.exchange.tell_price(rate)
        self._take_prices()

    def tell_index(self, index: int) -> None:
        """The oracle of perpetuals answers what makes this index, in micro-USDC per lot."""
        self.exchange.tell_index(index)
        self._take_prices()

    def accrue(self, market: int, step: int) -> None:
        """The funding index of a perpetual goes on by `step`, in micro-USDC per lot x 2^32."""
        cleared = self.ledger.clearing.get(market, ClearingMarket())
        after = replace(cleared, funding=cleared.funding + step, last_hour=cleared.last_hour + 1)
        self.ledger.clearing[market] = after
        accrual = FundingAccrual(market, after.last_hour, after.funding)
        log = ClearingChanged(digest("fund", after.last_hour), funding=[accrual])
        assert self.exchange.mine(log) == Done()

    def _take_prices(self) -> None:
        for oracle, price in self.exchange.core.prices.items():
            one = Round(price.round, price.price, price.updated_at)
            for market in self.markets.values():
                if market.oracle == oracle:
                    known = self.ledger.feeds[market.id].rounds if market.id in self.ledger.feeds else ()
                    rounds = known if known and known[-1].id == one.id else (*known, one)
                    self.ledger.feeds[market.id] = PriceFeed(rounds, MAX_AGE)

    # Trading ----------------------------------------------------------------------------------------------------------

    def place(self, account: Address, side: int, price: int, quantity: int, **how: Any) -> PlaceResult:
        """As `Exchange.place`, with everything that settlement needs kept."""
        options = {name: how.pop(name) for name in ("post_only", "self_trade") if name in how}
        return self.execute(
            self.exchange.command(self.exchange.order(account, side, price, quantity, **how), **options)
        )

    def execute(self, command: PlaceOrder) -> PlaceResult:
        signature = command.order.account.ljust(64, b"\0")
        row = OrderRow(command.order, command.order_hash, signature, "limit", False, "", None, "", 0, "", 0, 0, 0)
        self.rows.setdefault(command.order_hash, row)
        result = self.exchange.run(command)
        assert isinstance(result, PlaceResult)
        return result

    # Settlement -------------------------------------------------------------------------------------------------------

    def unsettled(self) -> list[ItemRow]:
        """Fills that are not on chain, as the settler sees them."""
        items = self.exchange.core._state.outbox.fills
        return [self._item(items[number].trade) for number in sorted(items)]

    def settle(self, limits: BatchLimits | None = None) -> BatchSettled:
        """Settle the next batch on both sides, and compare them. Raises SettlementError if the model refuses it."""
        items = plan_batch(self.unsettled(), limits or BatchLimits()).items
        trades = [item.trade for item in items if item.trade is not None]
        matched_at = max(trades[0].time_ms // 1000, self.ledger.matched_at)
        number = self.ledger.number + 1
        closed = self.exchange.run(BatchClosed(number, items[0].item, items[-1].item, matched_at))
        assert closed == Done(), closed
        rounds = {market: conversion.round for market, conversion in rounds_of(items).items()}
        batch = build_batch(number, matched_at, items, self.markets, rounds)
        result = settle(
            self.ledger,
            batch,
            self.now,
            lambda order: digest("order", order),
            lambda hashes: digest("array", *hashes),
            lambda _, signature: signature[:20],
        )
        assert list(result.fill_ids) == [trade.id for trade in trades]
        self._before = (self.exchange.head[0], copy.deepcopy(self.ledger))
        self.ledger.apply(result)
        log = BatchSettled(
            number,
            matched_at,
            [trade.id for trade in trades],
            digest("tx", number),
            10**6,
            [
                ClearedPosition(account, market, one.size, one.quote, one.funding)
                for (account, market), one in result.money.positions.items()
            ],
            [(market, one.pool) for market, one in result.money.clearing.items()],
        )
        assert self.exchange.mine(log) == Done()
        self.compare()
        return log

    def bust(self, choice: int) -> None:
        """Drop one of the unsettled fills, if there is any."""
        fills = self.unsettled()
        trade = fills[choice % len(fills)].trade if fills else None
        if trade is not None:
            assert self.exchange.run(Bust([trade.id], "drill")) == Done()

    # Cancels by signature ---------------------------------------------------------------------------------------------

    def ask_to_cancel(self, account: Address, choice: int) -> None:
        """Ask for a cancel on chain of one of the account's open orders, if there is any."""
        orders = self.exchange.core.open_orders(account)
        if orders:
            live = orders[choice % len(orders)]
            self._ask(account, SignedCancel(live.order, live.order_hash, bytes(64)))

    def ask_to_cancel_all(self, account: Address) -> None:
        self._ask(account, SignedCancelAll(self.exchange.core.account_update(account).epoch, bytes(64)))

    def _ask(self, account: Address, action: Action) -> None:
        self.exchange.run(RequestAction(digest("action", account, action), account, action, self.exchange.now_ms))

    def send_actions(self) -> None:
        """Bring to the chain what the core calls ready, as the worker does."""
        for due in self.exchange.core.due_actions():
            if not due.is_ready:
                continue
            log: CancelApplied | EpochBumped
            if isinstance(due.action, SignedCancel):
                order = due.action.order
                instrument = self.markets[order.market].instrument
                name = (due.account, instrument, order.key)
                if self.ledger.keys.get(name, KeyState()).sequence <= order.sequence:
                    self.ledger.keys[name] = KeyState(order.sequence + 1, 0)
                log = CancelApplied(due.account, instrument, order.key, order.sequence)
            else:
                assert isinstance(due.action, SignedCancelAll)
                self.ledger.epochs[due.account] = due.action.epoch + 1
                log = EpochBumped(due.account, due.action.epoch + 1)
            assert self.exchange.mine(log) == Done()
            assert self.exchange.run(ActionEnded(due.id, ActionStatus.SETTLED)) == Done()

    def restore(self) -> None:
        """From now on a core that was restored from a snapshot goes along, and must do the same."""
        data = self.exchange.core.snapshot()
        if self._twin is not None:
            assert self._twin.snapshot() == data
        self._twin = Core.restore(data)
        assert self._twin.snapshot() == data
        self.exchange.observe = self._compare_twin

    def _compare_twin(self, command: Command, result: Result) -> None:
        assert self._twin is not None
        assert self._twin.execute(command, self.exchange.now_ms) == (result, self.exchange.events)

    def reorganise(self) -> bool:
        """Undo the last block if it settled a batch; whether it did."""
        if self._before is None or self._before[0] != self.exchange.head[0] - 1:
            return False
        number, before = self._before
        before.feeds, self._before = self.ledger.feeds, None
        self.ledger = before
        assert self.exchange.roll_back(number) == Done()
        self.compare()
        return True

    def settle_all(self) -> None:
        while self.exchange.core.status().unsettled_fills:
            self.settle()

    def compare(self) -> None:
        """The core's settled balances are the model's."""
        assert self.exchange.core.status().diverged == ""
        for account in (*ACCOUNTS, ENGINE):
            assert self.exchange.balance(account, USDC).settled == self.ledger.usdc.get(account, 0)
            for asset in {market.base for market in self.markets.values()}:
                assert self.exchange.balance(account, asset).settled == self.ledger.base.get((account, asset), 0)
        for market in self.markets.values():
            if market.kind == Kind.SPOT:
                continue
            venue = self.exchange.core._state.markets[market.id]
            assert venue.clearing.pool == self.ledger.clearing.get(market.id, ClearingMarket()).pool
            for account in ACCOUNTS:
                stored = self.ledger.positions.get((account, market.id), PositionState())
                position = venue.positions.get(account)
                assert (position.settled.state if position is not None else PositionState()) == stored

    def _item(self, trade: Trade) -> ItemRow:
        row = TradeRow(
            item=trade.item,
            id=trade.id,
            market=trade.market,
            maker_hash=trade.maker_hash,
            taker_hash=trade.taker_hash,
            maker=trade.maker,
            taker=trade.taker,
            taker_side=trade.taker_side,
            price=trade.price,
            quantity=trade.quantity,
            maker_fee=trade.maker_fee,
            taker_fee=trade.taker_fee,
            time_ms=trade.time_ms,
            seq=trade.item,
            settlement="pending",
            batch=0,
            tx_hash=b"",
            conversion=trade.conversion,
        )
        return ItemRow(trade.item, row, self.rows[trade.maker_hash], self.rows[trade.taker_hash], None)

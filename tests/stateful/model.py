"""A naive exchange to compare the core with: lists, sorted and summed anew each time, and no optimisation at all.

It knows the rules of matching, replacing, settlement, withdrawals, reorganisations and busting, and answers what the
core should answer. It keeps the canonical blocks and derives everything on chain from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from offchain.domain.commands import (
    BatchSettled,
    ChainLog,
    Deposited,
    EpochBumped,
    PlaceOrder,
    WithdrawalCanceled,
    WithdrawalRequested,
    WithdrawalSettled,
)
from offchain.domain.market import USDC, Market
from offchain.domain.order import Address, Order, SelfTrade, TimeInForce
from tests.stateful.naive import Answer, History, NaiveFill, NaiveOrder, NaiveRelease, Pocket, take
from tests.utils.exchange import ENGINE


class Model(History):
    """All quantities are lots, prices micro-USDC per lot, amounts quanta."""

    def __init__(
        self, accounts: Sequence[Address], markets: Sequence[Market], fee_bps: int, confirmations: int
    ) -> None:
        super().__init__()
        self.accounts = sorted((*accounts, ENGINE))
        self.markets = {market.id: market for market in markets}
        self.fee_bps = fee_bps
        self.confirmations = confirmations
        self.orders: list[NaiveOrder] = []
        self.fills: list[NaiveFill] = []
        self.items: list[NaiveFill | NaiveRelease] = []
        self.credited: list[Deposited] = []
        self.latest: dict[tuple[Address, int], tuple[int, bytes, Answer]] = {}
        self.pinned: dict[tuple[Address, int], int] = {}
        self.clock = 0
        self.rate = 0
        """of cross-quoted markets now, micro-USDC per whole quote unit"""

    # Money ------------------------------------------------------------------------------------------------------------

    def effects(self, fill: NaiveFill) -> list[tuple[Pocket, int]]:
        market = self.markets[fill.maker.order.market]
        notional = _notional(fill.price * fill.quantity, fill.rate)
        fee = notional * self.fee_bps // 10_000
        buyer, seller = fill.maker.order.account, fill.taker.order.account
        if fill.taker.order.side == 0:
            buyer, seller = seller, buyer
        quanta = fill.quantity * market.lot_size
        return [
            ((buyer, USDC), -notional - fee),
            ((seller, market.base), -quanta),
            ((buyer, market.base), quanta),
            ((seller, USDC), notional - fee),
            ((ENGINE, USDC), 2 * fee),
        ]

    def settled(self, pocket: Pocket) -> int:
        total = sum(log.amount for log in self.credited if (log.account, log.asset) == pocket)
        for log in self.logs():
            if isinstance(log, WithdrawalSettled) and (log.account, log.asset) == pocket:
                total -= log.paid
        for fill in self.fills:
            if fill.batch is not None:
                total += sum(change for owner, change in self.effects(fill) if owner == pocket)
        return total

    def on_chain(self, pocket: Pocket) -> int:
        """What the contracts hold for the account, confirmed or not."""
        pending = [log for log in self.logs() if isinstance(log, Deposited) and log not in self.credited]
        return self.settled(pocket) + sum(log.amount for log in pending if (log.account, log.asset) == pocket)

    def unsettled(self, pocket: Pocket) -> int:
        return sum(
            change
            for fill in self.fills
            if fill.batch is None and not fill.is_busted
            for owner, change in self.effects(fill)
            if owner == pocket
        )

    def held(self, pocket: Pocket) -> int:
        return sum(log.amount for log in self.requests().values() if (log.account, log.asset) == pocket)

    def reservation(self, order: Order, lots: int) -> tuple[Pocket, int]:
        market = self.markets[order.market]
        if order.side:
            return (order.account, market.base), lots * market.lot_size
        notional = order.price * lots
        if order.conversion_limit:
            notional = (notional * order.conversion_limit + 10**12 - 1) // 10**12
        return (order.account, USDC), notional + (notional * self.fee_bps + 9_999) // 10_000

    def reserved(self, pocket: Pocket) -> int:
        reservations = [self.reservation(one.order, one.remaining) for one in self.open_orders()]
        return sum(amount for owner, amount in reservations if owner == pocket)

    def free(self, pocket: Pocket) -> int:
        return self.settled(pocket) + self.unsettled(pocket) - self.reserved(pocket) - self.held(pocket)

    def pockets(self) -> list[Pocket]:
        assets = [USDC, *sorted({market.base for market in self.markets.values()})]
        return [(account, asset) for account in self.accounts for asset in assets]

    # Orders -----------------------------------------------------------------------------------------------------------

    def is_beyond(self, order: Order) -> bool:
        """Whether an order of a cross-quoted market does not accept the rate."""
        limit = order.conversion_limit
        return limit > 0 and (self.rate < limit if order.side else self.rate > limit)

    def open_orders(self) -> list[NaiveOrder]:
        return [one for one in self.orders if one.is_open]

    def queue(self, market: int, side: int) -> list[NaiveOrder]:
        """Open orders of one side, in the order in which they are matched."""
        found = [one for one in self.open_orders() if (one.order.market, one.order.side) == (market, side)]
        return sorted(found, key=lambda one: (one.order.price if side else -one.order.price, one.rank))

    def depth(self, market: int, side: int) -> list[tuple[int, int]]:
        levels = groupby(self.queue(market, side), key=lambda one: one.order.price)
        return [(price, sum(one.remaining for one in level)) for price, level in levels]

    def working(self, account: Address, key: int) -> NaiveOrder | None:
        found = [one for one in self.open_orders() if (one.order.account, one.order.key) == (account, key)]
        assert len(found) <= 1
        return found[0] if found else None

    def place(self, command: PlaceOrder, now_ms: int) -> Answer:
        order = command.order
        name = (order.account, order.key)
        if name in self.latest:
            sequence, known, answer = self.latest[name]
            if known == command.order_hash:
                return answer
            if order.sequence <= sequence:
                return Answer("rejected", rejection="nonceReused" if order.sequence == sequence else "staleNonce")
        if order.sequence <= self._ended(order):
            return Answer("rejected", rejection="staleNonce")
        answer = self._execute(command, now_ms)
        self.latest[name] = (order.sequence, command.order_hash, answer)
        return answer

    def _execute(self, command: PlaceOrder, now_ms: int) -> Answer:
        order = command.order
        name = (order.account, order.key)
        if self.is_bumping(order.account):
            return Answer("rejected", rejection="epochBumpPending")
        if order.epoch != self.epoch(order.account):
            return Answer("rejected", rejection="staleEpoch")
        if self.is_beyond(order):
            return Answer("rejected", rejection="conversionLimitExceeded")
        old = self.working(*name)
        if self.pinned.get(name, order.market) != order.market:
            return Answer("rejected", rejection="nonceKeyMarket")
        if command.expect_filled is not None and (old is None or old.filled != command.expect_filled):
            return Answer("rejected", rejection="expectFilledMismatch")

        crossing = [
            one
            for one in self.queue(order.market, 1 - order.side)
            if one is not old and (one.order.price >= order.price if order.side else one.order.price <= order.price)
        ]
        living = [one for one in crossing if not one.is_dead(now_ms) and not self.is_beyond(one.order)]
        if command.post_only and living:
            return Answer("rejected", rejection="postOnlyWouldCross")
        offers, met_own = [], False
        for one in living:
            if one.order.account == order.account:
                if command.self_trade is not SelfTrade.EXPIRE_MAKER:
                    met_own = True
                    break
            else:
                offers.append(one)
        is_fok = order.time_in_force == TimeInForce.FOK
        if is_fok and sum(one.remaining for one in offers) < order.quantity:
            self._end(old, "canceled")
            self.pinned[name] = order.market
            return Answer("canceled", code="fokUnfilled")

        taken = [(one, lots) for one, lots in take(offers, order.quantity) if lots]
        left = order.quantity - sum(lots for _, lots in taken)
        rests = order.time_in_force <= TimeInForce.GTD and left > 0 and not met_own
        if not self._covers(order, taken, left if rests else 0, old):
            return Answer("rejected", rejection="insufficientBalance")
        self.pinned[name] = order.market
        return self._trade(command, now_ms, taken, crossing, left, rests, met_own and left > 0, old)

    def _covers(self, order: Order, taken: list[tuple[NaiveOrder, int]], resting: int, old: NaiveOrder | None) -> bool:
        pocket, need = self.reservation(order, resting)
        for one, lots in taken:
            notional = _notional(one.order.price * lots, self.rate if order.conversion_limit else None)
            fee = notional * self.fee_bps // 10_000
            need += lots * self.markets[order.market].lot_size if order.side else notional + fee
        free = self.free(pocket)
        if old is not None:
            owner, amount = self.reservation(old.order, old.remaining)
            free += amount if owner == pocket else 0
        return need <= max(0, free)

    def _trade(
        self,
        command: PlaceOrder,
        now_ms: int,
        taken: list[tuple[NaiveOrder, int]],
        crossing: list[NaiveOrder],
        left: int,
        rests: bool,
        is_stopped: bool,
        old: NaiveOrder | None,
    ) -> Answer:
        order = command.order
        self.clock += 1
        rank = (self.clock, 0)
        if (
            rests
            and not taken
            and old is not None
            and (old.order.side, old.order.price) == (order.side, order.price)
            and order.quantity <= old.remaining
        ):
            rank = old.rank
        self._end(old, "canceled")
        taker = NaiveOrder(command.order_hash, order, rank, self.clock)
        self.orders.append(taker)
        self._pass_by(command, now_ms, crossing, order.quantity)
        for one, lots in taken:
            fill = NaiveFill(one, taker, one.order.price, lots, rate=self.rate if order.conversion_limit else None)
            self.fills.append(fill)
            self.items.append(fill)
            one.filled += lots
            taker.filled += lots
            one.status = "partiallyFilled" if one.remaining else "filled"
        answer = Answer("", taker.filled, [(one.order.price, lots) for one, lots in taken])
        if not left:
            answer.status = "filled"
        elif rests:
            answer.status = "partiallyFilled" if taken else "open"
        else:
            answer.status, answer.code = "canceled", "selfTrade" if is_stopped else "iocRemainder"
        taker.status = answer.status
        return answer

    def _pass_by(self, command: PlaceOrder, now_ms: int, crossing: list[NaiveOrder], wanted: int) -> None:
        """End what the taker meets without trading, before it is filled."""
        for one in crossing:
            if not wanted:
                return
            if one.is_dead(now_ms):
                one.status = "expired"
            elif self.is_beyond(one.order):
                one.status = "canceled"
            elif one.order.account != command.order.account:
                wanted -= min(wanted, one.remaining)
            elif command.self_trade is SelfTrade.EXPIRE_TAKER:
                return
            else:
                one.status = "canceled"
                if command.self_trade is SelfTrade.EXPIRE_BOTH:
                    return

    @staticmethod
    def _end(one: NaiveOrder | None, status: str) -> None:
        if one is not None:
            one.status = status

    def cancel(self, account: Address, order_hash: bytes) -> str:
        """ "" or why not."""
        for one in self.open_orders():
            if one.hash == order_hash:
                if one.order.account != account:
                    return "notOwner"
                one.status = "canceled"
                return ""
        for (owner, _), (_, known, _) in self.latest.items():
            if known == order_hash:
                return "orderNotOpen" if owner == account else "notOwner"
        return "unknownOrder"

    def tick(self, now_ms: int) -> None:
        for one in self.open_orders():
            if one.is_dead(now_ms):
                one.status = "expired"

    # What traders do on chain -----------------------------------------------------------------------------------------

    def _ended(self, order: Order) -> int:
        return self.ended(order.account, self.markets[order.market].instrument, order.key)

    def _end_on_chain(self) -> None:
        for one in self.open_orders():
            account = one.order.account
            is_ended = one.order.sequence <= self._ended(one.order) or one.order.epoch != self.epoch(account)
            if is_ended or self.is_bumping(account):
                one.status = "canceled"

    # Chain ------------------------------------------------------------------------------------------------------------

    def unsettled_fills(self) -> list[NaiveFill]:
        return [item for item in self.items if isinstance(item, NaiveFill)]

    def mine(self, number: int, log: ChainLog | None) -> None:
        self.blocks.append((number, [log] if log is not None else []))
        self._end_on_chain()
        match log:
            case WithdrawalRequested() | WithdrawalCanceled():
                self._drop_stale_releases()
                self._fit()
            case WithdrawalSettled():
                self._drop_stale_releases()
                self._credit_early((log.account, log.asset))
            case BatchSettled():
                for fill in self.unsettled_fills()[: len(log.fill_ids)]:
                    fill.batch = log.number
                    self.items.remove(fill)
        bound = number - self.confirmations + 1
        if bound > self.confirmed:
            self.confirmed = bound
        for block, logs in self.blocks:
            if block <= self.confirmed:
                self.credited += [one for one in logs if isinstance(one, Deposited) and one not in self.credited]
        self._release()
        if isinstance(log, WithdrawalSettled) and log.paid:
            self.walk([])
            self._fit()

    def roll_back(self, number: int) -> None:
        gone = [log for block, logs in self.blocks if block > number for log in logs]
        self.blocks = [one for one in self.blocks if one[0] <= number]
        self.confirmed = min(self.confirmed, number)
        is_lost = any(log in self.credited for log in gone if isinstance(log, Deposited))
        self.credited = [log for log in self.credited if log not in gone]
        batches = [log.number for log in gone if isinstance(log, BatchSettled)]
        back = [fill for fill in self.fills if fill.batch in batches]
        for fill in back:
            fill.batch = None
        self.items = [*back, *self.items]
        self._drop_stale_releases()
        bumped = {log.account for log in gone if isinstance(log, EpochBumped)}
        orphans = [
            fill
            for fill in self.unsettled_fills()
            for one in (fill.maker, fill.taker)
            if one.order.account in bumped and one.order.epoch != self.epoch(one.order.account)
        ]
        self._end_on_chain()
        if is_lost or orphans:
            self.walk(orphans)
        self._fit()
        self._release()

    def _credit_early(self, pocket: Pocket) -> None:
        pending = [log for log in self.logs() if isinstance(log, Deposited) and log not in self.credited]
        for log in pending:
            if self.settled(pocket) >= 0 and self.settled(pocket) + self.unsettled(pocket) >= 0:
                return
            if (log.account, log.asset) == pocket:
                self.credited.append(log)

    def _drop_stale_releases(self) -> None:
        requests = list(self.requests().values())
        self.items = [item for item in self.items if isinstance(item, NaiveFill) or item.request in requests]

    def _release(self) -> None:
        released = [item.request for item in self.items if isinstance(item, NaiveRelease)]
        confirmed = [log for block, logs in self.blocks for log in logs if block <= self.confirmed]
        for request in self.requests().values():
            if request.kind != 1 and request in confirmed and request not in released:
                self.items.append(NaiveRelease(request))

    def _fit(self) -> None:
        """Cancel the newest orders of every pocket that is overdrawn."""
        for pocket in self.pockets():
            while self.free(pocket) < 0:
                drawing = [one for one in self.open_orders() if self.reservation(one.order, 1)[0] == pocket]
                if not drawing:
                    break
                max(drawing, key=lambda one: one.accepted).status = "canceled"

    # Busting ----------------------------------------------------------------------------------------------------------

    def walk(self, named: list[NaiveFill]) -> list[NaiveFill]:
        """Drop what cannot settle; the dropped fills."""
        replayed = {pocket: self.settled(pocket) for pocket in self.pockets()}
        tainted: list[NaiveOrder] = []
        dropped: list[NaiveFill] = []
        seen: list[NaiveFill] = []
        for item in self.items:
            if isinstance(item, NaiveRelease):
                pocket = (item.request.account, item.request.asset)
                replayed[pocket] -= min(replayed[pocket], item.request.amount)
                continue
            if item in seen:
                continue
            group = [item]
            if item.taker.order.time_in_force == TimeInForce.FOK:
                group = [fill for fill in self.unsettled_fills() if fill.taker is item.taker]
            seen += group
            after = dict(replayed)
            applies = True
            for fill in group:
                for pocket, change in self.effects(fill):
                    after[pocket] = after.get(pocket, 0) + change
                    applies = applies and after[pocket] >= 0
            if applies and not any(f in named or f.maker in tainted or f.taker in tainted for f in group):
                replayed = after
            else:
                dropped += group
                tainted += [one for fill in group for one in (fill.maker, fill.taker)]
        return self._drop(dropped, tainted)

    def _drop(self, dropped: list[NaiveFill], tainted: list[NaiveOrder]) -> list[NaiveFill]:
        for fill in dropped:
            fill.is_busted = True
            self.items.remove(fill)
            fill.maker.filled -= fill.quantity
            fill.taker.filled -= fill.quantity
        for one in tainted:
            if one.is_open or one.status == "filled":
                one.status = "canceled"
        self._fit()
        return dropped


def _notional(amount: int, rate: int | None) -> int:
    return amount if rate is None else amount * rate // 10**12

"""Random settlement batches of all four products.

Works on a model's `LedgerState` alone, so that the same batches go to the model and to the Engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import msgspec

from offchain.chain import eip712
from offchain.chain.batch import build_batch
from offchain.domain.batch import NOTHING_SIGNED, RESERVED_KEY, Batch, SettlementError
from offchain.domain.clearing import PositionState, accrue
from offchain.domain.clearinghouse import MARGINED
from offchain.domain.ledger import (
    FUND,
    ClearingMarket,
    ClearingStatus,
    KeyState,
    LedgerState,
    NonceKey,
    SettlementResult,
)
from offchain.domain.liquidation import forcing_reason
from offchain.domain.market import Kind, Market
from offchain.domain.oracle import conversion_rate_down
from offchain.domain.order import NO_EXPIRY, Address, Order, Side, TimeInForce
from offchain.domain.settlement import settle
from offchain.ports import ItemRow, OrderRow
from tests.utils.signing import Trader, create_item, create_order_row

NONCE_KEYS = (0, 1, 2, 3, 4, 5, 2**31, 2**32 - 2, RESERVED_KEY)
"""Key 0 lies beside the balance; of the others two and two share a word."""


def signer_of(domain: eip712.Domain) -> Callable[[bytes, bytes], Address | None]:
    return lambda struct_hash, signature: eip712.recover(eip712.order_digest(domain, struct_hash), signature)


def settle_model(state: LedgerState, batch: Batch, now: int, domain: eip712.Domain) -> SettlementResult:
    return settle(state, batch, now, eip712.order_hash, eip712.array_hash, signer_of(domain))


@dataclass
class LiveOrder:
    trader: Trader | None
    """None: a forced order"""
    row: OrderRow
    filled: int
    signer: Trader | None = None
    """the delegate that signed it, or the trader"""

    @property
    def remaining(self) -> int:
        return self.row.order.quantity - self.filled


@dataclass
class BatchFactory:
    """Makes valid batches one after the other; `state` must be kept up to date with what was settled.

    What a fill does to margins and pools is not foreseen: a group of fills that the model refuses is left out.
    """

    domain: eip712.Domain
    state: LedgerState
    traders: Sequence[Trader]
    markets: Mapping[int, Market]
    random: Random
    delegates: Mapping[Address, Trader] = field(default_factory=dict)
    """who may sign for an account"""
    resting: list[LiveOrder] = field(default_factory=list)

    # Batches ----------------------------------------------------------------------------------------------------------

    def create_items(self, now: int, groups: int, matched_at: int | None = None) -> list[ItemRow]:
        """Fills of `groups` takers, or fewer where the model refuses some of derivatives."""
        matched_at = now if matched_at is None else matched_at
        self._acted: dict[NonceKey, int] = {}
        items: list[ItemRow] = []
        for _ in range(groups):
            market = self.markets[self.random.choice(self._tradable(now))]
            wanted = [each for each in self._tradable(now) if self._due(self.markets[each], now, matched_at)]
            if wanted and self.random.random() < 0.3:
                self._try_group(self._add_forced, items, self.markets[self.random.choice(wanted)], now, matched_at)
            elif market.kind == Kind.SPOT:
                self._add_group(items, market, now, matched_at)
            else:
                self._try_group(self._add_group, items, market, now, matched_at)
        if not items:
            self._add_group(items, self.markets[min(self._tradable(now))], now, matched_at)
        return items

    def create_batch(self, now: int, groups: int) -> Batch:
        matched_at = max(self.state.matched_at, now - self.random.randrange(60))
        items = self.create_items(now, groups, matched_at)
        return self._build(items, matched_at)

    def _build(self, items: Sequence[ItemRow], matched_at: int) -> Batch:
        forced = {row.order.market for item in items for row in (item.maker, item.taker) if row and row.forced}
        traded = {item.trade.market for item in items if item.trade}
        rounds = {market: self._round(market, matched_at) for market in traded if self._needs_round(market, forced)}
        return build_batch(self.state.number + 1, matched_at, items, self.markets, rounds)

    def _needs_round(self, market: int, forced: set[int]) -> bool:
        return market in forced or self.state.markets[market].is_cross_quoted

    def _round(self, market: int, matched_at: int) -> int:
        """A round that held at the match time."""
        rounds = self.state.feeds[market].rounds
        held = [each for each in rounds if each.updated_at <= matched_at]
        return held[-1].id if held else rounds[0].id

    def _tradable(self, now: int) -> list[int]:
        return sorted(
            market
            for market, rules in self.state.markets.items()
            if market in self.markets
            and (
                rules.derivative is None
                or (
                    not 0 < rules.derivative.expiry <= now
                    and (market not in self.state.clearing or self.state.clearing[market].status == ClearingStatus.OPEN)
                )
            )
        )

    # Groups -----------------------------------------------------------------------------------------------------------

    def _try_group(
        self,
        add: Callable[[list[ItemRow], Market, int, int], None],
        items: list[ItemRow],
        market: Market,
        now: int,
        matched_at: int,
    ) -> None:
        """Add a group that the model accepts after the others, or none."""
        count = len(items)
        resting, acted = list(self.resting), dict(self._acted)
        filled = [(live, live.filled) for live in self.resting]
        add(items, market, now, matched_at)
        try:
            settle_model(self.state, self._build(items, matched_at), now, self.domain)
        except (SettlementError, ValueError):
            del items[count:]
            self.resting, self._acted = resting, acted
            for live, before in filled:
                live.filled = before

    def _add_group(self, items: list[ItemRow], market: Market, now: int, matched_at: int) -> None:
        """One taker with one fill, or an IOC or FOK with up to three."""
        maker_side = self.random.choice((Side.BUY, Side.SELL))
        tif = TimeInForce(self.random.randrange(4))
        count = self.random.randint(1, 3) if tif >= TimeInForce.IOC else 1
        taker_trader, *others = self.random.sample(list(self.traders), len(self.traders))
        makers = [self._maker(market, maker_side, others, now, matched_at) for _ in range(count)]
        makers = list({live.row.order_hash: live for live in makers}.values())
        quantities = [self.random.randint(1, live.remaining) for live in makers]
        spare = 0 if tif == TimeInForce.FOK else self.random.choice((0, 0, 7))
        prices = [live.row.order.price for live in makers]
        limit = min(prices) if maker_side == Side.BUY else max(prices)
        taker = self._create(taker_trader, market, 1 - maker_side, tif, limit, sum(quantities) + spare, now, matched_at)
        self._add_fills(items, makers, taker, quantities)
        if tif < TimeInForce.IOC:
            self.resting.append(taker)
        self.resting = [live for live in self.resting if live.remaining]

    def _add_forced(self, items: list[ItemRow], market: Market, now: int, matched_at: int) -> None:
        """The protocol closes a position that is due, at a price near the index."""
        account = self.random.choice(self._due(market, now, matched_at))
        size = self.state.positions[account, market.id].size
        maker_side = Side.BUY if size > 0 else Side.SELL
        makers = [trader for trader in self.traders if trader.address != account]
        maker = self._maker(market, maker_side, makers, now, matched_at)
        quantity = self.random.randint(1, max(1, min(maker.remaining, abs(size))))
        stored = self.state.keys.get((account, market.id, RESERVED_KEY), KeyState())
        order = Order(
            account,
            market.id,
            1 - maker_side,
            TimeInForce.IOC,
            True,
            maker.row.order.price,
            quantity,
            RESERVED_KEY << 32 | stored.sequence,
            NOTHING_SIGNED,
            now + 10,
            0,
        )
        row = create_order_row(self.traders[0], order, self.domain)
        row = msgspec.structs.replace(row, signature=b"", forced=True)
        self._add_fills(items, [maker], LiveOrder(None, row, 0), [quantity])

    def _due(self, market: Market, now: int, matched_at: int) -> list[Address]:
        """Who may be traded for without a signature."""
        rules = self.state.markets[market.id]
        if rules.kind not in MARGINED or rules.derivative is None:
            return []
        rounds = self.state.feeds[market.id].rounds
        index = rules.index_of(next(each.price for each in rounds if each.id == self._round(market.id, matched_at)))
        margin_bps = rules.derivative.maintenance_margin_bps
        funding = self.state.clearing.get(market.id, ClearingMarket()).funding
        return [
            account
            for (account, held), position in sorted(self.state.positions.items())
            if held == market.id
            and position.size
            and forcing_reason(
                accrue(position, funding),
                index,
                margin_bps,
                account == FUND,
                self.state.wants_exit((account, market.id), now),
            )
        ]

    def _add_fills(
        self, items: list[ItemRow], makers: Sequence[LiveOrder], taker: LiveOrder, quantities: Sequence[int]
    ) -> None:
        for maker, quantity in zip(makers, quantities, strict=True):
            items.append(create_item(len(items) + 1, maker.row, taker.row, quantity))
            maker.filled += quantity
            taker.filled += quantity

    # Orders -----------------------------------------------------------------------------------------------------------

    def _maker(self, market: Market, side: int, traders: Sequence[Trader], now: int, matched_at: int) -> LiveOrder:
        rate = self._rate(market, matched_at)
        fitting = [
            live
            for live in self.resting
            if (live.row.order.market, live.row.order.side) == (market.id, side)
            and live.trader is not None
            and live.trader in traders
            and live.row.order.expiry >= now
            and live.remaining
            and not _is_limit_exceeded(live.row.order, rate)
            and live.signer in self._signers(live.trader, now)
        ]
        if fitting and self.random.random() < 0.6:
            chosen = self.random.choice(fitting)
            order = chosen.row.order
            self._acted[order.account, market.instrument, order.key] = order.sequence
            return chosen
        tif = self.random.choice((TimeInForce.GTC, TimeInForce.GTD))
        trader, quantity = self.random.choice(traders), self.random.randint(1, 50)
        live = self._create(trader, market, side, tif, self._price(market, now), quantity, now, matched_at)
        self.resting.append(live)
        return live

    def _price(self, market: Market, now: int) -> int:
        """On a tick: anything in spot, near the index in perpetuals and futures, a premium of an option."""
        tick = market.tick_per_lot
        derivative = self.state.markets[market.id].derivative
        if derivative is None:
            return tick * self.random.randint(1, 1_000)
        if market.kind == Kind.OPTION:
            return tick * self.random.randint(1, max(1, derivative.collateral // tick // 3))
        index = self.state.markets[market.id].index_of(self.state.feeds[market.id].rounds[-1].price)
        return max(tick, index * self.random.randint(9_850, 10_150) // 10_000 // tick * tick)

    def _rate(self, market: Market, matched_at: int) -> int:
        """Micro-USDC per whole quote unit of a cross-quoted market, else 0."""
        if not self.state.markets[market.id].is_cross_quoted:
            return 0
        round_id = self._round(market.id, matched_at)
        price = next(each.price for each in self.state.feeds[market.id].rounds if each.id == round_id)
        return conversion_rate_down(price)

    def _create(
        self,
        trader: Trader,
        market: Market,
        side: int,
        tif: TimeInForce,
        price: int,
        quantity: int,
        now: int,
        matched_at: int,
    ) -> LiveOrder:
        """A signed order; sometimes signed with others, which rest, and sometimes by the account's delegate."""
        others: list[Order] = []
        if self.random.random() < 0.25:
            for _ in range(self.random.choice((1, 1, 2, 9))):
                other = self.markets[self.random.choice(self._tradable(now))]
                terms = (self.random.randrange(2), TimeInForce.GTC, self._price(other, now), self.random.randint(1, 50))
                others.append(self._order(trader, other, *terms, now, matched_at)[0])
        order, filled = self._order(trader, market, side, tif, price, quantity, now, matched_at)
        signer = self.random.choice(self._signers(trader, now))
        at = self.random.randint(0, len(others))
        rows = self._sign(signer, [*others[:at], order, *others[at:]])
        row = rows.pop(at)
        self.resting += [LiveOrder(trader, other, 0, signer) for other in rows if self._is_fresh(other.order)]
        return LiveOrder(trader, row, filled, signer)

    def _signers(self, trader: Trader, now: int) -> list[Trader]:
        """Whose signatures count for a trader: also its delegate's, as long as it is one."""
        delegate = self.delegates.get(trader.address)
        if delegate is None or self.state.delegates.get((trader.address, delegate.address), 0) < now:
            return [trader]
        return [trader, delegate]

    def _is_fresh(self, order: Order) -> bool:
        """Whether nothing is filled under its nonce and no other order has replaced it."""
        nonce_key = (order.account, self.markets[order.market].instrument, order.key)
        stored = self.state.keys.get(nonce_key, KeyState())
        return self._acted[nonce_key] == order.sequence and stored.sequence < order.sequence

    def _sign(self, signer: Trader, orders: Sequence[Order]) -> list[OrderRow]:
        rows = [create_order_row(signer, order, self.domain) for order in orders]
        if len(rows) == 1:
            return rows
        hashes = tuple(row.order_hash for row in rows)
        digest = eip712.order_digest(self.domain, eip712.array_hash(hashes))
        signature = eip712.sign(digest, signer.private_key)
        return [msgspec.structs.replace(row, signature=signature, array=hashes) for row in rows]

    def _order(
        self,
        trader: Trader,
        market: Market,
        side: int,
        tif: TimeInForce,
        price: int,
        quantity: int,
        now: int,
        matched_at: int,
    ) -> tuple[Order, int]:
        """An order under a nonce that may act now, and what is filled of it; older ones of its key do not rest any
        more."""
        is_derivative = market.kind != Kind.SPOT
        key = self.random.choice(NONCE_KEYS[:-1] if is_derivative else NONCE_KEYS)
        nonce_key = (trader.address, market.instrument, key)
        stored = self.state.keys.get(nonce_key, KeyState())
        filled = 0
        if nonce_key in self._acted:
            sequence = self._acted[nonce_key] + self.random.choice((1, 2, 9))
        elif stored.sequence and self.random.random() < 0.2:
            # Other contents under the stored nonce go on from what is filled of it.
            sequence, filled = stored.sequence, stored.filled
        else:
            sequence = stored.sequence + self.random.choice((1, 1, 2, 1_000))
        self._acted[nonce_key] = sequence
        fee_bps = self.state.fee_at(matched_at)
        order = Order(
            trader.address,
            market.id,
            side,
            tif,
            is_derivative and self._reduces(trader, market, side, quantity) and self.random.random() < 0.7,
            price,
            quantity + filled,
            key << 32 | sequence,
            self.state.epochs.get(trader.address, 0),
            NO_EXPIRY if tif == TimeInForce.GTC else now + self.random.randrange(10_000),
            max(self.random.choice((fee_bps, 50, 2**16 - 1)), fee_bps),
            self._limit(self._rate(market, matched_at), side),
        )
        self.resting = [
            live
            for live in self.resting
            if (live.row.order.account, self.markets[live.row.order.market].instrument, live.row.order.key) != nonce_key
        ]
        return order, filled

    def _reduces(self, trader: Trader, market: Market, side: int, quantity: int) -> bool:
        size = self.state.positions.get((trader.address, market.id), PositionState()).size
        return (size < 0) == (side == Side.BUY) and abs(size) >= quantity

    def _limit(self, rate: int, side: int) -> int:
        """A conversion limit that `rate` satisfies; 0 where none is signed."""
        if not rate:
            return 0
        spare = self.random.choice((0, 1, rate // 10))
        return rate + spare if side == Side.BUY else max(1, rate - spare)


def _is_limit_exceeded(order: Order, rate: int) -> bool:
    if not rate:
        return False
    return rate > order.conversion_limit if order.side == Side.BUY else rate < order.conversion_limit

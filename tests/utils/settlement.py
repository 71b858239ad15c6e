"""Random settlement batches: valid ones, and ones that are wrong in one place.

Works on a model's `LedgerState` alone, so that the same batches go to the model and to the Engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from offchain.chain import eip712
from offchain.chain.batch import build_batch
from offchain.domain.batch import (
    Batch,
    FillEntry,
    GroupEntry,
    MarketEntry,
)
from offchain.domain.ledger import KeyState, LedgerState, MarketRules, NonceKey, SettlementResult
from offchain.domain.market import Market
from offchain.domain.order import LAST_SEQUENCE, NO_EXPIRY, Address, Order, OrderHash, Side, TimeInForce
from offchain.domain.settlement import settle
from offchain.ports import ItemRow, OrderRow
from tests.utils.signing import Trader, create_item, create_order_row

NONCE_KEYS = (0, 1, 2, 3, 4, 5, 2**31, 2**32 - 2, 2**32 - 1)
"""Key 0 lies beside the balance; of the others two and two share a word."""


def rules_of(market: Market, status: int = 1, status_at: int = 0) -> MarketRules:
    return MarketRules(
        market.instrument,
        market.kind,
        status,
        status_at,
        market.max_price_per_lot,
        market.max_quantity,
        market.tick_per_lot,
        market.lot_size,
    )


def signer_of(domain: eip712.Domain) -> Callable[[OrderHash, bytes], Address | None]:
    return lambda order_hash, signature: eip712.recover(eip712.order_digest(domain, order_hash), signature)


def settle_model(state: LedgerState, batch: Batch, now: int, domain: eip712.Domain) -> SettlementResult:
    return settle(state, batch, now, eip712.order_hash, eip712.array_hash, signer_of(domain))


@dataclass
class LiveOrder:
    trader: Trader
    row: OrderRow
    filled: int

    @property
    def remaining(self) -> int:
        return self.row.order.quantity - self.filled


@dataclass
class BatchFactory:
    """Makes valid batches one after the other; `state` must be kept up to date with what was settled."""

    domain: eip712.Domain
    state: LedgerState
    traders: Sequence[Trader]
    markets: Mapping[int, Market]
    random: Random
    resting: list[LiveOrder] = field(default_factory=list)

    def create_items(self, now: int, groups: int) -> list[ItemRow]:
        """Fills of `groups` takers."""
        self._acted: dict[NonceKey, int] = {}
        items: list[ItemRow] = []
        for _ in range(groups):
            self._add_group(items, now)
        return items

    def create_batch(self, now: int, groups: int) -> Batch:
        items = self.create_items(now, groups)
        matched_at = max(self.state.matched_at, now - self.random.randrange(60))
        return build_batch(self.state.number + 1, matched_at, items, self.markets)

    def _add_group(self, items: list[ItemRow], now: int) -> None:
        """One taker with one fill, or an IOC or FOK with up to three."""
        market = self.markets[self.random.choice(sorted(self.markets))]
        maker_side = self.random.choice((Side.BUY, Side.SELL))
        tif = TimeInForce(self.random.randrange(4))
        count = self.random.randint(1, 3) if tif >= TimeInForce.IOC else 1
        taker_trader, *others = self.random.sample(list(self.traders), len(self.traders))
        makers = [self._maker(market, maker_side, others, now) for _ in range(count)]
        makers = list({live.row.order_hash: live for live in makers}.values())
        prices = [live.row.order.price for live in makers]
        limit = min(prices) if maker_side == Side.BUY else max(prices)
        quantities = [self.random.randint(1, live.remaining) for live in makers]
        spare = 0 if tif == TimeInForce.FOK else self.random.choice((0, 0, 7))
        taker = self._create(taker_trader, market, 1 - maker_side, tif, limit, sum(quantities) + spare, now)
        for maker, quantity in zip(makers, quantities, strict=True):
            items.append(create_item(len(items) + 1, maker.row, taker.row, quantity))
            maker.filled += quantity
            taker.filled += quantity
        if tif < TimeInForce.IOC:
            self.resting.append(taker)
        self.resting = [live for live in self.resting if live.remaining]

    def _maker(self, market: Market, side: int, traders: Sequence[Trader], now: int) -> LiveOrder:
        fitting = [
            live
            for live in self.resting
            if (live.row.order.market, live.row.order.side) == (market.id, side)
            and live.trader in traders
            and live.row.order.expiry >= now
        ]
        if fitting and self.random.random() < 0.6:
            chosen = self.random.choice(fitting)
            order = chosen.row.order
            self._acted[order.account, market.instrument, order.key] = order.sequence
            return chosen
        tif = self.random.choice((TimeInForce.GTC, TimeInForce.GTD))
        price = market.tick_per_lot * self.random.randint(1, 1_000)
        live = self._create(self.random.choice(traders), market, side, tif, price, self.random.randint(1, 50), now)
        self.resting.append(live)
        return live

    def _create(
        self,
        trader: Trader,
        market: Market,
        side: int,
        tif: TimeInForce,
        price: int,
        quantity: int,
        now: int,
    ) -> LiveOrder:
        """A signed order under a nonce that may act now; older orders of its key do not rest any more."""
        key = self.random.choice(NONCE_KEYS)
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
        expiry = NO_EXPIRY if tif == TimeInForce.GTC else now + self.random.randrange(10_000)
        fee = self.random.choice((self.state.fee_bps, 50, 2**16 - 1))
        order = Order(
            trader.address,
            market.id,
            side,
            tif,
            False,
            price,
            quantity + filled,
            key << 32 | sequence,
            self.state.epochs.get(trader.address, 0),
            expiry,
            max(fee, self.state.fee_bps),
        )
        self.resting = [
            live
            for live in self.resting
            if (live.trader.address, self.markets[live.row.order.market].instrument, live.row.order.key) != nonce_key
        ]
        return LiveOrder(trader, create_order_row(trader, order, self.domain), filled)


# ---------------------------------------------------------------------------------------------------------------------
# Batches that are wrong in one place
# ---------------------------------------------------------------------------------------------------------------------

U16, U32, U40, U48, U56 = (2**bits - 1 for bits in (16, 32, 40, 48, 56))


@dataclass
class Mutator:
    """Changes one thing of a batch, which may happen to leave it valid."""

    domain: eip712.Domain
    traders: Sequence[Trader]
    markets: Mapping[int, Market]
    random: Random

    def mutate(self, batch: Batch, now: int) -> Batch:
        table = self.random.choice(
            ("header", "table", "account", "market", "position", "group", "order", "order", "fill")
        )
        return getattr(self, f"_{table}")(batch, now)  # type: ignore[no-any-return]

    def _header(self, batch: Batch, now: int) -> Batch:
        times = (0, now - 1_801, now - 1_800, now - 1_799, batch.matched_at - 60, now, now + 1, U40)
        change: dict[str, int] = self.random.choice(
            [{"number": self._pick(batch.number - 1, batch.number + 1, U48)}, {"matched_at": self._pick(*times)}]
        )
        return replace(batch, **change)  # type: ignore[arg-type]

    def _table(self, batch: Batch, now: int) -> Batch:
        """Drop, repeat, swap or empty entries."""
        name = self.random.choice(("accounts", "markets", "positions", "groups", "orders", "fills"))
        entries = list(getattr(batch, name))
        index = self.random.randrange(len(entries))
        how = self.random.choice(("drop", "repeat", "swap", "empty"))
        if how == "drop":
            del entries[index]
        elif how == "repeat":
            entries.insert(index, entries[index])
        elif how == "empty":
            entries = []
        else:
            entries[index], entries[index - 1] = entries[index - 1], entries[index]
        return replace(batch, **{name: tuple(entries)})  # type: ignore[arg-type]

    def _account(self, batch: Batch, now: int) -> Batch:
        entry = self._any(batch.accounts)
        changed = self.random.choice(
            (
                replace(entry, epoch=self._pick(1, U32)),
                replace(entry, account=bytes(20)),
                replace(entry, account=entry.account[:19] + bytes((entry.account[19] ^ 1,))),
                replace(entry, account=b"\xff" * 20),
            )
        )
        return self._put(batch, "accounts", entry, changed)

    def _market(self, batch: Batch, now: int) -> Batch:
        entry = self._any(batch.markets)
        changed = self._pick(0, entry.id + 1, entry.id - 1, *self.markets, U32)
        return self._put(batch, "markets", entry, MarketEntry(changed, entry.round))

    def _position(self, batch: Batch, now: int) -> Batch:
        entry = self._any(batch.positions)
        changed = self.random.choice(
            (
                replace(entry, account=self._pick(0, len(batch.accounts) - 1, len(batch.accounts), U16)),
                replace(entry, instrument=self._pick(0, entry.instrument + 1, U32)),
            )
        )
        return self._put(batch, "positions", entry, changed)

    def _group(self, batch: Batch, now: int) -> Batch:
        entry = self._any(batch.groups)
        flipped = bytearray(entry.signature)
        flipped[self.random.randrange(64)] ^= 1 << self.random.randrange(8)
        changed = self.random.choice(
            (
                GroupEntry(entry.signature, self._pick(0, 2, 255)),
                GroupEntry(bytes(flipped), 1),
                GroupEntry(bytes(64), 1),
                GroupEntry(_high_s(entry.signature), 1),
                GroupEntry(self._any(batch.groups).signature, 1),
            )
        )
        return self._put(batch, "groups", entry, changed)

    def _order(self, batch: Batch, now: int) -> Batch:
        """Change a field; half of the time its owner signs the change."""
        index = self.random.randrange(len(batch.orders))
        entry = batch.orders[index]
        tick = next(iter(self.markets.values())).tick_per_lot
        choices: dict[str, tuple[object, ...]] = {
            "position": (0, entry.position + 1, len(batch.positions), U16),
            "market": (0, entry.market + 1, len(batch.markets), U16),
            "side": (1 - entry.side,),
            "time_in_force": (0, 1, 2, 3),
            "reduce_only": (True,),
            "nonce": (entry.nonce - 1, entry.nonce + 1, entry.nonce | LAST_SEQUENCE, entry.nonce ^ 1 << 32, 0),
            "price": (0, 1, entry.price + 1, entry.price + tick, max(1, entry.price - tick), U56),
            "quantity": (0, 1, entry.quantity - 1, entry.quantity + 1, U40),
            "expiry": (0, 1, batch.matched_at - 1, batch.matched_at, U40, NO_EXPIRY),
            "max_fee_bps": (0, 49, 50, U16),
            "conversion_limit": (0, 1, 2**64 - 1),
            "group": (0, len(batch.groups), U16),
            "leaf": (1, 255),
        }
        name = self.random.choice(sorted(choices))
        changed = replace(entry, **{name: self.random.choice(choices[name])})
        if changed.expiry > U40 and changed.time_in_force != TimeInForce.GTC:
            changed = replace(changed, expiry=now + 5)
        if changed.time_in_force == TimeInForce.GTC:
            changed = replace(changed, expiry=NO_EXPIRY)
        orders = (*batch.orders[:index], changed, *batch.orders[index + 1 :])
        mutated = replace(batch, orders=orders)
        return self._sign(mutated, index) if self.random.random() < 0.7 else mutated

    def _sign(self, batch: Batch, index: int) -> Batch:
        """Let the owner of an order sign it as it is; as before where it refers outside the tables."""
        entry = batch.orders[index]
        if entry.position >= len(batch.positions) or entry.market >= len(batch.markets):
            return batch
        account = batch.accounts[batch.positions[entry.position].account]
        trader = next((trader for trader in self.traders if trader.address == account.account), None)
        if trader is None or entry.group >= len(batch.groups):
            return batch
        signature = create_order_row(trader, batch.signed_order(entry), self.domain).signature
        groups = list(batch.groups)
        groups[entry.group] = GroupEntry(signature, 1)
        return replace(batch, groups=tuple(groups))

    def _fill(self, batch: Batch, now: int) -> Batch:
        if self.random.random() < 0.3:
            return replace(batch, fills=tuple(self.random.choices(batch.fills, k=len(batch.fills) + 1)))
        entry = self._any(batch.fills)
        orders = len(batch.orders)
        changed = self.random.choice(
            (
                FillEntry(entry.taker, entry.maker, entry.quantity),
                replace(entry, maker=self._pick(*range(orders), orders, U16)),
                replace(entry, taker=self._pick(*range(orders), orders, U16)),
                replace(entry, quantity=self._pick(0, entry.quantity + 1, max(1, entry.quantity - 1), U40)),
            )
        )
        return self._put(batch, "fills", entry, changed)

    def _any(self, entries: Sequence[object]):  # type: ignore[no-untyped-def]
        return entries[self.random.randrange(len(entries))]

    def _pick(self, *values: int) -> int:
        return max(0, self.random.choice(values))

    def _put(self, batch: Batch, name: str, old: object, new: object) -> Batch:
        entries = list(getattr(batch, name))
        entries[entries.index(old)] = new
        return replace(batch, **{name: tuple(entries)})  # type: ignore[arg-type]


def _high_s(signature: bytes) -> bytes:
    """The malleable twin, as far as 64 bytes can hold it: s beyond half of the group order."""
    group_order = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
    vs = int.from_bytes(signature[32:], "big")
    s = group_order - (vs & (2**255 - 1))
    return signature[:32] + ((s | (vs >> 255 ^ 1) << 255) & (2**256 - 1)).to_bytes(32, "big")

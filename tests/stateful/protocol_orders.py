"""Orders that the random traders sign, and what an adversarial operator makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from offchain.domain.market import Kind, Market
from tests.stateful.protocol import INSTRUMENT, ROLES, World
from tests.stateful.protocol_checks import Fill
from tests.utils.batches import BUY, IOC, RESERVED_KEY, Batch, Keyless, Order, nonce


class Desk:
    """All orders that were ever signed, and short ways to choose and make them."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[Order] = []
        self.sequences: dict[tuple[str, int, int], int] = {}
        self.arrays: list[list[Order]] = []

    def _sign(
        self,
        signer: int,
        side: int,
        market: Market,
        offset: int,
        lots: int,
        key: int,
        step: int,
        is_ioc: bool = False,
        reduces: bool = False,
        delegate: int | None = None,
    ) -> Order:
        account = self.world.traders[signer]
        is_spot = market.kind == Kind.SPOT
        place = (account, market.base if is_spot else market.id, key)
        self.sequences[place] = self.sequences.get(place, 1) + step
        order = Order(
            signer=self.world.people[ROLES[signer]],
            market=market.id,
            instrument=place[1],
            side=side,
            price=self._price(market, offset),
            quantity=lots,
            nonce=nonce(key, self.sequences[place]),
            time_in_force=IOC if is_ioc else 0,
            expiry=2**40 - 1 if is_ioc else 2**64 - 1,
            reduce_only=reduces and not is_spot,
            epoch=self.world.epoch_of(account),
            conversion_limit=self._limit(market, side) if market.quote else 0,
            delegate=None if delegate is None else self.world.people[ROLES[delegate]],
        )
        self.orders.append(order)
        return order

    def _market(self, choice: int) -> Market:
        markets = [*self.world.spot, *self.world.derivatives, *self.world.crossed]
        return markets[choice % len(markets)]

    def _derivative(self, choice: int) -> Market:
        return self.world.derivatives[choice % len(self.world.derivatives)]

    def _instrument(self, kind: int) -> int:
        return next(iter(self.world.synths)) if kind == INSTRUMENT else 0

    def _price(self, market: Market, offset: int) -> int:
        """Near the index, in basis points; micro-USDC per lot, on a tick."""
        if market.kind == Kind.SPOT:
            price = market.tick_size * market.lot_size // 10**market.decimals * 5_000
        elif market.kind == Kind.OPTION:
            price = self.world.index(market) // 20
        else:
            price = self.world.index(market)
        tick = max(1, market.tick_size * market.lot_size // 10**market.decimals)
        return max(tick, price * (10_000 + offset) // 10_000 // tick * tick)

    def _round(self, market: Market) -> int:
        feed = self.world.exchange.aggregators[market.id]
        return int(self.world.read([(feed.latestRound, ())])[0][0])

    def _limit(self, market: Market, side: int) -> int:
        """A percent beside the rate of now."""
        rate = self.world.rate(market.id, self._round(market))
        return rate * (101 if side == BUY else 99) // 100

    def _arrays_of(self, fills: Sequence[Fill]) -> list[list[Order]]:
        """The arrays of which an order is filled."""
        filled = [order for fill in fills for order in fill[:2]]
        return [array for array in self.arrays if any(order is each for order in filled for each in array)]

    def _force_order(self, account: str, market: Market, side: int, offset: int, lots: int) -> Order:
        """An order of the protocol's own, under the stored sequence, as it must be."""
        engine = self.world.exchange.engine
        stored = int(self.world.read([(engine.orderState, (account, market.id, RESERVED_KEY))])[0][0])
        return Order(
            signer=Keyless(account),
            market=market.id,
            instrument=market.id,
            side=side,
            price=self._price(market, offset),
            quantity=lots,
            nonce=nonce(RESERVED_KEY, stored),
            time_in_force=IOC,
            expiry=2**40 - 1,
            reduce_only=True,
            forced=True,
        )

    def _fills_of(self, batch: Batch) -> list[Fill]:
        """The fills of a batch that was accepted, of the orders as they were signed."""
        fills = []
        for maker, taker, lots in batch.fills:
            pair = []
            for entry in (batch.orders[maker], batch.orders[taker]):
                index, instrument = batch.positions[entry.position]
                account = batch.accounts[index][0]
                identity = (int(account, 16), instrument, entry.nonce)
                signed = [o for o in self.orders if o.id == identity and o.price == entry.price]
                assert signed or entry.forced, "an order that nobody signed"
                pair.append(signed[0] if signed else _forced_order(account, batch, entry))
            fills.append((*pair, lots))
        return fills


def _forced_order(account: str, batch: Batch, entry: Any) -> Order:
    return Order(
        signer=Keyless(account), market=batch.markets[entry.market], instrument=batch.positions[entry.position][1],
        side=entry.side, price=entry.price, quantity=entry.quantity, nonce=entry.nonce, forced=True,
    )  # fmt: skip


def edit_batch(batch: Batch, choice: int) -> None:
    """What an adversary may change in a batch after it was built; nothing, half of the time."""
    index = choice % len(batch.orders)
    entry = batch.orders[index]
    edits: dict[int, dict[str, Any]] = {
        1: {"quantity": entry.quantity + 1},
        2: {"price": entry.price + 1 if entry.side == BUY else max(1, entry.price - 1)},
        3: {"side": 1 - entry.side},
        4: {"nonce": entry.nonce + 1},
        5: {"reduce_only": not entry.reduce_only},
        6: {"group": (entry.group + 1) % max(1, len(batch.groups))},
    }
    if (kind := choice // 64 % 16) in edits:
        batch.edit_order(index, **edits[kind])
    elif kind == 7:
        batch.orders.reverse()
    elif kind == 8:
        batch.fills.append(batch.fills[0])

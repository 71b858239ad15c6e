"""A core with a small exchange in it, and short ways to drive it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from offchain.domain.commands import (
    AssetRegistered,
    BatchSettled,
    CancelOrder,
    ChainBlock,
    ChainLog,
    ChainRollback,
    Command,
    Configure,
    Deposited,
    MarketCreated,
    PlaceOrder,
    Price,
    WithdrawalRequested,
)
from offchain.domain.core import Core
from offchain.domain.derivatives import DerivativeRules
from offchain.domain.events import BalanceUpdate, Event, Trade
from offchain.domain.market import USDC, Asset, Market
from offchain.domain.order import NO_EXPIRY, Address, Order, SelfTrade, TimeInForce, Trigger, TriggerKind, TriggerSource
from offchain.domain.positions import Holding
from offchain.domain.results import CancelResult, Done, PlaceResult, Result

ENGINE = b"\xee" * 20
MAKER = b"\xa1" * 20
TAKER = b"\xb2" * 20
OTHER = b"\xc3" * 20

BUY, SELL = 0, 1
GTC, GTD, IOC, FOK = TimeInForce

BTC, ETH = 7, 8
LOT = 10_000
"""quanta per lot in every market here"""
TICK = 10_000
"""micro-USDC per lot; one tick of BTC-USDC, 10,000 ticks of ETH-USDC"""

BTC_USDC = Market(
    1, "BTC-USDC", 0, BTC, BTC, USDC, 8, tick_size=100_000_000, lot_size=LOT, max_price=10**12, max_quantity=10**6
)
ETH_USDC = Market(
    2, "ETH-USDC", 0, ETH, ETH, USDC, 8, tick_size=10_000, lot_size=LOT, max_price=10**12, max_quantity=10**6
)

ORACLE = b"\x0a" * 20
RATE = 50_000 * 10**6
"""micro-USDC per whole BTC"""

ETH_BTC = Market(
    3,
    "ETH-BTC",
    0,
    ETH,
    ETH,
    BTC,
    8,
    tick_size=100_000_000,
    lot_size=LOT,
    max_price=10**12,
    max_quantity=10**6,
    oracle=ORACLE,
)
"""One tick is 10,000 * 10^-12 BTC per lot."""

STRIKE = 100
"""ticks"""

CALL = Market(
    4,
    "BTC-CALL",
    3,
    4,
    BTC,
    USDC,
    8,
    tick_size=100_000_000,
    lot_size=LOT,
    max_price=10**12,
    max_quantity=10**6,
    oracle=b"\x0b" * 20,
    derivative=DerivativeRules(expiry=1_800_000_000, strike_per_lot=STRIKE * TICK, cap_per_lot=130 * TICK),
)
"""Collateral: 30 ticks per short lot."""

PERP = Market(
    5,
    "BTC-PERP",
    1,
    5,
    BTC,
    USDC,
    8,
    tick_size=100_000_000,
    lot_size=LOT,
    max_price=10**12,
    max_quantity=10**6,
    oracle=b"\x0b" * 20,
    derivative=DerivativeRules(1_000, 500, 250, 100, 150, 50_000, funding_period=28_800),
)
"""10 % initial, 5 % maintenance margin."""

INDEX = 100 * TICK
"""micro-USDC per lot"""

START_MS = 1_700_000_000_000


def stop(price: int, source: str = "last") -> Trigger:
    """A stop at `price` ticks."""
    return Trigger(TriggerKind.STOP, TriggerSource(source), price * TICK)


def take_profit(price: int, source: str = "last") -> Trigger:
    """A take-profit at `price` ticks."""
    return Trigger(TriggerKind.TAKE_PROFIT, TriggerSource(source), price * TICK)


def digest(*parts: object) -> bytes:
    """32 bytes that stand for a hash of `parts`."""
    return hashlib.sha256(repr(parts).encode()).digest()


class Exchange:
    """Executes commands on a core and remembers the events of the last one and of all."""

    def __init__(self, **configuration: Any) -> None:
        self.core = Core()
        self.now_ms = START_MS
        self.events: list[Event] = []
        self.history: list[Event] = []
        self.head = (0, digest("genesis"))
        self.observe: Callable[[Command, Result], None] | None = None
        self._forks = 0
        self._orders = 0
        defaults = {"chain_id": 31337, "engine": ENGINE, "fee_bps": 50, "confirmations": 1}
        self.run(Configure(**(defaults | configuration)))

    def run(self, command: Command) -> Result:
        """Execute a command now."""
        result, self.events = self.core.execute(command, self.now_ms)
        assert self.events, "every command emits at least one event"
        self.history += self.events
        if self.observe is not None:
            self.observe(command, result)
        return result

    def of(self, kind: type) -> list[Any]:
        """The last command's events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    # Chain

    def mine(self, *logs: ChainLog) -> Result:
        """A block with `logs` on top of the last one."""
        number, parent = self.head
        self._forks += 1
        block_hash = digest("block", number + 1, self._forks)
        result = self.run(ChainBlock(number + 1, block_hash, parent, self.now_ms // 1000, list(logs)))
        if isinstance(result, Done):
            self.head = (number + 1, block_hash)
        return result

    def roll_back(self, number: int) -> Result:
        """Blocks after `number` are gone."""
        record = self.core._state.chain.record(number)
        block_hash = record.block_hash if record is not None else digest("block", number)
        result = self.run(ChainRollback(number, block_hash))
        if isinstance(result, Done):
            self.head = (number, block_hash)
        return result

    def list_markets(self, *markets: Market) -> None:
        assets = [Asset(m.base, m.symbol.split("-")[0], b"\x01" * 20, b"\x02" * 20, m.decimals) for m in markets]
        self.mine(*(AssetRegistered(asset) for asset in assets), *(MarketCreated(market) for market in markets))

    def deposit(self, account: Address, asset: int, amount: int) -> None:
        self.mine(self.deposited(account, asset, amount))

    def deposited(self, account: Address, asset: int, amount: int) -> Deposited:
        self._forks += 1
        return Deposited(account, asset, amount, digest("deposit", self._forks), 0)

    def requested(self, account: Address, asset: int, amount: int, kind: int | None = None) -> WithdrawalRequested:
        self._forks += 1
        which = kind if kind is not None else (0 if asset == USDC else 2)
        return WithdrawalRequested(account, which, asset, amount, 0, digest("request", self._forks), 0)

    def batch_settled(self, number: int, trades: list[Trade]) -> BatchSettled:
        return BatchSettled(number, self.now_ms // 1000, [trade.id for trade in trades], digest("tx", number), 10**6)

    def tell_price(self, rate: int = RATE) -> None:
        """The oracle of ETH-BTC answers `rate`: a new round if it is another one than before."""
        self._tell(ORACLE, rate * 10**12)

    def tell_index(self, index: int = INDEX) -> None:
        """The oracle of BTC-PERP answers what makes this index, in micro-USDC per lot."""
        self._tell(PERP.oracle, index * 10 ** (PERP.decimals + 12) // PERP.lot_size)

    def _tell(self, oracle: bytes, price: int) -> None:
        known = self.core.prices.get(oracle)
        now = self.now_ms // 1000
        if known is not None and known.price == price:
            command = Price(oracle, known.round, price, known.updated_at, known.valid_until)
        else:
            command = Price(oracle, known.round + 1 if known is not None else 1, price, now, now + 86_400)
        assert self.run(command) == Done()

    # Orders

    def order(
        self,
        account: Address,
        side: int,
        price: int,
        quantity: int,
        *,
        key: int | None = None,
        sequence: int = 1,
        tif: int = GTC,
        expiry: int | None = None,
        market: int = 1,
        extra: int = 0,
        **changes: Any,
    ) -> Order:
        """`price` counts TICK, `extra` micro-USDC per lot; a key of its own unless one is given."""
        self._orders += 1
        nonce = ((key if key is not None else 1_000 + self._orders) << 32) | sequence
        if expiry is None:
            expiry = NO_EXPIRY if tif == GTC else self.now_ms // 1000 + 3_600
        fields = {"reduce_only": False, "epoch": 0, "max_fee_bps": 50} | changes
        return Order(
            account,
            market,
            side,
            tif,
            price=price * TICK + extra,
            quantity=quantity,
            nonce=nonce,
            expiry=expiry,
            **fields,
        )

    def command(
        self,
        order: Order,
        *,
        post_only: bool = False,
        self_trade: SelfTrade = SelfTrade.EXPIRE_MAKER,
        name: str | None = None,
        expect_filled: int | None = None,
        replaces: bytes | None = None,
        trigger: Trigger | None = None,
    ) -> PlaceOrder:
        order_hash = digest("order", order)
        return PlaceOrder(
            order,
            order_hash,
            b"\x00" * 64,
            self.now_ms,
            post_only=post_only,
            self_trade=self_trade,
            client_order_id=name,
            expect_filled=expect_filled,
            replaces=replaces,
            trigger=trigger,
        )

    def place(self, account: Address, side: int, price: int, quantity: int, **how: Any) -> PlaceResult:
        """Sign and place an order; `how` as for `order` and `command`."""
        unsigned = ("post_only", "self_trade", "name", "expect_filled", "replaces", "trigger")
        options = {name: how.pop(name) for name in unsigned if name in how}
        result = self.run(self.command(self.order(account, side, price, quantity, **how), **options))
        assert isinstance(result, PlaceResult)
        return result

    def cancel(self, account: Address, order_hash: bytes) -> CancelResult | Result:
        return self.run(CancelOrder(account, order_hash, b"\x00" * 64, self.now_ms))

    # Looking

    def balance(self, account: Address, asset: int) -> BalanceUpdate:
        for balance in self.core.balances(account):
            if balance.asset == asset:
                return balance
        return BalanceUpdate(account, asset, 0, 0, 0, 0)

    def holding(self, account: Address, market: int) -> Holding:
        """A position once everything matched has settled."""
        position = self.core._state.markets[market].positions.get(account)
        return position.current if position is not None else Holding()

    def depth(self, side: int, market: int = 1) -> list[tuple[int, int]]:
        """Levels as (ticks, lots)."""
        return [(price // TICK, quantity) for price, quantity in self.core.depth(market, side, 1_000)]

    def trades(self) -> list[Trade]:
        """Every trade so far."""
        return [event for event in self.history if isinstance(event, Trade)]

"""A whole exchange in one process for tests of the interface: the real core, sequencer, feed and views.

Only the chain is missing: its blocks are submitted by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient

from offchain.api.admin.settings import AdminSettings
from offchain.api.app import init_app
from offchain.api.keys import CREDENTIALS
from offchain.api.state import ApiSettings, ApiState, Health
from offchain.chain import eip712
from offchain.chain.eip4361 import personal_digest
from offchain.domain.commands import (
    AssetRegistered,
    ChainBlock,
    ChainLog,
    Command,
    Configure,
    Deposited,
    MarketCreated,
    MarketStatusChanged,
    PlaceOrder,
)
from offchain.domain.core import Core
from offchain.domain.market import USDC, Asset, Market, MarketStatus
from offchain.domain.order import NO_EXPIRY, Order, Side, TimeInForce
from offchain.domain.results import Result
from offchain.metrics import CoreMetrics
from offchain.ports import Record
from offchain.replica import Replica
from offchain.sequencer import Sequencer
from offchain.transport.local import LocalFeed
from offchain.views.sqlite import SqliteViews

NOW_MS = 1_800_000_000_000
CHAIN_ID = 31337
ENGINE = bytes.fromhex("e7f1725e7734ce288f8367e1bb143e90bb3f0512")
FEE_BPS = 50
DOMAIN = eip712.Domain(CHAIN_ID, ENGINE)

BTC = Asset(1, "BTC", b"\x01" * 20, b"\x02" * 20, 8)
BTC_USDC = Market(
    id=2,
    symbol="BTC-USDC",
    kind=0,
    instrument=1,
    base=1,
    quote=USDC,
    decimals=8,
    tick_size=100_000,
    lot_size=1_000,
    max_price=10_000_000_000_000,
    max_quantity=1_000_000_000,
)
ETH = Asset(3, "ETH", b"\x03" * 20, b"\x04" * 20, 18)
ETH_USDC = Market(
    id=4,
    symbol="ETH-USDC",
    kind=0,
    instrument=3,
    base=3,
    quote=USDC,
    decimals=18,
    tick_size=10_000,
    lot_size=10**14,
    max_price=1_000_000_000_000,
    max_quantity=1_000_000_000,
)

USDC_UNIT = 10**6
BTC_UNIT = 10**8


async def until(is_so: Callable[[], object], seconds: float = 5) -> None:
    """Wait until something is so, however slow everything is."""
    for _ in range(int(seconds / 0.002)):
        if is_so():
            return
        await asyncio.sleep(0.002)
    raise AssertionError(f"not so within {seconds} s")


class FixedClock:
    """Time that tests move."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms


class MemoryJournal:
    """Implements as much of `Journal` as the sequencer uses; `hold` delays durability."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def append(self, record: Record) -> bytes:
        await self.gate.wait()
        self.records.append(record)
        return bytes(32)

    def append_at_once(self, record: Record) -> bytes | None:
        if not self.gate.is_set():
            return None
        self.records.append(record)
        return bytes(32)

    async def tail(self) -> tuple[int, bytes]:
        return (self.records[-1].last if self.records else 0), bytes(32)


class LossyFeed(LocalFeed):
    """A feed that loses records while `is_losing`."""

    is_losing = False

    def publish(self, record: Record) -> None:
        if not self.is_losing:
            super().publish(record)


class Trader:
    """An account with its key."""

    def __init__(self, seed: int) -> None:
        self.key = seed.to_bytes(32, "big")
        self.address = eip712.address_of(self.key)

    @property
    def account(self) -> str:
        return "0x" + self.address.hex()

    def sign(self, order: Order, domain: eip712.Domain = DOMAIN) -> str:
        return "0x" + eip712.sign(eip712.order_digest(domain, eip712.order_hash(order)), self.key).hex()

    def sign_text(self, text: str) -> str:
        return "0x" + eip712.sign(personal_digest(text), self.key).hex()

    def sign_cancel(self, order_id: str, domain: eip712.Domain = DOMAIN, account: bytes | None = None) -> str:
        digest = eip712.cancel_digest(domain, account or self.address, bytes.fromhex(order_id[2:]))
        return "0x" + eip712.sign(digest, self.key).hex()


MAKER, TAKER, OPERATOR = Trader(0xA1), Trader(0xB2), Trader(0xC3)


def bearer(api: TestClient, trader: Trader) -> dict[str, str]:
    """The header of a session of the trader, who is signed in without the way over a signature."""
    assert api.app is not None
    token, _ = api.app[CREDENTIALS].open_session(trader.address, trader.address, 2**52)
    return {"Authorization": f"Bearer {token}"}


def create_order(trader: Trader, **changes: Any) -> Order:
    """A buy of 0.5 BTC at 95,000.1 USDC, GTC."""
    fields: dict[str, Any] = {
        "account": trader.address,
        "market": BTC_USDC.id,
        "side": Side.BUY,
        "time_in_force": TimeInForce.GTC,
        "reduce_only": False,
        "price": 950_001,
        "quantity": 50_000,
        "nonce": 1 << 32,
        "epoch": 0,
        "expiry": NO_EXPIRY,
        "max_fee_bps": FEE_BPS,
    }
    return Order(**fields | changes)


def create_body(trader: Trader, order: Order | None = None, **changes: Any) -> dict[str, Any]:
    """The signed body of `order`, then `changes` (None removes a field)."""
    order = order or create_order(trader)
    market = ETH_USDC if order.market == ETH_USDC.id else BTC_USDC
    price, quantity = market.price_per_unit(order.price), order.quantity * market.lot_size
    body: dict[str, Any] = {
        "account": trader.account,
        "market": market.symbol,
        "side": Side(order.side).name.lower(),
        "type": "limit",
        "timeInForce": TimeInForce(order.time_in_force).name,
        "price": f"{price // 10**6}.{price % 10**6:06}",
        "quantity": f"{quantity // market.scale}.{quantity % market.scale:0{market.decimals}}",
        "nonce": str(order.nonce),
        "epoch": order.epoch,
        "maxFeeBps": order.max_fee_bps,
        "signature": trader.sign(order),
    }
    if order.reduce_only:
        body["reduceOnly"] = True
    if order.expiry != NO_EXPIRY:
        body["expiry"] = order.expiry
    return {name: value for name, value in (body | changes).items() if value is not None}


class Exchange:
    """Everything behind the interface."""

    def __init__(
        self,
        path: Path,
        settings: ApiSettings,
        admin: AdminSettings | None = None,
        *,
        journal: MemoryJournal | None = None,
        replica: Replica | None = None,
    ) -> None:
        """`journal` and `replica`: of an exchange that has run before in the folder `path`, as far as it came."""
        self.clock = FixedClock()
        self.journal = journal or MemoryJournal()
        replica = replica or Replica(Core())
        self.core = replica.core
        self.feed = LossyFeed()
        self.failures: list[BaseException] = []
        self.metrics = CoreMetrics()
        self.sequencer = Sequencer(
            replica,
            self.journal,
            1,
            bytes(32),
            self.feed,
            self.clock,
            self.failures.append,
            metrics=self.metrics,
        )
        self.views = SqliteViews(path / "views.db")
        self.health = Health()
        self.is_open = True
        self.projecting = asyncio.Event()
        self.projecting.set()
        self._block = max(0, self.core.status().head_number)
        self._tasks: list[asyncio.Task[None]] = []
        self.state = ApiState(
            ingress=self.sequencer,
            live=self.sequencer,
            views=self.views,
            feed=self.feed,
            clock=self.clock,
            health=self._health,
            is_open=lambda: self.is_open,
            settings=settings,
            metrics=self.metrics,
            monotonic=lambda: self.clock.ms / 1000,
            admin=admin,
        )
        self.app = init_app(self.state)

    async def _health(self) -> Health:
        return self.health

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self.sequencer.run()), asyncio.create_task(self._project())]

    async def stop(self) -> None:
        self.journal.gate.set()
        self.sequencer.stop()
        await self._tasks[0]
        self._tasks[1].cancel()
        await asyncio.gather(self._tasks[1], return_exceptions=True)
        await self.views.close()
        assert not self.failures

    async def _project(self) -> None:
        applied = await self.views.applied()
        while True:
            await self.projecting.wait()
            records = [record for record in self.journal.records if record.first > applied]
            if records:
                await self.views.apply(applied, records)
                applied = records[-1].last
            await asyncio.sleep(0.002)

    async def submit(self, command: Command) -> Result:
        return await self.sequencer.submit(command, 5_000)

    def place(self, trader: Trader, order: Order) -> PlaceOrder:
        """The command that intake would make of `order`."""
        signature = bytes.fromhex(trader.sign(order)[2:])
        return PlaceOrder(order, eip712.order_hash(order), signature, self.clock.ms)

    async def block(self, *logs: ChainLog) -> None:
        """The chain's next block."""
        self._block += 1
        parent, block = (number.to_bytes(32, "big") for number in (self._block - 1, self._block))
        await self.submit(ChainBlock(self._block, block, parent, self.clock.ms // 1000, list(logs)))

    async def deposit(self, trader: Trader, asset: int, amount: int) -> None:
        await self.block(Deposited(trader.address, asset, amount, self._block.to_bytes(32, "big"), 0))

    async def configure(self) -> None:
        await self.submit(Configure(CHAIN_ID, ENGINE, FEE_BPS, confirmations=1))

    async def list_markets(self, markets: Sequence[tuple[Asset, Market]] = ((BTC, BTC_USDC), (ETH, ETH_USDC))) -> None:
        logs: list[ChainLog] = []
        for asset, market in markets:
            logs += [
                AssetRegistered(asset),
                MarketCreated(market),
                MarketStatusChanged(market.id, MarketStatus.ACTIVE, self.clock.ms // 1000),
            ]
        await self.block(*logs)

    async def open(self) -> None:
        """Configured, two markets, maker and taker funded."""
        await self.configure()
        await self.list_markets()
        for trader in (MAKER, TAKER):
            await self.deposit(trader, USDC, 1_000_000 * USDC_UNIT)
            await self.deposit(trader, BTC.id, 100 * BTC_UNIT)

"""A core, its views and its way in, in one process and without a journal file: what settler and indexer work with."""

from __future__ import annotations

import asyncio
from pathlib import Path

from offchain.catalogue import Catalogue
from offchain.chain import eip712
from offchain.domain.commands import ChainBlock, ChainRollback, Command, Configure, PlaceOrder, Price
from offchain.domain.core import Core
from offchain.domain.derivatives import DerivativeRules
from offchain.domain.events import Event, Trade
from offchain.domain.market import USDC, Market
from offchain.domain.order import Address, Order
from offchain.domain.results import Done, PlaceResult, Result
from offchain.ports import BlockRef, Overloaded, Record, Unavailable
from offchain.views.sqlite import SqliteViews
from tests.utils.fakechain import FakeChain
from tests.utils.records import RecordMaker
from tests.utils.signing import Trader, create_order, create_placement

ENGINE = b"\xee" * 20
DOMAIN = eip712.Domain(31337, ENGINE)
BTC = 1
MARKET = Market(2, "BTC-USDC", 0, BTC, BTC, USDC, 8, 100_000, 1_000, 10**13, 10**9)
ORACLE = b"\x0a" * 20
ETH = 3
ETH_BTC = Market(4, "ETH-BTC", 0, ETH, ETH, BTC, 18, 10**7, 10**15, 10**13, 10**8, ORACLE)
PERP_RULES = DerivativeRules(1_000, 500, 250, 100, 150, 50_000)
PERP = Market(5, "BTC-PERP", 1, 5, BTC, USDC, 8, 100_000, 1_000, 10**13, 10**9, ORACLE, PERP_RULES)
CROSS_PRICE = 50_000_000
"""0.05 BTC per ETH, in 10^-12 BTC per lot of 0.001 ETH"""

PRICE = 500_000
"""50,000 USDC per BTC, in micro-USDC per lot of 0.00001 BTC"""


class Service:
    """Implements `Ingress`, and the clock, which is the chain's."""

    def __init__(self, path: Path, chain: FakeChain, confirmations: int = 1) -> None:
        self.core = Core()
        self.views = SqliteViews(path / "views.db", readers=1)
        self.catalogue = Catalogue()
        self.chain = chain
        self.events: list[Event] = []
        self.commands: list[Command] = []
        self.outages: list[type[Overloaded] | type[Unavailable]] = []
        """the next submissions fail so; an Unavailable one is executed nevertheless"""
        self.is_lagging = False
        """the views do not follow"""
        self._records = RecordMaker()
        self._behind: list[Record] = []
        self._following = asyncio.Lock()
        self._confirmations = confirmations
        self._keys = 0

    async def configure(self) -> None:
        await self.execute(Configure(31337, ENGINE, 50, self._confirmations))

    def now_ms(self) -> int:
        return self.chain.now * 1000

    async def submit(self, command: Command, timeout_ms: int) -> Result:
        failure = self.outages.pop(0) if self.outages else None
        if failure is Overloaded:
            raise Overloaded
        result = await self.execute(command)
        if failure is Unavailable:
            raise Unavailable("the answer was lost")
        return result

    async def execute(self, command: Command) -> Result:
        result, events = self.core.execute(command, self.now_ms())
        self.commands.append(command)
        self.events += events
        self.catalogue.apply(events)
        self._records.time_ms = self.now_ms() - 10
        self._behind.append(self._records.make((command, events)))
        if not self.is_lagging:
            # As in the real service, a client that gives up does not keep the views from following.
            await asyncio.shield(self.catch_up())
        return result

    async def catch_up(self) -> None:
        """Let the views follow."""
        async with self._following:
            behind, self._behind = self._behind, []
            if behind:
                await self.views.apply(await self.views.applied(), behind)

    async def sync(self) -> None:
        """Bring the chain's blocks in, as the indexer would."""
        known = await self.views.blocks(100)
        canonical = {block.header.number: block.header.block_hash for block in self.chain.chain}
        while known and canonical.get(known[-1].number) != known[-1].block_hash:
            known.pop()
        last = known[-1] if known else BlockRef(0, self.chain.chain[0].header.block_hash)
        if self.core.status().head_number > last.number:
            await self.execute(ChainRollback(last.number, last.block_hash))
        for block in self.chain.chain[last.number + 1 :]:
            command: ChainBlock = block.header
            await self.execute(command)

    async def tell_price(self) -> None:
        """As the worker does: the newest round of the oracle."""
        seen = await self.chain.latest_round(ORACLE)
        assert seen is not None
        valid_until = seen.updated_at + seen.max_age
        result = await self.execute(Price(ORACLE, seen.round, seen.price, seen.updated_at, valid_until))
        assert result == Done(), result

    # Trading ----------------------------------------------------------------------------------------------------------

    def order(self, trader: Trader, side: int, quantity: int, price: int = PRICE, **changes: object) -> Order:
        """Under a nonce key of its own unless one is given."""
        self._keys += 1
        return create_order(
            trader, changes.pop("market", MARKET), side, price, quantity, **({"key": self._keys} | changes)
        )

    async def place(
        self, trader: Trader, side: int, quantity: int, price: int = PRICE, **changes: object
    ) -> PlaceResult:
        order = self.order(trader, side, quantity, price, **changes)
        result = await self.execute(self.placement(trader, order))
        assert isinstance(result, PlaceResult)
        assert result.rejection is None, result.rejection
        return result

    def placement(self, trader: Trader, order: Order) -> PlaceOrder:
        return create_placement(trader, order, DOMAIN, self.now_ms())

    @property
    def trades(self) -> list[Trade]:
        return [event for event in self.events if isinstance(event, Trade)]

    def settled(self, account: Address, asset: int) -> int:
        """What the core takes for settled on chain."""
        return next((row.settled for row in self.core.balances(account) if row.asset == asset), 0)

"""What the settler's tests do and look at."""

from __future__ import annotations

from offchain.domain.commands import BatchParked
from offchain.domain.events import TradeBusted
from offchain.domain.market import USDC
from offchain.domain.order import Side
from offchain.settler import Settler
from tests.utils.service import BTC, Service
from tests.utils.signing import Trader


async def trade(service: Service, maker: Trader, taker: Trader, count: int = 1, quantity: int = 10) -> None:
    """`count` fills: the maker sells, the taker buys."""
    for _ in range(count):
        await service.place(maker, Side.SELL, quantity)
        await service.place(taker, Side.BUY, quantity)


async def settle(settler: Settler, service: Service, rounds: int = 12, seconds: int = 1) -> None:
    """Let the settler, the chain and the indexer take turns."""
    for _ in range(rounds):
        await settler.step()
        service.chain.mine(seconds)
        await service.sync()


def assert_settled_once(service: Service, *traders: Trader) -> None:
    """Every fill is on chain exactly once, and both sides know the same balances."""
    settled = [
        fill for block in service.chain.chain for log in block.header.logs for fill in getattr(log, "fill_ids", [])
    ]
    busted = {event.id for event in service.events if isinstance(event, TradeBusted)}
    assert settled == [fill.id for fill in service.trades if fill.id not in busted]
    assert service.core.status().unsettled_fills == 0
    assert service.core.status().diverged == ""
    ledger = service.chain.ledger
    for account in [*(trader.address for trader in traders), ledger.engine]:
        assert service.settled(account, USDC) == ledger.usdc.get(account, 0)
        assert service.settled(account, BTC) == ledger.base.get((account, BTC), 0)


def parked_batches(service: Service) -> list[BatchParked]:
    return [command for command in service.commands if isinstance(command, BatchParked)]


async def status_of(service: Service, number: int) -> str | None:
    row = await service.views.batch(number)
    return None if row is None else row.status

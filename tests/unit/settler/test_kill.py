"""Kill the settler at each of its awaits and start another one: nothing is settled twice, nothing is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from offchain.domain.market import USDC
from tests.utils.fakechain import FakeChain
from tests.utils.service import Service
from tests.utils.signing import Trader

from .conftest import CreateSettler
from .play import assert_settled_once, settle, trade


class Killed(BaseException):
    """The process ends here."""


class Trap:
    """Counts the calls to several ports and dies at one of them, before or after it took effect."""

    def __init__(self, at: int, *, is_after: bool) -> None:
        self.calls = 0
        self.at = at
        self.is_after = is_after

    def around(self, port: object) -> Any:
        return _Trapped(port, self)


class _Trapped:
    def __init__(self, port: object, trap: Trap) -> None:
        self._port = port
        self._trap = trap

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        method = getattr(self._port, name)

        async def call(*arguments: object, **options: object) -> object:
            self._trap.calls += 1
            is_due = self._trap.calls == self._trap.at
            if is_due and not self._trap.is_after:
                raise Killed
            result = await method(*arguments, **options)
            if is_due:
                raise Killed
            return result

        return call


CALLS = 35
"""Calls to ports until the scenario below is settled; a test keeps it true."""


async def create_scenario(service: Service, chain: FakeChain, maker: Trader, taker: Trader) -> None:
    """Three fills, which need two batches, and a withdrawal."""
    await trade(service, maker, taker, count=3)
    chain.request(maker.address, 0, USDC, 1_000)
    chain.mine()
    await service.sync()


def trapped(trap: Trap, service: Service, chain: FakeChain) -> dict[str, object]:
    ports = {"chain": chain, "views": service.views, "ingress": service}
    return {name: trap.around(port) for name, port in ports.items()}


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, CALLS + 1))
async def test_killed_at_an_await(
    service: Service,
    chain: FakeChain,
    create_settler: CreateSettler,
    maker: Trader,
    taker: Trader,
    at: int,
    is_after: bool,
) -> None:
    await create_scenario(service, chain, maker, taker)
    trap = Trap(at, is_after=is_after)
    settler = create_settler(fills=2, batch_seconds=1, ports=trapped(trap, service, chain))
    with pytest.raises(Killed):
        await settle(settler, service, rounds=24)
    await settle(create_settler(fills=2, batch_seconds=1, resend_seconds=5), service, rounds=24)
    assert_settled_once(service, maker, taker)
    assert chain.world.requests == {}
    assert chain.ledger.number == 2


async def test_every_await_of_the_scenario_is_tried(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    await create_scenario(service, chain, maker, taker)
    trap = Trap(0, is_after=False)
    settler = create_settler(fills=2, batch_seconds=1, ports=trapped(trap, service, chain))
    while service.core.status().unsettled_fills or chain.world.requests:
        await settle(settler, service, rounds=1)
    assert trap.calls == CALLS

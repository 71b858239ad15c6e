"""A worker that is killed at any call loses and repeats nothing."""

from __future__ import annotations

from typing import Any

import pytest

from offchain.domain.commands import ActionSent
from tests.unit.jobs.relayworld import World, cancel_all, withdrawal
from tests.unit.settler.test_kill import Killed, Trap
from tests.utils.fakechain import FakeChain
from tests.utils.signing import Trader

CALLS = 20
"""Calls to ports until the scenario below has ended; a test keeps it true."""


async def run_scenario(world: World, maker: Trader, taker: Trader, rounds: int = 10) -> list[bytes]:
    ids = [
        await world.request(maker, withdrawal(maker, world)),
        await world.request(taker, cancel_all(taker)),
        await world.request(maker, withdrawal(maker, world, 1, 2 * 10**9)),
    ]
    await world.go(rounds)
    return ids


async def test_the_scenario_has_so_many_calls(world: World, maker: Trader, taker: Trader) -> None:
    trap = Trap(10**6, is_after=False)
    world.relay = world.create_relay(chain=_Sync(world.chain, trap), ingress=trap.around(world.service))
    ids = await run_scenario(world, maker, taker)
    assert [await world.status(one) for one in ids] == ["settled"] * 3
    assert trap.calls >= CALLS


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("at", range(1, CALLS + 1))
async def test_a_kill_at_any_call_loses_and_repeats_nothing(
    world: World, maker: Trader, taker: Trader, at: int, is_after: bool
) -> None:
    trap = Trap(at, is_after=is_after)
    world.relay = world.create_relay(chain=_Sync(world.chain, trap), ingress=trap.around(world.service))
    with pytest.raises(Killed):
        await run_scenario(world, maker, taker)
    world.relay = world.create_relay(is_new=True)
    for _ in range(20):
        await world.go(1, seconds=20)
    rows = (await world.service.views.actions(maker.address, None, 10)).rows
    rows += (await world.service.views.actions(taker.address, None, 10)).rows
    assert [row.status for row in rows] == ["settled"] * 3
    mined = [transaction for block in world.chain.chain for transaction in block.transactions]
    assert all(world.chain.world.receipts[transaction.hash].succeeded for transaction in mined)
    assert len(mined) == 3
    known = [command.tx_hash for command in world.service.commands if isinstance(command, ActionSent)]
    assert {transaction.hash for transaction in mined} <= set(known)


class _Sync:
    """A trapped chain whose synchronous calls pass."""

    def __init__(self, chain: FakeChain, trap: Trap) -> None:
        self._chain, self._trapped = chain, trap.around(chain)

    def address(self, contract: str) -> bytes:
        return self._chain.address(contract)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trapped, name)

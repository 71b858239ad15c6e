"""Settlement and what is sent for others share one key: settlement goes first, and nobody waits for ever."""

from __future__ import annotations

from offchain.domain.order import Side
from offchain.lane import Party
from tests.unit.jobs.relayworld import World, cancel, withdrawal
from tests.unit.settler.play import assert_settled_once, trade
from tests.utils.signing import Trader


async def test_a_cancel_does_not_keep_fills_from_settling(world: World, maker: Trader, taker: Trader) -> None:
    await world.service.place(maker, Side.SELL, 10)
    order = world.service.core.open_orders(maker.address)[0].order
    await world.service.place(taker, Side.BUY, 4)
    action_id = await world.request(maker, cancel(maker, order))
    await world.relay.step()
    assert await world.status(action_id) == "requested"
    await world.go(20, settles=True)
    assert_settled_once(world.service, maker, taker)
    assert world.sent == ["Engine", "OrderControl"]
    assert await world.status(action_id) == "settled"


async def test_both_get_their_turn(world: World, maker: Trader, taker: Trader) -> None:
    """Under a load of batches without end an action goes once it has waited for a minute."""
    action_id = await world.request(taker, withdrawal(taker, world))
    for _ in range(12):
        await trade(world.service, maker, taker)
        await world.settler.step()
        await world.settler.step()
        await world.settler.step()
        await world.relay.step()
        world.chain.mine(12)
        await world.service.sync()
    assert await world.status(action_id) in ("sent", "settled")
    place = world.sent.index("WithdrawalQueue")
    assert 2 <= place <= 7
    assert "Engine" in world.sent[place + 1 :]
    await world.go(40, settles=True)
    assert_settled_once(world.service, maker, taker)


async def test_settlement_does_not_wait_for_long(world: World, maker: Trader, taker: Trader) -> None:
    """A transaction of the relay that is not mined is replaced by the next batch, and sent again afterwards."""
    action_id = await world.request(taker, withdrawal(taker, world))
    await world.relay.step()
    await trade(world.service, maker, taker)
    for _ in range(6):
        await world.settler.step()
        world.chain.now += 9
    assert world.sent == ["WithdrawalQueue", "Engine"]
    assert world.lane.holds(Party.SETTLEMENT)
    await world.go(20, settles=True)
    assert_settled_once(world.service, maker, taker)
    assert await world.status(action_id) == "settled"
    # The last one is the release.
    assert world.sent == ["WithdrawalQueue", "Engine", "WithdrawalQueue", "WithdrawalQueue"]

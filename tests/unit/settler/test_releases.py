"""Releases of withdrawals, in their place among the batches."""

from __future__ import annotations

import pytest

from offchain.domain.market import USDC
from tests.utils.fakechain import FakeChain
from tests.utils.service import Service
from tests.utils.signing import Trader

from .conftest import CreateSettler
from .play import assert_settled_once, settle, trade


async def test_a_withdrawal_is_released_in_the_order_of_settlement(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler()
    await trade(service, maker, taker)
    chain.request(maker.address, 0, USDC, 10**12)
    chain.mine()
    await service.sync()
    await trade(service, maker, taker)
    await settle(settler, service, rounds=30, seconds=3)
    assert [transaction.to for transaction in chain.sent] == ["Engine", "WithdrawalQueue", "Engine"]
    assert chain.world.requests == {}
    assert_settled_once(service, maker, taker)


async def test_a_release_that_fails_holds_up_nobody_else(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, taker: Trader
) -> None:
    settler = create_settler(fills=1)
    chain.refused.add(maker.address)
    chain.request(maker.address, 0, USDC, 5)
    chain.mine()
    await service.sync()
    await trade(service, maker, taker)
    await settle(settler, service)
    assert [transaction.to for transaction in chain.sent] == ["Engine"]
    assert_settled_once(service, maker, taker)
    chain.refused.clear()
    await settle(settler, service, seconds=61, rounds=4)
    assert chain.sent[-1].to == "WithdrawalQueue"
    assert chain.world.requests == {}


@pytest.mark.parametrize("is_canceled", [True, False])
async def test_a_request_that_changed_is_not_released(
    service: Service, chain: FakeChain, create_settler: CreateSettler, maker: Trader, is_canceled: bool
) -> None:
    settler = create_settler()
    chain.request(maker.address, 0, USDC, 5)
    chain.mine()
    await service.sync()
    if is_canceled:
        chain.cancel_request(maker.address, 0, USDC)
    else:
        chain.request(maker.address, 0, USDC, 10**12)
    await settler.step()
    assert chain.sent == []
    await settle(settler, service, seconds=61)
    assert chain.world.requests == {}
    assert service.settled(maker.address, USDC) == chain.ledger.usdc[maker.address] == (10**12 if is_canceled else 0)

"""Spot and derivatives in one batch of the real Engine and Clearinghouse: each books its own fills."""

from __future__ import annotations

import pytest
from ape.api import AccountAPI
from ape.managers import ChainManager
from ape.managers.project import ProjectManager
from eth_account import Account

from offchain.domain.market import USDC, Kind
from tests.utils.batches import BUY, SELL, Domain, Order, build_batch, nonce
from tests.utils.deployed import Exchange, deploy_exchange
from tests.utils.signing import Trader

MAKER, TAKER = Trader.named("maker"), Trader.named("taker")
INDEX = 500_000  # micro-USDC per lot of 0.00001 BTC
FUNDS, BASE = 10**12, 10**24


@pytest.fixture(scope="module")
def exchange(
    chain: ChainManager, project: ProjectManager, owner: AccountAPI, operator: AccountAPI, guardian: AccountAPI
) -> Exchange:
    exchange = deploy_exchange(chain, project, owner, operator, guardian, has_derivatives=True)
    for trader in (MAKER, TAKER):
        exchange.fund(trader, usdc=FUNDS, base=BASE)
    return exchange


def test_each_fill_is_booked_where_it_belongs(exchange: Exchange, chain: ChainManager) -> None:
    """Two spot markets around a perpetual, one of whose positions has no fill."""
    spots = [market for market in exchange.markets.values() if market.kind == Kind.SPOT and market.quote == USDC]
    perp = next(market for market in exchange.markets.values() if market.kind == Kind.PERP)
    signers = [Account.from_key(trader.private_key) for trader in (MAKER, TAKER)]

    def order(side: int, market: int, instrument: int, price: int, key: int) -> Order:
        return Order(signer=signers[side == BUY], market=market, instrument=instrument, side=side, price=price,
                     quantity=100, nonce=nonce(key, 1))  # fmt: skip

    fills = []
    for market, instrument, price in (
        (perp.id, perp.id, INDEX),
        *((spot.id, spot.base, 5_000 * spot.tick_per_lot) for spot in spots),
    ):
        fills.append((order(SELL, market, instrument, price, 1), order(BUY, market, instrument, price, 1), 40))
    idle = order(BUY, perp.id + 1, perp.id + 1, INDEX, 1)
    domain = Domain(exchange.domain.chain_id, str(exchange.engine.address))
    batch = build_batch(domain, 1, chain.blocks.head.timestamp, fills, idle=[idle])
    receipt = exchange.send(exchange.operator, exchange.engine, batch.packed_calldata())
    assert receipt["status"] == "0x1"

    house, engine, vault = exchange.clearinghouse, exchange.engine, exchange.vault
    maker, taker = (signer.address for signer in signers)
    assert [house.positionOf(account, perp.id)[0] for account in (maker, taker)] == [-40, 40]
    assert house.positionOf(taker, perp.id + 1)[0] == 0
    for spot in spots:
        moved = 40 * spot.lot_size
        assert [engine.balanceOf(account, spot.base) for account in (maker, taker)] == [BASE - moved, BASE + moved]
    paid = sum(40 * 5_000 * spot.tick_per_lot for spot in spots)
    fees = sum(40 * price * 50 // 10_000 for price in (INDEX, *(5_000 * spot.tick_per_lot for spot in spots)))
    margin = 40 * INDEX // 10
    assert vault.sharesOf(maker) == FUNDS + paid - fees - margin
    assert vault.sharesOf(taker) == FUNDS - paid - fees - margin

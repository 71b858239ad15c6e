"""What must hold at any block, and what a batch may have taken from anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from offchain.domain.market import Kind, Market
from tests.stateful.protocol import Ledger, World
from tests.utils.batches import BUY, FUND, SELL, Order

FEE_BPS = 50
BPS = 10_000
MOST_DUST = 1_000
"""micro-USDC: a payment of funding leaves less than one in the pool"""

Fill = tuple[Order, Order, int]


def check_backing(world: World, ledger: Ledger) -> None:
    """Shares, CXPT, synths and positions are backed, and nothing is counted twice."""
    vault, house = world.exchange.vault.address, world.exchange.clearinghouse.address
    assert sum(ledger.shares.values()) == ledger.totals["totalAssets"] == ledger.wallets[vault]
    assert ledger.totals["cxpt"] == sum(ledger.cxpt.values()) == ledger.shares[world.cxpt.address]
    for instrument in world.synths:
        held = sum(ledger.base[account, instrument] for account in world.traders)
        assert held == ledger.totals[f"held {instrument}"]
        assert ledger.totals[f"backing {instrument}"] >= ledger.totals[f"supply {instrument}"]
    assert ledger.shares[house] == sum(ledger.pools.values())
    for market in world.derivatives:
        _check_market(world, ledger, market)


def _check_market(world: World, ledger: Ledger, market: Market) -> None:
    if ledger.expired[market.id]:
        return  # positions are settled one by one, and claims may be left
    positions = [ledger.positions[account, market.id] for account in (*world.traders, FUND)]
    assert sum(position.size for position in positions) == 0
    if market.kind == Kind.OPTION:
        shorts = sum(max(0, -position.size) for position in positions)
        assert ledger.pools[market.id] == world.locked_per_lot(market.id) * shorts
    else:
        assert 0 <= ledger.pools[market.id] - sum(position.quote for position in positions) <= MOST_DUST


def check_bystander(world: World, first: Ledger, ledger: Ledger) -> None:
    """Who signs nothing loses nothing."""
    account = world.traders[-1]
    assert ledger.shares[account] == first.shares[account]
    assert ledger.wallets[account] == first.wallets[account]
    for instrument in world.synths:
        assert ledger.base[account, instrument] == first.base[account, instrument]


def check_others(world: World, before: Ledger, after: Ledger, touched: set[str]) -> None:
    for account in set(world.traders) - touched:
        assert after.shares[account] == before.shares[account]
        for market in world.derivatives:
            assert after.positions[account, market.id] == before.positions[account, market.id]


def check_batch(world: World, before: Ledger, after: Ledger, fills: Sequence[Fill], rates: Mapping[int, int]) -> None:
    """Every account got what its orders say at their price or a better one, less the fee at most."""
    worst: dict[str, int] = {}
    lots_of: dict[tuple[str, int], int] = {}
    for maker, taker, lots in fills:
        for order in (maker, taker):
            sign = 1 if order.side == BUY else -1
            # What a forced order may cost is bounded by its band, see check_due, and by what the position is worth.
            given = world.notional(order, lots, order.price, rates) * (sign + order.forced)
            given += most_fee(world, maker, lots, rates)
            worst[order.account] = worst.get(order.account, 0) - given
            lots_of[order.account, order.market] = lots_of.get((order.account, order.market), 0) + sign * lots
            _check_rate(order, rates)
    markets = world.exchange.markets
    margined = {order.market for fill in fills for order in fill[:2] if markets[order.market].kind != Kind.SPOT}
    for account in world.traders:
        gained = sum(_worth(world, ledger, account, margined) * sign for ledger, sign in ((after, 1), (before, -1)))
        if account in worst:
            assert gained >= worst[account]
        else:
            assert gained == 0
        _check_lots(world, before, after, account, lots_of)


def most_fee(world: World, maker: Order, lots: int, rates: Mapping[int, int]) -> int:
    """What a side of a fill may pay."""
    return world.notional(maker, lots, maker.price, rates) * FEE_BPS // BPS


def _check_rate(order: Order, rates: Mapping[int, int]) -> None:
    """A cross-quoted order is converted at its limit or better."""
    if order.market in rates:
        rate, limit = rates[order.market], order.conversion_limit
        assert rate <= limit if order.side == BUY else rate >= limit


def _worth(world: World, ledger: Ledger, account: str, markets: set[int]) -> int:
    """USDC in the Vault, in quotes and locked for options."""
    worth = ledger.shares[account]
    for market in markets:
        position = ledger.positions[account, market]
        worth += position.quote
        if world.exchange.markets[market].kind == Kind.OPTION:
            worth += world.locked_per_lot(market) * max(0, -position.size)
    return worth


def _check_lots(world: World, before: Ledger, after: Ledger, account: str, lots_of: dict[tuple[str, int], int]) -> None:
    """Sizes and spot balances moved by exactly what was filled."""
    for market in world.derivatives:
        old, new = (ledger.positions[account, market.id].size for ledger in (before, after))
        assert new - old == lots_of.get((account, market.id), 0)
    spot = [*world.spot, *world.crossed]
    for instrument in world.synths:
        moved = sum(
            lots_of.get((account, market.id), 0) * market.lot_size for market in spot if market.base == instrument
        )
        assert after.base[account, instrument] - before.base[account, instrument] == moved


def check_due(world: World, before: Ledger, order: Order, index: int) -> None:
    """A position was forced only for a reason, and only at a price near the index."""
    market = world.exchange.markets[order.market]
    terms, position = world.terms[market.id], before.positions[order.account, market.id]
    is_due = order.account == FUND or world.is_below_maintenance(position, market, index)
    assert is_due or before.exits[order.account, market.id]
    band = terms["bandBps"] if is_due else terms["exitPenaltyBps"]
    if order.side == SELL:
        assert order.price * BPS >= index * (BPS - band)
    else:
        assert order.price * BPS <= index * (BPS + band)

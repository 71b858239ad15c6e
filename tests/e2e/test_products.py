"""Markets beside plain spot, from signed orders over HTTP to what the contracts hold."""

from __future__ import annotations

from decimal import Decimal

from offchain.api.schemas.stream import PositionMessage
from tests.e2e.chain import USDC
from tests.e2e.exchange import eventually, listening

ETHER = 10**18
CROSS = "ETH-BTC"
CALL = "BTC-30D-70000-C"
RATE = Decimal(64_000)
"""USDC per BTC, of the deployment's mock feed"""


async def test_a_cross_quoted_fill_is_paid_at_the_oracles_rate(create_exchange):
    exchange = create_exchange()
    chain, maker_account, taker_account = exchange.chain, exchange.roles.maker, exchange.roles.taker
    chain.give_ether(maker_account, 10 * ETHER)
    before = {account: chain.shares_of(account) for account in (maker_account, taker_account)}
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            prices = await eventually(taker.prices, lambda prices: CROSS in prices and prices[CROSS].usable)
            assert (prices[CROSS].asset, prices[CROSS].conversion_rate) == ("xWBTC", "64000")
            resting = await maker.place_limit(CROSS, "sell", "0.05", "2", conversion_limit=RATE - 1_000)
            assert resting.status == "open"
            taken = await taker.place_market(CROSS, "buy", "1.5", "0.051", conversion_limit=RATE + 1_000)
            assert (taken.status, taken.fills[0].price) == ("filled", "0.05")

            chain.push_price(65_500)
            await eventually(taker.prices, lambda prices: prices[CROSS].conversion_rate == "65500")
            later = await taker.place_market(CROSS, "buy", "0.5", "0.051", conversion_limit=65_500)
            assert later.status == "filled"
            await exchange.until_settled(taker)
            fills = (await taker.fills(limit=2)).fills
            assert [fill.conversion_rate for fill in fills] == ["65500", "64000"]
            assert {fill.settlement.state for fill in fills} <= {"settled", "confirmed"}
            assert await exchange.differences() == []
    first, second = 4_800 * USDC, 1_637_500_000  # 1.5 * 0.05 * 64,000 and 0.5 * 0.05 * 65,500 USDC
    fees = first // 200 + second // 200
    assert chain.shares_of(taker_account) == before[taker_account] - first - second - fees
    assert chain.shares_of(maker_account) == before[maker_account] + first + second - fees
    assert chain.last_batch() == 3  # a round each


async def test_an_option_is_written_closed_and_settled(create_exchange):
    exchange = create_exchange()
    chain, maker_account, taker_account = exchange.chain, exchange.roles.maker, exchange.roles.taker
    before = {account: chain.shares_of(account) for account in (maker_account, taker_account)}
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            market = next(market for market in (await maker.markets()).markets if market.symbol == CALL)
            assert (market.status, market.option.strike, market.option.collateral) == ("active", "70000", "70000")
            await maker.place_limit(CALL, "sell", "2500", "0.5")
            assert (await maker.balances())["USDC"].reserved == "33756.25"  # 0.5 * (70,000 - 2,500) and the fee
            async with listening(taker, taker.trader_channel) as heard:
                assert (await taker.place_market(CALL, "buy", "0.3", "2500")).status == "filled"
                told = await heard.until(PositionMessage, lambda message: message.data.size == "0.3")
                assert (told.data.market, told.data.entry_price) == (CALL, "2500")
                await exchange.until_settled(taker)
                await heard.until(PositionMessage, lambda message: message.data.settled_size == "0.3")
            assert chain.position_of(maker_account, CALL) == -300
            assert chain.pool_of(CALL) == 21_000 * USDC
            # The buyer closes a part, reduce-only: more than it has is trimmed away.
            await maker.place_limit(CALL, "buy", "2600", "0.1")
            closed = await taker.place_limit(CALL, "sell", "2600", "5", reduce_only=True)
            assert (closed.status, closed.filled, closed.remaining) == ("partiallyFilled", "0.1", "0.2")
            await exchange.until_settled(taker)
            position = (await taker.positions())[CALL]
            assert (position.size, position.settled_size, position.realised_pnl) == ("0.2", "0.2", "10")
            assert await exchange.differences() == []
    fees = 750 * USDC // 200 + 260 * USDC // 200
    assert chain.shares_of(taker_account) == before[taker_account] - 490 * USDC - fees
    assert chain.shares_of(maker_account) == before[maker_account] + 490 * USDC - fees - 14_000 * USDC
    assert (chain.position_of(maker_account, CALL), chain.position_of(taker_account, CALL)) == (-200, 200)

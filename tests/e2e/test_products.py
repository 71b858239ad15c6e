"""Markets beside plain spot, from signed orders over HTTP to what the contracts hold."""

from __future__ import annotations

from decimal import Decimal

from tests.e2e.chain import USDC
from tests.e2e.exchange import eventually

ETHER = 10**18
CROSS = "ETH-BTC"
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

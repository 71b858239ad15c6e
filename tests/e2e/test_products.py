"""Markets beside plain spot, from signed orders over HTTP to what the contracts hold."""

from __future__ import annotations

from decimal import Decimal

from offchain.api.schemas.stream import FundingRateMessage, MarkPriceMessage, PositionMessage
from scripts._demo.audit import replay_journal
from tests.e2e.chain import USDC
from tests.e2e.exchange import eventually, listening

ETHER = 10**18
CROSS = "ETH-BTC"
CALL = "BTC-30D-70000-C"
PERP = "BTC-PERP"
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


async def test_a_perpetual_is_opened_pays_funding_and_is_closed(create_exchange):
    exchange = create_exchange()
    chain, operator = exchange.chain, exchange.roles.operator
    maker_account, taker_account = exchange.roles.maker, exchange.roles.taker
    before = {account: chain.shares_of(account) for account in (maker_account, taker_account)}
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            await eventually(taker.prices, lambda prices: PERP in prices and prices[PERP].usable)
            await maker.place_limit(PERP, "sell", "64000", "0.5")
            assert (await maker.balances())["USDC"].reserved == "3360"  # a tenth of 32,000, and the fee
            assert (await taker.place_market(PERP, "buy", "0.5", "64000")).status == "filled"
            await exchange.until_settled(taker)
            position = (await taker.positions())[PERP]
            assert (position.size, position.settled_size, position.entry_price) == ("0.5", "0.5", "64000")
            assert (position.index_price, position.equity, position.margin) == ("64000", "3200", "3200")
            assert (position.maintenance_margin, position.liquidation_price) == ("1600", "60631.58")
            ticker = await taker.ticker(PERP)
            assert (ticker.mark_price, ticker.index_price) == ("64000", "64000")
            assert (ticker.open_interest, ticker.open_interest_value) == ("0.5", "32000")
            margined = next(each for each in (await taker.markets()).markets if each.symbol == PERP).margined
            assert (margined.funding_interval, margined.funding_period) == (3_600, 28_800)

            # The operator accrues an hour of funding; a resting order is matched before the service sees it.
            hour = chain.head_time() // 3_600
            round_id = chain.push_price(64_000, updated_at=hour * 3_600 - 10)
            await maker.place_limit(PERP, "buy", "64100", "0.2")
            accrual = chain.clearinghouse.functions.accrueFunding(
                chain.deployment.markets[PERP]["id"], hour, 10_000, round_id
            )
            chain.send(operator, accrual)
            funded = await eventually(taker.positions, lambda positions: positions[PERP].margin != "3200")
            assert funded[PERP].margin == "3196.8"  # a basis point of 32,000
            funding = await taker.funding(PERP)
            assert (funding.last_funding, funding.last_rate) == (hour * 3_600_000, "0.0001")
            (accrued,) = funding.history
            assert (accrued.rate, accrued.index_price, accrued.funding_index) == ("0.0001", "64000", "6.4")

            closed = await taker.place_limit(PERP, "sell", "64100", "0.2", reduce_only=True)
            assert closed.status == "filled"
            await exchange.until_settled(taker)
            position = (await taker.positions())[PERP]
            assert (position.size, position.settled_size, position.realised_pnl) == ("0.3", "0.3", "16.8")
            assert await exchange.differences() == []
            status = await taker.status()
            assert (status.diverged, status.parked_batch) == ("", None)
    fees = 32_000 * USDC // 200 + 12_820 * USDC // 200
    assert (chain.position_of(maker_account, PERP), chain.position_of(taker_account, PERP)) == (-3_000, 3_000)
    # Margin of 3,200 in; two fifths of it, less their funding, and 20 of profit out.
    assert chain.shares_of(taker_account) == before[taker_account] - fees - 3_200 * USDC + 1_298_720_000
    assert chain.shares_of(maker_account) == before[maker_account] - fees - 3_200 * USDC + 1_261_280_000


async def test_marks_and_rates_follow_the_oracle_on_chain(create_exchange):
    exchange = create_exchange()
    chain = exchange.chain
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            await eventually(taker.prices, lambda prices: PERP in prices and prices[PERP].usable)
            channels = (f"market.{PERP}.markPrice", f"market.{PERP}.fundingRate")
            async with listening(taker, *channels) as heard:
                first = await heard.until(MarkPriceMessage, lambda message: message.data.index_price == "64000")
                assert first.data.mark_price == "64000"
                rate = await heard.until(FundingRateMessage, lambda message: True)
                assert rate.data.next_funding % 3_600_000 == 0
                await maker.place_limit(PERP, "sell", "64100", "0.5")
                await taker.place_market(PERP, "buy", "0.1", "64100")
                await heard.until(MarkPriceMessage, lambda message: message.data.mark_price == "64100")
                chain.push_price(64_050)
                moved = await heard.until(MarkPriceMessage, lambda message: message.data.index_price == "64050")
                assert moved.data.mark_price == "64100"
            candles = await eventually(
                lambda: taker.candles(PERP, price="mark", interval="1d"),
                lambda candles: bool(candles) and candles[-1].close == "64100",
            )
            assert candles[0].open == candles[0].low == "64000"
            indices = await taker.candles(PERP, price="index", interval="1d")
            assert (indices[0].open, indices[-1].close) == ("64000", "64050")
            (interest,) = (await taker.open_interest(market=PERP)).markets
            assert (interest.open_interest, interest.open_interest_value) == ("0.1", "6410")


async def test_an_option_is_in_the_chain_with_its_volatility(create_exchange):
    exchange = create_exchange()
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            await eventually(taker.prices, lambda prices: CALL in prices and prices[CALL].usable)
            await maker.place_limit(CALL, "sell", "2500", "0.5")
            await maker.place_limit(CALL, "buy", "2300", "0.5")
            assert (await taker.place_market(CALL, "buy", "0.3", "2500")).status == "filled"

            async def quote():
                chain = await taker.options("BTC")
                strikes = [strike for expiry in chain.expiries for strike in expiry.strikes]
                return chain, next(each for strike in strikes for each in strike.calls if each.market == CALL)

            chain, call = await eventually(quote, lambda found: found[1].bid and found[1].volume == "0.3")
            assert chain.index_price == "64000"
            assert (call.bid, call.ask, call.mark_price, call.last) == ("2300", "2500", "2400", "2500")
            assert (call.open_interest, call.cap) == ("0.3", "140000")
            assert 0.3 < float(call.bid_iv) < float(call.mark_iv) < float(call.ask_iv) < 1
            assert 0 < float(call.delta) < 0.5
            assert float(call.theta) < 0 < float(call.vega)


async def test_a_takeover_on_chain_ends_the_position_here(create_exchange):
    exchange = create_exchange()
    chain, operator, taker_account = exchange.chain, exchange.roles.operator, exchange.roles.taker
    fund = chain.clearinghouse.functions.FUND().call()
    chain.give(operator, usdc=10_000 * USDC)
    chain.send(operator, chain.usdc.functions.approve(chain.vault.address, 10_000 * USDC))
    chain.send(operator, chain.vault.functions.deposit(10_000 * USDC, fund))
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            await eventually(taker.prices, lambda prices: PERP in prices and prices[PERP].usable)
            await maker.place_limit(PERP, "sell", "64000", "0.5")
            await taker.place_market(PERP, "buy", "0.5", "64000")
            await exchange.until_settled(taker)
            closing = await taker.place_limit(PERP, "sell", "66000", "0.5", reduce_only=True)
            assert closing.status == "open"
            # 200 are left of a margin of 3,200: less than half of what is asked for.
            chain.push_price(58_000)
            await eventually(taker.prices, lambda prices: prices[PERP].index_price == "58000")
            market = chain.deployment.markets[PERP]["id"]
            chain.send(operator, chain.clearinghouse.functions.takeOver(taker_account.address, market))
            positions = await eventually(taker.positions, lambda positions: positions[PERP].size == "0")
            assert (positions[PERP].settled_size, positions[PERP].realised_pnl) == ("0", "-3200")
            order = await eventually(lambda: taker.order(closing.order_id), lambda order: order.status == "canceled")
            assert order.code == "reduceOnly"
            # The fund has no key that could sign in; what the service knows of it is what its journal leads to.
            account = bytes.fromhex(fund[2:])
            books, core = await replay_journal(exchange.folder, [account])
            (taken,) = core.positions(account, 0)
            assert taken.update.settled_size == 5_000
            equity = taken.update.size * 5_800_000 + taken.update.quote
            assert equity == 1_450 * USDC, "at an index of 58,000"
            assert books.balances[account, 0] == chain.vault.functions.sharesOf(fund).call()
            # Trading goes on, and settles.
            await maker.place_limit(PERP, "buy", "58000", "0.1")
            await taker.place_market(PERP, "sell", "0.1", "58000")
            await exchange.until_settled(taker)
            assert await exchange.differences() == []
            assert (await taker.status()).diverged == ""

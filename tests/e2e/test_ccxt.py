"""CCXT itself against a running exchange."""

from __future__ import annotations

import asyncio

import ccxt
import pytest

from offchain.client.ccxt_crosspoint import crosspoint
from offchain.client.ccxt_sync import crosspoint as blocking
from tests.e2e.exchange import PRICE, SYMBOL, eventually

PAIR = "BTC/USDC"


@pytest.fixture(scope="module")
def exchange(local_upstream, tmp_path_factory):
    """One running exchange for the whole module; every test ends without open orders."""
    folder = tmp_path_factory.mktemp("ccxt") / "service"
    with local_upstream.fork(folder) as exchange, exchange.running():
        yield exchange


def config_of(exchange, account):
    return {"privateKey": account.key.hex(), "options": {"url": exchange.url}}


@pytest.fixture
async def traders(exchange):
    """A maker and a taker."""
    created = [crosspoint(config_of(exchange, account)) for account in (exchange.roles.maker, exchange.roles.taker)]
    async with exchange.clients() as (maker, _):
        await exchange.until_indexed(maker)
    yield created
    for trader in created:
        await trader.cancel_all_orders()
        await trader.close()


async def test_markets_have_steps_limits_and_fees(traders):
    markets = await traders[0].load_markets()
    market = next(each for each in markets.values() if each["id"] == SYMBOL)
    assert market["symbol"] == PAIR
    assert (market["base"], market["quote"], market["spot"], market["active"]) == ("BTC", "USDC", True, True)
    assert market["precision"]["amount"] == market["limits"]["amount"]["min"] > 0
    assert market["taker"] == market["maker"] == 0.005
    fees = await traders[0].fetch_trading_fees()
    assert fees[market["symbol"]]["maker"] == 0.005


async def test_order_lives_from_open_through_edit_to_canceled(traders):
    maker, _ = traders
    order = await maker.create_order(PAIR, "limit", "buy", 0.1, PRICE - 4_000, {"clientOrderId": "mine"})
    assert (order["status"], order["amount"], order["price"]) == ("open", 0.1, PRICE - 4_000)
    assert order["clientOrderId"] == "mine"
    assert [each["id"] for each in await maker.fetch_open_orders(PAIR)] == [order["id"]]
    balance = await maker.fetch_balance()
    assert balance["USDC"]["used"] >= 0.1 * (PRICE - 4_000)

    resting = await maker.create_order(PAIR, "limit", "buy", 0.1, PRICE - 4_000, {"timeInForce": "PO"})
    assert (resting["timeInForce"], resting["postOnly"]) == ("GTC", True)
    await maker.cancel_order(resting["id"])

    edited = await maker.edit_order(order["id"], PAIR, "limit", "buy", 0.05, PRICE - 4_000)
    assert (edited["status"], edited["amount"]) == ("open", 0.05)
    assert (await maker.fetch_order(order["id"]))["status"] == "canceled"
    assert (await maker.cancel_order(edited["id"]))["status"] == "canceled"
    assert await maker.fetch_open_orders() == []
    assert edited["id"] in {each["id"] for each in await maker.fetch_closed_orders(PAIR)}


async def test_trade_shows_everywhere(traders):
    maker, taker = traders
    before = await taker.fetch_balance()
    resting = await maker.create_order(PAIR, "limit", "sell", 0.02, PRICE)
    # The book is published a moment after the order is answered.
    await eventually(lambda: taker.fetch_order_book(PAIR), lambda book: book["asks"] == [[PRICE, 0.02]])
    taken = await taker.create_order(PAIR, "market", "buy", 0.02)
    assert (taken["status"], taken["filled"], taken["type"]) == ("closed", 0.02, "market")
    assert (await maker.fetch_order(resting["id"]))["status"] == "closed"

    (mine,) = [each for each in await taker.fetch_my_trades(PAIR) if each["order"] == taken["id"]]
    assert (mine["takerOrMaker"], mine["price"], mine["amount"]) == ("taker", PRICE, 0.02)
    assert mine["fee"] == {"cost": 0.02 * PRICE * 0.005, "currency": "USDC"}
    assert mine["id"] in {each["id"] for each in await maker.fetch_trades(PAIR)}
    ticker = await maker.fetch_ticker(PAIR)
    assert ticker["last"] == PRICE
    assert PAIR in await maker.fetch_tickers([PAIR])
    (*_, candle) = await maker.fetch_ohlcv(PAIR, "1h")
    assert candle[4] == PRICE
    after = await taker.fetch_balance()
    assert after["BTC"]["total"] == pytest.approx(before["BTC"]["total"] + 0.02)


async def test_book_can_be_watched(traders):
    maker, taker = traders
    assert (await taker.watch_order_book(PAIR))["bids"] == []
    watching = asyncio.create_task(taker.watch_order_book(PAIR))
    await maker.create_order(PAIR, "limit", "buy", 0.3, PRICE - 1_000)
    assert (await watching)["bids"] == [[PRICE - 1_000, 0.3]]


async def test_what_waits_for_a_price(traders):
    maker, _ = traders
    stop = await maker.create_stop_loss_order(PAIR, "market", "sell", 0.1, None, PRICE - 9_000)
    assert (stop["status"], stop["type"], stop["price"]) == ("open", "market", (PRICE - 9_000) * 0.95)
    assert (stop["triggerPrice"], stop["stopPrice"], stop["stopLossPrice"]) == (PRICE - 9_000,) * 3
    profit = await maker.create_take_profit_order(PAIR, "limit", "sell", 0.1, PRICE + 8_900, PRICE + 9_000)
    assert (profit["takeProfitPrice"], profit["price"]) == (PRICE + 9_000, PRICE + 8_900)
    kinds = []
    for side, direction in (("buy", None), ("sell", None), ("buy", "descending"), ("sell", "ascending")):
        rising = direction == "ascending" or (direction is None and side == "buy")
        params = {"triggerPrice": PRICE + (9_000 if rising else -9_000)} | (
            {"triggerDirection": direction} if direction else {}
        )
        order = await maker.create_order(PAIR, "limit", side, 0.01, params["triggerPrice"], params)
        kinds.append(order["info"]["trigger"]["type"])
    assert kinds == ["stop", "stop", "takeProfit", "takeProfit"]
    assert len([each for each in await maker.fetch_open_orders(PAIR) if each["triggerPrice"]]) == 6
    moved = await maker.edit_order(stop["id"], PAIR, "market", "sell", None, None, {"stopLossPrice": PRICE - 8_000})
    assert (moved["stopLossPrice"], moved["amount"], moved["price"]) == (PRICE - 8_000, 0.1, stop["price"])
    assert (await maker.fetch_open_order(moved["id"]))["id"] == moved["id"]
    with pytest.raises(ccxt.OrderNotFound):
        await maker.fetch_open_order(stop["id"])
    with pytest.raises(ccxt.NotSupported, match="no stopLoss"):
        await maker.create_order(PAIR, "limit", "sell", 0.1, PRICE, {"stopLoss": {"triggerPrice": PRICE - 9_000}})
    with pytest.raises(ccxt.InvalidOrder, match="one price"):
        await maker.create_order(PAIR, "limit", "sell", 0.1, PRICE, {"triggerPrice": 1, "stopLossPrice": 2})
    with pytest.raises(ccxt.InvalidOrder, match="triggerDirection"):
        await maker.create_order(PAIR, "limit", "sell", 0.1, PRICE, {"triggerPrice": 1, "triggerDirection": "left"})
    with pytest.raises(ccxt.InvalidOrder, match="triggerBy"):
        await maker.create_trigger_order(PAIR, "limit", "sell", 0.1, PRICE, 1, {"triggerPriceType": "moon"})


async def test_many_orders_come_and_go_together(traders):
    maker, _ = traders
    wanted = [
        {"symbol": PAIR, "type": "limit", "side": "buy", "amount": amount, "price": PRICE - 6_000 - number}
        for number, amount in enumerate((0.1, 10_000, 0.1))
    ]
    placed = await maker.create_orders(wanted)
    assert [each["status"] for each in placed] == ["open", "rejected", "open"]
    assert placed[1]["info"]["code"] == "insufficientBalance"
    quotes = await maker.create_orders(wanted[::2], {"oneSignature": True})
    assert [each["status"] for each in quotes] == ["open", "open"]
    assert await maker.cancel_all_orders(PAIR, {"side": "sell"}) == []
    canceled = await maker.cancel_all_orders(PAIR)
    assert [each["id"] for each in canceled] == [each["id"] for each in (*placed[::2], *quotes)]
    assert {each["status"] for each in canceled} == {"canceled"}
    assert await maker.fetch_open_orders() == []


async def test_silence_cancels(traders):
    maker, _ = traders
    order = await maker.create_order(PAIR, "limit", "buy", 0.1, PRICE - 6_000)
    armed = await maker.cancel_all_orders_after(60_000)
    assert armed["triggerTime"] - maker.milliseconds() == pytest.approx(60_000, abs=10_000)
    assert (await maker.cancel_all_orders_after(0))["triggerTime"] is None
    await maker.cancel_all_orders_after(500)
    ended = await eventually(lambda: maker.fetch_order(order["id"]), lambda found: found["status"] == "canceled")
    assert ended["info"]["code"] == "cancelAfter"
    with pytest.raises(ccxt.ArgumentsRequired):
        await maker.cancel_all_orders_after(None)


async def test_account_can_be_watched(traders):
    maker, taker = traders
    before = await taker.watch_balance()
    assert before["USDC"]["total"] == (await taker.fetch_balance())["USDC"]["total"]
    orders = asyncio.create_task(taker.watch_orders(PAIR))
    fills = asyncio.create_task(taker.watch_my_trades(PAIR))
    trades = asyncio.create_task(taker.watch_trades(PAIR))
    assert (await taker.watch_ticker(PAIR))["symbol"] == PAIR
    await asyncio.sleep(0.3)  # what is traded before the subscription is not told
    await maker.create_order(PAIR, "limit", "sell", 0.02, PRICE)
    await eventually(lambda: taker.watch_ticker(PAIR), lambda ticker: ticker["ask"] == PRICE)
    taken = await taker.create_order(PAIR, "market", "buy", 0.02, PRICE, {"clientOrderId": "watched"})
    changes = await orders
    while changes[-1]["status"] != "closed":
        changes += await taker.watch_orders(PAIR)
    assert {(each["id"], each["clientOrderId"]) for each in changes} == {(taken["id"], "watched")}
    assert (changes[-1]["filled"], changes[-1]["side"]) == (0.02, "buy")
    (fill,) = await fills
    assert (fill["order"], fill["takerOrMaker"], fill["price"], fill["amount"]) == (taken["id"], "taker", PRICE, 0.02)
    assert [each["id"] for each in await trades] == [fill["id"]]
    after = await eventually(taker.watch_balance, lambda balance: balance["BTC"]["total"] > before["BTC"]["total"])
    assert after["BTC"]["total"] == pytest.approx(before["BTC"]["total"] + 0.02)
    ticker = await eventually(lambda: taker.watch_ticker(PAIR), lambda found: found["ask"] is None)
    assert ticker["last"] == PRICE


async def test_positions_can_be_watched(traders):
    maker, taker = traders
    perp = "BTC/USDC:USDC"
    await taker.load_markets()
    await eventually(taker.client.prices, lambda prices: "BTC-PERP" in prices and prices["BTC-PERP"].usable)
    watching = asyncio.create_task(taker.watch_positions([perp]))
    await maker.create_order(perp, "limit", "sell", 0.1, PRICE)
    await taker.create_order(perp, "market", "buy", 0.1, PRICE)
    (position,) = await watching
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("long", 0.1, PRICE)
    await maker.create_order(perp, "limit", "buy", 0.1, PRICE)
    await taker.create_order(perp, "limit", "sell", 0.1, PRICE, {"reduceOnly": True})
    (closed,) = await taker.watch_positions([perp])
    assert closed["contracts"] == 0


async def test_a_refused_subscription_can_be_tried_again(exchange):
    nobody = crosspoint({"options": {"url": exchange.url}})
    try:
        for _ in range(2):
            with pytest.raises(ccxt.AuthenticationError):
                await nobody.watch_orders()
        assert (await nobody.watch_order_book(PAIR))["symbol"] == PAIR
    finally:
        await nobody.close()


async def test_funding_open_interest_and_marks_in_ccxts_structures(traders, exchange):
    maker, taker = traders
    await maker.load_markets()
    perp = "BTC/USDC:USDC"
    await eventually(taker.client.prices, lambda prices: "BTC-PERP" in prices and prices["BTC-PERP"].usable)
    trades = asyncio.create_task(taker.watch_trades(perp))
    mark = await maker.watch_mark_price(perp)
    assert (mark["symbol"], mark["indexPrice"]) == (perp, 64_000)
    await asyncio.sleep(0.2)  # what is traded before the subscription is not told
    await maker.create_order(perp, "limit", "sell", 0.2, 64_100)
    await taker.create_order(perp, "market", "buy", 0.2, 64_100)
    assert [(each["price"], each["amount"], each["side"]) for each in await trades] == [(64_100, 0.2, "buy")]
    assert (await maker.watch_mark_price(perp))["markPrice"] == 64_100

    interest = await taker.fetch_open_interest(perp)
    assert (interest["openInterestAmount"], interest["openInterestValue"]) == (0.2, 12_820)
    assert (await taker.fetch_open_interests([perp]))[perp]["openInterestAmount"] == 0.2
    rate = await taker.fetch_funding_rate(perp)
    assert (rate["symbol"], rate["markPrice"], rate["indexPrice"], rate["interval"]) == (perp, 64_100, 64_000, "1h")
    assert rate["fundingTimestamp"] % 3_600_000 == 0
    assert rate["previousFundingRate"] is None
    rates = await taker.fetch_funding_rates()
    assert list(rates) == [perp]
    assert rates[perp]["fundingRate"] == rate["fundingRate"]
    assert (await taker.fetch_ticker(perp))["markPrice"] == 64_100

    chain = exchange.chain
    hour = chain.head_time() // 3_600
    round_id = chain.push_price(64_000, updated_at=hour * 3_600 - 10)
    market = chain.deployment.markets["BTC-PERP"]["id"]
    accrual = chain.clearinghouse.functions.accrueFunding(market, hour, -20_000, round_id)
    chain.send(exchange.roles.operator, accrual)
    (accrued,) = await eventually(lambda: taker.fetch_funding_rate_history(perp), bool)
    assert (accrued["fundingRate"], accrued["timestamp"]) == (-0.0002, hour * 3_600_000)
    assert await taker.fetch_funding_rate_history(perp, since=(hour + 1) * 3_600_000) == []

    candles = await eventually(lambda: taker.fetch_mark_ohlcv(perp, "1d"), lambda rows: rows and rows[-1][4] == 64_100)
    assert candles[-1][5] is None
    assert (await taker.fetch_index_ohlcv(perp, "1d"))[-1][4] == 64_000
    with pytest.raises(ccxt.BadSymbol):
        await taker.fetch_funding_rate(PAIR)
    await maker.create_order(perp, "limit", "buy", 0.2, 64_000)
    await taker.create_order(perp, "limit", "sell", 0.2, 64_000, {"reduceOnly": True})


async def test_options_in_ccxts_structures(traders):
    maker, taker = traders
    markets = await maker.load_markets()
    symbol = next(symbol for symbol, market in markets.items() if market["option"])
    await eventually(taker.client.prices, lambda prices: any(price.usable for price in prices.values()))
    await maker.create_order(symbol, "limit", "sell", 0.5, 2_500)
    await maker.create_order(symbol, "limit", "buy", 0.5, 2_300)
    option = await eventually(lambda: taker.fetch_option(symbol), lambda found: found["midPrice"] is not None)
    assert (option["symbol"], option["currency"], option["bidPrice"], option["midPrice"]) == (
        symbol,
        "BTC",
        2_300,
        2_400,
    )
    assert 0.3 < option["impliedVolatility"] < 1
    assert (await taker.fetch_option_chain("BTC"))[symbol]["askPrice"] == 2_500
    greeks = await taker.fetch_greeks(symbol)
    assert 0 < greeks["delta"] < 0.5
    assert greeks["bidImpliedVolatility"] < greeks["markImpliedVolatility"] < greeks["askImpliedVolatility"]
    assert greeks["underlyingPrice"] == 64_000
    with pytest.raises(ccxt.BadSymbol):
        await taker.fetch_greeks(PAIR)


async def test_derivatives_have_ccxts_symbols_and_positions(traders):
    maker, taker = traders
    markets = await maker.load_markets()
    kinds = {market["type"]: market for market in markets.values()}
    assert set(kinds) == {"spot", "swap", "future", "option"}
    assert (kinds["option"]["optionType"], kinds["option"]["linear"]) in (("call", True), ("put", True))
    assert kinds["future"]["symbol"] == f"BTC/USDC:USDC-{maker.yymmdd(kinds['future']['expiry'])}"
    perp = "BTC/USDC:USDC"
    assert markets[perp]["swap"]
    await eventually(taker.client.prices, lambda prices: "BTC-PERP" in prices and prices["BTC-PERP"].usable)
    await maker.create_order(perp, "limit", "sell", 0.1, PRICE)
    taken = await taker.create_order(perp, "market", "buy", 0.1, PRICE)
    assert taken["status"] == "closed"
    (position,) = await taker.fetch_positions([perp])
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("long", 0.1, PRICE)
    assert position["liquidationPrice"] < PRICE
    await maker.create_order(perp, "limit", "buy", 0.1, PRICE)
    closed = await taker.create_order(perp, "limit", "sell", 5, PRICE, {"reduceOnly": True})
    assert (closed["filled"], closed["reduceOnly"]) == (0.1, True)
    assert await taker.fetch_positions([PAIR]) == []


async def test_money_is_withdrawn_to_its_owner(traders, exchange):
    taker, account = traders[1], exchange.roles.taker
    assert taker.has["withdraw"]
    before = exchange.chain.usdc.functions.balanceOf(account.address).call()
    asked = await taker.withdraw("USDC", 12.5, account.address)
    assert (asked["type"], asked["currency"], asked["amount"], asked["status"]) == (
        "withdrawal",
        "USDC",
        12.5,
        "pending",
    )
    (paid,) = await eventually(taker.fetch_withdrawals, lambda found: found and found[0]["status"] == "ok")
    assert paid["amount"] == 12.5
    assert exchange.chain.usdc.functions.balanceOf(account.address).call() - before == 12_500_000
    with pytest.raises(ccxt.InvalidAddress):
        await taker.withdraw("USDC", 1, exchange.roles.maker.address)
    with pytest.raises(ccxt.BadRequest):
        await taker.withdraw("DOGE", 1, account.address)
    with pytest.raises(ccxt.InsufficientFunds):
        await taker.withdraw("USDC", 10**9, account.address)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((PAIR, "limit", "buy", 10_000, PRICE), ccxt.InsufficientFunds),
        ((PAIR, "limit", "buy", 1e-9, PRICE), ccxt.InvalidOrder),
        ((PAIR, "limit", "buy", 0.1), ccxt.ArgumentsRequired),
        ((PAIR, "limit", "buy", float("nan"), PRICE), ccxt.InvalidOrder),
        ((PAIR, "market", "buy", 0.1), ccxt.InvalidOrder),
        (("DOGE/USDC", "limit", "buy", 1, 1), ccxt.BadSymbol),
    ],
)
async def test_refusals_are_ccxts_own_errors(traders, arguments, error):
    with pytest.raises(error):
        await traders[0].create_order(*arguments)


async def test_unknown_orders_and_lost_services_are_ccxts_own_errors(traders, exchange):
    with pytest.raises(ccxt.OrderNotFound):
        await traders[0].fetch_order("0x" + "11" * 32)
    nowhere = crosspoint({"options": {"url": "http://127.0.0.1:9"}})
    with pytest.raises(ccxt.NetworkError):
        await nowhere.fetch_time()
    await nowhere.close()


def test_blocking_class_does_the_same(exchange):
    trader = blocking(config_of(exchange, exchange.roles.maker))
    order = trader.create_order(PAIR, "limit", "buy", 0.1, PRICE - 5_000)
    assert trader.fetch_order(order["id"])["status"] == "open"
    assert trader.cancel_order(order["id"])["status"] == "canceled"
    assert trader.fetch_status()["status"] == "ok"
    stop = trader.create_stop_loss_order(PAIR, "limit", "sell", 0.1, PRICE - 9_000, PRICE - 8_000)
    assert trader.fetch_open_order(stop["id"])["stopLossPrice"] == PRICE - 8_000
    assert [each["id"] for each in trader.cancel_all_orders(PAIR)] == [stop["id"]]
    assert trader.cancel_all_orders_after(0)["triggerTime"] is None
    assert (trader.has["createOrders"], trader.has["watchOrders"]) == (True, False)
    assert trader.fetch_funding_rate("BTC/USDC:USDC")["interval"] == "1h"
    assert trader.fetch_mark_ohlcv("BTC/USDC:USDC")
    assert abs(trader.fetch_time() - trader.milliseconds()) < 60_000
    assert [each["status"] for each in trader.fetch_deposits("USDC")] == ["ok"]
    assert trader.fetch_withdrawals() == []
    with pytest.raises(ccxt.InvalidAddress):
        trader.withdraw("USDC", 1, exchange.roles.taker.address)
    trader.close()
    with pytest.raises(ccxt.ExchangeClosedByUser):
        trader.fetch_time()


async def test_an_api_key_reads_and_does_not_trade(exchange):
    async with exchange.clients() as (maker, _):
        made = await maker.create_key("ccxt")
        reader = crosspoint({"apiKey": made.key.id, "secret": made.secret, "options": {"url": exchange.url}})
        try:
            assert (await reader.fetch_balance())["USDC"]["total"] > 0
            assert (await reader.watch_balance())["USDC"]["total"] > 0
            with pytest.raises(ccxt.PermissionDenied):
                await reader.cancel_all_orders()
            with pytest.raises(ccxt.AuthenticationError, match="private key"):
                await reader.create_order(PAIR, "limit", "buy", 0.1, PRICE - 4_000)
            await maker.revoke_key(made.key.id)
            with pytest.raises(ccxt.AuthenticationError, match="invalidToken"):
                await reader.fetch_balance()
        finally:
            await reader.close()


async def test_without_credentials_accounts_are_closed(exchange):
    nobody = crosspoint({"options": {"url": exchange.url}})
    try:
        assert await nobody.load_markets()
        with pytest.raises(ccxt.AuthenticationError, match="no private key and no API key"):
            await nobody.fetch_balance()
    finally:
        await nobody.close()

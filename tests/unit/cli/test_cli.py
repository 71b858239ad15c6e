"""Trading from the command line."""

from __future__ import annotations

import pytest

from offchain.api.keys import CREDENTIALS
from offchain.api.schemas.http import PublicTrade, checksum
from offchain.api.schemas.stream import Depth, DepthSnapshot
from offchain.cli.watch import draw
from offchain.client.book import OrderBook
from offchain.domain.commands import Tick
from offchain.domain.order import Side
from tests.unit.api.derivatives import CALL, EXPIRY, accrue, open_derivatives, rest
from tests.unit.api.exchange import MAKER, NOW_MS, TAKER


async def test_markets_are_listed(run):
    result = await run("markets")
    assert result.exit_code == 0
    head, first, second = result.output.splitlines()
    assert head.split() == ["symbol", "kind", "status", "tickSize", "lotSize", "maxPrice", "maxQuantity"]
    assert first.split()[:3] == ["BTC-USDC", "spot", "active"]
    assert second.startswith("ETH-USDC")


async def test_order_lives_from_placed_to_canceled(ask):
    (order,) = await ask("buy", "BTC-USDC", "0.5", "95000.1", "--id", "mine", "--post-only", trader=MAKER)
    assert order["status"] == "open"
    (shown,) = await ask("orders", trader=MAKER)
    assert (shown["orderId"], shown["side"], shown["clientOrderId"]) == (order["orderId"], "buy", "mine")
    (newer,) = await ask("buy", "BTC-USDC", "0.4", "95000.1", "--replaces", order["orderId"], trader=MAKER)
    (canceled,) = await ask("cancel", newer["orderId"], trader=MAKER)
    assert canceled["status"] == "canceled"
    assert await ask("orders", trader=MAKER) == []
    assert len(await ask("orders", "--all", trader=MAKER)) == 2


async def test_all_orders_of_a_market_are_canceled(ask, monkeypatch):
    monkeypatch.setattr("offchain.domain.ending.MAX_CANCELED", 1)  # more than the route does at a time
    for side, price in (("buy", "90000"), ("buy", "91000"), ("sell", "99000")):
        await ask(side, "BTC-USDC", "0.1", price, trader=MAKER)
    assert await ask("cancel", "--all", "--market", "ETH-USDC", trader=MAKER) == []
    assert [each["status"] for each in await ask("cancel", "--all", "--side", "buy", trader=MAKER)] == ["canceled"] * 2
    assert [order["side"] for order in await ask("orders", trader=MAKER)] == ["sell"]
    made = await ask("keys", "create", "guard", "--cancel", trader=MAKER)
    assert len(await ask("cancel", "--all", api_key=made["secret"])) == 1
    assert await ask("orders", trader=MAKER) == []


async def test_orders_wait_for_prices(ask, run):
    (stop,) = await ask("sell", "BTC-USDC", "0.1", "80000", "--market", "--stop", "90000", trader=MAKER)
    profit = ("--take-profit", "99000", "--by", "last", "--seconds", "60")
    await ask("sell", "BTC-USDC", "0.1", "98000", *profit, trader=MAKER)
    shown = {order["trigger"]["type"]: order for order in await ask("orders", trader=MAKER)}
    assert shown["stop"]["orderId"] == stop["orderId"]
    assert (shown["stop"]["type"], shown["stop"]["trigger"]["price"]) == ("market", "90000")
    assert shown["stop"]["expiry"] == NOW_MS // 1000 + 30 * 86_400
    assert (shown["takeProfit"]["timeInForce"], shown["takeProfit"]["expiry"]) == ("GTD", NOW_MS // 1000 + 60)
    (moved,) = await ask("amend", stop["orderId"], "--trigger", "89000", trader=MAKER)
    lines = (await run("orders", trader=MAKER)).output.splitlines()
    assert "trigger" in lines[0]
    assert any(moved["orderId"] in line and "stop 89000 last" in line for line in lines)
    await ask("buy", "BTC-USDC", "0.1", "88000", trader=MAKER)
    await ask("sell", "BTC-USDC", "0.1", "88000", "--market", trader=TAKER)
    output = (await run("orders", "--all", trader=MAKER)).output
    assert "stop 89000 last reached" in output


async def test_an_order_is_amended(ask):
    (order,) = await ask("buy", "BTC-USDC", "0.5", "90000", "--id", "mine", "--seconds", "60", trader=MAKER)
    (amended,) = await ask("amend", order["orderId"], "--price", "91000", "--seconds", "90", trader=MAKER)
    (shown,) = await ask("orders", trader=MAKER)
    assert (shown["orderId"], shown["price"], shown["quantity"]) == (amended["orderId"], "91000", "0.5")
    assert (shown["clientOrderId"], shown["expiry"]) == ("mine", NOW_MS // 1000 + 90)
    (amended,) = await ask("amend", amended["orderId"], "--quantity", "0.2", "--post-only", trader=MAKER)
    (shown,) = await ask("orders", trader=MAKER)
    assert (shown["price"], shown["quantity"], shown["postOnly"]) == ("91000", "0.2", True)


async def test_silence_cancels(ask, exchange):
    await ask("buy", "BTC-USDC", "0.5", "90000", trader=MAKER)
    (armed,) = await ask("cancel-after", "30", trader=MAKER)
    assert armed == {"account": MAKER.account, "cancelsAt": NOW_MS + 30_000}
    exchange.clock.ms += 30_000
    await exchange.submit(Tick())
    assert await ask("orders", trader=MAKER) == []
    await ask("cancel-after", "30", trader=MAKER)
    assert (await ask("cancel-after", "0", trader=MAKER))[0]["cancelsAt"] is None


async def test_trade_shows_everywhere(ask, run):
    await ask("sell", "BTC-USDC", "0.5", "95000", trader=MAKER)
    (taken,) = await ask("buy", "BTC-USDC", "0.2", "96000", "--market", trader=TAKER)
    assert (taken["status"], taken["filled"]) == ("filled", "0.2")
    (fill,) = await ask("fills", trader=TAKER)
    assert (fill["role"], fill["price"], fill["settlement"]["state"]) == ("taker", "95000", "pending")
    assert (await run("fills", trader=TAKER)).output.splitlines()[1].split()[1:4] == ["BTC-USDC", "buy", "taker"]
    (trade,) = await ask("trades", "BTC-USDC")
    assert (trade["side"], trade["quantity"]) == ("buy", "0.2")
    (candle,) = await ask("candles", "BTC-USDC")
    assert candle["close"] == "95000"
    assert (await ask("tickers"))[0]["last"] == "95000"
    assert await ask("positions", trader=TAKER) == []
    found = {balance["asset"]: balance for balance in await ask("balances", trader=TAKER)}
    assert found["USDC"]["unsettled"] == "-19095"


async def test_funding_options_and_marks(ask, run, exchange):
    await open_derivatives(exchange)
    await rest(exchange, CALL, Side.SELL, 2_000)
    await accrue(exchange, 400_000, 10_000, 95 * 2**32)
    funding = await ask("funding", "BTC-PERP")
    assert (funding["history"][0]["rate"], funding["cap"]) == ("0.0001", "0.0005")
    lines = (await run("funding", "BTC-PERP")).output.splitlines()
    assert lines[-1].split() == ["1440000000000", "0.0001", "95000", "9.5"]
    (candle,) = await ask("candles", "BTC-PERP", "--price", "mark")
    assert candle["close"] == "95000"
    chain = await ask("options", "BTC", "--expiry", str(EXPIRY * 1000))
    assert [strike["strike"] for strike in chain["expiries"][0]["strikes"]] == ["90000", "100000"]
    output = (await run("options", "BTC")).output
    assert output.count("expiry") == 2
    assert "100000" in output
    assert "no options on" in (await run("options", "DOGE")).output


async def test_book_is_shown(ask, run):
    await ask("sell", "BTC-USDC", "0.5", "95000", "--seconds", "60", trader=MAKER)
    assert (await run("book", "BTC-USDC")).exit_code == 0
    assert (await ask("book", "BTC-USDC", "--depth", "1"))["market"] == "BTC-USDC"


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("buy", "BTC-USDC", "0.5", "95000.05"), 1, "price 95000.05 is not a multiple of the tick of BTC-USDC"),
        (("buy", "BTC-USDC", "x", "1"), 2, "'x' is not a number"),
        (("buy", "BTC-USDC", "-1", "1"), 2, "No such option"),
        (("buy", "BTC-USDC", "0", "1"), 2, "0 is not above zero"),
        (("buy", "DOGE-USDC", "1", "1"), 1, "there is no market 'DOGE-USDC'"),
        (("sell", "BTC-USDC", "1000", "95000"), 1, "insufficientBalance"),
        (("cancel",), 2, "name orders, or say --all"),
        (("cancel", "0x12"), 2, "'0x12' is not an order's id"),
        (("cancel", "0x" + "12" * 32, "--side", "buy"), 2, "belong to --all"),
        (("cancel-after", "90000"), 2, "90000 is not in the range"),
        (("amend", "0x" + "12" * 32), 2, "say what is to change"),
        (("amend", "0x" + "12" * 32, "--price", "1"), 1, "unknownOrder"),
        (("sell", "BTC-USDC", "1", "1", "--stop", "2", "--take-profit", "3"), 2, "waits for one price"),
        (("sell", "BTC-USDC", "1", "1", "--by", "mark"), 2, "--by belongs to"),
        (("sell", "BTC-USDC", "1", "95000", "--stop", "2", "--by", "index"), 1, "triggerBy"),
        (("cancel", "0x" + "12" * 32), 1, "unknownOrder"),
        (("book", "DOGE-USDC"), 1, "unknownMarket"),
        (("deposit", "1", "--rpc", "http://127.0.0.1:9"), 1, "http://127.0.0.1:9"),
    ],
)
async def test_refusals_say_why(run, arguments, code, reason):
    result = await run(*arguments, trader=MAKER)
    assert result.exit_code == code, result.output
    assert reason in result.output


@pytest.mark.parametrize("arguments", [("buy", "BTC-USDC", "1", "1"), ("balances",), ("deposit", "1")])
async def test_acting_needs_a_key(run, arguments):
    result = await run(*arguments)
    assert result.exit_code == 1
    assert "private key" in result.output


async def test_api_keys_read_until_they_are_revoked(ask, run):
    made = await ask("keys", "create", "my bot", "--days", "30", trader=MAKER)
    assert (made["key"]["label"], made["key"]["scopes"]) == ("my bot", ["read"])
    assert len(await ask("balances", api_key=made["secret"])) == 2
    result = await run("buy", "BTC-USDC", "1", "1", api_key=made["secret"])
    assert (result.exit_code, "private key" in result.output) == (1, True)
    shown = await run("keys", "list", trader=MAKER)
    assert (made["key"]["id"] in shown.output, made["secret"] in shown.output) == (True, False)
    (revoked,) = await ask("keys", "revoke", made["key"]["id"], trader=MAKER)
    assert revoked["status"] == "revoked"
    result = await run("balances", api_key=made["secret"])
    assert (result.exit_code, "invalidToken" in result.output) == (1, True)
    assert await ask("keys", "list", trader=TAKER) == []


async def test_a_new_key_shows_its_secret_once(run, ask):
    result = await run("keys", "create", "bot", "--cancel", trader=MAKER)
    secret = result.output.splitlines()[1].split()[1]
    assert len(await ask("balances", api_key=secret)) == 2
    assert [key["scopes"] for key in await ask("keys", "list", trader=MAKER)] == [["read", "cancel"]]


async def test_commands_leave_no_session_behind(exchange, ask):
    await ask("balances", trader=MAKER)
    assert exchange.app[CREDENTIALS].sessions == 0


async def test_nobody_answers(run):
    result = await run("--url", "http://127.0.0.1:9", "markets")
    assert (result.exit_code, "noAnswer" in result.output) == (1, True)


def test_watched_market_shows_asks_above_bids():
    book = OrderBook()
    bids, asks = [("100", "1"), ("99", "2")], [("101", "3"), ("102", "4")]
    data = Depth(bids=bids, asks=asks, checksum=checksum(bids, asks))
    book.apply(DepthSnapshot(channel="market.X.depth", seq=7, time=0, data=data))
    trade = PublicTrade(trade_id="0x", price="100", quantity="5", side="buy", time=0, seq=1)
    levels, trades = draw("X", book, [trade], 3).renderables
    prices = [str(cell) for cell in levels.columns[0].cells]
    assert prices == ["", "102", "101", "─" * 9, "100", "99"]
    assert [str(cell) for column in trades.columns for cell in column.cells] == ["00:00:00", "100", "5"]

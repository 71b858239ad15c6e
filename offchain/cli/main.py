"""Commands of `crosspoint`. Each asks the exchange through the client and prints a table, or JSON with `--json`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from offchain.cli import derivatives, flow, wallet
from offchain.cli.context import Context
from offchain.cli.keys import keys
from offchain.cli.watch import watch_market
from offchain.client import ApiError, Client

KEY_VARIABLE = "CROSSPOINT_KEY"
CANCEL_PAGE = 500
CANCEL_PAGES = 100
MARKET_ORDER_SECONDS = 60
ORDER_ID = re.compile("0x[0-9a-fA-F]{64}", re.ASCII)


class Amount(click.ParamType):
    """A positive decimal number, exactly as written."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            number = Decimal(value)
        except (InvalidOperation, TypeError):
            self.fail(f"{value!r} is not a number", param, ctx)
        if not number.is_finite() or number <= 0:
            self.fail(f"{value} is not above zero", param, ctx)
        return number


class OrderId(click.ParamType):
    """An order's hash."""

    name = "order"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if ORDER_ID.fullmatch(str(value)) is None:
            self.fail(f"{value!r} is not an order's id: 0x and 64 hexadecimal digits", param, ctx)
        return str(value)


AMOUNT = Amount()
SYMBOL = click.argument("symbol")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--url", envvar="CROSSPOINT_URL", default="http://127.0.0.1:8080", show_default=True, help="the service")
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"file with the private key in hexadecimal digits; without it, the environment variable {KEY_VARIABLE}",
)
@click.option(
    "--api-key",
    envvar="CROSSPOINT_API_KEY",
    help="secret of an API key, to read without the private key; better in the environment variable",
    show_envvar=True,
)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.pass_context
def main(context: click.Context, url: str, key_file: Path | None, api_key: str | None, as_json: bool) -> None:
    """Trade on a Crosspoint exchange."""
    key = key_file.read_text().strip() if key_file else os.environ.get(KEY_VARIABLE)
    context.obj = Context(url, key or None, api_key or None, as_json, Console())


main.add_command(keys)
main.add_command(flow.record)
main.add_command(flow.replay_flow)


# ---------------------------------------------------------------------------------------------------------------------
# Markets
# ---------------------------------------------------------------------------------------------------------------------


@main.command()
@click.pass_obj
def markets(context: Context) -> None:
    """Markets with their steps and limits."""
    listed = context.run(lambda client: client.markets())
    context.show(listed.markets, "symbol", "kind", "status", "tickSize", "lotSize", "maxPrice", "maxQuantity")


@main.command()
@click.pass_obj
def tickers(context: Context) -> None:
    """The last 24 hours of every market."""
    found = context.run(lambda client: client.tickers())
    context.show(found, "market", "last", "changePercent", "volume", "bid", "ask", "markPrice", "openInterest")


@main.command()
@SYMBOL
@click.option("--depth", default=10, show_default=True, type=click.IntRange(1, 1_000))
@click.pass_obj
def book(context: Context, symbol: str, depth: int) -> None:
    """The order book, best prices first."""
    found = context.run(lambda client: client.orderbook(symbol, depth=depth))
    if context.as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    table = Table("size", "bid", "ask", "size", box=None, pad_edge=False)
    for index in range(max(len(found.bids), len(found.asks))):
        bid, bid_size = found.bids[index] if index < len(found.bids) else ("", "")
        ask, ask_size = found.asks[index] if index < len(found.asks) else ("", "")
        table.add_row(bid_size, bid, ask, ask_size)
    context.console.print(table)


@main.command()
@SYMBOL
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 500))
@click.pass_obj
def trades(context: Context, symbol: str, limit: int) -> None:
    """Trades, newest first."""
    page = context.run(lambda client: client.trades(symbol, limit=limit))
    context.show(page.trades, "time", "side", "price", "quantity", "settlement")


@main.command()
@SYMBOL
@click.option("--price", default="last", show_default=True, type=click.Choice(["last", "mark", "index"]))
@click.option("--interval", default="1h", show_default=True)
@click.option("--limit", default=24, show_default=True, type=click.IntRange(1, 1_000))
@click.pass_obj
def candles(context: Context, symbol: str, price: str, interval: str, limit: int) -> None:
    """Candles, oldest first."""
    found = context.run(lambda client: client.candles(symbol, price=price, interval=interval, limit=limit))
    context.show(found, "time", "open", "high", "low", "close", "volume", "trades")


@main.command()
@SYMBOL
@click.option("--depth", default=12, show_default=True, type=click.IntRange(1, 50))
@click.pass_obj
def watch(context: Context, symbol: str, depth: int) -> None:
    """The book and the trades as they change, until Ctrl-C."""
    try:
        context.run(lambda client: watch_market(client, symbol, depth, context.console))
    except KeyboardInterrupt:
        context.console.print()


main.add_command(derivatives.funding)
main.add_command(derivatives.options)


# ---------------------------------------------------------------------------------------------------------------------
# Account
# ---------------------------------------------------------------------------------------------------------------------


@main.command()
@click.pass_obj
def balances(context: Context) -> None:
    """What the account has, by asset."""
    found = context.run(lambda client: client.balances())
    context.show(list(found.values()), "asset", "available", "reserved", "held", "settled", "unsettled")


@main.command()
@click.pass_obj
def positions(context: Context) -> None:
    """Positions in derivative markets."""
    found = context.run(lambda client: client.positions())
    context.show(
        list(found.values()), "market", "size", "entryPrice", "markPrice", "unrealisedPnl", "realisedPnl", "margin"
    )


@main.command()
@click.option("--market", help="only this symbol")
@click.option("--all", "is_all", is_flag=True, help="also orders that have ended")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500))
@click.pass_obj
def orders(context: Context, market: str | None, is_all: bool, limit: int) -> None:
    """Open orders, newest first."""
    status = () if is_all else ("open", "partiallyFilled")
    page = context.run(lambda client: client.orders(market=market, status=status, limit=limit))
    context.show(page.orders, "orderId", "market", "side", "price", "quantity", "filled", "status", "code")


@main.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 500))
@click.pass_obj
def fills(context: Context, limit: int) -> None:
    """Fills with their way to the chain, newest first."""
    page = context.run(lambda client: client.fills(limit=limit))
    if context.as_json:
        context.show(page.fills)
        return
    table = Table("time", "market", "side", "role", "price", "quantity", "fee", "settlement", box=None, pad_edge=False)
    for fill in page.fills:
        table.add_row(str(fill.time), fill.market, fill.side, fill.role, fill.price, fill.quantity, fill.fee,
                      fill.settlement.state)  # fmt: skip
    context.console.print(table)


# ---------------------------------------------------------------------------------------------------------------------
# Orders
# ---------------------------------------------------------------------------------------------------------------------


def _order_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.argument("price", type=AMOUNT),
        click.argument("quantity", type=AMOUNT),
        SYMBOL,
        click.option("--market", "is_market", is_flag=True, help="take at once what PRICE or better allows"),
        click.option("--time-in-force", default="GTC", type=click.Choice(["GTC", "GTD", "IOC", "FOK"])),
        click.option("--seconds", type=click.IntRange(1), help="until an order that is not GTC ends; 60 if absent"),
        click.option("--post-only", is_flag=True, help="rather not than take"),
        click.option("--id", "client_order_id", help="a name of your own"),
        click.option("--reduce-only", is_flag=True, help="close a position at most"),
        click.option("--conversion-limit", type=AMOUNT, help="worst USDC per quote unit, if that is another asset"),
        click.option("--replaces", metavar="ORDER", help="an open order whose place it takes"),
    ):
        command = option(command)
    return command


@main.command()
@_order_options
@click.pass_obj
def buy(context: Context, /, **order: Any) -> None:
    """Buy QUANTITY base units at PRICE or below."""
    _place(context, "buy", **order)


@main.command()
@_order_options
@click.pass_obj
def sell(context: Context, /, **order: Any) -> None:
    """Sell QUANTITY base units at PRICE or above."""
    _place(context, "sell", **order)


def _place(
    context: Context,
    side: str,
    symbol: str,
    quantity: Decimal,
    price: Decimal,
    is_market: bool,
    time_in_force: str,
    seconds: int | None,
    post_only: bool,
    client_order_id: str | None,
    replaces: str | None,
    conversion_limit: Decimal | None,
    reduce_only: bool,
) -> None:
    async def place(client: Client) -> msgspec.Struct:
        # By the exchange's clock, so that a wrong one here does no harm.
        now = await client.server_time() // 1_000
        if is_market:
            return await client.place_market(
                symbol,
                side,
                quantity,
                price,
                expiry=now + (seconds or MARKET_ORDER_SECONDS),
                client_order_id=client_order_id,
                conversion_limit=conversion_limit,
                reduce_only=reduce_only,
            )
        timed = seconds is not None or time_in_force != "GTC"
        return await client.place_limit(
            symbol,
            side,
            price,
            quantity,
            time_in_force="GTD" if seconds is not None and time_in_force == "GTC" else time_in_force,
            expiry=now + (seconds or MARKET_ORDER_SECONDS) if timed else None,
            post_only=post_only,
            client_order_id=client_order_id,
            replaces=replaces,
            conversion_limit=conversion_limit,
            reduce_only=reduce_only,
        )

    context.show([context.run(place)], "orderId", "status", "filled", "remaining")


@main.command()
@click.argument("order_ids", metavar="[ORDER]...", nargs=-1, type=OrderId())
@click.option("--all", "is_all", is_flag=True, help="every open order")
@click.option("--market", help="with --all: only of this symbol")
@click.pass_obj
def cancel(context: Context, order_ids: tuple[str, ...], is_all: bool, market: str | None) -> None:
    """Cancel orders."""
    if bool(order_ids) == is_all:
        raise click.UsageError("name orders, or say --all")

    async def run(client: Client) -> list[msgspec.Struct]:
        if not is_all:
            return [await client.cancel(order_id) for order_id in order_ids]
        canceled: list[msgspec.Struct] = []
        cursor = None
        for _ in range(CANCEL_PAGES):
            page = await client.orders(
                market=market, status=("open", "partiallyFilled"), cursor=cursor, limit=CANCEL_PAGE
            )
            for order in page.orders:
                try:
                    canceled.append(await client.cancel(order.order_id))
                except ApiError as refusal:
                    if refusal.code != "orderNotOpen":  # it was filled meanwhile
                        raise
            cursor = page.next
            if cursor is None:
                break
        return canceled

    context.show(context.run(run), "orderId", "status", "filled", "remaining")


# ---------------------------------------------------------------------------------------------------------------------
# Chain
# ---------------------------------------------------------------------------------------------------------------------

RPC = click.option("--rpc", envvar="CROSSPOINT_RPC_URL", default="http://127.0.0.1:8545", show_default=True)


@main.command()
@click.argument("amount", type=AMOUNT)
@click.option("--asset", default="USDC", show_default=True)
@RPC
@click.pass_obj
def deposit(context: Context, amount: Decimal, asset: str, rpc: str) -> None:
    """Bring AMOUNT of an asset from the wallet into the exchange. It can be traded after some confirmations."""
    _on_chain(context, rpc, lambda chain: chain.deposit(asset, amount))


@main.command()
@click.argument("action_id", metavar="[ACTION]", required=False)
@click.pass_obj
def actions(context: Context, action_id: str | None) -> None:
    """Transactions that the service sends for this account, newest first, or one of them."""

    async def run(client: Client) -> Sequence[msgspec.Struct]:
        return [await client.action(action_id)] if action_id is not None else (await client.actions()).actions

    context.show(context.run(run), "actionId", "kind", "status", "reason", "txHash")


@main.command()
@click.argument("amount", type=AMOUNT)
@click.option("--asset", default="USDC", show_default=True)
@click.option("--as-cxpt", is_flag=True, help="USDC as its receipt token")
@click.option("--direct", is_flag=True, help="send the transaction yourself, through a node, without the service")
@RPC
@click.pass_obj
def withdraw(context: Context, amount: Decimal, asset: str, as_cxpt: bool, direct: bool, rpc: str) -> None:
    """Ask for AMOUNT of an asset. The operator pays it out soon; after a window anybody can settle it.

    The service sends what is signed here, which costs no ether; with --direct the wallet does.
    """
    if not direct:
        states = [context.run(lambda client: client.withdraw(asset, amount, as_cxpt=as_cxpt))]
        context.show(states, "actionId", "status", "reason", "txHash")
        return
    _on_chain(context, rpc, lambda chain: chain.withdraw(asset, amount, as_cxpt))


def _on_chain(context: Context, rpc: str, act: Callable[[wallet.Wallet], list[str]]) -> None:
    if context.key is None:
        raise click.ClickException(f"there is no private key: set {KEY_VARIABLE} or give --key-file")
    listed = context.run(lambda client: client.markets())
    try:
        hashes = act(wallet.Wallet(rpc, context.key, listed))
    except wallet.WalletError as error:
        raise click.ClickException(str(error)) from error
    click.echo(msgspec.json.encode(hashes).decode() if context.as_json else "\n".join(hashes))

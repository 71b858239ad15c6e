"""Commands of `crosspoint`. Each asks the exchange through the client and prints a table, or JSON with `--json`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from offchain.cli import derivatives, flow, orders, wallet
from offchain.cli.context import Context
from offchain.cli.keys import keys
from offchain.cli.parameters import AMOUNT, SYMBOL
from offchain.cli.watch import watch_market
from offchain.client import Client

KEY_VARIABLE = "CROSSPOINT_KEY"


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
@click.option("--depth", default=10, show_default=True, type=click.IntRange(1, 10_000))
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


for command in orders.COMMANDS:
    main.add_command(command)


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

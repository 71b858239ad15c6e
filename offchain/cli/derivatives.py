"""What is public of derivatives: funding, and the option chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec
from rich.table import Table

from offchain.api.schemas.derivatives import Expiry, OptionQuote

if TYPE_CHECKING:
    from offchain.cli.context import Context

OPTION_COLUMNS = ("bid", "ask", "markPrice", "markIv", "delta", "openInterest")


@click.command()
@click.argument("symbol")
@click.option("--limit", default=24, show_default=True, type=click.IntRange(1, 1_000))
@click.pass_obj
def funding(context: Context, symbol: str, limit: int) -> None:
    """The present hour's funding of a perpetual, and what was accrued."""
    found = context.run(lambda client: client.funding(symbol, limit=limit))
    if context.as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    context.show([found], "rate", "minutes", "nextFunding", "cap", "period", "markPrice", "indexPrice")
    context.show(found.history, "time", "rate", "indexPrice", "fundingIndex")


@click.command()
@click.argument("underlying")
@click.option("--expiry", type=click.IntRange(0), help="only this one, Unix milliseconds")
@click.pass_obj
def options(context: Context, underlying: str, expiry: int | None) -> None:
    """The options on UNDERLYING, such as BTC: calls on the left, puts on the right."""
    chain = context.run(lambda client: client.options(underlying, expiry=expiry))
    if context.as_json:
        click.echo(msgspec.json.encode(chain).decode())
        return
    for each in chain.expiries:
        context.console.print(_table(each))


def _table(expiry: Expiry) -> Table:
    table = Table(*OPTION_COLUMNS, "strike", *OPTION_COLUMNS, title=f"expiry {expiry.expiry}", box=None, pad_edge=False)
    for strike in expiry.strikes:
        # Several calls of a strike differ by their cap.
        for row in range(max(len(strike.calls), len(strike.puts))):
            calls, puts = strike.calls[row : row + 1], strike.puts[row : row + 1]
            table.add_row(*_cells(calls), strike.strike, *_cells(puts))
    return table


def _cells(quotes: list[OptionQuote]) -> list[str]:
    """Of at most one."""
    if not quotes:
        return [""] * len(OPTION_COLUMNS)
    plain = msgspec.to_builtins(quotes[0])
    return ["-" if plain[name] is None else plain[name] for name in OPTION_COLUMNS]

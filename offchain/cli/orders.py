"""Orders: placing, changing, canceling, listing."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click
import msgspec

from offchain.cli.parameters import AMOUNT, SYMBOL, OrderId
from offchain.client import Client, NewOrder
from offchain.client.orders import DEFAULT_EXPIRY_SECONDS, WAITING_EXPIRY_SECONDS

if TYPE_CHECKING:
    from offchain.cli.context import Context

PLACED = ("orderId", "status", "filled", "remaining")


class Canceled(msgspec.Struct, frozen=True, rename="camel"):
    """One of many that were canceled together."""

    order_id: str
    status: str = "canceled"


# ---------------------------------------------------------------------------------------------------------------------
# Placing
# ---------------------------------------------------------------------------------------------------------------------


def _order_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.argument("price", type=AMOUNT),
        click.argument("quantity", type=AMOUNT),
        SYMBOL,
        click.option("--market", "is_market", is_flag=True, help="take at once what PRICE or better allows"),
        click.option("--stop", type=AMOUNT, help="wait until the price is there, having moved against the order"),
        click.option("--take-profit", type=AMOUNT, help="wait until the price is there, having moved in its favour"),
        click.option("--by", type=click.Choice(["last", "mark", "index"]), help="which price; last if absent"),
        click.option("--time-in-force", default="GTC", type=click.Choice(["GTC", "GTD", "IOC", "FOK"])),
        click.option(
            "--seconds",
            type=click.IntRange(1),
            help="until an order that is not GTC ends; if absent 60, or 30 days if it waits for a price",
        ),
        click.option("--post-only", is_flag=True, help="rather not than take"),
        click.option("--id", "client_order_id", help="a name of your own"),
        click.option("--reduce-only", is_flag=True, help="close a position at most"),
        click.option("--conversion-limit", type=AMOUNT, help="worst USDC per quote unit, if that is another asset"),
        click.option("--replaces", metavar="ORDER", help="an open order whose place it takes, even if it has ended"),
    ):
        command = option(command)
    return command


@click.command()
@_order_options
@click.pass_obj
def buy(context: Context, /, **order: Any) -> None:
    """Buy QUANTITY base units at PRICE or below."""
    _place(context, "buy", **order)


@click.command()
@_order_options
@click.pass_obj
def sell(context: Context, /, **order: Any) -> None:
    """Sell QUANTITY base units at PRICE or above."""
    _place(context, "sell", **order)


def _place(
    context: Context,
    side: str,
    symbol: str,
    is_market: bool,
    stop: Decimal | None,
    take_profit: Decimal | None,
    by: str | None,
    time_in_force: str,
    seconds: int | None,
    **terms: Any,
) -> None:
    if stop is not None and take_profit is not None:
        raise click.UsageError("an order waits for one price: --stop or --take-profit")
    trigger_price = stop if stop is not None else take_profit
    if by is not None and trigger_price is None:
        raise click.UsageError("--by belongs to --stop or --take-profit")
    if seconds is not None and time_in_force == "GTC":
        time_in_force = "GTD"
    default = DEFAULT_EXPIRY_SECONDS if trigger_price is None else WAITING_EXPIRY_SECONDS
    is_timed = is_market or time_in_force != "GTC"

    async def place(client: Client) -> msgspec.Struct:
        # By the exchange's clock, so that a wrong one here does no harm.
        now = await client.server_time() // 1_000
        order = NewOrder(
            market=symbol,
            side=side,
            type="market" if is_market else "limit",
            time_in_force=time_in_force,
            expiry=now + (seconds or default) if is_timed else None,
            trigger=None if trigger_price is None else "takeProfit" if stop is None else "stop",
            trigger_price=trigger_price,
            trigger_by=by,
            **terms,
        )
        return await client.place(order)

    context.show([context.run(place)], *PLACED)


@click.command()
@click.argument("order_id", metavar="ORDER", type=OrderId())
@click.option("--price", type=AMOUNT)
@click.option("--quantity", type=AMOUNT, help="what is open afterwards")
@click.option("--trigger", type=AMOUNT, help="the price that it waits for")
@click.option("--seconds", type=click.IntRange(1), help="until it ends")
@click.option("--post-only/--not-post-only", default=None, help="rather not than take")
@click.option("--conversion-limit", type=AMOUNT, help="worst USDC per quote unit, if that is another asset")
@click.option("--expect-filled", type=AMOUNT, help="do nothing unless it has filled exactly so much")
@click.pass_obj
def amend(context: Context, /, order_id: str, trigger: Decimal | None, seconds: int | None, **changes: Any) -> None:
    """Replace an open ORDER by one with these changes; the rest stays as it is. Nothing is placed if it has ended."""
    if trigger is None and seconds is None and all(value is None for value in changes.values()):
        raise click.UsageError("say what is to change")

    async def run(client: Client) -> msgspec.Struct:
        expiry = None if seconds is None else await client.server_time() // 1_000 + seconds
        return await client.amend(order_id, trigger_price=trigger, expiry=expiry, **changes)

    context.show([context.run(run)], *PLACED)


# ---------------------------------------------------------------------------------------------------------------------
# Canceling
# ---------------------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("order_ids", metavar="[ORDER]...", nargs=-1, type=OrderId())
@click.option("--all", "is_all", is_flag=True, help="every open order; an API key may be good for that")
@click.option("--market", help="with --all: only of this symbol")
@click.option("--side", type=click.Choice(["buy", "sell"]), help="with --all: only these")
@click.pass_obj
def cancel(context: Context, order_ids: tuple[str, ...], is_all: bool, market: str | None, side: str | None) -> None:
    """Cancel orders."""
    if bool(order_ids) == is_all:
        raise click.UsageError("name orders, or say --all")
    if not is_all and (market or side):
        raise click.UsageError("--market and --side belong to --all")
    if is_all:
        done = context.run(lambda client: client.cancel_all(market=market, side=side))
        context.show([Canceled(order_id) for order_id in done.order_ids], "orderId", "status")
        return

    async def run(client: Client) -> list[msgspec.Struct]:
        return [await client.cancel(order_id) for order_id in order_ids]

    context.show(context.run(run), *PLACED)


@click.command()
@click.argument("seconds", type=click.IntRange(0, 86_400))
@click.pass_obj
def cancel_after(context: Context, seconds: int) -> None:
    """Have all orders canceled in SECONDS, unless this is said again before; 0: not any more."""
    context.show([context.run(lambda client: client.cancel_after(seconds))], "account", "cancelsAt")


# ---------------------------------------------------------------------------------------------------------------------
# Listing
# ---------------------------------------------------------------------------------------------------------------------


@click.command()
@click.option("--market", help="only this symbol")
@click.option("--all", "is_all", is_flag=True, help="also orders that have ended")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500))
@click.pass_obj
def orders(context: Context, market: str | None, is_all: bool, limit: int) -> None:
    """Open orders, newest first; those with a trigger wait for it unless it says `reached`."""
    status = () if is_all else ("open", "partiallyFilled")
    page = context.run(lambda client: client.orders(market=market, status=status, limit=limit))
    columns = ("orderId", "market", "side", "price", "quantity", "filled", "status", "trigger", "code")
    context.show(page.orders, *columns, cells={"trigger": _trigger})


def _trigger(trigger: dict[str, Any] | None) -> str:
    if trigger is None:
        return "-"
    reached = "" if trigger["triggeredAt"] is None else " reached"
    return f"{trigger['type']} {trigger['price']} {trigger['by']}{reached}"


COMMANDS = (buy, sell, amend, cancel, cancel_after, orders)

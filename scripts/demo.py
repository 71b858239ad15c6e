"""`ape run demo`: a whole exchange on a chain of its own, traded by bots through the public API."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

import click

from offchain.cli.flow import Speed
from offchain.flow import FlowFile
from scripts._demo.flow import FlowRefused, read
from scripts._demo.run import Options, run
from scripts._lib.anvil import free_port


@click.command()
@click.option("--batches", type=click.IntRange(min=0), default=0, help="End when so many batches are settled.")
@click.option("--min-fills", type=click.IntRange(min=0), default=0, help="End when so many fills are settled.")
@click.option("--kill-once", is_flag=True, help="Kill the core (SIGKILL) once in the middle of trading.")
@click.option("--rate", type=click.FloatRange(1, 2_000), default=100, show_default=True, help="Orders per second.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the bots.")
@click.option("--orders", type=click.Path(path_type=Path), help="Replay this recorded order flow in place of bots.")
@click.option("--speed", type=Speed(), help="With --orders: times as fast as recorded, or max.  [default: max]")
@click.option("--port", type=int, default=0, help="Port of the API.  [default: any free one]")
@click.option("--batch-fills", type=click.IntRange(1, 2_000), default=200, show_default=True, help="Fills per batch.")
@click.option("--batch-seconds", type=click.FloatRange(0.1), default=5, show_default=True, help="Age of a batch.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder for journal and logs.  [default: temporary]")
def cli(
    batches: int,
    min_fills: int,
    kill_once: bool,
    rate: float,
    seed: int,
    orders: Path | None,
    speed: float | None,
    port: int,
    batch_fills: int,
    batch_seconds: float,
    data: Path | None,
) -> None:
    """Run the exchange on a local chain with bots that trade.

    Runs until Ctrl-C, which settles what is pending, or until --batches and --min-fills are reached, or to the end of
    the file of --orders, whose traders get accounts with USDC and the assets of its markets. At the end every
    balance and every order is compared between the service, a replay of its journal, and the chain. The last line is
    JSON; the exit status is 1 if there is any difference.
    """
    flow = None
    if orders is not None:
        if batches or min_fills or kill_once:
            raise click.UsageError("--orders ends with the file, without --batches, --min-fills and --kill-once")
        flow = _read(orders)
    elif speed is not None:
        raise click.UsageError("--speed is for --orders; bots have --rate")
    options = Options(batches, min_fills, kill_once, rate, seed, flow, speed)
    settings = {"BATCH_FILLS": str(batch_fills), "BATCH_SECONDS": str(batch_seconds), "LOG_FORMAT": "json"}
    if flow is not None:
        settings["LIMIT_ADDRESS_SIGN_INS"] = "0"  # all traders come from one address
    with contextlib.ExitStack() as stack:
        if data is not None and (data / "service").exists():
            raise click.BadParameter(f"{data} holds an earlier run", param_hint="--data")
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crosspoint-demo-")))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            differences = run(options, folder, port or free_port(), settings)
        except FlowRefused as error:
            raise click.ClickException(str(error)) from error
    sys.exit(1 if differences else 0)


def _read(path: Path) -> FlowFile:
    try:
        return read(path)
    except FlowRefused as error:
        raise click.BadParameter(str(error), param_hint="--orders") from error

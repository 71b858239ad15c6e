"""Order flow as a file: recording one's own, and replaying any."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import click
import msgspec

from offchain.cli.context import Context
from offchain.client import ApiError, Client, NonceKeysExhausted
from offchain.client.recording import record_live
from offchain.client.replay import MOST_CONCURRENT, Progress, Replay, steps_of
from offchain.flow import FlowFile

PROGRESS_SECONDS = 2.0
FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


class Speed(click.ParamType):
    """How many times faster than recorded; None: as fast as it goes."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value == "max":
            return None
        try:
            speed = float(value)
        except ValueError:
            speed = 0.0
        if not 0.001 <= speed <= 100_000:
            self.fail(f"{value!r} is neither max nor a number from 0.001 to 100000", param, ctx)
        return speed


@contextlib.contextmanager
def _at_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C calls `stop`, once; the second one ends the program.

    Only the main thread has signals, and no loop of Windows hears of them: there Ctrl-C ends the program at once.
    """
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        stop()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


# ---------------------------------------------------------------------------------------------------------------------
# Recording
# ---------------------------------------------------------------------------------------------------------------------


@click.command()
@FILE
@click.option("--seconds", type=click.FloatRange(0.1), help="until it ends; without it, Ctrl-C ends it")
@click.option("--trader", default="trader-1", show_default=True, help="what the account is called in the file")
@click.pass_obj
def record(context: Context, file: Path, seconds: float | None, trader: str) -> None:
    """Write what the account places and cancels from now on to FILE, which must not exist yet.

    FILE has neither account nor key. `python -m offchain record` does the same for all traders of an exchange, for its
    operator.
    """
    _check_name(trader)

    async def run(client: Client) -> Any:
        if context.key is None and context.api_key is not None:
            await client.session()
        stop = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(seconds, stop.set) if seconds is not None else None
        try:
            with _at_interrupt(stop.set):
                until = "" if seconds is not None else "; Ctrl-C ends it"
                return await record_live(client, file, trader, stop, lambda: click.echo(f"recording{until}", err=True))
        finally:
            if timer is not None:
                timer.cancel()

    try:
        live = context.run(run)
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror or error}") from error
    if context.as_json:
        shown = {
            "operations": live.operations,
            "leftOut": live.left_out,
            "placedAsNew": live.detached,
            "isFull": live.is_full,
        }
        click.echo(msgspec.json.encode(shown).decode())
        return
    click.echo(f"recorded {live.operations} operations")
    if live.left_out:
        click.echo(f"left out: {live.left_out} cancels of orders that had been placed before")
    if live.detached:
        click.echo(f"placed as new: {live.detached} orders that replaced one that had been placed before")
    if live.is_full:
        raise click.ClickException("the file has reached its largest size: what came later is not in it")


def _check_name(trader: str) -> None:
    if not 1 <= len(trader) <= 64 or not all(c.isascii() and (c.isalnum() or c in "._-") for c in trader):
        raise click.BadParameter(
            "a name has 1 to 64 letters, digits, dots, hyphens or underscores", param_hint="--trader"
        )


# ---------------------------------------------------------------------------------------------------------------------
# Replaying
# ---------------------------------------------------------------------------------------------------------------------


@click.command("replay-flow")
@FILE
@click.option("--speed", type=Speed(), default="1", show_default=True, help="times as fast as recorded, or max")
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file with the private key of each trader by name; without it, the one key signs for all",
)
@click.option("--concurrency", default=32, show_default=True, type=click.IntRange(1, MOST_CONCURRENT),
              help="operations that may wait for their answers")  # fmt: skip
@click.option("--check", is_flag=True, help="only look whether FILE is good and fits the exchange")
@click.pass_obj
def replay_flow(
    context: Context, file: Path, speed: float | None, keys_file: Path | None, concurrency: int, check: bool
) -> None:
    """Send the recorded order flow of FILE, signed afresh, in its order and with its timing.

    The whole file is read, and compared with the exchange's markets, before anything is sent. Ctrl-C stops sending;
    orders that are open stay open.
    """
    try:
        asyncio.run(_replay(context, file, speed, keys_file, concurrency, check))
    except (ApiError, NonceKeysExhausted, ValueError, TypeError, OSError, aiohttp.InvalidURL) as error:
        raise click.ClickException(str(error)) from error


async def _replay(
    context: Context, file: Path, speed: float | None, keys_file: Path | None, concurrency: int, check: bool
) -> None:
    async with aiohttp.ClientSession() as session:
        markets = await Client(context.url, session=session).markets()
        flow = FlowFile(file, steps_of(markets))
        told = f"{file}: {flow.operations} operations of {len(flow.traders)} traders"
        if check:
            shown = {"operations": flow.operations, "traders": flow.traders}
            click.echo(msgspec.json.encode(shown).decode() if context.as_json else f"{told}; it fits the exchange")
            return
        click.echo(told, err=True)
        keys = read_keys(keys_file) if keys_file is not None else _one_key(context, flow)
        replay = Replay(context.url, flow, keys, speed=speed, concurrency=concurrency, session=session)
        try:
            with _at_interrupt(replay.stop):
                progress = await watched(replay, lambda line: click.echo(line, err=True))
        except ApiError:
            click.echo("\n".join(lines_of(replay.progress.summary())), err=True)
            raise
    summary = progress.summary()
    click.echo(msgspec.json.encode(summary).decode() if context.as_json else "\n".join(lines_of(summary)))


def read_keys(path: Path) -> Mapping[str, str]:
    """Private keys by trader. Raises ValueError, which never shows a key."""
    try:
        keys = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError(f"{path} is not a JSON object of private keys by trader") from None
    for name, key in keys.items():
        digits = key.removeprefix("0x")
        if len(digits) != 64 or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
            raise ValueError(f"{path}: the key of {name} is not 64 hexadecimal digits")
    return keys


def _one_key(context: Context, flow: FlowFile) -> Mapping[str, str]:
    if context.key is None:
        raise ValueError("there is no private key: set CROSSPOINT_KEY, or give --key-file or --keys")
    if len(flow.traders) > 1:
        click.echo("one key signs for all traders: their orders do not trade with each other (see --keys)", err=True)
    return dict.fromkeys(flow.traders, context.key)


async def watched(replay: Replay, tell: Callable[[str], None]) -> Progress:
    """Run a replay, telling every two seconds how far it is."""
    running = asyncio.create_task(replay.run())
    while not running.done():
        await asyncio.wait((running,), timeout=PROGRESS_SECONDS)
        if not running.done():
            done = replay.progress
            tell(f"{done.operations} operations, {done.accepted} accepted, {done.refused.total()} refused, "
                 f"{done.fills} fills")  # fmt: skip
    return running.result()


def lines_of(summary: Mapping[str, Any]) -> list[str]:
    """The summary for people."""
    latency = summary["latencyMs"]
    lines = [
        f"{summary['operations']} operations in {summary['seconds']} s: {summary['orders']} orders, "
        f"{summary['cancels']} cancels",
        f"accepted {summary['accepted']}, refused {sum(summary['refused'].values())}, fills {summary['fills']}",
        *(f"  {code}: {count}" for code, count in summary["refused"].items()),
    ]
    if summary["resent"]:
        lines.append(f"sent again, out of order: {summary['resent']}")
    if latency["max"] is not None:
        lines.append("answers: " + ", ".join(f"{name} {value} ms" for name, value in latency.items()))
    return lines

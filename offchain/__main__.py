"""Command line of the service: `python -m offchain`."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
import structlog

from offchain import manage
from offchain.app.common import audit, record_flow, snapshot_at_end
from offchain.config import (
    SECRET_VARIABLES,
    Config,
    ConfigError,
    LogLevel,
    default_text,
    load,
    load_secrets,
    unknown_variables,
    variable,
)
from offchain.cpus import dedicate_cpus
from offchain.domain.snapshot import SnapshotError
from offchain.ports import JournalCorrupt, Overloaded, Unavailable
from offchain.process import (
    EXIT_FATAL,
    EXIT_REFUSED,
    EXIT_UNSETTLED,
    Life,
    StartRefused,
    Unsettled,
    configure_logs,
    lock,
)
from offchain.recorder import Choice, NothingToRecord
from offchain.replica import ReplayMismatch
from offchain.supervisor import Supervisor

REFUSALS = (
    ConfigError,
    StartRefused,
    JournalCorrupt,
    ReplayMismatch,
    SnapshotError,
)
"""What starting again does not cure."""

ENVIRONMENT = """
Options may also be given in the environment or in a TOML file (--config), the command line first, then the
environment, then the file. Only in the environment: CROSSPOINT_OPERATOR_KEY, the operator's private key in hex, or
CROSSPOINT_OPERATOR_PASSPHRASE, the passphrase of its keyfile.
"""

log = structlog.get_logger(__name__)

Command = Callable[..., Any]


def configured(command: Command) -> Command:
    """Give a command every setting as an option."""
    for name, field in reversed(Config.model_fields.items()):
        default = default_text(field)
        shown = f"env {variable(name)}" + (f"; default {default}" if default else "")
        help_text = f"{field.description}  [{shown}]"
        command = click.option(f"--{name.replace('_', '-')}", name, metavar="VALUE", help=help_text)(command)
    file = click.Path(path_type=Path)
    help_text = f"TOML file with settings, named as here with underscores  [env {variable('config')}]"
    return click.option("--config", "config_file", type=file, envvar=variable("config"), help=help_text)(command)


def read_config(config_file: Path | None, options: Mapping[str, str | None]) -> Config:
    """The configuration; ends the program with status 78 if it cannot be used."""
    try:
        return load({name: value for name, value in options.items() if value is not None}, config_file)
    except ConfigError as error:
        refuse(error)


def refuse(error: BaseException) -> NoReturn:
    """Say why the program cannot run, and end it."""
    click.echo(f"cannot run: {error}", err=True)
    sys.exit(EXIT_REFUSED)


def run_process(role: str, config: Config, supervised: bool, main: Callable[[Life], Coroutine[Any, Any, None]]) -> None:
    """Run one process with its lock on the data folder; ends the program with its status."""
    configure_logs(role, config.log_level, config.log_format)
    if config.dedicate_cpu:
        dedicate_cpus(role)
    for name in unknown_variables():
        log.warning("environment variable is not known", name=name)

    async def live() -> None:
        life = Life(supervised=supervised)
        life.listen()
        await main(life)

    try:
        with lock(config.data_dir, role):
            run_loop(live())
    except Unsettled as unsettled:
        log.warning("unsettled", reason=str(unsettled))
        sys.exit(EXIT_UNSETTLED)
    except BaseExceptionGroup as group:
        sys.exit(report(group))
    except (*REFUSALS, OSError, ValueError, sqlite3.Error) as error:
        log.error("cannot run", reason=f"{type(error).__name__}: {error}")
        sys.exit(EXIT_REFUSED)


def report(group: BaseExceptionGroup[BaseException]) -> int:
    """Log why a running process failed; its status, by which the supervisor decides whether to start it again."""
    refusals, others = group.split(REFUSALS)
    for error in leaves(refusals):
        log.error("cannot run", reason=f"{type(error).__name__}: {error}")
    for error in leaves(others):
        log.critical("failed", exc_info=error)
    return EXIT_FATAL if others else EXIT_REFUSED


def leaves(group: BaseException | None) -> list[BaseException]:
    if isinstance(group, BaseExceptionGroup):
        return [leaf for error in group.exceptions for leaf in leaves(error)]
    return [group] if group is not None else []


def run_loop(main: Coroutine[Any, Any, Any]) -> Any:
    """Run on uvloop where it is installed, which halves the time that HTTP takes."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


# ---------------------------------------------------------------------------------------------------------------------
# Commands
# ---------------------------------------------------------------------------------------------------------------------


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="crosspoint")
def main() -> None:
    """Crosspoint: the off-chain service of the exchange."""


def arguments_of(config_file: Path | None, options: Mapping[str, str | None]) -> list[str]:
    """The options as they were given, for a child."""
    given = ["--config", str(config_file)] if config_file else []
    for name, value in options.items():
        if value is not None:
            given += [f"--{name.replace('_', '-')}", value]
    return given


@main.command(epilog=ENVIRONMENT)
@configured
def serve(config_file: Path | None, **options: str | None) -> None:
    """Run the exchange: starts the core and the worker, and starts them again if they die.

    SIGTERM or Ctrl-C: no new orders are taken, what is pending is settled (at most --drain-seconds), then both end.
    A second one ends them at once; what is unsettled stays in the journal. The status is 0 if everything was settled.
    """
    config = read_config(config_file, options)
    configure_logs("serve", config.log_level, config.log_format)
    try:
        with lock(config.data_dir, "serve"):
            supervisor = Supervisor(arguments_of(config_file, options), SECRET_VARIABLES, config.drain_seconds)
            sys.exit(run_loop(supervisor.run()))
    except (StartRefused, OSError) as error:
        refuse(error)


SUPERVISED = click.option("--supervised", is_flag=True, hidden=True, help="end when standard input closes")


@main.command(epilog=ENVIRONMENT)
@SUPERVISED
@configured
def core(supervised: bool, config_file: Path | None, **options: str | None) -> None:
    """Run the core alone: API, matching, journal."""
    # Here and below: each process loads only what it runs, for it to start fast and for the core to stay free of keys.
    from offchain.app.core import run_core

    config = read_config(config_file, options)
    run_process("core", config, supervised, lambda life: run_core(config, life))


@main.command(epilog=ENVIRONMENT)
@SUPERVISED
@configured
def worker(supervised: bool, config_file: Path | None, **options: str | None) -> None:
    """Run the worker alone: views, chain, settlement. The only process that needs the operator's key."""
    from offchain.app.worker import run_worker

    config = read_config(config_file, options)
    try:
        secrets = load_secrets()
    except ConfigError as error:
        refuse(error)
    run_process("worker", config, supervised, lambda life: run_worker(config, secrets, life))


@main.command(epilog=ENVIRONMENT)
@configured
def verify(config_file: Path | None, **options: str | None) -> None:
    """Execute the whole journal again and compare it with everything stored; status 1 if anything differs."""
    config = read_config(config_file, options)
    configure_logs("verify", config.log_level, config.log_format)
    try:
        found = run_loop(audit(config))
    except (JournalCorrupt, ReplayMismatch) as error:
        click.echo(f"the journal is wrong: {error}", err=True)
        sys.exit(1)
    except (StartRefused, ValueError, sqlite3.Error) as error:
        refuse(error)
    click.echo(f"journal: {found.records} records, {found.commands} commands, {found.events} events: equal")
    click.echo(f"views: {found.balances} balances as of event {found.views_applied} compared")
    for difference in found.differences:
        click.echo(f"difference: {difference}", err=True)
    click.echo(f"differences: {len(found.differences)}")
    sys.exit(1 if found.differences else 0)


@main.command(epilog=ENVIRONMENT)
@configured
def snapshot(config_file: Path | None, **options: str | None) -> None:
    """Save the state at the journal's end, before a release with other rules of matching takes over.

    The service must not run.
    """
    config = read_config(config_file, options)
    configure_logs("snapshot", config.log_level, config.log_format)
    try:
        seq = run_loop(snapshot_at_end(config))
    except (*REFUSALS, OSError, ValueError, sqlite3.Error) as error:
        refuse(error)
    click.echo(f"the state after event {seq} is saved" if seq else "the journal is empty: there is nothing to save")


@main.command(epilog=ENVIRONMENT)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--market", metavar="SYMBOL", help="only orders of this market")
@click.option("--after", metavar="SEQ", default=0, type=click.IntRange(0), help="only what came after this event")
@configured
def record(file: Path, market: str | None, after: int, config_file: Path | None, **options: str | None) -> None:
    """Write the journal's order flow to FILE, without accounts and signatures, for `crosspoint replay-flow`.

    It reads beside a running service. FILE must not exist yet.
    """
    config = read_config(config_file, options)
    configure_logs("record", config.log_level, config.log_format)
    try:
        found = run_loop(record_flow(config, Choice(after, market), file))
    except (JournalCorrupt, StartRefused, NothingToRecord, OSError, ValueError, sqlite3.Error) as error:
        refuse(error)
    click.echo(f"recorded {found.operations} operations of {found.traders} traders, to event {found.last}")
    click.echo(f"markets: {', '.join(found.markets) or 'none'}")
    if found.left_out:
        click.echo(f"left out: {found.left_out} cancels of orders that are not in the file")
    if found.detached:
        click.echo(f"placed as new: {found.detached} orders that replaced one that is not in the file")
    if found.is_full:
        click.echo("the file has reached its largest size: what came later is not in it", err=True)
        sys.exit(1)


@main.group()
def exchange() -> None:
    """Halt and resume trading, also where no administrator can sign in; in the audit log as the console's."""


@exchange.command()
@click.option("--reason", default="operator", show_default=True, help="told to everybody")
@configured
def halt(reason: str, config_file: Path | None, **options: str | None) -> None:
    """Halt all markets. Cancels work, and what was matched settles."""
    ask(config_file, options, manage.halting(reason))


@exchange.command()
@configured
def resume(config_file: Path | None, **options: str | None) -> None:
    """Let all markets trade that are not halted by themselves."""
    ask(config_file, options, manage.resume)


@main.group()
def settlement() -> None:
    """See how settlement stands, and resolve what it cannot settle by itself."""


def ask(config_file: Path | None, options: Mapping[str, str | None], act: manage.Action) -> None:
    """Let the running core do something; ends the program with status 1 if it refuses, 3 if it is not there."""
    config = read_config(config_file, options)
    configure_logs("settlement", LogLevel.WARNING, config.log_format)
    try:
        lines = run_loop(manage.with_core(config, act))
    except manage.Refused as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except (Overloaded, Unavailable) as error:
        click.echo(f"the core does not answer on {config.socket_path}: {error}", err=True)
        sys.exit(3)
    except (StartRefused, ValueError) as error:
        refuse(error)
    for line in lines:
        click.echo(line)


@settlement.command()
@configured
def status(config_file: Path | None, **options: str | None) -> None:
    """Show batches, what is unsettled, and what is parked or halted."""
    ask(config_file, options, manage.show_status)


@settlement.command()
@configured
def retry(config_file: Path | None, **options: str | None) -> None:
    """Try the parked batch again, after its cause was removed; its market resumes when the batch is mined."""
    ask(config_file, options, manage.retry)


@settlement.command()
@click.option("--fill-id", "fill_ids", multiple=True, metavar="HEX", help="fill to drop; may be given several times")
@click.option("--all-parked", is_flag=True, help="drop what the parked batch failed for: its named fill, else all")
@click.option("--reason", default="operator", show_default=True, help="told to the traders concerned")
@configured
def bust(
    fill_ids: Sequence[str], all_parked: bool, reason: str, config_file: Path | None, **options: str | None
) -> None:
    """Drop fills that cannot settle, for good, and every later unsettled fill that depends on them."""
    if bool(fill_ids) == all_parked:
        raise click.UsageError("give either --fill-id or --all-parked")
    ask(config_file, options, manage.busting(fill_ids, reason))


if __name__ == "__main__":
    main(prog_name="python -m offchain")

"""Operate and govern a deployed exchange: `ape run manage --help`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click
from ape import accounts
from ape.api import AccountAPI, ProviderAPI
from ape.cli import ConnectedProviderCommand, account_option, network_option
from ape.logging import LogLevel, logger
from ape_accounts import KeyfileAccount

from scripts._lib import actions, proposals
from scripts._lib.desk import Desk, Nobody
from scripts._lib.fields import DeploymentError, parse_address
from scripts._lib.listing import LOCAL_MARKETS, ROOT, Listing
from scripts._lib.proposals import VOTES, State
from scripts._lib.settings import DEV_CHAINS

HELP = """Operate and govern a deployed exchange.

Every action is tried first, against the chain as it is, and shown. Nothing is sent without --send. An action that would
revert is refused with the contract's own error.

\b
Who:
  operator   accrue-funding
  guardian   pause, halt, end-halt, veto
  owner      resume, close, register-asset, list-market, schedule-fee, set-operator, set-guardian, collect-fees
  holders    delegate, propose, vote
  anybody    status, proposals, queue, execute, expire, close-positions, deploy-oracle

Where the timelock is the owner, an owner's action is proposed to the governor instead: delegate once, then propose,
vote after a day, queue after three more, and execute when the timelock has waited (24 hours; 72 for upgrades, owners).

The contracts are those of deployments/<chain id>.json. An account is chosen and unlocked as in `ape run deploy`; on a
local chain it may be TEST::0, TEST::1 and so on. (The service's own tool, for batches that do not settle, is
`crosspoint-service settlement`.)
"""

Action = Callable[..., None]
_AHEAD = re.compile(r"\+([1-9][0-9]{0,4})([hd])")


@click.group(help=HELP)
def cli() -> None:
    pass


def action(name: str, *, sends: bool = True) -> Callable[[Action], Action]:
    """Make a command of a function that gets a Desk and its options."""

    def decorate(function: Action) -> Action:
        def run(
            provider: ProviderAPI,
            deployments: Path,
            account: AccountAPI | None = None,
            send: bool = False,
            **options: Any,
        ) -> None:
            try:
                who = _account(provider, account) if sends else Nobody(provider)
                with logger.at_level(LogLevel.ERROR):
                    desk = Desk(who, deployments, send=send, echo=click.echo)
                    function(desk, **options)
                if sends and not send:
                    click.echo("Dry run: nothing was sent. Add --send to send it.")
            except DeploymentError as error:
                raise click.ClickException(str(error)) from error

        run.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        command: Any = run
        if sends:
            command = click.option("--send", is_flag=True, help="Send it; without, only try and show it.")(command)
            command = account_option(prompt=None)(command)
        command = click.option(
            "--deployments",
            type=click.Path(path_type=Path, file_okay=False),
            default=ROOT / "deployments",
            show_default="deployments",
            help="Folder of the deployments files.",
        )(command)
        command = network_option()(command)
        cli.command(name, cls=ConnectedProviderCommand, help=function.__doc__)(command)
        return function

    return decorate


def _account(provider: ProviderAPI, account: AccountAPI | None) -> AccountAPI:
    """The account to act with; a keyfile signs without a question if its passphrase is in the environment."""
    if account is None:
        if not provider.network.is_dev and provider.chain_id not in DEV_CHAINS:
            raise DeploymentError(f"account: --account is required on chain {provider.chain_id}")
        return accounts.test_accounts[0]
    if isinstance(account, KeyfileAccount) and f"APE_ACCOUNTS_{account.alias}_PASSPHRASE" in os.environ:
        account.set_autosign(True)
    return account


class Moment(click.ParamType):
    """Unix seconds, or hours or days from now."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, bool]:
        if found := _AHEAD.fullmatch(value):
            return int(found[1]) * {"h": 3_600, "d": 86_400}[found[2]], True
        if not value.isdigit():
            self.fail(f'{value!r} is neither Unix seconds nor a time ahead like "+2h" or "+8d"', param, ctx)
        return int(value), False


class Rate(click.ParamType):
    """Per cent per hour with at most six decimals."""

    name = "PERCENT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            scaled = Decimal(value).scaleb(actions.RATE_DECIMALS)
        except InvalidOperation:
            self.fail(f"{value!r} is not a number", param, ctx)
        if not scaled.is_finite() or scaled != scaled.to_integral_value():
            self.fail(f"{value} has more than {actions.RATE_DECIMALS} decimals", param, ctx)
        return int(scaled)


listing_option = click.option(
    "--markets",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=LOCAL_MARKETS,
    show_default="scripts/_markets/local.json",
    help="The listing that describes it.",
)
round_option = click.option("--round", "round_id", type=int, help="Oracle round.  [default: found]")


# -- looking ---------------------------------------------------------------------------------------------------------


@action("status", sends=False)
def status(desk: Desk) -> None:
    """Show roles, fee, halt and markets."""
    actions.show_status(desk)


@action("proposals", sends=False)
def list_proposals(desk: Desk) -> None:
    """List the proposals and their states."""
    for proposal in proposals.proposals(desk):
        click.echo(f"{proposal.id}  {proposals.state(desk, proposal.id).name.lower():<9}  {proposal.description}")


# -- markets ---------------------------------------------------------------------------------------------------------


@action("pause")
@click.argument("symbol")
def pause(desk: Desk, symbol: str) -> None:
    """Refuse what is matched from now on. Guardian or owner."""
    actions.set_status(desk, symbol, actions.PAUSED)


@action("resume")
@click.argument("symbol")
def resume(desk: Desk, symbol: str) -> None:
    """Let a paused market trade again. Owner."""
    actions.set_status(desk, symbol, actions.ACTIVE)


@action("close")
@click.argument("symbol")
def close(desk: Desk, symbol: str) -> None:
    """Close a market for ever. Owner."""
    actions.set_status(desk, symbol, actions.CLOSED)


@action("register-asset")
@click.argument("name")
@listing_option
def register_asset(desk: Desk, name: str, markets: Path) -> None:
    """Deploy the synth over a token, if nobody has, and register it. Owner."""
    actions.register_asset(desk, Listing.load(markets), name)


@action("deploy-oracle")
@click.argument("name")
@listing_option
def deploy_oracle(desk: Desk, name: str, markets: Path) -> None:
    """Deploy an oracle of the listing, for `list-market --oracle`. Anybody."""
    actions.deploy_oracle(desk, Listing.load(markets), name)


@action("list-market")
@click.argument("symbol")
@click.option("--oracle", help="Its oracle.  [default: the one deployed with the exchange]")
@listing_option
def list_market(desk: Desk, symbol: str, oracle: str | None, markets: Path) -> None:
    """Create a market of the listing over registered assets. Owner."""
    actions.list_market(desk, Listing.load(markets), symbol, oracle)


# -- the Engine ------------------------------------------------------------------------------------------------------


@action("halt")
def halt(desk: Desk) -> None:
    """Block settlement for at most 24 hours. Guardian."""
    actions.halt(desk)


@action("end-halt")
def end_halt(desk: Desk) -> None:
    """End a halt before its time. Guardian."""
    actions.end_halt(desk)


@action("schedule-fee")
@click.argument("fee_bps", type=click.IntRange(0, 50))
@click.option("--at", type=Moment(), required=True, help='Unix seconds, or ahead like "+2h", "+8d".')
def schedule_fee(desk: Desk, fee_bps: int, at: tuple[int, bool]) -> None:
    """Let what is matched from a time on pay FEE_BPS per side. Owner."""
    seconds, is_ahead = at
    actions.schedule_fee(desk, fee_bps, desk.node.time() + seconds if is_ahead else seconds)


@action("set-operator")
@click.argument("account_address", metavar="ADDRESS")
def set_operator(desk: Desk, account_address: str) -> None:
    """Name the account that settles. Owner."""
    actions.set_operator(desk, account_address)


@action("set-guardian")
@click.argument("account_address", metavar="ADDRESS")
def set_guardian(desk: Desk, account_address: str) -> None:
    """Name the account that pauses and halts. Owner. (Who may veto is a role of the timelock: see propose.)"""
    actions.set_guardian(desk, account_address)


@action("collect-fees")
@click.argument("recipient")
def collect_fees(desk: Desk, recipient: str) -> None:
    """Move the fees that no rebate can claim any more to RECIPIENT's balance. Owner."""
    actions.collect_fees(desk, recipient)


# -- derivatives -----------------------------------------------------------------------------------------------------


@action("accrue-funding")
@click.argument("symbol")
@click.option("--percent", "rate", type=Rate(), required=True, help="Rate per hour; longs pay a positive one.")
@click.option("--hour", type=int, help="Unix hour.  [default: the one that has begun]")
@round_option
def accrue_funding(desk: Desk, symbol: str, rate: int, hour: int | None, round_id: int | None) -> None:
    """Charge an hour's funding of a perpetual. Operator."""
    actions.accrue_funding(desk, symbol, rate, hour, round_id)


@action("expire")
@click.argument("symbol")
@click.option("--abandoned", is_flag=True, help="The operator is gone for 48 hours: any market, at the latest price.")
@round_option
def expire(desk: Desk, symbol: str, abandoned: bool, round_id: int | None) -> None:
    """Fix the settlement price of a dated market. Anybody."""
    actions.expire(desk, symbol, round_id, abandoned)


@action("close-positions")
@click.argument("symbol")
@click.argument("holders", nargs=-1, metavar="[ADDRESS]...")
def close_positions(desk: Desk, symbol: str, holders: tuple[str, ...]) -> None:
    """Settle positions of an expired market, all that are open if no account is named. Anybody."""
    actions.close_positions(desk, symbol, holders)


# -- governance ------------------------------------------------------------------------------------------------------


@action("delegate")
@click.argument("to", required=False, metavar="[ADDRESS]")
def delegate(desk: Desk, to: str | None) -> None:
    """Let the CXPT in the wallet vote, by itself or by ADDRESS. Votes count from the next second."""
    desk.do(desk.call("CXPT", "delegate", parse_address("delegate", to or desk.sender)))


@action("propose")
@click.argument("description")
@click.argument("contract")
@click.argument("method")
@click.argument("arguments", nargs=-1)
def propose(desk: Desk, description: str, contract: str, method: str, arguments: tuple[str, ...]) -> None:
    """Propose any call of a deployed contract; ARGUMENTS are JSON, or text as it is.

    Example: propose "Rebates" Vault setRebateTiers "[[1000000000, 1000]]"
    """
    actions.propose_call(desk, description, contract, method, arguments)


@action("vote")
@click.argument("proposal", type=int)
@click.argument("support", type=click.Choice(list(VOTES)))
def vote(desk: Desk, proposal: int, support: str) -> None:
    """Vote on an active proposal."""
    proposals.expect(desk, proposal, [State.ACTIVE])
    desk.do(desk.call("Governor", "castVote", proposal, VOTES[support]))


@action("queue")
@click.argument("proposal", type=int)
def queue(desk: Desk, proposal: int) -> None:
    """Hand an accepted proposal to the timelock. Anybody."""
    desk.do(desk.call("Governor", "queue", *proposals.expect(desk, proposal, [State.SUCCEEDED]).hashed))


@action("execute")
@click.argument("proposal", type=int)
def execute(desk: Desk, proposal: int) -> None:
    """Do what was accepted, after the timelock's delay. Anybody."""
    desk.do(desk.call("Governor", "execute", *proposals.expect(desk, proposal, [State.QUEUED]).hashed))


@action("veto")
@click.argument("proposal", type=int)
def veto(desk: Desk, proposal: int) -> None:
    """Cancel a queued proposal. Guardian."""
    proposals.veto(desk, proposal)

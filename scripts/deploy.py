"""Deploy Crosspoint: `ape run deploy --help`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
from ape import accounts
from ape.api import AccountAPI, ProviderAPI
from ape.cli import ConnectedProviderCommand, account_option, network_option
from ape.logging import LogLevel, logger
from ape_accounts import KeyfileAccount
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from scripts._lib.deployment import Deployment, deploy_all, plan_all
from scripts._lib.settings import DEV_CHAINS, LOCAL_MARKETS, MAX_FEE_BPS, ROOT, DeploymentError, DeploySettings, Listing
from scripts._lib.steps import Action, Report

HELP = """Deploy Crosspoint, or go on where an interrupted run ended.

Every finished step is recorded at once in deployments/<chain id>.json; what is recorded or already there is not sent
again. The result is checked: roles, wiring, implementations, predicted addresses, markets.

\b
Networks:
  --network ethereum:local:foundry   a throw-away Anvil that Ape starts (the default); test account, mock tokens
  --network ethereum:sepolia:node    a public network through the node in Ape's configuration
  --network http://HOST:PORT         any node by its address, local or not, whatever its chain id

\b
Account:
  ape accounts import ALIAS, then --account ALIAS; with APE_ACCOUNTS_<ALIAS>_PASSPHRASE in the environment it signs
  without a question, otherwise the passphrase is asked once, after the plan was shown and confirmed.
"""


@click.command(cls=ConnectedProviderCommand, help=HELP)
@network_option()
@account_option(prompt=None)
@click.option("--owner", help="Owner of the contracts; must accept in a second step. Default: the deployer.")
@click.option("--operator", help="Settles batches and releases withdrawals. Default: the deployer.")
@click.option("--guardian", help="May pause markets and halt settlement. Default: the deployer.")
@click.option("--usdc", help="Address of USDC. Default: known on mainnet, a mock on local chains and with --mocks.")
@click.option("--fee-bps", type=int, default=MAX_FEE_BPS, show_default=True, help="Fee per side in basis points.")
@click.option(
    "--markets",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=LOCAL_MARKETS,
    show_default="scripts/_markets/local.json",
    help="Assets and markets to list.",
)
@click.option("--mocks", is_flag=True, help="Deploy mock tokens on a chain that is not 31337 or 1337.")
@click.option("--chain-id", type=int, help="Refuse any other chain.")
@click.option(
    "--confirmations", type=int, help="Blocks to wait for. Default: 0 on local nodes, else the network's, >= 2."
)
@click.option(
    "--deployments",
    type=click.Path(path_type=Path, file_okay=False),
    default=ROOT / "deployments",
    show_default="deployments",
    help="Folder of the deployments files.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan; send and write nothing.")
def cli(
    provider: ProviderAPI, account: AccountAPI | None, markets: Path, deployments: Path, dry_run: bool, **options: Any
) -> None:
    console = Console()
    try:
        settings = DeploySettings(listing=Listing.load(markets), folder=deployments, **options)
        deployer = account or _test_account(provider)
        console.print(f"{provider.network_choice}, deployer {deployer.address}", soft_wrap=True, highlight=False)
        if dry_run:
            plan_all(deployer, settings, echo=_printer(console))
            return
        _unlock(deployer, settings, console)
        _show(_deploy(deployer, settings, console), settings, console)
    except DeploymentError as error:
        raise click.ClickException(str(error)) from error


def _test_account(provider: ProviderAPI) -> AccountAPI:
    """Return a test account, on networks whose keys everybody knows."""
    if not provider.network.is_dev and provider.chain_id not in DEV_CHAINS:
        raise DeploymentError(f"account: --account is required on chain {provider.chain_id}")
    return accounts.test_accounts[0]


def _unlock(deployer: AccountAPI, settings: DeploySettings, console: Console) -> None:
    """Let a keyfile account sign without asking each time: by its passphrase variable, or after one question."""
    if not isinstance(deployer, KeyfileAccount):
        return
    if f"APE_ACCOUNTS_{deployer.alias}_PASSPHRASE" not in os.environ:
        if not sys.stdin.isatty():
            raise DeploymentError(
                f"account: APE_ACCOUNTS_{deployer.alias}_PASSPHRASE is not set and nobody can be asked"
            )
        plan = plan_all(deployer, settings, echo=_printer(console))
        sending = sum(report.action is not Action.KEEP for report in plan)
        click.confirm(f"Send {sending} transactions?", abort=True)
    deployer.set_autosign(True)


def _printer(console: Console) -> Any:
    return lambda report: console.print(str(report), soft_wrap=True, highlight=False, markup=False)


def _deploy(deployer: AccountAPI, settings: DeploySettings, console: Console) -> Deployment:
    columns = (TextColumn("deploying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("deploying", total=None)

        def echo(report: Report) -> None:
            progress.console.print(str(report), soft_wrap=True, highlight=False, markup=False)
            if report.total:
                progress.update(task, total=report.total, completed=report.index)

        with logger.at_level(LogLevel.ERROR):
            return deploy_all(deployer, settings, echo=echo)


def _show(deployment: Deployment, settings: DeploySettings, console: Console) -> None:
    rows = {
        "Engine": deployment.engine,
        "Vault": deployment.vault,
        "WithdrawalQueue": deployment.queue,
        "MarketRegistry": deployment.registry,
        "USDC": deployment.usdc,
    }
    for name, address in rows.items():
        console.print(f"{name:<16} {address}", soft_wrap=True, highlight=False)
    for symbol, market in deployment.markets.items():
        console.print(f"{symbol:<16} market {market['id']}", soft_wrap=True, highlight=False)
    console.print(f"All checks passed. Recorded in {deployment.path}", soft_wrap=True, highlight=False)
    if deployment.to_accept:
        names = ", ".join(deployment.to_accept)
        console.print(
            f"To do: {settings.owner} must call acceptOwnership() on {names}.", soft_wrap=True, highlight=False
        )

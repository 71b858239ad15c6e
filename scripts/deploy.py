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
from scripts._lib.fields import DeploymentError, parse_decimal
from scripts._lib.listing import CXPT_DECIMALS, LOCAL_MARKETS, ROOT, Listing
from scripts._lib.publish import find_explorer, publish_all
from scripts._lib.settings import DEV_CHAINS, MAX_FEE_BPS, DeploySettings, GovernanceSettings
from scripts._lib.sources import Sources
from scripts._lib.steps import Action, Report

HELP = """Deploy Crosspoint, or go on where an interrupted run ended.

Every finished step is recorded at once in deployments/<chain id>.json; what is recorded or already there is not sent
again. The result is checked: roles, wiring, implementations, predicted addresses, oracles, markets.

With --governance, holders of CXPT own the contracts: a governor decides and a timelock acts after 24 hours (parameters)
or 72 (upgrades, owners). The deployer keeps no role, so --operator and --guardian must be other accounts. Governance
can act once CXPT was taken out of the exchange and enough of it is delegated; until then nobody can change anything.

With --publish, the sources of all contracts are verified at the network's explorer: it needs ETHERSCAN_API_KEY and
`pip install ape-etherscan==0.8.7`, and is repeated by running the command again. Build everything at once before such a
deployment (`ape compile -f`), so that the registry's copy of the synth is the one that is published.

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
@click.option("--governance", is_flag=True, help="Hand everything over to CXPT, governor and timelock.")
@click.option("--proposal-threshold", help="CXPT that a proposer needs.  [default: 10000]")
@click.option("--quorum-floor", help="CXPT that must vote, however few there are.  [default: 100000]")
@click.option("--publish", is_flag=True, help="Verify the sources at the network's explorer.")
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
    provider: ProviderAPI,
    account: AccountAPI | None,
    markets: Path,
    deployments: Path,
    governance: bool,
    proposal_threshold: str | None,
    quorum_floor: str | None,
    publish: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    console = Console()
    try:
        settings = DeploySettings(
            listing=Listing.load(markets),
            folder=deployments,
            governance=_governance(governance, proposal_threshold, quorum_floor),
            **options,
        )
        explorer = find_explorer(provider) if publish else None
        deployer = account or _test_account(provider)
        console.print(f"{provider.network_choice}, deployer {deployer.address}", soft_wrap=True, highlight=False)
        if dry_run:
            plan_all(deployer, settings, echo=_printer(console))
            return
        settings.check_roles(str(deployer.address))
        _unlock(deployer, settings, console)
        deployment = _deploy(deployer, settings, console)
        _show(deployment, settings, console)
        if explorer is not None:
            publish_all(explorer, deployment.path, Sources(), echo=_printer(console))
    except DeploymentError as error:
        raise click.ClickException(str(error)) from error


def _governance(is_wanted: bool, threshold: str | None, floor: str | None) -> GovernanceSettings | None:
    """Settings from decimal strings in whole CXPT; None if no governance is wanted."""
    given = {"proposal_threshold": threshold, "quorum_floor": floor}
    amounts = {name: parse_decimal(name.replace("_", "-"), text, CXPT_DECIMALS) for name, text in given.items() if text}
    if amounts and not is_wanted:
        raise DeploymentError(f"{next(iter(amounts)).replace('_', '-')}: goes with --governance")
    return GovernanceSettings(**amounts) if is_wanted else None


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
        "OrderControl": deployment.order_control,
        "Clearinghouse": deployment.clearinghouse,
        "WithdrawalQueue": deployment.queue,
        "MarketRegistry": deployment.registry,
        "USDC": deployment.usdc,
        "CXPT": deployment.cxpt,
        "Timelock": deployment.timelock,
        "Governor": deployment.governor,
    }
    for name, address in ((name, address) for name, address in rows.items() if address):
        console.print(f"{name:<16} {address}", soft_wrap=True, highlight=False)
    for symbol, market in deployment.markets.items():
        console.print(f"{symbol:<16} market {market['id']}", soft_wrap=True, highlight=False)
    console.print(f"All checks passed. Recorded in {deployment.path}", soft_wrap=True, highlight=False)
    if deployment.to_accept:
        names = ", ".join(deployment.to_accept)
        console.print(
            f"To do: {settings.owner} must call acceptOwnership() on {names}.", soft_wrap=True, highlight=False
        )

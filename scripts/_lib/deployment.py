"""Deploy the whole system, or go on where an earlier run ended: `deploy_all` for scripts, tests and the demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ape.api import AccountAPI
from eth_utils.crypto import keccak

from .checks import check
from .exchange import OWNED, install
from .listing import CXPT, KINDS, MarketSpec
from .node import Mined, Node
from .record import ContractEntry, DeploymentFile, Intent
from .settings import DeploymentError, DeploySettings
from .steps import Echo, Execution, OtherContractError, Plan, Report, note


@dataclass(frozen=True)
class Deployment:
    """The deployed system: addresses, asset and market ids, and the first block that can hold its events."""

    chain_id: int
    deployer: str
    usdc: str
    registry: str
    vault: str
    engine: str
    queue: str
    order_control: str
    clearinghouse: str
    cxpt: str | None
    timelock: str | None
    governor: str | None
    """None without governance"""
    assets: dict[str, dict[str, Any]]
    markets: dict[str, dict[str, Any]]
    start_block: int
    path: Path
    to_accept: tuple[str, ...]
    """Contracts whose ownership the new owner must still accept."""


def deploy_all(deployer: AccountAPI, settings: DeploySettings, *, echo: Echo = print) -> Deployment:
    """Deploy what is missing, record each step at once, check the result and return it.

    Args:
        deployer: pays for everything; the contracts' first owner. Must sign without asking.
        settings: what to deploy; see DeploySettings.
        echo: gets one Report per step; `str(report)` is a line.

    Raises:
        DeploymentError: wrong chain, unusable file or settings, a reverted step, or a failed check.
    """
    node, file = _open(deployer, settings, echo)
    _settle_intents(node, file, echo, wait=True)
    plan = _plan(node, file, settings, echo)
    walk = Execution(node, file, echo, total=len(plan))
    file.deployer = node.address
    file.usdc = install(walk, settings)
    _record_ids(node, file, settings)
    if failures := check(node, file, settings):
        raise DeploymentError(
            "the deployment does not pass its checks:\n" + "\n".join(f"- {line}" for line in failures)
        )
    return _deployment(node, file, settings)


def plan_all(deployer: AccountAPI, settings: DeploySettings, *, echo: Echo = print) -> list[Report]:
    """Say what `deploy_all` would do now. Sends nothing and writes nothing.

    Raises:
        DeploymentError: as deploy_all, for what can be known in advance.
    """
    node, file = _open(deployer, settings, echo, read_only=True)
    _settle_intents(node, file, echo, wait=False)
    reports = _plan(node, file, settings, echo)
    for report in reports:
        echo(report)
    return reports


# -- before the steps ------------------------------------------------------------------------------------------------


def _open(
    deployer: AccountAPI, settings: DeploySettings, echo: Echo, read_only: bool = False
) -> tuple[Node, DeploymentFile]:
    """Connect chain and file; a file that is stale on a development chain is emptied."""
    node = Node(deployer, settings.confirmations)
    if settings.chain_id is not None and settings.chain_id != node.chain_id:
        raise DeploymentError(f"chain-id: expected chain {settings.chain_id}, connected is chain {node.chain_id}")
    file = DeploymentFile.open(settings.folder, node.chain_id, read_only=read_only)
    reason = _stale(node, file)
    if reason is not None:
        if not node.is_dev:
            raise DeploymentError(f"{file.path}: {reason}")
        _start_over(node, file, reason, echo)
    return node, file


def _start_over(node: Node, file: DeploymentFile, reason: str, echo: Echo) -> None:
    echo(note(str(file.path), f"{reason}; starting over, as chain {node.chain_id} is a local one"))
    file.reset()


def _plan(node: Node, file: DeploymentFile, settings: DeploySettings, echo: Echo) -> list[Report]:
    """Plan all steps.

    On a development chain, recorded contracts that are not the ones wanted are given up: all of them, because they
    name each other for ever.
    """
    plan = Plan(node, file)
    try:
        install(plan, settings)
    except OtherContractError as error:
        if not node.is_dev:
            raise
        _start_over(node, file, str(error), echo)
        plan = Plan(node, file)
        install(plan, settings)
    return plan.reports


def _stale(node: Node, file: DeploymentFile) -> str | None:
    """Say why the file does not describe this chain, None if it does."""
    if file.deployer is not None and file.deployer != node.address:
        return f"was written by deployer {file.deployer}, this one is {node.address}"
    for name, entry in file.contracts.items():
        code = node.code(entry.address)
        if not code:
            return f"{name} is recorded at {entry.address}, which has no code"
        if "0x" + keccak(code).hex() != entry.codeHash:
            return f"{name} is recorded at {entry.address}, which has other code"
    return None


def _settle_intents(node: Node, file: DeploymentFile, echo: Echo, wait: bool) -> None:
    """Find out what became of the transaction that was about to be sent when the last run ended.

    All intents have one nonce, so at most one of them was mined. If none was, the next step uses the same nonce, so
    that one that turns up late cannot be mined besides it.
    """
    if not file.intents:
        return
    nonce = file.intents[0].nonce
    if wait and node.mined_nonce() <= nonce and node.has_pending():
        echo(note(file.intents[-1].step, f"waiting for transaction {file.intents[-1].transaction}"))
        node.wait_until(file.intents[-1].step, lambda: not node.has_pending())
    if node.mined_nonce() <= nonce:
        return
    for intent in file.intents:
        mined = node.mined(intent.transaction)
        if mined is not None and mined.succeeded:
            _adopt(node, file, intent, mined)
            return
    intent = file.intents[-1]
    if intent.address is not None and node.code(intent.address):
        if len({other.initCodeHash for other in file.intents}) > 1:
            raise DeploymentError(f"{intent.step}: {intent.address} has code, but its transaction cannot be found")
        _adopt(node, file, intent, None)
        return
    file.intents = []
    file.save()


def _adopt(node: Node, file: DeploymentFile, intent: Intent, mined: Mined | None) -> None:
    """Record what an interrupted run sent. `mined` is None if the node has forgotten the transaction."""
    block, transaction = (mined.block, mined.transaction) if mined else (None, None)
    if intent.address is None or intent.contract is None or intent.initCodeHash is None:
        file.finish_call(intent.step, block, transaction)
        return
    code_hash = "0x" + keccak(node.code(intent.address)).hex()
    entry = ContractEntry(
        intent.contract, intent.address, intent.arguments, intent.initCodeHash, code_hash, block, transaction
    )
    file.finish_contract(intent.step, entry)


# -- after the steps -------------------------------------------------------------------------------------------------


def _record_ids(node: Node, file: DeploymentFile, settings: DeploySettings) -> None:
    """Record what the registry answers, and the first block that can hold an event."""
    registry = node.at("MarketRegistry", file.contracts["MarketRegistry"].address)
    synths = {asset.name: f"Synth{asset.name}" for asset in settings.listing.assets}
    if settings.governance is not None:
        synths[CXPT] = CXPT
    for name, contract in synths.items():
        synth = file.contracts[contract]
        file.assets[name] = {
            "id": int(registry.assetId(synth.address)),
            "synth": synth.address,
            "underlying": None if name == CXPT else synth.arguments[0],
            "decimals": settings.listing.decimals(name),
        }
    for market in settings.listing.markets:
        file.markets[market.symbol] = _market_entry(registry, file, market)
    blocks = [file.contracts[name].block for name in (*OWNED, "WithdrawalQueue")]
    file.start_block = min((block for block in blocks if block is not None), default=0)
    file.save()


def _market_entry(registry: Any, file: DeploymentFile, market: MarketSpec) -> dict[str, Any]:
    """What is recorded of a market; an expiry that was days ahead is the one on chain."""
    market_id = int(registry.marketId(market.symbol))
    return {
        "id": market_id,
        "kind": KINDS[market.kind],
        "base": market.base,
        "quote": market.quote or "USDC",
        "oracle": file.contracts[f"Oracle{market.oracle}"].address if market.oracle else None,
        "expiry": int(registry.market(market_id)[0][-1][0]) or None,
    }


def _deployment(node: Node, file: DeploymentFile, settings: DeploySettings) -> Deployment:
    addresses = {name: entry.address for name, entry in file.contracts.items()}
    owner = addresses["Timelock"] if settings.governance is not None else settings.owner or node.address
    to_accept = tuple(name for name in OWNED if node.at(name, addresses[name]).owner() != owner)
    return Deployment(
        chain_id=node.chain_id,
        deployer=node.address,
        usdc=str(file.usdc),
        registry=addresses["MarketRegistry"],
        vault=addresses["Vault"],
        engine=addresses["Engine"],
        queue=addresses["WithdrawalQueue"],
        order_control=addresses["OrderControl"],
        clearinghouse=addresses["Clearinghouse"],
        cxpt=addresses.get("CXPT"),
        timelock=addresses.get("Timelock"),
        governor=addresses.get("Governor"),
        assets=file.assets,
        markets=file.markets,
        start_block=file.start_block or 0,
        path=file.path,
        to_accept=to_accept,
    )

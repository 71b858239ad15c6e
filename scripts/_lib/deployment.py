"""Deploy the whole system, or go on where an earlier run ended: `deploy_all` for scripts, tests and the demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ape.api import AccountAPI
from eth_utils.crypto import keccak

from .checks import check
from .node import Mined, Node
from .record import ContractEntry, DeploymentFile, Intent
from .settings import USDC_DECIMALS, AssetSpec, DeploymentError, DeploySettings, MarketSpec
from .steps import Echo, Execution, OtherContractError, Plan, Report, Walk, note

OWNED = ("MarketRegistry", "Vault", "Engine")
"""Contracts that have an owner."""


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
    file.usdc = _walk(walk, settings)
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
        _walk(plan, settings)
    except OtherContractError as error:
        if not node.is_dev:
            raise
        _start_over(node, file, str(error), echo)
        plan = Plan(node, file)
        _walk(plan, settings)
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


# -- the steps -------------------------------------------------------------------------------------------------------


def _walk(walk: Walk, settings: DeploySettings) -> str:
    """Go through all steps in order. Return the address of USDC."""
    usdc = settings.usdc_on(walk.node.chain_id)
    deployer = walk.node.address
    operator = settings.operator or deployer
    guardian = settings.guardian or deployer
    if usdc is None:
        usdc = walk.create("USDC", "MockUSDC")
    _check_decimals(walk, "usdc", usdc, USDC_DECIMALS)
    tokens = {asset.name: _token(walk, asset) for asset in settings.listing.assets}
    walk.create2_deployer()
    synths = {name: walk.create2(f"Synth{name}", "SynthERC20", token) for name, token in tokens.items()}

    registry = walk.create("MarketRegistry", "MarketRegistry", deployer, guardian)
    vault = _proxy(walk, "Vault", (usdc,), (deployer,))
    engine = _proxy(walk, "Engine", (vault, registry), (deployer, operator, guardian, settings.fee_bps))
    queue = walk.create("WithdrawalQueue", "WithdrawalQueue", vault, engine, registry)
    _connect(walk, "Vault", vault, (engine, queue))
    _connect(walk, "Engine", engine, (queue,))
    _list(walk, settings, registry, synths)
    addresses = dict(zip(OWNED, (registry, vault, engine), strict=True))
    owner = settings.owner or deployer
    if owner != deployer:
        for name, address in addresses.items():
            _hand_over(walk, name, address, owner)
    return usdc


def _token(walk: Walk, asset: AssetSpec) -> str:
    """Return the asset's underlying, deployed here if it is a mock."""
    token = walk.create(asset.name, asset.token) if asset.is_mock else asset.token
    _check_decimals(walk, asset.name, token, asset.decimals)
    return token


def _check_decimals(walk: Walk, name: str, token: str, decimals: int) -> None:
    """Compare, unless the token is only planned."""
    if isinstance(walk, Plan) and token in walk.planned:
        return
    actual = walk.node.decimals(token)
    if actual != decimals:
        raise DeploymentError(f"{name}: {token} has {actual} decimals, expected {decimals}")


def _proxy(walk: Walk, name: str, arguments: tuple[Any, ...], initial: tuple[Any, ...]) -> str:
    """Deploy implementation and proxy of an upgradeable contract. Return the proxy's address."""
    implementation = walk.create(f"{name}Implementation", name, *arguments)
    return walk.create(name, "UpgradeableProxy", implementation, walk.node.call_data(name, "initialize", *initial))


def _connect(walk: Walk, name: str, address: str, peers: tuple[str, ...]) -> None:
    """Name the queue (and, to the Vault, the Engine)."""
    walk.call(
        f"connect({name})",
        name,
        address,
        "connect",
        arguments=lambda: peers,
        done=lambda: walk.node.at(name, address).queue() == peers[-1],
    )


def _list(walk: Walk, settings: DeploySettings, registry: str, synths: dict[str, str]) -> None:
    """Register the assets and create the markets, in the order of the listing."""
    for asset in settings.listing.assets:
        _register(walk, registry, asset, synths[asset.name])
    for market in settings.listing.markets:
        _create_market(walk, registry, market, synths[market.base])


def _register(walk: Walk, registry: str, asset: AssetSpec, synth: str) -> None:
    walk.call(
        f"registerAsset({asset.name})",
        "MarketRegistry",
        registry,
        "registerAsset",
        arguments=lambda: (synth,),
        done=lambda: walk.node.at("MarketRegistry", registry).assetId(synth) != 0,
    )


def _create_market(walk: Walk, registry: str, market: MarketSpec, synth: str) -> None:
    walk.call(
        f"createMarket({market.symbol})",
        "MarketRegistry",
        registry,
        "createMarket",
        arguments=lambda: (market.params(int(walk.node.at("MarketRegistry", registry).assetId(synth))),),
        done=lambda: walk.node.at("MarketRegistry", registry).marketId(market.symbol) != 0,
    )


def _hand_over(walk: Walk, name: str, address: str, owner: str) -> None:
    """Begin the transfer of ownership, which the new owner completes by `acceptOwnership`."""

    def done() -> bool:
        contract = walk.node.at(name, address)
        return owner in (contract.owner(), contract.pendingOwner())

    walk.call(f"transferOwnership({name})", name, address, "transferOwnership", lambda: (owner,), done)


# -- after the steps -------------------------------------------------------------------------------------------------


def _record_ids(node: Node, file: DeploymentFile, settings: DeploySettings) -> None:
    """Record what the registry answers, and the first block that can hold an event."""
    registry = node.at("MarketRegistry", file.contracts["MarketRegistry"].address)
    for asset in settings.listing.assets:
        synth = file.contracts[f"Synth{asset.name}"]
        file.assets[asset.name] = {
            "id": int(registry.assetId(synth.address)),
            "synth": synth.address,
            "underlying": synth.arguments[0],
            "decimals": asset.decimals,
        }
    for market in settings.listing.markets:
        file.markets[market.symbol] = {"id": int(registry.marketId(market.symbol)), "base": market.base}
    blocks = [file.contracts[name].block for name in (*OWNED, "WithdrawalQueue")]
    file.start_block = min((block for block in blocks if block is not None), default=0)
    file.save()


def _deployment(node: Node, file: DeploymentFile, settings: DeploySettings) -> Deployment:
    owner = settings.owner or node.address
    addresses = {name: file.contracts[name].address for name in (*OWNED, "WithdrawalQueue")}
    to_accept = tuple(name for name in OWNED if node.at(name, addresses[name]).owner() != owner)
    return Deployment(
        chain_id=node.chain_id,
        deployer=node.address,
        usdc=str(file.usdc),
        registry=addresses["MarketRegistry"],
        vault=addresses["Vault"],
        engine=addresses["Engine"],
        queue=addresses["WithdrawalQueue"],
        assets=file.assets,
        markets=file.markets,
        start_block=file.start_block or 0,
        path=file.path,
        to_accept=to_accept,
    )

"""Checks of a finished deployment: roles, wiring, implementations, predicted addresses, markets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .addresses import CREATE2_DEPLOYER, CREATE2_DEPLOYER_CODE, create2_address
from .node import Node
from .record import DeploymentFile
from .settings import USDC_DECIMALS, DeploySettings

STATUS_MASK = (1 << 48) - 1 << 168
"""Bits of a market's word that change later: status and its time."""

INITIALIZABLE_SLOT = 0xF0C57E16840DF040F15088DC2F81FE391C3923BEC73E23A9662EFC9C229C6A00
INITIALIZERS_DISABLED = 2**64 - 1

Finding = tuple[str, Any, Any]
"""What was looked at, what it must be, what it is."""


def check(node: Node, file: DeploymentFile, settings: DeploySettings) -> list[str]:
    """Return one line per thing that is not as it must be; an empty list says that all is well."""
    findings = [*_roles(node, file, settings), *_wiring(node, file), *_proxies(node, file)]
    findings += [*_assets(node, file, settings), *_markets(node, file, settings)]
    return [f"{what}: expected {expected}, found {actual}" for what, expected, actual in findings if expected != actual]


def _roles(node: Node, file: DeploymentFile, settings: DeploySettings) -> Iterator[Finding]:
    owner = settings.owner or node.address
    registry, vault, engine = (_at(node, file, name) for name in ("MarketRegistry", "Vault", "Engine"))
    for name, contract in (("MarketRegistry", registry), ("Vault", vault), ("Engine", engine)):
        has = contract.owner()
        yield f"{name}.owner or pendingOwner", owner, has if has == owner else contract.pendingOwner()
    guardian = settings.guardian or node.address
    yield "Engine.operator", settings.operator or node.address, engine.operator()
    yield "Engine.guardian", guardian, engine.guardian()
    yield "MarketRegistry.guardian", guardian, registry.guardian()
    yield "Engine.feeBps", settings.fee_bps, engine.feeBps()


def _wiring(node: Node, file: DeploymentFile) -> Iterator[Finding]:
    registry, vault, engine, queue = (
        _at(node, file, name) for name in ("MarketRegistry", "Vault", "Engine", "WithdrawalQueue")
    )
    yield "Vault.asset", file.usdc, vault.asset()
    yield "Vault.engine", engine.address, vault.engine()
    yield "Vault.queue", queue.address, vault.queue()
    yield "Engine.vault", vault.address, engine.vault()
    yield "Engine.registry", registry.address, engine.registry()
    yield "Engine.queue", queue.address, engine.queue()
    yield "WithdrawalQueue.vault", vault.address, queue.vault()
    yield "WithdrawalQueue.engine", engine.address, queue.engine()
    yield "WithdrawalQueue.registry", registry.address, queue.registry()
    yield "USDC.decimals", USDC_DECIMALS, node.decimals(str(file.usdc))


def _proxies(node: Node, file: DeploymentFile) -> Iterator[Finding]:
    for name in ("Vault", "Engine"):
        implementation = file.contracts[f"{name}Implementation"].address
        yield f"{name}'s implementation", implementation, node.implementation(file.contracts[name].address)
        word = node.web3.eth.get_storage_at(implementation, INITIALIZABLE_SLOT)  # type: ignore[arg-type]
        yield f"{name}Implementation's initialisers", INITIALIZERS_DISABLED, int.from_bytes(word, "big")


def _assets(node: Node, file: DeploymentFile, settings: DeploySettings) -> Iterator[Finding]:
    yield "Create2Deployer", CREATE2_DEPLOYER_CODE.hex(), node.code(CREATE2_DEPLOYER).hex()
    registry = _at(node, file, "MarketRegistry")
    for asset in settings.listing.assets:
        entry = file.contracts[f"Synth{asset.name}"]
        underlying = entry.arguments[0]
        predicted = create2_address(node.init_code("SynthERC20", underlying))
        yield f"Synth{asset.name}'s address", predicted, entry.address
        yield f"MarketRegistry.predictSynth({asset.name})", predicted, registry.predictSynth(underlying)
        yield f"Synth{asset.name}.underlying", underlying, node.at("SynthERC20", entry.address).underlying()
        found = registry.asset(registry.assetId(entry.address))
        expected = (entry.address, underlying, asset.decimals)
        yield f"MarketRegistry.asset({asset.name})", expected, (found.synth, found.underlying, found.decimals)


def _markets(node: Node, file: DeploymentFile, settings: DeploySettings) -> Iterator[Finding]:
    registry = _at(node, file, "MarketRegistry")
    decimals_of = {asset.name: asset.decimals for asset in settings.listing.assets}
    for market in settings.listing.markets:
        base_id = file.assets[market.base]["id"]
        market_id = int(registry.marketId(market.symbol))
        word = int(registry.marketWords([market_id])[0]) & ~STATUS_MASK
        yield f"{market.symbol}'s word", hex(market.word(base_id, decimals_of[market.base])), hex(word)
        params = tuple(registry.market(market_id)[0])
        yield f"{market.symbol}'s parameters", market.params(base_id), params


def _at(node: Node, file: DeploymentFile, name: str) -> Any:
    return node.at(name, file.contracts[name].address)

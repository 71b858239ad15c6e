"""Checks of a finished deployment: roles, wiring, implementations, addresses, oracles, markets, governance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .addresses import CREATE2_DEPLOYER, CREATE2_DEPLOYER_CODE, create2_address
from .exchange import OWNED, PROXIES
from .governance import check_governance
from .listing import SPOT, USDC_DECIMALS, ZERO_ADDRESS, MarketSpec
from .node import Node
from .record import DeploymentFile
from .settings import DeploySettings

STATUS_MASK = (1 << 48) - 1 << 168
"""Bits of a market's word that change later: status and its time."""

INITIALIZABLE_SLOT = 0xF0C57E16840DF040F15088DC2F81FE391C3923BEC73E23A9662EFC9C229C6A00
INITIALIZERS_DISABLED = 2**64 - 1

Finding = tuple[str, Any, Any]
"""What was looked at, what it must be, what it is."""


def check(node: Node, file: DeploymentFile, settings: DeploySettings) -> list[str]:
    """Return one line per thing that is not as it must be; an empty list says that all is well."""
    findings = [*_roles(node, file, settings), *_wiring(node, file), *_proxies(node, file)]
    findings += [*_assets(node, file, settings), *_oracles(node, file, settings), *_markets(node, file, settings)]
    findings += check_governance(node, file, settings)
    return [f"{what}: expected {expected}, found {actual}" for what, expected, actual in findings if expected != actual]


def _roles(node: Node, file: DeploymentFile, settings: DeploySettings) -> Iterator[Finding]:
    for name in OWNED:
        contract = _at(node, file, name)
        if settings.governance is not None:
            owners = file.contracts["Timelock"].address, ZERO_ADDRESS
            yield f"{name}.owner and pendingOwner", owners, (contract.owner(), contract.pendingOwner())
            continue
        owner, has = settings.owner or node.address, contract.owner()
        yield f"{name}.owner or pendingOwner", owner, has if has == owner else contract.pendingOwner()
    engine, registry = _at(node, file, "Engine"), _at(node, file, "MarketRegistry")
    guardian = settings.guardian or node.address
    yield "Engine.operator", settings.operator or node.address, engine.operator()
    yield "Engine.guardian", guardian, engine.guardian()
    yield "MarketRegistry.guardian", guardian, registry.guardian()
    yield "Engine.feeBps", settings.fee_bps, engine.feeBps()


WIRING = {
    "Vault": {
        "engine": "Engine",
        "queue": "WithdrawalQueue",
        "clearinghouse": "Clearinghouse",
        "orderControl": "OrderControl",
    },
    "Engine": {
        "vault": "Vault",
        "registry": "MarketRegistry",
        "packer": "BatchPacker",
        "queue": "WithdrawalQueue",
        "orderControl": "OrderControl",
        "clearinghouse": "Clearinghouse",
    },
    "OrderControl": {"engine": "Engine", "vault": "Vault"},
    "Clearinghouse": {"engine": "Engine", "vault": "Vault", "registry": "MarketRegistry"},
    "WithdrawalQueue": {"vault": "Vault", "engine": "Engine", "registry": "MarketRegistry"},
}
"""By contract: what each of its views must answer."""


def _wiring(node: Node, file: DeploymentFile) -> Iterator[Finding]:
    for name, peers in WIRING.items():
        contract = _at(node, file, name)
        for view, peer in peers.items():
            yield f"{name}.{view}", file.contracts[peer].address, getattr(contract, view)()
    yield "Vault.asset", file.usdc, _at(node, file, "Vault").asset()
    yield "USDC.decimals", USDC_DECIMALS, node.decimals(str(file.usdc))


def _proxies(node: Node, file: DeploymentFile) -> Iterator[Finding]:
    for name in PROXIES:
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


def _oracles(node: Node, file: DeploymentFile, settings: DeploySettings) -> Iterator[Finding]:
    for spec in settings.listing.oracles:
        oracle = node.at(spec.contract, file.contracts[f"Oracle{spec.name}"].address)
        bounds = (oracle.maxAge(), oracle.minPrice(), oracle.maxPrice())
        yield f"Oracle{spec.name}'s bounds", (spec.max_age, spec.min_price, spec.max_price), bounds


def _markets(node: Node, file: DeploymentFile, settings: DeploySettings) -> Iterator[Finding]:
    registry = _at(node, file, "MarketRegistry")
    for market in settings.listing.markets:
        market_id = int(registry.marketId(market.symbol))
        params = registry.market(market_id)[0]
        expiry = _expiry(market, int(params[-1][0]))
        base, quote = (file.assets[name]["id"] if name else 0 for name in (market.base, market.quote))
        oracle = file.contracts[f"Oracle{market.oracle}"].address if market.oracle else ZERO_ADDRESS
        expected = market.params(base, quote, oracle, expiry)
        yield f"{market.symbol}'s parameters", expected, (*params[:-1], tuple(params[-1]))

        decimals = settings.listing.decimals(market.base)
        word = int(registry.marketWords([market_id])[0]) & ~STATUS_MASK
        instrument = base if market.kind == SPOT else market_id
        yield f"{market.symbol}'s word", hex(market.word(instrument, decimals)), hex(word)
        words, oracles = registry.derivatives([market_id])
        yield f"{market.symbol}'s derivative word", hex(market.derivative_word(decimals, expiry)), hex(words[0])
        yield f"{market.symbol}'s oracle", oracle, oracles[0]


def _expiry(market: MarketSpec, on_chain: int) -> int:
    """The listed expiry; one that was days ahead is what was made of it when the market was created."""
    return on_chain if market.expiry.is_relative else market.expiry.resolve(0)


def _at(node: Node, file: DeploymentFile, name: str) -> Any:
    return node.at(name, file.contracts[name].address)

"""The steps that make an exchange: contracts, their connections, what is listed, and who owns it in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .governance import create_cxpt, create_governance
from .listing import CXPT, USDC_DECIMALS, ZERO_ADDRESS, AssetSpec, MarketSpec, OracleSpec
from .settings import DeploymentError, DeploySettings
from .steps import Plan, Walk

OWNED = ("MarketRegistry", "Vault", "Engine", "Clearinghouse")
"""Contracts that have an owner."""

PROXIES = ("Vault", "Engine", "Clearinghouse")
"""Contracts behind a proxy."""


@dataclass(frozen=True)
class Exchange:
    """Addresses of the contracts that everything else hangs on."""

    usdc: str
    registry: str
    vault: str
    engine: str
    clearinghouse: str

    @property
    def owned(self) -> dict[str, str]:
        return dict(zip(OWNED, (self.registry, self.vault, self.engine, self.clearinghouse), strict=True))


def install(walk: Walk, settings: DeploySettings) -> str:
    """Go through all steps in order. Return the address of USDC."""
    settings.check_roles(walk.node.address)
    usdc = settings.usdc_on(walk.node.chain_id) or walk.create("USDC", "MockUSDC")
    _check_decimals(walk, "usdc", usdc, USDC_DECIMALS)
    tokens = {asset.name: _token(walk, asset) for asset in settings.listing.assets}
    walk.create2_deployer()
    synths = {name: walk.create2(f"Synth{name}", "SynthERC20", token) for name, token in tokens.items()}
    exchange = _contracts(walk, settings, usdc)
    if settings.governance is not None:
        synths[CXPT] = create_cxpt(walk, exchange.vault, exchange.registry)
    oracles = {oracle.name: _oracle(walk, oracle) for oracle in settings.listing.oracles}
    for name, synth in synths.items():
        _register(walk, exchange.registry, name, synth)
    for market in settings.listing.markets:
        _create_market(walk, exchange.registry, market, synths, oracles)
    _give_away(walk, settings, exchange, synths.get(CXPT))
    return usdc


# -- contracts -------------------------------------------------------------------------------------------------------


def _contracts(walk: Walk, settings: DeploySettings, usdc: str) -> Exchange:
    """Deploy and connect. What names another contract for ever comes after it."""
    deployer = walk.node.address
    operator = settings.operator or deployer
    guardian = settings.guardian or deployer
    registry = walk.create("MarketRegistry", "MarketRegistry", deployer, guardian)
    vault = _proxy(walk, "Vault", (usdc,), (deployer,))
    packer = walk.create("BatchPacker", "BatchPacker")
    engine = _proxy(walk, "Engine", (vault, registry, packer), (deployer, operator, guardian, settings.fee_bps))
    control = walk.create("OrderControl", "OrderControl", engine, vault)
    clearinghouse = _proxy(walk, "Clearinghouse", (engine, vault, registry), (deployer,))
    queue = walk.create("WithdrawalQueue", "WithdrawalQueue", vault, engine, registry)
    _connect(walk, "Vault", vault, (engine, queue, clearinghouse, control), queue)
    _connect(walk, "Engine", engine, (queue, control, clearinghouse), queue)
    return Exchange(usdc, registry, vault, engine, clearinghouse)


def _proxy(walk: Walk, name: str, arguments: tuple[Any, ...], initial: tuple[Any, ...]) -> str:
    """Deploy implementation and proxy of an upgradeable contract. Return the proxy's address."""
    implementation = walk.create(f"{name}Implementation", name, *arguments)
    return walk.create(name, "UpgradeableProxy", implementation, walk.node.call_data(name, "initialize", *initial))


def _connect(walk: Walk, name: str, address: str, peers: tuple[str, ...], queue: str) -> None:
    """Name the contract's peers, once and for all at the same time."""
    walk.call(
        f"connect({name})",
        name,
        address,
        "connect",
        arguments=lambda: peers,
        done=lambda: walk.node.at(name, address).queue() == queue,
    )


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


# -- listing ---------------------------------------------------------------------------------------------------------


def _oracle(walk: Walk, oracle: OracleSpec) -> str:
    """Return the oracle's address; a mock feed is deployed for it."""
    source = oracle.source
    if oracle.is_mock:
        source = walk.create(f"Feed{oracle.name}", oracle.source, 8, oracle.answer)
    return walk.create(f"Oracle{oracle.name}", oracle.contract, *oracle.arguments(source))


def _register(walk: Walk, registry: str, name: str, synth: str) -> None:
    walk.call(
        f"registerAsset({name})",
        "MarketRegistry",
        registry,
        "registerAsset",
        arguments=lambda: (synth,),
        done=lambda: walk.node.at("MarketRegistry", registry).assetId(synth) != 0,
    )


def _create_market(
    walk: Walk, registry: str, market: MarketSpec, synths: dict[str, str], oracles: dict[str, str]
) -> None:
    def arguments() -> tuple[Any, ...]:
        contract = walk.node.at("MarketRegistry", registry)
        base, quote = (int(contract.assetId(synths[name])) if name else 0 for name in (market.base, market.quote))
        oracle = oracles[market.oracle] if market.oracle else ZERO_ADDRESS
        return (market.params(base, quote, oracle, market.expiry.resolve(walk.node.time())),)

    walk.call(
        f"createMarket({market.symbol})",
        "MarketRegistry",
        registry,
        "createMarket",
        arguments=arguments,
        done=lambda: walk.node.at("MarketRegistry", registry).marketId(market.symbol) != 0,
    )


# -- ownership -------------------------------------------------------------------------------------------------------


def _give_away(walk: Walk, settings: DeploySettings, exchange: Exchange, cxpt: str | None) -> None:
    """Let the contracts end up with the owner that the settings ask for."""
    if settings.governance is not None and cxpt is not None:
        guardian = settings.guardian or walk.node.address
        timelock = create_governance(walk, settings.governance, guardian, cxpt)
        for name, address in exchange.owned.items():
            _hand_over(walk, name, address, timelock)
            _accept(walk, name, address, timelock)
    elif settings.owner not in (None, walk.node.address):
        for name, address in exchange.owned.items():
            _hand_over(walk, name, address, str(settings.owner))


def _hand_over(walk: Walk, name: str, address: str, owner: str) -> None:
    """Begin the transfer of ownership, which the new owner completes by `acceptOwnership`."""

    def done() -> bool:
        contract = walk.node.at(name, address)
        return owner in (contract.owner(), contract.pendingOwner())

    walk.call(f"transferOwnership({name})", name, address, "transferOwnership", lambda: (owner,), done)


def _accept(walk: Walk, name: str, address: str, timelock: str) -> None:
    """Complete the transfer in the timelock's place, which it lets anybody do."""
    walk.call(
        f"acceptOwnership({name})",
        "CrosspointTimelock",
        timelock,
        "acceptOwnershipOf",
        arguments=lambda: (address,),
        done=lambda: walk.node.at(name, address).owner() == timelock,
    )

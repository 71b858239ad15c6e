"""What a deployment is asked for: roles, fee, assets and markets."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from eth_utils.address import to_checksum_address

ROOT = Path(__file__).resolve().parents[2]
LOCAL_MARKETS = ROOT / "scripts" / "_markets" / "local.json"

DEV_CHAINS = frozenset({31337, 1337})
"""Chain ids of throw-away nodes: mocks are deployed there and a stale deployments file is started over."""

KNOWN_USDC = {1: "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"}
USDC_DECIMALS = 6
MAX_FEE_BPS = 50

_DECIMAL = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_MOCK = re.compile(r"Mock[A-Za-z0-9]+")


class DeploymentError(Exception):
    """The deployment cannot start or go on; the message says what and why."""


@dataclass(frozen=True)
class AssetSpec:
    """A base asset. `token` is the underlying's address, or the name of a mock that is deployed for it."""

    name: str
    token: str
    decimals: int

    @property
    def is_mock(self) -> bool:
        return not self.token.startswith("0x")


@dataclass(frozen=True)
class MarketSpec:
    """A spot market in the registry's units: micro-USDC per whole base unit, quanta per lot, lots."""

    symbol: str
    base: str
    tick_size: int
    lot_size: int
    max_price: int
    max_quantity: int

    def params(self, base_id: int) -> tuple[str, int, int, int, int, int, int, int]:
        """Return IMarketRegistry.MarketParams."""
        return (self.symbol, 0, base_id, 0, self.tick_size, self.lot_size, self.max_price, self.max_quantity)

    def word(self, base_id: int, decimals: int) -> int:
        """Return the market's word (contracts/libraries/MarketWord.sol) without status and its time."""
        mantissa, exponent = self.lot_size, 0
        while mantissa % 10 == 0:
            mantissa, exponent = mantissa // 10, exponent + 1
        unit: int = 10**decimals
        max_price_per_lot = self.max_price * self.lot_size // unit
        tick_per_lot = self.tick_size * self.lot_size // unit
        word: int = base_id << 224 | max_price_per_lot << 112 | self.max_quantity << 72
        return word | tick_per_lot << 40 | mantissa << 16 | exponent << 8


@dataclass(frozen=True)
class Listing:
    """The assets and markets of a deployment, in the order in which they get their ids."""

    assets: tuple[AssetSpec, ...]
    markets: tuple[MarketSpec, ...]

    @classmethod
    def load(cls, path: Path) -> Listing:
        """Read a JSON file like `scripts/_markets/local.json`; all numbers in it are decimal strings in whole units.

        Raises:
            DeploymentError: naming the file, the field and what is wrong with it.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DeploymentError(f"{path}: {error}") from error
        try:
            _only_fields("file", data, {"assets", "markets"})
            assets = tuple(_asset(f"assets[{i}]", entry) for i, entry in enumerate(data["assets"]))
            decimals = {asset.name: asset.decimals for asset in assets}
            markets = tuple(_market(f"markets[{i}]", entry, decimals) for i, entry in enumerate(data["markets"]))
        except DeploymentError as error:
            raise DeploymentError(f"{path}: {error}") from None
        _unique("assets", [asset.name for asset in assets])
        _unique("markets", [market.symbol for market in markets])
        return cls(assets, markets)


@dataclass(frozen=True)
class DeploySettings:
    """One deployment. Addresses left out default to the deployer; amounts are basis points and blocks."""

    owner: str | None = None
    operator: str | None = None
    guardian: str | None = None
    usdc: str | None = None
    fee_bps: int = MAX_FEE_BPS
    listing: Listing = field(default_factory=lambda: Listing.load(LOCAL_MARKETS))
    chain_id: int | None = None
    mocks: bool = False
    confirmations: int | None = None
    folder: Path = ROOT / "deployments"

    def __post_init__(self) -> None:
        for name in ("owner", "operator", "guardian", "usdc"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _address(name, value))
        if not 0 <= self.fee_bps <= MAX_FEE_BPS:
            raise DeploymentError(f"fee-bps: {self.fee_bps} is not between 0 and {MAX_FEE_BPS}")
        if self.confirmations is not None and self.confirmations < 0:
            raise DeploymentError(f"confirmations: {self.confirmations} is negative")

    def usdc_on(self, chain_id: int) -> str | None:
        """Return the USDC to use on this chain, or None if a mock is to be deployed.

        Raises:
            DeploymentError: if neither is allowed, or the listing needs a mock where mocks are not allowed.
        """
        may_mock = self.mocks or chain_id in DEV_CHAINS
        mocks = [asset.name for asset in self.listing.assets if asset.is_mock]
        if mocks and not may_mock:
            raise DeploymentError(
                f"markets: assets {', '.join(mocks)} are mocks, which chain {chain_id} gets by --mocks only"
            )
        if self.usdc is not None:
            return self.usdc
        if may_mock:
            return None
        if chain_id in KNOWN_USDC:
            return KNOWN_USDC[chain_id]
        raise DeploymentError(
            f"usdc: no USDC is known for chain {chain_id}; pass --usdc ADDRESS, or --mocks for a mock"
        )


def _address(where: str, value: str) -> str:
    """Return the address with its checksum; one given in mixed case must have the right one."""
    if not _ADDRESS.fullmatch(value) or int(value, 16) == 0:
        raise DeploymentError(f"{where}: {value!r} is not an address")
    checksummed = to_checksum_address(value)
    if value[2:] not in (value[2:].lower(), value[2:].upper()) and value != checksummed:
        raise DeploymentError(f"{where}: {value} has a wrong checksum, which means a mistyped address")
    return checksummed


def _only_fields(where: str, entry: Any, names: set[str]) -> None:
    if not isinstance(entry, dict):
        raise DeploymentError(f"{where}: must be an object")
    if missing := sorted(names - entry.keys()):
        raise DeploymentError(f"{where}.{missing[0]}: is missing")
    if unknown := sorted(entry.keys() - names):
        raise DeploymentError(f"{where}.{unknown[0]}: is unknown")


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise DeploymentError(f"{where}: must be a non-empty string")
    return value


def _scaled(where: str, value: Any, decimals: int) -> int:
    """Convert a decimal string to an integer of 10^-decimals, exactly."""
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise DeploymentError(f"{where}: {value!r} is not a decimal string")
    scaled = Decimal(value).scaleb(decimals)
    if scaled != scaled.to_integral_value():
        raise DeploymentError(f"{where}: {value} has more than {decimals} decimals")
    if scaled == 0:
        raise DeploymentError(f"{where}: must be above 0")
    return int(scaled)


def _asset(where: str, entry: Any) -> AssetSpec:
    _only_fields(where, entry, {"name", "token", "decimals"})
    token = _text(f"{where}.token", entry["token"])
    if _ADDRESS.fullmatch(token):
        token = _address(f"{where}.token", token)
    elif not _MOCK.fullmatch(token):
        raise DeploymentError(f"{where}.token: {token!r} is neither an address nor a mock's name")
    decimals = entry["decimals"]
    if type(decimals) is not int or not 0 <= decimals <= 24:
        raise DeploymentError(f"{where}.decimals: {decimals!r} is not an integer from 0 to 24")
    return AssetSpec(_text(f"{where}.name", entry["name"]), token, decimals)


def _market(where: str, entry: Any, decimals_of: dict[str, int]) -> MarketSpec:
    _only_fields(where, entry, {"symbol", "base", "tickSize", "lotSize", "maxPrice", "maxQuantity"})
    base = _text(f"{where}.base", entry["base"])
    if base not in decimals_of:
        raise DeploymentError(f"{where}.base: {base!r} is not among the assets")
    decimals = decimals_of[base]
    lot_size = _scaled(f"{where}.lotSize", entry["lotSize"], decimals)
    max_quanta = _scaled(f"{where}.maxQuantity", entry["maxQuantity"], decimals)
    if max_quanta % lot_size:
        raise DeploymentError(f"{where}.maxQuantity: is not a multiple of lotSize")
    return MarketSpec(
        symbol=_text(f"{where}.symbol", entry["symbol"]),
        base=base,
        tick_size=_scaled(f"{where}.tickSize", entry["tickSize"], USDC_DECIMALS),
        lot_size=lot_size,
        max_price=_scaled(f"{where}.maxPrice", entry["maxPrice"], USDC_DECIMALS),
        max_quantity=max_quanta // lot_size,
    )


def _unique(where: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise DeploymentError(f"{where}: {name} is listed twice")

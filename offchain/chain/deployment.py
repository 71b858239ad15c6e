"""Where the contracts are: the file that the deploy script writes (`deployments/<chainId>.json`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offchain.domain.order import Address


class DeploymentError(Exception):
    """The deployment file is missing, incomplete or malformed."""


@dataclass(frozen=True, slots=True)
class Deployment:
    chain_id: int
    engine: Address
    vault: Address
    queue: Address
    registry: Address
    order_control: Address
    first_block: int
    """no contract of the system existed before it"""
    clearinghouse: Address | None = None
    """None where derivatives are not deployed"""

    def address(self, contract: str) -> Address:
        """By the contract's name. Raises ValueError for another name."""
        addresses = {
            "Engine": self.engine,
            "Vault": self.vault,
            "WithdrawalQueue": self.queue,
            "MarketRegistry": self.registry,
            "OrderControl": self.order_control,
        }
        if self.clearinghouse is not None:
            addresses["Clearinghouse"] = self.clearinghouse
        if contract not in addresses:
            raise ValueError(f"no contract {contract!r}: expected one of {', '.join(addresses)}")
        return addresses[contract]


def load_deployment(path: Path) -> Deployment:
    """Read a deployment file. Raises DeploymentError naming the file and what is wrong."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise DeploymentError(f"{path}: not found; deploy with `ape run deploy` first") from error
    except (OSError, ValueError) as error:
        raise DeploymentError(f"{path}: {error}") from error
    try:
        contracts = content["contracts"]
        return Deployment(
            chain_id=int(content["chainId"]),
            engine=_address(contracts, "Engine"),
            vault=_address(contracts, "Vault"),
            queue=_address(contracts, "WithdrawalQueue"),
            registry=_address(contracts, "MarketRegistry"),
            order_control=_address(contracts, "OrderControl"),
            first_block=int(content["startBlock"]),
            clearinghouse=_address(contracts, "Clearinghouse") if "Clearinghouse" in contracts else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DeploymentError(f"{path}: {type(error).__name__}: {error}; is the deployment complete?") from error


def _address(contracts: dict[str, Any], name: str) -> Address:
    address = bytes.fromhex(contracts[name]["address"].removeprefix("0x"))
    if len(address) != 20:
        raise ValueError(f"{name}: an address has 20 bytes")
    return address

"""Verify the sources of a deployment at the network's block explorer, through Ape's explorer plugin."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import ape
from ape.api import ProviderAPI
from ape.exceptions import ApeException

from .fields import DeploymentError
from .record import ContractEntry, DeploymentFile
from .steps import Echo, note

API_KEY = "ETHERSCAN_API_KEY"
PLUGIN = "ape_etherscan"


class Explorer(Protocol):
    """What is used of ape.api.ExplorerAPI."""

    def publish_contract(self, address: str) -> None: ...


def find_explorer(provider: ProviderAPI) -> Explorer:
    """Return the connected network's explorer.

    Raises:
        DeploymentError: naming what is missing: the plugin, the key, or an explorer of this network.
    """
    explorer = provider.network.explorer
    if explorer is not None and os.environ.get(API_KEY):
        return explorer
    if find_spec(PLUGIN) is None:
        raise DeploymentError("publish: ape-etherscan is not installed; run `make setup`")
    if not os.environ.get(API_KEY):
        raise DeploymentError(f"publish: {API_KEY} is not set; create a key at etherscan.io and export it")
    raise DeploymentError(f"publish: no explorer is known for {provider.network_choice}")


def publish_all(explorer: Explorer, path: Path, *, echo: Echo) -> None:
    """Publish every contract of the deployment, one after the other. What is published already counts as success.

    Raises:
        DeploymentError: after the last one, naming those that failed and why.
    """
    file = DeploymentFile.open(path.parent, int(path.stem), read_only=True)
    failures = []
    for name, entry in file.contracts.items():
        try:
            _publish(explorer, entry)
        except (ApeException, ValueError, OSError) as error:
            failures.append(f"- {name} ({entry.address}): {error}")
            echo(note(f"publish {name}", f"failed: {error}"))
        else:
            echo(note(f"publish {name}", entry.address))
    if failures:
        raise DeploymentError("publish: run again with --publish for those that failed:\n" + "\n".join(failures))


def _publish(explorer: Explorer, entry: ContractEntry) -> None:
    """The plugin asks Ape which contract is at the address, so Ape is told."""
    container = ape.project.get_contract(entry.contract)
    if container is None:
        raise ValueError(f"{entry.contract}: no such contract in contracts/")
    ape.chain.contracts[entry.address] = container.contract_type
    explorer.publish_contract(entry.address)

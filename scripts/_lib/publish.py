"""Verify the sources of a deployment at the network's block explorer, through ape-etherscan.

The plugin's own search for imports misses those that are mapped to node_modules, so what is submitted is put together
here: compiled, it gives the bytecode that was deployed. (The hash of the metadata at its end is the same after a build
of everything at once, `ape compile -f`: a build of a part may have used fewer remappings.)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from ape.api import ProviderAPI
from ape.exceptions import ApeException

from .fields import DeploymentError
from .record import ContractEntry, DeploymentFile
from .sources import Sources
from .steps import Echo, note

API_KEY = "ETHERSCAN_API_KEY"
PLUGIN = "ape_etherscan"
REQUIREMENT = "ape-etherscan==0.8.7"
"""As in pyproject.toml. It is no part of the set-up: where it is installed, Ape asks it about local chains too."""

MIT = 3
"""Etherscan's number of the licence."""

POLL_S = 3.0
MOST_POLLS = 100
PASSED, KNOWN = "pass", "already verified"
WAITING = ("pending", "in progress", "in queue")


class Client(Protocol):
    """What is used of ape_etherscan.client.ContractClient."""

    def verify_source_code(
        self, standard_json_output: dict[str, Any], compiler_version: str, **options: Any
    ) -> str: ...

    def check_verify_status(self, guid: str) -> str: ...


Explorer = Callable[[str], Client]
"""The explorer's client for a contract, by its address."""


@dataclass(frozen=True)
class Publication:
    """What one contract needs to be verified."""

    name: str
    address: str
    source_id: str
    contract: str
    standard_json: dict[str, Any]
    compiler_version: str
    constructor_arguments: bytes


def find_explorer(provider: ProviderAPI) -> Explorer:
    """Return the connected network's explorer.

    Raises:
        DeploymentError: naming what is missing: the plugin, the key, or an explorer of this network.
    """
    if find_spec(PLUGIN) is None:
        raise DeploymentError(f"publish: the explorer's plugin is not installed; run `pip install {REQUIREMENT}`")
    if not os.environ.get(API_KEY):
        raise DeploymentError(f"publish: {API_KEY} is not set; create a key at etherscan.io and export it")
    network = provider.network
    explorer = network.explorer
    if explorer is None:
        raise DeploymentError(f"publish: no explorer is known for {provider.network_choice}")
    client, types = import_module(f"{PLUGIN}.client"), import_module(f"{PLUGIN}.types")
    name = network.name.replace("-fork", "")
    uris: Any = explorer
    instance = types.EtherscanInstance(network.ecosystem.name, name, uris.etherscan_uri, uris.etherscan_api_uri)
    get_client: Explorer = client.ClientFactory(instance).get_contract_client
    return get_client


def publish_all(explorer: Explorer, path: Path, sources: Sources, *, echo: Echo) -> None:
    """Publish every contract of the deployment, one after the other. What is published already counts as success.

    Raises:
        DeploymentError: after the last one, naming those that failed and why.
    """
    file = DeploymentFile.open(path.parent, int(path.stem), read_only=True)
    failures = []
    for name, entry in file.contracts.items():
        try:
            _publish(explorer(entry.address), prepare(name, entry, sources))
        except (ApeException, DeploymentError, ValueError, OSError) as error:
            failures.append(f"- {name} ({entry.address}): {error}")
            echo(note(f"publish {name}", f"failed: {error}"))
        else:
            echo(note(f"publish {name}", entry.address))
    if failures:
        raise DeploymentError("publish: run again with --publish for those that failed:\n" + "\n".join(failures))


def prepare(name: str, entry: ContractEntry, sources: Sources) -> Publication:
    """Put together what is submitted for a recorded contract."""
    return Publication(
        name=name,
        address=entry.address,
        source_id=sources.source_id(entry.contract),
        contract=entry.contract,
        standard_json=sources.standard_json(entry.contract),
        compiler_version=sources.compiler_version,
        constructor_arguments=sources.constructor_arguments(entry.contract, entry.arguments),
    )


def _publish(client: Client, publication: Publication) -> None:
    settings = publication.standard_json["settings"]
    try:
        guid = client.verify_source_code(
            publication.standard_json,
            publication.compiler_version,
            contract_name=f"{publication.source_id}:{publication.contract}",
            optimization_used=settings["optimizer"]["enabled"],
            optimization_runs=settings["optimizer"]["runs"],
            constructor_arguments=publication.constructor_arguments.hex(),
            evm_version=settings["evmVersion"],
            license_type=MIT,
            via_ir=settings["viaIR"],
        )
        _wait(client, guid)
    except (ApeException, DeploymentError) as error:
        if KNOWN not in str(error).lower():
            raise


def _wait(client: Client, guid: str) -> None:
    """Wait until the explorer has compiled."""
    for _ in range(MOST_POLLS):
        status = client.check_verify_status(guid)
        if status.lower().startswith((PASSED, KNOWN)):
            return
        if not any(word in status.lower() for word in WAITING):
            raise DeploymentError(status)
        time.sleep(POLL_S)
    raise DeploymentError(f"the explorer did not finish within {MOST_POLLS * POLL_S:.0f} s")

"""The deployments file: what is deployed on one chain, and what was about to be sent when the last run ended.

`deployments/<chainId>.json`:

    {
      "chainId": 31337,
      "deployer": "0x...",
      "usdc": "0x...",
      "startBlock": 1,                        the first block that can hold an event of this deployment
      "contracts": {"Engine": {"contract", "address", "arguments", "initCodeHash", "codeHash", "block", "transaction"}},
      "calls": {"connect(Vault)": {"block", "transaction"}},
      "assets": {"WBTC": {"id", "synth", "underlying", "decimals"}},
      "markets": {"BTC-USDC": {"id", "kind", "base", "quote", "oracle", "expiry"}},
      "intents": []                           transactions that were signed but not seen in a block yet
    }

`contracts` names the proxies `Vault`, `Engine` and `Clearinghouse`; their implementations are `VaultImplementation` and
so on. `SynthWBTC`, `OracleBTC` and `FeedBTC` are named after the listing. With governance there are `CXPT`, `Timelock`
and `Governor`. Every change is written at once, by an atomic rename.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .settings import DeploymentError


@dataclass(frozen=True)
class ContractEntry:
    """A deployed contract. `block` and `transaction` are None for one that somebody else deployed (CREATE2)."""

    contract: str
    address: str
    arguments: list[Any]
    initCodeHash: str  # noqa: N815 (the file's vocabulary)
    codeHash: str  # noqa: N815
    block: int | None
    transaction: str | None


@dataclass(frozen=True)
class Intent:
    """A transaction that is about to be sent. `address` is what it creates, None for a call."""

    step: str
    nonce: int
    transaction: str
    contract: str | None = None
    address: str | None = None
    arguments: list[Any] = field(default_factory=list)
    initCodeHash: str | None = None  # noqa: N815


class DeploymentFile:
    """One chain's deployments file, in memory and on disk."""

    def __init__(self, path: Path, chain_id: int, read_only: bool = False) -> None:
        self.path = path
        self.chain_id = chain_id
        self.read_only = read_only
        self.reset()

    @classmethod
    def open(cls, folder: Path, chain_id: int, read_only: bool = False) -> DeploymentFile:
        """Read the chain's file, or begin an empty one. It is written with its first entry, read-only never.

        Raises:
            DeploymentError: if the file cannot be read or is another chain's.
        """
        file = cls(folder / f"{chain_id}.json", chain_id, read_only)
        if not file.path.exists():
            return file
        try:
            data = json.loads(file.path.read_text(encoding="utf-8"))
            recorded = data["chainId"]
            if recorded != chain_id:
                raise DeploymentError(f"{file.path}: belongs to chain {recorded}, connected is chain {chain_id}")
            file.deployer = data["deployer"]
            file.usdc = data["usdc"]
            file.start_block = data["startBlock"]
            file.contracts = {name: ContractEntry(**entry) for name, entry in data["contracts"].items()}
            file.calls, file.assets, file.markets = data["calls"], data["assets"], data["markets"]
            file.intents = [Intent(**entry) for entry in data["intents"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DeploymentError(
                f"{file.path}: is not a deployments file ({type(error).__name__}: {error})"
            ) from error
        return file

    def reset(self) -> None:
        """Forget everything."""
        self.deployer: str | None = None
        self.usdc: str | None = None
        self.start_block: int | None = None
        self.contracts: dict[str, ContractEntry] = {}
        self.calls: dict[str, dict[str, Any]] = {}
        self.assets: dict[str, dict[str, Any]] = {}
        self.markets: dict[str, dict[str, Any]] = {}
        self.intents: list[Intent] = []

    def intend(self, intent: Intent) -> None:
        """Record a transaction before it is sent. Earlier ones of the same nonce stay: one of them may be mined."""
        self.intents = [other for other in self.intents if other.nonce == intent.nonce] + [intent]
        self.save()

    def finish_contract(self, name: str, entry: ContractEntry) -> None:
        """Record a contract that exists and forget the intents that led to it."""
        self.contracts[name] = entry
        self.intents = []
        self.save()

    def finish_call(self, name: str, block: int | None, transaction: str | None) -> None:
        """Record a call that took effect and forget the intents that led to it."""
        self.calls[name] = {"block": block, "transaction": transaction}
        self.intents = []
        self.save()

    def save(self) -> None:
        """Write the file: complete or not at all, whatever interrupts it."""
        if self.read_only:
            return
        data = {
            "chainId": self.chain_id,
            "deployer": self.deployer,
            "usdc": self.usdc,
            "startBlock": self.start_block,
            "contracts": {name: asdict(entry) for name, entry in self.contracts.items()},
            "calls": self.calls,
            "assets": self.assets,
            "markets": self.markets,
            "intents": [asdict(intent) for intent in self.intents],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with temporary.open("w", encoding="utf-8") as stream:
            json.dump(data, stream, indent=2)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

"""What `ape run manage` works at: the deployed contracts, calls of them, and how a call is tried, shown and sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ape.api import AccountAPI, ProviderAPI
from ape.contracts import ContractInstance
from ape.exceptions import ApeException
from eth_abi.exceptions import EncodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from web3.exceptions import ContractCustomError, ContractLogicError, Web3Exception

from .fields import DeploymentError
from .listing import ZERO_ADDRESS
from .node import Mined, Node
from .record import DeploymentFile

CONTRACTS = {"Timelock": "CrosspointTimelock", "Governor": "CrosspointGovernor"}
"""Recorded contracts that are named otherwise in contracts/."""

ORACLES = ("ChainlinkOracle", "PythOracle")
WITH_ERRORS = (
    "Engine",
    "Vault",
    "MarketRegistry",
    "Clearinghouse",
    "CXPT",
    *CONTRACTS.values(),
    *ORACLES,
    "SynthERC20",
)

LOG_RANGE = 10_000
"""Blocks whose logs are asked for at once."""

Echo = Callable[[str], None]


@dataclass(frozen=True)
class Call:
    """A call of a deployed contract."""

    contract: str
    """as recorded, e.g. Timelock"""
    address: str
    method: str
    arguments: tuple[Any, ...]
    data: bytes

    def __str__(self) -> str:
        return f"{self.contract}.{self.method}({', '.join(map(_shown, self.arguments))})"


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return str(value)


@dataclass(frozen=True)
class Nobody:
    """Who looks on: no account, for actions that send nothing."""

    provider: ProviderAPI
    address: str = ZERO_ADDRESS


class Desk:
    """One deployment, seen by one account. Nothing is sent unless `send` is set; no file is ever written."""

    def __init__(self, account: AccountAPI | Nobody, folder: Path, *, send: bool, echo: Echo) -> None:
        self.node = Node(account, confirmations=None)  # type: ignore[arg-type]
        self.file = DeploymentFile.open(folder, self.node.chain_id, read_only=True)
        if "Engine" not in self.file.contracts:
            raise DeploymentError(f"{self.file.path}: names no contracts; deploy with `ape run deploy` first")
        self.sends = send
        self.echo = echo

    # -- contracts ---------------------------------------------------------------------------------------------------

    @property
    def sender(self) -> str:
        return self.node.address

    def has(self, contract: str) -> bool:
        return contract in self.file.contracts

    def address(self, contract: str) -> str:
        """Return a recorded contract's address.

        Raises:
            DeploymentError: if it was not deployed.
        """
        if not self.has(contract):
            raise DeploymentError(f"{contract}: is not part of the deployment in {self.file.path}")
        return self.file.contracts[contract].address

    def at(self, contract: str) -> ContractInstance:
        """Return a recorded contract."""
        return self.node.at(CONTRACTS.get(contract, contract), self.address(contract))

    def market(self, symbol: str) -> int:
        """Return the id of a market.

        Raises:
            DeploymentError: if the registry does not know it.
        """
        market = int(self.at("MarketRegistry").marketId(symbol))
        if market == 0:
            raise DeploymentError(f"{symbol}: the registry has no such market")
        return market

    def call(self, contract: str, method: str, *arguments: Any) -> Call:
        """Prepare a call.

        Raises:
            DeploymentError: if there is no such method or the arguments do not fit it.
        """
        address, name = self.address(contract), CONTRACTS.get(contract, contract)
        if method not in self.node.container(name).contract_type.mutable_methods:
            raise DeploymentError(f"{contract}: has no method {method} that changes anything")
        try:
            data = self.node.call_data(name, method, *arguments)
        except (ApeException, EncodingError, TypeError, ValueError) as error:
            raise DeploymentError(f"{contract}.{method}: {error}") from error
        return Call(contract, address, method, arguments, data)

    # -- doing -------------------------------------------------------------------------------------------------------

    def do(self, *calls: Call) -> None:
        """Try each call and show it; then send it, if anything is to be sent.

        Raises:
            DeploymentError: if a call would revert, naming the error, or did.
        """
        for call in calls:
            self.send(str(call), call.address, call.data)

    def deploy(self, name: str, contract: str, *arguments: Any) -> None:
        """Deploy a contract, as `do` makes a call, and show its address."""
        what = f"{contract}({', '.join(map(_shown, arguments))})"
        mined = self.send(what, None, self.node.init_code(contract, *arguments))
        if mined is not None:
            receipt = self.node.web3.eth.get_transaction_receipt(mined.transaction)  # type: ignore[arg-type]
            self.echo(f"  {name} {to_checksum_address(str(receipt['contractAddress']))}")

    def send(self, what: str, receiver: str | None, data: bytes) -> Mined | None:
        """Try a transaction and show it; then send it, if anything is to be sent, and wait for its block.

        Raises:
            DeploymentError: if it would revert, naming the error, or did.
        """
        transaction = {"from": self.sender, "data": data} | ({"to": receiver} if receiver else {})
        self._try(transaction, what)
        where = f" at {receiver}" if receiver else ""
        if not self.sends:
            self.echo(f"would send {what}{where} by {self.sender}")
            return None
        mined = self.node.send(what, self.node.next_nonce(), receiver, data, before=lambda transaction: None)
        self.echo(f"sent {what}{where}: block {mined.block}, transaction {mined.transaction}")
        return mined

    def attempt(self, call: Call, sender: str | None = None) -> None:
        """Simulate a call.

        Raises:
            DeploymentError: naming the error with which it would revert.
        """
        self._try({"from": sender or self.sender, "to": call.address, "data": call.data}, str(call))

    def _try(self, transaction: dict[str, Any], what: str) -> None:
        try:
            self.node.web3.eth.call(transaction)  # type: ignore[arg-type]
        except ContractCustomError as error:
            raise DeploymentError(f"{what} would revert: {self.decode(HexBytes(str(error.data)))}") from error
        except (ContractLogicError, Web3Exception) as error:
            raise DeploymentError(f"{what} would revert: {error}") from error

    def decode(self, data: bytes) -> str:
        """Return a custom error with its arguments by name."""
        ecosystem = self.node.deployer.provider.network.ecosystem
        abi = self._errors.get(bytes(data[:4]))
        if abi is None:
            return "0x" + data.hex()
        inputs = ecosystem.decode_calldata(abi, HexBytes(data[4:]))
        return f"{abi.name}({', '.join(f'{name}={_shown(value)}' for name, value in inputs.items())})"

    @cached_property
    def _errors(self) -> dict[bytes, Any]:
        errors: list[Any] = []
        for name in WITH_ERRORS:
            errors += self.node.container(name).contract_type.errors
        return {keccak(text=abi.selector)[:4]: abi for abi in errors}

    # -- reading -----------------------------------------------------------------------------------------------------

    def events(self, contract: str, event: str, topics: Sequence[bytes | None] = ()) -> list[dict[str, Any]]:
        """Return the arguments of all events of a contract since the deployment, oldest first."""
        instance = self.at(contract)
        (abi,) = [abi for abi in instance.contract_type.events if abi.name == event]
        web3, ecosystem = self.node.web3, self.node.deployer.provider.network.ecosystem
        last, found = web3.eth.block_number, []
        for first in range(self.file.start_block or 0, last + 1, LOG_RANGE):
            query = {
                "address": instance.address,
                "fromBlock": first,
                "toBlock": min(first + LOG_RANGE - 1, last),
                "topics": [keccak(text=abi.selector), *topics],
            }
            logs = [dict(log) for log in web3.eth.get_logs(query)]  # type: ignore[arg-type]
            found += [dict(log.event_arguments) for log in ecosystem.decode_logs(logs, abi)]
        return found

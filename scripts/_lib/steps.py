"""Steps of a deployment: what a step needs to be done once, whatever interrupts it, and how it is planned or sent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from eth_utils.crypto import keccak
from web3.exceptions import Web3Exception

from .addresses import (
    CREATE2_DEPLOYER,
    CREATE2_DEPLOYER_CODE,
    CREATE2_DEPLOYER_COST,
    CREATE2_DEPLOYER_SENDER,
    CREATE2_DEPLOYER_TRANSACTION,
    SALT,
    create2_address,
    create_address,
)
from .node import Mined, Node
from .record import ContractEntry, DeploymentFile, Intent
from .settings import DeploymentError


class Action(Enum):
    """What happens, or would happen, with a step."""

    KEEP = "exists"
    DEPLOY = "deploy"
    CALL = "call"
    NOTE = "note"


@dataclass(frozen=True)
class Report:
    """One line about one step. `index` counts from 1 to `total`; both are 0 for a note."""

    index: int
    total: int
    name: str
    action: Action
    detail: str

    def __str__(self) -> str:
        if self.action is Action.NOTE:
            return f"{self.name}: {self.detail}"
        counter = f"[{self.index}/{self.total}] " if self.total else ""
        return f"{counter}{self.action.value:<6} {self.name:<33} {self.detail}"


Echo = Callable[[Report], None]


def note(name: str, detail: str) -> Report:
    """Return a report of something that is no step."""
    return Report(0, 0, name, Action.NOTE, detail)


class OtherContractError(DeploymentError):
    """A recorded contract is not the one that the settings ask for."""


class Walk(ABC):
    """Goes through the steps in order. Each is kept if it is done, else handed to the subclass."""

    def __init__(self, node: Node, file: DeploymentFile, echo: Echo, total: int = 0) -> None:
        self.node = node
        self.file = file
        self.reports: list[Report] = []
        self._echo = echo
        self._total = total

    def report(self, name: str, action: Action, detail: str) -> None:
        report = Report(len(self.reports) + 1, self._total, name, action, detail)
        self.reports.append(report)
        self._echo(report)

    def create(self, name: str, contract: str, *arguments: Any) -> str:
        """Deploy a contract by CREATE, unless it is recorded with the same code and arguments. Return its address."""
        init_code = self.node.init_code(contract, *arguments)
        entry = self._recorded(name, init_code)
        if entry is not None:
            self.report(name, Action.KEEP, entry.address)
            return entry.address
        return self._create(name, contract, arguments, init_code)

    def create2(self, name: str, contract: str, *arguments: Any) -> str:
        """Deploy a contract through the canonical CREATE2 deployer, unless anybody has. Return its address."""
        init_code = self.node.init_code(contract, *arguments)
        address = create2_address(init_code)
        self._recorded(name, init_code)
        if self.node.code(address):
            self._keep_create2(name, contract, address, arguments, init_code)
            self.report(name, Action.KEEP, address)
        else:
            self._create2(name, contract, address, arguments, init_code)
        return address

    def create2_deployer(self) -> None:
        """Provide the canonical CREATE2 deployer."""
        code = self.node.code(CREATE2_DEPLOYER)
        if code == CREATE2_DEPLOYER_CODE:
            self.report("Create2Deployer", Action.KEEP, CREATE2_DEPLOYER)
        elif code:
            raise DeploymentError(f"Create2Deployer: other code is at {CREATE2_DEPLOYER}")
        elif self.node.mined_nonce(CREATE2_DEPLOYER_SENDER):
            raise DeploymentError("Create2Deployer: its transaction failed on this chain and cannot be repeated")
        else:
            self._create2_deployer()

    def call(
        self,
        name: str,
        contract: str,
        address: str,
        method: str,
        arguments: Callable[[], tuple[Any, ...]],
        done: Callable[[], bool],
    ) -> None:
        """Call `method` unless `done` says that it took effect. Both callables may read `address`."""
        if self.exists(address) and done():
            self._keep_call(name)
            self.report(name, Action.KEEP, "done")
        else:
            self._call(name, contract, address, method, arguments, done)

    def exists(self, address: str) -> bool:
        """Say whether the contract is there to be read."""
        return bool(self.node.code(address))

    def _recorded(self, name: str, init_code: bytes) -> ContractEntry | None:
        """Return the recorded contract, None if there is none.

        Raises:
            OtherContractError: if the recorded one is not the one wanted.
        """
        entry = self.file.contracts.get(name)
        if entry is None or entry.initCodeHash == _hash(init_code):
            return entry
        raise OtherContractError(
            f"{name}: {entry.address} was deployed from other code or with other arguments ({entry.arguments}); "
            f"deploy with the same settings and sources, or move {self.file.path} away"
        )

    @abstractmethod
    def _create(self, name: str, contract: str, arguments: tuple[Any, ...], init_code: bytes) -> str: ...

    @abstractmethod
    def _create2(
        self, name: str, contract: str, address: str, arguments: tuple[Any, ...], init_code: bytes
    ) -> None: ...

    @abstractmethod
    def _keep_create2(
        self, name: str, contract: str, address: str, arguments: tuple[Any, ...], init_code: bytes
    ) -> None: ...

    @abstractmethod
    def _create2_deployer(self) -> None: ...

    @abstractmethod
    def _call(
        self,
        name: str,
        contract: str,
        address: str,
        method: str,
        arguments: Callable[[], tuple[Any, ...]],
        done: Callable[[], bool],
    ) -> None: ...

    @abstractmethod
    def _keep_call(self, name: str) -> None: ...


class Plan(Walk):
    """Says what would be done. Sends and writes nothing; addresses follow from the deployer's nonce."""

    def __init__(self, node: Node, file: DeploymentFile) -> None:
        super().__init__(node, file, lambda _: None)
        self.planned: set[str] = set()
        """Addresses that have no code yet and would have it."""
        self._nonce = node.mined_nonce()

    def _create(self, name: str, contract: str, arguments: tuple[Any, ...], init_code: bytes) -> str:
        address = create_address(self.node.address, self._nonce)
        self._nonce += 1
        self.planned.add(address)
        self.report(name, Action.DEPLOY, f"{address} (predicted)")
        return address

    def _create2(self, name: str, contract: str, address: str, arguments: tuple[Any, ...], init_code: bytes) -> None:
        self._nonce += 1
        self.report(name, Action.DEPLOY, f"{address} (CREATE2)")

    def _keep_create2(
        self, name: str, contract: str, address: str, arguments: tuple[Any, ...], init_code: bytes
    ) -> None:
        pass

    def _create2_deployer(self) -> None:
        if self.node.balance(CREATE2_DEPLOYER_SENDER) < CREATE2_DEPLOYER_COST:
            self._nonce += 1
        self.report("Create2Deployer", Action.DEPLOY, CREATE2_DEPLOYER)

    def _call(
        self,
        name: str,
        contract: str,
        address: str,
        method: str,
        arguments: Callable[[], tuple[Any, ...]],
        done: Callable[[], bool],
    ) -> None:
        self._nonce += 1
        self.report(name, Action.CALL, f"{method} on {address}")

    def _keep_call(self, name: str) -> None:
        pass


class Execution(Walk):
    """Does what is not done yet and records each step as soon as it is."""

    def _create(self, name: str, contract: str, arguments: tuple[Any, ...], init_code: bytes) -> str:
        nonce = self.node.next_nonce()
        address = create_address(self.node.address, nonce)
        mined = self._send(name, nonce, None, init_code, contract, address, arguments)
        self._finish(name, contract, address, arguments, init_code, mined)
        return address

    def _create2(self, name: str, contract: str, address: str, arguments: tuple[Any, ...], init_code: bytes) -> None:
        nonce = self.node.next_nonce()
        data = SALT + init_code
        mined = self._send(name, nonce, CREATE2_DEPLOYER, data, contract, address, arguments, _hash(init_code))
        self._finish(name, contract, address, arguments, init_code, mined)

    def _keep_create2(
        self, name: str, contract: str, address: str, arguments: tuple[Any, ...], init_code: bytes
    ) -> None:
        if name not in self.file.contracts or self.file.contracts[name].address != address:
            self.file.finish_contract(name, self._entry(contract, address, arguments, init_code, None))

    def _create2_deployer(self) -> None:
        missing = CREATE2_DEPLOYER_COST - self.node.balance(CREATE2_DEPLOYER_SENDER)
        if missing > 0:
            nonce = self.node.next_nonce()
            self._send("Create2Deployer", nonce, CREATE2_DEPLOYER_SENDER, b"", value=missing)
        try:
            self.node.web3.eth.send_raw_transaction(CREATE2_DEPLOYER_TRANSACTION)
        except (Web3Exception, ValueError) as error:
            raise DeploymentError(
                f"Create2Deployer: the node refuses its presigned transaction ({error}); "
                "send it through a node that accepts transactions without a chain id"
            ) from error
        self.node.wait_until("Create2Deployer", lambda: self.node.mined_nonce(CREATE2_DEPLOYER_SENDER) > 0)
        if self.node.code(CREATE2_DEPLOYER) != CREATE2_DEPLOYER_CODE:
            raise DeploymentError("Create2Deployer: its transaction failed")
        self.report("Create2Deployer", Action.DEPLOY, CREATE2_DEPLOYER)

    def _call(
        self,
        name: str,
        contract: str,
        address: str,
        method: str,
        arguments: Callable[[], tuple[Any, ...]],
        done: Callable[[], bool],
    ) -> None:
        data = self.node.call_data(contract, method, *arguments())
        mined = self._send(name, self.node.next_nonce(), address, data)
        if not done():
            raise DeploymentError(f"{name}: transaction {mined.transaction} had no effect")
        self.file.finish_call(name, mined.block, mined.transaction)
        self.report(name, Action.CALL, f"block {mined.block}")

    def _keep_call(self, name: str) -> None:
        if name not in self.file.calls:
            self.file.finish_call(name, None, None)

    def _send(
        self,
        name: str,
        nonce: int,
        receiver: str | None,
        data: bytes,
        contract: str | None = None,
        address: str | None = None,
        arguments: tuple[Any, ...] = (),
        code_hash: str | None = None,
        value: int = 0,
    ) -> Mined:
        if receiver is None:
            code_hash = _hash(data)

        def intend(transaction: str) -> None:
            intent = Intent(name, nonce, transaction, contract, address, _plain(arguments), code_hash)
            self.file.intend(intent)

        return self.node.send(name, nonce, receiver, data, intend, value)

    def _entry(
        self, contract: str, address: str, arguments: tuple[Any, ...], init_code: bytes, mined: Mined | None
    ) -> ContractEntry:
        code = self.node.code(address)
        if not code:
            raise DeploymentError(f"{contract}: no code is at {address} after its transaction")
        block, transaction = (mined.block, mined.transaction) if mined else (None, None)
        return ContractEntry(contract, address, _plain(arguments), _hash(init_code), _hash(code), block, transaction)

    def _finish(
        self, name: str, contract: str, address: str, arguments: tuple[Any, ...], init_code: bytes, mined: Mined
    ) -> None:
        self.file.finish_contract(name, self._entry(contract, address, arguments, init_code, mined))
        self.report(name, Action.DEPLOY, f"{address} block {mined.block}")


def _hash(code: bytes) -> str:
    return "0x" + keccak(code).hex()


def _plain(arguments: tuple[Any, ...]) -> list[Any]:
    """Return arguments as JSON values."""
    return ["0x" + value.hex() if isinstance(value, bytes) else value for value in arguments]

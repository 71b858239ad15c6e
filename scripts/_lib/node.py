"""The chain and the compiled contracts, as the deployment needs them: through Ape, with explicit nonces."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ape
from ape.api import AccountAPI
from ape.contracts import ContractContainer, ContractInstance
from ape.exceptions import ApeException
from eth_typing import HexStr
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3 import Web3
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3Exception

from .settings import DEV_CHAINS, DeploymentError

PUBLIC_CONFIRMATIONS = 2
GAS_MARGIN_PERCENT = 20
PENDING_TIMEOUT_S = 300
POLL_S = 1.0
LOCAL_CLIENTS = ("anvil/", "hardhatnetwork/", "ethereumjs", "ganache")

DECIMALS_SELECTOR = HexStr("0x313ce567")

IMPLEMENTATION_SLOT = 0x360894A13BA1A3210667C828492DB98DCA3E2076CC3735A920A3CA505D382BBC
"""ERC-1967: where a proxy keeps its implementation's address."""


@dataclass(frozen=True)
class Mined:
    """A transaction in a block."""

    transaction: str
    block: int
    succeeded: bool


class Node:
    """The connected chain, seen by the deployer's account."""

    def __init__(self, deployer: AccountAPI, confirmations: int | None) -> None:
        self.deployer = deployer
        self.address = str(deployer.address)
        self.chain_id = self._chain_id()
        self.is_dev = self.chain_id in DEV_CHAINS
        self.confirmations = self._default_confirmations() if confirmations is None else confirmations

    def _chain_id(self) -> int:
        """Return what the node says. Ape takes some nodes for chain 1337 without asking, and would sign for that."""
        chain_id, assumed = int(self.web3.eth.chain_id), int(self.deployer.provider.chain_id)
        if chain_id != assumed:
            raise DeploymentError(
                f"network: the node is on chain {chain_id}, but Ape takes it for chain {assumed}; "
                "pass the node's address alone: --network http://HOST:PORT"
            )
        return chain_id

    def _default_confirmations(self) -> int:
        provider = self.deployer.provider
        client = str(provider.web3.client_version).lower()
        if self.is_dev or provider.network.is_dev or client.startswith(LOCAL_CLIENTS):
            return 0
        return max(int(provider.network.required_confirmations), PUBLIC_CONFIRMATIONS)

    @property
    def web3(self) -> Web3:
        web3: Web3 = self.deployer.provider.web3
        return web3

    # -- contracts ---------------------------------------------------------------------------------------------------

    def container(self, contract: str) -> ContractContainer:
        """Return a compiled contract of this project."""
        container = ape.project.get_contract(contract)
        if container is None:
            raise DeploymentError(f"{contract}: no such contract in contracts/")
        return container

    def at(self, contract: str, address: str) -> ContractInstance:
        """Return the contract at an address. (`container.at` would prefer what Ape remembers of the address.)"""
        return ContractInstance(to_checksum_address(address), self.container(contract).contract_type)

    def init_code(self, contract: str, *arguments: Any) -> bytes:
        """Return creation code and encoded arguments."""
        return bytes(self.container(contract).constructor.serialize_transaction(*arguments).data)

    def call_data(self, contract: str, method: str, *arguments: Any) -> bytes:
        """Return selector and encoded arguments."""
        methods = self.container(contract).contract_type.mutable_methods
        ecosystem = self.deployer.provider.network.ecosystem
        return bytes(ecosystem.encode_transaction(self.address, methods[method], *arguments).data)

    # -- state -------------------------------------------------------------------------------------------------------

    def code(self, address: str) -> bytes:
        return bytes(self.web3.eth.get_code(to_checksum_address(address)))

    def balance(self, address: str) -> int:
        """Return wei."""
        return int(self.web3.eth.get_balance(to_checksum_address(address)))

    def time(self) -> int:
        """Return the newest block's time in Unix seconds."""
        return int(self.web3.eth.get_block("latest")["timestamp"])

    def decimals(self, token: str) -> int:
        """Return the token's decimals.

        Raises:
            DeploymentError: if no token is at the address.
        """
        try:
            answer = bytes(self.web3.eth.call({"to": to_checksum_address(token), "data": DECIMALS_SELECTOR}))
        except Web3Exception as error:
            raise DeploymentError(f"{token}: does not answer decimals() ({error})") from error
        if len(answer) != 32:
            raise DeploymentError(f"{token}: does not answer decimals()")
        return int.from_bytes(answer, "big")

    def view(self, address: str, signature: str, *arguments: int) -> bytes | None:
        """Return what a contract answers to a call with integer arguments, None if it reverts or is no contract."""
        data = keccak(text=signature)[:4] + b"".join(value.to_bytes(32, "big") for value in arguments)
        try:
            answer = bytes(self.web3.eth.call({"to": to_checksum_address(address), "data": HexStr("0x" + data.hex())}))
        except ContractLogicError:
            return None
        return answer or None

    def implementation(self, proxy: str) -> str:
        """Return the address in the proxy's ERC-1967 slot."""
        word = bytes(self.web3.eth.get_storage_at(to_checksum_address(proxy), IMPLEMENTATION_SLOT))
        return to_checksum_address(word.rjust(32, b"\0")[12:])

    def mined_nonce(self, address: str | None = None) -> int:
        """Return the nonce of the next transaction that can be mined."""
        return int(self.web3.eth.get_transaction_count(to_checksum_address(address or self.address), "latest"))

    def has_pending(self) -> bool:
        """Say whether the node knows transactions of the deployer that are not mined yet."""
        sender = to_checksum_address(self.address)
        return int(self.web3.eth.get_transaction_count(sender, "pending")) > self.mined_nonce()

    def mined(self, transaction: str) -> Mined | None:
        """Return the transaction's outcome, None if it is in no block."""
        try:
            receipt = self.web3.eth.get_transaction_receipt(transaction)  # type: ignore[arg-type]
        except TransactionNotFound:
            return None
        return Mined(transaction, int(receipt["blockNumber"]), int(receipt["status"]) == 1)

    def wait_until(self, what: str, condition: Callable[[], bool]) -> None:
        """Poll until the condition holds.

        Raises:
            DeploymentError: after PENDING_TIMEOUT_S.
        """
        deadline = time.monotonic() + PENDING_TIMEOUT_S
        while not condition():
            if time.monotonic() > deadline:
                raise DeploymentError(f"{what}: nothing happened for {PENDING_TIMEOUT_S} s; run again later")
            time.sleep(POLL_S)

    # -- sending -----------------------------------------------------------------------------------------------------

    def next_nonce(self) -> int:
        """Return the nonce to use now; waits for the deployer's earlier transactions."""
        if self.has_pending():
            self.wait_until("pending transactions of the deployer", lambda: not self.has_pending())
        return self.mined_nonce()

    def send(
        self,
        step: str,
        nonce: int,
        receiver: str | None,
        data: bytes,
        before: Callable[[str], None],
        value: int = 0,
    ) -> Mined:
        """Sign, call `before` with the hash, send, and wait for the block and its confirmations.

        Raises:
            DeploymentError: if the transaction cannot be prepared, is not signed or reverts.
        """
        provider = self.deployer.provider
        try:
            fields = {"sender": self.address, "nonce": nonce, "data": data, "value": value}
            if receiver is not None:
                fields["receiver"] = receiver
            transaction = provider.network.ecosystem.create_transaction(**fields)
            gas = int(provider.estimate_gas_cost(transaction))
            transaction.gas_limit = gas + gas * GAS_MARGIN_PERCENT // 100
            transaction.required_confirmations = self.confirmations
            signed = self.deployer.sign_transaction(self.deployer.prepare_transaction(transaction))
            if signed is None:
                raise DeploymentError(f"{step}: the transaction was not signed")
            before(signed.txn_hash.to_0x_hex())
            receipt = provider.send_transaction(signed)
        except (ApeException, Web3Exception) as error:
            raise DeploymentError(f"{step}: {error}") from error
        if receipt.failed:
            raise DeploymentError(f"{step}: transaction {receipt.txn_hash} reverted")
        return Mined(str(receipt.txn_hash), int(receipt.block_number), True)

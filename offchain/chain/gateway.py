"""The node, seen through the contracts: implements the `Chain` port over JSON-RPC."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_abi.abi import decode as abi_decode
from eth_abi.exceptions import DecodingError
from eth_account.signers.local import LocalAccount

from offchain.chain.abi import CONTRACTS, decode_error, encode_call
from offchain.chain.clearinglogs import CLEARINGHOUSE
from offchain.chain.deployment import Deployment
from offchain.chain.follower import Follower
from offchain.chain.logs import LogDecoder
from offchain.chain.node import Node, NodeError, to_bytes, to_hex, to_int
from offchain.chain.sender import TRANSACTION_GAS_CAP, FeePolicy, Sender
from offchain.domain.commands import ChainBlock, ChainRollback
from offchain.domain.order import Address
from offchain.metrics import WorkerMetrics
from offchain.ports import Announce, BlockRef, ChainUnavailable, Failure, Receipt, RoundSeen

GLOBAL_ERRORS = frozenset(
    {"EngineHalted", "NotOperator", "WrongBatchNumber", "MatchedAtOutOfRange"}
    | {"StalePrice", "PriceOutOfBounds", "SequencerDown", "SequencerGracePeriod"}
)
"""Errors that say nothing about the fills: who sends, when, and what was settled before."""

UNBOUNDED_AGE = 2**40
"""Seconds; beyond every time on chain."""

OUT_OF_GAS = "OutOfGas"
INSUFFICIENT_FUNDS = "InsufficientFunds"


class WrongChain(Exception):
    """The node serves another chain, or the contracts are not there. No retry cures it."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    call_timeout: float = 20.0
    """seconds that one call to the node may take"""
    poll_interval: float = 1.0
    """seconds between looks at the head"""
    fees: FeePolicy = field(default_factory=FeePolicy)


class Gateway:
    """Implements `Chain`. `connect` comes first; one instance serves the indexer and the settler."""

    def __init__(
        self,
        url: str,
        deployment: Deployment,
        operator: LocalAccount,
        settings: GatewaySettings | None = None,
        clock: Callable[[], float] = time.time,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._settings = settings or GatewaySettings()
        self._deployment = deployment
        self._node = Node(url, self._settings.call_timeout, clock, metrics)
        self._decoder = LogDecoder(deployment, self)
        self._max_ages: dict[Address, int] = {}
        self._sender = Sender(self._node, operator, deployment.chain_id, self._settings.fees)

    @property
    def operator(self) -> Address:
        return self._sender.address

    async def connect(self) -> None:
        """Check that the node serves the deployment. Raises WrongChain, ChainUnavailable."""
        chain_id = to_int(await self._node.request("eth_chainId"))
        if chain_id != self._deployment.chain_id:
            raise WrongChain(f"the node serves chain {chain_id}, the deployment is on {self._deployment.chain_id}")
        derivatives = (CLEARINGHOUSE,) if self._deployment.clearinghouse is not None else ()
        for name in (*CONTRACTS, *derivatives):
            address = to_hex(self._deployment.address(name))
            if to_bytes(await self._node.request("eth_getCode", address, "latest")) == b"":
                raise WrongChain(f"no contract at {address}, where the deployment has {name}")

    async def close(self) -> None:
        await self._node.close()

    # -----------------------------------------------------------------------------------------------------------------
    # Reading
    # -----------------------------------------------------------------------------------------------------------------

    def blocks(
        self, after: BlockRef | None, older: Sequence[BlockRef] = ()
    ) -> AsyncIterator[ChainBlock | ChainRollback]:
        """As the port says. Raises ForkTooDeep if neither `after` nor one of `older` is on the node's chain."""
        known = (*older, after) if after is not None else ()
        return Follower(self._node, self._deployment, self._decoder, known, self._settings.poll_interval).follow()

    async def next_batch(self) -> int:
        number, _ = await self._read("Engine", "lastBatch()", ("uint48", "uint40"))
        return int(number) + 1

    async def fee_bps(self) -> int:
        """The Engine's fee in basis points per side."""
        (fee,) = await self._read("Engine", "feeBps()", ("uint16",))
        return int(fee)

    async def head_number(self) -> int:
        """Number of the newest block."""
        return to_int(await self._node.request("eth_blockNumber"))

    async def head_time(self) -> int:
        return await self._node.head_time()

    async def decimals(self, asset: int) -> int:
        """Decimals of a registered asset."""
        _, _, decimals = await self._read("MarketRegistry", "asset(uint32)", ("address", "address", "uint8"), asset)
        return int(decimals)

    async def latest_round(self, oracle: Address) -> RoundSeen | None:
        latest = await self._ask_oracle(oracle, ("uint80", "uint256", "uint40"), "latest()")
        if latest is None:
            return None
        if oracle not in self._max_ages:
            # Fixed at the oracle's construction. One that does not say it has refused what is too old.
            age = await self._ask_oracle(oracle, ("uint256",), "maxAge()")
            self._max_ages[oracle] = int(age[0]) if age is not None else UNBOUNDED_AGE
        round_id, price, updated_at = (int(value) for value in latest)
        return RoundSeen(round_id, price, updated_at, self._max_ages[oracle])

    async def price_at(self, oracle: Address, round_id: int, time: int) -> int | None:
        answer = await self._ask_oracle(oracle, ("uint256",), "priceAt(uint80,uint40)", round_id, time)
        return None if answer is None else int(answer[0])

    async def _ask_oracle(
        self, oracle: Address, types: tuple[str, ...], function: str, *arguments: object
    ) -> tuple[Any, ...] | None:
        """What an oracle answers at the present time; None if it refuses."""
        call = {"to": to_hex(oracle), "data": to_hex(encode_call(function, *arguments))}
        try:
            return abi_decode(types, to_bytes(await self._node.request_now("eth_call", call)))
        except NodeError as error:
            if classify(error) is None:
                raise
            return None
        except DecodingError as error:
            raise ChainUnavailable(f"oracle {to_hex(oracle)}: {function}: {error}") from error

    async def gas_used(self, tx_hash: bytes) -> int:
        """Gas of a mined transaction. Raises ChainUnavailable if the node does not know it (any more)."""
        receipt = await self.receipt(tx_hash)
        if receipt is None:
            raise ChainUnavailable(f"no receipt of {to_hex(tx_hash)}, whose logs the node has")
        return receipt.gas_used

    async def receipt(self, tx_hash: bytes) -> Receipt | None:
        result = await self._node.request("eth_getTransactionReceipt", to_hex(tx_hash))
        if result is None:
            return None
        try:
            return Receipt(
                tx_hash=tx_hash,
                block_number=to_int(result["blockNumber"]),
                succeeded=to_int(result["status"]) == 1,
                gas_used=to_int(result["gasUsed"]),
            )
        except (KeyError, TypeError) as error:
            raise ChainUnavailable(f"malformed receipt: {error!r}") from error

    async def _read(self, contract: str, function: str, types: tuple[str, ...], *arguments: object) -> tuple[Any, ...]:
        call = {"to": to_hex(self._deployment.address(contract)), "data": to_hex(encode_call(function, *arguments))}
        result = to_bytes(await self._node.request("eth_call", call, "latest"))
        try:
            return abi_decode(types, result)
        except DecodingError as error:
            raise ChainUnavailable(f"{contract}.{function}: {error}") from error

    # -----------------------------------------------------------------------------------------------------------------
    # Sending
    # -----------------------------------------------------------------------------------------------------------------

    async def simulate(self, data: bytes, to: str = "Engine", gas: int | None = None) -> Failure | None:
        """As the port says; at the present time."""
        call = {
            "from": to_hex(self.operator),
            "to": to_hex(self._deployment.address(to)),
            "data": to_hex(data),
            "gas": hex(TRANSACTION_GAS_CAP if gas is None else gas),
        }
        try:
            await self._node.request_now("eth_call", call)
        except NodeError as error:
            failure = classify(error)
            if failure is None:
                raise
            return failure
        return None

    async def send(self, to: str, data: bytes, announce: Announce | None = None, gas: int | None = None) -> bytes:
        return await self._sender.send(self._deployment.address(to), data, announce, gas)

    def address(self, contract: str) -> Address:
        """Where a contract of the deployment is. Raises ValueError for another name."""
        return self._deployment.address(contract)


def classify(error: NodeError) -> Failure | None:
    """What a refused call says about the transaction; None if it speaks of the node only."""
    message = error.message.lower()
    data = error.revert_data
    if data:
        name, arguments = decode_error(data)
        return Failure(name, arguments, is_global=name in GLOBAL_ERRORS)
    if "out of gas" in message or "outofgas" in message or "gas required exceeds" in message:
        return Failure(OUT_OF_GAS, (), is_global=True)
    if "insufficient funds" in message:
        return Failure(INSUFFICIENT_FUNDS, (), is_global=True)
    if "revert" in message:
        return Failure("", (error.message,), is_global=False)
    return None

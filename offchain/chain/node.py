"""JSON-RPC to one Ethereum node, with every call bounded in time and every failure named."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp
from web3 import AsyncHTTPProvider
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint

from offchain.metrics import WorkerMetrics
from offchain.ports import ChainUnavailable

INVALID_PARAMS = -32602
"""JSON-RPC code of a node that does not know block overrides."""


class NodeError(ChainUnavailable):
    """The node answered with a JSON-RPC error."""

    def __init__(self, method: str, code: int, message: str, data: object) -> None:
        super().__init__(f"{method}: {message} (code {code})")
        self.code = code
        self.message = message
        self.data = data

    @property
    def revert_data(self) -> bytes | None:
        """What the contract reverted with; None if the error is not a revert that carries data."""
        data = self.data.get("data") if isinstance(self.data, dict) else self.data
        if not isinstance(data, str):
            return None
        hex_digits = data.removeprefix("Reverted ").removeprefix("0x")
        try:
            return bytes.fromhex(hex_digits)
        except ValueError:
            return None


class Node:
    """One node by its URL. Raises ChainUnavailable for everything but an answer."""

    def __init__(
        self,
        url: str,
        timeout: float,
        clock: Callable[[], float] = time.time,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        """`timeout`: seconds that one call may take; `clock`: Unix seconds."""
        self._timeout = timeout
        self._clock = clock
        self._metrics = metrics or WorkerMetrics()
        self._has_block_overrides = True
        self._provider = AsyncHTTPProvider(
            url,
            request_kwargs={"timeout": aiohttp.ClientTimeout(total=timeout)},
            # Whether a call may be repeated is decided by who makes it.
            exception_retry_configuration=None,
        )

    async def request(self, method: str, *params: Any) -> Any:
        """The result of a call. Raises NodeError if the node refuses it, ChainUnavailable if it does not answer."""
        with self._metrics.node_seconds.labels(method).time():
            try:
                return await self._request(method, *params)
            except ChainUnavailable:
                self._metrics.node_errors.labels(method).inc()
                raise

    async def _request(self, method: str, *params: Any) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._provider.make_request(RPCEndpoint(method), list(params))
        except (TimeoutError, OSError, ValueError, aiohttp.ClientError, Web3Exception) as error:
            raise ChainUnavailable(f"{method}: {str(error) or type(error).__name__}") from error
        problem = answer.get("error")
        if isinstance(problem, dict):
            raise NodeError(method, problem.get("code", 0), problem.get("message", "no message"), problem.get("data"))
        if problem is not None or "result" not in answer:
            raise ChainUnavailable(f"{method}: malformed answer {answer!r:.200}")
        return answer["result"]

    async def request_now(self, method: str, call: dict[str, str]) -> Any:
        """`eth_call` or `eth_estimateGas` on the newest state, in a block of the present time.

        Without that the call would see the time of the newest block, which may be old, or the effects of transactions
        that still wait. A node that cannot set the time takes the newest block's.
        """
        if self._has_block_overrides:
            now = max(await self.head_time(), int(self._clock()))
            try:
                return await self.request(method, call, "latest", {}, {"time": hex(now)})
            except NodeError as error:
                if error.code != INVALID_PARAMS:
                    raise
                self._has_block_overrides = False
        return await self.request(method, call, "latest")

    async def head_time(self) -> int:
        """Timestamp of the newest block, Unix seconds."""
        block = await self.request("eth_getBlockByNumber", "latest", False)
        if not isinstance(block, dict):
            raise ChainUnavailable(f"malformed block: {block!r:.100}")
        return to_int(block.get("timestamp"))

    async def close(self) -> None:
        await self._provider.disconnect()


def to_int(value: Any) -> int:
    """A JSON-RPC quantity. Raises ChainUnavailable for anything else."""
    try:
        return int(value, 16)
    except (TypeError, ValueError) as error:
        raise ChainUnavailable(f"not a quantity: {value!r:.100}") from error


def to_bytes(value: Any) -> bytes:
    """JSON-RPC data. Raises ChainUnavailable for anything else."""
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, ValueError) as error:
        raise ChainUnavailable(f"not data: {value!r:.100}") from error


def to_hex(data: bytes) -> str:
    return "0x" + data.hex()

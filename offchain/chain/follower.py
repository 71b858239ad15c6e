"""Follow the chain: blocks with their logs as commands, reorganisations as rollbacks.

Newer blocks are fetched one by one by their hash, so that a block and its logs always belong together; only blocks that
lie `SETTLED_DEPTH` deep are fetched in ranges, which a node that lags behind could silently truncate.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from offchain.chain.deployment import Deployment
from offchain.chain.logs import LogDecoder, RawLog
from offchain.chain.node import Node, NodeError, to_bytes, to_hex, to_int
from offchain.domain.commands import ChainBlock, ChainRollback
from offchain.ports import BlockRef, ChainUnavailable

SETTLED_DEPTH = 16
"""Blocks this deep below the head are fetched in ranges."""

MAX_RANGE = 2_000
"""Blocks in one range; halved when the node refuses, doubled again when it answers."""

REMEMBERED = 1_024
"""Yielded blocks among which a reorganisation's ancestor is looked for."""


class ForkTooDeep(ChainUnavailable):
    """The canonical chain contains none of the blocks that are remembered."""


class _Inconsistent(Exception):
    """The chain changed between two calls; ask again."""


@dataclass(frozen=True, slots=True)
class Header:
    number: int
    hash: bytes
    parent: bytes
    time: int

    @classmethod
    def parse(cls, block: dict[str, Any]) -> Header:
        """Raises ChainUnavailable if a field is missing or malformed."""
        try:
            return cls(
                to_int(block["number"]),
                to_bytes(block["hash"]),
                to_bytes(block["parentHash"]),
                to_int(block["timestamp"]),
            )
        except (KeyError, TypeError) as error:
            raise ChainUnavailable(f"malformed block: {error!r}") from error


class Follower:
    """Follows one node from a known block on."""

    def __init__(
        self, node: Node, deployment: Deployment, decoder: LogDecoder, after: Sequence[BlockRef], poll_interval: float
    ) -> None:
        """`after`: blocks already known, oldest first; empty to begin at the deployment. `poll_interval` in seconds."""
        self._node = node
        self._decoder = decoder
        self._poll_interval = poll_interval
        self._known = deque(after, maxlen=REMEMBERED)
        self._start = deployment.first_block
        self._range = MAX_RANGE

    async def follow(self) -> AsyncIterator[ChainBlock | ChainRollback]:
        """Blocks and rollbacks as they come, forever. Raises ChainUnavailable; a new follower then goes on."""
        while True:
            head = await self.header("latest")
            if not await self._is_canonical(head):
                yield await self._find_ancestor()
                continue
            try:
                if self._next() > head.number:
                    await asyncio.sleep(self._poll_interval)
                elif self._next() + SETTLED_DEPTH <= head.number:
                    for block in await self._fetch_range(head.number - SETTLED_DEPTH):
                        yield self._remember(block)
                else:
                    yield self._remember(await self._fetch_block(self._next(), head))
            except _Inconsistent:
                await asyncio.sleep(self._poll_interval)

    async def header(self, block: int | str) -> Header:
        """Header of a block by number or tag. Raises ChainUnavailable if the node does not have it."""
        result = await self._node.request(
            "eth_getBlockByNumber", hex(block) if isinstance(block, int) else block, False
        )
        if result is None:
            raise ChainUnavailable(f"the node has no block {block}")
        return Header.parse(result)

    def _next(self) -> int:
        return self._known[-1].number + 1 if self._known else self._start

    def _remember(self, block: ChainBlock) -> ChainBlock:
        self._known.append(BlockRef(block.number, block.block_hash))
        return block

    # -----------------------------------------------------------------------------------------------------------------
    # Reorganisations
    # -----------------------------------------------------------------------------------------------------------------

    async def _is_canonical(self, head: Header) -> bool:
        """Whether what was yielded does not contradict the chain that ends at `head`.

        A head below what is known contradicts nothing: the node lags behind another one of its provider, or the chain
        became shorter and will show other blocks when it grows.
        """
        known = next((block for block in reversed(self._known) if block.number <= head.number), None)
        if known is None:
            return True
        if known.number == head.number:
            return known.block_hash == head.hash
        if known.number == head.number - 1:
            return known.block_hash == head.parent
        return await self._has(known)

    async def _has(self, block: BlockRef) -> bool:
        result = await self._node.request("eth_getBlockByNumber", hex(block.number), False)
        return result is not None and Header.parse(result).hash == block.block_hash

    async def _find_ancestor(self) -> ChainRollback:
        """Forget what is no longer canonical and return the rollback to the newest block that is."""
        known = list(self._known)
        while known and not await self._has(known[-1]):
            known.pop()
        if not known:
            newest = self._known[-1].number
            raise ForkTooDeep(f"none of the {len(self._known)} known blocks up to {newest} is on the node's chain")
        self._known = deque(known, maxlen=REMEMBERED)
        return ChainRollback(known[-1].number, known[-1].block_hash)

    # -----------------------------------------------------------------------------------------------------------------
    # Blocks
    # -----------------------------------------------------------------------------------------------------------------

    async def _fetch_block(self, number: int, head: Header) -> ChainBlock:
        header = head if number == head.number else await self.header(number)
        if self._known and header.parent != self._known[-1].block_hash and header.number == self._known[-1].number + 1:
            raise _Inconsistent
        try:
            logs = await self._logs({"blockHash": to_hex(header.hash)})
        except NodeError as error:
            # The block is gone, or a node that lags does not have it yet.
            raise _Inconsistent from error
        return await self._block(header, logs)

    async def _fetch_range(self, limit: int) -> list[ChainBlock]:
        """Blocks with logs from the next one on, at most to `limit`, and the last of the range."""
        first = self._next()
        last = min(limit, first + self._range - 1)
        end = await self.header(last)
        try:
            logs = await self._logs({"fromBlock": hex(first), "toBlock": hex(last)})
        except NodeError as error:
            if first == last:
                raise
            self._range = max(1, (last - first + 1) // 2)
            raise _Inconsistent from error
        self._range = min(MAX_RANGE, self._range * 2)
        by_number: dict[int, list[RawLog]] = {last: []}
        for log in logs:
            by_number.setdefault(log.block_number, []).append(log)
        # Should the chain change from here on, `end` is not part of it any more, and the next look at the head says so.
        return [
            await self._block(end if number == last else await self.header(number), by_number[number])
            for number in sorted(by_number)
        ]

    async def _block(self, header: Header, logs: list[RawLog]) -> ChainBlock:
        if any(log.block_hash != header.hash for log in logs):
            raise _Inconsistent
        return ChainBlock(header.number, header.hash, header.parent, header.time, await self._decoder.decode(logs))

    async def _logs(self, where: dict[str, str]) -> list[RawLog]:
        query = {
            "address": [to_hex(address) for address in self._decoder.addresses],
            "topics": [[to_hex(topic) for topic in self._decoder.topics]],
        }
        result = await self._node.request("eth_getLogs", where | query)
        if not isinstance(result, list):
            raise ChainUnavailable(f"eth_getLogs: not a list: {result!r:.100}")
        return [RawLog.parse(log) for log in result]

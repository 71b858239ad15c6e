"""Brings the chain into the core: every block that matters becomes a command, in order, none left out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from offchain.domain.commands import ChainBlock, ChainRollback
from offchain.domain.errors import Code, Rejection
from offchain.metrics import WorkerMetrics
from offchain.ports import BlockRef, Chain, ChainUnavailable, Ingress, Overloaded, Unavailable

log = structlog.get_logger(__name__)

REMEMBERED = 1_024
"""Blocks among which the target of a rollback is looked for."""


@dataclass(frozen=True, slots=True)
class IndexerSettings:
    retry_seconds: float = 1.0
    """first pause after a failure; doubled up to `max_retry_seconds`"""
    max_retry_seconds: float = 30.0
    submit_timeout_ms: int = 30_000


class Diverged(Exception):
    """The core refuses a block: what it knows of the chain is not what the indexer continues from."""


class Indexer:
    """Run by the worker: `run` until `stop`."""

    def __init__(
        self,
        chain: Chain,
        ingress: Ingress,
        start: Sequence[BlockRef],
        settings: IndexerSettings | None = None,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        """`start`: the newest blocks that the core has seen, oldest first; empty if it has seen none."""
        self._chain = chain
        self._ingress = ingress
        self._settings = settings or IndexerSettings()
        self._metrics = metrics or WorkerMetrics()
        self._seen = deque(start, maxlen=REMEMBERED)
        self._is_stopping = False
        self._grown = asyncio.Event()

    @property
    def last(self) -> BlockRef | None:
        """The newest block that the core has."""
        return self._seen[-1] if self._seen else None

    async def run(self) -> None:
        """Follow the chain until `stop`. Node failures are retried; raises Diverged if the core refuses a block."""
        pause = self._settings.retry_seconds
        while not self._is_stopping:
            before = self.last
            try:
                await self._follow()
            except ChainUnavailable as error:
                if self.last != before:
                    pause = self._settings.retry_seconds
                log.warning("chain unavailable", reason=f"{type(error).__name__}: {error}", pause=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.max_retry_seconds)

    async def reached(self, number: int) -> None:
        """Return once the core has the blocks up to `number`."""
        while self.last is None or self.last.number < number:
            self._grown.clear()
            await self._grown.wait()

    def stop(self) -> None:
        """Let `run` return after the present block; cancel its task to end a wait for the next one."""
        self._is_stopping = True

    async def _follow(self) -> None:
        seen = list(self._seen)
        news = self._chain.blocks(seen[-1] if seen else None, seen[:-1])
        async for command in news:
            await self._submit(command)
            self._remember(command)
            if self._is_stopping:
                return

    async def _submit(self, command: ChainBlock | ChainRollback) -> None:
        """Submit until the core has answered. After an unknown outcome the core says that it has the block already."""
        pause = self._settings.retry_seconds
        while True:
            try:
                result = await self._ingress.submit(command, self._settings.submit_timeout_ms)
                break
            except (Overloaded, Unavailable) as error:
                log.warning("core unavailable", reason=f"{type(error).__name__}: {error}", block=command.number)
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.max_retry_seconds)
        if isinstance(result, Rejection) and result.code != Code.REPEATED:
            raise Diverged(f"block {command.number} refused: {result.code} {result.param}: {result.detail}")

    def _remember(self, command: ChainBlock | ChainRollback) -> None:
        if isinstance(command, ChainRollback):
            while self._seen and self._seen[-1].number > command.number:
                self._seen.pop()
            self._metrics.rollbacks.inc()
            log.warning("chain rolled back", number=command.number)
        else:
            self._metrics.blocks.inc()
            self._seen.append(BlockRef(command.number, command.block_hash))
            self._grown.set()
